//! A journal's services put together again from what earlier terms left: manifests, the proxy's table, the instances that run.
//!
//! Pure. The result is each service *at rest*: a rollout that ran is not taken up again; the release that serves is current, and what else runs
//! is drained by the next controller in its usual order. Nothing that runs is left out, since what a journal does not know is ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gapless_drivers::process::Remains;
use gapless_model::{EffectNumber, InstanceId, Release, ReleaseId, RolloutId, ServiceName, Tick, Weight};
use gapless_rollout::{AtRest, Instance, Life, Listing, Service};
use gapless_routing::ServiceSpec;
use gapless_wire::record::{ManifestRecord, ReleaseRecord, RunningRecord};

/// What is known of one service, from wherever it was found.
#[derive(Debug)]
pub struct Known<'a> {
    /// Its name.
    pub name: &'a ServiceName,
    /// Its manifest.
    pub manifest: Option<&'a ManifestRecord>,
    /// Its part of the newest table that a proxy keeps.
    pub table: Option<&'a ServiceSpec>,
    /// What is left of its instances.
    pub remains: Vec<&'a Remains>,
    /// What an older journal or the folders of the releases tell of releases that the manifest does not name.
    pub releases: BTreeMap<ReleaseId, ReleaseRecord>,
    /// The last rollout number that an older journal knew.
    pub last_rollout: u64,
    /// The rollout that ran when the journal was lost.
    pub running: Option<RunningRecord>,
}

/// A service as it was put together.
#[derive(Debug)]
pub struct Rebuilt {
    /// The service.
    pub rest: AtRest,
    /// Its releases, as they are registered.
    pub releases: Vec<ReleaseRecord>,
    /// What an operator should know, each a sentence.
    pub remarks: Vec<String>,
}

/// Why a service cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum RebuildFailed {
    /// Of a release that runs nothing tells how it is configured.
    #[error("instance {instance} runs, and nothing tells how release {} of {} is configured", instance.release, instance.service)]
    UnknownRelease {
        /// One of its instances.
        instance: InstanceId,
    },
    /// A release cannot be read.
    #[error("release {release} of {service} cannot be read")]
    Release {
        /// Of which service.
        service: ServiceName,
        /// Which.
        release: u64,
        /// Why.
        #[source]
        source: gapless_wire::record::ReleaseUnreadable,
    },
    /// What was found does not go together.
    #[error("what is known of {service} does not go together: {reason}")]
    Contradiction {
        /// Of which service.
        service: ServiceName,
        /// How.
        reason: String,
    },
}

/// Puts a service together.
///
/// # Errors
/// [`RebuildFailed`]: where something runs that could not be kept.
pub fn rebuild(known: &Known<'_>) -> Result<Rebuilt, RebuildFailed> {
    let records = records(known);
    let releases = parsed(known, &records)?;
    let open: Vec<&Remains> = known.remains.iter().copied().filter(|left| left.is_open_instance()).collect();
    if let Some(orphan) = open.iter().find(|left| !releases.contains_key(&left.instance.release)) {
        return Err(RebuildFailed::UnknownRelease { instance: orphan.instance.clone() });
    }
    let mut remarks = Vec::new();
    let current = current(known, &releases, &mut remarks);
    remarks.extend(known.running.as_ref().map(|running| not_taken_up(running, current, &releases)));
    let instances: Vec<Instance> = open.iter().map(|left| instance(known, left)).collect();
    let others: BTreeSet<ReleaseId> =
        instances.iter().map(|instance| instance.id.release).filter(|id| Some(*id) != current).collect();
    for id in &others {
        let label = releases.get(id).map(|release| release.label.to_string()).unwrap_or_default();
        remarks.push(format!(
            "instances of release {label} run beside the current release; `gapless up` drains and stops them in order"
        ));
    }
    let rest = at_rest(known, &releases, current, instances);
    // What cannot be a service at rest is found here, not at the next start.
    Service::from_rest(rest.clone(), |id| releases.get(&id).map(Arc::clone))
        .map_err(|error| RebuildFailed::Contradiction { service: known.name.clone(), reason: error.to_string() })?;
    Ok(Rebuilt { rest, releases: records.into_values().collect(), remarks })
}

