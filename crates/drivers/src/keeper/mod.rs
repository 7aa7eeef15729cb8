//! The small parent process of one instance, which outlives the controller.
//!
//! One thread, one poll loop. It starts the main process, writes down what it says, knows everything it forks (it is the *child subreaper*
//! of the tree, and gives it a cgroup where it can), ends it when told so, remembers how it ended, and goes when that is known.
//!
//! What it leaves in the folder of its instance says to a later controller what happened, in whichever moment it is killed:
//!
//! | `keeper.lock` | `main.stat` | `exit.json` | |
//! |---|---|---|---|
//! | locked | any | any | the keeper lives: ask it |
//! | free | empty | none | the instance was ordered and never started |
//! | free | written | none | the keeper was killed: end what is left, by number *and* start time, and by mark |
//! | free | any | written | the instance ended so |

mod cgroup;
mod child;
mod clients;
mod message;
mod serve;
mod spec;
mod state;
mod tree;

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::fs::FlockOperation;

pub(crate) use cgroup::Cgroup;
pub(crate) use message::{Announcement, Answer, Ask, PROTOCOL, Reply, Request, frame, take_frame};
pub(crate) use serve::KILL_PATIENCE;
pub(crate) use spec::{InstanceFolder, Spec, replace, write_json};
pub(crate) use tree::{boot, marked, process, signal};

use crate::process::{Exit, ExitCause};

/// The environment variable by which the processes of one instance are known among all others.
pub(crate) const MARK: &str = "GAPLESS_KEEPER";

/// Runs the hidden verb `gapless keeper`; `arguments` are those after the verb: `--spec FILE`. Returns when the instance has
/// ended and its end was told, or could not be told for a while. Must be called on the main thread before any other was made.
///
/// Standard output gets one line of JSON, how the start went; whatever else there is to say goes to standard error.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter();
    let (Some(flag), Some(path), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        eprintln!("error: gapless keeper takes --spec FILE");
        return ExitCode::from(2);
    };
    if flag != "--spec" {
        eprintln!("error: gapless keeper takes --spec FILE");
        return ExitCode::from(2);
    }
    match keep(Path::new(&path)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            announce(&Announcement::Failed { reason: error.to_string() });
            eprintln!("error: keeper of {}: {error}", PathBuf::from(path).display());
            ExitCode::FAILURE
        }
    }
}

fn keep(path: &Path) -> io::Result<()> {
    // A session of its own: what ends the controller's (a terminal that closes) does not end this. Fails only where it is the
    // leader of a group already, which a person at a terminal may make it.
    let _leader_already = rustix::process::setsid();
    let spec = Spec::read(path)?;
    let folder = InstanceFolder(path.parent().ok_or(io::ErrorKind::InvalidInput)?.to_owned());
    let Some(_lock) = lock(&folder)? else {
        announce(&Announcement::Already);
        return Ok(());
    };
    if folder.exit().exists() || folder.read_main_process().is_some() {
        announce(&Announcement::Already);
        return Ok(());
    }
    serve::run(&spec, &folder)
}

/// The lock that says that a keeper lives; none when another has it.
pub(crate) fn lock(folder: &InstanceFolder) -> io::Result<Option<File>> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(folder.lock())?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Tells whoever started this process, if it still listens, and lets go of the pipe.
fn announce(announcement: &Announcement) {
    let mut line = serde_json::to_string(announcement).expect("BUG: a message of plain fields is JSON");
    line.push('\n');
    let mut out = io::stdout().lock();
    let _nobody_listens = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    if let Ok(null) = OpenOptions::new().write(true).open("/dev/null") {
        let _stays_open = rustix::stdio::dup2_stdout(&null);
    }
}

/// Ends what a keeper that was killed left behind, and writes down that it was so. The lock must be held.
pub(crate) fn end_orphans(folder: &InstanceFolder) -> Exit {
    let spec = Spec::read(&folder.spec()).ok();
    let same_boot = spec.as_ref().is_some_and(|spec| spec.boot == boot());
    if same_boot {
        let group = std::fs::read_to_string(folder.cgroup()).ok().and_then(|path| Cgroup::found(Path::new(&path)));
        if let Some(group) = &group {
            group.kill();
        }
        let main =
            folder.read_main_process().and_then(|then| process(then.pid).filter(|now| now.started == then.started));
        let variable = format!("{MARK}={}", spec.as_ref().map_or("", |spec| spec.mark.as_str()));
        let deadline = std::time::Instant::now() + KILL_PATIENCE;
        loop {
            let mut left = marked(&variable);
            left.extend(
                main.iter()
                    .filter_map(|main| process(main.pid))
                    .filter(|now| !now.zombie && main.as_ref().is_some_and(|main| main.started == now.started)),
            );
            let signalled = left.iter().filter(|process| signal(process, rustix::process::Signal::KILL)).count();
            if signalled == 0 || std::time::Instant::now() >= deadline {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        if let Some(group) = group {
            group.remove();
        }
    }
    let exit = Exit {
        cause: ExitCause::KeeperLost,
        oom: false,
        left_behind: 0,
        at_unix_ms: jiff::Timestamp::now().as_millisecond(),
    };
    if let Err(error) = write_json(&folder.exit(), &exit) {
        // Found to be so again next time.
        tracing::warn!(folder = %folder.0.display(), %error, "the end of an instance cannot be written down");
    }
    exit
}
