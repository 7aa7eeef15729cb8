//! What a structured line (JSON, logfmt) says, and which keys say it.

use super::severity::{Numbering, Severity};

/// A value as it stands in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    /// The bytes between the quotes, or the bare token.
    pub raw: &'a [u8],
    /// Whether `raw` holds backslash escapes.
    pub escaped: bool,
    /// Whether it stood in quotes.
    pub quoted: bool,
}

/// What the known keys of one line said. Of several keys for one thing the better one wins (`message` over `event`).
#[derive(Debug, Clone, Copy, Default)]
pub struct Fields<'a> {
    /// The severity.
    pub severity: Option<Severity>,
    /// The logger; empty where there is none.
    pub logger: &'a [u8],
    /// The message.
    pub message: Option<Value<'a>>,
    /// The class of the exception, or a text that begins with it.
    pub exception: Option<Value<'a>>,
    /// How many keys there were.
    pub keys: usize,
    /// An HTTP status of 500 or above was among them.
    pub server_error: bool,
    message_rank: u8,
    logger_rank: u8,
}

/// What a key stands for; the number ranks keys of one meaning.
enum Meaning {
    Severity(Numbering),
    Logger(u8),
    Message(u8),
    Exception,
    ExceptionObject,
    Status,
}

fn meaning_of(key: &[u8]) -> Option<Meaning> {
    Some(match key {
        b"level" | b"severity" | b"lvl" | b"loglevel" | b"log_level" | b"log.level" | b"levelname" | b"Level"
        | b"LogLevel" | b"@l" | b"s" | b"severity_text" | b"severityText" => Meaning::Severity(Numbering::Tens),
        b"PRIORITY" | b"syslog_severity" => Meaning::Severity(Numbering::Syslog),
        b"logger" | b"logger_name" | b"loggerName" | b"log.logger" | b"target" | b"SourceContext" | b"Category" => {
            Meaning::Logger(3)
        }
        b"component" | b"module" | b"SYSLOG_IDENTIFIER" | b"c" => Meaning::Logger(2),
        b"name" => Meaning::Logger(1),
        b"message" | b"msg" | b"MESSAGE" | b"short_message" | b"@mt" | b"MessageTemplate" => Meaning::Message(4),
        b"@m" | b"Message" | b"body" | b"textPayload" | b"log.message" | b"log_message" => Meaning::Message(3),
        b"event" | b"text" | b"RenderedMessage" | b"content" | b"description" => Meaning::Message(2),
        b"log" => Meaning::Message(1),
        b"exception" | b"stack_trace" | b"exc_info" | b"stack" | b"@x" | b"error.stack_trace" | b"traceback" => {
            Meaning::Exception
        }
        b"exception.type" | b"exception.class" | b"error.type" | b"exception_class" | b"exc_type" => Meaning::Exception,
        b"error" | b"err" => Meaning::ExceptionObject,
        b"status" | b"status_code" | b"statusCode" | b"response_code" => Meaning::Status,
        _ => return None,
    })
}

impl<'a> Fields<'a> {
    /// Takes up one pair.
    pub fn put(&mut self, key: &[u8], value: Value<'a>) {
        self.keys += 1;
        match meaning_of(key) {
            Some(Meaning::Severity(numbering)) => {
                let read = severity_of_value(value.raw, numbering);
                self.severity = self.severity.or(read);
            }
            Some(Meaning::Logger(rank)) if rank > self.logger_rank && value.quoted_or_wordy() => {
                (self.logger, self.logger_rank) = (value.raw, rank);
            }
            Some(Meaning::Message(rank)) if rank > self.message_rank => {
                (self.message, self.message_rank) = (Some(value), rank);
            }
            Some(Meaning::Exception) if value.raw.first().is_some_and(u8::is_ascii_alphabetic) => {
                self.exception = self.exception.or(Some(value));
            }
            Some(Meaning::ExceptionObject) => {
                // `error="dial tcp: refused"` is a message, not a class.
                let class = super::exception::class_at_start(value.raw);
                if !class.is_empty() {
                    self.exception = self.exception.or(Some(value));
                }
            }
            Some(Meaning::Status) => {
                let five_hundreds =
                    value.raw.len() == 3 && value.raw[0] == b'5' && value.raw.iter().all(u8::is_ascii_digit);
                self.server_error |= five_hundreds;
            }
            _ => {}
        }
    }

    /// Whether the line is a log line at all, rather than text that happens to hold pairs.
    pub fn is_log_line(&self) -> bool {
        self.message.is_some() && self.keys >= 2 || self.severity.is_some() && self.keys >= 3
    }
}

impl Value<'_> {
    fn quoted_or_wordy(&self) -> bool {
        self.quoted || self.raw.first().is_some_and(u8::is_ascii_alphabetic)
    }
}

fn severity_of_value(raw: &[u8], numbering: Numbering) -> Option<Severity> {
    match raw {
        [letter] if letter.is_ascii_uppercase() => Severity::from_letter(*letter),
        digits if digits.len() <= 3 && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
            let number = digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
            Severity::from_number(number, numbering)
        }
        word => Severity::from_word(word),
    }
}

/// Writes a value without its escapes into `out`, up to the first line break: what follows is a stack trace or detail.
/// Unknown or broken escapes are taken as they stand.
pub fn unescape_into(value: &Value<'_>, out: &mut Vec<u8>) {
    out.clear();
    if !value.escaped {
        out.extend_from_slice(value.raw);
        return;
    }
    let mut rest = value.raw;
    while let Some(slash) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..slash]);
        let Some(&escape) = rest.get(slash + 1) else { break };
        rest = &rest[slash + 2..];
        match escape {
            b'n' | b'r' => {
                if out.iter().any(|byte| !byte.is_ascii_whitespace()) {
                    return;
                }
            }
            b't' => out.push(b' '),
            b'u' => {
                let code = rest.get(..4).and_then(|hex| std::str::from_utf8(hex).ok());
                if let Some(code) = code.and_then(|hex| u32::from_str_radix(hex, 16).ok()) {
                    let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    rest = &rest[4..];
                }
            }
            other => out.push(other),
        }
    }
    out.extend_from_slice(rest);
}
