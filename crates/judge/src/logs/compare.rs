//! The difference of two sides: what is new, gone, more often, less often, renamed.

use super::class::{Class, RateRule, Shift, Sighting, classify, rate_shift};
use super::rename::{FOLDED_LINES_MAX, Lone, differ_in_values, renamed};
use super::{Caveat, Counted, Severity, Signature, Tally};
use serde::Serialize;
use std::collections::HashMap;

/// What became of a line from the old side to the new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Only on the new side.
    New,
    /// Only on the old side.
    Gone,
    /// On both, more often on the new side than chance explains.
    MoreOften,
    /// On both, less often.
    LessOften,
    /// Reworded: another line on the old side is this one.
    Renamed,
    /// On both, about as often.
    Same,
}

/// How to compare.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Exposure of the old and the new side (requests, hours, …). Without it the number of records of each.
    pub exposure: Option<[f64; 2]>,
    /// When a rate has changed.
    pub rule: RateRule,
    /// Findings that are known.
    pub caveats: Vec<Caveat>,
    /// Now, in seconds since 1970-01-01 UTC, for the expiry of caveats.
    pub now_unix_s: i64,
}

/// One line of the difference.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The signature with its counts and examples. Counts of a renamed line include those under its old name.
    pub counted: Counted,
    /// What became of it.
    pub change: Change,
    /// The judge's class, the old side being the current release.
    pub class: Class,
    /// Rate on the new side over rate on the old; `None` where one of them is 0.
    pub ratio: Option<f64>,
    /// Lines the new side would have had at the old side's rate.
    pub expected: f64,
    /// For a renamed line: the template it had.
    pub renamed_from: Option<String>,
    /// For a renamed line that says how bad it is in another way than before: what it said.
    pub severity_from: Option<Severity>,
    /// Why it is known, when a caveat covers it.
    pub known: Option<String>,
}

impl Difference {
    /// New, ERROR or above, and no caveat covers it; or a line that is an ERROR now and was less before.
    pub fn is_new_error(&self) -> bool {
        let raised = self.severity_from.is_some_and(|before| before < Severity::Error);
        (self.change == Change::New || raised) && self.known.is_none() && self.counted.signature.is_error()
    }
}

/// The difference of two sides.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// All signatures: by change, then the worst severity, then the most lines first.
    pub rows: Vec<Difference>,
    /// Records of each side.
    pub records: [u64; 2],
    /// The exposure the rates are over.
    pub exposure: [f64; 2],
    /// Whether a bound was reached, so that rare lines may have been put together.
    pub condensed: bool,
}

impl Comparison {
    /// Whether something new at ERROR or above was found that no caveat covers.
    pub fn has_new_error(&self) -> bool {
        self.rows.iter().any(Difference::is_new_error)
    }
}

/// Compares the two sides of a tally.
pub fn compare(tally: &Tally, options: &Options) -> Comparison {
    let records = tally.records();
    let exposure = options.exposure.unwrap_or([records[0] as f64, records[1] as f64]);
    let mut counted = fold_values(tally.signatures());
    let renames = find_renames(&counted, exposure);
    for (old, new, _) in &renames {
        let old = counted[*old].clone();
        let new = &mut counted[*new];
        new.counts[0] += old.counts[0];
        new.examples[0] = new.examples[0].take().or(old.examples[0].clone());
    }
    let mut rows: Vec<Difference> = counted
        .into_iter()
        .enumerate()
        .filter(|(index, _)| renames.iter().all(|(old, _, _)| old != index))
        .map(|(index, counted)| {
            let from = renames.iter().find(|(_, new, _)| *new == index).map(|(_, _, old)| old.clone());
            difference(counted, from, exposure, options)
        })
        .collect();
    rows.sort_by_key(|row| {
        let most = row.counted.counts.iter().max().copied().unwrap_or(0);
        let severity = row.counted.signature.severity.map_or(i8::from(row.counted.signature.is_error()) * 4, rank);
        (row.change, std::cmp::Reverse(severity), std::cmp::Reverse(most), row.counted.id)
    });
    Comparison { rows, records, exposure, condensed: tally.condensed() > 0 }
}

fn rank(severity: Severity) -> i8 {
    severity as i8
}

/// How a signature begins: its severity, its logger, its first word.
type Beginning<'a> = (Option<Severity>, Option<&'a str>, &'a str);

/// Pairs that are looked at for values; beyond, nothing is folded.
const FOLD_PAIRS_MAX: usize = 400_000;

