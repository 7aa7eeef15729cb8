//! The proxy on this machine: started when it is not there, found again when it is, lent the listening sockets, told every table.
//!
//! **Invariant X1**: the listening sockets stay open here as well; a proxy that dies refuses nobody, connections wait for the next one.
//! **Invariant X2**: a controller that knows no service sends no table to a proxy that uses one: unknown is not empty (I8).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gapless_drivers::proxylink::{
    LinkFailed, ListenFailed, Listening, ProxyCommand, ProxyEvent, ProxyEvents, ProxyLink, SpawnFailed, open_listeners,
    spawn_proxy,
};
use gapless_model::{TableVersion, Term};
use gapless_routing::ProxyId;
use gapless_wire::api::in_one_line;
use gapless_wire::control::ReportDoc;
use tokio::sync::watch;

use crate::shared::{End, Shared};

/// The proxy's control socket in the state folder.
pub const SOCKET: &str = "proxy.sock";
/// What the proxy says, in the state folder.
const LOG: &str = "proxy.log";
/// How long a proxy that is there may take to answer at the start.
const FIND_WITHIN: Duration = Duration::from_millis(150);
/// How long a proxy that was just started may take to listen.
const START_WITHIN: Duration = Duration::from_secs(10);
/// The longest wait between two attempts to start one.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long a proxy may take to hand out copies of its sockets.
const GIVE_WITHIN: Duration = Duration::from_secs(5);

/// The control sockets at which proxies of earlier terms may listen: whoever takes the journal up asks each whom it obeys.
pub fn sockets(state: &std::path::Path) -> Vec<PathBuf> {
    vec![state.join(SOCKET)]
}

/// The files in which proxies keep their last tables: whoever takes the journal up looks for what they name.
pub fn kept_tables(state: &std::path::Path) -> Vec<PathBuf> {
    ["table.json", "table.json.prev"].iter().map(|name| state.join(name)).collect()
}

/// What is known of the proxy.
#[derive(Debug)]
pub struct ProxyView {
    /// The connection, while there is one.
    pub link: Option<ProxyLink>,
    /// Its life, also after the connection has ended.
    pub id: Option<ProxyId>,
    /// Its process.
    pub pid: Option<u32>,
    /// Its last report.
    pub last: Option<ReportDoc>,
    /// The newest table that it said it uses.
    pub applied: Option<TableVersion>,
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
    /// Rises with every report.
    pub reports: watch::Sender<u64>,
    /// What went wrong last, for people.
    pub trouble: Option<String>,
}

impl Default for ProxyView {
    fn default() -> ProxyView {
        ProxyView {
            link: None,
            id: None,
            pid: None,
            last: None,
            applied: None,
            addresses: Vec::new(),
            reports: watch::Sender::new(0),
            trouble: None,
        }
    }
}

