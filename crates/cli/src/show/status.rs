//! Where everything stands.

use std::fmt::Write as _;

use gapless_wire::api::{
    InstanceLoad, InstanceState, InstanceStatus, ProxyStatus, ReleaseRole, ReleaseStatus, ServiceStatus, Situation,
    Status,
};

use super::style::{Paint, Style};
use super::table::{Cell, Table};
use super::{bytes, explain, going_back, length, releases};

/// All of it, one line per service: what runs or needs somebody comes first.
#[must_use]
pub fn overview(status: &Status, style: Style) -> String {
    let mut text = head(status, style);
    if status.services.is_empty() {
        return text;
    }
    let mut services: Vec<&ServiceStatus> = status.services.iter().collect();
    services.sort_by_key(|service| match service.situation {
        Situation::NeedsOperator { .. } => 0,
        Situation::Rollout { .. } => 1,
        Situation::Settled { .. } | Situation::Empty => 2,
    });
    let mut table = Table::new(&["SERVICE", "RELEASE", "READY", "FLOOR", "STATE"]);
    for service in &services {
        table.row(service_row(service));
    }
    text.push('\n');
    text.push_str(&table.text("", style));
    for service in services {
        for remark in &service.remarks {
            let _ = writeln!(text, "{}: {}: {remark}", style.paint(Paint::Busy, "remark"), service.service);
        }
    }
    if text.lines().count() < PAGE_LINES {
        text.push_str("\n`gapless status SERVICE` shows its instances, `gapless ps` all of them\n");
    }
    text
}

/// Lines of an ordinary terminal, less the one that its prompt needs.
const PAGE_LINES: usize = 23;

/// A service in a row.
fn service_row(service: &ServiceStatus) -> Vec<Cell> {
    let serving = service.releases.iter().find(|release| release.role == ReleaseRole::Current);
    let wanted: usize = service.releases.iter().map(|release| release.instances.len()).sum();
    let ready = ready_in_load(service);
    let (state, paint) = state_of(service, ready);
    vec![
        Cell::painted(service.service.clone(), Paint::Strong),
        serving.map_or_else(|| "-".to_owned(), |release| release.label.clone()).into(),
        if wanted == 0 { "-".into() } else { format!("{ready}/{wanted}").into() },
        service.floor.filter(|_| wanted > 0).map_or_else(|| "-".to_owned(), |floor| floor.to_string()).into(),
        Cell::painted(state, paint),
    ]
}

/// What a service is doing, short enough for a row.
fn state_of(service: &ServiceStatus, ready: usize) -> (String, Paint) {
    match &service.situation {
        Situation::Empty => match service.last_rollout.as_ref() {
            Some(last) => (
                format!("nothing serves; {} {} after {}", last.to, last.state_text(), length(last.took_ms)),
                Paint::Faint,
            ),
            None => ("nothing is deployed".to_owned(), Paint::Faint),
        },
        Situation::Settled { stopped: true, .. } => ("stopped".to_owned(), Paint::Faint),
        Situation::Settled { .. } => {
            let least = service.floor.map_or(1, |floor| usize::from(floor.max(1)));
            if ready < least { ("below its floor".to_owned(), Paint::Bad) } else { ("serves".to_owned(), Paint::Good) }
        }
        Situation::Rollout { rollout, to, strategy, phase, batch, progress_milli, turned_back, .. } => {
            let batch = if batch.of > 1 { format!(" {}/{}", batch.number, batch.of) } else { String::new() };
            let way = match turned_back {
                Some(_) => format!("rollout {rollout} to {to} goes back"),
                None => format!("rollout {rollout}, {strategy} to {to}"),
            };
            (format!("{way}: {phase}{batch}, {}%", progress_milli / 10), Paint::Busy)
        }
        Situation::NeedsOperator { rollout, age_ms, .. } => {
            (format!("rollout {rollout} needs an operator, for {}", length(*age_ms)), Paint::Bad)
        }
    }
}

/// All of it: controller, proxies, services with their instances.
#[must_use]
pub fn text(status: &Status, style: Style) -> String {
    let mut text = head(status, style);
    for service in &status.services {
        text.push('\n');
        text.push_str(&service_text(service, style));
    }
    text
}

/// The controller and the proxies.
fn head(status: &Status, style: Style) -> String {
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

/// The share of the traffic that an instance has: its part of its release's.
fn share(release: &ReleaseStatus, instance: &InstanceStatus) -> String {
    let live = release.instances.iter().filter(|instance| instance.load == InstanceLoad::Live).count();
    match (instance.load, u32::try_from(live)) {
        (InstanceLoad::Live, Ok(live)) if live > 0 => {
            let percent = f64::from(release.weight_bp) / 100.0 / f64::from(live);
            let text = format!("{percent:.1}");
            format!("{}%", text.strip_suffix(".0").unwrap_or(&text))
        }
        _ => String::new(),
    }
}

fn instance_row(release: &ReleaseStatus, instance: &InstanceStatus) -> Vec<Cell> {
    vec![
        instance.instance.clone().into(),
        release.label.clone().into(),
        releases::role(release.role).into(),
        share(release, instance).into(),
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
