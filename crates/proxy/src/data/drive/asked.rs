//! What is known of one request.

use std::net::{IpAddr, Ipv4Addr};

use gapless_exchange::Lasting;
use gapless_http1::{Persistence, RequestContext, Version};
use gapless_routing::PeerTrust;

use crate::data::io::slab::Key;
use crate::seam::WorkerCounts;

/// What is decided of a request, with the number of the connection that carries it.
pub(crate) type Core = gapless_exchange::Exchange<Key>;

/// A request has turned out to have no end in sight.
pub(crate) fn note_lasting(core: &mut Core, counts: &WorkerCounts) {
    let slot = core.attempt().map(|attempt| attempt.slot().index());
    if let (Some(slot), Lasting::News) = (slot, core.handle_lasting()) {
        counts.lasting(slot).add(1);
    }
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

impl Asked {
    /// Nothing.
    pub(crate) fn blank() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            version: Version::Http11,
            persistence: Persistence::Close,
            context: RequestContext::Other,
            expects_continue: false,
            preview: None,
            trust: PeerTrust::Stranger,
            upgrade: None,
        }
    }
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
