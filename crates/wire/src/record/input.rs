//! The stored form of inputs.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;

use gapless_model::{Amount, EffectNumber, InstanceId, Millis, Order, Release, ReleaseId, RolloutId, Strategy};
use gapless_rollout::{AdjustOrder, Adjustment, DeployOrder, EndedBy, Input, OneOffEnd, Origin, RollbackOrder};
use serde::{Deserialize, Serialize};

use super::RecordError;
use super::counts::RequestsCountedRecord;

/// Who gave an order and why.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct OriginRecord {
    /// The person or system.
    #[serde(default)]
    pub by: String,
    /// Their words.
    #[serde(default)]
    pub reason: String,
}

/// A strategy that an order names instead of the release's own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum StrategyRecord {
    /// Batch by batch.
    Rolling {
        /// `3` or `25%`.
        batch: String,
        /// Whether the old leave first.
        in_place: bool,
        /// Milliseconds.
        observe: u64,
        /// Milliseconds.
        bake: u64,
    },
    /// The whole beside.
    BlueGreen {
        /// Milliseconds.
        bake: u64,
    },
}

/// Whose doing the end of an instance was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedByRecord {
    /// Its own.
    #[default]
    Itself,
    /// The machine's, an operator's or a keeper's.
    Outside,
}

impl EndedByRecord {
    fn of(ended_by: EndedBy) -> EndedByRecord {
        match ended_by {
            EndedBy::Itself => EndedByRecord::Itself,
            EndedBy::Outside => EndedByRecord::Outside,
        }
    }

    fn to_ended_by(self) -> EndedBy {
        match self {
            EndedByRecord::Itself => EndedBy::Itself,
            EndedByRecord::Outside => EndedBy::Outside,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_own_doing(ended_by: &EndedByRecord) -> bool {
    *ended_by == EndedByRecord::Itself
}

/// An input. Instances, addresses and numbers stand as their printed forms.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant and field mirrors the one of gapless_rollout::Input")]
pub enum InputRecord {
    DeployOrdered {
        rollout: u64,
        release: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        strategy: Option<StrategyRecord>,
        #[serde(default)]
        origin: OriginRecord,
        /// Whether the release takes its own place, under another number. To a program that does not know the word it is a deploy like others.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        restart: bool,
    },
    RollbackOrdered {
        rollout: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<u64>,
        #[serde(default)]
        origin: OriginRecord,
    },
    AbortOrdered {
        #[serde(default)]
        origin: OriginRecord,
    },
    PromoteOrdered {
        #[serde(default)]
        origin: OriginRecord,
    },
    InstanceStarted {
        instance: String,
        address: String,
    },
    InstanceStartFailed {
        instance: String,
        reason: String,
    },
    InstanceReady {
        instance: String,
    },
    InstanceUnhealthy {
        instance: String,
        reason: String,
    },
    InstanceExited {
        instance: String,
        status: String,
        /// Absent where it ended by itself, as in records from before this was told apart.
        #[serde(default, skip_serializing_if = "is_own_doing")]
        ended_by: EndedByRecord,
    },
    InstanceStopped {
        instance: String,
    },
    RoutesApplied {
        routes: u64,
    },
    Drained {
        instance: String,
        routes: u64,
    },
    CheckPassed {
        check: u64,
    },
    CheckFailed {
        check: u64,
        reason: String,
    },
    ReceiptClosed {
        rollout: u64,
    },
    /// Time passed. What an older program may pass over without harm is written as this with a field more: it goes on waiting for the
    /// facts that it knows, and can read the journal (I17).
    TimerFired {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        requests_ended: Option<RequestsEndedRecord>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        routes_refused: Option<RoutesRefusedRecord>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        requests_counted: Option<RequestsCountedRecord>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        probe_failed: Option<ProbeFailedRecord>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        adjust_ordered: Option<AdjustOrderedRecord>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        one_off_ended: Option<Box<OneOffEndedRecord>>,
    },
    ControllerRestarted {
        alive: Vec<String>,
        /// Who ended those that were found gone; records of before it was told apart have none, and were decided as the release's own doing.
        #[serde(default, skip_serializing_if = "is_own_doing")]
        gone_by: EndedByRecord,
    },
}

/// An instance is not ready, and its probes say why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProbeFailedRecord {
    /// Which instance.
    pub instance: String,
    /// Its last failure, for people.
    #[serde(default)]
    pub reason: String,
}

/// The requests to an instance that left load have ended; what is in flight to it has no end in sight.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RequestsEndedRecord {
    /// Which instance.
    pub instance: String,
    /// The newest table order that every proxy had applied.
    pub routes: u64,
}

/// A proxy that serves refused a table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoutesRefusedRecord {
    /// The order of the table.
    pub routes: u64,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
}

