//! The replay itself: what was known before, then second by second to the verdict.

use super::assemble::{Happening, Refused, Replay, Second};
use super::before::{Before, InstanceCounts};
use super::log_lines::{Declared, Known, LogNames, Named, WindowLines};
use super::record::Start;
use crate::arm::{Arm, Arms};
use crate::engine::{Count, Interval, Table};
use crate::evidence::Evidence;
use crate::latency::{CdfPoint, LatencyWindow, cdf_points};
use crate::logs::{EntryId, SignatureId};
use crate::plan::{MetricId, Plan};
use crate::resources::{InstanceEvent, InstanceEventKind};
use crate::verdict::Verdict;
use crate::window::{MetricWindow, Window};
use crate::{Judge, Settings};
use gapless_model::{Millis, Tick};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Most points of a course: more cannot be told apart in a chart.
const POINTS_MAX: usize = 400;

/// How far to replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The first verdict that rolls back or promotes, as a rollout would.
    Decision,
    /// The end of the stream.
    End,
}

/// The evidence at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CoursePoint {
    /// Seconds since the rollout started.
    pub second: u64,
    /// ln Ē.
    pub log_evidence: f64,
    /// The odds of an error with their interval, where errors are counted.
    pub errors: Option<Interval>,
    /// The verdict's word.
    pub verdict: &'static str,
}

/// What a replay shows.
#[derive(Debug, Serialize)]
pub struct Replayed {
    /// The candidate's label, if the stream names it.
    pub candidate: Option<String>,
    /// The current release's.
    pub current: Option<String>,
    /// Everything the verdict rests on.
    pub evidence: Evidence,
    /// Seconds from the start of the rollout to the verdict.
    pub second: u64,
    /// Every change of the verdict, with its second.
    pub verdicts: Vec<(u64, Verdict)>,
    /// The evidence over time.
    pub course: Vec<CoursePoint>,
    /// Both arms' latency distributions.
    pub latency: Arms<Vec<CdfPoint>>,
    /// Seconds of the time before the rollout.
    pub seconds_before: u64,
    /// What was not counted.
    pub refused: Refused,
    /// Findings of the stream that were declared beforehand, and so not counted against the candidate.
    pub declared: Vec<Declared>,
    /// Templates and examples of the log signatures.
    #[serde(skip)]
    pub log_names: LogNames,
}

impl Replayed {
    /// Why a signature is no reason against the candidate, where that was declared.
    pub fn declared_reason(&self, signature: SignatureId) -> Option<&str> {
        self.declared.iter().find(|declared| declared.signature == signature).map(|declared| declared.reason.as_str())
    }
}

impl Replay {
    /// Replays what was taken. A stream without a start is all rollout.
    pub fn finish(self, until: Until) -> Replayed {
        let Replay { start, seconds, metrics, instances, logs, refused, caveats, caveats_at_unix_s, .. } = self;
        let start_s = start.as_ref().map_or(0, |start| start.at as u64);
        let (lines, ids, log_names) = logs.name();
        let mut before = Before::default();
        for (_, second) in seconds.range(..start_s) {
            let (counts, latency) = current_by_instance(second, &metrics, &instances);
            before.handle_window(&counts, &latency);
        }
        let known: BTreeSet<SignatureId> = lines
            .iter()
            .filter(|line| line.at_ms / 1_000 < start_s && line.arm == Arm::Current)
            .filter_map(|line| ids.get(&line.entry).copied())
            .collect();
        let declared = log_names.declared(&caveats, caveats_at_unix_s);
        let settings = start.as_ref().and_then(|start| start.settings.clone()).filter(|s| s.check().is_ok());
        let plan = plan(&before, &seconds, &metrics, settings.unwrap_or_default());
        let known = Known { seen: known, declared };
        let run = Run { plan: &plan, metrics: &metrics, instances: &instances, start_s, names: &log_names, known, ids };
        let (judge, verdicts, course, last_s) = run.course(&seconds, &lines, start.as_ref(), until);
        let deadline = run.deadline(start.as_ref(), &seconds);
        let evidence = judge.evidence(Tick(last_s * 1_000), deadline);
        let latencies = judge.latencies();
        let latency = Arms { candidate: cdf_points(&latencies.candidate), current: cdf_points(&latencies.current) };
        Replayed {
            candidate: start.as_ref().and_then(|start| start.candidate.clone()),
            current: start.as_ref().and_then(|start| start.current.clone()),
            evidence,
            second: last_s.saturating_sub(start_s),
            verdicts,
            course,
            latency,
            seconds_before: before.windows,
            refused,
            declared: run.known.declared.into_values().collect(),
            log_names,
        }
    }
}

/// Metrics with counts become part of the plan; gauges have none.
fn plan(before: &Before, seconds: &BTreeMap<u64, Second>, metrics: &[String], settings: Settings) -> Plan {
    let counted: BTreeSet<u16> = seconds.values().flat_map(|s| s.counts.keys().map(|place| place.metric)).collect();
    let names: Vec<String> = counted.iter().map(|index| metrics[usize::from(*index)].clone()).collect();
    let has_restarts = names.iter().any(|name| name == "restarts");
    let others: Vec<String> = names.into_iter().filter(|name| name != "restarts").collect();
    before.plan(settings, &others, has_restarts)
}

fn current_by_instance(
    second: &Second,
    metrics: &[String],
    instances: &[String],
) -> (InstanceCounts, BTreeMap<String, LatencyWindow>) {
    let mut counts = InstanceCounts::new();
    for (place, (exposure, events)) in second.counts.iter().filter(|(place, _)| place.arm == Arm::Current) {
        let metric = metrics[usize::from(place.metric)].clone();
        let instance = instances[usize::from(place.instance)].clone();
        counts.entry(metric).or_default().insert(instance, (*exposure as u64, *events as u64));
    }
    let latency = second.latency.iter().filter(|((arm, _), _)| *arm == Arm::Current);
    let latency = latency.map(|((_, i), window)| (instances[usize::from(*i)].clone(), window.clone())).collect();
    (counts, latency)
}

