//! When a request is sent again, and when it must not be: no byte of a request that may have been processed goes out twice
//! unless the method allows it.

mod world;

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use gapless_model::{Balance, Health, Millis};
use gapless_proxy::data::Settings;
use gapless_proxy::seam::{Command, Event};
use world::{Instance, Plan, World, get, nobody, ok, post, until};

/// Reads one whole request and closes without an answer, the first `times` connections; then answers.
fn closing(times: usize) -> Instance {
    Instance::start(move |number, connection, requests| {
        while let Some(request) = connection.message() {
            requests.lock().unwrap().push(request);
            if number < times {
                return;
            }
            connection.send(ok("answered"));
        }
    })
}

#[test]
fn a_refused_connection_sends_any_method_to_another_instance() {
    let instance = Instance::named("good");
    let world = World::new(&Plan::at(&[nobody(), instance.address]));
    let mut client = world.client();
    for _ in 0..6 {
        assert_eq!(client.ask(post("/", "body")).text(), "good");
        assert_eq!(client.ask(get("/")).text(), "good");
    }
    assert_eq!(instance.count(), 12);
    assert_eq!(world.ends(12), "2xx:12");
    assert!(world.ledger().retries > 0);
    assert_eq!(world.ledger().replays, 0);
}

#[test]
fn with_no_instance_to_reach_the_answer_is_ours_and_says_why() {
    let world = World::new(&Plan::at(&[nobody(), nobody()]));
    let answer = world.client().ask(get("/"));
    assert_eq!((answer.status(), answer.line("x-gapless-reason")), (502, Some("connect_failed")));
    assert_eq!(world.ends(1), "by_us.connect_failed:1");
    world.settled();
}

#[test]
fn a_get_that_was_sent_and_not_answered_is_sent_again() {
    let instance = closing(1);
    let world = World::new(&Plan::of(&[&instance, &Instance::named("other")]));
    let mut client = world.client();
    for _ in 0..3 {
        assert_eq!(client.ask(get("/")).status(), 200);
    }
    assert_eq!(world.ends(3), "2xx:3");
    assert_eq!((world.ledger().retries, world.ledger().replays), (1, 1));
}

#[test]
fn a_put_is_sent_again_with_its_whole_body() {
    let first = closing(99);
    let other = Instance::named("other");
    let world = World::new(&Plan::of(&[&first, &other]));
    let body = "x".repeat(60_000);
    let request = format!("PUT / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    for _ in 0..2 {
        assert_eq!(world.client().ask(&request).text(), "other");
    }
    assert_eq!(other.requests.lock().unwrap().len(), 2);
    assert!(other.requests.lock().unwrap().iter().all(|request| request.text() == body));
    assert_eq!(first.count(), 1);
}

#[test]
fn a_body_longer_than_what_is_kept_is_not_sent_again() {
    let instance = closing(99);
    let world = World::new(&Plan::of(&[&instance]));
    let body = "x".repeat(300_000);
    let request = format!("PUT / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let answer = world.client().ask(&request);
    assert_eq!((answer.status(), answer.line("x-gapless-reason")), (502, Some("instance_closed")));
    assert_eq!(instance.count(), 1);
    assert_eq!(world.ends(1), "by_us.instance_closed:1");
}

#[test]
fn a_post_that_was_sent_and_not_answered_is_never_sent_again() {
    let instance = closing(99);
    let other = Instance::named("other");
    let world = World::new(&Plan::of(&[&instance, &other]));
    let mut failed = 0;
    for _ in 0..4 {
        failed += usize::from(world.client().ask(post("/", "once")).status() == 502);
    }
    assert_eq!((failed, instance.count(), other.count()), (2, 2, 2));
    assert_eq!(world.ends(4), "2xx:2 by_us.instance_closed:2");
    assert_eq!(world.ledger().retries, 0);
}

#[test]
fn a_post_with_a_key_is_sent_again_where_the_service_keeps_keys() {
    let instance = closing(99);
    let other = Instance::named("other");
    let mut plan = Plan::of(&[&instance, &other]);
    let keyed = "POST / HTTP/1.1\r\nHost: shop.test\r\nIdempotency-Key: k\r\nContent-Length: 4\r\n\r\nonce";
    let world = World::new(&plan);
    for _ in 0..2 {
        assert_eq!(world.client().ask(keyed).text(), "other");
    }
    plan.policy.replay_with_idempotency_key = false;
    let world = World::new(&plan);
    let statuses: Vec<u16> = (0..2).map(|_| world.client().ask(keyed).status()).collect();
    assert!(statuses.contains(&502), "{statuses:?}");
}

#[test]
fn a_pooled_connection_that_was_closed_while_idle_is_not_used() {
    let instance = Instance::start(|_, connection, requests| {
        let request = connection.message().unwrap();
        requests.lock().unwrap().push(request);
        connection.send(ok("one"));
    });
    let world = World::new(&Plan::of(&[&instance]));
    let open = || world.plane.workers()[0].counts().upstream_connections.read();
    let mut client = world.client();
    for _ in 0..20 {
        assert_eq!(client.ask(post("/", "x")).status(), 200);
        until("the proxy knows that it was closed", || open() == 0);
    }
    assert_eq!(instance.count(), 20, "every request exactly once");
    assert_eq!(world.ends(20), "2xx:20");
}

/// An instance that closes each connection after one answer without having said so, while the next request is on its way as
/// often as not.
fn unannounced() -> Instance {
    Instance::start(|_, connection, requests| {
        let Some(request) = connection.message() else { return };
        requests.lock().unwrap().push(request);
        connection.send(ok("one"));
    })
}

/// Asks from eight clients at once; returns how many requests were answered with 200.
fn hammer(world: &World, request: impl Fn(usize) -> String + Send + Clone + 'static) -> usize {
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let mut client = world.client();
            let request = request.clone();
            std::thread::spawn(move || {
                (0..150).filter(|at| client.ask(request(number * 150 + at)).status() == 200).count()
            })
        })
        .collect();
    clients.into_iter().map(|client| client.join().unwrap()).sum()
}

