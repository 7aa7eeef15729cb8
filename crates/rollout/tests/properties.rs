//! What holds for every sequence of facts and orders, however they come: late, twice, out of order, about what is gone.
//!
//! The walk draws its inputs from the state that is there, so that most of them mean something, and then lets the world come to rest.

mod scenarios {
    pub mod world;
}

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gapless_model::{EffectNumber, InstanceId, Millis, Release, ReleaseId, RolloutId, Tick};
use gapless_rollout::{
    Action, AdjustOrder, Adjustment, DeployOrder, Drain, Effect, EndedBy, ErrorCounts, Input, Intent, Life, Listing,
    OneOff, OneOffEnd, OneOffKind, Origin, Outcome, Placed, PoolKind, Recorded, RecordedEnd, RecordedIntent,
    RollbackOrder, Service, ServiceRoutes, SituationReport, Step, Tally, follow, step,
};
use proptest::prelude::{ProptestConfig, Strategy as Values, any, prop, proptest};
use proptest::test_runner::TestCaseError;
use scenarios::world::releases::release;

/// One draw: what kind of input, about which of those that it could be about, and how much later.
type Draw = (u8, u16, u16);

/// The machine with what has to be remembered to hold it to its promises.
struct Walk {
    service: Service,
    now: Tick,
    releases: u64,
    /// Orders that were taken, and how many ends each had.
    orders: BTreeMap<RolloutId, usize>,
    /// Checks that were ordered.
    checks: Vec<EffectNumber>,
    receipts: BTreeSet<RolloutId>,
    live: BTreeSet<InstanceId>,
    next: Option<(Tick, gapless_rollout::Then)>,
}

fn origin() -> Origin {
    Origin { by: "ann".into(), reason: String::new() }
}

fn live_of(routes: &ServiceRoutes) -> BTreeSet<InstanceId> {
    let live = routes.pools.iter().filter(|pool| pool.kind == PoolKind::Live);
    live.flat_map(|pool| &pool.members).map(|member| member.instance.clone()).collect()
}

fn ready(service: &Service, among: &BTreeSet<InstanceId>) -> usize {
    let is_ready = |id: &&InstanceId| {
        service.instances().any(|instance| instance.id == **id && matches!(instance.life, Life::Ready { .. }))
    };
    among.iter().filter(is_ready).count()
}

/// A step that follows the record of itself comes to the same fleet, the same ends and the same numbers.
fn followed(before: &Service, input: &Input, now: Tick, taken: &Step) -> Result<(), TestCaseError> {
    let recorded: Vec<Recorded> = taken.effects.iter().map(recorded).collect();
    let followed = follow(before.clone(), input.clone(), now, &recorded).state;
    let fleet = |service: &Service| -> Vec<(InstanceId, Listing, bool)> {
        let stops = |instance: &gapless_rollout::Instance| matches!(instance.life, Life::Stopping { .. });
        service.instances().map(|instance| (instance.id.clone(), instance.listing, stops(instance))).collect()
    };
    let same = fleet(&followed) == fleet(&taken.state)
        && followed.published() == taken.state.published()
        && followed.last_effect() == taken.state.last_effect()
        && followed.rollout() == taken.state.rollout()
        && followed.one_offs().eq(taken.state.one_offs())
        && followed.current() == taken.state.current();
    match same {
        true => Ok(()),
        false => Err(broken(format!(
            "{input:?} followed as recorded in {recorded:?} gives {followed:#?}, not {:#?}",
            taken.state
        ))),
    }
}

