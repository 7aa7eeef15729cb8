//! The demo's processes and folders.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::story::Teller;
use crate::Failure;

/// The service's name.
pub const SERVICE: &str = "shop";

/// How long the controller may take to serve.
const READY_WITHIN: Duration = Duration::from_secs(15);

/// Folders, the controller's process, and where the service is reached.
pub struct World {
    folder: TempDir,
    program: PathBuf,
    controller: Option<Child>,
    /// Where the proxy listens.
    pub address: SocketAddr,
}

impl World {
    /// Folders made, an address chosen, nothing started.
    pub fn new() -> Result<World, Failure> {
        let failed = |what: &str, error: std::io::Error| Failure::new(what).because(&error);
        let folder = tempfile::Builder::new()
            .prefix("gapless-demo-")
            .tempdir()
            .map_err(|error| failed("cannot make a folder for the demo", error))?;
        let program = std::env::current_exe().map_err(|error| failed("cannot tell where this program is", error))?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(|error| failed("cannot find a free port", error))?;
        let world = World { folder, program, controller: None, address };
        let ports = instance_ports();
        let config = format!(
            "[[listener]]\naddress = \"{address}\"\n\n[proxy]\nthreads = 1\n\n[instances]\nports = \"{}-{}\"\n",
            ports.0, ports.1
        );
        // Whatever the umask: a state folder that others may write is refused.
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(world.state())
            .map_err(|error| failed("cannot make the state folder", error))?;
        std::fs::write(world.server_config(), config)
            .map_err(|error| failed("cannot write the configuration", error))?;
        Ok(world)
    }

    /// The state folder.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The file in which instances write the ids of the requests they executed.
    pub fn seen(&self) -> PathBuf {
        self.folder.path().join("seen")
    }

    fn server_config(&self) -> PathBuf {
        self.folder.path().join("gapless-server.toml")
    }

    fn controller_log(&self) -> PathBuf {
        self.folder.path().join("controller.log")
    }

    /// Writes the code and configuration of a release: the sample service with some flags.
    pub fn release(&self, label: &str, flags: &[&str], strategy: &str) -> Result<PathBuf, Failure> {
        let folder = self.folder.path().join(format!("build-{label}"));
        let failed = |error: std::io::Error| Failure::new(format!("cannot write release {label}")).because(&error);
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let mut command = vec![self.program.display().to_string(), "sample-service".to_owned()];
        command.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let config = format!(
            r#"service = "{SERVICE}"
instances = 4

[run]
command = {command:?}
environment = {{ SAMPLE_SEEN_FILE = {seen:?} }}
stop_grace = "5s"

[health]
http = "/healthz"
interval = "100ms"
timeout = "500ms"
rise = 2
fall = 3
healthy_min = "100ms"
start_timeout = "3s"

{strategy}

[traffic]
replay_with_idempotency_key = true
drain_timeout = "10s"
"#,
            seen = self.seen().display().to_string(),
        );
        std::fs::write(folder.join("gapless.toml"), config).map_err(failed)?;
        std::fs::write(folder.join("VERSION"), format!("{label}\n")).map_err(failed)?;
        Ok(folder)
    }

