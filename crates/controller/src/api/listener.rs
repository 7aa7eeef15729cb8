//! The API's Unix socket: 0600, and only for the user who runs the controller (and root); with a group that may give orders 0660, and for its members too.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use gapless_drivers::groups::{Group, group, is_member};
use tokio::net::{UnixListener, UnixStream};

/// A Unix socket that accepts connections of the controller's own user, of root, and of the members of one group, where one is named.
///
/// The mode of the file keeps others out already; the check of the peer keeps them out too where a file system ignores modes
/// or someone loosened them.
#[derive(Debug)]
pub struct OwnUserListener {
    inner: UnixListener,
    path: PathBuf,
    uid: u32,
    group: Option<Group>,
}

/// Why the API's socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody answers on it.
    #[error("another controller answers on {path}")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// There is no such group, or it cannot be looked up.
    #[error("[api] group = {name:?} names no group of this machine")]
    Group {
        /// Its name.
        name: String,
        /// The operating system's answer, where it is not that there is none.
        #[source]
        source: Option<io::Error>,
    },
    /// The operating system refused.
    #[error("cannot open the socket {path}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
}

impl OwnUserListener {
    /// Opens the socket, taking the place of one that nobody listens on any more.
    ///
    /// # Errors
    /// [`BindError`] when somebody answers there or the operating system refuses.
    pub fn bind(path: &Path, group: Option<&str>) -> Result<OwnUserListener, BindError> {
        let io = |source| BindError::Io { path: path.to_owned(), source };
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(BindError::InUse { path: path.to_owned() });
        }
        let group = group.map(named).transpose()?;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            Ok(()) | Err(_) => {}
        }
        // Made under another name and renamed once its mode is set: at no instant can another user connect.
        let beside = path.with_extension("sock.new");
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            Ok(()) | Err(_) => {}
        }
        let inner = UnixListener::bind(&beside).map_err(io)?;
        if let Some(group) = &group {
            std::os::unix::fs::chown(&beside, None, Some(group.gid)).map_err(io)?;
        }
        let mode = if group.is_some() { 0o660 } else { 0o600 };
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(mode)).map_err(io)?;
        std::fs::rename(&beside, path).map_err(io)?;
        Ok(OwnUserListener { inner, path: path.to_owned(), uid: rustix::process::geteuid().as_raw(), group })
    }

    fn admits(&self, stream: &UnixStream) -> bool {
        match stream.peer_cred() {
            Ok(peer) if peer.uid() == self.uid || peer.uid() == 0 => true,
            Ok(peer) if self.group.as_ref().is_some_and(|group| is_member(peer.uid(), peer.gid(), group.gid)) => true,
            Ok(peer) => {
                tracing::warn!(socket = %self.path.display(), uid = peer.uid(), "refused a connection of another user");
                false
            }
            Err(error) => {
                tracing::warn!(socket = %self.path.display(), %error, "refused a connection of an unknown user");
                false
            }
        }
    }
}

fn named(name: &str) -> Result<Group, BindError> {
    let failed = |source| BindError::Group { name: name.to_owned(), source };
    group(name).map_err(|error| failed(Some(error)))?.ok_or_else(|| failed(None))
}

impl axum::serve::Listener for OwnUserListener {
    type Io = UnixStream;
    type Addr = tokio::net::unix::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.inner.accept().await {
                Ok((stream, address)) if self.admits(&stream) => return (stream, address),
                Ok(_) => {}
                Err(error) => {
                    // Out of descriptors, most likely: wait for some to come free instead of spinning.
                    tracing::warn!(%error, "cannot accept on the API's socket");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}
