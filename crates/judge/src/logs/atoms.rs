//! The shape of a message as a sequence of small numbers: words are kept once in a vocabulary, a shape refers to them.

use super::hash::{HashKeyed, hash_bytes, mix};
use super::scan::{Sink, scan};
use super::words;

/// More atoms than this are dropped: a message is recognised by its beginning.
pub const ATOMS_MAX: usize = 256;

/// One element of a shape: a word or punctuation character of the vocabulary, or a variable; and whether it is glued to
/// what comes before.
///
/// A variable may remember that words were found to vary in its place, rather than numbers; for being equal that makes no difference.
#[derive(Debug, Clone, Copy)]
pub struct Atom(u32);

impl PartialEq for Atom {
    fn eq(&self, other: &Atom) -> bool {
        self.code() == other.code()
    }
}

impl Eq for Atom {}

impl PartialOrd for Atom {
    fn partial_cmp(&self, other: &Atom) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Atom {
    fn cmp(&self, other: &Atom) -> std::cmp::Ordering {
        self.code().cmp(&other.code())
    }
}

impl std::hash::Hash for Atom {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.code().hash(state);
    }
}

/// What a word takes besides its bytes: pointer, length, a slot in the map.
const WORD_OVERHEAD_BYTES: usize = 48;

const GLUED: u32 = 1 << 31;
const VARIED: u32 = 1 << 30;

impl Atom {
    /// A variable after white space.
    pub const VARIABLE: Atom = Atom(0);

    /// The atom for a word of the vocabulary.
    fn new(index: u32, glued: bool) -> Atom {
        Atom(index | if glued { GLUED } else { 0 })
    }
    /// Whether it stands directly after the atom before it.
    pub fn is_glued(self) -> bool {
        self.0 & GLUED != 0
    }
    /// Whether it is a variable.
    pub fn is_variable(self) -> bool {
        self.0 & !(GLUED | VARIED) == 0
    }
    /// The same place as a variable.
    pub fn as_variable(self) -> Atom {
        Atom(self.0 & GLUED | if self.is_variable() { self.0 & VARIED } else { 0 })
    }
    /// The same place as a variable in which words were found to vary.
    pub fn as_varied(self) -> Atom {
        Atom(self.0 & GLUED | VARIED)
    }
    /// Whether words were found to vary in this place.
    pub fn is_varied(self) -> bool {
        self.0 & VARIED != 0
    }
    /// Remembers that words varied in the place of an equal atom.
    pub fn learn(&mut self, other: Atom) {
        self.0 |= other.0 & VARIED;
    }
    /// The same, directly after what comes before.
    fn glued(self) -> Atom {
        Atom(self.0 | GLUED)
    }
    /// Index in the vocabulary; 0 for a variable.
    pub fn index(self) -> u32 {
        self.0 & !(GLUED | VARIED)
    }
    /// A number for hashing.
    pub fn code(self) -> u64 {
        u64::from(self.0 & !VARIED)
    }
}

/// The words seen, each once. Index 0 stands for the variable.
#[derive(Debug)]
pub struct Vocabulary {
    words: Vec<Box<[u8]>>,
    by_hash: HashKeyed<u32>,
    bytes: usize,
}

impl Default for Vocabulary {
    fn default() -> Self {
        Vocabulary { words: vec![Box::default()], by_hash: HashKeyed::default(), bytes: 0 }
    }
}

impl Vocabulary {
    /// The text of a word; empty for the variable.
    pub fn word(&self, atom: Atom) -> &[u8] {
        self.words.get(atom.index() as usize).map_or(&[], |word| word)
    }

    /// The text at an index; empty where there is none.
    pub fn word_at(&self, index: usize) -> &[u8] {
        self.words.get(index).map_or(&[], |word| word)
    }

    /// The number of words.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// The index of a word, taken up if it is new. Two words of one hash share an index (1 in 2^64).
    pub fn intern(&mut self, text: &[u8]) -> u32 {
        let next = self.words.len() as u32;
        let index = *self.by_hash.entry(hash_bytes(text)).or_insert(next);
        if index == next {
            self.words.push(text.into());
            self.bytes += text.len() + WORD_OVERHEAD_BYTES;
        }
        index
    }

    /// Bytes the words take, roughly.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The atom of another vocabulary as one of this.
    pub fn adopt(&mut self, atom: Atom, other: &Vocabulary) -> Atom {
        if atom.is_variable() { atom } else { Atom::new(self.intern(other.word(atom)), atom.is_glued()) }
    }
}

/// The sink of the hot path: nothing but a hash.
pub struct Fingerprint(pub u64);

