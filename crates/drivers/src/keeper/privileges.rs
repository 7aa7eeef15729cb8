//! A keeper of root's keeps no more of its privileges than its work needs, where its instance runs as another user.
//!
//! Without `run.user` the instance *is* root's, and the keeper hands on what the controller has: there is nothing to protect from it.

use rustix::io;
use rustix::thread::{CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities};

/// What a keeper needs: to become the user, to signal its processes, to give it its pipes, and to reach state folders that lie in another user's.
const KEPT: CapabilitySet = CapabilitySet::SETUID
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::CHOWN)
    .union(CapabilitySet::DAC_READ_SEARCH);

/// How the keeper knows the processes of its instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Known {
    /// By descent or by cgroup: `/proc` shows that to everyone.
    Openly,
    /// By a mark in their environment, which only their user and a tracer may read.
    ByMark,
}

/// Gives up all capabilities but those that are needed, for good. Nothing where this process is not root's.
pub(crate) fn drop(known: Known) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let kept = match known {
        Known::Openly => KEPT,
        Known::ByMark => KEPT.union(CapabilitySet::SYS_PTRACE),
    };
    let before = rustix::thread::capabilities(None)?;
    let kept = kept.intersection(before.permitted);
    for capability in CapabilitySet::all().difference(kept).iter() {
        match remove_capability_from_bounding_set(capability) {
            // One that this kernel does not know, or in a container that may not even give up: what is permitted goes all the same.
            Ok(()) | Err(io::Errno::INVAL | io::Errno::PERM) => {}
            Err(error) => return Err(error),
        }
    }
    rustix::thread::set_no_new_privs(true)?;
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() })
}
