//! What a connection's turn is given: everything of the thread but its clients.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use gapless_exchange::Request;
use gapless_http1::{Framing, Persistence};
use gapless_model::Tick;
use gapless_routing::{CutReason, RetryBudget, Slot, Table};

use super::asked::{Asked, Core};
use super::exchange::Exchange;
use super::holds::Holds;
use super::ids::RequestIds;
use crate::data::backend::connections::Backend;
use crate::data::backend::instances::Verdict;
use crate::data::io::buffers::{Buffers, Scratch};
use crate::data::io::clock::Clock;
use crate::data::io::poller::Poller;
use crate::data::io::slab::Key;
use crate::data::reporter::Reporter;
use crate::data::settings::Settings;
use crate::seam::{AccessRecord, WorkerCounts};

/// Exchanges kept to be used again.
const SPARE_MAX: usize = 1_024;

/// Whether the whole proxy goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drain {
    /// It does not.
    No,
    /// It does; what is left then is cut.
    Until { ms: u64 },
    /// Nothing is left, and the control side was told.
    Over,
}

/// The threads of a proxy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Threads {
    /// When their clocks began.
    pub(crate) origin: Instant,
    /// How many they are.
    pub(crate) count: usize,
}

/// What a connection's turn is given.
pub(crate) struct Context {
    pub(crate) backend: Backend,
    pub(crate) holds: Holds,
    pub(crate) table: Arc<Table>,
    pub(crate) retry_budget: RetryBudget,
    pub(crate) settings: Arc<Settings>,
    pub(crate) drain: Drain,
    pub(crate) clock: Clock,
    pub(crate) ids: RequestIds,
    pub(crate) buffers: Buffers,
    pub(crate) scratch: Scratch,
    pub(crate) reporter: Reporter,
    pub(crate) records: Option<SyncSender<AccessRecord>>,
    /// Clients that have more to do than one turn allows.
    pub(crate) again: Vec<Key>,
    /// How many threads share the bounds of a service.
    pub(crate) threads: usize,
    /// Exchanges that ended, to be used again.
    #[expect(clippy::vec_box, reason = "the boxes are what is used again")]
    spare: Vec<Box<Exchange>>,
    choices: u64,
}

impl Context {
    /// With neither a table nor connections, for one of so many threads.
    pub(crate) fn new(poller: Poller, reporter: Reporter, settings: Arc<Settings>, threads: Threads) -> Self {
        Self {
            backend: Backend::new(poller, reporter.clone(), Arc::clone(&settings)),
            holds: Holds::default(),
            table: Arc::new(Table::empty()),
            retry_budget: RetryBudget::new(Tick(0)),
            settings,
            drain: Drain::No,
            clock: Clock::new(threads.origin),
            ids: RequestIds::new(),
            buffers: Buffers::default(),
            scratch: Scratch::new(),
            reporter,
            records: None,
            again: Vec::new(),
            threads: threads.count.max(1),
            spare: Vec::new(),
            choices: 0,
        }
    }

    /// The settings have changed.
    pub(crate) fn set(&mut self, settings: Arc<Settings>, records: Option<SyncSender<AccessRecord>>) {
        self.backend.set(Arc::clone(&settings));
        (self.settings, self.records) = (settings, records);
    }

    /// What the thread counts.
    #[inline]
    pub(crate) fn counts(&self) -> &WorkerCounts {
        self.reporter.counts()
    }

    /// Whether we would keep clients' connections.
    #[inline]
    pub(crate) fn persistence(&self) -> Persistence {
        if self.drain == Drain::No { Persistence::KeepAlive } else { Persistence::Close }
    }

    /// Whether the proxy has drained for as long as it may.
    pub(crate) fn is_cutting(&self) -> bool {
        matches!(self.drain, Drain::Until { ms } if self.clock.now_ms() >= ms)
    }

    /// Numbers choices, for taking turns.
    #[inline]
    pub(crate) fn choice_next(&mut self) -> u64 {
        self.choices += 1;
        self.choices
    }

    /// An exchange with nothing sent, in a used box if there is one. `head` was rendered for whichever instance will get it.
    pub(crate) fn begin_exchange(
        &mut self,
        request: Request,
        asked: Asked,
        framing: Framing,
        head: Vec<u8>,
    ) -> Box<Exchange> {
        let mut exchange = self.spare.pop().unwrap_or_else(|| Box::new(Exchange::blank()));
        exchange.reset(request, asked, framing, head, self.clock.now_us());
        exchange
    }

    /// Takes an exchange back that is in the ledger and has no instance.
    pub(crate) fn recycle(&mut self, mut exchange: Box<Exchange>) {
        debug_assert!(exchange.core.is_ended(), "BUG: a request without an end in the ledger");
        self.buffers.take_back(std::mem::take(&mut exchange.sending.buffer));
        if self.spare.len() < SPARE_MAX {
            self.spare.push(exchange);
        }
    }

    /// Gives memory back that a burst of clients needed.
    pub(crate) fn release_spare(&mut self) {
        self.buffers.release_spare();
        self.spare = Vec::new();
    }

    /// The instance has begun to answer.
    #[inline]
    pub(crate) fn note_answer(&mut self, slot: Slot, core: &Core) {
        if core.status() >= 500 {
            return self.note_failure(slot, core);
        }
        let at_us = self.clock.now_us();
        let began_us = core.attempt().map_or(at_us, |attempt| attempt.began_us());
        let verdict = Verdict::Answered { at_us, latency_us: at_us.saturating_sub(began_us) };
        self.backend.judge(slot.index(), verdict, self.clock.tick());
    }

    /// The instance has failed a request.
    pub(crate) fn note_failure(&mut self, slot: Slot, core: &Core) {
        let eject_after = core.policy().map_or(0, |policy| policy.eject_after_failures);
        self.backend.judge(slot.index(), Verdict::Failed { eject_after }, self.clock.tick());
    }

    /// Why an answer is cut that its instance drops now. Asked before the exchange leaves the instance: then nobody knows any more whether it lasted.
    pub(crate) fn dropped(&self, core: &Core) -> CutReason {
        let patience = core.drain_patience();
        let over = core
            .attempt()
            .is_some_and(|attempt| self.backend.drain_is_over(attempt.slot().index(), patience, self.clock.now_ms()));
        if over { CutReason::DrainDeadline } else { CutReason::InstanceClosed }
    }

    /// Hands a record to the access log. What does not fit is dropped and counted.
    pub(crate) fn record(&self, record: AccessRecord) {
        if self.records.as_ref().is_some_and(|records| records.try_send(record).is_err()) {
            self.counts().dropped.add(1);
        }
    }
}
