//! From a client's connection to an instance's and back: one request at a time, or a tunnel.
//!
//! A client's connection is a [`clients::Clients`] entry with a phase (`connection::Phase`). Each phase is a value that is *given* what it needs ([`context::Context`]) when it
//! has its turn, and says what is to come next ([`step::Step`]).

pub(crate) mod asked;
pub(crate) mod carry;
pub(crate) mod clients;
pub(crate) mod connection;
pub(crate) mod context;
pub(crate) mod dispatch;
pub(crate) mod exchange;
pub(crate) mod failed;
pub(crate) mod flow;
pub(crate) mod hold;
pub(crate) mod holds;
pub(crate) mod ids;
pub(crate) mod late;
pub(crate) mod ours;
pub(crate) mod outcome;
pub(crate) mod receiving;
pub(crate) mod sending;
pub(crate) mod step;
pub(crate) mod tunnel;
pub(crate) mod websocket;