fn recorded(intent: &Intent) -> Recorded {
    let members = |routes: &ServiceRoutes, kind| {
        let pools = routes.pools.iter().filter(move |pool| pool.kind == kind);
        pools.flat_map(|pool| &pool.members).map(|member| member.instance.clone()).collect()
    };
    let of = match &intent.effect {
        Effect::StartInstance { instance } => RecordedIntent::Start(instance.clone()),
        Effect::PublishRoutes(routes) => RecordedIntent::Publish {
            live: members(routes, PoolKind::Live),
            preview: members(routes, PoolKind::Preview),
        },
        Effect::StopInstance { instance, grace } => RecordedIntent::Stop { instance: instance.clone(), grace: *grace },
        Effect::RunCheck { .. } => RecordedIntent::Check,
        Effect::RunOneOff(OneOff { id, name, kind: OneOffKind::Hook(point), .. }) => {
            RecordedIntent::Hook { id: id.clone(), name: name.clone(), point: *point }
        }
        Effect::Notify { .. } => RecordedIntent::Notify,
        Effect::CloseReceipt { rollout, outcome } => RecordedIntent::Close {
            rollout: *rollout,
            end: match outcome {
                Outcome::Done => RecordedEnd::Done,
                Outcome::RolledBack { .. } => RecordedEnd::RolledBack,
                Outcome::NeedsOperator { .. } => RecordedEnd::NeedsOperator,
                Outcome::Superseded { .. } | Outcome::Refused { .. } => RecordedEnd::NeverBegan,
            },
            words: outcome.to_string(),
        },
        Effect::KeepReleases { releases } => RecordedIntent::Keep(releases.clone()),
    };
    Recorded { number: intent.number, intent: of }
}

fn broken(what: String) -> TestCaseError {
    TestCaseError::fail(what)
}

impl Walk {
    fn new() -> Walk {
        Walk {
            service: Service::new(gapless_model::ServiceName::new("shop").unwrap()),
            now: Tick(0),
            releases: 0,
            orders: BTreeMap::new(),
            checks: Vec::new(),
            receipts: BTreeSet::new(),
            live: BTreeSet::new(),
            next: None,
        }
    }

    fn drawn(&mut self, (kind, which, later): Draw) -> Result<(), TestCaseError> {
        self.now = self.now.after(Millis(u64::from(later)));
        let rollout = self.service.last_rollout().next();
        let instances: Vec<InstanceId> = self.service.instances().map(|instance| instance.id.clone()).collect();
        let pick = || instances.get(usize::from(which) % instances.len().max(1)).cloned();
        let routes = EffectNumber(
            self.service.published().map_or(0, |(number, _)| number.0.saturating_sub(u64::from(which % 3))),
        );
        let input = match kind % 39 {
            36 => Some(self.restart(rollout)),
            37 => Some(self.adjust(rollout, Adjustment::Scale { instances: 1 + which % 4 })),
            38 => {
                let all = [Adjustment::Stop, Adjustment::Start, Adjustment::Start, Adjustment::Remove];
                Some(self.adjust(rollout, all[usize::from(which % 4)]))
            }
            0 | 1 => Some(self.deploy(rollout, which)),
            2 => Some(Input::RollbackOrdered(RollbackOrder { rollout, to: None, origin: origin() })),
            3 => Some(Input::AbortOrdered(origin())),
            4 => Some(Input::PromoteOrdered(origin())),
            5..=8 => pick().map(started),
            9..=13 => pick().map(|instance| Input::InstanceReady { instance }),
            14 => pick().map(|instance| Input::InstanceUnhealthy { instance, reason: "status 503".into() }),
            15 => pick().map(|instance| Input::InstanceExited {
                instance,
                status: "signal 9".into(),
                ended_by: if which % 2 == 0 { EndedBy::Itself } else { EndedBy::Outside },
            }),
            16 => pick().map(|instance| Input::InstanceStartFailed { instance, reason: "no such file".into() }),
            17 | 18 => pick().map(|instance| Input::InstanceStopped { instance }),
            19..=21 => Some(Input::RoutesApplied { routes }),
            22 => Some(Input::RoutesRefused { routes, reason: "too large".into() }),
            23 | 24 => pick().map(|instance| Input::Drained { instance, routes }),
            25 => pick().map(|instance| Input::RequestsEnded { instance, routes }),
            26 => self.checks.last().map(|check| Input::CheckPassed { check: *check }),
            27 => self.checks.last().map(|check| Input::CheckFailed { check: *check, reason: "status 500".into() }),
            33 => self.one_off(|one_off| Input::OneOffEnded { one_off, end: OneOffEnd::Passed }),
            31 => self.one_off(|one_off| {
                let end = OneOffEnd::Failed { reason: "exit code 1".into() };
                Input::OneOffEnded { one_off, end }
            }),
            32 => self.one_off(|instance| Input::InstanceStopped { instance }),
            28 => self.receipts.pop_first().map(|rollout| Input::ReceiptClosed { rollout }),
            29 => Some(Input::ControllerRestarted {
                alive: instances.iter().skip(usize::from(which % 2)).cloned().collect(),
                gone_by: gapless_rollout::EndedBy::Outside,
            }),
            30 => self.counted(which),
            _ => return self.deadline(),
        };
        input.map_or(Ok(()), |input| self.take(input))
    }

