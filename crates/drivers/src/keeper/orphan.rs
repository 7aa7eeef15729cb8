//! What is left of an instance whose keeper is gone: found, and ended where it cannot be kept.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::cgroup::Cgroup;
use super::held::runs;
use super::spec::{InstanceFolder, Spec, write_json};
use super::state::KILL_PATIENCE;
use super::tree::{self, boot, marked};
use super::{MARK, lock};
use crate::driver::{Exit, ExitCause};

/// Who answers for an instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answerable {
    /// Its keeper, which lives.
    Keeper,
    /// Nobody: its keeper is gone and it runs. Another keeper can take it over.
    Nobody,
    /// The record of its end.
    Ended(Exit),
}

/// Who answers for an instance that was started. What was left of one whose main process ended with its keeper is ended. Blocks.
pub(crate) fn answerable(folder: &InstanceFolder) -> Answerable {
    let Ok(Some(_lock)) = lock(folder) else { return Answerable::Keeper };
    match folder.read_exit() {
        Some(exit) => Answerable::Ended(exit),
        None if running_main(folder).is_some() => Answerable::Nobody,
        None => Answerable::Ended(end_left(folder)),
    }
}

/// Ends what is left of an instance that no keeper keeps; none while one lives. Blocks.
pub(crate) fn end(folder: &InstanceFolder) -> Option<Exit> {
    let _lock = lock(folder).ok().flatten()?;
    Some(folder.read_exit().unwrap_or_else(|| end_left(folder)))
}

/// The main process of an instance, where it runs: by its number, its start time and the boot of the machine.
pub(crate) fn running_main(folder: &InstanceFolder) -> Option<tree::Process> {
    let same_boot = Spec::read(&folder.spec()).is_ok_and(|spec| spec.boot == boot());
    folder.read_main_process().filter(|main| same_boot && runs(main))
}

/// The processes of an instance, by number: its main process and what descends from it first, then those that its cgroup or their mark shows,
/// which takes longer to find. Some may come twice.
pub(crate) fn processes_of(folder: &InstanceFolder) -> impl Iterator<Item = i32> + use<> {
    let main = running_main(folder);
    let descendants = main.iter().flat_map(|main| tree::descendants(main.pid)).map(|process| process.pid);
    let near: Vec<i32> = main.iter().map(|main| main.pid).chain(descendants).collect();
    let folder = folder.clone();
    let far = move || match (noted_cgroup(&folder), Spec::read(&folder.spec())) {
        (Some(group), _) => group.processes(),
        (None, Ok(spec)) => marked(&format!("{MARK}={}", spec.mark)).into_iter().map(|process| process.pid).collect(),
        (None, Err(_)) => Vec::new(),
    };
    near.into_iter().chain(std::iter::once_with(far).flatten())
}

/// Removes the cgroup of an instance that has ended, if it had one. False while there is a process in it.
pub(crate) fn remove_cgroup(folder: &InstanceFolder) -> bool {
    noted_cgroup(folder).is_none_or(|group| group.remove())
}

fn noted_cgroup(folder: &InstanceFolder) -> Option<Cgroup> {
    Cgroup::found(Path::new(&fs::read_to_string(folder.cgroup()).ok()?))
}

/// Ends what a keeper that was killed left behind, and writes down that it was so. The lock must be held.
fn end_left(folder: &InstanceFolder) -> Exit {
    if let Ok(spec) = Spec::read(&folder.spec())
        && spec.boot == boot()
    {
        kill_left(folder, &format!("{MARK}={}", spec.mark));
    }
    let exit = Exit {
        cause: ExitCause::KeeperLost,
        oom: false,
        left_behind: 0,
        at_unix_ms: jiff::Timestamp::now().as_millisecond(),
    };
    if let Err(error) = write_exit(folder, &exit) {
        // Found to be so again next time.
        tracing::warn!(folder = %folder.0.display(), %error, "the end of an instance cannot be written down");
    }
    exit
}

fn write_exit(folder: &InstanceFolder, exit: &Exit) -> io::Result<()> {
    write_json(&folder.exit(), exit)
}

fn kill_left(folder: &InstanceFolder, mark: &str) {
    let group = noted_cgroup(folder);
    let main = folder.read_main_process();
    let deadline = Instant::now() + KILL_PATIENCE;
    loop {
        if let Some(group) = &group {
            group.kill();
        }
        let mut left = marked(mark);
        left.extend(main.iter().filter(|main| runs(main)).cloned());
        let signalled = left.iter().filter(|process| tree::signal(process, Signal::KILL)).count();
        let removed = group.as_ref().is_none_or(Cgroup::remove);
        if (signalled == 0 && removed) || Instant::now() >= deadline {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
