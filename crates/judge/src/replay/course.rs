//! The replay itself: what was known before, then second by second to the verdict.

use super::assemble::{Happening, RecordedLine, Refused, Replay, Second};
use super::doubts::Doubt;
use super::record::Start;
use crate::arm::{Arm, Arms};
use crate::engine::{Count, Interval};
use crate::evidence::Evidence;
use crate::latency::{CdfPoint, cdf_points};
use crate::log_history::LinesOfInstance;
use crate::logs::{Severity, SignatureId};
use crate::past::Past;
use crate::plan::{MetricId, Plan};
use crate::resources::{InstanceEvent, InstanceEventKind};
use crate::series::{Assembler, InstanceSecond, RouteCount, RouteId};
use crate::signatures::{Declared, LogLine, LogNames, Signatures, WAITING_MAX};
use crate::verdict::{Inconclusive, Verdict};
use crate::window::LogCount;
use crate::{Judge, Settings};
use gapless_model::Tick;
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
    /// What is doubtful about the stream. Where nothing can be judged by it, the verdict says "no data".
    pub doubts: Vec<Doubt>,
    /// The names of the routes, by their numbers.
    pub routes: Vec<String>,
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
    pub fn finish(mut self, until: Until) -> Replayed {
        self.logs.sort_by_key(|line| line.second);
        let start_s = self.start.as_ref().map_or(0, |start| start.at as u64);
        let mut doubts = self.watch.doubts(self.seconds.keys());
        let mut lines = Lines::new(&self);
        let past = self.learn(start_s, &mut lines);
        let settings = self.start.as_ref().and_then(|start| start.settings.clone()).filter(|s| s.check().is_ok());
        let plan = self.plan(&past, settings.unwrap_or_default());
        let run = Run { replay: &self, plan: &plan, start_s };
        let (judge, verdicts, course, last_s) = run.course(&past, &mut lines, until);
        let mut evidence = judge.evidence(Tick(last_s * 1_000), run.deadline());
        if doubts.iter().any(Doubt::forbids_a_verdict) {
            evidence.verdict = Verdict::Inconclusive(Inconclusive::NoData);
        }
        if lines.signatures.overflowed() {
            doubts.push(Doubt::TooManyShapes);
        }
        let latencies = judge.latencies();
        let latency = Arms { candidate: cdf_points(&latencies.candidate), current: cdf_points(&latencies.current) };
        let (log_names, declared) = lines.signatures.finish();
        Replayed {
            candidate: self.start.as_ref().and_then(|start| start.candidate.clone()),
            current: self.start.as_ref().and_then(|start| start.current.clone()),
            evidence,
            second: last_s.saturating_sub(start_s),
            verdicts,
            course,
            latency,
            seconds_before: past.windows(),
            refused: self.refused,
            declared,
            doubts,
            routes: self.routes,
            log_names,
        }
    }

    /// The time before the rollout.
    fn learn(&self, start_s: u64, lines: &mut Lines<'_>) -> Past {
        let mut past = Past::new(&self.metrics);
        if let Some(clients) = self.start.as_ref().and_then(|start| start.clients) {
            past.set_distinct_clients(clients);
        }
        for ((_, instance), host) in self.host_of.iter().filter(|((arm, _), _)| *arm == Arm::Current) {
            past.set_host(u32::from(*instance), u32::from(*host));
        }
        let mut by_second: BTreeMap<u64, Vec<LinesOfInstance>> = BTreeMap::new();
        while lines.read_some(start_s) {
            let (named, _) = lines.signatures.settle();
            for line in named.into_iter().filter(|line| line.arm == Arm::Current) {
                lines.signatures.begin_rollout([line.signature]);
                let of_second = by_second.entry(line.second).or_default();
                of_second.push(LinesOfInstance {
                    instance: line.instance,
                    signature: line.signature,
                    is_error: is_error(line.severity),
                    lines: 1,
                });
            }
        }
        for (at, second) in self.seconds.range(..start_s) {
            let seconds: Vec<InstanceSecond> = instances(second).remove(&Arm::Current).unwrap_or_default();
            let exits = second.happenings.iter().filter(|happening| {
                matches!(happening, Happening::Event { arm: Arm::Current, event: InstanceEventKind::Exited, .. })
            });
            exits.for_each(|_| past.handle_exit());
            past.handle_second(Tick((at + 1) * 1_000), &seconds, by_second.get(at).map_or(&[], Vec::as_slice));
        }
        past
    }

    /// Metrics with counts become part of the plan; gauges have none.
    fn plan(&self, past: &Past, settings: Settings) -> Plan {
        let counted: BTreeSet<u16> =
            self.seconds.values().flat_map(|s| s.counts.keys().map(|place| place.metric)).collect();
        let has_restarts = counted.iter().any(|index| self.metrics[usize::from(*index)] == "restarts");
        let hosts = self.host_of.iter().filter(|((arm, _), _)| *arm == Arm::Candidate);
        let hosts: Vec<u32> = hosts.map(|(_, host)| u32::from(*host)).collect();
        let counted: Vec<u16> = counted.into_iter().collect();
        past.plan(settings, &hosts, &counted, has_restarts)
    }
}

