//! One request and its answer.
//!
//! The two directions go on independently: [`Sending`] carries the request to an instance, [`Receiving`] carries the
//! answer back. The exchange is over when both are done and the client has taken everything.

use std::net::{IpAddr, Ipv4Addr};

use gapless_http1::{BodyDecoder, Delivery, Framing, Persistence, RequestContext, Version};
use gapless_model::TrafficPolicy;

use gapless_routing::{OurAnswer, PeerTrust};

use super::idle::{Finished, RequestBody, RequestEnd, Speaker};
use super::progress::Taken;
use super::slab::Key;
use super::tries::Tries;

/// A request on its way to an instance.
#[derive(Debug)]
pub(crate) struct Sending {
    /// The rendered head, and the body as it is rendered for the instance. What was sent stays here as long as it may have
    /// to be sent again.
    pub(crate) buffer: Vec<u8>,
    /// Bytes of `buffer` that the present instance was sent.
    pub(crate) sent: usize,
    /// Whether everything that was sent to the present instance is still in `buffer`.
    pub(crate) replay: Replay,
    /// Where the body ends.
    pub(crate) decoder: BodyDecoder,
    /// Whether the body is sent as chunks.
    pub(crate) chunked: bool,
    /// Whether the whole body was received from the client.
    pub(crate) complete: bool,
    /// Bytes of the body that were received.
    pub(crate) body_bytes: u64,
    /// Bytes of the head in `buffer`.
    pub(crate) head_bytes: usize,
}

/// Whether a request can be sent once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replay {
    /// Everything that was ever sent is kept.
    Kept,
    /// It grew past the bound, or an answer has begun: what was sent is gone.
    Dropped,
}

/// An answer on its way to the client.
#[derive(Debug)]
pub(crate) enum Receiving {
    /// No final head yet.
    Head,
    /// The head was passed on, the body follows.
    Body {
        /// Where the body ends.
        decoder: BodyDecoder,
        /// How the client is told.
        delivery: Delivery,
    },
    /// The whole answer was received. It may still wait to be taken by the client.
    Done,
}

/// Where the attempt on an instance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// No instance is chosen; the request is about to be dispatched.
    None,
    /// It waits in the hold queue of its service.
    Held,
    /// A connection was given the request, or will be when it is there.
    On {
        /// The connection to the instance.
        upstream: Key,
        /// The instance's index.
        slot: usize,
        /// Whether the connection carried requests before.
        reused: bool,
    },
    /// The instance has nothing more to do with it: the answer was received whole, or it was ours.
    Over,
}

/// What is known of the request itself.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Who asks, as far as is known.
    pub(crate) address: IpAddr,
    pub(crate) version: Version,
    pub(crate) persistence: Persistence,
    pub(crate) context: RequestContext,
    /// The method may be done twice.
    pub(crate) idempotent: bool,
    /// The client gave an `Idempotency-Key`.
    pub(crate) has_key: bool,
    pub(crate) expects_continue: bool,
    /// The preview it names. Not forwarded, so it is kept here for a later dispatch.
    pub(crate) preview: Option<Box<[u8]>>,
    /// Whether its peer is believed.
    pub(crate) trust: PeerTrust,
    /// The protocol that the instance was offered to change to.
    pub(crate) upgrade: Option<Protocol>,
}

/// A protocol that a connection may change to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Protocol(Box<[u8]>);

impl Protocol {
    pub(crate) fn new(name: &[u8]) -> Self {
        Self(name.into())
    }

    /// Whether this is its name, which has no case.
    pub(crate) fn is(&self, name: &[u8]) -> bool {
        self.0.eq_ignore_ascii_case(name)
    }

    pub(crate) fn is_websocket(&self) -> bool {
        self.is(b"websocket")
    }
}

/// A request and its answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) asked: Asked,
    pub(crate) sending: Sending,
    pub(crate) receiving: Receiving,
    /// Whether the request was wholly written when its answer ended; told by [`Exchange::end_answer`].
    pub(super) request_end: RequestEnd,
    /// Bytes from the instance waited before the last bytes of the request were written in this turn: its answer may have ended
    /// before them.
    pub(crate) overtaken: bool,
    pub(crate) attempt: Attempt,
    pub(crate) tries: Tries,
    /// What the service asks of us; of the release that was chosen last.
    pub(crate) policy: Option<TrafficPolicy>,
    /// What is counted on, and the series of the route without a release.
    pub(crate) series: usize,
    /// Whether the ledger has an end for this request.
    pub(crate) settled: bool,
    /// Why we answered ourselves, if we did.
    pub(crate) ours: Option<OurAnswer>,
    /// Whether the client's connection ends with this answer.
    pub(crate) close: bool,
    /// Whether it is counted as one that has no end in sight.
    pub(crate) lasting: bool,
    /// The instance of the last attempt.
    pub(crate) last_slot: Option<u32>,
    /// Pooled connections are not to be used: one was found closed.
    pub(crate) fresh_only: bool,
    /// The status that was sent to the client, or 0.
    pub(crate) status: u16,
    /// Bytes of the answer's body that were passed on.
    pub(crate) body_out: u64,
    /// When the whole head was there, in microseconds of the thread's clock.
    pub(crate) accepted_us: u64,
    /// When the present attempt began.
    pub(crate) attempt_us: u64,
    /// When the request was wholly received, in milliseconds.
    pub(crate) complete_ms: u64,
    /// How far the present instance has come with the request.
    pub(crate) instance_took: Taken,
    /// For how long nothing but the client was waited for while its body came, in milliseconds.
    pub(crate) body_awaited_ms: u64,
    /// Its place in the order of held requests, or 0 if it was never held.
    pub(crate) hold_number: u64,
    /// When it was first held, and until when it may be, in milliseconds.
    pub(crate) held_since_ms: u64,
    pub(crate) held_until_ms: u64,
    /// How long it was held.
    pub(crate) held_ms: u64,
    /// What the last attempt failed with.
    pub(crate) failure: Option<OurAnswer>,
    /// What the access log wants to know, if there is one.
    pub(crate) draft: Option<Box<Draft>>,
}

