//! What happens when a tally is full: it keeps the templates and gives up detail where there is too much of it.
//!
//! 1. The shapes are merged; entries of one template become one.
//! 2. If that is not enough, shapes that begin alike (same head, same first words) and are many are put together as
//!    `first words <*>`: first by two words, then by one, then by none, then without logger. What has been put together
//!    stays so: later shapes with that beginning go there at once.

use super::atoms::{Atom, Vocabulary};
use super::hash::{HashKeyed, mix};
use super::merge::merge;
use super::tally::{ENTRIES_MAX, Entry, Head, Tally};

/// Condensing must leave at most this share of the entries (one half), so that it is not done for every line.
const KEEP: usize = ENTRIES_MAX / 2;
/// More shapes than this that begin alike are put together.
const ALIKE_MAX: usize = 64;
/// Words by which shapes are put together, level by level; the last level also drops the logger.
const PREFIX_WORDS: [usize; 4] = [2, 1, 0, 0];

impl Tally {
    /// Makes room. Counts and examples are kept; entry ids given out before lose their meaning.
    pub(super) fn condense(&mut self) {
        self.condensations += 1;
        let shapes: Vec<&[Atom]> = self.shapes.iter().map(|shape| &**shape).collect();
        let merged = merge(&shapes, &self.records_by_shape(), &self.vocabulary);
        let entries = std::mem::take(&mut self.entries);
        let old_vocabulary = std::mem::take(&mut self.vocabulary);
        let mut rows: Vec<(Head, Vec<Atom>, Entry)> = entries
            .into_iter()
            .map(|entry| {
                let template = merged.template_of[entry.shape as usize] as usize;
                (entry.head, merged.templates[template].to_vec(), entry)
            })
            .collect();
        let mut distinct: std::collections::HashSet<(Head, Vec<Atom>)> =
            rows.iter().map(|(head, atoms, _)| (*head, atoms.clone())).collect();
        for (level, &words) in PREFIX_WORDS.iter().enumerate() {
            if distinct.len() <= KEEP {
                break;
            }
            let drop_logger = level == PREFIX_WORDS.len() - 1;
            let mut alike: HashKeyed<usize> = HashKeyed::default();
            for (head, atoms) in &distinct {
                *alike.entry(prefix_hash(*head, atoms, words, drop_logger, &old_vocabulary)).or_default() += 1;
            }
            let limit = if level + 1 < PREFIX_WORDS.len() { ALIKE_MAX } else { 0 };
            for (head, atoms, _) in &mut rows {
                let hash = prefix_hash(*head, atoms, words, drop_logger, &old_vocabulary);
                if alike.get(&hash).is_some_and(|count| *count > limit) {
                    *atoms = coarsened(atoms, words);
                    *head = coarse_head(*head, drop_logger);
                    self.coarse.insert(hash, 0);
                }
            }
            distinct = rows.iter().map(|(head, atoms, _)| (*head, atoms.clone())).collect();
        }
        self.rebuild(rows, &old_vocabulary);
    }

    fn rebuild(&mut self, rows: Vec<(Head, Vec<Atom>, Entry)>, old: &Vocabulary) {
        self.shapes.clear();
        self.shape_index.clear();
        self.entry_index.clear();
        self.by_fingerprint.clear();
        for (head, atoms, mut entry) in rows {
            let atoms: Vec<Atom> = atoms.iter().map(|atom| self.vocabulary.adopt(*atom, old)).collect();
            let shape = self.shape(atoms.into_boxed_slice());
            let index = self.entry(head, shape);
            let kept = &mut self.entries[index as usize];
            for side in 0..2 {
                kept.counts[side] += entry.counts[side];
                if kept.examples[side].is_none() {
                    kept.examples[side] = entry.examples[side].take();
                }
            }
        }
    }

    /// The entry of a head all of whose shapes have been put together: the message need not be looked at.
    pub(super) fn coarse_entry_of_head(&mut self, head: Head) -> Option<u32> {
        if self.coarse.is_empty() {
            return None;
        }
        let levels = PREFIX_WORDS.len();
        let drop_logger = [levels - 2, levels - 1]
            .into_iter()
            .map(|level| level == levels - 1)
            .find(|&drop_logger| self.coarse.contains_key(&prefix_hash(head, &[], 0, drop_logger, &self.vocabulary)))?;
        let shape = self.shape(Box::new([Atom::VARIABLE]));
        Some(self.entry(coarse_head(head, drop_logger), shape))
    }

    /// The entry of a shape whose beginning has been put together.
    pub(super) fn coarse_entry(&mut self, head: Head, atoms: &[Atom]) -> Option<u32> {
        if self.coarse.is_empty() {
            return None;
        }
        for (level, &words) in PREFIX_WORDS.iter().enumerate() {
            let drop_logger = level == PREFIX_WORDS.len() - 1;
            let hash = prefix_hash(head, atoms, words, drop_logger, &self.vocabulary);
            if self.coarse.contains_key(&hash) {
                let shape = self.shape(coarsened(atoms, words).into_boxed_slice());
                return Some(self.entry(coarse_head(head, drop_logger), shape));
            }
        }
        None
    }
}

fn coarse_head(head: Head, drop_logger: bool) -> Head {
    if drop_logger { Head { logger: 0, exception: 0, ..head } } else { head }
}

/// The first words of a shape, and one variable for the rest.
fn coarsened(atoms: &[Atom], words: usize) -> Vec<Atom> {
    let mut kept: Vec<Atom> = atoms.iter().take(words).copied().collect();
    if atoms.len() > words && !kept.last().is_some_and(|last| last.is_variable()) {
        kept.push(Atom::VARIABLE);
    }
    kept
}

/// Hashes texts, not indices: the vocabulary is rebuilt when the tally is condensed.
fn prefix_hash(head: Head, atoms: &[Atom], words: usize, drop_logger: bool, vocabulary: &Vocabulary) -> u64 {
    let head = coarse_head(head, drop_logger);
    let severity = head.severity.map_or(0, |severity| severity as u64 + 1);
    let start = mix(
        mix(severity, u64::from(head.logger)),
        mix(u64::from(head.exception), words as u64 + u64::from(drop_logger) * 8),
    );
    atoms.iter().take(words).fold(start, |hash, atom| {
        mix(hash, super::hash::hash_bytes(vocabulary.word(*atom)) ^ u64::from(atom.is_variable()))
    })
}
