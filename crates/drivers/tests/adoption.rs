//! A keeper that dies takes nothing with it: another takes its instance over, and what is left at the end is nothing.

mod stage;

use std::path::PathBuf;

use gapless_drivers::driver::{AdoptedState, ExitCause};
use gapless_drivers::process::ProcessDriver;
use gapless_model::{Epoch, Millis};
use stage::{KEEPER, Stage, exited, id, keeper_pid, kill_nine, runs, until};

const GRACE: Millis = Millis(20_000);
const I1: &str = "shop.r1.i1";
/// Writes a line ten times a second, as its own process and as a child's, and ends well when it is told to.
const TALKS: &str = "trap 'echo bye; exit 0' TERM; (while :; do sleep 0.1; done) & \
                     i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done";

fn newest(stage: &Stage, driver: &ProcessDriver) -> u32 {
    let lines = stage.wrote(driver, I1, "out");
    lines.iter().filter_map(|line| line.strip_prefix("line ")?.parse().ok()).max().unwrap_or(0)
}

/// The cgroup of an instance, where this machine has any.
fn cgroup(stage: &Stage) -> Option<PathBuf> {
    let path = PathBuf::from(std::fs::read_to_string(stage.instance_folder(I1).join("cgroup")).ok()?);
    path.exists().then_some(path)
}

async fn another_keeper(stage: &Stage, than: u32) -> u32 {
    until("another keeper", || keeper_pid(&stage.instance_folder(I1)).filter(|pid| *pid != than)).await
}

#[tokio::test]
async fn an_instance_whose_keeper_dies_goes_on_under_another_one() {
    let stage = Stage::new();
    let (driver, mut events) = stage.driver(1);
    let started = driver.start(stage.order(I1, stage.script("run", TALKS))).await.unwrap();
    let group = cgroup(&stage);
    for _ in 0..3 {
        let before = until("a line", || Some(newest(&stage, &driver)).filter(|line| *line > 0)).await;
        let keeper = keeper_pid(&stage.instance_folder(I1)).unwrap();
        kill_nine(keeper);
        another_keeper(&stage, keeper).await;
        until("lines go on", || (newest(&stage, &driver) > before + 3).then_some(())).await;
        assert!(runs(started.pid));
    }
    let lines = stage.wrote(&driver, I1, "out");
    let gaps = u32::try_from(lines.len()).unwrap().abs_diff(newest(&stage, &driver));
    assert!(gaps <= 3, "a line at most is lost with each keeper: {gaps}");
    let used = driver.resources(&id(I1)).await.unwrap();
    assert!(used.processes >= 2 && used.memory_bytes > 100_000, "{used:?}");
    assert!(events.try_recv().is_err(), "nothing happened to the instance");
    let exit = driver.stop(&id(I1), GRACE).await.unwrap();
    // Kernels before 6.15 do not tell how a process ended that is not one's own child.
    assert!(matches!(exit.cause, ExitCause::Code(0) | ExitCause::KeeperLost), "{exit}");
    assert_eq!(stage.wrote(&driver, I1, "out").last().unwrap(), "bye");
    assert!(!runs(started.pid));
    driver.forget(&id(I1)).await.unwrap();
    assert!(group.is_none_or(|group| !group.exists()), "its cgroup is gone");
}

