//! The tally: records in, signatures with counts out, for two sides at once.
//!
//! Every record is counted under its *entry*: head (severity, logger, exception) and shape. A shape seen before costs one
//! hash look-up. Only when the signatures are asked for are the distinct shapes merged into templates, over both sides
//! together, so that a name that varies in one of them does not look new in the other.
//!
//! Memory is bounded by [`ENTRIES_MAX`] and [`VOCABULARY_BYTES_MAX`]. Up to them the signatures are a function of the set
//! of shapes. At the bound the tally is *condensed* (`condense.rs`): first by merging, then by coarsening, and from then
//! on the order of lines may matter; [`Tally::condensed`] says so.

use super::atoms::{Atom, Vocabulary, atoms_of, fingerprint, render};
use super::hash::{HashKeyed, hash_bytes, mix};
use super::merge::merge;
use super::reader::Record;
use super::{Severity, Signature, SignatureId};
use std::collections::HashMap;

/// Distinct (head, shape) pairs kept. A service has hundreds; 16 Ki leave room for those that print data.
pub const ENTRIES_MAX: usize = 16 * 1024;
/// Bytes of distinct words kept.
pub const VOCABULARY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Fingerprints remembered; beyond, lines are read in full each time.
const FINGERPRINTS_MAX: usize = 64 * 1024;
/// Bytes of an example line kept.
pub const EXAMPLE_BYTES_MAX: usize = 400;
/// Bytes of a logger or exception name kept.
const NAME_BYTES_MAX: usize = 120;

/// Which of the two sides a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The current release; in a diff, the old.
    Current,
    /// The candidate; in a diff, the new.
    Candidate,
}

impl Side {
    /// 0 for the current release, 1 for the candidate.
    pub fn index(self) -> usize {
        match self {
            Side::Current => 0,
            Side::Candidate => 1,
        }
    }
}

/// Names an entry of a tally. Valid until the tally is condensed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub(super) u32);

impl EntryId {
    /// Its place in what [`Tally::signatures_by_entry`] gives.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Severity, logger and exception class, the last two as indices of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Head {
    pub severity: Option<Severity>,
    pub logger: u32,
    pub exception: u32,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub head: Head,
    pub shape: u32,
    pub counts: [u64; 2],
    pub examples: [Option<Box<[u8]>>; 2],
}

/// A signature with its counts on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The signature.
    pub signature: Signature,
    /// Its id.
    pub id: SignatureId,
    /// Records on the current side and on the candidate's.
    pub counts: [u64; 2],
    /// The first line seen on each side, cut to [`EXAMPLE_BYTES_MAX`], invalid UTF-8 replaced.
    pub examples: [Option<String>; 2],
}

/// Counts records by shape, for two sides.
#[derive(Debug, Default)]
pub struct Tally {
    pub(super) vocabulary: Vocabulary,
    pub(super) names: Vocabulary,
    pub(super) shapes: Vec<Box<[Atom]>>,
    pub(super) shape_index: HashMap<Box<[Atom]>, u32>,
    pub(super) entries: Vec<Entry>,
    pub(super) entry_index: HashMap<(Head, u32), u32>,
    pub(super) by_fingerprint: HashKeyed<u32>,
    /// Prefixes whose shapes have been put together, and the level of coarsening; see `condense.rs`.
    pub(super) coarse: HashKeyed<u32>,
    pub(super) condensations: u32,
    records: [u64; 2],
}

impl Tally {
    /// An empty one.
    pub fn new() -> Tally {
        Tally::default()
    }

    /// Counts a record; names its entry.
    #[inline]
    pub fn add(&mut self, side: Side, record: &Record<'_>) -> EntryId {
        self.records[side.index()] += 1;
        let severity = record.severity.map_or(0, |severity| severity as u64 + 1);
        let head = mix(severity, name_hash(record.logger) ^ name_hash(record.exception).rotate_left(17));
        let key = mix(fingerprint(record.message), head);
        let index = match self.by_fingerprint.get(&key) {
            Some(&index) => index,
            None => self.learn(key, record),
        };
        let entry = &mut self.entries[index as usize];
        entry.counts[side.index()] += 1;
        let example = &mut entry.examples[side.index()];
        if example.is_none() {
            *example = Some(record.raw[..record.raw.len().min(EXAMPLE_BYTES_MAX)].into());
        }
        EntryId(index)
    }

    /// Records counted on each side.
    pub fn records(&self) -> [u64; 2] {
        self.records
    }

    /// How often the bound was reached. 0: the signatures are exact.
    pub fn condensed(&self) -> u32 {
        self.condensations
    }

