//! Lines a second of one core, from bytes to counted signatures.

use gapless_judge::logs::{Reader, Side, Tally};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use std::fmt::Write;

/// Lines in memory for one run.
const LINES: usize = 200_000;
/// Runs; the best counts, since everything that disturbs only slows.
const RUNS: usize = 7;
/// Bytes handed over at once, as a pipe would.
const CHUNK_BYTES: usize = 64 * 1024;

/// The speed for one format.
#[derive(Debug, Serialize)]
pub struct Speed {
    format: &'static str,
    lines_per_second: f64,
    megabytes_per_second: f64,
    bytes_per_line: f64,
    signatures: usize,
}

/// Measures every format.
pub fn measure() -> Vec<Speed> {
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: the speeds below mean nothing; use cargo run --release -p xtask");
    }
    let formats: [(&'static str, Generator); 5] =
        [("log4j", log4j), ("syslog", syslog), ("access", access), ("json", json), ("logfmt", logfmt)];
    eprintln!("{:<14} {:>12} {:>8} {:>12}", "format", "lines/s", "MB/s", "bytes/line");
    formats.map(|(format, line)| one(format, line)).into()
}

/// Gives the line of an index.
type Generator = fn(usize) -> String;

fn one(format: &'static str, line: Generator) -> Speed {
    let mut text = String::new();
    for index in 0..LINES {
        text.push_str(&line(index));
        text.push('\n');
    }
    let mut best = f64::INFINITY;
    let mut signatures = 0;
    for _ in 0..RUNS {
        let start = thread_seconds();
        let mut tally = Tally::new();
        let mut reader = Reader::default();
        for chunk in text.as_bytes().chunks(CHUNK_BYTES) {
            reader.push(chunk, |record| {
                tally.add(Side::Current, record);
            });
        }
        reader.finish(|record| {
            tally.add(Side::Current, record);
        });
        signatures = tally.signatures().len();
        best = best.min(thread_seconds() - start);
    }
    let speed = Speed {
        format,
        lines_per_second: LINES as f64 / best,
        megabytes_per_second: text.len() as f64 / best / 1e6,
        bytes_per_line: text.len() as f64 / LINES as f64,
        signatures,
    };
    eprintln!(
        "{:<14} {:>12.0} {:>8.0} {:>12.0}",
        format, speed.lines_per_second, speed.megabytes_per_second, speed.bytes_per_line
    );
    speed
}

/// CPU time of this thread: the machine may be shared.
fn thread_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

const VERBS: [&str; 8] = ["accepted", "stored", "forwarded", "rejected", "queued", "expired", "retried", "finished"];
const THINGS: [&str; 6] = ["order", "payment", "session", "message", "upload", "connection"];

/// One of 48 messages with a number, an address and an id.
fn message(index: usize) -> String {
    let mut text = String::new();
    let (verb, thing) = (VERBS[index % 8], THINGS[index / 8 % 6]);
    let _ = write!(
        text,
        "{thing} {:08x} {verb} from 10.{}.{}.{}:{} in {} ms",
        index.wrapping_mul(2_654_435_761),
        index % 7,
        index % 251,
        index % 241,
        1024 + index % 50_000,
        index % 997
    );
    text
}

fn clock(index: usize) -> String {
    format!("{:02}:{:02}:{:02}", index / 3600 % 24, index / 60 % 60, index % 60)
}

fn log4j(index: usize) -> String {
    let level = ["INFO ", "INFO ", "DEBUG", "WARN ", "ERROR"][index % 5];
    format!(
        "2024-05-01 {},{:03} {level} [worker-{}] com.example.shop.Service: {}",
        clock(index),
        index % 1000,
        index % 16,
        message(index)
    )
}

fn syslog(index: usize) -> String {
    format!("May  1 {} web-1 shopd[{}]: {}", clock(index), 1000 + index % 9, message(index))
}

fn access(index: usize) -> String {
    let status = [200, 200, 200, 304, 404, 500][index % 6];
    format!(
        "10.0.{}.{} - - [01/May/2024:{} +0000] \"GET /items/{index}?page={} HTTP/1.1\" {status} {} \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\"",
        index % 250,
        index % 240,
        clock(index),
        index % 9,
        index % 5000
    )
}

fn level(index: usize) -> &'static str {
    ["info", "info", "debug", "warn", "error"][index % 5]
}

fn json(index: usize) -> String {
    let level = level(index);
    format!(
        "{{\"time\":\"2024-05-01T{}.{:03}Z\",\"level\":\"{level}\",\"logger\":\"shop.service\",\"msg\":\"{}\",\"request\":{{\"id\":\"{:016x}\",\"path\":\"/items/{index}\"}},\"took_ms\":{}}}",
        clock(index),
        index % 1000,
        message(index),
        index.wrapping_mul(40_503),
        index % 90
    )
}

fn logfmt(index: usize) -> String {
    let level = level(index);
    format!(
        "time=2024-05-01T{}Z level={level} logger=shop msg=\"{}\" took={}ms",
        clock(index),
        message(index),
        index % 90
    )
}
