//! What each word of the vocabulary is, and which places of a shape hold a name. `merge` decides by this.

use super::atoms::{Atom, Vocabulary};
use super::words;

/// Has letters or digits.
pub const WORD: u16 = 1;
/// Says what happened; may not vary.
pub const MEANING: u16 = 2;
/// A name put together from parts (`a.b.C`).
pub const COMPOUND: u16 = 4;
/// A name follows.
pub const ANNOUNCES: u16 = 8;
/// A name may end before it.
pub const FOLLOWS_NAME: u16 = 16;
/// Looks like an identifier of a program (`camelCase`, `snake_case`).
pub const IDENTIFIER: u16 = 32;
/// Ends with a colon, or is `=`.
pub const KEY: u16 = 64;
/// A value left out.
pub const NULL: u16 = 128;
/// Written as a name is (`Oslo`, `Anna Berg`, `eu-west`); at the beginning of a message that says little.
pub const PROPER: u16 = 256;
/// A part of a word: a Chinese or Japanese character.
pub const IDEOGRAPH: u16 = 512;
/// Says how something ended: a participle, an error, a negation. Never a value.
pub const OUTCOME: u16 = 1024;
/// A method of HTTP in capitals. In a request line it has a meaning; in a sentence it is a value like others.
pub const METHOD: u16 = 2048;

/// What each word of the vocabulary is, worked out once per merge.
pub struct Kinds {
    of_word: Vec<u16>,
    short: Vec<bool>,
    /// Indices of words that take part in rules by themselves.
    pub equals: u32,
    opens: u32,
    closes: u32,
    closes_square: u32,
    for_word: u32,
    from_word: u32,
    /// Keys whose value is a name, whatever word it is.
    name_keys: Vec<u32>,
}

impl Kinds {
    /// Works out the kinds of all words.
    pub fn new(vocabulary: &Vocabulary) -> Kinds {
        let index = |text: &[u8]| {
            (0..vocabulary.len()).find(|&at| vocabulary.word_at(at) == text).map_or(u32::MAX, |at| at as u32)
        };
        Kinds {
            of_word: (0..vocabulary.len()).map(|index| Kinds::of_word(vocabulary.word_at(index))).collect(),
            short: (0..vocabulary.len())
                .map(|index| vocabulary.word_at(index).len() <= 3 && !words::negates(vocabulary.word_at(index)))
                .collect(),
            equals: index(b"="),
            opens: index(b"("),
            closes: index(b")"),
            closes_square: index(b"]"),
            for_word: index(b"for"),
            from_word: index(b"from"),
            name_keys: words::NAME_KEYS
                .iter()
                .map(|key| index(key.as_bytes()))
                .filter(|found| *found != u32::MAX)
                .collect(),
        }
    }

    fn of_word(word: &[u8]) -> u16 {
        if word.is_empty() {
            return 0;
        }
        let key = if word == b"=" || word.len() > 1 && word.ends_with(b":") { KEY } else { 0 };
        if !word.iter().any(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80) {
            return key;
        }
        let mut kind = WORD | key;
        // The scanner leaves a number as a word only where it has a meaning (an HTTP status).
        if words::is_method(word) {
            kind |= METHOD | PROPER;
        } else if words::has_meaning(word) || word.iter().all(u8::is_ascii_digit) {
            kind |= MEANING;
        } else if words::is_compound_name(word) {
            kind |= COMPOUND;
        }
        if matches!(word, b"null" | b"NULL" | b"nil" | b"none" | b"None") {
            kind |= NULL;
        }
        if words::announces_name(word) {
            kind |= ANNOUNCES;
        }
        if words::may_follow_name(word) {
            kind |= FOLLOWS_NAME;
        }
        let inner_capital = word.windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
        if inner_capital || word.contains(&b'_') || words::is_relative_path(word) {
            kind |= IDENTIFIER;
        }
        if words::says_outcome(word) {
            kind |= OUTCOME;
        }
        if words::is_ideograph(word) {
            kind |= IDEOGRAPH;
        }
        if words::is_proper_name(word) {
            kind |= PROPER;
        }
        kind
    }

    /// The kind of an atom: the bits above; 0 for a variable and for punctuation.
    pub fn of(&self, atom: Atom) -> u16 {
        self.of_word.get(atom.index() as usize).copied().unwrap_or(0)
    }

    /// The method of a quoted request line (`"GET /x HTTP/1.1"`).
    pub fn is_request_method(&self, atom: Atom) -> bool {
        atom.is_glued() && self.of(atom) & METHOD != 0
    }

    /// `]`.
    pub fn closes_bracket(&self, atom: Atom) -> bool {
        atom.index() == self.closes_square
    }

    /// A word of the kind that occurs inside of names: `of`, `in`, `de`.
    pub fn is_short_word(&self, atom: Atom) -> bool {
        self.short.get(atom.index() as usize).copied().unwrap_or(false)
    }

    /// A place after a word that announces a name, followed by nothing that would belong to a phrase ("for user *x* by");
    /// or between "for" and "from" ("password for *x* from").
    pub fn is_name_place(&self, atoms: &[Atom], at: usize) -> bool {
        if at > 0 && atoms[at - 1].index() == self.for_word && !atoms[at].is_glued() {
            return atoms.get(at + 1).is_some_and(|next| next.index() == self.from_word);
        }
        at > 0
            && self.of(atoms[at - 1]) & ANNOUNCES != 0
            && !atoms[at].is_glued()
            && match atoms.get(at + 1) {
                None => true,
                Some(&next) => next.is_variable() || self.of(next) & WORD == 0 || self.of(next) & FOLLOWS_NAME != 0,
            }
    }

    /// A compound name that the message is about (`web.service: failed with …`): at the beginning, with a colon and words
    /// after it. Where a value follows at once (`cache.hits: 5`), the name says what is counted.
    fn is_subject_with_colon(&self, atoms: &[Atom], at: usize) -> bool {
        const SUBJECT: u16 = WORD | COMPOUND | KEY;
        at == 0
            && self.of(atoms[0]) & (SUBJECT | MEANING) == SUBJECT
            && atoms.get(1).is_some_and(|next| !next.is_glued() && self.of(*next) & (WORD | KEY) == WORD)
    }

    /// One word in parentheses after a variable: it names the value (`process 52 (sleep)`).
    pub fn is_name_of_value(&self, atoms: &[Atom], at: usize) -> bool {
        at >= 2
            && atoms[at - 2].is_variable()
            && atoms[at - 1].index() == self.opens
            && atoms.get(at + 1).is_some_and(|next| next.index() == self.closes)
    }

    /// The place after `cmd=` and the like. What stands there is a name, even if the word has a meaning elsewhere
    /// (`cmd=save`).
    fn is_value_of_name_key(&self, atoms: &[Atom], at: usize) -> bool {
        at >= 2
            && self.of(atoms[at]) & WORD != 0
            && atoms[at].is_glued()
            && atoms[at - 1].index() == self.equals
            && self.name_keys.contains(&atoms[at - 2].index())
    }

    /// Whether the place is a variable wherever two different values are seen (step 1).
    pub fn is_soft(&self, atoms: &[Atom], at: usize) -> bool {
        let kind = self.of(atoms[at]);
        atoms[at].is_variable()
            || self.is_value_of_name_key(atoms, at)
            || self.is_subject_with_colon(atoms, at)
            || kind & (WORD | MEANING) == WORD
                && at > 0
                && (kind & COMPOUND != 0 && kind & KEY == 0 || self.is_name_place(atoms, at))
    }
}
