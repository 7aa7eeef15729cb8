//! A cgroup v2 of an instance's own, where one can be made: limits, use, and the death of the whole tree in one write.
//!
//! Each feature is used where it is there. A machine may allow groups without any controller (then there is `cgroup.kill` and CPU time but
//! no memory), or none at all; `keeper::tree` stands in for what is missing.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::spec::Spec;

/// The period of `cpu.max`, in microseconds: the kernel's default.
const CPU_PERIOD_US: u64 = 100_000;

/// A group that was made for one instance.
#[derive(Debug)]
pub(crate) struct Cgroup {
    path: PathBuf,
}

/// Which limits the group could not take on, for the log.
pub(crate) type NotEnforced = Vec<&'static str>;

impl Cgroup {
    /// Where the group of an instance would be: below the one this process is in. None where there is no cgroup v2. It is to be noted before
    /// the group is made, so that none is ever there that nobody knows of.
    pub(crate) fn place(spec: &Spec) -> Option<PathBuf> {
        Some(own_group()?.join(format!("gapless-{}", spec.mark)))
    }

    /// Makes a group. None where that is not possible.
    pub(crate) fn make(path: PathBuf, spec: &Spec) -> Option<(Cgroup, NotEnforced)> {
        let parent = path.parent()?.to_owned();
        fs::create_dir(&path).ok()?;
        let group = Cgroup { path };
        let limits = [
            ("memory", "memory.max", spec.memory_bytes_max.map(|bytes| bytes.to_string())),
            (
                "cpu",
                "cpu.max",
                spec.cpu_milli_max.map(|milli| format!("{} {CPU_PERIOD_US}", u64::from(milli) * CPU_PERIOD_US / 1000)),
            ),
            ("pids", "pids.max", spec.tasks_max.map(|tasks| tasks.to_string())),
        ];
        let mut not_enforced = Vec::new();
        for (controller, file, value) in limits {
            let Some(value) = value else { continue };
            // Refused where the parent has processes of its own; then it works only if someone enabled it before.
            let _may_be_enabled_already = fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}"));
            if group.write(file, &value).is_err() {
                not_enforced.push(controller);
            }
        }
        if spec.memory_bytes_max.is_some() {
            let _without_controller = group.write("memory.oom.group", "1");
        }
        Some((group, not_enforced))
    }

    /// A group made by a keeper that is gone.
    pub(crate) fn found(path: &Path) -> Option<Cgroup> {
        let ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("gapless-"));
        (ours && path.join("cgroup.procs").exists()).then(|| Cgroup { path: path.to_owned() })
    }

    /// The numbers of the processes in it, those of groups that the instance made below it as well.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let mut numbers = Vec::new();
        let mut open = vec![self.path.clone()];
        while let Some(folder) = open.pop() {
            let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            numbers.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
            open.extend(below(&folder));
        }
        numbers
    }

    /// The file through which a process enters: it writes `0`.
    pub(crate) fn entrance(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.path.join("cgroup.procs"))
    }

    /// Kills every process in it at once; false where the kernel does not know how (before 5.14).
    pub(crate) fn kill(&self) -> bool {
        self.write("cgroup.kill", "1").is_ok()
    }

    /// Memory charged to it, in bytes; none without the memory controller.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        self.read("memory.current")?.trim().parse().ok()
    }

    /// CPU time of all that ever ran in it, in microseconds.
    pub(crate) fn cpu_us(&self) -> Option<u64> {
        field(&self.read("cpu.stat")?, "usage_usec")
    }

    /// Whether the kernel killed something in it for want of memory.
    pub(crate) fn oom(&self) -> bool {
        self.read("memory.events").and_then(|text| field(&text, "oom_kill")).is_some_and(|count| count > 0)
    }

    /// Removes it with the groups that the instance made below it; false while there is a process in it.
    pub(crate) fn remove(&self) -> bool {
        fn remove(folder: &Path) -> bool {
            below(folder).iter().all(|below| remove(below)) && fs::remove_dir(folder).is_ok()
        }
        !self.path.exists() || remove(&self.path)
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.path.join(file)).ok()
    }

    fn write(&self, file: &str, value: &str) -> io::Result<()> {
        fs::write(self.path.join(file), value)
    }
}

/// The groups directly below one.
fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// The value of `name` in lines of `name value`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The cgroup v2 folder this process is in.
fn own_group() -> Option<PathBuf> {
    let mount = mount_point(&fs::read_to_string("/proc/self/mountinfo").ok()?)?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(mount.join(own.trim_start_matches('/')))
}

/// The first mount of type cgroup2 in a mountinfo (proc_pid_mountinfo(5): mount point is field 5, the type follows ` - `).
fn mount_point(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (head, tail) = line.split_once(" - ")?;
        let point = head.split(' ').nth(4)?;
        tail.starts_with("cgroup2 ").then(|| PathBuf::from(point))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_hierarchy_is_found_wherever_it_is_mounted() {
        let hybrid = "30 1 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n35 30 0:31 / /sys/fs/cgroup/unified rw shared:1 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(hybrid), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(mount_point("30 1 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"), None);
    }

    #[test]
    fn a_field_is_matched_whole() {
        let events = "low 0\noom 3\noom_kill 2\noom_group_kill 1\n";
        assert_eq!(field(events, "oom_kill"), Some(2));
        assert_eq!(field(events, "oom"), Some(3));
        assert_eq!(field(events, "max"), None);
    }
}