/// A signature that one side alone has, in a line or three, and that differs from another one in values alone is a case of that: names that
/// come up once are no findings.
fn fold_values(counted: Vec<Counted>) -> Vec<Counted> {
    let is_rare = |row: &Counted| {
        let [old, new] = row.counts;
        old.min(new) == 0 && old.max(new) <= FOLDED_LINES_MAX
    };
    let rare: Vec<usize> = (0..counted.len()).filter(|&row| is_rare(&counted[row])).collect();
    // Only lines that begin alike are held against each other.
    let mut alike: HashMap<Beginning<'_>, Vec<usize>> = HashMap::new();
    for (row, counted) in counted.iter().enumerate() {
        alike.entry(beginning(&counted.signature)).or_default().push(row);
    }
    let beside = |row: usize| alike.get(&beginning(&counted[row].signature)).map_or(&[][..], Vec::as_slice);
    if rare.iter().map(|&row| beside(row).len()).sum::<usize>() > FOLD_PAIRS_MAX {
        return counted;
    }
    let mut into: Vec<usize> = (0..counted.len()).collect();
    for &row in &rare {
        // The most frequent of those it may be a case of; among equals the one with the least id, so that the order is of no matter.
        let alike = beside(row)
            .iter()
            .copied()
            .filter(|&other| other != row && differ_in_values(&counted[row].signature, &counted[other].signature));
        let weight = |&other: &usize| (counted[other].counts.iter().sum::<u64>(), std::cmp::Reverse(counted[other].id));
        if let Some(best) = alike.max_by_key(weight).filter(|best| weight(best) > weight(&row)) {
            into[row] = best;
        }
    }
    let root = |mut row: usize| {
        while into[row] != row {
            row = into[row];
        }
        row
    };
    let mut folded: Vec<Option<Counted>> = counted.iter().cloned().map(Some).collect();
    for row in rare {
        let target = root(row);
        if target != row
            && let Some(case) = folded[row].take()
            && let Some(kept) = folded[target].as_mut()
        {
            for side in 0..2 {
                kept.counts[side] += case.counts[side];
                kept.examples[side] = kept.examples[side].take().or_else(|| case.examples[side].clone());
            }
        }
    }
    folded.into_iter().flatten().collect()
}

/// Severity, logger and first word.
fn beginning(signature: &Signature) -> Beginning<'_> {
    let first = signature.template.split_whitespace().next().unwrap_or_default();
    (signature.severity, signature.logger.as_deref(), first)
}

/// Triples (gone, new, old signature).
fn find_renames(counted: &[Counted], exposure: [f64; 2]) -> Vec<(usize, usize, Signature)> {
    let only = |side: usize| -> Vec<usize> {
        (0..counted.len()).filter(|&row| counted[row].counts[side] > 0 && counted[row].counts[1 - side] == 0).collect()
    };
    let lone = |rows: &[usize], side: usize| -> Vec<Lone<'_>> {
        rows.iter().map(|&row| Lone { signature: &counted[row].signature, count: counted[row].counts[side] }).collect()
    };
    let (gone, new) = (only(0), only(1));
    renamed(&lone(&gone, 0), &lone(&new, 1), exposure)
        .into_iter()
        .map(|(old_at, new_at)| (gone[old_at], new[new_at], counted[gone[old_at]].signature.clone()))
        .collect()
}

fn difference(counted: Counted, before: Option<Signature>, exposure: [f64; 2], options: &Options) -> Difference {
    let [old, new] = counted.counts;
    let shift = rate_shift(old, exposure[0], new, exposure[1], options.rule);
    let change = match (old, new, &before) {
        (_, _, Some(_)) => Change::Renamed,
        (0, _, None) => Change::New,
        (_, 0, None) => Change::Gone,
        _ => match shift {
            Shift::Same => Change::Same,
            Shift::Up => Change::MoreOften,
            Shift::Down => Change::LessOften,
        },
    };
    let class = classify(
        &Sighting {
            known: old > 0,
            current: old,
            candidate: new,
            exposure_current: exposure[0],
            exposure_candidate: exposure[1],
        },
        options.rule,
    );
    let usable = exposure[0] > 0.0 && exposure[1] > 0.0;
    let expected = if usable { old as f64 * exposure[1] / exposure[0] } else { 0.0 };
    let known = options
        .caveats
        .iter()
        .find(|caveat| caveat.covers(&counted.signature, options.now_unix_s))
        .map(|caveat| caveat.reason.clone());
    let ratio = (usable && old > 0 && new > 0).then(|| new as f64 / expected);
    let severity_from =
        before.as_ref().filter(|was| was.severity != counted.signature.severity).and_then(|was| was.severity);
    let renamed_from = before.map(|was| was.template).filter(|template| *template != counted.signature.template);
    Difference { counted, change, class, ratio, expected, renamed_from, severity_from, known }
}

#[cfg(test)]
mod tests {
    use super::super::{CaveatScope, Reader, Side};
    use super::*;

