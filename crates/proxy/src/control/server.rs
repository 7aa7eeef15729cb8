//! The control socket: one per state folder, mode 0600, for processes of our own user.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener as StdListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gapless_drivers::proxylink::{FrameReader, FrameWriter, check_peer, split};
use gapless_model::{ControllerId, Epoch, Term};
use gapless_wire::control::{Hello, ToProxy};
use rustix::fs::{FlockOperation, flock};
use rustix::process::umask;
use tokio::net::UnixListener;
use tokio::sync::mpsc;

/// How long a controller may take to introduce itself.
const HELLO: Duration = Duration::from_secs(5);

/// How long accepting pauses after it failed: out of descriptors, most likely.
const PAUSE: Duration = Duration::from_millis(100);

/// The socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketFailed {
    /// Another proxy has it.
    #[error("another proxy runs with the control socket {path:?}")]
    Taken {
        /// Which.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot make the control socket {path:?}")]
    Refused {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The socket and the lock that makes it ours; both go with the process.
#[derive(Debug)]
pub(super) struct ControlSocket {
    listener: StdListener,
    _lock: Option<File>,
}

/// A controller that has introduced itself.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) term: Term,
    pub(super) hello: Hello,
    pub(super) reader: FrameReader,
    pub(super) writer: FrameWriter,
}

impl ControlSocket {
    /// Makes the socket, or the spare one where the file system takes none: a proxy can be started while the disk is full or read-only.
    ///
    /// # Errors
    /// [`SocketFailed`].
    pub(super) fn bind(path: &Path, spare: Option<&str>) -> Result<ControlSocket, SocketFailed> {
        let failed = match (ControlSocket::bind_path(path), spare) {
            (Err(failed @ SocketFailed::Refused { .. }), Some(spare)) => (failed, spare),
            (bound, _) => return bound,
        };
        let (failed, spare) = failed;
        let bound = SocketAddr::from_abstract_name(spare).and_then(|address| StdListener::bind_addr(&address));
        let Ok(listener) = bound else { return Err(failed) };
        listener.set_nonblocking(true).map_err(|source| SocketFailed::Refused { path: path.to_owned(), source })?;
        tracing::warn!(error = %failed, spare, "the control socket has no file: the spare one is used");
        Ok(ControlSocket { listener, _lock: None })
    }

    /// Makes the socket's file. One that a dead proxy left is replaced: whoever holds the lock beside it is the only one alive.
    fn bind_path(path: &Path) -> Result<ControlSocket, SocketFailed> {
        let refused = |source| SocketFailed::Refused { path: path.to_owned(), source };
        let mut lock_path = path.to_owned().into_os_string();
        lock_path.push(".lock");
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&lock_path).map_err(refused)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(SocketFailed::Taken { path: path.to_owned() }),
            Err(error) => return Err(refused(error.into())),
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(error)),
            Ok(()) | Err(_) => {}
        }
        let before = umask(rustix::fs::Mode::from_raw_mode(0o177)); // there is no instant at which others could connect
        let bound = StdListener::bind(path);
        umask(before);
        let listener = bound.map_err(refused)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        Ok(ControlSocket { listener, _lock: Some(lock) })
    }

    /// Accepts controllers for ever. Who does not introduce itself in time, or is of another user, is left.
    pub(super) async fn serve(self, arrivals: mpsc::Sender<Arrival>) -> io::Result<()> {
        let listener = UnixListener::from_std(self.listener)?;
        loop {
            let stream = match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(%error, "controller not accepted");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            if let Err(error) = check_peer(&stream) {
                tracing::warn!(%error, "connection to the control socket refused");
                continue;
            }
            let arrivals = arrivals.clone();
            tokio::spawn(async move {
                let Ok((mut reader, writer)) = split(stream) else { return };
                let first = tokio::time::timeout(HELLO, reader.message::<ToProxy>()).await;
                if let Ok(Ok(Some(ToProxy::Hello { hello, epoch, controller }))) = first {
                    let controller = controller.and_then(|text| ControllerId::new(&text).ok());
                    let term = Term { epoch: Epoch(epoch), controller };
                    let _gone = arrivals.send(Arrival { term, hello, reader, writer }).await;
                } else {
                    tracing::warn!("a connection to the control socket did not introduce itself");
                }
            });
        }
    }
}
