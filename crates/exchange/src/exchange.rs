//! The exchange itself: its states, and what each piece of news makes of them.

use gapless_model::{Millis, TrafficPolicy};
use gapless_routing::{
    CutReason, KeySent, Method, OurAnswer, Progress, RetryAsk, RetryBudget, RetryRefused, Series, Slot, StatusClass,
    Terminal, may_retry,
};

use crate::attempt::{Answer, Attempt, Connection, Left};
use crate::body_wait::BodyWait;
use crate::failure::{Excuse, Failure};
use crate::half_closed::HalfClosed;
use crate::hold::{HoldAsk, Holding, Place};
use crate::news::{Delivery, Failed, Lasting, Late, Next, Todo};
use crate::request::Request;
use crate::tries::Tries;

/// Where a request stands. Each state has what is true in it and no more.
#[derive(Debug)]
enum State<C> {
    /// No instance has it.
    Unassigned,
    /// It waits for an instance.
    Held(Place),
    /// An instance has it.
    With(Attempt<C>),
    /// Its connection became a tunnel to the instance.
    Tunnel(Attempt<C>),
    /// Nothing is left to do with an instance; the client has yet to take the end of its answer.
    Delivering(Source),
    /// It has its end in the ledger.
    Ended,
}

/// Whose answer a client is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Instance,
    Us(OurAnswer),
}

/// A request and its answer. `C` is the caller's name of a connection to an instance.
#[derive(Debug)]
pub struct Exchange<C> {
    request: Request,
    state: State<C>,
    tries: Tries,
    /// Its place among held requests, for as long as it lives.
    place: Option<Place>,
    held_ms: u64,
    policy: Option<TrafficPolicy>,
    series: Series,
    failure: Option<OurAnswer>,
    last_slot: Option<Slot>,
    /// A kept connection failed it: the next is to be new.
    wants_new_connection: bool,
    status: u16,
    accepted_us: u64,
    pub(crate) body_wait: BodyWait,
    pub(crate) half_closed: Option<HalfClosed>,
}

impl<C: Copy> Exchange<C> {
    /// One that is over, to be used for a request by [`Exchange::accept`].
    #[must_use]
    pub fn blank() -> Self {
        Self {
            request: Request { method: Method::Other, key: KeySent::No },
            state: State::Ended,
            tries: Tries::default(),
            place: None,
            held_ms: 0,
            policy: None,
            series: Series::UNMATCHED,
            failure: None,
            last_slot: None,
            wants_new_connection: false,
            status: 0,
            accepted_us: 0,
            body_wait: BodyWait::default(),
            half_closed: None,
        }
    }

    /// ## Ended => Unassigned
    ///
    /// The head of another request was read. In place: an exchange is used thousands of times a second, and it is large.
    pub fn accept(&mut self, request: Request, now_us: u64) {
        debug_assert!(self.is_ended(), "BUG: a request without an end in the ledger");
        self.request = request;
        self.state = State::Unassigned;
        self.tries.clear();
        self.place = None;
        self.held_ms = 0;
        self.policy = None;
        self.series = Series::UNMATCHED;
        self.failure = None;
        self.last_slot = None;
        self.wants_new_connection = false;
        self.status = 0;
        self.accepted_us = now_us;
        self.body_wait = BodyWait::default();
        self.half_closed = None;
    }

    /// What is to be done with it now.
    #[inline]
    #[must_use]
    pub fn poll(&self) -> Todo {
        match self.state {
            State::Unassigned => Todo::Route,
            State::Held(_) => Todo::Wait,
            State::With(_) => Todo::Carry,
            State::Tunnel(_) => Todo::Tunnel,
            State::Delivering(_) => Todo::Deliver,
            State::Ended => Todo::Forget,
        }
    }

    /// All that came of its body was passed on, and nobody but the client is waited for.
    #[inline]
    pub fn handle_body_awaited(&mut self, now_ms: u64) {
        self.body_wait.begin(now_ms);
    }

    /// More of its body came.
    #[inline]
    pub fn handle_body_received(&mut self, now_ms: u64) {
        self.body_wait.end(now_ms);
    }

    /// What is known of the request.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// What was tried.
    #[must_use]
    pub fn tries(&self) -> &Tries {
        &self.tries
    }

