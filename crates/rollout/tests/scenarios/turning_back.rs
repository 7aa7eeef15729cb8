//! Candidates that fail and instances that die.

use expect_test::expect;

use crate::player::check;

#[test]
fn a_failed_check_rolls_back_before_anyone_was_switched() {
    check(
        "service instances=2 checks=1 bake=5s
         settled 1.0
         1.1 checks-fail
         deploy 1.1 blue-green
         run",
        expect![[r#"
                10.0s  blue-green from 1.0 to 1.1
                10.0s  Start
                10.0s  start shop.r2.i3
                10.0s  start shop.r2.i4
                10.0s  Warmup
                10.3s  shop.r2.i3 is ready
                10.3s  shop.r2.i4 is ready
                10.3s  Test
                10.3s  route (table 12) to 1.0 × 2, preview 1.1 × 2
                10.3s  table 12 is in use at every proxy
                10.3s  check "smoke-1"
                10.5s  turning back: check "smoke-1" failed: status 500
                10.5s  Rollback
                10.5s  route (table 14) to 1.0 × 2
                10.5s  table 14 is in use at every proxy
                10.5s  shop.r2.i3 is drained
                10.5s  stop shop.r2.i3
                10.5s  shop.r2.i4 is drained
                10.5s  stop shop.r2.i4
                10.6s  shop.r2.i3 is stopped
                10.6s  shop.r2.i4 is stopped
                10.6s  rolled back: check "smoke-1" failed: status 500, after 660ms
                10.6s  notice: 1.1 was rolled back: check "smoke-1" failed: status 500
        "#]],
    );
}

#[test]
fn a_candidate_that_never_becomes_ready_is_rolled_back_at_its_deadline() {
    check(
        "service instances=2 floor=2 start_timeout=4s
         settled 1.0
         1.1 never-ready
         deploy 1.1
         run",
        expect![[r#"
                10.0s  rolling from 1.0 to 1.1
                10.0s  Start 1/2
                10.0s  start shop.r2.i3
                10.0s  Warmup 1/2
                14.0s  turning back: Warmup did not end within 4s
                14.0s  Rollback
                14.0s  shop.r2.i3 is lost: it was not ready in time
                14.0s  stop shop.r2.i3
                14.1s  shop.r2.i3 is stopped
                14.1s  rolled back: Warmup did not end within 4s, after 4.1s
                14.1s  notice: 1.1 was rolled back: Warmup did not end within 4s
        "#]],
    );
}

#[test]
fn a_candidate_that_is_not_ready_in_time_is_rolled_back_with_what_its_probes_failed_with() {
    check(
        "service instances=2 floor=2 start_timeout=4s
         settled 1.0
         1.1 never-ready
         deploy 1.1
         run 2s
         unready 3 connection refused on 127.0.0.1:1003
         unready 3 connection refused on 127.0.0.1:1003
         unready 3 /healthz answered 404
         run",
        expect![[r#"
                10.0s  rolling from 1.0 to 1.1
                10.0s  Start 1/2
                10.0s  start shop.r2.i3
                10.0s  Warmup 1/2
                12.0s  shop.r2.i3 is not ready: connection refused on 127.0.0.1:1003
                12.0s  shop.r2.i3 is not ready: /healthz answered 404
                14.0s  turning back: Warmup did not end within 4s: shop.r2.i3 is not ready: /healthz answered 404
                14.0s  Rollback
                14.0s  shop.r2.i3 is lost: it was not ready in time: /healthz answered 404
                14.0s  stop shop.r2.i3
                14.1s  shop.r2.i3 is stopped
                14.1s  rolled back: Warmup did not end within 4s: shop.r2.i3 is not ready: /healthz answered 404, after 4.1s
                14.1s  notice: 1.1 was rolled back: Warmup did not end within 4s: shop.r2.i3 is not ready: /healthz answered 404
        "#]],
    );
}

#[test]
fn a_candidate_that_cannot_start_is_given_up_after_three_failures() {
    check(
        "service instances=2 floor=2
         settled 1.0
         1.1 exits-at-start
         deploy 1.1
         run",
        expect![[r#"
                10.0s  rolling from 1.0 to 1.1
                10.0s  Start 1/2
                10.0s  start shop.r2.i3
                10.0s  Warmup 1/2
                10.0s  shop.r2.i3 is lost: exit code 1
                10.1s  start shop.r2.i4
                10.2s  shop.r2.i4 is lost: exit code 1
                10.4s  start shop.r2.i5
                10.4s  shop.r2.i5 is lost: exit code 1
                10.4s  turning back: shop.r2.i5 did not start: exit code 1
                10.4s  Rollback
                10.4s  rolled back: shop.r2.i5 did not start: exit code 1, after 480ms
                10.4s  notice: 1.1 was rolled back: shop.r2.i5 did not start: exit code 1
        "#]],
    );
}

#[test]
fn a_crash_after_the_switch_goes_back_by_one_table_because_the_old_is_warm() {
    check(
        "service instances=2 bake=5s
         settled 1.0
         1.1 exits-after 1s
         deploy 1.1 blue-green
         run",
        expect![[r#"
                10.0s  blue-green from 1.0 to 1.1
                10.0s  Start
                10.0s  start shop.r2.i3
                10.0s  start shop.r2.i4
                10.0s  Warmup
                10.3s  shop.r2.i3 is ready
                10.3s  shop.r2.i4 is ready
                10.3s  Expose
                10.3s  route (table 10) to 1.1 × 2
                10.3s  table 10 is in use at every proxy
                10.3s  Bake
                10.3s  shop.r1.i1 is drained
                10.3s  shop.r1.i2 is drained
                11.3s  shop.r2.i3 is lost: exit code 1
                11.3s  turning back: shop.r2.i3 exited in load: exit code 1
                11.3s  Rollback
                11.3s  route (table 11) to 1.0 × 2
                11.3s  shop.r2.i4 is lost: exit code 1
                11.3s  table 11 is in use at every proxy
                11.3s  rolled back: shop.r2.i3 exited in load: exit code 1, after 1.310s
                11.3s  notice: 1.1 was rolled back: shop.r2.i3 exited in load: exit code 1
        "#]],
    );
}

#[test]
fn a_crash_in_a_rolling_observation_goes_back_to_the_old_release() {
    check(
        "service instances=2 floor=2 observe=3s
         settled 1.0
         1.1 sick-after 1s
         deploy 1.1
         run",
        expect![[r#"
                10.0s  rolling from 1.0 to 1.1
                10.0s  Start 1/2
                10.0s  start shop.r2.i3
                10.0s  Warmup 1/2
                10.3s  shop.r2.i3 is ready
                10.3s  Expose 1/2
                10.3s  route (table 9) to 1.0 × 2, 1.1 × 1
                10.3s  table 9 is in use at every proxy
                10.3s  Observe 1/2
                11.3s  shop.r2.i3 is unhealthy: status 503
                11.3s  turning back: shop.r2.i3 became unhealthy in load: status 503
                11.3s  Rollback
                11.3s  route (table 10) to 1.0 × 2
                11.3s  table 10 is in use at every proxy
                11.3s  shop.r2.i3 is drained
                11.3s  stop shop.r2.i3
                11.4s  shop.r2.i3 is stopped
                11.4s  rolled back: shop.r2.i3 became unhealthy in load: status 503, after 1.450s
                11.4s  notice: 1.1 was rolled back: shop.r2.i3 became unhealthy in load: status 503
        "#]],
    );
}

#[test]
fn an_instance_of_the_current_release_killed_mid_rollout_is_healed_and_fails_nothing() {
    check(
        "service instances=2 floor=2 observe=2s bake=0s
         settled 1.0
         deploy 1.1
         run 1s
         exit 1
         run",
        expect![[r#"
                10.0s  rolling from 1.0 to 1.1
                10.0s  Start 1/2
                10.0s  start shop.r2.i3
                10.0s  Warmup 1/2
                10.3s  shop.r2.i3 is ready
                10.3s  Expose 1/2
                10.3s  route (table 9) to 1.0 × 2, 1.1 × 1
                10.3s  table 9 is in use at every proxy
                10.3s  Observe 1/2
                11.0s  shop.r1.i1 is lost: signal 9
                11.0s  route (table 10) to 1.0 × 1, 1.1 × 1
                11.0s  table 10 is in use at every proxy
                11.1s  start shop.r1.i4
                11.4s  shop.r1.i4 is ready
                11.4s  route (table 12) to 1.0 × 2, 1.1 × 1
                11.4s  table 12 is in use at every proxy
                12.3s  Drain 1/2
                12.3s  route (table 13) to 1.0 × 1, 1.1 × 1
                12.3s  table 13 is in use at every proxy
                12.3s  shop.r1.i4 is drained
                12.3s  Stop 1/2
                12.3s  stop shop.r1.i4
                12.4s  shop.r1.i4 is stopped
                12.4s  Start 2/2
                12.4s  start shop.r2.i5
                12.5s  Warmup 2/2
                12.7s  shop.r2.i5 is ready
                12.7s  Expose 2/2
                12.7s  route (table 16) to 1.0 × 1, 1.1 × 2
                12.7s  table 16 is in use at every proxy
                12.7s  Observe 2/2
                14.7s  Drain 2/2
                14.7s  route (table 17) to 1.1 × 2
                14.7s  table 17 is in use at every proxy
                14.8s  shop.r1.i2 is drained
                14.8s  Stop 2/2
                14.8s  stop shop.r1.i2
                14.9s  shop.r1.i2 is stopped
                14.9s  done, after 4.920s
                14.9s  notice: 1.1 is the current release
        "#]],
    );
}

#[test]
fn an_instance_that_exits_is_started_again_with_growing_waits() {
    check(
        "service instances=2 floor=1
         settled 1.0
         exit 1
         run
         exit 3
         explain
         run
         explain",
        expect![[r#"
            10.0s  shop.r1.i1 is lost: signal 9
            10.0s  route (table 7) to 1.0 × 1
            10.0s  table 7 is in use at every proxy
            10.1s  start shop.r1.i3
            10.4s  shop.r1.i3 is ready
            10.4s  route (table 9) to 1.0 × 2
            10.4s  table 9 is in use at every proxy
            10.4s  shop.r1.i3 is lost: signal 9
            10.4s  route (table 10) to 1.0 × 1
            shop: 1.0 serves
              1.0 (current, 100% of the traffic): 1 in load
              waits for every proxy to use table 10, for 0ms
              waits for the next try to start 1.0, 200ms more, for 0ms
              at the latest in 200ms: instances are started again
              rolling back: nothing to go back to
            10.4s  table 10 is in use at every proxy
            10.6s  start shop.r1.i4
            10.9s  shop.r1.i4 is ready
            10.9s  route (table 12) to 1.0 × 2
            10.9s  table 12 is in use at every proxy
            shop: 1.0 serves
              1.0 (current, 100% of the traffic): 2 in load
              rolling back: nothing to go back to
        "#]],
    );
}

#[test]
fn all_instances_gone_holds_the_requests_until_one_is_back() {
    check(
        "service instances=2 floor=1
         settled 1.0
         exit 1
         exit 2
         run",
        expect![[r#"
                10.0s  shop.r1.i1 is lost: signal 9
                10.0s  route (table 7) to 1.0 × 1
                10.0s  shop.r1.i2 is lost: signal 9
                10.0s  route (table 8) to nothing: requests are held
                10.0s  table 8 is in use at every proxy
                10.1s  start shop.r1.i3
                10.1s  start shop.r1.i4
                10.4s  shop.r1.i3 is ready
                10.4s  route (table 11) to 1.0 × 1
                10.4s  shop.r1.i4 is ready
                10.4s  route (table 12) to 1.0 × 2
                10.4s  table 12 is in use at every proxy
        "#]],
    );
}

#[test]
fn an_unhealthy_instance_leaves_while_others_can_serve_and_is_replaced() {
    check(
        "service instances=3 floor=2
         settled 1.0
         sick 2
         run",
        expect![[r#"
                10.0s  shop.r1.i2 is unhealthy: status 503
                10.0s  route (table 8) to 1.0 × 2
                10.0s  table 8 is in use at every proxy
                10.0s  shop.r1.i2 is drained
                10.0s  stop shop.r1.i2
                10.1s  start shop.r1.i4
                10.1s  shop.r1.i2 is stopped
                10.4s  shop.r1.i4 is ready
                10.4s  route (table 11) to 1.0 × 3
                10.4s  table 11 is in use at every proxy
        "#]],
    );
}

#[test]
fn the_only_instance_stays_in_load_though_unhealthy_until_its_replacement_is_ready() {
    check(
        "service instances=1 floor=1
         settled 1.0
         sick 1
         explain
         run",
        expect![[r#"
            10.0s  shop.r1.i1 is unhealthy: status 503
            shop: 1.0 serves
              1.0 (current, 100% of the traffic): 1 in load, 1 unhealthy
              waits for ready instances in load: 0 of at least 1, for 0ms
              waits for the next try to start 1.0, 100ms more, for 0ms
              at the latest in 100ms: instances are started again
              rolling back: nothing to go back to
            10.1s  start shop.r1.i2
            10.4s  shop.r1.i2 is ready
            10.4s  route (table 7) to 1.0 × 1
            10.4s  table 7 is in use at every proxy
            10.4s  shop.r1.i1 is drained
            10.4s  stop shop.r1.i1
            10.5s  shop.r1.i1 is stopped
        "#]],
    );
}

#[test]
fn a_refused_table_turns_the_rollout_back_at_once_with_the_words_of_the_proxy() {
    check(
        "service instances=1 floor=1 observe=2s
         settled 1.0
         proxies refuse 1.1
         deploy 1.1
         run",
        expect![[r#"
            10.0s  rolling from 1.0 to 1.1
            10.0s  Start
            10.0s  start shop.r2.i2
            10.0s  Warmup
            10.3s  shop.r2.i2 is ready
            10.3s  Expose
            10.3s  route (table 8) to 1.0 × 1, 1.1 × 1
            10.3s  turning back: a proxy refused table 8: a pool has two weights
            10.3s  Rollback
            10.3s  route (table 9) to 1.0 × 1
            10.3s  table 9 is in use at every proxy
            10.3s  shop.r2.i2 is drained
            10.3s  stop shop.r2.i2
            10.4s  shop.r2.i2 is stopped
            10.4s  rolled back: a proxy refused table 8: a pool has two weights, after 460ms
            10.4s  notice: 1.1 was rolled back: a proxy refused table 8: a pool has two weights
        "#]],
    );
}

#[test]
fn a_refused_preview_turns_the_rollout_back_before_anybody_was_switched() {
    check(
        "service instances=1 floor=1 checks=1
         settled 1.0
         proxies refuse 1.1
         deploy 1.1
         run",
        expect![[r#"
            10.0s  rolling from 1.0 to 1.1
            10.0s  Start
            10.0s  start shop.r2.i2
            10.0s  Warmup
            10.3s  shop.r2.i2 is ready
            10.3s  Test
            10.3s  route (table 10) to 1.0 × 1, preview 1.1 × 1
            10.3s  turning back: a proxy refused table 10: a pool has two weights
            10.3s  Rollback
            10.3s  route (table 11) to 1.0 × 1
            10.3s  table 11 is in use at every proxy
            10.3s  shop.r2.i2 is drained
            10.3s  stop shop.r2.i2
            10.4s  shop.r2.i2 is stopped
            10.4s  rolled back: a proxy refused table 10: a pool has two weights, after 460ms
            10.4s  notice: 1.1 was rolled back: a proxy refused table 10: a pool has two weights
        "#]],
    );
}

#[test]
fn where_the_way_back_is_refused_too_an_operator_is_called_at_once_and_what_serves_is_kept() {
    check(
        "service instances=1 floor=1 observe=2s
         settled 1.0
         proxies refuse *
         deploy 1.1
         run 1s
         explain",
        expect![[r#"
            10.0s  rolling from 1.0 to 1.1
            10.0s  Start
            10.0s  start shop.r2.i2
            10.0s  Warmup
            10.3s  shop.r2.i2 is ready
            10.3s  Expose
            10.3s  route (table 8) to 1.0 × 1, 1.1 × 1
            10.3s  turning back: a proxy refused table 8: a pool has two weights
            10.3s  Rollback
            10.3s  route (table 9) to 1.0 × 1
            10.3s  needs an operator: a proxy refused table 9: a pool has two weights, after 320ms
            10.3s  notice: the rollout to 1.1 needs an operator: a proxy refused table 9: a pool has two weights
            shop: rollout 2 needs an operator for 680ms: a proxy refused table 9: a pool has two weights
              1.0 (current, 100% of the traffic): 1 in load
              1.1 (candidate, 0% of the traffic): 1 ready and not in load
              waits for every proxy to use table 9, for 690ms
              rolling back: one table change
        "#]],
    );
}

#[test]
fn a_candidate_that_earned_its_place_is_kept_where_the_table_without_the_old_release_is_refused() {
    check(
        "service instances=1 floor=1 observe=1s
         settled 1.0
         deploy 1.1
         run 1s
         proxies refuse *
         run 1s
         explain",
        expect![[r#"
            10.0s  rolling from 1.0 to 1.1
            10.0s  Start
            10.0s  start shop.r2.i2
            10.0s  Warmup
            10.3s  shop.r2.i2 is ready
            10.3s  Expose
            10.3s  route (table 8) to 1.0 × 1, 1.1 × 1
            10.3s  table 8 is in use at every proxy
            10.3s  Observe
            11.3s  Drain
            11.3s  route (table 9) to 1.1 × 1
            11.3s  needs an operator: a proxy refused table 9: a pool has two weights, after 1.320s
            11.3s  notice: the rollout to 1.1 needs an operator: a proxy refused table 9: a pool has two weights
            11.3s  route (table 12) to 1.0 × 1, 1.1 × 1
            shop: rollout 2 needs an operator for 680ms: a proxy refused table 9: a pool has two weights
              1.0 (current, 50% of the traffic): 1 in load
              1.1 (candidate, 50% of the traffic): 1 in load
              waits for every proxy to use table 12, for 680ms
              rolling back: one table change
        "#]],
    );
}

#[test]
fn a_first_deploy_whose_table_is_refused_calls_an_operator_at_once() {
    check(
        "service instances=1 floor=1
         proxies refuse *
         deploy 1.0
         run 1s
         explain",
        expect![[r#"
            0.0s  first deploy of 1.0
            0.0s  Start
            0.0s  start shop.r1.i1
            0.0s  Warmup
            0.3s  shop.r1.i1 is ready
            0.3s  Expose
            0.3s  route (table 3) to 1.0 × 1
            0.3s  needs an operator: a proxy refused table 3: a pool has two weights, after 310ms
            0.3s  notice: the rollout to 1.0 needs an operator: a proxy refused table 3: a pool has two weights
            shop: rollout 1 needs an operator for 690ms: a proxy refused table 3: a pool has two weights
              1.0 (current, 100% of the traffic): 1 in load
              waits for every proxy to use table 3, for 700ms
              rolling back: nothing to go back to
        "#]],
    );
}
