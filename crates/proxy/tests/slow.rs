//! Slow and absent clients, phase by phase: every wait for a client has an end, and none of them meets one that is merely slow.
//! `docs/guide/requests.md` lists the deadlines; each row names its test here or in another suite.

mod world;

use std::io::Read;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use gapless_model::{HoldLimits, Millis};
use gapless_proxy::data::Settings;
use gapless_routing::Intake;
use world::{Client, Instance, PATIENCE, Plan, World, get, ok, until};

/// A plan whose `idle_timeout` is short, and nothing else.
fn idle(instances: &[&Instance], idle_ms: u64) -> Plan {
    let mut plan = Plan::of(instances);
    plan.policy.idle_timeout = Millis(idle_ms);
    plan
}

fn held(world: &World) -> u64 {
    world.plane.workers().iter().map(|worker| worker.counts().holding.read()).sum()
}

/// An instance that takes whole requests and answers none until it is told to; it tells when a connection ends.
fn silent() -> (Instance, std::sync::mpsc::Receiver<Instant>) {
    let (told, ended) = channel();
    let told = Mutex::new(told);
    let instance = Instance::start(move |_, connection, _| {
        connection.head();
        connection.rest();
        let _ = told.lock().unwrap().send(Instant::now());
    });
    (instance, ended)
}

// The head

