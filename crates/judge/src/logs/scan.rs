//! One pass over a message: what is a word, what is a variable.
//!
//! This is the hot path. [`scan`] walks the bytes once and tells a [`Sink`] what it finds; one sink only hashes (every
//! line), another keeps the atoms (only for a shape not seen before).
//!
//! What counts as a variable, without looking at other lines: whatever holds a digit (numbers, hexadecimal, UUIDs, IP
//! addresses, sizes, dates, ids such as `blk_17`), paths, URLs, mail addresses, quoted text, words longer than
//! [`WORD_BYTES_MAX`]. A digit inside a word (`jk2_init`) leaves it a word. Everything else is a word, and whether it
//! may ever be a variable is for `merge` to say.

mod foreign;

/// A longer word is data (base64, a token), never a word with a meaning.
pub const WORD_BYTES_MAX: usize = 64;
/// What follows is not looked at: a message is recognised by its beginning. Bounds the atoms of one shape.
pub const MESSAGE_BYTES_MAX: usize = 4096;
/// A quotation longer than this is no quotation but a stray quote character.
pub(super) const QUOTED_BYTES_MAX: usize = 1024;
/// A longer quotation is no name of a field.
const KEY_BYTES_MAX: usize = 40;
/// Shorter text with `=` behind it is a key.
const BASE64_BYTES_MIN: usize = 16;
/// So far an ampersand is looked for that makes a query of pairs.
const QUERY_BYTES_MAX: usize = 512;

const LETTER: u8 = 1;
const DIGIT: u8 = 2;
const SPACE: u8 = 4;
const HARD: u8 = 8;
const SLASH: u8 = 16;
const AT: u8 = 32;
const COLON: u8 = 64;
const BACKSLASH: u8 = 128;

/// What each byte is. Bytes above ASCII are letters: invalid UTF-8 is tolerated, never interpreted.
static CLASSES: [u8; 256] = {
    let mut table = [0_u8; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80..=0xff => LETTER,
            b'0'..=b'9' => DIGIT,
            0..=b' ' | 0x7f => SPACE,
            b'=' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b',' | b';' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'|' => {
                HARD
            }
            b'/' => SLASH,
            b'@' => AT,
            b':' => COLON,
            b'\\' => BACKSLASH,
            _ => 0,
        };
        byte += 1;
    }
    table
};

#[inline(always)]
fn class(byte: u8) -> u8 {
    CLASSES[byte as usize]
}

/// Where [`scan`] puts what it finds. `glued`: nothing between this and what came before.
pub trait Sink {
    /// A word, taken as it is.
    fn word(&mut self, text: &[u8], glued: bool);
    /// A variable.
    fn variable(&mut self, glued: bool);
    /// One punctuation character that separates.
    fn punctuation(&mut self, byte: u8, glued: bool);
}

/// Walks a message. Never fails: every byte sequence has a shape.
#[inline]
pub fn scan(message: &[u8], sink: &mut impl Sink) {
    let message = &message[..message.len().min(MESSAGE_BYTES_MAX)];
    // A message that is one quotation is not a value: its inside is the message.
    let message = match message {
        [b'"', inside @ .., b'"'] if !inside.contains(&b'"') => inside,
        _ => message,
    };
    let mut scanner = Scanner {
        message,
        at: 0,
        glued: false,
        after_request: false,
        has_ampersand: memchr::memchr(b'&', message).is_some(),
    };
    while scanner.at < message.len() {
        scanner.next(sink);
    }
}

struct Scanner<'a> {
    message: &'a [u8],
    at: usize,
    glued: bool,
    /// The quotation before was an HTTP request line: a status after it is a word with a meaning.
    after_request: bool,
    /// There is an ampersand somewhere, so there may be queries.
    has_ampersand: bool,
}

