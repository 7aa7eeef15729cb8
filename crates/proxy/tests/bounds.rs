//! What a process may use: descriptors enough for the instances of whoever was accepted, and memory only for as long as it is needed.
//!
//! The proxy runs in a process of its own, which is this program again with one test: limits and memory are a process's.

mod world;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use gapless_model::Millis;
use gapless_proxy::data::Settings;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use world::{Client, Instance, PATIENCE, Plan, World, get, ok, until};

const INSTANCE: &str = "GAPLESS_TEST_INSTANCE";
const DESCRIPTORS: &str = "GAPLESS_TEST_DESCRIPTORS";
const RESPONSE_TIMEOUT: &str = "GAPLESS_TEST_RESPONSE_TIMEOUT";
const SETTINGS_AGAIN: &str = "GAPLESS_TEST_SETTINGS_AGAIN";

/// The part of the other process. Does nothing unless it is that.
#[test]
fn proxy_in_a_process_of_its_own() {
    let Ok(instance) = std::env::var(INSTANCE) else { return };
    let maximum = getrlimit(Resource::Nofile).maximum;
    let wanted = std::env::var(DESCRIPTORS).ok().map(|count| count.parse().unwrap());
    setrlimit(Resource::Nofile, Rlimit { current: wanted.or(maximum), maximum }).unwrap();
    let mut plan = Plan::at(&[instance.parse().unwrap()]);
    if let Ok(milliseconds) = std::env::var(RESPONSE_TIMEOUT) {
        plan.policy.response_timeout = Millis(milliseconds.parse().unwrap());
    }
    let world = World::with(&plan, Settings::default(), 1);
    if std::env::var_os(SETTINGS_AGAIN).is_some() {
        // As with each session of a controller.
        world.plane.set(Settings::default(), None);
    }
    println!("\nlistening {}", world.address);
    let _until_the_parent_ends = std::io::stdin().read_to_end(&mut Vec::new());
}

struct Proxy {
    child: Child,
    address: SocketAddr,
    _ends_with_this: ChildStdin,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxy {
    fn start(instance: SocketAddr, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "proxy_in_a_process_of_its_own", "--nocapture"]).env(INSTANCE, instance.to_string());
        command.envs(environment.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut found =
            lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("listening ").map(str::to_owned));
        let address = found.next().expect("it listens").parse().unwrap();
        // What it prints later goes nowhere.
        std::thread::spawn(move || found.for_each(drop));
        let stdin = child.stdin.take().unwrap();
        Self { child, address, _ends_with_this: stdin }
    }

    /// The memory it has in use, in bytes.
    fn resident(&self) -> usize {
        let text = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap();
        text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap() * rustix::param::page_size()
    }
}

#[test]
fn whoever_was_accepted_reaches_an_instance_however_few_descriptors_there_are() {
    serves_all_with(&[(DESCRIPTORS, "64")]);
}

#[test]
fn settings_that_come_later_leave_descriptors_for_the_instances_too() {
    serves_all_with(&[(DESCRIPTORS, "64"), (SETTINGS_AGAIN, "1")]);
}

fn serves_all_with(environment: &[(&str, &str)]) {
    let instance = Instance::answering(|_| {
        std::thread::sleep(Duration::from_millis(20));
        ok("served")
    });
    let proxy = Proxy::start(instance.address, environment);
    let mut clients: Vec<Client> = (0..150).map(|_| Client::connect(proxy.address)).collect();
    let request = "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n";
    clients.iter_mut().for_each(|client| client.send(request));
    let answers: Vec<u16> = clients.iter_mut().map(|client| client.answer().status()).collect();
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 150, "{answers:?}");
}

#[test]
fn memory_is_given_back_after_a_burst() {
    const CONNECTIONS: usize = 2_000;
    const MEBIBYTE: usize = 1 << 20;
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    if maximum.is_some_and(|most| most < 3 * CONNECTIONS as u64) {
        eprintln!("passed over: this machine allows too few descriptors for a burst");
        return;
    }
    let proxy = Proxy::start(Instance::named("a").address, &[]);
    for _ in 0..100 {
        assert_eq!(Client::connect(proxy.address).ask(get("/")).status(), 200);
    }
    let before = proxy.resident();
    let part = format!("GET / HTTP/1.1\r\nHost: shop.test\r\nX: {}", "x".repeat(20_000));
    let burst: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|_| {
            let mut stream = TcpStream::connect(proxy.address).unwrap();
            stream.write_all(part.as_bytes()).unwrap();
            stream
        })
        .collect();
    until("the burst is in memory", || proxy.resident() > before + CONNECTIONS * 15_000);
    let during = proxy.resident();
    drop(burst);
    let deadline = std::time::Instant::now() + PATIENCE;
    let mut after = during;
    while after > before + 12 * MEBIBYTE && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
        after = proxy.resident();
    }
    let mebibytes = [before, during, after].map(|bytes| bytes / MEBIBYTE);
    assert!(after <= before + 12 * MEBIBYTE, "MiB before, during and after the burst: {mebibytes:?}");
}

#[test]
fn a_proxy_that_was_stopped_reads_what_came_before_it_judges_who_is_late() {
    const CLIENTS: usize = 300;
    let (told, has) = std::sync::mpsc::channel();
    let (told, answered) = (Mutex::new(told), Arc::new(Barrier::new(CLIENTS + 1)));
    let go = Arc::clone(&answered);
    let instance = Instance::start(move |_, connection, _| {
        connection.head();
        told.lock().unwrap().send(()).unwrap();
        go.wait();
        connection.send(ok("in time"));
        connection.rest();
    });
    let proxy = Proxy::start(instance.address, &[(RESPONSE_TIMEOUT, "3000")]);
    // Connections first, so that requests are not late before the proxy is stopped.
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::connect(proxy.address)).collect();
    clients.iter_mut().for_each(|client| client.send(get("/")));
    (0..CLIENTS).for_each(|_| has.recv_timeout(PATIENCE).unwrap());
    let child = Pid::from_child(&proxy.child);
    kill_process(child, Signal::STOP).unwrap();
    answered.wait();
    // Far longer than an answer may take.
    std::thread::sleep(Duration::from_millis(4_500));
    kill_process(child, Signal::CONT).unwrap();
    for client in &mut clients {
        let answer = client.answer();
        assert_eq!((answer.status(), answer.text().as_str()), (200, "in time"));
    }
}
