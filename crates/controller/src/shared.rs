//! What the parts of a running controller share, and the one way in which they change it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gapless_drivers::artefact::Artefacts;
use gapless_drivers::process::ProcessDriver;
use gapless_journal::{SqliteStore, StoreError};
use gapless_model::ServiceName;
use gapless_rollout::Input;
use gapless_wire::api::in_one_line;
use gapless_wire::config::ServerConfig;
use tokio::sync::{Notify, mpsc, watch};

use crate::core::{Core, Order, TakeError};
use crate::fleet::Fleet;
use crate::proxies::Crew;

/// A running controller.
#[derive(Debug)]
pub struct Shared {
    /// Where the state is.
    pub state: PathBuf,
    /// When this controller began.
    pub began: std::time::Instant,
    /// Runs instances.
    pub driver: ProcessDriver,
    /// Unpacked releases.
    pub artefacts: Artefacts,
    /// Held shared while an artefact is taken in and its release registered, exclusively while artefacts are deleted (I9).
    pub artefact_gate: tokio::sync::RwLock<()>,
    /// The instances that run, and who asks for their health.
    pub fleet: Mutex<Fleet>,
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
    acting: std::sync::atomic::AtomicBool,
    core: Mutex<Core<SqliteStore>>,
    orders: mpsc::UnboundedSender<Order>,
}

/// Why a controller ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// It was told to; everything else serves on.
    Stopped,
    /// Everything was stopped with it.
    Down,
    /// Its journal failed: it may not act any more (I12).
    JournalFailed(String),
    /// A newer controller has taken over.
    Superseded(String),
}

impl Shared {
    /// Puts the parts together.
    pub fn new(
        config: &ServerConfig,
        state: &Path,
        driver: ProcessDriver,
        artefacts: Artefacts,
        core: Core<SqliteStore>,
        orders: mpsc::UnboundedSender<Order>,
    ) -> Shared {
        let fleet = Fleet::new(config);
        Shared {
            state: state.to_owned(),
            began: std::time::Instant::now(),
            driver,
            artefacts,
            artefact_gate: tokio::sync::RwLock::new(()),
            fleet: Mutex::new(fleet),
            crew: Mutex::new(Crew::default()),
            changed: watch::Sender::new(0),
            timers: Notify::new(),
            crew_changed: Notify::new(),
            remarks: Vec::new(),
            end: watch::Sender::new(None),
            acting: std::sync::atomic::AtomicBool::new(true),
            core: Mutex::new(core),
            orders,
        }
    }

    /// The core, to look at. Never held over an await.
    pub fn core(&self) -> MutexGuard<'_, Core<SqliteStore>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fleet. Never held over an await.
    pub fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Tells the core something and hands its orders to the performer. A journal that failed ends the controller.
    ///
    /// # Errors
    /// [`TakeError`].
    pub fn act(
        &self,
        tell: impl FnOnce(&mut Core<SqliteStore>) -> Result<Vec<Order>, TakeError>,
    ) -> Result<(), TakeError> {
        if !self.is_acting() {
            return Err(TakeError::Journal(StoreError::Poisoned { first: "the controller is ending".to_owned() }));
        }
        let (told, left) = {
            let mut core = self.core();
            let told = tell(&mut core);
            (told, core.undelivered())
        };
        // What became durable is performed, whatever failed after it.
        left.into_iter().for_each(|order| drop(self.orders.send(order)));
        if let Err(TakeError::Journal(error)) = &told {
            self.journal_failed(error);
        }
        for order in told? {
            // The performer ends only with the controller.
            let _ = self.orders.send(order);
        }
        self.changed.send_modify(|count| *count += 1);
        self.timers.notify_one();
        Ok(())
    }

    /// Tells a service a fact. What goes wrong then has been said already.
    pub fn fact(&self, service: &ServiceName, input: Input) {
        let _ = self.act(|core| core.fact(service, input));
    }

    /// Waits until the controller ends.
    pub async fn ended(&self) {
        let _ = self.end.subscribe().wait_for(Option::is_some).await;
    }

    /// From here on no input is taken: everything is being stopped on purpose.
    pub fn stop_acting(&self) {
        self.acting.store(false, std::sync::atomic::Ordering::SeqCst);
    }

    /// Whether inputs are taken.
    pub fn is_acting(&self) -> bool {
        self.acting.load(std::sync::atomic::Ordering::SeqCst) && self.end.borrow().is_none()
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
        let end = match error {
            StoreError::Superseded { .. } => End::Superseded(error.to_string()),
            _ => End::JournalFailed(in_one_line(error)),
        };
        tracing::error!(%error, "the journal failed: this controller stops acting; traffic goes on");
        self.end_with(end);
    }
}
