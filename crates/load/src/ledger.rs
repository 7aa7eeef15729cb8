//! What became of each request, and the sums over it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::latencies::{Latencies, Quantiles};
use crate::seen::Seen;

/// The most incidents kept word for word; the sums count the rest.
const INCIDENTS_MAX: usize = 1_000;
/// The most releases told apart; a target that makes up labels cannot grow the sums without end.
const RELEASES_MAX: usize = 64;
/// The most reasons told apart.
const REASONS_MAX: usize = 64;

/// How one request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// A whole answer came.
    Answered {
        /// Its status.
        status: u16,
        /// The release that answered, where the answer names one.
        release: Option<String>,
        /// Why whoever stands before the releases answered itself, where the answer says so.
        reason: Option<String>,
    },
    /// No connection: refused.
    Refused,
    /// The connection ended before the first byte of the answer, by a reset or a close.
    Reset,
    /// As [`Fate::Reset`], on a connection that had served before: the race of an idle close with our request.
    ClosedUnanswered,
    /// No whole answer in time.
    TimedOut,
    /// The answer began and did not end.
    Cut,
    /// The answer is not what was asked for: bad framing, another request's id, an echo that differs.
    Wrong {
        /// What about it.
        why: String,
    },
    /// Our own bound on requests under way was reached, because the target answers too slowly for the schedule.
    NotSent,
}

impl Fate {
    /// Whether a client would call it lost: no whole, right answer, or a 5xx.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Answered { status, .. } => *status >= 500,
            Self::Refused
            | Self::Reset
            | Self::ClosedUnanswered
            | Self::TimedOut
            | Self::Cut
            | Self::Wrong { .. }
            | Self::NotSent => true,
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { status, release: Some(release), .. } => write!(f, "answered {status} by {release}"),
            Self::Answered { status, reason: Some(reason), .. } => write!(f, "answered {status}: {reason}"),
            Self::Answered { status, .. } => write!(f, "answered {status}"),
            Self::Refused => f.write_str("refused"),
            Self::Reset => f.write_str("reset before an answer"),
            Self::ClosedUnanswered => f.write_str("kept connection closed before an answer"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Cut => f.write_str("answer cut short"),
            Self::Wrong { why } => write!(f, "wrong answer: {why}"),
            Self::NotSent => f.write_str("not sent, too many under way"),
        }
    }
}

/// One request that was lost.
#[derive(Debug, Clone, Serialize)]
pub struct Incident {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: &'static str,
    /// When it was scheduled, in milliseconds since the run began.
    pub at_ms: u64,
    /// How long it took to be lost, in milliseconds.
    pub after_ms: u64,
    /// How it ended.
    pub fate: String,
}

/// What became of the WebSocket sessions, beyond the fate each has as a request.
#[derive(Debug, Clone, Default, Serialize)]
pub struct WebSocketSums {
    /// Sessions that got their 101.
    pub opened: u64,
    /// Messages sent.
    pub sent: u64,
    /// Messages that came back as they were.
    pub echoed: u64,
    /// Sessions that lived as long as we wanted.
    pub closed_by_us: u64,
    /// Sessions the other side closed in due form, by its code.
    pub closed_by_peer: BTreeMap<u16, u64>,
    /// Sessions that ended without a Close frame.
    pub cut: u64,
    /// The longest a session the other side ended had lived, in milliseconds.
    pub longest_ended_ms: u64,
}

/// The sums over all requests of a run; the same type is a live snapshot and the final result.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Sums {
    /// Requests whose time came.
    pub scheduled: u64,
    /// Batches that were left out by a plan that yields ([`crate::Offer::Yielding`]); not among the scheduled.
    pub left_out: u64,
    /// Those that have ended; equals `scheduled` at the end.
    pub ended: u64,
    /// Whole answers of any status.
    pub answered: u64,
    /// Not answered whole and right, or with a 5xx.
    pub lost: u64,
    /// Answers with a 5xx that name a release: the service's own.
    pub failed_by_service: u64,
    /// Requests executed more than once, after the run and where a file of seen ids was given.
    pub duplicated: u64,
    /// What the file of seen ids says, where one was given.
    pub seen: Option<Seen>,
    /// Requests that took longer than the plan's `slow_from`, deliberate slowness not counted.
    pub slow: u64,
    /// Requests sent a second time by the rule of [`Reuse`](crate::Reuse).
    pub repeated: u64,
    /// Kept connections that were found closed before anything was written on them.
    pub found_closed: u64,
    /// Connections opened.
    pub connected: u64,
    /// Lost requests by what happened.
    pub lost_by: BTreeMap<&'static str, u64>,
    /// Of the lost ones, those whose answer said why, by what it said.
    pub lost_by_reason: BTreeMap<String, u64>,
    /// Answers by status.
    pub by_status: BTreeMap<u16, u64>,
    /// Answers by release.
    pub by_release: BTreeMap<String, u64>,
    /// Requests by kind.
    pub by_kind: BTreeMap<&'static str, u64>,
    /// From the scheduled time to the whole answer, kinds that are slow on purpose left out.
    pub latency: Quantiles,
    /// From the moment of sending to the whole answer: what a closed-loop generator would have told.
    pub service_time: Quantiles,
    /// WebSocket sessions.
    pub websockets: WebSocketSums,
    /// The first lost requests, word for word.
    pub incidents: Vec<Incident>,
}

