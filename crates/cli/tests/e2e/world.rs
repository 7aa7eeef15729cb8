//! One machine of its own: state folder, controller, proxy, instances, all gone at the end.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use gapless_attack::processes;
use gapless_load::SEEN_ENV;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::ports::Ports;

/// How long the program may take for anything that has no other bound.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A controller with its state folder; the tests' view of one machine.
pub struct World {
    folder: tempfile::TempDir,
    pub listen: SocketAddr,
    controller: Option<Child>,
    _ports: Ports,
}

/// How a service is deployed: what the lines of its `gapless.toml` differ in.
pub struct Service {
    /// The `command` as TOML.
    pub command: String,
    /// Files of the release, by name.
    pub files: Vec<(&'static str, String)>,
    /// Further sections and keys, as TOML.
    pub more: String,
}

/// How the program ended.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl World {
    /// A machine whose controller runs and whose proxy listens.
    pub fn up() -> Self {
        let mut world = Self::down();
        world.start_controller(&[]);
        world
    }

    /// A machine on which nothing runs yet.
    pub fn down() -> Self {
        let folder = tempfile::Builder::new().prefix("gapless-e2e-").tempdir().expect("a temporary folder");
        let ports = Ports::take();
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.first));
        let (first, last) = (ports.first + 1, ports.first + Ports::COUNT - 1);
        let server = format!(
            "[[listener]]\naddress = \"{listen}\"\n\n[proxy]\nthreads = 2\n\n[instances]\nports = \"{first}-{last}\"\n"
        );
        fs::write(folder.path().join("gapless-server.toml"), server).expect("the server's configuration");
        Self { folder, listen, controller: None, _ports: ports }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// The file in which instances write the ids they executed.
    pub fn seen(&self) -> PathBuf {
        self.path("seen")
    }

    /// Starts `gapless up` and waits until the proxy listens.
    pub fn start_controller(&mut self, environment: &[(&str, &str)]) {
        let mut command = self.up_command();
        command.envs(environment.iter().copied());
        self.controller = Some(command.spawn().expect("gapless up starts"));
        self.eventually("the proxy listens", || TcpStream::connect(self.listen).is_ok());
        self.eventually("the controller answers", || self.gapless(&["status", "--json"]).code == 0);
    }

    /// Starts `gapless up` with its standard error as a pipe that the caller reads, or does not.
    pub fn start_controller_with_pipe(&mut self, environment: &[(&str, &str)]) -> std::process::ChildStderr {
        let mut command = Command::new(program());
        command.arg("up").arg("--state").arg(self.state()).arg("--config").arg(self.path("gapless-server.toml"));
        command.envs(environment.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("gapless up starts");
        let stderr = child.stderr.take().expect("a pipe");
        self.controller = Some(child);
        stderr
    }

    /// Starts `gapless up` where it may crash on its own at any time: nothing is waited for.
    pub fn start_crashing_controller(&mut self, crash_at: &str) {
        let mut command = self.up_command();
        command.env("GAPLESS_CRASH_AT", crash_at);
        self.controller = Some(command.spawn().expect("gapless up starts"));
    }

    /// `gapless up` of this machine, its talk in `controller.log`; not started yet.
    pub fn up_command(&self) -> Command {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("controller.log")).expect("a log");
        let mut command = Command::new(program());
        command.arg("up").arg("--state").arg(self.state()).arg("--config").arg(self.path("gapless-server.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        command
    }

    /// The controller's process, where it was started here and not taken down.
    #[allow(dead_code, clippy::allow_attributes, reason = "not every suite that includes this module asks for it")]
    pub fn controller_pid(&self) -> Option<u32> {
        self.controller.as_ref().map(Child::id)
    }

    /// `kill -9` of the controller.
    pub fn kill_controller(&mut self) {
        if let Some(mut child) = self.controller.take() {
            child.kill().expect("kill the controller");
            child.wait().expect("the controller is gone");
        }
    }

    /// Ends the controller in good order; proxy and instances serve on.
    pub fn stop_controller(&mut self) {
        if let Some(mut child) = self.controller.take() {
            let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id")).expect("a process id");
            kill_process(pid, Signal::TERM).expect("SIGTERM");
            child.wait().expect("the controller is gone");
        }
    }

    /// Whether the controller has ended by itself.
    pub fn controller_ended(&mut self) -> bool {
        self.controller.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// Runs the program against this machine.
    pub fn gapless(&self, arguments: &[&str]) -> Ended {
        // A verb that never ends fails its test (with 124, after a while) instead of hanging it.
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "150"]).arg(program()).args(arguments).arg("--state").arg(self.state());
        Ended::from(command.stdin(Stdio::null()).current_dir(self.folder.path()).output().expect("gapless runs"))
    }

    /// The folder of a release, written anew.
    pub fn release(&self, service: &Service, label: &str) -> PathBuf {
        let folder = self.path(&format!("release-{label}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a release's folder");
        for (name, text) in &service.files {
            fs::write(folder.join(name), text).expect("a release's file");
        }
        // Different artefacts for different labels, as builds make them.
        fs::write(folder.join("build"), label).expect("a release's file");
        fs::write(folder.join("gapless.toml"), service.toml(&self.seen())).expect("a release's configuration");
        folder
    }

    /// Deploys a release of the service `shop` and waits for the end of the rollout.
    pub fn deploy(&self, service: &Service, label: &str, strategy: &str) -> Ended {
        let folder = self.release(service, label);
        let from = folder.to_str().expect("a path in UTF-8");
        self.gapless(&["deploy", "shop", "--label", label, "--from", from, "--strategy", strategy])
    }

    /// `gapless deploy` in a process of its own, which waits for the end of its order.
    #[allow(dead_code, clippy::allow_attributes, reason = "not every suite that includes this module asks for it")]
    pub fn deploy_beside(&self, service: &Service, label: &str) -> Child {
        let folder = self.release(service, label);
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "150"]).arg(program()).args(["deploy", "shop", "--label", label, "--from"]);
        command.arg(folder).args(["--reason", &format!("because of {label}"), "--state"]).arg(self.state());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("gapless runs")
    }

    /// Orders a deploy of the service `shop` and does not wait for it.
    pub fn deploy_detached(&self, service: &Service, label: &str) -> Ended {
        let folder = self.release(service, label);
        let from = folder.to_str().expect("a path in UTF-8");
        self.gapless(&["deploy", "shop", "--label", label, "--from", from, "--detach"])
    }

    /// Writes other lines into the section `proxy` of the machine's configuration; they hold from the next start of the controller on.
    pub fn configure_proxy(&self, lines: &str) {
        let path = self.path("gapless-server.toml");
        let text = fs::read_to_string(&path).expect("the server's configuration");
        fs::write(&path, text.replace("[proxy]\nthreads = 2\n", &format!("[proxy]\n{lines}"))).expect("another one");
    }

    /// What `gapless status --json` says.
    pub fn status(&self) -> Value {
        let ended = self.gapless(&["status", "--json"]);
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("status: {error}\n{}", self.tell(&ended)))
    }

    /// The receipt of the last rollout.
    pub fn receipt(&self) -> Value {
        let ended = self.gapless(&["receipt", "shop", "--json"]);
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("receipt: {error}\n{}", self.tell(&ended)))
    }

    /// Instances of `shop` that are in load, as `(id, pid)`.
    pub fn live(&self) -> Vec<(String, u32)> {
        let status = self.status();
        let releases = status["services"][0]["releases"].as_array().cloned().unwrap_or_default();
        let instances = releases.iter().filter_map(|release| release["instances"].as_array()).flatten();
        let live = instances.filter(|instance| instance["load"] == "live" && instance["state"] == "ready");
        live.filter_map(|instance| {
            let pid = u32::try_from(instance["pid"].as_u64()?).ok()?;
            Some((instance["instance"].as_str()?.to_owned(), pid))
        })
        .collect()
    }

    /// The process of the proxy that serves; between the death of one and the start of the next it is waited for.
    pub fn proxy_pid(&self) -> u32 {
        let pid = || self.status()["proxies"][0]["pid"].as_u64();
        self.eventually("there is a proxy", || pid().is_some());
        pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0)
    }

    /// Asserts that a deploy or rollback ended well, with a receipt that counts nothing failed by us.
    pub fn assert_done(&self, ended: &Ended) {
        assert_eq!(ended.code, 0, "{}", self.tell(ended));
        let receipt = self.receipt();
        assert_eq!(receipt["failed_by_us"], 0, "{receipt:#}");
    }

    /// Waits for a condition; the failure shows the controller's log.
    pub fn eventually(&self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < deadline, "{what}: not after {} s\n{}", PATIENCE.as_secs(), self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a warning of the controller holds all of these: what it warns of is looked at from time to time, not at the moment of a test.
    pub fn eventually_warned(&self, parts: &[&str]) {
        self.eventually(&format!("a warning holds {parts:?}"), || {
            let warnings = self.warnings();
            parts.iter().all(|part| warnings.contains(part))
        });
    }

    /// All that the controller warns of now.
    pub fn warnings(&self) -> String {
        self.status()["controller"]["warnings"].to_string()
    }

    /// What a failed assertion shows.
    pub fn tell(&self, ended: &Ended) -> String {
        format!("exit {}\nstdout:\n{}\nstderr:\n{}\n{}", ended.code, ended.stdout, ended.stderr, self.log())
    }

    /// The end of the controller's log.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.path("controller.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("controller.log ends with:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"))
    }
}

