//! May a request be sent again? A permit or a reason, never a bool.
//!
//! What the instance never saw, or provably did not process, may go to another whatever its method. What was sent and not answered
//! may only when doing it twice does what doing it once does: an idempotent method (RFC 9110 §9.2.2), or an `Idempotency-Key` where
//! the release says that it keeps them. A replay needs the body, and a budget keeps an outage from being amplified.

use std::fmt;

use gapless_model::{Millis, Tick, TrafficPolicy};

/// How far the failed attempt had come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Progress {
    /// No byte of it reached an instance: the connection was refused, timed out, or found closed before the first write.
    NeverSent,
    /// The instance says that it did not process it (HTTP/2 REFUSED_STREAM, GOAWAY with a lower last stream).
    Unprocessed,
    /// Some of it was sent, and no byte of a final answer came back.
    Sent,
    /// The same, on a connection that carried requests before and ended at once: most likely the instance was closing it at that
    /// moment, as it may at any time, and read nothing. Once per request; the next attempt has a connection of its own.
    SentOnKept,
    /// The answer had begun to reach the client.
    AnswerBegun,
}

/// What the rules look at.
#[derive(Clone, Copy, Debug)]
pub struct RetryAsk {
    /// Whether it may be done twice.
    pub method: Method,
    /// Whether it carries an `Idempotency-Key`.
    pub idempotency_key: KeySent,
    /// How far the attempt had come.
    pub progress: Progress,
    /// Whether all of its body that was taken from the client is still kept.
    pub body: BodyKept,
    /// Failed attempts of which an instance may have seen something, over the whole life of the request.
    pub sends: u8,
    /// Failed attempts that reached no instance, since the request was last held.
    pub unsent: u8,
}

/// Whether doing a request twice does what doing it once does (RFC 9110 §9.2.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Method {
    /// It does.
    Idempotent,
    /// It may not.
    Other,
}

/// Whether a request carries an `Idempotency-Key`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeySent {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// Whether the body, as far as it was taken from the client, is still at hand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BodyKept {
    /// From its first byte (or there is none).
    Whole,
    /// Some was dropped: it was longer than what is kept.
    Dropped,
}

/// Leave to send a request again. Only [`may_retry`] makes one.
#[derive(PartialEq, Eq, Debug)]
#[must_use]
pub struct RetryPermit {
    replay: bool,
}

impl RetryPermit {
    /// Whether bytes that an instance has already got are sent a second time.
    #[must_use]
    pub fn is_replay(&self) -> bool {
        self.replay
    }
}

/// Why a request may not be sent again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum RetryRefused {
    /// The client has seen a part of an answer.
    #[error("its answer had begun")]
    AnswerBegun,
    /// As often as the release allows.
    #[error("it was tried as often as allowed")]
    Often,
    /// Doing it twice might do it twice.
    #[error("it was sent and is not idempotent")]
    NotIdempotent,
    /// Its body is gone.
    #[error("its body was too long to keep")]
    BodyDropped,
    /// Too many requests are being tried again.
    #[error("too many requests are being tried again")]
    Budget,
}

/// Attempts after the first that may be made while no byte reached an instance: so many instances of a release may be gone at once (it
/// crashed, say) before the one that serves is found, or it is known that none does and the request is held.
const UNSENT_RETRIES_MAX: u8 = 16;

/// Whether a request may go to another instance.
///
/// What a release allows bounds the attempts that an instance may have seen, for ever: no wait in between makes them fewer. Those that
/// never reached one cost nobody anything, and are bounded by the instances there are, up to sixteen; a release that allows no retry at
/// all has none.
///
/// The budget is asked last, and only for requests that cost an instance something: one that was never sent amplifies nothing. Nor is it
/// asked where a kept connection ended under a request: that is no sign of an outage, it happens at most once per request, and an
/// instance that closes each connection behind its answer would use up what is meant for real failures.
///
/// # Errors
/// [`RetryRefused`] is the first rule that forbids it.
pub fn may_retry(
    ask: &RetryAsk,
    policy: &TrafficPolicy,
    budget: &mut RetryBudget,
    now: Tick,
) -> Result<RetryPermit, RetryRefused> {
    if ask.progress == Progress::AnswerBegun {
        return Err(RetryRefused::AnswerBegun);
    }
    let allowed = policy.retries_max;
    if allowed == 0 || ask.sends > allowed || ask.unsent > allowed.max(UNSENT_RETRIES_MAX) {
        return Err(RetryRefused::Often);
    }
    let keyed = policy.replay_with_idempotency_key && ask.idempotency_key == KeySent::Yes;
    let sent = matches!(ask.progress, Progress::Sent | Progress::SentOnKept);
    if sent && ask.method == Method::Other && !keyed {
        return Err(RetryRefused::NotIdempotent);
    }
    if ask.body == BodyKept::Dropped {
        return Err(RetryRefused::BodyDropped);
    }
    match ask.progress {
        Progress::NeverSent => Ok(RetryPermit { replay: false }),
        Progress::SentOnKept => Ok(RetryPermit { replay: true }),
        Progress::Unprocessed | Progress::Sent | Progress::AnswerBegun => {
            if budget.spend(now) {
                Ok(RetryPermit { replay: true })
            } else {
                Err(RetryRefused::Budget)
            }
        }
    }
}

/// What a retry costs, in the unit of [`RetryBudget::deposit`].
const RETRY_COST: u32 = 100;

/// What each request adds: a fifth of a retry.
const REQUEST_DEPOSIT: u32 = 20;

