//! The bytes of one request and its answer, as HTTP/1.1 frames them.
//!
//! The two directions go on independently: [`Sending`] carries the request to an instance, [`Receiving`] carries the
//! answer back. What becomes of the request is decided by [`gapless_exchange::Exchange`], which knows of no bytes.

use gapless_exchange::Request;
use gapless_http1::{Framing, Persistence};

use super::asked::{Asked, Core};
use super::receiving::Receiving;
use super::sending::Sending;
use crate::data::backend::idle::{Finished, RequestBody, Speaker};
use crate::data::io::progress::Taken;

/// A request and its answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) core: Core,
    pub(crate) asked: Asked,
    pub(crate) sending: Sending,
    pub(crate) receiving: Receiving,
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
            asked: Asked::blank(),
            sending: Sending::blank(),
            receiving: Receiving::new(),
            instance_took: Taken::default(),
            draft: None,
        }
    }

    /// Makes it a request whose head was read and rendered, with nothing sent yet. In place: an exchange is used thousands of times a second,
    /// and it is large.
    pub(crate) fn reset(&mut self, request: Request, asked: Asked, framing: Framing, head: Vec<u8>, now_us: u64) {
        self.core.accept(request, now_us);
        self.asked = asked;
        self.sending.reset(head, framing, now_us / 1_000);
        self.receiving = Receiving::new();
        self.instance_took = Taken::default();
        self.draft = None;
    }

    /// What it was to the connection that carried it, where the instance keeps that.
    pub(crate) fn finished(&self, speaker: Speaker) -> Finished {
        let sent_body = self.sending.chunked || self.sending.body_bytes > 0;
        Finished {
            persistence: Persistence::KeepAlive,
            request_end: self.receiving.request_end,
            request_body: if sent_body { RequestBody::Sent } else { RequestBody::None },
            context: self.asked.context,
            status: self.core.status(),
            speaker,
        }
    }
}