    /// Starts the controller and waits until it serves.
    pub fn start_controller(&mut self) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::new("cannot start the controller").because(&error);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.controller_log()).map_err(failed)?;
        let mut child = self
            .gapless()
            .arg("up")
            .arg("--config")
            .arg(self.server_config())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(failed)?;
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if self.status().is_ok_and(|status| status["proxies"][0]["connected"] == true) {
                self.controller = Some(child);
                return Ok(());
            }
            let ended = child.try_wait().map_err(failed)?;
            if ended.is_some() || Instant::now() >= deadline {
                let log = std::fs::read_to_string(self.controller_log()).unwrap_or_default();
                let mut failure = Failure::new("the controller did not come up");
                failure.caused_by = log.lines().rev().take(5).map(str::to_owned).collect();
                failure.caused_by.reverse();
                return Err(failure);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills the controller, and nothing else, as `kill -9` does.
    pub fn kill_controller(&mut self) -> Option<u32> {
        let mut child = self.controller.take()?;
        let pid = child.id();
        let _killed = child.kill();
        let _reaped = child.wait();
        Some(pid)
    }

    /// This program with the demo's state.
    pub fn gapless(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--state").arg(self.state()).env_remove("GAPLESS_STATE").env("GAPLESS_LOG", "info");
        command
    }

    /// Deploys and tells each line as it comes. Answers the exit code.
    pub fn deploy(&self, label: &str, folder: &Path, flags: &[&str], teller: &Teller) -> Result<i32, Failure> {
        let failed = |error: std::io::Error| Failure::new(format!("cannot deploy {label}")).because(&error);
        let mut child = self
            .gapless()
            .args(["deploy", SERVICE, "--label", label, "--from"])
            .arg(folder)
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        std::thread::scope(|scope| {
            scope.spawn(|| stderr.into_iter().for_each(|pipe| tell_lines(pipe, teller)));
            stdout.into_iter().for_each(|pipe| tell_lines(pipe, teller));
        });
        Ok(child.wait().map_err(failed)?.code().unwrap_or(-1))
    }

    /// `gapless status --json`.
    pub fn status(&self) -> Result<Value, Failure> {
        self.ask(&["status", "--json"])
    }

    /// What a verb prints as JSON.
    pub fn ask(&self, arguments: &[&str]) -> Result<Value, Failure> {
        let verb = arguments.first().copied().unwrap_or_default();
        let output = self
            .gapless()
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Failure::new(format!("cannot run `gapless {verb}`")).because(&error))?;
        serde_json::from_slice(&output.stdout).map_err(|error| {
            let mut failure = Failure::new(format!("`gapless {verb}` did not answer")).because(&error);
            failure.caused_by.extend(String::from_utf8_lossy(&output.stderr).lines().take(5).map(str::to_owned));
            failure
        })
    }

    /// The processes of the instances in load.
    pub fn instances_in_load(&self) -> Result<Vec<(String, i32)>, Failure> {
        let status = self.status()?;
        let releases = status["services"][0]["releases"].as_array().cloned().unwrap_or_default();
        let instances =
            releases.iter().flat_map(|release| release["instances"].as_array().cloned().unwrap_or_default());
        Ok(instances
            .filter(|instance| instance["load"] == "live" && instance["state"] == "ready")
            .filter_map(|instance| {
                let pid = i32::try_from(instance["pid"].as_i64()?).ok()?;
                Some((instance["instance"].as_str()?.to_owned(), pid))
            })
            .collect())
    }

    /// Ends everything; with `keep`, leaves the folder and says where.
    pub fn end(mut self, keep: bool) -> Option<PathBuf> {
        let _down = self.gapless().arg("down").stdin(Stdio::null()).output();
        let deadline = Instant::now() + Duration::from_secs(15);
        if let Some(mut child) = self.controller.take() {
            while child.try_wait().is_ok_and(|ended| ended.is_none()) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _killed = child.kill();
            let _reaped = child.wait();
        }
        keep.then(|| {
            self.folder.disable_cleanup(true);
            self.folder.path().to_path_buf()
        })
    }
}

fn tell_lines(pipe: impl std::io::Read, teller: &Teller) {
    BufReader::new(pipe).lines().map_while(Result::ok).for_each(|line| teller.quote(&line));
}

/// A range of ports that this demo has for itself, as far as one can tell: by the process id, above the well-known ones and below
/// those that the kernel gives to clients.
fn instance_ports() -> (u16, u16) {
    let block = u16::try_from(std::process::id() % 110).unwrap_or(0);
    let first = 20_000 + block * 100;
    (first, first + 99)
}