fn is_error(severity: Option<Severity>) -> bool {
    severity.is_some_and(|severity| severity >= Severity::Error)
}

/// What each instance did in a second, by arm.
fn instances(second: &Second) -> BTreeMap<Arm, Vec<InstanceSecond>> {
    let mut by_instance: BTreeMap<(Arm, u16), InstanceSecond> = BTreeMap::new();
    let mut at = |arm: Arm, instance: u16, change: &mut dyn FnMut(&mut InstanceSecond)| {
        let entry = by_instance.entry((arm, instance));
        change(entry.or_insert_with(|| InstanceSecond {
            instance: u32::from(instance),
            reporting: true,
            ..InstanceSecond::default()
        }));
    };
    for (place, (exposure, events)) in &second.counts {
        let count = Count { exposure: *exposure as u64, events: *events as u64 };
        let count = RouteCount { metric: place.metric, route: RouteId(place.route), count };
        at(place.arm, place.instance, &mut |instance| instance.counts.push(count));
    }
    for ((arm, instance), latency) in &second.latency {
        at(*arm, *instance, &mut |instance| instance.latency.add(latency));
    }
    for ((arm, instance), clients) in &second.clients {
        let clients = clients.iter().map(|(route, client)| (RouteId(*route), *client));
        at(*arm, *instance, &mut |instance| instance.failed_clients.extend(clients.clone()));
    }
    let mut by_arm: BTreeMap<Arm, Vec<InstanceSecond>> = BTreeMap::new();
    for ((arm, _), instance) in by_instance {
        by_arm.entry(arm).or_default().push(instance);
    }
    by_arm
}

/// The log lines of a stream, read in the order of their seconds.
struct Lines<'a> {
    lines: &'a [RecordedLine],
    read: usize,
    signatures: Signatures,
}

impl<'a> Lines<'a> {
    fn new(replay: &'a Replay) -> Lines<'a> {
        let signatures = Signatures::new(replay.caveats.clone(), replay.caveats_at_unix_s);
        Lines { lines: &replay.logs, read: 0, signatures }
    }

    /// Reads the lines of the seconds before this one.
    fn read_until(&mut self, second: u64) {
        while self.read_one(second) {}
    }

    /// Reads some of them, as many as may wait for their names; false where there are none.
    fn read_some(&mut self, second: u64) -> bool {
        let before = self.read;
        while self.signatures.waiting() < WAITING_MAX && self.read_one(second) {}
        self.read > before
    }

    fn read_one(&mut self, second: u64) -> bool {
        let Some(line) = self.lines.get(self.read).filter(|line| line.second < second) else { return false };
        let (instance, text) = (u32::from(line.instance), line.text.as_bytes());
        let &RecordedLine { second, arm, failed_request, .. } = line;
        self.signatures.push(&LogLine { instance, arm, second, text, failed_request });
        self.read += 1;
        true
    }

    /// What is named at the end of a second, by signature.
    fn counts(&mut self, second: u64) -> (Vec<LogCount>, Arms<u64>) {
        self.read_until(second + 1);
        let (named, unnamed) = self.signatures.named(second);
        let mut counts: BTreeMap<SignatureId, LogCount> = BTreeMap::new();
        for line in named {
            let count = counts.entry(line.signature).or_insert(LogCount {
                signature: line.signature,
                severity: line.severity,
                known: self.signatures.is_known(line.signature),
                declared: self.signatures.is_declared(line.signature),
                fatal: false,
                lines: Arms::default(),
                corroborated: 0,
            });
            *count.lines.of_mut(line.arm) += 1;
            count.fatal |= line.fatal;
            count.corroborated += u64::from(line.arm == Arm::Candidate && line.failed_request);
        }
        (counts.into_values().collect(), unnamed)
    }
}

/// What stays the same during a replay.
struct Run<'a> {
    replay: &'a Replay,
    plan: &'a Plan,
    start_s: u64,
}

