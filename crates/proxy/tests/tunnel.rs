//! Upgraded connections carry bytes as they are, outlive the table that made them, and end between two frames.

mod world;

use gapless_model::{InstanceId, Millis, ReleaseId, ServiceName};
use gapless_proxy::seam::Command;
use world::{Client, Instance, Plan, World, get, until};

const UPGRADE: &str =
    "GET /ws HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x82, payload.len() as u8];
    frame.extend_from_slice(payload);
    frame
}

/// Switches, greets at once, and gives back every byte; ends when the client does.
fn echo() -> Instance {
    Instance::start(|_, connection, _| {
        let Some(request) = connection.message_of(true) else { return };
        if request.line("upgrade").is_none() {
            connection.send(world::ok("plain"));
            return;
        }
        assert_eq!(request.line("connection"), Some("Upgrade"));
        let greeting = frame(b"hi");
        let mut first =
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".to_vec();
        first.extend(greeting);
        connection.send(first);
        loop {
            let byte = connection.bytes(1);
            if byte.is_empty() || !connection.try_send(byte) {
                return;
            }
        }
    })
}

fn open(world: &World) -> Client {
    let mut client = world.client();
    client.send(UPGRADE);
    let head = client.head().unwrap();
    assert!(
        head.starts_with("HTTP/1.1 101")
            && head.contains("Upgrade: websocket\r\n")
            && head.contains("Connection: Upgrade\r\n")
    );
    assert_eq!(client.bytes(4), frame(b"hi"));
    client
}

#[test]
fn bytes_go_both_ways_until_either_side_ends() {
    let instance = echo();
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = open(&world);
    for size in [1, 100, 60_000] {
        let bytes = vec![7u8; size];
        client.send(&bytes);
        assert!(client.bytes(size) == bytes);
    }
    let slot = world.slot(instance.address);
    assert_eq!((world.plane.in_flight_on(slot), world.plane.lasting_on(slot)), (1, 1));
    client.end();
    assert!(client.is_ended());
    assert_eq!(world.ends(1), "101:1");
    world.settled();
    assert_eq!(world.plane.lasting_on(slot), 0);
    assert_eq!(world.plane.workers()[0].counts().tunnels.read(), 0);
}

#[test]
fn there_is_no_tunnel_without_a_101() {
    let instance = Instance::named("plain");
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    assert_eq!(client.ask(UPGRADE).text(), "plain");
    assert_eq!(client.ask(get("/")).text(), "plain");
    assert_eq!(world.ends(2), "2xx:2");
}

#[test]
fn a_tunnel_outlives_its_table_until_its_deadline_and_ends_with_a_close_between_frames() {
    let instance = echo();
    let mut plan = Plan::of(&[&instance]);
    plan.policy.tunnel_drain_timeout = Millis(3_000);
    let mut world = World::new(&plan);
    let slot = world.slot(instance.address);
    let mut clients: Vec<Client> = (0..4).map(|_| open(&world)).collect();
    world.install(&Plan::of(&[&Instance::named("new")]));
    assert_eq!(world.plane.in_flight_on(slot), 4);
    clients[3].send(frame(b"still"));
    assert_eq!(clients[3].bytes(7), frame(b"still"), "it lives on");
    for client in &mut clients {
        assert_eq!(client.bytes(4), [0x88, 0x02, 0x03, 0xf4], "Close 1012");
        client.end();
        assert!(client.is_ended());
    }
    until("the instance is drained", || world.plane.in_flight_on(slot) == 0);
    assert_eq!(world.ends(4), "cut.tunnel_drain_deadline:4");
}

#[test]
fn the_close_waits_for_the_end_of_the_frame_at_hand() {
    let instance = echo();
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = open(&world);
    let whole = frame(b"0123456789");
    client.send(&whole[..6]);
    assert_eq!(client.bytes(6), whole[..6], "half a frame is under way");
    let id = InstanceId {
        service: ServiceName::new("shop").unwrap(),
        release: ReleaseId(1),
        ordinal: u64::from(instance.address.port()),
    };
    world.plane.post_all(|| Command::DrainTunnels { instance: id.clone(), within: Millis(100) });
    std::thread::sleep(std::time::Duration::from_millis(400));
    client.send(&whole[6..]);
    assert_eq!(client.bytes(6), whole[6..]);
    assert_eq!(client.bytes(4), [0x88, 0x02, 0x03, 0xf4]);
    drop(client);
    assert_eq!(world.ends(1), "cut.tunnel_drain_deadline:1");
    world.settled();
}

