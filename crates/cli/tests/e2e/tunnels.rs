//! WebSockets over a rollout: those of the old release live on, until they end or until their drain deadline.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
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
    world.assert_done(&world.deploy(service, "1.1", "blue-green"));
    let receipt = world.receipt();
    assert!(receipt["tunnels_draining"].as_u64() >= Some(1), "the rollout does not wait for them: {receipt:#}");
    assert!(short.wait_until(PATIENCE, |sums| sums.by_release.contains_key("1.1")), "{:#?}", short.snapshot());
    let short = end(short);
    assert_eq!(short.lost, 0, "a session shorter than the deadline is never cut: {:#?}", short.incidents);
    assert_eq!(short.websockets.closed_by_us, short.websockets.opened, "{:?}", short.websockets);
    assert_eq!(short.websockets.echoed, short.websockets.sent);

    let drained = |sums: &gapless_load::Sums| sums.websockets.longest_ended_ms >= DRAIN_SECONDS * 750;
    assert!(long.wait_until(PATIENCE, drained), "{:#?}", long.snapshot());
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

/// Opens a stream of events that outlasts the test, and reads its head and first event.
fn stream_of_events(world: &World) -> TcpStream {
    let mut stream = TcpStream::connect(world.listen).expect("the proxy");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.write_all(b"GET /sse?events=1000&ms=100 HTTP/1.1\r\nHost: shop\r\n\r\n").expect("a request");
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("data:") {
        let mut some = [0; 1_024];
        let count = stream.read(&mut some).expect("an event");
        assert_ne!(count, 0, "{}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&some[..count]);
    }
    stream
}

#[test]
fn no_batch_waits_for_websockets_and_streams_of_events_alone() {
    let world = World::up();
    let drain = Duration::from_secs(40);
    let service = Service::sample(&[]).with("[traffic]\ndrain_timeout = \"40s\"\ntunnel_drain_timeout = \"5m\"\n");
    world.assert_done(&world.deploy(&service, "1.0", "rolling"));
    let long = Run::start(sessions(&world, "long", Duration::from_secs(250))).expect("load");
    assert!(long.wait_until(PATIENCE, |sums| sums.websockets.opened >= 12), "{:#?}", long.snapshot());
    let mut streams: Vec<TcpStream> = (0..9).map(|_| stream_of_events(&world)).collect();
    let begun = Instant::now();
    world.assert_done(&world.deploy(&service, "1.1", "rolling"));
    let took = begun.elapsed();
    assert!(took < drain, "a rollout of three batches waited for what has no end in sight: {took:?}");
    for stream in &mut streams {
        // Longer than what came meanwhile can take to be read: these are events of now.
        let (read_from, mut some) = (Instant::now(), [0; 65_536]);
        while read_from.elapsed() < Duration::from_millis(300) {
            assert!(stream.read(&mut some).is_ok_and(|count| count > 0), "a stream was cut before its deadline");
        }
    }
    let receipt = world.receipt();
    assert!(receipt["tunnels_draining"].as_u64() >= Some(9 + 12), "{receipt:#}");
    assert_eq!(receipt["failed_by_service"], 0, "{receipt:#}");
    end(long);
}
