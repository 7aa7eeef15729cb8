//! Tables change and proxies go away, and nobody who was being served notices.

mod world;

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use gapless_model::Millis;
use gapless_proxy::seam::{Command, Event};
use world::{Instance, Plan, World, get, ok, post, until};

/// An instance that answers each request when told to; `/now` at once.
fn paced(name: &'static str) -> (Instance, Sender<()>) {
    let (go, wait) = channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let instance = Instance::start(move |_, connection, requests| {
        while let Some(request) = connection.message() {
            let now = request.start().contains("/now");
            requests.lock().unwrap().push(request);
            if !now && wait.lock().unwrap().recv().is_err() {
                return;
            }
            connection.send(ok(name));
        }
    });
    (instance, go)
}

#[test]
fn a_new_table_takes_an_instance_out_of_load_while_its_requests_run_to_their_end() {
    let (old, go) = paced("old");
    let new = Instance::named("new");
    let mut world = World::new(&Plan::of(&[&old]));
    let slot = world.slot(old.address);
    let mut slow = world.client();
    let mut idle = world.client();
    assert_eq!(idle.ask(get("/now")).text(), "old");
    // The answer is there a moment before the count: it must not be taken for the next request's.
    until("the first is done", || world.plane.in_flight_on(slot) == 0);
    slow.send(post("/slow", "body"));
    until("it is in flight", || world.plane.in_flight_on(slot) == 1);

    world.install(&Plan::of(&[&new]));
    assert_eq!(world.plane.in_flight_on(slot), 1, "counted though the table has the instance no more");
    assert_eq!(idle.ask(get("/now")).text(), "new", "a kept client connection goes on with the new instance");
    until("idle connections to the old instance are closed", || {
        world.plane.workers()[0].counts().upstream_connections.read() == 2
    });
    go.send(()).unwrap();
    assert_eq!(slow.answer().text(), "old");
    until("nothing is in flight", || world.plane.in_flight_on(slot) == 0);
    assert_eq!(slow.ask(get("/now")).text(), "new");
    assert_eq!(old.count(), 2);
    assert_eq!(world.ends(4), "2xx:4");
    until("the old instance has no connection", || {
        world.plane.workers()[0].counts().upstream_connections.read() == new.connection_count() as u64
    });
}

#[test]
fn a_stream_of_events_is_told_apart_from_requests_that_end() {
    let (stop, wait) = channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let instance = Instance::start(move |_, connection, _| {
        while let Some(request) = connection.message() {
            if !request.start().contains("/events") {
                connection.send(ok("page"));
                continue;
            }
            connection.send("HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n");
            connection.send("6\r\ndata:\n\r\n");
            let _told = wait.lock().unwrap().recv();
            connection.send("0\r\n\r\n");
        }
    });
    let world = World::new(&Plan::of(&[&instance]));
    let slot = world.slot(instance.address);
    let mut client = world.client();
    assert_eq!(client.ask(get("/")).text(), "page");
    until("a page has ended", || (world.plane.in_flight_on(slot), world.plane.lasting_on(slot)) == (0, 0));
    client.send(get("/events"));
    assert!(client.head().is_some());
    until("it lasts", || (world.plane.in_flight_on(slot), world.plane.lasting_on(slot)) == (1, 1));
    stop.send(()).unwrap();
    until("it has ended", || (world.plane.in_flight_on(slot), world.plane.lasting_on(slot)) == (0, 0));
    assert_eq!(world.ends(2), "2xx:2");
}

