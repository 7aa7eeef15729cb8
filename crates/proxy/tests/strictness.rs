//! What is not HTTP is answered and closed, what is too large or too slow is bounded, what an instance says wrongly goes no
//! further.

mod world;

use gapless_proxy::data::Settings;
use world::{Instance, Plan, World, get, ok};

#[test]
fn what_two_parsers_could_read_differently_is_answered_400_and_closed() {
    let instance = Instance::named("a");
    let world = World::new(&Plan::of(&[&instance]));
    let corpus = [
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
            400,
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03", 400),
    ];
    for (text, status) in corpus {
        let mut client = world.client();
        let answer = client.ask(text);
        assert_eq!((answer.status(), answer.line("connection")), (status, Some("close")), "{text:?}");
        assert!(client.is_ended(), "{text:?}");
    }
    assert_eq!(instance.count(), 0);
    assert_eq!(world.ends(10), "by_us.bad_request:7 by_us.not_served:3");
    // They are in the access log like all others.
    let records: Vec<_> = world.records.try_iter().collect();
    assert_eq!(
        records.iter().map(|record| record.status).collect::<Vec<_>>(),
        corpus.iter().map(|(_, status)| Some(*status)).collect::<Vec<_>>()
    );
    assert_eq!(
        (records[0].method.as_str(), records[0].target.as_str(), records[0].instance.is_none()),
        ("POST", "/", true)
    );
}

#[test]
fn heads_that_are_too_large_or_too_late_are_in_the_access_log() {
    let settings = Settings { head_timeout_ms: 150, ..Settings::default() };
    let world = World::with(&Plan::of(&[&Instance::named("a")]), settings, 1);
    let recorded = || {
        let record = world.records.recv_timeout(world::PATIENCE).expect("a record");
        (record.status, record.terminal.key(), record.method, record.target)
    };
    let mut client = world.client();
    client.try_send(format!("GET /long HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(33 * 1024)));
    assert_eq!(client.answer().status(), 431);
    assert_eq!(recorded(), (Some(431), "by_us.head_too_large".into(), "GET".into(), "/long".into()));
    assert_eq!(world.client().ask("PUT /late HTTP/1.1\r\nHo").status(), 408);
    assert_eq!(recorded(), (Some(408), "by_us.client_too_slow".into(), "PUT".into(), "/late".into()));
}

#[test]
fn a_body_with_broken_chunks_is_answered_400_and_never_completed_towards_the_instance() {
    let instance = Instance::named("a");
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    let answer = client.ask("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.status(), 400);
    assert!(client.is_ended());
    assert_eq!(instance.count(), 0);
    assert_eq!(world.ends(1), "by_us.bad_request:1");
    world.settled();
}

#[test]
fn heads_are_bounded_in_lines_and_bytes() {
    let instance = Instance::named("a");
    let world = World::new(&Plan::of(&[&instance]));
    let head = |lines: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(lines));
    assert_eq!(world.client().ask(head(99)).status(), 200);
    assert_eq!(world.client().ask(head(100)).status(), 431);
    let mut client = world.client();
    client.try_send(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(33 * 1024)));
    assert_eq!(client.answer().status(), 431);
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(31 * 1024));
    assert_eq!(world.client().ask(long).status(), 200);
}

#[test]
fn the_largest_head_can_be_sent_again() {
    let instance = Instance::named("a");
    let world = World::new(&Plan::at(&[world::nobody(), instance.address]));
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", format!("X: {}\r\n", "y".repeat(300)).repeat(99));
    for _ in 0..2 {
        assert_eq!(world.client().ask(&head).status(), 200);
    }
}

#[test]
fn a_head_that_does_not_come_in_time_is_a_408() {
    let world =
        World::with(&Plan::of(&[&Instance::named("a")]), Settings { head_timeout_ms: 150, ..Settings::default() }, 1);
    let mut client = world.client();
    let answer = client.ask("GET / HTTP/1.1\r\nHo");
    assert_eq!((answer.status(), answer.line("x-gapless-reason")), (408, Some("client_too_slow")));
    assert!(client.is_ended());
    assert_eq!(world.ends(1), "by_us.client_too_slow:1");
}

#[test]
fn the_time_for_a_head_is_not_prolonged_by_dripping() {
    let world =
        World::with(&Plan::of(&[&Instance::named("a")]), Settings { head_timeout_ms: 300, ..Settings::default() }, 1);
    let mut client = world.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    // Byte by byte: neither the number of lines nor of bytes ends it, only the time.
    let dripping = std::time::Instant::now();
    while client.try_send("X") && dripping.elapsed() < world::PATIENCE {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(world.ends(1), "by_us.client_too_slow:1");
}

#[test]
fn a_body_longer_than_allowed_is_a_413() {
    let instance = Instance::named("a");
    let settings = Settings { body_bytes_max: Some(10), ..Settings::default() };
    let world = World::with(&Plan::of(&[&instance]), settings, 1);
    assert_eq!(world.client().ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n").status(), 413);
    let chunked =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nsixsix\r\n6\r\nsixsix\r\n0\r\n\r\n";
    assert_eq!(world.client().ask(chunked).status(), 413);
    assert_eq!(instance.count(), 0);
    assert_eq!(world.ends(2), "by_us.body_too_large:2");
}

#[test]
fn an_idle_client_is_closed_after_its_time_without_a_word() {
    let world =
        World::with(&Plan::of(&[&Instance::named("a")]), Settings { keep_alive_ms: 1_000, ..Settings::default() }, 1);
    let mut client = world.client();
    assert_eq!(client.ask(get("/")).status(), 200);
    assert!(client.is_ended());
    assert_eq!(world.ends(1), "2xx:1");
}

#[test]
fn an_answer_that_is_no_http_is_a_502_and_none_of_it_reaches_the_client() {
    let corpus = [
        "SSH-2.0-OpenSSH_9\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ];
    let instance = Instance::start(move |number, connection, _| {
        connection.message();
        connection.send(corpus[number]);
        connection.rest();
    });
    let world = World::new(&Plan::of(&[&instance]));
    for text in corpus {
        let answer = world.client().ask(get("/"));
        assert_eq!((answer.status(), answer.line("x-gapless-reason")), (502, Some("instance_malformed")), "{text:?}");
    }
    assert_eq!(world.ends(6), "by_us.instance_malformed:6");
    world.settled();
}

#[test]
fn bytes_behind_an_answer_poison_the_connection_and_reach_nobody() {
    let instance = Instance::start(|_, connection, requests| {
        while let Some(request) = connection.message() {
            requests.lock().unwrap().push(request);
            connection.send(format!("{}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", ok("good")));
        }
    });
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    for _ in 0..5 {
        assert_eq!(client.ask(get("/")).text(), "good");
    }
    assert_eq!(instance.connection_count(), 5);
}

#[test]
fn what_no_route_matches_is_a_404_and_a_service_without_instances_a_503() {
    let world = World::new(&Plan::of(&[&Instance::named("a")]));
    let mut client = world.client();
    let answer = client.ask("GET / HTTP/1.1\r\nHost: void.test\r\n\r\n");
    assert_eq!((answer.status(), answer.line("x-gapless-reason")), (503, Some("no_instance")));
    assert_eq!(client.ask(get("/")).status(), 200, "the connection goes on after an answer of ours");
    let head = "HEAD / HTTP/1.1\r\nHost: void.test\r\n\r\n";
    client.send(head);
    assert_eq!(client.message_of(true).unwrap().status(), 503);
    assert_eq!(client.ask(get("/")).status(), 200);
    assert_eq!(world.ends(4), "2xx:2 by_us.no_instance:2");
}
