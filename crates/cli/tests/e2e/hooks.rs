//! The release command and hooks, with real processes.

use std::fs;
use std::time::Instant;

use serde_json::Value;

use crate::world::{Service, World, kill};

/// A sample service whose release command is this script.
fn migrating(script: &str, more: &str) -> Service {
    let script = format!("#!/bin/sh\n{script}\n");
    let run = "[release]\ncommand = [\"sh\", \"migrate\", \"{release}\"]\ntimeout = \"20s\"\n";
    let mut service = Service::sample(&[]).with(&format!("{run}{more}"));
    service.files.push(("migrate", script));
    service
}

#[test]
fn the_release_command_and_hooks_run_in_the_releases_environment_and_their_output_is_in_the_logs() {
    let world = World::up();
    let trace = world.path("trace");
    let note = |what: &str| {
        format!("echo {what} $GAPLESS_RELEASE $GAPLESS_ROLLOUT $(printenv PORT || echo none) >> {}", trace.display())
    };
    let hook = |at: &str| format!("[[hook]]\nat = \"{at}\"\ncommand = [\"sh\", \"-c\", {:?}]\n", note(at));
    let hooks = ["on-done", "after-expose", "before-expose", "before-start"].map(hook).concat();
    let service = migrating(&format!("echo migrating to $1; {}", note("release")), &hooks);
    let deployed = world.deploy(&service, "1.0", "rolling");
    world.assert_done(&deployed);
    world.eventually("the last hook ran", || fs::read_to_string(&trace).is_ok_and(|text| text.contains("on-done")));
    let points = ["before-start", "release", "before-expose", "after-expose", "on-done"];
    let expected: Vec<String> = points.iter().map(|point| format!("{point} 1.0 1 none")).collect();
    let traced = fs::read_to_string(&trace).expect("the trace");
    assert_eq!(traced.lines().collect::<Vec<_>>(), expected, "{}", world.tell(&deployed));
    let logs = world.gapless(&["logs", "shop"]);
    assert!(logs.stdout.contains("migrating to 1.0"), "{}", world.tell(&logs));
    let folder = world.release(&service, "1.1");
    let plan = world.gapless(&["plan", "shop", "--label", "1.1", "--from", folder.to_str().expect("a path")]);
    assert!(plan.stdout.contains("run the release command: sh"), "{}", world.tell(&plan));
}

#[test]
fn a_release_command_that_fails_or_cannot_be_run_turns_back_and_says_why() {
    let world = World::up();
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    let before = world.live();
    let bad = migrating("echo no column price >&2; exit 3", "");
    let failed = world.deploy(&bad, "1.1", "rolling");
    assert_eq!(failed.code, 3, "{}", world.tell(&failed));
    let told = format!("{}{}", failed.stdout, failed.stderr);
    assert!(told.contains("the release command failed: exit code 3: no column price"), "{}", world.tell(&failed));
    let missing = Service::sample(&[]).with("[release]\ncommand = [\"./nowhere\"]\n");
    let failed = world.deploy(&missing, "1.2", "rolling");
    assert_eq!(failed.code, 3, "{}", world.tell(&failed));
    assert_eq!(world.live(), before, "nothing of what serves was touched");
}

#[test]
fn a_hook_that_hangs_and_one_that_prints_without_end_are_ended_in_time() {
    let world = World::up();
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    let hook = |command: &str| {
        format!("[[hook]]\nat = \"before-expose\"\nname = \"mine\"\ncommand = {command}\ntimeout = \"2s\"\n")
    };
    let limits = "[logs]\nfile_size = \"64KiB\"\nfiles = 2\n";
    for (label, command) in [("1.1", "[\"sleep\", \"1000\"]"), ("1.2", "[\"yes\", \"megabytes\"]")] {
        let began = Instant::now();
        let failed = world.deploy(&Service::sample(&[]).with(&format!("{}{limits}", hook(command))), label, "rolling");
        assert_eq!(failed.code, 3, "{}", world.tell(&failed));
        let told = format!("{}{}", failed.stdout, failed.stderr);
        assert!(told.contains("the before-expose hook \"mine\" failed: it did not end within 2s"), "{told}");
        assert!(began.elapsed().as_secs() < 60, "{}", world.tell(&failed));
    }
    let logs = walk_bytes(&world.state().join("logs"));
    assert!(logs < 16 << 20, "{logs} bytes of logs");
}

