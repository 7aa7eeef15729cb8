//! The ledger: every accepted request ends in exactly one terminal state, which says who is to blame when it failed.
//!
//! **Failed by us** is what the proxy answered or cut although no fault of the serving instance and none of the client explains it:
//! no instance to send to, a hold that was full or too long, bounds of our own, a drain that ran out, a proxy that ends. **Failed by
//! the service** is what an instance explains: it refused, closed, stalled, spoke no HTTP, or answered 5xx itself.

use gapless_histogram::Histogram;

/// The first digit of an answer's status.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StatusClass {
    /// 101: the connection became a tunnel, which ended later.
    Switched,
    /// 200 to 299.
    Success,
    /// 300 to 399.
    Redirection,
    /// 400 to 499.
    ClientError,
    /// 500 and above.
    ServerError,
}

impl StatusClass {
    /// The class of a final status (or 101).
    #[must_use]
    pub fn of(status: u16) -> StatusClass {
        match status {
            ..=199 => StatusClass::Switched,
            200..=299 => StatusClass::Success,
            300..=399 => StatusClass::Redirection,
            400..=499 => StatusClass::ClientError,
            500.. => StatusClass::ServerError,
        }
    }
}

/// Whose failure a terminal state is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Blame {
    /// It is no failure, or one that was asked for.
    Nobody,
    /// The client's: what it sent cannot be served.
    Client,
    /// The serving instance's.
    Service,
    /// Ours: lost, in the words of a receipt.
    Us,
}

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $key:literal, $status:literal, $blame:ident;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Every one, in the order of its index.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// Its name in reports, logs and metrics.
            #[must_use]
            pub fn key(self) -> &'static str {
                match self {
                    $($name::$variant => $key,)*
                }
            }

            /// The status that a client sees, or would see if the answer had not begun.
            #[must_use]
            pub fn status(self) -> u16 {
                match self {
                    $($name::$variant => $status,)*
                }
            }

            /// Whose failure it is.
            #[must_use]
            pub fn blame(self) -> Blame {
                match self {
                    $($name::$variant => Blame::$blame,)*
                }
            }
        }
    };
}

reasons!(
    /// Why the proxy answered itself.
    OurAnswer {
        /// The request is malformed or ambiguous (RFC 9112 §2.2, §6.3).
        BadRequest = "bad_request", 400, Client;
        /// Its head is longer than allowed.
        HeadTooLarge = "head_too_large", 431, Client;
        /// Its head or body did not come in time.
        ClientTooSlow = "client_too_slow", 408, Client;
        /// Its body is longer than allowed.
        BodyTooLarge = "body_too_large", 413, Client;
        /// No route holds its host and path.
        NoRoute = "no_route", 404, Client;
        /// It names a preview that is not there.
        NoPreview = "no_preview", 404, Client;
        /// A method, version or expectation that is not served.
        NotServed = "not_served", 501, Client;
        /// The service's fallback answer: what its operator wants said while no release has weight.
        Fallback = "fallback", 503, Nobody;
        /// The service's health path, asked for while its requests are held.
        HeldHealth = "held_health", 200, Nobody;
        /// No release of the service has weight, and it has no fallback answer.
        NoInstance = "no_instance", 503, Us;
        /// As many requests are held as may be.
        HoldFull = "hold_full", 503, Us;
        /// It was held for as long as may be.
        HoldTimeout = "hold_timeout", 503, Us;
        /// A bound of the proxy's own was reached.
        Overloaded = "overloaded", 503, Us;
        /// The proxy is going away.
        Quitting = "quitting", 503, Us;
        /// A bug of ours.
        Internal = "internal", 500, Us;
        /// No instance took the connection.
        ConnectFailed = "connect_failed", 502, Service;
        /// No instance took the connection in time.
        ConnectTimeout = "connect_timeout", 504, Service;
        /// The instance closed or reset the connection before its answer, and the request may not be sent again.
        InstanceClosed = "instance_closed", 502, Service;
        /// Its instance drained, the deadline for requests in flight passed, and the request may not be sent again.
        DrainDeadline = "drain_deadline", 503, Us;
        /// What the instance answered is not HTTP.
        InstanceMalformed = "instance_malformed", 502, Service;
        /// The instance did not answer in time.
        ResponseTimeout = "response_timeout", 504, Service;
    }
);

