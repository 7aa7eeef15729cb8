//! A connection to an instance goes to the next client only in step: nobody is given an answer that was meant for somebody else.

mod world;

use std::io::Read as _;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use gapless_proxy::data::Settings;
use world::{Client, Instance, Plan, World, get, ok, post, until};

const FOREIGN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nforeign";

/// A switch that an instance waits at before it sends what it should not.
struct Gate {
    open: Sender<()>,
    passed: Receiver<()>,
}

impl Gate {
    fn new() -> (Self, impl Fn() -> bool + Send + Sync + 'static, impl Fn() + Send + Sync + 'static) {
        let (open, wait) = channel();
        let (pass, passed) = channel();
        let (wait, pass) = (Arc::new(Mutex::new(wait)), Arc::new(Mutex::new(pass)));
        let wait = move || wait.lock().unwrap().recv().is_ok();
        let pass = move || {
            let _ = pass.lock().unwrap().send(());
        };
        (Self { open, passed }, wait, pass)
    }

    /// Lets the instance send it, and waits until it has.
    fn let_through(&self) {
        self.open.send(()).unwrap();
        self.passed.recv_timeout(world::PATIENCE).unwrap();
    }
}

fn upstream_connections(world: &World) -> u64 {
    world.plane.workers().iter().map(|worker| worker.counts().upstream_connections.read()).sum()
}

/// Answers each head at once, as an application does that reads no body; what comes of a body it takes for the next request, and
/// answers its first three bytes. Counts those answers.
fn reads_no_bodies() -> (Instance, Arc<Mutex<usize>>) {
    let answered = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&answered);
    let instance = Instance::start(move |_, connection, _| {
        while let Some(head) = connection.head() {
            if head.starts_with("POST") {
                connection.send(ok("posted"));
                if connection.bytes(3).len() < 3 || !connection.try_send(FOREIGN) {
                    return;
                }
                *counted.lock().unwrap() += 1;
            } else {
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                connection.send(ok(&path));
            }
        }
    });
    (instance, answered)
}

#[test]
fn what_an_instance_sends_for_bytes_behind_its_answer_reaches_no_other_client() {
    let (instance, answered) = reads_no_bodies();
    let world = World::new(&Plan::of(&[&instance]));
    for round in 1..=8 {
        let mut late = world.client();
        late.send("POST /late HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 6\r\n\r\n");
        assert_eq!(late.answer().text(), "posted");
        late.send("abc");
        until("the late bytes are answered", || *answered.lock().unwrap() == round);
        // The news of that answer comes to the proxy while the connection is busy: it is not told again.
        std::thread::sleep(std::time::Duration::from_millis(20));
        late.send("def");
        std::thread::sleep(std::time::Duration::from_millis(20));
        for _ in 0..3 {
            let path = format!("/{round}");
            assert_eq!(world.client().ask(get(&path)).text(), path, "the next client has its own answer");
        }
    }
}

#[test]
fn a_body_that_the_instance_takes_for_a_request_is_answered_to_nobody() {
    let instance = Instance::start(|_, connection, _| {
        while let Some(head) = connection.head() {
            // The body is not read: it is the next head.
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            std::thread::sleep(std::time::Duration::from_millis(if path == "/smuggled" { 3 } else { 0 }));
            connection.send(ok(&path));
        }
    });
    let world = World::new(&Plan::of(&[&instance]));
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n";
    let mut victim = world.client();
    for round in 0..30 {
        assert_eq!(world.client().ask(post("/outer", smuggled)).text(), "/outer");
        let path = format!("/{round}");
        assert_eq!(victim.ask(get(&path)).text(), path);
    }
}

/// An instance that sends `head` for `GET /odd` or `HEAD /odd`, and a whole foreign answer behind it when it is let to.
fn sends_behind(head: &'static str) -> (Instance, Gate) {
    let (gate, wait, pass) = Gate::new();
    let instance = Instance::start(move |_, connection, requests| {
        while let Some(request) = connection.message_of(true) {
            let path = request.start().split(' ').nth(1).unwrap_or_default().to_owned();
            requests.lock().unwrap().push(request);
            if path != "/odd" {
                connection.send(ok(&path));
                continue;
            }
            connection.send(head);
            if !wait() {
                return;
            }
            connection.try_send(FOREIGN);
            pass();
        }
    });
    (instance, gate)
}

#[test]
fn a_connection_that_answered_without_a_body_goes_to_no_other_client_at_once() {
    let no_body = "HTTP/1.1 204 No Content\r\n\r\n";
    let not_modified = "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n";
    let headed = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
    for (method, head) in [("GET", no_body), ("GET", not_modified), ("HEAD", headed)] {
        let (instance, gate) = sends_behind(head);
        let world = World::new(&Plan::of(&[&instance]));
        let mut odd = world.client();
        odd.send(format!("{method} /odd HTTP/1.1\r\nHost: shop.test\r\n\r\n"));
        odd.message_of(true).unwrap();
        let mut victim = world.client();
        // On a kept connection the victim's request would wait behind the bytes that are still to come.
        victim.send(get("/mine"));
        assert_eq!(victim.answer().text(), "/mine", "{method} {head:?}");
        gate.let_through();
        assert_eq!(odd.ask(get("/again")).text(), "/again", "{method} {head:?}");
        assert_eq!(victim.ask(get("/mine/2")).text(), "/mine/2", "{method} {head:?}");
    }
}

