//! The instances of a service, counted as they change: what a step asks about all of them is answered without looking at each.
//!
//! Every change goes through [`Instances::insert`], [`Instances::remove`] or [`Instances::change`], which keep the counts. So a step costs as much as it
//! changes, however many instances there are (`cargo xtask bench controller`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use gapless_model::{EffectNumber, Millis, ReleaseId, Tick};

use crate::desired::{Desired, Upkeep};
use crate::instance::{Drain, Instance, Life, Listing};

/// All instances, by ordinal. Reads like the map of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Instances {
    all: BTreeMap<u64, Instance>,
    /// Those that have any.
    pools: BTreeMap<ReleaseId, PoolCounts>,
    /// When those that start or warm up are given up.
    deadlines: BTreeSet<(Tick, u64)>,
    /// Those that left with a table that some proxy does not use yet.
    awaiting: BTreeSet<(EffectNumber, u64)>,
    /// Rises with each change.
    revision: u64,
}

/// What is counted of the instances of one release.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct PoolCounts {
    /// All of them.
    pub all: usize,
    /// Those that are worth something, the best first.
    ranked: BTreeSet<(u8, u64)>,
    unhealthy: BTreeSet<u64>,
    pub stopping: usize,
    pub ready: usize,
    /// Those whose process runs and is not being stopped.
    pub addressed: usize,
    pub live: usize,
    pub live_ready: usize,
    /// In load and neither ready nor warming up.
    live_bad: usize,
    pub preview: usize,
    /// Ready and in no table.
    ready_unlisted: usize,
    /// Never listed and not being stopped.
    pub unseen: usize,
    /// Left, and some proxy may route to them.
    awaiting: usize,
    /// May be stopped at once: no client reaches them.
    idle: BTreeSet<u64>,
    /// Requests may be in flight, since when; without those that are being stopped.
    running: BTreeSet<(Tick, u64)>,
    /// Tunnels and streams alone are in flight, since when; without those that are being stopped.
    lasting: BTreeSet<(Tick, u64)>,
}

/// The counts are of the instances: comparing those is enough.
impl PartialEq for Instances {
    fn eq(&self, other: &Instances) -> bool {
        self.all == other.all
    }
}

impl Eq for Instances {}

impl Deref for Instances {
    type Target = BTreeMap<u64, Instance>;

    fn deref(&self) -> &BTreeMap<u64, Instance> {
        &self.all
    }
}

impl Instances {
    pub(crate) fn insert(&mut self, instance: Instance) {
        let ordinal = instance.id.ordinal;
        self.remove(ordinal);
        self.count(&instance, Sign::In);
        self.all.insert(ordinal, instance);
        self.revision += 1;
    }

    pub(crate) fn remove(&mut self, ordinal: u64) {
        if let Some(instance) = self.all.remove(&ordinal) {
            self.count(&instance, Sign::Out);
            self.revision += 1;
        }
    }

    /// Changes one instance, if it is there; says what `change` says.
    pub(crate) fn change<T>(&mut self, ordinal: u64, change: impl FnOnce(&mut Instance) -> T) -> Option<T> {
        let before = self.all.get(&ordinal)?.clone();
        let instance = self.all.get_mut(&ordinal)?;
        let told = change(instance);
        if *instance != before {
            let after = instance.clone();
            self.count(&before, Sign::Out);
            self.count(&after, Sign::In);
            self.revision += 1;
        }
        Some(told)
    }

    /// Differs from an earlier one when anything changed between them.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// The releases that have instances, in the order of their numbers.
    pub(crate) fn releases(&self) -> impl Iterator<Item = ReleaseId> {
        self.pools.keys().copied()
    }

    /// The counts of one release.
    pub(crate) fn of(&self, release: ReleaseId) -> &PoolCounts {
        static NONE: PoolCounts = PoolCounts::NONE;
        self.pools.get(&release).unwrap_or(&NONE)
    }

    /// The counts of all releases.
    pub(crate) fn pools(&self) -> impl Iterator<Item = (ReleaseId, &PoolCounts)> {
        self.pools.iter().map(|(release, counts)| (*release, counts))
    }

    /// Ordinals of those of a release that stay, the best first.
    pub(crate) fn staying(&self, release: ReleaseId, desired: &Desired) -> impl Iterator<Item = &Instance> {
        let ranked = self.of(release).ranked.iter().map(|(_, ordinal)| &self.all[ordinal]);
        let stays = |instance: &&Instance| desired.upkeep == Upkeep::Maintain || instance.is_live();
        ranked.filter(stays).take(usize::from(desired.instances))
    }

