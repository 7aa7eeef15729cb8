//! Lost instances: which losses a release has to answer for, how long the place of each waits, and which releases are kept.

use std::collections::BTreeSet;

use gapless_model::{Millis, ReleaseId};
use gapless_rollout::{EndedBy, Input};

use crate::world::World;
use crate::world::releases::release;

/// A world with 1.0 in service, at a time long after.
fn settled(settings: &str) -> World {
    let mut world = World::new("shop");
    world.deploy(release("shop", 1, "1.0", settings));
    world.run();
    world.now = world.now.after(Millis::from_secs(600));
    world
}

fn lose(world: &mut World, ordinal: u64, ended_by: EndedBy) {
    let instance = world.instance(ordinal);
    world.deliver(Input::InstanceExited { instance, status: "signal 9".into(), ended_by });
}

fn ordinals(world: &World) -> Vec<u64> {
    world.service.instances().map(|instance| instance.id.ordinal).collect()
}

#[test]
fn a_machine_that_crashes_again_and_again_never_lengthens_the_outage() {
    let mut world = settled("instances=2 floor=1");
    for crash in 1..=8 {
        world.alive.clear();
        world.restart_controller();
        let newest = 2 + 2 * crash;
        assert_eq!(
            ordinals(&world),
            [newest - 1, newest],
            "all are started at once after crash {crash}\n{}",
            world.output
        );
        let soon = world.now.after(Millis::from_secs(1));
        world.run_until(soon);
    }
    lose(&mut world, 18, EndedBy::Outside);
    assert_eq!(ordinals(&world), [17, 19], "and so is one that is killed later\n{}", world.output);
}

#[test]
fn an_instance_that_crashes_by_itself_again_and_again_waits_longer_each_time_and_the_others_do_not() {
    let mut world = settled("instances=2 floor=1");
    let mut crashing = 1;
    let mut waits = Vec::new();
    for _ in 0..4 {
        let lost_at = world.now;
        lose(&mut world, crashing, EndedBy::Itself);
        while ordinals(&world).len() < 2 {
            let (at, input) = world.next_event(world.now.after(Millis::from_secs(60))).expect("it is started again");
            world.now = at;
            world.deliver(input);
        }
        waits.push(world.now.since(lost_at).0);
        crashing = *ordinals(&world).last().expect("an instance");
        let ready = world.now.after(Millis::from_secs(1));
        world.run_until(ready);
    }
    assert_eq!(waits, [100, 200, 400, 800], "{}", world.output);
    lose(&mut world, crashing, EndedBy::Itself);
    lose(&mut world, 2, EndedBy::Outside);
    assert_eq!(
        ordinals(&world).len(),
        1,
        "the killed one is replaced at once, the crashing one waits\n{}",
        world.output
    );
    let healthy = *ordinals(&world).first().expect("an instance");
    let ready = world.now.after(Millis(500));
    world.run_until(ready);
    let lost_at = world.now;
    lose(&mut world, healthy, EndedBy::Itself);
    let soon = lost_at.after(Millis(150));
    world.run_until(soon);
    assert!(
        ordinals(&world).iter().any(|ordinal| *ordinal > healthy),
        "its own first failure waits shortly\n{}",
        world.output
    );
}

#[test]
fn a_long_healthy_life_forgets_earlier_failures() {
    let mut world = settled("instances=1 floor=0");
    for _ in 0..5 {
        let newest = *ordinals(&world).last().expect("an instance");
        lose(&mut world, newest, EndedBy::Itself);
        let later = world.now.after(Millis::from_secs(6));
        world.run_until(later);
    }
    // Ready for nearly six seconds each time, of which five are enough.
    let newest = *ordinals(&world).last().expect("an instance");
    lose(&mut world, newest, EndedBy::Itself);
    let soon = world.now.after(Millis(150));
    world.run_until(soon);
    assert_eq!(ordinals(&world), [newest + 1], "{}", world.output);
}

#[test]
fn one_that_is_killed_before_it_was_ever_ready_waits_as_if_it_had_failed() {
    let mut world = settled("instances=1 floor=0");
    lose(&mut world, 1, EndedBy::Outside);
    assert_eq!(ordinals(&world), [2]);
    lose(&mut world, 2, EndedBy::Outside);
    assert_eq!(ordinals(&world), Vec::<u64>::new(), "{}", world.output);
}

#[test]
fn a_machine_that_crashes_in_any_phase_of_a_rollout_does_not_turn_it_back() {
    for strategy in ["rolling", "in-place", "blue-green"] {
        for after in (0..4_000).step_by(50) {
            let settings = "instances=2 floor=1 observe=1s bake=2s";
            let mut world = settled(settings);
            world.deploy(release("shop", 2, &format!("1.1 {strategy}"), settings));
            let crash_at = world.now.after(Millis(after));
            world.run_until(crash_at);
            world.alive.clear();
            world.restart_controller();
            world.run();
            let current = world.service.current().map(|release| release.label.to_string());
            assert_eq!(current.as_deref(), Some("1.1"), "{strategy}, crash after {after} ms:\n{}", world.output);
        }
    }
}

fn kept(world: &World) -> BTreeSet<u64> {
    world.service.releases().map(|release| release.id.0).collect()
}

#[test]
fn releases_that_were_current_are_kept_by_number_also_behind_a_rollback() {
    let settings = "instances=1 floor=0 kept=3";
    let mut world = settled(settings);
    for (number, label) in [(2, "1.1"), (3, "1.2")] {
        world.deploy(release("shop", number, label, settings));
        world.run();
    }
    world.rollback("");
    world.run();
    assert_eq!(world.service.current().map(|release| release.id), Some(ReleaseId(2)));
    assert_eq!(world.service.previous().map(|release| release.id), Some(ReleaseId(1)), "not the one that was left");
    assert_eq!(kept(&world), BTreeSet::from([1, 2, 3]), "{}", world.output);
    world.deploy(release("shop", 4, "1.3", settings));
    world.run();
    assert_eq!(kept(&world), BTreeSet::from([1, 2, 3, 4]), "three before the current one\n{}", world.output);
    world.deploy(release("shop", 5, "1.4", settings));
    world.run();
    assert_eq!(kept(&world), BTreeSet::from([2, 3, 4, 5]), "the oldest goes\n{}", world.output);
}

#[test]
fn a_candidate_that_never_became_current_takes_no_place_among_those_kept() {
    let settings = "instances=1 floor=0 kept=2";
    let mut world = settled(settings);
    world.deploy(release("shop", 2, "1.1", settings));
    world.run();
    world.behaviours.insert("1.2".into(), crate::world::Behaviour::ExitsAtStart);
    world.behaviours.insert("1.3".into(), crate::world::Behaviour::ExitsAtStart);
    for (number, label) in [(3, "1.2"), (4, "1.3")] {
        world.deploy(release("shop", number, label, settings));
        world.run();
    }
    assert_eq!(kept(&world), BTreeSet::from([1, 2]), "{}", world.output);
}
