//! The table of verdicts (JUDGE §5): what is concluded, in which order, and what follows.

use crate::logs::SignatureId;
use crate::plan::SmallService;
use crate::resources::Guard;
use serde::{Deserialize, Serialize};

/// The judge's answer at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "because", rename_all = "kebab-case")]
#[must_use]
pub enum Verdict {
    /// A deterministic rule: roll back now.
    Guard(Guard),
    /// Ē ≥ 1/α: proven worse, roll back.
    Fail,
    /// Freeze the ramp, go on testing, notify.
    Suspect(Suspicion),
    /// Proven no worse than tolerated on every gating metric: next phase.
    Pass,
    /// The deadline came, nothing speaks against the candidate, and what matters would have been seen: next phase,
    /// recorded as weak.
    PassWeak,
    /// The deadline came, nothing speaks against the candidate, and the traffic was too little to judge by: next phase on guards, checks
    /// and time alone, as the service's policy says, recorded as not judged.
    PassUnjudged,
    /// The deadline came otherwise: extend once, then as `on_inconclusive` says.
    Inconclusive(Inconclusive),
    /// Not yet decided.
    Undecided(Waiting),
}

/// Why the ramp is frozen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "suspicion", rename_all = "kebab-case")]
pub enum Suspicion {
    /// All evidence together is past 1/√α.
    Together,
    /// One metric alone is past 1/√α.
    Metric {
        /// Its name.
        name: String,
    },
    /// Log lines alone are past 1/√α.
    Logs,
    /// The candidate is silent while its peers report.
    TelemetryMissing,
    /// A guard that holds.
    Guard {
        /// Which.
        guard: Guard,
    },
    /// A gauge is proven higher than its peers'.
    Gauge {
        /// Its name.
        name: String,
    },
    /// A gauge grows steadily, and its peers' does not.
    Grows {
        /// Its name.
        name: String,
    },
    /// A line that the current release goes on to write is no longer written.
    LostLine {
        /// Its signature.
        signature: SignatureId,
    },
}

/// Why nothing could be concluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inconclusive {
    /// A difference that matters would not have been seen.
    Underpowered,
    /// One arm showed nothing at all, or fell silent.
    NoData,
    /// Something speaks against the candidate, without proof.
    Conflict,
    /// Enough was to be seen, and it lies between as good as before and twice as bad.
    Between,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Waiting {
    /// The shortest time.
    Time,
    /// The least candidate requests.
    Requests,
    /// Proof, one way or the other.
    Proof,
}

impl Verdict {
    /// The word alone, as in tables and file names.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Guard(_) => "guard",
            Verdict::Fail => "fail",
            Verdict::Suspect(_) => "suspect",
            Verdict::Pass => "pass",
            Verdict::PassWeak => "pass-weak",
            Verdict::PassUnjudged => "pass-unjudged",
            Verdict::Inconclusive(_) => "inconclusive",
            Verdict::Undecided(_) => "undecided",
        }
    }

    /// Whether the candidate is to be rolled back.
    pub fn rolls_back(&self) -> bool {
        matches!(self, Verdict::Guard(_) | Verdict::Fail)
    }

    /// Whether the next phase may begin.
    pub fn promotes(&self) -> bool {
        matches!(self, Verdict::Pass | Verdict::PassWeak | Verdict::PassUnjudged)
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Verdict::Guard(guard) => write!(f, "worse, by rule: {guard}"),
            Verdict::Fail => f.write_str("worse: proven"),
            Verdict::Suspect(suspicion) => write!(f, "suspect: {suspicion}"),
            Verdict::Pass => f.write_str("no worse: proven on every gating metric"),
            Verdict::PassWeak => f.write_str("no worse, weakly"),
            Verdict::PassUnjudged => {
                f.write_str("not judged: too little traffic; promoted by guards, checks and time alone")
            }
            Verdict::Inconclusive(Inconclusive::Between) => {
                f.write_str("inconclusive: neither shown as good as before nor as worse")
            }
            Verdict::Inconclusive(Inconclusive::Underpowered) => {
                f.write_str("inconclusive: too little traffic to see a difference that matters")
            }
            Verdict::Inconclusive(Inconclusive::NoData) => {
                f.write_str("inconclusive: no data from one of the releases")
            }
            Verdict::Inconclusive(Inconclusive::Conflict) => {
                f.write_str("inconclusive: something speaks against the candidate, without proof")
            }
            Verdict::Undecided(Waiting::Time) => f.write_str("undecided: the shortest time has not passed"),
            Verdict::Undecided(Waiting::Requests) => f.write_str("undecided: too few candidate requests so far"),
            Verdict::Undecided(Waiting::Proof) => f.write_str("undecided: no proof yet, either way"),
        }
    }
}

impl std::fmt::Display for Suspicion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Suspicion::Together => f.write_str("all evidence together speaks against the candidate"),
            Suspicion::Metric { name } => write!(f, "{name} speaks against the candidate"),
            Suspicion::Logs => f.write_str("its log lines speak against the candidate"),
            Suspicion::TelemetryMissing => f.write_str("the candidate is silent while its peers report"),
            Suspicion::Guard { guard } => write!(f, "{guard}"),
            Suspicion::Gauge { name } => write!(f, "{name} is higher than its peers'"),
            Suspicion::Grows { name } => write!(f, "{name} grows steadily, and its peers' does not"),
            Suspicion::LostLine { signature } => {
                write!(f, "a line that the current release goes on to write has stopped (signature {signature})")
            }
        }
    }
}

