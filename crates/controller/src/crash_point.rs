//! A way to die at a chosen record, for the tests that kill a controller at each of them.
//!
//! `GAPLESS_CRASH_AT=12:before` ends the process by SIGKILL just before its twelfth commit to the journal, `12:after` just after it.

/// The environment variable that sets it.
pub const CRASH_AT_ENV: &str = "GAPLESS_CRASH_AT";

/// Where to die, and how far it is until then.
#[derive(Debug, Default)]
pub struct CrashPoint {
    at: Option<(u64, Side)>,
    commits: u64,
}

/// On which side of a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Before it is written.
    Before,
    /// After it is durable, before anything is done about it.
    After,
}

impl CrashPoint {
    /// As the environment says; nowhere when it says nothing, or nothing that can be read.
    #[must_use]
    pub fn from_environment() -> CrashPoint {
        CrashPoint { at: std::env::var(CRASH_AT_ENV).ok().and_then(|text| parse(&text)), commits: 0 }
    }

    /// The next commit begins.
    pub fn commit_begins(&mut self) {
        self.commits += 1;
        self.reach(Side::Before);
    }

    /// The commit is durable.
    pub fn commit_ended(&self) {
        self.reach(Side::After);
    }

    fn reach(&self, side: Side) {
        if self.at == Some((self.commits, side)) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
}

fn parse(text: &str) -> Option<(u64, Side)> {
    let (number, side) = text.split_once(':')?;
    let side = match side {
        "before" => Side::Before,
        "after" => Side::After,
        _ => return None,
    };
    Some((number.parse().ok()?, side))
}

#[cfg(test)]
mod tests {
    use super::{Side, parse};

    #[test]
    fn a_crash_point_is_a_number_and_a_side() {
        assert_eq!(parse("12:before"), Some((12, Side::Before)));
        assert_eq!(parse("1:after"), Some((1, Side::After)));
        assert_eq!(parse("after"), None);
        assert_eq!(parse("x:after"), None);
    }
}