/// An order to run the current release in another way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AdjustOrderedRecord {
    /// The rollout that carries it out.
    pub rollout: u64,
    /// `scale`, `stop`, `start` or `remove`.
    pub adjustment: String,
    /// Of `scale`: how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<u16>,
    /// Who and why.
    #[serde(default)]
    pub origin: OriginRecord,
}

impl AdjustOrderedRecord {
    fn of(order: &AdjustOrder) -> AdjustOrderedRecord {
        let instances = match order.adjustment {
            Adjustment::Scale { instances } => Some(instances),
            Adjustment::Stop | Adjustment::Start | Adjustment::Remove => None,
        };
        AdjustOrderedRecord {
            rollout: order.rollout.0,
            adjustment: order.adjustment.name().to_owned(),
            instances,
            origin: OriginRecord::of(&order.origin),
        }
    }

    fn to_order(&self) -> Result<AdjustOrder, RecordError> {
        let adjustment = match (self.adjustment.as_str(), self.instances) {
            ("scale", Some(instances)) => Adjustment::Scale { instances },
            ("stop", _) => Adjustment::Stop,
            ("start", _) => Adjustment::Start,
            ("remove", _) => Adjustment::Remove,
            (other, _) => {
                let value = other.chars().take(40).collect();
                return Err(RecordError::Impossible { what: "adjustment", value });
            }
        };
        Ok(AdjustOrder { rollout: RolloutId(self.rollout), adjustment, origin: self.origin.to_origin() })
    }
}

/// A one-off ended by itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OneOffEndedRecord {
    /// Which.
    pub one_off: String,
    /// Why it failed; nothing where it exited with 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

impl InputRecord {
    /// Time passed, and nothing else happened.
    const TIME_PASSED: InputRecord = InputRecord::TimerFired {
        requests_ended: None,
        routes_refused: None,
        requests_counted: None,
        probe_failed: None,
        adjust_ordered: None,
        one_off_ended: None,
    };

