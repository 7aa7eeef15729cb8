//! The same deploy by Gapless: `gapless up` once, then `gapless deploy` for each round.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::service::{STARTUP_MS, await_serving};
use super::{Deployer, INSTANCES};
use crate::bench::process::{Group, await_listening, free_port, local};
use gapless_load::SEEN_ENV;

pub struct ByGapless {
    program: PathBuf,
    folder: PathBuf,
    listen: SocketAddr,
    controller: Group,
}

impl ByGapless {
    /// Starts the controller and deploys the first release.
    pub fn start(program: &Path, service: &Path, folder: &Path, seen: &Path) -> anyhow::Result<Self> {
        let listen = local(free_port()?);
        let state = folder.join("state");
        fs::create_dir_all(&state).context("cannot create the state folder")?;
        let server = folder.join("gapless-server.toml");
        fs::write(&server, format!("[[listener]]\naddress = \"{listen}\"\n"))?;
        let release = folder.join("release");
        fs::create_dir_all(&release).context("cannot create the release's folder")?;
        fs::write(release.join("gapless.toml"), configuration(service, seen))?;
        let log = folder.join("controller.log");
        let mut command = Command::new(program);
        command.arg("up").arg("--state").arg(&state).arg("--config").arg(&server);
        let controller = Group::start(&mut command, None, &log)?;
        await_listening(listen, &log)?;
        let mut deployer = Self { program: program.to_owned(), folder: folder.to_owned(), listen, controller };
        deployer.deploy(0)?;
        await_serving(listen, &log)?;
        Ok(deployer)
    }
}

impl Deployer for ByGapless {
    fn name(&self) -> &'static str {
        "gapless"
    }

    fn way(&self) -> String {
        "gapless deploy, rolling, batch of one, surge first".into()
    }

    fn listen(&self) -> SocketAddr {
        self.listen
    }

    fn deploy(&mut self, round: u16) -> anyhow::Result<()> {
        let release = self.folder.join("release");
        // Another artefact each round, as a build makes one.
        fs::write(release.join("build"), round.to_string())?;
        let mut command = Command::new(&self.program);
        command.args(["deploy", "shop", "--label", &format!("r{round}"), "--from"]).arg(&release);
        command.arg("--state").arg(self.folder.join("state"));
        let output = command.output().context("cannot run gapless deploy")?;
        if !output.status.success() {
            bail!("gapless deploy ended with {}:\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}

impl Drop for ByGapless {
    /// The proxy and the keepers are made to outlive the controller; a measurement has to end all of them. They are told by the state
    /// folder of this measurement in their command lines, which no other process has.
    fn drop(&mut self) {
        let _ = self.controller.signal(rustix::process::Signal::KILL);
        let ours = self.folder.display().to_string();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            let named = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(&ours);
            if (named(&line) || named(&environment))
                && let Some(pid) = rustix::process::Pid::from_raw(pid)
                && pid != rustix::process::getpid()
            {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

/// The same service as the script starts, without waiting times the script does not have either.
fn configuration(service: &Path, seen: &Path) -> String {
    let (program, seen) = (service.display(), seen.display());
    format!(
        "service = \"shop\"
instances = {INSTANCES}

[run]
command = [\"{program}\", \"--port\", \"{{port}}\", \"--startup-delay\", \"{STARTUP_MS}\"]
environment = {{ {SEEN_ENV} = \"{seen}\" }}
stop_grace = \"30s\"

[health]
http = \"/healthz\"
interval = \"100ms\"
rise = 1

[strategy]
kind = \"rolling\"
batch = 1
observe = \"0s\"
bake = \"0s\"
"
    )
}
