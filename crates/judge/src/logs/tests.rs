//! The whole way from bytes to signatures, and the invariants of the module.

use super::*;
use proptest::prelude::*;

fn read(text: &[u8], side: Side, tally: &mut Tally) {
    let mut reader = Reader::default();
    reader.push(text, |record| {
        tally.add(side, record);
    });
    reader.finish(|record| {
        tally.add(side, record);
    });
}

fn signatures(text: &str) -> Vec<String> {
    let mut tally = Tally::new();
    read(text.as_bytes(), Side::Current, &mut tally);
    let mut rows: Vec<String> = tally.signatures().iter().map(show).collect();
    rows.sort();
    rows
}

fn show(row: &Counted) -> String {
    let signature = &row.signature;
    format!(
        "{} {} {} | {} | {}",
        row.counts[0],
        signature.severity.map_or("-", Severity::as_str),
        signature.logger.as_deref().unwrap_or("-"),
        signature.exception.as_deref().unwrap_or("-"),
        signature.template
    )
}

#[test]
fn java_stack_traces_fold_into_their_line() {
    let text = "2024-01-02 03:04:05,678 INFO [main] a.B: started\n\
        2024-01-02 03:04:05,679 ERROR [main] a.C: request 7 failed\n\
        java.lang.IllegalStateException: no\n\
        \tat a.C.run(C.java:7)\n\
        Caused by: java.io.IOException: broken\n\
        \t... 12 more\n\
        2024-01-02 03:04:06,678 INFO [main] a.B: started\n";
    // The line with the class has no header and is none of the trace's frames: it stands for itself.
    let rows = signatures(text);
    assert!(rows.contains(&"2 INFO a.B | - | started".to_string()), "{rows:?}");
    assert!(rows.iter().any(|row| row.contains("request <*> failed")), "{rows:?}");
    assert_eq!(rows.len(), 2, "{rows:?}");
}

#[test]
fn python_tracebacks_give_class_and_message() {
    let text = "ready\nTraceback (most recent call last):\n  File \"/a.py\", line 3, in <module>\n    run()\n\
        KeyError: 'x'\n\nDuring handling of the above exception, another exception occurred:\n\n\
        Traceback (most recent call last):\n  File \"/a.py\", line 5, in <module>\nshop.errors.CardError: refused 5 times\nready\n";
    let rows = signatures(text);
    assert_eq!(
        rows,
        ["1 ERROR - | shop.errors.CardError | shop.errors.CardError: refused <*> times", "2 - - | - | ready"]
    );
}

#[test]
fn panics_of_go_and_rust_are_fatal_and_folded() {
    let go = "2024/01/02 03:04:05 serving\npanic: runtime error: index out of range [5] with length 3\n\ngoroutine 1 [running]:\n\
        main.main()\n\t/src/main.go:8 +0x1d\nexit status 2\n";
    let rows = signatures(go);
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(rows[1], "1 FATAL - | panic | panic: runtime error: index out of range [<*>] with length <*>");
    let rust = "ready\nthread 'main' panicked at src/main.rs:5:9:\nindex 7 out of bounds\nstack backtrace:\n   0: std::panicking\n\
        \x20            at /rustc/x.rs:5\nnote: run with `RUST_BACKTRACE=1`\nready\n";
    assert_eq!(signatures(rust), ["1 FATAL - | panic | panicked: index <*> out of bounds", "2 - - | - | ready"]);
}

#[test]
fn node_reports_fold_around_the_error() {
    let text = "listening on 80\n/app/server.js:12\n    throw new TypeError('no')\n    ^\n\nTypeError: no\n    at run (/app/server.js:12:9)\n    at main {\n  code: 5\n}\n\nNode.js v20.1.0\n";
    let rows = signatures(text);
    assert_eq!(rows, ["1 - - | - | listening on <*>", "1 ERROR - | TypeError | TypeError: no"]);
}

#[test]
fn colours_boms_and_returns_do_not_matter() {
    let plain = signatures("2024-01-02T03:04:05Z  INFO app: ready n=5\n2024-01-02T03:04:06Z ERROR app: lost n=6\n");
    let dressed = signatures(
        "\u{feff}\u{1b}[2m2024-01-02T03:04:05Z\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m app: ready n=5\r\n2024-01-02T03:04:06Z \u{1b}[31mERROR\u{1b}[0m app: lost n=6\r\n",
    );
    assert_eq!(plain, dressed);
}

#[test]
fn mixed_formats_in_one_file_are_each_read() {
    let mut text = String::new();
    for n in 0..20 {
        text += &format!("10.0.0.{n} - - [02/Jan/2024:03:04:{n:02} +0000] \"GET /item/{n} HTTP/1.1\" 200 5{n}\n");
        text += &format!("2024-01-02 03:04:{n:02},678 INFO [w{n}] a.B: item {n} served\n");
        text += &format!("{{\"level\":\"warn\",\"msg\":\"slow item {n}\",\"logger\":\"db\"}}\n");
    }
    text += "10.0.0.1 - - [02/Jan/2024:03:04:05 +0000] \"GET /item/5 HTTP/1.1\" 503 5\n";
    assert_eq!(
        signatures(&text),
        [
            "1 ERROR - | - | \"GET <*>\" 503 <*>",
            "20 - - | - | \"GET <*>\" 200 <*>",
            "20 INFO a.B | - | item <*> served",
            "20 WARN db | - | slow item <*>",
        ]
    );
}

