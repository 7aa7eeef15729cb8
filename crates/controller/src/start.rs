//! From nothing, or from whatever an earlier controller left running, to a controller that acts.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gapless_drivers::artefact::{ArtefactError, Artefacts, Bounds};
use gapless_drivers::driver::{Adopted, AdoptedState, DriverError, InstanceEvent};
use gapless_drivers::process::ProcessDriver;
use gapless_journal::Position;
use gapless_model::{InstanceId, ServiceName};
use gapless_rollout::{EndedBy, Input};
use gapless_wire::config::ServerConfig;
use tokio::sync::mpsc;

use crate::api::{self, BindError, OwnUserListener};
use crate::manifest;
use crate::preview_key;
pub use crate::proxies::ProxyUnavailable;
use crate::proxies::{self, Place};
use crate::shared::{End, Shared};
pub use crate::survey::SurveyFailed;
use crate::{notices, one_off, performer, prober, standstill, take_up};
pub use gapless_drivers::proxylink::ListenFailed;
use gapless_fleet::Fleet;
pub use gapless_fleet::TakeError;
pub use gapless_fleet::recover::RecoverError;
pub use gapless_fleet::traces::Outdated;
pub use gapless_journal::StoreError;

/// How often the resources of the instances are read, and facts that wait for room are tried again.
const ROUND: Duration = Duration::from_secs(1);

/// What a controller is given.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where its state is; made when it is not there.
    pub state: PathBuf,
    /// The machine's configuration.
    pub config: ServerConfig,
    /// This program, which proxies and keepers are started from.
    pub gapless: PathBuf,
}