/// What an operator has to do again.
fn not_taken_up(
    running: &RunningRecord,
    current: Option<ReleaseId>,
    releases: &BTreeMap<ReleaseId, Arc<Release>>,
) -> String {
    let label = current.and_then(|id| releases.get(&id)).map(|release| release.label.to_string());
    let (RunningRecord { rollout, to }, serves) = (running, label.as_deref().unwrap_or("none"));
    match *to == serves {
        true => format!(
            "rollout {rollout} to {to} was running and is not taken up again: release {to} serves, and what was left to do is not done"
        ),
        false => format!(
            "rollout {rollout} to {to} was running and is not taken up again: release {serves} serves; order it again"
        ),
    }
}

/// The manifest's word first: it is the newest.
fn records(known: &Known<'_>) -> BTreeMap<ReleaseId, ReleaseRecord> {
    let mut records = known.releases.clone();
    let named = known.manifest.iter().flat_map(|manifest| &manifest.releases);
    records.extend(named.map(|record| (ReleaseId(record.id), record.clone())));
    records
}

fn parsed(
    known: &Known<'_>,
    records: &BTreeMap<ReleaseId, ReleaseRecord>,
) -> Result<BTreeMap<ReleaseId, Arc<Release>>, RebuildFailed> {
    let one = |(id, record): (&ReleaseId, &ReleaseRecord)| {
        let release = record.to_release().map_err(|source| RebuildFailed::Release {
            service: known.name.clone(),
            release: record.id,
            source,
        })?;
        Ok((*id, Arc::new(release)))
    };
    records.iter().map(one).collect()
}

/// The release that serves: as the manifest says where the table agrees; else the one with the most weight, of equals the older one, which
/// was there before. A release that is in load by the table alone, without an instance that runs, serves only where none does.
fn current(
    known: &Known<'_>,
    releases: &BTreeMap<ReleaseId, Arc<Release>>,
    remarks: &mut Vec<String>,
) -> Option<ReleaseId> {
    let mut live: Vec<(Weight, ReleaseId)> = Vec::new();
    for pool in known.table.iter().flat_map(|table| &table.pools) {
        if pool.weight > Weight::NONE && releases.contains_key(&pool.release) {
            live.push((pool.weight, pool.release));
        }
    }
    let runs = |release: ReleaseId| {
        known.remains.iter().any(|left| left.instance.release == release && left.is_open_instance())
    };
    if live.iter().any(|(_, release)| runs(*release)) {
        live.retain(|(_, release)| runs(*release));
    }
    live.sort_by_key(|(weight, release)| (std::cmp::Reverse(*weight), *release));
    let told = known.manifest.and_then(|manifest| manifest.current).map(ReleaseId);
    let told = told.filter(|id| releases.contains_key(id));
    match (told, live.first()) {
        (Some(told), _) if live.is_empty() || live.iter().any(|(_, release)| *release == told) => Some(told),
        (_, Some((_, served))) => {
            let label = releases[served].label.to_string();
            remarks.push(format!("release {label} is taken for the current one: it is in load"));
            Some(*served)
        }
        (told, None) => told.or_else(|| {
            let only = (releases.len() == 1).then(|| releases.keys().next().copied()).flatten();
            if only.is_none() && !releases.is_empty() {
                remarks.push("no release is known to have served; deploy one".to_owned());
            }
            only
        }),
    }
}

fn instance(known: &Known<'_>, left: &Remains) -> Instance {
    let pools = known.table.iter().flat_map(|table| &table.pools);
    let listed = pools
        .filter(|pool| pool.instances.iter().any(|instance| instance.id == left.instance))
        .map(|pool| if pool.weight > Weight::NONE { Listing::Live } else { Listing::Preview });
    Instance {
        id: left.instance.clone(),
        // The next controller proves it again before anything rests on it.
        life: Life::Ready { address: left.address, since: Tick::ZERO },
        listing: listed.max_by_key(|listing| *listing == Listing::Live).unwrap_or(Listing::Never),
        failures: 0,
    }
}

