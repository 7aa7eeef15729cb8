//! A journal that is damaged, gone, old or of another machine: never acted on, and brought back as `docs/guide/operations.md` says, with the
//! commands that stand there, under load, with nothing lost and nothing ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use gapless_journal::{Batch, SqliteStore, Store as _};
use gapless_load::Run;
use gapless_wire::record::{ManifestRecord, PROXIES};

use crate::clients::{assert_nothing_lost, brisk, end, until_under_way};
use crate::world::{Ended, PATIENCE, Service, World};

/// The page that promises it.
const GUIDE: &str = include_str!("../../../../docs/guide/operations.md");

/// The commands of the block under a heading: what an operator copies at night.
fn commands(heading: &str) -> Vec<Vec<String>> {
    let section = GUIDE.split(&format!("### {heading}\n")).nth(1).unwrap_or_else(|| panic!("no section {heading:?}"));
    let block = section.split("```").nth(1).expect("a block of commands");
    let commands = block.lines().filter_map(|line| line.strip_prefix("gapless "));
    let commands: Vec<Vec<String>> =
        commands.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect();
    assert!(!commands.is_empty(), "{heading}");
    commands
}

/// Carries out a section of the page; `up` is the test's own, since it does not return.
fn follow(world: &mut World, heading: &str) {
    let backup = world.path("journal-backup.db");
    for command in commands(heading) {
        let words: Vec<&str> = command
            .iter()
            .map(|word| if word.ends_with(".db") { backup.to_str().expect("UTF-8") } else { word.as_str() })
            .collect();
        match words.as_slice() {
            ["up"] => world.start_controller(&[]),
            ["backup", ..] => assert_ok(world, &world.gapless(&words)),
            words => {
                world.stop_controller();
                assert_ok(world, &world.gapless(words));
            }
        }
    }
}

fn assert_ok(world: &World, ended: &Ended) {
    assert_eq!(ended.code, 0, "{}", world.tell(ended));
}

/// `gapless up` that is expected not to start.
fn refused_start(world: &World, says: &str, hint: &str) {
    let config = world.path("gapless-server.toml");
    let ended = world.gapless(&["up", "--config", config.to_str().expect("UTF-8")]);
    assert_eq!(ended.code, 1, "{}", world.tell(&ended));
    for part in ["error: the controller did not start", "caused by: ", "hint: ", says, hint] {
        assert!(ended.stderr.contains(part), "{part:?} is not said\n{}", world.tell(&ended));
    }
}

fn journal_files(state: &Path) -> Vec<PathBuf> {
    let names = ["journal.db", "journal.db-wal", "journal.db-shm", "journal.witness"];
    names.iter().map(|name| state.join(name)).filter(|path| path.exists()).collect()
}

/// A copy of all files of the journal, as they are while the controller does not run.
fn copy_journal(world: &World) -> PathBuf {
    let copy = world.path("old-journal");
    fs::create_dir_all(&copy).expect("a folder");
    for file in journal_files(&world.state()) {
        fs::copy(&file, copy.join(file.file_name().expect("a name"))).expect("a copy");
    }
    copy
}

fn remove_journal(world: &World) {
    journal_files(&world.state()).iter().for_each(|file| fs::remove_file(file).expect("removed"));
}

fn put_journal(world: &World, copy: &Path) {
    remove_journal(world);
    for file in journal_files(copy) {
        fs::copy(&file, world.state().join(file.file_name().expect("a name"))).expect("put back");
    }
}

fn labels(world: &World) -> Vec<String> {
    let history = world.gapless(&["history", "shop", "--json"]).stdout;
    let history: serde_json::Value = serde_json::from_str(&history).expect("JSON");
    let rollouts = history["rollouts"].as_array().cloned().unwrap_or_default();
    rollouts.iter().filter_map(|rollout| rollout["to"].as_str().map(str::to_owned)).collect()
}

/// The epoch of the controller that runs.
fn epoch(world: &World) -> u64 {
    world.status()["controller"]["epoch"].as_u64().expect("an epoch")
}

/// A service with two releases deployed, and load on it.
fn serving(run: &str) -> (World, Run) {
    let world = World::up();
    for label in ["1.0", "1.1"] {
        world.assert_done(&world.deploy(&Service::sample(&[]), label, "rolling"));
    }
    let load = Run::start(brisk(&world, run)).expect("load");
    until_under_way(&load);
    (world, load)
}

/// The manifest is written a moment after what it tells became durable.
fn until_manifest_knows(world: &World, label: &str) {
    let file = world.state().join("manifests/shop.json");
    let needle = format!("\"label\": \"{label}\"");
    world.eventually("the manifest knows the release", || {
        fs::read_to_string(&file).is_ok_and(|text| text.contains(&needle))
    });
}

