//! The verbs of a service's daily life: scaled, restarted, stopped, started and removed, with clients that lose nothing but what was refused on purpose.

use serde_json::Value;

use crate::world::{PATIENCE, Service, World};

fn sample() -> Service {
    Service::sample(&[]).with("[strategy]\nbatch = 2\nobserve = \"0s\"\nbake = \"0s\"\n")
}

/// The status of one GET through the proxy.
fn status_of_a_request(world: &World) -> u16 {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(world.listen).expect("the proxy listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

fn history(world: &World) -> Vec<(String, String)> {
    let ended = world.gapless(&["history", "shop", "--json"]);
    let history: Value =
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", world.tell(&ended)));
    let rollouts = history["rollouts"].as_array().expect("rollouts").iter().rev();
    let text = |value: &Value| value.as_str().expect("a word").to_owned();
    rollouts.map(|rollout| (text(&rollout["strategy"]), text(&rollout["state"]))).collect()
}

#[test]
fn a_service_is_scaled_restarted_stopped_started_and_removed() {
    let mut world = World::up();
    world.assert_done(&world.deploy(&sample(), "1.0", "rolling"));
    let first = world.live();

    let plan = world.gapless(&["scale", "shop", "5", "--plan"]);
    assert_eq!(plan.code, 0, "{}", world.tell(&plan));
    assert!(plan.stdout.contains("start 2 instances of 1.0"), "{}", plan.stdout);
    world.assert_done(&world.gapless(&["scale", "shop", "5", "--reason", "sale"]));
    assert_eq!(world.live().len(), 5);
    assert!(first.iter().all(|instance| world.live().contains(instance)), "those that ran run on");
    world.assert_done(&world.gapless(&["scale", "shop", "2"]));
    assert_eq!(world.live().len(), 2);

    let before = world.live();
    world.assert_done(&world.gapless(&["restart", "shop"]));
    let after = world.live();
    assert_eq!(after.len(), 2, "the number that was ordered holds");
    assert!(before.iter().all(|(_, pid)| after.iter().all(|(_, fresh)| pid != fresh)), "every process is fresh");
    let releases = world.gapless(&["releases", "shop", "--json"]).stdout;
    let releases: Value = serde_json::from_str(&releases).expect("JSON");
    assert_eq!(
        releases["releases"].as_array().map(Vec::len),
        Some(1),
        "a restart leaves no second release: {releases:#}"
    );

    world.assert_done(&world.gapless(&["stop", "shop"]));
    assert_eq!(world.live().len(), 0);
    assert_eq!(status_of_a_request(&world), 503, "refused at once, not held");
    let again = world.gapless(&["stop", "shop"]);
    assert_eq!(again.code, 5, "{}", world.tell(&again));
    assert!(again.stderr.contains("the service is stopped"), "{}", again.stderr);
    // What was ordered outlives the controller.
    world.kill_controller();
    world.start_controller(&[]);
    let stopped = &world.status()["services"][0]["situation"];
    assert_eq!((&stopped["current"], &stopped["stopped"]), (&Value::from("1.0"), &Value::from(true)), "{stopped:#}");
    assert_eq!(world.gapless(&["status"]).code, 0, "a service that is meant to be stopped is well");
    world.assert_done(&world.gapless(&["start", "shop"]));
    assert_eq!(world.live().len(), 2);
    assert_eq!(status_of_a_request(&world), 200);
    let instances = world.gapless(&["ps"]).stdout;
    assert_eq!(instances.lines().count(), 3, "{instances}");

    world.assert_done(&world.deploy(&sample(), "1.1", "rolling"));
    world.assert_done(&world.gapless(&["rollback", "shop"]));
    let strategies: Vec<String> = history(&world).into_iter().map(|(strategy, _)| strategy).collect();
    let expected = ["first deploy", "scale", "scale", "restart", "stop", "start", "rolling", "rollback"];
    assert_eq!(strategies, expected);

    world.assert_done(&world.gapless(&["remove", "shop"]));
    assert_eq!(status_of_a_request(&world), 404, "no route is left");
    assert_eq!(world.status()["services"], Value::Array(Vec::new()));
    let folder = world.state().join("releases/shop");
    world.eventually("its releases are deleted", || {
        std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_none())
    });
    world.eventually("so is its manifest", || !world.state().join("manifests/shop.json").exists());
    let gone = world.gapless(&["stop", "shop"]);
    assert!(gone.stderr.contains("there is no service shop"), "{}", world.tell(&gone));
    // And it may come again, also behind a restart.
    world.kill_controller();
    world.start_controller(&[]);
    assert_eq!(world.status()["services"], Value::Array(Vec::new()));
    world.assert_done(&world.deploy(&sample(), "1.0", "rolling"));
    assert_eq!(status_of_a_request(&world), 200);
}

#[test]
fn a_label_may_be_deployed_again_after_a_failure_and_a_failed_first_deploy_can_be_removed() {
    let world = World::up();
    let broken = || Service { command: "[\"./server\"]".to_owned(), ..sample() };
    let failed = world.deploy(&broken(), "1.0", "rolling");
    assert_eq!(failed.code, 3, "{}", world.tell(&failed));
    assert_eq!(world.gapless(&["status"]).code, 0, "nothing that serves is unwell");
    let folder = world.state().join("releases/shop");
    world.eventually("nothing of it is kept", || {
        std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_none())
    });
    let removed = world.gapless(&["remove", "shop"]);
    assert_eq!(removed.code, 0, "{}", world.tell(&removed));
    assert_eq!(world.status()["services"], Value::Array(Vec::new()));

    // The same label with the same content, as a pipeline does that tries again.
    let again = world.deploy(&broken(), "1.0", "rolling");
    assert_eq!(again.code, 3, "a new rollout: {}", world.tell(&again));
    world.assert_done(&world.deploy(&sample(), "1.0", "rolling"));
    let twice = world.deploy(&sample(), "1.0", "rolling");
    assert_eq!(twice.code, 5, "{}", world.tell(&twice));
    assert!(twice.stderr.contains("gapless restart"), "{}", twice.stderr);
    let failed = world.deploy(&broken(), "1.1", "rolling");
    assert_eq!(failed.code, 3, "{}", world.tell(&failed));
    assert_eq!(world.gapless(&["status"]).code, 0, "what serves is well, whatever failed");
    let again = world.deploy(&broken(), "1.1", "rolling");
    assert_eq!(again.code, 3, "a new rollout: {}", world.tell(&again));
}

#[test]
fn down_without_a_controller_ends_what_a_dead_one_left_and_up_brings_it_back() {
    let mut world = World::up();
    world.assert_done(&world.deploy(&sample(), "1.0", "rolling"));
    let pids: Vec<u32> = world.live().into_iter().map(|(_, pid)| pid).chain([world.proxy_pid()]).collect();
    world.kill_controller();
    assert_eq!(status_of_a_request(&world), 200, "it serves on");
    let down = world.gapless(&["down"]);
    assert_eq!(down.code, 0, "{}", world.tell(&down));
    assert!(down.stderr.contains("ended 1 proxy and 3 instances"), "{}", down.stderr);
    for pid in pids {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "process {pid} is gone");
    }
    let again = world.gapless(&["down"]);
    assert_eq!((again.code, again.stderr.contains("nothing ran")), (0, true), "{}", world.tell(&again));
    world.start_controller(&[]);
    world.eventually("it serves again", || world.live().len() == 3);
    assert_eq!(status_of_a_request(&world), 200);
}
