//! The reader: bytes in, records out.
//!
//! A record is a line and what was folded into it. The reader holds the first lines back until it has seen enough of them
//! to recognise the headers ([`SAMPLE_LINES`]), or until it is told to go on ([`Reader::settle`]).
//!
//! Bad input: a line longer than `LINE_BYTES_MAX` is cut; a line of control bytes becomes a record of format `Binary`
//! with the message `<binary>`; invalid UTF-8 is read as letters; empty lines are no records. Nothing panics.

use super::exception::{class_at_start, class_within};
use super::fields::{Fields, unescape_into};
use super::fold::{Role, Trace, role_of};
use super::header::{Header, Headers, is_indented_header};
use super::json::read_json;
use super::lines::Lines;
use super::logfmt::read_logfmt;
use super::scan::MESSAGE_BYTES_MAX;
use super::{Severity, units};
use std::ops::Range;

/// So many lines are looked at to recognise the headers …
pub const SAMPLE_LINES: usize = 4096;
/// … or so many bytes, whichever is reached first.
pub const SAMPLE_BYTES: usize = 1024 * 1024;
/// Lines folded into one record, at most; further ones begin a new record.
pub const FOLDED_LINES_MAX: u32 = 4096;

/// What kind of line a record was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Plain text, with or without a header.
    Text,
    /// One JSON object.
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// Control bytes; the message is `<binary>`.
    Binary,
}

/// A log line, read, with what was folded into it.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// What it says of itself; `None` when it does not.
    pub severity: Option<Severity>,
    /// Empty where there is none.
    pub logger: &'a [u8],
    /// Class of the exception, error or panic; empty where there is none.
    pub exception: &'a [u8],
    /// The message, header stripped.
    pub message: &'a [u8],
    /// The whole first line, without colour escapes.
    pub raw: &'a [u8],
    /// Number of its first line in the stream, from 0. Empty lines count.
    pub line: u64,
    /// Lines it consists of, the first included.
    pub lines: u32,
    /// How it was read.
    pub format: Format,
    /// Whether the first line was cut.
    pub cut: bool,
}

/// Reads one stream of log lines.
#[derive(Debug, Default)]
pub struct Reader {
    lines: Lines,
    parser: Parser,
}

impl Reader {
    /// A reader that knows the headers already, of an earlier stream of the same source.
    pub fn with_headers(headers: Headers) -> Reader {
        Reader { lines: Lines::default(), parser: Parser { headers: Some(headers), ..Parser::default() } }
    }