    /// What the proxies counted of the candidate, or of one that is none any more.
    fn counted(&self, which: u16) -> Option<Input> {
        let candidate = self.service.candidate().or(self.service.current())?.id;
        let of = |failed| Tally { requests: 100, failed, overdue: 0 };
        let counts = ErrorCounts { candidate: of(u64::from(which % 101)), meanwhile: of(0), ..ErrorCounts::default() };
        Some(Input::RequestsCounted { candidate, counts })
    }

    fn deploy(&mut self, rollout: RolloutId, which: u16) -> Input {
        self.releases += 1;
        let strategy = ["rolling", "in-place", "blue-green"][usize::from(which % 3)];
        let second = ["queue", "reject", "supersede"][usize::from(which / 3 % 3)];
        let (instances, checks) = (1 + which / 9 % 3, which / 27 % 2);
        let hooks =
            ["", "before-start,release,before-expose,after-expose,on-done,on-rollback"][usize::from(which / 54 % 2)];
        let text = format!(
            "1.{} {strategy} instances={instances} floor=1 checks={checks} hooks={hooks} observe=1s bake=2s second={second} rollout_timeout=30s",
            self.releases
        );
        let release = release("shop", self.releases, &text, "");
        Input::DeployOrdered(DeployOrder { rollout, release, strategy: None, origin: origin() })
    }

    fn restart(&mut self, rollout: RolloutId) -> Input {
        let Some(current) = self.service.current() else { return Input::TimerFired };
        self.releases += 1;
        let release = Arc::new(Release { id: ReleaseId(self.releases), ..Release::clone(current) });
        Input::RestartOrdered(DeployOrder { rollout, release, strategy: None, origin: origin() })
    }

    fn adjust(&self, rollout: RolloutId, adjustment: Adjustment) -> Input {
        Input::AdjustOrdered(AdjustOrder { rollout, adjustment, origin: origin() })
    }

    /// News of the one-off that was ordered last of those whose end is not known.
    fn one_off(&self, input: impl FnOnce(InstanceId) -> Input) -> Option<Input> {
        self.service.one_offs().last().map(|one_off| input(one_off.id.clone()))
    }

