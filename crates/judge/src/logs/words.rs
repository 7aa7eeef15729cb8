//! Which words carry the meaning of a message, and which words announce a name.
//!
//! Lists of English as programs write it; they hold for every source alike. A word of meaning is never taken for a
//! value, however many of its kind are seen: "VM Started" and "VM Paused" are two messages.

/// Words that say what happened or how things are: states, outcomes, negations, booleans, directions, methods.
/// Sorted, lower case; a test keeps it so.
#[rustfmt::skip]
const MEANING: &[&str] = &[
    "abort", "above", "absent", "accept", "access", "acquire", "active", "add", "after", "alive", "all", "allow",
    "already", "and", "any", "are", "as", "at", "authorized", "available", "away", "back", "bad", "because", "been",
    "before", "begin", "below", "blank", "both", "bound", "broke", "broken", "bug", "busy", "but", "by", "bye", "can",
    "can't", "cancel", "cannot", "change", "check", "clean", "clear", "close", "cold", "commit", "complete",
    "conflict", "connect", "corrupt", "could", "couldn't", "crash", "create", "critical", "dead", "death", "debug",
    "degraded", "delete", "denied", "deny", "did", "didn't", "dirty", "disable", "disconnect", "does", "doesn't",
    "don't", "done", "down", "drain", "drop", "duplicate", "early", "empty", "enable", "end", "enter", "err", "error",
    "exceed", "exist", "exists", "exit", "expire", "expiry", "fail", "failure", "false", "fatal", "few", "final",
    "find", "finish", "first", "for", "found", "free", "from", "full", "get", "give", "go", "gone", "good", "got",
    "grant", "had", "halt", "has", "head", "healthy", "held", "high", "hold", "hot", "idle", "ignore", "in",
    "inactive", "info", "init", "input", "insert", "inside", "internal", "into", "invalid", "ipv4", "ipv6", "is", "isn't", "join",
    "keep", "kill", "last", "late", "leave", "left", "less", "like", "load", "lock", "lookup", "lose", "loss", "lost",
    "low", "made", "make", "many", "max", "maximum", "maybe", "min", "minimum", "miss", "mode", "modify", "more",
    "most", "must", "near", "never", "new", "nil", "no", "none", "normal", "not", "now", "null", "of", "off", "ok",
    "okay", "old", "on", "only", "open", "operational", "options", "or", "out", "output", "outside", "over", "panic",
    "parse", "part", "partial", "pass", "patch", "pause", "permit", "post", "prepare", "primary", "problem", "put",
    "queue", "quick", "quit", "raise", "ran", "read", "readable", "ready", "rebuild", "received", "recover", "refuse",
    "reject", "release", "reload", "remove", "repair", "replica", "request", "reset", "resolve", "response",
    "restart", "restore", "resume", "retry", "return", "revoke", "right", "rollback", "run", "running", "safe",
    "same", "save", "secondary", "select", "send", "sent", "set", "setup", "should", "shut", "shutdown", "skip",
    "slow", "some", "stale", "start", "startup", "still", "stop", "success", "successful", "successfully", "sure",
    "suspend", "sync", "take", "temporary", "than", "that", "the", "then", "there", "this", "timeout", "to", "too",
    "took", "trace", "true", "try", "two", "unable", "unavailable", "under", "unexpected", "unhealthy", "unknown",
    "unlock", "unreachable", "unset", "unusable", "up", "update", "upgrade", "usable", "use", "valid", "verify",
    "wait", "wake", "warm", "warn", "warning", "was", "wasn't", "when", "while", "will", "with", "within", "without",
    "won't", "write", "wrong", "yes", "yet",
];

/// Words after which a name of an account, a machine or the like stands.
#[rustfmt::skip]
const ANNOUNCES_NAME: &[&str] = &[
    "account", "bucket", "called", "cmd", "database", "db", "host", "hostname", "login", "named", "role", "server",
    "topic", "user", "username",
];

/// Keys that take a name as value and nothing else. `role=`, `server=`, `login=` are not among them: their values may be
/// states (`primary`, `down`, `failed`); nor is `user=`, where `root` and `guest` may be two matters, and many become one anyway.
pub const NAME_KEYS: &[&str] = &["bucket", "cmd", "command", "database", "hostname", "topic"];

