//! The instances of all services, one line each.

use gapless_wire::api::{InstanceStatus, ServiceStatus, Status};
use serde::Serialize;

use super::status::{load_word, state_word};
use super::style::Style;
use super::table::Table;
use super::{bytes, length};

/// One instance, with what it is an instance of.
#[derive(Clone, Debug, Serialize)]
pub struct Row<'a> {
    /// The service.
    pub service: &'a str,
    /// The label of its release.
    pub release: &'a str,
    /// The instance itself.
    #[serde(flatten)]
    pub instance: &'a InstanceStatus,
}

/// The instances of a service.
pub fn rows(service: &ServiceStatus) -> impl Iterator<Item = Row<'_>> {
    service.releases.iter().flat_map(|release| {
        let row = |instance| Row { service: &service.service, release: &release.label, instance };
        release.instances.iter().map(row)
    })
}

/// The instances as a table.
#[must_use]
pub fn text(status: &Status, style: Style) -> String {
    let mut table = Table::new(&["INSTANCE", "RELEASE", "STATE", "LOAD", "PID", "ADDRESS", "CPU", "MEMORY", "FOR"]);
    let mut any = false;
    for Row { release, instance, .. } in status.services.iter().flat_map(rows) {
        any = true;
        table.row(vec![
            instance.instance.clone().into(),
            release.into(),
            state_word(instance),
            load_word(instance).into(),
            instance.pid.map(|pid| pid.to_string()).unwrap_or_default().into(),
            instance.address.clone().unwrap_or_default().into(),
            instance.cpu_milli.map(|milli| format!("{}%", milli / 10)).unwrap_or_default().into(),
            instance.memory_bytes.map(bytes).unwrap_or_default().into(),
            length(instance.age_ms).into(),
        ]);
    }
    if any { table.text("", style) } else { "no instance runs\n".to_owned() }
}