    /// Goes to the deadline that was explained last: nothing happens before, and then what was said.
    fn deadline(&mut self) -> Result<(), TestCaseError> {
        let Some((at, then)) = self.next.filter(|(at, _)| *at > self.now) else { return Ok(()) };
        if at.0 - 1 > self.now.0 {
            let early = step(self.service.clone(), Input::TimerFired, Tick(at.0 - 1))
                .map_err(|_| broken("a timer was refused".into()))?;
            if early.change != gapless_rollout::Change::Unchanged {
                return Err(broken(format!("before the deadline at {at:?}: {:?}", early.timeline)));
            }
        }
        self.now = at;
        let before = self.service.report(at);
        let was_back = matches!(&before.situation, SituationReport::Rollout(rollout) if rollout.turned_back.is_some());
        let taken =
            step(self.service.clone(), Input::TimerFired, at).map_err(|_| broken("a timer was refused".into()))?;
        let after = taken.state.report(at);
        let turned = matches!(&after.situation, SituationReport::Rollout(rollout) if rollout.turned_back.is_some());
        let outcome = taken.effects.iter().find_map(|intent| match &intent.effect {
            Effect::CloseReceipt { rollout, outcome } if Some(*rollout) == self.service.rollout() => {
                Some(outcome.clone())
            }
            _ => None,
        });
        use gapless_rollout::Then;
        let fits = match then {
            Then::CallOperator => matches!(outcome, Some(Outcome::NeedsOperator { .. })),
            Then::RollBack => !was_back && (turned || matches!(outcome, Some(Outcome::RolledBack { .. }))),
            Then::EndBack => was_back && matches!(outcome, Some(Outcome::RolledBack { .. })),
            Then::EndRollout => outcome == Some(Outcome::Done),
            Then::StopAnyway | Then::EndCommand => {
                taken.effects.iter().any(|intent| matches!(intent.effect, Effect::StopInstance { .. }))
            }
            Then::Replace => after.releases != before.releases,
            Then::GoOn => outcome.is_none() && after.situation != before.situation,
            Then::Restart => taken.effects.iter().any(|intent| matches!(intent.effect, Effect::StartInstance { .. })),
        };
        if !fits {
            return Err(broken(format!("{then:?} was explained, and {:?} happened", taken.timeline)));
        }
        self.take(Input::TimerFired)
    }

    fn take(&mut self, input: Input) -> Result<(), TestCaseError> {
        let (service, now) = (self.service.clone(), self.now);
        let Ok(taken) = step(service.clone(), input.clone(), now) else { return Ok(()) };
        if let Some(Placed::Own(order)) = &taken.placed
            && self.orders.insert(order.rollout, 0).is_some()
        {
            return Err(broken(format!("two orders have the number {}", order.rollout)));
        }
        followed(&service, &input, now, &taken)?;
        self.ends(&taken)?;
        self.permits(&service, &taken)?;
        self.floor(&taken)?;
        for intent in &taken.effects {
            match &intent.effect {
                Effect::RunCheck { .. } => self.checks.push(intent.number),
                Effect::CloseReceipt { rollout, .. } => {
                    self.receipts.insert(*rollout);
                }
                _ => {}
            }
        }
        let next = taken.state.report(now).next;
        if next.as_ref().is_some_and(|next| taken.next_deadline.is_none_or(|at| at > next.at)) {
            return Err(broken(format!("it asks to be woken at {:?}, and {next:?} comes before", taken.next_deadline)));
        }
        self.next = next.map(|next| (next.at, next.then));
        self.service = taken.state;
        Ok(())
    }

    /// Exactly one end, under the number of the order that it ends.
    fn ends(&mut self, taken: &Step) -> Result<(), TestCaseError> {
        for entry in &taken.timeline {
            if let Action::Ended { .. } = entry.action {
                let ends = entry.rollout.and_then(|rollout| self.orders.get_mut(&rollout));
                let ends = ends.ok_or_else(|| broken(format!("{entry} ends no order")))?;
                *ends += 1;
                if *ends > 1 {
                    return Err(broken(format!("order {:?} ends twice", entry.rollout)));
                }
            }
        }
        Ok(())
    }

    /// Nothing is stopped that a proxy may route to, or that has requests in flight and time left.
    fn permits(&self, before: &Service, taken: &Step) -> Result<(), TestCaseError> {
        let repeats = taken.timeline.iter().any(|entry| matches!(entry.action, Action::ControllerRestarted { .. }));
        for intent in &taken.effects {
            let Effect::StopInstance { instance: id, .. } = &intent.effect else { continue };
            let Some(instance) = taken.state.instances().find(|instance| instance.id == *id) else { continue };
            let was = before.instances().find(|instance| instance.id == *id);
            if repeats && was.is_some_and(|was| matches!(was.life, Life::Stopping { .. })) {
                continue;
            }
            let release = taken.state.release(id.release).or(before.release(id.release));
            let traffic = release
                .map(|release| release.spec.traffic.clone())
                .ok_or_else(|| broken(format!("{id} has no release")))?;
            let limit = traffic.drain_timeout.max(traffic.tunnel_drain_timeout);
            let may = match instance.listing {
                Listing::Never | Listing::Left { drain: Drain::Done, .. } => true,
                Listing::Left { drain: Drain::Running { since } | Drain::Lasting { since }, .. } => {
                    self.now >= since.after(limit)
                }
                Listing::Preview | Listing::Live | Listing::Left { drain: Drain::AwaitingTable, .. } => false,
            };
            if !may {
                return Err(broken(format!("{id} is stopped without a permit: {:?}", instance.listing)));
            }
        }
        Ok(())
    }

