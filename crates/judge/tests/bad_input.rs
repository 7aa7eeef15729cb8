//! J2 and J4: no verdict from missing data, no panic from any input.

use gapless_judge::engine::Table;
use gapless_judge::replay::{Replay, Replayed, Until};
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
        counts: vec![MetricWindow { metric: MetricId(0), table: Table::new(candidate, current) }],
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
    let mut text = "{\"start\":\"rollout\",\"at\":0}\n".to_owned();
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
