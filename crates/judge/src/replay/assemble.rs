//! Records into seconds: sums per arm, metric and instance.

use super::doubts::{Watch, hash};
use super::record::{HistogramRecord, Line, LineInvalid, Sample, Start, parse_line};
use crate::arm::Arm;
use crate::latency::{LatencyWindow, bucket_of_us};
use crate::logs::Caveat;
use crate::series::ROUTES_MAX;
use std::collections::BTreeMap;

/// Most metrics of a stream.
pub const METRICS_MAX: usize = 32;

/// Most seconds of a stream: a week.
pub const WINDOWS_MAX: usize = 604_800;

/// Most instances of a stream; records of further ones are refused.
const INSTANCES_MAX: usize = 256;

/// Log lines kept; further ones are refused.
pub const LOG_LINES_MAX: usize = 2_000_000;

/// Clients of one instance in one second whose failed requests are told apart.
const CLIENTS_PER_SECOND_MAX: usize = 10_000;

/// Most samples of gauges and events of instances in one second.
const EVENTS_PER_SECOND_MAX: usize = 1_024;

/// What was not counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Refused {
    /// Lines that are no records.
    pub lines: u64,
    /// Records beyond a bound of the replay.
    pub beyond_bounds: u64,
    /// The first line refused, and why.
    pub first: Option<(u64, String)>,
}

/// Which counter of which instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub arm: Arm,
    pub metric: u16,
    pub instance: u16,
    pub route: u16,
}

/// A log line as it was recorded.
#[derive(Debug)]
pub(super) struct RecordedLine {
    pub second: u64,
    pub arm: Arm,
    pub instance: u16,
    pub failed_request: bool,
    pub text: Box<str>,
}

/// Something of an instance that is no count.
#[derive(Debug, Clone)]
pub(super) enum Happening {
    Gauge { arm: Arm, instance: u16, name: u16, value: f64, limit: Option<f64> },
    Event { arm: Arm, instance: u16, event: crate::resources::InstanceEventKind },
    Started { arm: Arm, instance: u16 },
}

/// One second.
#[derive(Debug, Default)]
pub(super) struct Second {
    pub counts: BTreeMap<Place, (f64, f64)>,
    pub latency: BTreeMap<(Arm, u16), LatencyWindow>,
    pub clients: BTreeMap<(Arm, u16), Vec<(u16, u64)>>,
    pub happenings: Vec<Happening>,
    pub reporting: crate::arm::Arms<bool>,
}

/// Takes the lines of a stream.
#[derive(Debug, Default)]
pub struct Replay {
    pub(super) start: Option<Start>,
    pub(super) seconds: BTreeMap<u64, Second>,
    pub(super) metrics: Vec<String>,
    pub(super) instances: Vec<String>,
    pub(super) routes: Vec<String>,
    pub(super) hosts: Vec<String>,
    /// By instance and arm: the host.
    pub(super) host_of: BTreeMap<(Arm, u16), u16>,
    pub(super) logs: Vec<RecordedLine>,
    pub(super) watch: Watch,
    pub(super) refused: Refused,
    pub(super) caveats: Vec<Caveat>,
    pub(super) caveats_at_unix_s: i64,
    totals: BTreeMap<Place, (f64, f64)>,
    lines: u64,
}

impl Replay {
    /// A replay without lines.
    pub fn new() -> Replay {
        Replay::default()
    }

    /// Declares findings that are reported but not counted against the candidate, whether they come before or after the
    /// lines. The records' seconds are no dates, so the expiry is held against `now_unix_s`, seconds since 1970-01-01 UTC.
    pub fn set_caveats(&mut self, caveats: Vec<Caveat>, now_unix_s: i64) {
        (self.caveats, self.caveats_at_unix_s) = (caveats, now_unix_s);
    }

    /// Takes one line; empty ones are no lines.
    pub fn handle_line(&mut self, line: &[u8]) {
        self.lines += 1;
        if line.trim_ascii().is_empty() {
            return;
        }
        match parse_line(line) {
            Ok(Line::Start(start)) => {
                self.start.get_or_insert(*start);
            }
            Ok(Line::Sample(sample)) => {
                let Sample { arm, instance, at, log, .. } = &*sample;
                self.watch.handle_time(*arm, *at);
                if self.watch.is_repeated(line, *arm, instance, *at, log.is_some()) {
                    return;
                }
                if self.handle_sample(&sample).is_none() {
                    self.refused.beyond_bounds += 1;
                }
            }
            Err(why) => self.refuse(&why),
        }
    }

    fn refuse(&mut self, why: &LineInvalid) {
        self.refused.lines += 1;
        self.refused.first.get_or_insert_with(|| (self.lines, why.to_string()));
    }