/// Words before which a name may end: "for user *x* from …".
#[rustfmt::skip]
const AFTER_NAME: &[&str] =
    &[
    "at", "by", "connected", "does", "for", "from", "has", "in", "is", "not", "on", "to", "via", "was", "with",
];

/// Units that follow a number and are part of it.
#[rustfmt::skip]
const UNITS: &[&str] = &[
    "%", "B", "GB", "GHz", "GiB", "Hz", "KB", "KiB", "MB", "MHz", "MiB", "PB", "TB", "TiB", "h", "kB", "kHz", "kb",
    "m", "min", "mins", "ms", "msec", "msecs", "ns", "s", "sec", "secs", "us", "usec",
];

fn listed(list: &[&str], word: &str) -> bool {
    list.binary_search(&word).is_ok()
}

/// The word without its punctuation, in lower case; `None` when it is no UTF-8 or too long to be a word of a language.
fn plain(word: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(word).ok()?;
    let text = text.trim_matches(|c: char| !c.is_alphanumeric());
    (text.len() <= 40).then(|| text.to_lowercase())
}

/// Whether the word must stay as it is. Besides the listed ones: participles and gerunds ("started", "waiting"), and
/// the classes of errors ("IOException").
pub fn has_meaning(word: &[u8]) -> bool {
    let Some(lower) = plain(word) else { return false };
    if listed(MEANING, &lower) || listed(MEANING_GERMAN, &lower) {
        return true;
    }
    if !lower.is_ascii() && lower.chars().count() == 1 && MEANING_IDEOGRAPHS.contains(&*lower) {
        return true;
    }
    if let Some((first, last)) = lower.rsplit_once(' ') {
        // A name of several words (`Running Shoes`, `New York`) is none; an outcome written in capitals is (`Connection Refused`).
        let negated = first.split(' ').any(|word| matches!(word, "not" | "no" | "never"));
        return negated || is_outcome(last);
    }
    // The last part of a dotted or underscored name decides: `payment.failed`, `TASK_ABORT`; but `created_at` is a name.
    let last = lower.rsplit(['.', '_', '-', ':', '/']).next().unwrap_or(&lower);
    is_outcome(last)
        || last.len() == lower.len() && last.len() >= 5 && last.ends_with("ing")
        || last.len() != lower.len()
            && last.len() >= 4
            && listed(MEANING, last)
            && word.iter().all(|byte| !byte.is_ascii_lowercase())
}

/// A participle, an error or an exception.
fn is_outcome(word: &str) -> bool {
    word.len() >= 5 && (word.ends_with("ed") || word.ends_with("error") || word.ends_with("exception"))
}

/// Words that turn a sentence into its opposite, or say that something went wrong; sorted.
const OUTCOMES: &[&str] = &[
    "abort",
    "bad",
    "broken",
    "cannot",
    "conflict",
    "corrupt",
    "crash",
    "dead",
    "deny",
    "down",
    "fail",
    "failure",
    "false",
    "fatal",
    "gone",
    "invalid",
    "kill",
    "lost",
    "miss",
    "never",
    "nil",
    "no",
    "none",
    "not",
    "null",
    "off",
    "ok",
    "on",
    "panic",
    "refuse",
    "reject",
    "true",
    "unable",
    "unavailable",
    "unreachable",
    "up",
];

/// `not` and the like.
pub fn negates(word: &[u8]) -> bool {
    plain(word).is_some_and(|lower| matches!(&*lower, "no" | "not" | "off" | "on" | "up" | "ok" | "nil" | "bad"))
}

/// Whether a word says how something ended, and so is never a value.
pub fn says_outcome(word: &[u8]) -> bool {
    let Some(lower) = plain(word) else { return false };
    let capital = std::str::from_utf8(word).is_ok_and(|text| text.chars().next().is_some_and(char::is_uppercase));
    if lower.contains(' ') {
        return has_meaning(word);
    }
    listed(OUTCOMES, &lower)
        || listed(MEANING_GERMAN, &lower)
        || is_outcome(&lower) && !capital
        || lower.len() >= 5 && lower.ends_with("ed")
        || !lower.is_ascii() && has_meaning(word)
}

/// Characters that say in Chinese how something went: success, failure, not, done, lost, refused, begun and ended.
const MEANING_IDEOGRAPHS: &str = "成功失败错误完毕未无法不已拒绝断丢始束启停止取消创删更新增改";