#[test]
fn an_instance_that_was_once_seen_to_send_bytes_behind_an_answer_is_asked_once_per_connection() {
    let (instance, gate) = sends_behind("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let world = World::new(&Plan::of(&[&instance]));
    assert_eq!(world.client().ask(get("/odd")).text(), "ok");
    gate.let_through();
    until("the connection is closed", || upstream_connections(&world) == 0);
    let before = instance.connection_count();
    let mut client = world.client();
    for _ in 0..3 {
        assert_eq!(client.ask(get("/x")).text(), "/x");
    }
    assert_eq!(instance.connection_count() - before, 3);
    until("none is kept", || upstream_connections(&world) == 0);
}

#[test]
fn a_server_that_says_goodbye_on_a_connection_long_idle_is_trusted_as_before() {
    let (gate, wait, pass) = Gate::new();
    let instance = Instance::start(move |number, connection, _| {
        while connection.message().is_some() {
            connection.send(ok("a"));
            if number == 0 {
                wait();
                connection.send("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
                pass();
                return;
            }
        }
    });
    let world = World::new(&Plan::of(&[&instance]));
    assert_eq!(world.client().ask(get("/")).text(), "a");
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    gate.let_through();
    until("the connection is closed", || upstream_connections(&world) == 0);
    let mut client = world.client();
    for _ in 0..3 {
        assert_eq!(client.ask(get("/")).text(), "a");
    }
    assert_eq!(instance.connection_count(), 2);
}

#[test]
fn an_ordinary_answer_leaves_its_connection_to_its_own_client_at_once_and_to_others_soon() {
    let instance = Instance::named("a");
    let world = World::with(&Plan::of(&[&instance]), Settings::default(), 1);
    let mut first = world.client();
    for _ in 0..20 {
        assert_eq!(first.ask(get("/")).text(), "a");
    }
    assert_eq!(instance.connection_count(), 1);
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(world.client().ask(get("/")).text(), "a");
    assert_eq!(instance.connection_count(), 1);
}

#[test]
fn an_early_final_answer_to_an_expectation_is_whole_and_ends_the_connection() {
    let instance = Instance::start(|_, connection, _| {
        while let Some(head) = connection.head() {
            let refuses = head.starts_with("PUT /refused");
            connection.send(if refuses {
                "HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo long"
            } else {
                "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nthank u!"
            });
        }
    });
    let world = World::new(&Plan::of(&[&instance]));
    for (path, body) in [("/refused", "too long"), ("/taken", "thank u!")] {
        let mut client = world.client();
        client.send(format!(
            "PUT {path} HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n"
        ));
        let answer = client.answer();
        assert_eq!((answer.text().as_str(), answer.line("connection")), (body, Some("close")), "{path}");
        // A client that sends its body all the same can still do so, and sees an end in order.
        client.send(vec![b'x'; 100_000]);
        client.end();
        assert_eq!(client.stream.read(&mut [0; 16]).unwrap(), 0, "{path}");
    }
    assert_eq!(world.ends(2), "2xx:1 4xx:1");
}

#[test]
fn a_client_that_waits_to_be_told_to_go_on_is_not_too_slow() {
    let instance = Instance::start(|_, connection, requests| {
        while let Some(head) = connection.head() {
            std::thread::sleep(std::time::Duration::from_millis(1_500));
            connection.send("HTTP/1.1 100 Continue\r\n\r\n");
            let body = connection.bytes(4);
            requests.lock().unwrap().push(world::Message { head, body, raw: Vec::new() });
            connection.send(ok("thanks"));
        }
    });
    let settings = Settings { body_grace_ms: 300, ..Settings::default() };
    let mut plan = Plan::of(&[&instance]);
    plan.policy.idle_timeout = gapless_model::Millis(400);
    plan.policy.body_rate_min = 1_000;
    let world = World::with(&plan, settings, 1);
    let mut client = world.client();
    client.send("PUT / HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert!(client.head().unwrap().starts_with("HTTP/1.1 100 "));
    client.send("body");
    assert_eq!(client.answer().text(), "thanks");
    assert_eq!(instance.count(), 1);
}

#[test]
fn an_instance_that_never_says_whether_to_go_on_is_the_one_that_is_late() {
    let instance = Instance::start(|_, connection, _| {
        connection.head();
        connection.rest();
    });
    let mut plan = Plan::of(&[&instance]);
    plan.policy.response_timeout = gapless_model::Millis(300);
    let world = World::new(&plan);
    let mut client: Client = world.client();
    client.send("PUT / HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status(), answer.line("x-gapless-reason")), (504, Some("response_timeout")));
    assert_eq!(world.ends(1), "by_us.response_timeout:1");
}