    /// Counts a sample; `None` where a bound is reached.
    fn handle_sample(&mut self, sample: &Sample) -> Option<()> {
        let instance = index_of(&mut self.instances, &sample.instance, INSTANCES_MAX)?;
        let at = sample.at as u64;
        if let Some(host) = &sample.host {
            let host = index_of(&mut self.hosts, host, INSTANCES_MAX)?;
            self.host_of.insert((sample.arm, instance), host);
        }
        if let Some(log) = &sample.log {
            return self.keep_line(at, instance, sample, log);
        }
        if !self.seconds.contains_key(&at) && self.seconds.len() >= WINDOWS_MAX {
            return None;
        }
        let difference = match (&sample.metric, sample.exposure) {
            (Some(metric), Some(exposure)) => {
                let metric = index_of(&mut self.metrics, metric, METRICS_MAX)?;
                let route = index_of(&mut self.routes, sample.route.as_deref().unwrap_or(""), ROUTES_MAX);
                let route = route.unwrap_or(ROUTES_MAX as u16);
                let place = Place { arm: sample.arm, metric, instance, route };
                let counted = (exposure, sample.events.unwrap_or(0.0));
                let difference = if sample.total { self.difference(&place, counted) } else { counted };
                Some((place, difference))
            }
            _ => None,
        };
        let gauge = match (&sample.metric, sample.value) {
            (Some(name), Some(value)) => {
                let name = index_of(&mut self.metrics, name, METRICS_MAX)?;
                Some(Happening::Gauge { arm: sample.arm, instance, name, value, limit: sample.limit })
            }
            _ => None,
        };
        let second = self.seconds.entry(at).or_default();
        *second.reporting.of_mut(sample.arm) = true;
        if let Some((place, (exposure, events))) = difference {
            let cell = second.counts.entry(place).or_default();
            cell.0 += exposure;
            cell.1 += events;
        }
        if sample.histogram.is_some() || sample.unanswered.is_some() {
            let window = second.latency.entry((sample.arm, instance)).or_default();
            if let Some(HistogramRecord::Pairs(pairs)) = &sample.histogram {
                pairs.iter().for_each(|(us, count)| window.answered.record_bucket(bucket_of_us(*us), *count));
            }
            window.unanswered = window.unanswered.saturating_add(sample.unanswered.unwrap_or(0.0) as u64);
        }
        if !sample.clients.is_empty() {
            let route = sample.route.as_deref().unwrap_or("");
            let route = self.routes.iter().position(|known| known == route).unwrap_or(0) as u16;
            let clients = second.clients.entry((sample.arm, instance)).or_default();
            let room = CLIENTS_PER_SECOND_MAX.saturating_sub(clients.len());
            clients.extend(sample.clients.iter().take(room).map(|client| (route, hash(client.as_bytes()))));
        }
        let started = sample.event.as_deref() == Some("started");
        let event = sample.event.as_deref().and_then(|event| match event {
            "exited" => Some(crate::resources::InstanceEventKind::Exited),
            "out-of-memory" => Some(crate::resources::InstanceEventKind::OutOfMemory),
            _ => None,
        });
        let happenings =
            gauge.into_iter().chain(event.map(|event| Happening::Event { arm: sample.arm, instance, event }));
        let happenings = happenings.chain(started.then_some(Happening::Started { arm: sample.arm, instance }));
        for happening in happenings {
            if second.happenings.len() >= EVENTS_PER_SECOND_MAX {
                return None;
            }
            second.happenings.push(happening);
        }
        Some(())
    }

    fn keep_line(&mut self, second: u64, instance: u16, sample: &Sample, log: &str) -> Option<()> {
        if self.logs.len() >= LOG_LINES_MAX {
            return None;
        }
        let (arm, failed_request, text) = (sample.arm, sample.failed_request, log.into());
        self.logs.push(RecordedLine { second, arm, instance, failed_request, text });
        Some(())
    }

    /// What a total has grown by. The first total only sets the mark; one that fell belongs to a restarted source, whose new
    /// total has all grown since.
    fn difference(&mut self, place: &Place, total: (f64, f64)) -> (f64, f64) {
        let Some(before) = self.totals.insert(place.clone(), total) else { return (0.0, 0.0) };
        if total.0 < before.0 || total.1 < before.1 { total } else { (total.0 - before.0, total.1 - before.1) }
    }
}

fn index_of(names: &mut Vec<String>, name: &str, most: usize) -> Option<u16> {
    if let Some(index) = names.iter().position(|known| known == name) {
        return u16::try_from(index).ok();
    }
    if names.len() >= most {
        return None;
    }
    names.push(name.to_owned());
    u16::try_from(names.len() - 1).ok()
}
