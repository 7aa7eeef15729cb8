//! All worker threads together.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::Instant;

use gapless_model::{TableVersion, Tick};
use gapless_routing::{INSTANCE_SLOTS_MAX, SeriesCounts, Table};

use super::drive::context::Threads;
use super::io::descriptors::clients_per_thread;
use super::settings::Settings;
use super::worker::{Stopped, Worker, WorkerParts};
use crate::seam::{AccessRecord, Command, Event, WorkerHandle};

/// The worker threads. Dropping it stops them and cuts what they serve.
#[derive(Debug)]
pub struct DataPlane {
    workers: Vec<WorkerHandle>,
    threads: Vec<JoinHandle<()>>,
    origin: Instant,
    /// The most clients that a thread's share of the process's descriptors is enough for.
    clients_max: usize,
}

impl DataPlane {
    /// Starts `threads` worker threads that serve nothing yet: they need listening sockets and a table.
    ///
    /// `events` and `records` are bounded channels; what does not fit is dropped and counted.
    ///
    /// # Errors
    /// When the system gives no thread or no event queue.
    pub fn start(
        threads: usize,
        settings: Settings,
        events: &SyncSender<Event>,
        records: Option<&SyncSender<AccessRecord>>,
    ) -> std::io::Result<Self> {
        let clients_max = clients_per_thread(threads);
        let mut plane = Self { workers: Vec::new(), threads: Vec::new(), origin: Instant::now(), clients_max };
        let settings = plane.within_descriptors(settings);
        for index in 0..threads.max(1) {
            let (handle, mailbox) = WorkerHandle::new()?;
            let worker = Worker::new(WorkerParts {
                mailbox,
                events: events.clone(),
                records: records.cloned(),
                settings: Arc::clone(&settings),
                threads: Threads { origin: plane.origin, count: threads },
                index,
            })?;
            let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || serve(worker))?;
            plane.workers.push(handle);
            plane.threads.push(thread);
        }
        Ok(plane)
    }

    /// The threads, in order.
    pub fn workers(&self) -> &[WorkerHandle] {
        &self.workers
    }

    /// The time on the clock that the worker threads share, for building tables.
    pub fn now(&self) -> Tick {
        Tick(self.origin.elapsed().as_millis() as u64)
    }

    /// Gives a table to every thread.
    pub fn install(&self, table: &Arc<Table>) {
        for worker in &self.workers {
            worker.post(Command::Install(Arc::clone(table)));
        }
    }

    /// The oldest table that any thread still dispatches by: this version is acknowledged. None while a thread has none.
    pub fn applied(&self) -> Option<TableVersion> {
        self.workers.iter().map(WorkerHandle::applied).min().flatten()
    }

    /// Has every thread go by these settings from now on, and write access records there.
    pub fn set(&self, settings: Settings, records: Option<&SyncSender<AccessRecord>>) {
        let settings = self.within_descriptors(settings);
        self.post_all(|| Command::Settings { settings: Arc::clone(&settings), records: records.cloned() });
    }

    /// Whatever settings say, the descriptors are what they are.
    fn within_descriptors(&self, settings: Settings) -> Arc<Settings> {
        Arc::new(Settings { connections_max: settings.connections_max.min(self.clients_max), ..settings })
    }

    /// Gives a listening socket to a thread, by its index.
    pub fn listen(&self, thread: usize, listener: TcpListener) {
        if let Some(worker) = self.workers.get(thread % self.workers.len()) {
            worker.post(Command::Listen(listener));
        }
    }

    /// Requests in flight by slot, summed over all threads; only those that have any. To know that an instance has none that
    /// an older table sent there, read [`DataPlane::applied`] first.
    pub fn in_flight(&self) -> BTreeMap<usize, u64> {
        let sum = |slot| self.workers.iter().map(|worker| worker.counts().in_flight(slot).read()).sum();
        (0..INSTANCE_SLOTS_MAX).map(|slot| (slot, sum(slot))).filter(|&(_, count)| count > 0).collect()
    }

    /// Requests in flight on one instance, by its slot.
    pub fn in_flight_on(&self, slot: usize) -> u64 {
        self.workers.iter().map(|worker| worker.counts().in_flight(slot).read()).sum()
    }

    /// Those of the requests in flight on one instance that have no end in sight: tunnels and streams of events.
    pub fn lasting_on(&self, slot: usize) -> u64 {
        self.workers.iter().map(|worker| worker.counts().lasting(slot).read()).sum()
    }

    /// The counts of one series, summed over all threads.
    pub fn series(&self, series: usize) -> SeriesCounts {
        let mut sum = SeriesCounts::default();
        for worker in &self.workers {
            worker.counts().add_series_to(series, &mut sum);
        }
        sum
    }

    /// Gives an order to every thread.
    pub fn post_all(&self, mut order: impl FnMut() -> Command) {
        for worker in &self.workers {
            worker.post(order());
        }
    }
}

/// Runs a worker to its end. A thread that ends in any other way than by being told to would leave its share of new connections unanswered for ever and
/// block every later table: the whole process ends with it, and whoever keeps its listening sockets starts it again.
fn serve(worker: Worker) {
    let unless_told = EndOfProcess;
    match worker.run() {
        Ok(Stopped { .. }) => std::mem::forget(unless_told),
        Err(error) => tracing::error!(%error, "a worker thread cannot go on: the process ends"),
    }
}

/// Dropped, also by a panic, it ends the process.
struct EndOfProcess;

impl Drop for EndOfProcess {
    fn drop(&mut self) {
        gapless_drivers::talk::finish();
        std::process::abort();
    }
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        self.post_all(|| Command::Stop);
        for thread in self.threads.drain(..) {
            // A thread that panicked has ended the process.
            let _ = thread.join();
        }
    }
}
