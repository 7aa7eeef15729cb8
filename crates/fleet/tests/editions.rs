//! Journals that an earlier edition of the machine wrote, under rules that are no longer: what they intended is what runs.
//!
//! `editions/1.jsonl` was written by the program as it was before the second edition, and is never written anew. Its services: `losses`, whose losses
//! waited together then; `orders`, where a displaced order had no end and a release was let go behind a rollback; `gone`, whose candidate was
//! found gone by a controller that took over.

use std::collections::{BTreeMap, BTreeSet};

use gapless_fleet::tables::{RELEASES, fact_key};
use gapless_journal::{Batch, MemoryStore, Store};
use gapless_model::{InstanceId, ServiceName, Tick};
use gapless_rollout::{EndedBy, Input, Life};
use gapless_wire::record::{EffectRecord, InputRecord, ReleaseRecord, STEP_KIND, StepRecord};

#[allow(dead_code, clippy::allow_attributes, reason = "the other suite uses the rest of it")]
mod term;

use term::recover;

const FIRST: &str = include_str!("editions/1.jsonl");

#[derive(serde::Deserialize)]
struct Line {
    service: String,
    #[serde(default)]
    release: Option<ReleaseRecord>,
    #[serde(default)]
    step: Option<StepRecord>,
}

/// A journal of one service, record by record.
#[derive(Default)]
struct Journal {
    releases: Vec<ReleaseRecord>,
    steps: Vec<StepRecord>,
}

/// What records alone say of a service, whatever rule was behind them.
#[derive(Default, PartialEq, Eq, Debug)]
struct Outline {
    last_effect: u64,
    running: BTreeSet<String>,
    stopping: BTreeSet<String>,
    published: Option<(u64, BTreeSet<String>)>,
}

fn journals() -> BTreeMap<ServiceName, Journal> {
    let mut journals: BTreeMap<ServiceName, Journal> = BTreeMap::new();
    for line in FIRST.lines() {
        let line: Line = serde_json::from_str(line).expect("a line of a journal");
        let journal = journals.entry(ServiceName::new(&line.service).expect("a name")).or_default();
        journal.releases.extend(line.release);
        journal.steps.extend(line.step);
    }
    journals
}

impl Outline {
    fn record(&mut self, step: &StepRecord) {
        match &step.input {
            InputRecord::InstanceExited { instance, .. }
            | InputRecord::InstanceStopped { instance }
            | InputRecord::InstanceStartFailed { instance, .. } => self.gone(instance),
            InputRecord::ControllerRestarted { alive, .. } => {
                let gone: Vec<String> = self.running.iter().filter(|id| !alive.contains(id)).cloned().collect();
                gone.iter().for_each(|id| self.gone(id));
            }
            _ => {}
        }
        for intent in step.intents.iter().filter(|intent| intent.number > self.last_effect) {
            match &intent.effect {
                EffectRecord::StartInstance { instance } => drop(self.running.insert(instance.clone())),
                EffectRecord::StopInstance { instance, .. } => drop(self.stopping.insert(instance.clone())),
                EffectRecord::PublishRoutes { pools, .. } => {
                    let members = pools.iter().flat_map(|pool| &pool.members);
                    self.published = Some((intent.number, members.map(|member| member.instance.clone()).collect()));
                }
                _ => {}
            }
        }
        let last = step.intents.iter().map(|intent| intent.number).max();
        self.last_effect = self.last_effect.max(last.unwrap_or(0));
    }

    fn gone(&mut self, instance: &str) {
        self.running.remove(instance);
        self.stopping.remove(instance);
    }

    fn of(state: &gapless_rollout::Service) -> Outline {
        let stopping = |life: &Life| matches!(life, Life::Stopping { .. });
        Outline {
            last_effect: state.last_effect().0,
            running: state.instances().map(|instance| instance.id.to_string()).collect(),
            stopping: state.instances().filter(|one| stopping(&one.life)).map(|one| one.id.to_string()).collect(),
            published: state.published().map(|(number, routes)| {
                let members = routes.pools.iter().flat_map(|pool| &pool.members);
                (number.0, members.map(|member| member.instance.to_string()).collect())
            }),
        }
    }
}