    /// Takes a chunk, wherever it is cut, and calls back with every record that is complete.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(&Record<'_>)) {
        let Reader { lines, parser } = self;
        lines.push(chunk, |line, cut| parser.line(line, cut, &mut each));
    }

    /// Goes on with what there is: recognises the headers on the lines seen so far and calls back with every record,
    /// the open one included. For streams that are slow; lines that come later cannot be folded into an earlier record.
    pub fn settle(&mut self, mut each: impl FnMut(&Record<'_>)) {
        self.parser.settle(&mut each);
        self.parser.close(&mut each);
    }

    /// Ends the stream.
    pub fn finish(mut self, mut each: impl FnMut(&Record<'_>)) -> Headers {
        let Reader { lines, parser } = &mut self;
        lines.finish(|line, cut| parser.line(line, cut, &mut each));
        parser.settle(&mut each);
        parser.close(&mut each);
        self.parser.headers.unwrap_or_default()
    }
}

/// Where a part of the open record stands.
#[derive(Debug, Default, Clone)]
enum Part {
    #[default]
    None,
    /// In the raw line.
    Raw(Range<usize>),
    /// In the buffer kept for it.
    Own,
}

/// The record that may still grow.
#[derive(Debug, Default)]
struct Open {
    raw: Vec<u8>,
    severity: Option<Severity>,
    logger: Range<usize>,
    exception: Vec<u8>,
    message: Part,
    own: Vec<u8>,
    line: u64,
    lines: u32,
    format: Option<Format>,
    cut: bool,
    /// The header stood on a line of its own; the next line has the message.
    awaits_message: bool,
    /// … because that is how this source writes.
    led: bool,
    /// The message ends with a bracket that later lines close.
    in_block: bool,
    /// It began with a stack trace: the line that names the exception becomes its message.
    began_with_trace: bool,
}

#[derive(Debug, Default)]
struct Parser {
    headers: Option<Headers>,
    sample: Vec<u8>,
    sample_ends: Vec<(usize, bool)>,
    open: Open,
    trace: Trace,
    uncoloured: Vec<u8>,
    line_number: u64,
}

impl Parser {
    #[inline]
    fn line(&mut self, line: &[u8], cut: bool, each: &mut impl FnMut(&Record<'_>)) {
        if self.headers.is_some() {
            self.read(line, cut, each);
            return;
        }
        self.sample.extend_from_slice(line);
        self.sample_ends.push((self.sample.len(), cut));
        if self.sample_ends.len() >= SAMPLE_LINES || self.sample.len() >= SAMPLE_BYTES {
            self.settle(each);
        }
    }

    fn settle(&mut self, each: &mut impl FnMut(&Record<'_>)) {
        if self.headers.is_some() || self.sample_ends.is_empty() {
            return;
        }
        let sample = std::mem::take(&mut self.sample);
        let ends = std::mem::take(&mut self.sample_ends);
        let mut from = 0;
        let mut lines: Vec<(&[u8], bool)> = Vec::with_capacity(ends.len());
        for (end, cut) in ends {
            lines.push((&sample[from..end], cut));
            from = end;
        }
        let mut buffers: Vec<Vec<u8>> = Vec::new();
        for (line, _) in &lines {
            if memchr::memchr(0x1b, line).is_some() {
                let mut plain = Vec::new();
                without_colour(line, &mut plain);
                buffers.push(plain);
            } else {
                buffers.push(line.to_vec());
            }
        }
        let plain: Vec<&[u8]> = buffers.iter().map(Vec::as_slice).collect();
        self.headers = Some(Headers::recognise(&plain));
        for (line, cut) in lines {
            self.read(line, cut, each);
        }
    }

    #[inline]
    fn read(&mut self, line: &[u8], cut: bool, each: &mut impl FnMut(&Record<'_>)) {
        let number = self.line_number;
        self.line_number += 1;
        let line = if number == 0 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
        if memchr::memchr(0x1b, line).is_some() {
            let mut plain = std::mem::take(&mut self.uncoloured);
            without_colour(line, &mut plain);
            self.read_plain(&plain, cut, number, each);
            self.uncoloured = plain;
        } else {
            self.read_plain(line, cut, number, each);
        }
    }

    #[inline]
    fn read_plain(&mut self, line: &[u8], cut: bool, number: u64, each: &mut impl FnMut(&Record<'_>)) {
        let Some(&first) = line.first() else {
            self.open.lines += u32::from(self.open.format.is_some());
            return;
        };
        if is_binary(line) {
            self.begin(b"", number, cut, Format::Binary, each);
            self.open.own.clear();
            self.open.own.extend_from_slice(b"<binary>");
            self.open.message = Part::Own;
            return;
        }
        if first == b'{'
            && let Some(fields) = read_json(line)
        {
            self.structured(line, fields, Header::default(), cut, number, Format::Json, each);
            return;
        }
        let headers = self.headers.take().unwrap_or_default();
        let indented = first == b' ' || first == b'\t';
        let header = if indented && !is_indented_header(line) { None } else { headers.read(line) };
        let leads = header.is_some_and(|header| header.leads);
        match header {
            _ if self.open.led && self.open.awaits_message && !leads => self.take_message(line),
            Some(header) => self.headed(line, header, cut, number, each),
            None => self.headless(line, !headers.is_bare(), cut, number, each),
        }
        self.headers = Some(headers);
    }

    /// A line with a header begins a record, always.
    #[inline]
    fn headed(&mut self, line: &[u8], header: Header<'_>, cut: bool, number: u64, each: &mut impl FnMut(&Record<'_>)) {
        let message = &line[header.message..];
        match message.first() {
            Some(b'{') => {
                if let Some(fields) = read_json(message) {
                    return self.structured(line, fields, header, cut, number, Format::Json, each);
                }
            }
            Some(letter)
                if letter.is_ascii_lowercase() && memchr::memchr(b'=', &message[..message.len().min(32)]).is_some() =>
            {
                if let Some(fields) = read_logfmt(message) {
                    return self.structured(line, fields, header, cut, number, Format::Logfmt, each);
                }
            }
            _ => {}
        }
        self.begin(line, number, cut, Format::Text, each);
        self.open.awaits_message = message.is_empty();
        self.open.led = header.leads;
        self.open.severity = header.severity.or_else(|| severity_of_message(message));
        self.open.logger = range_within(line, header.logger);
        self.open.message = Part::Raw(header.message..line.len());
        self.look_for_exception(message);
    }

    fn headless(&mut self, line: &[u8], headed: bool, cut: bool, number: u64, each: &mut impl FnMut(&Record<'_>)) {
        if line[0].is_ascii_lowercase()
            && memchr::memchr(b'=', &line[..line.len().min(32)]).is_some()
            && let Some(fields) = read_logfmt(line)
        {
            return self.structured(line, fields, Header::default(), cut, number, Format::Logfmt, each);
        }
        if self.open.awaits_message {
            return self.take_message(line);
        }
        let open = self.open.format.is_some() && self.open.lines < FOLDED_LINES_MAX;
        if open && self.open.in_block && self.continue_block(line) {
            return;
        }
        match role_of(line, &mut self.trace, open, headed) {
            Role::Continues => self.open.lines += u32::from(open),
            Role::NamesException => {
                self.open.lines += 1;
                let class = class_at_start(line);
                if !class.is_empty() {
                    self.open.exception.clear();
                    self.open.exception.extend_from_slice(class);
                }
                if self.open.began_with_trace {
                    self.open.own.clear();
                    self.open.own.extend_from_slice(line);
                    self.open.message = Part::Own;
                }
            }
            Role::ExtendsMessage => {
                self.open.lines += 1;
                self.open.own.clear();
                self.open.own.extend_from_slice(b"panicked: ");
                self.open.own.extend_from_slice(line.trim_ascii());
                self.open.message = Part::Own;
            }
            role @ (Role::Begins | Role::BeginsCrash) => {
                let trace = self.trace;
                self.begin(line, number, cut, Format::Text, each);
                let start = line.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
                self.open.message = Part::Raw(start..line.len());
                self.open.severity = severity_of_message(line);
                if role == Role::BeginsCrash {
                    self.trace = trace;
                    self.began_crash(line, trace);
                } else {
                    self.look_for_exception(line);
                }
            }
        }
    }

    /// The line below a header that stood on a line of its own.
    fn take_message(&mut self, line: &[u8]) {
        let text = line.trim_ascii_start();
        self.open.lines += 1;
        // The scopes of .NET stand between.
        if text.starts_with(b"=> ") {
            return;
        }
        self.open.awaits_message = false;
        let told = severity_of_message(text).filter(|_| self.open.severity.is_none());
        let colon = memchr::memchr(b':', &text[..text.len().min(16)]).filter(|_| told.is_some());
        let message = colon.map_or(text, |colon| text[colon + 1..].trim_ascii_start());
        self.open.severity = told.or(self.open.severity);
        self.open.own.clear();
        self.open.own.extend_from_slice(message);
        self.open.message = Part::Own;
        self.look_for_exception(message);
    }

    /// A line of an object that is written over several lines: with it the message reads as if it stood on one. Says whether it
    /// is such a line.
    fn continue_block(&mut self, line: &[u8]) -> bool {
        let text = line.trim_ascii();
        let indented = line[0] == b' ' || line[0] == b'\t';
        let closes = matches!(text[0], b'}' | b']' | b')');
        if !indented && !closes {
            self.open.in_block = false;
            return false;
        }
        self.open.lines += 1;
        self.open.in_block = indented;
        if !matches!(self.open.message, Part::Own) {
            self.open.own.clear();
            if let Part::Raw(range) = &self.open.message {
                let first = self.open.raw.get(range.clone()).unwrap_or_default();
                self.open.own.extend_from_slice(first);
            }
            self.open.message = Part::Own;
        }
        if self.open.own.len() < MESSAGE_BYTES_MAX {
            self.open.own.push(b' ');
            self.open.own.extend_from_slice(text);
        }
        true
    }

    fn began_crash(&mut self, line: &[u8], trace: Trace) {
        self.open.began_with_trace = true;
        match trace {
            Trace::RustMessage | Trace::Rust | Trace::Go => {
                self.open.severity = Some(Severity::Fatal);
                self.open.exception.extend_from_slice(b"panic");
            }
            _ => {
                self.open.severity = Some(Severity::Error);
                self.open.exception.extend_from_slice(class_within(line));
            }
        }
    }

    /// The class named in the message, where the line says that something is wrong.
    #[inline]
    fn look_for_exception(&mut self, message: &[u8]) {
        let class = match self.open.severity {
            Some(severity) if severity >= Severity::Warn => class_within(message),
            None => class_at_start(message),
            Some(_) => return,
        };
        self.open.exception.extend_from_slice(class);
    }

    #[expect(clippy::too_many_arguments, reason = "one call each, from the two places that read structured lines")]
    fn structured(
        &mut self,
        line: &[u8],
        fields: Fields<'_>,
        header: Header<'_>,
        cut: bool,
        number: u64,
        format: Format,
        each: &mut impl FnMut(&Record<'_>),
    ) {
        self.begin(line, number, cut, format, each);
        let by_status = fields.server_error.then_some(Severity::Error);
        self.open.severity = fields.severity.or(header.severity).or(by_status);
        let logger = if fields.logger.is_empty() { header.logger } else { fields.logger };
        self.open.logger = range_within(line, logger);
        match fields.message {
            Some(value) if !value.escaped => self.open.message = Part::Raw(range_within(line, value.raw)),
            Some(value) => {
                unescape_into(&value, &mut self.open.own);
                self.open.message = Part::Own;
            }
            // No message: the keys are what the line is about.
            None => self.open.message = Part::Raw(header.message..line.len()),
        }
        if let Some(value) = fields.exception {
            let class = class_at_start(value.raw);
            let plain = value.raw.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$'));
            self.open.exception.extend_from_slice(if plain { value.raw } else { class });
        }
    }

    /// Hands the open record over and begins the next.
    #[inline]
    fn begin(&mut self, line: &[u8], number: u64, cut: bool, format: Format, each: &mut impl FnMut(&Record<'_>)) {
        self.close(each);
        let open = &mut self.open;
        open.raw.clear();
        open.raw.extend_from_slice(line);
        open.severity = None;
        open.logger = 0..0;
        open.exception.clear();
        open.message = Part::None;
        open.line = number;
        open.lines = 1;
        open.format = Some(format);
        open.cut = cut;
        open.began_with_trace = false;
        open.awaits_message = false;
        open.in_block = matches!(line.last(), Some(b'{' | b'[' | b'('));
        self.trace = Trace::None;
    }

    #[inline]
    fn close(&mut self, each: &mut impl FnMut(&Record<'_>)) {
        let open = &mut self.open;
        let Some(format) = open.format.take() else { return };
        let message = match &open.message {
            Part::None => &[][..],
            Part::Raw(range) => open.raw.get(range.clone()).unwrap_or_default(),
            Part::Own => &open.own,
        };
        each(&Record {
            severity: open.severity,
            logger: open.raw.get(open.logger.clone()).unwrap_or_default(),
            exception: &open.exception,
            message,
            raw: &open.raw,
            line: open.line,
            lines: open.lines,
            format,
            cut: open.cut,
        });
    }
}

/// Where a part of a line stands in it. `part` is a slice of `line`, or empty.
fn range_within(line: &[u8], part: &[u8]) -> Range<usize> {
    if part.is_empty() {
        return 0..0;
    }
    let start = (part.as_ptr() as usize).wrapping_sub(line.as_ptr() as usize);
    if start <= line.len() && start + part.len() <= line.len() { start..start + part.len() } else { 0..0 }
}

/// The severity a message without one in its header says: `ERROR: x`, `warning: x`, `panic: x`, a request answered 5xx.
#[inline]
fn severity_of_message(message: &[u8]) -> Option<Severity> {
    let first = *message.first()?;
    if first == b'"' {
        return severity_of_request(message);
    }
    if !first.is_ascii_alphabetic() && !matches!(first, b'[' | b'<') {
        return None;
    }
    let end = message.iter().take(16).position(|byte| byte.is_ascii_whitespace() || *byte == b':')?;
    let word = &message[..end];
    let severity = units::severity_of(word)?;
    let told = message[end] == b':' || first == b'[' || first == b'<' || word.iter().all(u8::is_ascii_uppercase);
    told.then_some(severity)
}

/// `"GET /x HTTP/1.1" 503 …`: a server error is an ERROR, anything else says nothing.
fn severity_of_request(message: &[u8]) -> Option<Severity> {
    let close = memchr::memchr(b'"', &message[1..])? + 1;
    let status = message.get(close + 1..close + 5)?;
    let five_hundreds = status[0] == b' ' && status[1] == b'5' && status[2..4].iter().all(u8::is_ascii_digit);
    five_hundreds.then_some(Severity::Error)
}

/// NUL bytes, or more than a quarter control bytes, at the beginning of the line.
#[inline]
fn is_binary(line: &[u8]) -> bool {
    let window = &line[..line.len().min(64)];
    let controls = window.iter().filter(|&&byte| byte < 0x20 && byte != b'\t').count();
    controls * 4 > window.len() || controls > 0 && window.contains(&0)
}

/// Removes terminal colours: `ESC [ … letter`.
fn without_colour(line: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut rest = line;
    while let Some(escape) = memchr::memchr(0x1b, rest) {
        out.extend_from_slice(&rest[..escape]);
        rest = &rest[escape + 1..];
        if let [b'[', after @ ..] = rest {
            let end = after.iter().position(u8::is_ascii_alphabetic).map_or(after.len(), |letter| letter + 1);
            rest = &after[end..];
        }
    }
    out.extend_from_slice(rest);
}
