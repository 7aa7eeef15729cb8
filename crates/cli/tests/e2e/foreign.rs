//! Whose answer it is: clients of an application that breaks HTTP's framing get their own answers all the same.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::world::{PATIENCE, Service, World, found};

/// How long each attack lasts.
const ATTACK: Duration = Duration::from_secs(3);

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n";

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the proxy listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// Reads one answer with a `Content-Length`; its body, or none when the connection ended.
fn answer(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut room = [0; 4_096];
    loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            let end = at + 4 + length.unwrap_or(0);
            if bytes.len() >= end {
                return Some(String::from_utf8_lossy(&bytes[at + 4..]).into_owned());
            }
        }
        match stream.read(&mut room) {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&room[..count]),
        }
    }
}

/// One attack, from a new connection.
fn attack(address: SocketAddr, how: &str) {
    let mut stream = connect(address);
    let mut say = |text: &str| stream.write_all(text.as_bytes()).is_ok();
    match how {
        "late" => {
            say(&format!("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {}\r\n\r\n", SMUGGLED.len()));
            let (early, late) = SMUGGLED.split_at(SMUGGLED.len() / 2);
            std::thread::sleep(Duration::from_millis(3));
            say(early);
            std::thread::sleep(Duration::from_millis(3));
            say(late);
            std::thread::sleep(Duration::from_millis(10));
        }
        "whole" => {
            say(&format!("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len()));
            let _ = answer(&mut stream);
        }
        "head" => {
            say("HEAD /any HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n");
            let _ = stream.read(&mut [0; 4_096]);
        }
        path => {
            say(&format!("GET /{path} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"));
            let _ = stream.read(&mut [0; 4_096]);
        }
    }
}

/// Asks for a path of its own again and again while others attack; how many answers there were, and how many were not its own.
fn victims(address: SocketAddr, how: &str) -> (usize, usize) {
    let (asked, foreign) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let over = AtomicBool::new(false);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    attack(address, how);
                }
            });
        }
        let victims: Vec<_> = (0..4)
            .map(|victim| {
                let (asked, foreign) = (&asked, &foreign);
                scope.spawn(move || {
                    let mut kept = None;
                    for number in 0.. {
                        if began.elapsed() > ATTACK {
                            return;
                        }
                        let stream = kept.get_or_insert_with(|| connect(address));
                        let path = format!("/own/{how}/{victim}/{number}");
                        let sent = write!(stream, "GET {path} HTTP/1.1\r\nHost: shop.test\r\n\r\n").is_ok();
                        let got = if sent { answer(stream) } else { None };
                        asked.fetch_add(1, Ordering::Relaxed);
                        if got.as_deref().is_some_and(|body| body != path && !body.starts_with("502 ")) {
                            eprintln!("{path} was answered {got:?}");
                            foreign.fetch_add(1, Ordering::Relaxed);
                        }
                        // Every other request comes from a new client.
                        if number % 2 == 0 || got.is_none() {
                            kept = None;
                        }
                    }
                })
            })
            .collect();
        victims.into_iter().for_each(|victim| victim.join().expect("a victim"));
        over.store(true, Ordering::Relaxed);
    });
    (asked.into_inner(), foreign.into_inner())
}

#[test]
fn clients_of_an_application_that_reads_no_bodies_and_writes_too_many_get_their_own_answers() {
    let Some(python) = found("python3") else { return };
    let service = Service {
        command: format!("[\"{}\", \"unread.py\"]", python.display()),
        files: vec![("unread.py", include_str!("services/unread.py").into())],
        more: String::new(),
    };
    let world = World::up();
    world.assert_done(&world.deploy(&service, "1.0", "rolling"));
    for how in ["late", "204", "304", "head", "whole", "short"] {
        let (asked, foreign) = victims(world.listen, how);
        assert!(asked >= 20, "{how}: only {asked} requests");
        assert_eq!(foreign, 0, "{how}: {foreign} of {asked} answers were meant for somebody else");
    }
}