fn store(service: &ServiceName, releases: &[ReleaseRecord], steps: &[StepRecord]) -> MemoryStore {
    let mut store = MemoryStore::new();
    store.begin_term_above(gapless_model::Epoch(0)).expect("a term");
    let mut batch = Batch::new();
    for release in releases {
        batch.put(RELEASES, fact_key(service, release.id), serde_json::to_vec(release).expect("JSON"));
    }
    for step in steps {
        batch.append(service.as_str(), STEP_KIND, step.to_bytes());
    }
    store.commit(&batch).expect("it is written");
    store
}

#[test]
fn at_every_record_of_an_earlier_edition_what_it_intended_is_what_is_known_to_run() {
    let journals = journals();
    assert_eq!(journals.len(), 3);
    for (service, Journal { releases, steps }) in &journals {
        let mut expected = Outline::default();
        for upto in 1..=steps.len() {
            expected.record(&steps[upto - 1]);
            let core = recover(store(service, releases, &steps[..upto])).expect("it is read");
            let found = Outline::of(&core.service(service).expect("the service").state);
            assert_eq!(found, expected, "{service} after record {upto}: {:?}", steps[upto - 1]);
        }
    }
}

/// What the proxies and keepers of the earlier program answer goes on to count, and the service comes to rest by the rules of today.
#[test]
fn a_service_goes_on_from_the_journal_of_an_earlier_edition() {
    for (service, Journal { releases, steps }) in &journals() {
        let core = recover(store(service, releases, steps)).expect("it is read");
        let mut state = core.service(service).expect("the service").state.clone();
        let mut now = Tick(steps.last().map_or(0, |step| step.tick));
        let mut alive: BTreeSet<InstanceId> = state.instances().map(|instance| instance.id.clone()).collect();
        let mut inputs = vec![Input::ControllerRestarted { alive: alive.clone(), gone_by: EndedBy::Outside }];
        for _ in 0..1_000 {
            let input = inputs.pop().unwrap_or(Input::TimerFired);
            let step = gapless_rollout::step(state, input, now).expect("facts are never refused");
            for intent in step.effects {
                inputs.splice(0..0, answers(&intent, &mut alive));
            }
            for instance in step.state.instances() {
                if matches!(instance.life, Life::Warming { .. }) && inputs.is_empty() {
                    inputs.push(Input::InstanceReady { instance: instance.id.clone() });
                }
                if let gapless_rollout::Listing::Left { .. } = instance.listing
                    && inputs.is_empty()
                    && let Some((routes, _)) = step.state.published()
                {
                    inputs.push(Input::Drained { instance: instance.id.clone(), routes });
                }
            }
            state = step.state;
            match step.next_deadline.filter(|_| inputs.is_empty()) {
                Some(at) => now = at,
                None if inputs.is_empty() => break,
                None => {}
            }
        }
        assert!(state.at_rest().is_some(), "{service}: {}", state.report(now));
        let ready = state.instances().filter(|one| matches!(one.life, Life::Ready { .. })).count();
        let wanted = state.current().map_or(0, |current| usize::from(current.spec.instances));
        assert_eq!((ready, state.instances().count()), (wanted, wanted), "{service}: {}", state.report(now));
    }
}

fn answers(intent: &gapless_rollout::Intent, alive: &mut BTreeSet<InstanceId>) -> Vec<Input> {
    use gapless_rollout::Effect;
    match &intent.effect {
        Effect::StartInstance { instance } => {
            alive.insert(instance.clone());
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], 30_000 + instance.ordinal as u16));
            vec![
                Input::InstanceReady { instance: instance.clone() },
                Input::InstanceStarted { instance: instance.clone(), address },
            ]
        }
        Effect::PublishRoutes(_) => vec![Input::RoutesApplied { routes: intent.number }],
        Effect::StopInstance { instance, .. } => vec![Input::InstanceStopped { instance: instance.clone() }],
        Effect::RunOneOff(one_off) => {
            vec![Input::OneOffEnded { one_off: one_off.id.clone(), end: gapless_rollout::OneOffEnd::Passed }]
        }
        Effect::RunCheck { .. } => vec![Input::CheckPassed { check: intent.number }],
        Effect::CloseReceipt { rollout, .. } => vec![Input::ReceiptClosed { rollout: *rollout }],
        Effect::Notify { .. } | Effect::KeepReleases { .. } => Vec::new(),
    }
}
