//! Signatures of log lines as they come: each line is named by what has been seen up to it, never by what comes later.
//!
//! Lines are grouped by their shapes, and groups change while shapes are learnt. An entry that has a name keeps it, so counts stay with their
//! test; one that is new takes the name of the group that it falls into. What was learnt before the rollout serves during it, so by then
//! most shapes have their groups.
//!
//! Where there are more shapes than a tally keeps, no line has a name any more: their ERROR lines are told as unnamed, and tested in total.

use crate::arm::{Arm, Arms};
use crate::logs::{
    Caveat, Counted, EntryId, Headers, Reader, Record, SAMPLE_LINES, Severity, Side, SignatureId, Tally,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Sources (arm and instance) whose headers are recognised apart; further ones share the last one's.
const SOURCES_MAX: usize = 256;

/// Lines of a source after which its headers are recognised anew, each time four times as many as before.
const FIRST_SAMPLE: usize = 16;

/// With so many entries the groups are found anew only every second second, and so on: it costs more the more there are.
const ENTRIES_PER_SECOND: usize = 2_000;

/// Lines that wait for the groups to be found anew; further ones of theirs stay unnamed.
pub const WAITING_MAX: usize = 100_000;

/// What only a broken program writes (JUDGE §4).
const FATAL_WORDS: [&[u8]; 5] =
    [b"panicked at", b"segmentation fault", b"SIGSEGV", b"migration failed", b"core dumped"];

/// Names and examples of signatures.
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

/// A line that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedLine {
    /// Which instance wrote it, by the caller's number.
    pub instance: u32,
    /// Of which arm.
    pub arm: Arm,
    /// In which second.
    pub second: u64,
    /// Its signature.
    pub signature: SignatureId,
    /// What the line says of itself.
    pub severity: Option<Severity>,
    /// A line that only a broken program writes.
    pub fatal: bool,
    /// A request of its trace failed.
    pub failed_request: bool,
}

/// What is given: a line, and where it is from.
#[derive(Debug, Clone, Copy)]
pub struct LogLine<'a> {
    /// Which instance wrote it, by the caller's number.
    pub instance: u32,
    /// Of which arm.
    pub arm: Arm,
    /// In which second.
    pub second: u64,
    /// The line without its end.
    pub text: &'a [u8],
    /// A request of its trace failed.
    pub failed_request: bool,
}

/// A line that waits for its name.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    line: NamedLine,
    entry: EntryId,
}

/// One stream of lines.
#[derive(Debug)]
struct Source {
    arm: Arm,
    instance: u32,
    reader: Reader,
    headers: Headers,
    sample: Vec<Box<[u8]>>,
    next_sample: usize,
}

/// Names lines as they come.
#[derive(Debug, Default)]
pub struct Signatures {
    sources: Vec<Source>,
    tally: Tally,
    /// By entry: its name.
    names: Vec<Option<SignatureId>>,
    counted: BTreeMap<SignatureId, Counted>,
    waiting: Vec<Waiting>,
    grouped_entries: usize,
    grouped_s: u64,
    unnamed: Arms<u64>,
    known: BTreeSet<SignatureId>,
    caveats: Vec<Caveat>,
    caveats_at_unix_s: i64,
    declared: BTreeMap<SignatureId, Declared>,
}

impl Signatures {
    /// Without a line; `caveats` are held against `now_unix_s`, seconds since 1970-01-01 UTC.
    pub fn new(caveats: Vec<Caveat>, now_unix_s: i64) -> Signatures {
        Signatures { caveats, caveats_at_unix_s: now_unix_s, ..Signatures::default() }
    }