    /// The rules of the release that was chosen last.
    #[must_use]
    pub fn policy(&self) -> Option<&TrafficPolicy> {
        self.policy.as_ref()
    }

    /// What it is counted on.
    #[must_use]
    pub fn series(&self) -> Series {
        self.series
    }

    /// What the last attempt failed with.
    #[must_use]
    pub fn failure(&self) -> Option<OurAnswer> {
        self.failure
    }

    /// The instance of the last attempt.
    #[must_use]
    pub fn last_slot(&self) -> Option<Slot> {
        self.last_slot
    }

    /// The status that the client was given, or 0.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// When its whole head was there.
    #[must_use]
    pub fn accepted_us(&self) -> u64 {
        self.accepted_us
    }

    /// The attempt that goes on, if one does.
    #[inline]
    #[must_use]
    pub fn attempt(&self) -> Option<&Attempt<C>> {
        match &self.state {
            State::With(attempt) | State::Tunnel(attempt) => Some(attempt),
            State::Unassigned | State::Held(_) | State::Delivering(_) | State::Ended => None,
        }
    }

    /// Whether the next attempt is to have a connection of its own.
    #[must_use]
    pub fn wants_new_connection(&self) -> bool {
        self.wants_new_connection
    }

    /// Whether it has its end in the ledger.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Whether it was ever held.
    #[must_use]
    pub fn was_held(&self) -> bool {
        self.place.is_some()
    }

    /// For how long it was held, in milliseconds.
    #[must_use]
    pub fn held_ms(&self) -> u64 {
        self.held_ms
    }

    /// Its place among held requests while it is held.
    #[must_use]
    pub fn place_held(&self) -> Option<u64> {
        match self.state {
            State::Held(place) => Some(place.number),
            State::Unassigned | State::With(_) | State::Tunnel(_) | State::Delivering(_) | State::Ended => None,
        }
    }

    pub(crate) fn held_until_ms(&self) -> Option<u64> {
        match self.state {
            State::Held(place) => Some(place.until_ms),
            State::Unassigned | State::With(_) | State::Tunnel(_) | State::Delivering(_) | State::Ended => None,
        }
    }

    /// Whether a final answer has begun to go to the client.
    #[inline]
    #[must_use]
    pub fn has_begun_answer(&self) -> bool {
        match &self.state {
            State::With(attempt) => attempt.answer != Answer::None,
            State::Tunnel(_) | State::Delivering(_) | State::Ended => true,
            State::Unassigned | State::Held(_) => false,
        }
    }

    /// Whether there is nothing more to come of the answer.
    #[inline]
    #[must_use]
    pub fn has_whole_answer(&self) -> bool {
        match &self.state {
            State::With(attempt) => attempt.answer == Answer::Whole,
            State::Delivering(_) | State::Ended => true,
            State::Unassigned | State::Held(_) | State::Tunnel(_) => false,
        }
    }

    /// For how long whoever drains its instance waits for it.
    #[must_use]
    pub fn drain_patience(&self) -> Millis {
        let lasting = self.attempt().is_some_and(|attempt| attempt.lasting);
        self.policy.as_ref().map_or(Millis::ZERO, |policy| match lasting {
            true => policy.drain_timeout.max(policy.tunnel_drain_timeout),
            false => policy.drain_timeout,
        })
    }

    /// The table was asked. The rules of a release hold from its first attempt on, until another attempt has another release.
    pub(crate) fn handle_routed(&mut self, series: Series, policy: Option<&TrafficPolicy>) {
        self.series = series;
        if let Some(policy) = policy
            && (self.policy.is_none() || self.tries.begun() > 0)
        {
            self.policy = Some(policy.clone());
        }
    }

    /// ## Unassigned => With
    ///
    /// It has a connection of the instance, or one that is being made.
    #[inline]
    pub fn handle_assigned(&mut self, slot: Slot, carrier: C, connection: Connection, now_us: u64) {
        debug_assert_eq!(self.poll(), Todo::Route, "BUG: two attempts at once");
        self.tries.begin();
        self.last_slot = Some(slot);
        self.state =
            State::With(Attempt { slot, carrier, connection, began_us: now_us, answer: Answer::None, lasting: false });
    }