#[test]
fn a_client_that_does_not_answer_the_close_is_not_waited_for_without_end() {
    let instance = echo();
    let mut plan = Plan::of(&[&instance]);
    plan.policy.tunnel_drain_timeout = Millis(50);
    let mut world = World::new(&plan);
    let mut client = open(&world);
    world.install(&Plan::of(&[&Instance::named("new")]));
    assert_eq!(client.bytes(4), [0x88, 0x02, 0x03, 0xf4]);
    assert_eq!(world.ends(1), "cut.tunnel_drain_deadline:1");
    assert!(client.is_ended());
    world.settled();
}

/// Switches to what it is told to, and then does with the connection what `script` says.
fn switching(to: &'static str, script: impl Fn(&mut Client) + Send + Sync + 'static) -> Instance {
    Instance::start(move |_, connection, requests| {
        let Some(request) = connection.message_of(true) else { return };
        requests.lock().unwrap().push(request);
        connection.send(format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n{to}\r\n"));
        script(connection);
    })
}

const WEBSOCKET: &str = "Upgrade: websocket\r\n";

#[test]
fn a_tunnel_ends_with_its_instance_when_what_came_is_delivered() {
    let instance = switching(WEBSOCKET, |connection| {
        connection.send(frame(b"last words"));
        connection.send([0x88, 0x02, 0x03, 0xe8]);
    });
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    client.send(UPGRADE);
    client.head().unwrap();
    assert_eq!(client.bytes(12), frame(b"last words"));
    assert_eq!(client.bytes(4), [0x88, 0x02, 0x03, 0xe8]);
    assert!(client.is_ended());
    // The client says nothing and does not end: that keeps nothing open.
    world.settled();
    assert_eq!(world.ends(1), "101:1");
    assert_eq!(world.plane.workers()[0].counts().tunnels.read(), 0);
}

#[test]
fn a_websocket_whose_instance_is_gone_without_a_close_is_its_instances_failure() {
    let instance = switching(WEBSOCKET, |connection| connection.send(frame(b"half")));
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    client.send(UPGRADE);
    client.head().unwrap();
    assert_eq!(client.bytes(6), frame(b"half"));
    assert!(client.is_ended());
    assert_eq!(world.ends(1), "cut.instance_closed:1");
    world.settled();
}

#[test]
fn a_websocket_that_its_client_closed_ends_well() {
    let instance = switching(WEBSOCKET, |connection| drop(connection.bytes(8)));
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    client.send(UPGRADE);
    client.head().unwrap();
    client.send([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);
    assert!(client.is_ended());
    assert_eq!(world.ends(1), "101:1");
}

#[test]
fn one_protocol_is_offered_on_and_never_h2c() {
    for (offer, wanted) in [
        ("Upgrade: h2c\r\nUpgrade: websocket\r\n", Some("websocket")),
        ("Upgrade: websocket\r\nUpgrade: h2c\r\n", Some("websocket")),
        ("Upgrade: h2c, websocket\r\n", Some("websocket")),
        ("Upgrade: websocket, irc/6.9\r\n", Some("websocket")),
        ("Upgrade: h2c\r\n", None),
        ("Upgrade: h2c\r\nUpgrade: H2C-14\r\n", None),
    ] {
        let instance = Instance::answering(|_| world::ok("plain"));
        let world = World::new(&Plan::of(&[&instance]));
        let request = format!("GET /ws HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\n{offer}\r\n");
        assert_eq!(world.client().ask(request).text(), "plain");
        let head = instance.requests.lock().unwrap()[0].head.clone();
        let offered: Vec<&str> = head
            .lines()
            .filter_map(|line| line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("upgrade")))
            .map(|(_, value)| value)
            .collect();
        assert_eq!(offered, wanted.into_iter().collect::<Vec<_>>(), "{offer:?}");
        assert_eq!(head.contains("Connection: Upgrade"), wanted.is_some(), "{offer:?}");
    }
}

#[test]
fn only_the_protocol_that_was_asked_for_makes_a_tunnel() {
    for to in [
        "Upgrade: h2c\r\n",
        "Upgrade: websocket, h2c\r\n",
        "Upgrade: websocket\r\nUpgrade: h2c\r\n",
        "Upgrade: h2c\r\nUpgrade: websocket\r\n",
        "Upgrade: websocketx\r\n",
        "",
    ] {
        let instance = switching(to, |connection| drop(connection.rest()));
        let world = World::new(&Plan::of(&[&instance]));
        let answer = world.client().ask(UPGRADE);
        assert_eq!((answer.status(), answer.line("x-gapless-reason")), (502, Some("instance_malformed")), "{to:?}");
    }
    let instance = switching("upgrade: WebSocket\r\n", |connection| connection.send(frame(b"hi")));
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    client.send(UPGRADE);
    assert!(client.head().unwrap().starts_with("HTTP/1.1 101"));
    assert_eq!(client.bytes(4), frame(b"hi"), "names of protocols have no case");
}

#[test]
fn a_stream_of_events_is_counted_as_one_without_an_end_in_sight_and_other_answers_are_not() {
    for (kind, lasting) in
        [("text/event-stream", 1), ("Text/Event-Stream; charset=utf-8", 1), ("text/event-streams", 0)]
    {
        let instance = Instance::start(move |_, connection, _| {
            connection.head();
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"));
            connection.rest();
        });
        let world = World::new(&Plan::of(&[&instance]));
        let slot = world.slot(instance.address);
        let mut client = world.client();
        client.send(get("/events"));
        client.head().unwrap();
        assert_eq!((world.plane.in_flight_on(slot), world.plane.lasting_on(slot)), (1, lasting), "{kind}");
        client.reset();
        world.settled();
        assert_eq!(world.plane.lasting_on(slot), 0);
    }
}

#[test]
fn no_tunnel_begins_before_the_request_is_wholly_written() {
    for (framing, body) in [
        ("Content-Length: 5", "hal"),
        ("Content-Length: 50000000", "hal"),
        ("Transfer-Encoding: chunked", "3\r\nhal\r\n"),
    ] {
        let instance = Instance::start(|_, connection, _| {
            connection.head();
            connection.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
            connection.rest();
        });
        let world = World::new(&Plan::of(&[&instance]));
        let mut client = world.client();
        client.send(UPGRADE.replace("GET", "POST").replace("\r\n\r\n", &format!("\r\n{framing}\r\n\r\n{body}")));
        let answer = client.answer();
        assert_eq!((answer.status(), answer.line("x-gapless-reason")), (502, Some("instance_malformed")), "{framing}");
        assert!(client.is_ended());
        assert_eq!(world.ends(1), "by_us.instance_malformed:1");
        assert_eq!(world.plane.workers()[0].counts().tunnels.read(), 0);
    }
}

#[test]
fn a_client_that_takes_nothing_of_its_tunnel_is_cut_after_the_idle_timeout() {
    let instance = switching(WEBSOCKET, |connection| while connection.try_send(vec![b'x'; 1_000_000]) {});
    let mut plan = Plan::of(&[&instance]);
    plan.policy.idle_timeout = Millis(400);
    let world = World::new(&plan);
    let mut client = world.client();
    client.send(UPGRADE);
    assert_eq!(world.ends(1), "cut.client_stalled:1");
    world.settled();
    assert!(client.head().unwrap().starts_with("HTTP/1.1 101"));
}

#[test]
fn a_tunnel_in_which_nobody_says_anything_has_no_end() {
    let instance = echo();
    let mut plan = Plan::of(&[&instance]);
    (plan.policy.idle_timeout, plan.policy.response_timeout) = (Millis(100), Millis(100));
    let world = World::new(&plan);
    let mut client = open(&world);
    std::thread::sleep(std::time::Duration::from_millis(600));
    client.send(frame(b"still"));
    assert_eq!(client.bytes(7), frame(b"still"));
}
