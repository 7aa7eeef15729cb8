//! A release that is well by its probe and fails its clients is turned back, and everybody is told what it cost.

use gapless_load::Run;

use crate::clients::{brisk, end, until_under_way};
use crate::world::{Ended, Service, World};

/// Observed for so long that the counts of at least one report are in.
fn watched(fail_percent: &str, errors_above: u8) -> Service {
    let strategy = format!("[strategy]\nobserve = \"3s\"\nbake = \"3s\"\nerrors_above = {errors_above}\n");
    Service::sample(&["--fail-percent", fail_percent]).with(&strategy)
}

fn assert_turned_back(world: &World, ended: &Ended, label: &str) {
    assert_eq!(ended.code, 3, "{}", world.tell(ended));
    assert!(ended.stdout.contains("turning back: the candidate failed "), "{}", world.tell(ended));
    let receipt = world.receipt();
    let candidate = receipt["releases"].as_array().into_iter().flatten().find(|release| release["label"] == label);
    let failed = candidate.and_then(|release| release["failed"].as_u64()).unwrap_or(0);
    assert!(failed >= 20, "{receipt:#}");
    assert_eq!(receipt["server_errors"], failed, "{receipt:#}");
    assert_eq!(receipt["failed_by_us"], 0, "{receipt:#}");
    let cause = receipt["rollout"]["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("the candidate failed") && cause.contains("the release before"), "{cause}");
}

#[test]
fn a_release_that_answers_500_to_everybody_is_turned_back_and_one_that_fails_as_the_one_before_is_not() {
    let world = World::up();
    world.assert_done(&world.deploy(&watched("0", 10), "1.0", "rolling"));
    let load = Run::start(brisk(&world, "failing")).expect("load");
    until_under_way(&load);

    assert_turned_back(&world, &world.deploy(&watched("100", 10), "1.1", "rolling"), "1.1");
    assert_turned_back(&world, &world.deploy(&watched("100", 10), "1.2", "blue-green"), "1.2");
    let shown = world.gapless(&["receipt", "shop"]);
    assert!(shown.stdout.contains("of them answered 5xx"), "{}", world.tell(&shown));

    // Switched off it is promoted; and what both releases show alike is not the next one's fault.
    world.assert_done(&world.deploy(&watched("100", 0), "1.3", "blue-green"));
    world.assert_done(&world.deploy(&watched("100", 10), "1.4", "rolling"));
    end(load);
}
