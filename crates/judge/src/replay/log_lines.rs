//! Log lines of a recorded stream: read once, named at the end, counted per window.

use crate::arm::{Arm, Arms};
use crate::logs::{Caveat, Counted, EntryId, Headers, Reader, SAMPLE_LINES, Side, SignatureId, Tally};
use crate::window::LogCount;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Log lines kept; further ones are refused.
pub const LOG_LINES_MAX: usize = 2_000_000;

/// Sources (arm and instance) whose headers are recognised apart; further ones share the last one's.
const SOURCES_MAX: usize = 256;

/// What only a broken program writes (JUDGE §4).
const FATAL_WORDS: [&[u8]; 5] =
    [b"panicked at", b"segmentation fault", b"SIGSEGV", b"migration failed", b"core dumped"];

/// One line as it was recorded.
#[derive(Debug)]
struct Recorded {
    at_ms: u64,
    arm: Arm,
    source: u16,
    failed_request: bool,
    text: Box<str>,
}

/// Lines waiting to be named.
#[derive(Debug, Default)]
pub(super) struct LogLines {
    lines: Vec<Recorded>,
    sources: Vec<(Arm, String)>,
}

/// Names and examples of the signatures of a replay.
#[derive(Debug, Default)]
pub struct LogNames(pub BTreeMap<SignatureId, Counted>);

/// A signature that a caveat covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Declared {
    /// Which signature.
    pub signature: SignatureId,
    /// Why it is no reason against a release.
    pub reason: String,
}

/// What is no news: seen on the current release before the rollout, or declared.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub seen: BTreeSet<SignatureId>,
    pub declared: BTreeMap<SignatureId, Declared>,
}

impl LogNames {
    /// The signatures that a caveat covers, with the first one's reason.
    pub(super) fn declared(&self, caveats: &[Caveat], now_unix_s: i64) -> BTreeMap<SignatureId, Declared> {
        let covering = |counted: &Counted| caveats.iter().find(|caveat| caveat.covers(&counted.signature, now_unix_s));
        let declared = self.0.iter().filter_map(|(id, counted)| Some((*id, covering(counted)?.reason.clone())));
        declared.map(|(signature, reason)| (signature, Declared { signature, reason })).collect()
    }
}

/// A named line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    pub at_ms: u64,
    pub arm: Arm,
    pub entry: EntryId,
    pub fatal: bool,
    pub failed_request: bool,
}

impl LogLines {
    /// Keeps a line; false when there is no room.
    pub fn push(&mut self, at_ms: u64, arm: Arm, instance: &str, text: &str, failed_request: bool) -> bool {
        if self.lines.len() >= LOG_LINES_MAX {
            return false;
        }
        let known = self.sources.iter().position(|(a, name)| *a == arm && name == instance);
        let source = match known {
            Some(source) => source,
            None if self.sources.len() < SOURCES_MAX => {
                self.sources.push((arm, instance.to_owned()));
                self.sources.len() - 1
            }
            None => SOURCES_MAX - 1,
        };
        self.lines.push(Recorded { at_ms, arm, source: source as u16, failed_request, text: text.into() });
        true
    }

    /// Reads all lines. Headers are recognised per source over its first lines; each line is then a record by itself, since
    /// a recorded line has a time of its own.
    pub fn name(self) -> (Vec<Named>, BTreeMap<EntryId, SignatureId>, LogNames) {
        let mut samples: Vec<Vec<&[u8]>> = vec![Vec::new(); self.sources.len()];
        for line in &self.lines {
            let sample = &mut samples[usize::from(line.source)];
            if sample.len() < SAMPLE_LINES {
                sample.push(line.text.as_bytes());
            }
        }
        let mut readers: Vec<Reader> =
            samples.iter().map(|sample| Reader::with_headers(Headers::recognise(sample))).collect();
        let mut tally = Tally::new();
        let mut named = Vec::with_capacity(self.lines.len());
        for line in &self.lines {
            let reader = &mut readers[usize::from(line.source)];
            let side = if line.arm == Arm::Candidate { Side::Candidate } else { Side::Current };
            let fatal = FATAL_WORDS.iter().any(|words| memchr::memmem::find(line.text.as_bytes(), words).is_some());
            let mut each = |record: &crate::logs::Record<'_>| {
                let entry = tally.add(side, record);
                let Recorded { at_ms, arm, failed_request, .. } = *line;
                named.push(Named { at_ms, arm, entry, fatal, failed_request });
            };
            reader.push(line.text.as_bytes(), &mut each);
            reader.push(b"\n", &mut each);
            reader.settle(&mut each);
        }
        let (counted, of_entry) = tally.signatures_by_entry();
        // Entries are numbered as they turn up, so the n-th in their order is entry n, unless the tally ran full and began anew;
        // then lines can no longer be told apart, and none is tested.
        let entries: BTreeSet<EntryId> = named.iter().map(|line| line.entry).collect();
        let ids: BTreeMap<EntryId, SignatureId> = match tally.condensed() {
            0 => entries.into_iter().zip(&of_entry).map(|(e, index)| (e, counted[*index as usize].id)).collect(),
            _ => BTreeMap::new(),
        };
        (named, ids, LogNames(counted.into_iter().map(|counted| (counted.id, counted)).collect()))
    }
}

/// The lines of one window, by signature.
#[derive(Debug, Default)]
pub(super) struct WindowLines(HashMap<SignatureId, LogCount>);

impl WindowLines {
    /// Counts one line.
    pub fn add(&mut self, line: &Named, id: SignatureId, names: &LogNames, known: &Known) {
        let severity = names.0.get(&id).and_then(|counted| counted.signature.severity);
        let count = self.0.entry(id).or_insert(LogCount {
            signature: id,
            severity,
            known: known.seen.contains(&id),
            declared: known.declared.contains_key(&id),
            fatal: false,
            lines: Arms::default(),
            corroborated: 0,
        });
        *count.lines.of_mut(line.arm) += 1;
        count.fatal |= line.fatal;
        count.corroborated += u64::from(line.arm == Arm::Candidate && line.failed_request);
    }

    /// The counts, in the order of their ids.
    pub fn into_counts(self) -> Vec<LogCount> {
        let mut counts: Vec<LogCount> = self.0.into_values().collect();
        counts.sort_by_key(|count| count.signature);
        counts
    }
}
