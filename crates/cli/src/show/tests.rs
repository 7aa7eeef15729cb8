//! Every table and every screen, as it is printed.

use expect_test::{Expect, expect};
use gapless_wire::api::{
    Batch, ControllerStatus, Event, History, InstanceLoad, InstanceState, InstanceStatus, NextDeadline, PlanAnswer,
    PlannedPhase, ProxyStatus, Receipt, ReleaseCounts, ReleaseRole, ReleaseStatus, ReleaseSummary, Releases,
    RolloutState, RolloutSummary, ServiceStatus, Situation, Status, TimeToRollBack, WaitStatus,
};

use super::style::Style;
use super::{event, explain, history, plan, receipt, releases, status};

fn check(text: &str, expected: &Expect) {
    expected.assert_eq(text);
}

fn summary(rollout: u64, to: &str, state: RolloutState) -> RolloutSummary {
    RolloutSummary {
        rollout,
        from: (rollout > 1).then(|| "1.3.0".to_owned()),
        to: to.to_owned(),
        strategy: if rollout > 1 { "rolling" } else { "first deploy" }.to_owned(),
        state,
        cause: (state == RolloutState::RolledBack).then(|| "shop.r2.i5 exited in load: code 1".to_owned()),
        by: "ada".to_owned(),
        reason: String::new(),
        ordered_at: "2026-11-21T08:00:00Z".to_owned(),
        took_ms: 73_456,
        failed_by_us: state.is_end().then_some(0),
        began: true,
    }
}

fn instance(ordinal: u64, state: InstanceState, load: InstanceLoad) -> InstanceStatus {
    InstanceStatus {
        instance: format!("shop.r2.i{ordinal}"),
        state,
        reason: (state == InstanceState::Unhealthy).then(|| "status 500".to_owned()),
        age_ms: 61_234,
        address: Some(format!("127.0.0.1:{}", 20_000 + ordinal)),
        load,
        in_flight: Some(3),
        pid: Some(4_000),
        cpu_milli: Some(124),
        memory_bytes: Some(52_428_800),
    }
}

fn rolling() -> ServiceStatus {
    ServiceStatus {
        service: "shop".to_owned(),
        situation: Situation::Rollout {
            rollout: 7,
            from: Some("1.3.0".to_owned()),
            to: "1.4.0".to_owned(),
            strategy: "rolling".to_owned(),
            by: "ada".to_owned(),
            reason: "the fix for tea".to_owned(),
            phase: "Warmup".to_owned(),
            phase_age_ms: 3_210,
            batch: Batch { number: 2, of: 4 },
            age_ms: 12_700,
            turned_back: None,
            progress_milli: 384,
        },
        releases: vec![
            ReleaseStatus {
                release: 1,
                label: "1.3.0".to_owned(),
                role: ReleaseRole::Current,
                weight_bp: 7_500,
                instances: vec![
                    instance(1, InstanceState::Ready, InstanceLoad::Live),
                    instance(2, InstanceState::Unhealthy, InstanceLoad::Live),
                ],
            },
            ReleaseStatus {
                release: 2,
                label: "1.4.0".to_owned(),
                role: ReleaseRole::Candidate,
                weight_bp: 2_500,
                instances: vec![
                    instance(5, InstanceState::Ready, InstanceLoad::Live),
                    InstanceStatus {
                        address: None,
                        in_flight: None,
                        cpu_milli: None,
                        memory_bytes: None,
                        ..instance(6, InstanceState::Starting, InstanceLoad::Out)
                    },
                ],
            },
        ],
        waits: vec![
            WaitStatus { awaited: "ready".to_owned(), text: "shop.r2.i6 to be ready".to_owned(), age_ms: 2_100 },
            WaitStatus { awaited: "applied".to_owned(), text: "all proxies to use table 12".to_owned(), age_ms: 12 },
        ],
        next: Some(NextDeadline { in_ms: 57_000, then: "the rollout rolls back".to_owned() }),
        rollback: TimeToRollBack::Restart { expected_ms: 2_500 },
        queued: Some(8),
        routes: vec!["shop.example.com/".to_owned()],
        floor: Some(2),
        last_rollout: Some(summary(6, "1.3.0", RolloutState::Done)),
        preview: Some("1.4.0:0123456789abcdef0123456789abcdef".to_owned()),
        remarks: vec!["the CPU limit is not enforced: no cgroup v2 with that controller can be written".to_owned()],
        last_words: Vec::new(),
        losses: gapless_wire::api::Losses::default(),
    }
}

