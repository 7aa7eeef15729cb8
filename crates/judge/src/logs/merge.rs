//! From distinct shapes to templates: which words are values after all.
//!
//! The *set* of distinct shapes takes part, and how many records each has, never in which order they came, so the order of lines
//! cannot change a template. The idea is Drain's (He et al., 2017: shapes of one length that agree in most places are one
//! template), with other rules for when a place is a variable:
//!
//! 1. Two shapes alike but for *compound names* (`a.b.C`, `x@y`; at the beginning `a.b: …`) or for names after a word
//!    that announces one ("for user *x* by …", `topic=x`) are one template, in one step, however many places differ.
//! 2. Values in several places at once, found by how they scatter (`scatter.rs`).
//! 3. Else one place at a time: shapes alike but for one place make it a variable when more values are seen there than
//!    words with a meaning would show; how many depends on the place ([`threshold`]). 2 and 3 are repeated until nothing changes.
//! 4. What is a case of another template goes into it (`absorb.rs`).
//!
//! A word with a meaning (`words::has_meaning`) becomes a variable only as the value of a key that takes names alone
//! (`words::NAME_KEYS`), or where it is part of a name (`Running Shoes`) among many names; one that says an outcome never does.

use super::atoms::{Atom, Vocabulary, fold_lists};
use super::hash::{HashKeyed, mix};
use super::kinds::{ANNOUNCES, COMPOUND, IDENTIFIER, KEY, Kinds, MEANING, NULL, WORD};
use super::{absorb, scatter};

/// The second and third step end after so many rounds; each makes at least one more place of some shape a variable.
const ROUNDS_MAX: usize = 8;
/// Values that make a variable of a place nothing is known of.
const VALUES_PLAIN: usize = 8;
/// … of the first place, where the subject or the verb stands.
const VALUES_FIRST: usize = 16;
/// … after `=`, `key:` or a word that announces a name, or when most values are identifiers. Fewer look like an enumeration, whose values have a meaning.
const VALUES_AFTER_KEY: usize = 4;
/// … when one of the values is a variable already.
const VALUES_BESIDE_VARIABLE: usize = 3;
/// … after a word that announces a name and before one that ends it, in parentheses after a variable, or after `=` when one of the values is a variable
/// already.
const VALUES_NAME: usize = 2;

/// The templates, and which one each shape belongs to.
#[derive(Debug, Default)]
pub struct Merged {
    /// Distinct templates.
    pub templates: Vec<Box<[Atom]>>,
    /// For each shape given, the index of its template.
    pub template_of: Vec<u32>,
}

/// Merges distinct shapes into templates; `records` of each shape. Time O(shapes × atoms × rounds).
pub fn merge(shapes: &[&[Atom]], records: &[u64], vocabulary: &Vocabulary) -> Merged {
    let kinds = Kinds::new(vocabulary);
    let mut state = State::new(shapes.iter().map(|shape| shape.to_vec()).collect(), records.to_vec());
    state.merge_families(&kinds);
    state.refold(vocabulary);
    for _ in 0..ROUNDS_MAX {
        let scattered = state.merge_scattered(&kinds);
        if scattered {
            state.refold(vocabulary);
        }
        let single = state.merge_single_places(&kinds);
        if !scattered && !single {
            break;
        }
        state.refold(vocabulary);
    }
    state.absorb(&kinds);
    Merged { templates: state.current.into_iter().map(Vec::into_boxed_slice).collect(), template_of: state.template_of }
}

/// The templates so far and where each shape went.
struct State {
    current: Vec<Vec<Atom>>,
    template_of: Vec<u32>,
    /// Records of each template so far.
    records: Vec<u64>,
}

impl State {
    fn new(shapes: Vec<Vec<Atom>>, records: Vec<u64>) -> State {
        let template_of = (0..shapes.len() as u32).collect();
        let mut state = State { current: shapes, template_of, records };
        state.deduplicate();
        state
    }

