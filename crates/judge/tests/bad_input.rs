//! J2 and J4: no verdict from missing data, no panic from any input.

use gapless_judge::engine::Table;
use gapless_judge::replay::{Doubt, Replay, Replayed, Until, packed_format};
use gapless_judge::{Arms, Judge, MetricId, MetricWindow, Plan, Settings, Verdict, Window};
use gapless_model::{Millis, Tick};
use proptest::prelude::*;
use std::fmt::Write as _;

fn replay(text: &str) -> Replayed {
    let mut replay = Replay::new();
    text.lines().for_each(|line| replay.handle_line(line.as_bytes()));
    replay.finish(Until::Decision)
}

fn judge() -> Judge {
    Judge::new(&Plan::new(Settings::default()).with_errors("errors", Default::default(), Default::default()))
}

fn window(end: u64, candidate: (u64, u64), current: (u64, u64)) -> Window {
    Window {
        end: Tick(end),
        length: Millis(1_000),
        requests: Arms { candidate: candidate.0, current: current.0 },
        reporting: Arms { candidate: true, current: true },
        counts: vec![MetricWindow { metric: MetricId(0), stratum: 0, table: Table::new(candidate, current) }],
        ..Window::default()
    }
}

#[test]
fn missing_data_is_neither_success_nor_failure() {
    for (candidate, current) in [((0, 0), (900, 300)), ((900, 300), (0, 0)), ((0, 0), (0, 0))] {
        let mut judge = judge();
        for second in 1..2_000 {
            judge.handle_window(&window(second * 1_000, candidate, current));
        }
        let now = Tick(1_999_000);
        assert!(matches!(judge.verdict(now, Tick(u64::MAX)), Verdict::Undecided(_)));
        assert_eq!(judge.verdict(now, now).word(), "inconclusive", "{candidate:?} {current:?}");
    }
}

#[test]
fn windows_counted_twice_or_backwards_are_refused() {
    let mut judge = judge();
    for _ in 0..50 {
        judge.handle_window(&window(1_000, (10, 10), (90, 0)));
    }
    judge.handle_window(&window(500, (10, 10), (90, 0)));
    let evidence = judge.evidence(Tick(1_000), Tick(u64::MAX));
    assert_eq!(evidence.refusals.late_windows, 50);
    assert_eq!(evidence.requests.candidate, 10);
}

