//! Tests of the stored forms: properties, and golden files that hold the format (I17).

use gapless_rollout::Service;
use proptest::prelude::{Just, any, prop, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as Values;

use super::*;
use crate::record::{STEP_KIND, StepRecord};

fn ticks() -> impl Values<Value = Tick> {
    any::<u64>().prop_map(Tick)
}

fn addresses() -> impl Values<Value = std::net::SocketAddr> {
    (any::<[u8; 4]>(), any::<u16>()).prop_map(std::net::SocketAddr::from)
}

fn lives() -> impl Values<Value = Life> {
    let effects = || any::<u64>().prop_map(EffectNumber);
    prop_oneof![
        (effects(), ticks(), ticks()).prop_map(|(effect, since, deadline)| Life::Starting { effect, since, deadline }),
        (addresses(), ticks(), ticks(), prop::option::of(".*"))
            .prop_map(|(address, since, deadline, failing)| { Life::Warming { address, since, deadline, failing } }),
        (addresses(), ticks()).prop_map(|(address, since)| Life::Ready { address, since }),
        (addresses(), ticks(), ".*").prop_map(|(address, since, reason)| Life::Unhealthy { address, since, reason }),
        (effects(), ticks(), any::<u64>()).prop_map(|(effect, since, grace)| Life::Stopping {
            effect,
            since,
            grace: Millis(grace)
        }),
    ]
}

fn listings() -> impl Values<Value = Listing> {
    let left = |drain: fn(Tick) -> Drain| {
        (any::<u64>(), ticks()).prop_map(move |(by, since)| Listing::Left { by: EffectNumber(by), drain: drain(since) })
    };
    prop_oneof![
        Just(Listing::Never),
        Just(Listing::Preview),
        Just(Listing::Live),
        left(|_| Drain::AwaitingTable),
        left(|since| Drain::Running { since }),
        left(|_| Drain::Done),
    ]
}

fn instances() -> impl Values<Value = Instance> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u32>());
    (numbers, lives(), listings()).prop_map(|((release, ordinal, failures), life, listing)| Instance {
        id: InstanceId { service: ServiceName::new("shop").unwrap(), release: ReleaseId(release), ordinal },
        life,
        listing,
        failures,
    })
}

fn rests() -> impl Values<Value = AtRest> {
    let releases = || prop::collection::btree_set(any::<u64>().prop_map(ReleaseId), 0..4);
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>(), any::<Option<u64>>(), any::<u64>(), any::<u64>());
    let backoffs = prop::collection::vec((any::<u64>(), any::<u32>(), ticks()), 0..3);
    let published = prop::option::of((any::<u64>().prop_map(EffectNumber), ticks()));
    (numbers, releases(), prop::collection::vec(instances(), 0..4), backoffs, published, releases(), releases())
        .prop_map(
            |(
                (effect, ordinal, rollout, current, applied, kept_effect),
                history,
                instances,
                backoffs,
                published,
                referred,
                kept,
            )| {
                AtRest {
                    name: ServiceName::new("shop").unwrap(),
                    last_effect: EffectNumber(effect),
                    last_ordinal: ordinal,
                    last_rollout: RolloutId(rollout),
                    current: current.map(ReleaseId),
                    left: history.iter().map(|release| release.next()).collect(),
                    history: history.into_iter().collect(),
                    stopped: effect % 2 == 1,
                    scaled: current.into_iter().map(|release| (ReleaseId(release), 3)).collect(),
                    instances,
                    backoffs: backoffs
                        .into_iter()
                        .map(|(release, failures, until)| RestingBackoff {
                            release: ReleaseId(release),
                            failures,
                            until,
                        })
                        .collect(),
                    published,
                    applied: EffectNumber(applied),
                    referred,
                    kept: (EffectNumber(kept_effect), kept),
                }
            },
        )
}

proptest! {
    #[test]
    fn reading_what_was_kept_gives_the_service_at_rest_again(rest in rests(), now in ticks()) {
        let bytes = RestRecord::of(&rest, now).to_bytes();
        let read = RestRecord::from_bytes(REST_KIND, &bytes).unwrap();
        prop_assert_eq!(read.to_rest().unwrap(), (rest, now));
    }
}

#[test]
fn a_kind_of_a_later_program_is_refused() {
    let refused = RestRecord::from_bytes("rest/2", b"{}").unwrap_err();
    assert!(refused.to_string().contains(r#""rest/2""#), "{refused}");
}

/// The journal of an earlier program, line by line: a step each, the service at rest last. It is never written anew: what was
/// written once is read for ever. New forms are added at its end.
const GOLDEN: &str = include_str!("golden_journal.jsonl");

#[test]
fn what_was_written_once_is_read_and_written_the_same() {
    for line in GOLDEN.lines() {
        let written = match line.contains("\"last_effect\"") {
            true => RestRecord::from_bytes(REST_KIND, line.as_bytes()).unwrap().to_bytes(),
            false => {
                let record = StepRecord::from_bytes(STEP_KIND, line.as_bytes()).unwrap();
                if !line.contains("deploy_ordered") {
                    record.to_input(&|_| None).unwrap();
                }
                record.to_bytes()
            }
        };
        assert_eq!(String::from_utf8(written).unwrap(), line);
    }
    assert_eq!(GOLDEN.lines().count(), 20, "every kind of input once, then the service at rest");
}

#[test]
fn an_older_record_without_the_later_fields_is_read_and_later_fields_are_ignored() {
    let text = br#"{"tick":1,"service":"shop","last_effect":0,"last_ordinal":0,"last_rollout":0,"later":{"x":1}}"#;
    let (rest, _) = RestRecord::from_bytes(REST_KIND, text).unwrap().to_rest().unwrap();
    assert_eq!(Service::from_rest(rest, |_| None).unwrap(), Service::new(ServiceName::new("shop").unwrap()));
}

#[test]
fn a_service_whose_release_is_gone_is_refused() {
    let text = br#"{"tick":1,"service":"shop","last_effect":0,"last_ordinal":0,"last_rollout":0,"current":3}"#;
    let (rest, _) = RestRecord::from_bytes(REST_KIND, text).unwrap().to_rest().unwrap();
    let refused = Service::from_rest(rest, |_| None).unwrap_err();
    assert_eq!(refused.to_string(), "release 3 is needed and not there");
}
