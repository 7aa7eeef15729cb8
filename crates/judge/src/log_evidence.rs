//! Evidence from log lines: which signatures the candidate writes more often than the current release at the same time, and which it writes
//! no longer.
//!
//! A signature is an opaque id here. New ones are tested as they turn up: the k-th has weight 6/(π²k²) (Σ = 1), and the window that
//! discovered it is not counted, so that choosing what to test by looking costs nothing. Known ones were known before, so each has the same
//! weight. Lines come per request or per instance and second, which nobody says; whichever measure makes the candidate's share of the
//! exposure the larger is taken, so that a mixture of both is within the null too.
//!
//! Evidence of a signature enters a roll-back only if its severity is ERROR or worse, it is not declared, and something else says so too: requests
//! that failed with it, or the total of the ERROR lines of *other* signatures (those of the other parity, so that nothing
//! corroborates itself). "An ERROR line only the candidate wrote" by itself rolls back nearly every healthy release and is not built; it
//! holds.

use crate::arm::Arms;
use crate::dispersion::Dispersion;
use crate::engine::{Engine, EngineSettings, Exposure, Table};
use crate::log_history::{LogHistory, MEASURED_MAX};
use crate::logs::{Class, RateRule, Severity, Sighting, SignatureId, classify};
use crate::window::{LogCount, Window};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Signatures tested; the weight of a further one would be below 1e-5 and could prove nothing in time.
pub const TESTED_MAX: usize = 256;

/// Signatures counted for the report; further ones are only tallied.
pub const COUNTED_MAX: usize = 4_096;

/// Known signatures that are watched for no longer being written: the most frequent ones.
pub const WATCHED_MAX: usize = 64;

/// A known line as rare as this, per second, is not watched for: its absence would say nothing in an hour.
const WATCHED_PER_SECOND_MIN: f64 = 0.01;

/// Of the weight of logs: the part for signatures never seen before, for known ones that come more often, for those that are no longer written, and
/// for the total of ERROR lines.
const NEW_SHARE: f64 = 0.45;
const KNOWN_SHARE: f64 = 0.25;
const LOST_SHARE: f64 = 0.15;
const TOTAL_SHARE: f64 = 0.15;

/// The total of ERROR lines corroborates from this evidence on (JUDGE §4).
const TOTAL_CORROBORATES: f64 = 10.0;

/// Requests must have failed with so many lines, and with so large a share of them, to corroborate: a request fails now and then at the same
/// time as a line is written, without either knowing of the other.
const FAILED_WITH_MIN: u64 = 3;
const FAILED_SHARE_MIN: f64 = 0.2;

/// Lines of one new ERROR signature, by the candidate alone, from which on no verdict praises it.
const RECURS_MIN: u64 = 2;

/// One tested signature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tested {
    signature: SignatureId,
    /// Its place k among those never seen before, from 1; 0 of a known one.
    place: u32,
    /// By whichever measure is the stricter: what a roll-back needs.
    engine: Engine,
    /// By requests, unless it is known to come by the clock: what a hold needs.
    by_requests: Engine,
}

/// What is known of a signature's counts, tested or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Counted {
    severity: Option<Severity>,
    known: bool,
    declared: bool,
    candidate: u64,
    current: u64,
    /// Candidate lines with a failed request.
    failed_with: u64,
}

impl Counted {
    fn corroborated(&self) -> bool {
        self.failed_with >= FAILED_WITH_MIN && self.failed_with as f64 >= FAILED_SHARE_MIN * self.candidate as f64
    }
}

/// The state of all log evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEvidence {
    null: f64,
    phases: u16,
    /// All ERROR lines, and those of signatures of each parity.
    total: Engine,
    halves: [Engine; 2],
    tested: Vec<Tested>,
    /// Known lines that are watched, with the arms the other way round: "the current release writes more of them".
    watched: Vec<Tested>,
    counted: BTreeMap<SignatureId, Counted>,
    history: LogHistory,
    known: u32,
    overflow: u64,
    unnamed: Arms<u64>,
    new_places: u32,
}

