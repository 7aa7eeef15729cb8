//! Services that listen on no port.

use std::fs;

use crate::world::{Service, World};

fn worker(world: &World) -> Service {
    let trace = world.path("trace");
    let script =
        format!("echo $GAPLESS_RELEASE >> {}; trap 'exit 0' TERM; while :; do sleep 0.1; done", trace.display());
    let more = "[health]\nprocess = true\ninterval = \"100ms\"\n";
    Service { command: format!("[\"sh\", \"-c\", {script:?}]"), files: Vec::new(), more: more.to_owned() }
}

#[test]
fn a_worker_without_port_and_route_is_rolled_out_beside_a_service_that_has_both() {
    let world = World::up();
    let worker = worker(&world);
    world.assert_done(&world.deploy(&worker, "1.0", "rolling"));
    world.assert_done(&world.deploy(&worker, "1.1", "rolling"));
    let began = fs::read_to_string(world.path("trace")).expect("the trace");
    assert_eq!(began.lines().filter(|label| *label == "1.1").count(), 3, "{began}");
    assert_eq!(world.live().len(), 3);
    let status = world.status();
    assert_eq!(status["services"][0]["routes"], serde_json::json!([]), "{status:#}");
}

#[test]
fn a_worker_that_exits_at_once_turns_its_rollout_back() {
    let world = World::up();
    world.assert_done(&world.deploy(&worker(&world), "1.0", "rolling"));
    let bad = Service { command: "[\"false\"]".to_owned(), ..worker(&world) };
    let failed = world.deploy(&bad.with("healthy_min = \"1s\"\n"), "1.1", "rolling");
    assert_eq!(failed.code, 3, "{}", world.tell(&failed));
    assert_eq!(world.live().len(), 3);
}