/// Why a controller did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFailed {
    /// The state folder cannot be made.
    #[error("cannot make the state folder {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others could have changed something in it.
    #[error("the state folder is not this controller's own")]
    NotOwn(#[from] gapless_drivers::state_folder::NotOwn),
    /// The journal cannot be taken over.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// What earlier terms left cannot be asked how far the journal had come.
    #[error("it cannot be told whether the journal is the newest")]
    Survey(#[from] SurveyFailed),
    /// The journal knows less than what runs and what lies beside it.
    #[error("this journal may not act")]
    Outdated(#[from] Outdated),
    /// Instances cannot be driven.
    #[error("instances cannot be driven")]
    Driver(#[from] DriverError),
    /// Releases cannot be kept.
    #[error("releases cannot be kept")]
    Artefacts(#[from] ArtefactError),
    /// There is no proxy, or no address to listen on.
    #[error(transparent)]
    Proxy(#[from] ProxyUnavailable),
    /// The only proxy stands still, and its listening sockets cannot be had without it.
    #[error("the proxy (process {pid}) does not answer, and its listening sockets cannot be copied")]
    Frozen {
        /// Its process.
        pid: u32,
        /// Why.
        source: io::Error,
    },
    /// The API has no socket.
    #[error(transparent)]
    Api(#[from] BindError),
    /// Signals cannot be listened for.
    #[error("signals cannot be listened for")]
    Signals(#[source] io::Error),
    /// The journal failed while recovery was written to it.
    #[error("recovery could not be written to the journal")]
    Write(#[from] TakeError),
}

/// Runs a controller until it is told to stop or may not act any more. `ready` is called once everything serves.
///
/// # Errors
/// [`StartFailed`]; whatever ran before runs on.
pub async fn run(options: Options, ready: impl FnOnce(&[SocketAddr])) -> Result<End, StartFailed> {
    let Options { state, config, gapless } = options;
    make_folder(&state)?;
    gapless_drivers::state_folder::check(&state)?;
    let (journal, known) = take_up::journal(&state).await?;
    let threads = config.proxy_threads.map_or_else(cores, usize::from);
    let wanted: Vec<SocketAddr> = config.listeners.iter().map(|listener| listener.address).collect();
    let api_listener = OwnUserListener::bind(&state.join(api::SOCKET), config.api_group.as_deref())?;
    // Whatever may refuse the start comes before the term, as far as it can: a refused start takes none.
    let opened = match known.proxy {
        None => Some(proxies::listeners(&wanted, threads, &mut [], take_up::copies(&known.frozen)?).await?),
        Some(_) => None,
    };
    let (core, clock) = take_up::begin(journal, known.epoch)?;
    let core = core.with_previews(preview_key::load(&state));
    let term = core.term().clone();
    let (driver, instance_events) = ProcessDriver::new(&state, &gapless, term.epoch)?;
    let bounds = Bounds {
        bytes_max: config.artefact_bytes_max,
        free_bytes_kept: config.space_left_bytes_min,
        ..Bounds::default()
    };
    let artefacts = Artefacts::with_bounds(&state, bounds)?;
    let place = Place::new(&state, gapless, threads, &config);
    for trouble in &place.troubles {
        tracing::warn!(trouble, "not as it should be");
    }
    let mut found = place.find(&term).await?;
    let listeners = match opened {
        Some(opened) if found.is_empty() => opened,
        _ => proxies::listeners(&wanted, threads, &mut found, Vec::new()).await?,
    };

    let (orders, ordered) = mpsc::unbounded_channel();
    let mut shared = Shared::new(&config, &state, Arc::new(driver), artefacts, (core, clock), orders);
    shared.remarks.clone_from(&place.troubles);
    let shared = Arc::new(shared);
    stop_at_signals(&shared).map_err(StartFailed::Signals)?;
    adopt(&shared).await?;
    tokio::spawn(performer::perform(Arc::clone(&shared), ordered));
    tokio::spawn(instances_end(Arc::clone(&shared), instance_events));
    tokio::spawn(timers(Arc::clone(&shared)));
    tokio::spawn(rounds(Arc::clone(&shared)));
    notices::start(&shared, &config.notify);
    tokio::spawn(manifest::keep(Arc::clone(&shared)));
    tokio::spawn(proxies::keep(Arc::clone(&shared), place, listeners, found));
    tokio::spawn(standstill::outlast(Arc::clone(&shared)));
    let api = tokio::spawn(api::serve(Arc::clone(&shared), api_listener));
    serving(&shared).await;
    let addresses = shared.proxies().addresses.clone();
    ready(&addresses);

    let mut end = shared.end.subscribe();
    let ended = end.wait_for(Option::is_some).await.ok().and_then(|end| end.clone()).unwrap_or(End::Stopped);
    // Whoever waits for an answer gets it; whoever follows a stream is let go.
    let _late = tokio::time::timeout(Duration::from_secs(1), api).await;
    let _gone = std::fs::remove_file(state.join(api::SOCKET));
    let moved = shared.core().checkpoint();
    if let Err(error) = moved {
        tracing::warn!(%error, "the journal's write-ahead log stays beside it");
    }
    Ok(ended)
}

fn make_folder(state: &std::path::Path) -> Result<(), StartFailed> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    // Passable, not readable: instances may run as another user; what is secret has modes of its own.
    const MODE: u32 = 0o711;
    let make = || {
        if let Some(parent) = state.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
        }
        match std::fs::DirBuilder::new().mode(MODE).create(state) {
            // Ours and just made: whatever the umask took from it is given back.
            Ok(()) => std::fs::set_permissions(state, std::fs::Permissions::from_mode(MODE)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && state.is_dir() => Ok(()),
            Err(error) => Err(error),
        }
    };
    make().map_err(|source| StartFailed::Folder { path: state.to_owned(), source })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Takes over what runs: every service hears which of its instances are alive, and what nobody knows is ended.
async fn adopt(shared: &Arc<Shared>) -> Result<(), StartFailed> {
    let adopted = shared.driver.observe().await?;
    let mut alive: BTreeMap<ServiceName, BTreeSet<InstanceId>> = BTreeMap::new();
    for Adopted { instance, address, pid, state } in &adopted {
        shared.instances().started(instance, *address, *pid);
        if *state == AdoptedState::Running {
            alive.entry(instance.service.clone()).or_default().insert(instance.clone());
        }
    }
    // Before the orders without an outcome are repeated: what has ended is not run again.
    for Adopted { instance, state, .. } in &adopted {
        if let AdoptedState::Exited(exit) = state
            && one_off::is_one_off(shared, instance)
        {
            one_off::ended(shared, instance, exit).await;
        }
    }
    let services: Vec<ServiceName> = shared.core().services().keys().cloned().collect();
    for service in &services {
        let alive = alive.get(service).cloned().unwrap_or_default();
        // The machine went down, or an operator took everything down; what ended by itself meanwhile is not told apart from it.
        let input = Input::ControllerRestarted { alive, gone_by: EndedBy::Outside };
        shared.act(|core, at| core.fact(service, input, at))?;
    }
    for Adopted { instance, state, .. } in adopted {
        let release = {
            let core = shared.core();
            let tended = core.service(&instance.service);
            let known = tended.is_some_and(|tended| tended.state.instances().any(|known| known.id == instance));
            let release = tended.and_then(|tended| tended.releases.get(&instance.release));
            release.filter(|_| known).map(|known| Arc::clone(&known.release))
        };
        match (release, state) {
            (Some(release), AdoptedState::Running) => prober::watch(shared, &instance, &release),
            (Some(_), AdoptedState::NeverStarted) => {}
            (Some(_), AdoptedState::Exited(_)) => performer::forget(shared, &instance).await,
            (None, _) if one_off::is_one_off(shared, &instance) => {}
            (None, AdoptedState::Exited(_)) => performer::forget(shared, &instance).await,
            (None, _) => {
                tracing::warn!(%instance, "ending an instance that no service knows");
                let _ = shared.driver.kill(&instance).await;
                performer::forget(shared, &instance).await;
            }
        }
    }
    Ok(())
}

async fn instances_end(shared: Arc<Shared>, mut events: mpsc::UnboundedReceiver<InstanceEvent>) {
    while let Some(InstanceEvent::Exited { instance, exit }) = events.recv().await {
        if one_off::is_one_off(&shared, &instance) {
            one_off::ended(&shared, &instance, &exit).await;
            continue;
        }
        shared.instances().unprobed(&instance);
        let links = shared.proxies().links();
        let ended_by = if exit.is_own_doing() { EndedBy::Itself } else { EndedBy::Outside };
        let status = exit.to_string();
        shared.fact(&instance.service, Input::InstanceExited { instance: instance.clone(), status, ended_by });
        for link in links {
            // The table that leaves it out is on its way; until then the proxy need not find out by itself. One that is frozen takes nothing.
            let told = link.set_health(&instance, gapless_model::Health::Unhealthy);
            let _ = tokio::time::timeout(Duration::from_millis(100), told).await;
        }
        performer::forget(&shared, &instance).await;
    }
}

async fn timers(shared: Arc<Shared>) {
    loop {
        let wait = {
            let core = shared.core();
            core.next_deadline().map(|deadline| shared.until(deadline))
        };
        match wait {
            Some(wait) => {
                // At least a little, so that a deadline in the past cannot keep the processor busy.
                let wait = wait.max(Duration::from_millis(1));
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = shared.timers.notified() => continue,
                }
            }
            None => {
                shared.timers.notified().await;
                continue;
            }
        }
        let watching = shared.core().is_watching();
        if watching {
            proxies::freshen(&shared).await;
        }
        if shared.act(Fleet::fire_timers).is_err() && !shared.is_deciding() {
            return;
        }
    }
}

async fn rounds(shared: Arc<Shared>) {
    let mut last = std::time::Instant::now();
    let mut seen = shared.core().position();
    let mut told_deleted = None;
    loop {
        tokio::time::sleep(ROUND).await;
        if shared.core().is_full() {
            let _ = shared.act(Fleet::flush_all);
        }
        keep_journal(&shared, &mut seen);
        told_deleted = tell_deleted(&shared, told_deleted);
        let since = last.elapsed();
        last = std::time::Instant::now();
        let running: Vec<InstanceId> = shared.instances().all().map(|(instance, _)| instance.clone()).collect();
        for instance in running {
            if let Ok(resources) = shared.driver.resources(&instance).await {
                shared.instances().used(&instance, resources, since);
            }
        }
    }
}

/// How often it is said that the state folder is gone.
const DELETED_PAUSE: Duration = Duration::from_secs(60);

/// Says that the state folder was deleted. Everything goes on: what is open stays usable, and keepers whose controller ended would end their instances. Answers
/// when it was said last.
fn tell_deleted(shared: &Shared, told: Option<std::time::Instant>) -> Option<std::time::Instant> {
    if !matches!(shared.state.try_exists(), Ok(false)) {
        return None;
    }
    if told.is_some_and(|told| told.elapsed() < DELETED_PAUSE) {
        return told;
    }
    tracing::error!(
        state = %shared.state.display(),
        "the state folder was deleted: traffic goes on, and nothing of it outlives this controller; instances end with it"
    );
    Some(std::time::Instant::now())
}

/// Once nothing was written for a round, what was goes to the journal's main file; and the room for a full disk is kept.
fn keep_journal(shared: &Shared, seen: &mut Position) {
    let now = shared.core().position();
    if std::mem::replace(seen, now) == now {
        let _said = shared.act(|core, _| core.checkpoint().map(|()| Vec::new()));
    }
    let _made_again = shared.core().has_reserve();
}

/// Until the proxy uses this term's table, or, where there is nothing to route yet, until it is connected.
async fn serving(shared: &Arc<Shared>) {
    let mut changed = shared.changed.subscribe();
    let mut end = shared.end.subscribe();
    loop {
        {
            let (version, empty) = {
                let core = shared.core();
                (core.publication.version(), core.services().is_empty())
            };
            let crew = shared.proxies();
            let serves = |applied: Option<gapless_model::TableVersion>| empty || applied == Some(version);
            if crew.all().iter().any(|(_, member)| member.is_in_place() && serves(member.applied)) {
                return;
            }
        }
        tokio::select! {
            _changed = changed.changed() => {}
            _ended = end.wait_for(Option::is_some) => return,
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
    }
}

/// Ends the controller at SIGTERM or SIGINT: everything else serves on.
fn stop_at_signals(shared: &Arc<Shared>) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut signals = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let [terminate, interrupt] = &mut signals;
        tokio::select! {
            _told = terminate.recv() => {}
            _told = interrupt.recv() => {}
        }
        shared.end_with(End::Stopped);
    });
    Ok(())
}