impl ProxyView {
    /// An address of the proxy at which the controller itself reaches it.
    #[must_use]
    pub fn reachable_at(&self) -> Option<SocketAddr> {
        let address = *self.addresses.first()?;
        let ip = match address.ip() {
            std::net::IpAddr::V4(ip) if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Some(SocketAddr::new(ip, address.port()))
    }
}

/// Why there is no proxy at the start.
#[derive(Debug, thiserror::Error)]
pub enum ProxyUnavailable {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenFailed),
    /// Its process cannot be started.
    #[error(transparent)]
    Spawn(#[from] SpawnFailed),
    /// It cannot be spoken to.
    #[error(transparent)]
    Link(#[from] LinkFailed),
}

/// The connection that the start made, with what came by it.
#[derive(Debug)]
pub struct Found {
    link: ProxyLink,
    events: ProxyEvents,
    /// What came while the listening sockets were waited for. A proxy's first report has every count it has; later ones only what changed.
    early: Vec<ProxyEvent>,
}

/// How a proxy is started and found.
#[derive(Clone, Debug)]
pub struct Place {
    /// The state folder.
    pub state: PathBuf,
    /// This program.
    pub gapless: PathBuf,
    /// Its worker threads.
    pub threads: usize,
    /// More arguments of the verb `proxy`.
    pub arguments: Vec<std::ffi::OsString>,
}

impl Place {
    fn socket(&self) -> PathBuf {
        self.state.join(SOCKET)
    }

    fn command(&self) -> ProxyCommand {
        let mut arguments: Vec<std::ffi::OsString> = vec![
            "--state".into(),
            self.state.clone().into(),
            "proxy".into(),
            "--control".into(),
            self.socket().into(),
            "--threads".into(),
            self.threads.to_string().into(),
        ];
        arguments.extend(self.arguments.iter().cloned());
        ProxyCommand { program: self.gapless.clone(), arguments, log: self.state.join(LOG) }
    }

    /// Connects to the proxy that is there, or to none.
    ///
    /// # Errors
    /// Any failure but that nobody is there.
    pub async fn find(&self, term: &Term) -> Result<Option<Found>, ProxyUnavailable> {
        match ProxyLink::connect(&self.socket(), term, FIND_WITHIN).await {
            Ok((link, events)) => Ok(Some(Found { link, events, early: Vec::new() })),
            Err(LinkFailed::Connect { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn start(&self, term: &Term) -> Result<Found, ProxyUnavailable> {
        let mut child = spawn_proxy(&self.command())?;
        tracing::info!(pid = child.id(), "started a proxy");
        let socket = self.socket();
        let connecting = ProxyLink::connect(&socket, term, START_WITHIN);
        let connected = tokio::select! {
            connected = connecting => connected,
            // Its own log says why; without it there is nobody to wait for.
            _ended = child.wait() => ProxyLink::connect(&socket, term, FIND_WITHIN).await,
        };
        let (link, events) = connected?;
        tokio::spawn(async move { child.wait().await });
        Ok(Found { link, events, early: Vec::new() })
    }
}

/// The listening sockets: those that the proxy has are taken back, the others are opened.
///
/// # Errors
/// When an address cannot be listened on.
pub async fn listeners(
    wanted: &[SocketAddr],
    threads: usize,
    found: Option<&mut Found>,
) -> Result<Vec<Listening>, ProxyUnavailable> {
    let mut have = Vec::new();
    if let Some(found) = found
        && !found.link.hello().listeners.is_empty()
    {
        found.link.ask_listeners().await?;
        let given = async {
            while let Some(event) = found.events.next().await {
                match event {
                    ProxyEvent::Listeners(given) => return given,
                    other => found.early.push(other),
                }
            }
            Vec::new()
        };
        have = tokio::time::timeout(GIVE_WITHIN, given).await.map_err(|_| LinkFailed::Silent)?;
    }
    let mut listeners = Vec::new();
    for address in wanted {
        let (mine, others): (Vec<_>, Vec<_>) = have.into_iter().partition(|listening| {
            listening.address == *address || (address.port() == 0 && listening.address.ip() == address.ip())
        });
        have = others;
        match mine.is_empty() {
            true => listeners.extend(open_listeners(*address, threads)?),
            false => listeners.extend(mine),
        }
    }
    Ok(listeners)
}

/// Keeps a proxy there until the controller ends.
pub async fn keep(shared: Arc<Shared>, place: Place, listeners: Vec<Listening>, mut found: Option<Found>) {
    let term = shared.core().term().clone();
    let mut pause = Duration::from_millis(20);
    shared.proxy().addresses = addresses(&listeners);
    loop {
        let connected = match found.take() {
            Some(found) => Ok(found),
            None => match place.find(&term).await {
                Ok(Some(found)) => Ok(found),
                Ok(None) => {
                    gone(&shared);
                    place.start(&term).await
                }
                Err(error) => Err(error),
            },
        };
        let failed = match connected {
            Ok(found) => {
                pause = Duration::from_millis(20);
                serve(&shared, &listeners, found).await
            }
            Err(ProxyUnavailable::Link(failed)) => failed,
            Err(error) => {
                trouble(&shared, &error);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
                continue;
            }
        };
        if let LinkFailed::Fenced { .. } = &failed {
            return shared.end_with(End::Superseded(failed.to_string()));
        }
        if !shared.is_acting() {
            return;
        }
        trouble(&shared, &failed);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// One connection, from its begin to its end.
async fn serve(shared: &Arc<Shared>, listeners: &[Listening], found: Found) -> LinkFailed {
    let Found { link, mut events, early } = found;
    let id = link.id();
    let another_life = shared.proxy().id.as_ref().is_some_and(|known| *known != id);
    if another_life {
        gone(shared);
    }
    {
        let mut view = shared.proxy();
        view.id = Some(id.clone());
        view.pid = Some(link.hello().pid);
        view.applied = link.applied();
        view.trouble = None;
    }
    shared.proxy().link = Some(link.clone());
    tracing::info!(proxy = %id, pid = link.hello().pid, applied = ?link.applied(), "connected to the proxy");
    for event in early {
        match event {
            ProxyEvent::Closed(failed) => return disconnected(shared, failed),
            event => heard(shared, &id, event),
        }
    }
    // The table first: a proxy that was just started has perhaps only one of long ago.
    let mut sent = None;
    let told = match send_table(shared, &link, &mut sent).await {
        Ok(()) => equip(&link, listeners).await,
        Err(failed) => Err(failed),
    };
    if let Err(failed) = told {
        return disconnected(shared, failed);
    }
    loop {
        if let Err(failed) = send_table(shared, &link, &mut sent).await {
            return disconnected(shared, failed);
        }
        tokio::select! {
            event = events.next() => match event {
                Some(ProxyEvent::Closed(failed)) => return disconnected(shared, failed),
                Some(event) => heard(shared, &id, event),
                None => return disconnected(shared, LinkFailed::Closed),
            },
            () = shared.tables.notified() => {}
        }
    }
}

/// Lends what the proxy lacks and takes away what is not wanted any more.
async fn equip(link: &ProxyLink, listeners: &[Listening]) -> Result<(), LinkFailed> {
    let has: Vec<SocketAddr> = link.hello().listeners.iter().filter_map(|text| text.parse().ok()).collect();
    let lacking: Vec<Listening> = listeners
        .iter()
        .filter(|listening| !has.contains(&listening.address))
        .map(|listening| {
            let socket = listening.socket.try_clone().map_err(LinkFailed::Broken)?;
            Ok(Listening { address: listening.address, socket })
        })
        .collect::<Result<_, LinkFailed>>()?;
    if !lacking.is_empty() {
        link.lend_listeners(&lacking).await?;
    }
    let wanted = addresses(listeners);
    let unwanted: Vec<SocketAddr> = has.into_iter().filter(|address| !wanted.contains(address)).collect();
    if !unwanted.is_empty() {
        link.close_listeners(&unwanted).await?;
    }
    Ok(())
}

/// Sends the newest table if this connection has not seen it.
async fn send_table(shared: &Arc<Shared>, link: &ProxyLink, sent: &mut Option<TableVersion>) -> Result<(), LinkFailed> {
    let table = {
        let mut core = shared.core();
        if core.services().is_empty() && link.applied().is_some() {
            return Ok(());
        }
        let _ = core.publication.next_table();
        if *sent == Some(core.publication.version()) {
            return Ok(());
        }
        core.publication.table()
    };
    *sent = Some(table.version);
    link.publish(&table).await
}

fn heard(shared: &Arc<Shared>, id: &ProxyId, event: ProxyEvent) {
    match event {
        ProxyEvent::Applied(version) => {
            shared.proxy().applied = Some(version);
            let _ = shared.act(|core| {
                let news = core.publication.applied(id, version);
                core.heard(news)
            });
        }
        ProxyEvent::Report(report) => {
            let in_flight = match report.in_flight() {
                Ok(in_flight) => in_flight,
                Err(error) => return tracing::warn!(%error, "a report of the proxy cannot be read"),
            };
            let version = TableVersion::from(report.applied);
            let _ = shared.act(|core| {
                core.counted(id, &report);
                let news = core.publication.reported(id, version, in_flight);
                core.heard(news)
            });
            let mut view = shared.proxy();
            view.applied = Some(version);
            view.last = Some(report);
            view.reports.send_modify(|count| *count += 1);
        }
        ProxyEvent::Refused { version, reason } => {
            tracing::error!(?version, reason, "the proxy refused a table; it goes on with the one before");
            shared.proxy().trouble = Some(format!("it refused a table: {reason}"));
        }
        ProxyEvent::Notice(text) => tracing::warn!(text, "the proxy says"),
        ProxyEvent::Listeners(_) | ProxyEvent::Drained | ProxyEvent::Pong(_) | ProxyEvent::Closed(_) => {}
    }
}

fn disconnected(shared: &Arc<Shared>, failed: LinkFailed) -> LinkFailed {
    shared.proxy().link = None;
    failed
}

/// The process of the last proxy is known to be gone, with all it had in flight.
fn gone(shared: &Arc<Shared>) {
    let id = {
        let mut view = shared.proxy();
        view.pid = None;
        view.applied = None;
        view.last = None;
        view.id.take()
    };
    if let Some(id) = id {
        tracing::warn!(proxy = %id, "the proxy's process is gone");
        let _ = shared.act(|core| {
            core.ledger.proxy_gone(&id);
            let news = core.publication.proxy_gone(&id);
            core.heard(news)
        });
    }
}

fn trouble(shared: &Arc<Shared>, error: &dyn std::error::Error) {
    let error = in_one_line(error);
    tracing::warn!(error, "there is no connection to the proxy");
    shared.proxy().trouble = Some(error);
}

fn addresses(listeners: &[Listening]) -> Vec<SocketAddr> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for listening in listeners {
        if !addresses.contains(&listening.address) {
            addresses.push(listening.address);
        }
    }
    addresses
}
