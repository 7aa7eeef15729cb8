//! Templates that are cases of another: a value in them that is longer than others, or rarer, or has a word with a meaning in it.
//!
//! `Driver <*> reached <*> in <*>` was found from many lines; `Driver <*> reached Rue de la Paix <*> in <*>` is a case of it. Only places
//! that words were found to vary in take such values, never those where only numbers have been seen; and never an outcome: `order <*>`
//! does not take `order failed`.

use super::atoms::Atom;
use super::kinds::{IDENTIFIER, IDEOGRAPH, KEY, Kinds, MEANING, OUTCOME, PROPER, WORD};
use std::collections::HashMap;

/// Atoms that one place takes, at most.
const TAKEN_MAX: usize = 8;
/// Templates that begin alike and are tried, the most frequent ones.
const TRIED_MAX: usize = 64;
/// Words a template must have that takes others in.
const WORDS_MIN: usize = 2;

/// For each template the one that takes it in; itself where there is none. `records`: of each template.
pub fn absorbed(templates: &[Vec<Atom>], records: &[u64], kinds: &Kinds) -> Vec<u32> {
    let mut takers: HashMap<(u32, bool), Vec<usize>> = HashMap::new();
    for (index, atoms) in templates.iter().enumerate() {
        let words = atoms.iter().filter(|atom| kinds.of(**atom) & (WORD | IDEOGRAPH) != 0).count();
        if atoms.iter().any(|atom| atom.is_varied()) && words >= WORDS_MIN {
            takers.entry(beginning(atoms)).or_default().push(index);
        }
    }
    for tried in takers.values_mut() {
        // The order of the lines must not matter: the most frequent first, then by what they are.
        tried.sort_by(|left, right| {
            records[*right].cmp(&records[*left]).then_with(|| templates[*left].cmp(&templates[*right]))
        });
        tried.truncate(TRIED_MAX);
    }
    let mut into: Vec<u32> = (0..templates.len() as u32).collect();
    for (index, atoms) in templates.iter().enumerate() {
        let candidates = [beginning(atoms), (0, false), (0, true)];
        let fits = |taker: &&usize| {
            **taker != index
                && records[**taker] >= records[index]
                && (records[**taker] > records[index] || templates[**taker].len() < atoms.len() || **taker < index)
                && takes(&templates[**taker], atoms, kinds)
        };
        let found = candidates.iter().filter_map(|key| takers.get(key)).flatten().find(fits);
        if let Some(&taker) = found {
            into[index] = taker as u32;
        }
    }
    // What was taken in by one that was taken in itself goes along.
    for index in 0..into.len() {
        let mut at = into[index];
        for _ in 0..TAKEN_MAX {
            at = into[at as usize];
        }
        into[index] = at;
    }
    into
}

/// The first word, or that the first place is a variable.
fn beginning(atoms: &[Atom]) -> (u32, bool) {
    atoms.first().map_or((0, false), |atom| (atom.index(), atom.is_variable() && atom.is_glued()))
}

/// Whether a template becomes `pattern` when values are taken into its varying places. Backtracks over one place at a time, as globs do.
fn takes(pattern: &[Atom], atoms: &[Atom], kinds: &Kinds) -> bool {
    let (mut p, mut a) = (0, 0);
    // Where the last varying place stood and what it has taken.
    let mut last: Option<(usize, usize, usize)> = None;
    while a < atoms.len() {
        let varies = pattern.get(p).is_some_and(|place| place.is_varied());
        if varies && may_be_value(atoms[a], kinds) {
            last = Some((p, a, 1));
            (p, a) = (p + 1, a + 1);
        } else if pattern.get(p) == Some(&atoms[a]) {
            (p, a) = (p + 1, a + 1);
        } else if let Some((place, from, taken)) = last
            && taken < TAKEN_MAX
            && from + taken < atoms.len()
            && may_be_value(atoms[from + taken], kinds)
        {
            last = Some((place, from, taken + 1));
            (p, a) = (place + 1, from + taken + 1);
        } else {
            return false;
        }
    }
    p == pattern.len()
}

/// A variable, or a word that is no outcome. Words such as `of` and `in` occur in names; brackets and commas end one.
fn may_be_value(atom: Atom, kinds: &Kinds) -> bool {
    let kind = kinds.of(atom);
    atom.is_variable()
        || kind & WORD != 0
            && kind & OUTCOME == 0
            && (kind & KEY == 0 || kind & PROPER != 0)
            && (kind & MEANING == 0 || kind & (PROPER | IDENTIFIER) != 0 || kinds.is_short_word(atom))
}