    fn compared(old: &str, new: &str, options: &Options) -> Comparison {
        let mut tally = Tally::new();
        for (text, side) in [(old, Side::Current), (new, Side::Candidate)] {
            let mut reader = Reader::default();
            reader.push(text.as_bytes(), |record| {
                tally.add(side, record);
            });
            reader.finish(|record| {
                tally.add(side, record);
            });
        }
        compare(&tally, options)
    }

    fn lines(count: usize, level: &str, message: &str) -> String {
        (0..count).map(|n| format!("2024-01-02 03:04:05,{:03} {level} [main] a.B: {message} {n}\n", n % 1000)).collect()
    }

    fn both() -> (String, String) {
        let old = lines(400, "INFO", "served request")
            + &lines(100, "INFO", "stored order")
            + &lines(50, "WARN", "slow query took")
            + &lines(20, "ERROR", "could not reach mailer try")
            + &lines(9, "INFO", "cache warmed");
        let new = lines(400, "INFO", "served request")
            + &lines(10, "INFO", "stored order")
            + &lines(150, "WARN", "slow query took")
            + &lines(20, "ERROR", "failed to reach mailer try")
            + &lines(3, "ERROR", "payment refused with code");
        (old, new)
    }

    fn change_of(comparison: &Comparison, part: &str) -> Change {
        comparison.rows.iter().find(|row| row.counted.signature.template.contains(part)).unwrap().change
    }

    #[test]
    fn every_change_is_named() {
        let (old, new) = both();
        let comparison = compared(&old, &new, &Options::default());
        assert_eq!(change_of(&comparison, "served"), Change::Same);
        assert_eq!(change_of(&comparison, "stored"), Change::LessOften);
        assert_eq!(change_of(&comparison, "slow"), Change::MoreOften);
        assert_eq!(change_of(&comparison, "mailer"), Change::Renamed);
        assert_eq!(change_of(&comparison, "payment"), Change::New);
        assert_eq!(change_of(&comparison, "warmed"), Change::Gone);
        assert!(comparison.has_new_error());
        assert_eq!(comparison.rows[0].change, Change::New);
    }

    #[test]
    fn a_caveat_covers_a_new_error_and_exposure_replaces_the_line_count() {
        let (old, new) = both();
        let caveat = Caveat {
            signature: "payment refused with code <*>".into(),
            scope: CaveatScope::default(),
            reason: "new wording of the bank".into(),
            expires_unix_s: None,
        };
        let options = Options { caveats: vec![caveat], exposure: Some([1_000.0, 2_000.0]), ..Options::default() };
        let comparison = compared(&old, &new, &options);
        assert!(!comparison.has_new_error());
        assert_eq!(change_of(&comparison, "served"), Change::LessOften);
        assert_eq!(change_of(&comparison, "slow"), Change::Same);
    }

    #[test]
    fn a_changed_level_is_one_row_and_a_line_that_became_an_error_is_told_as_one() {
        let rest = lines(400, "INFO", "served request");
        let comparison = compared(
            &(rest.clone() + &lines(20, "WARN", "mailer slow try")),
            &(rest + &lines(22, "ERROR", "mailer slow try")),
            &Options::default(),
        );
        let changed: Vec<&Difference> = comparison.rows.iter().filter(|row| row.change != Change::Same).collect();
        assert_eq!(changed.len(), 1, "{changed:?}");
        assert_eq!((changed[0].change, changed[0].severity_from), (Change::Renamed, Some(Severity::Warn)));
        assert_eq!(changed[0].counted.counts, [20, 22]);
        assert!(comparison.has_new_error());
    }

    #[test]
    fn names_that_come_up_once_are_no_findings_and_an_error_with_another_verb_is_one() {
        let line = |level: &str, text: &str| format!("2024-01-02 03:04:05,678 {level} [main] a.B: {text}\n");
        let joined = |names: &[&str]| {
            names.iter().map(|name| line("INFO", &format!("{name} joined room blue"))).collect::<String>()
        };
        let old = joined(&["anna", "ben", "carla"]) + &line("ERROR", "could not reserve stock for order 7");
        let new = joined(&["ben", "dora", "emil"]) + &line("ERROR", "could not release stock for order 7");
        let comparison = compared(&old, &new, &Options::default());
        let of = |part: &str| -> Vec<Change> {
            comparison
                .rows
                .iter()
                .filter(|row| row.counted.signature.template.contains(part))
                .map(|row| row.change)
                .collect()
        };
        assert!(!of("joined").contains(&Change::New) && !of("joined").contains(&Change::Gone), "{:?}", comparison.rows);
        assert_eq!(of("could not release"), [Change::New]);
    }

    #[test]
    fn an_empty_side_is_compared_without_rates() {
        let comparison = compared("", &lines(3, "INFO", "ready"), &Options::default());
        assert_eq!(comparison.rows.len(), 1);
        assert_eq!(comparison.rows[0].change, Change::New);
        assert!(compared("", "", &Options::default()).rows.is_empty());
    }
}
