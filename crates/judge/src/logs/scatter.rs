//! Values in several places of a message at once, found by how they scatter.
//!
//! `alice joined #amber`, `bob joined #dune`: no two lines are alike but for one place, so looking at one place at a time finds nothing.
//! Lines of one *frame* (the words with a meaning, the punctuation) are looked at together, column by column. Where lines of
//! two call sites share a frame, some column has few different words, each in many lines (`driver`, `parcel`): the lines are split by it.
//! Where every column that differs has many different words, they are values. This is IPLoM's partitioning (Makanju et al., 2009)
//! with other criteria: what a word looks like says how many different ones must be seen.

use super::atoms::Atom;
use super::hash::{HashKeyed, mix};
use super::kinds::{ANNOUNCES, COMPOUND, IDENTIFIER, IDEOGRAPH, KEY, Kinds, MEANING, PROPER, WORD};
use std::collections::HashMap;

/// Different words that make a column of values …
const VALUES_PLAIN: usize = 8;
/// … in the first place, where the subject or the verb stands.
const VALUES_FIRST: usize = 12;
/// … where they are characters of longer words.
const VALUES_IDEOGRAPH: usize = 3;
/// … and in the first place, where they come anew all the time.
const VALUES_FIRST_GROWING: usize = 5;
/// … where most look like names or a word before announces one.
const VALUES_NAMES: usize = 3;
/// … where some lines have a variable already.
const VALUES_BESIDE_VARIABLE: usize = 2;
/// … where they come anew in every [`GROWTH`]th line or more often.
const VALUES_GROWING: usize = 4;
const GROWTH: u64 = 3;
/// Share of the words of a column that may have a meaning and be values all the same.
const MEANING_SHARE: f64 = 0.25;
/// Share of the words of a column that must look like names.
const NAMES_SHARE: f64 = 0.6;

/// (template, place) of all values found.
///
/// `records`: of each template.
pub fn variables(templates: &[Vec<Atom>], records: &[u64], kinds: &Kinds) -> Vec<(usize, usize)> {
    let mut families: HashKeyed<Vec<usize>> = HashKeyed::default();
    for (index, atoms) in templates.iter().enumerate() {
        let frame = (0..atoms.len()).fold(atoms.len() as u64, |hash, at| {
            let atom = atoms[at];
            mix(hash, if is_open(atoms, at, kinds) { atom.as_variable().code() } else { atom.code() })
        });
        if atoms.iter().any(|&atom| kinds.of(atom) & WORD != 0) {
            families.entry(frame).or_default().push(index);
        }
    }
    let mut found = Vec::new();
    for family in families.into_values().filter(|family| family.len() > 1) {
        let first = &templates[family[0]];
        let columns: Vec<usize> = (0..first.len()).filter(|&at| is_open(first, at, kinds)).collect();
        let mut search = Search { templates, records, kinds, found: &mut found };
        search.settle(family, columns);
    }
    found
}

/// Whether lines of one frame may differ here.
fn is_open(atoms: &[Atom], at: usize, kinds: &Kinds) -> bool {
    let kind = kinds.of(atoms[at]);
    let name = at > 0 && kind & (PROPER | COMPOUND | IDENTIFIER) != 0;
    if kinds.is_request_method(atoms[at]) {
        return false;
    }
    atoms[at].is_variable() || kind & WORD != 0 && (name || kind & (MEANING | KEY) == 0)
}

/// Whether nothing stands before a place but bracketed words and punctuation.
fn is_first(before: &[Atom], kinds: &Kinds) -> bool {
    let mut outside = 0;
    let mut words = 0;
    for atom in before {
        let word = atom.is_variable() || kinds.of(*atom) & WORD != 0;
        if word {
            words += 1;
            outside += 1;
        } else if kinds.closes_bracket(*atom) {
            outside = 0;
        }
    }
    outside == 0 || words == 0
}

struct Search<'a> {
    templates: &'a [Vec<Atom>],
    records: &'a [u64],
    kinds: &'a Kinds,
    found: &'a mut Vec<(usize, usize)>,
}

/// What stands in one place of some lines.
struct Column {
    at: usize,
    /// Different words.
    words: usize,
    needed: usize,
    /// Too many of its words have a meaning for it to be a column of values.
    meaning: bool,
}

impl Search<'_> {
    /// Finds the values of lines of one frame that differ in `open` at most.
    fn settle(&mut self, rows: Vec<usize>, open: Vec<usize>) {
        let varying: Vec<Column> = open.iter().filter_map(|&at| self.column(&rows, at)).collect();
        let Some(least) = varying.iter().min_by_key(|column| (!column.meaning, column.words)) else { return };
        if varying.iter().all(|column| !column.meaning && column.words >= column.needed)
            && self.leaves_a_word(&rows, &varying)
        {
            for column in &varying {
                for &row in rows.iter().filter(|&&row| !self.templates[row][column.at].is_variable()) {
                    self.found.push((row, column.at));
                }
            }
            return;
        }
        if varying.len() < 2 {
            return;
        }
        let at = least.at;
        let mut parts: HashMap<Atom, Vec<usize>> = HashMap::new();
        for row in rows {
            parts.entry(self.templates[row][at]).or_default().push(row);
        }
        let open: Vec<usize> = varying.iter().map(|column| column.at).filter(|other| *other != at).collect();
        for part in parts.into_values().filter(|part| part.len() > 1) {
            self.settle(part, open.clone());
        }
    }

    /// A column where the lines differ; `None` where they do not.
    fn column(&self, rows: &[usize], at: usize) -> Option<Column> {
        let mut values: Vec<Atom> = rows.iter().map(|&row| self.templates[row][at]).collect();
        values.sort_unstable();
        values.dedup();
        if values.len() < 2 {
            return None;
        }
        let has_variable = values.iter().any(|value| value.is_variable());
        let words = values.len() - usize::from(has_variable);
        let of_kind = |wanted: u16| values.iter().filter(|value| self.kinds.of(**value) & wanted != 0).count();
        let names = of_kind(PROPER | COMPOUND | IDENTIFIER);
        // What stands in brackets before a message is no part of its sentence.
        let first = is_first(&self.templates[rows[0]][..at], self.kinds);
        let announced = at > 0 && self.kinds.of(self.templates[rows[0]][at - 1]) & (KEY | ANNOUNCES) != 0;
        // Words that come anew about as often as the lines do are no fixed set of messages.
        let records: u64 = rows.iter().map(|&row| self.records[row]).sum();
        let grows = words >= VALUES_GROWING && records < GROWTH * words as u64;
        let needed = if has_variable {
            VALUES_BESIDE_VARIABLE
        } else if !first && (announced || names as f64 >= NAMES_SHARE * words as f64) {
            VALUES_NAMES
        } else if of_kind(IDEOGRAPH) == words && !first {
            VALUES_IDEOGRAPH
        } else if !first && grows {
            VALUES_GROWING
        } else if first {
            if grows { VALUES_FIRST_GROWING } else { VALUES_FIRST }
        } else {
            VALUES_PLAIN
        };
        let meaning = of_kind(MEANING) as f64 > MEANING_SHARE * words as f64;
        Some(Column { at, words, needed, meaning })
    }

    /// Whether a word stays that says what the lines are about.
    fn leaves_a_word(&self, rows: &[usize], varying: &[Column]) -> bool {
        let atoms = &self.templates[rows[0]];
        (0..atoms.len()).any(|at| self.kinds.of(atoms[at]) & WORD != 0 && varying.iter().all(|column| column.at != at))
    }
}
