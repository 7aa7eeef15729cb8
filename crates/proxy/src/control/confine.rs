//! A proxy process gives away every right that it does not need, as its first act and while it has one thread.
//!
//! It needs none: listening sockets are lent to it, its files are in a folder of its own, which it makes its working folder before it gives away the
//! right to reach it by name.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::{Gid, Uid, fchdir, geteuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// Whom a proxy process is to be, and where.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Confinement {
    /// Its own folder; it becomes the working folder.
    pub folder: Option<PathBuf>,
    /// The user and group it becomes, where it is started by root.
    pub user: Option<(u32, u32)>,
}

/// Takes the place and the rights of a [`Confinement`]: the folder, the user, no capabilities, and none to be had by running another program. Answers
/// what could not be done, for people: a proxy that keeps a right serves all the same.
#[must_use]
pub fn confine(confinement: &Confinement) -> Vec<String> {
    let mut troubles = Vec::new();
    if let Some(folder) = &confinement.folder
        && let Err(error) = enter(folder)
    {
        troubles.push(format!("its folder {} cannot be used: {error}; nothing is kept there", folder.display()));
        let _stays = rustix::process::chdir("/");
    }
    if let Some((user, group)) = confinement.user.filter(|_| geteuid().is_root())
        && let Err(error) = become_user(user, group)
    {
        troubles.push(format!("it runs as root: it cannot become user {user}: {error}"));
        return troubles;
    }
    if let Err(error) = give_up_capabilities() {
        troubles.push(format!("it keeps its capabilities: {error}"));
    }
    troubles
}

/// Makes a folder the working one. A link in its place is not followed.
fn enter(folder: &Path) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::PATH;
    let folder = openat(CWD, folder, flags, Mode::empty())?;
    Ok(fchdir(folder)?)
}

fn become_user(user: u32, group: u32) -> io::Result<()> {
    for capability in CapabilitySet::all().iter() {
        // A kernel that does not know one of them says so, and has none to give away.
        let _unknown = remove_capability_from_bounding_set(capability);
    }
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    Ok(set_thread_res_uid(user, user, user)?)
}

fn give_up_capabilities() -> io::Result<()> {
    let none = CapabilitySet::empty();
    clear_ambient_capability_set()?;
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(set_no_new_privs(true)?)
}
