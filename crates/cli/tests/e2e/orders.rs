//! Orders that meet each other: each has a number of its own, an end of its own, and its own words in the history.

use serde_json::Value;

use crate::clients::get;
use crate::world::{Ended, PATIENCE, Service, World};

/// A service whose rollouts are observed for so long that other orders meet them.
fn observed_for(seconds: u32, second_order: &str) -> Service {
    let strategy = format!(
        "[strategy]\nkind = \"rolling\"\nbatch = \"100%\"\nobserve = \"{seconds}s\"\nbake = \"0s\"\nsecond_order = \"{second_order}\"\n"
    );
    Service::sample(&[]).with(&strategy)
}

fn situation(world: &World) -> Value {
    world.status()["services"][0]["situation"].clone()
}

/// Rollout, label, state, reason of the operator.
fn history(world: &World) -> Vec<(u64, String, String, String)> {
    let ended = world.gapless(&["history", "shop", "--json"]);
    let history: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{}", world.tell(&ended)));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rollouts = history["rollouts"].as_array().expect("rollouts").iter().rev();
    rollouts
        .map(|one| (one["rollout"].as_u64().unwrap_or(0), text(&one["to"]), text(&one["state"]), text(&one["reason"])))
        .collect()
}

fn row(rollout: u64, label: &str, state: &str) -> (u64, String, String, String) {
    (rollout, label.to_owned(), state.to_owned(), format!("because of {label}"))
}

fn receipt_of(world: &World, rollout: u64) -> (Ended, Value) {
    let number = rollout.to_string();
    let ended = world.gapless(&["receipt", "shop", "--rollout", &number, "--json"]);
    let receipt = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{}", world.tell(&ended)));
    (ended, receipt)
}

#[test]
fn a_queued_deploy_that_a_third_displaces_ends_at_once_and_every_order_keeps_its_own_words() {
    let world = World::up();
    assert_eq!(Ended::of(world.deploy_beside(&observed_for(0, "queue"), "1.0")).code, 0);
    let first = world.deploy_beside(&observed_for(8, "queue"), "1.1");
    world.eventually("the first rollout runs", || situation(&world)["kind"] == "rollout");
    let displaced = world.deploy_beside(&observed_for(0, "queue"), "1.2");
    world.eventually("the second order waits", || world.status()["services"][0]["queued"] == 3);
    let third = world.deploy_beside(&observed_for(0, "queue"), "1.3");

    let displaced = Ended::of(displaced);
    assert_eq!(displaced.code, 8, "{}", world.tell(&displaced));
    assert!(displaced.stdout.contains("superseded by rollout 4"), "{}", world.tell(&displaced));
    assert_eq!(situation(&world)["rollout"], 2, "it does not wait for the rollout that runs");

    let (first, third) = (Ended::of(first), Ended::of(third));
    assert_eq!((first.code, third.code), (0, 0), "{}\n{}", world.tell(&first), world.tell(&third));
    let told = history(&world);
    let expected = [row(1, "1.0", "done"), row(2, "1.1", "done"), row(3, "1.2", "superseded"), row(4, "1.3", "done")];
    assert_eq!(told, expected);
    for (rollout, label, _, reason) in told {
        let (_, receipt) = receipt_of(&world, rollout);
        assert_eq!(receipt["rollout"]["to"], label.as_str(), "{receipt:#}");
        assert_eq!(receipt["rollout"]["reason"], reason.as_str(), "{receipt:#}");
    }
    let (_, never_ran) = receipt_of(&world, 3);
    assert_eq!(never_ran["rollout"]["began"], false, "{never_ran:#}");
    assert_eq!(never_ran["requests"], 0, "{never_ran:#}");
    let shown = world.gapless(&["receipt", "shop", "--rollout", "3"]);
    assert_eq!(shown.code, 0, "{}", world.tell(&shown));
    assert!(shown.stdout.contains("never ran"), "{}", shown.stdout);
    let (_, queued) = receipt_of(&world, 4);
    assert!(queued["counted_before"][0].as_str().is_some_and(|why| why.contains("another rollout")), "{queued:#}");
    assert_eq!(world.receipt()["rollout"]["rollout"], 4, "the last receipt is of the rollout that ended last");
}

#[test]
fn requests_from_before_an_order_are_not_on_its_receipt() {
    const BEFORE: usize = 40;
    let world = World::up();
    for label in ["1.0", "1.1"] {
        assert_eq!(Ended::of(world.deploy_beside(&observed_for(0, "queue"), label)).code, 0);
    }
    for label in ["1.0", "1.1", "1.0", "1.1"] {
        // The proxy reports each second by itself: most of these are not in its last report when the order is given.
        for _ in 0..BEFORE {
            assert!(get(&world, PATIENCE).expect("an answer").starts_with("HTTP/1.1 200"));
        }
        world.assert_done(&world.gapless(&["rollback", "shop", "--to", label]));
        let receipt = world.receipt();
        assert_eq!(receipt["requests"], 0, "{receipt:#}");
        assert!(receipt["counted_before"].is_null(), "{receipt:#}");
    }
}

