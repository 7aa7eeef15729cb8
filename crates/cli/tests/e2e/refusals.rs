//! What the machine and the operator get wrong: each is refused with what, why and what mends it, and traffic goes on.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use gapless_load::Run;

use crate::clients::{assert_nothing_lost, brisk, end, until_under_way};
use crate::world::{Ended, PATIENCE, Service, World, program};

/// The three parts of an error, and no panic.
fn assert_three_parts(world: &World, ended: &Ended, hint: &str) {
    assert_ne!(ended.code, 0, "{}", world.tell(ended));
    assert!(ended.stderr.contains("error: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);
    assert!(ended.stderr.contains(hint), "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

/// A service whose one rollout takes long enough for a second order to meet it.
fn observed_for_seconds(second_order: &str) -> Service {
    let strategy = format!(
        "[strategy]\nkind = \"rolling\"\nobserve = \"600ms\"\nbake = \"1s\"\nsecond_order = \"{second_order}\"\n"
    );
    Service::sample(&[]).with(&strategy)
}

#[test]
fn an_address_in_use_is_refused_with_the_way_to_find_who_uses_it() {
    let world = World::down();
    let _other = TcpListener::bind(world.listen).expect("the address");
    let config = world.path("gapless-server.toml");
    let ended = world.gapless(&["up", "--config", config.to_str().expect("UTF-8")]);
    assert_three_parts(&world, &ended, "ss -ltnp");
    assert!(ended.stderr.contains(&world.listen.to_string()), "{}", ended.stderr);
}

#[test]
fn a_damaged_journal_stops_acting_and_not_serving() {
    let mut world = World::up();
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    let load = Run::start(brisk(&world, "damaged")).expect("load");
    until_under_way(&load);
    // In good order, so that everything is in the one file and not in SQLite's log beside it.
    world.stop_controller();
    let journal = world.state().join("journal.db");
    let whole = std::fs::read(&journal).expect("the journal");
    assert!(whole.len() > 8_192, "{} bytes", whole.len());
    let config = world.path("gapless-server.toml");
    let cut = whole[..whole.len() / 2].to_vec();
    let flipped: Vec<u8> =
        whole.iter().enumerate().map(|(at, byte)| if at % 1_024 == 700 { byte ^ 4 } else { *byte }).collect();
    for damaged in [cut, flipped, Vec::new()] {
        std::fs::write(&journal, damaged).expect("the damage");
        let ended = world.gapless(&["up", "--config", config.to_str().expect("UTF-8")]);
        assert_three_parts(&world, &ended, "the proxy serves on");
    }
    let now = load.snapshot().answered;
    assert!(load.wait_until(PATIENCE, |sums| sums.answered >= now + 200), "{:#?}", load.snapshot());
    assert_nothing_lost(&end(load), &["1.0"]);
}

#[test]
fn a_second_deploy_waits_for_the_first_and_both_are_done() {
    let world = World::up();
    world.assert_done(&world.deploy(&observed_for_seconds("queue"), "1.0", "rolling"));
    let load = Run::start(brisk(&world, "both")).expect("load");
    until_under_way(&load);
    let second = world.release(&observed_for_seconds("queue"), "1.2");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| world.deploy(&observed_for_seconds("queue"), "1.1", "rolling"));
        world.eventually("the first rollout runs", || world.status()["services"][0]["situation"]["kind"] == "rollout");
        let from = second.to_str().expect("UTF-8");
        let ended = world.gapless(&["deploy", "shop", "--label", "1.2", "--from", from]);
        world.assert_done(&ended);
        let first = first.join().expect("the first deploy");
        assert_eq!(first.code, 0, "{}", world.tell(&first));
    });
    assert_eq!(world.status()["services"][0]["situation"]["current"], "1.2");
    assert_nothing_lost(&end(load), &["1.0", "1.1", "1.2"]);
}

#[test]
fn a_second_deploy_is_refused_where_the_policy_says_so() {
    let world = World::up();
    world.assert_done(&world.deploy(&observed_for_seconds("reject"), "1.0", "rolling"));
    let second = world.release(&observed_for_seconds("reject"), "1.2");
    let unpacked = || std::fs::read_dir(world.state().join("releases/shop")).map_or(0, Iterator::count);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| world.deploy(&observed_for_seconds("reject"), "1.1", "rolling"));
        world.eventually("the first rollout runs", || world.status()["services"][0]["situation"]["kind"] == "rollout");
        let before = unpacked();
        let ended = world.gapless(&["deploy", "shop", "--label", "1.2", "--from", second.to_str().expect("UTF-8")]);
        assert_eq!(ended.code, 5, "{}", world.tell(&ended));
        assert_three_parts(&world, &ended, "gapless status -w");
        assert_eq!(unpacked(), before, "what is refused is not unpacked first");
        let first = first.join().expect("the first deploy");
        assert_eq!(first.code, 0, "{}", world.tell(&first));
    });
    assert_eq!(world.status()["services"][0]["situation"]["current"], "1.1");
}

