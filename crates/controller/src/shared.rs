//! What the parts of a running controller share, and the one way in which they change it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gapless_drivers::artefact::Artefacts;
use gapless_drivers::driver::Driver;
use gapless_fleet::{Decided, Fleet, Moment, TakeError};
use gapless_journal::{SqliteStore, StoreError};
use gapless_model::{ServiceName, Tick};
use gapless_rollout::{Input, Intent};
use gapless_wire::api::in_one_line;
use gapless_wire::config::ServerConfig;
use tokio::sync::{Notify, mpsc, watch};

use crate::clock::Clock;
use crate::crash_point::Crashing;
use crate::instances::Instances;
use crate::proxies::Crew;
use crate::wall;

/// An effect to perform.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// Of which service.
    pub service: ServiceName,
    /// What.
    pub intent: Intent,
}

/// The store of a controller.
pub type Journal = Crashing<SqliteStore>;

/// A running controller.
#[derive(Debug)]
pub struct Shared {
    /// Where the state is.
    pub state: PathBuf,
    /// When this controller began.
    pub began: std::time::Instant,
    /// Runs instances.
    pub driver: Arc<dyn Driver>,
    /// Unpacked releases.
    pub artefacts: Artefacts,
    /// Held shared while an artefact is taken in and its release registered, exclusively while artefacts are deleted (I9).
    pub artefact_gate: tokio::sync::RwLock<()>,
    /// The instances that run, and who asks for their health.
    pub instances: Mutex<Instances>,
    /// What is known of the proxies.
    pub crew: Mutex<Crew>,
    /// Something about a service changed.
    pub changed: watch::Sender<u64>,
    /// The next deadline may have changed.
    pub timers: Notify,
    /// Something about who of the proxies serves may have changed.
    pub crew_changed: Notify,
    /// What of the machine's configuration does not hold, for people.
    pub remarks: Vec<String>,
    /// What ends the controller.
    pub end: watch::Sender<Option<End>>,
    stopping: std::sync::atomic::AtomicBool,
    /// Why nothing is decided any more.
    journal_failure: watch::Sender<Option<JournalFailure>>,
    clock: Clock,
    core: Mutex<Fleet<Journal>>,
    orders: mpsc::UnboundedSender<Order>,
}

/// Why a controller ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// It was told to; everything else serves on.
    Stopped,
    /// Everything was stopped with it.
    Down,
    /// Its journal failed: it decided nothing any more (I12), and ends now that another one may be able to.
    JournalFailed(String),
    /// A newer controller has taken over.
    Superseded(String),
}

/// How the journal failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JournalFailure {
    /// In words, for people.
    pub reason: String,
    /// What a further controller can do about it.
    pub remedy: Remedy,
}

/// What mends a journal that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remedy {
    /// A disk that can be written again: the next controller goes on where this one stopped.
    Disk,
    /// An operator: the next controller would be refused as well.
    Operator,
}

impl Shared {
    /// Puts the parts together.
    pub fn new(
        config: &ServerConfig,
        state: &Path,
        driver: Arc<dyn Driver>,
        artefacts: Artefacts,
        (core, clock): (Fleet<Journal>, Clock),
        orders: mpsc::UnboundedSender<Order>,
    ) -> Shared {
        Shared {
            state: state.to_owned(),
            began: std::time::Instant::now(),
            driver,
            artefacts,
            artefact_gate: tokio::sync::RwLock::new(()),
            instances: Mutex::new(Instances::new(config)),
            crew: Mutex::new(Crew::default()),
            changed: watch::Sender::new(0),
            timers: Notify::new(),
            crew_changed: Notify::new(),
            remarks: Vec::new(),
            end: watch::Sender::new(None),
            stopping: std::sync::atomic::AtomicBool::new(false),
            journal_failure: watch::Sender::new(None),
            clock,
            core: Mutex::new(core),
            orders,
        }
    }

    /// Now, by the controller's clock.
    pub fn now(&self) -> Tick {
        self.clock.now()
    }

    /// How long from now until a deadline; zero when it has passed.
    pub fn until(&self, deadline: Tick) -> std::time::Duration {
        self.clock.until(deadline)
    }