    /// Step 1.
    fn merge_families(&mut self, kinds: &Kinds) {
        let mut families: HashKeyed<Vec<usize>> = HashKeyed::default();
        for (index, atoms) in self.current.iter().enumerate() {
            let mut constant_words = 0;
            let skeleton = atoms.iter().enumerate().fold(atoms.len() as u64, |hash, (at, &atom)| {
                let soft = kinds.is_soft(atoms, at);
                constant_words += usize::from(!soft && kinds.of(atom) & WORD != 0);
                mix(hash, if soft { atom.as_variable().code() } else { atom.code() })
            });
            if constant_words > 0 {
                families.entry(skeleton).or_default().push(index);
            }
        }
        for members in families.into_values().filter(|members| members.len() > 1) {
            let first = self.current[members[0]].clone();
            for (at, expected) in first.iter().enumerate() {
                let differs = members.iter().any(|&member| self.current[member].get(at) != Some(expected));
                if differs {
                    for &member in &members {
                        if let Some(atom) = self.current[member].get_mut(at).filter(|atom| !atom.is_variable()) {
                            *atom = atom.as_varied();
                        }
                    }
                }
            }
        }
        self.deduplicate();
    }

    /// Step 2: see [`scatter::variables`].
    fn merge_scattered(&mut self, kinds: &Kinds) -> bool {
        let variables = scatter::variables(&self.current, &self.records, kinds);
        for &(index, at) in &variables {
            self.current[index][at] = self.current[index][at].as_varied();
        }
        self.deduplicate();
        !variables.is_empty()
    }

    /// Step 3, one round: every decision is made on the same state, then all are applied. Says whether one was.
    fn merge_single_places(&mut self, kinds: &Kinds) -> bool {
        let mut places: HashKeyed<Place> = HashKeyed::default();
        self.each_place(kinds, |key, _, _, kind| places.entry(key).or_default().count(kind));
        let mut variables: Vec<(usize, usize)> = Vec::new();
        self.each_place(kinds, |key, index, at, kind| {
            let Some(place) = places.get(&key) else { return };
            if kind != VARIABLE
                && place.total() >= 2
                && place.total() >= threshold(place, &self.current[index], at, kinds)
            {
                variables.push((index, at));
            }
        });
        for &(index, at) in &variables {
            self.current[index][at] = self.current[index][at].as_varied();
        }
        self.deduplicate();
        !variables.is_empty()
    }

    /// Calls back with (hash of everything but the place, template, place, kind of the value) for every place that may
    /// be or become a variable.
    fn each_place(&self, kinds: &Kinds, mut visit: impl FnMut(u64, usize, usize, u16)) {
        for (index, atoms) in self.current.iter().enumerate() {
            let constant_words = atoms.iter().filter(|&&atom| kinds.of(atom) & WORD != 0).count();
            let part = |at: usize, atom: Atom| mix(at as u64 + 1, atom.code());
            let whole =
                atoms.iter().enumerate().fold(atoms.len() as u64, |sum, (at, &atom)| sum.wrapping_add(part(at, atom)));
            for (at, &atom) in atoms.iter().enumerate() {
                let kind = kinds.of(atom);
                // `x=null` is a value left out, where `x=5` is one.
                let null = kind & NULL != 0 && at > 0 && atoms[at - 1].index() == kinds.equals;
                let fixed = kind & (MEANING | KEY) != 0 || kinds.is_request_method(atom);
                let may_vary = atom.is_variable() || null || kind & WORD != 0 && !fixed;
                let other_words = constant_words > usize::from(!atom.is_variable());
                if may_vary && other_words {
                    let glue = u64::from(atom.is_glued());
                    let rest = whole.wrapping_sub(part(at, atom));
                    visit(mix(rest, (at as u64) << 1 | glue), index, at, kind);
                }
            }
        }
    }

