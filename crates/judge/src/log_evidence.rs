//! Evidence from log lines: which signatures the candidate writes more often than the current release at the same time.
//!
//! A signature is an opaque id here. Signatures are tested as they turn up: the k-th to turn up has weight 6/(π²k²)
//! (Σ = 1), and the window that discovered it is not counted, so that choosing what to test by looking costs nothing.
//! From then on it is the engine with ψ0 = 1.5 over requests (or time) as a measure.
//!
//! Evidence of a signature enters a roll-back only if its severity is ERROR or worse, it is not declared, and it is corroborated: by a
//! request answered 5xx with it, or by the total of ERROR lines. "An ERROR line only the candidate wrote" by itself rolls
//! back nearly every healthy release and is not built.

use crate::dispersion::Dispersion;
use crate::engine::{Engine, EngineSettings, Exposure, Table};
use crate::logs::{Class, RateRule, Severity, Sighting, SignatureId, classify};
use crate::window::LogCount;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Signatures tested; the weight of a further one would be below 1e-5 and could prove nothing in time.
pub const TESTED_MAX: usize = 256;

/// Signatures counted for the report; further ones are only tallied.
pub const COUNTED_MAX: usize = 4_096;

/// Of the weight of logs, the part for signatures never seen before; the rest is for known ones that come more often.
const NEW_SHARE: f64 = 0.6;

/// The total of ERROR lines corroborates from this evidence on (JUDGE §4).
const TOTAL_CORROBORATES: f64 = 10.0;

/// How burstily log lines are assumed to come: a failing operation often writes several lines.
const LINE_DISPERSION: f64 = 2.0;

/// One tested signature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tested {
    signature: SignatureId,
    /// Its place k among those of its kind (new or known), from 1.
    place: u32,
    corroborated: bool,
    engine: Engine,
}

/// What is known of a signature's counts, tested or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Counted {
    severity: Option<Severity>,
    known: bool,
    declared: bool,
    candidate: u64,
    current: u64,
}

/// The state of all log evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEvidence {
    null: f64,
    total: Engine,
    tested: Vec<Tested>,
    counted: BTreeMap<SignatureId, Counted>,
    overflow: u64,
    new_places: u32,
    known_places: u32,
}

/// A signature worth showing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogFinding {
    /// Which signature.
    pub signature: SignatureId,
    /// Its severity.
    pub severity: Option<Severity>,
    /// Its class.
    pub class: Class,
    /// Declared as a caveat.
    pub declared: bool,
    /// Lines of the candidate.
    pub candidate: u64,
    /// Lines of the current release.
    pub current: u64,
    /// ln E, where it is tested.
    pub log_evidence: Option<f64>,
    /// Whether it may contribute to a roll-back.
    pub corroborated: bool,
}

impl LogEvidence {
    /// No line yet; `null` is ψ0.
    pub fn new(null: f64) -> LogEvidence {
        LogEvidence {
            null,
            total: Engine::new(engine_settings(null)),
            tested: Vec::new(),
            counted: BTreeMap::new(),
            overflow: 0,
            new_places: 0,
            known_places: 0,
        }
    }

    /// Takes the lines of one window; the exposures are requests or instance-milliseconds of (candidate, current).
    /// Windows in which an arm had no exposure count for the report, not for the tests.
    pub fn handle_window(&mut self, exposure: (u64, u64), logs: &[LogCount]) {
        let (mut errors_candidate, mut errors_current) = (0_u64, 0_u64);
        for log in logs {
            self.count(log);
            if is_error(log.severity) && !log.declared {
                errors_candidate = errors_candidate.saturating_add(log.lines.candidate);
                errors_current = errors_current.saturating_add(log.lines.current);
            }
        }
        let table = |candidate: u64, current: u64| Table::new((exposure.0, candidate), (exposure.1, current));
        self.total.handle_window(&table(errors_candidate, errors_current));
        let mut discovered = Vec::new();
        for log in logs.iter().filter(|log| is_error(log.severity) && !log.declared) {
            match self.tested.iter_mut().find(|tested| tested.signature == log.signature) {
                Some(tested) => {
                    tested.corroborated |= log.corroborated > 0;
                    tested.engine.handle_window(&table(log.lines.candidate, log.lines.current));
                }
                None => discovered.push(log),
            }
        }
        // Registered last: the window that discovers a signature is not evidence about it.
        discovered.into_iter().for_each(|log| self.register(log));
    }

