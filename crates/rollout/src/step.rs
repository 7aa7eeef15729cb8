//! One step of the machine: a fact or an order comes in, the rollout moves as far as it can, what is missing is ordered.

use gapless_model::Tick;

use crate::transition::Transition;
use crate::{Entry, Input, Intent, Placed, Refusal, Refused, Service};

/// What a step gives.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub struct Step {
    /// The state that follows.
    pub state: Service,
    /// What is to be done, in this order, once input and effects are durable.
    pub effects: Vec<Intent>,
    /// What was decided, one line per action.
    pub timeline: Vec<Entry>,
    /// When to come back with [`Input::TimerFired`] at the latest; always later than `now`. It may be that nothing happens then: what
    /// happens next is for [`Service::report`] to say.
    pub next_deadline: Option<Tick>,
    /// What became of the order; nothing where the input is a fact.
    pub placed: Option<Placed>,
    /// Whether the input changed anything; one that did not is not journalled.
    pub change: Change,
}

/// Whether an input changed anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// The state or the effects differ: the record must be durable before the effects are performed.
    Changed,
    /// Nothing differs.
    Unchanged,
}

/// How many moves one step may cause at most. Each phase of each batch is entered at most once per step and each gives up or orders
/// something finite, so that this is only reached by a mistake in the machine.
pub(crate) const MOVES_MAX: usize = 100_000;

/// Takes the service through one input at the time `now`.
///
/// The same state, input and time give the same step, so that replaying the journal gives the state again.
///
/// # Errors
/// [`Refused`] gives the state back, unchanged, with the reason; only orders are refused, facts never.
///
/// # Panics
/// `BUG:` when one input moves the machine without end.
pub fn step(state: Service, input: Input, now: Tick) -> Result<Step, Refused> {
    let before = state.outline();
    let mut transition = Transition::new(state, now);
    if let Err(reason) = transition.take(input) {
        debug_assert!(transition.service.outline() == before, "BUG: a refused order changed the service");
        return Err(Refused { state: Box::new(transition.service), reason });
    }
    transition.run();
    let Transition { service, effects, timeline, placed, .. } = transition;
    let unchanged = effects.is_empty() && service.outline() == before;
    let change = if unchanged { Change::Unchanged } else { Change::Changed };
    let next_deadline = service.next_instant(now);
    Ok(Step { state: service, effects, timeline, next_deadline, placed, change })
}

impl Transition {
    /// Everything that follows from what is true now.
    ///
    /// # Panics
    /// `BUG:` when it never comes to rest.
    pub(crate) fn run(&mut self) {
        let mut moves = 0;
        while self.expire_one_offs() || self.advance() || self.mend() || self.expire() || self.reconcile() {
            moves += 1;
            assert!(moves < MOVES_MAX, "BUG: one input moves the machine without end");
        }
    }

    pub(crate) fn take(&mut self, input: Input) -> Result<(), Refusal> {
        match input {
            Input::DeployOrdered(order) => return self.deploy(order),
            Input::RestartOrdered(order) => return self.restart(order),
            Input::AdjustOrdered(order) => return self.adjust(order),
            Input::RollbackOrdered(order) => return self.roll_back(order),
            Input::AbortOrdered(origin) => return self.abort(origin),
            Input::PromoteOrdered(origin) => return self.promote(origin),
            Input::InstanceStarted { instance, address } => self.started(&instance, address),
            Input::InstanceStartFailed { instance, reason } => self.start_failed(&instance, reason),
            Input::InstanceReady { instance } => self.ready(&instance),
            Input::ProbeFailed { instance, reason } => self.probe_failed(&instance, reason),
            Input::InstanceUnhealthy { instance, reason } => self.unhealthy(&instance, reason),
            Input::InstanceExited { instance, status, ended_by } => self.exited(&instance, status, ended_by),
            Input::InstanceStopped { instance } => self.stopped(&instance),
            Input::RoutesApplied { routes } => self.applied(routes),
            Input::RoutesRefused { routes, reason } => self.routes_refused(routes, reason),
            Input::RequestsEnded { instance, routes } => self.requests_ended(&instance, routes),
            Input::Drained { instance, routes } => self.drained(&instance, routes),
            Input::RequestsCounted { candidate, counts } => self.requests_counted(candidate, &counts),
            Input::CheckPassed { check } => self.check_passed(check),
            Input::CheckFailed { check, reason } => self.check_failed(check, reason),
            Input::OneOffEnded { one_off, end } => self.one_off_ended(&one_off, &end),
            Input::ReceiptClosed { rollout } => self.receipt_closed(rollout),
            Input::TimerFired => {}
            Input::ControllerRestarted { alive, gone_by } => self.restarted(&alive, gone_by),
        }
        Ok(())
    }
}
