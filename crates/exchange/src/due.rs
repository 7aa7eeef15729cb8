//! What is late: which deadline bounds a request now, and whether it has passed.
//!
//! A client can be slow in four ways (a slow head, a slow body, a slow reader, gone without a word), an instance in four more. The head is not here: there
//! is no request before it is whole. `docs/guide/requests.md` has the same list for operators.

use gapless_model::{Millis, TrafficPolicy};
use gapless_routing::{CutReason, OurAnswer};

use crate::attempt::{Answer, Attempt, Connection};
use crate::exchange::Exchange;
use crate::half_closed::HalfClosed;

/// How long a client that has ended its side is waited for without a question: most answers come sooner.
const HALF_CLOSED_MS: u64 = 2_000;

/// How long its system may take to acknowledge a question, and from one question to the next.
const ASK_EVERY_MS: u64 = 5_000;

/// What is due for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// It is answered by us, if nothing was answered yet, or else cut.
    Late(OurAnswer, CutReason),
    /// It waited as long as it may.
    HoldTimeout,
    /// Its instance does not take the connection.
    ConnectTimeout,
    /// The client is gone.
    ClientLeft,
    /// The client has ended its side: ask whether it still reads.
    AskClient,
}

const CLIENT_STALLED: Due = Due::Late(OurAnswer::ClientTooSlow, CutReason::ClientStalled);
const INSTANCE_STALLED: Due = Due::Late(OurAnswer::ResponseTimeout, CutReason::InstanceStalled);

/// The time, and what holds whatever the service.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// On the caller's clock.
    pub now_ms: u64,
    /// How long a client may take nothing while no service's rules hold.
    pub write_stall_ms: u64,
    /// For how long a client must have been waited for before the rate of its body is looked at.
    pub body_grace_ms: u64,
}

/// How far a request's body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upload {
    /// Some of what there is of it waits for the instance to take it.
    AwaitsInstance,
    /// The client waits with it to be told to go on.
    AwaitsContinue,
    /// More of it is waited for.
    AwaitsClient {
        /// Bytes that came.
        bytes: u64,
    },
    /// The whole of it was received.
    Whole {
        /// When.
        at_ms: u64,
    },
}

/// What can be seen of the two connections. Methods that cost a call of the system are asked only where they decide.
pub trait Sight {
    /// Whether bytes wait for the client.
    fn has_output(&self) -> bool;
    /// When bytes last moved, in either direction.
    fn progress_ms(&self) -> u64;
    /// For how long the client has taken nothing; `most_ms` is what is asked about.
    fn client_still_ms(&mut self, most_ms: u64) -> u64;
    /// For how long the instance has taken nothing.
    fn instance_still_ms(&mut self, most_ms: u64) -> u64;
    /// Whether nothing of the request was written.
    fn is_unsent(&self) -> bool;
    /// How far its body has come.
    fn upload(&self) -> Upload;
    /// Whether the client has ended its side, or is gone.
    fn client_has_ended(&self) -> bool;
    /// Whether the client can be asked if it still reads: HTTP/1.0 knows no interim answer.
    fn client_can_be_asked(&self) -> bool;
    /// Whether the client's system has yet to acknowledge something.
    fn client_owes_acknowledgement(&self) -> bool;
}

impl Bounds {
    /// What is due for a request now.
    pub fn due<C: Copy>(&self, exchange: &mut Exchange<C>, sight: &mut impl Sight) -> Due {
        if sight.has_output() {
            let most_ms = exchange.policy().map_or(self.write_stall_ms, |policy| policy.idle_timeout.0);
            return if sight.client_still_ms(most_ms) > most_ms { CLIENT_STALLED } else { Due::Nothing };
        }
        if let Some(until_ms) = exchange.held_until_ms() {
            return if self.now_ms >= until_ms { Due::HoldTimeout } else { Due::Nothing };
        }
        let (Some(attempt), Some(policy)) = (exchange.attempt(), exchange.policy()) else { return Due::Nothing };
        match (attempt.answer, sight.upload()) {
            (Answer::None, _) if self.is_connect_late(attempt, policy, sight) => Due::ConnectTimeout,
            (Answer::None, Upload::Whole { at_ms }) => {
                let since_ms = self.now_ms.saturating_sub(at_ms.max(attempt.began_us / 1_000));
                if since_ms > policy.response_timeout.0 {
                    return INSTANCE_STALLED;
                }
                if sight.client_has_ended() { self.half_closed(&mut exchange.half_closed, sight) } else { Due::Nothing }
            }
            (_, Upload::Whole { .. }) if self.now_ms.saturating_sub(sight.progress_ms()) > policy.idle_timeout.0 => {
                INSTANCE_STALLED
            }
            (_, Upload::Whole { .. }) => Due::Nothing,
            (_, Upload::AwaitsInstance) => {
                let most_ms = policy.idle_timeout.0;
                if sight.instance_still_ms(most_ms) > most_ms { INSTANCE_STALLED } else { Due::Nothing }
            }
            (_, Upload::AwaitsContinue) => {
                // The client rightly sends nothing: it is the instance that lets it wait.
                let since_ms = self.now_ms.saturating_sub(attempt.began_us / 1_000);
                if since_ms > policy.response_timeout.0 { INSTANCE_STALLED } else { Due::Nothing }
            }
            (_, Upload::AwaitsClient { bytes }) => self.awaits_client(exchange, sight.progress_ms(), bytes),
        }
    }