fn at_rest(
    known: &Known<'_>,
    releases: &BTreeMap<ReleaseId, Arc<Release>>,
    current: Option<ReleaseId>,
    instances: Vec<Instance>,
) -> AtRest {
    let named = known.table.iter().flat_map(|table| &table.pools).flat_map(|pool| &pool.instances);
    let ordinals = named.map(|named| named.id.ordinal).chain(known.remains.iter().map(|left| left.instance.ordinal));
    let last_ordinal = ordinals.chain(known.manifest.map(|manifest| manifest.last_ordinal)).max().unwrap_or(0);
    let effects = known.remains.iter().map(|left| left.effect);
    let last_effect = effects.chain(known.manifest.map(|manifest| manifest.last_effect)).max().unwrap_or(0) + 1;
    let rollouts = known.manifest.map(|manifest| manifest.last_rollout);
    let history = known.manifest.iter().flat_map(|manifest| manifest.history());
    let scaled = known.manifest.iter().flat_map(|manifest| &manifest.scaled);
    let scaled = scaled.map(|scaled| (ReleaseId(scaled.release), scaled.instances));
    let kept: BTreeSet<ReleaseId> = releases.keys().copied().collect();
    AtRest {
        name: known.name.clone(),
        last_effect: EffectNumber(last_effect),
        last_ordinal,
        last_rollout: RolloutId(rollouts.unwrap_or(0).max(known.last_rollout)),
        current,
        history: history.filter(|id| kept.contains(id) && Some(*id) != current).collect(),
        left: Vec::new(),
        stopped: current.is_some() && known.manifest.is_some_and(|manifest| manifest.stopped),
        scaled: scaled.filter(|(id, _)| kept.contains(id)).collect(),
        backoffs: Vec::new(),
        // The first table of the next term has this number, and counts as used only when the proxies say so.
        published: current.map(|_| (EffectNumber(last_effect), Tick::ZERO)),
        applied: EffectNumber(last_effect.saturating_sub(1)),
        referred: instances.iter().map(|instance| instance.id.release).collect(),
        instances,
        kept: (EffectNumber(last_effect.saturating_sub(1)), kept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gapless_drivers::process::RemainsLife;
    use gapless_model::{Epoch, HoldLimits, Millis, ReleaseLabel};
    use gapless_routing::{InstanceSpec, Intake, PoolSpec};
    use gapless_wire::config::parse_service_config;

    const CONFIG: &str = "service = \"shop\"\ninstances = 2\n[run]\ncommand = [\"serve\"]\n[health]\ntcp = true\n";

    fn shop() -> ServiceName {
        ServiceName::new("shop").unwrap()
    }

    fn record(id: u64) -> ReleaseRecord {
        ReleaseRecord {
            id,
            label: format!("{id}.0"),
            digest: "0".repeat(64),
            config: CONFIG.to_owned(),
            registered_wall_ms: 0,
            bytes: None,
        }
    }

    fn manifest(current: u64) -> ManifestRecord {
        ManifestRecord {
            current: Some(current),
            history: vec![1],
            last_ordinal: 9,
            last_rollout: 4,
            last_effect: 50,
            releases: vec![record(1), record(2)],
            ..ManifestRecord::new(&shop())
        }
    }

    fn left(name: &str, life: RemainsLife) -> Remains {
        let instance: InstanceId = name.parse().unwrap();
        Remains {
            label: format!("{}.0", instance.release),
            release_folder: "/releases/x".into(),
            address: ([127, 0, 0, 1], 10_000 + instance.ordinal as u16).into(),
            effect: 60,
            epoch: Epoch(3),
            stop_grace: gapless_model::Millis(1_000),
            life,
            instance,
        }
    }

    fn table(pools: &[(u64, u32, &[&str])]) -> ServiceSpec {
        let policy = parse_service_config(CONFIG, "gapless.toml").unwrap().traffic;
        let pool = |(release, weight, instances): &(u64, u32, &[&str])| PoolSpec {
            release: ReleaseId(*release),
            label: ReleaseLabel::new(&format!("{release}.0")).unwrap(),
            weight: Weight::from_bp(*weight).unwrap(),
            policy: policy.clone(),
            probe: None,
            preview_hosts: Vec::new(),
            instances: instances
                .iter()
                .map(|name| InstanceSpec { id: name.parse().unwrap(), address: left(name, RemainsLife::Open).address })
                .collect(),
        };
        ServiceSpec {
            name: shop(),
            routes: Vec::new(),
            pools: pools.iter().map(pool).collect(),
            intake: Intake::Serve,
            hold: HoldLimits { requests_max: 1, wait_max: Millis(1) },
            health_path: None,
            fallback: None,
            pins: None,
            preview_token: None,
        }
    }

    fn known<'a>(
        name: &'a ServiceName,
        manifest: Option<&'a ManifestRecord>,
        table: Option<&'a ServiceSpec>,
        remains: &'a [Remains],
    ) -> Known<'a> {
        let remains = remains.iter().collect();
        let running = manifest.and_then(|manifest| manifest.running.clone());
        Known { name, manifest, table, remains, releases: BTreeMap::new(), last_rollout: 0, running }
    }

    #[test]
    fn a_settled_service_comes_back_with_every_instance_where_it_stood() {
        let (name, manifest) = (shop(), manifest(2));
        let table = table(&[(2, 10_000, &["shop.r2.i8", "shop.r2.i9"])]);
        let remains = [
            left("shop.r2.i8", RemainsLife::Open),
            left("shop.r2.i9", RemainsLife::Open),
            left("shop.r1.i3", RemainsLife::Ended),
        ];
        let rebuilt = rebuild(&known(&name, Some(&manifest), Some(&table), &remains)).unwrap();
        let rest = rebuilt.rest;
        assert_eq!((rest.current, rest.history), (Some(ReleaseId(2)), vec![ReleaseId(1)]));
        assert_eq!((rest.last_ordinal, rest.last_rollout, rest.last_effect), (9, RolloutId(4), EffectNumber(61)));
        assert_eq!(rest.instances.len(), 2);
        assert!(rest.instances.iter().all(|instance| instance.listing == Listing::Live));
        assert_eq!(rebuilt.remarks, Vec::<String>::new());
    }

    #[test]
    fn a_rollout_in_its_middle_goes_back_to_where_it_came_from_and_keeps_what_runs() {
        let (name, manifest) = (shop(), manifest(1));
        let table = table(&[(1, 5_000, &["shop.r1.i3"]), (2, 5_000, &["shop.r2.i8"])]);
        let remains = [
            left("shop.r1.i3", RemainsLife::Open),
            left("shop.r2.i8", RemainsLife::Open),
            left("shop.r2.i9", RemainsLife::Open),
        ];
        let rebuilt = rebuild(&known(&name, Some(&manifest), Some(&table), &remains)).unwrap();
        assert_eq!(rebuilt.rest.current, Some(ReleaseId(1)));
        let listings: Vec<Listing> = rebuilt.rest.instances.iter().map(|instance| instance.listing).collect();
        assert_eq!(listings, [Listing::Live, Listing::Live, Listing::Never]);
        assert_eq!(rebuilt.remarks.len(), 1, "{:?}", rebuilt.remarks);
    }

    #[test]
    fn a_rollout_that_ran_is_told_with_the_release_that_serves_instead() {
        let name = shop();
        let running = Some(RunningRecord { rollout: 4, to: "2.0".to_owned() });
        let manifest = ManifestRecord { running, ..manifest(1) };
        let table = table(&[(1, 5_000, &["shop.r1.i3"]), (2, 5_000, &["shop.r2.i8"])]);
        let both = [left("shop.r1.i3", RemainsLife::Open), left("shop.r2.i8", RemainsLife::Open)];
        let back = rebuild(&known(&name, Some(&manifest), Some(&table), &both)).unwrap();
        assert_eq!(back.rest.current, Some(ReleaseId(1)));
        let told = "rollout 4 to 2.0 was running and is not taken up again: release 1.0 serves; order it again";
        assert!(back.remarks.contains(&told.to_owned()), "{:?}", back.remarks);

        let candidate = [left("shop.r1.i3", RemainsLife::Ended), left("shop.r2.i8", RemainsLife::Open)];
        let ahead = rebuild(&known(&name, Some(&manifest), Some(&table), &candidate)).unwrap();
        assert_eq!(ahead.rest.current, Some(ReleaseId(2)), "of the other nothing runs any more");
        assert!(ahead.remarks.iter().any(|remark| remark.contains("release 2.0 serves")), "{:?}", ahead.remarks);
    }

    #[test]
    fn a_manifest_that_lagged_behind_gives_way_to_what_is_in_load() {
        let (name, manifest) = (shop(), manifest(1));
        let table = table(&[(2, 10_000, &["shop.r2.i8"])]);
        let remains = [left("shop.r2.i8", RemainsLife::Open)];
        let rebuilt = rebuild(&known(&name, Some(&manifest), Some(&table), &remains)).unwrap();
        assert_eq!(rebuilt.rest.current, Some(ReleaseId(2)));
    }

    #[test]
    fn an_instance_of_which_nothing_is_known_is_named_rather_than_left_to_be_ended() {
        let name = shop();
        let remains = [left("shop.r7.i1", RemainsLife::Open)];
        let refused = rebuild(&known(&name, Some(&manifest(1)), None, &remains)).unwrap_err();
        assert!(matches!(&refused, RebuildFailed::UnknownRelease { instance } if instance.ordinal == 1), "{refused}");
        let mut other = known(&name, None, None, &remains);
        other.releases.insert(ReleaseId(7), record(7));
        assert_eq!(rebuild(&other).unwrap().rest.current, Some(ReleaseId(7)), "the only one there is");
    }
}
