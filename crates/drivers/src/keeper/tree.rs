//! Process trees as `/proc` shows them: who descends from whom, what they use, ending them without mistaking one for another.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// One process. A number is reused; a number with its start time (in clock ticks since boot) is not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    /// Its process group.
    pub(crate) group: i32,
    pub(crate) started: u64,
    /// Ended, but its parent has not asked for its status.
    pub(crate) zombie: bool,
    /// CPU time of its own and of the children it waited for, in clock ticks.
    pub(crate) cpu_ticks: u64,
    /// Of the children it waited for alone.
    pub(crate) waited_ticks: u64,
    pub(crate) resident_pages: u64,
}

/// Reads `/proc/<pid>/stat`; none when there is no such process any more.
pub(crate) fn process(pid: i32) -> Option<Process> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Parses a line of `/proc/<pid>/stat` (proc_pid_stat(5)). The name in parentheses may hold anything, so it is skipped to its last parenthesis.
pub(crate) fn parse(line: &str) -> Option<Process> {
    let (pid, rest) = line.split_once(' ')?;
    let fields: Vec<&str> = rest.get(rest.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
    // Field n of the manual page is at n − 3 here: the state (3) comes first.
    let number = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<i64>().ok());
    let time = |field| number(field).and_then(|ticks| u64::try_from(ticks).ok());
    let waited_ticks = time(16)? + time(17)?;
    Some(Process {
        pid: pid.parse().ok()?,
        parent: i32::try_from(number(4)?).ok()?,
        group: i32::try_from(number(5)?).ok()?,
        started: time(22)?,
        zombie: matches!(*fields.first()?, "Z" | "X"),
        cpu_ticks: time(14)? + time(15)? + waited_ticks,
        waited_ticks,
        resident_pages: time(24).unwrap_or(0),
    })
}

/// All processes that descend from `root`, without it, zombies left out.
pub(crate) fn descendants(root: i32) -> Vec<Process> {
    let all: Vec<Process> = numbers().filter_map(process).collect();
    below(root, all)
}

fn below(root: i32, all: Vec<Process>) -> Vec<Process> {
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for process in all {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut open = vec![root];
    // Each list of children is taken once, so a circle (a snapshot is not atomic) ends.
    while let Some(parent) = open.pop() {
        for process in children.remove(&parent).unwrap_or_default() {
            open.push(process.pid);
            found.push(process);
        }
    }
    found.retain(|process| !process.zombie);
    found
}

/// All processes whose environment holds this text as one `NAME=value`, among those that may be looked into.
pub(crate) fn marked(variable: &str) -> Vec<Process> {
    let holds = |pid: &i32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes()))
    };
    numbers().filter(holds).filter_map(process).filter(|process| !process.zombie).collect()
}

/// Sends a signal to exactly this process: through a pidfd, opened before the start time is compared. False when it is gone.
pub(crate) fn signal(target: &Process, signal: Signal) -> bool {
    let Some(pid) = Pid::from_raw(target.pid) else { return false };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    process(target.pid).is_some_and(|now| now.started == target.started) && pidfd_send_signal(&handle, signal).is_ok()
}

/// The use of a set of processes: resident bytes, CPU ticks.
pub(crate) fn usage(processes: &[Process]) -> (u64, u64) {
    let pages: u64 = processes.iter().map(|process| process.resident_pages).sum();
    let ticks = processes.iter().map(|process| process.cpu_ticks).sum();
    (pages * rustix::param::page_size() as u64, ticks)
}

/// The identity of this boot of the machine; start times are compared within one boot only.
pub(crate) fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn numbers() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers: BTreeSet<i32> =
        entries.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok())).collect();
    numbers.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_parentheses_does_not_shift_the_fields() {
        let line = "42 (a) R 7 (b) S 7 42 42 0 -1 4194560 1 2 3 4 100 50 30 20 20 0 1 0 987654 1000 25 18446744073709551615 1 1 0 0";
        let process = parse(line).unwrap();
        assert_eq!((process.pid, process.parent, process.started), (42, 7, 987_654));
        assert_eq!((process.cpu_ticks, process.waited_ticks, process.resident_pages), (200, 50, 25));
        assert!(!process.zombie);
    }

    #[test]
    fn a_broken_line_is_no_process() {
        for line in ["", "42", "42 (x", "42 (x) S", "x (y) S 1 2 3"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn descendants_are_found_through_any_number_of_generations() {
        let process = |pid, parent, zombie| Process {
            pid,
            parent,
            group: pid,
            started: 1,
            zombie,
            cpu_ticks: 0,
            waited_ticks: 0,
            resident_pages: 0,
        };
        let all = vec![
            process(2, 1, false),
            process(5, 4, false),
            process(4, 2, true),
            process(9, 1, false),
            process(3, 2, false),
        ];
        let mut found: Vec<i32> = below(2, all).into_iter().map(|p| p.pid).collect();
        found.sort_unstable();
        assert_eq!(found, [3, 5], "a zombie is passed over, its children are not");
    }

    #[test]
    fn this_process_is_found_and_a_reused_number_is_not_taken_for_it() {
        let own = process(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.started > 0);
        let other = Process { started: own.started + 1, ..own };
        assert!(!signal(&other, Signal::KILL), "we would not be here");
    }
}