#[test]
fn tables_swapped_under_load_lose_nothing_and_an_acknowledged_table_is_obeyed() {
    let instances: Vec<Instance> = vec![Instance::named("0"), Instance::named("1")];
    let mut world = World::with(&Plan::of(&[&instances[0]]), gapless_proxy::data::Settings::default(), 2);
    let (stop, stopped) = channel::<()>();
    let stopped = Arc::new(Mutex::new(stopped));
    let clients: Vec<_> = (0..6)
        .map(|number| {
            let mut client = world.client();
            let stopped = Arc::clone(&stopped);
            std::thread::spawn(move || {
                let mut asked = 0u64;
                while stopped.lock().unwrap().try_recv().is_err() {
                    let request = if number % 2 == 0 { get("/") } else { post("/", "once") };
                    assert_eq!(client.ask(request).status(), 200);
                    asked += 1;
                }
                asked
            })
        })
        .collect();
    for round in 0..60 {
        let chosen = &instances[round % 2];
        let other = &instances[(round + 1) % 2];
        world.install(&Plan::of(&[chosen]));
        if round > 0 {
            let slot = world.slot(other.address);
            until("the instance that left is drained", || world.plane.in_flight_on(slot) == 0);
            let before = other.count();
            assert_eq!(world.client().ask(get("/")).text(), (round % 2).to_string());
            assert_eq!(other.count(), before, "a drained instance gets nothing");
        }
    }
    (0..clients.len()).for_each(|_| stop.send(()).unwrap());
    let asked: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum::<u64>() + 59;
    assert_eq!(world.ends(asked), format!("2xx:{asked}"));
    assert_eq!((instances[0].count() + instances[1].count()) as u64, asked);
}

#[test]
fn an_older_table_is_not_applied() {
    let new = Instance::named("new");
    let mut world = World::new(&Plan::of(&[&new]));
    let version = world.install(&Plan::of(&[&new]));
    world.plane.install(&Arc::new(gapless_routing::Table::empty()));
    assert_eq!(world.client().ask(get("/")).text(), "new");
    assert_eq!(world.plane.applied(), Some(version));
}

#[test]
fn a_proxy_that_goes_away_never_closes_an_idle_connection_first_and_ends_it_with_the_next_answer() {
    let (instance, go) = paced("a");
    let world = World::new(&Plan::of(&[&instance]));
    let mut idle = world.client();
    assert_eq!(idle.ask(get("/now")).line("connection"), None);
    let slot = world.slot(instance.address);
    // The answer is there a moment before the count: it must not be taken for the next request's, whose connection would then
    // still wait to be accepted when the listening socket is closed.
    until("the first is done", || world.plane.in_flight_on(slot) == 0);
    let mut slow = world.client();
    slow.send(get("/slow"));
    until("it is in flight", || world.plane.in_flight_on(slot) == 1);

    world.plane.post_all(|| Command::Drain { within: Millis(60_000) });
    // The threads hold the only copies of the socket: a refused connection proves that the order was carried out, whereas one that is not
    // served yet may only wait for a thread that has not had the processor.
    until("nobody listens", || std::net::TcpStream::connect(world.address).is_err());
    let answer = idle.ask(get("/now"));
    assert_eq!((answer.text().as_str(), answer.line("connection")), ("a", Some("close")));
    assert!(idle.is_ended());
    go.send(()).unwrap();
    let answer = slow.answer();
    assert_eq!((answer.text().as_str(), answer.line("connection")), ("a", Some("close")));
    drop((idle, slow));
    until("the thread says that it is done", || world.events.try_iter().any(|event| event == Event::Drained));
    assert_eq!(world.ends(3), "2xx:3");
}

#[test]
fn what_is_left_at_the_end_of_a_proxys_drain_is_cut_and_counted() {
    let (instance, go) = paced("a");
    let world = World::new(&Plan::of(&[&instance]));
    let mut slow = world.client();
    slow.send(get("/slow"));
    until("it is in flight", || world.plane.in_flight_on(world.slot(instance.address)) == 1);
    world.plane.post_all(|| Command::Drain { within: Millis(200) });
    let answer = slow.answer();
    assert_eq!((answer.status(), answer.line("x-gapless-reason")), (503, Some("quitting")));
    assert_eq!(world.ends(1), "by_us.quitting:1");
    drop(go);
}