#[test]
fn connections_closed_under_requests_lose_no_get() {
    let instance = unannounced();
    let mut plan = Plan::of(&[&instance]);
    plan.policy.retries_max = 5;
    let world = World::new(&plan);
    assert_eq!(hammer(&world, |number| get(&format!("/{number}"))), 1_200);
    world.settled();
}

#[test]
fn connections_closed_under_requests_process_no_post_twice() {
    let instance = unannounced();
    let world = World::new(&Plan::of(&[&instance]));
    let answered = hammer(&world, |number| post(&format!("/{number}"), "once"));
    let mut seen: Vec<String> =
        instance.requests.lock().unwrap().iter().map(|request| request.start().to_owned()).collect();
    let received = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), received, "a request was processed twice");
    assert!(answered <= received, "{answered} answers, {received} processed");
    assert_eq!(world.ledger().replays, 0);
    world.settled();
}

#[test]
fn an_answer_that_has_begun_is_never_begun_again() {
    let instance = Instance::start(|_, connection, requests| {
        let request = connection.message().unwrap();
        requests.lock().unwrap().push(request);
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart");
    });
    let world = World::new(&Plan::of(&[&instance, &Instance::named("twin")]));
    for _ in 0..2 {
        let mut client = world.client();
        client.send("GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n");
        assert_eq!(String::from_utf8(client.rest()).unwrap().matches("HTTP/1.1").count(), 1);
    }
    assert_eq!(world.ends(2), "2xx:1 cut.instance_closed:1");
    assert_eq!(world.ledger().retries, 0);
}

#[test]
fn half_a_head_is_no_answer_and_does_not_reach_the_client() {
    let instance = Instance::start(|number, connection, _| {
        while connection.message().is_some() {
            if number == 0 {
                connection.send("HTTP/1.1 200 OK\r\nContent-Le");
                return;
            }
            connection.send(ok("whole"));
        }
    });
    let world = World::new(&Plan::of(&[&instance, &Instance::named("whole")]));
    for _ in 0..2 {
        assert_eq!(world.client().ask(get("/")).text(), "whole");
    }
}

#[test]
fn an_outage_is_not_amplified() {
    let instance = closing(usize::MAX);
    let mut plan = Plan::of(&[&instance, &closing(usize::MAX)]);
    plan.policy.retries_max = 1;
    let world = World::new(&plan);
    let began = std::time::Instant::now();
    let mut client = world.client();
    for _ in 0..300 {
        assert_eq!(client.ask(get("/")).status(), 502);
    }
    let retries = world.ledger().retries;
    // A fifth of the requests, what was saved up at the start, and ten a second.
    let most = 60 + 10 + 10 * (began.elapsed().as_secs() + 1);
    assert!(retries <= most, "{retries} retries of 300 requests, at most {most}");
    assert!(retries >= 60, "{retries} retries of 300 requests");
}

