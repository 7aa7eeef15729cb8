//! The connection to one keeper, watched over for as long as its instance matters.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gapless_model::{Epoch, InstanceId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};

use super::launch::{Errand, launch};
use crate::driver::{DriverError, Exit, InstanceEvent};
use crate::keeper::{self, Answer, Answerable, Ask, InstanceFolder, PROTOCOL, Reply, Request, frame, take_frame};

/// How long a keeper that is there may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How many requests may wait for one keeper.
const ASKS_MAX: usize = 32;
/// The pause after a first try to reach a keeper; each failure adds as much, up to [`RETRY_PAUSES_MAX`] times.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// A second: a machine that cannot start a keeper now may not be kept busy by trying.
const RETRY_PAUSES_MAX: u32 = 50;
/// How often a keeper is looked for before an instance that is to end is ended without one.
const JOINS_MAX: u32 = 5;

/// A request and where its answer goes.
type Question = (Request, oneshot::Sender<Reply>);

/// What is held of an instance's keeper.
#[derive(Debug)]
pub(super) struct Link {
    instance: InstanceId,
    asks: mpsc::Sender<Question>,
    ended: watch::Receiver<Option<Exit>>,
    /// Its end was ordered, so it is no news.
    ordered: Arc<AtomicBool>,
}

/// Who hears of an end that was not ordered.
pub(super) type Events = mpsc::UnboundedSender<InstanceEvent>;

/// Where the keeper of an instance is to be found, or to be put.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) instance: InstanceId,
    pub(super) folder: InstanceFolder,
    pub(super) epoch: Epoch,
    /// The program that keepers are.
    pub(super) gapless: PathBuf,
}

/// Who answers for an instance.
pub(super) enum Joined {
    /// Its keeper, with what it said of the instance.
    Keeper(UnixStream, Reply),
    /// Nobody any more: it ended so.
    Ended(Exit),
}

impl Place {
    /// Connects to the keeper. Where it is gone and the instance runs, another keeper takes it over first; where both are gone, what is left
    /// is ended.
    pub(super) async fn join(&self) -> Result<Joined, DriverError> {
        let failed = |reason: String| DriverError::Keeper { instance: self.instance.clone(), reason };
        let unreachable = match open(&self.folder, self.epoch).await {
            Ok((stream, status)) => return Ok(Joined::Keeper(stream, status)),
            Err(error) => error.to_string(),
        };
        match self.blocking(keeper::answerable).await? {
            Answerable::Keeper => Err(failed(unreachable)),
            Answerable::Ended(exit) => Ok(Joined::Ended(exit)),
            Answerable::Nobody => {
                tracing::warn!(instance = %self.instance, "the keeper of an instance died; another takes it over");
                launch(&self.gapless, &self.folder, &self.instance, Errand::TakeOver).await?;
                let (stream, status) =
                    open(&self.folder, self.epoch).await.map_err(|error| failed(error.to_string()))?;
                Ok(Joined::Keeper(stream, status))
            }
        }
    }

    /// Ends what no keeper keeps; none while one lives.
    pub(super) async fn end(&self) -> Option<Exit> {
        self.blocking(keeper::end).await.ok().flatten()
    }

    async fn blocking<T: Send + 'static>(
        &self,
        look: impl FnOnce(&InstanceFolder) -> T + Send + 'static,
    ) -> Result<T, DriverError> {
        let folder = self.folder.clone();
        tokio::task::spawn_blocking(move || look(&folder)).await.map_err(|_| DriverError::Ended)
    }
}

impl Link {
    /// Watches over an instance from now on, by the connection to its keeper. An end that the keeper has told already is no event: the caller
    /// sees it.
    pub(super) fn over(place: Place, stream: UnixStream, status: Reply, events: Events) -> Link {
        let exit = match status {
            Reply::Exited { exit } => Some(exit),
            _ => None,
        };
        Link::watched(place, exit, Some(stream), events)
    }

    /// Looks for the keeper of an instance, for as long as it takes, and watches over it from then on. Its end is an event, whenever it was.
    pub(super) fn sought(place: Place, events: Events) -> Link {
        Link::watched(place, None, None, events)
    }

    fn watched(place: Place, exit: Option<Exit>, stream: Option<UnixStream>, events: Events) -> Link {
        let instance = place.instance.clone();
        let (asks, questions) = mpsc::channel(ASKS_MAX);
        let (tell, ended) = watch::channel(exit);
        let ordered = Arc::new(AtomicBool::new(false));
        let watcher = Watcher { place, questions, tell, ordered: Arc::clone(&ordered), events };
        tokio::spawn(watcher.watch(stream));
        Link { instance, asks, ended, ordered }
    }

    /// An instance that has ended and whose keeper is gone.
    pub(super) fn ended(instance: &InstanceId, exit: Exit) -> Link {
        let (asks, _nobody) = mpsc::channel(1);
        let (_tell, ended) = watch::channel(Some(exit));
        Link { instance: instance.clone(), asks, ended, ordered: Arc::new(AtomicBool::new(true)) }
    }

    /// How it ended, if it has.
    pub(super) fn exit(&self) -> Option<Exit> {
        self.ended.borrow().clone()
    }

    /// Says that its end is ordered from now on.
    pub(super) fn order_end(&self) {
        self.ordered.store(true, Ordering::Release);
    }