/// Both measures of a window, as Poisson exposures of (candidate, current).
#[derive(Debug, Clone, Copy)]
struct Measures {
    requests: (u64, u64),
    instance_ms: (u64, u64),
}

impl Measures {
    fn of(window: &Window) -> Measures {
        Measures {
            requests: (window.requests.candidate, window.requests.current),
            instance_ms: (window.instance_ms.candidate, window.instance_ms.current),
        }
    }

    /// The one under which the candidate may have the larger share of the events.
    fn for_more(&self) -> (u64, u64) {
        self.choose(|a, b| a >= b)
    }

    /// The one under which it may have the smaller share.
    fn for_less(&self) -> (u64, u64) {
        self.choose(|a, b| a <= b)
    }

    fn choose(&self, prefers: impl Fn(f64, f64) -> bool) -> (u64, u64) {
        let sound = |measure: (u64, u64)| measure.0 > 0 && measure.1 > 0;
        let ratio = |measure: (u64, u64)| measure.0 as f64 / measure.1 as f64;
        match (sound(self.requests), sound(self.instance_ms)) {
            (true, true) if prefers(ratio(self.instance_ms), ratio(self.requests)) => self.instance_ms,
            (false, true) => self.instance_ms,
            _ => self.requests,
        }
    }
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

impl LogFinding {
    /// How surely the candidate writes more of these lines than the current release, by themselves; nothing where they show nothing.
    pub fn proof(&self) -> Option<String> {
        let log_evidence = self.log_evidence.filter(|log_evidence| *log_evidence >= 1.0)?;
        let with_failures = if self.corroborated { ", and not these lines alone say so" } else { "" };
        if log_evidence > 20.0 {
            return Some(format!("by chance less than once in 10⁸{with_failures}"));
        }
        Some(format!("by chance at most once in {:.0}{with_failures}", log_evidence.exp()))
    }
}

impl LogEvidence {
    /// No line yet; `null` is ψ0.
    pub fn new(null: f64, phases: u16, history: &LogHistory) -> LogEvidence {
        let settings = |dispersion: Dispersion| engine_settings(null, phases, dispersion);
        let known = history.known();
        let watched = known.iter().filter(|id| history.lines_per_second(**id) >= WATCHED_PER_SECOND_MIN);
        let watched = watched.take(WATCHED_MAX).map(|signature| Tested {
            signature: *signature,
            place: 0,
            engine: Engine::new(settings(history.dispersion(*signature))),
            by_requests: Engine::new(settings(history.dispersion(*signature))),
        });
        let of_errors = settings(history.dispersion_of_errors());
        LogEvidence {
            null,
            phases,
            total: Engine::new(of_errors.clone()),
            halves: [Engine::new(of_errors.clone()), Engine::new(of_errors)],
            tested: Vec::new(),
            watched: watched.collect(),
            counted: BTreeMap::new(),
            known: known.len().clamp(1, MEASURED_MAX) as u32,
            history: history.clone(),
            overflow: 0,
            unnamed: Arms::default(),
            new_places: 0,
        }
    }

