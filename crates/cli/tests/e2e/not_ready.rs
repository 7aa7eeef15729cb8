//! An instance that does not become ready, or ends: whoever waits for it is told why, with its own last words.

use crate::world::{Ended, Service, World, program};

/// A service that has four seconds to become ready.
fn impatient(arguments: &[&str]) -> Service {
    let health = "[health]\nhttp = \"/healthz\"\ninterval = \"200ms\"\nstart_timeout = \"4s\"\n";
    let words = std::iter::once(program().display().to_string()).chain(arguments.iter().map(ToString::to_string));
    let quoted: Vec<String> = words.map(|word| format!("{word:?}")).collect();
    Service { command: format!("[{}]", quoted.join(", ")), files: Vec::new(), more: health.to_owned() }
}

fn assert_told(world: &World, ended: &Ended, told: &[&str]) {
    assert_eq!(ended.code, 3, "{}", world.tell(ended));
    for words in told {
        assert!(ended.stdout.contains(words), "{words:?} is not told: {}", world.tell(ended));
    }
    let history = world.gapless(&["history", "shop"]);
    assert!(history.stdout.contains(told[0]), "{}", world.tell(&history));
}

#[test]
fn a_candidate_on_another_port_or_path_is_told_as_such_with_the_ports_that_it_has() {
    let world = World::up();
    // Wherever the kernel likes, but not on the port that it is given.
    let elsewhere = impatient(&["sample-service", "--port", "0"]);
    let ended = world.deploy(&elsewhere, "1.0", "rolling");
    let listens = "; it listens on 127.0.0.1:";
    assert_told(&world, &ended, &["connection refused on 127.0.0.1:", listens, "Warmup did not end within 4s"]);

    let unwell = impatient(&["sample-service", "--port", "{port}", "--never-healthy"]);
    let order = world.deploy_beside(&unwell, "1.1");
    world.eventually("explain says why", || {
        world.gapless(&["explain", "shop"]).stdout.contains("to be ready: /healthz answered 503")
    });
    let ended = Ended::of(order);
    assert_told(&world, &ended, &["/healthz answered 503"]);
}

#[test]
fn a_candidate_that_exits_shows_its_status_its_last_lines_and_the_command_for_more() {
    let world = World::up();
    let broken = Service {
        command: r#"["sh", "-c", "echo cannot open the database >&2; exit 3"]"#.to_owned(),
        files: Vec::new(),
        more: String::new(),
    };
    let ended = world.deploy(&broken, "1.0", "rolling");
    assert_told(
        &world,
        &ended,
        &["did not start: exit code 3", "cannot open the database", "gapless logs shop --release 1.0"],
    );
    let shown = world.gapless(&["receipt", "shop"]);
    assert!(shown.stdout.contains("    cannot open the database"), "{}", world.tell(&shown));
}