reasons!(
    /// Why an answer that had begun did not reach its end.
    CutReason {
        /// The instance closed or reset the connection in the middle.
        InstanceClosed = "instance_closed", 502, Service;
        /// The body of its answer is malformed.
        InstanceMalformed = "instance_malformed", 502, Service;
        /// The instance sent nothing for too long.
        InstanceStalled = "instance_stalled", 504, Service;
        /// The client took nothing, or sent nothing, for too long.
        ClientStalled = "client_stalled", 408, Client;
        /// The client's body turned out malformed.
        ClientMalformed = "client_malformed", 400, Client;
        /// Its instance drains, and the deadline for requests in flight passed.
        DrainDeadline = "drain_deadline", 503, Us;
        /// Its instance drains, and the deadline for tunnels passed: by policy, announced to the operator.
        TunnelDrainDeadline = "tunnel_drain_deadline", 503, Nobody;
        /// The proxy ended.
        Quitting = "quitting", 503, Us;
        /// A bug of ours.
        Internal = "internal", 500, Us;
    }
);

/// How a request ended. The release, where one answered, is that of the [`Series`](crate::Series) it is counted on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Terminal {
    /// A release answered, to the end.
    Answered(StatusClass),
    /// The client left before the end of its answer.
    ClientLeft,
    /// The proxy answered itself.
    AnsweredByUs(OurAnswer),
    /// An answer that had begun did not reach its end.
    Cut(CutReason),
}

const CLASSES: [StatusClass; 5] = [
    StatusClass::Switched,
    StatusClass::Success,
    StatusClass::Redirection,
    StatusClass::ClientError,
    StatusClass::ServerError,
];
const LEFT: usize = CLASSES.len();
const BY_US: usize = LEFT + 1;
const CUT: usize = BY_US + OurAnswer::ALL.len();

impl Terminal {
    /// How many there are: indices are below it.
    pub const COUNT: usize = CUT + CutReason::ALL.len();

    /// Its dense index, for arrays of counters. Stable within a build only: what is written down uses [`Terminal::key`].
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Terminal::Answered(class) => class as usize,
            Terminal::ClientLeft => LEFT,
            Terminal::AnsweredByUs(reason) => BY_US + reason as usize,
            Terminal::Cut(reason) => CUT + reason as usize,
        }
    }

    /// Every one, in the order of its index.
    pub fn all() -> impl Iterator<Item = Terminal> {
        let answered = CLASSES.into_iter().map(Terminal::Answered);
        let by_us = OurAnswer::ALL.iter().map(|reason| Terminal::AnsweredByUs(*reason));
        let cut = CutReason::ALL.iter().map(|reason| Terminal::Cut(*reason));
        answered.chain([Terminal::ClientLeft]).chain(by_us).chain(cut)
    }

    /// Its name in reports, logs and metrics, such as `2xx`, `by_us.no_route` or `cut.instance_closed`.
    #[must_use]
    pub fn key(self) -> String {
        match self {
            Terminal::Answered(StatusClass::Switched) => "101".into(),
            Terminal::Answered(class) => format!("{}xx", class as usize + 1),
            Terminal::ClientLeft => "client_left".into(),
            Terminal::AnsweredByUs(reason) => format!("by_us.{}", reason.key()),
            Terminal::Cut(reason) => format!("cut.{}", reason.key()),
        }
    }

    /// The terminal state of that name.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Terminal> {
        Terminal::all().find(|terminal| terminal.key() == key)
    }

    /// Whose failure it is.
    #[must_use]
    pub fn blame(self) -> Blame {
        match self {
            Terminal::Answered(StatusClass::ServerError) => Blame::Service,
            Terminal::Answered(StatusClass::ClientError) | Terminal::ClientLeft => Blame::Client,
            Terminal::Answered(_) => Blame::Nobody,
            Terminal::AnsweredByUs(reason) => reason.blame(),
            Terminal::Cut(reason) => reason.blame(),
        }
    }
}

/// The cumulative counts of one series, since the proxy (or its series) began.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeriesCounts {
    /// By [`Terminal::index`].
    pub terminals: [u64; Terminal::COUNT],
    /// Attempts after the first.
    pub retries: u64,
    /// Those of them that sent a body, or a part of it, a second time.
    pub replays: u64,
    /// Requests that waited in a hold.
    pub held: u64,
    /// The longest wait in a hold since the beginning, in microseconds.
    pub held_longest_us: u64,
    /// How long requests that were held waited.
    pub held_us: Histogram,
    /// From the end of a request's head to the end of its answer.
    pub latency_us: Histogram,
}

impl Default for SeriesCounts {
    fn default() -> Self {
        SeriesCounts {
            terminals: [0; Terminal::COUNT],
            retries: 0,
            replays: 0,
            held: 0,
            held_longest_us: 0,
            held_us: Histogram::default(),
            latency_us: Histogram::default(),
        }
    }
}

impl SeriesCounts {
    /// Counts one ended request.
    pub fn ended(&mut self, terminal: Terminal) {
        self.terminals[terminal.index()] += 1;
    }

