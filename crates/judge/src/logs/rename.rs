//! Renamed lines: a line that is gone and a line that is new may be one line, reworded.
//!
//! They are taken for one when they have the same severity and exception, most of their words in the same order, rates
//! that do not differ, and when no word that changed has a meaning: "connection lost" and "connection refused" are two
//! lines. Ways to say that something did not succeed ("failed to", "could not", "unable to") count as one way.

use super::Signature;
use super::class::{RateRule, Shift, rate_shift};
use super::words::{self, has_meaning};

/// Words kept in order, over all words, at least.
const SIMILARITY_MIN: f64 = 0.6;
/// Shorter lines are too easily alike by chance.
const WORDS_MIN: usize = 3;
/// Words compared.
const WORDS_MAX: usize = 64;
/// Pairs compared; beyond, nothing is taken for renamed.
const PAIRS_MAX: usize = 200_000;
/// A renamed line keeps its rate within this factor.
const RATE_RULE: RateRule = RateRule { ratio: 3.0, z: 3.29 };

/// Ways to say that something did not succeed.
const DID_NOT: &[&str] = &[
    "can't", "cannot", "could", "couldn't", "error", "fail", "failed", "failing", "failure", "not", "to", "unable",
    "while",
];

/// A line on one side only.
#[derive(Debug, Clone, Copy)]
pub struct Lone<'a> {
    /// Its signature.
    pub signature: &'a Signature,
    /// Lines of it.
    pub count: u64,
}

/// Pairs (index in `gone`, index in `new`) that are one line reworded, each index at most once, best first. `exposure`:
/// of the old and of the new side.
pub fn renamed(gone: &[Lone<'_>], new: &[Lone<'_>], exposure: [f64; 2]) -> Vec<(usize, usize)> {
    if gone.len().saturating_mul(new.len()) > PAIRS_MAX {
        return Vec::new();
    }
    let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
    for (old_index, old) in gone.iter().enumerate() {
        for (new_index, new) in new.iter().enumerate() {
            let alike = (old.signature.severity == new.signature.severity
                || changed_level(old.signature, new.signature))
                && old.signature.exception == new.signature.exception
                && rate_shift(old.count, exposure[0], new.count, exposure[1], RATE_RULE) == Shift::Same;
            if !alike {
                continue;
            }
            if let Some(similarity) = similarity(old.signature, new.signature) {
                pairs.push((similarity, old_index, new_index));
            }
        }
    }
    // The ids make the order the same whatever the order of the input was.
    let key = |pair: &(f64, usize, usize)| (gone[pair.1].signature.id(), new[pair.2].signature.id());
    pairs.sort_by(|left, right| right.0.total_cmp(&left.0).then_with(|| key(left).cmp(&key(right))));
    let (mut old_taken, mut new_taken) = (vec![false; gone.len()], vec![false; new.len()]);
    pairs.retain(|&(_, old, new)| {
        let free = !old_taken[old] && !new_taken[new];
        if free {
            (old_taken[old], new_taken[new]) = (true, true);
        }
        free
    });
    pairs.into_iter().map(|(_, old, new)| (old, new)).collect()
}

/// The same line at another level.
fn changed_level(old: &Signature, new: &Signature) -> bool {
    old.severity != new.severity && old.template == new.template && old.logger == new.logger
}

/// Lines of which one side has so few are folded into another when they differ in values alone.
pub const FOLDED_LINES_MAX: u64 = 3;
/// Words kept in order, over all words, for two lines to differ in values alone.
const ALIKE_MIN: f64 = 0.5;

/// Whether two templates differ in words alone that may be values: none that changed says how something ended, and what stays says what the
/// lines are about. Lines that are ERROR or above may differ in names only.
pub fn differ_in_values(one: &Signature, other: &Signature) -> bool {
    let error = one.is_error() || other.is_error();
    if one.severity != other.severity || one.logger != other.logger || one.exception != other.exception {
        return false;
    }
    let left: Vec<&str> = one.template.split_whitespace().take(WORDS_MAX).collect();
    let right: Vec<&str> = other.template.split_whitespace().take(WORDS_MAX).collect();
    let (left_kept, right_kept) = common(&left, &right);
    let may_be_value = |(word, kept): (&&str, &bool)| {
        *kept || word.contains("<*>") || {
            let bytes = word.as_bytes();
            let plain = !words::says_outcome(bytes) && !words::has_meaning(bytes);
            // `in` and `of` occur in names.
            (plain || word.len() <= 3 && !words::negates(bytes))
                && (!error || words::is_proper_name(bytes) || words::is_compound_name(bytes))
        }
    };
    let real = left.iter().zip(&left_kept).filter(|(word, kept)| **kept && **word != "<*>").count();
    let kept = left_kept.iter().filter(|kept| **kept).count();
    real >= 1
        && left.len().min(right.len()) >= 2
        && 2.0 * kept as f64 >= ALIKE_MIN * (left.len() + right.len()) as f64
        && left.first() == right.first()
        && left.iter().zip(&left_kept).all(may_be_value)
        && right.iter().zip(&right_kept).all(may_be_value)
}