    /// The stored form of an input.
    #[must_use]
    pub fn of(input: &Input) -> InputRecord {
        match input {
            Input::DeployOrdered(DeployOrder { rollout, release, strategy, origin })
            | Input::RestartOrdered(DeployOrder { rollout, release, strategy, origin }) => InputRecord::DeployOrdered {
                rollout: rollout.0,
                release: release.id.0,
                strategy: strategy.as_ref().map(StrategyRecord::of),
                origin: OriginRecord::of(origin),
                restart: matches!(input, Input::RestartOrdered(_)),
            },
            Input::AdjustOrdered(order) => InputRecord::TimerFired {
                requests_ended: None,
                routes_refused: None,
                requests_counted: None,
                probe_failed: None,
                adjust_ordered: Some(AdjustOrderedRecord::of(order)),
                one_off_ended: None,
            },
            Input::RollbackOrdered(RollbackOrder { rollout, to, origin }) => InputRecord::RollbackOrdered {
                rollout: rollout.0,
                to: to.map(|release| release.0),
                origin: OriginRecord::of(origin),
            },
            Input::AbortOrdered(origin) => InputRecord::AbortOrdered { origin: OriginRecord::of(origin) },
            Input::PromoteOrdered(origin) => InputRecord::PromoteOrdered { origin: OriginRecord::of(origin) },
            Input::InstanceStarted { instance, address } => {
                InputRecord::InstanceStarted { instance: instance.to_string(), address: address.to_string() }
            }
            Input::InstanceStartFailed { instance, reason } => {
                InputRecord::InstanceStartFailed { instance: instance.to_string(), reason: reason.clone() }
            }
            Input::InstanceReady { instance } => InputRecord::InstanceReady { instance: instance.to_string() },
            Input::InstanceUnhealthy { instance, reason } => {
                InputRecord::InstanceUnhealthy { instance: instance.to_string(), reason: reason.clone() }
            }
            Input::InstanceExited { instance, status, ended_by } => InputRecord::InstanceExited {
                instance: instance.to_string(),
                status: status.clone(),
                ended_by: EndedByRecord::of(*ended_by),
            },
            Input::InstanceStopped { instance } => InputRecord::InstanceStopped { instance: instance.to_string() },
            Input::RoutesApplied { routes } => InputRecord::RoutesApplied { routes: routes.0 },
            Input::Drained { instance, routes } => {
                InputRecord::Drained { instance: instance.to_string(), routes: routes.0 }
            }
            Input::CheckPassed { check } => InputRecord::CheckPassed { check: check.0 },
            Input::CheckFailed { check, reason } => InputRecord::CheckFailed { check: check.0, reason: reason.clone() },
            Input::ReceiptClosed { rollout } => InputRecord::ReceiptClosed { rollout: rollout.0 },
            Input::RequestsEnded { instance, routes } => InputRecord::TimerFired {
                requests_ended: Some(RequestsEndedRecord { instance: instance.to_string(), routes: routes.0 }),
                routes_refused: None,
                requests_counted: None,
                probe_failed: None,
                adjust_ordered: None,
                one_off_ended: None,
            },
            Input::RoutesRefused { routes, reason } => InputRecord::TimerFired {
                requests_ended: None,
                routes_refused: Some(RoutesRefusedRecord { routes: routes.0, reason: reason.clone() }),
                requests_counted: None,
                probe_failed: None,
                adjust_ordered: None,
                one_off_ended: None,
            },
            Input::RequestsCounted { candidate, counts } => InputRecord::TimerFired {
                requests_ended: None,
                routes_refused: None,
                requests_counted: Some(RequestsCountedRecord::of(*candidate, counts)),
                probe_failed: None,
                adjust_ordered: None,
                one_off_ended: None,
            },
            Input::ProbeFailed { instance, reason } => InputRecord::TimerFired {
                requests_ended: None,
                routes_refused: None,
                requests_counted: None,
                probe_failed: Some(ProbeFailedRecord { instance: instance.to_string(), reason: reason.clone() }),
                adjust_ordered: None,
                one_off_ended: None,
            },
            Input::OneOffEnded { one_off, end } => InputRecord::TimerFired {
                requests_ended: None,
                routes_refused: None,
                requests_counted: None,
                probe_failed: None,
                adjust_ordered: None,
                one_off_ended: Some(Box::new(OneOffEndedRecord::of(one_off, end))),
            },
            Input::TimerFired => InputRecord::TIME_PASSED,
            Input::ControllerRestarted { alive, gone_by } => InputRecord::ControllerRestarted {
                alive: alive.iter().map(InstanceId::to_string).collect(),
                gone_by: EndedByRecord::of(*gone_by),
            },
        }
    }