impl Sink for Fingerprint {
    #[inline(always)]
    fn word(&mut self, text: &[u8], glued: bool) {
        self.0 = mix(self.0, hash_bytes(text) ^ u64::from(glued) << 63);
    }
    #[inline(always)]
    fn variable(&mut self, glued: bool) {
        self.0 = mix(self.0, 0x76_6172 ^ u64::from(glued) << 63);
    }
    #[inline(always)]
    fn punctuation(&mut self, byte: u8, glued: bool) {
        self.0 = mix(self.0, 0x100 | u64::from(byte) | u64::from(glued) << 63);
    }
}

/// The hash of a message's shape. Equal shapes have equal fingerprints; unequal ones may mean the same shape once
/// lists are folded (see [`atoms_of`]).
#[inline]
pub fn fingerprint(message: &[u8]) -> u64 {
    let mut sink = Fingerprint(message.is_empty() as u64);
    scan(message, &mut sink);
    sink.0
}

struct Collect<'a> {
    vocabulary: &'a mut Vocabulary,
    atoms: Vec<Atom>,
}

impl Sink for Collect<'_> {
    fn word(&mut self, text: &[u8], glued: bool) {
        if self.atoms.len() < ATOMS_MAX {
            let index = self.vocabulary.intern(text);
            self.atoms.push(Atom::new(index, glued));
        }
    }
    fn variable(&mut self, glued: bool) {
        if self.atoms.len() < ATOMS_MAX {
            self.atoms.push(Atom::new(0, glued));
        }
    }
    fn punctuation(&mut self, byte: u8, glued: bool) {
        self.word(&[byte], glued);
    }
}

/// The shape of a message, with lists of variables, restated values and units folded into one variable.
pub fn atoms_of(message: &[u8], vocabulary: &mut Vocabulary) -> Vec<Atom> {
    let mut sink = Collect { vocabulary, atoms: Vec::new() };
    scan(message, &mut sink);
    let atoms = std::mem::take(&mut sink.atoms);
    let atoms = join_names(atoms, vocabulary);
    fold_lists(&atoms, vocabulary)
}

/// Words in a row that begin with capitals are one name (`Anna Berg`, `New York`), so that names of one word and of two stand in one
/// place. The first word of a message begins with a capital anyway and is left alone.
fn join_names(atoms: Vec<Atom>, vocabulary: &mut Vocabulary) -> Vec<Atom> {
    let mut joined: Vec<Atom> = Vec::with_capacity(atoms.len());
    let mut name: Vec<u8> = Vec::new();
    let mut open = false;
    for (at, &atom) in atoms.iter().enumerate() {
        let word = vocabulary.word(atom);
        let is_part = |word: &[u8]| words::may_be_part_of_name(word) && !words::is_month_or_day(word);
        // `Smith & Sons` is one name.
        let joins = open && word == b"&" && atoms.get(at + 1).is_some_and(|next| is_part(vocabulary.word(*next)));
        let first = at == 0 || joined.last().is_some_and(|last| vocabulary.word(*last) == b"]");
        let part = !first && !atom.is_variable() && (is_part(word) || joins);
        let ends = word.ends_with(b":") || word.ends_with(b".");
        if part && open && !atom.is_glued() {
            name.push(b' ');
            name.extend_from_slice(word);
            let index = vocabulary.intern(&name);
            if let Some(last) = joined.last_mut() {
                *last = Atom::new(index, last.is_glued());
            }
        } else {
            name.clear();
            name.extend_from_slice(word);
            joined.push(atom);
        }
        open = part && !ends;
    }
    joined
}