#[test]
fn binary_empty_and_cut_lines_have_a_stated_form() {
    assert_eq!(signatures(""), Vec::<String>::new());
    assert_eq!(signatures("\n\n\n"), Vec::<String>::new());
    assert_eq!(signatures("\u{0}\u{1}\u{2}abc\n\u{0}\u{3}xyz\n"), ["2 - - | - | <binary>"]);
    let long = format!("{}\n", "word ".repeat(2_000_000));
    assert_eq!(signatures(&long).len(), 1);
}

#[test]
fn a_million_shapes_stay_within_the_bound() {
    let lines = 1_000_000_u64;
    let mut tally = Tally::new();
    let mut reader = Reader::default();
    let mut chunk = Vec::new();
    for n in 0..lines {
        let word = |salt: u64| {
            let mut hash = (n * 8 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (0..9)
                .map(|_| {
                    hash = hash.rotate_left(7).wrapping_mul(31);
                    (b'g' + (hash >> 60) as u8) as char
                })
                .collect::<String>()
        };
        chunk.extend_from_slice(format!("{} {} {}\n", word(1), word(2), word(3)).as_bytes());
        if chunk.len() > 60_000 {
            reader.push(&chunk, |record| {
                tally.add(Side::Candidate, record);
            });
            chunk.clear();
            assert!(tally.entries() <= ENTRIES_MAX);
        }
    }
    reader.finish(|record| {
        tally.add(Side::Candidate, record);
    });
    assert!(tally.condensed() > 0);
    assert_eq!(tally.signatures().iter().map(|row| row.counts[1]).sum::<u64>(), tally.records()[1]);
}

/// Lines of a small language of its own, so that shapes meet.
fn line_strategy() -> impl Strategy<Value = String> {
    let subject = prop::sample::select(vec![
        "worker",
        "user alice",
        "user bob",
        "db.pool",
        "a.b.C",
        "cache",
        "order 5",
        "order 77",
    ]);
    let verb =
        prop::sample::select(vec!["started", "stopped", "lost", "took 5 ms", "took 9 s", "from 10.0.0.1", "ok", "=x"]);
    let tail = prop::sample::select(vec![
        "",
        " (retry 3)",
        " 'quoted'",
        ", 1, 2, 3",
        " at /x/y",
        " on host a.example",
        " on host b.example",
    ]);
    let level = prop::sample::select(vec!["INFO", "WARN", "ERROR"]);
    (level, subject, verb, tail, 0..60_u32).prop_map(|(level, subject, verb, tail, second)| {
        format!("2024-01-02 03:04:{second:02},678 {level} [main] shop.Main: {subject} {verb}{tail}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_changes_no_signature(
        (lines, shuffled) in prop::collection::vec(line_strategy(), 1..120)
            .prop_flat_map(|lines| (Just(lines.clone()), Just(lines).prop_shuffle()))
    ) {
        prop_assert_eq!(signatures(&lines.join("\n")), signatures(&shuffled.join("\n")));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..4096), cut in 1..64_usize) {
        let mut whole = Tally::new();
        read(&bytes, Side::Current, &mut whole);
        let mut pieces = Tally::new();
        let mut reader = Reader::default();
        for piece in bytes.chunks(cut) {
            reader.push(piece, |record| { pieces.add(Side::Current, record); });
        }
        reader.finish(|record| { pieces.add(Side::Current, record); });
        prop_assert_eq!(whole.signatures(), pieces.signatures());
    }

    #[test]
    fn mutated_real_lines_never_panic(seed in any::<u64>()) {
        let mut bytes = include_bytes!("../../tests/logs/java_2k.log")[..6_000].to_vec();
        bytes.extend_from_slice(&include_bytes!("../../tests/logs/node-json_2k.log")[..4_000]);
        bytes.extend_from_slice(&include_bytes!("../../tests/logs/go-text_2k.log")[..4_000]);
        let mut state = seed | 1;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        for _ in 0..64 {
            let (at, other) = (next(bytes.len()), next(bytes.len()));
            match next(5) {
                0 => bytes[at] = next(256) as u8,
                1 => bytes.swap(at, other),
                2 => { let end = (at + next(40)).min(bytes.len()); bytes.drain(at..end); }
                3 => { let piece = bytes[at..(at + next(60)).min(bytes.len())].to_vec(); bytes.splice(other..other, piece); }
                _ => bytes[at] = b"\"{}[]()=:\\\n \t|\x1b\0"[next(16)],
            }
            bytes.push(b'x');
        }
        let mut tally = Tally::new();
        read(&bytes, Side::Current, &mut tally);
        let counted: u64 = tally.signatures().iter().map(|row| row.counts[0]).sum();
        prop_assert_eq!(counted, tally.records()[0]);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "(\\PC|[\\[\\]{}=\":'0-9\n\t -]){0,400}") {
        let _ = signatures(&text);
    }
}
