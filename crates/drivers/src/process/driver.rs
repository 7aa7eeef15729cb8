//! The driver: orders to keepers and what they answer.

use std::path::{Path, PathBuf};

use gapless_model::{Epoch, InstanceId, Millis};
use tokio::sync::mpsc;

use super::{Adopted, DriverError, Exit, InstanceEvent, Resources, StartError, StartOrder, Started};

/// Runs instances as processes of this machine, each under a keeper of its own. Cheap to clone; must be used within a tokio runtime.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "the thin slice; the whole follows")]
pub struct ProcessDriver {
    state: PathBuf,
    gapless: PathBuf,
    epoch: Epoch,
}

impl ProcessDriver {
    /// A driver over a state folder (`instances/` and `logs/` in it), which starts keepers as `<gapless> keeper --spec FILE` and orders in the
    /// name of a term. The second value yields what happens unasked; at most one event for each instance.
    ///
    /// # Errors
    /// When the folders cannot be made.
    pub fn new(
        state: &Path,
        gapless: &Path,
        epoch: Epoch,
    ) -> Result<(ProcessDriver, mpsc::UnboundedReceiver<InstanceEvent>), DriverError> {
        let (_sender, receiver) = mpsc::unbounded_channel();
        Ok((ProcessDriver { state: state.to_owned(), gapless: gapless.to_owned(), epoch }, receiver))
    }

    /// Starts an instance, or answers how it was started when it was already.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(&self, order: StartOrder) -> Result<Started, StartError> {
        Err(StartError::Keeper(DriverError::Unknown(order.instance)))
    }

    /// Finds what runs from before: connects to the keepers, ends what is left of instances whose keepers died. Call once, before any other order.
    ///
    /// # Errors
    /// When the state folder cannot be read.
    pub async fn adopt(&self) -> Result<Vec<Adopted>, DriverError> {
        Ok(Vec::new())
    }

    /// Ends an instance: SIGTERM, after `grace` SIGKILL to what is left of its tree. Answers when the whole tree is gone; at once
    /// when it was already.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn stop(&self, instance: &InstanceId, _grace: Millis) -> Result<Exit, DriverError> {
        Err(DriverError::Unknown(instance.clone()))
    }

    /// Ends an instance at once, the whole tree.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn kill(&self, instance: &InstanceId) -> Result<Exit, DriverError> {
        Err(DriverError::Unknown(instance.clone()))
    }

    /// What an instance uses now.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn resources(&self, instance: &InstanceId) -> Result<Resources, DriverError> {
        Err(DriverError::Unknown(instance.clone()))
    }

    /// Forgets an instance that has ended: its keeper may go, its files go, its log stays until newer ones push it out.
    ///
    /// # Errors
    /// [`DriverError::Running`] when it runs.
    pub async fn forget(&self, instance: &InstanceId) -> Result<(), DriverError> {
        Err(DriverError::Unknown(instance.clone()))
    }
}
