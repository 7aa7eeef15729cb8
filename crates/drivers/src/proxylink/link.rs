//! One connection to one proxy: orders go in, events come out.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gapless_model::{ControllerId, Epoch, Health, InstanceId, Millis, TableVersion, Term};
use gapless_routing::{ProxyId, TableSpec};
use gapless_wire::control::frame::{FDS_MAX, encode};
use gapless_wire::control::{FromProxy, Hello, ProxyHello, ReportDoc, SealedTable, SettingsDoc, ToProxy};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::address::ControlAddress;
use super::listen::Listening;
use super::socket::{FrameReader, FrameWriter, PeerRefused, check_peer, split};

/// Orders that may wait to be sent: far more than a controller has at once.
const ORDERS_MAX: usize = 64;

/// Events that may wait to be taken; beyond them the proxy's own bounds apply.
const EVENTS_MAX: usize = 256;

/// From one attempt to connect to the next.
const RETRY: Duration = Duration::from_millis(20);

/// Why there is no connection, or no longer one.
#[derive(Debug, thiserror::Error)]
pub enum LinkFailed {
    /// Nobody listened on the socket in time.
    #[error("no proxy listens on {path:?}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The last attempt.
        #[source]
        source: io::Error,
    },
    /// Somebody else did.
    #[error("the proxy's socket is not ours")]
    Peer(#[from] PeerRefused),
    /// It could not be connected to.
    #[error("the proxy at {address} cannot be connected to")]
    Unreachable {
        /// Its control socket.
        address: ControlAddress,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It did not introduce itself in time.
    #[error("the proxy did not introduce itself")]
    Silent,
    /// It speaks a protocol that is too far from ours.
    #[error("the proxy speaks protocol {theirs}")]
    Protocol {
        /// Its number.
        theirs: u32,
    },
    /// It obeys a newer controller, or another of the same epoch (I5).
    #[error("the proxy obeys another controller, of epoch {epoch}")]
    Fenced {
        /// The newest it has seen.
        epoch: Epoch,
    },
    /// The connection broke.
    #[error("the connection to the proxy broke")]
    Broken(#[source] io::Error),
    /// The connection is closed.
    #[error("the connection to the proxy is closed")]
    Closed,
    /// A table cannot be written.
    #[error("the table cannot be written")]
    Table(#[source] gapless_wire::control::SealBroken),
}

/// What a proxy tells.
#[derive(Debug)]
pub enum ProxyEvent {
    /// Every thread uses this table.
    Applied(TableVersion),
    /// It did not take a table, and keeps the one before.
    Refused {
        /// Which, as far as it could be read.
        version: Option<TableVersion>,
        /// Why, for people.
        reason: String,
    },
    /// Counts, health, requests in flight.
    Report(ReportDoc),
    /// Copies of all its listening sockets.
    Listeners(Vec<Listening>),
    /// Something an operator should know.
    Notice(String),
    /// It was told to end, and serves on until it may drain.
    Leaving,
    /// Nothing is left to drain: it exits.
    Drained,
    /// The answer to [`ProxyLink::ping`].
    Pong(u64),
    /// The connection ended; the last event.
    Closed(LinkFailed),
}

/// The sending half. Cheap to clone; the connection ends when all clones are dropped.
#[derive(Clone, Debug)]
pub struct ProxyLink {
    hello: std::sync::Arc<ProxyHello>,
    controller: Option<ControllerId>,
    orders: mpsc::Sender<Order>,
}

/// The receiving half.
#[derive(Debug)]
pub struct ProxyEvents {
    events: mpsc::Receiver<ProxyEvent>,
}

#[derive(Debug)]
struct Order {
    frame: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl ProxyEvents {
    /// The next event; none after [`ProxyEvent::Closed`].
    pub async fn next(&mut self) -> Option<ProxyEvent> {
        self.events.recv().await
    }
}

impl ProxyLink {
    /// Connects as the controller of a term to a proxy of our own user, trying until the proxy listens or the time is up.
    ///
    /// # Errors
    /// [`LinkFailed`].
    pub async fn connect(path: &Path, term: &Term, within: Duration) -> Result<(ProxyLink, ProxyEvents), LinkFailed> {
        let until = Instant::now() + within;
        let stream = connect(path, until).await?;
        ProxyLink::over(stream, term, until.saturating_duration_since(Instant::now())).await
    }

    /// Introduces ourselves as the controller of a term over a connection whose other end was made sure of, and hears who is there.
    ///
    /// # Errors
    /// [`LinkFailed`].
    pub async fn over(
        stream: UnixStream,
        term: &Term,
        within: Duration,
    ) -> Result<(ProxyLink, ProxyEvents), LinkFailed> {
        let (first, mut reader, writer) = introduce(stream, term, Instant::now() + within).await?;
        let hello = match first {
            Some(FromProxy::Hello(hello)) if hello.hello.speaks() => hello,
            Some(FromProxy::Hello(hello)) => return Err(LinkFailed::Protocol { theirs: hello.hello.protocol }),
            Some(FromProxy::Fenced { epoch, .. }) => return Err(LinkFailed::Fenced { epoch: Epoch(epoch) }),
            Some(_) => return Err(LinkFailed::Silent),
            None => return Err(LinkFailed::Closed),
        };
        let (orders, ordered) = mpsc::channel(ORDERS_MAX);
        let (heard, events) = mpsc::channel(EVENTS_MAX);
        let writing = tokio::spawn(write(writer, ordered));
        tokio::spawn(async move {
            let end = read(&mut reader, &heard).await;
            writing.abort();
            let _gone = heard.send(ProxyEvent::Closed(end)).await;
        });
        let controller = term.controller.clone();
        Ok((ProxyLink { hello: hello.into(), controller, orders }, ProxyEvents { events }))
    }

    /// Asks whom a proxy of our own user obeys. The socket is tried once: what a dead proxy left of it is not waited for.
    ///
    /// # Errors
    /// [`LinkFailed`]; [`LinkFailed::Connect`] where nobody listens.
    pub async fn ask_whom_it_obeys(path: &Path, within: Duration) -> Result<Term, LinkFailed> {
        ProxyLink::ask_over(connect(path, Instant::now()).await?, within).await
    }

    /// Asks whom a proxy obeys, without becoming its controller: nothing changes by it, also for a controller that is connected.
    ///
    /// # Errors
    /// [`LinkFailed`].
    pub async fn ask_over(stream: UnixStream, within: Duration) -> Result<Term, LinkFailed> {
        let nobody = Term::default();
        let (first, _reader, _writer) = introduce(stream, &nobody, Instant::now() + within).await?;
        match first {
            Some(FromProxy::Fenced { epoch, controller }) => {
                let controller = controller.and_then(|text| ControllerId::new(&text).ok());
                Ok(Term { epoch: Epoch(epoch), controller })
            }
            // A proxy of an earlier release that has obeyed nobody yet.
            Some(FromProxy::Hello(_)) => Ok(nobody),
            Some(_) => Err(LinkFailed::Silent),
            None => Err(LinkFailed::Closed),
        }
    }

    /// How the proxy introduced itself.
    #[must_use]
    pub fn hello(&self) -> &ProxyHello {
        &self.hello
    }

    /// Which life of which proxy this is.
    #[must_use]
    pub fn id(&self) -> ProxyId {
        ProxyId(self.hello.proxy.clone())
    }

    /// The table that every thread of it used when it introduced itself.
    #[must_use]
    pub fn applied(&self) -> Option<TableVersion> {
        self.hello.applied.map(TableVersion::from)
    }

    /// Sends a table; [`ProxyEvent::Applied`] or [`ProxyEvent::Refused`] answers.
    ///
    /// # Errors
    /// [`LinkFailed::Closed`] or [`LinkFailed::Table`].
    pub async fn publish(&self, table: &TableSpec) -> Result<(), LinkFailed> {
        let table = SealedTable::seal_by(table, self.controller.as_ref()).map_err(LinkFailed::Table)?;
        self.order(&ToProxy::Table { table }, Vec::new()).await
    }

    /// Lends listening sockets, in as many messages as it takes. The proxy gets copies; ours stay open.
    ///
    /// # Errors
    /// [`LinkFailed::Closed`], or [`LinkFailed::Broken`] when a socket cannot be copied.
    pub async fn lend_listeners(&self, listeners: &[Listening]) -> Result<(), LinkFailed> {
        for part in listeners.chunks(FDS_MAX) {
            let copy = |listening: &Listening| listening.socket.as_fd().try_clone_to_owned();
            let descriptors = part.iter().map(copy).collect::<io::Result<_>>().map_err(LinkFailed::Broken)?;
            let addresses = part.iter().map(|listening| listening.address.to_string()).collect();
            self.order(&ToProxy::Listeners { addresses }, descriptors).await?;
        }
        Ok(())
    }

    /// Whether the proxy can do this; the names are in `gapless_wire::control::feature`.
    #[must_use]
    pub fn can(&self, feature: &str) -> bool {
        self.hello.hello.can(feature)
    }

    /// Asks for copies of the proxy's listening sockets: what a returning controller does. [`ProxyEvent::Listeners`] answers.
    ///
    /// # Errors
    /// [`LinkFailed::Closed`].
    pub async fn ask_listeners(&self) -> Result<(), LinkFailed> {
        self.order(&ToProxy::GiveListeners, Vec::new()).await
    }

    /// Has the proxy close its sockets of these addresses.
    ///
    /// # Errors
    /// [`LinkFailed::Closed`].
    pub async fn close_listeners(&self, addresses: &[SocketAddr]) -> Result<(), LinkFailed> {
        let addresses = addresses.iter().map(SocketAddr::to_string).collect();
        self.order(&ToProxy::CloseListeners { addresses }, Vec::new()).await
    }

    /// Tells what is known of an instance's health, before the proxy's own probes find out.
    ///
    /// # Errors
    /// [`LinkFailed::Closed`].
    pub async fn set_health(&self, instance: &InstanceId, health: Health) -> Result<(), LinkFailed> {
        self.order(&ToProxy::Health { instance: instance.to_string(), health: health.into() }, Vec::new()).await
    }

    /// Ends the tunnels of an instance, spread over this time.
    ///
    /// # Errors
    /// [`LinkFailed::Closed`].
    pub async fn drain_tunnels(&self, instance: &InstanceId, within: Millis) -> Result<(), LinkFailed> {
        self.order(&ToProxy::DrainTunnels { instance: instance.to_string(), within_ms: within.0 }, Vec::new()).await
    }

    /// Has the proxy go away when what it serves has ended, or this time has passed. [`ProxyEvent::Drained`] answers.
    ///
    /// # Errors
    /// [`LinkFailed::Closed`].
    pub async fn drain(&self, within: Millis) -> Result<(), LinkFailed> {
        self.order(&ToProxy::Drain { within_ms: within.0 }, Vec::new()).await
    }

    /// Has the proxy exit at once; what it serves is cut.
    ///
    /// # Errors
    /// [`LinkFailed::Closed`].
    pub async fn quit(&self) -> Result<(), LinkFailed> {
        self.order(&ToProxy::Quit, Vec::new()).await
    }

    /// Has the proxy go by these settings from now on.
    ///
    /// # Errors
    /// [`LinkFailed::Closed`].
    pub async fn set(&self, settings: &SettingsDoc) -> Result<(), LinkFailed> {
        self.order(&ToProxy::Settings { settings: settings.clone() }, Vec::new()).await
    }

    /// Asks for a report now. A [`ProxyEvent::Report`] that names this number answers.
    ///
    /// # Errors
    /// [`LinkFailed::Closed`].
    pub async fn ask_report(&self, number: u64) -> Result<(), LinkFailed> {
        self.order(&ToProxy::Report { number }, Vec::new()).await
    }

    /// Asks whether it is there. [`ProxyEvent::Pong`] answers.
    ///
    /// # Errors
    /// [`LinkFailed::Closed`].
    pub async fn ping(&self, number: u64) -> Result<(), LinkFailed> {
        self.order(&ToProxy::Ping { number }, Vec::new()).await
    }

    async fn order(&self, message: &ToProxy, descriptors: Vec<OwnedFd>) -> Result<(), LinkFailed> {
        let invalid = |error| LinkFailed::Broken(io::Error::new(io::ErrorKind::InvalidData, error));
        let frame = encode(message).map_err(invalid)?;
        self.orders.send(Order { frame, descriptors }).await.map_err(|_| LinkFailed::Closed)
    }
}

/// Connects to a proxy of our own user.
async fn connect(path: &Path, until: Instant) -> Result<UnixStream, LinkFailed> {
    let stream = loop {
        match UnixStream::connect(path) {
            Ok(stream) => break stream,
            Err(source) if Instant::now() >= until => {
                return Err(LinkFailed::Connect { path: path.to_owned(), source });
            }
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    };
    check_peer(&stream)?;
    Ok(stream)
}

/// Says in whose name; the proxy's first word.
async fn introduce(
    stream: UnixStream,
    term: &Term,
    answer_until: Instant,
) -> Result<(Option<FromProxy>, FrameReader, FrameWriter), LinkFailed> {
    let (mut reader, mut writer) = split(stream).map_err(LinkFailed::Broken)?;
    let controller = term.controller.as_ref().map(ToString::to_string);
    let hello = ToProxy::Hello { hello: Hello::ours(), epoch: term.epoch.0, controller };
    writer.send(&hello, &[]).await.map_err(LinkFailed::Broken)?;
    let first = tokio::time::timeout_at(answer_until, reader.message()).await.map_err(|_| LinkFailed::Silent)?;
    Ok((first.map_err(LinkFailed::Broken)?, reader, writer))
}

async fn write(mut writer: FrameWriter, mut orders: mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        let descriptors: Vec<_> = order.descriptors.iter().map(AsFd::as_fd).collect();
        if writer.send_encoded(&order.frame, &descriptors).await.is_err() {
            return; // the reader sees the same end, and tells it
        }
    }
    writer.finish();
}

async fn read(reader: &mut FrameReader, heard: &mpsc::Sender<ProxyEvent>) -> LinkFailed {
    let mut listeners = Vec::new();
    loop {
        let message = match reader.message::<FromProxy>().await {
            Ok(Some(message)) => message,
            Ok(None) => return LinkFailed::Closed,
            Err(error) => return LinkFailed::Broken(error),
        };
        let event = match message {
            FromProxy::Applied { version } => ProxyEvent::Applied(version.into()),
            FromProxy::Refused { version, reason } => {
                ProxyEvent::Refused { version: version.map(TableVersion::from), reason }
            }
            FromProxy::Report(report) => ProxyEvent::Report(report),
            FromProxy::Listeners { addresses, parts_left } => {
                match received(reader, &addresses) {
                    Ok(part) => listeners.extend(part),
                    Err(error) => return LinkFailed::Broken(error),
                }
                if parts_left > 0 {
                    continue;
                }
                ProxyEvent::Listeners(std::mem::take(&mut listeners))
            }
            FromProxy::Notice { text } => ProxyEvent::Notice(text),
            FromProxy::Leaving => ProxyEvent::Leaving,
            FromProxy::Drained => ProxyEvent::Drained,
            FromProxy::Pong { number } => ProxyEvent::Pong(number),
            FromProxy::Fenced { epoch, .. } => return LinkFailed::Fenced { epoch: Epoch(epoch) },
            FromProxy::Hello(_) | FromProxy::Unknown => continue,
        };
        if heard.send(event).await.is_err() {
            return LinkFailed::Closed;
        }
    }
}

/// The listening sockets of one message. A name that is no address, or a socket that does not listen there, is a broken proxy.
fn received(reader: &mut FrameReader, addresses: &[String]) -> io::Result<Vec<Listening>> {
    let descriptors = reader.descriptors(addresses.len())?;
    let mut listeners = Vec::with_capacity(addresses.len());
    for (address, descriptor) in addresses.iter().zip(descriptors) {
        let address: SocketAddr = address.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let socket = TcpListener::from(descriptor);
        if socket.local_addr()? != address {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a listening socket has another address than its name",
            ));
        }
        listeners.push(Listening { address, socket });
    }
    Ok(listeners)
}