    /// The head of the instance's final answer is passed on.
    #[inline]
    pub fn handle_answer_begun(&mut self, status: u16) {
        if let State::With(attempt) = &mut self.state {
            debug_assert_eq!(attempt.answer, Answer::None, "BUG: two answers to one request");
            attempt.answer = Answer::Begun;
            self.status = status;
        }
    }

    /// The instance's answer was received to its end.
    #[inline]
    pub fn handle_answer_whole(&mut self) {
        if let State::With(attempt) = &mut self.state {
            debug_assert_eq!(attempt.answer, Answer::Begun, "BUG: an answer ends that did not begin");
            attempt.answer = Answer::Whole;
        }
    }

    /// The request turned out to have no end in sight.
    pub fn handle_lasting(&mut self) -> Lasting {
        match &mut self.state {
            State::With(attempt) | State::Tunnel(attempt) if !attempt.lasting => {
                attempt.lasting = true;
                Lasting::News
            }
            _ => Lasting::Known,
        }
    }

    /// ## With => Tunnel
    pub fn handle_switched(&mut self) {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::With(attempt) if attempt.answer == Answer::None => {
                self.status = 101;
                self.state = State::Tunnel(attempt);
            }
            other => {
                debug_assert!(false, "BUG: a tunnel of what is with no instance");
                self.state = other;
            }
        }
    }

    /// ## With => Delivering
    ///
    /// The answer is whole, and nothing more of the request is to be sent.
    #[inline]
    pub fn handle_exchanged(&mut self) -> Option<Left<C>> {
        debug_assert!(self.has_whole_answer(), "BUG: an instance is done with before its answer is whole");
        self.leave(State::Delivering(Source::Instance))
    }

    /// ## Unassigned | Held | With => Delivering
    ///
    /// We answer. Nothing of an answer may have been given before.
    pub fn handle_answered_by_us(&mut self, reason: OurAnswer, status: u16) -> Option<Left<C>> {
        debug_assert!(!self.has_begun_answer(), "BUG: two answers to one request");
        self.status = status;
        self.leave(State::Delivering(Source::Us(reason)))
    }

    /// ## Delivering => Ended
    ///
    /// The client has taken everything. None before.
    #[inline]
    pub fn handle_delivered(&mut self) -> Option<Terminal> {
        let State::Delivering(_) = self.state else { return None };
        let terminal = self.whole();
        self.state = State::Ended;
        Some(terminal)
    }

    /// ## any => Ended
    ///
    /// It is given up. Whoever has a whole answer lost nothing, whatever it is given up for: that the request's own body was not finished, by the client, the
    /// instance or us, is no cut. None where it had its end before.
    pub fn give_up(&mut self, terminal: Terminal, delivery: Delivery) -> Option<(Option<Left<C>>, Terminal)> {
        if self.is_ended() {
            return None;
        }
        let delivered = self.has_whole_answer() && delivery == Delivery::Taken;
        let terminal = if delivered { self.whole() } else { terminal };
        Some((self.leave(State::Ended), terminal))
    }

    fn whole(&self) -> Terminal {
        match self.state {
            State::Delivering(Source::Us(reason)) => Terminal::AnsweredByUs(reason),
            _ => Terminal::Answered(StatusClass::of(self.status)),
        }
    }

    fn leave(&mut self, to: State<C>) -> Option<Left<C>> {
        let left = self.attempt().map(Attempt::end);
        self.state = to;
        left
    }

    /// ## With => Unassigned | Delivering, or to be given up
    ///
    /// The instance failed. Where no answer has begun there may be another attempt; whether, `budget` has a say in.
    pub fn handle_failed(&mut self, failed: &Failed, budget: &mut RetryBudget) -> Option<Next<C>> {
        let State::With(attempt) = &self.state else { return None };
        let Failed { failure, reached, dropped, .. } = *failed;
        if attempt.answer != Answer::None {
            return Some(Next::Cut(failure.cut(dropped)));
        }
        let took_ms = failed.now_us.saturating_sub(attempt.began_us) / 1_000;
        let (slot, connection) = (attempt.slot, attempt.connection);
        let (progress, excuse) = (failure.progress(connection, reached, took_ms), failure.excuse(connection));
        self.note_failed(slot, failure, progress, excuse);
        let reason = failure.answer(dropped);
        let left = self.leave(State::Unassigned)?;
        if excuse == Excuse::KeptConnection && progress == Progress::NeverSent {
            // Nobody saw it, and the next connection is new: this happens once.
            return Some(Next::Retry { left, excuse, replay: false });
        }
        if failure == Failure::Malformed {
            return Some(Next::Answer { left, excuse, reason, refused: None });
        }
        self.failure = Some(reason);
        Some(match self.ask_retry(progress, failed, budget) {
            Ok(replay) => Next::Retry { left, excuse, replay },
            Err(refused) => Next::Answer { left, excuse, reason, refused },
        })
    }

    /// ## Unassigned => Unassigned, or to be answered
    ///
    /// An instance took no connection at once: that was an attempt too, with nothing to give back.
    ///
    /// # Errors
    /// What the client is to be answered with, and the rule that forbids another attempt.
    pub fn handle_refused(
        &mut self,
        slot: Slot,
        failed: &Failed,
        budget: &mut RetryBudget,
    ) -> Result<(), (OurAnswer, Option<RetryRefused>)> {
        debug_assert_eq!(self.poll(), Todo::Route, "BUG: two attempts at once");
        self.tries.begin();
        self.last_slot = Some(slot);
        self.tries.note_refused(Some(slot));
        let reason = Failure::Refused.answer(failed.dropped);
        self.failure = Some(reason);
        self.ask_retry(Progress::NeverSent, failed, budget).map(|_replay| ()).map_err(|refused| (reason, refused))
    }

    fn note_failed(&mut self, slot: Slot, failure: Failure, progress: Progress, excuse: Excuse) {
        match (excuse, failure, progress) {
            (Excuse::KeptConnection, _, Progress::NeverSent) => self.wants_new_connection = true,
            (Excuse::KeptConnection, _, _) => {
                self.wants_new_connection = true;
                self.tries.note_sent(None);
            }
            (Excuse::None, Failure::Refused | Failure::ConnectTimeout, _) => self.tries.note_refused(Some(slot)),
            (Excuse::None, _, Progress::NeverSent) => self.tries.note_unsent(Some(slot)),
            (Excuse::None, _, _) => self.tries.note_sent(Some(slot)),
        }
    }

    /// Whether it may be tried once more: as a replay or not, or the rule that forbids it.
    fn ask_retry(
        &self,
        progress: Progress,
        failed: &Failed,
        budget: &mut RetryBudget,
    ) -> Result<bool, Option<RetryRefused>> {
        let policy = self.policy.as_ref().ok_or(None)?;
        let ask = RetryAsk {
            method: self.request.method,
            idempotency_key: self.request.key,
            progress,
            body: failed.body,
            sends: self.tries.sends(),
            unsent: self.tries.unsent(),
        };
        may_retry(&ask, policy, budget, failed.now).map(|permit| permit.is_replay()).map_err(Some)
    }

    /// A deadline has passed: who is answered, or what is cut.
    pub fn handle_late(&self, reason: OurAnswer, cut: CutReason) -> Late {
        match self.attempt() {
            _ if self.has_begun_answer() => Late::Cut(cut),
            Some(attempt) if reason == OurAnswer::ResponseTimeout => Late::AnswerForInstance(reason, attempt.slot),
            Some(_) | None => Late::Answer(reason),
        }
    }

    /// ## Unassigned => Held
    ///
    /// No instance may have it now. [`Holding::Refused`] leaves it unassigned, to be answered.
    pub fn handle_no_instance(&mut self, ask: &HoldAsk) -> Holding {
        debug_assert_eq!(self.poll(), Todo::Route, "BUG: held with an instance");
        let (holding, place) = ask.decide(self.place);
        self.place = place;
        if let (Some(place), Holding::New { .. } | Holding::Again { .. }) = (place, holding) {
            self.state = State::Held(place);
            // Whoever was tried may take connections when the wait is over, and the wait is the bound on trying.
            self.tries.forget_unsent();
        }
        holding
    }

    /// ## Held => Unassigned
    ///
    /// It is held no more, for whatever reason.
    pub fn handle_let_go(&mut self, now_ms: u64) {
        if let State::Held(place) = self.state {
            self.held_ms = now_ms.saturating_sub(place.since_ms);
            self.state = State::Unassigned;
        }
    }
}
