//! A way to break the first worker thread, for the tests of what follows from that.
//!
//! `GAPLESS_CRASH_AT=worker:panic:20` makes it panic, `worker:end:20` end without a word, at its twentieth connection.

/// What breaks the thread, and how far it is until then.
#[derive(Debug, Default)]
pub(crate) struct CrashPoint {
    at: Option<(u64, Break)>,
    connections: u64,
}

/// How the thread breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Break {
    /// It panics.
    Panic,
    /// It returns.
    End,
}

impl CrashPoint {
    /// As the environment says, for the first thread alone; nowhere when it says nothing, or nothing that can be read.
    pub(crate) fn of_thread(index: usize) -> CrashPoint {
        let text = std::env::var("GAPLESS_CRASH_AT").ok().filter(|_| index == 0);
        CrashPoint { at: text.and_then(|text| parse(&text)), connections: 0 }
    }

    /// A connection was accepted.
    ///
    /// # Panics
    /// When it is told to.
    #[inline]
    pub(crate) fn accepted(&mut self) {
        if self.at.is_some() {
            self.connections += 1;
            assert!(self.at != Some((self.connections, Break::Panic)), "told to");
        }
    }

    /// Whether the thread is to end.
    #[inline]
    pub(crate) fn is_broken(&self) -> bool {
        self.at.is_some_and(|(at, how)| how == Break::End && self.connections >= at)
    }
}

fn parse(text: &str) -> Option<(u64, Break)> {
    let (how, number) = text.strip_prefix("worker:")?.split_once(':')?;
    let how = match how {
        "panic" => Break::Panic,
        "end" => Break::End,
        _ => return None,
    };
    Some((number.parse().ok()?, how))
}

#[cfg(test)]
mod tests {
    use super::{Break, parse};

    #[test]
    fn a_worker_breaks_where_and_as_it_is_told() {
        assert_eq!(parse("worker:panic:20"), Some((20, Break::Panic)));
        assert_eq!(parse("worker:end:1"), Some((1, Break::End)));
        assert_eq!(parse("12:before"), None, "that is a controller's");
    }
}
