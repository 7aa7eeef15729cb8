//! Where the controller of this machine keeps its state, and what lies where in it.

use std::path::{Path, PathBuf};

use crate::{Failure, hint};

/// The folder of a controller: its journal, releases, logs and sockets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateFolder(PathBuf);

impl StateFolder {
    /// The folder that was named, else the default: `/var/lib/gapless` for root, `$XDG_STATE_HOME/gapless` (`~/.local/state/gapless`)
    /// for others.
    ///
    /// # Errors
    /// When none was named and neither `XDG_STATE_HOME` nor `HOME` is set.
    pub fn resolve(named: Option<&Path>) -> Result<StateFolder, Failure> {
        let environment = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let path = match named {
            Some(path) => path.to_path_buf(),
            None if rustix::process::geteuid().is_root() => PathBuf::from("/var/lib/gapless"),
            None => environment("XDG_STATE_HOME")
                .or_else(|| environment("HOME").map(|home| home.join(".local/state")))
                .map(|folder| folder.join("gapless"))
                .ok_or_else(|| Failure::new("no state folder is known: HOME is not set").hint(hint::NAME_STATE))?,
        };
        std::path::absolute(&path)
            .map(StateFolder)
            .map_err(|error| Failure::new(format!("state folder `{}` cannot be used", path.display())).because(&error))
    }

    /// The folder itself, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The Unix socket of the controller's HTTP API (mode 0600).
    #[must_use]
    pub fn api_socket(&self) -> PathBuf {
        self.0.join("api.sock")
    }
}