impl Scanner<'_> {
    #[inline(always)]
    fn next(&mut self, sink: &mut impl Sink) {
        let byte = self.message[self.at];
        let kind = class(byte);
        if kind & SPACE != 0 {
            self.at += 1;
            self.glued = false;
        } else if kind & HARD != 0 {
            self.hard(byte, sink);
        } else if let Some(end) = if self.has_ampersand { self.query_end() } else { None } {
            sink.variable(self.glued);
            self.at = end;
            self.glued = true;
        } else {
            self.chunk(sink);
        }
    }

    #[inline]
    fn hard(&mut self, byte: u8, sink: &mut impl Sink) {
        if matches!(byte, b'"' | b'\'' | b'`')
            && let Some(end) = self.quotation_end(byte)
        {
            let inside = &self.message[self.at + 1..end];
            sink.punctuation(byte, self.glued);
            match request_method(inside) {
                Some(method) => {
                    sink.word(method, true);
                    sink.variable(false);
                    self.after_request = true;
                }
                // A key of an object in the text says what the value behind it is.
                None if self.message.get(end + 1) == Some(&b':') && is_key(inside) => sink.word(inside, true),
                None => sink.variable(true),
            }
            sink.punctuation(byte, true);
            self.at = end + 1;
        } else {
            sink.punctuation(byte, self.glued);
            self.at += 1;
        }
        self.glued = true;
    }

    /// Where the quotation that begins here ends; `None` for an apostrophe or a stray quote.
    fn quotation_end(&self, quote: u8) -> Option<usize> {
        let start = self.at + 1;
        if quote != b'"' && self.glued && self.at > 0 && class(self.message[self.at - 1]) & HARD == 0 {
            return None;
        }
        let window = &self.message[start..self.message.len().min(start + QUOTED_BYTES_MAX)];
        let mut from = 0;
        while let Some(found) = memchr::memchr(quote, &window[from..]) {
            let end = from + found;
            let escaped = end > 0 && window[end - 1] == b'\\';
            let inside_word =
                quote != b'"' && window.get(end + 1).is_some_and(|&next| class(next) & (LETTER | DIGIT) != 0);
            if !escaped && !inside_word {
                return Some(start + end);
            }
            from = end + 1;
        }
        None
    }

    #[inline(always)]
    fn chunk(&mut self, sink: &mut impl Sink) {
        let start = self.at;
        let message = self.message;
        let mut flags = 0_u8;
        let mut bits = 0_u8;
        let mut at = start;
        while at < message.len() {
            let kind = class(message[at]);
            if kind & (SPACE | HARD) != 0 {
                // A comma between digits is part of the number.
                let inside_number = message[at] == b','
                    && at > start
                    && class(message[at - 1]) & DIGIT != 0
                    && message.get(at + 1).is_some_and(|&next| class(next) & DIGIT != 0);
                if !inside_number {
                    break;
                }
            }
            flags |= kind;
            bits |= message[at];
            at += 1;
        }
        if bits >= 0x80
            && let Some(end) = foreign::scan(message, start..at, self.glued, sink)
        {
            self.after_request = false;
            self.at = end;
            self.glued = true;
            return;
        }
        let status_follows = self.after_request;
        self.after_request = false;
        if flags & (DIGIT | SLASH | AT | BACKSLASH) == 0 {
            let text = &message[start..at];
            if text.len() == 6 && is_statement(text, &message[at..]) {
                sink.word(text, self.glued);
                if message[at..].starts_with(b" * ") {
                    sink.punctuation(b'*', false);
                }
                sink.variable(false);
                self.at = message.len();
                return;
            }
            if text.len() < 8 || !is_data(text) {
                sink.word(text, self.glued);
            } else {
                sink.variable(self.glued);
            }
        } else {
            if flags & (SLASH | COLON) == SLASH | COLON && memchr::memmem::find(&message[start..at], b"://").is_some() {
                at = url_end(message, at);
            } else if flags & SLASH != 0 && message[start] == b'/' && message[start..at].contains(&b'?') {
                // A path with a query: its values do not end it.
                at = url_end(message, at);
            }
            self.variable_or_word(start, at, flags, status_follows, sink);
        }
        // The padding of base64 belongs to it.
        if at - start >= BASE64_BYTES_MIN && message.get(at) == Some(&b'=') {
            let padding = message[at..].iter().take_while(|byte| **byte == b'=').count();
            let ends = message.get(at + padding).is_none_or(|next| class(*next) & (LETTER | DIGIT | SLASH) == 0);
            at += if ends && padding <= 2 { padding } else { 0 };
        }
        self.at = at;
        self.glued = true;
    }

    /// `a=1&b=2`, which begins here: one value. Where it ends; `None` where it is none.
    #[inline]
    fn query_end(&self) -> Option<usize> {
        let rest = &self.message[self.at..];
        let ampersand = memchr::memchr(b'&', &rest[..rest.len().min(QUERY_BYTES_MAX)])?;
        let end = rest
            .iter()
            .position(|&byte| class(byte) & SPACE != 0 || matches!(byte, b'"' | b'\'' | b')' | b'>'))
            .unwrap_or(rest.len());
        let pairs = rest[..end].split(|byte| *byte == b'&').all(|pair| pair.iter().skip(1).any(|byte| *byte == b'='));
        (ampersand < end && pairs).then_some(self.at + end)
    }

    /// The slower part, for chunks that hold a digit, a slash, a backslash or an at sign.
    fn variable_or_word(&self, start: usize, end: usize, flags: u8, status_follows: bool, sink: &mut impl Sink) {
        let chunk = &self.message[start..end];
        let body_len = chunk.len() - trailing_punctuation(chunk);
        let (mut body, tail) = chunk.split_at(body_len);
        let mut glued = self.glued;
        if status_follows && body.len() == 3 && body.iter().all(u8::is_ascii_digit) {
            sink.word(body, glued);
            return;
        }
        if flags & DIGIT == 0 {
            let root = body == b"/"
                && self.message[..start]
                    .trim_ascii_end()
                    .last()
                    .is_some_and(|byte| byte.is_ascii_uppercase() || matches!(byte, b'=' | b':'));
            if root || is_path(body, flags) || flags & AT != 0 && is_address(body) {
                sink.variable(glued);
                emit_tail(tail, sink);
            } else {
                sink.word(chunk, glued);
            }
            return;
        }
        if flags & SLASH == 0 {
            // `port:22` is a word and a variable; `host.example:22` and `10:20:30` are variables as a whole.
            while let Some(colon) = memchr::memchr(b':', body) {
                let plain = colon > 0 && body[..colon].iter().all(|&byte| class(byte) & LETTER != 0 || byte == b'-');
                if !plain || colon + 1 == body.len() || body[colon + 1] == b':' {
                    break;
                }
                sink.word(&body[..=colon], glued);
                glued = true;
                body = &body[colon + 1..];
            }
        }
        // `enable.......0`: a word, a leader, a value.
        if let Some(dots) = memchr::memmem::find(body, b"....").filter(|dots| *dots > 0)
            && body[..dots].iter().all(|&byte| class(byte) & LETTER != 0)
        {
            sink.word(&body[..dots], glued);
            glued = true;
        }
        if is_word_with_digit(body) || !body.iter().any(u8::is_ascii_digit) {
            sink.word(body, glued);
        } else {
            sink.variable(glued);
        }
        emit_tail(tail, sink);
    }
}