    /// Ordinals of those of a release that go once they may; without those that are being stopped.
    pub(crate) fn going(&self, release: ReleaseId, desired: &Desired) -> Vec<u64> {
        let pool = self.of(release);
        let mut going: Vec<u64> = pool.unhealthy.iter().copied().collect();
        if desired.upkeep == Upkeep::LetGo {
            let ranked = pool.ranked.iter().map(|(_, ordinal)| *ordinal);
            going.extend(ranked.filter(|ordinal| !self.all[ordinal].is_live()));
            going.sort_unstable();
        }
        going.extend(pool.surplus_ordinals(desired));
        going
    }

    /// Whether an instance is one that its release wants.
    pub(crate) fn stays(&self, instance: &Instance, desired: &Desired) -> bool {
        let let_go = desired.upkeep == Upkeep::LetGo && !instance.is_live();
        !let_go && instance.rank().is_some_and(|rank| self.of(instance.release()).stays(rank, desired))
    }

    /// Those whose time to become ready is over.
    pub(crate) fn late(&self, now: Tick) -> Vec<u64> {
        let mut late: Vec<u64> = self.deadlines.range(..=(now, u64::MAX)).map(|(_, ordinal)| *ordinal).collect();
        late.sort_unstable();
        late
    }

    /// When the next of them is given up, after `now`.
    pub(crate) fn next_deadline(&self, now: Tick) -> Option<Tick> {
        self.deadlines.range((Tick(now.0.saturating_add(1)), 0)..).next().map(|(at, _)| *at)
    }

    /// Those that left with a table up to this one, and wait for the proxies to use it.
    pub(crate) fn awaiting(&self, upto: EffectNumber) -> Vec<u64> {
        self.awaiting.range(..=(upto, u64::MAX)).map(|(_, ordinal)| *ordinal).collect()
    }

    fn count(&mut self, instance: &Instance, sign: Sign) {
        let (ordinal, release) = (instance.id.ordinal, instance.release());
        if let Life::Starting { deadline, .. } | Life::Warming { deadline, .. } = instance.life {
            sign.put(&mut self.deadlines, (deadline, ordinal));
        }
        if let Listing::Left { by, drain: Drain::AwaitingTable } = instance.listing {
            sign.put(&mut self.awaiting, (by, ordinal));
        }
        let pool = self.pools.entry(release).or_default();
        pool.count(instance, sign);
        if pool.all == 0 {
            self.pools.remove(&release);
        }
    }
}

impl PoolCounts {
    const NONE: PoolCounts = PoolCounts {
        all: 0,
        ranked: BTreeSet::new(),
        unhealthy: BTreeSet::new(),
        stopping: 0,
        ready: 0,
        addressed: 0,
        live: 0,
        live_ready: 0,
        live_bad: 0,
        preview: 0,
        ready_unlisted: 0,
        unseen: 0,
        awaiting: 0,
        idle: BTreeSet::new(),
        running: BTreeSet::new(),
        lasting: BTreeSet::new(),
    };

    fn count(&mut self, instance: &Instance, sign: Sign) {
        let ordinal = instance.id.ordinal;
        let is = |condition: bool| usize::from(condition);
        let (ready, live, stopping) = (instance.is_ready(), instance.is_live(), instance.is_stopping());
        if let Some(rank) = instance.rank() {
            sign.put(&mut self.ranked, rank);
        }
        if matches!(instance.life, Life::Unhealthy { .. }) {
            sign.put(&mut self.unhealthy, ordinal);
        }
        sign.add(&mut self.all, 1);
        sign.add(&mut self.stopping, is(stopping));
        sign.add(&mut self.ready, is(ready));
        sign.add(&mut self.addressed, is(instance.address().is_some()));
        sign.add(&mut self.live, is(live));
        sign.add(&mut self.live_ready, is(live && ready));
        sign.add(&mut self.live_bad, is(live && !ready && !matches!(instance.life, Life::Warming { .. })));
        sign.add(&mut self.preview, is(instance.listing == Listing::Preview));
        sign.add(&mut self.ready_unlisted, is(ready && !instance.is_listed()));
        sign.add(&mut self.unseen, is(instance.listing == Listing::Never && !stopping));
        match instance.listing {
            Listing::Left { drain: Drain::AwaitingTable, .. } => sign.add(&mut self.awaiting, 1),
            Listing::Never | Listing::Left { drain: Drain::Done, .. } if !stopping => {
                sign.put(&mut self.idle, ordinal);
            }
            Listing::Left { drain: Drain::Running { since }, .. } if !stopping => {
                sign.put(&mut self.running, (since, ordinal));
            }
            Listing::Left { drain: Drain::Lasting { since }, .. } if !stopping => {
                sign.put(&mut self.lasting, (since, ordinal));
            }
            Listing::Never | Listing::Live | Listing::Preview | Listing::Left { .. } => {}
        }
    }

