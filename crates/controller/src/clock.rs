//! The controller's own clock: [`Tick`]s that go on over restarts, from the kernel's boot-time clock.
//!
//! A tick is milliseconds since the journal began. Within one boot of the machine the boot-time clock carries it over restarts of the
//! controller exactly, so a deadline keeps running while nobody is there. After a reboot the ticks go on from the last one on record:
//! everything that was observed is gone anyway. The wall clock is only ever printed (I13).

use gapless_model::{Millis, Tick};
use serde::{Deserialize, Serialize};

/// Where the clock of an earlier term stood: kept in the journal's facts, written at the begin of a term.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockMark {
    /// The kernel's id of the boot in which the mark was made.
    pub boot_id: String,
    /// The boot-time clock then, in milliseconds.
    pub boot_ms: u64,
    /// The tick then.
    pub tick: u64,
}

/// A clock that reads ticks.
#[derive(Clone, Debug)]
pub struct Clock {
    mark: ClockMark,
}

impl Clock {
    /// The clock of a new term: goes on from `earlier`, and never stands before `last`, the newest tick on record.
    #[must_use]
    pub fn begin(earlier: Option<&ClockMark>, last: Tick) -> Clock {
        Self::begin_at(earlier, last, boot_id(), boot_ms())
    }

    fn begin_at(earlier: Option<&ClockMark>, last: Tick, boot_id: String, boot_ms: u64) -> Clock {
        let carried = match earlier {
            Some(mark) if mark.boot_id == boot_id => mark.tick.saturating_add(boot_ms.saturating_sub(mark.boot_ms)),
            Some(_) | None => 0,
        };
        Clock { mark: ClockMark { boot_id, boot_ms, tick: carried.max(last.0) } }
    }

    /// The mark to keep for the next term.
    #[must_use]
    pub fn mark(&self) -> &ClockMark {
        &self.mark
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Tick {
        Tick(self.mark.tick).after(Millis(boot_ms().saturating_sub(self.mark.boot_ms)))
    }

    /// How long from now until `deadline`; zero when it has passed.
    #[must_use]
    pub fn until(&self, deadline: Tick) -> std::time::Duration {
        deadline.since(self.now()).to_duration()
    }
}

fn boot_ms() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds * 1_000 + nanos / 1_000_000
}

/// The kernel's id of this boot; empty where it cannot be read, which makes two boots look the same only if both cannot.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use gapless_model::Tick;

    use super::{Clock, ClockMark};

    fn mark(boot: &str, boot_ms: u64, tick: u64) -> ClockMark {
        ClockMark { boot_id: boot.to_owned(), boot_ms, tick }
    }

    #[test]
    fn ticks_go_on_over_a_restart_within_one_boot() {
        let clock = Clock::begin_at(Some(&mark("a", 1_000, 50)), Tick(60), "a".to_owned(), 31_000);
        assert_eq!(clock.mark().tick, 30_050);
    }

    #[test]
    fn ticks_go_on_from_the_last_record_after_a_reboot() {
        let clock = Clock::begin_at(Some(&mark("a", 9_000_000, 50)), Tick(777), "b".to_owned(), 10);
        assert_eq!(clock.mark().tick, 777);
    }

    #[test]
    fn ticks_never_run_backwards() {
        let clock = Clock::begin_at(Some(&mark("a", 9_000, 50)), Tick(777), "a".to_owned(), 8_000);
        assert_eq!(clock.mark().tick, 777);
    }
}
