//! Requests that wait: in order, so many at most, so long at most, and no longer than they must.

mod world;

use std::net::TcpListener;

use gapless_model::{HoldLimits, Millis};
use gapless_routing::{Fallback, Intake};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use world::{Client, Instance, Plan, World, get, ok, post, until};

fn holding(plan: Plan, requests_max: u32, wait_max: u64) -> Plan {
    Plan { intake: Intake::Hold, hold: HoldLimits { requests_max, wait_max: Millis(wait_max) }, ..plan }
}

fn held(world: &World) -> u64 {
    world.plane.workers().iter().map(|worker| worker.counts().holding.read()).sum()
}

#[test]
fn held_requests_are_served_in_order_when_the_hold_ends() {
    let instance = Instance::named("a");
    let mut world = World::new(&holding(Plan::of(&[&instance]), 100, 60_000));
    let mut clients: Vec<Client> = Vec::new();
    for number in 0..40 {
        let mut client = world.client();
        client.send(post(&format!("/{number}"), "body"));
        until("it is held", || held(&world) == number + 1);
        clients.push(client);
    }
    assert_eq!(instance.count(), 0);
    let mut plan = Plan::of(&[&instance]);
    plan.policy.replay_bytes_max = 0;
    world.install(&plan);
    for client in &mut clients {
        assert_eq!(client.answer().text(), "a");
    }
    assert_eq!(held(&world), 0);
    assert_eq!(world.ends(40), "2xx:40");
    let ledger = world.ledger();
    assert_eq!((ledger.held, ledger.held_us.total()), (40, 40));
    assert!(ledger.held_longest_us > 0);
}

