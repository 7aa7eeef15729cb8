//! The verbs of a service's daily life: scaled, restarted, stopped, started and removed, with clients that lose nothing but what was refused on purpose.

use serde_json::Value;

use crate::clients::get;
use crate::world::{Ended, PATIENCE, Service, World};

fn sample() -> Service {
    Service::sample(&[]).with("[strategy]\nbatch = 2\nobserve = \"0s\"\nbake = \"0s\"\n")
}

/// The status of one GET through the proxy.
fn status_of_a_request(world: &World) -> u16 {
    let answer = get(world, PATIENCE).expect("an answer");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

fn history(world: &World) -> Vec<(String, String)> {
    let ended = world.gapless(&["history", "shop", "--json"]);
    let history: Value =
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", world.tell(&ended)));
    let rollouts = history["rollouts"].as_array().expect("rollouts").iter().rev();
    let text = |value: &Value| value.as_str().expect("a word").to_owned();
    rollouts.map(|rollout| (text(&rollout["strategy"]), text(&rollout["state"]))).collect()
}

#[test]
fn a_service_is_scaled_restarted_stopped_started_and_removed() {
    let mut world = World::up();
    world.assert_done(&world.deploy(&sample(), "1.0", "rolling"));
    let first = world.live();

    let plan = world.gapless(&["scale", "shop", "5", "--plan"]);
    assert_eq!(plan.code, 0, "{}", world.tell(&plan));
    assert!(plan.stdout.contains("start 2 instances of 1.0"), "{}", plan.stdout);
    world.assert_done(&world.gapless(&["scale", "shop", "5", "--reason", "sale"]));
    assert_eq!(world.live().len(), 5);
    assert!(first.iter().all(|instance| world.live().contains(instance)), "those that ran run on");
    world.assert_done(&world.gapless(&["scale", "shop", "2"]));
    assert_eq!(world.live().len(), 2);

    let before = world.live();
    world.assert_done(&world.gapless(&["restart", "shop"]));
    let after = world.live();
    assert_eq!(after.len(), 2, "the number that was ordered holds");
    assert!(before.iter().all(|(_, pid)| after.iter().all(|(_, fresh)| pid != fresh)), "every process is fresh");
    let releases = world.gapless(&["releases", "shop", "--json"]).stdout;
    let releases: Value = serde_json::from_str(&releases).expect("JSON");
    assert_eq!(
        releases["releases"].as_array().map(Vec::len),
        Some(1),
        "a restart leaves no second release: {releases:#}"
    );

    world.assert_done(&world.gapless(&["stop", "shop"]));
    assert_eq!(world.live().len(), 0);
    assert_eq!(status_of_a_request(&world), 503, "refused at once, not held");
    let again = world.gapless(&["stop", "shop"]);
    assert_eq!(again.code, 5, "{}", world.tell(&again));
    assert!(again.stderr.contains("the service is stopped"), "{}", again.stderr);
    // What was ordered outlives the controller.
    world.kill_controller();
    world.start_controller(&[]);
    let stopped = &world.status()["services"][0]["situation"];
    assert_eq!((&stopped["current"], &stopped["stopped"]), (&Value::from("1.0"), &Value::from(true)), "{stopped:#}");
    assert_eq!(world.gapless(&["status"]).code, 0, "a service that is meant to be stopped is well");
    world.assert_done(&world.gapless(&["start", "shop"]));
    assert_eq!(world.live().len(), 2);
    assert_eq!(status_of_a_request(&world), 200);
    let instances = world.gapless(&["ps"]).stdout;
    assert_eq!(instances.lines().count(), 3, "{instances}");

    world.assert_done(&world.deploy(&sample(), "1.1", "rolling"));
    world.assert_done(&world.gapless(&["rollback", "shop"]));
    let strategies: Vec<String> = history(&world).into_iter().map(|(strategy, _)| strategy).collect();
    let expected = ["first deploy", "scale", "scale", "restart", "stop", "start", "rolling", "rollback"];
    assert_eq!(strategies, expected);

    world.assert_done(&world.gapless(&["remove", "shop"]));
    assert_eq!(status_of_a_request(&world), 404, "no route is left");
    assert_eq!(world.status()["services"], Value::Array(Vec::new()));
    let folder = world.state().join("releases/shop");
    world.eventually("its releases are deleted", || {
        std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_none())
    });
    world.eventually("so is its manifest", || !world.state().join("manifests/shop.json").exists());
    let gone = world.gapless(&["stop", "shop"]);
    assert!(gone.stderr.contains("there is no service shop"), "{}", world.tell(&gone));
    // And it may come again, also behind a restart.
    world.kill_controller();
    world.start_controller(&[]);
    assert_eq!(world.status()["services"], Value::Array(Vec::new()));
    world.assert_done(&world.deploy(&sample(), "1.0", "rolling"));
    assert_eq!(status_of_a_request(&world), 200);
}

