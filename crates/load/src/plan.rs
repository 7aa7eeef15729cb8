//! What to send: streams of requests, each with its schedule, its way of connecting and its kind.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// The highest sum of rates of one plan, per second: one generating thread keeps its schedule up to about here.
pub const RATE_MAX: f64 = 20_000.0;
/// The longest a plan may send. Longer soaks repeat plans.
pub const DURATION_MAX: Duration = Duration::from_secs(900);
/// The most requests a plan may schedule.
pub const REQUESTS_MAX: u64 = 5_000_000;
/// The most requests that may be under way or waiting at once; one scheduled past it is [`Fate::NotSent`](crate::Fate::NotSent).
pub const IN_FLIGHT_MAX: usize = 20_000;
/// The most connections one stream keeps: below the usual limit of open files with room for the target on the same machine.
pub const CONNECTIONS_MAX: usize = 4_000;
/// The largest body that is sent or asked for, in bytes.
pub const BODY_MAX: usize = 16 * 1024 * 1024;
/// What a stream that yields may have under way at least, however low its rate.
const YIELDING_MIN: usize = 4;

/// One run of load against one address.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where to connect: loopback only.
    pub target: SocketAddr,
    /// The `Host` header.
    pub host: String,
    /// What is sent; the streams run side by side.
    pub streams: Vec<Stream>,
    /// How long new requests are scheduled. Those under way then run to their end or their timeout.
    pub duration: Duration,
    /// How long one request may take from its first connect on, its own deliberate slowness not counted.
    pub timeout: Duration,
    /// What happens to a request whose kept connection turns out to be closed.
    pub reuse: Reuse,
    /// Whether what falls due is sent however many requests are still unanswered.
    pub offer: Offer,
    /// Whether POSTs say by an `Idempotency-Key` that executing them twice equals executing them once.
    pub idempotency_keys: bool,
    /// From this latency on a request counts as slow.
    pub slow_from: Duration,
    /// The first part of every id, so that several runs can share one file of seen ids.
    pub run: String,
    /// The file in which the instances write the ids they executed; without it duplicates cannot be counted.
    pub seen: Option<PathBuf>,
}

/// Requests of one kind on a fixed schedule.
#[derive(Debug, Clone)]
pub struct Stream {
    /// What each request is.
    pub kind: Kind,
    /// How each request gets its connection.
    pub connections: Connections,
    /// Requests a second (for [`Kind::Pipeline`]: batches a second; for [`Kind::WebSocket`]: sessions a second).
    pub rate: f64,
    /// The path asked for, beginning with `/`.
    pub path: String,
}

/// What one request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A GET.
    Get,
    /// A POST with a `Content-Length`, answered by its echo.
    Post {
        /// Bytes of the body.
        bytes: usize,
    },
    /// A POST in chunks, answered by its echo.
    PostChunked {
        /// Bytes of the body, sent in chunks of unequal sizes.
        bytes: usize,
    },
    /// A POST whose body is sent in pieces over a time, answered by its echo.
    SlowUpload {
        /// Bytes of the body.
        bytes: usize,
        /// How long the sending takes.
        over: Duration,
    },
    /// A GET of `<path>?bytes=…` whose answer is read in pieces over a time.
    SlowDownload {
        /// Bytes asked for.
        bytes: usize,
        /// How long the reading takes.
        over: Duration,
    },
    /// Several GETs written at once on one connection, answered in order.
    Pipeline {
        /// How many.
        depth: usize,
    },
    /// A WebSocket session: opened, then a message each `every`, each awaited as an echo, then closed by us.
    WebSocket {
        /// From message to message.
        every: Duration,
        /// From opening to our closing.
        lifetime: Duration,
    },
}

/// How a request gets its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// A new one for each request, closed after its answer.
    New,
    /// Taken in turn from so many that are kept open.
    Kept(usize),
}

/// What happens to a request whose kept connection was closed under it before a byte of its answer came.
///
/// RFC 9112 §9.3.1 lets a client repeat idempotent requests then; many clients do not, and none may for a POST. A connection that is
/// *already* seen closed before anything is written is never a matter of policy: it is thrown away and another is taken, as every client
/// does. A close that was announced (`Connection: close` on the answer before) lets pipelined requests behind it go again on a new
/// connection, as RFC 9112 §9.3.2 asks; that too is counted as repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reuse {
    /// It is lost: the target's owner has to answer for it.
    #[default]
    CountAsLost,
    /// An idempotent one is sent again once, on a new connection, and counted as repeated.
    RepeatIdempotent,
}

/// Whether what falls due is sent however many requests are still unanswered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Offer {
    /// Always, as independent clients do: latencies are true, and a machine that is too slow shows as requests that time out.
    #[default]
    Open,
    /// No stream gets further ahead of its answers than this: what falls due meanwhile is left out and counted as `left_out`. For runs that
    /// ask what is lost, on machines that may be busy with something else.
    Yielding {
        /// How far, in time at the stream's rate; a request's own slowness comes on top.
        ahead: Duration,
    },
}

impl Offer {
    /// The most batches of a stream that may be under way before the next one is left out.
    pub(crate) fn in_flight_max(self, stream: &Stream) -> usize {
        match self {
            Self::Open => usize::MAX,
            Self::Yielding { ahead } => {
                let batches = (ahead + stream.kind.own_slowness()).as_secs_f64() * stream.rate;
                (batches.ceil() as usize).max(YIELDING_MIN)
            }
        }
    }
}

