//! Where everything stands.

use std::fmt::Write as _;

use gapless_wire::api::{
    InstanceLoad, InstanceState, InstanceStatus, ProxyStatus, ReleaseStatus, ServiceStatus, Situation, Status,
};

use super::style::{Paint, Style};
use super::table::{Cell, Table};
use super::{bytes, explain, going_back, length, releases};

/// All of it: controller, proxies, services.
#[must_use]
pub fn text(status: &Status, style: Style) -> String {
    let controller = &status.controller;
    let mut text = format!(
        "controller  {}, process {}, term {}, up {}; listening on {}\n",
        controller.version,
        controller.pid,
        controller.epoch,
        length(controller.uptime_ms),
        controller.listeners.join(", "),
    );
    if let Some(reason) = &controller.not_deciding {
        let standstill = style.paint(Paint::Bad, "it decides nothing any more");
        let _ = writeln!(
            text,
            "            {standstill}: {reason}; a proxy that dies is still replaced, an instance is not"
        );
    }
    for proxy in &status.proxies {
        text.push_str(&proxy_line(proxy, style));
    }
    for warning in &controller.warnings {
        let _ = writeln!(text, "{}     {warning}", style.paint(Paint::Bad, "warning"));
    }
    if status.services.is_empty() {
        text.push_str("\nno services yet: `gapless deploy` makes the first\n");
    }
    for service in &status.services {
        text.push('\n');
        text.push_str(&service_text(service, style));
    }
    text
}

fn proxy_line(proxy: &ProxyStatus, style: Style) -> String {
    if !proxy.connected {
        let state = style.paint(Paint::Bad, "not connected");
        return format!("proxy       {}: {state}; it serves by its last table\n", proxy.name);
    }
    let applied = proxy.table_applied.as_deref().unwrap_or("none");
    let behind = match &proxy.table_wanted {
        Some(wanted) if Some(wanted) != proxy.table_applied.as_ref() => format!(" (told {wanted})"),
        _ => String::new(),
    };
    let held = if proxy.held > 0 { format!(", {} held", proxy.held) } else { String::new() };
    let leaving = if proxy.leaving { ", drains: another serves in its place" } else { "" };
    let tunnels = if proxy.tunnels > 0 { format!(", {} tunnels", proxy.tunnels) } else { String::new() };
    format!(
        "proxy       {}: table {applied}{behind}, {} connections, {} in flight{held}{tunnels}{leaving}\n",
        proxy.name, proxy.connections, proxy.in_flight
    )
}

/// One service: what it does, its releases and their instances.
#[must_use]
pub fn service_text(service: &ServiceStatus, style: Style) -> String {
    let mut text =
        format!("{}  {}", style.paint(Paint::Strong, &service.service), painted_situation(&service.situation, style));
    if let Situation::Rollout { phase, batch, progress_milli, turned_back, .. } = &service.situation {
        let batch = if batch.of > 1 { format!(" {}/{}", batch.number, batch.of) } else { String::new() };
        let _ = write!(text, ": {phase}{batch}, {}%", progress_milli / 10);
        if let Some(cause) = turned_back {
            let _ = write!(text, ", turned back: {cause}");
        }
    }
    text.push('\n');
    let ready = ready_in_load(service);
    let floor = service.floor.map(|floor| format!("{ready} ready in load, floor {floor}; ")).unwrap_or_default();
    let _ = writeln!(text, "  {floor}going back: {}", going_back(service.rollback));
    if !service.routes.is_empty() {
        let _ = writeln!(text, "  routes: {}", service.routes.join(", "));
    }
    if let Some(preview) = &service.preview {
        let _ = writeln!(text, "  preview: X-Gapless-Preview: {preview}");
    }
    for remark in &service.remarks {
        let _ = writeln!(text, "  {}: {remark}", style.paint(Paint::Busy, "remark"));
    }
    let mut table = Table::new(&[
        "INSTANCE",
        "RELEASE",
        "ROLE",
        "SHARE",
        "STATE",
        "LOAD",
        "IN FLIGHT",
        "ADDRESS",
        "FOR",
        "CPU",
        "MEMORY",
    ]);
    for release in &service.releases {
        for instance in &release.instances {
            table.row(instance_row(release, instance));
        }
    }
    if service.releases.iter().any(|release| !release.instances.is_empty()) {
        text.push_str(&table.text("  ", style));
    }
    text
}

/// How many instances are ready and in load.
#[must_use]
pub fn ready_in_load(service: &ServiceStatus) -> usize {
    service.releases.iter().flat_map(|release| &release.instances).filter(|instance| is_serving(instance)).count()
}

fn is_serving(instance: &InstanceStatus) -> bool {
    instance.state == InstanceState::Ready && instance.load == InstanceLoad::Live
}

/// How an instance is, in a word, and why where it is not well.
pub(super) fn state_word(instance: &InstanceStatus) -> Cell {
    let (state, paint) = match instance.state {
        InstanceState::Starting => ("starting", Paint::Busy),
        InstanceState::Warming => ("warming", Paint::Busy),
        InstanceState::Ready => ("ready", Paint::Good),
        InstanceState::Unhealthy => ("unhealthy", Paint::Bad),
        InstanceState::Stopping => ("stopping", Paint::Busy),
    };
    let state = match &instance.reason {
        Some(reason) => format!("{state}: {reason}"),
        None => state.to_owned(),
    };
    Cell::painted(state, paint)
}

/// Where an instance stands in the routing table, in a word.
pub(super) fn load_word(instance: &InstanceStatus) -> &'static str {
    match instance.load {
        InstanceLoad::Out => "out",
        InstanceLoad::Preview => "preview",
        InstanceLoad::Live => "live",
        InstanceLoad::Draining => "draining",
        InstanceLoad::Drained => "drained",
    }
}

fn instance_row(release: &ReleaseStatus, instance: &InstanceStatus) -> Vec<Cell> {
    vec![
        instance.instance.clone().into(),
        release.label.clone().into(),
        releases::role(release.role).into(),
        format!("{}%", f64::from(release.weight_bp) / 100.0).into(),
        state_word(instance),
        load_word(instance).into(),
        instance.in_flight.map(|count| count.to_string()).unwrap_or_default().into(),
        instance.address.clone().unwrap_or_default().into(),
        length(instance.age_ms).into(),
        instance.cpu_milli.map(|milli| format!("{}%", milli / 10)).unwrap_or_default().into(),
        instance.memory_bytes.map(bytes).unwrap_or_default().into(),
    ]
}

fn painted_situation(situation: &Situation, style: Style) -> String {
    let paint = match situation {
        Situation::Empty => Paint::Faint,
        Situation::Settled { stopped: true, .. } => Paint::Faint,
        Situation::Settled { .. } => Paint::Good,
        Situation::Rollout { .. } => Paint::Busy,
        Situation::NeedsOperator { .. } => Paint::Bad,
    };
    style.paint(paint, &explain::situation(situation))
}