fn settled() -> ServiceStatus {
    ServiceStatus {
        situation: Situation::Settled { current: "1.3.0".to_owned(), stopped: false },
        waits: Vec::new(),
        next: None,
        rollback: TimeToRollBack::OneTable,
        queued: None,
        last_rollout: Some(summary(7, "1.4.0", RolloutState::RolledBack)),
        releases: rolling().releases.into_iter().take(1).collect(),
        ..rolling()
    }
}

fn status_of(services: Vec<ServiceStatus>) -> Status {
    Status {
        controller: ControllerStatus {
            not_deciding: None,
            version: "0.1.0".to_owned(),
            pid: 321,
            epoch: 4,
            uptime_ms: 11_042_000,
            now: String::new(),
            state_folder: "/var/lib/gapless".to_owned(),
            listeners: vec!["0.0.0.0:80".to_owned()],
            warnings: vec!["cgroup v2 cannot be written: limits are not enforced".to_owned()],
        },
        proxies: vec![
            ProxyStatus {
                name: "main".to_owned(),
                pid: Some(322),
                connected: true,
                table_applied: Some("4.11".to_owned()),
                table_wanted: Some("4.12".to_owned()),
                connections: 64,
                in_flight: 3,
                held: 2,
                tunnels: 0,
                leaving: false,
            },
            ProxyStatus {
                name: "other".to_owned(),
                pid: None,
                connected: false,
                table_applied: None,
                table_wanted: None,
                connections: 0,
                in_flight: 0,
                held: 0,
                tunnels: 0,
                leaving: false,
            },
        ],
        services,
    }
}

