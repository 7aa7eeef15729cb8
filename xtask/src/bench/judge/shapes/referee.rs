//! A scene, judged as `gapless` would: what was before the rollout is learnt from, then each second is judged.

use super::scene::{BEFORE_S, ROLLOUT_S, Scene};
use super::service::{LineKind, Seen, Service};
use gapless_judge::engine::Count;
use gapless_judge::log_history::LinesOfInstance;
use gapless_judge::logs::{Severity, SignatureId};
use gapless_judge::past::Past;
use gapless_judge::resources::{InstanceEvent, InstanceEventKind};
use gapless_judge::series::{Assembler, InstanceSecond, RouteCount, RouteId};
use gapless_judge::{Arm, Arms, Judge, LogCount, Settings, Tick, Verdict};

/// Milliseconds at which a rollout starts, on the judge's clock.
const START_MS: u64 = 10_000_000;

/// Seconds between two looks at the verdict; whether the evidence suffices is looked at every second.
const LOOK_S: i32 = 5;

/// The place of restarts among the names of the metrics; errors are the first.
const RESTARTS: u16 = 1;

/// How a rollout ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// The first verdict that promotes, or the last one.
    pub verdict: Verdict,
    /// Whether it was ever rolled back: a release that was promoted is watched to the end of the hour all the same.
    pub rolled_back: bool,
    /// The first second at which the ramp was frozen or the candidate rolled back.
    pub noticed: Option<i32>,
}

fn tick(at: i32) -> Tick {
    Tick((i64::from(at) * 1_000 + START_MS as i64 + 1_000) as u64)
}

/// Plays a scene to its end, or until it is rolled back.
pub fn play(scene: &Scene, seed: u64) -> Ended {
    let mut service = Service::new(scene, seed);
    let names = vec!["errors".to_owned(), "restarts".to_owned()];
    let past = learn(scene, &mut service, &names);
    let settings = Settings { phases: scene.phases.len() as u16, ..Settings::default() };
    let hosts = service.instances.iter().filter(|instance| instance.arm == Arm::Candidate);
    let hosts: Vec<u32> = hosts.map(|instance| instance.host as u32).collect();
    let plan = past.plan(settings, &hosts, &[], true);
    let mut assembler = Assembler::new(&plan, &names, past.clients().clone());
    for (index, instance) in service.instances.iter().enumerate().filter(|(_, instance)| instance.arm == Arm::Current) {
        assembler.know(index as u32, instance.arm);
    }
    let mut judge = Judge::new(&plan);
    let deadline = tick(ROLLOUT_S);
    let (mut noticed, mut promoted) = (None, None);
    for at in 0..ROLLOUT_S {
        let now = tick(at);
        if at > 0 && scene.phase_at(at) != scene.phase_at(at - 1) {
            judge.begin_phase();
        }
        let (mut seconds, mut logs) = (Vec::new(), Vec::new());
        for index in 0..service.instances.len() {
            let arm = service.instances[index].arm;
            let Some(seen) = service.second(index, at) else { continue };
            seen.lines.iter().for_each(|(kind, lines)| add_lines(&mut logs, arm, *kind, *lines));
            happenings(&mut judge, now, arm, index, &seen);
            seconds.push((arm, instance_second(scene, index, seen)));
        }
        judge.handle_window(&assembler.window(now, &seconds, logs));
        if at % LOOK_S != LOOK_S - 1 && judge.failed_at().is_none() {
            continue;
        }
        let verdict = judge.verdict(now, deadline);
        if noticed.is_none() && promoted.is_none() && (verdict.rolls_back() || verdict.word() == "suspect") {
            noticed = Some(at + 1);
        }
        if verdict.rolls_back() {
            return Ended { verdict: promoted.unwrap_or(verdict), rolled_back: true, noticed };
        }
        if verdict.promotes() && promoted.is_none() {
            promoted = Some(verdict);
        }
    }
    Ended { verdict: promoted.unwrap_or_else(|| judge.verdict(deadline, deadline)), rolled_back: false, noticed }
}

fn instance_second(scene: &Scene, index: usize, seen: Seen) -> InstanceSecond {
    let counts = seen.routes.iter().enumerate().map(|(route, (exposure, events))| RouteCount {
        metric: 0,
        route: RouteId(route as u16),
        count: Count { exposure: *exposure, events: *events },
    });
    let exits = Count { exposure: 1, events: u64::from(seen.exited) };
    let counts = counts.chain([RouteCount { metric: RESTARTS, route: RouteId(0), count: exits }]);
    let clients = if scene.tells_clients { seen.clients } else { Vec::new() };
    InstanceSecond {
        instance: index as u32,
        counts: counts.collect(),
        failed_clients: clients.into_iter().map(|(route, client)| (RouteId(route), client)).collect(),
        latency: seen.latency,
        reporting: true,
    }
}

fn happenings(judge: &mut Judge, now: Tick, arm: Arm, index: usize, seen: &Seen) {
    let instance = format!("{index}");
    if let Some((memory, cpu)) = seen.gauges {
        judge.handle_gauge(now, arm, &instance, "memory", memory);
        judge.handle_gauge(now, arm, &instance, "cpu", cpu);
    }
    if seen.exited {
        judge.handle_instance(now, arm, &InstanceEvent { instance, kind: InstanceEventKind::Exited });
    }
}

fn line(kind: LineKind) -> (SignatureId, Severity) {
    match kind {
        LineKind::KnownError => (SignatureId(1), Severity::Error),
        LineKind::NewError => (SignatureId(2), Severity::Error),
        LineKind::Success => (SignatureId(3), Severity::Info),
    }
}

fn add_lines(logs: &mut Vec<LogCount>, arm: Arm, kind: LineKind, lines: u64) {
    let (signature, severity) = line(kind);
    let place = logs.iter().position(|log| log.signature == signature).unwrap_or_else(|| {
        logs.push(LogCount {
            signature,
            severity: Some(severity),
            known: kind != LineKind::NewError,
            declared: false,
            fatal: false,
            lines: Arms::default(),
            corroborated: 0,
        });
        logs.len() - 1
    });
    *logs[place].lines.of_mut(arm) += lines;
}

fn learn(scene: &Scene, service: &mut Service, names: &[String]) -> Past {
    let mut past = Past::new(names);
    for (index, instance) in service.instances.iter().enumerate().filter(|(_, instance)| instance.arm == Arm::Current) {
        past.set_host(index as u32, instance.host as u32);
    }
    for at in -BEFORE_S..0 {
        let (mut seconds, mut lines) = (Vec::new(), Vec::new());
        for index in 0..service.instances.len() {
            let Some(seen) = service.second(index, at) else { continue };
            if seen.exited {
                past.handle_exit();
            }
            for (kind, count) in &seen.lines {
                let (signature, severity) = line(*kind);
                lines.push(LinesOfInstance {
                    instance: index as u32,
                    signature,
                    is_error: severity >= Severity::Error,
                    lines: *count,
                });
            }
            seconds.push(instance_second(scene, index, seen));
        }
        past.handle_second(tick(at), &seconds, &lines);
    }
    past
}
