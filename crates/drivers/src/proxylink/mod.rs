//! The controller's hand on a proxy: start its process, connect, lend it listening sockets, publish tables, hear what it reports.
//!
//! The socket of frames ([`FrameReader`], [`FrameWriter`]) serves both ends; the proxy uses it too. What the frames mean is
//! `gapless_wire::control`.
//!
//! **Invariant L1**: what is sent and what is read never wait for one another, so two ends that both have much to say cannot lock.
//! **Invariant L2**: nobody but a process of our own user, or of the user that proxies run as, is spoken to (`SO_PEERCRED`).
//! **Invariant L3**: a listening socket that is lent stays open here: the death of the proxy refuses nobody.

mod address;
mod link;
mod listen;
mod socket;
mod spawn;

pub use address::{ControlAddress, ProcessMark, abstract_prefix, peer_of, user_named};
pub use link::{LinkFailed, ProxyEvent, ProxyEvents, ProxyLink};
pub use listen::{ListenFailed, Listening, copy_listeners, open_listeners};
pub use socket::{FrameReader, FrameWriter, PeerRefused, check_peer, split};
pub use spawn::{ProxyCommand, SpawnFailed, Spawned, spawn_proxy};

#[cfg(test)]
mod tests;
