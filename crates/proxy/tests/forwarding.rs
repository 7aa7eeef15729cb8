//! Requests and answers pass through as HTTP/1.1 asks, over real sockets.

mod world;

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use gapless_proxy::data::Settings;
use world::{Client, Instance, Message, Plan, World, get, ok, post, until};

#[test]
fn a_kept_connection_serves_one_request_after_the_other_over_one_connection_to_the_instance() {
    let instance = Instance::named("a");
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    for _ in 0..5 {
        let answer = client.ask(get("/x"));
        assert_eq!((answer.status(), answer.text().as_str()), (200, "a"));
    }
    assert_eq!(instance.connection_count(), 1);
    assert_eq!(world.ends(5), "2xx:5");
    world.settled();
}

#[test]
fn the_instance_learns_who_asked_and_nothing_a_stranger_made_up() {
    let instance = Instance::named("a");
    let world = World::new(&Plan::of(&[&instance]));
    world.client().ask(
        "GET / HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: X-Forwarded-Host, close\r\n\r\n",
    );
    let request = instance.requests.lock().unwrap()[0].clone();
    assert_eq!(request.line("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.line("x-forwarded-proto"), Some("http"));
    assert_eq!(request.line("x-forwarded-host"), Some("shop.test"));
    assert_eq!(request.line("x-request-id").map(str::len), Some(32));
    assert_eq!(request.line("connection"), None);
    let record = world.records.recv_timeout(world::PATIENCE).unwrap();
    assert_eq!(Some(record.request_id.as_str()), request.line("x-request-id"));
    assert_eq!((record.status, record.attempts, record.body_out), (Some(200), 1, 1));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let instance = Instance::answering(|request| ok(request.start()));
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    client.send(format!("{}{}{}{}", get("/1"), post("/2", "body"), get("/3"), get("/4")));
    for (number, method) in [(1, "GET"), (2, "POST"), (3, "GET"), (4, "GET")] {
        assert_eq!(client.answer().text(), format!("{method} /{number} HTTP/1.1"));
    }
    assert_eq!(instance.requests.lock().unwrap()[1].body, b"body");
    assert_eq!(world.ends(4), "2xx:4");
}

#[test]
fn a_thousand_pipelined_requests_are_all_answered() {
    let instance = Instance::answering(|request| ok(request.start()));
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    let all: String = (0..1_000).map(|number| get(&format!("/{number}"))).collect();
    client.send(all);
    for number in 0..1_000 {
        assert_eq!(client.answer().text(), format!("GET /{number} HTTP/1.1"));
    }
    assert_eq!(world.ends(1_000), "2xx:1000");
}

#[test]
fn a_head_that_comes_byte_by_byte_is_understood() {
    let instance = Instance::named("a");
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    for byte in post("/slow", "hello").as_bytes() {
        client.send([*byte]);
    }
    assert_eq!(client.answer().status(), 200);
    assert_eq!(instance.requests.lock().unwrap()[0].body, b"hello");
}

#[test]
fn chunked_bodies_keep_their_bytes_and_trailers_both_ways() {
    let instance = Instance::answering(|_| {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n".into()
    });
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    for _ in 0..2 {
        let answer = client.ask(
            "PUT / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n5\r\npedia\r\n0\r\nX-In: 9\r\n\r\n",
        );
        assert_eq!(answer.text(), "abcde");
        assert!(String::from_utf8_lossy(&answer.raw).ends_with("0\r\nX-Sum: 5\r\n\r\n"), "{answer:?}");
        // After a request with a body the connection must have been quiet for a while.
        std::thread::sleep(std::time::Duration::from_millis(400));
    }
    let requests = instance.requests.lock().unwrap();
    assert_eq!(requests[1].body, b"wikipedia");
    assert!(String::from_utf8_lossy(&requests[1].raw).ends_with("0\r\nX-In: 9\r\n\r\n"));
    assert_eq!(instance.connection_count(), 1);
}

#[test]
fn answers_without_a_body_leave_the_connection_in_step() {
    let instance = Instance::start(|_, connection, _| {
        while let Some(request) = connection.message_of(true) {
            let text = match request.start() {
                "HEAD /h HTTP/1.1" => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_owned(),
                "GET /204 HTTP/1.1" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
                "GET /304 HTTP/1.1" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n".to_owned(),
                _ => format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{}", ok("end")),
            };
            connection.send(text);
        }
    });
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    client.send("HEAD /h HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    assert_eq!(client.message_of(true).unwrap().line("content-length"), Some("1000"));
    assert_eq!(client.ask(get("/204")).status(), 204);
    assert_eq!(client.ask(get("/304")).line("content-length"), Some("77"));
    assert_eq!(client.ask(get("/103")).status(), 103);
    assert_eq!(client.answer().text(), "end");
    assert_eq!(instance.connection_count(), 4, "what has no body may be followed by one all the same");
    assert_eq!(world.ends(4), "2xx:3 3xx:1");
}

#[test]
fn a_client_that_expects_continue_gets_it_from_the_instance_before_it_sends() {
    let instance = Instance::start(|_, connection, requests| {
        while let Some(head) = connection.head() {
            assert!(head.contains("Expect: 100-continue\r\n"));
            connection.send("HTTP/1.1 100 Continue\r\n\r\n");
            let body = connection.bytes(5);
            requests.lock().unwrap().push(Message { head, body, raw: Vec::new() });
            connection.send(ok("thanks"));
        }
    });
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    for _ in 0..2 {
        client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(client.answer().status(), 100);
        assert_eq!(client.ask("hello").text(), "thanks");
    }
    assert_eq!(instance.requests.lock().unwrap()[1].body, b"hello");
}

#[test]
fn a_refusal_instead_of_continue_reaches_the_client_which_never_sends_the_body() {
    let instance = Instance::start(|_, connection, _| {
        connection.head();
        connection.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
        connection.rest();
    });
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status(), answer.line("connection")), (413, Some("close")));
    assert!(client.is_ended());
    assert_eq!(world.ends(1), "4xx:1");
    world.settled();
}

#[test]
fn an_early_answer_to_an_upload_is_passed_on_before_the_upload_ends() {
    let instance = Instance::start(|_, connection, _| {
        connection.head();
        connection.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnope");
        connection.end();
        connection.rest();
    });
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 10000000\r\n\r\n");
    for _ in 0..100 {
        if !client.try_send([b'x'; 10_000]) {
            break;
        }
    }
    assert_eq!(client.answer().status(), 413);
    assert_eq!(world.ends(1), "4xx:1");
}

#[test]
fn an_instance_that_answers_at_once_still_gets_the_rest_of_a_slow_upload() {
    let instance = Instance::start(|_, connection, requests| {
        while let Some(head) = connection.head() {
            connection.send(ok("early"));
            let body = connection.bytes(6);
            requests.lock().unwrap().push(Message { head, body, raw: Vec::new() });
        }
    });
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 6\r\n\r\nabc");
    assert_eq!(client.answer().text(), "early");
    client.send("def");
    until("the upload is whole", || instance.count() == 1);
    assert_eq!(instance.requests.lock().unwrap()[0].body, b"abcdef");
    assert_eq!(client.ask(post("/again", "sixsix")).text(), "early");
    assert_eq!(instance.connection_count(), 2, "what was answered before it was whole leaves nothing behind");
}

#[test]
fn an_answer_that_ends_with_the_connection_becomes_chunks() {
    let instance = Instance::start(|_, connection, _| {
        connection.head();
        connection.send("HTTP/1.0 200 OK\r\n\r\nuntil ");
        connection.send("the end");
    });
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    for _ in 0..2 {
        let answer = client.ask(get("/"));
        assert_eq!((answer.line("transfer-encoding"), answer.text().as_str()), (Some("chunked"), "until the end"));
    }
}

#[test]
fn an_old_client_gets_no_chunks() {
    let instance = Instance::answering(|_| {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_owned()
    });
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    client.send("GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.line("transfer-encoding"), answer.line("connection")), (None, Some("close")));
    assert_eq!(answer.text(), "abc");
    let counted = Instance::named("kept");
    let world = World::new(&Plan::of(&[&counted]));
    let mut client = world.client();
    for _ in 0..2 {
        let answer = client.ask("GET / HTTP/1.0\r\nHost: shop.test\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!((answer.line("connection"), answer.text().as_str()), (Some("keep-alive"), "kept"));
    }
}

#[test]
fn a_large_body_passes_both_ways_though_nobody_reads_for_a_while() {
    const SIZE: usize = 24 * 1024 * 1024;
    fn pattern() -> Vec<u8> {
        (0..SIZE).map(|at| (at * 31 % 251) as u8).collect()
    }
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let instance = Instance::start(move |_, connection, _| {
        let head = connection.head().unwrap();
        wait.lock().unwrap().recv().unwrap();
        assert!(head.contains(&format!("Content-Length: {SIZE}\r\n")));
        let body = connection.bytes(SIZE);
        assert!(body == pattern());
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"));
        connection.send(&body);
    });
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    let mut writer = Client::of(client.stream.try_clone().unwrap());
    let upload = std::thread::spawn(move || {
        writer.send(format!("PUT / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {SIZE}\r\n\r\n"));
        writer.send(pattern());
    });
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(!upload.is_finished(), "an instance that does not read holds the client back");
    go.send(()).unwrap();
    upload.join().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(client.answer().body == pattern());
    assert_eq!(world.ends(1), "2xx:1");
}

#[test]
fn a_slow_upload_outlives_the_time_for_connecting() {
    let instance = Instance::answering(|request| ok(&request.body.len().to_string()));
    let mut plan = Plan::of(&[&instance]);
    plan.policy.connect_timeout = gapless_model::Millis(100);
    plan.policy.replay_bytes_max = 1_000;
    let world = World::new(&plan);
    let mut client = world.client();
    client.send("PUT / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 40000\r\n\r\n");
    for _ in 0..8 {
        client.send([b'x'; 5_000]);
        std::thread::sleep(std::time::Duration::from_millis(120));
    }
    assert_eq!(client.answer().text(), "40000");
    assert_eq!((world.ends(1).as_str(), world.ledger().retries), ("2xx:1", 0));
}

#[test]
fn a_client_that_ends_its_side_after_asking_still_gets_its_answer() {
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let instance = Instance::start(move |_, connection, _| {
        connection.head();
        wait.lock().unwrap().recv().unwrap();
        connection.send(ok("late"));
    });
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    client.send(get("/"));
    client.end();
    until("the instance has it", || world.plane.in_flight_on(world.slot(instance.address)) == 1);
    go.send(()).unwrap();
    assert_eq!(client.answer().text(), "late");
    assert!(client.is_ended());
}

#[test]
fn a_client_that_breaks_off_frees_its_instance() {
    let (told, ended) = channel::<()>();
    let told = Mutex::new(told);
    let instance = Instance::start(move |_, connection, _| {
        connection.head();
        connection.rest();
        told.lock().unwrap().send(()).unwrap();
    });
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    client.send(get("/"));
    until("the instance has it", || world.plane.in_flight_on(world.slot(instance.address)) == 1);
    client.reset();
    ended.recv_timeout(world::PATIENCE).unwrap();
    assert_eq!(world.ends(1), "client_left:1");
    world.settled();
}

#[test]
fn a_client_that_leaves_inside_its_body_is_not_taken_for_a_whole_request() {
    let instance = Instance::named("a");
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 10\r\n\r\nhalf");
    client.end();
    assert!(client.is_ended());
    assert_eq!(world.ends(1), "client_left:1");
    assert_eq!(instance.count(), 0);
    world.settled();
}

#[test]
fn an_instance_that_leaves_inside_its_answer_cuts_the_client_without_a_clean_end() {
    let instance = Instance::start(|number, connection, _| {
        connection.head();
        connection.send(match number {
            0 => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
            _ => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        });
    });
    let world = World::new(&Plan::of(&[&instance]));
    for _ in 0..2 {
        let mut client = world.client();
        client.send(get("/"));
        let all = String::from_utf8(client.rest()).unwrap();
        assert!(all.contains("half") && !all.contains("\r\n0\r\n\r\n"), "{all:?}");
    }
    assert_eq!(world.ends(2), "cut.instance_closed:2");
}

#[test]
fn several_threads_answer_and_their_counts_add_up() {
    let instance = Instance::named("a");
    let world = World::with(&Plan::of(&[&instance]), gapless_proxy::data::Settings::default(), 3);
    let clients: Vec<_> = (0..24)
        .map(|_| {
            let mut client = world.client();
            std::thread::spawn(move || (0..20).for_each(|_| assert_eq!(client.ask(get("/")).status(), 200)))
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert_eq!(world.ends(480), "2xx:480");
    world.settled();
}

/// Asks once for each of these heads, each on a connection of its own; which instance answered.
fn answered_by(world: &World, requests: impl Iterator<Item = String>) -> Vec<String> {
    requests.map(|request| world.client().ask(request).text()).collect()
}

#[test]
fn a_consistent_hash_goes_by_what_it_is_told_and_never_by_the_time() {
    let instances: Vec<Instance> = ["0", "1", "2", "3"].map(Instance::named).into();
    let mut plan = Plan::of(&instances.iter().collect::<Vec<_>>());
    let user = |number: usize| {
        format!("GET / HTTP/1.1\r\nHost: shop.test\r\nX-User: {number}\r\nCookie: a=b; sid={number}\r\n\r\n")
    };
    for key in ["header:x-user", "cookie:sid"] {
        plan.policy.balance = gapless_model::Balance::ConsistentHash(key.parse().unwrap());
        let world = World::new(&plan);
        let once = answered_by(&world, (0..60).map(user));
        assert_eq!(answered_by(&world, (0..60).map(user)), once, "{key}: the same client, the same instance");
        let used: std::collections::BTreeSet<&String> = once.iter().collect();
        assert_eq!(used.len(), 4, "{key}: {once:?}");
    }
    plan.policy.balance = gapless_model::Balance::ConsistentHash("address".parse().unwrap());
    let world = World::new(&plan);
    let once = answered_by(&world, (0..20).map(user));
    assert!(once.iter().all(|name| *name == once[0]), "one address, one instance: {once:?}");

    let settings = Settings { trusted_peers: vec!["127.0.0.1".parse().unwrap()], ..Settings::default() };
    let world = World::with(&plan, settings, 1);
    let from =
        |last: usize| format!("GET / HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-For: 10.9.9.9, 192.0.2.{last}\r\n\r\n");
    let once = answered_by(&world, (0..60).map(from));
    assert_eq!(answered_by(&world, (0..60).map(from)), once);
    let used: std::collections::BTreeSet<&String> = once.iter().collect();
    assert_eq!(used.len(), 4, "clients behind a trusted proxy are told apart: {once:?}");
}

/// How long twenty exchanges took on a connection that has settled, the quickest first: a system acknowledges the first segments of a connection
/// at once anyway.
fn times(mut exchange: impl FnMut()) -> Vec<Duration> {
    let timed = (0..40).map(|_| {
        let begun = Instant::now();
        exchange();
        begun.elapsed()
    });
    let mut times: Vec<Duration> = timed.skip(20).collect();
    times.sort();
    times
}

/// A busy machine makes some exchanges slow, and now and then acknowledges one early: the quickest is told by whoever waits for nothing, the
/// middle one by whoever is kept waiting.
fn assert_quicker(through: &[Duration], kept_waiting: &[Duration]) {
    let (through, kept_waiting) = (through[0], kept_waiting[kept_waiting.len() / 2]);
    assert!(through < kept_waiting / 2, "{through:?} through the proxy, {kept_waiting:?} without it");
}

#[test]
fn an_instance_that_writes_head_and_body_apart_is_not_kept_waiting_for_our_acknowledgement() {
    let instance = Instance::start(|_, connection, _| {
        connection.stream.set_nodelay(false).unwrap();
        while connection.message().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
            connection.send("body");
        }
    });
    let world = World::new(&Plan::of(&[&instance]));
    let (mut direct, mut client) = (Client::connect(instance.address), world.client());
    let kept_waiting = times(|| drop(direct.ask(get("/"))));
    let through = times(|| assert_eq!(client.ask(get("/")).text(), "body"));
    assert_quicker(&through, &kept_waiting);
}

#[test]
fn a_client_that_writes_head_and_body_apart_is_not_kept_waiting_for_our_acknowledgement() {
    let instance = Instance::named("a");
    let world = World::new(&Plan::of(&[&instance]));
    let times_to = |mut client: Client| {
        client.stream.set_nodelay(false).unwrap();
        times(|| {
            // Three writes: the second waits for the acknowledgement of the first, which is only a part of the head.
            for part in ["POST / HTTP/1.1\r\nHost: shop", ".test\r\nContent-Length: 4\r\n\r\n", "body"] {
                client.send(part);
            }
            assert_eq!(client.answer().status(), 200);
        })
    };
    let kept_waiting = times_to(Client::connect(instance.address));
    let through = times_to(world.client());
    assert_quicker(&through, &kept_waiting);
}
