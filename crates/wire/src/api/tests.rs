//! What is promised about the API's JSON.

use expect_test::expect;
use gapless_model::{InstanceId, Millis, ReleaseId, ReleaseLabel, ServiceName, Tick, Weight};
use gapless_rollout::{
    Action, Awaited, Entry, InstanceReport, LoadState, NextDeadline, ReleaseReport, Report, Role, SituationReport,
    Then, Wait,
};

use super::{ErrorBody, ErrorCode, OrderAccepted, Receipt, event, service_status};
use crate::config::parse_service_config;

fn instance() -> InstanceId {
    InstanceId { service: ServiceName::new("shop").unwrap(), release: ReleaseId(3), ordinal: 7 }
}

#[test]
fn a_report_is_said_with_ages_instead_of_instants() {
    let label = ReleaseLabel::new("1.4.0").unwrap();
    let report = Report {
        service: ServiceName::new("shop").unwrap(),
        now: Tick(10_000),
        situation: SituationReport::Settled { current: label.clone() },
        releases: vec![ReleaseReport {
            release: ReleaseId(3),
            label,
            role: Role::Current,
            weight: Weight::ALL,
            instances: vec![InstanceReport {
                instance: instance(),
                state: gapless_rollout::InstanceState::Unhealthy { reason: "status 500".to_owned() },
                since: Tick(4_000),
                address: Some("127.0.0.1:20000".parse().unwrap()),
                load: LoadState::Live,
            }],
        }],
        waits: vec![Wait { awaited: Awaited::Ready(instance()), since: Tick(9_000) }],
        next: Some(NextDeadline { at: Tick(12_500), then: Then::Replace }),
        rollback: gapless_rollout::TimeToRollBack::Restart { expected: Millis(2_000) },
        queued: None,
    };
    expect![[r#"
        {
          "service": "shop",
          "situation": {
            "kind": "settled",
            "current": "1.4.0"
          },
          "releases": [
            {
              "release": 3,
              "label": "1.4.0",
              "role": "current",
              "weight_bp": 10000,
              "instances": [
                {
                  "instance": "shop.r3.i7",
                  "state": "unhealthy",
                  "reason": "status 500",
                  "age_ms": 6000,
                  "address": "127.0.0.1:20000",
                  "load": "live",
                  "in_flight": null,
                  "pid": null,
                  "cpu_milli": null,
                  "memory_bytes": null
                }
              ]
            }
          ],
          "waits": [
            {
              "awaited": "ready",
              "text": "shop.r3.i7 to be ready",
              "age_ms": 1000
            }
          ],
          "next": {
            "in_ms": 2500,
            "then": "the instance is replaced"
          },
          "rollback": {
            "kind": "restart",
            "expected_ms": 2000
          },
          "queued": null,
          "routes": [],
          "floor": null,
          "last_rollout": null,
          "remarks": []
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&service_status(&report)).unwrap());
}

#[test]
fn an_event_counts_from_the_begin_of_its_rollout() {
    let entry = Entry { at: Tick(5_200), rollout: None, action: Action::Ready(instance()) };
    expect![[r#"{"seq":4,"at_ms":200,"phase":null,"batch":null,"action":"ready","instance":"shop.r3.i7","text":"shop.r3.i7 is ready","took_ms":null,"progress_milli":250}"#]].assert_eq(&serde_json::to_string(&event(4, Tick(5_000), &entry, None, None, 250)).unwrap());
}

#[test]
fn fields_of_a_newer_controller_are_ignored_and_those_of_an_older_one_are_made_up_for() {
    let newer = r#"{"service":"shop","rollout":3,"label":"1.0","queued":true,"mood":"fine"}"#;
    assert!(serde_json::from_str::<OrderAccepted>(newer).unwrap().queued);
    let older = r#"{"service":"shop","rollout":3}"#;
    assert_eq!(serde_json::from_str::<OrderAccepted>(older).unwrap().warnings, Vec::<String>::new());
    let unknown = r#"{"error":"no","code":"of-tomorrow"}"#;
    assert_eq!(serde_json::from_str::<ErrorBody>(unknown).unwrap().code, ErrorCode::Other);
    let receipt = r#"{"service":"shop","rollout":{"rollout":1,"to":"1","strategy":"rolling","state":"done","ordered_at":"","took_ms":1},
        "requests":1,"releases":[],"answered_by_us":0,"client_left":0,"cut":0,"retried":0,"replayed":0,"held":0,"longest_wait_ms":0,
        "failed_by_service":0,"failed_by_us":0}"#;
    assert!(serde_json::from_str::<Receipt>(receipt).unwrap().complete);
}

#[test]
fn all_faults_of_a_configuration_reach_the_one_who_asked() {
    let errors = parse_service_config("servce = 1\n[run]\ncommand = []\n", "gapless.toml").unwrap_err();
    let body = ErrorBody::from(&errors);
    assert_eq!(1 + body.also.len(), errors.0.len());
    assert_eq!(body.code.status(), 422);
    assert!(body.code.is_refusal());
}
