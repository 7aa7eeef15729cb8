//! The service's part of the routing table: what it should hold, under the permit of the floor (I2, I8).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gapless_model::{EffectNumber, HoldLimits, ProbeKind, Release, ReleaseId, ReleaseLabel, ServiceName, Tick, Weight};

use crate::desired::{self, Desired, DesiredState, Rest};
use crate::instance::{Instance, Life};
use crate::instances::Instances;
use crate::service::Service;
use crate::{Admission, Member, Pool, PoolKind, ServiceRoutes};

/// Characters of a label that are kept where a number is put behind it.
const LABEL_KEPT: usize = 40;

/// The newest table ordered, and how far the proxies are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Table {
    /// The newest order.
    pub published: Option<Published>,
    /// The newest order that every proxy uses.
    pub applied: EffectNumber,
    /// The releases of all tables that some proxy may use still.
    pub referred: BTreeSet<ReleaseId>,
}

/// A table that was ordered.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// By which effect.
    pub number: EffectNumber,
    /// When.
    pub since: Tick,
    /// What it holds.
    pub routes: ServiceRoutes,
    /// The release whose routes it takes.
    serving: ReleaseId,
    /// How many instances it holds.
    members: usize,
}

/// What is noted beside the routes only saves making them: two tables of the same routes are the same, whichever release they were made for.
impl PartialEq for Published {
    fn eq(&self, other: &Published) -> bool {
        (self.number, self.since, &self.routes) == (other.number, other.since, &other.routes)
    }
}

impl Eq for Published {}

impl Published {
    pub(crate) fn new(number: EffectNumber, since: Tick, routes: ServiceRoutes, serving: ReleaseId) -> Published {
        let members = routes.pools.iter().map(|pool| pool.members.len()).sum();
        Published { number, since, routes, serving, members }
    }

    /// The release whose routes it takes, or would take.
    pub(crate) fn serving(&self) -> ReleaseId {
        self.serving
    }
}

impl Table {
    /// Whether every proxy uses the newest table.
    pub(crate) fn is_applied(&self) -> bool {
        self.published.as_ref().is_none_or(|published| published.number <= self.applied)
    }
}

/// Which instances a table holds, by ordinal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Listed {
    pub live: BTreeSet<u64>,
    pub preview: BTreeSet<u64>,
}

/// Whether the newest table is the one that should be, by counts alone; where they cannot tell, the table is made and compared.
pub(crate) fn is_right(service: &Service, desired_state: &DesiredState) -> bool {
    let mut members = 0;
    for (release, pool) in service.instances.pools() {
        members += pool.live + pool.preview;
        let desired = desired_state.get(&release).copied().unwrap_or(Desired::NONE);
        if !pool.is_listed_as(&desired) {
            return false;
        }
    }
    let Some(published) = &service.table.published else { return members == 0 };
    let serving = service.roles().into_iter().find(|id| service.live(*id) > 0);
    members == published.members && serving == Some(published.serving)
}

/// What the next table should hold.
///
/// An instance that is wanted no more leaves only as far as `floor` ready instances stay in load; while fewer are ready, the
/// unhealthy ones stay in load too: a bad answer from some is better than none from all.
pub(crate) fn listed(instances: &Instances, desired_state: &DesiredState, floor: u16) -> Listed {
    let mut next = Listed::default();
    for (release, want) in desired_state {
        let mut live = 0;
        for instance in instances.staying(*release, want) {
            let may_serve =
                instance.is_ready() || (instance.is_live() && matches!(instance.life, Life::Warming { .. }));
            let has_room = live < want.live;
            // What was kept "as it is" does not come into load anew.
            let belongs = want.upkeep == desired::Upkeep::Maintain || instance.is_live();
            if may_serve && has_room && belongs {
                next.live.insert(instance.id.ordinal);
                live += 1;
            } else if instance.is_ready() && want.rest == Rest::Preview {
                next.preview.insert(instance.id.ordinal);
            }
        }
    }
    keep_floor(instances, &mut next, floor);
    next
}