#[test]
fn what_an_operator_says_of_a_rollback_stays_with_the_rollout_that_went_back() {
    let world = World::up();
    assert_eq!(Ended::of(world.deploy_beside(&observed_for(0, "queue"), "1.0")).code, 0);
    let bad = world.deploy_beside(&observed_for(60, "queue"), "1.1");
    world.eventually("it is observed", || situation(&world)["phase"] == "Observe");
    let back = world.gapless(&["rollback", "shop", "--reason", "wrong colour"]);
    assert_eq!(back.code, 0, "{}", world.tell(&back));
    assert_eq!(Ended::of(bad).code, 3);
    assert_eq!(Ended::of(world.deploy_beside(&observed_for(0, "queue"), "1.2")).code, 0);
    assert_eq!(history(&world), [row(1, "1.0", "done"), row(2, "1.1", "rolled-back"), row(3, "1.2", "done")]);
    let (_, receipt) = receipt_of(&world, 2);
    assert!(receipt["rollout"]["cause"].as_str().is_some_and(|cause| cause.contains("wrong colour")), "{receipt:#}");
}

#[test]
fn a_deploy_that_supersedes_turns_the_running_one_back_first_and_both_are_told_apart() {
    let world = World::up();
    assert_eq!(Ended::of(world.deploy_beside(&observed_for(0, "supersede"), "1.0")).code, 0);
    let first = world.deploy_beside(&observed_for(60, "supersede"), "1.1");
    world.eventually("it is observed", || situation(&world)["phase"] == "Observe");
    let second = Ended::of(world.deploy_beside(&observed_for(0, "supersede"), "1.2"));
    assert_eq!(second.code, 0, "{}", world.tell(&second));
    let first = Ended::of(first);
    assert_eq!(first.code, 3, "{}", world.tell(&first));
    assert!(first.stdout.contains("superseded by rollout 3"), "{}", first.stdout);
    assert_eq!(history(&world), [row(1, "1.0", "done"), row(2, "1.1", "rolled-back"), row(3, "1.2", "done")]);
}

#[test]
fn a_rollback_to_another_release_than_the_one_before_is_refused_while_a_rollout_runs() {
    let world = World::up();
    for label in ["1.0", "1.1"] {
        assert_eq!(Ended::of(world.deploy_beside(&observed_for(0, "queue"), label)).code, 0);
    }
    let running = world.deploy_beside(&observed_for(60, "queue"), "1.2");
    world.eventually("it is observed", || situation(&world)["phase"] == "Observe");
    let elsewhere = world.gapless(&["rollback", "shop", "--to", "1.0"]);
    assert_eq!(elsewhere.code, 5, "{}", world.tell(&elsewhere));
    let says = "rollout 3 is running, and goes back to 1.1 alone";
    assert!(elsewhere.stderr.contains(says), "{}", world.tell(&elsewhere));
    assert_eq!(situation(&world)["phase"], "Observe", "nothing has changed");
    let promoted = world.gapless(&["promote", "shop", "--detach", "--reason", "seen enough"]);
    assert_eq!(promoted.code, 0, "{}", world.tell(&promoted));
    let running = Ended::of(running);
    assert_eq!(running.code, 0, "{}", world.tell(&running));
    assert!(running.stdout.contains("seen enough"), "why it was promoted is told: {}", world.tell(&running));
    assert_eq!(situation(&world)["current"], "1.2");
}

#[test]
fn why_a_rollout_was_ended_early_is_in_its_history_and_on_its_receipt() {
    let world = World::up();
    assert_eq!(Ended::of(world.deploy_beside(&observed_for(0, "queue"), "1.0")).code, 0);
    let aborted = world.deploy_beside(&observed_for(60, "queue"), "1.1");
    world.eventually("it is observed", || situation(&world)["phase"] == "Observe");
    let order = world.gapless(&["abort", "shop", "--reason", "wrong colour"]);
    assert_eq!(order.code, 0, "{}", world.tell(&order));
    let aborted = Ended::of(aborted);
    assert_eq!(aborted.code, 3, "{}", world.tell(&aborted));
    let (_, receipt) = receipt_of(&world, 2);
    assert!(receipt["rollout"]["cause"].as_str().is_some_and(|cause| cause.contains("wrong colour")), "{receipt:#}");
    let shown = world.gapless(&["history", "shop"]);
    assert!(shown.stdout.contains("wrong colour"), "{}", world.tell(&shown));
    assert_eq!(history(&world)[1], row(2, "1.1", "rolled-back"), "the words of the deploy stay its own");
}

/// What came before what is told by who is there, not by how long something took: the end of a rollout, the end of `deploy`, the next report of a
/// proxy, which comes each second.
#[test]
fn a_deploy_returns_with_the_end_of_its_rollout_and_not_with_a_later_report() {
    let world = World::up();
    assert_eq!(Ended::of(world.deploy_beside(&observed_for(0, "queue"), "1.0")).code, 0);
    let mut behind = 0;
    for number in 1..=5 {
        let label = format!("1.{number}");
        let deploy = world.deploy_beside(&observed_for(0, "queue"), &label);
        world.eventually("the rollout is over", || {
            let situation = situation(&world);
            situation["kind"] == "settled" && situation["current"] == label.as_str()
        });
        // A request that ends now is told by the next report. `deploy` has its receipt without waiting for that.
        assert!(get(&world, PATIENCE).expect("an answer").starts_with("HTTP/1.1 200"));
        assert_eq!(Ended::of(deploy).code, 0);
        let (_, receipt) = receipt_of(&world, number + 1);
        behind += receipt["requests"].as_u64().expect("a number");
    }
    assert!(
        behind <= 2,
        "the receipts were written long after the ends of their rollouts: {behind} of 5 count a later request"
    );
}