/// The part of an access record that is known when the head is read.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) accepted_unix_us: u64,
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) target: String,
    pub(crate) request_id: String,
}

impl Exchange {
    /// One that is about to be [`Exchange::reset`].
    pub(crate) fn blank() -> Self {
        Self {
            asked: Asked {
                address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                version: Version::Http11,
                persistence: Persistence::Close,
                context: RequestContext::Other,
                idempotent: false,
                has_key: false,
                expects_continue: false,
                upgrade: None,
                preview: None,
                trust: PeerTrust::Stranger,
            },
            sending: Sending {
                buffer: Vec::new(),
                sent: 0,
                replay: Replay::Kept,
                decoder: BodyDecoder::new(Framing::None),
                chunked: false,
                complete: false,
                body_bytes: 0,
                head_bytes: 0,
            },
            receiving: Receiving::Head,
            request_end: RequestEnd::AfterAnswers,
            overtaken: false,
            attempt: Attempt::None,
            tries: Tries::default(),
            policy: None,
            series: 0,
            settled: false,
            ours: None,
            close: false,
            lasting: false,
            last_slot: None,
            fresh_only: false,
            status: 0,
            body_out: 0,
            accepted_us: 0,
            attempt_us: 0,
            complete_ms: 0,
            instance_took: Taken::default(),
            body_awaited_ms: 0,
            hold_number: 0,
            held_since_ms: 0,
            held_until_ms: 0,
            held_ms: 0,
            failure: None,
            draft: None,
        }
    }

    /// Makes it a request whose head was read, with nothing sent yet. In place: an exchange is used thousands of times a second,
    /// and it is large.
    pub(crate) fn reset(&mut self, asked: Asked, framing: Framing, buffer: Vec<u8>, now_us: u64) {
        let Self {
            asked: own_asked,
            sending,
            receiving,
            request_end,
            overtaken,
            attempt,
            tries,
            policy,
            series,
            settled,
            ours,
            close,
            lasting,
            last_slot,
            fresh_only,
            status,
            body_out,
            accepted_us,
            attempt_us,
            complete_ms,
            instance_took,
            body_awaited_ms,
            hold_number,
            held_since_ms,
            held_until_ms,
            held_ms,
            failure,
            draft,
        } = self;
        *own_asked = asked;
        sending.head_bytes = buffer.len();
        sending.buffer = buffer;
        sending.sent = 0;
        sending.replay = Replay::Kept;
        sending.decoder = BodyDecoder::new(framing);
        sending.chunked = framing == Framing::Chunked;
        sending.complete = framing == Framing::None;
        sending.body_bytes = 0;
        *receiving = Receiving::Head;
        *request_end = RequestEnd::AfterAnswers;
        *overtaken = false;
        *attempt = Attempt::None;
        tries.clear();
        *policy = None;
        *series = 0;
        *settled = false;
        *ours = None;
        *close = false;
        *lasting = false;
        *last_slot = None;
        *fresh_only = false;
        *status = 0;
        *body_out = 0;
        *accepted_us = now_us;
        *attempt_us = now_us;
        *complete_ms = now_us / 1_000;
        *instance_took = Taken::default();
        *body_awaited_ms = 0;
        *hold_number = 0;
        *held_since_ms = 0;
        *held_until_ms = 0;
        *held_ms = 0;
        *failure = None;
        *draft = None;
    }

    /// Whether the client waits with its body for a `100 Continue` that the instance has not sent.
    pub(crate) fn awaits_continue(&self) -> bool {
        self.asked.expects_continue && !self.sending.complete && self.sending.body_bytes == 0
    }

    /// Whether the client is told the end of the answer by the end of the connection alone.
    pub(crate) fn ends_by_closing(&self) -> bool {
        matches!(&self.receiving, Receiving::Body { delivery, .. } if delivery.framing == Framing::UntilClose)
    }

    /// Whether a final answer has begun to go to the client.
    pub(crate) fn has_begun_answer(&self) -> bool {
        !matches!(self.receiving, Receiving::Head)
    }

    /// Whether the present instance was sent nothing of the request. (A buffer that was emptied was sent.)
    pub(crate) fn is_unsent(&self) -> bool {
        self.sending.sent == 0 && self.sending.replay == Replay::Kept
    }

    /// Whether the present instance was sent less than the whole head.
    pub(crate) fn has_part_of_head_sent(&self) -> bool {
        self.sending.sent < self.sending.head_bytes && self.sending.replay == Replay::Kept
    }

    /// The answer was received whole.
    pub(super) fn end_answer(&mut self) {
        self.receiving = Receiving::Done;
        let whole = self.sending.complete && self.is_all_sent() && !self.overtaken;
        self.request_end = if whole { RequestEnd::BeforeAnswers } else { RequestEnd::AfterAnswers };
    }

    /// What it was to the connection that carried it, which the instance keeps or not.
    pub(super) fn finished(&self, persistence: Persistence, speaker: Speaker) -> Finished {
        let sent_body = self.sending.chunked || self.sending.body_bytes > 0;
        Finished {
            persistence,
            request_end: self.request_end,
            request_body: if sent_body { RequestBody::Sent } else { RequestBody::None },
            context: self.asked.context,
            status: self.status,
            speaker,
        }
    }

    /// Whether everything that there is of the request was sent.
    pub(crate) fn is_all_sent(&self) -> bool {
        self.sending.sent == self.sending.buffer.len()
    }
}