/// Puts back as many of those that would leave as the floor needs. A floor of none lets the last ready instance leave (the
/// requests are held then), but never an unhealthy one for nothing.
fn keep_floor(instances: &Instances, next: &mut Listed, floor: u16) {
    let floor = usize::from(floor);
    let mut ready = next.live.iter().filter(|ordinal| instances[*ordinal].is_ready()).count();
    let leaves = |instance: &&Instance| {
        instance.is_live() && !instance.is_stopping() && !next.live.contains(&instance.id.ordinal)
    };
    let mut leaving: Vec<&Instance> = instances.values().filter(leaves).collect();
    leaving.sort_by_key(|instance| instance.rank());
    for instance in leaving.iter().filter(|instance| instance.is_ready()) {
        if ready >= floor {
            break;
        }
        next.preview.remove(&instance.id.ordinal);
        next.live.insert(instance.id.ordinal);
        ready += 1;
    }
    if ready < floor.max(1) {
        for instance in leaving.iter().filter(|instance| !instance.is_ready()) {
            next.preview.remove(&instance.id.ordinal);
            next.live.insert(instance.id.ordinal);
        }
    }
}

/// What the proxies do with a service's requests while none of its instances is in a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Front {
    /// They wait within the bounds of the hold.
    Holds,
    /// They are refused at once: an operator stopped the service.
    Refuses,
    /// They are nobody's: the service is being removed.
    Gone,
}

/// Writes the table out; weights follow the number of instances, so that every live instance has the same share.
pub(crate) fn routes(
    service: &ServiceName,
    releases: &BTreeMap<ReleaseId, Arc<Release>>,
    (serving, front): (ReleaseId, Front),
    instances: &Instances,
    listed: &Listed,
) -> ServiceRoutes {
    let mut pools = Vec::new();
    let shares = shares(instances, listed);
    for (kind, ordinals) in [(PoolKind::Live, &listed.live), (PoolKind::Preview, &listed.preview)] {
        for (id, release) in releases {
            let members: Vec<Member> = ordinals
                .iter()
                .map(|ordinal| &instances[ordinal])
                .filter(|instance| instance.release() == *id)
                .filter_map(|instance| Some(Member { instance: instance.id.clone(), address: instance.address()? }))
                .collect();
            if members.is_empty() {
                continue;
            }
            let weight = match kind {
                PoolKind::Live => shares.get(id).copied().unwrap_or(Weight::NONE),
                PoolKind::Preview => Weight::NONE,
            };
            pools.push(Pool {
                release: *id,
                label: label_unlike(&pools, release),
                kind,
                weight,
                members,
                traffic: release.spec.traffic.clone(),
                probe: release.spec.probe.clone(),
            });
        }
    }
    let admission = if listed.live.is_empty() { Admission::Held } else { Admission::Open };
    let spec = releases.get(&serving).map(|release| &release.spec).filter(|_| front != Front::Gone);
    let health_path = spec.and_then(|spec| match &spec.probe.kind {
        ProbeKind::Http { path, .. } => Some(path.clone()),
        ProbeKind::Tcp | ProbeKind::Process | ProbeKind::Command { .. } => None,
    });
    ServiceRoutes {
        service: service.clone(),
        routes: spec.map(|spec| spec.routes.clone()).unwrap_or_default(),
        pools,
        admission,
        hold: spec.filter(|_| front == Front::Holds).map_or(HoldLimits::NONE, |spec| spec.traffic.hold),
        health_path,
    }
}

/// The label by which the proxies know a release. They take no label twice: while a release takes its own place, the fresh instances are told
/// apart by its number, as `1.4.0+r7`.
fn label_unlike(pools: &[Pool], release: &Release) -> ReleaseLabel {
    let (label, id) = (&release.label, release.id);
    if pools.iter().all(|pool| pool.label != *label) {
        return label.clone();
    }
    // Labels are ASCII, and the number is far shorter than what is taken away.
    let short: String = label.as_str().chars().take(LABEL_KEPT).collect();
    ReleaseLabel::new(&format!("{short}+r{id}")).unwrap_or_else(|_| label.clone())
}

/// Shares that sum up to [`Weight::ALL`]: the remainder of the division goes to the last release.
fn shares(instances: &Instances, listed: &Listed) -> BTreeMap<ReleaseId, Weight> {
    let mut counts: BTreeMap<ReleaseId, u32> = BTreeMap::new();
    for ordinal in &listed.live {
        *counts.entry(instances[ordinal].release()).or_default() += 1;
    }
    let total: u32 = counts.values().sum();
    let all = u32::from(Weight::ALL.bp());
    let mut given = 0;
    let mut shares = BTreeMap::new();
    let last = counts.keys().next_back().copied();
    for (release, count) in counts {
        let share = if Some(release) == last { all - given } else { all * count / total };
        given += share;
        shares.insert(release, Weight::from_bp(share).unwrap_or(Weight::ALL));
    }
    shares
}