    /// The input, with the releases that it names.
    ///
    /// # Errors
    /// [`RecordError`] where a name, number or address is none, or a release is not kept.
    pub fn to_input(&self, release: &dyn Fn(ReleaseId) -> Option<Arc<Release>>) -> Result<Input, RecordError> {
        Ok(match self {
            InputRecord::DeployOrdered { rollout, release: id, strategy, origin, restart } => {
                let id = ReleaseId(*id);
                let ordered = if *restart { Input::RestartOrdered } else { Input::DeployOrdered };
                ordered(DeployOrder {
                    rollout: RolloutId(*rollout),
                    release: release(id).ok_or(RecordError::UnknownRelease(id))?,
                    strategy: strategy.as_ref().map(StrategyRecord::to_strategy).transpose()?,
                    origin: origin.to_origin(),
                })
            }
            InputRecord::RollbackOrdered { rollout, to, origin } => Input::RollbackOrdered(RollbackOrder {
                rollout: RolloutId(*rollout),
                to: to.map(ReleaseId),
                origin: origin.to_origin(),
            }),
            InputRecord::AbortOrdered { origin } => Input::AbortOrdered(origin.to_origin()),
            InputRecord::PromoteOrdered { origin } => Input::PromoteOrdered(origin.to_origin()),
            InputRecord::InstanceStarted { instance: id, address } => {
                Input::InstanceStarted { instance: instance(id)?, address: parsed("address", address)? }
            }
            InputRecord::InstanceStartFailed { instance: id, reason } => {
                Input::InstanceStartFailed { instance: instance(id)?, reason: reason.clone() }
            }
            InputRecord::InstanceReady { instance: id } => Input::InstanceReady { instance: instance(id)? },
            InputRecord::InstanceUnhealthy { instance: id, reason } => {
                Input::InstanceUnhealthy { instance: instance(id)?, reason: reason.clone() }
            }
            InputRecord::InstanceExited { instance: id, status, ended_by } => Input::InstanceExited {
                instance: instance(id)?,
                status: status.clone(),
                ended_by: ended_by.to_ended_by(),
            },
            InputRecord::InstanceStopped { instance: id } => Input::InstanceStopped { instance: instance(id)? },
            InputRecord::RoutesApplied { routes } => Input::RoutesApplied { routes: EffectNumber(*routes) },
            InputRecord::Drained { instance: id, routes } => {
                Input::Drained { instance: instance(id)?, routes: EffectNumber(*routes) }
            }
            InputRecord::CheckPassed { check } => Input::CheckPassed { check: EffectNumber(*check) },
            InputRecord::CheckFailed { check, reason } => {
                Input::CheckFailed { check: EffectNumber(*check), reason: reason.clone() }
            }
            InputRecord::ReceiptClosed { rollout } => Input::ReceiptClosed { rollout: RolloutId(*rollout) },
            InputRecord::TimerFired { requests_ended: Some(ended), .. } => {
                Input::RequestsEnded { instance: instance(&ended.instance)?, routes: EffectNumber(ended.routes) }
            }
            InputRecord::TimerFired { routes_refused: Some(refused), .. } => {
                Input::RoutesRefused { routes: EffectNumber(refused.routes), reason: refused.reason.clone() }
            }
            InputRecord::TimerFired { requests_counted: Some(counted), .. } => counted.to_input(),
            InputRecord::TimerFired { probe_failed: Some(failed), .. } => {
                Input::ProbeFailed { instance: instance(&failed.instance)?, reason: failed.reason.clone() }
            }
            InputRecord::TimerFired { adjust_ordered: Some(order), .. } => Input::AdjustOrdered(order.to_order()?),
            InputRecord::TimerFired { one_off_ended: Some(ended), .. } => {
                Input::OneOffEnded { one_off: instance(&ended.one_off)?, end: ended.to_end() }
            }
            InputRecord::TimerFired { .. } => Input::TimerFired,
            InputRecord::ControllerRestarted { alive, gone_by } => Input::ControllerRestarted {
                gone_by: gone_by.to_ended_by(),
                alive: alive.iter().map(|id| instance(id)).collect::<Result<BTreeSet<_>, _>>()?,
            },
        })
    }
}

impl OneOffEndedRecord {
    fn of(one_off: &InstanceId, end: &OneOffEnd) -> OneOffEndedRecord {
        let failed = match end {
            OneOffEnd::Passed => None,
            OneOffEnd::Failed { reason } => Some(reason.clone()),
        };
        OneOffEndedRecord { one_off: one_off.to_string(), failed }
    }

    fn to_end(&self) -> OneOffEnd {
        self.failed.clone().map_or(OneOffEnd::Passed, |reason| OneOffEnd::Failed { reason })
    }
}

impl OriginRecord {
    fn of(origin: &Origin) -> OriginRecord {
        OriginRecord { by: origin.by.clone(), reason: origin.reason.clone() }
    }

    fn to_origin(&self) -> Origin {
        Origin { by: self.by.clone(), reason: self.reason.clone() }
    }
}

impl StrategyRecord {
    /// The stored form of a strategy.
    #[must_use]
    pub fn of(strategy: &Strategy) -> StrategyRecord {
        match strategy {
            Strategy::Rolling { batch, order, observe, bake } => StrategyRecord::Rolling {
                batch: batch.to_string(),
                in_place: *order == Order::InPlace,
                observe: observe.0,
                bake: bake.0,
            },
            Strategy::BlueGreen { bake } => StrategyRecord::BlueGreen { bake: bake.0 },
        }
    }

    /// The strategy.
    ///
    /// # Errors
    /// [`RecordError::Impossible`] where the batch is neither a count nor a share.
    pub fn to_strategy(&self) -> Result<Strategy, RecordError> {
        Ok(match self {
            StrategyRecord::Rolling { batch, in_place, observe, bake } => Strategy::Rolling {
                batch: match batch.strip_suffix('%') {
                    Some(percent) => Amount::Percent(parsed("share", percent)?),
                    None => Amount::Count(parsed("count", batch)?),
                },
                order: if *in_place { Order::InPlace } else { Order::SurgeFirst },
                observe: Millis(*observe),
                bake: Millis(*bake),
            },
            StrategyRecord::BlueGreen { bake } => Strategy::BlueGreen { bake: Millis(*bake) },
        })
    }
}

