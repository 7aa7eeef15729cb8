//! The connection to one keeper, watched over for as long as its instance matters.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gapless_model::{Epoch, InstanceId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};

use super::{DriverError, Exit, InstanceEvent};
use crate::keeper::{self, Answer, Ask, InstanceFolder, PROTOCOL, Reply, Request, frame, take_frame};

/// How long a keeper that is there may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How many requests may wait for one keeper.
const ASKS_MAX: usize = 32;
/// The pause between two tries to reach a keeper that lives.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

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

impl Link {
    /// Connects to a keeper that lives, and watches over it from now on. An end that the keeper tells at once is no event: the caller sees it.
    pub(super) async fn connect(
        instance: &InstanceId,
        folder: &InstanceFolder,
        epoch: Epoch,
        events: Events,
    ) -> io::Result<Link> {
        let (stream, status) = open(folder, epoch).await?;
        let exit = match status {
            Reply::Exited { exit } => Some(exit),
            _ => None,
        };
        let (asks, questions) = mpsc::channel(ASKS_MAX);
        let (tell, ended) = watch::channel(exit);
        let ordered = Arc::new(AtomicBool::new(false));
        let watcher = Watcher {
            instance: instance.clone(),
            folder: folder.clone(),
            epoch,
            questions,
            tell,
            ordered: Arc::clone(&ordered),
            events,
        };
        tokio::spawn(watcher.watch(stream));
        Ok(Link { instance: instance.clone(), asks, ended, ordered })
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
    instance: InstanceId,
    folder: InstanceFolder,
    epoch: Epoch,
    questions: mpsc::Receiver<Question>,
    tell: watch::Sender<Option<Exit>>,
    ordered: Arc<AtomicBool>,
    events: Events,
}

impl Watcher {
    /// Until nobody asks any more, or the keeper is gone and the end of its instance known.
    async fn watch(mut self, mut stream: UnixStream) {
        loop {
            if self.converse(&mut stream).await.is_ok() || self.tell.borrow().is_some() {
                return;
            }
            stream = loop {
                // The keeper is gone, or it has let go of us; its lock tells which.
                let folder = self.folder.clone();
                let settled = tokio::task::spawn_blocking(move || settle(&folder)).await;
                if let Ok(Some(exit)) = settled {
                    self.has_ended(exit);
                    return;
                }
                match open(&self.folder, self.epoch).await {
                    Ok((_, Reply::Exited { exit })) => {
                        self.has_ended(exit);
                        return;
                    }
                    Ok((stream, _)) => break stream,
                    Err(_) => tokio::time::sleep(RETRY_PAUSE).await,
                }
            };
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
            let event = InstanceEvent::Exited { instance: self.instance.clone(), exit: exit.clone() };
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

/// The end of an instance whose keeper is gone, what is left of it ended; none while its keeper lives. Blocks.
pub(super) fn settle(folder: &InstanceFolder) -> Option<Exit> {
    let _lock = keeper::lock(folder).ok().flatten()?;
    Some(folder.read_exit().unwrap_or_else(|| keeper::end_orphans(folder)))
}
