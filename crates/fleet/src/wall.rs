//! The wall clock as people read it: nothing is decided by it (I13).

use jiff::Timestamp;

/// Milliseconds since 1970 as RFC 3339 with milliseconds.
#[must_use]
pub fn rfc3339(ms: u64) -> String {
    let at = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default();
    format!("{at:.3}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_written_with_milliseconds_even_where_they_are_round() {
        assert_eq!(super::rfc3339(1_000), "1970-01-01T00:00:01.000Z");
        assert_eq!(super::rfc3339(u64::MAX), "1970-01-01T00:00:00.000Z");
    }
}
