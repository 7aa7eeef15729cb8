//! Variables that a release reads on the machine: they reach its instances, and nothing that Gapless keeps or says.

use std::fs;
use std::path::Path;

use crate::world::{Service, World, kill};

const SECRET: &str = "hunter2-correct-horse";
const FROM_FILE: &str = "from-the-file-battery-staple";

/// The sample service with one variable from each source.
fn service(world: &World) -> Service {
    let of = |name: &str| world.path(name).display().to_string();
    let mut service = Service::sample(&[]).with(&format!(
        "[restart]\nbackoff_min = \"200ms\"\nbackoff_max = \"1s\"\n\
         [run.secrets]\nDB_PASSWORD = {{ file = {:?} }}\nTOKEN = {{ command = [\"cat\", {:?}] }}\n",
        of("db-password"),
        of("token"),
    ));
    service.command.push_str(&format!("\nenv_file = [{:?}, \"-/none\"]", of("shop.env")));
    service
}

fn environment_of(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).split('\0').map(str::to_owned).collect()
}

/// The files below a folder that hold a text.
fn holding(folder: &Path, text: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => holding(&path, text, found),
            Ok(kind) if kind.is_file() => {
                let bytes = fs::read(&path).unwrap_or_default();
                if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                    found.push(path.display().to_string());
                }
            }
            _ => {}
        }
    }
}

#[test]
fn secrets_reach_instances_and_nothing_that_is_kept_or_said() {
    let world = World::up();
    fs::write(world.path("db-password"), format!("{SECRET}\n")).expect("a secret");
    fs::write(world.path("token"), format!("{SECRET}-token\n")).expect("a secret");
    fs::write(world.path("shop.env"), format!("# of the machine\nexport FROM_FILE='{FROM_FILE}'\n")).expect("a file");
    let service = service(&world);
    world.assert_done(&world.deploy(&service, "1.0", "rolling"));
    for (_, pid) in world.live() {
        let environment = environment_of(pid);
        for variable in
            [format!("DB_PASSWORD={SECRET}"), format!("TOKEN={SECRET}-token"), format!("FROM_FILE={FROM_FILE}")]
        {
            assert!(environment.contains(&variable), "{variable}: {environment:?}");
        }
    }
    for secret in [SECRET, FROM_FILE] {
        let mut found = Vec::new();
        holding(&world.state(), secret, &mut found);
        assert_eq!(found, Vec::<String>::new());
        for verb in ["status", "explain", "history", "receipt", "logs", "releases"] {
            let said = world.gapless(&[verb, "shop", "--json"]);
            assert!(!said.stdout.contains(secret) && !said.stderr.contains(secret), "{verb}: {}", said.stdout);
        }
        assert!(!world.log().contains(secret));
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&line).contains(secret), "`ps` shows it");
        }
    }
}

#[test]
fn a_secret_that_is_gone_stops_no_instance_and_is_told_until_it_is_back() {
    let world = World::up();
    for name in ["db-password", "token"] {
        fs::write(world.path(name), SECRET).expect("a secret");
    }
    fs::write(world.path("shop.env"), "").expect("a file");
    let service = service(&world);
    world.assert_done(&world.deploy(&service, "1.0", "rolling"));
    let before = world.live();
    fs::remove_file(world.path("db-password")).expect("the secret goes");
    kill(before[0].1);
    let told = "cannot read the secret DB_PASSWORD from";
    world.eventually("status tells why no instance starts", || world.gapless(&["status"]).stdout.contains(told));
    assert!(world.gapless(&["explain", "shop"]).stdout.contains(told));
    assert_eq!(world.live(), before[1..], "the others go on");

    let ended = world.deploy(&service, "1.1", "rolling");
    assert_eq!(ended.code, 3, "{}", world.tell(&ended));
    assert!(format!("{}{}", ended.stdout, ended.stderr).contains(told), "{}", world.tell(&ended));

    fs::write(world.path("db-password"), "another").expect("the secret is back");
    world.eventually("all are in load again", || world.live().len() == 3);
    let after = world.live();
    assert!(before[1..].iter().all(|instance| after.contains(instance)), "{before:?} {after:?}");
    let new = after.iter().find(|instance| !before.contains(instance)).expect("a new one");
    assert!(environment_of(new.1).contains(&"DB_PASSWORD=another".to_owned()), "read at its start");
    let remarks = world.status()["services"][0]["remarks"].to_string();
    assert!(!remarks.contains("could not be started"), "what is over is no remark any more: {remarks}");
}
