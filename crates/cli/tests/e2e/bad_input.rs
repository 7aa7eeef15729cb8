//! What people and services get wrong: a bounded, told outcome each time, and nothing lost.

use gapless_load::Run;

use crate::clients::{assert_nothing_lost, brisk, end, until_under_way};
use crate::world::{PATIENCE, Service, World};

/// Deploys a release that cannot become the current one; the one before serves on, nothing is lost.
fn is_rolled_back(bad: &Service, strategy: &str) {
    let world = World::up();
    let good = Service::sample(&[]);
    world.assert_done(&world.deploy(&good, "1.0", "rolling"));
    let load = Run::start(brisk(&world, "bad")).expect("load");
    until_under_way(&load);
    let ended = world.deploy(bad, "1.1", strategy);
    assert_eq!(ended.code, 3, "{}", world.tell(&ended));
    assert_eq!(world.receipt()["failed_by_us"], 0);
    world.eventually("three instances are in load", || world.live().len() == 3);
    world.assert_done(&world.deploy(&good, "1.2", strategy));
    let sums = end(load);
    assert_nothing_lost(&sums, &["1.0", "1.2"]);
}

fn quick_to_fail(flags: &[&str]) -> Service {
    let health = "[health]\nhttp = \"/healthz\"\ninterval = \"200ms\"\ntimeout = \"300ms\"\nstart_timeout = \"3s\"\n";
    Service::sample(flags).with(health)
}

#[test]
fn a_release_that_never_becomes_healthy_is_rolled_back() {
    is_rolled_back(&quick_to_fail(&["--never-healthy"]), "rolling");
}

#[test]
fn a_release_that_never_listens_is_rolled_back() {
    is_rolled_back(&quick_to_fail(&["--never-listen"]), "blue-green");
}

#[test]
fn a_release_that_hangs_in_its_health_check_is_rolled_back() {
    is_rolled_back(&quick_to_fail(&["--hang-health"]), "rolling");
}

#[test]
fn a_release_whose_program_is_missing_is_rolled_back_or_refused() {
    let world = World::up();
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    let missing = Service { command: "[\"./no-such-program\"]".into(), files: Vec::new(), more: String::new() };
    let ended = world.deploy(&missing, "1.1", "rolling");
    assert!(ended.code == 3 || ended.code == 5, "{}", world.tell(&ended));
    assert_eq!(world.live().len(), 3);
}

#[test]
fn a_release_that_ignores_sigterm_and_forks_away_is_replaced_in_bounded_time() {
    let world = World::up();
    let stubborn = Service::sample(&["--ignore-sigterm", "--fork-away"]);
    world.assert_done(&world.deploy(&stubborn, "1.0", "rolling"));
    let load = Run::start(brisk(&world, "stubborn")).expect("load");
    until_under_way(&load);
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.1", "blue-green"));
    assert_nothing_lost(&end(load), &["1.0", "1.1"]);
}

#[test]
fn broken_configuration_is_refused_with_file_and_line_and_nothing_changes() {
    let world = World::up();
    let service = Service::sample(&[]);
    world.assert_done(&world.deploy(&service, "1.0", "rolling"));
    let folder = world.release(&service, "1.1");
    std::fs::write(folder.join("gapless.toml"), "service = \"shop\"\n[run]\ncomand = [\"x\"]\n").unwrap();
    let ended = world.gapless(&["deploy", "shop", "--label", "1.1", "--from", folder.to_str().unwrap()]);
    assert_eq!(ended.code, 5, "{}", world.tell(&ended));
    assert!(ended.stderr.contains("gapless.toml:3"), "{}", ended.stderr);
    assert!(ended.stderr.contains("command"), "the nearest known key is named: {}", ended.stderr);
    assert_eq!(world.live().len(), 3);
}

#[test]
fn a_second_controller_on_the_same_state_is_refused() {
    let world = World::up();
    let config = world.path("gapless-server.toml");
    let ended = world.gapless(&["up", "--config", config.to_str().unwrap()]);
    assert_ne!(ended.code, 0);
    assert!(ended.stderr.starts_with("error:"), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint:"), "{}", ended.stderr);
}

#[test]
fn a_release_that_crashes_after_the_switch_is_rolled_back() {
    let world = World::up();
    let good = Service::sample(&[]);
    world.assert_done(&world.deploy(&good, "1.0", "rolling"));
    let load = Run::start(brisk(&world, "crashing")).expect("load");
    until_under_way(&load);
    let crashing = Service::sample(&["--crash-in-load", "500"]).with("[strategy]\nbake = \"20s\"\n");
    let ended = world.deploy(&crashing, "1.1", "blue-green");
    assert_eq!(ended.code, 3, "{}", world.tell(&ended));
    assert_eq!(world.receipt()["failed_by_us"], 0);
    world.eventually("three instances are in load", || world.live().len() == 3);
    let lost_by_crashes = load.snapshot().lost;
    let now = load.snapshot().answered;
    assert!(load.wait_until(PATIENCE, |sums| sums.answered >= now + 200));
    let sums = end(load);
    assert_eq!(sums.lost, lost_by_crashes, "nothing is lost once the release before serves: {:#?}", sums.incidents);
    // What a crash cuts and may not be sent again is a POST under way, one for each instance and client at most.
    assert!(sums.lost <= 30, "{:?}", sums.lost_by);
}