    /// Entries, a measure of the memory used; at most [`ENTRIES_MAX`].
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// A record whose fingerprint is new.
    #[cold]
    fn learn(&mut self, key: u64, record: &Record<'_>) -> u32 {
        if self.entries.len() >= ENTRIES_MAX || self.vocabulary.bytes() >= VOCABULARY_BYTES_MAX {
            self.condense();
        }
        let head = Head {
            severity: record.severity,
            logger: self.name(record.logger),
            exception: self.name(record.exception),
        };
        let index = match self.coarse_entry_of_head(head) {
            Some(index) => index,
            None => {
                let atoms = atoms_of(record.message, &mut self.vocabulary);
                self.coarse_entry(head, &atoms).unwrap_or_else(|| {
                    let shape = self.shape(atoms.into_boxed_slice());
                    self.entry(head, shape)
                })
            }
        };
        if self.by_fingerprint.len() < FINGERPRINTS_MAX {
            self.by_fingerprint.insert(key, index);
        }
        index
    }

    /// The index of a name, its digits masked.
    fn name(&mut self, name: &[u8]) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let mut masked = Vec::with_capacity(name.len());
        for &byte in &name[..name.len().min(NAME_BYTES_MAX)] {
            match byte {
                b'0'..=b'9' if masked.last() == Some(&b'#') => {}
                b'0'..=b'9' => masked.push(b'#'),
                _ => masked.push(byte),
            }
        }
        self.names.intern(&masked)
    }

    pub(super) fn shape(&mut self, atoms: Box<[Atom]>) -> u32 {
        let next = self.shapes.len() as u32;
        let index = *self.shape_index.entry(atoms.clone()).or_insert(next);
        if index == next {
            self.shapes.push(atoms);
        }
        index
    }

    pub(super) fn entry(&mut self, head: Head, shape: u32) -> u32 {
        let next = self.entries.len() as u32;
        let index = *self.entry_index.entry((head, shape)).or_insert(next);
        if index == next {
            self.entries.push(Entry { head, shape, counts: [0; 2], examples: [None, None] });
        }
        index
    }

    /// Records of each shape, of both sides together.
    pub(super) fn records_by_shape(&self) -> Vec<u64> {
        let mut records = vec![0; self.shapes.len()];
        for entry in &self.entries {
            records[entry.shape as usize] += entry.counts[0] + entry.counts[1];
        }
        records
    }

    /// All signatures with their counts, ordered by id; and for each entry the index of its signature.
    pub fn signatures_by_entry(&self) -> (Vec<Counted>, Vec<u32>) {
        let shapes: Vec<&[Atom]> = self.shapes.iter().map(|shape| &**shape).collect();
        let merged = merge(&shapes, &self.records_by_shape(), &self.vocabulary);
        let templates: Vec<String> = merged.templates.iter().map(|atoms| render(atoms, &self.vocabulary)).collect();
        let mut found: HashMap<(Head, u32), u32> = HashMap::new();
        let mut counted: Vec<Counted> = Vec::new();
        let mut of_entry: Vec<u32> = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            let template = merged.template_of[entry.shape as usize];
            let next = counted.len() as u32;
            let index = *found.entry((entry.head, template)).or_insert(next);
            if index == next {
                let signature = self.signature(entry.head, templates[template as usize].clone());
                let id = signature.id();
                counted.push(Counted { signature, id, counts: [0; 2], examples: [None, None] });
            }
            let row = &mut counted[index as usize];
            for side in 0..2 {
                row.counts[side] += entry.counts[side];
                if row.examples[side].is_none() {
                    row.examples[side] =
                        entry.examples[side].as_ref().map(|line| String::from_utf8_lossy(line).into_owned());
                }
            }
            of_entry.push(index);
        }
        let mut order: Vec<u32> = (0..counted.len() as u32).collect();
        order.sort_by(|left, right| {
            let (left, right) = (&counted[*left as usize], &counted[*right as usize]);
            left.id.cmp(&right.id).then_with(|| left.signature.cmp(&right.signature))
        });
        let mut place = vec![0_u32; order.len()];
        for (new, old) in order.iter().enumerate() {
            place[*old as usize] = new as u32;
        }
        for index in &mut of_entry {
            *index = place[*index as usize];
        }
        counted.sort_by(|left, right| left.id.cmp(&right.id).then_with(|| left.signature.cmp(&right.signature)));
        (counted, of_entry)
    }

    /// All signatures with their counts, ordered by id.
    pub fn signatures(&self) -> Vec<Counted> {
        self.signatures_by_entry().0
    }

    fn signature(&self, head: Head, template: String) -> Signature {
        let name = |index: u32| {
            let text = self.names.word_at(index as usize);
            (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
        };
        Signature { severity: head.severity, logger: name(head.logger), exception: name(head.exception), template }
    }
}

/// The hash of a name without its digits.
#[inline]
fn name_hash(name: &[u8]) -> u64 {
    let name = &name[..name.len().min(NAME_BYTES_MAX)];
    if !name.iter().any(u8::is_ascii_digit) {
        return hash_bytes(name);
    }
    name.iter()
        .fold((1, false), |(hash, in_digits), &byte| match byte {
            b'0'..=b'9' if in_digits => (hash, true),
            b'0'..=b'9' => (mix(hash, u64::from(b'#')), true),
            _ => (mix(hash, u64::from(byte)), false),
        })
        .0
}
