//! What services do wrong, each with a reported, bounded outcome.

mod stage;

use std::process::{Command, Stdio};

use gapless_drivers::driver::{ExecOrder, ExitCause, StartError};
use gapless_model::Millis;
use stage::{Stage, exited, id, runs, until};

const GRACE: Millis = Millis(20_000);
const I1: &str = "shop.r1.i1";

async fn reason(stage: &Stage, command: &[&str]) -> String {
    let (driver, _events) = stage.driver(1);
    let order = stage.order(I1, command.iter().map(|text| (*text).to_owned()).collect());
    let error = driver.start(order.clone()).await.unwrap_err();
    // The second time as the first.
    assert_eq!(driver.start(order).await.unwrap_err().to_string(), error.to_string());
    driver.forget(&id(I1)).await.unwrap();
    match error {
        StartError::NotRunnable { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_run_is_reported_with_its_reason() {
    let stage = Stage::new();
    stage.script("no-interpreter", "");
    std::fs::write(stage.release.path().join("plain"), "echo hello").unwrap();
    let script = stage.release.path().join("no-interpreter");
    std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    for (command, expected) in [
        (vec!["no-such-program-here"], "there is no program \"no-such-program-here\" in PATH"),
        (vec!["./missing"], "No such file"),
        (vec!["./plain"], "not executable"),
        (vec!["./no-interpreter"], "interpreter"),
        (vec!["/"], "it is not a file"),
        (vec![], "no program is named"),
    ] {
        let reason = reason(&stage, &command).await;
        assert!(reason.contains(expected), "{command:?}: {reason}");
    }
}

#[tokio::test]
async fn a_program_that_somebody_has_open_for_writing_is_started_once_it_is_closed() {
    let stage = Stage::new();
    let (driver, _events) = stage.driver(1);
    let order = stage.order(I1, stage.script("run", "exec sleep 1000"));
    // As a process has it that was forked while the release was being written and has not called exec yet.
    let written = std::fs::OpenOptions::new().append(true).open(stage.release.path().join("run")).unwrap();
    let starting = tokio::spawn({
        let (driver, order) = (driver.clone(), order.clone());
        async move { driver.start(order).await }
    });
    // The note that its start makes before it calls exec: an attempt is made, and fails in a time that no condition shows.
    let attempted = || stage.instance_folder(I1).join("main.stat").metadata().is_ok_and(|note| note.len() > 0);
    until("an attempt", || attempted().then_some(())).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    drop(written);
    assert!(runs(starting.await.unwrap().unwrap().pid));
    driver.kill(&order.instance).await.unwrap();
}

#[tokio::test]
async fn a_folder_or_user_that_is_not_there_is_reported() {
    let stage = Stage::new();
    let (driver, _events) = stage.driver(1);
    let command = stage.script("run", "exec sleep 1000");
    let mut orders = [
        stage.order("shop.r1.i1", command.clone()),
        stage.order("shop.r1.i2", command.clone()),
        stage.order("shop.r1.i3", command),
    ];
    orders[0].run.folder = "missing".to_owned();
    orders[1].run.folder = "../..".to_owned();
    orders[2].run.user = Some("no-such-user-here".to_owned());
    for (order, expected) in orders.into_iter().zip(["missing", "outside the release", "no user \"no-such-user-here\""])
    {
        let error = driver.start(order).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn an_instance_runs_as_the_user_it_names_and_gains_no_privileges() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let stage = Stage::new();
    std::fs::set_permissions(stage.release.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (driver, mut events) = stage.driver(1);
    let mut order =
        stage.order(I1, stage.script("run", "id -un; id -G; grep NoNewPrivs /proc/self/status; echo $HOME"));
    order.run.user = Some("nobody".to_owned());
    driver.start(order).await.unwrap();
    assert_eq!(exited(&mut events).await.1.cause, ExitCause::Code(0));
    let wrote = stage.wrote(&driver, I1, "out");
    assert_eq!(wrote[0], "nobody");
    assert!(!wrote[1].split(' ').any(|group| group == "0"), "{wrote:?}");
    assert_eq!(wrote[2].split_whitespace().collect::<Vec<_>>(), ["NoNewPrivs:", "1"]);
}

#[tokio::test]
async fn a_command_beside_an_instance_runs_as_its_user_in_its_folder() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let stage = Stage::new();
    let (driver, _events) = stage.driver(1);
    let mut order = stage.order(I1, stage.script("run", "exec sleep 1000"));
    order.run.user = Some("nobody".to_owned());
    driver.start(order).await.unwrap();
    let argv = ["sh", "-c", "id -un; id -G; pwd"].map(str::to_owned).into();
    let done = driver.exec(&id(I1), ExecOrder { argv, timeout: GRACE }).await.unwrap();
    let told: Vec<&str> = done.stdout.lines().collect();
    assert_eq!((done.code, told[0]), (Some(0), "nobody"), "{done:?}");
    assert!(!told[1].split(' ').any(|group| group == "0"), "{done:?}");
    assert_eq!(std::path::Path::new(told[2]).canonicalize().unwrap(), stage.release.path().canonicalize().unwrap());
    driver.kill(&id(I1)).await.unwrap();
}

#[tokio::test]
async fn one_that_exits_at_once_is_told_with_its_code() {
    let stage = Stage::new();
    let (driver, mut events) = stage.driver(1);
    driver.start(stage.order(I1, stage.script("run", "echo because >&2; exit 3"))).await.unwrap();
    let (instance, exit) = exited(&mut events).await;
    assert_eq!((instance, exit.cause), (id(I1), ExitCause::Code(3)));
    assert_eq!(stage.wrote(&driver, I1, "err"), ["because"]);
    assert_eq!(driver.stop(&id(I1), GRACE).await.unwrap().cause, ExitCause::Code(3));
}

#[tokio::test]
async fn one_that_ignores_the_request_to_end_is_killed_after_its_grace() {
    let stage = Stage::new();
    let (driver, _events) = stage.driver(1);
    let script = stage.script("run", "trap 'echo no' TERM; echo ready; while :; do sleep 0.05; done");
    let started = driver.start(stage.order(I1, script)).await.unwrap();
    until("its trap", || stage.wrote(&driver, I1, "out").contains(&"ready".to_owned()).then_some(())).await;
    let exit = driver.stop(&id(I1), Millis(300)).await.unwrap();
    assert_eq!(exit.cause, ExitCause::Signal(9));
    assert!(!runs(started.pid));
    assert!(stage.wrote(&driver, I1, "out").contains(&"no".to_owned()), "it was asked first");
}

#[tokio::test]
async fn one_that_ends_well_when_asked_has_its_grace() {
    let stage = Stage::new();
    let (driver, mut events) = stage.driver(1);
    // Its main process is a shell that ends at once; the worker ends well a moment later.
    let worker = stage
        .script("worker", "trap 'sleep 0.3; echo worker done; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
    let script = stage.script("run", &format!("trap 'exit 0' TERM; {} & wait", worker[0]));
    driver.start(stage.order(I1, script)).await.unwrap();
    until("the worker", || stage.wrote(&driver, I1, "out").contains(&"ready".to_owned()).then_some(())).await;
    let exit = driver.stop(&id(I1), GRACE).await.unwrap();
    assert_eq!((exit.cause, exit.left_behind), (ExitCause::Code(0), 0));
    assert!(stage.wrote(&driver, I1, "out").contains(&"worker done".to_owned()));
    assert!(events.try_recv().is_err(), "an end that was ordered is no news");
}

#[tokio::test]
async fn one_that_forks_away_is_ended_whole_and_told_why() {
    let stage = Stage::new();
    let (driver, mut events) = stage.driver(1);
    // A session of its own, the parent gone, the pipes closed: a classic daemon.
    let script = stage.script("run", "setsid sh -c 'echo $$ > away.pid; exec sleep 1000 >/dev/null 2>&1' & while [ ! -s away.pid ]; do sleep 0.02; done; exit 0");
    driver.start(stage.order(I1, script)).await.unwrap();
    let (_, exit) = exited(&mut events).await;
    assert_eq!((&exit.cause, exit.left_behind), (&ExitCause::Code(0), 1), "{exit}");
    let away: u32 = std::fs::read_to_string(stage.release.path().join("away.pid")).unwrap().trim().parse().unwrap();
    assert!(!runs(away));
    assert!(exit.to_string().contains("run it in the foreground"));
}

#[tokio::test]
async fn one_that_writes_lines_of_10_mb_is_not_held_up_and_its_log_stays_within_bounds() {
    let stage = Stage::new();
    let (driver, mut events) = stage.driver(1);
    let script = stage.script(
        "run",
        "head -c 10000000 /dev/zero | tr '\\0' x; echo; head -c 10000000 /dev/zero | tr '\\0' y; echo; echo end",
    );
    driver.start(stage.order(I1, script)).await.unwrap();
    assert_eq!(exited(&mut events).await.1.cause, ExitCause::Code(0));
    assert_eq!(stage.wrote(&driver, I1, "out").last().unwrap(), "end");
    let folder = stage.state.path().join("logs/shop").join(I1);
    let sizes: Vec<u64> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
    assert!(sizes.iter().sum::<u64>() <= 4 << 20, "{sizes:?}");
}

#[tokio::test]
async fn one_that_uses_too_much_memory_is_killed_and_told_so() {
    let stage = Stage::new();
    let (driver, mut events) = stage.driver(1);
    // `tail` keeps what has no line's end.
    let mut order = stage.order(I1, stage.script("run", "(head -c 120000000 /dev/zero; sleep 1000) | tail -n 1"));
    order.run.limits.memory_bytes_max = Some(60 << 20);
    driver.start(order).await.unwrap();
    let (_, exit) = exited(&mut events).await;
    assert!(exit.oom, "{exit}");
}

/// A file system of 2 MiB for the logs of a state folder.
struct SmallLogs(std::path::PathBuf);

impl Drop for SmallLogs {
    fn drop(&mut self) {
        let _left_to_the_machine = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_does_not_stop_the_instance_and_the_gap_is_told() {
    let stage = Stage::new();
    let (driver, mut events) = stage.driver(1);
    let logs = stage.state.path().join("logs");
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=2m", "gapless-test"]).arg(&logs).stderr(Stdio::null());
    if !mount.status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: only root may mount a small file system");
        return;
    }
    let _small = SmallLogs(logs.clone());
    std::fs::write(logs.join("ballast"), vec![1; 1_500_000]).unwrap();
    // 1.5 MB of lines into half of that, in a log that may have 4 MB; then there is room again.
    let script = "line=$(head -c 1000 /dev/zero | tr '\\0' x); yes $line | head -n 1500; touch full; while [ ! -e room ]; do sleep 0.05; done; echo end";
    driver.start(stage.order(I1, stage.script("run", script))).await.unwrap();
    until("the end of its lines", || stage.release.path().join("full").exists().then_some(())).await;
    // Emptied first: a child that another test is starting may have it open still, and would keep the room of a file whose name alone is gone.
    std::fs::write(logs.join("ballast"), "").unwrap();
    std::fs::remove_file(logs.join("ballast")).unwrap();
    std::fs::write(stage.release.path().join("room"), "").unwrap();
    assert_eq!(exited(&mut events).await.1.cause, ExitCause::Code(0));
    assert_eq!(stage.wrote(&driver, I1, "out").last().unwrap(), "end");
    let remarks = stage.wrote(&driver, I1, "sys");
    assert!(remarks.iter().any(|line| line.contains("lines were lost")), "{remarks:?}");
}