/// How much of the words two templates share, 0 to 1; `None` when they cannot be one line.
fn similarity(old: &Signature, new: &Signature) -> Option<f64> {
    if old.template == new.template {
        // Moved to another logger.
        return Some(1.0);
    }
    if old.logger != new.logger {
        return None;
    }
    let old_words: Vec<&str> = old.template.split_whitespace().take(WORDS_MAX).collect();
    let new_words: Vec<&str> = new.template.split_whitespace().take(WORDS_MAX).collect();
    if old_words.len().min(new_words.len()) < WORDS_MIN {
        return None;
    }
    let (old_kept, new_kept) = common(&old_words, &new_words);
    let kept = old_kept.iter().filter(|kept| **kept).count();
    let real =
        |words: &[&str], kept: &[bool]| words.iter().zip(kept).filter(|(word, kept)| **kept && **word != "<*>").count();
    let ratio = 2.0 * kept as f64 / (old_words.len() + new_words.len()) as f64;
    let changed = |words: &[&str], kept: &[bool]| {
        let mut did_not = false;
        for word in words.iter().zip(kept).filter(|(_, kept)| !**kept).map(|(word, _)| word) {
            let plain = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
            if DID_NOT.binary_search(&plain.as_str()).is_ok() {
                did_not |= plain != "to" && plain != "while";
            } else if has_meaning(word.as_bytes()) {
                return None;
            }
        }
        Some(did_not)
    };
    let same_outcome = changed(&old_words, &old_kept)? == changed(&new_words, &new_kept)?;
    (same_outcome && ratio >= SIMILARITY_MIN && real(&old_words, &old_kept) >= 2).then_some(ratio)
}

/// The longest common subsequence: which words of each take part.
fn common(left: &[&str], right: &[&str]) -> (Vec<bool>, Vec<bool>) {
    let width = right.len() + 1;
    let mut lengths = vec![0_u16; (left.len() + 1) * width];
    for i in (0..left.len()).rev() {
        for j in (0..right.len()).rev() {
            lengths[i * width + j] = if left[i] == right[j] {
                lengths[(i + 1) * width + j + 1] + 1
            } else {
                lengths[(i + 1) * width + j].max(lengths[i * width + j + 1])
            };
        }
    }
    let (mut in_left, mut in_right) = (vec![false; left.len()], vec![false; right.len()]);
    let (mut i, mut j) = (0, 0);
    while i < left.len() && j < right.len() {
        if left[i] == right[j] {
            (in_left[i], in_right[j]) = (true, true);
            i += 1;
            j += 1;
        } else if lengths[(i + 1) * width + j] >= lengths[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    (in_left, in_right)
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    fn signature(template: &str) -> Signature {
        Signature {
            severity: Some(Severity::Error),
            logger: Some("db".into()),
            exception: None,
            template: template.into(),
        }
    }

    fn is_renamed(old: &str, old_count: u64, new: &str, new_count: u64) -> bool {
        let (old, new) = (signature(old), signature(new));
        let lone = |signature, count| Lone { signature, count };
        !renamed(&[lone(&old, old_count)], &[lone(&new, new_count)], [1_000.0, 1_000.0]).is_empty()
    }

    #[test]
    fn the_list_is_sorted() {
        assert!(DID_NOT.is_sorted());
    }

    #[test]
    fn a_reworded_line_is_recognised() {
        assert!(is_renamed(
            "could not reach database <*> after <*> tries",
            20,
            "failed to reach database <*> after <*> tries",
            25
        ));
        assert!(is_renamed("reach of db <*> ended after <*> s", 20, "reach of database <*> ended after <*> s", 25));
    }

    #[test]
    fn another_outcome_or_another_rate_is_another_line() {
        assert!(!is_renamed("connection to database <*> lost", 20, "connection to database <*> refused", 20));
        assert!(!is_renamed(
            "reached database <*> after <*> tries",
            20,
            "could not reach database <*> after <*> tries",
            20
        ));
        assert!(!is_renamed("could not reach db <*> now at <*>", 20, "failed to reach db <*> now at <*>", 900));
        assert!(!is_renamed("VM Started (Lifecycle Event)", 20, "VM Paused (Lifecycle Event)", 20));
        assert!(!is_renamed("lost <*>", 20, "dead <*>", 20));
    }
}
