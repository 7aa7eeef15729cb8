//! The bytes of one request and its answer, as HTTP/1.1 frames them.
//!
//! The two directions go on independently: [`Sending`] carries the request to an instance, [`Receiving`] carries the
//! answer back. What becomes of the request is decided by [`gapless_exchange::Exchange`], which knows of no bytes.

use std::net::{IpAddr, Ipv4Addr};

use gapless_exchange::{Reached, Request, Upload};
use gapless_http1::{BodyDecoder, Delivery, Framing, Persistence, RequestContext, Version};
use gapless_routing::{BodyKept, PeerTrust};

use super::idle::{Finished, RequestBody, RequestEnd, Speaker};
use super::progress::Taken;
use super::slab::Key;

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

/// What is known of the request itself.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Who asks, as far as is known.
    pub(crate) address: IpAddr,
    pub(crate) version: Version,
    pub(crate) persistence: Persistence,
    pub(crate) context: RequestContext,
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

/// What is decided of a request, with the number of the connection that carries it.
pub(crate) type Core = gapless_exchange::Exchange<Key>;

/// A request and its answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) core: Core,
    pub(crate) asked: Asked,
    pub(crate) sending: Sending,
    pub(crate) receiving: Receiving,
    /// Whether the request was wholly written when its answer ended; told by [`Exchange::end_answer`].
    pub(super) request_end: RequestEnd,
    /// Bytes from the instance waited before the last bytes of the request were written in this turn: its answer may have ended
    /// before them.
    pub(crate) overtaken: bool,
    /// Whether the client's connection ends with this answer.
    pub(crate) close: bool,
    /// Bytes of the answer's body that were passed on.
    pub(crate) body_out: u64,
    /// When the request was wholly received, in milliseconds.
    pub(crate) complete_ms: u64,
    /// How far the present instance has come with the request.
    pub(crate) instance_took: Taken,
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
            core: Core::blank(),
            asked: Asked {
                address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                version: Version::Http11,
                persistence: Persistence::Close,
                context: RequestContext::Other,
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
            close: false,
            body_out: 0,
            complete_ms: 0,
            instance_took: Taken::default(),
            draft: None,
        }
    }

    /// Makes it a request whose head was read, with nothing sent yet. In place: an exchange is used thousands of times a second,
    /// and it is large.
    pub(crate) fn reset(&mut self, request: Request, asked: Asked, framing: Framing, buffer: Vec<u8>, now_us: u64) {
        self.core.accept(request, now_us);
        self.asked = asked;
        self.sending.head_bytes = buffer.len();
        self.sending.buffer = buffer;
        self.sending.sent = 0;
        self.sending.replay = Replay::Kept;
        self.sending.decoder = BodyDecoder::new(framing);
        self.sending.chunked = framing == Framing::Chunked;
        self.sending.complete = framing == Framing::None;
        self.sending.body_bytes = 0;
        self.receiving = Receiving::Head;
        self.request_end = RequestEnd::AfterAnswers;
        self.overtaken = false;
        self.close = false;
        self.body_out = 0;
        self.complete_ms = now_us / 1_000;
        self.instance_took = Taken::default();
        self.draft = None;
    }

    /// Whether the client waits with its body for a `100 Continue` that the instance has not sent.
    pub(crate) fn awaits_continue(&self) -> bool {
        self.asked.expects_continue && !self.sending.complete && self.sending.body_bytes == 0
    }

    /// Whether the client is told the end of the answer by the end of the connection alone.
    pub(crate) fn ends_by_closing(&self) -> bool {
        matches!(&self.receiving, Receiving::Body { delivery, .. } if delivery.framing == Framing::UntilClose)
    }

    /// Whether the present instance was sent nothing of the request. (A buffer that was emptied was sent.)
    pub(crate) fn is_unsent(&self) -> bool {
        self.sending.sent == 0 && self.sending.replay == Replay::Kept
    }

    /// How much of the request an instance can have seen, by what was written.
    pub(crate) fn reached(&self) -> Reached {
        match self.sending.replay {
            Replay::Kept if self.sending.sent == 0 => Reached::Nothing,
            Replay::Kept if self.sending.sent < self.sending.head_bytes => Reached::PartOfHead,
            Replay::Kept | Replay::Dropped => Reached::Some,
        }
    }

    /// Whether all that was taken of its body is at hand.
    pub(crate) fn body_kept(&self) -> BodyKept {
        match self.sending.replay {
            Replay::Kept => BodyKept::Whole,
            Replay::Dropped => BodyKept::Dropped,
        }
    }

    /// How far its body has come.
    pub(crate) fn upload(&self) -> Upload {
        match self.sending.complete {
            true => Upload::Whole { at_ms: self.complete_ms },
            false if !self.is_all_sent() => Upload::AwaitsInstance,
            false if self.awaits_continue() => Upload::AwaitsContinue,
            false => Upload::AwaitsClient { bytes: self.sending.body_bytes },
        }
    }

    /// The answer was received whole.
    pub(super) fn end_answer(&mut self) {
        self.receiving = Receiving::Done;
        self.core.handle_answer_whole();
        let whole = self.sending.complete && self.is_all_sent() && !self.overtaken;
        self.request_end = if whole { RequestEnd::BeforeAnswers } else { RequestEnd::AfterAnswers };
    }

    /// What it was to the connection that carried it, where the instance keeps that.
    pub(super) fn finished(&self, speaker: Speaker) -> Finished {
        let sent_body = self.sending.chunked || self.sending.body_bytes > 0;
        Finished {
            persistence: Persistence::KeepAlive,
            request_end: self.request_end,
            request_body: if sent_body { RequestBody::Sent } else { RequestBody::None },
            context: self.asked.context,
            status: self.core.status(),
            speaker,
        }
    }

    /// Whether everything that there is of the request was sent.
    pub(crate) fn is_all_sent(&self) -> bool {
        self.sending.sent == self.sending.buffer.len()
    }
}