#[test]
fn a_label_may_be_deployed_again_after_a_failure_and_a_failed_first_deploy_can_be_removed() {
    let world = World::up();
    let broken = || Service { command: "[\"./server\"]".to_owned(), ..sample() };
    let failed = world.deploy(&broken(), "1.0", "rolling");
    assert_eq!(failed.code, 3, "{}", world.tell(&failed));
    assert_eq!(world.gapless(&["status"]).code, 0, "nothing that serves is unwell");
    let folder = world.state().join("releases/shop");
    world.eventually("nothing of it is kept", || {
        std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_none())
    });
    let removed = world.gapless(&["remove", "shop"]);
    assert_eq!(removed.code, 0, "{}", world.tell(&removed));
    assert_eq!(world.status()["services"], Value::Array(Vec::new()));

    // The same label with the same content, as a pipeline does that tries again.
    let again = world.deploy(&broken(), "1.0", "rolling");
    assert_eq!(again.code, 3, "a new rollout: {}", world.tell(&again));
    world.assert_done(&world.deploy(&sample(), "1.0", "rolling"));
    let twice = world.deploy(&sample(), "1.0", "rolling");
    assert_eq!(twice.code, 5, "{}", world.tell(&twice));
    assert!(twice.stderr.contains("gapless restart"), "{}", twice.stderr);
    let failed = world.deploy(&broken(), "1.1", "rolling");
    assert_eq!(failed.code, 3, "{}", world.tell(&failed));
    assert_eq!(world.gapless(&["status"]).code, 0, "what serves is well, whatever failed");
    let again = world.deploy(&broken(), "1.1", "rolling");
    assert_eq!(again.code, 3, "a new rollout: {}", world.tell(&again));
}

#[test]
fn down_without_a_controller_ends_what_a_dead_one_left_and_up_brings_it_back() {
    let mut world = World::up();
    world.assert_done(&world.deploy(&sample(), "1.0", "rolling"));
    let pids: Vec<u32> = world.live().into_iter().map(|(_, pid)| pid).chain([world.proxy_pid()]).collect();
    world.kill_controller();
    assert_eq!(status_of_a_request(&world), 200, "it serves on");
    let down = world.gapless(&["down"]);
    assert_eq!(down.code, 0, "{}", world.tell(&down));
    assert!(down.stderr.contains("ended 1 proxy and 3 instances"), "{}", down.stderr);
    for pid in pids {
        // One that has ended and that nobody has reaped yet is a `Z` there (proc_pid_stat(5)).
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "process {pid} runs: {stat}");
    }
    let again = world.gapless(&["down"]);
    assert_eq!((again.code, again.stderr.contains("nothing ran")), (0, true), "{}", world.tell(&again));
    world.start_controller(&[]);
    world.eventually("it serves again", || world.live().len() == 3);
    assert_eq!(status_of_a_request(&world), 200);
}

#[test]
fn an_archive_comes_on_stdin_with_its_configuration_in_it_and_plan_finds_what_is_missing() {
    let world = World::up();
    let folder = world.release(&sample(), "1.0");
    let mut deploy = std::process::Command::new("sh");
    deploy.args(["-c", "tar cz -C \"$1\" . | \"$2\" deploy --label 1.0 --from - --state \"$3\"", "sh"]);
    deploy.arg(&folder).arg(crate::world::program()).arg(world.state());
    // Of the tester's own folder nothing is used.
    let elsewhere = world.path("elsewhere");
    std::fs::create_dir(&elsewhere).expect("an empty folder");
    let ended = Ended::from(deploy.current_dir(elsewhere).output().expect("a shell"));
    world.assert_done(&ended);
    assert_eq!(status_of_a_request(&world), 200);

    let nowhere = world.gapless(&["deploy", "shop", "--label", "1.1", "--from", "/nope"]);
    assert_eq!(nowhere.code, 1, "{}", world.tell(&nowhere));
    assert!(nowhere.stderr.starts_with("error: there is no artefact at `/nope`"), "{}", nowhere.stderr);

    let broken = Service { command: "[\"./server\"]\nuser = \"no-such-user\"".to_owned(), ..sample() };
    let folder = world.release(&broken, "1.1");
    let plan = world.gapless(&["plan", "shop", "--from", folder.to_str().expect("a path in UTF-8")]);
    assert_eq!(plan.code, 5, "{}", world.tell(&plan));
    for problem in ["there is no user \"no-such-user\"", "cannot run \"./server\""] {
        assert!(plan.stdout.contains(problem), "{}", plan.stdout);
    }
}

#[test]
fn a_reader_that_goes_away_ends_what_only_prints() {
    let world = World::up();
    world.assert_done(&world.deploy(&sample(), "1.0", "rolling"));
    for verb in ["status -w --json", "ps", "history shop", "help config"] {
        let mut piped = std::process::Command::new("bash");
        let script =
            format!("set -o pipefail; timeout 60 \"$0\" {verb} --state \"$1\" 2>\"$2\" | head -c 1 > /dev/null");
        let said = world.path("said");
        let ended = piped.args(["-c", &script]).arg(crate::world::program()).arg(world.state()).arg(&said).output();
        let ended = Ended::from(ended.expect("a shell"));
        let said = std::fs::read_to_string(&said).expect("what was said");
        assert!(ended.code == 0 && said.is_empty(), "{verb}: {} {said}", ended.code);
    }
}
