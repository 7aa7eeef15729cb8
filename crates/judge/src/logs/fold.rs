//! Folding: which lines without a header belong to the line before them.
//!
//! Knows the stack traces of Java, Python, Go, Rust and Node. A small machine: what kind of trace is open decides what may
//! continue it. When in doubt a line stands for itself: a line too many is seen, a line swallowed is not.

use super::exception::class_at_start;

/// The kind of trace a record is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trace {
    /// None so far.
    #[default]
    None,
    /// Java's, .NET's or Node's: lines with `at`.
    Frames,
    /// Inside a Python traceback, before the line with the exception.
    Python,
    /// After that line.
    PythonEnded,
    /// Go's goroutines.
    Go,
    /// A Rust panic whose message is still to come.
    RustMessage,
    /// A Rust panic after its message.
    Rust,
    /// Node's report of an uncaught exception, before the line with the exception.
    Node,
}

/// What a line without a header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Belongs to the open record and says nothing new.
    Continues,
    /// Belongs to the open record and names its exception: takes the place of the message when the record began with
    /// the trace.
    NamesException,
    /// Belongs to the open record and continues its message (Rust's panic message).
    ExtendsMessage,
    /// Begins a record of its own.
    Begins,
    /// Begins a record of its own: a crash.
    BeginsCrash,
}

/// Decides on one line. `open`: there is a record it could belong to. `headed`: the source writes headers, so that an
/// indented line without one is a continuation.
pub fn role_of(line: &[u8], trace: &mut Trace, open: bool, headed: bool) -> Role {
    let trimmed = line.trim_ascii();
    if trimmed.is_empty() {
        return Role::Continues;
    }
    if let Some((begun, role)) = beginning(line, *trace, open && headed) {
        *trace = begun;
        return role;
    }
    if !open {
        return Role::Begins;
    }
    let indented = line[0] == b' ' || line[0] == b'\t';
    if is_frame(trimmed, indented) {
        if *trace == Trace::None {
            *trace = Trace::Frames;
        }
        return Role::Continues;
    }
    match *trace {
        // The exception on a line of its own under the line that reports it.
        Trace::None if headed && !indented && !class_at_start(trimmed).is_empty() => {
            *trace = Trace::Frames;
            return Role::NamesException;
        }
        Trace::RustMessage => {
            *trace = Trace::Rust;
            return Role::ExtendsMessage;
        }
        Trace::Python if !indented => {
            *trace = Trace::PythonEnded;
            return Role::NamesException;
        }
        Trace::Node if !indented && !class_at_start(trimmed).is_empty() => {
            *trace = Trace::Frames;
            return Role::NamesException;
        }
        Trace::Go if continues_go(trimmed, indented) => return Role::Continues,
        Trace::Rust if trimmed.starts_with(b"note: ") || trimmed.starts_with(b"stack backtrace:") => {
            return Role::Continues;
        }
        Trace::Frames | Trace::Node if closes_block(trimmed) || trimmed.starts_with(b"Node.js v") => {
            return Role::Continues;
        }
        _ => {}
    }
    if indented && (headed || *trace != Trace::None) { Role::Continues } else { Role::Begins }
}

/// Lines that open a trace, whatever came before. `reported`: a line with a header may have announced it.
fn beginning(line: &[u8], trace: Trace, reported: bool) -> Option<(Trace, Role)> {
    let role = |crash: bool| match (reported && trace == Trace::None, crash) {
        (true, false) => Role::Continues,
        (_, _) => Role::BeginsCrash,
    };
    if line.starts_with(b"Traceback (most recent call last)") || line.starts_with(b"  + Exception Group Traceback") {
        let chained = matches!(trace, Trace::Python | Trace::PythonEnded);
        return Some((Trace::Python, if chained { Role::Continues } else { role(false) }));
    }
    if matches!(trace, Trace::PythonEnded)
        && (line.starts_with(b"During handling of the above") || line.starts_with(b"The above exception was"))
    {
        return Some((Trace::Python, Role::Continues));
    }
    if line.starts_with(b"thread '") && memchr::memmem::find(line, b"panicked at ").is_some() {
        let message_follows = memchr::memmem::find(line, b"panicked at '").is_none();
        return Some((if message_follows { Trace::RustMessage } else { Trace::Rust }, Role::BeginsCrash));
    }
    if line.starts_with(b"panic: ") || line.starts_with(b"fatal error: ") {
        return Some((Trace::Go, if trace == Trace::Go { Role::Continues } else { Role::BeginsCrash }));
    }
    if line.starts_with(b"goroutine ") && (reported || trace == Trace::Go) {
        return Some((Trace::Go, Role::Continues));
    }
    if line.starts_with(b"Exception in thread ") {
        return Some((Trace::Frames, Role::BeginsCrash));
    }
    let node_location = (line[0] == b'/' || line.starts_with(b"file://") || line.starts_with(b"node:"))
        && memchr::memrchr(b':', line).is_some_and(|colon| {
            colon + 1 < line.len() && line[colon + 1..].iter().all(u8::is_ascii_digit) && !line.contains(&b' ')
        });
    node_location.then_some((Trace::Node, Role::BeginsCrash))
}

/// Lines that are part of a stack trace by their looks.
fn is_frame(trimmed: &[u8], indented: bool) -> bool {
    if trimmed.starts_with(b"Caused by: ") || trimmed.starts_with(b"Suppressed: ") {
        return true;
    }
    if !indented {
        return false;
    }
    let numbered = || {
        let digits = trimmed.iter().take_while(|byte| byte.is_ascii_digit()).count();
        digits > 0 && trimmed[digits..].starts_with(b": ")
    };
    trimmed.starts_with(b"at ")
        || trimmed.starts_with(b"File \"")
        || trimmed.starts_with(b"... ")
        || trimmed.iter().all(|byte| matches!(byte, b'^' | b'~' | b' '))
        || numbered()
}

fn continues_go(trimmed: &[u8], indented: bool) -> bool {
    indented
        || trimmed.starts_with(b"created by ")
        || trimmed.starts_with(b"[signal ")
        || trimmed.starts_with(b"exit status ")
        || trimmed.ends_with(b")")
        || trimmed.ends_with(b"...")
}

/// The end of an object Node prints after a trace.
fn closes_block(trimmed: &[u8]) -> bool {
    trimmed.len() <= 3 && trimmed.iter().all(|byte| matches!(byte, b'}' | b']' | b')' | b',' | b'{'))
}
