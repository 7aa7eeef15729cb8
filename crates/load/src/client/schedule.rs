//! The schedule: when each request is due, whatever the answers do.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::LocalSet;
use tokio::time::Instant;

use super::pool::Pool;
use super::{Shared, exchange, session};
use crate::ledger::{Entry, Fate};
use crate::plan::{IN_FLIGHT_MAX, Kind, Plan, Stream};

/// The longest sleep between two looks at the stop flag.
const STOP_LOOK: Duration = Duration::from_millis(50);

/// What every request of a run knows.
pub(super) struct Context {
    pub plan: Plan,
    pub shared: Arc<Shared>,
    pub begun: Instant,
    numbers: Cell<u64>,
    in_flight: Cell<usize>,
}

impl Context {
    /// The next id of this run.
    fn id(&self) -> String {
        let number = self.numbers.get() + 1;
        self.numbers.set(number);
        format!("{}-{number}", self.plan.run)
    }

    /// Enters the end of a request that was due at `at` and sent at `sent`.
    pub fn enter(&self, id: String, kind: Kind, at: Instant, sent: Instant, fate: Fate) {
        let now = Instant::now();
        let entry = Entry {
            id,
            kind,
            fate,
            at: at.saturating_duration_since(self.begun),
            latency: now.saturating_duration_since(at),
            service_time: now.saturating_duration_since(sent),
        };
        self.shared.with(|ledger| ledger.enter(entry));
    }
}

/// One request that is due.
pub(super) struct Due {
    pub id: String,
    pub at: Instant,
}

/// Runs the plan to its end on this thread.
pub(super) fn run(plan: &Plan, shared: &Arc<Shared>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    for (place, stream) in plan.streams.iter().filter(|stream| stream.rate > 0.0).cloned().enumerate() {
        let (mut plan, shared) = (plan.clone(), Arc::clone(shared));
        // Ids are unique over all streams and still begin with the run's name.
        plan.run = format!("{}-{}{place}", plan.run, stream.kind.name());
        local.spawn_local(keep_schedule(stream, plan, shared));
    }
    runtime.block_on(local);
    Ok(())
}

/// Lets each request of a stream go at its time.
async fn keep_schedule(stream: Stream, plan: Plan, shared: Arc<Shared>) {
    let begun = Instant::now();
    let (duration, rate, in_flight_max) = (plan.duration, stream.rate, plan.offer.in_flight_max(&stream));
    let context = Rc::new(Context { plan, shared, begun, numbers: Cell::new(0), in_flight: Cell::new(0) });
    let pool = Rc::new(Pool::new(Rc::clone(&context), stream.connections));
    let stream = Rc::new(stream);
    for number in 0_u64.. {
        let after = Duration::from_secs_f64(number as f64 / rate);
        if after >= duration || !sleep_until(begun + after, &context.shared).await {
            return;
        }
        if context.in_flight.get() >= in_flight_max {
            context.shared.with(|ledger| ledger.sums_mut().left_out += 1);
            continue;
        }
        let copies = if let Kind::Pipeline { depth } = stream.kind { depth } else { 1 };
        let at = begun + after;
        let due: Vec<Due> = (0..copies).map(|_| Due { id: context.id(), at }).collect();
        context.shared.with(|ledger| ledger.sums_mut().scheduled += due.len() as u64);
        if context.in_flight.get() >= IN_FLIGHT_MAX {
            due.into_iter().for_each(|due| context.enter(due.id, stream.kind, at, at, Fate::NotSent));
            continue;
        }
        let (context, pool, stream) = (Rc::clone(&context), Rc::clone(&pool), Rc::clone(&stream));
        tokio::task::spawn_local(async move {
            context.in_flight.set(context.in_flight.get() + 1);
            match stream.kind {
                Kind::WebSocket { every, lifetime } => session::run(&context, &stream, due, every, lifetime).await,
                _ => exchange::run(&context, &pool, &stream, due).await,
            }
            context.in_flight.set(context.in_flight.get() - 1);
        });
    }
}

/// Sleeps in short pieces; false as soon as the run is stopped.
async fn sleep_until(at: Instant, shared: &Shared) -> bool {
    loop {
        if shared.is_stopped() {
            return false;
        }
        let now = Instant::now();
        if now >= at {
            return true;
        }
        tokio::time::sleep_until(at.min(now + STOP_LOOK)).await;
    }
}