fn instance(text: &str) -> Result<InstanceId, RecordError> {
    parsed("instance id", text)
}

pub(super) fn parsed<T: FromStr>(what: &'static str, text: &str) -> Result<T, RecordError> {
    text.parse().map_err(|_| RecordError::Impossible { what, value: text.chars().take(100).collect() })
}

#[cfg(test)]
mod tests {
    use gapless_model::ServiceName;
    use gapless_rollout::{ErrorCounts, Tally};
    use proptest::prelude::{Just, any, prop, prop_assert_eq, prop_assume, prop_oneof, proptest};
    use proptest::strategy::Strategy as Values;

    use super::*;

    fn instances() -> impl Values<Value = InstanceId> {
        (any::<u64>(), any::<u64>()).prop_map(|(release, ordinal)| InstanceId {
            service: ServiceName::new("shop").unwrap(),
            release: ReleaseId(release),
            ordinal,
        })
    }

    fn origins() -> impl Values<Value = Origin> {
        (".*", ".*").prop_map(|(by, reason)| Origin { by, reason })
    }

    fn inputs() -> impl Values<Value = Input> {
        let number = || any::<u64>().prop_map(EffectNumber);
        let rollout = || any::<u64>().prop_map(RolloutId);
        prop_oneof![
            (rollout(), any::<Option<u64>>(), origins()).prop_map(|(rollout, to, origin)| Input::RollbackOrdered(
                RollbackOrder { rollout, to: to.map(ReleaseId), origin }
            )),
            origins().prop_map(Input::AbortOrdered),
            origins().prop_map(Input::PromoteOrdered),
            (instances(), any::<std::net::SocketAddr>())
                .prop_map(|(instance, address)| Input::InstanceStarted { instance, address }),
            (instances(), ".*").prop_map(|(instance, reason)| Input::InstanceStartFailed { instance, reason }),
            instances().prop_map(|instance| Input::InstanceReady { instance }),
            (instances(), ".*").prop_map(|(instance, reason)| Input::InstanceUnhealthy { instance, reason }),
            (instances(), ".*").prop_map(|(instance, reason)| Input::ProbeFailed { instance, reason }),
            (instances(), ".*", prop::bool::ANY).prop_map(|(instance, status, outside)| {
                let ended_by = if outside { EndedBy::Outside } else { EndedBy::Itself };
                Input::InstanceExited { instance, status, ended_by }
            }),
            instances().prop_map(|instance| Input::InstanceStopped { instance }),
            number().prop_map(|routes| Input::RoutesApplied { routes }),
            (instances(), number()).prop_map(|(instance, routes)| Input::Drained { instance, routes }),
            (instances(), number()).prop_map(|(instance, routes)| Input::RequestsEnded { instance, routes }),
            (number(), ".*").prop_map(|(routes, reason)| Input::RoutesRefused { routes, reason }),
            number().prop_map(|check| Input::CheckPassed { check }),
            (number(), ".*").prop_map(|(check, reason)| Input::CheckFailed { check, reason }),
            rollout().prop_map(|rollout| Input::ReceiptClosed { rollout }),
            (instances(), any::<Option<String>>()).prop_map(|(one_off, failed)| {
                let end = failed.map_or(OneOffEnd::Passed, |reason| OneOffEnd::Failed { reason });
                Input::OneOffEnded { one_off, end }
            }),
            Just(Input::TimerFired),
            (any::<u64>(), any::<[u64; 10]>()).prop_map(|(candidate, numbers)| {
                let tally =
                    |at: usize| Tally { requests: numbers[at], failed: numbers[at + 1], overdue: numbers[at + 2] };
                let counts = ErrorCounts {
                    candidate: tally(0),
                    failing_for: Millis(numbers[9]),
                    meanwhile: tally(3),
                    before: tally(6),
                };
                Input::RequestsCounted { candidate: ReleaseId(candidate), counts }
            }),
            (prop::collection::btree_set(instances(), 0..5), any::<bool>()).prop_map(|(alive, outside)| {
                let gone_by = if outside { EndedBy::Outside } else { EndedBy::Itself };
                Input::ControllerRestarted { alive, gone_by }
            }),
        ]
    }

