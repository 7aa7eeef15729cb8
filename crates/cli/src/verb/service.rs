//! `gapless service`: running the controller under systemd.

use std::path::{Path, PathBuf};

use crate::follow::print_text;
use crate::{Context, Exit, Failure, hint};

/// Where systemd looks for units of the machine's administrator.
const UNIT: &str = "/etc/systemd/system/gapless.service";

/// What `gapless service` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// What is done
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done.
#[derive(clap::Subcommand, Debug)]
pub enum Action {
    /// Write the systemd unit that runs `gapless up` on this machine
    Install(Install),
}

/// What `gapless service install` is given.
#[derive(clap::Args, Debug)]
pub struct Install {
    /// Print the unit instead of writing it
    #[arg(long)]
    pub print: bool,
    /// The user that the controller runs as [default: root]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Where the unit is written
    #[arg(long, value_name = "FILE", default_value = UNIT)]
    pub unit: PathBuf,
    /// Replace a unit that is there and differs
    #[arg(long)]
    pub force: bool,
}

/// Runs the verb.
///
/// # Errors
/// The unit cannot be written, or another one is there.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let Action::Install(install) = &args.action;
    let program =
        std::env::current_exe().map_err(|error| Failure::new("cannot tell where this program is").because(&error))?;
    let text = unit(&program, context.state.path(), install.user.as_deref())?;
    if install.print {
        print_text(&text)?;
        return Ok(Exit::Done);
    }
    write(&install.unit, &text, install.force)?;
    let name = install.unit.file_name().unwrap_or_default().display();
    print_text(&format!(
        "wrote {}\nnext: systemctl daemon-reload && systemctl enable --now {name}\n",
        install.unit.display()
    ))?;
    Ok(Exit::Done)
}

fn write(unit: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let there = std::fs::read_to_string(unit).ok();
    if there.is_some_and(|there| there != text) && !force {
        return Err(Failure::new(format!("`{}` is there and differs", unit.display())).hint(hint::FORCE_UNIT));
    }
    std::fs::write(unit, text).map_err(|error| {
        Failure::new(format!("cannot write `{}`", unit.display())).because(&error).hint(hint::PRINT_UNIT)
    })
}

/// The unit.
///
/// # Errors
/// When a path or name in it could be read as something else by systemd.
fn unit(program: &Path, state: &Path, user: Option<&str>) -> Result<String, Failure> {
    let (program, state) = (plain(program)?, plain(state)?);
    let user = match user {
        Some(user) => format!("User={}\n", plain(Path::new(user))?),
        None => String::new(),
    };
    Ok(format!(
        "\
[Unit]
Description=Gapless: load balancer and deployments without downtime
Documentation=man:gapless(1)
# Addresses are there to listen on, and time is right, before anything starts.
Wants=network-online.target
After=network-online.target time-sync.target local-fs.target
# It is tried for ever: traffic goes on meanwhile.
StartLimitIntervalSec=0

[Service]
Type=notify
{user}ExecStart={program} --state {state} up
# Only where the machine goes down: proxies drain, then the instances end in order. A restart of this unit leaves both running.
ExecStop=-/bin/sh -c '[ \"$(systemctl is-system-running)\" != stopping ] || exec {program} --state {state} down'
Restart=always
RestartSec=1
TimeoutStartSec=5min
TimeoutStopSec=2min
WatchdogSec=3min
# The proxy and the instances are to survive the controller, a restart of it and the watchdog.
KillMode=process
# Gapless makes cgroups of its own, for limits and for ending whole process trees.
Delegate=yes
LimitNOFILE=1048576
TasksMax=infinity
# Secrets of services stay out of core files.
LimitCORE=0

[Install]
WantedBy=multi-user.target
"
    ))
}

/// A path or name as systemd reads it back: nothing in it that it splits at or replaces.
fn plain(path: &Path) -> Result<&str, Failure> {
    let is_plain = |text: &&str| text.chars().all(|c| c.is_alphanumeric() || "/._-+@:,=".contains(c));
    path.to_str()
        .filter(is_plain)
        .ok_or_else(|| Failure::new(format!("`{}` cannot stand in a unit", path.display())).hint(hint::PLAIN_PATH))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use expect_test::expect;

    use super::{unit, write};

    #[test]
    fn the_unit_starts_notifies_survives_and_drains() {
        let text = unit(Path::new("/usr/local/bin/gapless"), Path::new("/var/lib/gapless"), Some("ops")).unwrap();
        expect![[r#"
            [Unit]
            Description=Gapless: load balancer and deployments without downtime
            Documentation=man:gapless(1)
            # Addresses are there to listen on, and time is right, before anything starts.
            Wants=network-online.target
            After=network-online.target time-sync.target local-fs.target
            # It is tried for ever: traffic goes on meanwhile.
            StartLimitIntervalSec=0

            [Service]
            Type=notify
            User=ops
            ExecStart=/usr/local/bin/gapless --state /var/lib/gapless up
            # Only where the machine goes down: proxies drain, then the instances end in order. A restart of this unit leaves both running.
            ExecStop=-/bin/sh -c '[ "$(systemctl is-system-running)" != stopping ] || exec /usr/local/bin/gapless --state /var/lib/gapless down'
            Restart=always
            RestartSec=1
            TimeoutStartSec=5min
            TimeoutStopSec=2min
            WatchdogSec=3min
            # The proxy and the instances are to survive the controller, a restart of it and the watchdog.
            KillMode=process
            # Gapless makes cgroups of its own, for limits and for ending whole process trees.
            Delegate=yes
            LimitNOFILE=1048576
            TasksMax=infinity
            # Secrets of services stay out of core files.
            LimitCORE=0

            [Install]
            WantedBy=multi-user.target
        "#]].assert_eq(&text);
    }

    /// systemd's own reading of it, where there is one.
    #[test]
    fn systemd_finds_nothing_wrong_with_the_unit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gapless.service");
        std::fs::write(&path, unit(Path::new("/bin/true"), Path::new("/var/lib/gapless"), None).unwrap()).unwrap();
        let Ok(verified) =
            std::process::Command::new("systemd-analyze").arg("verify").arg("--man=no").arg(&path).output()
        else {
            return eprintln!("skipped: there is no systemd-analyze");
        };
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        let about_it: Vec<&str> = said.lines().filter(|line| line.contains("gapless.service")).collect();
        assert!(about_it.is_empty(), "{about_it:?}");
    }

    #[test]
    fn a_path_that_systemd_would_read_otherwise_is_refused() {
        for path in ["/opt/my programs/gapless", "/opt/%h/gapless", "/opt/$HOME/gapless", "/opt/a\nExecStart=/bin/sh"] {
            assert!(unit(Path::new(path), Path::new("/var/lib/gapless"), None).is_err(), "{path}");
        }
    }

    #[test]
    fn a_unit_that_somebody_changed_is_not_replaced_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gapless.service");
        write(&path, "mine", false).unwrap();
        write(&path, "mine", false).unwrap();
        assert!(write(&path, "other", false).is_err());
        write(&path, "other", true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "other");
    }
}
