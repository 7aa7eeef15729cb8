//! How often an instance sees one request, counted at the instance: what was sent counts for ever.

mod world;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gapless_model::{HoldLimits, Millis};
use world::{Instance, Plan, World, get, ok, post};

/// Ends the connection on `/bad`, whatever its method; answers the rest with their path.
fn chokes() -> Instance {
    Instance::start(|_, connection, requests| {
        while let Some(request) = connection.message() {
            let path = request.start().split(' ').nth(1).unwrap_or_default().to_owned();
            requests.lock().unwrap().push(request);
            if path == "/bad" {
                return;
            }
            connection.send(ok(&path));
        }
    })
}

fn holding(plan: Plan) -> Plan {
    Plan { hold: HoldLimits { requests_max: 100, wait_max: Millis(10_000) }, ..plan }
}

fn bad(instance: &Instance) -> usize {
    instance.requests.lock().unwrap().iter().filter(|request| request.start().contains("/bad")).count()
}

#[test]
fn a_request_is_sent_as_often_as_the_release_allows_though_requests_may_be_held() {
    let instance = chokes();
    let world = World::new(&holding(Plan::of(&[&instance])));
    let began = Instant::now();
    let answer = world.client().ask(get("/bad"));
    assert_eq!((answer.status(), answer.line("x-gapless-reason")), (502, Some("instance_closed")));
    assert_eq!(bad(&instance), 3, "once, and two retries");
    assert!(began.elapsed() < Duration::from_secs(8), "it did not wait to be held");
    assert_eq!(world.ends(1), "by_us.instance_closed:1");
}

#[test]
fn kept_connections_and_several_instances_make_no_more_of_it() {
    let (one, two) = (chokes(), chokes());
    let world = World::new(&holding(Plan::of(&[&one, &two])));
    let mut client = world.client();
    for _ in 0..4 {
        assert_eq!(client.ask(get("/good")).status(), 200);
    }
    for round in 1..=3 {
        assert_eq!(client.ask(get("/bad")).status(), 502);
        assert!(bad(&one) + bad(&two) <= 3 * round, "{} {}", bad(&one), bad(&two));
    }
    assert_eq!(client.ask(post("/bad", "body")).status(), 502);
    assert!(bad(&one) + bad(&two) <= 10, "a POST once");
}

#[test]
fn nobody_waits_behind_a_request_that_its_instance_chokes_on() {
    let instance = chokes();
    let world = World::new(&holding(Plan::of(&[&instance])));
    let mut attacker = world.client();
    let attack = std::thread::spawn(move || (0..40).filter(|_| attacker.ask(get("/bad")).status() == 502).count());
    let mut client = world.client();
    let mut held = 0;
    for _ in 0..100 {
        assert_eq!(client.ask(get("/good")).text(), "/good");
        held = held.max(world.plane.workers()[0].counts().holding.read());
    }
    assert_eq!(attack.join().unwrap(), 40);
    assert_eq!((held, world.ledger().held), (0, 0), "an instance that takes connections is one that serves");
}

/// Listens where others did, and dies of the first request: its listener goes with it. Comes back `lives` times.
fn dies_of_requests(lives: usize) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let deaths = Arc::new(AtomicUsize::new(0));
    let died = Arc::clone(&deaths);
    std::thread::spawn(move || {
        let mut listener = Some(listener);
        for _ in 0..lives {
            let alive = listener.take().unwrap_or_else(|| TcpListener::bind(address).unwrap());
            let (stream, _) = alive.accept().unwrap();
            let mut connection = world::Client::of(stream);
            connection.head();
            drop(alive);
            died.fetch_add(1, Ordering::SeqCst);
            drop(connection);
            std::thread::sleep(Duration::from_millis(150));
        }
    });
    (address, deaths)
}

#[test]
fn a_request_that_its_instance_dies_of_kills_no_more_replacements_than_it_has_retries() {
    let (address, deaths) = dies_of_requests(20);
    let world = World::new(&holding(Plan::at(&[address])));
    let answer = world.client().ask(get("/bad"));
    assert_eq!((answer.status(), answer.line("x-gapless-reason")), (502, Some("instance_closed")));
    assert_eq!(deaths.load(Ordering::SeqCst), 3);
    assert!(world.ledger().held <= 1);
}

#[test]
fn a_request_that_was_sent_once_waits_for_a_replacement_and_is_answered_by_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let world = World::new(&holding(Plan::at(&[address])));
    let mut client = world.client();
    client.send(get("/"));
    let (stream, _) = listener.accept().unwrap();
    world::Client::of(stream).head();
    drop(listener);
    world::until("it is held", || world.plane.workers()[0].counts().holding.read() == 1);
    let replacement = Instance::start_on(TcpListener::bind(address).unwrap(), |_, connection, requests| {
        while let Some(request) = connection.message() {
            requests.lock().unwrap().push(request);
            connection.send(ok("back"));
        }
    });
    assert_eq!(client.answer().text(), "back");
    assert_eq!(replacement.count(), 1);
}

#[test]
fn an_instance_that_closes_each_kept_connection_behind_its_answer_loses_no_get_and_uses_up_no_budget() {
    let instance = Instance::start(|_, connection, requests| {
        let mut answered = 0;
        while let Some(request) = connection.message() {
            requests.lock().unwrap().push(request);
            // The second request on a connection finds it closing, after it was read.
            if answered == 1 {
                return;
            }
            answered += 1;
            connection.send(ok("one"));
        }
    });
    let mut plan = Plan::of(&[&instance]);
    plan.policy.retries_max = 2;
    let world = World::new(&plan);
    let mut client = world.client();
    let answered = (0..400).filter(|_| client.ask(get("/")).status() == 200).count();
    assert_eq!(answered, 400);
    assert!(instance.count() <= 800, "{} sends of 400 requests", instance.count());
}