/// Why a plan is refused.
#[derive(Debug, Error, PartialEq)]
pub enum PlanError {
    /// Load is for the machine it runs on.
    #[error("{0} is not a loopback address, and load is sent to no other")]
    NotLoopback(SocketAddr),
    /// Nothing to do.
    #[error("the plan has no stream with a rate above zero")]
    NoStreams,
    /// A number is past its bound.
    #[error("{what} is past its bound of {bound}")]
    PastBound {
        /// Which number.
        what: &'static str,
        /// The bound, with its unit.
        bound: String,
    },
}

impl Plan {
    /// A plan without streams, to be filled: 10 s, timeout 10 s, nothing repeated, slow from 1 s.
    #[must_use]
    pub fn new(target: SocketAddr) -> Self {
        Self {
            target,
            host: "localhost".into(),
            streams: Vec::new(),
            duration: Duration::from_secs(10),
            timeout: Duration::from_secs(10),
            reuse: Reuse::default(),
            offer: Offer::default(),
            idempotency_keys: false,
            slow_from: Duration::from_secs(1),
            run: format!("r{}", std::process::id()),
            seen: None,
        }
    }

    /// The plan with one stream more.
    #[must_use]
    pub fn with(mut self, kind: Kind, connections: Connections, rate: f64, path: &str) -> Self {
        self.streams.push(Stream { kind, connections, rate, path: path.to_owned() });
        self
    }

    /// Refuses what is not bounded or not local.
    pub(crate) fn check(&self) -> Result<(), PlanError> {
        let past = |what, bound: String| Err(PlanError::PastBound { what, bound });
        if !self.target.ip().is_loopback() {
            return Err(PlanError::NotLoopback(self.target));
        }
        let rate: f64 = self.streams.iter().map(|stream| stream.rate).sum();
        if rate.is_nan() || rate <= 0.0 || self.streams.iter().any(|stream| stream.rate < 0.0) {
            return Err(PlanError::NoStreams);
        }
        if rate > RATE_MAX {
            return past("the sum of rates", format!("{RATE_MAX} a second"));
        }
        if self.duration > DURATION_MAX {
            return past("the duration", format!("{} s", DURATION_MAX.as_secs()));
        }
        if rate * self.duration.as_secs_f64() > REQUESTS_MAX as f64 {
            return past("the number of requests", REQUESTS_MAX.to_string());
        }
        if self.streams.iter().any(|s| matches!(s.connections, Connections::Kept(n) if n > CONNECTIONS_MAX || n == 0)) {
            return past("the number of kept connections", format!("1 to {CONNECTIONS_MAX}"));
        }
        if self.streams.iter().any(|stream| stream.kind.body_bytes() > BODY_MAX) {
            return past("a body", format!("{BODY_MAX} bytes"));
        }
        Ok(())
    }
}

impl Kind {
    /// Bytes sent or asked for as a body.
    fn body_bytes(self) -> usize {
        match self {
            Self::Get | Self::Pipeline { .. } | Self::WebSocket { .. } => 0,
            Self::Post { bytes }
            | Self::PostChunked { bytes }
            | Self::SlowUpload { bytes, .. }
            | Self::SlowDownload { bytes, .. } => bytes,
        }
    }

    /// How long the request takes by our own doing.
    pub(crate) fn own_slowness(self) -> Duration {
        match self {
            Self::Get | Self::Post { .. } | Self::PostChunked { .. } | Self::Pipeline { .. } => Duration::ZERO,
            Self::SlowUpload { over, .. } | Self::SlowDownload { over, .. } => over,
            Self::WebSocket { lifetime, .. } => lifetime,
        }
    }

    /// Its name in sums and incidents.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post { .. } => "post",
            Self::PostChunked { .. } => "post-chunked",
            Self::SlowUpload { .. } => "slow-upload",
            Self::SlowDownload { .. } => "slow-download",
            Self::Pipeline { .. } => "pipeline",
            Self::WebSocket { .. } => "websocket",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(target: &str) -> Plan {
        Plan::new(target.parse().unwrap()).with(Kind::Get, Connections::New, 10.0, "/")
    }

    #[test]
    fn only_loopback_targets_are_taken() {
        assert_eq!(plan("127.0.0.1:80").check(), Ok(()));
        assert_eq!(plan("[::1]:80").check(), Ok(()));
        let outside = "192.0.2.1:80".parse().unwrap();
        assert_eq!(plan("192.0.2.1:80").check(), Err(PlanError::NotLoopback(outside)));
    }

    #[test]
    fn every_number_has_a_bound() {
        let mut fast = plan("127.0.0.1:80");
        fast.streams[0].rate = RATE_MAX + 1.0;
        let mut long = plan("127.0.0.1:80");
        long.duration = DURATION_MAX * 2;
        let wide = plan("127.0.0.1:80").with(Kind::Get, Connections::Kept(CONNECTIONS_MAX + 1), 1.0, "/");
        let large = plan("127.0.0.1:80").with(Kind::Post { bytes: BODY_MAX + 1 }, Connections::New, 1.0, "/");
        for refused in [fast, long, wide, large] {
            assert!(matches!(refused.check(), Err(PlanError::PastBound { .. })), "{refused:?}");
        }
        assert_eq!(Plan::new("127.0.0.1:80".parse().unwrap()).check(), Err(PlanError::NoStreams));
    }
}