    /// Last step: see [`absorb::absorbed`].
    fn absorb(&mut self, kinds: &Kinds) {
        let into = absorb::absorbed(&self.current, &self.records, kinds);
        for template in &mut self.template_of {
            *template = into[*template as usize];
        }
    }

    /// Folds lists that new variables have made, then puts equal templates together.
    fn refold(&mut self, vocabulary: &Vocabulary) {
        for atoms in &mut self.current {
            *atoms = fold_lists(atoms, vocabulary);
        }
        self.deduplicate();
    }

    fn deduplicate(&mut self) {
        let mut seen: std::collections::HashMap<Vec<Atom>, u32> = std::collections::HashMap::new();
        let mut kept: Vec<Vec<Atom>> = Vec::new();
        let mut moved_to: Vec<u32> = Vec::with_capacity(self.current.len());
        let mut records: Vec<u64> = Vec::new();
        for (atoms, count) in std::mem::take(&mut self.current).into_iter().zip(std::mem::take(&mut self.records)) {
            let next = kept.len() as u32;
            let index = *seen.entry(atoms.clone()).or_insert(next);
            if index == next {
                kept.push(atoms);
                records.push(0);
            } else {
                kept[index as usize].iter_mut().zip(&atoms).for_each(|(kept, other)| kept.learn(*other));
            }
            records[index as usize] += count;
            moved_to.push(index);
        }
        (self.current, self.records) = (kept, records);
        for template in &mut self.template_of {
            *template = moved_to[*template as usize];
        }
    }
}

/// The kind of a value that is a variable already; no word that may vary has it.
const VARIABLE: u16 = 0;

/// The values seen in one place between equal surroundings.
#[derive(Debug, Default)]
struct Place {
    words: usize,
    compounds: usize,
    identifiers: usize,
    variable: bool,
    null: bool,
}

impl Place {
    fn count(&mut self, kind: u16) {
        if kind == VARIABLE {
            self.variable = true;
        } else if kind & NULL != 0 {
            self.null = true;
        } else {
            self.words += 1;
            self.compounds += usize::from(kind & COMPOUND != 0);
            self.identifiers += usize::from(kind & IDENTIFIER != 0);
        }
    }

    /// `x=null` counts beside a variable: there it is a value left out. Beside words alone it says nothing.
    fn total(&self) -> usize {
        self.words + usize::from(self.variable) + usize::from(self.variable && self.null)
    }
}

/// How many values make this place a variable.
fn threshold(place: &Place, atoms: &[Atom], at: usize, kinds: &Kinds) -> usize {
    if at == 0 {
        return VALUES_FIRST;
    }
    let after_equals = atoms[at - 1].index() == kinds.equals;
    if kinds.is_name_place(atoms, at)
        || kinds.is_name_of_value(atoms, at)
        || place.compounds == place.words
        || after_equals && place.variable
    {
        VALUES_NAME
    } else if place.variable {
        VALUES_BESIDE_VARIABLE
    } else if kinds.of(atoms[at - 1]) & (KEY | ANNOUNCES) != 0 || place.identifiers * 2 > place.words {
        VALUES_AFTER_KEY
    } else {
        VALUES_PLAIN
    }
}

#[cfg(test)]
mod tests {
    use super::super::atoms::{atoms_of, render};
    use super::*;

    fn templates(messages: &[&str]) -> Vec<String> {
        let mut vocabulary = Vocabulary::default();
        let shapes: Vec<Vec<Atom>> =
            messages.iter().map(|message| atoms_of(message.as_bytes(), &mut vocabulary)).collect();
        let shapes: Vec<&[Atom]> = shapes.iter().map(Vec::as_slice).collect();
        let merged = merge(&shapes, &vec![1; shapes.len()], &vocabulary);
        let mut texts: Vec<String> = merged.templates.iter().map(|atoms| render(atoms, &vocabulary)).collect();
        texts.sort();
        texts
    }

