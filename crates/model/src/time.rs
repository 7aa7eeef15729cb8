//! Time as an argument: instants of the controller's own clock and lengths of time, both in milliseconds.

use std::fmt;

/// An instant on the controller's own monotone clock, in milliseconds since the service's journal began.
///
/// The clock goes on over restarts of the controller (the journal says how far it had come), never runs backwards and has no
/// relation to the calendar: no safety property rests on the wall clock (I13).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Tick(pub u64);

/// A length of time in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Millis(pub u64);

impl Tick {
    /// The first instant.
    pub const ZERO: Tick = Tick(0);

    /// The instant `length` later; the last instant there is when that would overflow.
    #[must_use]
    pub fn after(self, length: Millis) -> Tick {
        Tick(self.0.saturating_add(length.0))
    }

    /// How long ago `earlier` was; zero when it is later than `self`.
    #[must_use]
    pub fn since(self, earlier: Tick) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl Millis {
    /// No time at all.
    pub const ZERO: Millis = Millis(0);

    /// A whole number of seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Millis {
        Millis(seconds.saturating_mul(1_000))
    }

    /// Both lengths together; the longest there is when that would overflow.
    #[must_use]
    pub const fn plus(self, other: Millis) -> Millis {
        Millis(self.0.saturating_add(other.0))
    }

    /// This length as the standard library's duration.
    #[must_use]
    pub const fn to_duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}

impl From<std::time::Duration> for Millis {
    fn from(duration: std::time::Duration) -> Millis {
        Millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

/// As a person writes it: `850ms`, `1.5s`, `30s`, `2m30s`, `1h`.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0;
        if ms < 1_000 {
            return write!(f, "{ms}ms");
        }
        if ms < 60_000 {
            let (whole, rest) = (ms / 1_000, ms % 1_000);
            return match rest {
                0 => write!(f, "{whole}s"),
                _ if rest % 100 == 0 => write!(f, "{whole}.{}s", rest / 100),
                _ => write!(f, "{whole}.{rest:03}s"),
            };
        }
        let seconds = ms / 1_000;
        let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        if seconds > 0 {
            write!(f, "{seconds}s")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Millis, Tick};

    #[test]
    fn a_length_of_time_prints_as_a_person_writes_it() {
        let shown: Vec<String> =
            [0, 850, 1_500, 1_050, 30_000, 150_000, 3_600_000, 3_661_000].map(|ms| Millis(ms).to_string()).into();
        assert_eq!(shown, ["0ms", "850ms", "1.5s", "1.050s", "30s", "2m30s", "1h", "1h1m1s"]);
    }

    #[test]
    fn instants_neither_overflow_nor_go_below_zero() {
        assert_eq!(Tick(u64::MAX).after(Millis(1)), Tick(u64::MAX));
        assert_eq!(Tick(1).since(Tick(5)), Millis::ZERO);
    }
}
