//! The error guard against a candidate that fails its clients: what the proxies counted of both releases, and whether it is far worse.
//!
//! It is not a judgement of quality, and it stands under every rollout: it tells a release that fails a large part of its clients, or all of them,
//! from one that does not, and leaves all finer questions to others. A few failures are no evidence, nor is what the release before shows
//! alike; where there is nothing to compare with, only a candidate that fails everybody is told.

use std::fmt;

use gapless_model::Millis;

/// Failures below which nothing is said: nine in a row may be one client that tries again.
const FAILED_MIN: u64 = 10;
/// Requests from which on the release before can be compared with.
const REFERENCE_MIN: u64 = 20;
/// Requests that a candidate has to fail, all of them, for that to be told at once, or with nothing to compare it with.
const TOTAL_MIN: u64 = 20;
/// How long failures have to go on, from the first to the last: a dependency that was away for a second is no release's fault.
const LASTING_MIN: Millis = Millis::from_secs(2);
/// The logarithm of the likelihood ratio that is evidence: about one false alarm in ten million comparisons of releases that are alike, so that
/// asking every second of a long bake stays safe.
const EVIDENCE_MIN: f64 = 15.0;
/// The share of overdue answers, in percent, up to which the release before is one whose answers come soon. Above it long answers
/// are what the service is for, and an overdue one is no failure.
const OVERDUE_USUAL_PERCENT_MAX: u64 = 20;

/// Requests of one release in some stretch of time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Tally {
    /// Those that ended with an answer of the release, or with its failure. A client that left is not among them.
    pub requests: u64,
    /// Those of them that it answered 5xx, or did not answer to the end.
    pub failed: u64,
    /// Further ones that have waited for the end of their answer for longer than [`OVERDUE_AFTER`].
    pub overdue: u64,
}

/// How long an answer may take before it counts as overdue.
pub const OVERDUE_AFTER: Millis = Millis::from_secs(5);

/// What is known of a candidate in load, and of the release that it is to replace.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ErrorCounts {
    /// The candidate's requests lately, since it is in load.
    pub candidate: Tally,
    /// How long its failures have gone on, from the first to the last.
    pub failing_for: Millis,
    /// Those of the release before in the same time.
    pub meanwhile: Tally,
    /// Those of the release before in the last minute in which it served alone.
    pub before: Tally,
}

/// What a candidate is compared with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reference {
    /// The release before, in the same time.
    Meanwhile(Tally),
    /// The release before, shortly before: it has hardly any requests now.
    Before(Tally),
    /// Nothing: the release before had hardly any requests.
    Nothing,
}

/// The evidence that a candidate fails its clients.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Failing {
    /// The candidate's requests.
    pub candidate: Tally,
    /// What it was compared with.
    pub reference: Reference,
}

impl ErrorCounts {
    /// The evidence that the candidate's share of failures is total, or more than `above` percentage points above that of the release before;
    /// none where it is not, or where there were too few requests to tell.
    #[must_use]
    pub fn failing(&self, above: u8) -> Option<Failing> {
        let reference = self.reference();
        let (candidate, of_reference) = match reference {
            Reference::Meanwhile(tally) | Reference::Before(tally) if tally.is_prompt() => {
                (self.candidate.with_overdue(), tally.with_overdue())
            }
            Reference::Meanwhile(tally) | Reference::Before(tally) => (self.candidate.ended(), tally.ended()),
            Reference::Nothing => (self.candidate.ended(), Tally::default()),
        };
        let is_total = candidate.requests >= TOTAL_MIN && candidate.failed == candidate.requests;
        let lasts = self.failing_for >= LASTING_MIN || candidate.failed > self.candidate.failed;
        let is_far_worse = candidate.failed >= FAILED_MIN
            && candidate.points_above(&of_reference) >= f64::from(above)
            && candidate.evidence_against(&of_reference) >= EVIDENCE_MIN;
        let fails = match reference {
            Reference::Nothing => is_total && lasts,
            Reference::Meanwhile(_) | Reference::Before(_) => is_far_worse && (is_total || lasts),
        };
        fails.then_some(Failing { candidate, reference: reference.with(of_reference) })
    }

