//! The processes of one machine that a test made for itself, found by its folder, and all of them ended: proxy, keepers and instances are made to
//! outlive the controller.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpid, kill_process};

/// How long killed processes may take to be gone.
const GONE_MAX: Duration = Duration::from_secs(10);
/// The pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// Processes other than this one that belong to a folder: it is in their command line or environment, or they work in it.
#[must_use]
pub fn of_folder(folder: &Path) -> Vec<Pid> {
    let ours = folder.to_string_lossy().into_owned();
    let belongs = |entry: &Path| {
        let names =
            |file: &str| String::from_utf8_lossy(&fs::read(entry.join(file)).unwrap_or_default()).contains(&ours);
        let works_inside = || fs::read_link(entry.join("cwd")).is_ok_and(|path| path.starts_with(folder));
        names("cmdline") || names("environ") || works_inside()
    };
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let processes = entries.flatten().map(|entry| entry.path());
    processes
        .filter_map(|path| Some((Pid::from_raw(path.file_name()?.to_str()?.parse().ok()?)?, path)))
        .filter(|(pid, path)| *pid != getpid() && belongs(path))
        .map(|(pid, _)| pid)
        .collect()
}

/// Kills every process of a folder, until none is left: one may start another while the others die.
pub fn end_all_of_folder(folder: &Path) {
    let deadline = Instant::now() + GONE_MAX;
    loop {
        let processes = of_folder(folder);
        if processes.is_empty() || Instant::now() >= deadline {
            return;
        }
        for pid in processes {
            let _gone_already = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(LOOK_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A process that does nothing until it is killed, prepared by the caller.
    fn waits(prepare: impl FnOnce(&mut Command) -> &mut Command) -> Child {
        let mut command = Command::new("sh");
        prepare(command.args(["-c", "read line", "sh"]).stdin(Stdio::piped())).spawn().unwrap()
    }

    #[test]
    fn a_process_belongs_to_a_folder_by_its_words_its_environment_or_where_it_works_and_all_are_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let mut ours = [
            waits(|command| command.arg(path.join("state"))),
            waits(|command| command.env("SEEN", path.join("seen"))),
            waits(|command| command.current_dir(path)),
        ];
        let mut other = waits(|command| command);
        end_all_of_folder(path);
        assert_eq!(of_folder(path), []);
        for child in &mut ours {
            assert_eq!(child.wait().unwrap().signal(), Some(9));
        }
        assert!(other.try_wait().unwrap().is_none(), "another's process runs on");
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
