//! The parts of a header, each read by its looks: severities, names, places, loggers.

use super::super::units::{self, Unit, next_unit};
use super::super::{Numbering, Severity};
use super::shape::SEEK_MAX;
use super::{GAP_MAX, Header};

/// Whether a unit is a severity in capitals, as a header has it.
pub(super) fn is_loud_severity(unit: &[u8]) -> bool {
    units::severity_of(unit).is_some()
        && unit.iter().filter(|byte| byte.is_ascii_alphabetic()).all(u8::is_ascii_uppercase)
}

/// The end of ` (place):` after a unit that ends with `]`.
pub(super) fn place_after(line: &[u8], unit: Unit) -> Option<usize> {
    if line[unit.end - 1] != b']' || !line[unit.end..].starts_with(b" (") {
        return None;
    }
    let close = memchr::memmem::find(&line[unit.end..], b"):")?;
    (close < 120).then_some(unit.end + close + 2)
}

/// The severity and the logger inside a bracket that also holds the time.
pub(super) fn severity_inside(unit: &[u8]) -> Option<(Severity, &[u8])> {
    let inside = unit.strip_prefix(b"[")?;
    let inside = inside.strip_suffix(b"]").unwrap_or(inside);
    let mut parts = inside.split(u8::is_ascii_whitespace).filter(|part| !part.is_empty());
    let severity = parts.by_ref().find_map(|part| units::severity_of(part).filter(|_| is_loud_severity(part)))?;
    Some((severity, parts.next().unwrap_or_default()))
}

/// `ERROR:shop.cart:` at the beginning of a line, and where it ends.
pub(super) fn severity_and_logger(line: &[u8]) -> Option<(Severity, &[u8], usize)> {
    let first = memchr::memchr(b':', &line[..line.len().min(10)])?;
    let severity = Severity::from_word(&line[..first]).filter(|_| is_loud_severity(&line[..first]))?;
    let rest = &line[first + 1..];
    let second = rest.iter().position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')))?;
    (second > 0 && rest[second] == b':').then_some((severity, &rest[..second], first + 1 + second + 1))
}

/// The severity of a syslog priority with its version.
pub(super) fn priority(line: &[u8], unit: Unit) -> Option<Severity> {
    let inside = line[unit.start..unit.end].strip_prefix(b"<")?;
    let close = memchr::memchr(b'>', inside).filter(|close| (1..=3).contains(close) && inside.len() == close + 2)?;
    let number: u32 = std::str::from_utf8(&inside[..close]).ok()?.parse().ok()?;
    Severity::from_number(number & 7, Numbering::Syslog)
}

/// Reads units up to a severity in capitals.
pub(super) fn seek<'a>(line: &'a [u8], first: Unit, header: &mut Header<'a>) -> Option<usize> {
    let mut unit = first;
    for _ in 0..SEEK_MAX {
        let text = &line[unit.start..unit.end];
        if is_loud_severity(text) {
            header.severity = units::severity_of(text);
            return Some(unit.end);
        }
        unit = next_unit(line, unit.end)?;
    }
    None
}

/// Reads `name:`, `name[pid] (place):`, and the spans of Rust's tracing in front of the target (`span{a=1}: target:`).
pub(super) fn name<'a>(line: &'a [u8], unit: Unit, header: &mut Header<'a>) -> Option<usize> {
    let text = &line[unit.start..unit.end];
    if !units::is_name(text) {
        let end = place_after(line, unit)?;
        header.logger = logger_of(text);
        return Some(end);
    }
    let (mut text, mut end) = (text, unit.end);
    while text.contains(&b'{') {
        let Some(next) = next_unit(line, end) else { break };
        let next_text = &line[next.start..next.end];
        if !units::is_name(next_text) {
            break;
        }
        (text, end) = (next_text, next.end);
    }
    header.logger = logger_of(text);
    Some(end)
}

/// One character that stands between the header and the message.
pub(super) fn is_separator(unit: &[u8]) -> bool {
    matches!(unit, b"-" | b"|" | b"!" | b"*")
}

pub(super) fn words_before_dash<'a>(line: &'a [u8], first: Unit, header: &mut Header<'a>) -> Option<usize> {
    let mut unit = first;
    for _ in 0..=GAP_MAX {
        if is_separator(&line[unit.start..unit.end]) {
            header.logger = logger_of(&line[first.start..unit.start]);
            return Some(unit.end);
        }
        unit = next_unit(line, unit.end)?;
    }
    None
}

/// The logger without what differs from line to line: the process number in brackets, a trailing colon, span fields, a
/// line number. Empty when nothing but digits and punctuation is left.
pub(super) fn logger_of(text: &[u8]) -> &[u8] {
    let mut text = text;
    while let Some((last, rest)) = text.split_last()
        && (matches!(last, b':' | b']' | b',' | b'|') || last.is_ascii_whitespace())
        && !(*last == b']' && rest.contains(&b'['))
    {
        text = rest;
    }
    if let Some(open) = text.iter().position(|byte| matches!(byte, b'[' | b'{'))
        && open > 0
    {
        text = &text[..open];
    }
    if let Some(colon) = memchr::memrchr(b':', text)
        && colon > 0
        && text[colon + 1..].iter().all(u8::is_ascii_digit)
    {
        text = &text[..colon];
    }
    if text.iter().any(u8::is_ascii_alphabetic) { text.trim_ascii() } else { &[] }
}

/// Where the message begins: after white space and after a separator that belongs to no column.
#[inline]
pub(super) fn message_start(line: &[u8], from: usize) -> usize {
    let skip_space = |mut at: usize| {
        while at < line.len() && line[at].is_ascii_whitespace() {
            at += 1;
        }
        at
    };
    let at = skip_space(from);
    match &line[at..] {
        [b'-' | b':' | b'|', b' ', ..] => skip_space(at + 1),
        _ => at,
    }
}