    /// No table goes below the floor by our own doing.
    fn floor(&mut self, taken: &Step) -> Result<(), TestCaseError> {
        for intent in &taken.effects {
            let Effect::PublishRoutes(routes) = &intent.effect else { continue };
            let after = live_of(routes);
            let (was, is) = (ready(&taken.state, &self.live), ready(&taken.state, &after));
            let floor = usize::from(taken.state.floor());
            self.live = after;
            if is < floor && is < was {
                return Err(broken(format!("{is} of {was} ready instances stay in load, below the floor of {floor}")));
            }
        }
        Ok(())
    }

    /// The world does what it is asked, and nothing is ordered any more: everything ends.
    fn rest(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..2_000 {
            let before = self.service.clone();
            let instances: Vec<_> = self.service.instances().cloned().collect();
            let published = self.service.published().map(|(number, _)| number);
            if let Some(routes) = published.filter(|number| *number > self.service.applied()) {
                self.take(Input::RoutesApplied { routes })?;
            }
            let applied = self.service.applied();
            for instance in instances {
                let id = instance.id.clone();
                match instance.life {
                    Life::Starting { .. } => self.take(started(id.clone()))?,
                    Life::Warming { .. } | Life::Unhealthy { .. } => {
                        self.take(Input::InstanceReady { instance: id.clone() })?
                    }
                    Life::Stopping { .. } => self.take(Input::InstanceStopped { instance: id.clone() })?,
                    Life::Ready { .. } => {}
                }
                if let Listing::Left { .. } = instance.listing {
                    self.take(Input::Drained { instance: id, routes: applied })?;
                }
            }
            if let Some(check) = self.checks.pop() {
                self.take(Input::CheckPassed { check })?;
            }
            if let Some(input) = self.one_off(|one_off| Input::OneOffEnded { one_off, end: OneOffEnd::Passed }) {
                self.take(input)?;
            }
            if let Some(rollout) = self.receipts.pop_first() {
                self.take(Input::ReceiptClosed { rollout })?;
            }
            match self.next {
                Some((at, _)) if at <= self.now => self.take(Input::TimerFired)?,
                Some(_) if self.service == before => self.deadline()?,
                _ => self.now = self.now.after(Millis(1)),
            }
            let open = self.orders.values().any(|ends| *ends == 0);
            if self.service.rollout().is_none() && !open && self.next.is_none() {
                return Ok(());
            }
        }
        Err(broken(format!("it does not end:\n{}", self.service.report(self.now))))
    }
}

fn started(instance: InstanceId) -> Input {
    let port = 1_024 + u16::try_from(instance.ordinal % 60_000).unwrap_or(0);
    Input::InstanceStarted { instance, address: std::net::SocketAddr::from(([127, 0, 0, 1], port)) }
}

fn draws() -> impl Values<Value = Vec<Draw>> {
    prop::collection::vec((any::<u8>(), any::<u16>(), 0u16..4_000), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_keeps_the_floor_stops_with_permits_does_what_it_explains_and_ends_each_order_once(draws in draws()) {
        let mut walk = Walk::new();
        for draw in draws {
            walk.drawn(draw)?;
        }
        walk.rest()?;
        for (order, ends) in &walk.orders {
            if *ends != 1 {
                return Err(broken(format!("order {order} has {ends} ends")));
            }
        }
    }
}