    /// When to look next at the latest if nothing happens before: nothing is due earlier. What is counted from look to look is looked at each time.
    pub fn look_next_ms<C: Copy>(&self, exchange: &Exchange<C>, sight: &impl Sight) -> u64 {
        if sight.has_output() {
            return self.now_ms;
        }
        if let Some(until_ms) = exchange.held_until_ms() {
            return until_ms;
        }
        let (Some(attempt), Some(policy)) = (exchange.attempt(), exchange.policy()) else { return u64::MAX };
        let began_ms = attempt.began_us / 1_000;
        let after = |since_ms: u64, timeout: Millis| since_ms.saturating_add(timeout.0).saturating_add(1);
        let due_ms = match (attempt.answer, sight.upload()) {
            (_, Upload::AwaitsInstance) => self.now_ms,
            (_, Upload::AwaitsClient { .. }) if policy.body_rate_min > 0 => self.now_ms,
            (_, Upload::AwaitsContinue) => after(began_ms, policy.response_timeout),
            (Answer::None, Upload::Whole { .. }) if sight.client_has_ended() => self.now_ms,
            (Answer::None, Upload::Whole { at_ms }) => after(at_ms.max(began_ms), policy.response_timeout),
            (_, Upload::Whole { .. } | Upload::AwaitsClient { .. }) => after(sight.progress_ms(), policy.idle_timeout),
        };
        let may_connect = attempt.answer == Answer::None && attempt.connection == Connection::New && sight.is_unsent();
        if may_connect { due_ms.min(after(began_ms, policy.connect_timeout)) } else { due_ms }
    }

    fn is_connect_late<C>(&self, attempt: &Attempt<C>, policy: &TrafficPolicy, sight: &impl Sight) -> bool {
        attempt.connection == Connection::New
            && sight.is_unsent()
            && self.now_ms.saturating_sub(attempt.began_us / 1_000) > policy.connect_timeout.0
    }

    /// Only the time in which nobody but the client was waited for counts, so a slow instance makes no client slow.
    fn awaits_client<C: Copy>(&self, exchange: &mut Exchange<C>, progress_ms: u64, bytes: u64) -> Due {
        let Some(policy) = exchange.policy() else { return Due::Nothing };
        let (idle_ms, rate) = (policy.idle_timeout.0, u64::from(policy.body_rate_min));
        if self.now_ms.saturating_sub(progress_ms) > idle_ms {
            return CLIENT_STALLED;
        }
        let awaited_ms = exchange.body_wait.total_ms(self.now_ms);
        let slow = !exchange.has_begun_answer() && awaited_ms > self.body_grace_ms && bytes < rate * awaited_ms / 1_000;
        if slow { CLIENT_STALLED } else { Due::Nothing }
    }

    /// The client has ended its side, which is legal (RFC 9112 §9.6 speaks of it) and rare, or is gone, which is common. Its end alone
    /// looks the same in both cases. But the system of one that is gone resets the connection when something is sent to it, and an
    /// interim answer is the one thing that may be sent to any client of HTTP/1.1 at any time (RFC 9110 §15.2).
    fn half_closed(&self, known: &mut Option<HalfClosed>, sight: &impl Sight) -> Due {
        let now_ms = self.now_ms;
        match *known {
            None => {
                *known = Some(HalfClosed::Noticed { at_ms: now_ms });
                Due::Nothing
            }
            Some(HalfClosed::Noticed { at_ms }) if now_ms.saturating_sub(at_ms) < HALF_CLOSED_MS => Due::Nothing,
            Some(HalfClosed::Noticed { .. }) if !sight.client_can_be_asked() => Due::ClientLeft,
            Some(HalfClosed::Asked { at_ms }) if now_ms.saturating_sub(at_ms) < ASK_EVERY_MS => Due::Nothing,
            // Not even its system is there any more.
            Some(HalfClosed::Asked { .. }) if sight.client_owes_acknowledgement() => Due::ClientLeft,
            Some(HalfClosed::Noticed { .. } | HalfClosed::Asked { .. }) => {
                *known = Some(HalfClosed::Asked { at_ms: now_ms });
                Due::AskClient
            }
        }
    }
}