/// Folds what is one value written in several tokens:
/// - `<*> <*>` and `<*>, <*>` (lists of any length) → `<*>`;
/// - `<*> KB` → `<*>`; `<*> bytes (<*> KB)`, a value said again in another unit → `<*> bytes`;
/// - `<<*> sec` (less than) → `<*>`; `Fri Jun <*>`, a date → `<*>`;
/// - `=Name{<*>}`, an object with one value → `=<*>`; ` ()`, a value left out → ` (<*>)`.
pub fn fold_lists(atoms: &[Atom], vocabulary: &Vocabulary) -> Vec<Atom> {
    let mut folded: Vec<Atom> = Vec::with_capacity(atoms.len());
    let mut at = 0;
    let is = |atom: Option<&Atom>, text: &[u8]| atom.is_some_and(|atom| vocabulary.word(*atom) == text);
    let is_date_word = |atom: Atom| words::is_month_or_day(vocabulary.word(atom));
    let next_is_variable = |at: usize| atoms.get(at).is_some_and(|atom| atom.is_variable() && !atom.is_glued());
    let is_day_then_month =
        |at: usize| atoms.get(at + 1).is_some_and(|month| is_date_word(*month)) && next_is_variable(at + 2);
    while at < atoms.len() {
        let atom = atoms[at];
        let previous_variable = folded.last().is_some_and(|last| last.is_variable());
        if atom.is_variable() {
            if let Some(last) = folded.last_mut().filter(|_| previous_variable) {
                last.learn(atom);
                at += 1;
                continue;
            }
            let comma = is(folded.last(), b",") && folded.len() >= 2 && folded[folded.len() - 2].is_variable();
            if comma {
                folded.pop();
                if let Some(last) = folded.last_mut() {
                    last.learn(atom);
                }
                at += 1;
                continue;
            }
            let less_than = is(folded.last(), b"<") && !is(atoms.get(at + 1), b">") && atom.is_glued();
            if less_than {
                let sign = folded.pop().unwrap_or(Atom::VARIABLE);
                folded.push(sign.as_variable());
            } else {
                folded.push(atom);
            }
        } else if previous_variable && vocabulary.word(atom) == b"*" && !atom.is_glued() {
            // A star beside values (of a crontab, say) is one.
        } else if vocabulary.word(atom) == b"(" && !atom.is_glued() && is(atoms.get(at + 1), b")") {
            folded.extend([atom, Atom::VARIABLE.glued()]);
        } else if is_date_word(atom) && (next_is_variable(at + 1) || is_day_then_month(at)) {
            if !previous_variable {
                folded.push(atom.as_variable());
            }
        } else if is(folded.last(), b"=") && is_object(&atoms[at..], vocabulary) {
            folded.push(atom.as_variable());
            at += 3;
        } else if previous_variable && words::is_unit(vocabulary.word(atom)) && !is(atoms.get(at + 1), b"=") {
            // The unit belongs to the number.
        } else if vocabulary.word(atom) == b"(" && !atom.is_glued() && restates(&atoms[at..], vocabulary) {
            while at < atoms.len() && vocabulary.word(atoms[at]) != b")" {
                at += 1;
            }
        } else {
            folded.push(atom);
        }
        at += 1;
    }
    folded
}

/// `Name{<*>}`.
fn is_object(atoms: &[Atom], vocabulary: &Vocabulary) -> bool {
    matches!(atoms, [name, open, value, close, ..]
        if !name.is_variable() && value.is_variable() && vocabulary.word(*open) == b"{" && vocabulary.word(*close) == b"}")
}

/// Whether a parenthesis holds a value with a unit and nothing else: `(1.16 KB)`.
fn restates(atoms: &[Atom], vocabulary: &Vocabulary) -> bool {
    matches!(atoms, [_, value, unit, close, ..]
        if value.is_variable() && words::is_unit(vocabulary.word(*unit)) && vocabulary.word(*close) == b")")
}

/// The text of a shape, `<*>` for each variable.
pub fn render(atoms: &[Atom], vocabulary: &Vocabulary) -> String {
    let mut text = String::new();
    for (index, atom) in atoms.iter().enumerate() {
        if index > 0 && !atom.is_glued() {
            text.push(' ');
        }
        if atom.is_variable() {
            text.push_str("<*>");
        } else {
            text.push_str(&String::from_utf8_lossy(vocabulary.word(*atom)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, shape: &str) {
        let mut vocabulary = Vocabulary::default();
        let atoms = atoms_of(message.as_bytes(), &mut vocabulary);
        assert_eq!(render(&atoms, &vocabulary), shape);
    }

    #[test]
    fn lists_and_restated_values_fold() {
        check("delete blk_1 blk_2 blk_3 now", "delete <*> now");
        check("peers 10.0.0.1, 10.0.0.2, 10.0.0.3.", "peers <*>.");
        check("0 bytes sent, 1190 bytes (1.16 KB) received", "<*> bytes sent, <*> bytes received");
        check("lifetime <1 sec", "lifetime <*>");
        check("lifetime 00:01", "lifetime <*>");
        check("at Fri Jun 17 07:07:00 2005 end", "at <*> end");
        check("from 1.2.3.4 () now() May be", "from <*> (<*>) now() May be");
        check("ws=WorkSource{10113}, x", "ws=<*>, x");
        check("Switch<0>(0x0)::go", "Switch<<*>>(<*>)::go");
    }

    #[test]
    fn the_fingerprint_follows_the_shape() {
        assert_eq!(fingerprint(b"took 5 ms"), fingerprint(b"took 1234 ms"));
        assert_ne!(fingerprint(b"VM Started"), fingerprint(b"VM Paused"));
        assert_ne!(fingerprint(b"a b"), fingerprint(b"ab"));
        assert_ne!(fingerprint(b"a=b"), fingerprint(b"a =b"));
    }
}
