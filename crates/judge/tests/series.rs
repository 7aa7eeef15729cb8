//! Instances, second by second, through assembler and judge: warm-up, clients, routes, hosts, log lines.

use gapless_judge::clients::FailingClients;
use gapless_judge::engine::Count;
use gapless_judge::log_history::LinesOfInstance;
use gapless_judge::logs::{Severity, SignatureId};
use gapless_judge::past::Past;
use gapless_judge::series::{Assembler, Gathering, InstanceSecond, RouteCount, RouteId};
use gapless_judge::verdict::Inconclusive;
use gapless_judge::{Arm, Arms, Judge, LogCount, Plan, Settings, Tick, Verdict};

const NAMES: [&str; 1] = ["errors"];

fn names() -> Vec<String> {
    NAMES.iter().map(|name| (*name).to_owned()).collect()
}

fn at(instance: u32, route: u16, requests: u64, errors: u64) -> InstanceSecond {
    let count = RouteCount { metric: 0, route: RouteId(route), count: Count { exposure: requests, events: errors } };
    InstanceSecond { instance, counts: vec![count], reporting: true, ..InstanceSecond::default() }
}

fn tick(second: u64) -> Tick {
    Tick((second + 1) * 1_000)
}

/// An hour of three instances of the current release with an error each ten seconds, in turn; each on a host of its own.
fn past(change: impl Fn(u64, &mut InstanceSecond)) -> Past {
    let mut past = Past::new(&names());
    (0..3).for_each(|instance| past.set_host(instance, instance));
    for second in 0..3_600_u64 {
        let mut seconds: Vec<InstanceSecond> = (0..3_u32)
            .map(|instance| at(instance, 0, 30, u64::from(second % 30 == 10 * u64::from(instance))))
            .collect();
        seconds.iter_mut().for_each(|instance| change(second, instance));
        past.handle_second(tick(second), &seconds, &[]);
    }
    past
}

fn judge_of(plan: &Plan) -> (Judge, Assembler) {
    let mut assembler = Assembler::new(plan, &names(), FailingClients::default());
    (0..3).for_each(|instance| assembler.know(instance, Arm::Current));
    (Judge::new(plan), assembler)
}

/// Plays a rollout of half an hour; the last verdict, and its sentence.
fn play(plan: &Plan, second: impl Fn(u64) -> (Vec<(Arm, InstanceSecond)>, Vec<LogCount>)) -> (Verdict, String) {
    let (mut judge, mut assembler) = judge_of(plan);
    let deadline = tick(5_399);
    for now in 3_600..5_400 {
        let (seconds, logs) = second(now);
        judge.handle_window(&assembler.window(tick(now), &seconds, logs));
        let verdict = judge.verdict(tick(now), deadline);
        if verdict.rolls_back() || matches!(verdict, Verdict::Suspect(_)) {
            return (verdict, judge.evidence(tick(now), deadline).to_string());
        }
    }
    (judge.verdict(deadline, deadline), judge.evidence(deadline, deadline).to_string())
}

fn healthy(second: u64) -> Vec<(Arm, InstanceSecond)> {
    let current = (0..3_u32).map(|i| (Arm::Current, at(i, 0, 30, u64::from(second % 30 == 10 * u64::from(i)))));
    current.chain([(Arm::Candidate, at(9, 0, 10, u64::from(second.is_multiple_of(90))))]).collect()
}

fn line(signature: u64, severity: Severity, known: bool, candidate: u64, current: u64) -> LogCount {
    LogCount {
        signature: SignatureId(signature),
        severity: Some(severity),
        known,
        declared: false,
        fatal: false,
        lines: Arms { candidate, current },
        corroborated: 0,
    }
}

#[test]
fn errors_in_the_first_seconds_are_shown_and_not_judged() {
    let plan = past(|_, _| ()).plan(Settings::default(), &[], &[], false);
    let cold = |second: u64| {
        let mut seconds = healthy(second);
        if second < 3_625 {
            seconds[3].1 = at(9, 0, 10, 2);
        }
        (seconds, Vec::new())
    };
    let (verdict, text) = play(&plan, cold);
    assert!(verdict.promotes(), "{text}");
    assert!(text.contains("warm-up, not judged: 50 of 300 requests failed"), "{text}");
}

#[test]
fn a_restarted_instance_of_the_current_release_is_the_control_of_the_warm_up() {
    let plan = past(|_, _| ()).plan(Settings { warm_up_ms: 600_000, ..Settings::default() }, &[], &[], false);
    let (mut judge, mut assembler) = judge_of(&plan);
    assembler.restart(2, Arm::Current);
    for second in 3_600..4_100 {
        let mut seconds = healthy(second);
        // Both new processes are as cold as each other, for minutes; one of them fails more.
        seconds[2].1 = at(2, 0, 10, u64::from(second.is_multiple_of(10)));
        seconds[3].1 = at(9, 0, 10, 5);
        judge.handle_window(&assembler.window(tick(second), &seconds, Vec::new()));
    }
    assert!(judge.failed_at().is_some(), "the warm-up is compared with a warm-up");
}