#[test]
fn a_request_that_its_instance_drops_after_its_drain_deadline_is_lost_by_us() {
    for (begun, ends) in [(true, "cut.drain_deadline:1"), (false, "by_us.drain_deadline:1")] {
        let (stop, stopped) = channel::<()>();
        let stopped = Mutex::new(stopped);
        let old = Instance::start(move |_, connection, requests| {
            let Some(request) = connection.message() else { return };
            requests.lock().unwrap().push(request);
            if begun {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart");
            }
            let _ = stopped.lock().unwrap().recv();
        });
        let mut plan = Plan::of(&[&old]);
        plan.policy.drain_timeout = Millis(200);
        let mut world = World::new(&plan);
        let mut client = world.client();
        client.send(post("/long", "body"));
        until("it is in flight", || old.count() == 1);
        world.install(&Plan::of(&[&Instance::named("new")]));
        std::thread::sleep(std::time::Duration::from_millis(400));
        stop.send(()).unwrap();
        if begun {
            assert!(client.rest().ends_with(b"part"), "the cut is seen");
        } else {
            let answer = client.answer();
            assert_eq!((answer.status(), answer.line("x-gapless-reason")), (503, Some("drain_deadline")));
        }
        assert_eq!(world.ends(1), ends);
        world.settled();
    }
}

#[test]
fn a_request_that_its_instance_drops_before_its_drain_deadline_is_failed_by_the_service() {
    let (stop, stopped) = channel::<()>();
    let stopped = Mutex::new(stopped);
    let old = Instance::start(move |_, connection, requests| {
        let Some(request) = connection.message() else { return };
        requests.lock().unwrap().push(request);
        let _ = stopped.lock().unwrap().recv();
    });
    let mut world = World::new(&Plan::of(&[&old]));
    let mut client = world.client();
    client.send(post("/long", "body"));
    until("it is in flight", || old.count() == 1);
    world.install(&Plan::of(&[&Instance::named("new")]));
    stop.send(()).unwrap();
    assert_eq!(client.answer().line("x-gapless-reason"), Some("instance_closed"));
    assert_eq!(world.ends(1), "by_us.instance_closed:1");
}

#[test]
fn a_stream_of_events_has_the_time_of_tunnels_before_its_end_is_our_doing() {
    let (stop, wait) = channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let instance = Instance::start(move |_, connection, _| {
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        let _told = wait.lock().unwrap().recv();
    });
    let mut plan = Plan::of(&[&instance]);
    (plan.policy.drain_timeout, plan.policy.tunnel_drain_timeout) = (Millis::ZERO, Millis(600_000));
    let mut world = World::new(&plan);
    let mut client = world.client();
    client.send(get("/events"));
    assert!(client.head().is_some());
    world.install(&Plan::of(&[&Instance::named("new")]));
    stop.send(()).unwrap();
    assert!(client.is_ended());
    assert_eq!(world.ends(1), "cut.instance_closed:1");
}

/// A client that has its whole answer while its own body is unfinished, at a proxy that is told to go.
fn answered_early_while(order: impl Fn(&World)) -> String {
    let instance = Instance::start(|_, connection, _| {
        connection.head();
        connection.send(ok("early"));
        connection.rest();
    });
    let world = World::new(&Plan::of(&[&instance]));
    let mut client = world.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 1000\r\n\r\nhalf");
    assert_eq!(client.answer().text(), "early");
    order(&world);
    world.ends(1)
}

#[test]
fn a_proxy_that_ends_cuts_nobody_who_has_his_whole_answer() {
    let drained = answered_early_while(|world| world.plane.post_all(|| Command::Drain { within: Millis(50) }));
    assert_eq!(drained, "2xx:1");
    let stopped = answered_early_while(|world| world.plane.post_all(|| Command::Stop));
    assert_eq!(stopped, "2xx:1");
}
