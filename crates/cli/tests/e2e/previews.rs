//! Previews, as people use them: the value that `status` shows reaches a candidate before it serves anybody; a guessed label reaches nothing.

use std::fs;

use crate::clients::get_with;
use crate::world::{PATIENCE, Service, World};

/// Which release answers a client with this value of the preview header.
fn answered_by(world: &World, preview: Option<&str>) -> String {
    let line = preview.map(|value| format!("X-Gapless-Preview: {value}\r\n")).unwrap_or_default();
    let answer = get_with(world, &line, PATIENCE).expect("an answer");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer}"));
    body.lines().next().unwrap_or_default().to_owned()
}

/// A rollout whose candidate is examined until a file is there, and serves nobody meanwhile.
fn examined_until(file: &std::path::Path) -> Service {
    let script = format!("while [ ! -e {} ]; do sleep 0.1; done", file.display());
    Service::sample(&[])
        .with("[strategy]\nkind = \"blue-green\"\nbake = \"0s\"\n")
        .with("[[check]]\nname = \"sees the candidate\"\nhttp = \"/\"\ncontains = \"release 2.0\"\n")
        .with(&format!("[[check]]\nname = \"a person\"\ncommand = [\"sh\", \"-c\", {script:?}]\ntimeout = \"5m\"\n"))
}

#[test]
fn a_label_that_is_guessed_reaches_nobody_and_the_value_that_status_shows_does() {
    let world = World::up();
    assert_eq!(world.deploy(&Service::sample(&[]), "1.0", "rolling").code, 0);
    let examined = world.path("examined");
    let begun = world.deploy_detached(&examined_until(&examined), "2.0");
    assert_eq!(begun.code, 0, "{}", world.tell(&begun));
    let shown = || world.status()["services"][0]["preview"].as_str().map(str::to_owned);
    world.eventually("the candidate can be previewed", || {
        shown().is_some_and(|value| answered_by(&world, Some(&value)) == "release 2.0")
    });
    let value = shown().expect("it was shown");
    assert!(value.starts_with("2.0:"), "{value}");
    for guessed in ["2.0", "2.0:", "2.0:0123456789abcdef0123456789abcdef"] {
        assert_eq!(answered_by(&world, Some(guessed)), "release 1.0", "{guessed}");
    }
    // Previews are nobody's cost.
    for _ in 0..100 {
        assert_eq!(answered_by(&world, Some(&value)), "release 2.0");
    }
    assert_eq!(answered_by(&world, None), "release 1.0");
    fs::write(&examined, "").expect("a file");
    world.eventually("the rollout ends", || world.status()["services"][0]["situation"]["kind"] == "settled");
    let receipt = world.receipt();
    assert_eq!(receipt["rollout"]["state"], "done", "{receipt:#}");
    let of_candidate = receipt["releases"].as_array().into_iter().flatten().find(|of| of["label"] == "2.0");
    let counted = of_candidate.and_then(|of| of["answered"].as_u64()).unwrap_or(0);
    assert!(counted < 100, "{receipt:#}");
    assert_eq!(shown(), None, "the value ends with its rollout");
    assert_eq!(answered_by(&world, None), "release 2.0");
}