    /// How many are missing.
    pub(crate) fn missing(&self, desired: &Desired) -> u16 {
        match desired.upkeep {
            Upkeep::Maintain => {
                let missing = usize::from(desired.instances).saturating_sub(self.ranked.len());
                u16::try_from(missing).unwrap_or(u16::MAX)
            }
            Upkeep::LetGo => 0,
        }
    }

    /// How many more there are than are wanted, of those that are worth something.
    fn surplus(&self, desired: &Desired) -> usize {
        self.ranked.len().saturating_sub(usize::from(desired.instances))
    }

    /// Whether an instance of this rank is wanted.
    fn stays(&self, rank: (u8, u64), desired: &Desired) -> bool {
        let surplus = self.surplus(desired);
        surplus == 0 || self.ranked.iter().rev().nth(surplus - 1).is_some_and(|first| rank < *first)
    }

    /// Ordinals of those that are more than are wanted, the best first.
    fn surplus_ordinals(&self, desired: &Desired) -> impl Iterator<Item = u64> {
        let surplus: Vec<u64> =
            self.ranked.iter().rev().take(self.surplus(desired)).map(|(_, ordinal)| *ordinal).collect();
        surplus.into_iter().rev()
    }

    /// Whether any goes.
    pub(crate) fn any_goes(&self, desired: &Desired) -> bool {
        !self.unhealthy.is_empty() || self.surplus(desired) > 0 || desired.upkeep == Upkeep::LetGo
    }

    /// Ordinals of those that may be stopped as far as their drain goes, with tunnels that may last so long.
    pub(crate) fn stoppable(&self, now: Tick, limit: Millis) -> impl Iterator<Item = u64> {
        let due = move |set: &BTreeSet<(Tick, u64)>| -> Vec<u64> {
            let in_time = |(since, _): &&(Tick, u64)| now >= since.after(limit);
            set.iter().take_while(in_time).map(|(_, ordinal)| *ordinal).collect()
        };
        self.idle.iter().copied().chain(due(&self.running)).chain(due(&self.lasting))
    }

    /// Whether of all of them no request is in flight any more, or had its time; tunnels do not count.
    pub(crate) fn all_drained(&self, now: Tick, limit: Millis) -> bool {
        let had_its_time = |(since, _): &(Tick, u64)| now >= since.after(limit);
        self.live + self.preview + self.awaiting == 0 && self.running.last().is_none_or(had_its_time)
    }

    /// When, after `now`, a drain that may last so long is over next.
    pub(crate) fn next_drained(&self, now: Tick, limit: Millis) -> Option<Tick> {
        // Those that began before this are over.
        let first = Tick(now.0.saturating_add(1).saturating_sub(limit.0));
        let next = |set: &BTreeSet<(Tick, u64)>| set.range((first, 0)..).next().map(|(since, _)| since.after(limit));
        next(&self.running).into_iter().chain(next(&self.lasting)).min()
    }

    /// Whether the newest table holds of this release what it should, by counts alone. A `false` may be a false alarm.
    pub(crate) fn is_listed_as(&self, desired: &Desired) -> bool {
        let worth_less_than_listed = self.ranked.len().saturating_sub(self.live);
        let waits_for_load = usize::from(desired.live) > self.live && self.ready_unlisted > 0;
        self.preview == 0
            && desired.rest == crate::desired::Rest::Hidden
            && self.live_bad == 0
            && self.live <= usize::from(desired.live)
            && (!waits_for_load || desired.upkeep == Upkeep::LetGo)
            && self.surplus(desired) <= worth_less_than_listed
    }
}

/// Whether an instance is counted in or out.
#[derive(Clone, Copy)]
enum Sign {
    In,
    Out,
}

impl Sign {
    fn add(self, count: &mut usize, number: usize) {
        match self {
            Sign::In => *count += number,
            Sign::Out => *count -= number,
        }
    }

    fn put<T: Ord>(self, set: &mut BTreeSet<T>, value: T) {
        match self {
            Sign::In => drop(set.insert(value)),
            Sign::Out => drop(set.remove(&value)),
        }
    }
}

impl FromIterator<Instance> for Instances {
    fn from_iter<T: IntoIterator<Item = Instance>>(all: T) -> Instances {
        let mut instances = Instances::default();
        all.into_iter().for_each(|instance| instances.insert(instance));
        instances
    }
}