/// What the table looks at, as plain numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    pub rollback_guard: Option<Guard>,
    pub failed: bool,
    pub suspicion: Option<Suspicion>,
    /// Whether both arms have had requests at all.
    pub has_data: bool,
    pub time_reached: bool,
    /// The least time has passed since the first window, with or without requests in every second: a trickle is compared for few of them.
    pub watched_long_enough: bool,
    pub requests_reached: bool,
    /// Every gating metric (there is at least one) has E′ ≥ 1/β.
    pub all_proven: bool,
    /// Nothing recurs that a strong PASS should not pass over in silence.
    pub praisable: bool,
    /// Every gating metric is likelier as good as before than at the PASS null, by `weak_evidence_min`.
    pub all_leaning: bool,
    pub small_service: SmallService,
    /// Every E is below [`WEAK_EVIDENCE_MAX`].
    pub nothing_against: bool,
    /// Every gating metric would have shown what matters.
    pub all_visible: bool,
    pub deadline_reached: bool,
}

/// A weak pass tolerates evidence below this.
pub(crate) const WEAK_EVIDENCE_MAX: f64 = 3.0;

/// The table, read from the top; the first row that holds is the verdict.
pub(crate) fn decide(facts: Facts) -> Verdict {
    if let Some(guard) = facts.rollback_guard {
        return Verdict::Guard(guard);
    }
    if facts.failed {
        return Verdict::Fail;
    }
    if let Some(suspicion) = facts.suspicion {
        return match (facts.deadline_reached, &suspicion) {
            (false, _) => Verdict::Suspect(suspicion),
            (true, Suspicion::TelemetryMissing) => Verdict::Inconclusive(Inconclusive::NoData),
            (true, _) => Verdict::Inconclusive(Inconclusive::Conflict),
        };
    }
    let enough = facts.has_data && facts.time_reached && facts.requests_reached;
    if enough && facts.all_proven && facts.praisable {
        return Verdict::Pass;
    }
    if facts.deadline_reached {
        return Verdict::Inconclusive(match (facts.has_data, facts.nothing_against) {
            (false, _) => Inconclusive::NoData,
            (true, false) => Inconclusive::Conflict,
            (true, true) if !facts.praisable => Inconclusive::Conflict,
            (true, true) if enough && facts.all_leaning => return Verdict::PassWeak,
            (true, true) if enough && facts.all_visible => Inconclusive::Between,
            // What was seen speaks for nothing, and as much was to be expected.
            (true, true) if facts.watched_long_enough && facts.small_service == SmallService::GuardsAlone => {
                return Verdict::PassUnjudged;
            }
            (true, true) => Inconclusive::Underpowered,
        });
    }
    Verdict::Undecided(match (facts.time_reached, facts.requests_reached) {
        (false, _) => Waiting::Time,
        (true, false) => Waiting::Requests,
        (true, true) => Waiting::Proof,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy() -> Facts {
        Facts {
            rollback_guard: None,
            failed: false,
            suspicion: None,
            has_data: true,
            time_reached: true,
            watched_long_enough: true,
            requests_reached: true,
            all_proven: true,
            praisable: true,
            all_leaning: true,
            small_service: SmallService::Person,
            nothing_against: true,
            all_visible: true,
            deadline_reached: false,
        }
    }

    #[test]
    fn every_row_of_the_table_is_reached() {
        let guard = Guard::CrashLoop { exits: 3 };
        let suspicion = Some(Suspicion::Together);
        let cases = [
            (Facts { rollback_guard: Some(guard), failed: true, ..healthy() }, "guard"),
            (Facts { failed: true, suspicion: suspicion.clone(), ..healthy() }, "fail"),
            (Facts { suspicion: suspicion.clone(), ..healthy() }, "suspect"),
            (healthy(), "pass"),
            (Facts { all_proven: false, ..healthy() }, "undecided"),
            (Facts { all_proven: false, deadline_reached: true, ..healthy() }, "pass-weak"),
            (Facts { suspicion, deadline_reached: true, ..healthy() }, "inconclusive"),
        ];
        for (facts, word) in cases {
            assert_eq!(decide(facts.clone()).word(), word, "{facts:?}");
        }
    }

    #[test]
    fn the_deadline_without_proof_says_why() {
        let late = Facts { all_proven: false, deadline_reached: true, ..healthy() };
        let why = |facts: Facts| match decide(facts) {
            Verdict::Inconclusive(why) => Some(why),
            _ => None,
        };
        assert_eq!(why(Facts { has_data: false, ..late.clone() }), Some(Inconclusive::NoData));
        assert_eq!(why(Facts { nothing_against: false, ..late.clone() }), Some(Inconclusive::Conflict));
        let unclear = Facts { all_leaning: false, ..late.clone() };
        assert_eq!(why(unclear.clone()), Some(Inconclusive::Between));
        assert_eq!(why(Facts { praisable: false, ..late.clone() }), Some(Inconclusive::Conflict));
        let small = Facts { all_visible: false, ..unclear };
        assert_eq!(why(small.clone()), Some(Inconclusive::Underpowered));
        let served = Facts { small_service: SmallService::GuardsAlone, ..small };
        assert_eq!(decide(served.clone()), Verdict::PassUnjudged);
        assert_eq!(why(Facts { nothing_against: false, ..served.clone() }), Some(Inconclusive::Conflict));
        assert_eq!(why(Facts { has_data: false, ..served }), Some(Inconclusive::NoData));
        assert_eq!(why(Facts { requests_reached: false, ..late.clone() }), Some(Inconclusive::Underpowered));
        let silent = Facts { suspicion: Some(Suspicion::TelemetryMissing), ..late };
        assert_eq!(why(silent), Some(Inconclusive::NoData));
    }

    #[test]
    fn no_data_never_passes_even_with_all_else_proven() {
        assert_eq!(decide(Facts { has_data: false, ..healthy() }).word(), "undecided");
        assert_eq!(decide(Facts { time_reached: false, ..healthy() }), Verdict::Undecided(Waiting::Time));
    }
}
