//! What happens outside of rollouts is told: in the events, and where the service stands.

use serde_json::Value;

use crate::world::{Service, World, kill};

fn events(world: &World, more: &[&str]) -> Vec<Value> {
    let ended = world.gapless(&[&["events", "shop", "--json"], more].concat());
    assert_eq!(ended.code, 0, "{}", world.tell(&ended));
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}

fn has(events: &[Value], action: &str, text: &str) -> bool {
    events
        .iter()
        .any(|event| event["action"] == action && event["text"].as_str().is_some_and(|told| told.contains(text)))
}

#[test]
fn an_instance_that_is_lost_and_replaced_is_an_event_that_outlives_the_controller() {
    let mut world = World::up();
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    let (victim, pid) = world.live()[0].clone();
    kill(pid);
    world.eventually("it is replaced", || has(&events(&world, &[]), "ready", "is ready"));
    let told = events(&world, &[]);
    assert!(has(&told, "began", "first deploy of 1.0") && has(&told, "ended", "done"), "{told:#?}");
    assert!(has(&told, "lost", &format!("{victim} is lost: signal 9")), "{told:#?}");
    assert!(told.iter().all(|event| event["service"] == "shop" && event["at"].is_string()), "{told:#?}");

    world.kill_controller();
    world.start_controller(&[]);
    let again = events(&world, &["--since", "1h"]);
    assert!(has(&again, "lost", &victim) && has(&again, "controller-restarted", "took over"), "{again:#?}");
    let shown = world.gapless(&["events", "shop", "--tail", "1"]);
    assert_eq!(shown.stdout.lines().count(), 1, "{}", world.tell(&shown));
}

#[test]
fn a_service_whose_instances_die_again_and_again_is_told_to_crash_although_some_are_ready() {
    let world = World::up();
    let restart = "[restart]\nbackoff_min = \"50ms\"\nbackoff_max = \"30s\"\n";
    world.assert_done(&world.deploy(&Service::sample(&["--crash-after", "3000"]).with(restart), "1.0", "rolling"));
    world.eventually("the crash loop is an event", || has(&events(&world, &[]), "crash-loop", "3 failures in a row"));
    for verb in ["status", "explain"] {
        let shown = world.gapless(&[verb, "shop"]);
        assert!(shown.stdout.contains("crash loop: "), "{}", world.tell(&shown));
        assert!(shown.stdout.contains("is lost: exit code 70"), "{}", world.tell(&shown));
    }
    let losses = &world.status()["services"][0]["losses"];
    assert!(losses["crash_loop"] == true && losses["in_a_row"].as_u64() >= Some(3), "{losses:#}");
}
