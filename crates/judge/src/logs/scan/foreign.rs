//! Text beyond ASCII: writing without spaces between words, and its punctuation.
//!
//! Chinese and Japanese characters are each a word of their own, so that a name inside a sentence (`患者王伟挂号成功`) can be a value while the
//! rest of the sentence stays. Typographic quotation marks quote.

use super::{QUOTED_BYTES_MAX, Sink};
use std::ops::Range;

/// Scans a run of bytes that has some beyond ASCII; where it ended, which is further than the run where a quotation goes on. `None`: it is
/// a word like any other (`für`), or no UTF-8.
pub(super) fn scan(message: &[u8], run: Range<usize>, glued: bool, sink: &mut impl Sink) -> Option<usize> {
    let text = std::str::from_utf8(&message[run.clone()]).ok()?;
    if !text.chars().any(|character| is_ideograph(character) || is_mark(character)) {
        return None;
    }
    let mut glued = glued;
    let mut plain: Option<usize> = None;
    let mut offset = 0;
    while let Some(character) = text.get(offset..).and_then(|rest| rest.chars().next()) {
        let next = offset + character.len_utf8();
        if !is_ideograph(character) && !is_mark(character) {
            plain = plain.or(Some(offset));
            offset = next;
            continue;
        }
        if let Some(from) = plain.take() {
            plain_run(&text.as_bytes()[from..offset], glued, sink);
            glued = true;
        }
        sink.word(&text.as_bytes()[offset..next], glued);
        glued = true;
        if let Some(close) = closing(character)
            && let Some(end) = quotation_end(message, run.start + next, close)
        {
            sink.variable(true);
            sink.word(&message[end..end + close.len_utf8()], true);
            let after = end + close.len_utf8();
            if after >= run.end {
                return Some(after);
            }
            offset = after - run.start;
            continue;
        }
        offset = next;
    }
    if let Some(from) = plain {
        plain_run(&text.as_bytes()[from..], glued, sink);
    }
    Some(run.end)
}

/// What stands between ideographs: a number or an id is a variable, anything else a word.
fn plain_run(text: &[u8], glued: bool, sink: &mut impl Sink) {
    if text.iter().any(u8::is_ascii_digit) || text.iter().any(|byte| matches!(byte, b'/' | b'@')) {
        sink.variable(glued);
    } else {
        sink.word(text, glued);
    }
}

/// Han, Hiragana, Katakana.
fn is_ideograph(character: char) -> bool {
    matches!(character, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2ffff}')
}

/// Punctuation that separates.
fn is_mark(character: char) -> bool {
    matches!(character, '«' | '»' | '\u{2018}'..='\u{201f}' | '\u{2039}' | '\u{203a}' | '\u{3000}'..='\u{303f}' | '\u{ff01}'..='\u{ff0f}'
        | '\u{ff1a}'..='\u{ff20}' | '\u{ff3b}'..='\u{ff3d}' | '\u{ff5b}'..='\u{ff65}')
}

/// The mark that closes what this one opens.
fn closing(character: char) -> Option<char> {
    Some(match character {
        '„' => '“',
        '“' => '”',
        '‘' | '‚' => '’',
        '«' => '»',
        '「' => '」',
        '『' => '』',
        '《' => '》',
        '【' => '】',
        _ => return None,
    })
}

/// Where the closing mark stands.
fn quotation_end(message: &[u8], from: usize, close: char) -> Option<usize> {
    let window = &message[from..message.len().min(from + QUOTED_BYTES_MAX)];
    let mut bytes = [0; 4];
    memchr::memmem::find(window, close.encode_utf8(&mut bytes).as_bytes()).map(|found| from + found)
}
