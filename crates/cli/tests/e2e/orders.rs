//! Orders that meet each other: each has a number of its own, an end of its own, and its own words in the history.

use serde_json::Value;

use crate::world::{Ended, Service, World, program};

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
    assert_eq!(world.receipt()["rollout"]["rollout"], 4, "the last receipt is of the rollout that ended last");
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