    #[test]
    fn a_restart_of_before_it_was_told_apart_blames_the_release_as_it_was_decided_then() {
        let before = r#"{"type":"controller_restarted","alive":[]}"#;
        let read: InputRecord = serde_json::from_str(before).unwrap();
        assert_eq!(read, InputRecord::ControllerRestarted { alive: Vec::new(), gone_by: EndedByRecord::Itself });
        assert_eq!(serde_json::to_string(&read).unwrap(), before);
    }

    proptest! {
        #[test]
        fn reading_what_was_written_gives_the_input_again(input in inputs()) {
            let text = serde_json::to_string(&InputRecord::of(&input)).unwrap();
            let read: InputRecord = serde_json::from_str(&text).unwrap();
            // Scope ids and flow labels of IPv6 addresses are not part of an address on this machine.
            if let Input::InstanceStarted { address: std::net::SocketAddr::V6(address), .. } = &input {
                prop_assume!(address.flowinfo() == 0);
            }
            prop_assert_eq!(read.to_input(&|_| None).unwrap(), input);
        }

        #[test]
        fn a_strategy_reads_back(batch in 0u16..2_000, percent in any::<bool>(), in_place in any::<bool>(), observe in any::<u64>(), bake in any::<u64>()) {
            let batch = if percent { Amount::Percent((batch % 101) as u8) } else { Amount::Count(batch) };
            let order = if in_place { Order::InPlace } else { Order::SurgeFirst };
            for strategy in [
                Strategy::Rolling { batch, order, observe: Millis(observe), bake: Millis(bake) },
                Strategy::BlueGreen { bake: Millis(bake) },
            ] {
                prop_assert_eq!(StrategyRecord::of(&strategy).to_strategy().unwrap(), strategy);
            }
        }
    }

    #[test]
    fn an_order_for_a_release_that_is_not_kept_is_refused() {
        let text = r#"{"type":"deploy_ordered","rollout":1,"release":4}"#;
        let record: InputRecord = serde_json::from_str(text).unwrap();
        assert_eq!(record.to_input(&|_| None).unwrap_err().to_string(), "a record of release 4, which is not kept");
    }

    #[test]
    fn a_damaged_name_is_refused_with_what_it_should_be() {
        let text = r#"{"type":"instance_ready","instance":"../etc"}"#;
        let record: InputRecord = serde_json::from_str(text).unwrap();
        assert_eq!(
            record.to_input(&|_| None).unwrap_err().to_string(),
            r#"a record with an impossible instance id: "../etc""#
        );
    }

    /// The program before this one knows no such fact: it reads that time passed, and goes on waiting for the whole drain.
    #[test]
    fn a_fact_of_this_release_is_the_passing_of_time_to_the_one_before() {
        let instance = InstanceId { service: ServiceName::new("shop").unwrap(), release: ReleaseId(3), ordinal: 7 };
        let record = InputRecord::of(&Input::RequestsEnded { instance, routes: EffectNumber(9) });
        assert_eq!(
            serde_json::to_string(&record).unwrap(),
            r#"{"type":"timer_fired","requests_ended":{"instance":"shop.r3.i7","routes":9}}"#
        );
        let record = InputRecord::of(&Input::RoutesRefused { routes: EffectNumber(9), reason: "too large".to_owned() });
        assert_eq!(
            serde_json::to_string(&record).unwrap(),
            r#"{"type":"timer_fired","routes_refused":{"routes":9,"reason":"too large"}}"#
        );
        let instance: InstanceId = "shop.r3.i7".parse().unwrap();
        let record = InputRecord::of(&Input::ProbeFailed { instance, reason: "refused".to_owned() });
        assert_eq!(
            serde_json::to_string(&record).unwrap(),
            r#"{"type":"timer_fired","probe_failed":{"instance":"shop.r3.i7","reason":"refused"}}"#
        );
        let tally = |requests, failed| Tally { requests, failed, overdue: 0 };
        let counts = ErrorCounts { candidate: tally(30, 30), meanwhile: tally(60, 0), ..ErrorCounts::default() };
        let record = InputRecord::of(&Input::RequestsCounted { candidate: ReleaseId(3), counts });
        let written = serde_json::to_string(&record).unwrap();
        assert!(written.starts_with(r#"{"type":"timer_fired","requests_counted":{"candidate":3,"#), "{written}");
    }
}
