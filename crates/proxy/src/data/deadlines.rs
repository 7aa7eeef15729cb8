//! What is late of a client connection. Requests are judged by [`gapless_exchange::Bounds::due`]; here is what it is shown of the sockets, and what
//! there is beside requests: heads, idle connections, tunnels and last words.

use gapless_exchange::{self as exchange, Bounds, Sight, Upload};
use gapless_http1::Version;
use gapless_routing::{CutReason, OurAnswer};

use super::client::{Client, Output, Phase};
use super::drive::LINGER_MS;
use super::exchange::Exchange;
use super::progress::Taken;
use super::settings::Settings;
use super::slab::Slab;
use super::stream::Stream;
use super::tunnel::Ending;
use super::upstream::Upstream;

/// What is due for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// Close it; nobody loses anything.
    Close,
    /// Its head did not come in time.
    HeadTimeout,
    /// Something about its request.
    Exchange(exchange::Due),
    /// Something about the end of a tunnel.
    Tunnel,
    /// The client of a tunnel takes nothing.
    TunnelStalled,
}

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
    progress_ms: u64,
    now_ms: u64,
}

impl Side<'_> {
    fn still_ms(&mut self, most_ms: u64) -> u64 {
        self.taken.still_ms(self.stream, self.progress_ms, self.now_ms, most_ms)
    }

    /// Whether something is on its way to the client, and it has taken some of that within the time.
    fn is_taking(&mut self, within_ms: u64) -> bool {
        self.stream.unacknowledged().is_some_and(|bytes| bytes > 0) && self.still_ms(within_ms) <= within_ms
    }
}

/// A request's two connections, as the judge of its deadlines sees them.
struct Connections<'c, 's> {
    client: &'s mut Side<'c>,
    instance: Option<&'s Stream>,
    instance_took: &'s mut Taken,
    unsent: bool,
    upload: Upload,
    version: Version,
}

impl Sight for Connections<'_, '_> {
    fn has_output(&self) -> bool {
        !self.client.output.is_empty()
    }

    fn progress_ms(&self) -> u64 {
        self.client.progress_ms
    }

    fn client_still_ms(&mut self, most_ms: u64) -> u64 {
        self.client.still_ms(most_ms)
    }

    fn instance_still_ms(&mut self, most_ms: u64) -> u64 {
        let Some(stream) = self.instance else { return 0 };
        self.instance_took.still_ms(stream, self.client.progress_ms, self.client.now_ms, most_ms)
    }

    fn is_unsent(&self) -> bool {
        self.unsent
    }

    fn upload(&self) -> Upload {
        self.upload
    }

    fn client_has_ended(&self) -> bool {
        self.client.stream.is_ended()
    }

    fn client_can_be_asked(&self) -> bool {
        self.version == Version::Http11
    }

    fn client_owes_acknowledgement(&self) -> bool {
        self.client.stream.unacknowledged().is_some_and(|bytes| bytes > 0)
    }
}

impl Deadlines<'_> {
    /// What is due for a connection now. Notes on the way how far its peers have come.
    pub(super) fn due(self, client: &mut Client) -> Due {
        let Client { phase, stream, output, taken, progress_ms, head_began_ms, .. } = client;
        let side = &mut Side { stream, output, taken, progress_ms: *progress_ms, now_ms: self.now_ms };
        match phase {
            Phase::Waiting => self.waiting(side, *head_began_ms),
            Phase::Exchange(_) if self.cut => {
                Due::Exchange(exchange::Due::Late(OurAnswer::Quitting, CutReason::Quitting))
            }
            Phase::Exchange(exchange) => match self.exchange(side, exchange) {
                exchange::Due::Nothing => Due::Nothing,
                due => Due::Exchange(due),
            },
            Phase::Tunnel(tunnel) if self.cut && !matches!(tunnel.ending, Ending::Asked(_) | Ending::Told(_)) => {
                Due::Tunnel
            }
            Phase::Tunnel(tunnel) if tunnel.is_due(self.now_ms) => Due::Tunnel,
            Phase::Tunnel(tunnel) => {
                let policy = tunnel.exchange.core.policy();
                let most_ms = policy.map_or(self.settings.write_stall_ms, |policy| policy.idle_timeout.0);
                let stalled = !side.output.is_empty() && side.still_ms(most_ms) > most_ms;
                if stalled { Due::TunnelStalled } else { Due::Nothing }
            }
            Phase::Lingering { until_ms, .. } if self.now_ms < *until_ms => Due::Nothing,
            Phase::Lingering { .. } if !self.cut && side.is_taking(LINGER_MS) => Due::Nothing,
            Phase::Lingering { .. } => Due::Close,
        }
    }

    fn waiting(self, side: &mut Side<'_>, head_began_ms: Option<u64>) -> Due {
        match head_began_ms {
            Some(began_ms) if self.cut || self.now_ms.saturating_sub(began_ms) > self.settings.head_timeout_ms => {
                Due::HeadTimeout
            }
            Some(_) => Due::Nothing,
            None if self.cut => Due::Close,
            None if self.now_ms.saturating_sub(side.progress_ms) <= self.settings.keep_alive_ms => Due::Nothing,
            // Its last answer is still on its way: it is not idle.
            None if side.is_taking(self.settings.write_stall_ms) => Due::Nothing,
            None => Due::Close,
        }
    }

    fn exchange(self, client: &mut Side<'_>, exchange: &mut Exchange) -> exchange::Due {
        let bounds = Bounds {
            now_ms: self.now_ms,
            write_stall_ms: self.settings.write_stall_ms,
            body_grace_ms: self.settings.body_grace_ms,
        };
        let (unsent, upload) = (exchange.is_unsent(), exchange.upload());
        let Exchange { core, asked, instance_took, .. } = exchange;
        let upstream = core.attempt().and_then(|attempt| self.upstreams.get(attempt.carrier()));
        let instance = upstream.map(|upstream| &upstream.stream);
        let sight = &mut Connections { client, instance, instance_took, unsent, upload, version: asked.version };
        bounds.due(core, sight)
    }
}
