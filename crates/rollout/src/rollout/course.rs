//! The course: a strategy compiled against the releases it is about, so that every strategy is the same phases in its own order.

use gapless_model::{Amount, Millis, Order, Release, ReleaseId, ReleaseSpec, Strategy};

use crate::rollout::{Tests, blue_green, first, rolling};
use crate::want::{Rest, Want, Wants};
use crate::{PhaseName, PlantedBug, Refusal, Service};

/// A compiled strategy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Course {
    /// No release serves yet.
    First(first::First),
    /// Batch by batch.
    Rolling(rolling::Rolling),
    /// All beside, one switch.
    BlueGreen(blue_green::BlueGreen),
}

/// What follows a phase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// This phase, of the same batch.
    Phase(PhaseName),
    /// This phase, in the next batch.
    Batch(PhaseName),
    /// The rollout is done.
    Done,
}

/// Whether a phase can still turn back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stand {
    /// Nobody was switched yet.
    Unexposed,
    /// Some clients are served by the candidate, and there is a way back.
    Exposed,
    /// The candidate has earned its place (or nothing is there to go back to): a loss is healed.
    Earned,
}

impl Course {
    /// Compiles a strategy.
    ///
    /// # Errors
    /// [`Refusal::FloorForbidsInPlace`].
    pub(crate) fn compile(from: Option<&Release>, to: &Release, strategy: &Strategy) -> Result<Course, Refusal> {
        let Some(from) = from else {
            return Ok(Course::First(first::First { to: to.id, instances: to.spec.instances }));
        };
        match strategy {
            Strategy::Rolling { batch, order, observe, bake } => {
                rolling::compile(from, to, *batch, *order, *observe, *bake).map(Course::Rolling)
            }
            Strategy::BlueGreen { bake } => Ok(Course::BlueGreen(blue_green::BlueGreen {
                from: from.id,
                to: to.id,
                old: from.spec.instances,
                new: to.spec.instances,
                bake: *bake,
            })),
        }
    }

    /// As [`Course::compile`], for this service.
    pub(crate) fn for_service(service: &Service, to: &Release, strategy: &Strategy) -> Result<Course, Refusal> {
        let from = service.current().map(|current| &**current);
        if service.has(PlantedBug::BelowFloor) {
            let spec = ReleaseSpec { floor: Amount::Count(0), ..to.spec.clone() };
            return Course::compile(from, &Release { spec, ..to.clone() }, strategy);
        }
        Course::compile(from, to, strategy)
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Course::First(_) => "first deploy",
            Course::Rolling(rolling) => match rolling.order {
                Order::SurgeFirst => "rolling",
                Order::InPlace => "rolling in place",
            },
            Course::BlueGreen(_) => "blue-green",
        }
    }

    pub(crate) fn from(&self) -> Option<ReleaseId> {
        match self {
            Course::First(_) => None,
            Course::Rolling(rolling) => Some(rolling.from),
            Course::BlueGreen(blue_green) => Some(blue_green.from),
        }
    }

    /// How many batches it has; at least one.
    pub(crate) fn batches(&self) -> u16 {
        match self {
            Course::First(_) | Course::BlueGreen(_) => 1,
            Course::Rolling(rolling) => rolling.batches(),
        }
    }

    /// Its first phase.
    pub(crate) fn begin(&self) -> PhaseName {
        match self {
            Course::First(_) | Course::BlueGreen(_) => PhaseName::Start,
            Course::Rolling(rolling) => rolling.begin(),
        }
    }

    /// What follows `phase` of `batch`.
    pub(crate) fn next(&self, phase: PhaseName, batch: u16) -> Next {
        match self {
            Course::First(_) => first::next(phase),
            Course::Rolling(rolling) => rolling.next(phase, batch),
            Course::BlueGreen(_) => blue_green::next(phase),
        }
    }

    /// What `phase` of `batch` wants of the fleet.
    pub(crate) fn wants(&self, phase: PhaseName, batch: u16) -> Wants {
        match self {
            Course::First(first) => first.wants(phase),
            Course::Rolling(rolling) => rolling.wants(phase, batch),
            Course::BlueGreen(blue_green) => blue_green.wants(phase),
        }
    }

    /// Whether `phase` of `batch` can still turn back.
    pub(crate) fn stand(&self, phase: PhaseName, batch: u16) -> Stand {
        match self {
            Course::First(_) => first::stand(phase),
            Course::Rolling(rolling) => rolling.stand(phase, batch),
            Course::BlueGreen(_) => blue_green::stand(phase),
        }
    }

    /// Whether slots are freed before they are filled.
    pub(crate) fn is_in_place(&self) -> bool {
        matches!(self, Course::Rolling(rolling) if rolling.order == Order::InPlace)
    }

    /// Whether a phase has nothing to do in a rollout to this release.
    pub(crate) fn skips(&self, phase: PhaseName, to: &ReleaseSpec, tests: Tests) -> bool {
        match phase {
            PhaseName::Test => tests == Tests::Skip || to.checks.is_empty(),
            PhaseName::Observe | PhaseName::Bake => self.watch(phase) == Millis::ZERO,
            PhaseName::Start
            | PhaseName::Warmup
            | PhaseName::Expose
            | PhaseName::Drain
            | PhaseName::Stop
            | PhaseName::Rollback => false,
        }
    }

    /// How long a phase watches.
    pub(crate) fn watch(&self, phase: PhaseName) -> Millis {
        match (self, phase) {
            (Course::Rolling(rolling), PhaseName::Observe) => rolling.observe,
            (Course::Rolling(rolling), PhaseName::Bake) => rolling.bake,
            (Course::BlueGreen(blue_green), PhaseName::Bake) => blue_green.bake,
            (Course::First(_) | Course::Rolling(_) | Course::BlueGreen(_), _) => Millis::ZERO,
        }
    }
}

/// `instances` of which `live` are in load; the others can be reached by preview while they are tested.
pub(super) fn candidate(phase: PhaseName, instances: u16, live: u16) -> Want {
    let rest = if phase == PhaseName::Test { Rest::Preview } else { Rest::Hidden };
    Want { rest, ..Want::partly(instances, live) }
}
