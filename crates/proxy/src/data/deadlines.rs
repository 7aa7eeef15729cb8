//! What is late: which deadline bounds each phase of a connection, and whether it has passed.
//!
//! A client can be slow in four ways (a slow head, a slow body, a slow reader, gone without a word), an instance in four more. Each phase
//! asks for exactly one of them here; `docs/guide/requests.md` has the same list for operators, with the test of each row.

use gapless_http1::Version;
use gapless_model::TrafficPolicy;
use gapless_routing::{CutReason, OurAnswer};

use super::client::{Client, HalfClosed, Output, Phase};
use super::drive::LINGER_MS;
use super::exchange::{Attempt, Exchange, Receiving, Replay};
use super::progress::Taken;
use super::settings::Settings;
use super::slab::Slab;
use super::stream::Stream;
use super::tunnel::Ending;
use super::upstream::Upstream;
use super::worker::SWEEP_MS;

/// How long a client that has ended its side is waited for without a question: most answers come sooner.
const HALF_CLOSED_MS: u64 = 2_000;

/// How long its system may take to acknowledge a question, and from one question to the next.
const ASK_EVERY_MS: u64 = 5_000;

/// What is due for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// Close it; nobody loses anything.
    Close,
    /// Its head did not come in time.
    HeadTimeout,
    /// Its request is answered by us, if nothing was answered yet, or else cut.
    Answer(OurAnswer, CutReason),
    /// It waited as long as it may.
    HoldTimeout,
    /// Its instance does not take the connection.
    ConnectTimeout,
    /// The client is gone.
    ClientLeft,
    /// The client has ended its side: ask whether it still reads.
    AskClient,
    /// Something about the end of a tunnel.
    Tunnel,
    /// The client of a tunnel takes nothing.
    TunnelStalled,
}

const CLIENT_STALLED: Due = Due::Answer(OurAnswer::ClientTooSlow, CutReason::ClientStalled);
const INSTANCE_STALLED: Due = Due::Answer(OurAnswer::ResponseTimeout, CutReason::InstanceStalled);

/// The time, and what deadlines are measured by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines<'a> {
    pub(super) now_ms: u64,
    pub(super) settings: &'a Settings,
    /// Whether the proxy has drained for as long as it may.
    pub(super) cut: bool,
    pub(super) upstreams: &'a Slab<Upstream>,
}

/// The parts of a client connection that are looked at beside its phase.
struct Side<'c> {
    stream: &'c Stream,
    output: &'c Output,
    taken: &'c mut Taken,
    half_closed: &'c mut Option<HalfClosed>,
    progress_ms: u64,
    head_began_ms: Option<u64>,
}

