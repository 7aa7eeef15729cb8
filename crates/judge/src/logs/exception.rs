//! The class of an exception in a text.

/// Ends of the last part of a class name, in the languages we know.
const ENDINGS: [&[u8]; 8] =
    [b"Exception", b"Error", b"Fault", b"Failure", b"Interrupt", b"Warning", b"Timeout", b"StopIteration"];
/// A longer name is not a class.
const CLASS_BYTES_MAX: usize = 120;

/// The class a text begins with (`java.io.IOException: x`, `ValueError`, `Caused by: a.B`); empty where there is none.
pub fn class_at_start(text: &[u8]) -> &[u8] {
    let mut text = text.trim_ascii_start();
    for prefix in [&b"Caused by: "[..], b"Uncaught ", b"Unhandled exception: "] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$');
    let end = text.iter().position(|byte| !is_part(byte)).unwrap_or(text.len());
    let name = &text[..end];
    let followed_well = matches!(text.get(end), None | Some(b':' | b' ' | b'(' | b'\\' | b'\n'));
    if followed_well && is_class(name) { name } else { &[] }
}

/// The first class in a message, wherever it stands; empty where there is none. Linear.
pub fn class_within(message: &[u8]) -> &[u8] {
    let window = &message[..message.len().min(512)];
    let mut best: Option<usize> = None;
    for ending in [&b"Exception"[..], b"Error"] {
        if let Some(at) = memchr::memmem::find(window, ending) {
            best = best.min(Some(at)).or(Some(at));
        }
    }
    let Some(at) = best else { return &[] };
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$');
    let start = window[..at].iter().rposition(|byte| !is_part(byte)).map_or(0, |last| last + 1);
    class_at_start(&window[start..])
}

fn is_class(name: &[u8]) -> bool {
    if name.is_empty() || name.len() > CLASS_BYTES_MAX || !name[0].is_ascii_alphabetic() {
        return false;
    }
    let last = name.rsplit(|byte| matches!(byte, b'.' | b'$')).next().unwrap_or(name);
    // `Error` alone is JavaScript's class; `Exception` alone Python's.
    last.first().is_some_and(u8::is_ascii_uppercase) && ENDINGS.iter().any(|ending| last.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_found_and_sentences_are_not() {
        assert_eq!(class_at_start(b"java.io.IOException: Broken pipe"), b"java.io.IOException");
        assert_eq!(class_at_start(b"Caused by: a.b.MyError"), b"a.b.MyError");
        assert_eq!(class_at_start(b"Error writing event"), b"Error");
        assert_eq!(class_at_start(b"errors were found"), b"");
        assert_eq!(class_within(b"request failed: psycopg2.OperationalError: gone"), b"psycopg2.OperationalError");
        assert_eq!(class_within(b"no such thing"), b"");
    }
}