    /// Waits for its end.
    pub(super) async fn wait(&self) -> Option<Exit> {
        let mut ended = self.ended.clone();
        ended.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone())
    }

    /// Asks the keeper.
    pub(super) async fn ask(&self, request: Request) -> Result<Reply, DriverError> {
        let failed = |reason: &str| DriverError::Keeper { instance: self.instance.clone(), reason: reason.to_owned() };
        let (answer, answered) = oneshot::channel();
        self.asks.send((request, answer)).await.map_err(|_| failed("it is gone"))?;
        match tokio::time::timeout(ANSWER_TIMEOUT, answered).await {
            Ok(Ok(Reply::Stale)) => Err(DriverError::Stale),
            Ok(Ok(Reply::Refused { reason })) => Err(failed(&reason)),
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) => Err(failed("the connection broke")),
            Err(_) => Err(failed("no answer in time")),
        }
    }
}

struct Watcher {
    place: Place,
    questions: mpsc::Receiver<Question>,
    tell: watch::Sender<Option<Exit>>,
    ordered: Arc<AtomicBool>,
    events: Events,
}

impl Watcher {
    /// Until nobody asks any more, or the keeper is gone and the end of its instance known.
    async fn watch(mut self, mut stream: Option<UnixStream>) {
        loop {
            if let Some(stream) = &mut stream
                && (self.converse(stream).await.is_ok() || self.tell.borrow().is_some())
            {
                return;
            }
            stream = self.rejoin().await;
            if stream.is_none() {
                return;
            }
        }
    }

    /// The keeper is gone, or it has let go of us: until there is one again, or the end of the instance is known.
    async fn rejoin(&self) -> Option<UnixStream> {
        let mut failures = 0;
        loop {
            match self.place.join().await {
                Ok(Joined::Ended(exit)) => {
                    self.has_ended(exit);
                    return None;
                }
                Ok(Joined::Keeper(stream, status)) => {
                    // A keeper whose instance has ended goes once that is acknowledged, which only a connection can carry.
                    if let Reply::Exited { exit } = status {
                        self.has_ended(exit);
                    }
                    return Some(stream);
                }
                Err(error) => {
                    failures += 1;
                    tracing::debug!(instance = %self.place.instance, %error, failures, "no keeper answers");
                }
            }
            // It is to end, and nobody can be found to end it: it is ended from here.
            if failures >= JOINS_MAX
                && self.ordered.load(Ordering::Acquire)
                && let Some(exit) = self.place.end().await
            {
                self.has_ended(exit);
                return None;
            }
            tokio::time::sleep(RETRY_PAUSE * failures.min(RETRY_PAUSES_MAX)).await;
        }
    }

    /// Carries questions and answers; `Ok` when nobody asks any more.
    async fn converse(&mut self, stream: &mut UnixStream) -> io::Result<()> {
        let (mut read, mut write) = stream.split();
        let mut incoming = Vec::new();
        let mut open: BTreeMap<u64, oneshot::Sender<Reply>> = BTreeMap::new();
        let mut last = 2;
        loop {
            while let Some(body) = take_frame(&mut incoming).map_err(io::Error::other)? {
                let answer: Answer = serde_json::from_slice(&body)?;
                match (answer.id, answer.reply) {
                    (0, Reply::Exited { exit }) => self.has_ended(exit),
                    (0, _) => {}
                    (id, reply) => {
                        let _asker_gone = open.remove(&id).map(|asker| asker.send(reply));
                    }
                }
            }
            tokio::select! {
                length = read.read_buf(&mut incoming) => {
                    if length? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                question = self.questions.recv() => {
                    let Some((request, asker)) = question else { return Ok(()) };
                    last += 1;
                    open.insert(last, asker);
                    write.write_all(&frame(&Ask { id: last, request })).await?;
                }
            }
        }
    }

    fn has_ended(&self, exit: Exit) {
        if self.tell.borrow().is_some() {
            return;
        }
        if !self.ordered.load(Ordering::Acquire) {
            let event = InstanceEvent::Exited { instance: self.place.instance.clone(), exit: exit.clone() };
            let _nobody_listens = self.events.send(event);
        }
        self.tell.send_replace(Some(exit));
    }
}

/// Connects, says hello and asks how it is.
async fn open(folder: &InstanceFolder, epoch: Epoch) -> io::Result<(UnixStream, Reply)> {
    let greet = async {
        let mut stream = {
            let (_open, path) = folder.socket_path()?;
            UnixStream::connect(&path).await?
        };
        let peer = stream.peer_cred()?;
        if peer.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the socket belongs to another user"));
        }
        let hello = Ask { id: 1, request: Request::Hello { protocol: PROTOCOL, epoch: epoch.0 } };
        let status = Ask { id: 2, request: Request::Status };
        stream.write_all(&[frame(&hello), frame(&status)].concat()).await?;
        let mut incoming = Vec::new();
        let mut status = None;
        loop {
            while let Some(body) = take_frame(&mut incoming).map_err(io::Error::other)? {
                let answer: Answer = serde_json::from_slice(&body)?;
                match (answer.id, answer.reply) {
                    (0, ended @ Reply::Exited { .. }) => status = Some(ended),
                    (2, reply) => status = Some(status.unwrap_or(reply)),
                    _ => {}
                }
            }
            // Bytes of a further frame can only be the news of its end, which is waited for.
            if let Some(status) = status.take_if(|_| incoming.is_empty()) {
                return Ok((stream, status));
            }
            if stream.read_buf(&mut incoming).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    };
    tokio::time::timeout(ANSWER_TIMEOUT, greet).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
