//! Which files the logs are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gapless_model::{InstanceId, ReleaseLabel, ServiceName};

/// How many instances' logs are kept per service besides those of instances that are there: enough to read, after a bad deploy was rolled
/// back alone at night, what its instances said.
pub const INSTANCES_KEPT: usize = 20;

/// The logs of a state folder.
pub(crate) fn root(state: &Path) -> PathBuf {
    state.join("logs")
}

/// The log folder of an instance.
pub(crate) fn instance_folder(state: &Path, instance: &InstanceId) -> PathBuf {
    root(state).join(instance.service.as_str()).join(instance.to_string())
}

/// Notes the label of the release beside the log.
pub(crate) fn write_label(folder: &Path, label: &ReleaseLabel) -> io::Result<()> {
    fs::write(folder.join("label"), label.as_str())
}

/// The label noted beside a log.
pub(super) fn read_label(folder: &Path) -> Option<ReleaseLabel> {
    ReleaseLabel::new(fs::read_to_string(folder.join("label")).ok()?.trim()).ok()
}

/// The instances of a service that have a log, by ordinal.
pub(super) fn instances(state: &Path, service: &ServiceName) -> Vec<InstanceId> {
    let entries = fs::read_dir(root(state).join(service.as_str())).into_iter().flatten().flatten();
    let mut found: Vec<InstanceId> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    found.sort_by_key(|instance| (instance.ordinal, instance.release));
    found
}

/// Removes the oldest logs of instances that are gone, all but [`INSTANCES_KEPT`].
pub(crate) fn prune(state: &Path, service: &ServiceName) {
    let gone = |instance: &InstanceId| !state.join("instances").join(instance.to_string()).exists();
    let gone: Vec<InstanceId> = instances(state, service).into_iter().filter(gone).collect();
    for instance in &gone[..gone.len().saturating_sub(INSTANCES_KEPT)] {
        let folder = instance_folder(state, instance);
        if let Err(error) = fs::remove_dir_all(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "an old log cannot be removed");
        }
    }
}

/// The numbers of the log files in a folder, rising.
pub(super) fn numbered(folder: &Path) -> Vec<u64> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let number = |name: &str| name.strip_suffix(".log")?.parse::<u64>().ok();
    let mut numbers: Vec<u64> = entries.filter_map(|entry| number(entry.file_name().to_str()?)).collect();
    numbers.sort_unstable();
    numbers
}

/// The name of a log file.
pub(super) fn file_name(number: u64) -> String {
    format!("{number:08}.log")
}
