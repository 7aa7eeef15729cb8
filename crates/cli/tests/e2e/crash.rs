//! `kill -9` of the controller at its journal's records, and of the proxy under load.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use gapless_load::Run;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::clients::{assert_nothing_lost, brisk, end, until_under_way};
use crate::world::{PATIENCE, Service, World, kill, quick};

/// The commits of a controller, counted from its start, at which it dies in turn, before and after: the first ones are its taking over,
/// then comes the rollout. A blue-green one of three instances makes about as many, a rolling one more.
const COMMITS: u32 = 18;
/// How many of them a rollout has to reach at least: over both strategies well above the twenty that are promised.
const REACHED_MIN: usize = 13;

fn service() -> Service {
    Service::sample(&[]).with("[strategy]\nobserve = \"100ms\"\nbake = \"200ms\"\n")
}

/// Deploys again and again, each time with a controller that dies at a commit of its own and is started again as a supervisor would.
fn sweep(strategy: &str) {
    let commits: Vec<u32> = if quick() { vec![5, 7, 10] } else { (1..=COMMITS).collect() };
    let mut world = World::up();
    world.assert_done(&world.deploy(&service(), "1.0", "rolling"));
    let mut reached = 0;
    for (number, commit) in commits.iter().enumerate() {
        let side = if number % 2 == 0 { "before" } else { "after" };
        let crash_at = format!("{commit}:{side}");
        let label = format!("1.{}", number + 1);
        if survives_a_crash(&mut world, strategy, &label, &crash_at) {
            reached += 1;
        }
    }
    assert!(reached >= REACHED_MIN.min(commits.len()), "only {reached} of {} points were reached", commits.len());
}

