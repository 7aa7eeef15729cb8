//! A connection to an instance goes to the next client only in step: nobody is given an answer that was meant for somebody else.

mod world;

use std::io::Read as _;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use gapless_proxy::data::Settings;
use gapless_proxy::seam::{Command, Event};
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

/// An instance that answers `/odd` with `answer` and sends `surplus` that many milliseconds behind it, on the same thread as an application does. Its
/// other answers name their paths.
fn late(answer: &'static str, surplus: &'static str, delay_ms: u64) -> Instance {
    Instance::start(move |_, connection, requests| {
        while let Some(request) = connection.message_of(true) {
            let path = request.start().split(' ').nth(1).unwrap_or_default().to_owned();
            requests.lock().unwrap().push(request);
            if path != "/odd" {
                if !connection.try_send(ok(&path)) {
                    return;
                }
                continue;
            }
            connection.send(answer);
            std::thread::sleep(std::time::Duration::from_millis(delay_ms));
            // A request that is there already is answered in the same write: a busy machine may put a thread aside between two for longer than
            // a connection has to be quiet, and then one more client is reached.
            let waiting = connection.has_input().then(|| connection.message()).flatten();
            let path = waiting.as_ref().and_then(|request| request.start().split(' ').nth(1));
            connection.try_send(format!("{surplus}{}", path.map(ok).unwrap_or_default()));
            requests.lock().unwrap().extend(waiting);
        }
    })
}

/// How late surplus bytes come, in milliseconds: before and behind each time that a connection is quiet before another client has it.
const DELAYS_MS: [u64; 8] = [0, 2, 8, 40, 120, 400, 1_100, 2_000];

/// What the next client is answered that comes so many milliseconds behind an answer with late surplus, by how late that is.
fn victims(
    method: &'static str,
    answer: &'static str,
    surplus: &'static str,
    after_ms: u64,
) -> Vec<(u64, u16, String)> {
    let each = DELAYS_MS.map(|delay_ms| {
        std::thread::spawn(move || {
            let instance = late(answer, surplus, delay_ms);
            let world = World::new(&Plan::of(&[&instance]));
            let mut odd = world.client();
            odd.send(format!("{method} /odd HTTP/1.1\r\nHost: shop.test\r\n\r\n"));
            odd.message_of(method == "HEAD").unwrap();
            std::thread::sleep(std::time::Duration::from_millis(after_ms));
            let mut victim = world.client();
            let first = victim.ask(get("/mine"));
            for _ in 0..3 {
                assert_eq!(world.client().ask(get("/theirs")).text(), "/theirs", "{delay_ms} ms: one at most");
            }
            assert_eq!(victim.ask(get("/again")).text(), "/again", "{delay_ms} ms");
            (delay_ms, first.status(), first.text())
        })
    });
    each.into_iter().map(|thread| thread.join().unwrap()).collect()
}

const TWO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_rest_of_a_body_that_comes_late_is_nobodys_answer_however_late() {
    for (delay_ms, status, text) in victims("GET", TWO, "<p>the rest of a body</p>\r\n", 30) {
        assert_eq!((status, text.as_str()), (200, "/mine"), "{delay_ms} ms late");
    }
}

#[test]
fn an_answer_behind_one_that_has_no_body_is_nobodys_however_late() {
    let headed = "HTTP/1.1 200 OK\r\nContent-Length: 55\r\n\r\n";
    let cases =
        [("GET", "HTTP/1.1 204 No Content\r\n\r\n"), ("GET", "HTTP/1.1 304 Not Modified\r\n\r\n"), ("HEAD", headed)];
    for (method, answer) in cases {
        for (delay_ms, status, text) in victims(method, answer, FOREIGN, 1_200) {
            assert_eq!((status, text.as_str()), (200, "/mine"), "{answer:?} {delay_ms} ms late");
        }
    }
}

#[test]
fn a_whole_answer_behind_an_ordinary_one_reaches_one_client_at_most_and_none_after_it() {
    for (delay_ms, status, text) in victims("GET", TWO, FOREIGN, 30) {
        // What comes behind the next request cannot be told from its answer. The others were asked for by `victims`.
        let own = delay_ms <= 8;
        assert!(
            status == 200 && (text == "/mine" || (!own && text == "foreign")),
            "{delay_ms} ms late: {status} {text}"
        );
    }
}

#[test]
fn what_must_not_be_sent_twice_is_not_though_the_connection_was_out_of_step() {
    let instance = late(TWO, "<p>the rest of a body</p>", 300);
    let world = World::new(&Plan::of(&[&instance]));
    assert_eq!(world.client().ask(get("/odd")).text(), "ok");
    std::thread::sleep(std::time::Duration::from_millis(30));
    let answer = world.client().ask(post("/order", "body"));
    assert_eq!((answer.status(), answer.line("x-gapless-reason")), (502, Some("instance_malformed")));
    assert_eq!(world.ends(2), "2xx:1 by_us.instance_malformed:1");
}

#[test]
fn one_instance_out_of_step_is_enough_for_its_whole_release_and_all_threads() {
    let (odd, gate) = sends_behind(TWO);
    let (same, other) = (Instance::named("same"), Instance::named("other"));
    let mut plan = Plan::of(&[&odd, &same]);
    let mut world = World::new(&plan);
    let mut client = world.client();
    // By turns: the odd one answers one of these two.
    let texts = [client.ask(get("/odd")).text(), client.ask(get("/odd")).text()];
    assert!(texts.contains(&"ok".to_owned()) && texts.contains(&"same".to_owned()), "{texts:?}");
    gate.let_through();
    let Event::OutOfStep { instance } = next_out_of_step(&world) else { unreachable!() };
    assert_eq!(instance.ordinal, u64::from(odd.address.port()));
    until("no connection to the release is kept", || upstream_connections(&world) == 0);
    // An instance of the release that comes later, and another thread's, which is told.
    plan.instances = vec![same.address, other.address];
    world.install(&plan);
    world.plane.post_all(|| Command::DistrustFraming { service: instance.service.clone(), release: instance.release });
    let before = same.connection_count() + other.connection_count();
    for _ in 0..4 {
        client.ask(get("/"));
    }
    assert_eq!(same.connection_count() + other.connection_count() - before, 4);
    // Another release is trusted again.
    world.install(&Plan { release: 2, ..Plan::of(&[&other]) });
    let before = other.connection_count();
    for _ in 0..3 {
        client.ask(get("/"));
    }
    assert_eq!(other.connection_count() - before, 1);
}

fn next_out_of_step(world: &World) -> Event {
    loop {
        let event = world.events.recv_timeout(world::PATIENCE).expect("it is told");
        if matches!(event, Event::OutOfStep { .. }) {
            return event;
        }
    }
}
