//! A service as the machine knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gapless_model::{EffectNumber, InstanceId, Release, ReleaseId, ReleaseSpec, RolloutId, ServiceName, Tick};

use crate::desired::{Desired, DesiredState};
use crate::healing::Backoff;
use crate::instance::Instance;
use crate::instances::Instances;
use crate::one_off::{OneOff, Running};
use crate::planted::PlantedBug;
use crate::rollout::compiled::Reversibility;
use crate::rollout::{BackStage, Purpose, Rollout, Way};
use crate::table::{Front, Table};
use crate::{Adjustment, Cause, Outcome, ServiceRoutes, SituationReport};

/// A service as the machine knows it: a value that only [`step`](crate::step()) moves on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    pub(crate) name: ServiceName,
    pub(crate) numbers: Numbers,
    /// The releases that are kept.
    pub(crate) releases: BTreeMap<ReleaseId, Arc<Release>>,
    /// Releases that were current before, the newest last; bounded by the current release's `releases_kept`.
    pub(crate) history: Vec<ReleaseId>,
    /// Releases that were current and that an operator went back from: nothing goes back to them by itself, and they are kept as the others are.
    pub(crate) left: Vec<ReleaseId>,
    /// How many instances an operator wants of a release instead of those of its configuration; `releases` has them already.
    pub(crate) scaled: BTreeMap<ReleaseId, u16>,
    pub(crate) situation: Situation,
    /// By ordinal.
    pub(crate) instances: Instances,
    /// Commands that run once, by ordinal, until their end is known.
    pub(crate) one_offs: BTreeMap<u64, Running>,
    /// One for each lost instance whose place is to be taken.
    pub(crate) backoff: BTreeMap<ReleaseId, Vec<Backoff>>,
    pub(crate) table: Table,
    /// Rollouts that ended and whose receipt is not written yet.
    pub(crate) open_receipts: BTreeMap<RolloutId, OpenReceipt>,
    pub(crate) kept: Kept,
    pub(crate) planted: Option<PlantedBug>,
}

/// The last numbers given out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Numbers {
    pub effect: EffectNumber,
    pub ordinal: u64,
    pub rollout: RolloutId,
}

/// A receipt that was ordered and is not written yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OpenReceipt {
    pub effect: EffectNumber,
    pub outcome: Outcome,
    /// Instances that the rollout took out of load and that had not drained when it ended.
    pub left_behind: BTreeSet<InstanceId>,
}

/// The last order about which releases are kept.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Kept {
    pub effect: EffectNumber,
    pub releases: BTreeSet<ReleaseId>,
}

/// What a service is doing (I4: at most one rollout, by construction).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Situation {
    /// No release serves.
    Empty,
    /// One release serves.
    Settled { current: ReleaseId },
    /// No instance runs, as an operator ordered; this is the release that would be started.
    Stopped { current: ReleaseId },
    /// One release is being replaced, the first is being brought up, or the current one is made to run in another way.
    Rollout(Box<Rollout>),
    /// A rollout could neither go on nor back; what serves is kept.
    NeedsOperator(Stuck),
}

/// A rollout that could neither go on nor back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stuck {
    pub rollout: RolloutId,
    /// The release that the rollout came from, or the first one deployed.
    pub current: ReleaseId,
    /// The candidate, where there was a release before it.
    pub other: Option<ReleaseId>,
    pub cause: Cause,
    pub since: Tick,
}

/// A candidate in load, with a way back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exposure {
    /// The rollout.
    pub rollout: RolloutId,
    /// The candidate.
    pub candidate: ReleaseId,
    /// The release that it is to replace.
    pub current: ReleaseId,
}