type Course = (Judge, Vec<(u64, Verdict)>, Vec<CoursePoint>, u64);

impl Run<'_> {
    fn deadline(&self) -> Tick {
        let end = self.replay.seconds.keys().next_back().map_or(self.start_s, |last| last + 1);
        let start: Option<&Start> = self.replay.start.as_ref();
        let wanted = start.and_then(|start| start.deadline_s).map(|s| self.start_s.saturating_add(s as u64));
        Tick(wanted.unwrap_or(end).min(end).saturating_mul(1_000))
    }

    fn course(&self, past: &Past, lines: &mut Lines<'_>, until: Until) -> Course {
        let deadline = self.deadline();
        let mut judge = Judge::new(self.plan);
        let mut assembler = self.assembler(past);
        let errors = self.plan.metrics.iter().position(|metric| metric.name == "errors");
        let (mut verdicts, mut course): (Vec<(u64, Verdict)>, Vec<CoursePoint>) = (Vec::new(), Vec::new());
        let rollout: Vec<(&u64, &Second)> = self.replay.seconds.range(self.start_s..).collect();
        let every = rollout.len().div_ceil(POINTS_MAX).max(1);
        let mut last_s = self.start_s;
        for (index, (at, second)) in rollout.iter().enumerate() {
            last_s = **at + 1;
            let now = Tick(last_s * 1_000);
            self.happenings(&mut judge, &mut assembler, now, second);
            let by_arm = instances(second);
            let seconds: Vec<(Arm, InstanceSecond)> = by_arm
                .into_iter()
                .flat_map(|(arm, instances)| instances.into_iter().map(move |instance| (arm, instance)))
                .collect();
            let (logs, unnamed) = lines.counts(**at);
            let mut window = assembler.window(now, &seconds, logs);
            (window.unnamed_errors, window.reporting) = (unnamed, second.reporting);
            judge.handle_window(&window);
            let verdict = judge.verdict(now, deadline);
            let decided = verdict.rolls_back() || verdict.promotes() || now >= deadline;
            if index % every == 0 || decided || index + 1 == rollout.len() {
                course.push(CoursePoint {
                    second: last_s - self.start_s,
                    log_evidence: judge.combined_log_evidence(),
                    errors: errors.and_then(|index| judge.interval_of(MetricId(index as u16))),
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

    /// Instances of the current release were in load before; those of the candidate come into load now.
    fn assembler(&self, past: &Past) -> Assembler {
        let mut assembler = Assembler::new(self.plan, &self.replay.metrics, past.clients().clone());
        for second in self.replay.seconds.values() {
            let of_counts = second.counts.keys().map(|place| (place.arm, place.instance));
            for (arm, instance) in of_counts.chain(second.latency.keys().copied()) {
                if arm == Arm::Current {
                    assembler.know(u32::from(instance), arm);
                }
            }
        }
        assembler
    }

    fn happenings(&self, judge: &mut Judge, assembler: &mut Assembler, now: Tick, second: &Second) {
        let Replay { instances, metrics, .. } = self.replay;
        for happening in &second.happenings {
            match happening {
                Happening::Started { arm, instance } => assembler.restart(u32::from(*instance), *arm),
                Happening::Event { arm, instance, event } => {
                    let instance = instances[usize::from(*instance)].clone();
                    judge.handle_instance(now, *arm, &InstanceEvent { instance, kind: event.clone() });
                }
                Happening::Gauge { arm, instance, name, value, limit } => {
                    let (instance, resource) = (&instances[usize::from(*instance)], &metrics[usize::from(*name)]);
                    judge.handle_gauge(now, *arm, instance, resource, *value);
                    if let Some(limit) = limit {
                        let (value, limit) = (*value as u64, *limit as u64);
                        let kind = InstanceEventKind::Sample { resource: resource.clone(), value, limit };
                        judge.handle_guarded(now, *arm, &InstanceEvent { instance: instance.clone(), kind });
                    }
                }
            }
        }
    }
}