/// What is saved at most: a hundred retries.
const BUDGET_MAX: u32 = 100 * RETRY_COST;

/// So many retries are free each second, so that a service with few requests can retry at all.
const FREE_PER_SECOND: u32 = 10;

/// The share of requests that may be tried again: 20 %, and ten a second besides; a hundred may be saved up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    saved: u32,
    refilled: Tick,
}

impl RetryBudget {
    /// A second's worth of free retries.
    #[must_use]
    pub fn new(now: Tick) -> RetryBudget {
        RetryBudget { saved: FREE_PER_SECOND * RETRY_COST, refilled: now }
    }

    /// A request came in.
    pub fn deposit(&mut self) {
        self.saved = (self.saved + REQUEST_DEPOSIT).min(BUDGET_MAX);
    }

    fn spend(&mut self, now: Tick) -> bool {
        let Millis(age) = now.since(self.refilled);
        let free = age.saturating_mul(u64::from(FREE_PER_SECOND * RETRY_COST)) / 1_000;
        if free > 0 {
            self.saved = u32::try_from(u64::from(self.saved) + free).map_or(BUDGET_MAX, |sum| sum.min(BUDGET_MAX));
            self.refilled = now;
        }
        match self.saved.checked_sub(RETRY_COST) {
            Some(rest) => {
                self.saved = rest;
                true
            }
            None => false,
        }
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RetryBudget({} retries)", f64::from(self.saved) / f64::from(RETRY_COST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::tests::policy;

    fn verdict(method: Method, key: KeySent, progress: Progress, body: BodyKept, (sends, unsent): (u8, u8)) -> String {
        let ask = RetryAsk { method, idempotency_key: key, progress, body, sends, unsent };
        match may_retry(&ask, &policy(), &mut RetryBudget::new(Tick(0)), Tick(0)) {
            Ok(permit) if permit.is_replay() => "replay".into(),
            Ok(_) => "retry".into(),
            Err(refused) => refused.to_string(),
        }
    }

    #[test]
    fn what_was_never_sent_goes_elsewhere_and_what_was_sent_only_when_twice_is_once() {
        use BodyKept::{Dropped, Whole};
        use KeySent::{No, Yes};
        use Method::{Idempotent, Other};
        use Progress::{AnswerBegun, NeverSent, Sent, SentOnKept, Unprocessed};
        for (expected, method, key, progress, body, failed) in [
            ("retry", Other, No, NeverSent, Whole, (0, 1)),
            ("retry", Other, No, NeverSent, Whole, (0, 2)),
            ("retry", Other, No, NeverSent, Whole, (0, 16)),
            ("it was tried as often as allowed", Other, No, NeverSent, Whole, (0, 17)),
            ("retry", Idempotent, No, NeverSent, Whole, (2, 1)),
            ("it was tried as often as allowed", Idempotent, No, NeverSent, Whole, (3, 1)),
            ("replay", Idempotent, No, Sent, Whole, (2, 0)),
            ("it was tried as often as allowed", Idempotent, No, Sent, Whole, (3, 0)),
            ("its body was too long to keep", Other, No, NeverSent, Dropped, (0, 1)),
            ("replay", Other, No, Unprocessed, Whole, (1, 0)),
            ("it was sent and is not idempotent", Other, No, Sent, Whole, (1, 0)),
            ("it was sent and is not idempotent", Other, No, SentOnKept, Whole, (1, 0)),
            ("replay", Other, Yes, Sent, Whole, (1, 0)),
            ("replay", Idempotent, No, Sent, Whole, (1, 0)),
            ("replay", Idempotent, No, SentOnKept, Whole, (1, 0)),
            ("it was tried as often as allowed", Idempotent, No, SentOnKept, Whole, (3, 0)),
            ("replay", Idempotent, No, Sent, Whole, (1, 0)),
            ("its body was too long to keep", Idempotent, No, Sent, Dropped, (1, 0)),
            ("its answer had begun", Idempotent, No, AnswerBegun, Whole, (1, 0)),
        ] {
            assert_eq!(verdict(method, key, progress, body, failed), expected, "{method:?} {progress:?}");
        }
    }

    #[test]
    fn a_release_that_allows_no_retry_has_none() {
        let policy = gapless_model::TrafficPolicy { retries_max: 0, ..policy() };
        let (key, body) = (KeySent::No, BodyKept::Whole);
        let (method, progress) = (Method::Idempotent, Progress::NeverSent);
        let ask = RetryAsk { method, idempotency_key: key, progress, body, sends: 0, unsent: 1 };
        assert_eq!(may_retry(&ask, &policy, &mut RetryBudget::new(Tick(0)), Tick(0)), Err(RetryRefused::Often));
    }

    #[test]
    fn an_outage_is_amplified_by_a_fifth_and_ten_a_second_at_most() {
        let mut budget = RetryBudget::new(Tick(0));
        let mut retried = 0;
        for request in 0..10_000_u64 {
            budget.deposit();
            let ask = RetryAsk {
                method: Method::Idempotent,
                idempotency_key: KeySent::No,
                progress: Progress::Sent,
                body: BodyKept::Whole,
                sends: 1,
                unsent: 0,
            };
            // What ended under a kept connection takes nothing of it.
            let kept = RetryAsk { progress: Progress::SentOnKept, ..ask };
            assert!(may_retry(&kept, &policy(), &mut budget, Tick(request)).is_ok());
            retried += u64::from(may_retry(&ask, &policy(), &mut budget, Tick(request)).is_ok());
        }
        assert!((2_050..=2_120).contains(&retried), "{retried}");
    }
}
