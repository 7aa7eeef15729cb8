//! J3: the state is bounded and survives serialisation in mid-stream with the same verdicts.

use gapless_judge::dispersion::Dispersion;
use gapless_judge::engine::Table;
use gapless_judge::latency::{Histogram, LatencyWindow, freeze};
use gapless_judge::logs::{Severity, SignatureId};
use gapless_judge::{Arms, Judge, LogCount, MetricId, MetricWindow, Plan, Settings, Window};
use gapless_model::{Millis, Tick};
use proptest::prelude::*;

fn latency(values: &[u64]) -> LatencyWindow {
    let mut answered = Histogram::default();
    values.iter().for_each(|us| answered.record_us(*us));
    LatencyWindow { answered, unanswered: 0 }
}

fn plan() -> Plan {
    let thresholds = freeze(&latency(&(1..=10_000).collect::<Vec<_>>()));
    Plan::new(Settings::default())
        .with_errors("errors", Dispersion::new(3.0), Default::default())
        .with_latency(&thresholds, &[], &[])
        .with_restarts()
}

fn window(second: u64, errors: (u64, u64), slow: u64, line: u64) -> Window {
    let log = LogCount {
        signature: SignatureId(line),
        severity: Some(Severity::Error),
        known: line.is_multiple_of(2),
        declared: false,
        fatal: false,
        lines: Arms { candidate: 1, current: line % 3 },
        corroborated: 1,
    };
    Window {
        end: Tick(second * 1_000),
        length: Millis(1_000),
        requests: Arms { candidate: 10, current: 90 },
        reporting: Arms { candidate: true, current: true },
        counts: vec![MetricWindow {
            metric: MetricId(0),
            stratum: 0,
            table: Table::new((10, errors.0), (90, errors.1)),
        }],
        latency: Some(Arms { candidate: latency(&[slow, 50, 9_990]), current: latency(&[1, 5_000]) }),
        logs: vec![log],
        ..Window::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_judge_that_was_written_and_read_goes_on_as_if_nothing_had_happened(
        seconds in prop::collection::vec((0_u64..4, 0_u64..6, 0_u64..20_000, 0_u64..9), 2..60),
        cut in 0_usize..60,
    ) {
        let mut whole = Judge::new(&plan());
        let mut resumed = Judge::new(&plan());
        let deadline = Tick(1_000_000);
        for (index, (bad, base, slow, line)) in seconds.iter().enumerate() {
            let window = window(index as u64 + 1, (*bad, *base), *slow, *line);
            whole.handle_window(&window);
            resumed.handle_window(&window);
            if index == cut {
                resumed = serde_json::from_str(&serde_json::to_string(&resumed).unwrap()).unwrap();
            }
            let now = window.end;
            prop_assert_eq!(whole.verdict(now, deadline), resumed.verdict(now, deadline));
        }
        let now = Tick(seconds.len() as u64 * 1_000);
        prop_assert!((whole.combined_log_evidence() - resumed.combined_log_evidence()).abs() < 1e-9);
        prop_assert_eq!(whole.evidence(now, now).to_string(), resumed.evidence(now, now).to_string());
    }
}

#[test]
fn evidence_survives_writing_and_reading() {
    let mut judge = Judge::new(&plan());
    (1..600).for_each(|second| judge.handle_window(&window(second, (second % 3, 1), second * 7, second % 5)));
    let evidence = judge.evidence(Tick(600_000), Tick(600_000));
    let read: gapless_judge::Evidence = serde_json::from_str(&serde_json::to_string(&evidence).unwrap()).unwrap();
    assert_eq!(read.to_string(), evidence.to_string());
    assert_eq!((read.verdict, read.logs), (evidence.verdict, evidence.logs));
}

#[test]
fn the_state_stays_small_whatever_comes() {
    let mut judge = Judge::new(&plan());
    let size = |judge: &Judge| serde_json::to_string(judge).unwrap().len();
    for second in 1..3_000 {
        let mut window = window(second, (1, 1), second, 0);
        // Ten new signatures a second.
        window.logs = (0..10).map(|n| LogCount { signature: SignatureId(second * 10 + n), ..window.logs[0] }).collect();
        judge.handle_window(&window);
    }
    assert!(size(&judge) < 2_000_000, "{}", size(&judge));
    let before = size(&judge);
    for second in 3_000..3_500 {
        let mut window = window(second, (1, 1), second, 0);
        window.logs = (0..10).map(|n| LogCount { signature: SignatureId(second * 10 + n), ..window.logs[0] }).collect();
        judge.handle_window(&window);
    }
    assert!(size(&judge) < before + 20_000, "{} after {before}", size(&judge));
}
