//! For how long a client was waited for while the body of its request came.

/// The time in which nobody but the client was waited for. A look from time to time could not tell: where an instance takes a little now and then, the
/// client is found awaited at most looks, and was so for a moment before each.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BodyWait {
    before_ms: u64,
    since_ms: Option<u64>,
}

impl BodyWait {
    /// Everything that came was passed on, and more is to come.
    pub(crate) fn begin(&mut self, now_ms: u64) {
        self.since_ms.get_or_insert(now_ms);
    }

    /// More came.
    pub(crate) fn end(&mut self, now_ms: u64) {
        self.before_ms = self.total_ms(now_ms);
        self.since_ms = None;
    }

    /// All of it so far.
    pub(crate) fn total_ms(&self, now_ms: u64) -> u64 {
        self.before_ms + self.since_ms.map_or(0, |since_ms| now_ms.saturating_sub(since_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_time_between_the_begin_of_a_wait_and_what_came_counts() {
        let mut wait = BodyWait::default();
        assert_eq!(wait.total_ms(500), 0, "nobody is waited for");
        wait.begin(1_000);
        wait.begin(1_050);
        assert_eq!(wait.total_ms(1_100), 100, "since the first");
        wait.end(1_120);
        assert_eq!(wait.total_ms(9_000), 120, "the instance took its time");
        wait.end(9_000);
        wait.begin(9_000);
        wait.end(9_001);
        assert_eq!(wait.total_ms(9_999), 121);
    }
}
