//! What is done about programs that a machine lacks: decided here, done by [`crate::tools`].

/// A program and the Debian package that brings it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tool {
    pub program: &'static str,
    pub package: &'static str,
}

/// What a machine allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Machine {
    /// Packages can be installed: this is root, and there is `apt-get`.
    CanInstall,
    /// There is `apt-get`, and this is not root.
    NeedsRoot,
    /// There is no `apt-get`; whoever this is cannot be told how packages are installed here.
    WithoutApt,
}

impl Machine {
    /// By who runs this, and whether `apt-get` was found.
    pub fn of(user: rustix::process::Uid, apt: Option<&std::path::Path>) -> Machine {
        match (apt, user.is_root()) {
            (Some(_), true) => Machine::CanInstall,
            (Some(_), false) => Machine::NeedsRoot,
            (None, _) => Machine::WithoutApt,
        }
    }
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Preparation {
    /// Everything is there.
    Nothing,
    /// These packages are to be installed.
    Install(Vec<&'static str>),
    /// Nothing can be done from here; the text says what is missing and how it is mended.
    Refuse(String),
}

/// What is to be done about these missing programs.
pub fn decide(missing: &[Tool], machine: Machine) -> Preparation {
    if missing.is_empty() {
        return Preparation::Nothing;
    }
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    let programs: Vec<&str> = missing.iter().map(|tool| tool.program).collect();
    let (programs, list) = (programs.join(", "), packages.join(" "));
    match machine {
        Machine::CanInstall => Preparation::Install(packages),
        Machine::NeedsRoot => Preparation::Refuse(format!(
            "these programs are missing: {programs}\nhint: sudo apt-get install --no-install-recommends {list}"
        )),
        Machine::WithoutApt => Preparation::Refuse(format!(
            "these programs are missing: {programs}\nhint: install them; their Debian packages, for the names, are {list}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rustix::process::Uid;

    use super::*;

    const MISSING: [Tool; 2] =
        [Tool { program: "nginx", package: "nginx-light" }, Tool { program: "node", package: "nodejs" }];
    const MACHINES: [Machine; 3] = [Machine::CanInstall, Machine::NeedsRoot, Machine::WithoutApt];

    #[test]
    fn nothing_is_done_and_nothing_refused_where_nothing_is_missing() {
        assert!(MACHINES.iter().all(|machine| decide(&[], *machine) == Preparation::Nothing));
    }

    #[test]
    fn root_installs_the_packages_and_no_others() {
        assert_eq!(decide(&MISSING, Machine::CanInstall), Preparation::Install(vec!["nginx-light", "nodejs"]));
    }

    #[test]
    fn anybody_else_is_told_what_is_missing_and_the_command_that_installs_it() {
        let text = "these programs are missing: nginx, node\nhint: sudo apt-get install --no-install-recommends nginx-light nodejs";
        assert_eq!(decide(&MISSING, Machine::NeedsRoot), Preparation::Refuse(text.to_owned()));
    }

    #[test]
    fn where_there_is_no_apt_nobody_is_told_to_use_it() {
        let text = "these programs are missing: nginx, node\nhint: install them; their Debian packages, for the names, are nginx-light nodejs";
        assert_eq!(decide(&MISSING, Machine::WithoutApt), Preparation::Refuse(text.to_owned()));
    }

    #[test]
    fn a_machine_is_known_by_its_user_and_its_apt() {
        let apt = Some(Path::new("/usr/bin/apt-get"));
        assert_eq!(Machine::of(Uid::ROOT, apt), Machine::CanInstall);
        assert_eq!(Machine::of(Uid::from_raw(1_000), apt), Machine::NeedsRoot);
        for user in [Uid::ROOT, Uid::from_raw(1_000)] {
            assert_eq!(Machine::of(user, None), Machine::WithoutApt);
        }
    }
}
