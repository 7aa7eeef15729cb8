//! What the tests of the process driver stand on: a state folder, a release of shell scripts, conditions with deadlines.

#![allow(dead_code, clippy::allow_attributes, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gapless_drivers::driver::{Exit, Fence, InstanceEvent, StartOrder};
use gapless_drivers::logs::LogSelector;
use gapless_drivers::process::ProcessDriver;
use gapless_model::{Digest, EffectNumber, Epoch, InstanceId, Limits, LogLimits, Millis, ReleaseLabel, RunSpec};
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;

/// Far beyond what anything here takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The program that keepers are.
pub const KEEPER: &str = env!("CARGO_BIN_EXE_gapless-keeper");

pub struct Stage {
    pub state: TempDir,
    pub release: Release,
}

/// The unpacked artefact of service `shop`.
pub struct Release(PathBuf);

impl Release {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Its digest.
const ARTEFACT: Digest = Digest([7; 32]);

pub fn id(text: &str) -> InstanceId {
    text.parse().unwrap()
}

impl Stage {
    pub fn new() -> Stage {
        // Deep, so that no socket path would fit into a socket address.
        let state = tempfile::Builder::new().prefix(&"long".repeat(30)).tempdir().unwrap();
        // As a controller leaves it: others may pass through.
        std::fs::set_permissions(state.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let release = state.path().join("releases/shop").join(ARTEFACT.to_string());
        std::fs::create_dir_all(&release).unwrap();
        Stage { state, release: Release(release) }
    }

    pub fn driver(&self, epoch: u64) -> (ProcessDriver, UnboundedReceiver<InstanceEvent>) {
        ProcessDriver::new(self.state.path(), Path::new(KEEPER), Epoch(epoch)).unwrap()
    }

    /// An executable script in the release; its command.
    pub fn script(&self, name: &str, body: &str) -> Vec<String> {
        let path = self.release.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        vec![format!("./{name}")]
    }

    pub fn order(&self, instance: &str, command: Vec<String>) -> StartOrder {
        StartOrder {
            instance: id(instance),
            label: ReleaseLabel::new("1.0").unwrap(),
            artefact: ARTEFACT,
            run: RunSpec {
                command,
                environment: BTreeMap::new(),
                sources: gapless_model::Sources::default(),
                folder: ".".to_owned(),
                user: None,
                stop_grace: Millis(5_000),
                limits: Limits::default(),
                logs: LogLimits { file_bytes_max: 1 << 20, files_max: 4 },
            },
            port: 1,
            fence: Fence { epoch: Epoch(1_000), effect: EffectNumber(1) },
        }
    }

    pub fn instance_folder(&self, instance: &str) -> PathBuf {
        self.state.path().join("instances").join(instance)
    }

    /// The texts that an instance of service `shop` wrote, of one stream (`out`, `err`, `sys`).
    pub fn wrote(&self, driver: &ProcessDriver, instance: &str, stream: &str) -> Vec<String> {
        let instance = id(instance);
        let service = instance.service.clone();
        let selector = LogSelector { service, release: None, instance: Some(instance), since: None, tail: 100_000 };
        let lines = driver.logs().read(&selector).unwrap();
        lines.into_iter().filter(|l| l.line.stream.name() == stream).map(|l| l.line.text).collect()
    }
}

/// Nothing outlives its test: keepers and what they keep are made to, and a test may fail anywhere.
impl Drop for Stage {
    fn drop(&mut self) {
        let folders = std::fs::read_dir(self.state.path().join("instances")).into_iter().flatten().flatten();
        for folder in folders {
            let main = std::fs::read_to_string(folder.path().join("main.stat")).unwrap_or_default();
            if let Some(pid) = keeper_pid(&folder.path()) {
                if let Some(main) = main.split(' ').next().filter(|pid| !pid.is_empty()) {
                    let _gone = std::process::Command::new("kill").args(["-9", main]).status();
                }
                let deadline = std::time::Instant::now() + DEADLINE;
                while !folder.path().join("exit.json").exists() && runs(pid) && std::time::Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(10));
                }
                let _gone = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
            }
        }
    }
}

pub async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub async fn exited(events: &mut UnboundedReceiver<InstanceEvent>) -> (InstanceId, Exit) {
    match tokio::time::timeout(DEADLINE, events.recv()).await.expect("an exit is told").unwrap() {
        InstanceEvent::Exited { instance, exit } => (instance, exit),
    }
}

/// Whether a process is there and not a zombie.
pub fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat[stat.rfind(')').unwrap()..].starts_with(") Z"))
}

/// The keeper of an instance, by its command line.
pub fn keeper_pid(folder: &Path) -> Option<u32> {
    let wanted = folder.join("spec.json").to_str().unwrap().to_owned();
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = String::from_utf8(std::fs::read(entry.path().join("cmdline")).ok()?).ok()?;
        (line.split('\0').any(|argument| argument == wanted) && runs(pid)).then_some(pid)
    })
}

pub fn kill_nine(pid: u32) {
    let status = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(status.success());
}