    /// Takes a line; its name comes with [`Signatures::named`].
    pub fn push(&mut self, line: &LogLine<'_>) {
        let place = self.source_of(line);
        let source = &mut self.sources[place];
        source.learn(line.text);
        let fatal = FATAL_WORDS.iter().any(|words| memchr::memmem::find(line.text, words).is_some());
        let side = if line.arm == Arm::Candidate { Side::Candidate } else { Side::Current };
        let Signatures { sources, tally, waiting, unnamed, .. } = self;
        let mut each = |record: &Record<'_>| {
            let entry = tally.add(side, record);
            let &LogLine { instance, arm, second, failed_request, .. } = line;
            let severity = record.severity;
            let signature = SignatureId(0);
            let named = NamedLine { instance, arm, second, signature, severity, fatal, failed_request };
            if waiting.len() < WAITING_MAX && tally.condensed() == 0 {
                waiting.push(Waiting { line: named, entry });
            } else if severity.is_some_and(|severity| severity >= Severity::Error) {
                *unnamed.of_mut(arm) += 1;
            }
        };
        // A line that came by itself is a record by itself.
        let reader = &mut sources[place].reader;
        reader.push(line.text, &mut each);
        reader.push(b"\n", &mut each);
        reader.settle(&mut each);
    }

    fn source_of(&mut self, line: &LogLine<'_>) -> usize {
        let known = self.sources.iter().position(|source| source.arm == line.arm && source.instance == line.instance);
        if let Some(place) = known.or((self.sources.len() >= SOURCES_MAX).then_some(SOURCES_MAX - 1)) {
            return place;
        }
        // Until a source has shown its own headers it is taken to write as another one does.
        let headers = self.sources.first().map(|source| source.headers.clone()).unwrap_or_default();
        self.sources.push(Source {
            arm: line.arm,
            instance: line.instance,
            reader: Reader::with_headers(headers.clone()),
            headers,
            sample: Vec::new(),
            next_sample: if self.sources.is_empty() { 1 } else { FIRST_SAMPLE },
        });
        self.sources.len() - 1
    }

    /// The lines that have a name at the end of this second, and the unnamed ERROR lines since the last time.
    pub fn named(&mut self, second: u64) -> (Vec<NamedLine>, Arms<u64>) {
        let patience = (self.tally.entries() / ENTRIES_PER_SECOND) as u64;
        if self.tally.entries() > self.grouped_entries && second >= self.grouped_s.saturating_add(patience) {
            self.group();
            self.grouped_s = second;
        }
        self.take_named()
    }

    /// The same with the groups as they stand now, however much that costs: for lines of the past, before anything is judged.
    pub fn settle(&mut self) -> (Vec<NamedLine>, Arms<u64>) {
        self.group();
        self.take_named()
    }

    /// Lines that wait for their names.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn take_named(&mut self) -> (Vec<NamedLine>, Arms<u64>) {
        if self.tally.condensed() > 0 {
            self.forget();
        }
        let names = &self.names;
        let mut named = Vec::new();
        self.waiting.retain(|waiting| match names.get(waiting.entry.index()).copied().flatten() {
            Some(signature) => {
                named.push(NamedLine { signature, ..waiting.line });
                false
            }
            None => true,
        });
        (named, std::mem::take(&mut self.unnamed))
    }

    /// The tally has put shapes together and entries mean something else now: what waits stays without a name.
    fn forget(&mut self) {
        for waiting in self.waiting.drain(..) {
            if waiting.line.severity.is_some_and(|severity| severity >= Severity::Error) {
                *self.unnamed.of_mut(waiting.line.arm) += 1;
            }
        }
    }

    fn group(&mut self) {
        self.grouped_entries = self.tally.entries();
        if self.tally.condensed() > 0 {
            return;
        }
        let (counted, of_entry) = self.tally.signatures_by_entry();
        self.names.resize(of_entry.len(), None);
        let mut of_group: Vec<Option<SignatureId>> = vec![None; counted.len()];
        for (name, group) in self.names.iter().zip(&of_entry) {
            let group = &mut of_group[*group as usize];
            *group = group.or(*name);
        }
        for (name, group) in self.names.iter_mut().zip(&of_entry) {
            let group = *group as usize;
            *name = name.or(of_group[group]).or(Some(counted[group].id));
        }
        for (group, counted) in counted.into_iter().enumerate() {
            let id = of_group[group].unwrap_or(counted.id);
            let covering = self.caveats.iter().find(|caveat| caveat.covers(&counted.signature, self.caveats_at_unix_s));
            if let Some(caveat) = covering {
                self.declared.entry(id).or_insert_with(|| Declared { signature: id, reason: caveat.reason.clone() });
            }
            self.counted.insert(id, counted);
        }
    }

    /// The rollout starts: what has been named so far is known.
    pub fn begin_rollout(&mut self, known: impl IntoIterator<Item = SignatureId>) {
        self.known.extend(known);
    }

    /// Seen before the rollout.
    pub fn is_known(&self, signature: SignatureId) -> bool {
        self.known.contains(&signature)
    }

    /// Declared to be no reason against a release.
    pub fn is_declared(&self, signature: SignatureId) -> bool {
        self.declared.contains_key(&signature)
    }

    /// Whether there are more shapes than can be told apart.
    pub fn overflowed(&self) -> bool {
        self.tally.condensed() > 0
    }

    /// Ends it: names and examples, and what was declared.
    pub fn finish(mut self) -> (LogNames, Vec<Declared>) {
        self.group();
        (LogNames(self.counted), self.declared.into_values().collect())
    }
}

impl Source {
    fn learn(&mut self, line: &[u8]) {
        if self.sample.len() >= SAMPLE_LINES {
            return;
        }
        self.sample.push(line.into());
        if self.sample.len() >= self.next_sample {
            self.next_sample = (self.next_sample * 4).clamp(FIRST_SAMPLE, SAMPLE_LINES);
            let sample: Vec<&[u8]> = self.sample.iter().map(|line| &**line).collect();
            let headers = Headers::recognise(&sample);
            if headers != self.headers {
                self.reader = Reader::with_headers(headers.clone());
                self.headers = headers;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(arm: Arm, text: &str) -> LogLine<'_> {
        LogLine { instance: 1, arm, second: 0, text: text.as_bytes(), failed_request: false }
    }

    #[test]
    fn a_line_is_named_by_what_came_before_it_and_keeps_its_name() {
        let mut signatures = Signatures::default();
        let mut first = Vec::new();
        for second in 0..200_u64 {
            signatures.push(&line(Arm::Current, &format!("INFO served item {second} in {} ms", second * 7)));
            let (named, _) = signatures.named(second);
            first.extend(named.iter().map(|named| named.signature));
        }
        assert_eq!(first.len(), 200);
        assert!(first.iter().all(|id| *id == first[0]), "one template, one name from the first line on");
    }

    #[test]
    fn a_million_shapes_are_said_and_their_error_lines_still_counted() {
        let mut signatures = Signatures::default();
        let (mut named, mut unnamed) = (0, 0);
        // Words, not numbers, so that every line is a shape of its own.
        let word =
            |n: u64| -> String { (0..6).map(|place| char::from(b'a' + (n / 7_u64.pow(place) % 7) as u8)).collect() };
        for second in 0..60_u64 {
            for n in 0..1_000 {
                let n = second * 1_000 + n;
                let text = format!("ERROR {} {} failed while {}", word(n), word(n * 31 + 7), word(n * 17 + 3));
                signatures.push(&line(Arm::Candidate, &text));
            }
            let (lines, errors) = signatures.named(second);
            named += lines.len() as u64;
            unnamed += errors.candidate;
        }
        assert!(signatures.overflowed());
        assert!(unnamed > 10_000 && named + unnamed + signatures.waiting.len() as u64 == 60_000, "{named} {unnamed}");
    }
}
