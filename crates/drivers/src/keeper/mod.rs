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
//! | free | written, and that process runs | none | the keeper was killed: another takes the instance over |
//! | free | written, and that process is gone | none | both were killed: end what is left, by number *and* start time, and by mark |
//! | free | any | written | the instance ended so |

mod cgroup;
mod child;
mod clients;
mod deserted;
mod held;
mod message;
mod orphan;
mod output;
mod preflight;
mod privileges;
mod serve;
mod spec;
mod state;
mod tree;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::fs::FlockOperation;

pub(crate) use message::{Announcement, Answer, Ask, PROTOCOL, Reply, Request, frame, take_frame};
pub(crate) use orphan::{Answerable, answerable, end, processes_of, remove_cgroup};
pub use preflight::problems;
pub(crate) use serve::KILL_PATIENCE;
pub(crate) use spec::{InstanceFolder, Spec, replace, write_json};
pub(crate) use tree::{boot, process};

use crate::talk::{end_on_panic, say};

/// The environment variable by which the processes of one instance are known among all others.
pub(crate) const MARK: &str = "GAPLESS_KEEPER";

/// The largest environment that is given through the pipe: more than the kernel takes for a program (6 MiB at most, execve(2)).
const ENVIRONMENT_BYTES_MAX: u64 = 8 << 20;

/// What a keeper is started for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Errand {
    /// To start an instance.
    Start,
    /// To take over one that runs and whose keeper is gone.
    TakeOver,
}

/// Runs the hidden verb `gapless keeper`; `arguments` are those after the verb: `--spec FILE`, and `--take-over` where the instance runs
/// already. Returns when the instance has ended and its end was told, or could not be told for a while. Must be called on the main
/// thread before any other was made.
///
/// Standard output gets one line of JSON, how the start went; whatever else there is to say goes to standard error.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    end_on_panic();
    let mut arguments = arguments.into_iter();
    let (flag, path, errand, rest) = (arguments.next(), arguments.next(), arguments.next(), arguments.next());
    let errand = match errand {
        None => Some(Errand::Start),
        Some(word) if word == "--take-over" => Some(Errand::TakeOver),
        Some(_) => None,
    };
    let (Some(flag), Some(path), Some(errand), None) = (flag, path, errand, rest) else {
        return misused();
    };
    if flag != "--spec" {
        return misused();
    }
    match keep(Path::new(&path), errand) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            announce(&Announcement::Failed { reason: error.to_string() });
            say(format_args!("error: keeper of {}: {error}", PathBuf::from(path).display()));
            ExitCode::FAILURE
        }
    }
}

fn misused() -> ExitCode {
    say(format_args!("error: gapless keeper takes --spec FILE [--take-over]"));
    ExitCode::from(2)
}

fn keep(path: &Path, errand: Errand) -> io::Result<()> {
    // A session of its own: what ends the controller's (a terminal that closes) does not end this. Fails only where it is the
    // leader of a group already, which a person at a terminal may make it.
    let _leader_already = rustix::process::setsid();
    let mut spec = Spec::read(path)?;
    let folder = InstanceFolder(path.parent().ok_or(io::ErrorKind::InvalidInput)?.to_owned());
    let Some(_lock) = lock(&folder)? else {
        announce(&Announcement::Already);
        return Ok(());
    };
    let main = orphan::running_main(&folder);
    match (errand, folder.exit().exists(), folder.read_main_process()) {
        (Errand::Start, false, None) => {
            if spec.sources.is_some() {
                spec.environment = given_environment(&spec.mark)?;
            }
            serve::start(&spec, &folder)
        }
        (Errand::TakeOver, false, Some(_)) => match main.and_then(|main| held::Found::take(main, &spec.mark)) {
            Some(found) => serve::take_over(&spec, &folder, found),
            None => already(),
        },
        (Errand::Start | Errand::TakeOver, _, _) => already(),
    }
}

/// The environment that stands on no disk, from whoever started this process.
fn given_environment(mark: &str) -> io::Result<BTreeMap<String, String>> {
    let given = io::stdin().lock().take(ENVIRONMENT_BYTES_MAX);
    let mut environment: BTreeMap<String, String> = serde_json::from_reader(given)?;
    environment.insert(MARK.to_owned(), mark.to_owned());
    Ok(environment)
}

fn already() -> io::Result<()> {
    announce(&Announcement::Already);
    Ok(())
}

/// The lock that says that a keeper lives; none when another has it.
pub(crate) fn lock(folder: &InstanceFolder) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(folder.lock())?;
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
