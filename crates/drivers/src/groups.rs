//! Groups of the system, and who is in them.

use std::ffi::CString;
use std::io;

/// A group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its number.
    pub gid: u32,
}

/// Looks a group up by its name; none where there is no such group.
///
/// # Errors
/// The system's database cannot be asked.
pub fn group(name: &str) -> io::Result<Option<Group>> {
    Ok(nix::unistd::Group::from_name(name)?.map(|group| Group { gid: group.gid.as_raw() }))
}

/// Whether a process of this user and first group is one of a member of `group`, as the system's database says now. One that cannot be looked up is none.
#[must_use]
pub fn is_member(uid: u32, gid: u32, group: u32) -> bool {
    gid == group || groups_of(uid).is_ok_and(|groups| groups.contains(&group))
}

fn groups_of(uid: u32) -> io::Result<Vec<u32>> {
    let Some(user) = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid))? else { return Ok(Vec::new()) };
    let name = CString::new(user.name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let groups = nix::unistd::getgrouplist(&name, user.gid)?;
    Ok(groups.into_iter().map(nix::unistd::Gid::as_raw).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_in_its_own_group_and_a_number_without_a_user_in_none() {
        let root = group("root").unwrap().unwrap();
        assert_eq!(root.gid, 0);
        assert!(is_member(0, 0, root.gid) && is_member(0, 12, root.gid));
        assert!(!is_member(4_000_111, 4_000_111, root.gid));
        assert_eq!(group("no-such-group-here").unwrap(), None);
    }
}
