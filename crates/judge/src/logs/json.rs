//! Reads a JSON line just far enough to find severity, logger, message and exception: no tree, no allocation.

use super::fields::{Fields, Value};

/// Deeper objects are skipped without being looked into.
const DEPTH_MAX: usize = 3;
/// Brackets nested deeper than this end the reading; what was found until there counts.
const NESTING_MAX: usize = 128;

/// The known fields of a line that holds one JSON object; `None` when it does not begin like one. A line cut off in the
/// middle still gives what stands before the cut.
pub fn read_json(line: &[u8]) -> Option<Fields<'_>> {
    if line.first() != Some(&b'{') {
        return None;
    }
    let mut fields = Fields::default();
    let mut parser = Parser { line, at: 1 };
    parser.object(&mut fields, b"", 0);
    fields.is_log_line().then_some(fields)
}

struct Parser<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    fn skip_space(&mut self) -> Option<u8> {
        while self.line.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        self.line.get(self.at).copied()
    }

    /// Reads the pairs of an object whose brace has been read. `None`: broken or cut off.
    fn object(&mut self, fields: &mut Fields<'a>, parent: &[u8], depth: usize) -> Option<()> {
        loop {
            match self.skip_space()? {
                b'}' => {
                    self.at += 1;
                    return Some(());
                }
                b',' => self.at += 1,
                b'"' => {
                    let key = self.string()?;
                    if self.skip_space()? != b':' {
                        return None;
                    }
                    self.at += 1;
                    self.value(fields, parent, key.raw, depth)?;
                }
                _ => return None,
            }
        }
    }

    fn value(&mut self, fields: &mut Fields<'a>, parent: &[u8], key: &[u8], depth: usize) -> Option<()> {
        match self.skip_space()? {
            b'"' => {
                let value = self.string()?;
                put(fields, parent, key, value);
            }
            b'{' if depth < DEPTH_MAX && opens_something(key) => {
                self.at += 1;
                fields.keys += 1;
                self.object(fields, key, depth + 1)?;
            }
            b'{' | b'[' => {
                fields.keys += 1;
                self.skip_nested()?;
            }
            _ => {
                let start = self.at;
                let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
                let length = self.line[start..].iter().position(ends)?;
                self.at = start + length;
                let raw = &self.line[start..self.at];
                put(fields, parent, key, Value { raw, escaped: false, quoted: false });
            }
        }
        Some(())
    }

    /// Reads a string whose opening quote stands at `at`.
    fn string(&mut self) -> Option<Value<'a>> {
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            let found = at + memchr::memchr2(b'"', b'\\', self.line.get(at..)?)?;
            if self.line[found] == b'"' {
                self.at = found + 1;
                return Some(Value { raw: &self.line[start..found], escaped, quoted: true });
            }
            escaped = true;
            at = found + 2;
        }
    }

    fn skip_nested(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.line.get(self.at)? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => {
                    depth += 1;
                    if depth > NESTING_MAX {
                        return None;
                    }
                }
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        return Some(());
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
    }
}

/// Objects that hold what we look for: tracing's `fields`, ECS' `log` and `error`, pino's `err`, the envelopes of hosted logs
/// (`jsonPayload`, `payload`, `body`).
fn opens_something(key: &[u8]) -> bool {
    matches!(
        key,
        b"fields"
            | b"log"
            | b"error"
            | b"err"
            | b"exception"
            | b"data"
            | b"record"
            | b"jsonPayload"
            | b"payload"
            | b"body"
            | b"attributes"
            | b"event"
    )
}

fn put<'a>(fields: &mut Fields<'a>, parent: &[u8], key: &[u8], value: Value<'a>) {
    match (parent, key) {
        (b"error" | b"err" | b"exception", b"type" | b"name" | b"class") => fields.put(b"error.type", value),
        (b"error" | b"err" | b"exception", b"stack" | b"stack_trace") => fields.put(b"stack", value),
        (b"error" | b"err" | b"exception", _) => fields.keys += 1,
        _ => fields.put(key, value),
    }
}