/// The one promise that matters to a migration: a controller that dies in the middle of it neither ends it nor runs it again.
#[test]
fn a_release_command_runs_once_and_on_while_the_controller_is_killed() {
    let mut world = World::up();
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    let (trace, gate) = (world.path("trace"), world.path("gate"));
    let script = format!(
        "echo begun >> {0}; while ! [ -e {1} ]; do sleep 0.1; done; echo ended >> {0}",
        trace.display(),
        gate.display()
    );
    let ordered = world.deploy_detached(&migrating(&script, ""), "1.1");
    assert_eq!(ordered.code, 0, "{}", world.tell(&ordered));
    let traced = || fs::read_to_string(&trace).unwrap_or_default();
    world.eventually("the migration runs", || traced().contains("begun"));
    world.kill_controller();
    world.start_controller(&[]);
    let explained = world.gapless(&["explain", "shop"]);
    assert!(explained.stdout.contains("the release command"), "{}", world.tell(&explained));
    // And once more, with the end of it while nobody is there to hear of it.
    world.kill_controller();
    fs::write(&gate, "").expect("the gate");
    world.eventually("the migration ends", || traced().contains("ended"));
    world.start_controller(&[]);
    world.eventually("the rollout is done", || {
        let status = world.status();
        status["services"][0]["situation"]["kind"] == "settled"
            && status["services"][0]["releases"][0]["label"] == "1.1"
    });
    assert_eq!(traced(), "begun\nended\n");
}

/// `down` ends everything: also the release command, which is not begun anew by the next `up`.
#[test]
fn a_release_command_that_was_taken_down_is_not_run_again() {
    let world = World::up();
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    let trace = world.path("trace");
    let ordered =
        world.deploy_detached(&migrating(&format!("echo begun >> {}; exec sleep 1000", trace.display()), ""), "1.1");
    assert_eq!(ordered.code, 0, "{}", world.tell(&ordered));
    let traced = || fs::read_to_string(&trace).unwrap_or_default();
    world.eventually("the migration runs", || traced().contains("begun"));
    let down = world.gapless(&["down"]);
    assert_eq!(down.code, 0, "{}", world.tell(&down));
    // Not by `start_controller`: it waits for a status that has nothing to tell.
    let mut controller = world.up_command().spawn().expect("gapless up starts");
    world.eventually("the rollout went back", || {
        let status: Value = serde_json::from_str(&world.gapless(&["status", "--json"]).stdout).unwrap_or_default();
        let service = &status["services"][0];
        service["situation"]["kind"] == "settled" && service["releases"][0]["label"] == "1.0"
    });
    controller.kill().and_then(|()| controller.wait()).expect("the controller ends");
    assert_eq!(traced(), "begun\n");
}

/// A keeper that dies with its command leaves no outcome: then the rollout turns back rather than run it a second time.
#[test]
fn a_release_command_whose_outcome_is_lost_is_not_run_again() {
    let world = World::up();
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    let trace = world.path("trace");
    let script = format!("echo $PPID $$ >> {}; sleep 1000", trace.display());
    let rollout = world.deploy_beside(&migrating(&script, ""), "1.1");
    world.eventually("it runs", || fs::read_to_string(&trace).is_ok_and(|text| text.ends_with('\n')));
    let traced = fs::read_to_string(&trace).expect("the trace");
    traced.split_whitespace().map(|pid| pid.parse().expect("a process")).for_each(kill);
    let ended = crate::world::Ended::of(rollout);
    assert_eq!(ended.code, 3, "{}", world.tell(&ended));
    assert_eq!(fs::read_to_string(&trace).expect("the trace"), traced);
}

fn walk_bytes(folder: &std::path::Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            if entry.path().is_dir() {
                walk_bytes(&entry.path())
            } else {
                entry.metadata().map_or(0, |meta| meta.len())
            }
        })
        .sum()
}
