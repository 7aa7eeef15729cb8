//! The clients: a thread of their own that keeps the schedule, and a handle to watch and stop it.

mod exchange;
mod pool;
mod schedule;
mod session;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use thiserror::Error;

use crate::ledger::{Ledger, Sums};
use crate::plan::{Plan, PlanError};
use crate::seen::{Seen, SeenError};

/// Load on its way. It runs on a thread of its own, so that a busy caller cannot disturb its schedule; dropping it stops it.
#[derive(Debug)]
pub struct Run {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
    plan: Plan,
}

/// What the generating thread and the handle share.
#[derive(Debug)]
pub(crate) struct Shared {
    ledger: Mutex<Ledger>,
    stopped: AtomicBool,
}

impl Shared {
    /// The ledger; a poisoned lock still holds whole entries.
    fn with<T>(&self, act: impl FnOnce(&mut Ledger) -> T) -> T {
        act(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// Why a run did not start or has no result.
#[derive(Debug, Error)]
pub enum RunError {
    /// The plan is not one that may run.
    #[error("the load plan is refused")]
    Plan(#[from] PlanError),
    /// The thread or its runtime.
    #[error("cannot run the load generator")]
    Start(#[source] std::io::Error),
    /// The generating thread died.
    #[error("BUG: the load generator panicked")]
    Panicked,
    /// The file of seen ids.
    #[error(transparent)]
    Seen(#[from] SeenError),
}

impl Run {
    /// Checks the plan and starts sending at once.
    ///
    /// # Errors
    /// When the plan is not local or not bounded, or no thread can be had.
    pub fn start(plan: Plan) -> Result<Self, RunError> {
        plan.check()?;
        let shared =
            Arc::new(Shared { ledger: Mutex::new(Ledger::new(plan.slow_from)), stopped: AtomicBool::new(false) });
        let (theirs, their_plan) = (Arc::clone(&shared), plan.clone());
        let thread = std::thread::Builder::new()
            .name("load".into())
            .spawn(move || schedule::run(&their_plan, &theirs))
            .map_err(RunError::Start)?;
        Ok(Self { shared, thread: Some(thread), plan })
    }

    /// The sums as they are now. Duplicates are counted only at the end.
    #[must_use]
    pub fn snapshot(&self) -> Sums {
        self.shared.with(|ledger| ledger.snapshot())
    }

    /// Schedules no further request; those under way run to their end.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether everything scheduled has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Blocks until a condition on the sums holds; false when it did not within `at_most` or the run ended before.
    pub fn wait_until(&self, at_most: Duration, condition: impl Fn(&Sums) -> bool) -> bool {
        let deadline = std::time::Instant::now() + at_most;
        loop {
            if condition(&self.snapshot()) {
                return true;
            }
            if std::time::Instant::now() >= deadline || self.is_finished() {
                return condition(&self.snapshot());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Blocks until every request has ended and tells what became of them. Without [`Run::stop`] before, that takes the plan's duration.
    ///
    /// # Errors
    /// When the generator could not run or the file of seen ids cannot be read.
    pub fn finish(mut self) -> Result<Sums, RunError> {
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| RunError::Panicked)?.map_err(RunError::Start)?;
        }
        let mut sums = self.snapshot();
        if let Some(path) = &self.plan.seen {
            let seen = Seen::read(path, &self.plan.run)?;
            sums.duplicated = seen.duplicated;
            sums.seen = Some(seen);
        }
        Ok(sums)
    }

    /// [`Run::finish`] for callers on a runtime.
    ///
    /// # Errors
    /// As [`Run::finish`].
    pub async fn finished(self) -> Result<Sums, RunError> {
        tokio::task::spawn_blocking(move || self.finish()).await.map_err(|_| RunError::Panicked)?
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.stop();
    }
}
