//! Hooks and the release command: where they run, and what comes of those that fail or hang.

use expect_test::expect;

use crate::player::check;

const EVERY: &str = "hooks=before-start,release,before-expose,after-expose,on-done,on-rollback";

#[test]
fn a_plan_names_each_command_with_its_time_and_what_the_end_of_it_does() {
    check(
        &format!("service instances=2 {EVERY}\nsettled 1.0 hooks=\nplan 1.1 blue-green bake=5s"),
        expect![[r#"
        blue-green from 1.0 to 1.1
          Hook           run the before-start hook "mine": ./run; after 10s the rollout rolls back
          Hook           run the release command: ./run; after 10s the rollout rolls back
          Start          start 2 instances of 1.1; after 10s the rollout rolls back
          Warmup         wait until all are ready, at least 250ms; after 10s the rollout rolls back
          Hook           run the before-expose hook "mine": ./run; after 10s the rollout rolls back
          Expose         route to 1.1 × 2; after 30s the rollout rolls back
          Hook           run the after-expose hook "mine": ./run; after 10s the rollout rolls back
          Bake           watch 1.1 in load, 2 instances of 1.0 kept warm, at least 5s; after 35s the rollout rolls back
          Drain          take 2 instances of 1.0 out of load; after 35s the rollout is done, and what is left drains behind it
          Stop           stop what is drained; after 15s the rollout goes on
          Hook           run the on-done hook "mine": ./run, when the rollout is done; after 10s the command is ended
          at least 5.250s in all, at most 10m; going back: one table change
    "#]],
    );
}

#[test]
fn each_hook_runs_once_at_its_point_before_the_next_phase_begins() {
    check(
        &format!("service instances=1 floor=1 checks=1 {EVERY}\nsettled 1.0 hooks=\ndeploy 1.1\nrun"),
        expect![[r#"
        10.0s  rolling from 1.0 to 1.1
        10.0s  Hook
        10.0s  run the before-start hook "mine" as shop.r2.i2
        10.2s  the before-start hook "mine" passed after 200ms
        10.2s  Hook
        10.2s  run the release command as shop.r2.i3
        10.4s  the release command passed after 200ms
        10.4s  Start
        10.4s  start shop.r2.i4
        10.4s  Warmup
        10.7s  shop.r2.i4 is ready
        10.7s  Test
        10.7s  route (table 12) to 1.0 × 1, preview 1.1 × 1
        10.7s  table 12 is in use at every proxy
        10.7s  check "smoke-1"
        10.9s  check "smoke-1" passed
        10.9s  Hook
        10.9s  run the before-expose hook "mine" as shop.r2.i5
        11.1s  the before-expose hook "mine" passed after 200ms
        11.1s  Expose
        11.1s  route (table 15) to 1.0 × 1, 1.1 × 1
        11.1s  table 15 is in use at every proxy
        11.1s  Hook
        11.1s  run the after-expose hook "mine" as shop.r2.i6
        11.3s  the after-expose hook "mine" passed after 200ms
        11.3s  Drain
        11.3s  route (table 17) to 1.1 × 1
        11.3s  table 17 is in use at every proxy
        11.3s  shop.r1.i1 is drained
        11.3s  Stop
        11.3s  stop shop.r1.i1
        11.4s  shop.r1.i1 is stopped
        11.4s  run the on-done hook "mine" as shop.r2.i7
        11.4s  done, after 1.470s
        11.4s  notice: 1.1 is the current release
        11.6s  the on-done hook "mine" passed after 200ms
    "#]],
    );
}

#[test]
fn a_release_command_that_fails_turns_back_before_anything_is_started() {
    check(
        "service instances=1\nsettled 1.0\n1.1 hook-fails release\ndeploy 1.1 hooks=release,on-rollback\nrun",
        expect![[r#"
        10.0s  rolling from 1.0 to 1.1
        10.0s  Hook
        10.0s  run the release command as shop.r2.i2
        10.2s  the release command (shop.r2.i2) failed: exit code 1
        10.2s  turning back: the release command failed: exit code 1
        10.2s  Rollback
        10.2s  run the on-rollback hook "mine" as shop.r2.i3
        10.2s  rolled back: the release command failed: exit code 1, after 200ms
        10.2s  notice: 1.1 was rolled back: the release command failed: exit code 1
        10.4s  the on-rollback hook "mine" passed after 200ms
    "#]],
    );
}

#[test]
fn a_hook_that_hangs_is_ended_at_its_deadline_and_the_rollout_turns_back() {
    check(
        "service instances=1\nsettled 1.0\n1.1 hook-hangs before-expose\ndeploy 1.1 hooks=before-expose\nrun 2s\nexplain\nrun",
        expect![[r#"
            10.0s  rolling from 1.0 to 1.1
            10.0s  Start
            10.0s  start shop.r2.i2
            10.0s  Warmup
            10.3s  shop.r2.i2 is ready
            10.3s  Hook
            10.3s  run the before-expose hook "mine" as shop.r2.i3
            shop: rollout 2, rolling from 1.0 to 1.1, in Hook for 1.7s
              1.0 (current, 100% of the traffic): 1 in load
              1.1 (candidate, 0% of the traffic): 1 ready and not in load
              waits for the before-expose hook "mine" to end, for 1.7s
              at the latest in 8.3s: the rollout rolls back
              rolling back: one table change
            20.3s  stop shop.r2.i3
            20.3s  the before-expose hook "mine" (shop.r2.i3) failed: it did not end within 10s
            20.3s  turning back: the before-expose hook "mine" failed: it did not end within 10s
            20.3s  Rollback
            20.3s  stop shop.r2.i2
            20.4s  shop.r2.i2 is stopped
            20.4s  rolled back: the before-expose hook "mine" failed: it did not end within 10s, after 10.4s
            20.4s  notice: 1.1 was rolled back: the before-expose hook "mine" failed: it did not end within 10s
        "#]],
    );
}

#[test]
fn an_abort_ends_the_release_command_and_the_next_one_waits_for_its_end() {
    check(
        "service instances=1\nsettled 1.0\n1.1 hook-hangs release\ndeploy 1.1 hooks=release\nrun 1s\nabort\ndeploy 1.2 hooks=release\nrun",
        expect![[r#"
            10.0s  rolling from 1.0 to 1.1
            10.0s  Hook
            10.0s  run the release command as shop.r2.i2
            11.0s  turning back: ordered by ann (on second thoughts)
            11.0s  Rollback
            11.0s  stop shop.r2.i2
            11.0s  1.2 waits for rollout 2
            11.1s  rolled back: ordered by ann (on second thoughts), after 1.1s
            11.1s  notice: 1.1 was rolled back: ordered by ann (on second thoughts)
            11.1s  rolling from 1.0 to 1.2
            11.1s  Hook
            11.1s  run the release command as shop.r3.i3
            11.3s  the release command passed after 200ms
            11.3s  Start
            11.3s  start shop.r3.i4
            11.3s  Warmup
            11.6s  shop.r3.i4 is ready
            11.6s  Expose
            11.6s  route (table 15) to 1.0 × 1, 1.2 × 1
            11.6s  table 15 is in use at every proxy
            11.6s  Drain
            11.6s  route (table 16) to 1.2 × 1
            11.6s  table 16 is in use at every proxy
            11.6s  shop.r1.i1 is drained
            11.6s  Stop
            11.6s  stop shop.r1.i1
            11.7s  shop.r1.i1 is stopped
            11.7s  done, after 660ms
            11.7s  notice: 1.2 is the current release
        "#]],
    );
}

#[test]
fn where_there_is_nothing_to_go_back_to_a_failed_hook_is_told_and_the_rollout_goes_on() {
    check(
        "service instances=1\n1.0 hook-fails after-expose\ndeploy 1.0 hooks=after-expose\nrun",
        expect![[r#"
        0.0s  first deploy of 1.0
        0.0s  Start
        0.0s  start shop.r1.i1
        0.0s  Warmup
        0.3s  shop.r1.i1 is ready
        0.3s  Expose
        0.3s  route (table 3) to 1.0 × 1
        0.3s  table 3 is in use at every proxy
        0.3s  Hook
        0.3s  run the after-expose hook "mine" as shop.r1.i2
        0.5s  the after-expose hook "mine" (shop.r1.i2) failed: exit code 1
        0.5s  notice: the after-expose hook "mine" failed: exit code 1
        0.5s  done, after 510ms
        0.5s  notice: 1.0 is the current release
    "#]],
    );
}

#[test]
fn a_hook_behind_the_end_that_hangs_is_ended_and_changes_nothing() {
    check(
        "service instances=1\nsettled 1.0\n1.1 hook-hangs on-done\ndeploy 1.1 blue-green hooks=on-done\nrun 5s\nexplain\nrun",
        expect![[r#"
            10.0s  blue-green from 1.0 to 1.1
            10.0s  Start
            10.0s  start shop.r2.i2
            10.0s  Warmup
            10.3s  shop.r2.i2 is ready
            10.3s  Expose
            10.3s  route (table 8) to 1.1 × 1
            10.3s  table 8 is in use at every proxy
            10.3s  Drain
            10.3s  shop.r1.i1 is drained
            10.3s  Stop
            10.3s  stop shop.r1.i1
            10.4s  shop.r1.i1 is stopped
            10.4s  run the on-done hook "mine" as shop.r2.i3
            10.4s  done, after 450ms
            10.4s  notice: 1.1 is the current release
            shop: 1.1 serves
              1.1 (current, 100% of the traffic): 1 in load
              at the latest in 5.450s: the command is ended
              rolling back: about 250ms, its instances have to start
            20.4s  stop shop.r2.i3
            20.4s  the on-done hook "mine" (shop.r2.i3) failed: it did not end within 10s
            20.4s  notice: the on-done hook "mine" failed: it did not end within 10s
        "#]],
    );
}

#[test]
fn a_rollback_runs_no_release_command_and_the_hooks_of_what_it_leaves() {
    check(
        &format!("service instances=1 {EVERY}\nsettled 1.0\nsettled 1.1\nrollback\nrun"),
        expect![[r#"
            20.0s  rollback from 1.1 to 1.0
            20.0s  Start
            20.0s  start shop.r1.i13
            20.0s  Warmup
            20.3s  shop.r1.i13 is ready
            20.3s  Expose
            20.3s  route (table 24) to 1.0 × 1
            20.3s  table 24 is in use at every proxy
            20.3s  Drain
            20.3s  shop.r2.i9 is drained
            20.3s  Stop
            20.3s  stop shop.r2.i9
            20.4s  shop.r2.i9 is stopped
            20.4s  run the on-rollback hook "mine" as shop.r2.i14
            20.4s  done, after 450ms
            20.4s  notice: 1.0 is the current release
            20.6s  the on-rollback hook "mine" passed after 200ms
        "#]],
    );
}

#[test]
fn a_later_controller_asks_for_the_same_run_of_a_hook_again() {
    check(
        "service instances=1\nsettled 1.0\ndeploy 1.1 hooks=release\nrun 100ms\nrestart-controller\nrun",
        expect![[r#"
            10.0s  rolling from 1.0 to 1.1
            10.0s  Hook
            10.0s  run the release command as shop.r2.i2
            10.1s  a controller took over and found 1 instances running
            10.3s  the release command passed after 300ms
            10.3s  Start
            10.3s  start shop.r2.i3
            10.3s  shop.r1.i1 is ready
            10.3s  Warmup
            10.6s  shop.r2.i3 is ready
            10.6s  Expose
            10.6s  route (table 9) to 1.0 × 1, 1.1 × 1
            10.6s  table 9 is in use at every proxy
            10.6s  Drain
            10.6s  route (table 10) to 1.1 × 1
            10.6s  table 10 is in use at every proxy
            10.6s  shop.r1.i1 is drained
            10.6s  Stop
            10.6s  stop shop.r1.i1
            10.7s  shop.r1.i1 is stopped
            10.7s  done, after 760ms
            10.7s  notice: 1.1 is the current release
        "#]],
    );
}