/// Twenty routes, of which an error each hundred seconds falls on another one and another instance, so that the past is an hour's forty errors.
fn routes(second: u64, instance: u32, requests: u64) -> InstanceSecond {
    let turn = second / 90;
    let fails =
        |route: u16| second.is_multiple_of(90) && turn * 7 % 20 == u64::from(route) && turn % 3 == u64::from(instance);
    let of_route = |route: u16| RouteCount {
        metric: 0,
        route: RouteId(route),
        count: Count { exposure: requests, events: u64::from(fails(route)) },
    };
    InstanceSecond { counts: (0..20).map(of_route).collect(), ..at(instance, 0, 0, 0) }
}

#[test]
fn one_bad_route_of_twenty_is_found_though_an_hour_of_past_has_few_errors() {
    let mut past = Past::new(&names());
    (0..3_600).for_each(|second| past.handle_second(tick(second), &[0, 1, 2].map(|i| routes(second, i, 2)), &[]));
    let plan = past.plan(Settings::default(), &[], &[], false);
    assert_eq!(plan.metrics[0].route_dispersion.as_ref().map(|dispersion| dispersion.index()), Some(1.0));
    let with = |bad_every: u64| {
        move |second: u64| {
            let mut seconds: Vec<(Arm, InstanceSecond)> =
                (0..3).map(|instance| (Arm::Current, routes(second, instance, 2))).collect();
            let mut candidate = routes(second, 9, 1);
            candidate.counts[3].count.events = u64::from(second.is_multiple_of(bad_every));
            seconds.push((Arm::Candidate, candidate));
            (seconds, Vec::new())
        }
    };
    let (verdict, text) = play(&plan, with(200));
    assert!(verdict.rolls_back() || matches!(verdict, Verdict::Suspect(_)), "{text}");
    assert!(text.contains("most on route 3"), "{text}");
    let (verdict, text) = play(&plan, with(100_000));
    assert!(!verdict.rolls_back() && !matches!(verdict, Verdict::Suspect(_)), "{text}");
}

#[test]
fn a_release_in_between_is_told_how_much_longer_would_show_it() {
    let plan = past(|_, _| ()).plan(Settings::default(), &[], &[], false);
    let somewhat_worse = |second: u64| {
        let mut seconds = healthy(second);
        seconds[3].1 = at(9, 0, 10, u64::from(second.is_multiple_of(62)));
        (seconds, Vec::new())
    };
    let (verdict, text) = play(&plan, somewhat_worse);
    assert_eq!(verdict, Verdict::Inconclusive(Inconclusive::Between), "{text}");
    assert!(text.lines().next().is_some_and(|line| line.contains(" min more of this traffic would show it")), "{text}");
}

#[test]
fn a_line_that_speaks_against_the_candidate_is_in_the_first_sentence_with_its_proof() {
    let plan = past(|_, _| ()).plan(Settings::default(), &[], &[], false);
    let writes =
        |second: u64| (healthy(second), vec![line(77, Severity::Error, false, u64::from(second.is_multiple_of(5)), 0)]);
    let (verdict, text) = play(&plan, writes);
    assert!(matches!(verdict, Verdict::Suspect(_)), "{text}");
    let first = text.lines().next().unwrap_or_default();
    assert!(first.contains("ERROR lines of signature") && first.contains("0 → "), "{text}");
    assert!(text.contains("by the current release, by chance at most once in"), "{text}");
}

#[test]
fn one_client_that_always_fails_does_not_roll_back_and_many_do() {
    let past = past(|second, instance| {
        if instance.counts[0].count.events > 0 {
            instance.failed_clients.push((RouteId(0), second));
        }
    });
    let plan = past.plan(Settings::default(), &[], &[], false);
    let with = |client: fn(u64) -> u64| {
        move |second: u64| {
            let mut seconds = healthy(second);
            for (_, instance) in &mut seconds {
                if instance.counts[0].count.events > 0 {
                    instance.failed_clients.push((RouteId(0), second * 10 + u64::from(instance.instance)));
                }
            }
            if second.is_multiple_of(2) {
                seconds[3].1.counts[0].count.events += 1;
                seconds[3].1.failed_clients.push((RouteId(0), client(second)));
            }
            (seconds, Vec::new())
        }
    };
    let (verdict, text) = play(&plan, with(|_| 77));
    assert!(!verdict.rolls_back() && text.contains("shown only"), "{text}");
    let (verdict, text) = play(&plan, with(|second| 1_000_000 + second));
    assert!(verdict.rolls_back() || matches!(verdict, Verdict::Suspect(_)), "{text}");
}

