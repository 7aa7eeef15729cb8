//! What the two sides tell each other.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use gapless_model::{Health, InstanceId, Millis, ReleaseId, ServiceName, TableVersion};
use gapless_routing::Table;

use super::record::AccessRecord;
use crate::data::Settings;

/// An order to one worker thread.
#[derive(Debug)]
pub enum Command {
    /// Route by this table from the next request on. Older versions than the one in use are ignored.
    Install(Arc<Table>),
    /// Accept connections from this listening socket too. It is made non-blocking.
    Listen(TcpListener),
    /// Close every listening socket of the thread. Connections that were accepted go on.
    StopListening,
    /// The active probe of an instance changed its mind.
    SetHealth {
        /// Which instance.
        instance: InstanceId,
        /// What it is now.
        health: Health,
    },
    /// Go by these settings from now on, and write access records there.
    Settings {
        /// All of them.
        settings: Arc<Settings>,
        /// Where records go; none when no access log is asked for.
        records: Option<SyncSender<AccessRecord>>,
    },
    /// One of the threads has seen an instance of this release send bytes behind an answer: ask each of them one request per connection.
    DistrustFraming {
        /// Whose release.
        service: ServiceName,
        /// Which.
        release: ReleaseId,
    },
    /// Begin to move the tunnels of an instance away: all are ended within this time, spread over it. Without this order
    /// the time of the service's traffic policy holds, from the table on that no longer has the instance.
    DrainTunnels {
        /// Which instance.
        instance: InstanceId,
        /// From now on.
        within: Millis,
    },
    /// The proxy goes away: stop accepting, answer each next request with `Connection: close`, end tunnels within the
    /// time. When the time is up, what is left is cut. Reports [`Event::Drained`] when nothing is left.
    Drain {
        /// From now on.
        within: Millis,
    },
    /// End the thread now. What it still serves is cut.
    Stop,
}

/// News from a worker thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The thread routes by this table now.
    Applied(TableVersion),
    /// The thread stopped choosing an instance because of what requests met there.
    Ejected {
        /// Which instance.
        instance: InstanceId,
        /// Which ejection it is since the instance last stood well, from 1.
        number: u32,
    },
    /// The thread chooses the instance again.
    Readmitted {
        /// Which instance.
        instance: InstanceId,
    },
    /// An instance sends bytes behind its answers. The thread asks it one request per connection from now on, and the others should.
    OutOfStep {
        /// Which instance.
        instance: InstanceId,
    },
    /// Every instance of a service is unhealthy or ejected: all are used again, rather than none.
    Panicked {
        /// Which service.
        service: ServiceName,
    },
    /// The answer to [`Command::Drain`]: this thread serves nothing any more.
    Drained,
}