    fn count(&mut self, log: &LogCount) {
        if !self.counted.contains_key(&log.signature) && self.counted.len() >= COUNTED_MAX {
            self.overflow = self.overflow.saturating_add(log.lines.candidate.saturating_add(log.lines.current));
            return;
        }
        let counted = self.counted.entry(log.signature).or_insert(Counted {
            severity: log.severity,
            known: log.known,
            declared: log.declared,
            candidate: 0,
            current: 0,
        });
        counted.declared = log.declared;
        counted.candidate = counted.candidate.saturating_add(log.lines.candidate);
        counted.current = counted.current.saturating_add(log.lines.current);
    }

    fn register(&mut self, log: &LogCount) {
        if self.tested.len() >= TESTED_MAX {
            return;
        }
        let places = if log.known { &mut self.known_places } else { &mut self.new_places };
        *places += 1;
        let place = *places;
        let engine = Engine::new(engine_settings(self.null));
        self.tested.push(Tested { signature: log.signature, place, corroborated: log.corroborated > 0, engine });
    }

    /// Whether no line has come yet, so that a window without lines changes nothing.
    pub fn is_silent(&self) -> bool {
        self.counted.is_empty() && self.overflow == 0
    }

    /// (share of the weight of logs, ln E, may roll back) of every tested signature. Shares sum to at most 1.
    pub fn parts(&self) -> impl Iterator<Item = LogPart> + Clone + '_ {
        let by_total = self.total.fail_log_evidence() >= TOTAL_CORROBORATES.ln();
        self.tested.iter().map(move |tested| {
            let known = self.counted.get(&tested.signature).is_some_and(|counted| counted.known);
            let declared = self.counted.get(&tested.signature).is_some_and(|counted| counted.declared);
            let budget = if known { 1.0 - NEW_SHARE } else { NEW_SHARE };
            let place = f64::from(tested.place);
            LogPart {
                signature: tested.signature,
                share: budget * 6.0 / (std::f64::consts::PI * place).powi(2),
                log_evidence: tested.engine.fail_log_evidence(),
                gated: !declared && (tested.corroborated || by_total),
            }
        })
    }

    /// ln E of the total of ERROR lines; it corroborates and does not itself fail a release.
    pub fn total_log_evidence(&self) -> f64 {
        self.total.fail_log_evidence()
    }

    /// Lines of signatures beyond [`COUNTED_MAX`].
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    /// Every signature that is not known and the same, the worst and the best proven first; at most `limit`.
    pub fn findings(&self, exposure: (f64, f64), limit: usize) -> Vec<LogFinding> {
        let parts: BTreeMap<SignatureId, LogPart> = self.parts().map(|part| (part.signature, part)).collect();
        let mut findings: Vec<LogFinding> = self
            .counted
            .iter()
            .filter_map(|(signature, counted)| {
                let sighting = Sighting {
                    known: counted.known,
                    current: counted.current,
                    candidate: counted.candidate,
                    exposure_current: exposure.1,
                    exposure_candidate: exposure.0,
                };
                let class = classify(&sighting, RateRule::default());
                let part = parts.get(signature);
                (class != Class::KnownSame).then(|| LogFinding {
                    signature: *signature,
                    severity: counted.severity,
                    class,
                    declared: counted.declared,
                    candidate: counted.candidate,
                    current: counted.current,
                    log_evidence: part.map(|part| part.log_evidence),
                    corroborated: part.is_some_and(|part| part.gated),
                })
            })
            .collect();
        let rank = |finding: &LogFinding| (finding.log_evidence.unwrap_or(-1.0), finding.candidate as f64);
        findings.sort_by(|a, b| {
            let (a_rank, b_rank) = (rank(a), rank(b));
            b.severity.cmp(&a.severity).then(b_rank.0.total_cmp(&a_rank.0)).then(b_rank.1.total_cmp(&a_rank.1))
        });
        findings.truncate(limit);
        findings
    }
}

/// One signature's part of the evidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogPart {
    /// Which signature.
    pub signature: SignatureId,
    /// Its share of the weight of logs.
    pub share: f64,
    /// ln E.
    pub log_evidence: f64,
    /// Severe, not declared and corroborated: it may roll back.
    pub gated: bool,
}

fn engine_settings(null: f64) -> EngineSettings {
    let dispersion = Dispersion::new(LINE_DISPERSION);
    EngineSettings { exposure: Exposure::Time, fail_null: null, pass_null: null * 2.0, dispersion }
}

fn is_error(severity: Option<Severity>) -> bool {
    severity.is_some_and(|severity| severity >= Severity::Error)
}
