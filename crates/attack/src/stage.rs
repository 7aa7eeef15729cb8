//! Gapless as it ships, with origins behind it: `gapless up`, a real deploy, and every process gone at the end.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::case::StageKind;
use crate::run::Target;
use crate::{origin, processes};

/// How long the program may take to listen, and a deploy to end.
const START_MAX: Duration = Duration::from_secs(90);

/// A running Gapless.
#[derive(Debug)]
pub struct Stage {
    folder: tempfile::TempDir,
    address: SocketAddr,
    controller: Child,
}

/// What is started: the program under attack, and the command of an origin, to which `PORT CASES RECORD` are added.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The `gapless` program.
    pub gapless: PathBuf,
    /// Program and arguments that run [`origin::serve`].
    pub origin: Vec<String>,
}

impl StageKind {
    /// How many instances stand behind the proxy.
    #[must_use]
    pub fn instances(self) -> usize {
        match self {
            StageKind::One | StageKind::Short | StageKind::Fragile => 1,
            StageKind::Two => 2,
        }
    }
}

impl Stage {
    /// Starts all of it; it serves when this returns.
    ///
    /// # Errors
    /// A program that does not start, or a deploy that fails, with what they said.
    pub fn start(programs: &Programs, kind: StageKind) -> anyhow::Result<Stage> {
        let folder = tempfile::Builder::new().prefix("gapless-attack-").tempdir().context("no temporary folder")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        write(&folder.path().join("gapless-server.toml"), &server_config(address, kind))?;
        let log = fs::File::create(folder.path().join("controller.log")).context("cannot write a log")?;
        let mut command = Command::new(&programs.gapless);
        command.arg("up").arg("--state").arg(folder.path().join("state"));
        command.arg("--config").arg(folder.path().join("gapless-server.toml"));
        let controller = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", programs.gapless.display()))?;
        let stage = Stage { folder, address, controller };
        stage.await_listening()?;
        stage.deploy(programs, kind)?;
        Ok(stage)
    }

    /// What a case is run against.
    #[must_use]
    pub fn target<'s>(&self, record: &'s Path) -> Target<'s> {
        Target { address: self.address, record }
    }

    /// Where the origins write down what they are asked.
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.folder.path().join("record")
    }

    fn await_listening(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_MAX;
        while TcpStream::connect(self.address).is_err() {
            if Instant::now() > deadline {
                bail!("nothing listens at {}: {}", self.address, self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn deploy(&self, programs: &Programs, kind: StageKind) -> anyhow::Result<()> {
        let release = self.folder.path().join("release");
        fs::create_dir_all(&release).context("cannot make a release")?;
        write(&release.join("gapless.toml"), &service_config(programs, &self.record(), kind))?;
        let deadline = Instant::now() + START_MAX;
        loop {
            let output = Command::new(&programs.gapless)
                .args(["deploy", "attacked", "--label", "1", "--from"])
                .arg(&release)
                .arg("--state")
                .arg(self.folder.path().join("state"))
                .stdin(Stdio::null())
                .output()
                .context("cannot run gapless deploy")?;
            if output.status.success() {
                return Ok(());
            }
            // The API may listen a moment later than the proxy.
            if Instant::now() > deadline {
                bail!("the deploy failed: {}\n{}", String::from_utf8_lossy(&output.stderr), self.log());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("controller.log")).unwrap_or_default()
    }
}

impl Drop for Stage {
    /// Proxy, keepers and instances are made to outlive the controller: all of them are ended here.
    fn drop(&mut self) {
        let _ = self.controller.kill();
        let _ = self.controller.wait();
        processes::end_all_of_folder(self.folder.path());
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr().context("no free port")?.port())
}

fn server_config(address: SocketAddr, kind: StageKind) -> String {
    let times = match kind {
        StageKind::One | StageKind::Two | StageKind::Fragile => "",
        StageKind::Short => "head_timeout = \"1s\"\nkeep_alive_timeout = \"2s\"\n",
    };
    // Below the range that the kernel gives out; a port in use is passed over.
    let first = 4_096 + (std::process::id() % 300) * 16;
    let last = first + 15;
    format!(
        "[[listener]]\naddress = \"{address}\"\n\n[proxy]\nthreads = 1\n{times}\n[instances]\nports = \"{first}-{last}\"\n"
    )
}

fn service_config(programs: &Programs, record: &Path, kind: StageKind) -> String {
    let arguments = origin::Options::arguments("{port}", &crate::folder(), record);
    let words: Vec<String> = programs.origin.iter().chain(&arguments).map(|word| format!("{word:?}")).collect();
    let command = words.join(", ");
    let times = match kind {
        StageKind::One | StageKind::Two => "",
        StageKind::Short => "idle_timeout = \"1s\"\nresponse_timeout = \"2s\"\n",
        StageKind::Fragile => "hold_requests = 5\nhold_wait = \"30s\"\n",
    };
    let instances = kind.instances();
    // An instance that a case makes fail is meant to be asked again: nothing here is about ejection.
    format!(
        "service = \"attacked\"\ninstances = {instances}\n\n[run]\ncommand = [{command}]\nstop_grace = \"1s\"\n\n\
         [health]\nhttp = \"{}\"\ninterval = \"200ms\"\nrise = 1\n\n[strategy]\nobserve = \"0s\"\nbake = \"0s\"\n\n\
         [traffic]\neject_after_failures = 0\neject_above_peers = 0\n{times}",
        origin::HEALTH
    )
}