    /// The same time is the best comparison; what the release before did shortly before is the next best.
    fn reference(&self) -> Reference {
        if self.meanwhile.requests >= REFERENCE_MIN {
            Reference::Meanwhile(self.meanwhile)
        } else if self.before.requests >= REFERENCE_MIN {
            Reference::Before(self.before)
        } else {
            Reference::Nothing
        }
    }
}

impl Reference {
    fn with(self, tally: Tally) -> Reference {
        match self {
            Reference::Meanwhile(_) => Reference::Meanwhile(tally),
            Reference::Before(_) => Reference::Before(tally),
            Reference::Nothing => Reference::Nothing,
        }
    }
}

impl Tally {
    /// Whether answers usually come soon.
    fn is_prompt(&self) -> bool {
        self.overdue.saturating_mul(100) < self.with_overdue().requests.saturating_mul(OVERDUE_USUAL_PERCENT_MAX)
    }

    /// An overdue answer is one that never came.
    fn with_overdue(&self) -> Tally {
        let requests = self.requests.saturating_add(self.overdue);
        Tally { requests, failed: self.failed.min(self.requests).saturating_add(self.overdue), overdue: 0 }
    }

    fn ended(&self) -> Tally {
        Tally { failed: self.failed.min(self.requests), overdue: 0, ..*self }
    }

    fn share(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.failed as f64 / self.requests as f64 }
    }

    /// By how many percentage points its share of failures is above another.
    fn points_above(&self, other: &Tally) -> f64 {
        (self.share() - other.share()) * 100.0
    }

    /// The logarithm of how much likelier these counts are with a share of failures of their own than with one that both have: the generalised
    /// likelihood ratio of two binomial samples. Zero where nothing was counted.
    fn evidence_against(&self, other: &Tally) -> f64 {
        let both = Tally {
            requests: self.requests.saturating_add(other.requests),
            failed: self.failed.saturating_add(other.failed),
            overdue: 0,
        };
        self.surprise(both.share()) + other.surprise(both.share())
    }

    /// The divergence of its share from `share`, times its requests.
    fn surprise(&self, share: f64) -> f64 {
        let term = |count: u64, expected: f64| match count {
            0 => 0.0,
            count => count as f64 * (count as f64 / (self.requests as f64 * expected)).ln(),
        };
        term(self.failed, share) + term(self.requests - self.failed.min(self.requests), 1.0 - share)
    }
}

/// `312 of 400`
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.failed, self.requests)
    }
}