/// German words for how something went, sorted.
#[rustfmt::skip]
const MEANING_GERMAN: &[&str] = &[
    "abgebrochen", "abgelaufen", "abgelehnt", "abgemeldet", "abgeschlossen", "angelegt", "angemeldet", "beendet", "bestanden",
    "entfernt", "erfolgreich", "fehler", "fehlgeschlagen", "fehlt", "gefunden", "gelöscht", "geschlossen", "gesperrt", "gestartet",
    "gestoppt", "geöffnet", "kein", "keine", "nicht", "ohne", "ungültig", "verbunden", "verloren", "verweigert",
];

/// Whether a name follows this word.
pub fn announces_name(word: &[u8]) -> bool {
    plain(word).is_some_and(|lower| listed(ANNOUNCES_NAME, &lower))
}

/// Whether a name may have ended before this word.
pub fn may_follow_name(word: &[u8]) -> bool {
    plain(word).is_some_and(|lower| listed(AFTER_NAME, &lower))
}

/// Whether the word is the unit of the number before it.
pub fn is_unit(word: &[u8]) -> bool {
    let trimmed = word.strip_suffix(b".").unwrap_or(word);
    std::str::from_utf8(trimmed).is_ok_and(|text| listed(UNITS, text))
}

/// A month or a weekday, as dates have them.
pub fn is_month_or_day(word: &[u8]) -> bool {
    const NAMES: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDecMonTueWedThuFriSatSun";
    word.len() == 3 && NAMES.chunks(3).any(|name| name == word)
}

/// Written as names are: each part begins with a capital (`Oslo`, `Anna Berg`), in capitals throughout (`EUR`), or parts joined by
/// hyphens (`eu-west`).
pub fn is_proper_name(word: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(word) else { return false };
    let text = text.trim_matches(|c: char| !c.is_alphanumeric());
    let mut letters = text.chars();
    letters.next().is_some_and(char::is_uppercase) || text.contains('-')
}

/// May be one of several words that are one name: a capital, then letters, with no colon or other sign at its end but the last's.
pub fn may_be_part_of_name(word: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(word) else { return false };
    text.chars().next().is_some_and(char::is_uppercase)
        && text.chars().all(|c| c.is_alphabetic() || matches!(c, '-' | '.' | ':' | '\''))
}

/// A method of HTTP, in capitals.
pub fn is_method(word: &[u8]) -> bool {
    matches!(word, b"GET" | b"HEAD" | b"POST" | b"PUT" | b"PATCH" | b"DELETE" | b"OPTIONS")
}

/// `static/logo`, but neither `and/or` nor `N/A`.
pub fn is_relative_path(word: &[u8]) -> bool {
    let slash = memchr::memchr(b'/', word);
    slash
        .is_some_and(|slash| slash >= 3 && word.len() > slash + 3 && word.iter().all(|byte| !byte.is_ascii_uppercase()))
}

/// A character of a writing without spaces between words.
pub fn is_ideograph(word: &[u8]) -> bool {
    word.len() == 3 && matches!(word[0], 0xe3..=0xe9)
}

/// A name put together from parts: inner dots (`a.b.C`, `file.log`), an at sign, or a digit between letters. Such a
/// token is a value wherever two different ones are seen in one place.
pub fn is_compound_name(word: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(word) else { return false };
    let text = text.trim_matches(|c: char| !c.is_alphanumeric());
    let inner = text.as_bytes();
    let dotted = inner.windows(3).any(|w| w[1] == b'.' && w[0].is_ascii_alphanumeric() && w[2].is_ascii_alphanumeric());
    dotted || inner.iter().any(|byte| byte.is_ascii_digit() || *byte == b'@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted() {
        for list in [MEANING, OUTCOMES, MEANING_GERMAN, ANNOUNCES_NAME, NAME_KEYS, AFTER_NAME, UNITS] {
            assert!(list.is_sorted(), "{:?}", list.windows(2).find(|pair| pair[0] > pair[1]));
        }
    }

    #[test]
    fn states_and_participles_have_meaning_and_names_have_not() {
        for word in ["Started", "Paused", "waiting", "FAILED", "not", "true,", "payment.failed", "java.io.IOException"]
        {
            assert!(has_meaning(word.as_bytes()), "{word}");
        }
        for word in ["cyrus", "eth", "com.example.Main", "tty", "bed"] {
            assert!(!has_meaning(word.as_bytes()), "{word}");
        }
    }
}
