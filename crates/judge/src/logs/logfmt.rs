//! Reads logfmt: `time=… level=info msg="…" key=value`.

use super::fields::{Fields, Value};

/// More pairs than this are not read.
const PAIRS_MAX: usize = 128;
/// A longer key is no key.
const KEY_BYTES_MAX: usize = 64;

/// The known fields of a logfmt line; `None` when it does not begin with a pair or says neither severity nor message.
pub fn read_logfmt(line: &[u8]) -> Option<Fields<'_>> {
    key_end(line, 0)?;
    let mut fields = Fields::default();
    let mut at = 0;
    for _ in 0..PAIRS_MAX {
        while line.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        if at >= line.len() {
            break;
        }
        let Some(equals) = key_end(line, at) else {
            // A word without a value (`debug`); the next pair may follow.
            at += line[at..].iter().position(u8::is_ascii_whitespace).unwrap_or(line.len() - at);
            continue;
        };
        let (value, end) = value_at(line, equals + 1);
        fields.put(&line[at..equals], value);
        at = end;
    }
    fields.is_log_line().then_some(fields)
}

/// Where the `=` after a key that begins here stands.
fn key_end(line: &[u8], at: usize) -> Option<usize> {
    let window = &line[at..line.len().min(at + KEY_BYTES_MAX)];
    let length = window
        .iter()
        .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'@' | b'/')))?;
    (length > 0 && window[length] == b'=').then_some(at + length)
}

fn value_at(line: &[u8], start: usize) -> (Value<'_>, usize) {
    if line.get(start) == Some(&b'"') {
        let mut at = start + 1;
        let mut escaped = false;
        while let Some(found) = line.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
            let found = at + found;
            if line[found] == b'"' {
                return (Value { raw: &line[start + 1..found], escaped, quoted: true }, found + 1);
            }
            escaped = true;
            at = found + 2;
        }
        return (Value { raw: &line[start + 1..], escaped, quoted: true }, line.len());
    }
    let length = line[start..].iter().position(u8::is_ascii_whitespace).unwrap_or(line.len() - start);
    (Value { raw: &line[start..start + length], escaped: false, quoted: false }, start + length)
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::super::json::read_json;
    use super::*;

    fn text(value: Option<Value<'_>>) -> String {
        let mut out = Vec::new();
        if let Some(value) = value {
            super::super::fields::unescape_into(&value, &mut out);
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn logfmt_lines_give_their_fields() {
        let fields =
            read_logfmt(br#"time=2024-01-02T03:04:05Z level=error msg="cannot \"pay\"" logger=shop n=5"#).unwrap();
        assert_eq!(fields.severity, Some(Severity::Error));
        assert_eq!(text(fields.message), "cannot \"pay\"");
        assert_eq!(fields.logger, b"shop");
    }

    #[test]
    fn text_with_pairs_is_not_logfmt() {
        assert!(read_logfmt(b"uid=0 euid=0 tty=x").is_none());
        assert!(read_logfmt(b"authentication failure; uid=0").is_none());
        assert!(read_logfmt(b"").is_none());
    }

    #[test]
    fn json_lines_of_common_loggers_give_their_fields() {
        let cases: [(&str, Severity, &str, &str, &str); 6] = [
            (
                r#"{"level":50,"time":1,"name":"shop","msg":"card\trefused","err":{"type":"CardError","stack":"x"}}"#,
                Severity::Error,
                "shop",
                "card refused",
                "CardError",
            ),
            (
                r#"{"timestamp":"t","level":"WARN","fields":{"message":"slow","n":1},"target":"app::db"}"#,
                Severity::Warn,
                "app::db",
                "slow",
                "",
            ),
            (
                r#"{"@timestamp":"t","log.level":"ERROR","message":"boom","log.logger":"a.B","error.type":"java.io.IOException"}"#,
                Severity::Error,
                "a.B",
                "boom",
                "java.io.IOException",
            ),
            (
                r#"{"t":{"$date":"t"},"s":"I","c":"NETWORK","id":2,"ctx":"main","msg":"Listening on"}"#,
                Severity::Info,
                "NETWORK",
                "Listening on",
                "",
            ),
            (
                r#"{"PRIORITY":"3","SYSLOG_IDENTIFIER":"kernel","MESSAGE":"oops","list":[1,{"a":"]"}]}"#,
                Severity::Error,
                "kernel",
                "oops",
                "",
            ),
            (r#"{"severity":"INFO","message":"first line\nsecond line"}"#, Severity::Info, "", "first line", ""),
        ];
        for (line, severity, logger, message, exception) in cases {
            let fields = read_json(line.as_bytes()).unwrap();
            assert_eq!(fields.severity, Some(severity), "{line}");
            assert_eq!(String::from_utf8_lossy(fields.logger), logger, "{line}");
            assert_eq!(text(fields.message), message, "{line}");
            assert_eq!(text(fields.exception), exception, "{line}");
        }
    }

    #[test]
    fn broken_json_gives_what_stands_before_the_break_or_nothing() {
        assert_eq!(text(read_json(br#"{"level":"info","msg":"ok","x":{"#).unwrap().message), "ok");
        for line in ["{", "{}", "{]", "{\"", "{\"a\":", "{\"msg\":\"x", "{\"a\" 1}"] {
            assert!(read_json(line.as_bytes()).is_none(), "{line}");
        }
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        assert!(read_json(deep.as_bytes()).is_none());
    }
}