#[test]
fn dispatch_follows_the_order_of_arrival() {
    // One connection at a time to an instance that takes its time shows the order of dispatch.
    let instance = Instance::named("a");
    let mut world = World::new(&holding(Plan::of(&[&instance]), 100, 60_000));
    let mut clients: Vec<Client> = Vec::new();
    for number in 0..10 {
        let mut client = world.client();
        client.send(get(&format!("/{number}")));
        until("it is held", || held(&world) == number + 1);
        clients.push(client);
        // Waits are told in milliseconds: apart from one another, so that they differ by who came first.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    world.install(&Plan::of(&[&instance]));
    clients.iter_mut().for_each(|client| assert_eq!(client.answer().status(), 200));
    let records: Vec<String> = {
        let mut all: Vec<_> = world.records.try_iter().collect();
        until("all are logged", || {
            all.extend(world.records.try_iter());
            all.len() == 10
        });
        all.sort_by_key(|record| record.held_us);
        all.into_iter().map(|record| record.target).collect()
    };
    assert_eq!(records.first().map(String::as_str), Some("/9"), "the last to come waits the shortest");
}

#[test]
fn a_full_hold_answers_503_and_a_wait_has_an_end() {
    let instance = Instance::named("a");
    let world = World::new(&holding(Plan::of(&[&instance]), 2, 2_000));
    let mut waiting: Vec<Client> = Vec::new();
    for number in 0..2 {
        let mut client = world.client();
        client.send(get("/"));
        until("it is held", || held(&world) == number + 1);
        waiting.push(client);
    }
    let answer = world.client().ask(get("/"));
    assert_eq!((answer.status(), answer.line("x-gapless-reason")), (503, Some("hold_full")));
    for client in &mut waiting {
        let answer = client.answer();
        assert_eq!((answer.status(), answer.line("x-gapless-reason")), (503, Some("hold_timeout")));
        client.send(get("/"));
    }
    assert_eq!(world.ends(3), "by_us.hold_full:1 by_us.hold_timeout:2");
    assert_eq!(instance.count(), 0);
}

#[test]
fn a_client_that_leaves_the_queue_is_forgotten() {
    let instance = Instance::named("a");
    let mut world = World::new(&holding(Plan::of(&[&instance]), 10, 60_000));
    let mut client = world.client();
    client.send(get("/"));
    until("it is held", || held(&world) == 1);
    client.reset();
    until("it is forgotten", || held(&world) == 0);
    world.install(&Plan::of(&[&instance]));
    assert_eq!(world.client().ask(get("/")).status(), 200);
    assert_eq!(world.ends(2), "2xx:1 client_left:1");
    assert_eq!(instance.count(), 1);
}

#[test]
fn a_request_waits_for_an_instance_that_takes_no_connections_yet() {
    let address = world::nobody();
    let mut plan = Plan::at(&[address]);
    plan.hold = HoldLimits { requests_max: 10, wait_max: Millis(60_000) };
    let world = World::new(&plan);
    let mut clients: Vec<Client> = Vec::new();
    for number in 0..3 {
        let mut client = world.client();
        client.send(post("/", "body"));
        until("it is held", || held(&world) == number + 1);
        clients.push(client);
    }
    let instance = Instance::start_on(TcpListener::bind(address).unwrap(), |_, connection, requests| {
        while let Some(request) = connection.message() {
            requests.lock().unwrap().push(request);
            connection.send(ok("back"));
        }
    });
    for client in &mut clients {
        assert_eq!(client.answer().text(), "back");
    }
    assert_eq!(instance.count(), 3);
    assert_eq!(world.ends(3), "2xx:3");
}

#[test]
fn an_instance_that_never_comes_back_ends_the_wait_with_its_failure() {
    let mut plan = Plan::at(&[world::nobody()]);
    plan.hold = HoldLimits { requests_max: 10, wait_max: Millis(300) };
    let world = World::new(&plan);
    let answer = world.client().ask(get("/"));
    assert_eq!((answer.status(), answer.line("x-gapless-reason")), (502, Some("connect_failed")));
    assert_eq!(world.ends(1), "by_us.connect_failed:1");
    assert_eq!(world.ledger().held, 1);
}

#[test]
fn a_service_without_instances_gives_its_operators_answer() {
    let fallback = Fallback {
        status: 503,
        content_type: "text/html".into(),
        body: "<p>back soon</p>".into(),
        retry_after_s: Some(30),
    };
    let plan = Plan { fallback: Some(fallback), ..Plan::at(&[]) };
    let world = World::new(&plan);
    let mut client = world.client();
    for _ in 0..2 {
        let answer = client.ask(get("/"));
        assert_eq!(
            (answer.status(), answer.line("retry-after"), answer.text().as_str()),
            (503, Some("30"), "<p>back soon</p>")
        );
    }
    assert_eq!(world.ends(2), "by_us.fallback:2");
}

#[test]
fn the_health_path_is_answered_while_requests_are_held_and_only_for_as_long_as_they_may_wait() {
    let instance = Instance::named("a");
    let mut world = World::new(&holding(Plan::of(&[&instance]), 10, 60_000));
    let mut client = world.client();
    let answer = client.ask(get("/healthz?from=outside"));
    assert_eq!((answer.status(), answer.line("x-gapless-reason")), (200, Some("held_health")));
    assert_eq!(held(&world), 0, "it does not wait");
    // They stay: whoever leaves does not wait.
    let mut waiting: Vec<Client> = Vec::new();
    for (number, other) in [get("/healthz/deep"), post("/healthz", "body")].into_iter().enumerate() {
        let mut client = world.client();
        client.send(other);
        until("what is no question for its health waits", || held(&world) == number as u64 + 1);
        waiting.push(client);
    }
    world.install(&Plan::of(&[&instance]));
    assert_eq!(client.ask(get("/healthz")).text(), "a", "while the service serves, an instance answers");

    let lasting = World::new(&holding(Plan::of(&[&instance]), 10, 300));
    assert_eq!(lasting.client().ask(get("/")).status(), 503, "it waited as long as it may");
    assert_eq!(lasting.client().ask(get("/healthz")).status(), 503, "an outage that lasts is told");
    let unheld = World::new(&holding(Plan::of(&[&instance]), 0, 60_000));
    assert_eq!(unheld.client().ask(get("/healthz")).status(), 503, "nobody may wait");
}

#[test]
fn requests_that_keep_arriving_do_not_stop_the_release_of_those_that_wait() {
    const HELD: usize = 300;
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let pace = std::time::Duration::from_millis(1);
    // It takes nobody's first request for done before all have come, so that each has a connection of its own that is kept.
    let all = std::sync::Barrier::new(HELD);
    let instance = Instance::answering(move |request| {
        if request.start().contains("/first") {
            all.wait();
        }
        std::thread::sleep(20 * pace);
        ok("a")
    });
    let hold = HoldLimits { requests_max: 10_000, wait_max: Millis(600_000) };
    let serving = Plan { hold, ..Plan::of(&[&instance]) };
    let mut world = World::new(&serving);
    let mut clients: Vec<Client> = (0..HELD).map(|_| world.client()).collect();
    clients.iter_mut().for_each(|client| client.send(get("/first")));
    clients.iter_mut().for_each(|client| assert_eq!(client.answer().text(), "a"));
    world.install(&holding(Plan::of(&[&instance]), hold.requests_max, hold.wait_max.0));
    clients.iter_mut().for_each(|client| client.send(get("/")));
    until("all are held", || held(&world) == HELD as u64);

    let mut newcomers: Vec<Client> = (0..HELD).map(|_| world.client()).collect();
    let arriving = std::thread::spawn(move || {
        for client in &mut newcomers {
            client.send(get("/"));
            std::thread::sleep(pace);
        }
        newcomers
    });
    world.install(&serving);
    clients.extend(arriving.join().unwrap());
    for client in &mut clients {
        assert_eq!(client.answer().text(), "a");
    }
    assert_eq!(world.ends(3 * HELD as u64), format!("2xx:{}", 3 * HELD));
}
