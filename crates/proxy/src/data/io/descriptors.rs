//! How the descriptors of a process are shared out, so that whoever was accepted can be served.
//!
//! Each client may need a connection to an instance. Where clients take every descriptor, none of them reaches an instance, and the
//! control side can neither probe nor keep a table. So clients get less than half; more of them wait in the listening sockets' queues.

use rustix::process::{Resource, getrlimit};

/// What the control side keeps where there is plenty: its sockets, probes of instances, logs, tables.
const CONTROL_MAX: u64 = 512;

/// The most clients that each of `threads` may serve at once, as the process's limit stands.
pub(crate) fn clients_per_thread(threads: usize) -> usize {
    share(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX), threads)
}

fn share(limit: u64, threads: usize) -> usize {
    let control = (limit / 4).min(CONTROL_MAX);
    let each = (limit - control) / 2 / threads.max(1) as u64;
    usize::try_from(each).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn clients_and_instances_share_what_the_control_side_leaves() {
        for (limit, threads, expected) in
            [(1_024, 1, 384), (1_024, 4, 96), (65_536, 2, 16_256), (64, 1, 24), (4, 8, 1), (0, 1, 1)]
        {
            assert_eq!(share(limit, threads), expected, "{limit} over {threads}");
        }
        assert!(share(u64::MAX, 1) > 1 << 40);
    }
}