    /// The core, to look at. Never held over an await.
    pub fn core(&self) -> MutexGuard<'_, Fleet<Journal>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The instances that run. Never held over an await.
    pub fn instances(&self) -> MutexGuard<'_, Instances> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The proxies. Never held over an await, nor while the core is asked for.
    pub fn proxies(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The requests in flight by instance, as the proxies told last.
    pub fn in_flight(&self) -> BTreeMap<String, u64> {
        let crew = self.proxies();
        let mut in_flight: BTreeMap<String, u64> = BTreeMap::new();
        for doc in crew.all().iter().filter_map(|(_, member)| member.last.as_ref()).flat_map(|report| &report.in_flight)
        {
            *in_flight.entry(doc.instance.clone()).or_default() += doc.requests;
        }
        in_flight
    }

    /// Tells the core something and hands its orders to the performer. After a failure of the journal nothing is decided any more.
    ///
    /// # Errors
    /// [`TakeError`].
    pub fn act(
        &self,
        tell: impl FnOnce(&mut Fleet<Journal>, Moment) -> Result<Vec<Decided>, TakeError>,
    ) -> Result<(), TakeError> {
        self.check_deciding()?;
        let (told, left) = {
            let mut core = self.core();
            let at = Moment { tick: self.clock.now(), wall_ms: wall::now_ms() };
            let told = tell(&mut core, at);
            (told, core.undelivered())
        };
        // What became durable is performed, whatever failed after it.
        left.into_iter().for_each(|taken| self.perform(taken));
        if let Err(TakeError::Journal(error)) = &told {
            self.journal_failed(error);
        }
        told?.into_iter().for_each(|taken| self.perform(taken));
        self.changed.send_modify(|count| *count += 1);
        self.timers.notify_one();
        Ok(())
    }

    /// Says what was decided, and hands what is to be done to the performer, which ends only with the controller.
    fn perform(&self, taken: Decided) {
        let Decided { service, timeline, intents, placed: _ } = taken;
        for entry in &timeline {
            tracing::info!(%service, rollout = entry.rollout.map(|rollout| rollout.0), action = %entry.action, "step");
        }
        for intent in intents {
            let _ = self.orders.send(Order { service: service.clone(), intent });
        }
    }

    /// Tells a service a fact. What goes wrong then has been said already.
    pub fn fact(&self, service: &ServiceName, input: Input) {
        let _ = self.act(|core, at| core.fact(service, input, at));
    }

    /// Waits until the controller ends.
    pub async fn ended(&self) {
        let _ = self.end.subscribe().wait_for(Option::is_some).await;
    }

    /// From here on no input is taken: everything is being stopped on purpose.
    pub fn stop_everything(&self) {
        self.stopping.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    /// Whether a proxy that dies is replaced: until everything is stopped on purpose, or the controller ends. It takes no decision, and no disk.
    pub fn keeps_proxies(&self) -> bool {
        !self.stopping.load(std::sync::atomic::Ordering::SeqCst) && self.end.borrow().is_none()
    }

    /// Whether inputs are taken: not after the journal failed.
    pub fn is_deciding(&self) -> bool {
        self.keeps_proxies() && self.journal_failure.borrow().is_none()
    }

    /// Refuses whoever wants something decided that no longer is.
    ///
    /// # Errors
    /// [`TakeError::Journal`].
    pub fn check_deciding(&self) -> Result<(), TakeError> {
        if self.is_deciding() {
            return Ok(());
        }
        let first = match self.journal_failure() {
            Some(failure) => failure.reason,
            None => "the controller is ending".to_owned(),
        };
        Err(TakeError::Journal(StoreError::Poisoned { first }))
    }

    /// How the journal failed, where it has.
    pub fn journal_failure(&self) -> Option<JournalFailure> {
        self.journal_failure.borrow().clone()
    }

    /// Waits until the journal fails.
    pub async fn journal_to_fail(&self) -> JournalFailure {
        let mut failures = self.journal_failure.subscribe();
        loop {
            let known = failures.borrow_and_update().clone();
            if let Some(failure) = known {
                return failure;
            }
            let _lives_as_long_as_we = failures.changed().await;
        }
    }

    /// Ends the controller, unless it is ending already.
    pub fn end_with(&self, end: End) {
        self.end.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(end);
            }
            first
        });
    }

    fn journal_failed(&self, error: &StoreError) {
        if let StoreError::Superseded { .. } = error {
            return self.end_with(End::Superseded(error.to_string()));
        }
        let remedy = match error {
            StoreError::Damaged { .. } | StoreError::WitnessDamaged { .. } | StoreError::Newer { .. } => {
                Remedy::Operator
            }
            _ => Remedy::Disk,
        };
        let failure = JournalFailure { reason: in_one_line(error), remedy };
        self.journal_failure.send_if_modified(|known| {
            let first = known.is_none();
            if first {
                tracing::error!(
                    reason = failure.reason,
                    "the journal failed: nothing is decided any more; traffic goes on"
                );
                *known = Some(failure);
            }
            first
        });
    }
}
