//! Previews, as people use them: the value that `status` shows reaches a release before it serves anybody; a guessed label reaches nothing.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::world::{PATIENCE, Service, World};

/// Which release answers, for a client with these values of the preview header.
fn answered_by(world: &World, preview: Option<&str>) -> String {
    let mut socket = TcpStream::connect(world.listen).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let line = preview.map(|value| format!("X-Gapless-Preview: {value}\r\n")).unwrap_or_default();
    write!(socket, "GET / HTTP/1.1\r\nHost: shop\r\n{line}Connection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer}"));
    body.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_label_that_is_guessed_reaches_nobody_and_the_value_that_status_shows_does() {
    let world = World::up();
    let service = Service::sample(&[]);
    assert_eq!(world.deploy(&service, "1.0", "rolling").code, 0);
    let baked = Service::sample(&[])
        .with("[strategy]\nkind = \"blue-green\"\nobserve = \"0s\"\nbake = \"1h\"\n")
        .with("[[check]]\nname = \"sees the candidate\"\nhttp = \"/\"\ncontains = \"release 2.0\"\n");
    let begun = world.deploy_detached(&baked, "2.0");
    assert_eq!(begun.code, 0, "{}", world.tell(&begun));
    world.eventually("the candidate serves, the release before is kept warm", || {
        answered_by(&world, None) == "release 2.0"
    });

    let shown = world.status()["services"][0]["preview"].as_str().expect("a value to preview with").to_owned();
    let token = shown.strip_prefix("2.0:").unwrap_or_else(|| panic!("`{shown}` begins with the label"));
    assert_eq!(answered_by(&world, Some(&format!("1.0:{token}"))), "release 1.0");
    for guessed in ["1.0", "1.0:", "1.0:0123456789abcdef0123456789abcdef"] {
        assert_eq!(answered_by(&world, Some(guessed)), "release 2.0", "{guessed}");
    }

    // Previews are nobody's cost: a hundred of them leave no trace on the receipt, and the value ends with its rollout.
    for _ in 0..100 {
        assert_eq!(answered_by(&world, Some(&format!("1.0:{token}"))), "release 1.0");
    }
    assert_eq!(world.gapless(&["promote", "shop"]).code, 0);
    world.eventually("the rollout ends", || world.status()["services"][0]["situation"]["kind"] == "settled");
    let receipt = world.receipt();
    assert_eq!(receipt["failed_by_us"], 0, "{receipt:#}");
    let before = receipt["releases"].as_array().into_iter().flatten().find(|of| of["label"] == "1.0");
    let counted = before.and_then(|of| of["answered"].as_u64()).unwrap_or(0);
    assert!(counted < 100, "{receipt:#}");
    assert!(world.status()["services"][0]["preview"].is_null());
    assert_eq!(answered_by(&world, Some(&format!("1.0:{token}"))), "release 2.0");
}
