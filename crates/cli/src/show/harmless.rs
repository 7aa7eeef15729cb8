//! What others wrote, made harmless for a terminal: an escape sequence in a log could move the cursor, rename the window, or write over what stands there.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with control characters in the notation of `cat -v` (`^[` for escape) and marks that turn the direction of writing by their number. A tab
/// stays.
#[must_use]
pub fn harmless(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\0'..='\x1f' if is_harmful(character) => shown.extend(['^', char::from(character as u8 + b'@')]),
            '\x7f' => shown.push_str("^?"),
            _ if is_harmful(character) => {
                let _ = write!(shown, "<{:x}>", u32::from(character));
            }
            _ => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

fn is_harmful(character: char) -> bool {
    (character.is_control() && character != '\t')
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn nothing_that_a_terminal_would_obey_is_left() {
        for (text, shown) in [
            ("plain ä\tб", "plain ä\tб"),
            ("\x1b]0;owned\x07\x1b[2J", "^[]0;owned^G^[[2J"),
            ("a\rb\x7f", "a^Mb^?"),
            ("\u{9b}31m", "<9b>31m"),
            ("\u{202e}txt.exe", "<202e>txt.exe"),
        ] {
            assert_eq!(harmless(text), shown);
        }
    }
}