fn emit_tail(tail: &[u8], sink: &mut impl Sink) {
    for &byte in tail {
        sink.punctuation(byte, true);
    }
}

/// How many characters at the end are punctuation of the sentence and not of the value.
fn trailing_punctuation(chunk: &[u8]) -> usize {
    chunk.iter().rev().take_while(|byte| matches!(byte, b'.' | b':' | b'!' | b'?')).count().min(chunk.len() - 1)
}

fn url_end(message: &[u8], from: usize) -> usize {
    let ends = |&byte: &u8| class(byte) & SPACE != 0 || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b')' | b']' | b'}');
    message[from..].iter().position(ends).map_or(message.len(), |offset| from + offset)
}

/// A path: absolute, relative with a dot, several separators, or one separator between dotted names.
fn is_path(body: &[u8], flags: u8) -> bool {
    if flags & SLASH != 0 && body.len() > 1 {
        let slashes = memchr::memchr_iter(b'/', body).count();
        let rooted = body[0] == b'/' || body.starts_with(b"./") || body.starts_with(b"../") || body.starts_with(b"~/");
        return slashes > 0 && (rooted || slashes >= 2 || body.contains(&b'.'));
    }
    flags & BACKSLASH != 0
        && (memchr::memchr_iter(b'\\', body).count() >= 2
            || body.len() > 2 && body[0].is_ascii_alphabetic() && &body[1..3] == b":\\")
}

/// `name@place`, with something on both sides.
fn is_address(body: &[u8]) -> bool {
    memchr::memchr(b'@', body).is_some_and(|at| at > 0 && at + 1 < body.len())
}

/// The name of a field: letters, no digits, short.
fn is_key(text: &[u8]) -> bool {
    let is_part = |&byte: &u8| class(byte) & LETTER != 0 || matches!(byte, b'-' | b'.');
    (1..=KEY_BYTES_MAX).contains(&text.len()) && text.iter().all(is_part)
}

/// Whether a statement of SQL begins: what it is about is a value, its verb is not.
fn is_statement(verb: &[u8], rest: &[u8]) -> bool {
    let follows: &[u8] = match verb {
        b"SELECT" | b"DELETE" => b"FROM ",
        b"INSERT" => b"INTO ",
        b"UPDATE" => b" SET ",
        _ => return false,
    };
    rest.first() == Some(&b' ') && memchr::memmem::find(rest, follows).is_some()
}

/// Too long, or nothing but hexadecimal letters (`deadbeef`).
fn is_data(text: &[u8]) -> bool {
    text.len() > WORD_BYTES_MAX || text.iter().all(|byte| matches!(byte, b'a'..=b'f' | b'A'..=b'F'))
}

/// A name with one or two digits inside (`jk2_init`, `log4j`): letters first and last, letters and underscores otherwise.
/// `IPv4` and `IPv6` are names too: they say which of two things happened.
fn is_word_with_digit(body: &[u8]) -> bool {
    if body.eq_ignore_ascii_case(b"ipv4") || body.eq_ignore_ascii_case(b"ipv6") {
        return true;
    }
    let (Some(first), Some(last)) = (body.first(), body.last()) else { return false };
    if body.len() > WORD_BYTES_MAX || !first.is_ascii_alphabetic() || !last.is_ascii_alphabetic() {
        return false;
    }
    let digits = body.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = body.iter().filter(|&&byte| class(byte) & LETTER != 0).count();
    digits <= 2 && letters >= 3 && letters + digits == body.len() && !body.iter().all(u8::is_ascii_hexdigit)
}