impl Deadlines<'_> {
    /// What is due for a connection now. Notes on the way how far its peers have come.
    pub(super) fn due(self, client: &mut Client) -> Due {
        let Client { phase, stream, output, taken, half_closed, progress_ms, head_began_ms, .. } = client;
        let side =
            &mut Side { stream, output, taken, half_closed, progress_ms: *progress_ms, head_began_ms: *head_began_ms };
        match phase {
            Phase::Waiting => self.waiting(side),
            Phase::Exchange(_) if self.cut => Due::Answer(OurAnswer::Quitting, CutReason::Quitting),
            Phase::Exchange(exchange) => self.exchange(side, exchange),
            Phase::Tunnel(tunnel) if self.cut && !matches!(tunnel.ending, Ending::Asked(_) | Ending::Told(_)) => {
                Due::Tunnel
            }
            Phase::Tunnel(tunnel) if tunnel.is_due(self.now_ms) => Due::Tunnel,
            Phase::Tunnel(tunnel) if self.is_stalled(side, tunnel.exchange.policy.as_ref()) => Due::TunnelStalled,
            Phase::Tunnel(_) => Due::Nothing,
            Phase::Lingering { until_ms, .. } if self.now_ms < *until_ms => Due::Nothing,
            Phase::Lingering { .. } if !self.cut && self.is_taking(side, LINGER_MS) => Due::Nothing,
            Phase::Lingering { .. } => Due::Close,
        }
    }

    fn waiting(self, side: &mut Side<'_>) -> Due {
        let head_began_ms = side.head_began_ms;
        match head_began_ms {
            Some(began_ms) if self.cut || self.now_ms.saturating_sub(began_ms) > self.settings.head_timeout_ms => {
                Due::HeadTimeout
            }
            Some(_) => Due::Nothing,
            None if self.cut => Due::Close,
            None if self.now_ms.saturating_sub(side.progress_ms) <= self.settings.keep_alive_ms => Due::Nothing,
            // Its last answer is still on its way: it is not idle.
            None if self.is_taking(side, self.settings.write_stall_ms) => Due::Nothing,
            None => Due::Close,
        }
    }

    /// Whether something is on its way to the client, and it has taken some of that within the time.
    fn is_taking(self, side: &mut Side<'_>, within_ms: u64) -> bool {
        side.stream.unacknowledged().is_some_and(|bytes| bytes > 0)
            && side.taken.still_ms(side.stream, side.progress_ms, self.now_ms, within_ms) <= within_ms
    }

    /// Whether bytes wait for the client and it has taken none for too long.
    fn is_stalled(self, side: &mut Side<'_>, policy: Option<&TrafficPolicy>) -> bool {
        let most_ms = policy.map_or(self.settings.write_stall_ms, |policy| policy.idle_timeout.0);
        !side.output.is_empty() && side.taken.still_ms(side.stream, side.progress_ms, self.now_ms, most_ms) > most_ms
    }

    fn exchange(self, side: &mut Side<'_>, exchange: &mut Exchange) -> Due {
        if !side.output.is_empty() {
            return if self.is_stalled(side, exchange.policy.as_ref()) { CLIENT_STALLED } else { Due::Nothing };
        }
        match exchange.attempt {
            Attempt::Held if self.now_ms >= exchange.held_until_ms => Due::HoldTimeout,
            Attempt::Held | Attempt::None | Attempt::Over => Due::Nothing,
            Attempt::On { reused, upstream, .. } => {
                let Some(policy) = exchange.policy.clone() else { return Due::Nothing };
                let upstream = self.upstreams.get(upstream);
                match exchange.receiving {
                    Receiving::Head if !reused && self.is_connect_late(exchange, &policy) => Due::ConnectTimeout,
                    _ if !exchange.sending.complete => self.receiving_body(side, exchange, &policy, upstream),
                    Receiving::Head => self.unanswered(side, exchange, &policy),
                    _ if self.now_ms.saturating_sub(side.progress_ms) > policy.idle_timeout.0 => INSTANCE_STALLED,
                    _ => Due::Nothing,
                }
            }
        }
    }

    fn is_connect_late(self, exchange: &Exchange, policy: &TrafficPolicy) -> bool {
        // Where what was sent is no longer kept, `sent` counts from the last bytes that were dropped.
        exchange.is_unsent()
            && exchange.sending.replay == Replay::Kept
            && self.now_ms.saturating_sub(exchange.attempt_us / 1_000) > policy.connect_timeout.0
    }

    /// The request's body is not whole: whose turn it is, and for how long.
    fn receiving_body(
        self,
        side: &mut Side<'_>,
        exchange: &mut Exchange,
        policy: &TrafficPolicy,
        upstream: Option<&Upstream>,
    ) -> Due {
        if !exchange.is_all_sent() {
            let Some(upstream) = upstream else { return Due::Nothing };
            let took = &mut exchange.instance_took;
            let still_ms = took.still_ms(&upstream.stream, side.progress_ms, self.now_ms, policy.idle_timeout.0);
            return if still_ms > policy.idle_timeout.0 { INSTANCE_STALLED } else { Due::Nothing };
        }
        if exchange.awaits_continue() {
            // The client rightly sends nothing: it is the instance that lets it wait.
            let since_ms = self.now_ms.saturating_sub(exchange.attempt_us / 1_000);
            return if since_ms > policy.response_timeout.0 { INSTANCE_STALLED } else { Due::Nothing };
        }
        if self.now_ms.saturating_sub(side.progress_ms) > policy.idle_timeout.0 {
            return CLIENT_STALLED;
        }
        // Only the time in which nobody but the client was waited for counts, so a slow instance makes no client slow.
        exchange.body_awaited_ms += SWEEP_MS;
        let awaited_ms = exchange.body_awaited_ms;
        let slow = !exchange.has_begun_answer()
            && awaited_ms > self.settings.body_grace_ms
            && exchange.sending.body_bytes < u64::from(policy.body_rate_min) * awaited_ms / 1_000;
        if slow { CLIENT_STALLED } else { Due::Nothing }
    }

    /// The whole request is with the instance, which has not answered.
    fn unanswered(self, side: &mut Side<'_>, exchange: &Exchange, policy: &TrafficPolicy) -> Due {
        let since_ms = self.now_ms.saturating_sub(exchange.complete_ms.max(exchange.attempt_us / 1_000));
        if since_ms > policy.response_timeout.0 {
            return INSTANCE_STALLED;
        }
        if !side.stream.is_ended() {
            return Due::Nothing;
        }
        self.half_closed(side, exchange.asked.version)
    }

    /// The client has ended its side, which is legal (RFC 9112 §9.6 speaks of it) and rare, or is gone, which is common. Its end alone
    /// looks the same in both cases. But the system of one that is gone resets the connection when something is sent to it, and an
    /// interim answer is the one thing that may be sent to any client of HTTP/1.1 at any time (RFC 9110 §15.2).
    fn half_closed(self, side: &mut Side<'_>, version: Version) -> Due {
        let now_ms = self.now_ms;
        match *side.half_closed {
            None => {
                *side.half_closed = Some(HalfClosed::Noticed { at_ms: now_ms });
                Due::Nothing
            }
            Some(HalfClosed::Noticed { at_ms }) if now_ms.saturating_sub(at_ms) < HALF_CLOSED_MS => Due::Nothing,
            Some(HalfClosed::Noticed { .. }) if version == Version::Http10 => Due::ClientLeft,
            Some(HalfClosed::Asked { at_ms }) if now_ms.saturating_sub(at_ms) < ASK_EVERY_MS => Due::Nothing,
            // Not even its system is there any more.
            Some(HalfClosed::Asked { .. }) if side.stream.unacknowledged().is_some_and(|bytes| bytes > 0) => {
                Due::ClientLeft
            }
            Some(HalfClosed::Noticed { .. } | HalfClosed::Asked { .. }) => {
                *side.half_closed = Some(HalfClosed::Asked { at_ms: now_ms });
                Due::AskClient
            }
        }
    }
}
