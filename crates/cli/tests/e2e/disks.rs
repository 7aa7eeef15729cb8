//! Whatever can be done without a disk is done without one: a proxy is started, takes tables and is found again while the disk takes nothing.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use gapless_load::Run;

use crate::clients::{assert_nothing_lost, brisk, end, until_under_way};
use crate::world::{PATIENCE, Service, World, kill};

/// A mount that is undone at the end.
struct Mounted(PathBuf);

impl Mounted {
    /// Runs `mount`; none, and said, where this machine does not let us.
    fn new(arguments: &[&str], at: &Path) -> Option<Mounted> {
        let done = Command::new("mount").args(arguments).arg(at).status().is_ok_and(|status| status.success());
        if !done {
            eprintln!("skipped: only root can mount a file system, and here not even root may");
        }
        done.then(|| Mounted(at.to_owned()))
    }

    /// The folder as it is, but read-only for whoever opens something from now on.
    fn read_only(folder: &Path) -> Option<Mounted> {
        let text = folder.to_str().expect("a path in UTF-8");
        let mounted = Mounted::new(&["--bind", text], folder)?;
        let done = Command::new("mount").args(["-o", "remount,bind,ro"]).arg(folder).status();
        assert!(done.is_ok_and(|status| status.success()), "remount read-only");
        Some(mounted)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Kills the proxy under load: the next one serves; what is lost was in flight.
fn killed_proxy_is_back(world: &World, label: &str) {
    let load = Run::start(brisk(world, label)).expect("load");
    until_under_way(&load);
    let before = world.proxy_pid();
    let killed_at = load.snapshot().scheduled;
    kill(before);
    world.eventually("another proxy serves", || world.proxy_pid() != before);
    assert!(load.wait_until(PATIENCE, |sums| sums.scheduled >= killed_at + 500), "{:#?}", load.snapshot());
    let sums = end(load);
    for kind in ["refused", "timed-out", "status-5xx"] {
        assert_eq!(sums.lost_by.get(kind), None, "{:?}\n{}", sums.lost_by, world.log());
    }
    let first = sums.incidents.iter().map(|incident| incident.at_ms).min().unwrap_or(0);
    let last = sums.incidents.iter().map(|incident| incident.at_ms).max().unwrap_or(0);
    assert!(last - first <= 2_000, "only what was in flight is lost: {:#?}", sums.incidents);
}

/// Kills an instance and waits until that is noticed: what was on its way to it is another test's, here only the proxy's death may cost anything.
fn kill_an_instance(world: &World) {
    let (name, pid) = world.live().into_iter().next().expect("an instance");
    kill(pid);
    world.eventually("its death is noticed", || world.live().iter().all(|(live, _)| *live != name));
}

#[test]
fn a_proxy_whose_folder_takes_nothing_is_started_serves_and_is_found_again() {
    let mut world = World::up();
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    let folder = world.state().join("proxy");
    let mode = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).expect("permissions");
    mode(0o500);
    killed_proxy_is_back(&world, "folder");
    let load = Run::start(brisk(&world, "tables")).expect("load");
    until_under_way(&load);
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.1", "rolling"));
    assert_nothing_lost(&end(load), &["1.0", "1.1"]);
    world.eventually("it says that its table is not kept", || world.warnings().contains("is not kept on disk"));
    let proxy = world.proxy_pid();
    world.kill_controller();
    world.start_controller(&[]);
    assert_eq!(world.proxy_pid(), proxy, "it is found without a file");
    mode(0o700);
    world.eventually("the table is kept when the folder takes it", || {
        folder.join("table.json").exists() && !world.warnings().contains("is not kept on disk")
    });
}

#[test]
fn on_a_full_disk_an_instance_and_the_proxy_may_die_and_traffic_goes_on() {
    let mut world = World::down();
    fs::create_dir_all(world.state()).expect("a state folder");
    let Some(_mounted) = Mounted::new(&["-t", "tmpfs", "-o", "size=24m,mode=0755", "tmpfs"], &world.state()) else {
        return;
    };
    let config = fs::read_to_string(world.path("gapless-server.toml")).expect("the configuration");
    fs::write(world.path("gapless-server.toml"), config + "\n[releases]\nspace_left = \"1MiB\"\n").expect("another");
    world.start_controller(&[]);
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    let filler = world.state().join("filler");
    let mut file = fs::File::create(&filler).expect("a file");
    while file.write_all(&[0; 4_096]).is_ok() {}
    drop(file);
    let proxy = world.proxy_pid();
    kill_an_instance(&world); // what the proxy says of it has no room
    killed_proxy_is_back(&world, "full");
    assert_ne!(world.proxy_pid(), proxy);
    assert!(!world.controller_ended(), "{}", world.log());
    fs::remove_file(&filler).expect("room again");
    world.eventually("all instances are in load again", || world.live().len() == 3);
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.1", "rolling"));
}

#[test]
fn on_a_disk_turned_read_only_an_instance_and_the_proxy_may_die_and_traffic_goes_on() {
    let world = World::up();
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    let Some(mounted) = Mounted::read_only(&world.state()) else { return };
    kill_an_instance(&world);
    killed_proxy_is_back(&world, "read-only");
    drop(mounted);
    world.eventually("all instances are in load again", || world.live().len() == 3);
}