#[test]
fn status_shows_a_rollout_with_every_instance() {
    check(
        &status::text(&status_of(vec![rolling()]), Style::Plain),
        &expect![[r#"
            controller  0.1.0, process 321, term 4, up 3h4m2s; listening on 0.0.0.0:80
            proxy       main: table 4.11 (told 4.12), 64 connections, 3 in flight, 2 held
            proxy       other: not connected; it serves by its last table
            warning     cgroup v2 cannot be written: limits are not enforced

            shop  rollout 7, rolling from 1.3.0 to 1.4.0: Warmup 2/4, 38%
              2 ready in load, floor 2; going back: about 2.5s, its instances have to start
              routes: shop.example.com/
              preview: X-Gapless-Preview: 1.4.0:0123456789abcdef0123456789abcdef
              remark: the CPU limit is not enforced: no cgroup v2 with that controller can be written
              INSTANCE    RELEASE  ROLE       SHARE  STATE                  LOAD  IN FLIGHT  ADDRESS          FOR   CPU  MEMORY
              shop.r2.i1  1.3.0    current    37.5%  ready                  live  3          127.0.0.1:20001  1m1s  12%  50.0MiB
              shop.r2.i2  1.3.0    current    37.5%  unhealthy: status 500  live  3          127.0.0.1:20002  1m1s  12%  50.0MiB
              shop.r2.i5  1.4.0    candidate  25%    ready                  live  3          127.0.0.1:20005  1m1s  12%  50.0MiB
              shop.r2.i6  1.4.0    candidate         starting               out                               1m1s
        "#]],
    );
}

#[test]
fn status_without_services_says_what_to_do() {
    check(
        &status::text(&status_of(Vec::new()), Style::Plain),
        &expect![[r#"
        controller  0.1.0, process 321, term 4, up 3h4m2s; listening on 0.0.0.0:80
        proxy       main: table 4.11 (told 4.12), 64 connections, 3 in flight, 2 held
        proxy       other: not connected; it serves by its last table
        warning     cgroup v2 cannot be written: limits are not enforced

        no services yet: `gapless deploy` makes the first
    "#]],
    );
}

#[test]
fn explain_says_what_is_waited_for_and_what_comes_next() {
    check(
        &explain::text(&rolling(), Style::Plain),
        &expect![[r#"
            shop: rollout 7, rolling from 1.3.0 to 1.4.0
              ordered       by ada (the fix for tea)
              phase         Warmup 2/4, for 3.2s; 38% in 12.7s
              waits for     shop.r2.i6 to be ready, for 2.1s
                            all proxies to use table 12, for 12ms
              remark        the CPU limit is not enforced: no cgroup v2 with that controller can be written
              next          in 57s: the rollout rolls back
              queued        rollout 8 waits for rollout 7
              preview       X-Gapless-Preview: 1.4.0:0123456789abcdef0123456789abcdef
              going back    about 2.5s, its instances have to start
        "#]],
    );
}

#[test]
fn explain_of_a_settled_service_tells_how_its_last_rollout_ended() {
    check(
        &explain::text(&settled(), Style::Plain),
        &expect![[r#"
            shop: 1.3.0 serves
              waits for     nothing
              remark        the CPU limit is not enforced: no cgroup v2 with that controller can be written
              preview       X-Gapless-Preview: 1.4.0:0123456789abcdef0123456789abcdef
              going back    one table change
              last rollout  7 to 1.4.0 rolled back: shop.r2.i5 exited in load: code 1
        "#]],
    );
}

#[test]
fn explain_tells_who_is_needed() {
    let service = ServiceStatus {
        situation: Situation::NeedsOperator {
            rollout: 7,
            reason: "Rollback did not end within 1m".to_owned(),
            age_ms: 5_000,
        },
        last_rollout: None,
        ..settled()
    };
    check(
        &explain::text(&service, Style::Plain),
        &expect![[r#"
            shop: rollout 7 needs an operator, for 5s: Rollback did not end within 1m
              waits for     nothing
              remark        the CPU limit is not enforced: no cgroup v2 with that controller can be written
              preview       X-Gapless-Preview: 1.4.0:0123456789abcdef0123456789abcdef
              going back    one table change
        "#]],
    );
}

#[test]
fn a_plan_is_a_table_of_phases() {
    let phase = |phase: &str, number, what: &str| PlannedPhase {
        phase: phase.to_owned(),
        batch: Batch { number, of: 2 },
        what: what.to_owned(),
        expected_ms: 2_000,
        deadline_ms: 60_000,
        then: "the rollout rolls back".to_owned(),
    };
    let plan = PlanAnswer {
        service: "shop".to_owned(),
        from: Some("1.3.0".to_owned()),
        to: "1.4.0".to_owned(),
        strategy: "rolling".to_owned(),
        phases: vec![phase("Start", 1, "start 1 instance of 1.4.0"), phase("Expose", 2, "put it in load")],
        expected_ms: 34_000,
        timeout_ms: 1_800_000,
        problems: Vec::new(),
        rollback: TimeToRollBack::OneTable,
    };
    check(
        &plan::text(&plan, Style::Plain),
        &expect![[r#"
            shop: rolling from 1.3.0 to 1.4.0

              PHASE   BATCH  WHAT                       ABOUT  MOST  ELSE
              Start   1/2    start 1 instance of 1.4.0  2s     1m    rolls back
              Expose  2/2    put it in load             2s     1m    rolls back

            about 34s in all, at most 30m;
            going back once it has all traffic: one table change
        "#]],
    );
}

#[test]
fn history_lists_rollouts_with_what_was_lost() {
    let running = RolloutSummary { reason: "the fix for tea".to_owned(), ..summary(8, "1.4.1", RolloutState::Running) };
    let rollouts =
        vec![running, summary(7, "1.4.0", RolloutState::RolledBack), summary(1, "1.3.0", RolloutState::Done)];
    check(
        &history::text(&History { rollouts }, Style::Plain),
        &expect![[r#"
        ROLLOUT  FROM   TO     STRATEGY      STATE        TOOK   LOST  ORDERED               BY   WHY
        8        1.3.0  1.4.1  rolling       running      1m13s  -     2026-11-21T08:00:00Z  ada  the fix for tea
        7        1.3.0  1.4.0  rolling       rolled back  1m13s  0     2026-11-21T08:00:00Z  ada  shop.r2.i5 exited in load: code 1
        1        -      1.3.0  first deploy  done         1m13s  0     2026-11-21T08:00:00Z  ada
    "#]],
    );
    check(
        &history::text(&History::default(), Style::Plain),
        &expect![[r#"
        no rollouts yet
    "#]],
    );
}

#[test]
fn releases_are_listed_with_their_role() {
    let release = |release, label: &str, role| ReleaseSummary {
        release,
        label: label.to_owned(),
        digest: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
        role,
        instances: 4,
        registered_at: "2026-11-21T08:00:00Z".to_owned(),
        bytes: Some(1_234_567),
    };
    let releases = Releases {
        releases: vec![release(2, "1.4.0", ReleaseRole::Current), release(1, "1.3.0", ReleaseRole::Previous)],
    };
    check(
        &releases::text(&releases, Style::Plain),
        &expect![[r#"
        LABEL  ROLE      INSTANCES  REGISTERED            SIZE    DIGEST
        1.4.0  current   4          2026-11-21T08:00:00Z  1.2MiB  9f86d081884c
        1.3.0  previous  4          2026-11-21T08:00:00Z  1.2MiB  9f86d081884c
    "#]],
    );
    check(
        &releases::text(&Releases::default(), Style::Plain),
        &expect![[r#"
        no releases yet
    "#]],
    );
}

fn paid(failed_by_us: u64) -> Receipt {
    let counts = |label: &str, answered| ReleaseCounts {
        label: label.to_owned(),
        answered,
        by_class: [("2xx".to_owned(), answered - 2), ("4xx".to_owned(), 2)].into(),
        failed: 0,
        p50_us: Some(830),
        p99_us: Some(12_400),
    };
    Receipt {
        last_words: None,
        counted_before: Vec::new(),
        service: "shop".to_owned(),
        rollout: summary(7, "1.4.0", RolloutState::Done),
        requests: 20_005,
        releases: vec![counts("1.4.0", 12_000), counts("1.3.0", 8_000)],
        answered_by_us: 2 + failed_by_us,
        client_left: 2,
        cut: 1,
        retried: 3,
        replayed: 1,
        held: 12,
        longest_wait_ms: 812,
        failed_by_service: 1,
        server_errors: 0,
        failed_by_us,
        reasons: [("no_route".to_owned(), 2)].into(),
        tunnels_draining: failed_by_us,
        complete: failed_by_us == 0,
        unknown: Vec::new(),
    }
}

#[test]
fn a_receipt_counts_what_the_rollout_cost() {
    check(
        &receipt::text(&paid(0), Style::Plain),
        &expect![[r#"
        receipt of rollout 7 of shop: 1.3.0 to 1.4.0 by rolling, done after 1m13s
                                 REQUESTS
          answered by 1.4.0      12000     2xx 11998, 4xx 2; half within 830µs, 99% within 12ms
          answered by 1.3.0      8000      2xx 7998, 4xx 2; half within 830µs, 99% within 12ms
          answered by Gapless    2
          client left            2
          cut                    1
          retried                3
          replayed               1
          held                   12        longest wait 812ms
          failed by the service  1
          failed by us           0
          ends without a release's answer: no_route 2
    "#]],
    );
}

#[test]
fn a_receipt_counts_the_services_own_errors_by_release() {
    let mut receipt = paid(0);
    receipt.server_errors = 1_563;
    receipt.releases.truncate(1);
    receipt.releases[0].by_class = [("2xx".to_owned(), 437), ("5xx".to_owned(), 1_563)].into();
    receipt.releases[0].failed = 1_564;
    let text = receipt::text(&receipt, Style::Plain);
    let told: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| line.contains("by the service") || line.contains("by 1.4.0"))
        .collect();
    check(
        &told.join("\n"),
        &expect![[r#"
            answered by 1.4.0      12000     2xx 437, 5xx 1563; 1564 failed; half within 830µs, 99% within 12ms
            failed by the service  1564      1563 of them answered 5xx"#]],
    );
}

#[test]
fn a_receipt_of_a_lossy_rollout_says_so() {
    check(
        &receipt::text(&paid(4), Style::Plain),
        &expect![[r#"
            receipt of rollout 7 of shop: 1.3.0 to 1.4.0 by rolling, done after 1m13s
                                     REQUESTS
              answered by 1.4.0      12000     2xx 11998, 4xx 2; half within 830µs, 99% within 12ms
              answered by 1.3.0      8000      2xx 7998, 4xx 2; half within 830µs, 99% within 12ms
              answered by Gapless    6
              client left            2
              cut                    1
              retried                3
              replayed               1
              held                   12        longest wait 812ms
              failed by the service  1
              failed by us           4
              ends without a release's answer: no_route 2
              4 tunnels of instances out of load were still open: they drain on, and are on no receipt
              a proxy ended meanwhile: the counts of its last second are not known
        "#]],
    );
}

#[test]
fn colour_changes_no_word() {
    let painted = receipt::text(&paid(4), Style::Colour);
    assert!(painted.contains("\x1b[31m"));
    let mut plain = String::new();
    let mut rest = painted.as_str();
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    plain.push_str(rest);
    assert_eq!(plain, receipt::text(&paid(4), Style::Plain));
}

#[test]
fn an_action_is_one_line_with_its_time() {
    let base = Event {
        seq: 0,
        at_ms: 12_345,
        at: String::new(),
        phase: Some("Warmup".to_owned()),
        batch: Some(Batch { number: 2, of: 4 }),
        action: "ready".to_owned(),
        instance: Some("shop.r2.i5".to_owned()),
        text: "shop.r2.i5 is ready".to_owned(),
        took_ms: None,
        progress_milli: 400,
        ended: None,
    };
    let entered = Event { action: "entered".to_owned(), text: "Warmup 2/4".to_owned(), ..base.clone() };
    let began = Event {
        at_ms: 0,
        phase: None,
        batch: None,
        action: "began".to_owned(),
        text: "rolling from 1.3.0 to 1.4.0".to_owned(),
        ..base.clone()
    };
    let lines: Vec<String> = [began, entered, base].iter().map(|shown| event::line(shown, Style::Plain)).collect();
    check(
        &format!("time  phase  action\n{}", lines.join("\n")),
        &expect![[r#"
            time  phase  action
                0.0s                 rolling from 1.3.0 to 1.4.0
               12.3s  Warmup 2/4
               12.3s  Warmup 2/4     shop.r2.i5 is ready"#]],
    );
}

#[test]
fn status_of_all_services_is_a_line_each_with_what_runs_on_top() {
    let named = |name: &str, service: ServiceStatus| ServiceStatus { service: name.to_owned(), ..service };
    let stopped = ServiceStatus {
        situation: Situation::Settled { current: "2.0".to_owned(), stopped: true },
        releases: Vec::new(),
        ..settled()
    };
    let empty = ServiceStatus { situation: Situation::Empty, floor: None, releases: Vec::new(), ..settled() };
    let services = vec![named("api", settled()), named("blog", stopped), named("new", empty), named("shop", rolling())];
    let services = services.into_iter().map(|service| ServiceStatus { remarks: Vec::new(), ..service }).collect();
    let text = status::overview(&status_of(services), Style::Plain);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    check(
        &text,
        &expect![[r#"
        controller  0.1.0, process 321, term 4, up 3h4m2s; listening on 0.0.0.0:80
        proxy       main: table 4.11 (told 4.12), 64 connections, 3 in flight, 2 held
        proxy       other: not connected; it serves by its last table
        warning     cgroup v2 cannot be written: limits are not enforced

        SERVICE  RELEASE  READY  FLOOR  STATE
        shop     1.3.0    2/4    2      rollout 7, rolling to 1.4.0: Warmup 2/4, 38%
        api      1.3.0    1/2    2      below its floor
        blog     -        -      -      stopped
        new      -        -      -      nothing serves; 1.4.0 rolled back after 1m13s

        `gapless status SERVICE` shows its instances, `gapless ps` all of them
    "#]],
    );
}

#[test]
fn a_plan_of_many_batches_tells_the_first_and_the_last_within_80_columns() {
    let batches = 8;
    let phases = (1..=batches).flat_map(|number| {
        let last = number == batches;
        let phase = move |phase: &str, what: String, expected_ms, deadline_ms, then: &str| PlannedPhase {
            phase: phase.to_owned(),
            batch: Batch { number, of: batches },
            what,
            expected_ms,
            deadline_ms,
            then: then.to_owned(),
        };
        let back = "the rollout rolls back";
        let end = if last { "the rollout is done, and what is left drains behind it" } else { back };
        [
            phase("Start", "start 1 instance of 1.4.0".to_owned(), 0, 60_000, back),
            phase("Expose", format!("route to 1.3.0 × {} and 1.4.0 × {number}", 9 - number), 0, 30_000, back),
            phase("Observe", "watch the batch in load".to_owned(), 5_000, 65_000, back),
            phase("Drain", "take 1 instance of 1.3.0 out of load".to_owned(), 0, 60_000, end),
        ]
    });
    let plan = PlanAnswer {
        service: "shop".to_owned(),
        from: Some("1.3.0".to_owned()),
        to: "1.4.0".to_owned(),
        strategy: "rolling".to_owned(),
        phases: phases.collect(),
        expected_ms: 40_000,
        timeout_ms: 1_800_000,
        problems: vec!["there is no user \"web\"".to_owned()],
        rollback: TimeToRollBack::OneTable,
    };
    let text = plan::text(&plan, Style::Plain);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    check(
        &text,
        &expect![[r#"
        shop: rolling from 1.3.0 to 1.4.0

          PHASE    BATCH  WHAT                                  ABOUT  MOST  ELSE
          Start    1/8    start 1 instance of 1.4.0                    1m    rolls back
          Expose   1/8    route to 1.3.0 × 8 and 1.4.0 × 1             30s   rolls back
          Observe  1/8    watch the batch in load               5s     1m5s  rolls back
          Drain    1/8    take 1 instance of 1.3.0 out of load         1m    rolls back
          ...      2-7    each as the batch before
          Start    8/8    start 1 instance of 1.4.0                    1m    rolls back
          Expose   8/8    route to 1.3.0 × 1 and 1.4.0 × 8             30s   rolls back
          Observe  8/8    watch the batch in load               5s     1m5s  rolls back
          Drain    8/8    take 1 instance of 1.3.0 out of load         1m    ends

        about 40s in all, at most 30m;
        going back once it has all traffic: one table change
        it would fail: there is no user "web"
    "#]],
    );
}

#[test]
fn a_long_text_in_brackets_is_told_once() {
    let path = "/usr/local/bin:".repeat(17);
    let reason = format!("there is no program \"serve\" in PATH ({path})");
    let mut told = std::collections::BTreeSet::new();
    assert_eq!(event::fold(&reason, &mut told), reason);
    assert_eq!(event::fold(&reason, &mut told), "there is no program \"serve\" in PATH (...)");
    assert_eq!(event::fold("ordered by ann (wrong colour)", &mut told), "ordered by ann (wrong colour)");
    assert_eq!(event::fold("a ) and ( alone", &mut told), "a ) and ( alone");
}