#[test]
fn an_artefact_that_leaves_its_folder_or_is_cut_short_is_refused_and_nothing_changes() {
    let world = World::up();
    let service = Service::sample(&[]);
    world.assert_done(&world.deploy(&service, "1.0", "rolling"));
    let folder = world.release(&service, "1.1");
    let config = folder.join("gapless.toml");
    let refused = |from: &Path, label: &str| {
        let (from, config) = (from.to_str().expect("UTF-8"), config.to_str().expect("UTF-8"));
        let ended = world.gapless(&["deploy", "shop", "--label", label, "--from", from, "--config", config]);
        assert_eq!(ended.code, 5, "{}", world.tell(&ended));
        assert!(ended.stderr.contains("caused by: "), "{}", ended.stderr);
        assert_three_parts(&world, &ended, "");
    };
    let archive = world.path("good.tar.gz");
    let packed = Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(&folder).arg(".").status().expect("tar");
    assert!(packed.success());
    let bytes = std::fs::read(&archive).expect("the archive");
    let cut = world.path("cut.tar.gz");
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).expect("the archive");
    refused(&cut, "1.2");
    std::os::unix::fs::symlink("/etc", folder.join("out")).expect("a link");
    refused(&folder, "1.3");
    assert_eq!(world.live().len(), 3);
    let from = archive.to_str().expect("UTF-8");
    let ended = world.gapless(&[
        "deploy",
        "shop",
        "--label",
        "1.4",
        "--from",
        from,
        "--config",
        config.to_str().expect("UTF-8"),
    ]);
    world.assert_done(&ended);
}

#[test]
fn another_user_can_neither_ask_nor_order() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can try to be another user");
    }
    let world = World::up();
    // The folders above may keep others out already; the sockets must do so by themselves.
    let open = std::os::unix::fs::PermissionsExt::from_mode;
    for folder in [world.state(), world.state().parent().expect("a parent").to_path_buf()] {
        std::fs::set_permissions(folder, open(0o755)).expect("permissions");
    }
    let proxy_socket = || {
        let entries = std::fs::read_dir(world.state().join("proxy")).into_iter().flatten().flatten();
        let mut names = entries.map(|entry| format!("proxy/{}", entry.file_name().display()));
        names.find(|name| name.ends_with(".sock"))
    };
    world.eventually("both sockets are there", || proxy_socket().is_some());
    let proxy_socket = proxy_socket().expect("it was there just now");
    for socket in ["api.sock", proxy_socket.as_str()] {
        let path = world.state().join(socket);
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).expect(socket).permissions());
        assert_eq!(mode & 0o777, 0o600, "{socket}");
        std::fs::set_permissions(&path, open(0o666)).expect("permissions");
    }
    let python = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.settimeout(5)\ns.connect(sys.argv[1])\n\
                  s.sendall(b'GET /v1/status HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n')\n\
                  try:\n  sys.exit(3 if s.recv(1) else 0)\nexcept ConnectionError:\n  sys.exit(0)\n";
    for socket in ["api.sock", proxy_socket.as_str()] {
        let mut command = Command::new("python3");
        command.args(["-c", python]).arg(world.state().join(socket)).uid(65_534).gid(65_534).stdin(Stdio::null());
        let Ok(output) = command.output() else { return eprintln!("skipped: no python3 for another user") };
        let stderr = String::from_utf8_lossy(&output.stderr);
        let refused =
            output.status.code() == Some(0) || stderr.contains("BrokenPipe") || stderr.contains("ConnectionReset");
        assert!(refused || stderr.contains("Permission denied"), "{socket}: {:?} {stderr}", output.status);
    }
    assert!(program().is_file());
}

#[test]
fn a_full_disk_refuses_orders_and_keeps_serving() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can mount a small file system");
    }
    let mut world = World::down();
    std::fs::create_dir_all(world.state()).expect("the state folder");
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m,mode=0755", "tmpfs"]).arg(world.state()).status();
    if !mounted.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: a small file system cannot be mounted here");
    }
    let _unmounted = Mounted(world.state());
    let config = std::fs::read_to_string(world.path("gapless-server.toml")).expect("the configuration");
    std::fs::write(world.path("gapless-server.toml"), config + "\n[releases]\nspace_left = \"1MiB\"\n")
        .expect("the configuration");
    world.start_controller(&[]);
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    let load = Run::start(brisk(&world, "full")).expect("load");
    until_under_way(&load);
    let filler = world.state().join("filler");
    let mut file = std::fs::File::create(&filler).expect("a file");
    while std::io::Write::write_all(&mut file, &[0; 4_096]).is_ok() {}
    drop(file);
    let ended = world.deploy(&Service::sample(&[]), "1.1", "rolling");
    assert!(ended.code != 0 && ended.code != 101, "{}", world.tell(&ended));
    assert!(ended.stderr.contains("error: "), "{}", ended.stderr);
    std::fs::remove_file(&filler).expect("room again");
    world.eventually("orders are taken again", || world.deploy(&Service::sample(&[]), "1.2", "rolling").code == 0);
    assert_nothing_lost(&end(load), &["1.0", "1.2"]);
    drop(world);
}

struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
