//! What a long-running process says on its standard error, said so that saying can fail nothing.
//!
//! A full disk, a disk turned read-only, a terminal or `tee` that is gone, a reader that stopped reading: a line that cannot be written is dropped and
//! counted, and the process goes on. So nothing in a controller, proxy or keeper prints by `eprintln!`, which panics when it cannot.
//!
//! **Invariant T1**: nobody waits for a line to be written: after [`begin`] lines wait in a bounded queue for a thread of their own. Before it, and in a
//! process that never calls it (a keeper, which has one thread), the wait is bounded.
//! **Invariant T2**: a panic of any thread or task ends the process ([`end_on_panic`]): half a process is worse than none, which its parent starts again.

use std::fmt;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Lines that may wait for the disk or the reader: a burst, not an hour.
const LINES_MAX: usize = 4_096;

/// The longest that the end of a process waits for its last words to be written.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How long a line waits for a standard error that takes nothing now (a pipe whose reader is stopped) before it is dropped.
const STALLED: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

static DROPPED: AtomicU64 = AtomicU64::new(0);
static QUEUE: OnceLock<SyncSender<Word>> = OnceLock::new();

enum Word {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

/// Standard error as a writer that never fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct Talk;

impl io::Write for Talk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        hand_over(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines (or parts of lines) that could not be written since the process began.
#[must_use]
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Says one line.
pub fn say(line: impl fmt::Display) {
    hand_over(format!("{line}\n").as_bytes());
}

/// Begins to write lines by a thread of their own. Without the thread (the system gives none) they are written where they are said.
pub fn begin() {
    let (queue, words) = sync_channel(LINES_MAX);
    let started = std::thread::Builder::new().name("talk".into()).spawn(move || write_all(&words));
    if started.is_ok() {
        let _already = QUEUE.set(queue);
    }
}

/// Waits, for a bounded time, until what was said is written: before the process ends.
pub fn finish() {
    if let Some(queue) = QUEUE.get() {
        let (written, all) = sync_channel(1);
        if queue.try_send(Word::Flush(written)).is_ok() {
            let _late = all.recv_timeout(LAST_WORDS);
        }
    }
}

/// From here on a panic of any thread or task says what happened and ends the process by SIGABRT, instead of ending that thread alone.
pub fn end_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed").to_owned();
        say(format_args!("BUG: thread '{name}' {panic}\n{}", std::backtrace::Backtrace::capture()));
        finish();
        std::process::abort();
    }));
}

fn hand_over(bytes: &[u8]) {
    let said = match QUEUE.get() {
        Some(queue) => queue.try_send(Word::Line(bytes.to_vec())).is_ok(),
        None => write(bytes).is_ok(),
    };
    if !said {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

fn write_all(words: &Receiver<Word>) {
    while let Ok(word) = words.recv() {
        match word {
            Word::Line(bytes) => {
                if write(&bytes).is_err() {
                    DROPPED.fetch_add(1, Ordering::Relaxed);
                }
            }
            Word::Flush(written) => drop(written.try_send(())),
        }
    }
}

/// Writes to standard error, waiting a bounded time each time it takes nothing.
fn write(mut bytes: &[u8]) -> io::Result<()> {
    let stderr = rustix::stdio::stderr();
    while !bytes.is_empty() {
        let mut polled = [PollFd::new(&stderr, PollFlags::OUT)];
        match poll(&mut polled, Some(&STALLED)) {
            Ok(0) => return Err(io::ErrorKind::WouldBlock.into()),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        // A pipe that polls as writable has room for a page: more than that might wait.
        match rustix::io::write(stderr, &bytes[..bytes.len().min(PIPE_ROOM)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// `PIPE_BUF` of Linux.
const PIPE_ROOM: usize = 4_096;