/// `the candidate failed 312 of 400 requests (78%), the release before 0 of 812 in the same time`
impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = (self.candidate.share() * 100.0).round();
        write!(f, "the candidate failed {} requests ({percent}%), ", self.candidate)?;
        match self.reference {
            Reference::Meanwhile(tally) => write!(f, "the release before {tally} in the same time"),
            Reference::Before(tally) => write!(f, "the release before {tally} shortly before"),
            Reference::Nothing => f.write_str("and there is nothing to compare it with"),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::{any, prop_assert, proptest};

    use super::*;

    fn tally((failed, requests): (u64, u64)) -> Tally {
        Tally { requests, failed, overdue: 0 }
    }

    fn counted(candidate: (u64, u64), meanwhile: (u64, u64), before: (u64, u64)) -> ErrorCounts {
        ErrorCounts {
            candidate: tally(candidate),
            failing_for: LASTING_MIN,
            meanwhile: tally(meanwhile),
            before: tally(before),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "expect! gives a value")]
    fn check(counts: ErrorCounts, expected: Expect) {
        let told = counts.failing(10).map_or_else(|| "nothing".to_owned(), |failing| failing.to_string());
        expected.assert_eq(&told);
    }

    #[test]
    fn a_candidate_that_fails_far_more_than_the_release_before_is_told() {
        check(
            counted((30, 30), (0, 60), (0, 0)),
            expect!["the candidate failed 30 of 30 requests (100%), the release before 0 of 60 in the same time"],
        );
        check(
            counted((150, 1_000), (20, 2_000), (0, 0)),
            expect!["the candidate failed 150 of 1000 requests (15%), the release before 20 of 2000 in the same time"],
        );
    }

    #[test]
    fn behind_a_switch_the_release_before_is_compared_with_as_it_was_shortly_before() {
        check(
            counted((80, 100), (0, 3), (1, 500)),
            expect!["the candidate failed 80 of 100 requests (80%), the release before 1 of 500 shortly before"],
        );
    }

    #[test]
    fn a_few_failures_in_few_requests_are_no_evidence() {
        check(counted((9, 9), (0, 500), (0, 500)), expect!["nothing"]);
        check(counted((10, 60), (1, 20), (0, 0)), expect!["nothing"]);
        check(counted((10, 20), (0, 20), (0, 0)), expect!["nothing"]);
    }

    #[test]
    fn what_the_release_before_shows_alike_is_not_the_candidates() {
        check(counted((1_000, 1_000), (1_000, 1_000), (0, 5_000)), expect!["nothing"]);
        check(counted((300, 1_000), (290, 1_000), (0, 5_000)), expect!["nothing"]);
        check(counted((40, 1_000), (0, 50_000), (0, 0)), expect!["nothing"]);
    }

    #[test]
    fn where_there_is_nothing_to_compare_with_only_a_candidate_that_fails_everybody_is_told() {
        check(counted((0, 0), (0, 0), (0, 0)), expect!["nothing"]);
        check(counted((900, 1_000), (0, 0), (0, 0)), expect!["nothing"]);
        check(counted((19, 19), (0, 0), (0, 0)), expect!["nothing"]);
        check(
            counted((20, 20), (0, 0), (0, 0)),
            expect!["the candidate failed 20 of 20 requests (100%), and there is nothing to compare it with"],
        );
    }

    #[test]
    fn a_dependency_that_was_away_for_a_second_is_no_fault_of_the_release() {
        let blip = ErrorCounts { failing_for: Millis(1_000), ..counted((1_000, 5_000), (0, 10), (0, 60_000)) };
        check(blip, expect!["nothing"]);
        let total = ErrorCounts { failing_for: Millis(0), ..counted((1_000, 1_000), (0, 2_000), (0, 0)) };
        check(
            total,
            expect!["the candidate failed 1000 of 1000 requests (100%), the release before 0 of 2000 in the same time"],
        );
    }

    #[test]
    fn answers_that_do_not_come_are_failures_where_those_of_the_release_before_come() {
        let hung = |overdue| ErrorCounts {
            candidate: Tally { requests: 0, failed: 0, overdue: 50 },
            meanwhile: Tally { requests: 400, failed: 0, overdue },
            ..ErrorCounts::default()
        };
        check(
            hung(5),
            expect!["the candidate failed 50 of 50 requests (100%), the release before 5 of 405 in the same time"],
        );
        // Long answers are what this service is for.
        check(hung(2_000), expect!["nothing"]);
    }

    proptest! {
        /// I10, the other way round: nothing turns back without requests, and nothing that both releases show.
        #[test]
        fn no_requests_are_no_evidence(before in any::<(u64, u64)>(), meanwhile in any::<(u64, u64)>(), above in 1u8..=100) {
            prop_assert!(counted((0, 0), meanwhile, before).failing(above).is_none());
        }

        #[test]
        fn a_share_that_is_not_above_is_never_told(
            requests in 0u64..1_000_000, failed in 0u64..1_000_000, times in 1u64..50, before in any::<(u64, u64)>(), above in 1u8..=100,
        ) {
            let (failed, requests) = (failed.min(requests), requests.max(20));
            let alike = counted((failed, requests), (failed * times, requests * times), before);
            prop_assert!(alike.failing(above).is_none());
        }

        #[test]
        fn any_counts_are_judged_without_a_panic(candidate in any::<[u64; 3]>(), meanwhile in any::<[u64; 3]>(), above in any::<u8>()) {
            let of = |[requests, failed, overdue]: [u64; 3]| Tally { requests, failed, overdue };
            let counted = ErrorCounts { candidate: of(candidate), meanwhile: of(meanwhile), ..ErrorCounts::default() };
            let _ = counted.failing(above).map(|failing| failing.to_string());
        }
    }
}