impl Service {
    /// A service that no release was deployed to yet.
    #[must_use]
    pub fn new(name: ServiceName) -> Service {
        Service {
            name,
            numbers: Numbers::default(),
            releases: BTreeMap::new(),
            history: Vec::new(),
            left: Vec::new(),
            scaled: BTreeMap::new(),
            situation: Situation::Empty,
            instances: Instances::default(),
            one_offs: BTreeMap::new(),
            backoff: BTreeMap::new(),
            table: Table::default(),
            open_receipts: BTreeMap::new(),
            kept: Kept::default(),
            planted: None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ServiceName {
        &self.name
    }

    /// The release that serves; while a rollout runs, the one it came from.
    #[must_use]
    pub fn current(&self) -> Option<&Arc<Release>> {
        self.current_id().and_then(|id| self.releases.get(&id))
    }

    /// The release that is being rolled out.
    #[must_use]
    pub fn candidate(&self) -> Option<&Arc<Release>> {
        let replacing = self.running().filter(|rollout| rollout.plan.purpose.replaces());
        replacing.and_then(|rollout| self.releases.get(&rollout.to))
    }

    /// The release that a rollback would go to when no rollout runs.
    #[must_use]
    pub fn previous(&self) -> Option<&Arc<Release>> {
        self.history.last().and_then(|id| self.releases.get(id))
    }

    /// A release that is kept.
    #[must_use]
    pub fn release(&self, id: ReleaseId) -> Option<&Arc<Release>> {
        self.releases.get(&id)
    }

    /// All releases that are kept, in the order of their numbers.
    pub fn releases(&self) -> impl Iterator<Item = &Arc<Release>> {
        self.releases.values()
    }

    /// How many instances an operator wants of a release instead of those of its configuration. The releases here have them already.
    #[must_use]
    pub fn scaled(&self) -> &BTreeMap<ReleaseId, u16> {
        &self.scaled
    }

    /// Whether a receipt was ordered that is not written yet.
    #[must_use]
    pub fn owes_receipt(&self) -> bool {
        !self.open_receipts.is_empty()
    }

    /// The release of the order that waits.
    #[must_use]
    pub fn queued(&self) -> Option<ReleaseId> {
        self.queued_release()
    }

    /// The rollout that runs.
    #[must_use]
    pub fn rollout(&self) -> Option<RolloutId> {
        self.running().map(|rollout| rollout.id)
    }

    /// The highest rollout number given out; the next order takes the one after it.
    #[must_use]
    pub fn last_rollout(&self) -> RolloutId {
        self.numbers.rollout
    }

    /// The highest ordinal given to an instance: whoever has seen a higher one knows a later state.
    #[must_use]
    pub fn last_ordinal(&self) -> u64 {
        self.numbers.ordinal
    }

    /// The candidate that some clients are served by while there is a way back, and the release that it is compared with.
    #[must_use]
    pub fn exposure(&self) -> Option<Exposure> {
        let rollout = self.running().filter(|rollout| rollout.reversibility() == Reversibility::Exposed)?;
        let current = rollout.from()?;
        let exposed = self.live(rollout.to) > 0;
        exposed.then_some(Exposure { rollout: rollout.id, candidate: rollout.to, current })
    }

    /// What it is doing.
    #[must_use]
    pub fn situation(&self) -> SituationReport {
        self.situation_report()
    }

    /// The number of the last effect.
    #[must_use]
    pub fn last_effect(&self) -> EffectNumber {
        self.numbers.effect
    }

    /// The releases that were current before and are kept to go back to, the newest last.
    #[must_use]
    pub fn history(&self) -> &[ReleaseId] {
        &self.history
    }

    /// The newest table ordered, with the number of its effect.
    #[must_use]
    pub fn published(&self) -> Option<(EffectNumber, &ServiceRoutes)> {
        self.table.published.as_ref().map(|published| (published.number, &published.routes))
    }

    /// The newest table order that every proxy is known to use; zero before the first.
    #[must_use]
    pub fn applied(&self) -> EffectNumber {
        self.table.applied
    }

    /// The instances that a rollout took out of load and left to drain when it ended; until its receipt is written.
    pub fn left_behind(&self, rollout: RolloutId) -> impl Iterator<Item = &InstanceId> {
        self.open_receipts.get(&rollout).into_iter().flat_map(|receipt| &receipt.left_behind)
    }

    /// Its instances, in the order of their ordinals.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.instances.values()
    }

    /// The one-offs whose end is not known, in the order in which they were ordered.
    pub fn one_offs(&self) -> impl Iterator<Item = &OneOff> {
        self.one_offs.values().map(|running| &running.one_off)
    }

    /// When the time of the next one-off is over.
    pub(crate) fn one_off_deadlines(&self) -> impl Iterator<Item = Tick> {
        self.one_offs.values().filter_map(Running::deadline)
    }

    /// The least number of ready instances in load that no action may go below (I2); the smaller of both releases' floors
    /// while one replaces the other.
    #[must_use]
    pub fn floor(&self) -> u16 {
        let of = |id: ReleaseId| {
            self.releases.get(&id).map_or(0, |release| release.spec.floor.share_up(release.spec.instances))
        };
        match &self.situation {
            Situation::Empty | Situation::Stopped { .. } => 0,
            Situation::Settled { current } => of(*current),
            Situation::Rollout(rollout) if rollout.plan.purpose.ends_all() => 0,
            Situation::Rollout(rollout) => match rollout.from() {
                Some(from) => of(from).min(of(rollout.to)),
                None => of(rollout.to),
            },
            Situation::NeedsOperator(stuck) => {
                stuck.other.map_or(of(stuck.current), |other| of(stuck.current).min(of(other)))
            }
        }
    }

    /// The same service with a mistake planted in the machine, so that a suite can prove that it would be caught.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn with_planted(self, bug: PlantedBug) -> Service {
        Service { planted: Some(bug), ..self }
    }

