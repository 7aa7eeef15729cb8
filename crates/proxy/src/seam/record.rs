//! One line of the access log, as the data side hands it over.

use std::net::SocketAddr;

use gapless_model::InstanceId;
use gapless_routing::Terminal;

/// What happened to one request. Made only when an access log is asked for.
#[derive(Debug, Clone)]
pub struct AccessRecord {
    /// Microseconds since the Unix epoch when the request was accepted. For people; nothing is decided by it.
    pub accepted_unix_us: u64,
    /// Who asked.
    pub client: SocketAddr,
    /// The method as it was written.
    pub method: String,
    /// The value of `Host`.
    pub host: String,
    /// Path and query as they were written.
    pub target: String,
    /// The instance that answered, or the last one tried.
    pub instance: Option<InstanceId>,
    /// The status that was sent to the client, if one was.
    pub status: Option<u16>,
    /// How it ended in the ledger.
    pub terminal: Terminal,
    /// Attempts that were made on instances.
    pub attempts: u8,
    /// Microseconds in the hold queue.
    pub held_us: u64,
    /// Microseconds from the whole head to the end of the answer.
    pub duration_us: u64,
    /// Bytes of the request's body that were received.
    pub body_in: u64,
    /// Bytes of the answer's body that were sent.
    pub body_out: u64,
    /// The value of `X-Request-Id` that the instance saw, empty when no instance saw the request.
    pub request_id: String,
}