    /// How many requests ended.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.terminals.iter().sum()
    }

    /// How many requests ended as somebody's failure.
    #[must_use]
    pub fn failed_by(&self, blame: Blame) -> u64 {
        let failed = Terminal::all().filter(|terminal| terminal.blame() == blame);
        failed.map(|terminal| self.terminals[terminal.index()]).sum()
    }

    /// How many requests a release answered to the end otherwise than by 5xx.
    #[must_use]
    pub fn answered_well(&self) -> u64 {
        let classes = CLASSES.into_iter().filter(|class| *class != StatusClass::ServerError);
        classes.map(|class| self.terminals[Terminal::Answered(class).index()]).sum()
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &SeriesCounts) {
        for (mine, theirs) in self.terminals.iter_mut().zip(&other.terminals) {
            *mine = mine.saturating_add(*theirs);
        }
        self.retries += other.retries;
        self.replays += other.replays;
        self.held += other.held;
        self.held_longest_us = self.held_longest_us.max(other.held_longest_us);
        self.held_us.merge(&other.held_us);
        self.latency_us.merge(&other.latency_us);
    }

    /// What came since an earlier reading of the same series. The longest wait is then that of the whole series if it was set
    /// in between, and else read from the histogram, a 32nd too long at most.
    #[must_use]
    pub fn since(&self, earlier: &SeriesCounts) -> SeriesCounts {
        let held_us = self.held_us.since(&earlier.held_us);
        let longest = match self.held_longest_us > earlier.held_longest_us {
            true => self.held_longest_us,
            false => held_us.longest_us().unwrap_or(0).min(self.held_longest_us),
        };
        SeriesCounts {
            terminals: std::array::from_fn(|at| self.terminals[at].saturating_sub(earlier.terminals[at])),
            retries: self.retries.saturating_sub(earlier.retries),
            replays: self.replays.saturating_sub(earlier.replays),
            held: self.held.saturating_sub(earlier.held),
            held_longest_us: longest,
            held_us,
            latency_us: self.latency_us.since(&earlier.latency_us),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn indices_are_dense_and_names_read_back() {
        let all: Vec<Terminal> = Terminal::all().collect();
        assert_eq!(all.len(), Terminal::COUNT);
        for (index, terminal) in all.iter().enumerate() {
            assert_eq!(terminal.index(), index, "{terminal:?}");
            assert_eq!(Terminal::from_key(&terminal.key()), Some(*terminal));
        }
        assert_eq!(all.iter().map(|terminal| terminal.key()).collect::<BTreeSet<_>>().len(), Terminal::COUNT);
        assert_eq!(Terminal::Answered(StatusClass::of(204)).key(), "2xx");
        assert_eq!(Terminal::Answered(StatusClass::of(101)).key(), "101");
    }

    #[test]
    fn who_failed_is_written_down() {
        let shown: Vec<String> =
            Terminal::all().map(|terminal| format!("{:?} {}", terminal.blame(), terminal.key())).collect();
        expect_test::expect![[r#"
            Nobody 101
            Nobody 2xx
            Nobody 3xx
            Client 4xx
            Service 5xx
            Client client_left
            Client by_us.bad_request
            Client by_us.head_too_large
            Client by_us.client_too_slow
            Client by_us.body_too_large
            Client by_us.no_route
            Client by_us.no_preview
            Client by_us.not_served
            Nobody by_us.fallback
            Nobody by_us.held_health
            Us by_us.no_instance
            Us by_us.hold_full
            Us by_us.hold_timeout
            Us by_us.overloaded
            Us by_us.quitting
            Us by_us.internal
            Service by_us.connect_failed
            Service by_us.connect_timeout
            Service by_us.instance_closed
            Us by_us.drain_deadline
            Service by_us.instance_malformed
            Service by_us.response_timeout
            Service cut.instance_closed
            Service cut.instance_malformed
            Service cut.instance_stalled
            Client cut.client_stalled
            Client cut.client_malformed
            Us cut.drain_deadline
            Nobody cut.tunnel_drain_deadline
            Us cut.quitting
            Us cut.internal"#]]
        .assert_eq(&shown.join("\n"));
    }

    #[test]
    fn two_readings_subtract_to_what_came_between() {
        let mut counts = SeriesCounts::default();
        counts.ended(Terminal::Answered(StatusClass::Success));
        counts.held_longest_us = 5_000;
        counts.held_us.record_us(5_000);
        let earlier = counts.clone();
        counts.ended(Terminal::Cut(CutReason::Quitting));
        counts.held_us.record_us(2_000);
        let recent = counts.since(&earlier);
        assert_eq!((recent.total(), recent.failed_by(Blame::Us)), (1, 1));
        assert!((2_000..2_250).contains(&recent.held_longest_us));
        let mut sum = earlier.clone();
        sum.merge(&recent);
        assert_eq!(sum, counts);
    }
}