#[test]
fn a_connection_that_is_not_taken_in_time_goes_elsewhere() {
    // A listener whose queue is full takes no more connections.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap().as_socket().unwrap();
    let mut fillers = Vec::new();
    for _ in 0..3 {
        let filler = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        filler.set_nonblocking(true).unwrap();
        let _ = filler.connect(&address.into());
        fillers.push(filler);
    }
    let mut plan = Plan::at(&[address, Instance::named("quick").address]);
    plan.policy.connect_timeout = Millis(200);
    let world = World::new(&plan);
    for _ in 0..2 {
        assert_eq!(world.client().ask(post("/", "x")).text(), "quick");
    }
    assert_eq!(world.ends(2), "2xx:2");
}

#[test]
fn an_instance_that_fails_in_a_row_is_ejected_and_told_and_comes_back() {
    let instance = Instance::named("good");
    let dead = nobody();
    let mut plan = Plan::at(&[dead, instance.address]);
    plan.policy.eject_after_failures = 3;
    plan.policy.balance = Balance::LeastRequests;
    let world = World::new(&plan);
    let mut client = world.client();
    until("the dead instance is ejected", || {
        assert_eq!(client.ask(get("/")).text(), "good");
        world.events.try_iter().any(|event| matches!(event, Event::Ejected { number: 1, .. }))
    });
    let retries = world.ledger().retries;
    assert_eq!(retries, 3);
    until("it is let in again", || world.events.try_iter().any(|event| matches!(event, Event::Readmitted { .. })));
}

#[test]
fn an_instance_that_fails_more_than_its_peers_is_ejected_though_never_twice_in_a_row() {
    let good = Instance::named("good");
    let moody = Instance::start(|_, connection, requests| {
        while let Some(request) = connection.message() {
            let mut requests = requests.lock().unwrap();
            requests.push(request);
            let fails = requests.len() % 2 == 0;
            drop(requests);
            connection.send(if fails { "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".into() } else { ok("moody") });
        }
    });
    let mut plan = Plan::of(&[&moody, &good]);
    plan.policy.eject_after_failures = 3;
    plan.policy.eject_above_peers = 20;
    let world = World::with(&plan, Settings { compare_every_ms: 1_500, ..Settings::default() }, 1);
    let mut client = world.client();
    until("the moody instance is ejected", || {
        (0..20).for_each(|_| drop(client.ask(get("/"))));
        world.events.try_iter().any(|event| match event {
            Event::Ejected { instance, .. } => {
                assert_eq!(instance.ordinal, u64::from(moody.address.port()));
                true
            }
            _ => false,
        })
    });
    let before = moody.count();
    (0..20).for_each(|_| assert_eq!(client.ask(get("/")).text(), "good"));
    assert_eq!(moody.count(), before);
}

#[test]
fn an_instance_whose_probes_fail_gets_nothing_unless_all_fail() {
    let bad = Instance::named("bad");
    let good = Instance::named("good");
    let world = World::new(&Plan::of(&[&bad, &good]));
    let id = |instance: &Instance| gapless_model::InstanceId {
        service: gapless_model::ServiceName::new("shop").unwrap(),
        release: gapless_model::ReleaseId(1),
        ordinal: u64::from(instance.address.port()),
    };
    world.plane.post_all(|| Command::SetHealth { instance: id(&bad), health: Health::Unhealthy });
    let mut client = world.client();
    for _ in 0..6 {
        assert_eq!(client.ask(get("/")).text(), "good");
    }
    world.plane.post_all(|| Command::SetHealth { instance: id(&good), health: Health::Unhealthy });
    until("the alarm", || world.events.try_iter().any(|event| matches!(event, Event::Panicked { .. })));
    let answers: Vec<String> = (0..6).map(|_| client.ask(get("/")).text()).collect();
    assert!(answers.iter().any(|name| name == "bad"), "{answers:?}");
}

#[test]
fn an_answer_that_does_not_come_in_time_is_a_504() {
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let instance = Instance::start(move |_, connection, _| {
        connection.head();
        let _ = wait.lock().unwrap().recv_timeout(Duration::from_secs(30));
    });
    let mut plan = Plan::of(&[&instance]);
    plan.policy.response_timeout = Millis(150);
    let world = World::new(&plan);
    let answer = world.client().ask(get("/"));
    assert_eq!((answer.status(), answer.line("x-gapless-reason")), (504, Some("response_timeout")));
    assert_eq!(world.ends(1), "by_us.response_timeout:1");
    world.settled();
    drop(go);
}

#[test]
fn an_answer_that_stalls_is_cut() {
    let instance = Instance::start(|_, connection, _| {
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart");
        connection.rest();
    });
    let mut plan = Plan::of(&[&instance]);
    plan.policy.idle_timeout = Millis(150);
    let world = World::new(&plan);
    let mut client = world.client();
    client.send(get("/"));
    assert!(client.rest().ends_with(b"part"));
    assert_eq!(world.ends(1), "cut.instance_stalled:1");
}
