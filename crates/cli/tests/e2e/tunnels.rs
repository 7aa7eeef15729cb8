//! WebSockets over a rollout: those of the old release live on, until they end or until their drain deadline.

use std::time::{Duration, Instant};

use gapless_load::{Connections, Kind, Plan, Run};

use crate::clients::end;
use crate::world::{PATIENCE, Service, World, found};

/// From the un-routing of an instance to the end of the tunnels through it.
const DRAIN_SECONDS: u64 = 5;

fn websocket_service(python: &std::path::Path) -> Service {
    let more = format!("[traffic]\ntunnel_drain_timeout = \"{DRAIN_SECONDS}s\"\n");
    Service {
        command: format!("[\"{}\", \"websocket.py\"]", python.display()),
        files: vec![("websocket.py", include_str!("services/websocket.py").into())],
        more,
    }
}

fn sessions(world: &World, run: &str, lifetime: Duration) -> Plan {
    let mut plan = Plan::new(world.listen).with(
        Kind::WebSocket { every: Duration::from_millis(100), lifetime },
        Connections::New,
        5.0,
        "/ws",
    );
    plan.run = run.to_owned();
    plan.duration = Duration::from_secs(300);
    plan
}

/// Through a rolling deploy, with sessions that end by themselves in time and with sessions that would never end.
fn sessions_outlive_the_switch(service: &Service) {
    let world = World::up();
    world.assert_done(&world.deploy(service, "1.0", "rolling"));
    let short = Run::start(sessions(&world, "short", Duration::from_secs(DRAIN_SECONDS) / 2)).expect("load");
    let long = Run::start(sessions(&world, "long", Duration::from_secs(250))).expect("load");
    let open = |run: &Run| run.wait_until(PATIENCE, |sums| sums.websockets.opened >= 12);
    assert!(open(&short) && open(&long), "{:#?}", short.snapshot());
    let begun = Instant::now();
    world.assert_done(&world.deploy(service, "1.1", "blue-green"));
    let took = begun.elapsed();
    assert!(short.wait_until(PATIENCE, |sums| sums.by_release.contains_key("1.1")), "{:#?}", short.snapshot());
    let short = end(short);
    assert_eq!(short.lost, 0, "a session shorter than the deadline is never cut: {:#?}", short.incidents);
    assert_eq!(short.websockets.closed_by_us, short.websockets.opened, "{:?}", short.websockets);
    assert_eq!(short.websockets.echoed, short.websockets.sent);

    let long = end(long);
    let ended = long.websockets.opened - long.websockets.closed_by_us;
    assert!(ended > 0, "sessions past the deadline are ended: {:?}", long.websockets);
    // The ends are spread over the last quarter of the drain time.
    assert!(
        long.websockets.longest_ended_ms >= DRAIN_SECONDS * 750,
        "sessions of the old release live until their drain deadline: {:?}",
        long.websockets
    );
    assert_eq!(long.websockets.cut, 0, "they are ended by a Close frame, not cut: {:?}", long.websockets);
    assert!(took >= Duration::from_millis(DRAIN_SECONDS * 750), "the rollout waits for them: {took:?}");
}

#[test]
fn websockets_of_a_python_service_live_until_their_drain_deadline() {
    let (Some(_), Some(python)) = (found("websockets"), found("python3")) else { return };
    sessions_outlive_the_switch(&websocket_service(&python));
}

#[test]
fn websockets_of_the_sample_service_live_until_their_drain_deadline() {
    let more = format!("[traffic]\ntunnel_drain_timeout = \"{DRAIN_SECONDS}s\"\n");
    sessions_outlive_the_switch(&Service::sample(&[]).with(&more));
}

#[test]
fn tunnels_that_outlive_a_rollout_are_told_on_its_receipt() {
    let world = World::up();
    let service = Service::sample(&[]).with("[traffic]\ndrain_timeout = \"500ms\"\ntunnel_drain_timeout = \"2m\"\n");
    world.assert_done(&world.deploy(&service, "1.0", "rolling"));
    let long = Run::start(sessions(&world, "long", Duration::from_secs(250))).expect("load");
    assert!(long.wait_until(PATIENCE, |sums| sums.websockets.opened >= 12), "{:#?}", long.snapshot());
    let ended = world.deploy(&service, "1.1", "rolling");
    world.assert_done(&ended);
    let receipt = world.receipt();
    let draining = receipt["tunnels_draining"].as_u64().unwrap_or_else(|| panic!("{receipt:#}"));
    assert!(draining >= 12, "{receipt:#}");
    assert!(ended.stdout.contains(&format!("{draining} tunnels")), "{}", ended.stdout);
    end(long);
}