    /// Takes the lines of one window. Windows in which an arm had no exposure count for the report, not for the tests.
    pub fn handle_window(&mut self, window: &Window, logs: &[LogCount]) {
        let measures = Measures::of(window);
        let end = window.end.0;
        self.unnamed.candidate = self.unnamed.candidate.saturating_add(window.unnamed_errors.candidate);
        self.unnamed.current = self.unnamed.current.saturating_add(window.unnamed_errors.current);
        let mut errors = [(0_u64, 0_u64), (0, 0)];
        let mut sum = (window.unnamed_errors.candidate, window.unnamed_errors.current);
        for log in logs {
            self.count(log);
            if is_error(log.severity) && !log.declared {
                for into in [&mut errors[parity(log.signature)], &mut sum] {
                    into.0 = into.0.saturating_add(log.lines.candidate);
                    into.1 = into.1.saturating_add(log.lines.current);
                }
            }
        }
        let (candidate, current) = measures.for_more();
        let table = |lines: (u64, u64)| Table::new((candidate, lines.0), (current, lines.1));
        self.total.handle_stratum(end, 0, &table(sum));
        for (half, lines) in self.halves.iter_mut().zip(errors) {
            half.handle_stratum(end, 0, &table(lines));
        }
        self.handle_watched(end, measures, logs);
        let mut discovered = Vec::new();
        for log in logs.iter().filter(|log| is_error(log.severity) && !log.declared) {
            match self.tested.iter_mut().find(|tested| tested.signature == log.signature) {
                Some(tested) => {
                    let lines = (log.lines.candidate, log.lines.current);
                    tested.engine.handle_stratum(end, 0, &table(lines));
                    let (candidate, current) = measures.requests;
                    let by_requests = Table::new((candidate, lines.0), (current, lines.1));
                    let by_clock = self.history.comes_by_the_clock(tested.signature);
                    let by_requests = if by_clock { table(lines) } else { by_requests };
                    tested.by_requests.handle_stratum(end, 0, &by_requests);
                }
                None => discovered.push(log),
            }
        }
        // Registered last: the window that discovers a signature is not evidence about it.
        discovered.into_iter().for_each(|log| self.register(log));
    }