/// After a recovery: the same instances serve, a deploy and a rollback work, and nobody lost anything.
fn goes_on(world: &World, load: Run, before: &[(String, u32)], label: &str) {
    world.eventually("the instances are in load", || world.live().len() == 3);
    let mut now = world.live();
    now.sort();
    assert_eq!(now, before, "nothing was ended and nothing started\n{}", world.log());
    world.assert_done(&world.deploy(&Service::sample(&[]), label, "rolling"));
    assert_ok(world, &world.gapless(&["rollback", "shop"]));
    assert_nothing_lost(&end(load), &["1.1", label]);
}

fn live(world: &World) -> Vec<(String, u32)> {
    let mut live = world.live();
    live.sort();
    assert_eq!(live.len(), 3);
    live
}

#[test]
fn a_damaged_journal_is_restored_from_a_backup_as_the_guide_says() {
    let (mut world, load) = serving("restored");
    let before = live(&world);
    until_manifest_knows(&world, "1.1");
    follow(&mut world, "Backups");
    // In good order, so that everything is in the one file: what its log alone holds is whole without it.
    world.stop_controller();
    fs::write(world.state().join("journal.db"), "not a journal any more").expect("the damage");
    refused_start(&world, "journal", "gapless restore FILE");
    follow(&mut world, "From a backup");
    goes_on(&world, load, &before, "1.2");
    assert!(labels(&world).contains(&"1.0".to_owned()), "the history is that of the backup");
}

#[test]
fn a_journal_that_is_gone_is_rebuilt_from_what_runs_as_the_guide_says() {
    let (mut world, load) = serving("rebuilt");
    let before = live(&world);
    until_manifest_knows(&world, "1.1");
    world.kill_controller();
    remove_journal(&world);
    refused_start(&world, "there is no journal", "gapless recover");
    assert!(journal_files(&world.state()).is_empty(), "no new journal was begun");
    follow(&mut world, "From what runs");
    goes_on(&world, load, &before, "1.2");
}

#[test]
fn an_older_journal_never_acts_takes_no_term_and_is_brought_up_to_date_with_its_history() {
    let mut world = World::up();
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    world.stop_controller();
    let old = copy_journal(&world);
    world.start_controller(&[]);
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.1", "rolling"));
    let load = Run::start(brisk(&world, "older")).expect("load");
    until_under_way(&load);
    let (before, term) = (live(&world), epoch(&world));
    until_manifest_knows(&world, "1.1");
    world.stop_controller();
    put_journal(&world, &old);
    // As `Restart=always` would, more often than there are terms between the two.
    for _ in 0..5 {
        refused_start(&world, "it is an older copy", "gapless recover");
    }
    follow(&mut world, "From what runs");
    let now = epoch(&world);
    assert!(now > term && now <= term + 2, "refused starts took terms: {term}, then {now}");
    assert!(labels(&world).contains(&"1.0".to_owned()), "the history of the older journal is kept");
    goes_on(&world, load, &before, "1.2");
}

#[test]
fn a_backup_older_than_what_runs_is_refused_and_nothing_is_changed() {
    let mut world = World::up();
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    follow(&mut world, "Backups");
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.1", "rolling"));
    until_manifest_knows(&world, "1.1");
    let backup = world.path("journal-backup.db");
    let restore = ["restore", backup.to_str().expect("UTF-8")];
    let running = world.gapless(&restore);
    assert_eq!(running.code, 5, "{}", world.tell(&running));
    assert!(running.stderr.contains("hint: end the controller first"), "{}", running.stderr);
    world.stop_controller();
    let newer = world.gapless(&restore);
    assert_eq!(newer.code, 5, "{}", world.tell(&newer));
    assert!(newer.stderr.contains("older copy") || newer.stderr.contains("is newer"), "{}", newer.stderr);
    remove_journal(&world);
    let older = world.gapless(&restore);
    assert_eq!(older.code, 5, "{}", world.tell(&older));
    assert!(older.stderr.contains("gapless recover"), "{}", older.stderr);
    follow(&mut world, "From what runs");
    world.eventually("the instances are in load", || world.live().len() == 3);
}

#[test]
fn a_damaged_witness_is_named_with_its_cure_and_the_cure_works() {
    let (mut world, load) = serving("witness");
    let before = live(&world);
    world.stop_controller();
    let witness = world.state().join("journal.witness");
    fs::write(&witness, "x").expect("the damage");
    refused_start(&world, &format!("the witness {} is damaged", witness.display()), "remove that one file");
    fs::remove_file(&witness).expect("removed");
    world.start_controller(&[]);
    goes_on(&world, load, &before, "1.2");
}

