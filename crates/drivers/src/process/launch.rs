//! Starting a keeper and hearing how it went.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use gapless_model::{Digest, Epoch, InstanceId};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use super::environment;
use crate::driver::{DriverError, StartOrder};
use crate::keeper::{Announcement, InstanceFolder, MARK, Spec, boot, write_json};
use crate::logs;

/// How long a keeper may take to start its instance: a slow disk, a machine out of memory.
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest line a keeper announces itself with.
const ANNOUNCEMENT_BYTES_MAX: u64 = 64 << 10;

/// Writes the order down, durably: from here on a crash finds it.
pub(super) fn write_order(
    state: &Path,
    folder: &InstanceFolder,
    order: &StartOrder,
    release: PathBuf,
    epoch: Epoch,
) -> Result<(), DriverError> {
    let mark = mark(folder);
    let mut environment = order.declared_environment();
    environment.insert(MARK.to_owned(), mark.clone());
    let log_folder = logs::instance_folder(state, &order.instance);
    let spec = Spec { epoch: epoch.0, ..Spec::new(order, release, environment, log_folder.clone(), mark) };
    make_folder(&folder.0)?;
    make_folder(&log_folder)?;
    logs::write_label(&log_folder, &order.label).map_err(failed("write", &log_folder))?;
    write_json(&folder.spec(), &spec).map_err(failed("write", &folder.spec()))?;
    // The folder's own entry must be as durable as what is in it.
    let parent = folder.0.parent().unwrap_or(state);
    fs::File::open(parent).and_then(|folder| folder.sync_all()).map_err(failed("write", parent))
}

/// What a keeper is launched for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Errand<'a> {
    /// To start an instance; with this environment where it is not the one of its order. What of it is secret lies in no file and no argument.
    Start(Option<&'a BTreeMap<String, String>>),
    /// To take over one whose keeper died.
    TakeOver,
}

/// Runs `<gapless> keeper --spec FILE` and waits for its announcement.
pub(super) async fn launch(
    gapless: &Path,
    folder: &InstanceFolder,
    instance: &InstanceId,
    errand: Errand<'_>,
) -> Result<Announcement, DriverError> {
    let refused = |reason: String| DriverError::Keeper { instance: instance.clone(), reason };
    // What it has to say is lost where the disk takes nothing; that is no reason not to keep the instance.
    let log = open_log(&folder.keeper_log()).map_or_else(|_| Stdio::null(), Stdio::from);
    let mut command = Command::new(gapless);
    command.arg("keeper").arg("--spec").arg(folder.spec()).current_dir("/");
    command.stdin(Stdio::null());
    let mut told = Vec::new();
    match errand {
        Errand::Start(None) => {}
        Errand::Start(Some(environment)) => {
            told = serde_json::to_vec(environment).map_err(|error| refused(error.to_string()))?;
            command.stdin(Stdio::piped());
        }
        Errand::TakeOver => {
            command.arg("--take-over");
        }
    }
    command.env_clear().envs(environment::of_keeper());
    command.stdout(Stdio::piped()).stderr(log);
    let mut child = command.spawn().map_err(|error| refused(format!("cannot run {}: {error}", gapless.display())))?;
    let stdout = child.stdout.take().ok_or_else(|| refused("no pipe".to_owned()))?;
    let stdin = child.stdin.take();
    let mut line = String::new();
    let mut reader = BufReader::new(stdout.take(ANNOUNCEMENT_BYTES_MAX));
    let read = tokio::time::timeout(LAUNCH_TIMEOUT, async {
        if let Some(mut stdin) = stdin {
            // One that does not read it, because there is a keeper already, says so.
            let _read_or_not = stdin.write_all(&told).await;
        }
        reader.read_line(&mut line).await
    });
    let read = read.await;
    if read.is_err() {
        // What it may start after all is found without a keeper, and ended.
        let _gone_already = child.start_kill();
    }
    // Reaps it; it is not ended with us.
    tokio::spawn(async move { child.wait().await });
    match read {
        Ok(Ok(1..)) => serde_json::from_str(&line).map_err(|error| refused(format!("it said {line:?}: {error}"))),
        Ok(Ok(0)) => {
            let said = fs::read_to_string(folder.keeper_log()).unwrap_or_default();
            let said = said.lines().last().unwrap_or_default();
            Err(refused(format!("it ended before it had started anything: {said}")))
        }
        Ok(Err(error)) => Err(refused(error.to_string())),
        Err(_) => Err(refused(format!("it started nothing within {} s", LAUNCH_TIMEOUT.as_secs()))),
    }
}

fn open_log(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path)
}

/// What no other instance of this machine has in its environment: made of where the instance lives, the boot and the moment.
fn mark(folder: &InstanceFolder) -> String {
    let mut hasher = Sha256::new();
    hasher.update(folder.0.as_os_str().as_encoded_bytes());
    hasher.update(boot());
    hasher.update(jiff::Timestamp::now().as_nanosecond().to_be_bytes());
    hasher.update(std::process::id().to_be_bytes());
    let mut mark = Digest(hasher.finalize().into()).to_string();
    mark.truncate(24);
    mark
}

pub(super) fn make_folder(path: &Path) -> Result<(), DriverError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("make", path))
}

pub(super) fn failed(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DriverError {
    let path: PathBuf = path.to_owned();
    move |source| DriverError::File { act, path, source }
}