/// The method, when the quotation is an HTTP request line (`GET /x HTTP/1.1`).
fn request_method(inside: &[u8]) -> Option<&[u8]> {
    let space = memchr::memchr(b' ', &inside[..inside.len().min(16)])?;
    let method = &inside[..space];
    let is_request = method.len() >= 3
        && method.iter().all(u8::is_ascii_uppercase)
        && inside.len() > space + 9
        && (memchr::memmem::rfind(inside, b" HTTP/").is_some() || inside[space + 1] == b'/');
    is_request.then_some(method)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Text(String);

    impl Text {
        fn put(&mut self, text: &str, glued: bool) {
            if !glued && !self.0.is_empty() {
                self.0.push(' ');
            }
            self.0.push_str(text);
        }
    }

    impl Sink for Text {
        fn word(&mut self, text: &[u8], glued: bool) {
            self.put(&String::from_utf8_lossy(text), glued);
        }
        fn variable(&mut self, glued: bool) {
            self.put("<*>", glued);
        }
        fn punctuation(&mut self, byte: u8, glued: bool) {
            self.put(&(byte as char).to_string(), glued);
        }
    }

    #[track_caller]
    fn check(message: &str, shape: &str) {
        let mut sink = Text(String::new());
        scan(message.as_bytes(), &mut sink);
        assert_eq!(sink.0, shape, "of {message}");
    }

    #[test]
    fn numbers_ids_addresses_and_dates_are_variables() {
        check(
            "Received block blk_-38 of size 67108864 from /10.1.2.3:50010",
            "Received block <*> of size <*> from <*>",
        );
        check("took 12.5ms at 2024-01-02T03:04:05Z", "took <*> at <*>");
        check("id 550e8400-e29b-41d4-a716-446655440000 done", "id <*> done");
        check("sent 1,234 of 10 parts", "sent <*> of <*> parts");
        check("ptr deadbeef and 0xff", "ptr <*> and <*>");
        check("uid=0, port:22 at host.example:8080", "uid=<*>, port:<*> at <*>");
        check("wait state enable......0", "wait state enable<*>");
        check("retry (3) in 5s.", "retry (<*>) in <*>.");
    }

    #[test]
    fn paths_urls_addresses_and_quotations_are_variables() {
        check("open /var/log/x failed", "open <*> failed");
        check("get https://a.example/b?c=d&e=(f ok", "get <*> ok");
        check("mail to ann@example.org bounced", "mail to <*> bounced");
        check("file \"a b c\" missing", "file \"<*>\" missing");
        check("call /x/y?page=2&q=a%20b done", "call <*> done");
        check("query page=2&sort=name done", "query <*> done");
        check("token QUJDREVGR0hJSktMTU5PUFFSU1RVVg== of ann", "token <*> of ann");
        check("ran SELECT a, b FROM t WHERE id = 5", "ran SELECT <*>");
        check("table 'users' gone", "table '<*>' gone");
        check("path C:\\Windows\\x ok", "path <*> ok");
    }

    #[test]
    fn words_stay_words() {
        check("Can't find child and/or N/A", "Can't find child and/or N/A");
        check("jk2_init() log4j ready", "jk2_init() log4j ready");
        check("no IPv6 route, IPV4: 10.0.0.1", "no IPv6 route, IPV4: <*>");
        check("VM Started (Lifecycle Event)", "VM Started (Lifecycle Event)");
        check("\"all of it quoted\"", "all of it quoted");
        check(r#"sent {"kind":"b","to":"ann"}"#, r#"sent {"kind":"<*>","to":"<*>"}"#);
        check("ret:false", "ret:false");
    }

    #[test]
    fn a_request_line_keeps_method_and_status() {
        check("\"GET /a/b?c HTTP/1.1\" 200 612 \"-\" \"curl/7\"", "\"GET <*>\" 200 <*> \"<*>\" \"<*>\"");
        check("\"GET /v2 HTTP/1.1\" status: 200", "\"GET <*>\" status: <*>");
    }

    #[test]
    fn odd_bytes_have_a_shape() {
        check("", "");
        check("\u{0}\u{1} : ... \"", ": ... \"");
        check("grüße an 東京", "grüße an 東京");
        check("Kurs „Lineare Algebra“ geöffnet", "Kurs „<*>“ geöffnet");
        check("订单7已创建，客户：王伟", "订单<*>已创建，客户：王伟");
    }
}
