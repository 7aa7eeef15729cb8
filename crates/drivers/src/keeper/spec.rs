//! What a keeper is told in its spec file, and the other files of an instance's folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use gapless_model::{InstanceId, Millis};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::tree;
use crate::driver::{Exit, StartOrder};
use crate::sources::Sourced;
use crate::whole_file;

/// The newest form of spec file known here.
const FORMAT: u32 = 1;

/// All a keeper needs to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) format: u32,
    /// [`InstanceId`] as it prints.
    pub(crate) instance: String,
    pub(crate) label: String,
    pub(crate) port: u16,
    /// The release's folder, absolute.
    pub(crate) folder: PathBuf,
    pub(crate) command: Vec<String>,
    /// `{port}` and `{release}` replaced; complete but for what is read from its sources.
    pub(crate) environment: BTreeMap<String, String>,
    /// What is read at each start. Where there is something, a keeper that starts an instance is given the whole environment on its standard input.
    #[serde(default)]
    pub(crate) sources: Option<Sourced>,
    /// The working folder, relative to the release's.
    pub(crate) working_folder: String,
    pub(crate) user: Option<String>,
    pub(crate) stop_grace_ms: u64,
    pub(crate) memory_bytes_max: Option<u64>,
    pub(crate) cpu_milli_max: Option<u32>,
    pub(crate) tasks_max: Option<u32>,
    pub(crate) log_folder: PathBuf,
    pub(crate) log_file_bytes_max: u64,
    pub(crate) log_files_max: u16,
    /// The term of the driver that last wrote this file; the keeper refuses older ones.
    pub(crate) epoch: u64,
    /// The effect that ordered it.
    pub(crate) effect: u64,
    /// The value of `GAPLESS_KEEPER` in the instance's environment; no other instance on the machine ever had it.
    pub(crate) mark: String,
    /// The boot of the machine in which it was ordered.
    pub(crate) boot: String,
}

impl Spec {
    /// The spec of an order.
    pub(crate) fn new(
        order: &StartOrder,
        release: PathBuf,
        environment: BTreeMap<String, String>,
        log_folder: PathBuf,
        mark: String,
    ) -> Spec {
        let run = &order.run;
        let replace = |text: &String| replace(text, order.port, order.label.as_str());
        Spec {
            format: FORMAT,
            instance: order.instance.to_string(),
            label: order.label.to_string(),
            port: order.port,
            folder: release,
            command: run.command.iter().map(replace).collect(),
            environment,
            sources: Sourced::of(run),
            working_folder: run.folder.clone(),
            user: run.user.clone(),
            stop_grace_ms: run.stop_grace.0,
            memory_bytes_max: run.limits.memory_bytes_max,
            cpu_milli_max: run.limits.cpu_milli_max,
            tasks_max: run.limits.tasks_max,
            log_folder,
            log_file_bytes_max: run.logs.file_bytes_max,
            log_files_max: run.logs.files_max,
            epoch: order.fence.epoch.0,
            effect: order.fence.effect.0,
            mark,
            boot: tree::boot(),
        }
    }

    /// Reads a spec file.
    pub(crate) fn read(path: &Path) -> io::Result<Spec> {
        let spec: Spec = read_json(path)?;
        if spec.format > FORMAT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a spec of format {}", spec.format)));
        }
        Ok(spec)
    }

    /// From SIGTERM to SIGKILL where nobody says otherwise.
    pub(crate) fn stop_grace(&self) -> Millis {
        Millis(self.stop_grace_ms)
    }
}

/// `{port}` and `{release}` replaced.
pub(crate) fn replace(text: &str, port: u16, label: &str) -> String {
    text.replace("{port}", &port.to_string()).replace("{release}", label)
}

/// The folder of one instance, mode 0700.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct InstanceFolder(pub(crate) PathBuf);

impl InstanceFolder {
    /// Of an instance, under a state folder.
    pub(crate) fn of(state: &Path, instance: &InstanceId) -> InstanceFolder {
        InstanceFolder(state.join("instances").join(instance.to_string()))
    }

    /// The order.
    pub(crate) fn spec(&self) -> PathBuf {
        self.0.join("spec.json")
    }

    /// Locked by the keeper for as long as it lives.
    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("keeper.lock")
    }

    /// What `/proc/self/stat` said in the new process before it became the instance: number and start time, written by itself.
    pub(crate) fn main_process(&self) -> PathBuf {
        self.0.join("main.stat")
    }

    /// The path of its cgroup, if it has one.
    pub(crate) fn cgroup(&self) -> PathBuf {
        self.0.join("cgroup")
    }

    /// The named pipe that is the instance's standard output.
    pub(crate) fn out_pipe(&self) -> PathBuf {
        self.0.join("out.pipe")
    }

    /// The named pipe that is the instance's standard error.
    pub(crate) fn err_pipe(&self) -> PathBuf {
        self.0.join("err.pipe")
    }

    /// How it ended.
    pub(crate) fn exit(&self) -> PathBuf {
        self.0.join("exit.json")
    }

    /// The control socket's name within the folder.
    pub(crate) const SOCKET: &'static str = "control.sock";

    /// What the keeper itself has to say.
    pub(crate) fn keeper_log(&self) -> PathBuf {
        self.0.join("keeper.log")
    }

    /// How it ended, if that is written.
    pub(crate) fn read_exit(&self) -> Option<Exit> {
        read_json(&self.exit()).ok()
    }

    /// The main process as it was when it began, if it did.
    pub(crate) fn read_main_process(&self) -> Option<tree::Process> {
        tree::parse(&fs::read_to_string(self.main_process()).ok()?)
    }

    /// A path to the control socket that fits into the 107 bytes of a socket address, however deep the folder lies, by way of the open
    /// folder; valid while the file is open.
    pub(crate) fn socket_path(&self) -> io::Result<(File, PathBuf)> {
        let folder = File::open(&self.0)?;
        let number = std::os::fd::AsRawFd::as_raw_fd(&folder);
        Ok((folder, PathBuf::from(format!("/proc/self/fd/{number}/{}", Self::SOCKET))))
    }
}

/// Writes a value as JSON, durably.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    whole_file::write(path, &serde_json::to_vec_pretty(value)?)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}
