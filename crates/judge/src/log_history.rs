//! What each known log line did before the rollout: how often it came, and how burstily.

use crate::dispersion::{Dispersion, DispersionEstimate};
use crate::logs::SignatureId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Known signatures whose bursts are measured; of further ones the bursts of all ERROR lines are believed.
pub const MEASURED_MAX: usize = 256;

/// Log lines of which nothing is known come at least so burstily: a failing operation often writes several.
pub const LINE_DISPERSION: f64 = 4.0;

/// What stands for a second of an instance.
const EXPOSURE: u64 = 1_000_000;

/// Lines of one signature that one instance wrote in one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinesOfInstance {
    /// Which instance.
    pub instance: u32,
    /// Which signature.
    pub signature: SignatureId,
    /// Whether it is ERROR or worse.
    pub is_error: bool,
    /// How many.
    pub lines: u64,
}

/// One known signature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct KnownLine {
    lines: u64,
    bursts: DispersionEstimate,
    /// Windows without a line that have not been told to the estimate yet.
    quiet: u64,
}

/// The lines of the current release before the rollout. Kept with a release, it serves the next one too.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LogHistory {
    known: BTreeMap<SignatureId, KnownLine>,
    errors: DispersionEstimate,
    any_errors: bool,
    seconds: u64,
}

impl LogHistory {
    /// Takes one second: the instances that ran, and of each the lines of a signature (and whether it is ERROR or worse).
    pub fn handle_second(&mut self, instances: &[u32], lines: &[LinesOfInstance]) {
        if lines.iter().any(|line| line.is_error) {
            self.any_errors = true;
        }
        self.errors.handle_window(&row(instances, lines, |line| line.is_error));
        let exposures = vec![EXPOSURE; instances.len()];
        for line in lines {
            if !self.known.contains_key(&line.signature) && self.known.len() < MEASURED_MAX {
                let known = KnownLine { lines: 0, bursts: DispersionEstimate::default(), quiet: self.seconds };
                self.known.insert(line.signature, known);
            }
        }
        for (signature, known) in &mut self.known {
            if lines.iter().any(|line| line.signature == *signature) {
                known.bursts.handle_quiet_windows(&exposures, std::mem::take(&mut known.quiet));
                let row = row(instances, lines, |line| line.signature == *signature);
                known.lines = row.iter().fold(known.lines, |sum, cell| sum.saturating_add(cell.1));
                known.bursts.handle_window(&row);
            } else {
                known.quiet += 1;
            }
        }
        self.seconds += 1;
    }

    /// How burstily the lines of a signature are believed to come.
    pub fn dispersion(&self, signature: SignatureId) -> Dispersion {
        match self.known.get(&signature) {
            Some(known) => Dispersion::new(known.bursts.dispersion().index().max(1.0)),
            None => Dispersion::new(LINE_DISPERSION),
        }
    }

    /// Whether the lines of a signature come by the clock: all instances write as many in the same time, more evenly than chance would have it.
    pub fn comes_by_the_clock(&self, signature: SignatureId) -> bool {
        self.known.get(&signature).is_some_and(|known| known.bursts.is_even())
    }

    /// The same of all ERROR lines together.
    pub fn dispersion_of_errors(&self) -> Dispersion {
        let measured = if self.any_errors { self.errors.dispersion().index() } else { 1.0 };
        Dispersion::new(measured.max(LINE_DISPERSION))
    }

    /// Lines of a signature before the rollout, per second; 0 of one that is not known.
    pub fn lines_per_second(&self, signature: SignatureId) -> f64 {
        self.known.get(&signature).map_or(0.0, |known| known.lines as f64 / self.seconds.max(1) as f64)
    }

    /// Known signatures, the most frequent first.
    pub fn known(&self) -> Vec<SignatureId> {
        let mut known: Vec<(u64, SignatureId)> = self.known.iter().map(|(id, known)| (known.lines, *id)).collect();
        known.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        known.into_iter().map(|(_, id)| id).collect()
    }
}

/// The lines of each instance, as events. A line is no trial: so many exposures stand for a measure along which lines are rare.
fn row(instances: &[u32], lines: &[LinesOfInstance], of: impl Fn(&LinesOfInstance) -> bool) -> Vec<(u64, u64)> {
    let written = |instance: u32| {
        let of_instance = lines.iter().filter(|line| line.instance == instance && of(line));
        of_instance.fold(0, |sum: u64, line| sum.saturating_add(line.lines)).min(EXPOSURE)
    };
    instances.iter().map(|instance| (EXPOSURE, written(*instance))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(of: impl Fn(u64, u32) -> u64) -> LogHistory {
        let mut history = LogHistory::default();
        for second in 0..7_200 {
            let written = (0..4).map(|instance| (instance, of(second, instance))).filter(|(_, lines)| *lines > 0);
            let lines =
                |(instance, lines)| LinesOfInstance { instance, signature: SignatureId(1), is_error: true, lines };
            history.handle_second(&[0, 1, 2, 3], &written.map(lines).collect::<Vec<_>>());
        }
        history
    }

    #[test]
    fn a_line_by_the_clock_is_told_from_one_that_comes_in_bursts() {
        let clock = history(|second, instance| u64::from((second + 5 * u64::from(instance)).is_multiple_of(60)));
        assert!(clock.comes_by_the_clock(SignatureId(1)));
        let bursts =
            history(|second, instance| 30 * u64::from(second % 300 == 0 && second / 300 % 4 == u64::from(instance)));
        assert!(!bursts.comes_by_the_clock(SignatureId(1)));
        assert!(bursts.dispersion(SignatureId(1)).index() > 10.0);
        assert_eq!(bursts.dispersion(SignatureId(2)).index(), LINE_DISPERSION, "never seen");
    }
}