    /// The arms the other way round: evidence that the current release writes more.
    fn handle_watched(&mut self, end: u64, measures: Measures, logs: &[LogCount]) {
        let (candidate, current) = measures.for_less();
        for watched in &mut self.watched {
            let lines = logs.iter().find(|log| log.signature == watched.signature);
            let lines = lines.map_or(Arms::default(), |log| log.lines);
            let table = Table::new((current, lines.current), (candidate, lines.candidate));
            watched.engine.handle_stratum(end, 0, &table);
        }
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
            failed_with: 0,
        });
        counted.declared = log.declared;
        counted.candidate = counted.candidate.saturating_add(log.lines.candidate);
        counted.current = counted.current.saturating_add(log.lines.current);
        counted.failed_with = counted.failed_with.saturating_add(log.corroborated);
    }

    fn register(&mut self, log: &LogCount) {
        if self.tested.len() >= TESTED_MAX {
            return;
        }
        let place = if log.known {
            0
        } else {
            self.new_places += 1;
            self.new_places
        };
        let dispersion = self.history.dispersion(log.signature);
        let engine = Engine::new(engine_settings(self.null, self.phases, dispersion));
        self.tested.push(Tested { signature: log.signature, place, by_requests: engine.clone(), engine });
    }

    /// A new phase begins.
    pub fn begin_phase(&mut self) {
        self.total.begin_phase();
        self.halves.iter_mut().for_each(Engine::begin_phase);
        self.tested.iter_mut().chain(&mut self.watched).for_each(|tested| {
            tested.engine.begin_phase();
            tested.by_requests.begin_phase();
        });
    }

    /// Whether no line has come yet and none is waited for, so that a window without lines changes nothing.
    pub fn is_silent(&self) -> bool {
        self.counted.is_empty() && self.overflow == 0 && self.watched.is_empty()
    }

    /// Every tested signature's part. Shares sum to at most 1, the total of ERROR lines included.
    pub fn parts(&self) -> impl Iterator<Item = LogPart> + Clone + '_ {
        let halves = self.halves.each_ref().map(|half| half.fail_log_evidence() >= TOTAL_CORROBORATES.ln());
        let known = f64::from(self.known).max(self.tested.iter().filter(|tested| tested.place == 0).count() as f64);
        self.tested.iter().map(move |tested| {
            let counted = self.counted.get(&tested.signature);
            let declared = counted.is_some_and(|counted| counted.declared);
            let place = f64::from(tested.place);
            let share = match tested.place {
                0 => KNOWN_SHARE / known,
                _ => NEW_SHARE * 6.0 / (std::f64::consts::PI * place).powi(2),
            };
            let by_others = halves[1 - parity(tested.signature)];
            LogPart {
                signature: tested.signature,
                share,
                log_evidence: tested.engine.fail_log_evidence(),
                holding_log_evidence: tested.by_requests.fail_log_evidence(),
                gated: !declared && (counted.is_some_and(Counted::corroborated) || by_others),
            }
        })
    }

    /// The total of ERROR lines, as a part: it holds, and does not itself fail a release.
    pub fn total_part(&self) -> (f64, f64) {
        (TOTAL_SHARE, self.total.fail_log_evidence())
    }

    /// The known line that is most surely written no longer, as a part: (signature, share, ln E).
    pub fn lost(&self) -> Option<(SignatureId, f64, f64)> {
        let share = LOST_SHARE / self.watched.len().max(1) as f64;
        let lost = self.watched.iter().filter(|watched| !self.is_renamed(watched.signature));
        let lost = lost.map(|watched| (watched.signature, share, watched.engine.fail_log_evidence()));
        lost.max_by(|a, b| a.2.total_cmp(&b.2))
    }

    /// Whether the candidate writes a line never seen before about as often as the current release writes this one: then it has been
    /// reworded, and nothing is lost.
    fn is_renamed(&self, signature: SignatureId) -> bool {
        let Some(lost) = self.counted.get(&signature) else { return false };
        let share = lost.current as f64 * self.exposure_ratio();
        let alike = |counted: &Counted| {
            let lines = counted.candidate as f64;
            !counted.known && counted.current == 0 && counted.severity == lost.severity && lines >= 0.5 * share
        };
        share >= 3.0 && self.counted.values().any(alike)
    }

    fn exposure_ratio(&self) -> f64 {
        let totals = self.total.totals();
        totals.candidate.exposure as f64 / totals.current.exposure.max(1) as f64
    }

    /// Whether a new ERROR line that only the candidate writes keeps coming: no proof, but nothing to praise either.
    pub fn new_error_recurs(&self) -> Option<SignatureId> {
        let of = |counted: &Counted| {
            is_error(counted.severity) && !counted.known && !counted.declared && counted.current == 0
        };
        let recurring = self.counted.iter().filter(|(_, counted)| of(counted) && counted.candidate >= RECURS_MIN);
        recurring.max_by_key(|(_, counted)| counted.candidate).map(|(signature, _)| *signature)
    }

    /// ln E of the total of ERROR lines; it corroborates and does not itself fail a release.
    pub fn total_log_evidence(&self) -> f64 {
        self.total.fail_log_evidence()
    }

    /// Lines of signatures beyond [`COUNTED_MAX`].
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    /// ERROR lines whose signature could not be told; their total is tested all the same.
    pub fn unnamed(&self) -> Arms<u64> {
        self.unnamed
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
    /// ln E, by whichever measure of exposure is the stricter.
    pub log_evidence: f64,
    /// ln E by requests: enough to hold, where it is not known that the line comes by the clock.
    pub holding_log_evidence: f64,
    /// Severe, not declared and corroborated: it may roll back.
    pub gated: bool,
}

fn engine_settings(null: f64, phases: u16, dispersion: Dispersion) -> EngineSettings {
    EngineSettings { exposure: Exposure::Time, fail_null: null, pass_null: null * 2.0, dispersion, phases }
}

/// Which half of the total a signature is in.
fn parity(signature: SignatureId) -> usize {
    // Ids are hashes, but tests number them: all bits decide.
    (signature.0.count_ones() % 2) as usize
}

fn is_error(severity: Option<Severity>) -> bool {
    severity.is_some_and(|severity| severity >= Severity::Error)
}
