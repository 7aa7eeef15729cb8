//! What makes a stream not worth judging, or says how it was read.

use crate::arm::Arm;
use serde::Serialize;
use std::collections::{HashSet, VecDeque};

/// Seconds since 1970 in milliseconds are beyond this, and no stream's seconds are: the year 5138.
const SECONDS_MAX: f64 = 1e11;

/// Records so far apart from each other, most of the time, are milliseconds taken for seconds.
const STEP_MAX: u64 = 500;

/// Steps that must be seen before that is said.
const STEPS_MIN: usize = 5;

/// Clocks of the two arms further apart than this, in seconds, are told.
const CLOCKS_MAX: f64 = 5.0;

/// Changes from one arm to the other that are looked at, at least and at most.
const CHANGES_MIN: usize = 20;
const CHANGES_MAX: usize = 2_000;

/// Records remembered to find those that are read twice.
const REMEMBERED_MAX: usize = 4_000_000;

/// A doubt about a stream.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "doubt", rename_all = "kebab-case")]
pub enum Doubt {
    /// The times look like milliseconds: nothing is judged.
    Milliseconds,
    /// The clocks of the two releases are apart by so many seconds, so their windows are not of the same time: nothing is judged.
    Clocks {
        /// The candidate's less the current release's.
        seconds: f64,
    },
    /// So many records came again and were left out: a source was read twice.
    ReadTwice {
        /// How many.
        records: u64,
    },
    /// There were more shapes of log lines than can be told apart: their ERROR lines were tested in total only.
    TooManyShapes,
}

impl Doubt {
    /// Whether no verdict can rest on such a stream.
    pub fn forbids_a_verdict(&self) -> bool {
        matches!(self, Doubt::Milliseconds | Doubt::Clocks { .. })
    }
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Doubt::Milliseconds => {
                f.write_str("the times look like milliseconds; `at` is in seconds. Nothing was judged")
            }
            Doubt::Clocks { seconds } => write!(
                f,
                "the candidate's clock is {seconds:+.0} s from the current release's, so they cannot be compared over the same time. \
                 Nothing was judged"
            ),
            Doubt::ReadTwice { records } => {
                write!(f, "{records} records came again and were left out: a source was read twice")
            }
            Doubt::TooManyShapes => {
                f.write_str("too many different log lines to tell apart: their ERROR lines were tested in total only")
            }
        }
    }
}

/// Looks at the records as they come.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen: HashSet<u64>,
    repeated: u64,
    latest: Vec<(Arm, String, f64)>,
    last: Option<(Arm, f64)>,
    apart: VecDeque<f64>,
    beyond: bool,
}

impl Watch {
    /// Whether a record is one that was taken already. Samples of counts and gauges name their second, instance and source, so an equal one is the
    /// same one; equal log lines may be two, and are one only where the stream has gone back in time.
    pub fn is_repeated(&mut self, line: &[u8], arm: Arm, instance: &str, at: f64, is_log: bool) -> bool {
        let place = self.latest.iter().position(|(known, name, _)| *known == arm && name == instance);
        let went_back = place.is_some_and(|place| at < self.latest[place].2);
        match place {
            Some(place) => self.latest[place].2 = self.latest[place].2.max(at),
            None if self.latest.len() < 512 => self.latest.push((arm, instance.to_owned(), at)),
            None => {}
        }
        let known = if self.seen.len() < REMEMBERED_MAX {
            !self.seen.insert(hash(line))
        } else {
            self.seen.contains(&hash(line))
        };
        let repeated = known && (!is_log || went_back);
        self.repeated += u64::from(repeated);
        repeated
    }

    /// Takes a record's time.
    pub fn handle_time(&mut self, arm: Arm, at: f64) {
        self.beyond |= at > SECONDS_MAX;
        if let Some((last_arm, last)) = self.last
            && last_arm != arm
            && self.apart.len() < CHANGES_MAX
        {
            let candidate_ahead = if arm == Arm::Candidate { at - last } else { last - at };
            self.apart.push_back(candidate_ahead);
        }
        self.last = Some((arm, at));
    }

    /// What is to be said, with the seconds in which there were records.
    pub fn doubts<'a>(&self, seconds: impl Iterator<Item = &'a u64>) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        if self.beyond || steps_of(seconds) {
            doubts.push(Doubt::Milliseconds);
        }
        doubts.extend(self.clocks());
        if self.repeated > 0 {
            doubts.push(Doubt::ReadTwice { records: self.repeated });
        }
        doubts
    }

    /// Records of both arms that stand beside each other, again and again, are of the same moment; where their times differ, and always by as
    /// much, the clocks do.
    fn clocks(&self) -> Option<Doubt> {
        if self.apart.len() < CHANGES_MIN {
            return None;
        }
        let mut apart: Vec<f64> = self.apart.iter().copied().collect();
        apart.sort_by(f64::total_cmp);
        let at = |part: f64| apart[((apart.len() - 1) as f64 * part) as usize];
        let steady = at(0.75) - at(0.25) <= 2.0;
        (steady && at(0.5).abs() > CLOCKS_MAX).then(|| Doubt::Clocks { seconds: at(0.5) })
    }
}

/// Whether the records are so far apart that they must be of milliseconds.
fn steps_of<'a>(seconds: impl Iterator<Item = &'a u64>) -> bool {
    let seconds: Vec<u64> = seconds.copied().collect();
    let mut steps: Vec<u64> = seconds.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_unstable();
    steps.len() >= STEPS_MIN && steps[steps.len() / 2] >= STEP_MAX
}

/// FNV-1a over 64 bits: equal records have equal hashes, and among four million two different ones hardly ever do.
pub(super) fn hash(line: &[u8]) -> u64 {
    line.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