    pub(crate) fn has(&self, bug: PlantedBug) -> bool {
        self.planted == Some(bug)
    }

    pub(crate) fn running(&self) -> Option<&Rollout> {
        match &self.situation {
            Situation::Rollout(rollout) => Some(rollout),
            Situation::Empty | Situation::Settled { .. } | Situation::Stopped { .. } | Situation::NeedsOperator(_) => {
                None
            }
        }
    }

    pub(crate) fn current_id(&self) -> Option<ReleaseId> {
        match &self.situation {
            Situation::Empty => None,
            Situation::Settled { current } | Situation::Stopped { current } => Some(*current),
            Situation::Rollout(rollout) => rollout.current(),
            Situation::NeedsOperator(stuck) => Some(stuck.current),
        }
    }

    /// The release that a deploy would replace: none where none has instances.
    pub(crate) fn replaceable(&self) -> Option<&Arc<Release>> {
        let stopped = matches!(self.situation, Situation::Stopped { .. });
        self.current().filter(|_| !stopped)
    }

    /// What the proxies do with requests while no instance is in a table.
    pub(crate) fn front(&self) -> Front {
        match &self.situation {
            Situation::Stopped { .. } => Front::Refuses,
            Situation::Rollout(rollout) => match rollout.plan.purpose {
                Purpose::Adjust(Adjustment::Stop) => Front::Refuses,
                Purpose::Adjust(Adjustment::Remove) => Front::Gone,
                Purpose::Adjust(Adjustment::Scale { .. } | Adjustment::Start)
                | Purpose::Replace(_)
                | Purpose::Restart
                | Purpose::Return => Front::Holds,
            },
            Situation::Empty => Front::Gone,
            Situation::Settled { .. } | Situation::NeedsOperator(_) => Front::Holds,
        }
    }

    /// The release is to have so many instances, whatever its configuration says.
    pub(crate) fn resize(&mut self, id: ReleaseId, instances: u16) {
        self.scaled.insert(id, instances);
        if let Some(release) = self.releases.get_mut(&id) {
            *release = resized(release, instances);
        }
    }

    /// The release of the order that waits.
    pub(crate) fn queued_release(&self) -> Option<ReleaseId> {
        self.running().and_then(|rollout| rollout.queued.as_ref()).map(|queued| queued.order.release.id)
    }