impl World {
    /// Ends every process of this machine: the proxy and the keepers are made to outlive the controller.
    pub fn end_every_process(&mut self) {
        if let Some(mut child) = self.controller.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        processes::end_all_of_folder(self.folder.path());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.end_every_process();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

impl Service {
    /// The sample service that is part of the program, with flags.
    pub fn sample(flags: &[&str]) -> Self {
        let program = program();
        let mut words = vec![program.to_str().expect("a path in UTF-8"), "sample-service", "--port", "{port}"];
        words.extend(flags);
        let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
        Self { command: format!("[{}]", quoted.join(", ")), files: Vec::new(), more: String::new() }
    }

    /// The same with more configuration.
    pub fn with(mut self, more: &str) -> Self {
        self.more.push_str(more);
        self
    }

    fn toml(&self, seen: &Path) -> String {
        let (command, seen) = (&self.command, seen.display());
        let more = &self.more;
        let strategy =
            if more.contains("[strategy]") { "" } else { "[strategy]\nobserve = \"300ms\"\nbake = \"500ms\"\n" };
        let health =
            if more.contains("[health]") { "" } else { "[health]\nhttp = \"/healthz\"\ninterval = \"200ms\"\n" };
        format!(
            "service = \"shop\"\ninstances = 3\n\n[run]\ncommand = {command}\nstop_grace = \"10s\"\n\
             environment = {{ {SEEN_ENV} = \"{seen}\" }}\n\n{health}\n{strategy}\n{more}"
        )
    }
}

impl Ended {
    /// Waits for a program that was started in a process of its own.
    #[allow(dead_code, clippy::allow_attributes, reason = "not every suite that includes this module asks for it")]
    pub fn of(child: Child) -> Self {
        Self::from(child.wait_with_output().expect("its output"))
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The program under test.
pub fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_gapless"))
}

/// Whether the short form is asked for.
pub fn quick() -> bool {
    std::env::var_os("GAPLESS_QUICK").is_some()
}

/// `kill -9` of any process of a test's machine.
pub fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process id")).expect("a process id");
    kill_process(pid, Signal::KILL).expect("kill -9");
}

/// A program the machine may lack. None means: say so and pass, where not everything is required.
pub fn found(program: &str) -> Option<PathBuf> {
    let python = std::env::var_os("GAPLESS_E2E_PYTHON").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let folders = python.into_iter().chain(std::env::split_paths(&path)).chain(system);
    let found = folders.map(|folder| folder.join(program)).find(|path| path.is_file());
    if found.is_none() {
        assert!(std::env::var_os("GAPLESS_E2E").is_none(), "{program} is missing; `cargo xtask test` installs it");
        eprintln!("skipped: {program} is missing; `cargo xtask test` installs it");
    }
    found
}
