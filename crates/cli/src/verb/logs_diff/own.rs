//! Lines that Gapless itself wrote: what `gapless logs` prints, as text or as JSON, and the log files of instances.
//!
//! Instances' lines are mixed there by time and have a head of ours before them: read as they are, each traceback would be torn between two
//! instances, and the level would stand where nobody looks for it. Here each instance's streams are put together again, and what is counted is what the
//! service wrote.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use gapless_model::InstanceId;
use gapless_wire::api::{LogLine, LogStream};

/// The first lines that are looked at to tell whether Gapless wrote them.
const LOOKED_AT: usize = 20;
/// The longest line of ours: JSON takes up to six bytes for each of a line's 16 KiB.
const LINE_BYTES_MAX: u64 = 256 << 10;
/// How much is put together before it is read; what comes then may tear one record of each stream.
const KEPT_BYTES_MAX: usize = 256 << 20;

/// A line of ours, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Own {
    /// Whose stream; none for the keeper's remarks, which are no part of what the service wrote.
    of: Option<String>,
    /// What the service wrote.
    text: String,
    /// Whether the line goes on in the next of its stream.
    goes_on: bool,
}

/// Whether the begin of a file is Gapless's own.
pub(super) fn is_own(begin: &[u8]) -> bool {
    let whole = begin.iter().rposition(|byte| *byte == b'\n').map_or(begin.len(), |end| end + 1);
    let lines =
        begin[..whole].split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).take(LOOKED_AT);
    let (own, all) = lines.fold((0, 0), |(own, all), line| (own + usize::from(taken_apart(line).is_some()), all + 1));
    own > 0 && own * 2 >= all
}

/// Reads lines of ours to their end; `each` is given what the services wrote, one stream after the other.
pub(super) fn read(mut source: impl BufRead, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut streams = Streams::default();
    let mut raw = Vec::new();
    loop {
        raw.clear();
        let length = io::Read::take(&mut source, LINE_BYTES_MAX).read_until(b'\n', &mut raw)?;
        if length == 0 {
            break;
        }
        streams.add(raw.strip_suffix(b"\n").unwrap_or(&raw));
        if streams.bytes > KEPT_BYTES_MAX {
            streams.give(&mut each);
        }
    }
    streams.give(&mut each);
    Ok(())
}

/// What each stream wrote.
#[derive(Default)]
pub(super) struct Streams {
    written: BTreeMap<String, Vec<u8>>,
    bytes: usize,
}

impl Streams {
    fn add(&mut self, raw: &[u8]) {
        match taken_apart(raw) {
            Some(Own { of: Some(of), text, goes_on }) => self.put(of, text.as_bytes(), goes_on),
            Some(Own { of: None, .. }) => {}
            // Something else among it is counted too.
            None => self.put(String::new(), raw, false),
        }
    }

    /// A line as the API gives it.
    pub(super) fn add_line(&mut self, line: &LogLine) {
        if let Own { of: Some(of), text, goes_on } = of_api(line) {
            self.put(of, text.as_bytes(), goes_on);
        }
    }

    fn put(&mut self, of: String, text: &[u8], goes_on: bool) {
        let written = self.written.entry(of).or_default();
        written.extend_from_slice(text);
        if !goes_on {
            written.push(b'\n');
        }
        self.bytes += text.len() + 1;
    }

    /// All of it, one stream after the other; nothing is kept.
    pub(super) fn give(&mut self, mut each: impl FnMut(&[u8])) {
        for written in std::mem::take(&mut self.written).values() {
            each(written);
            each(b"\n");
        }
        self.bytes = 0;
    }
}

fn of_api(line: &LogLine) -> Own {
    let of = match line.stream {
        LogStream::Stdout => Some(format!("{} out", line.instance)),
        LogStream::Stderr => Some(format!("{} err", line.instance)),
        LogStream::Keeper => None,
    };
    Own { of, text: line.text.clone(), goes_on: false }
}

fn taken_apart(raw: &[u8]) -> Option<Own> {
    let line = std::str::from_utf8(raw).ok()?;
    if line.starts_with('{') {
        return serde_json::from_str::<LogLine>(line).ok().filter(|line| is_time(&line.at)).map(|line| of_api(&line));
    }
    let (at, rest) = line.split_once(' ')?;
    if !is_time(at) {
        return None;
    }
    printed(rest).or_else(|| filed(rest))
}