/// One request's end, as the clients report it.
pub(crate) struct Entry {
    pub id: String,
    pub kind: crate::plan::Kind,
    pub fate: Fate,
    /// From the start of the run to the scheduled time.
    pub at: Duration,
    /// From the scheduled time to the end.
    pub latency: Duration,
    /// From the sending to the end.
    pub service_time: Duration,
}

/// The ledger while the run goes on.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    sums: Sums,
    latency: Latencies,
    service_time: Latencies,
    slow_from: Duration,
}

impl Ledger {
    pub fn new(slow_from: Duration) -> Self {
        Self { slow_from, ..Self::default() }
    }

    /// The counters that are no request's end.
    pub fn sums_mut(&mut self) -> &mut Sums {
        &mut self.sums
    }

    /// Enters one request's end.
    pub fn enter(&mut self, entry: Entry) {
        let sums = &mut self.sums;
        sums.ended += 1;
        *sums.by_kind.entry(entry.kind.name()).or_default() += 1;
        if let Fate::Answered { status, release, reason } = &entry.fate {
            sums.answered += 1;
            *sums.by_status.entry(*status).or_default() += 1;
            if let Some(release) = release
                && (sums.by_release.len() < RELEASES_MAX || sums.by_release.contains_key(release))
            {
                *sums.by_release.entry(release.clone()).or_default() += 1;
            }
            sums.failed_by_service += u64::from(*status >= 500 && release.is_some());
            if let Some(reason) = reason.as_ref().filter(|_| entry.fate.is_lost())
                && (sums.lost_by_reason.len() < REASONS_MAX || sums.lost_by_reason.contains_key(reason))
            {
                *sums.lost_by_reason.entry(reason.clone()).or_default() += 1;
            }
        }
        if entry.fate.is_lost() {
            sums.lost += 1;
            *sums.lost_by.entry(label(&entry.fate)).or_default() += 1;
            if sums.incidents.len() < INCIDENTS_MAX {
                sums.incidents.push(Incident {
                    id: entry.id,
                    kind: entry.kind.name(),
                    at_ms: millis(entry.at),
                    after_ms: millis(entry.latency),
                    fate: entry.fate.to_string(),
                });
            }
        }
        let own = entry.kind.own_slowness();
        if entry.latency.saturating_sub(own) > self.slow_from {
            self.sums.slow += 1;
        }
        if own.is_zero() {
            self.latency.record(entry.latency);
            self.service_time.record(entry.service_time);
        }
    }

    /// The sums as they are now.
    pub fn snapshot(&self) -> Sums {
        let mut sums = self.sums.clone();
        sums.latency = self.latency.quantiles();
        sums.service_time = self.service_time.quantiles();
        sums
    }
}

/// The fate's name as a key.
fn label(fate: &Fate) -> &'static str {
    match fate {
        Fate::Answered { .. } => "status-5xx",
        Fate::Refused => "refused",
        Fate::Reset => "reset",
        Fate::ClosedUnanswered => "closed-unanswered",
        Fate::TimedOut => "timed-out",
        Fate::Cut => "cut",
        Fate::Wrong { .. } => "wrong",
        Fate::NotSent => "not-sent",
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Kind;

    fn entry(kind: Kind, fate: Fate, latency_ms: u64) -> Entry {
        let latency = Duration::from_millis(latency_ms);
        Entry { id: "r-1".into(), kind, fate, at: Duration::ZERO, latency, service_time: latency }
    }

    #[test]
    fn a_5xx_is_lost_and_told_apart_by_who_failed() {
        let mut ledger = Ledger::new(Duration::from_secs(1));
        let answered = |status, release: Option<&str>| {
            let reason = release.is_none().then(|| "hold_full".to_owned());
            Fate::Answered { status, release: release.map(str::to_owned), reason }
        };
        ledger.enter(entry(Kind::Get, answered(200, Some("1.0")), 3));
        ledger.enter(entry(Kind::Get, answered(500, Some("1.0")), 3));
        ledger.enter(entry(Kind::Get, answered(503, None), 3));
        ledger.enter(entry(Kind::Get, Fate::Refused, 3));
        let sums = ledger.snapshot();
        assert_eq!((sums.ended, sums.answered, sums.lost, sums.failed_by_service), (4, 3, 3, 1));
        assert_eq!(sums.by_release["1.0"], 2);
        assert_eq!(sums.lost_by_reason["hold_full"], 1);
        assert_eq!(sums.incidents.len(), 3);
    }

    #[test]
    fn slowness_on_purpose_is_not_counted_as_slow() {
        let mut ledger = Ledger::new(Duration::from_secs(1));
        let ok = || Fate::Answered { status: 200, release: None, reason: None };
        let upload = Kind::SlowUpload { bytes: 1, over: Duration::from_secs(10) };
        ledger.enter(entry(upload, ok(), 10_500));
        ledger.enter(entry(upload, ok(), 11_500));
        ledger.enter(entry(Kind::Get, ok(), 1_500));
        let sums = ledger.snapshot();
        assert_eq!(sums.slow, 2);
        assert!(sums.latency.max_ms < 2_000.0, "a slow upload is not in the quantiles");
    }
}
