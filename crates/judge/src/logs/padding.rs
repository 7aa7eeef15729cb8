//! Whether the words of a column are padded to a width, as formatters do with a logger's name.
//!
//! Two spaces after a word alone say nothing: programs write `boot  (command 7)`, and there the word is the message.

/// Share of lines whose word must be padded to make a column of it.
const PADDED_SHARE: f64 = 0.6;
/// Share of the different padded words after which the next column must begin in the same place.
const ALIGNED_SHARE: f64 = 0.6;
/// So many spaces after a word are no typing habit but a column.
const WIDE_GAP: usize = 3;
/// A column with more different words than this, or than a quarter of the lines, is text.
const WORDS_MAX: usize = 32;

/// Whether a column is padded. `cells`: the word of each line that has the column, and the rest of the line behind it;
/// `lines`: the number of lines looked at.
pub fn is_padded(cells: Vec<(&[u8], &[u8])>, lines: usize) -> bool {
    let mut words: Vec<(&[u8], usize)> = cells.into_iter().map(|(word, after)| (word, gap(after))).collect();
    let padded = words.iter().filter(|(_, gap)| *gap >= 2).count();
    if (padded as f64) < PADDED_SHARE * lines.max(1) as f64 {
        return false;
    }
    words.sort_unstable();
    words.dedup_by_key(|(word, _)| *word);
    words.len() <= WORDS_MAX.max(lines / 4) && is_aligned(&words)
}

/// Spaces after a word; a tab counts as [`WIDE_GAP`].
fn gap(after: &[u8]) -> usize {
    if after.first() == Some(&b'\t') { WIDE_GAP } else { after.iter().take_while(|byte| **byte == b' ').count() }
}

/// Whether what follows the words (each once, with its gap) begins in one place although they differ in length, or
/// stands well apart from one of them.
fn is_aligned(words: &[(&[u8], usize)]) -> bool {
    if words.iter().any(|(_, gap)| *gap >= WIDE_GAP) {
        return true;
    }
    let padded: Vec<(usize, usize)> =
        words.iter().filter(|(_, gap)| *gap >= 2).map(|(word, gap)| (word.len() + gap, word.len())).collect();
    let lengths_at = |width: usize| padded.iter().filter(move |(other, _)| *other == width).map(|(_, length)| *length);
    let Some(width) = padded.iter().map(|(width, _)| *width).max_by_key(|width| lengths_at(*width).count()) else {
        return false;
    };
    let differ = lengths_at(width).min() != lengths_at(width).max();
    differ && lengths_at(width).count() as f64 >= ALIGNED_SHARE * padded.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[&str], padded: bool) {
        let cells: Vec<(&[u8], &[u8])> =
            lines.iter().map(|line| line.as_bytes().split_at(line.find([' ', '\t']).unwrap())).collect();
        assert_eq!(is_padded(cells, lines.len()), padded, "{lines:?}");
    }

    #[test]
    fn a_width_or_a_wide_gap_makes_a_column() {
        check(&["db    ready", "http  ready", "mailer ready"], true);
        check(&["CBS    Loaded", "CSI    Created"], true);
        check(&["db\tready", "http\tready"], true);
    }

    #[test]
    fn two_spaces_by_habit_make_none() {
        check(&["boot  (command 7)", "wait  (command 8)", "halt  (command 9)", "addMember  (command 9)"], false);
        check(&["boot  (command 7)", "wait  (command 8)"], false);
    }
}
