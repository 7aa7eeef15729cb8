//! One proxy takes another's place: told to end, killed or frozen, clients do not notice, and no rollout takes silence for consent.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

use gapless_load::{Connections, Kind, Plan, Run};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::clients::{assert_nothing_lost, brisk, end, get, until_under_way};
use crate::world::{Ended, PATIENCE, Service, World, kill};

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process id")).expect("a process id");
    kill_process(pid, signal).expect("a signal");
}

fn proxies(world: &World) -> Vec<Value> {
    world.status()["proxies"].as_array().cloned().unwrap_or_default()
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn websockets(world: &World) -> Run {
    let lifetime = Duration::from_secs(250);
    let kind = Kind::WebSocket { every: Duration::from_millis(200), lifetime };
    let mut plan = Plan::new(world.listen).with(kind, Connections::New, 10.0, "/ws");
    plan.duration = Duration::from_secs(300);
    let run = Run::start(plan).expect("load");
    assert!(run.wait_until(PATIENCE, |sums| sums.websockets.opened >= 10), "{:#?}", run.snapshot());
    run
}

#[test]
fn a_proxy_told_to_end_with_websockets_open_makes_nobody_wait() {
    let world = World::up();
    let service = Service::sample(&[]).with("[traffic]\ntunnel_drain_timeout = \"3s\"\n");
    world.assert_done(&world.deploy(&service, "1.0", "rolling"));
    let open = websockets(&world);
    let load = Run::start(brisk(&world, "takeover")).expect("load");
    until_under_way(&load);
    let before = world.proxy_pid();
    let now = load.snapshot().scheduled;
    signal(before, Signal::TERM);
    world.eventually("another proxy serves", || world.proxy_pid() != before);
    assert!(is_alive(before), "the one before drains while its WebSockets are open");
    let both = proxies(&world);
    assert_eq!(both.len(), 2, "both are members: {both:#?}");
    assert!(load.wait_until(PATIENCE, |sums| sums.scheduled >= now + 600), "{:#?}", load.snapshot());
    let sums = end(load);
    assert_nothing_lost(&sums, &["1.0"]);
    assert!(sums.latency.max_ms < 5_000.0, "nobody waits for the drain: {} ms", sums.latency.max_ms);
    // A rollout meanwhile waits for both, and for no more.
    world.assert_done(&world.deploy(&service, "1.1", "rolling"));
    end(open);
    world.eventually("the one before is gone when its WebSockets are", || proxies(&world).len() == 1);
}

#[test]
fn ten_takeovers_in_a_row_lose_nothing() {
    let world = World::up();
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    let load = Run::start(brisk(&world, "takeovers")).expect("load");
    until_under_way(&load);
    for _ in 0..10 {
        let before = world.proxy_pid();
        signal(before, Signal::TERM);
        world.eventually("another proxy serves", || world.proxy_pid() != before);
        world.eventually("the one before is gone", || !is_alive(before));
    }
    assert_nothing_lost(&end(load), &["1.0"]);
}

/// An upload of which the end never comes, to an instance through the proxy that is frozen then.
fn upload_under_way(world: &World) -> TcpStream {
    let mut connection = TcpStream::connect(world.listen).expect("a connection");
    connection.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\nhalf").expect("half a request");
    world.eventually("the upload is in flight", || world.status()["proxies"][0]["in_flight"] == 1);
    connection
}

#[test]
fn a_frozen_proxy_is_replaced_and_no_rollout_says_that_it_failed_nothing() {
    let world = World::up();
    let service = Service::sample(&[]).with("[traffic]\ndrain_timeout = \"2s\"\ntunnel_drain_timeout = \"2s\"\n");
    world.assert_done(&world.deploy(&service, "1.0", "rolling"));
    let _upload = upload_under_way(&world);
    let frozen = world.proxy_pid();
    signal(frozen, Signal::STOP);
    world.eventually("another proxy answers in its place", || {
        get(&world, Duration::from_secs(3)).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    });
    world.eventually_warned(&["has not answered", &frozen.to_string()]);
    let order = world.deploy_detached(&service, "1.1");
    assert_eq!(order.code, 0, "{}", world.tell(&order));
    let until = Instant::now() + Duration::from_secs(4); // more than the drain's deadline: a wrong machine would be done
    while Instant::now() < until {
        let situation = world.status()["services"][0]["situation"].clone();
        assert_eq!(situation["kind"], "rollout", "the frozen proxy has acknowledged nothing: {situation:#}");
        std::thread::sleep(Duration::from_millis(200));
    }
    signal(frozen, Signal::CONT);
    world.eventually("it goes on when the proxy wakes up", || {
        let situation = &world.status()["services"][0]["situation"];
        situation["kind"] == "settled" && situation["current"] == "1.1"
    });
    world.eventually("its receipt says who did not tell its counts at the begin", || {
        world.gapless(&["receipt", "shop"]).stdout.contains("did not tell its counts")
    });
}

#[test]
fn a_proxy_frozen_after_it_acknowledged_leaves_a_receipt_that_says_what_is_not_known() {
    let world = World::up();
    // One table switches everything: a proxy that is frozen behind it has nothing more to acknowledge.
    let service = Service::sample(&[])
        .with("[traffic]\ndrain_timeout = \"8s\"\ntunnel_drain_timeout = \"2s\"\n")
        .with("[strategy]\nkind = \"blue-green\"\nbake = \"500ms\"\n");
    world.assert_done(&world.deploy(&service, "1.0", "blue-green"));
    let _upload = upload_under_way(&world);
    let frozen = world.proxy_pid();
    let order = world.deploy_beside(&service, "1.1");
    world.eventually("the table is acknowledged, and the upload alone is waited for", || {
        world.status()["services"][0]["waits"].to_string().contains("\"drained\"")
    });
    signal(frozen, Signal::STOP);
    world.eventually("the rollout ends", || world.status()["services"][0]["situation"]["kind"] != "rollout");
    let ended = Ended::of(order);
    assert_eq!(ended.code, 9, "what it cost is not known: {}", world.tell(&ended));
    assert!(ended.stderr.contains("what it cost is not known whole"), "{}", world.tell(&ended));
    let receipt = world.receipt();
    assert_eq!(receipt["complete"], false, "{receipt:#}");
    assert!(receipt["unknown"][0].as_str().is_some_and(|text| text.contains("1 requests in flight")), "{receipt:#}");
    let shown = world.gapless(&["receipt", "shop"]);
    assert!(shown.stdout.contains("not counted: proxy"), "{}", shown.stdout);
    signal(frozen, Signal::KILL);
}

#[test]
fn a_proxy_that_is_frozen_while_the_controller_restarts_still_counts() {
    let mut world = World::up();
    let service = Service::sample(&[]).with("[traffic]\ndrain_timeout = \"2s\"\n");
    world.assert_done(&world.deploy(&service, "1.0", "rolling"));
    let frozen = world.proxy_pid();
    signal(frozen, Signal::STOP);
    world.eventually("another proxy serves", || world.proxy_pid() != frozen);
    world.kill_controller();
    world.start_controller(&[]);
    let known = |world: &World| proxies(world).iter().any(|proxy| proxy["pid"] == frozen);
    assert!(known(&world), "it is on record: {:#?}", proxies(&world));
    let order = world.deploy_detached(&service, "1.1");
    assert_eq!(order.code, 0, "{}", world.tell(&order));
    world.eventually("the rollout waits for every proxy", || {
        world.status()["services"][0]["waits"].to_string().contains("applied")
    });
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        let live = world.live();
        assert!(
            live.iter().filter(|(id, _)| id.contains(".r1.")).count() == 3,
            "the old release is left alone: {live:?}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    kill(frozen);
    world.eventually("the rollout goes on when the process is known to be gone", || {
        let situation = &world.status()["services"][0]["situation"];
        situation["kind"] == "settled" && situation["current"] == "1.1"
    });
    assert!(!known(&world));
}

#[test]
fn a_controller_starts_beside_its_only_proxy_that_is_frozen_and_takes_its_connections_over() {
    let mut world = World::up();
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    let frozen = world.proxy_pid();
    // Nobody is left who could have started another.
    world.kill_controller();
    signal(frozen, Signal::STOP);
    world.start_controller(&[]);
    world.eventually_warned(&["has not answered", &format!("kill -KILL {frozen}")]);
    world.eventually("another proxy serves", || world.proxy_pid() != frozen);
    for _ in 0..20 {
        let answer = get(&world, PATIENCE).expect("an answer: no connection waits for the frozen one");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let order = world.deploy_detached(&Service::sample(&[]), "1.1");
    assert_eq!(order.code, 0, "{}", world.tell(&order));
    world.eventually("the rollout waits for every proxy", || {
        world.status()["services"][0]["waits"].to_string().contains("applied")
    });
    kill(frozen);
    world.eventually("the rollout goes on when the process is known to be gone", || {
        let situation = &world.status()["services"][0]["situation"];
        situation["kind"] == "settled" && situation["current"] == "1.1"
    });
}

#[test]
fn settings_hold_for_a_proxy_that_is_taken_over_and_those_that_cannot_are_said() {
    let mut world = World::up();
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    let proxy = world.proxy_pid();
    world.stop_controller();
    world.configure_proxy("threads = 3\naccess_log = \"access.jsonl\"\nhead_timeout = \"500ms\"\n");
    world.start_controller(&[]);
    assert_eq!(world.proxy_pid(), proxy, "the proxy is the one from before");
    assert!(get(&world, PATIENCE).expect("an answer").starts_with("HTTP/1.1 200"));
    let log = world.state().join("proxy/access.jsonl");
    world.eventually("the request is in the access log", || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains("GET"))
    });
    let mut slow = TcpStream::connect(world.listen).expect("a connection");
    slow.set_read_timeout(Some(Duration::from_secs(8))).expect("a bound");
    slow.write_all(b"GET / HTTP/1.1\r\n").expect("half a head");
    let mut answer = String::new();
    slow.read_to_string(&mut answer).expect("the new time-out holds, not the ten seconds from before");
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    world.eventually_warned(&["runs 2 threads", &format!("kill -TERM {proxy}")]);
    signal(proxy, Signal::TERM);
    world.eventually("another proxy serves", || world.proxy_pid() != proxy);
    world.eventually("nothing is to be said any more", || {
        proxies(&world).len() == 1 && !world.warnings().contains("threads")
    });
}

/// A line of `/proc/PID/status`.
fn status_of(pid: u32, line: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
    line.expect("a line").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_proxy_has_no_right_that_it_does_not_need() {
    let mut world = World::down();
    world.start_controller(&[("CLOUD_SECRET_KEY", "hunter2"), ("GAPLESS_LOG", "info")]);
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    let proxy = world.proxy_pid();
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status_of(proxy, set), "0000000000000000", "{set}");
    }
    assert_eq!(status_of(proxy, "NoNewPrivs"), "1");
    let environment = fs::read(format!("/proc/{proxy}/environ")).expect("its environment");
    let environment = String::from_utf8_lossy(&environment).into_owned();
    assert!(environment.contains("GAPLESS_LOG") && !environment.contains("hunter2"), "{environment}");
    let folder = fs::symlink_metadata(world.state().join("proxy")).expect("its folder");
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    if rustix::process::geteuid().is_root() {
        assert_eq!(status_of(proxy, "CapBnd"), "0000000000000000");
        let expected = number_of("gapless-proxy").unwrap_or(65_525);
        assert_eq!(status_of(proxy, "Uid"), [expected; 4].map(|number| number.to_string()).join(" "));
        assert_eq!(status_of(proxy, "Groups"), "");
        assert_eq!(folder.uid(), expected);
    } else {
        eprintln!("not root: the proxy runs as this user, and gives away what it can");
    }
    kill(proxy);
    world.eventually("the next one finds its table", || get(&world, PATIENCE).is_ok() && world.proxy_pid() != proxy);
    assert!(world.state().join("proxy/table.json").exists());
}

fn number_of(user: &str) -> Option<u32> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let line = passwd.lines().find_map(|line| line.strip_prefix(user)?.strip_prefix(':'))?;
    line.split(':').nth(1)?.parse().ok()
}