#[test]
fn a_head_has_one_deadline_from_its_first_byte_however_it_drips() {
    let settings = Settings { head_timeout_ms: 500, ..Settings::default() };
    let world = World::with(&Plan::of(&[&Instance::named("a")]), settings, 1);
    let mut clients: Vec<Client> = (0..50).map(|_| world.client()).collect();
    let began = Instant::now();
    // A byte each 50 ms, far more often than the deadline. Every one of them is over long before it has sent a whole head.
    let mut head = "GET / HTTP/1.1\r\nHost: shop.test\r\nX: ".bytes().chain(std::iter::repeat(b'x'));
    while world.ledger().total() < 50 {
        assert!(began.elapsed() < PATIENCE, "{} of 50 are over", world.ledger().total());
        let byte = [head.next().unwrap()];
        clients.iter_mut().for_each(|client| {
            client.try_send(byte);
        });
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(world.ends(50), "by_us.client_too_slow:50");
}

#[test]
fn a_second_head_of_a_connection_has_a_deadline_of_its_own() {
    let settings = Settings { head_timeout_ms: 1_000, ..Settings::default() };
    let world = World::with(&Plan::of(&[&Instance::named("a")]), settings, 1);
    let mut client = world.client();
    let request = get("/");
    let (first, second) = request.split_at(10);
    for _ in 0..4 {
        // Each takes more than half of the time, so that two together would take too much.
        client.send(first);
        std::thread::sleep(Duration::from_millis(600));
        assert_eq!(client.ask(second).status(), 200);
    }
}

#[test]
fn a_connection_without_a_request_is_closed_when_it_was_idle_for_too_long() {
    let settings = Settings { keep_alive_ms: 300, ..Settings::default() };
    let world = World::with(&Plan::of(&[&Instance::named("a")]), settings, 1);
    let mut client = world.client();
    assert!(client.is_ended(), "without a word: nothing was asked");
    assert_eq!(world.ledger().total(), 0);
}

// The body

#[test]
fn a_body_that_stops_is_a_408_after_the_idle_timeout() {
    let instance = Instance::named("a");
    let world = World::new(&idle(&[&instance], 300));
    for body in ["", "abc", &"x".repeat(100_000)] {
        let mut client = world.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 200000\r\n\r\n{body}"));
        assert_eq!(client.answer().status(), 408, "after {} bytes", body.len());
        assert!(client.is_ended());
    }
    assert_eq!(world.ends(3), "by_us.client_too_slow:3");
    world.settled();
}

#[test]
fn a_slow_but_steady_body_is_not_cut() {
    let instance = Instance::answering(|request| ok(&request.body.len().to_string()));
    let settings = Settings { body_grace_ms: 200, ..Settings::default() };
    let world = World::with(&idle(&[&instance], 2_000), settings, 1);
    let mut client = world.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 30\r\n\r\n");
    for _ in 0..30 {
        client.send("x");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(client.answer().text(), "30");
    assert_eq!(world.ends(1), "2xx:1");
}

#[test]
fn a_body_below_the_least_rate_is_a_408_where_one_is_asked_for() {
    let instance = Instance::named("a");
    let mut plan = idle(&[&instance], 10_000);
    plan.policy.body_rate_min = 1_000;
    let settings = Settings { body_grace_ms: 300, ..Settings::default() };
    let world = World::with(&plan, settings, 1);
    let mut client = world.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 100000\r\n\r\n");
    let dripping = Instant::now();
    while world.ledger().total() == 0 && dripping.elapsed() < PATIENCE {
        client.try_send("x");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(world.ends(1), "by_us.client_too_slow:1");
}

#[test]
fn a_slow_instance_makes_no_client_slow() {
    // The client offers everything at once; the instance takes its time with it: a third of the rate that is asked of the client, which has
    // room for a machine that runs the client late.
    const SLOW_TAKES: usize = 30;
    let instance = Instance::start(|_, connection, _| {
        connection.head();
        for _ in 0..SLOW_TAKES {
            std::thread::sleep(Duration::from_millis(100));
            connection.bytes(30_000);
        }
        connection.bytes(30_000_000 - SLOW_TAKES * 30_000);
        connection.send(ok("whole"));
    });
    let mut plan = idle(&[&instance], 10_000);
    plan.policy.body_rate_min = 1_000_000;
    let world = World::with(&plan, Settings { body_grace_ms: 1_000, ..Settings::default() }, 1);
    let mut client = world.client();
    // Head and body at once: filling so much memory takes a busy machine a while, in which the client would rightly be waited for.
    let mut request = b"POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 30000000\r\n\r\n".to_vec();
    request.resize(request.len() + 30_000_000, b'x');
    client.try_send(request);
    assert_eq!(client.answer().text(), "whole");
}

#[test]
fn an_instance_that_takes_no_more_of_a_body_is_the_one_that_is_late() {
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let instance = Instance::start(move |_, connection, _| {
        connection.head();
        // It keeps the connection, reads nothing of the body and answers nothing.
        let _told = wait.lock().unwrap().recv();
    });
    let world = World::new(&idle(&[&instance], 400));
    let mut client = world.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 100000000\r\n\r\n");
    let mut uploading = client.stream.try_clone().unwrap();
    let upload =
        std::thread::spawn(move || while std::io::Write::write_all(&mut uploading, &[b'x'; 100_000]).is_ok() {});
    let answer = client.answer();
    assert_eq!((answer.status(), answer.line("x-gapless-reason")), (504, Some("response_timeout")));
    assert_eq!(world.ends(1), "by_us.response_timeout:1");
    upload.join().unwrap();
    drop(go);
}

#[test]
fn an_instance_that_never_says_continue_is_the_one_that_is_late() {
    let (instance, _ended) = silent();
    let mut plan = idle(&[&instance], 200);
    plan.policy.response_timeout = Millis(800);
    let world = World::new(&plan);
    let mut client = world.client();
    let asked = "POST / HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(client.ask(asked).line("x-gapless-reason"), Some("response_timeout"));
    assert_eq!(world.ends(1), "by_us.response_timeout:1");
}

#[test]
fn a_late_continue_is_waited_for() {
    let instance = Instance::start(|_, connection, _| {
        connection.head();
        std::thread::sleep(Duration::from_millis(700));
        connection.send("HTTP/1.1 100 Continue\r\n\r\n");
        let body = connection.bytes(5);
        connection.send(ok(&String::from_utf8(body).unwrap()));
    });
    let world = World::new(&idle(&[&instance], 300));
    let mut client = world.client();
    let asked = "POST / HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(client.ask(asked).status(), 100);
    assert_eq!(client.ask("hello").text(), "hello");
}

#[test]
fn a_final_answer_instead_of_continue_ends_the_exchange_cleanly() {
    let instance = Instance::start(|_, connection, _| {
        connection.head();
        connection.send(ok("no need"));
        connection.rest();
    });
    let world = World::new(&idle(&[&instance], 60_000));
    let mut client = world.client();
    let asked = "POST / HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let answer = client.ask(asked);
    assert_eq!((answer.text().as_str(), answer.line("connection")), ("no need", Some("close")));
    assert!(client.is_ended());
    assert_eq!(world.ends(1), "2xx:1");
    world.settled();
}

// Clients that left

#[test]
fn clients_that_left_free_their_places_in_the_hold_and_are_not_sent() {
    let instance = Instance::named("a");
    let limits = HoldLimits { requests_max: 10, wait_max: Millis(60_000) };
    let mut world = World::new(&Plan { intake: Intake::Hold, hold: limits, ..Plan::of(&[&instance]) });
    let mut left: Vec<Client> = (0..10).map(|_| world.client()).collect();
    left.iter_mut().for_each(|client| client.send(get("/left")));
    until("the hold is full", || held(&world) == 10);
    drop(left);
    until("the hold is empty", || held(&world) == 0);
    let mut stayed: Vec<Client> = (0..10).map(|_| world.client()).collect();
    stayed.iter_mut().for_each(|client| client.send(get("/stayed")));
    until("ten others wait", || held(&world) == 10);
    world.install(&Plan::of(&[&instance]));
    stayed.iter_mut().for_each(|client| assert_eq!(client.answer().status(), 200));
    assert_eq!(world.ends(20), "2xx:10 client_left:10");
    assert!(instance.requests.lock().unwrap().iter().all(|request| request.start().contains("/stayed")));
}

#[test]
fn a_client_that_ended_its_side_does_not_wait_in_the_hold_and_is_told_so() {
    let instance = Instance::named("a");
    let limits = HoldLimits { requests_max: 10, wait_max: Millis(60_000) };
    let world = World::new(&Plan { intake: Intake::Hold, hold: limits, ..Plan::of(&[&instance]) });
    let mut before = world.client();
    before.send(get("/"));
    before.end();
    assert_eq!(before.answer().line("x-gapless-reason"), Some("client_left"));
    let mut during = world.client();
    during.send(get("/"));
    until("it is held", || held(&world) == 1);
    during.end();
    assert_eq!(during.answer().line("x-gapless-reason"), Some("client_left"));
    assert_eq!(world.ends(2), "client_left:2");
    assert_eq!(held(&world), 0);
}

#[test]
fn a_client_that_left_soon_frees_the_instance_that_had_its_request() {
    let (instance, ended) = silent();
    let world = World::new(&Plan::of(&[&instance]));
    let slot = world.slot(instance.address);
    let mut client = world.client();
    client.send(get("/"));
    until("the instance has it", || world.plane.in_flight_on(slot) == 1);
    let left = Instant::now();
    drop(client);
    let freed = ended.recv_timeout(PATIENCE).expect("the instance's connection ends");
    assert!(freed - left < Duration::from_secs(15), "after {:?}", freed - left);
    assert_eq!(world.ends(1), "client_left:1");
    world.settled();
}

#[test]
fn a_client_that_only_ended_its_side_is_asked_and_gets_its_late_answer() {
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let instance = Instance::start(move |_, connection, _| {
        connection.head();
        let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
        connection.send(ok("late"));
    });
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    client.send(get("/"));
    client.end();
    assert_eq!(client.answer().status(), 100, "asked whether it still reads");
    go.send(()).unwrap();
    assert_eq!(client.answer().text(), "late");
    assert_eq!(world.ends(1), "2xx:1");
}

#[test]
fn a_client_of_the_old_version_that_ended_its_side_cannot_be_asked_and_counts_as_left() {
    let (instance, _ended) = silent();
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    client.send("GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n");
    client.end();
    assert!(client.is_ended());
    assert_eq!(world.ends(1), "client_left:1");
}

// The answer

/// A client that takes little at once: what the systems between it and the proxy keep for it is small.
fn narrow(world: &World) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.connect(&world.address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn a_slow_but_steady_reader_gets_its_whole_answer() {
    // Far more than the systems between keep, and read at a rate at which a write of ours succeeds only every few seconds: the idle
    // timeout is shorter than that.
    const BYTES: usize = 12_000_000;
    let instance = Instance::start(|_, connection, _| {
        connection.head();
        // In one piece: filling so much memory behind the head takes a busy machine longer than the idle timeout.
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n").into_bytes();
        answer.resize(answer.len() + BYTES, b'x');
        connection.try_send(answer);
        connection.rest();
    });
    let world = World::new(&idle(&[&instance], 1_000));
    let mut stream = narrow(&world);
    std::io::Write::write_all(&mut stream, get("/").as_bytes()).unwrap();
    let mut room = [0; 16 * 1024];
    let (mut read, began) = (0, Instant::now());
    while read < BYTES {
        // Slow for the first seconds, which is where it was cut; then as fast as it goes.
        if began.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(40));
        }
        match stream.read(&mut room) {
            Ok(0) | Err(_) => break,
            Ok(count) => read += count,
        }
    }
    assert!(read >= BYTES, "{read} of {BYTES} bytes; {}", world.ends(1));
    assert_eq!(world.ends(1), "2xx:1");
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_cut_after_the_idle_timeout() {
    let instance = Instance::start(|_, connection, _| {
        // Made before the head is sent, so that nobody waits for it.
        let body = vec![b'x'; 100_000_000];
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        connection.try_send(body);
    });
    // Long enough for an instance that a busy machine runs late to have filled what lies between them.
    let world = World::new(&idle(&[&instance], 2_500));
    let mut stream = narrow(&world);
    std::io::Write::write_all(&mut stream, get("/").as_bytes()).unwrap();
    assert_eq!(world.ends(1), "cut.client_stalled:1");
    world.settled();
}

#[test]
fn an_answer_that_stops_in_the_middle_is_cut_after_the_idle_timeout() {
    let instance = Instance::start(|_, connection, _| {
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        connection.rest();
    });
    let world = World::new(&idle(&[&instance], 300));
    let mut client = world.client();
    client.send(get("/"));
    assert!(client.message().is_none(), "cut before its end");
    assert_eq!(world.ends(1), "cut.instance_stalled:1");
}

#[test]
fn a_cut_answer_whose_end_is_told_by_closing_is_a_reset() {
    let instance = Instance::start(|_, connection, _| {
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
        // Ends without the last chunk.
    });
    let world = World::new(&Plan::of(&[&instance]));
    let mut stream = TcpStream::connect(world.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n").unwrap();
    let ended = stream.read_to_end(&mut Vec::new());
    assert_eq!(ended.map_err(|error| error.kind()), Err(std::io::ErrorKind::ConnectionReset));
    assert_eq!(world.ends(1), "cut.instance_closed:1");
}

#[test]
fn a_client_that_goes_on_sending_after_its_last_answer_is_closed_in_the_end() {
    let world = World::new(&Plan::of(&[&Instance::named("a")]));
    let mut client = world.client();
    assert_eq!(client.ask("BAD\r\n\r\n").status(), 400);
    let began = Instant::now();
    while client.try_send("x") {
        assert!(began.elapsed() < PATIENCE, "still open");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_answer_that_came_whole_before_its_instance_stopped_reading_is_no_cut() {
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let instance = Instance::start(move |_, connection, _| {
        connection.head();
        connection.send(ok("early"));
        // It keeps the connection and reads nothing of the body.
        let _told = wait.lock().unwrap().recv();
    });
    let world = World::new(&idle(&[&instance], 300));
    let mut client = world.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 100000000\r\n\r\n");
    let mut uploading = client.stream.try_clone().unwrap();
    let upload =
        std::thread::spawn(move || while std::io::Write::write_all(&mut uploading, &[b'x'; 100_000]).is_ok() {});
    assert_eq!(client.answer().text(), "early");
    assert_eq!(world.ends(1), "2xx:1");
    upload.join().unwrap();
    drop(go);
}