    /// The releases that have a role, the one that should own the routes first.
    pub(crate) fn roles(&self) -> Vec<ReleaseId> {
        match &self.situation {
            Situation::Empty => Vec::new(),
            Situation::Settled { current } | Situation::Stopped { current } => vec![*current],
            Situation::Rollout(rollout) => rollout.from().into_iter().chain([rollout.to]).collect(),
            Situation::NeedsOperator(stuck) => [stuck.current].into_iter().chain(stuck.other).collect(),
        }
    }

    /// How many instances a release asks for.
    pub(crate) fn size_of(&self, release: ReleaseId) -> u16 {
        self.releases.get(&release).map_or(0, |release| release.spec.instances)
    }

    /// What the situation wants of the fleet.
    pub(crate) fn desired(&self) -> DesiredState {
        match &self.situation {
            Situation::Empty | Situation::Stopped { .. } => DesiredState::new(),
            Situation::Settled { current } => DesiredState::from([(*current, Desired::live(self.size_of(*current)))]),
            Situation::Rollout(rollout) => match &rollout.way {
                Way::Forward(forward) => rollout.plan.desired(forward.at),
                Way::Back(back) => {
                    let mut wants = DesiredState::new();
                    if let Some(from) = rollout.from() {
                        wants.insert(from, Desired::live(self.size_of(from)));
                    }
                    match back.stage {
                        BackStage::Restore { .. } => {
                            wants.insert(rollout.to, Desired::as_it_is());
                        }
                        BackStage::Switch { .. } | BackStage::Leave { .. } => {}
                    }
                    wants
                }
            },
            Situation::NeedsOperator(stuck) => {
                let mut wants = DesiredState::from([(stuck.current, Desired::live(self.size_of(stuck.current)))]);
                if let Some(other) = stuck.other {
                    wants.insert(other, Desired::as_it_is());
                }
                wants
            }
        }
    }

    /// Ready instances of a release, in load or not.
    pub(crate) fn ready(&self, release: ReleaseId) -> u16 {
        u16::try_from(self.instances.of(release).ready).unwrap_or(u16::MAX)
    }

    /// Instances of a release that are in load.
    pub(crate) fn live(&self, release: ReleaseId) -> u16 {
        u16::try_from(self.instances.of(release).live).unwrap_or(u16::MAX)
    }

    /// What is compared to tell whether a step changed anything: everything but what is large and tells of its changes itself.
    pub(crate) fn outline(&self) -> Outline {
        let published = self.table.published.as_ref().map(|published| (published.number, published.since));
        Outline {
            numbers: self.numbers,
            releases: self.releases.keys().copied().collect(),
            history: self.history.clone(),
            left: self.left.clone(),
            scaled: self.scaled.clone(),
            situation: self.situation.clone(),
            instances: self.instances.revision(),
            one_offs: self.one_offs.clone(),
            backoff: self.backoff.clone(),
            table: (published, self.table.applied, self.table.referred.clone()),
            open_receipts: self.open_receipts.clone(),
            kept: self.kept.clone(),
        }
    }
}

/// The release with another number of instances.
pub(crate) fn resized(release: &Release, instances: u16) -> Arc<Release> {
    let spec = ReleaseSpec { instances, ..release.spec.clone() };
    Arc::new(Release { spec, ..release.clone() })
}

/// A service without what is large: equal before and after a step that changed nothing.
#[derive(PartialEq, Eq)]
pub(crate) struct Outline {
    numbers: Numbers,
    releases: Vec<ReleaseId>,
    history: Vec<ReleaseId>,
    left: Vec<ReleaseId>,
    scaled: BTreeMap<ReleaseId, u16>,
    situation: Situation,
    instances: u64,
    one_offs: BTreeMap<u64, Running>,
    backoff: BTreeMap<ReleaseId, Vec<Backoff>>,
    table: (Option<(EffectNumber, Tick)>, EffectNumber, BTreeSet<ReleaseId>),
    open_receipts: BTreeMap<RolloutId, OpenReceipt>,
    kept: Kept,
}