fn is_time(text: &str) -> bool {
    text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
}

/// `1.4.0 shop.r3.i7 | text`, as `gapless logs` prints it.
fn printed(rest: &str) -> Option<Own> {
    let mut parts = rest.splitn(4, ' ');
    let (_label, instance, separator) = (parts.next()?, parts.next()?, parts.next()?);
    instance.parse::<InstanceId>().ok()?;
    let of = match separator {
        "|" => Some(format!("{instance} out")),
        "!" => Some(format!("{instance} err")),
        "*" => None,
        _ => return None,
    };
    Some(Own { of, text: parts.next().unwrap_or_default().to_owned(), goes_on: false })
}

/// `out text`, as it lies in the log file of an instance; `out+` where the line goes on.
fn filed(rest: &str) -> Option<Own> {
    let (stream, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let (stream, goes_on) = stream.strip_suffix('+').map_or((stream, false), |stream| (stream, true));
    let of = match stream {
        "out" | "err" => Some(stream.to_owned()),
        "sys" => None,
        _ => return None,
    };
    Some(Own { of, text: text.to_owned(), goes_on })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::{is_own, read};

    fn check(text: &str, expected: &Expect) {
        assert!(is_own(text.as_bytes()), "{text}");
        let mut written = Vec::new();
        read(text.as_bytes(), |bytes| written.extend_from_slice(bytes)).unwrap();
        expected.assert_eq(&String::from_utf8(written).unwrap());
    }

    #[test]
    fn a_traceback_is_whole_again_though_two_instances_wrote_at_once() {
        let text = "2026-11-21T08:00:00.250Z 1.4.0 shop.r3.i7 * started as process 7\n\
                    2026-11-21T08:00:00.251Z 1.4.0 shop.r3.i7 ! Traceback (most recent call last):\n\
                    2026-11-21T08:00:00.251Z 1.4.0 shop.r3.i8 | INFO ready\n\
                    2026-11-21T08:00:00.252Z 1.4.0 shop.r3.i7 !   File \"a.py\", line 1\n\
                    2026-11-21T08:00:00.252Z 1.4.0 shop.r3.i7 ! ValueError: no tea\n\
                    2026-11-21T08:00:00.253Z 1.4.0 shop.r3.i8 | \n";
        let expected = expect![[r#"
            Traceback (most recent call last):
              File "a.py", line 1
            ValueError: no tea

            INFO ready


        "#]];
        check(text, &expected);
    }

    #[test]
    fn json_and_the_files_themselves_are_read_back_too() {
        let line = |stream: &str, text: &str| {
            format!(
                "{{\"at\":\"2026-11-21T08:00:00.250Z\",\"instance\":\"shop.r3.i7\",\"release\":\"1.4.0\",\"stream\":\"{stream}\",\"text\":\"{text}\"}}\n"
            )
        };
        let json = [line("stderr", "ERROR a\\tb"), line("keeper", "exited"), line("stdout", "INFO c")].concat();
        check(
            &json,
            &expect![[r#"
            ERROR a	b

            INFO c

        "#]],
        );
        let file = "2026-11-21T08:00:00.123456Z out INFO first\n\
                    2026-11-21T08:00:00.123456Z err+ ERROR half\n\
                    2026-11-21T08:00:00.123456Z out INFO second\n\
                    2026-11-21T08:00:00.123456Z err  and half\n\
                    2026-11-21T08:00:02.000000Z sys exited with 1\n";
        let expected = expect![[r#"
            ERROR half and half

            INFO first
            INFO second

        "#]];
        check(file, &expected);
    }

    #[test]
    fn what_others_wrote_is_not_taken_for_ours() {
        for text in [
            "2026-11-21T08:00:00.250Z INFO shop ready\n",
            "2026-11-21T08:00:00.250Z 1.4.0 shop | x\n",
            "{\"at\":\"2026-11-21T08:00:00.250Z\",\"msg\":\"x\"}\n",
            "2026-11-21T08:00:00Z output x\n",
            "",
            "\n\n",
        ] {
            assert!(!is_own(text.as_bytes()), "{text}");
        }
    }
}