#[test]
fn a_rebuild_in_the_middle_of_a_rollout_ends_nothing_that_serves() {
    let mut world = World::up();
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    let load = Run::start(brisk(&world, "middle")).expect("load");
    until_under_way(&load);
    let slow = Service::sample(&[]).with("[strategy]\nkind = \"rolling\"\nobserve = \"20s\"\nbake = \"1s\"\n");
    let folder = world.release(&slow, "1.1");
    let from = folder.to_str().expect("UTF-8");
    assert_ok(&world, &world.gapless(&["deploy", "shop", "--label", "1.1", "--from", from, "--detach"]));
    world.eventually("the candidate is in load", || world.live().iter().any(|(instance, _)| instance.contains(".r2.")));
    until_manifest_knows(&world, "1.1");
    world.kill_controller();
    remove_journal(&world);
    let shown = world.gapless(&["recover", "--dry-run"]);
    assert_eq!(shown.code, 0, "{}", world.tell(&shown));
    let says = "rollout 2 to 1.1 was running and is not taken up again: release 1.0 serves; order it again";
    assert!(shown.stderr.contains(says), "{}", world.tell(&shown));
    follow(&mut world, "From what runs");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let live = world.live();
        if live.len() == 3 && live.iter().all(|(instance, _)| instance.contains(".r1.")) {
            break;
        }
        assert!(Instant::now() < deadline, "it did not settle: {live:?}\n{}", world.log());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.2", "rolling"));
    assert_nothing_lost(&end(load), &["1.0", "1.2"]);
}

#[test]
fn manifests_of_two_journals_are_told_apart_and_a_flag_chooses() {
    let (mut world, load) = serving("identities");
    let before = live(&world);
    until_manifest_knows(&world, "1.1");
    world.kill_controller();
    remove_journal(&world);
    // As where somebody copied the manifests of another machine into this folder.
    let manifests = world.state().join("manifests");
    let ours = ManifestRecord::from_bytes(&fs::read(manifests.join("shop.json")).expect("a manifest")).expect("ours");
    let theirs = ManifestRecord { journal: "theirs".to_owned(), service: "cart".to_owned(), ..ours.clone() };
    fs::write(manifests.join("cart.json"), theirs.to_bytes()).expect("another manifest");
    let torn = world.gapless(&["recover"]);
    assert_eq!(torn.code, 5, "{}", world.tell(&torn));
    for part in [&ours.journal, "theirs (cart)", "hint: `--manifests-of ID`"] {
        assert!(torn.stderr.contains(part), "{part} is not said\n{}", world.tell(&torn));
    }
    let unknown = world.gapless(&["recover", "--manifests-of", "nobody's"]);
    assert_eq!(unknown.code, 5, "{}", world.tell(&unknown));
    let all = world.gapless(&["recover", "--manifests-of", "all", "--dry-run"]);
    assert_ok(&world, &all);
    assert!(all.stdout.contains("cart") && all.stdout.contains("shop"), "{}", world.tell(&all));
    let chosen = world.gapless(&["recover", "--manifests-of", &ours.journal]);
    assert_ok(&world, &chosen);
    assert!(!chosen.stdout.contains("cart"), "{}", world.tell(&chosen));
    assert!(manifests.join("cart.json.aside-1").exists() && !manifests.join("cart.json").exists());
    world.start_controller(&[]);
    goes_on(&world, load, &before, "1.2");
}

#[test]
fn a_member_whose_record_cannot_be_read_is_named_in_status_with_a_cure_that_works() {
    let mut world = World::up();
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    world.stop_controller();
    {
        let mut store = SqliteStore::open(&world.state()).expect("the journal");
        store.begin_term().expect("a term");
        let mut batch = Batch::new();
        batch.put(PROXIES, "of-tomorrow", b"what a newer program writes");
        store.commit(&batch).expect("a record");
    }
    world.start_controller(&[]);
    let order = world.deploy_detached(&Service::sample(&[]), "1.1");
    assert_eq!(order.code, 0, "{}", world.tell(&order));
    world.eventually("the rollout waits for it", || {
        world.status()["services"][0]["waits"].to_string().contains("applied")
    });
    world.eventually_warned(&["proxy of-tomorrow: ", "cannot be read", "gapless recover"]);
    until_manifest_knows(&world, "1.1");
    follow(&mut world, "From what runs");
    world.eventually("the instances are in load", || world.live().len() == 3);
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.2", "rolling"));
}
