//! What a controller and a proxy say can fail nothing; what breaks a part of them ends them whole, and they are started again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::world::{PATIENCE, Service, World, kill};

/// One request over a connection of its own; whether it was answered 200 in time.
fn answered(world: &World) -> bool {
    let within = Duration::from_secs(5);
    let ask = || -> std::io::Result<[u8; 12]> {
        let mut connection = TcpStream::connect(world.listen)?;
        connection.set_read_timeout(Some(within))?;
        connection.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        connection.read_exact(&mut head)?;
        Ok(head)
    };
    ask().is_ok_and(|head| &head == b"HTTP/1.1 200")
}

fn replaced_when_killed(world: &World) {
    let (id, pid) = world.live().into_iter().next().expect("an instance in load");
    kill(pid);
    world.eventually("the killed instance is replaced", || {
        let live = world.live();
        live.len() == 3 && live.iter().all(|(other, _)| *other != id)
    });
}

#[test]
fn a_controller_whose_talk_nobody_reads_goes_on() {
    let mut world = World::down();
    let stderr = world.start_controller_with_pipe(&[("GAPLESS_LOG", "debug")]);
    let mut lines = BufReader::new(stderr);
    let mut line = String::new();
    while !line.contains("ready: ") {
        line.clear();
        assert_ne!(lines.read_line(&mut line).expect("a line"), 0, "the controller ends");
    }
    drop(lines); // as `tee` that is killed
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    replaced_when_killed(&world);
    assert!(!world.controller_ended());
}

#[test]
fn a_controller_whose_talk_is_read_by_nobody_who_lives_goes_on() {
    let mut world = World::down();
    // A pipe that is open and never read: it is full after 64 KiB.
    let _unread = world.start_controller_with_pipe(&[("GAPLESS_LOG", "trace")]);
    world.eventually("the controller answers", || world.gapless(&["status", "--json"]).code == 0);
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    for _ in 0..200 {
        assert!(answered(&world));
    }
    replaced_when_killed(&world);
}

#[test]
fn a_proxy_whose_log_cannot_be_written_goes_on() {
    let mut world = World::down();
    std::fs::create_dir_all(world.state()).expect("a state folder");
    std::os::unix::fs::symlink("/dev/full", world.state().join("proxy.log")).expect("a link");
    world.start_controller(&[]);
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    let proxy = world.proxy_pid();
    replaced_when_killed(&world); // the proxy has something to say
    assert!(answered(&world));
    assert_eq!(world.proxy_pid(), proxy, "the proxy lives");
    kill(proxy);
    world.eventually("another proxy answers", || answered(&world) && world.proxy_pid() != proxy);
}

/// A worker thread breaks at its thirtieth connection; the process ends and the next one answers all.
fn a_broken_worker_ends_its_process(how: &str) {
    let mut world = World::down();
    world.start_controller(&[("GAPLESS_CRASH_AT", &format!("worker:{how}:30"))]);
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    let proxy = world.proxy_pid();
    let deadline = Instant::now() + PATIENCE;
    // The kernel spreads new connections over the threads.
    while world.proxy_pid() == proxy {
        assert!(Instant::now() < deadline, "the process goes on without a worker\n{}", world.log());
        for _ in 0..10 {
            let _lost_with_the_worker = answered(&world);
        }
    }
    for number in 0..10 {
        assert!(answered(&world), "connection {number} after the proxy came back\n{}", world.log());
    }
    let deployed = world.deploy(&Service::sample(&[]), "1.1", "rolling");
    assert_eq!(deployed.code, 0, "tables are taken again: {}", world.tell(&deployed));
}

#[test]
fn a_worker_thread_that_panics_ends_its_proxy_and_the_next_one_answers() {
    a_broken_worker_ends_its_process("panic");
}

#[test]
fn a_worker_thread_that_ends_ends_its_proxy_and_the_next_one_answers() {
    a_broken_worker_ends_its_process("end");
}