    #[test]
    fn words_with_meaning_stay_apart() {
        let messages = ["VM Started (Lifecycle Event)", "VM Paused (Lifecycle Event)", "VM Resumed (Lifecycle Event)"];
        assert_eq!(templates(&messages).len(), 3);
        let states: Vec<String> =
            words_of_state().iter().map(|state| format!("container web is now {state} on host")).collect();
        let states: Vec<&str> = states.iter().map(String::as_str).collect();
        assert_eq!(templates(&states).len(), states.len());
    }

    fn words_of_state() -> Vec<&'static str> {
        vec!["started", "stopped", "failed", "ready", "unhealthy", "paused", "restarting", "lost", "up", "down", "dead"]
    }

    #[test]
    fn names_after_a_word_that_announces_them_merge() {
        let messages = [
            "session opened for user cyrus by (uid=0)",
            "session opened for user news by (uid=0)",
            "session closed for user news",
            "session closed for user root",
        ];
        assert_eq!(templates(&messages), ["session closed for user <*>", "session opened for user <*> by (uid=<*>)"]);
    }

    #[test]
    fn what_stands_after_a_key_for_names_is_a_name() {
        let closed = ["closed id=1 cmd=get resp=2", "closed id=2 cmd=save resp=2", "closed id=3 cmd=NULL resp=2"];
        assert_eq!(templates(&closed), ["closed id=<*> cmd=<*> resp=<*>"]);
        assert_eq!(templates(&["refused rhost=10.0.0.1 user=root", "refused rhost=10.0.0.1 user=guest"]).len(), 2);
        assert_eq!(templates(&["job id=1 state=started", "job id=1 state=stopped"]).len(), 2);
        assert_eq!(templates(&["job id=1 role=primary", "job id=1 role=replica"]).len(), 2);
        assert_eq!(templates(&["the user backup ran", "the user save ran"]).len(), 2);
    }

    #[test]
    fn the_subject_of_a_line_and_the_name_of_a_value_are_names() {
        assert_eq!(templates(&["web.service: Failed hard", "db.service: Failed hard"]).len(), 1);
        assert_eq!(templates(&["cache.hits: 5 per minute", "cache.misses: 7 per minute"]).len(), 2);
        assert_eq!(templates(&["java.io.IOException: Pipe gone", "java.io.EOFException: Pipe gone"]).len(), 2);
        assert_eq!(templates(&["killing process 7 (sh) now", "killing process 8 (sleep) now"]).len(), 1);
        assert_eq!(templates(&["process 7 (started) now", "process 8 (stopped) now"]).len(), 2);
    }

    #[test]
    fn compound_names_merge_in_several_places_at_once() {
        let messages = ["Registering class a.b.C for class x.y.Z", "Registering class a.b.D for class x.y.W"];
        assert_eq!(templates(&messages), ["Registering class <*> for class <*>"]);
        assert_eq!(templates(&messages[..1]), [messages[0]]);
    }

    #[test]
    fn a_value_left_out_is_a_value() {
        assert_eq!(templates(&["release lock ws=null, uid=5", "release lock ws=Source{7}, uid=5"]).len(), 1);
        assert_eq!(templates(&["found null there", "found 5 there"]).len(), 2);
        assert_eq!(templates(&["route IPv4 address x", "route IPv6 address x"]).len(), 2);
        assert_eq!(templates(&["release lock ws=null, uid=5", "release lock ws=kept, uid=5"]).len(), 2);
    }

    #[test]
    fn two_plain_words_do_not_merge_but_many_do() {
        assert_eq!(templates(&["loading plugin alpha twice", "loading plugin beta twice"]).len(), 2);
        let many: Vec<String> = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis"]
            .iter()
            .map(|animal| format!("loading plugin {animal} twice"))
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(templates(&many), ["loading plugin <*> twice"]);
    }

    #[test]
    fn single_words_are_never_merged() {
        let words: Vec<String> = (b'a'..=b'z').map(|c| format!("on{}Event", c as char)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(templates(&words).len(), 26);
    }
}
