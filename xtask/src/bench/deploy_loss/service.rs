//! One instance of the sample service, started and stopped by a script as a careful operator would write it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::bail;
use gapless_load::SEEN_ENV;
use rustix::process::Signal;

use crate::bench::peers::ask;
use crate::bench::process::{Group, free_port, local};

/// Start-up of the service, in milliseconds.
pub const STARTUP_MS: u64 = 1_000;
/// How long an instance may take to become healthy.
const HEALTHY_MAX: Duration = Duration::from_secs(30);
/// From SIGTERM to SIGKILL.
const STOP_MAX: Duration = Duration::from_secs(30);

/// How instances are started.
pub struct Service {
    pub program: PathBuf,
    pub folder: PathBuf,
    pub seen: PathBuf,
}

pub struct Instance {
    group: Group,
    pub port: u16,
}

impl Service {
    /// Starts an instance of a release; it is not healthy yet.
    pub fn start(&self, release: &str) -> anyhow::Result<Instance> {
        let port = free_port()?;
        let mut command = Command::new(&self.program);
        command.args(["--port", &port.to_string(), "--release", release]);
        command.args(["--startup-delay", &STARTUP_MS.to_string()]).env(SEEN_ENV, &self.seen);
        let log = self.folder.join(format!("instance-{port}.log"));
        Ok(Instance { group: Group::start(&mut command, None, &log)?, port })
    }
}

impl Instance {
    /// Waits until the health check answers 200.
    pub fn await_healthy(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + HEALTHY_MAX;
        while ask(local(self.port), "GET", "/healthz", "").is_err() {
            if Instant::now() > deadline {
                bail!("the instance on port {} does not become healthy", self.port);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// SIGTERM, then the end of what is under way, then SIGKILL.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.group.signal(Signal::TERM)?;
        self.group.wait(STOP_MAX);
        Ok(())
    }
}

/// Waits until the service answers through a load balancer.
pub fn await_serving(listen: SocketAddr, log: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + HEALTHY_MAX;
    while let Err(error) = ask(listen, "GET", "/", "") {
        if Instant::now() > deadline {
            return Err(error.context(format!("nothing is served; see {}", log.display())));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