#[test]
fn a_total_that_falls_is_a_restarted_source() {
    let mut text = "{\"start\":\"rollout\",\"at\":0,\"settings\":{\"warm_up_ms\":0}}\n".to_owned();
    for (at, exposure, events) in [(1, 1_000, 5), (2, 1_100, 6), (3, 20, 1), (4, 40, 1)] {
        let _ = writeln!(
            text,
            r#"{{"at":{at},"arm":"candidate","metric":"errors","exposure":{exposure},"events":{events},"total":true}}"#
        );
        let _ = writeln!(text, r#"{{"at":{at},"arm":"current","metric":"errors","exposure":100,"events":1}}"#);
    }
    let counts = replay(&text).evidence.metrics[0].counts;
    assert_eq!((counts.candidate.exposure, counts.candidate.events), (100 + 20 + 20, 2));
}

#[test]
fn wrong_numbers_and_unknown_fields_refuse_the_line_alone() {
    let lines = [
        r#"{"at":1,"arm":"current","metric":"errors","exposure":NaN,"events":1}"#,
        r#"{"at":1,"arm":"current","metric":"errors","exposure":-5,"events":1}"#,
        r#"{"at":1,"arm":"current","metric":"errors","exposure":1e300,"events":1}"#,
        r#"{"at":1,"arm":"neither","metric":"errors","exposure":5,"events":1}"#,
        r#"{"at":1,"arm":"current","metric":"errors","exposure":5,"events":1,"surprise":2}"#,
        "\u{0}\u{1}",
    ];
    let replayed = replay(&lines.join("\n"));
    assert_eq!(replayed.refused.lines, 6);
    assert!(replayed.course.is_empty());
}

#[test]
fn a_clock_an_hour_off_between_the_arms_gives_no_data_and_no_verdict() {
    let mut text = "{\"start\":\"rollout\",\"at\":0}\n".to_owned();
    for second in 0..1_000 {
        let _ = writeln!(text, r#"{{"at":{second},"arm":"candidate","metric":"errors","exposure":1000,"events":900}}"#);
        let _ = writeln!(
            text,
            r#"{{"at":{},"arm":"current","metric":"errors","exposure":9000,"events":0}}"#,
            second + 3_600
        );
    }
    let verdict = replay(&text).evidence.verdict;
    assert!(!verdict.rolls_back() && !verdict.promotes(), "{verdict}");
}

/// A stream of both arms whose times are `unit` to the second, the candidate's clock `ahead`; its errors are ten times as many.
fn bad_candidate(unit: u64, ahead: u64) -> Vec<String> {
    let mut lines = vec!["{\"start\":\"rollout\",\"at\":0}".to_owned()];
    for second in 0..900 {
        let (at, of_candidate) = (second * unit, (second + ahead) * unit);
        lines.push(format!(
            r#"{{"at":{at},"arm":"current","instance":"b1","metric":"errors","exposure":90,"events":{}}}"#,
            u64::from(second % 10 == 0)
        ));
        lines.push(format!(
            r#"{{"at":{of_candidate},"arm":"candidate","instance":"c1","metric":"errors","exposure":10,"events":{}}}"#,
            u64::from(second % 10 == 0)
        ));
    }
    lines
}

#[test]
fn milliseconds_for_seconds_are_said_and_nothing_is_judged() {
    let replayed = replay(&bad_candidate(1_000, 0).join("\n"));
    assert_eq!(replayed.doubts, [Doubt::Milliseconds]);
    assert_eq!(replayed.evidence.verdict.word(), "inconclusive");
    assert_eq!(replay(&bad_candidate(1, 0).join("\n")).doubts, []);
}

#[test]
fn clocks_thirty_seconds_apart_are_said_and_nothing_is_judged() {
    let replayed = replay(&bad_candidate(1, 30).join("\n"));
    assert!(
        matches!(replayed.doubts[..], [Doubt::Clocks { seconds }] if (29.0..=31.0).contains(&seconds)),
        "{:?}",
        replayed.doubts
    );
    assert_eq!(replayed.evidence.verdict.word(), "inconclusive");
}

#[test]
fn a_source_read_twice_counts_once_and_is_said() {
    let lines = bad_candidate(1, 0);
    let once = replay(&lines.join("\n"));
    let twice = replay(&[&lines[..], &lines[1..]].concat().join("\n"));
    assert_eq!(twice.evidence.metrics[0].counts, once.evidence.metrics[0].counts);
    assert_eq!(twice.doubts, [Doubt::ReadTwice { records: 1_800 }]);
}

#[test]
fn a_replay_knows_no_more_than_a_live_judge_would_have_known() {
    // The verdict on the first ten minutes is the same whatever is recorded afterwards.
    let mut first = bad_candidate(1, 0);
    let log = |second: u64, arm: &str, text: &str| {
        format!(r#"{{"at":{second},"arm":"{arm}","instance":"x","log":"{text}"}}"#)
    };
    for second in 1..600 {
        first.push(log(second, "candidate", &format!("ERROR payment {} of alice refused", second * 7)));
    }
    let until = |lines: &[String]| {
        let replayed = replay(&lines.join("\n"));
        (replayed.second, replayed.evidence.verdict.clone(), replayed.evidence.logs.clone())
    };
    let mut more = first.clone();
    for second in 600..900 {
        more.push(log(second, "current", &format!("ERROR payment {} of bob refused", second * 11)));
        more.push(log(second, "candidate", &format!("WARN payment {} of bob refused", second)));
    }
    let (second, verdict, logs) = until(&first);
    assert!(second < 600 && verdict.rolls_back(), "{second} {verdict}");
    assert_eq!(until(&more), (second, verdict, logs));
}

#[test]
fn packed_files_are_named() {
    assert_eq!(packed_format(&[0x1f, 0x8b, 8]), Some("gzip"));
    assert_eq!(packed_format(&[0x28, 0xb5, 0x2f, 0xfd, 0]), Some("zstd"));
    assert_eq!(packed_format(b"\xff\xfe{\0"), Some("UTF-16"));
    assert_eq!(packed_format(br#"{"at":1,"arm":"current"}"#), None);
    assert_eq!(packed_format(b""), None);
}

#[test]
fn a_million_error_shapes_are_said_and_their_total_is_tested() {
    let mut replay = Replay::new();
    let mut handle = |line: String| replay.handle_line(line.as_bytes());
    handle("{\"start\":\"rollout\",\"at\":0,\"settings\":{\"warm_up_ms\":0}}".to_owned());
    let word = |n: u64| -> String { (0..6).map(|place| char::from(b'a' + (n / 9_u64.pow(place) % 9) as u8)).collect() };
    for second in 0..120_u64 {
        for (arm, exposure) in [("current", 900), ("candidate", 100)] {
            handle(format!(
                r#"{{"at":{second},"arm":"{arm}","instance":"{arm}","metric":"errors","exposure":{exposure},"events":0}}"#
            ));
        }
        for n in 0..500 {
            let n = second * 500 + n;
            let text = format!("{} {} broke {}", word(n), word(n * 31 + 7), word(n * 17 + 3));
            handle(format!(r#"{{"at":{second},"arm":"candidate","instance":"candidate","log":"ERROR {text}"}}"#));
        }
    }
    let replayed = replay.finish(Until::End);
    assert!(replayed.doubts.contains(&Doubt::TooManyShapes), "{:?}", replayed.doubts);
    assert!(replayed.evidence.log_total_evidence > 10.0, "{}", replayed.evidence);
    assert!(replayed.evidence.to_string().contains("too many different ERROR lines"), "{}", replayed.evidence);
    assert!(!replayed.evidence.verdict.promotes());
}

proptest! {
    #[test]
    fn no_bytes_panic(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20)) {
        let mut replay = Replay::new();
        lines.iter().for_each(|line| replay.handle_line(line));
        let _ = replay.finish(Until::End);
    }

    #[test]
    fn no_samples_panic(samples in prop::collection::vec((0.0_f64..1e15, any::<bool>(), 0.0_f64..1e15, 0.0_f64..1e15, any::<bool>()), 0..40)) {
        let mut replay = Replay::new();
        for (at, candidate, exposure, events, total) in samples {
            let arm = if candidate { "candidate" } else { "current" };
            let line = format!(r#"{{"at":{at},"arm":"{arm}","metric":"errors","exposure":{exposure},"events":{events},"total":{total},"value":{events},"limit":{exposure},"histogram":[[{},{}]]}}"#, at as u64, exposure as u64);
            replay.handle_line(line.as_bytes());
        }
        let _ = replay.finish(Until::End);
    }
}
