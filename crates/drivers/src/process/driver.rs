//! The driver: orders to keepers and what they answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gapless_model::{Epoch, InstanceId, Millis};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};

use super::launch::Errand;
use super::link::{Events, Joined, Link, Place};
use super::{access, exec, instance_address, launch, listener, sockets};
use crate::artefact;
use crate::driver::{
    Adopted, AdoptedState, DriverError, ExecDone, ExecOrder, Exit, ExitCause, InstanceEvent, Listener, Resources,
    StartError, StartOrder, Started,
};
use crate::keeper::{self, Announcement, InstanceFolder, KILL_PATIENCE, Reply, Request, Spec};
use crate::logs;

/// How much longer than grace and patience an ordered end may take before the keeper counts as stuck.
const STOP_MARGIN: Duration = Duration::from_secs(10);
/// How long a keeper that has just been launched may take to be reached.
const REACH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a keeper may take to go after the end of its instance was acknowledged, on a machine that is busy.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause before an instance's next keeper is asked to end it.
const ASK_PAUSE: Duration = Duration::from_millis(200);
/// The pause between two looks at something that takes a moment.
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// Runs instances as processes of this machine, each under a keeper of its own. Cheap to clone; must be used within a tokio runtime.
#[derive(Clone, Debug)]
pub struct ProcessDriver {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: PathBuf,
    gapless: PathBuf,
    epoch: Epoch,
    events: Events,
    slots: Mutex<BTreeMap<InstanceId, Arc<Slot>>>,
}

/// One instance's place; its lock makes orders for one instance follow each other.
type Slot = tokio::sync::Mutex<Option<Arc<Known>>>;

#[derive(Debug)]
struct Known {
    started: Started,
    link: Link,
    /// The listening sockets on its port that were found to be its own.
    own_sockets: Mutex<BTreeSet<u64>>,
}

impl Known {
    fn new(started: Started, link: Link) -> Arc<Known> {
        Arc::new(Known { started, link, own_sockets: Mutex::default() })
    }