#[test]
fn one_route_of_many_is_found_by_itself() {
    let routes = |bad: bool| {
        move |second: u64| {
            let mut seconds: Vec<(Arm, InstanceSecond)> = Vec::new();
            for (arm, instance, requests) in [(Arm::Current, 0, 9), (Arm::Candidate, 9, 1)] {
                let mut all = InstanceSecond { instance, reporting: true, ..InstanceSecond::default() };
                for route in 0..20 {
                    let base = arm == Arm::Current && (second + u64::from(route)).is_multiple_of(100);
                    let worse = bad && arm == Arm::Candidate && route == 7 && second.is_multiple_of(40);
                    all.counts.extend(at(instance, route, requests, u64::from(base || worse)).counts);
                }
                seconds.push((arm, all));
            }
            (seconds, Vec::new())
        }
    };
    let mut past = Past::new(&names());
    (0..3_600_u64).for_each(|second| {
        let (seconds, _) = routes(false)(second);
        past.handle_second(tick(second), &[seconds[0].1.clone()], &[]);
    });
    let plan = past.plan(Settings::default(), &[], &[], false);
    assert_eq!(plan.metrics[0].routes, 20);
    let (verdict, text) = play(&plan, routes(true));
    assert!(!verdict.promotes() && text.contains("most on route 7"), "{text}");
}

#[test]
fn a_known_error_line_that_comes_more_often_and_a_line_that_stops_both_hold() {
    let mut past = Past::new(&names());
    for second in 0..3_600_u64 {
        let seconds: Vec<InstanceSecond> = (0..3).map(|i| at(i, 0, 30, u64::from(second.is_multiple_of(10)))).collect();
        let written = |signature, is_error, every: u64| {
            let instance = ((second / 3 + second) % 3) as u32;
            let lines = LinesOfInstance { instance, signature: SignatureId(signature), is_error, lines: 1 };
            (second * 31 % 97).is_multiple_of(every).then_some(lines)
        };
        let lines: Vec<LinesOfInstance> = written(1, true, 9).into_iter().chain(written(2, false, 4)).collect();
        past.handle_second(tick(second), &seconds, &lines);
    }
    let plan = past.plan(Settings::default(), &[], &[], false);
    let with = |known: u64, success: u64| {
        move |second: u64| {
            let lines =
                |every: u64, offset: u64| u64::from(every > 0 && ((second + offset) * 31 % 97).is_multiple_of(every));
            let logs = vec![
                line(1, Severity::Error, true, lines(known, 1), lines(9, 0)),
                line(2, Severity::Info, true, lines(success, 2), lines(4, 0)),
            ];
            (healthy(second), logs)
        }
    };
    let (verdict, text) = play(&plan, with(80, 30));
    assert!(verdict.promotes(), "as often as before: {text}");
    let (verdict, text) = play(&plan, with(4, 30));
    assert!(matches!(verdict, Verdict::Suspect(_)) && text.contains("log lines"), "{text}");
    let (verdict, text) = play(&plan, with(80, 0));
    assert!(matches!(verdict, Verdict::Suspect(_)) && text.contains("has stopped"), "{text}");
}

#[test]
fn a_burst_of_known_lines_without_a_failed_request_never_rolls_back() {
    let plan = past(|_, _| ()).plan(Settings::default(), &[], &[], false);
    let burst = |second: u64| {
        let lines = if second % 300 < 3 { 40 } else { 0 };
        (healthy(second), vec![line(1, Severity::Error, true, lines, 0)])
    };
    let (verdict, text) = play(&plan, burst);
    assert!(!verdict.rolls_back(), "{text}");
}

#[test]
fn a_service_too_small_to_judge_is_promoted_openly_or_left_to_a_person() {
    use gapless_judge::plan::SmallService;
    let quiet = |second: u64| {
        let current = (Arm::Current, at(0, 0, u64::from(second.is_multiple_of(2)), 0));
        (vec![current, (Arm::Candidate, at(9, 0, u64::from(second.is_multiple_of(20)), 0))], Vec::new())
    };
    let mut past = Past::new(&names());
    (0..3_600_u64)
        .for_each(|second| past.handle_second(tick(second), &[at(0, 0, u64::from(second.is_multiple_of(2)), 0)], &[]));
    let plan = past.plan(Settings::default(), &[], &[], false);
    let (verdict, text) = play(&plan, quiet);
    assert_eq!(verdict, Verdict::PassUnjudged, "{text}");
    assert!(text.lines().next().unwrap().contains("could not have seen: any change of errors"), "{text}");
    let settings = Settings { small_service: SmallService::Person, ..Settings::default() };
    assert_eq!(play(&past.plan(settings, &[], &[], false), quiet).0.word(), "inconclusive");
}

#[test]
fn seconds_wait_for_every_proxy_and_never_longer_than_they_may() {
    let mut gathering = Gathering::new(vec![1, 2]);
    gathering.handle(1, 10, &[at(0, 0, 5, 1)]);
    assert!(gathering.due(10).is_empty(), "the other proxy has not told yet");
    gathering.handle(2, 10, &[at(0, 0, 7, 0)]);
    let due = gathering.due(10);
    assert_eq!(due[0].1[0].requests(|_| true), 12, "one instance, two proxies");
    gathering.handle(1, 11, &[at(0, 0, 5, 1)]);
    assert_eq!(gathering.due(16).len(), 1, "a proxy that is silent is not waited for for ever");
    gathering.handle(2, 11, &[at(0, 0, 9, 9)]);
    assert_eq!((gathering.due(20).len(), gathering.refused()), (0, 1), "too late, whatever it holds");
}