/// What stays the same during a replay.
struct Run<'a> {
    plan: &'a Plan,
    metrics: &'a [String],
    instances: &'a [String],
    start_s: u64,
    names: &'a LogNames,
    known: Known,
    ids: BTreeMap<EntryId, SignatureId>,
}

type Course = (Judge, Vec<(u64, Verdict)>, Vec<CoursePoint>, u64);

impl Run<'_> {
    fn deadline(&self, start: Option<&Start>, seconds: &BTreeMap<u64, Second>) -> Tick {
        let end = seconds.keys().next_back().map_or(self.start_s, |last| last + 1);
        let wanted = start.and_then(|start| start.deadline_s).map(|s| self.start_s + s as u64);
        Tick(wanted.unwrap_or(end).min(end) * 1_000)
    }

    fn course(&self, seconds: &BTreeMap<u64, Second>, lines: &[Named], start: Option<&Start>, until: Until) -> Course {
        let deadline = self.deadline(start, seconds);
        let mut by_second: BTreeMap<u64, WindowLines> = BTreeMap::new();
        for line in lines.iter().filter(|line| line.at_ms / 1_000 >= self.start_s) {
            if let Some(id) = self.ids.get(&line.entry) {
                let window = by_second.entry(line.at_ms / 1_000).or_default();
                window.add(line, *id, self.names, &self.known);
            }
        }
        let mut judge = Judge::new(self.plan);
        let errors = self.plan.metrics.iter().position(|metric| metric.name == "errors");
        let (mut verdicts, mut course): (Vec<(u64, Verdict)>, Vec<CoursePoint>) = (Vec::new(), Vec::new());
        let rollout: Vec<(&u64, &Second)> = seconds.range(self.start_s..).collect();
        let every = rollout.len().div_ceil(POINTS_MAX).max(1);
        let mut last_s = self.start_s;
        for (index, (at, second)) in rollout.iter().enumerate() {
            last_s = **at + 1;
            let now = Tick(last_s * 1_000);
            self.happenings(&mut judge, now, second);
            judge.handle_window(&self.window(now, second, by_second.remove(*at).unwrap_or_default()));
            let verdict = judge.verdict(now, deadline);
            let decided = verdict.rolls_back() || verdict.promotes() || now >= deadline;
            if index % every == 0 || decided || index + 1 == rollout.len() {
                let errors = errors.and_then(|index| judge.interval_of(MetricId(index as u16)));
                let second = last_s - self.start_s;
                course.push(CoursePoint {
                    second,
                    log_evidence: judge.combined_log_evidence(),
                    errors,
                    verdict: verdict.word(),
                });
            }
            if verdicts.last().is_none_or(|(_, last)| *last != verdict) && verdicts.len() < POINTS_MAX {
                verdicts.push((last_s - self.start_s, verdict));
            }
            if decided && until == Until::Decision {
                break;
            }
        }
        (judge, verdicts, course, last_s)
    }

    fn happenings(&self, judge: &mut Judge, now: Tick, second: &Second) {
        for happening in &second.happenings {
            match happening {
                Happening::Event { arm, instance, event } => {
                    let instance = self.instances[usize::from(*instance)].clone();
                    judge.handle_instance(now, *arm, &InstanceEvent { instance, kind: event.clone() });
                }
                Happening::Gauge { arm, instance, name, value, limit } => {
                    let (instance, resource) =
                        (&self.instances[usize::from(*instance)], &self.metrics[usize::from(*name)]);
                    judge.handle_gauge(now, *arm, instance, resource, *value);
                    if let (Arm::Candidate, Some(limit)) = (arm, limit) {
                        let (value, limit) = (*value as u64, *limit as u64);
                        let kind = InstanceEventKind::Sample { resource: resource.clone(), value, limit };
                        judge.handle_guarded(now, &InstanceEvent { instance: instance.clone(), kind });
                    }
                }
            }
        }
    }

    fn window(&self, end: Tick, second: &Second, lines: WindowLines) -> Window {
        let mut tables: BTreeMap<usize, Table> = BTreeMap::new();
        for (place, (exposure, events)) in &second.counts {
            let name = &self.metrics[usize::from(place.metric)];
            let Some(metric) = self.plan.metric(name) else { continue };
            // Restarts are recorded per second, and counted per millisecond.
            let exposure = if name == "restarts" { exposure * 1e3 } else { *exposure };
            let table = tables.entry(usize::from(metric.0)).or_default();
            let side = if place.arm == Arm::Candidate { &mut table.candidate } else { &mut table.current };
            side.add(Count { exposure: exposure as u64, events: *events as u64 });
        }
        let mut latency = Arms::<LatencyWindow>::default();
        for ((arm, _), window) in &second.latency {
            latency.of_mut(*arm).add(window);
        }
        let most = |of: fn(&Table) -> Count| {
            let tables = tables.iter().filter(|(index, _)| self.plan.metrics[**index].name != "restarts");
            tables.map(|(_, table)| of(table).exposure).max().unwrap_or(0)
        };
        Window {
            end,
            length: Millis(1_000),
            requests: Arms {
                candidate: most(|table| table.candidate).max(latency.candidate.requests()),
                current: most(|table| table.current).max(latency.current.requests()),
            },
            reporting: second.reporting,
            counts: tables
                .into_iter()
                .map(|(index, table)| MetricWindow { metric: MetricId(index as u16), table })
                .collect(),
            latency: Some(latency),
            logs: lines.into_counts(),
        }
    }
}