    fn own_sockets(&self) -> std::sync::MutexGuard<'_, BTreeSet<u64>> {
        self.own_sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        // Keepers have another working folder.
        let state = std::path::absolute(state).map_err(launch::failed("find", state))?;
        launch::make_folder(&state.join("instances"))?;
        launch::make_folder(&logs::root(&state))?;
        // Bounded by the number of instances: each ends once.
        let (events, receiver) = mpsc::unbounded_channel();
        let inner = Inner { state, gapless: gapless.to_owned(), epoch, events, slots: Mutex::default() };
        Ok((ProcessDriver { inner: Arc::new(inner) }, receiver))
    }

    /// Starts an instance, or answers how it was started when it was already (then its end, if it has come, is an event).
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(&self, order: StartOrder) -> Result<Started, StartError> {
        let slot = self.slot(&order.instance);
        let mut slot = slot.lock().await;
        if let Some(known) = &*slot {
            return Ok(known.started);
        }
        let folder = self.folder(&order.instance);
        if Spec::read(&folder.spec()).is_ok_and(|spec| spec.epoch > self.inner.epoch.0) {
            return Err(StartError::Stale);
        }
        let release = artefact::folder(&self.inner.state, &order.instance.service, &order.artefact);
        let environment = match order.run.sources.is_empty() {
            true => None,
            false => Some(order.environment(&release).await.map_err(StartError::Sources)?),
        };
        let (inner, for_write, ordered) = (Arc::clone(&self.inner), folder.clone(), order.clone());
        let prepared = blocking(move || {
            access::grant(&release, ordered.run.user.as_deref())?;
            launch::write_order(&inner.state, &for_write, &ordered, release, inner.epoch)
        });
        prepared.await.map_err(StartError::Keeper)?;
        let place = self.place(&order.instance);
        let errand = Errand::Start(environment.as_ref());
        let announced = match launch::launch(&self.inner.gapless, &folder, &order.instance, errand).await {
            Ok(announced) => announced,
            Err(error) => {
                // It may have come as far as a process, which nobody would know of.
                let _nothing_started = place.end().await;
                return Err(StartError::Keeper(error));
            }
        };
        let pid = match announced {
            Announcement::Started { pid } => pid,
            Announcement::NotRunnable { reason } => return Err(StartError::NotRunnable { reason }),
            Announcement::Failed { reason } => {
                let _nothing_started = place.end().await;
                return Err(StartError::Keeper(DriverError::Keeper { instance: order.instance, reason }));
            }
            // An order of before a crash was carried out after all.
            Announcement::Already => match folder.read_exit().map(|exit| exit.cause) {
                Some(ExitCause::NotStarted(reason)) => return Err(StartError::NotRunnable { reason }),
                _ => folder.read_main_process().map_or(0, |main| main.pid.unsigned_abs()),
            },
        };
        let started = Started { pid, address: instance_address(order.port) };
        let link = self.reach(place).await.map_err(StartError::Keeper)?;
        if let Some(exit) = link.exit() {
            // Too fast for the link: the keeper told it with its status.
            let _nobody_listens = self.inner.events.send(InstanceEvent::Exited { instance: order.instance, exit });
        }
        *slot = Some(Known::new(started, link));
        Ok(started)
    }

    /// Finds what runs from before: connects to the keepers, and gives another to instances whose keeper died. Call once, before any other
    /// order. What it answers as ended is no event.
    ///
    /// # Errors
    /// When the state folder cannot be read.
    pub async fn adopt(&self) -> Result<Vec<Adopted>, DriverError> {
        let instances = self.inner.state.join("instances");
        let entries = fs::read_dir(&instances).map_err(launch::failed("read", &instances))?;
        let mut adopting = JoinSet::new();
        for entry in entries {
            let entry = entry.map_err(launch::failed("read", &instances))?;
            match entry.file_name().to_str().and_then(|name| name.parse::<InstanceId>().ok()) {
                Some(instance) => {
                    let driver = self.clone();
                    adopting.spawn(async move { driver.adopt_one(instance).await });
                }
                None => tracing::warn!(folder = %entry.path().display(), "not an instance's folder: left alone"),
            }
        }
        let mut adopted = Vec::new();
        while let Some(one) = adopting.join_next().await {
            adopted.extend(one.ok().transpose()?.flatten());
        }
        adopted.sort_by(|a: &Adopted, b| a.instance.cmp(&b.instance));
        Ok(adopted)
    }

    /// Ends an instance: SIGTERM, after `grace` SIGKILL to what is left of its tree. Answers when the whole tree is gone; at once
    /// when it was already. Where it ends by itself at this very moment, the answer and an event may both tell of it.
    ///
    /// # Errors
    /// [`DriverError::Unknown`] when there is no such instance (any more), others as [`DriverError`] says.
    pub async fn stop(&self, instance: &InstanceId, grace: Millis) -> Result<Exit, DriverError> {
        self.end(instance, Request::Stop { grace_ms: grace.0 }, grace.to_duration()).await
    }

    /// Ends an instance at once, the whole tree.
    ///
    /// # Errors
    /// As [`ProcessDriver::stop`].
    pub async fn kill(&self, instance: &InstanceId) -> Result<Exit, DriverError> {
        self.end(instance, Request::Kill, Duration::ZERO).await
    }

    /// What an instance uses now.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn resources(&self, instance: &InstanceId) -> Result<Resources, DriverError> {
        let known = self.known(instance).await.ok_or_else(|| DriverError::Unknown(instance.clone()))?;
        if known.link.exit().is_some() {
            return Ok(Resources::default());
        }
        match known.link.ask(Request::Resources).await? {
            Reply::Resources { memory_bytes, cpu_us, processes, not_enforced } => {
                Ok(Resources { memory_bytes, cpu_us, processes, not_enforced })
            }
            other => Err(DriverError::Keeper { instance: instance.clone(), reason: format!("it answered {other:?}") }),
        }
    }

    /// Runs a command beside an instance that runs: in its folder, with its environment, as its user; not in its cgroup, and not
    /// without what set-uid programs of the machine would give it.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn exec(&self, instance: &InstanceId, order: ExecOrder) -> Result<ExecDone, DriverError> {
        let known = self.known(instance).await.ok_or_else(|| DriverError::Unknown(instance.clone()))?;
        if known.link.exit().is_some() {
            return Err(DriverError::NotRunning(instance.clone()));
        }
        let path = self.folder(instance).spec();
        let spec = blocking(move || Spec::read(&path).map_err(launch::failed("read", &path))).await?;
        exec::exec(&spec, instance, order).await
    }

    /// Who listens on the port of an instance that was started. Cheap where nothing has changed since it was asked last: then the processes are
    /// not looked at again.
    pub async fn listener(&self, instance: &InstanceId) -> Listener {
        let Some(known) = self.known(instance).await else { return Listener::Unknown };
        let (folder, port) = (self.folder(instance), known.started.address.port());
        let looked = blocking(move || {
            let Ok(sockets) = sockets::listening_at(port) else { return Ok(Listener::Unknown) };
            if !sockets.is_empty() && *known.own_sockets() == sockets {
                return Ok(Listener::Own);
            }
            let owner = listener::owner(&folder, port, &sockets);
            if owner == Listener::Own {
                *known.own_sockets() = sockets;
            }
            Ok(owner)
        });
        looked.await.unwrap_or(Listener::Unknown)
    }

    /// Where the processes of an instance listen, wherever they were told to. Not cheap: for an instance that does not answer.
    pub async fn listening(&self, instance: &InstanceId) -> Option<Vec<SocketAddr>> {
        let folder = self.folder(instance);
        let looked = blocking(move || Ok(sockets::all_listening().ok().and_then(|all| listener::own(&folder, &all))));
        looked.await.ok().flatten()
    }

    /// Forgets an instance that has ended: its keeper goes, its files go, its log stays until newer ones push it out. Nothing where
    /// there is none.
    ///
    /// # Errors
    /// [`DriverError::Running`] when it runs.
    pub async fn forget(&self, instance: &InstanceId) -> Result<(), DriverError> {
        let slot = self.slot(instance);
        let mut place = slot.lock().await;
        if let Some(known) = &*place {
            if known.link.exit().is_none() {
                return Err(DriverError::Running(instance.clone()));
            }
            let _gone_already = known.link.ask(Request::Acknowledge).await;
        }
        let (folder, of, state) = (self.folder(instance), instance.clone(), self.inner.state.clone());
        blocking(move || remove(&folder, of, &state)).await?;
        *place = None;
        self.slots().remove(instance);
        Ok(())
    }

    /// What the instances write.
    #[must_use]
    pub fn logs(&self) -> logs::Logs {
        logs::Logs::new(&self.inner.state)
    }

    async fn adopt_one(&self, instance: InstanceId) -> Result<Option<Adopted>, DriverError> {
        let folder = self.folder(&instance);
        let slot = self.slot(&instance);
        let mut place = slot.lock().await;
        let Ok(spec) = Spec::read(&folder.spec()) else {
            // A crash before the order was written: nothing was started by it.
            let of = instance.clone();
            let state = self.inner.state.clone();
            blocking(move || remove(&folder, of, &state)).await?;
            return Ok(None);
        };
        let address = instance_address(spec.port);
        let adopted = |pid, state| Ok(Some(Adopted { instance: instance.clone(), address, pid, state }));
        let looked = folder.clone();
        if blocking(move || Ok(never_started(&looked))).await? {
            return adopted(None, AdoptedState::NeverStarted);
        }
        let link = match self.reach(self.place(&instance)).await {
            Err(error @ DriverError::Stale) => return Err(error),
            Err(error) => {
                // Frozen, or none can be started now. What is not known to have ended counts as running, and refuses nobody else's start.
                tracing::warn!(%instance, %error, "the keeper of an instance is not reached: it is looked for on");
                Link::sought(self.place(&instance), self.inner.events.clone())
            }
            Ok(link) => link,
        };
        let pid = folder.read_main_process().map(|main| main.pid.unsigned_abs());
        let state = link.exit().map_or(AdoptedState::Running, AdoptedState::Exited);
        *place = Some(Known::new(Started { pid: pid.unwrap_or(0), address }, link));
        adopted(pid, state)
    }

    /// Connects to the keeper of an instance that was started, or to one that takes it over, or learns how the instance ended.
    async fn reach(&self, place: Place) -> Result<Link, DriverError> {
        let deadline = tokio::time::Instant::now() + REACH_TIMEOUT;
        loop {
            let error = match place.join().await {
                Ok(Joined::Keeper(stream, status)) => {
                    return Ok(Link::over(place, stream, status, self.inner.events.clone()));
                }
                Ok(Joined::Ended(exit)) => return Ok(Link::ended(&place.instance, exit)),
                Err(error) => error,
            };
            if tokio::time::Instant::now() >= deadline {
                return Err(error);
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }

    fn place(&self, instance: &InstanceId) -> Place {
        let Inner { epoch, gapless, .. } = &*self.inner;
        let folder = self.folder(instance);
        Place { instance: instance.clone(), folder, epoch: *epoch, gapless: gapless.clone() }
    }

    async fn end(&self, instance: &InstanceId, request: Request, grace: Duration) -> Result<Exit, DriverError> {
        let Some(known) = self.known(instance).await else {
            let folder = self.folder(instance);
            let never = || Exit {
                cause: ExitCause::NotStarted("it was stopped before it was started".to_owned()),
                oom: false,
                left_behind: 0,
                at_unix_ms: 0,
            };
            let known = folder.spec().exists();
            return if known {
                Ok(folder.read_exit().unwrap_or_else(never))
            } else {
                Err(DriverError::Unknown(instance.clone()))
            };
        };
        if let Some(exit) = known.link.exit() {
            return Ok(exit);
        }
        known.link.order_end();
        let patience = grace + KILL_PATIENCE + STOP_MARGIN;
        let stuck = || DriverError::Keeper { instance: instance.clone(), reason: "it did not end in time".to_owned() };
        let ended = async {
            while let Err(error) = known.link.ask(request.clone()).await {
                if matches!(error, DriverError::Stale) {
                    return Err(error);
                }
                // The keeper is gone or just going: whoever watches over it settles what is left, or finds another, which is asked again.
                tracing::warn!(%instance, %error, "keeper did not take the order to end");
                if let Ok(exit) = tokio::time::timeout(ASK_PAUSE, known.link.wait()).await {
                    return exit.ok_or_else(stuck);
                }
            }
            known.link.wait().await.ok_or_else(stuck)
        };
        tokio::time::timeout(patience, ended).await.unwrap_or_else(|_| Err(stuck()))
    }

    async fn known(&self, instance: &InstanceId) -> Option<Arc<Known>> {
        let slot = self.slots().get(instance).cloned()?;
        slot.lock().await.clone()
    }

    fn slot(&self, instance: &InstanceId) -> Arc<Slot> {
        Arc::clone(self.slots().entry(instance.clone()).or_default())
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, BTreeMap<InstanceId, Arc<Slot>>> {
        // Nothing is done under this lock that could leave it half done.
        self.inner.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self, instance: &InstanceId) -> InstanceFolder {
        InstanceFolder::of(&self.inner.state, instance)
    }
}

/// No keeper has it, and none ever came as far as a process.
fn never_started(folder: &InstanceFolder) -> bool {
    let unlocked = matches!(keeper::lock(folder), Ok(Some(_)));
    unlocked && folder.read_exit().is_none() && folder.read_main_process().is_none()
}

/// Waits for the keeper to be gone, then removes the instance's folder and the logs that are too many.
fn remove(folder: &InstanceFolder, instance: InstanceId, state: &Path) -> Result<(), DriverError> {
    if folder.0.exists() {
        let deadline = std::time::Instant::now() + LEAVE_TIMEOUT;
        while !matches!(keeper::lock(folder), Ok(Some(_))) {
            if std::time::Instant::now() >= deadline {
                return Err(DriverError::Keeper { instance, reason: "it does not go".to_owned() });
            }
            std::thread::sleep(LOOK_PAUSE);
        }
        while !keeper::remove_cgroup(folder) {
            if std::time::Instant::now() >= deadline {
                return Err(DriverError::Keeper { instance, reason: "its cgroup is not empty".to_owned() });
            }
            std::thread::sleep(LOOK_PAUSE);
        }
        fs::remove_dir_all(&folder.0).map_err(launch::failed("remove", &folder.0))?;
    }
    logs::prune(state, &instance.service);
    Ok(())
}

/// Runs what blocks on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DriverError> + Send + 'static,
) -> Result<T, DriverError> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(DriverError::Ended),
        },
    }
}
