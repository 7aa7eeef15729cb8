//! The controller as a service of the machine: who may reach it, what its service manager hears, what is told of a state folder that is not there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use std::time::Duration;

use crate::world::{PATIENCE, World, program};

/// `nobody`, whose group is the one of the same number.
const NOBODY: u32 = 65_534;
/// `daemon`, who is in no such group.
const DAEMON: u32 = 1;

fn status_as(world: &World, user: u32) -> Output {
    let mut command = Command::new(program());
    command.args(["status", "--state"]).arg(world.state()).uid(user).gid(user).output().expect("gapless runs")
}

#[test]
fn members_of_the_group_that_may_deploy_reach_the_controller_and_others_do_not() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can run something as another user");
    }
    let mut world = World::down();
    let known = Command::new("getent").args(["group", "65534"]).output().expect("getent runs");
    let group = String::from_utf8_lossy(&known.stdout).split(':').next().unwrap_or_default().to_owned();
    let config = world.path("gapless-server.toml");
    let before = fs::read_to_string(&config).expect("the configuration");
    fs::write(&config, format!("{before}\n[api]\ngroup = {group:?}\n")).expect("the configuration");
    fs::set_permissions(world.path(""), fs::Permissions::from_mode(0o711)).expect("a folder that may be passed");
    world.start_controller(&[]);
    let member = status_as(&world, NOBODY);
    assert!(member.status.success(), "{}", String::from_utf8_lossy(&member.stderr));
    let other = status_as(&world, DAEMON);
    assert_eq!(other.status.code(), Some(1), "{}", String::from_utf8_lossy(&other.stdout));
    // Where somebody loosens the mode of the socket, the peer is still asked who it is.
    fs::set_permissions(world.state().join("api.sock"), fs::Permissions::from_mode(0o666)).expect("a loose mode");
    assert_eq!(status_as(&world, DAEMON).status.code(), Some(1));
    assert!(status_as(&world, NOBODY).status.success());
}

#[test]
fn a_service_manager_hears_when_everything_serves_that_it_lives_and_that_it_ends() {
    let mut world = World::down();
    let heard = UnixDatagram::bind(world.path("notify")).expect("a socket");
    heard.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let next = || {
        let mut buffer = [0; 1024];
        let length = heard.recv(&mut buffer).expect("news of the controller");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let path = world.path("notify");
    let path = path.to_str().expect("a path");
    world.start_controller(&[("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "200000")]);
    let ready = next();
    assert!(ready.starts_with("READY=1\nSTATUS=serving on 127.0.0.1:"), "{ready}");
    for _ in 0..3 {
        assert_eq!(next(), "WATCHDOG=1\n");
    }
    world.stop_controller();
    heard.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    while next() != "STOPPING=1\n" {}
}

#[test]
fn a_state_folder_that_was_deleted_is_told_as_such_by_the_controller_and_to_whoever_asks() {
    let world = World::up();
    fs::remove_dir_all(world.state()).expect("the state folder goes");
    let asked = world.gapless(&["status"]);
    assert_eq!(asked.code, 1);
    assert!(asked.stderr.contains("there is no state folder"), "{}", world.tell(&asked));
    world.eventually("the controller says so", || world.log().contains("the state folder was deleted"));
}
