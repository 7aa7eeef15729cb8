//! What the ledger of the clients says about the promise of a case.

use std::time::Instant;

use gapless_load::Sums;

use crate::case::Promise;

/// How the client's ends are named that a killed process explains: it held the request, or the connection it came on.
const HELD: &[&str] = &["reset", "closed-unanswered", "cut"];

/// A request counts from the time it was due; the clients' schedule begins a little after the mark does.
const SLACK_MS: u64 = 250;

/// When what happened, on the clock of the load.
#[derive(Debug, Default)]
pub struct Marks {
    begun: Option<Instant>,
    fault_ms: Option<u64>,
    gone_ms: Option<u64>,
    ready_ms: Option<u64>,
}

impl Marks {
    /// The load begins.
    pub fn begin(&mut self) {
        self.begun = Some(Instant::now());
    }

    /// A fault begins; the first one counts.
    pub fn fault(&mut self) {
        self.fault_ms = self.fault_ms.or_else(|| self.now_ms());
        self.ready_ms = None;
    }

    /// What was killed is gone; the last one counts.
    pub fn gone(&mut self) {
        self.gone_ms = self.now_ms();
    }

    /// Everything is ready after the last fault.
    pub fn ready(&mut self) {
        self.ready_ms = self.ready_ms.or_else(|| self.now_ms());
    }

    fn now_ms(&self) -> Option<u64> {
        let elapsed = self.begun?.elapsed().as_millis();
        u64::try_from(elapsed).ok()
    }
}

/// Whether a request may have been executed more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// Nothing was sent to an instance that broke.
    Never,
    /// An instance broke after it was sent some that may be sent again.
    Allowed,
}

/// Holds the ledger against the promise.
///
/// # Panics
/// When it is broken, with the first requests that were lost.
pub fn judge(promise: Promise, sums: &Sums, marks: &Marks, repeats: Repeats) {
    let shown: Vec<_> = sums.incidents.iter().take(10).collect();
    let tell = || format!("{:?}, {marks:?}: {shown:#?}", sums.lost_by);
    assert_eq!(sums.scheduled, sums.ended, "every request has one end");
    assert!(sums.answered > 100, "the case hardly had any load: {}", sums.answered);
    if repeats == Repeats::Never {
        assert_eq!(sums.duplicated, 0, "executed twice: {:?}", sums.seen);
    }
    let within = |from: u64, to: u64| {
        sums.incidents.len() as u64 == sums.lost && sums.incidents.iter().all(|of| (from..=to).contains(&of.at_ms))
    };
    match promise {
        Promise::Nothing => assert_eq!(sums.lost, 0, "{}", tell()),
        Promise::Held => {
            let to = marks.gone_ms.unwrap_or(0) + SLACK_MS;
            assert!(sums.lost_by.keys().all(|end| HELD.contains(end)), "more than what it held: {}", tell());
            assert!(within(0, to), "lost after it was gone: {}", tell());
        }
        Promise::Meanwhile => {
            // What was under way when it broke may have been due long before.
            let (from, to) = (marks.fault_ms.unwrap_or(0), marks.ready_ms.unwrap_or(u64::MAX - SLACK_MS));
            let ended_before = sums.incidents.iter().find(|of| of.at_ms + of.after_ms + SLACK_MS < from);
            assert!(ended_before.is_none(), "lost before the fault: {}", tell());
            assert!(within(0, to + SLACK_MS), "lost after all was ready again: {}", tell());
        }
    }
}