/// One deploy whose controller dies at one point; whether it reached that point.
fn survives_a_crash(world: &mut World, strategy: &str, label: &str, crash_at: &str) -> bool {
    world.kill_controller();
    let load = Run::start(brisk(world, &format!("to-{label}"))).expect("load");
    until_under_way(&load);
    world.start_crashing_controller(crash_at);
    let folder = world.release(&service(), label);
    let from = folder.to_str().expect("a path in UTF-8").to_owned();
    let order = ["deploy", "shop", "--label", label, "--from", &from, "--strategy", strategy, "--detach"];
    let (mut crashed, mut ordered) = (false, false);
    let deadline = Instant::now() + PATIENCE;
    loop {
        if world.controller_ended() {
            assert!(!crashed, "the controller ended twice, told to crash at {crash_at}\n{}", world.log());
            crashed = true;
            world.start_controller(&[]);
        }
        // An order that the crash swallowed is given again, as a person or a pipeline would; one that was taken is not.
        ordered = ordered || is_known(world, label) || world.gapless(&order).code == 0;
        if ordered && is_current(world, label) {
            break;
        }
        assert!(Instant::now() < deadline, "told to crash at {crash_at}, crashed: {crashed}\n{}", world.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    if !crashed {
        // The rollout's end may be the point: the rest is asked of a controller that stays.
        crashed = world.controller_ended();
        world.kill_controller();
        world.start_controller(&[]);
    }
    world.eventually("three instances are in load", || world.live().len() == 3);
    assert_nothing_lost(&end(load), &[label]);
    assert_no_instance_twice(world, crash_at);
    assert_receipt_is_whole(world, label, crash_at);
    eprintln!(
        "{strategy}, told to crash at {crash_at}: {}",
        if crashed { "crashed and went on" } else { "not reached" }
    );
    crashed
}

/// The rollout that a crash cut in two has one receipt, from its begin to its end.
fn assert_receipt_is_whole(world: &World, label: &str, crash_at: &str) {
    let last = || serde_json::from_str(&world.gapless(&["receipt", "shop", "--json"]).stdout).unwrap_or(Value::Null);
    world.eventually("the receipt is written", || last()["rollout"]["to"] == label);
    let receipt = last();
    let count = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("no count in {receipt:#}"));
    let answered: u64 = receipt["releases"].as_array().into_iter().flatten().map(|of| count(&of["answered"])).sum();
    let others: u64 = ["answered_by_us", "client_left", "cut"].iter().map(|end| count(&receipt[*end])).sum();
    assert!(answered > 0, "after a crash at {crash_at}: {receipt:#}");
    assert_eq!(answered + others, count(&receipt["requests"]), "after a crash at {crash_at}: {receipt:#}");
    assert_eq!(receipt["complete"], true, "after a crash at {crash_at}: {receipt:#}");
    assert_eq!(receipt["failed_by_us"], 0, "after a crash at {crash_at}: {receipt:#}");
}

fn is_known(world: &World, label: &str) -> bool {
    world.gapless(&["releases", "shop", "--json"]).stdout.contains(&format!("\"{label}\""))
}

fn is_current(world: &World, label: &str) -> bool {
    let ended = world.gapless(&["status", "--json"]);
    let Ok(status) = serde_json::from_str::<serde_json::Value>(&ended.stdout) else { return false };
    let situation = &status["services"][0]["situation"];
    situation["kind"] == "settled" && situation["current"] == label
}

/// Sample services that run on this machine: exactly those that are in load.
fn assert_no_instance_twice(world: &World, crash_at: &str) {
    world.eventually("the instances of the release before are gone", || {
        sample_services(world) == 3 || world.status()["services"][0]["situation"]["kind"] != "settled"
    });
    assert_eq!(sample_services(world), 3, "instances after a crash at {crash_at}: {:#}", world.status());
}

fn sample_services(world: &World) -> usize {
    let needle = world.seen().display().to_string();
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    entries
        .filter(|entry| {
            let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
            let line = String::from_utf8_lossy(&read("cmdline")).into_owned();
            line.split('\0').nth(1) == Some("sample-service")
                && String::from_utf8_lossy(&read("environ")).contains(&needle)
        })
        .count()
}

#[test]
fn a_rolling_deploy_survives_the_kill_of_the_controller_at_its_records() {
    sweep("rolling");
}

#[test]
fn a_blue_green_deploy_survives_the_kill_of_the_controller_at_its_records() {
    sweep("blue-green");
}

#[test]
fn a_killed_proxy_refuses_nobody_and_is_back_with_its_last_table() {
    let world = World::up();
    world.assert_done(&world.deploy(&service(), "1.0", "rolling"));
    let load = Run::start(brisk(&world, "proxy")).expect("load");
    until_under_way(&load);
    let pid = world.proxy_pid();
    let killed_at = load.snapshot().scheduled;
    kill(pid);
    assert!(load.wait_until(PATIENCE, |sums| sums.scheduled >= killed_at + 600), "{:#?}", load.snapshot());
    let sums = end(load);
    assert_eq!(sums.lost_by.get("refused"), None, "a new connection waits, it is not refused: {:?}", sums.lost_by);
    assert_eq!(sums.lost_by.get("timed-out"), None, "{:?}", sums.lost_by);
    assert_eq!(sums.lost_by.get("status-5xx"), None, "it is back with its table: {:?}", sums.lost_by);
    let first = sums.incidents.iter().map(|incident| incident.at_ms).min().unwrap_or(0);
    let last = sums.incidents.iter().map(|incident| incident.at_ms).max().unwrap_or(0);
    eprintln!("{} requests lost within {} ms; the slowest took {} ms", sums.lost, last - first, sums.latency.max_ms);
    assert!(last - first <= 1_000, "only the requests it held are lost: {:#?}", sums.incidents);
    assert_ne!(world.proxy_pid(), pid);
}

/// Lets a process end as if it had failed by itself.
fn fail(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process id")).expect("a process id");
    kill_process(pid, Signal::ABORT).expect("SIGABRT");
}

#[test]
fn requests_wait_while_all_instances_are_started_again() {
    let world = World::up();
    // Long enough for the table without instances to be in use, and for a request to meet it.
    let service = service().with("[restart]\nbackoff_min = \"3s\"\n");
    world.assert_done(&world.deploy(&service, "1.0", "rolling"));
    // As a program that fails by itself: what was killed from outside is started again at once.
    world.live().into_iter().for_each(|(_, pid)| fail(pid));
    world.eventually("no instance is in load", || world.live().is_empty());
    world.eventually("the proxy knows", || {
        let proxy = &world.status()["proxies"][0];
        proxy["table_applied"] == proxy["table_wanted"]
    });
    let mut connection = TcpStream::connect(world.listen).expect("a connection");
    connection.set_read_timeout(Some(PATIENCE)).expect("a bound");
    connection.write_all(b"POST /waits HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").expect("a request");
    world.eventually("it is held", || world.status()["proxies"][0]["held"] == 1);
    let mut answer = [0; 12];
    connection.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200", "{}", world.log());
}

#[test]
fn traffic_goes_on_while_the_controller_is_gone() {
    let mut world = World::up();
    world.assert_done(&world.deploy(&service(), "1.0", "rolling"));
    let load = Run::start(brisk(&world, "alone")).expect("load");
    until_under_way(&load);
    world.kill_controller();
    let now = load.snapshot().answered;
    assert!(load.wait_until(PATIENCE, |sums| sums.answered >= now + 300), "{:#?}", load.snapshot());
    world.start_controller(&[]);
    world.assert_done(&world.deploy(&service(), "1.1", "rolling"));
    assert_nothing_lost(&end(load), &["1.0", "1.1"]);
}
