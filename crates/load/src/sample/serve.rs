//! Listening, connections and the graceful end.

use std::cell::{Cell, RefCell};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::answers::{self, After};
use super::{Options, SampleError, faults, millis};
use crate::http::{Broken, Head, Peer};
use crate::{ID_HEADER, SEEN_ENV};

/// How long a request whose first bytes came before the end may take to come whole.
const REQUEST_ON_ITS_WAY: Duration = Duration::from_secs(1);

/// What every connection knows.
pub(super) struct Service {
    pub options: Options,
    pub label: String,
    pub answered: Cell<u64>,
    /// True once SIGTERM came.
    pub stopping: watch::Receiver<bool>,
    seen: RefCell<Option<File>>,
    in_load: Cell<bool>,
}

/// Serves until SIGTERM and the end of what is under way.
pub(super) async fn serve(options: &Options) -> Result<(), SampleError> {
    let address = options.address()?;
    let mut terminated = signal(SignalKind::terminate()).map_err(SampleError::SetUp)?;
    let (stop, stopping) = watch::channel(false);
    let service = Rc::new(Service {
        options: options.clone(),
        label: options.label(),
        answered: Cell::new(0),
        stopping,
        seen: RefCell::new(open_seen()?),
        in_load: Cell::new(false),
    });
    faults::arm(options)?;
    let start = tokio::time::sleep(millis(options.startup_delay));
    tokio::pin!(start);
    loop {
        tokio::select! {
            () = &mut start, if !options.never_listen => break,
            _ = terminated.recv() => if !options.ignore_sigterm { return Ok(()) },
        }
    }
    let listener = TcpListener::bind(address).await.map_err(|source| SampleError::Listen { address, source })?;
    eprintln!("sample service: release {} listens on {address}", service.label);
    // Each connection holds a sender; the receiver ends when the last of them is gone.
    let (alive, mut all_gone) = tokio::sync::mpsc::channel::<()>(1);
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((socket, _)) = accepted {
                spawn(&service, socket, &alive);
            },
            _ = terminated.recv() => if !options.ignore_sigterm { break },
        }
    }
    eprintln!("sample service: SIGTERM, ending what is under way");
    // What waits in the backlog was accepted as far as its client knows: it is served too.
    while let Ok(Ok((socket, _))) = tokio::time::timeout(millis(1), listener.accept()).await {
        spawn(&service, socket, &alive);
    }
    drop(listener);
    let _ = stop.send(true);
    drop(alive);
    let _ = all_gone.recv().await;
    Ok(())
}

fn spawn(service: &Rc<Service>, socket: TcpStream, alive: &tokio::sync::mpsc::Sender<()>) {
    let (service, alive) = (Rc::clone(service), alive.clone());
    tokio::task::spawn_local(async move {
        let _ = socket.set_nodelay(true);
        // However a connection ends, the others go on.
        let _ = connection(&service, Peer::new(socket)).await;
        drop(alive);
    });
}

/// Serves one connection until it closes or the service stops.
async fn connection(service: &Service, mut peer: Peer) -> Result<(), Broken> {
    loop {
        let Some(head) = next_head(service, &mut peer).await? else { return Ok(()) };
        if head.path() != "/healthz"
            && !service.in_load.replace(true)
            && let Some(ms) = service.options.crash_in_load
        {
            faults::crash_in(millis(ms));
        }
        match answers::answer(service, &mut peer, &head).await? {
            After::Next => {}
            After::Closed => return Ok(()),
        }
    }
}

/// The next request, or none when the service stops and the connection is idle.
async fn next_head(service: &Service, peer: &mut Peer) -> Result<Option<Head>, Broken> {
    let mut stopping = service.stopping.clone();
    let wait = async {
        let _ = stopping.wait_for(|stopping| *stopping).await;
        tokio::time::sleep(millis(service.options.linger)).await;
    };
    tokio::select! {
        biased;
        head = peer.request_head() => head.map(Some),
        () = wait => {
            // A request that is already on its way in gets its answer.
            if peer.is_idle_and_open() || !peer.has_leftover() {
                return Ok(None);
            }
            let late = tokio::time::timeout(REQUEST_ON_ITS_WAY, peer.request_head()).await;
            late.map_or(Ok(None), |head| head.map(Some))
        }
    }
}

fn open_seen() -> Result<Option<File>, SampleError> {
    let Some(path) = std::env::var_os(SEEN_ENV) else { return Ok(None) };
    let opened = OpenOptions::new().create(true).append(true).open(&path);
    opened.map(Some).map_err(|source| SampleError::Seen { path: path.into(), source })
}

impl Service {
    /// Whether SIGTERM came.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Writes down that a request was executed: one line, one write, so that instances can share the file.
    pub fn note(&self, head: &Head) {
        self.answered.set(self.answered.get() + 1);
        let Some(id) = head.header(ID_HEADER) else { return };
        if let Some(file) = self.seen.borrow_mut().as_mut() {
            let line = format!("{id} {} {} {}\n", head.method, self.label, std::process::id());
            // A full disk must not fail the request; the ids then count as not seen, never as duplicated.
            let _ = file.write_all(line.as_bytes());
        }
    }

    /// Whether this request is one that the fault `fail_percent` picks: evenly spread, no chance in it.
    pub fn fails_now(&self) -> bool {
        let percent = u64::from(self.options.fail_percent.min(100));
        let number = self.answered.get();
        (number + 1) * percent / 100 > number * percent / 100
    }
}