#[tokio::test]
async fn an_instance_whose_keeper_dies_while_no_controller_is_there_writes_on_and_is_adopted() {
    let stage = Stage::new();
    let (driver, events) = stage.driver(1);
    let started = driver.start(stage.order(I1, stage.script("run", TALKS))).await.unwrap();
    let before = until("a line", || Some(newest(&stage, &driver)).filter(|line| *line > 0)).await;
    drop((driver, events));
    kill_nine(keeper_pid(&stage.instance_folder(I1)).unwrap());
    // Long enough for lines that nobody reads: each would have been its end.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert!(runs(started.pid), "a line that nobody reads does not end it");
    let (driver, mut events) = stage.driver(2);
    let adopted = driver.adopt().await.unwrap();
    assert_eq!((adopted[0].pid, &adopted[0].state), (Some(started.pid), &AdoptedState::Running));
    until("the lines between are there", || (newest(&stage, &driver) > before + 4).then_some(())).await;
    kill_nine(started.pid);
    let (_, exit) = exited(&mut events).await;
    assert!(matches!(exit.cause, ExitCause::Signal(9) | ExitCause::KeeperLost), "{exit}");
    until("its child is gone too", || left_of(&stage).is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_keeper_and_its_instance_that_die_together_leave_nothing() {
    let stage = Stage::new();
    let (driver, mut events) = stage.driver(1);
    let started = driver.start(stage.order(I1, stage.script("run", TALKS))).await.unwrap();
    let group = cgroup(&stage);
    let keeper = keeper_pid(&stage.instance_folder(I1)).unwrap();
    // At once, so that neither hears of the other's end.
    let both = [keeper.to_string(), started.pid.to_string()];
    assert!(std::process::Command::new("kill").arg("-9").args(both).status().unwrap().success());
    let (_, exit) = exited(&mut events).await;
    assert!(!exit.is_own_doing(), "{exit}");
    driver.forget(&id(I1)).await.unwrap();
    assert_eq!(left_of(&stage), Vec::<u32>::new());
    assert!(group.is_none_or(|group| !group.exists()), "its cgroup is gone");
    assert!(!stage.instance_folder(I1).exists());
}

#[tokio::test]
async fn an_instance_that_ends_while_another_keeper_takes_it_over_leaves_no_keeper_behind() {
    let stage = Stage::new();
    let folder = stage.instance_folder(I1).display().to_string();
    // Stands between the driver and a keeper that takes over, and hands its announcement on once the instance has ended.
    let body = format!(
        "case \"$*\" in *--take-over*) ;; *) exec {KEEPER} \"$@\" ;; esac\n\
         {KEEPER} \"$@\" | {{ read announcement; read main rest < {folder}/main.stat; kill -9 $main; \
         while [ ! -e {folder}/exit.json ]; do sleep 0.01; done; echo \"$announcement\"; }}"
    );
    let between = stage.release.path().join(&stage.script("between", &body)[0]);
    let (driver, mut events) = ProcessDriver::new(stage.state.path(), &between, Epoch(1)).unwrap();
    driver.start(stage.order(I1, stage.script("run", TALKS))).await.unwrap();
    kill_nine(keeper_pid(&stage.instance_folder(I1)).unwrap());
    let (_, exit) = exited(&mut events).await;
    assert!(!exit.is_own_doing(), "{exit}");
    driver.forget(&id(I1)).await.unwrap();
    assert!(!stage.instance_folder(I1).exists());
    until("no keeper", || keeper_pid(&stage.instance_folder(I1)).is_none().then_some(())).await;
}

#[tokio::test]
async fn a_keeper_that_dies_while_its_instance_is_being_stopped_delays_the_stop_and_no_more() {
    let stage = Stage::new();
    let (driver, mut events) = stage.driver(1);
    let slow = "trap 'sleep 1; echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let started = driver.start(stage.order(I1, stage.script("run", slow))).await.unwrap();
    until("its trap", || stage.wrote(&driver, I1, "out").contains(&"ready".to_owned()).then_some(())).await;
    let keeper = keeper_pid(&stage.instance_folder(I1)).unwrap();
    let stopping = tokio::spawn({
        let driver = driver.clone();
        async move { driver.stop(&id(I1), GRACE).await }
    });
    let asked = || stage.wrote(&driver, I1, "sys").iter().any(|line| line.contains("SIGTERM")).then_some(());
    until("the request to end", asked).await;
    kill_nine(keeper);
    let exit = stopping.await.unwrap().unwrap();
    assert!(matches!(exit.cause, ExitCause::Code(0) | ExitCause::KeeperLost), "{exit}");
    assert!(!runs(started.pid));
    assert!(events.try_recv().is_err(), "an end that was ordered is no news");
}

#[tokio::test]
async fn an_instance_of_another_user_is_taken_over_too() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can start an instance as another user");
    }
    let stage = Stage::new();
    let (driver, _events) = stage.driver(1);
    let mut order = stage.order(I1, stage.script("run", TALKS));
    std::fs::set_permissions(stage.release.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    order.run.user = Some("nobody".to_owned());
    let started = driver.start(order).await.unwrap();
    let keeper = keeper_pid(&stage.instance_folder(I1)).unwrap();
    let before = until("a line", || Some(newest(&stage, &driver)).filter(|line| *line > 0)).await;
    kill_nine(keeper);
    another_keeper(&stage, keeper).await;
    until("lines go on", || (newest(&stage, &driver) > before + 2).then_some(())).await;
    driver.kill(&id(I1)).await.unwrap();
    assert!(!runs(started.pid));
    assert_eq!(left_of(&stage), Vec::<u32>::new());
}

#[tokio::test]
async fn an_instance_whose_keeper_is_frozen_is_adopted_as_running_and_obeys_once_the_keeper_goes_on() {
    let stage = Stage::new();
    let (driver, events) = stage.driver(1);
    let started = driver.start(stage.order(I1, stage.script("run", TALKS))).await.unwrap();
    drop((driver, events));
    let keeper = keeper_pid(&stage.instance_folder(I1)).unwrap().to_string();
    let signal = |name: &str| {
        assert!(std::process::Command::new("kill").args([name, &keeper]).status().unwrap().success());
    };
    signal("-STOP");
    let (driver, mut events) = stage.driver(2);
    let adopted = driver.adopt().await;
    let still_runs = runs(started.pid);
    signal("-CONT");
    let adopted = adopted.unwrap();
    assert_eq!((adopted[0].pid, &adopted[0].state), (Some(started.pid), &AdoptedState::Running));
    assert!(still_runs);
    driver.stop(&id(I1), GRACE).await.unwrap();
    assert!(!runs(started.pid));
    assert!(events.try_recv().is_err(), "an end that was ordered is no news");
}

/// The effective capabilities of a process (proc_pid_status(5)).
fn capabilities(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapPrm:")).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap()
}

#[tokio::test]
async fn a_keeper_has_a_small_environment_and_no_privilege_that_its_work_does_not_need() {
    let stage = Stage::new();
    let (driver, _events) = stage.driver(1);
    let mut order = stage.order(I1, stage.script("run", "exec sleep 1000"));
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        std::fs::set_permissions(stage.release.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        order.run.user = Some("nobody".to_owned());
    }
    let started = driver.start(order).await.unwrap();
    let keeper = keeper_pid(&stage.instance_folder(I1)).unwrap();
    let environment = std::fs::read(format!("/proc/{keeper}/environ")).unwrap();
    let names: Vec<String> = environment
        .split(|byte| *byte == 0)
        .filter_map(|entry| String::from_utf8_lossy(entry).split_once('=').map(|(name, _)| name.to_owned()))
        .collect();
    let handed_on = |name: &String| ["PATH", "LANG", "LC_ALL", "TZ"].contains(&name.as_str());
    assert!(!std::env::vars().all(|(name, _)| handed_on(&name)), "the controller has more than is handed on");
    assert!(names.iter().all(handed_on), "{names:?}");
    if is_root {
        // chown, dac_read_search, kill, setgid, setuid (linux/capability.h).
        let allowed: u64 = [0, 2, 5, 6, 7].iter().map(|number| 1 << number).sum();
        assert_eq!(capabilities(keeper) & !allowed, 0, "{:x}", capabilities(keeper));
        assert_eq!(capabilities(started.pid), 0);
    }
    driver.kill(&id(I1)).await.unwrap();
}

/// The processes of the stage's scripts that run.
fn left_of(stage: &Stage) -> Vec<u32> {
    let release = stage.release.path().canonicalize().unwrap();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .filter(|(pid, path)| std::fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd == release) && runs(*pid))
        .map(|(pid, _)| pid)
        .collect()
}

/// Nobody could ever end it: its keeper's socket went with the folder.
#[tokio::test]
async fn an_instance_whose_state_folder_was_deleted_ends_when_nobody_comes() {
    let stage = Stage::new();
    let (driver, events) = stage.driver(1);
    let started = driver.start(stage.order(I1, stage.script("run", TALKS))).await.unwrap();
    let keeper = keeper_pid(&stage.instance_folder(I1)).unwrap();
    std::fs::remove_dir_all(stage.instance_folder(I1)).unwrap();
    // While a controller is connected it can be ended in order.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(runs(started.pid));
    drop((driver, events));
    until("both are gone", || (!runs(started.pid) && !runs(keeper)).then_some(())).await;
}
