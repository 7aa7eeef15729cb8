//! Where the controller of this machine keeps its state, and what lies where in it.

use std::path::{Path, PathBuf};

use crate::{Failure, hint};

/// The state folder of the machine's controller.
const OF_MACHINE: &str = "/var/lib/gapless";

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
            None if rustix::process::geteuid().is_root() => PathBuf::from(OF_MACHINE),
            None => environment("XDG_STATE_HOME")
                .or_else(|| environment("HOME").map(|home| home.join(".local/state")))
                .map(|folder| folder.join("gapless"))
                .map(|own| of_machine_where_allowed(own, Path::new(OF_MACHINE)))
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

/// A user without a controller of their own who may give orders to the machine's, by `[api] group`, means that one.
fn of_machine_where_allowed(own: PathBuf, of_machine: &Path) -> PathBuf {
    let socket = of_machine.join("api.sock");
    let may = rustix::fs::access(&socket, rustix::fs::Access::WRITE_OK).is_ok();
    if may && !own.exists() { of_machine.to_path_buf() } else { own }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_may_reach_the_machines_controller_and_has_none_of_their_own_means_that_one() {
        let place = tempfile::tempdir().unwrap();
        let (own, machine) = (place.path().join("own"), place.path().join("machine"));
        assert_eq!(of_machine_where_allowed(own.clone(), &machine), own);
        std::fs::create_dir(&machine).unwrap();
        std::fs::write(machine.join("api.sock"), "").unwrap();
        assert_eq!(of_machine_where_allowed(own.clone(), &machine), machine);
        std::fs::create_dir(&own).unwrap();
        assert_eq!(of_machine_where_allowed(own.clone(), &machine), own);
    }
}
