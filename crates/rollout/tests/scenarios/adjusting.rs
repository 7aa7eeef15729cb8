//! What operators order of the release that serves: another number of instances, fresh ones, none, all of it away.

use expect_test::expect;

use crate::player::check;

#[test]
fn a_service_is_scaled_up_and_down_without_a_new_release() {
    check(
        "settled 1.0 instances=2
         plan-scale 3
         scale 3
         run
         scale 1
         run
         explain",
        expect![[r#"
            scale of 1.0
              Start          start 1 instance of 1.0; after 10s the rollout stops as it is and calls an operator
              Warmup         wait until all are ready, at least 250ms; after 10s the rollout stops as it is and calls an operator
              Expose         route to 1.0 × 3; after 30s the rollout stops as it is and calls an operator
              at least 250ms in all, at most 10m; going back: nothing to go back to
            10.0s  scale of 1.0
            10.0s  Start
            10.0s  3 instances instead of 2
            10.0s  start shop.r1.i3
            10.0s  Warmup
            10.3s  shop.r1.i3 is ready
            10.3s  Expose
            10.3s  route (table 8) to 1.0 × 3
            10.3s  table 8 is in use at every proxy
            10.3s  done, after 310ms
            10.3s  notice: 1.0 has 3 instances
            10.3s  scale of 1.0
            10.3s  Drain
            10.3s  1 instance instead of 3
            10.3s  route (table 11) to 1.0 × 1
            10.3s  table 11 is in use at every proxy
            10.3s  shop.r1.i2 is drained
            10.3s  stop shop.r1.i2
            10.3s  shop.r1.i3 is drained
            10.3s  Stop
            10.3s  stop shop.r1.i3
            10.4s  shop.r1.i2 is stopped
            10.4s  shop.r1.i3 is stopped
            10.4s  done, after 150ms
            10.4s  notice: 1.0 has 1 instance
            shop: 1.0 serves
              1.0 (current, 100% of the traffic): 1 in load
              rolling back: nothing to go back to
        "#]],
    );
}

#[test]
fn a_restart_replaces_every_instance_and_leaves_the_way_back_as_it_was() {
    check(
        "service instances=2
         settled 1.0
         settled 1.1
         plan-restart
         restart
         run
         explain
         rollback
         run",
        expect![[r#"
            restart from 1.1 to 1.1
              Start    1/2   start 1 instance of 1.1; after 10s the rollout rolls back
              Warmup   1/2   wait until all are ready, at least 250ms; after 10s the rollout rolls back
              Expose   1/2   route to 1.1 × 2 and 1.1 × 1; after 30s the rollout rolls back
              Drain    1/2   take 1 instance of 1.1 out of load; after 35s the rollout rolls back
              Stop     1/2   stop what is drained; after 15s the rollout goes on
              Start    2/2   start 1 instance of 1.1; after 10s the rollout rolls back
              Warmup   2/2   wait until all are ready, at least 250ms; after 10s the rollout rolls back
              Expose   2/2   route to 1.1 × 1 and 1.1 × 2; after 30s the rollout rolls back
              Drain    2/2   take 1 instance of 1.1 out of load; after 35s the rollout is done, and what is left drains behind it
              Stop     2/2   stop what is drained; after 15s the rollout goes on
              at least 500ms in all, at most 10m; going back: about 250ms, its instances have to start
            20.0s  restart from 1.1 to 1.1
            20.0s  Start 1/2
            20.0s  start shop.r3.i5
            20.0s  Warmup 1/2
            20.3s  shop.r3.i5 is ready
            20.3s  Expose 1/2
            20.3s  route (table 20) to 1.1 × 2, 1.1+r3 × 1
            20.3s  table 20 is in use at every proxy
            20.3s  Drain 1/2
            20.3s  route (table 21) to 1.1 × 1, 1.1+r3 × 1
            20.3s  table 21 is in use at every proxy
            20.3s  shop.r2.i4 is drained
            20.3s  Stop 1/2
            20.3s  stop shop.r2.i4
            20.4s  shop.r2.i4 is stopped
            20.4s  Start 2/2
            20.4s  start shop.r3.i6
            20.5s  Warmup 2/2
            20.7s  shop.r3.i6 is ready
            20.7s  Expose 2/2
            20.7s  route (table 24) to 1.1 × 1, 1.1+r3 × 2
            20.7s  table 24 is in use at every proxy
            20.7s  Drain 2/2
            20.7s  route (table 25) to 1.1 × 2
            20.7s  table 25 is in use at every proxy
            20.8s  shop.r2.i3 is drained
            20.8s  Stop 2/2
            20.8s  stop shop.r2.i3
            20.9s  shop.r2.i3 is stopped
            20.9s  done, after 920ms
            20.9s  notice: 1.1 was restarted
            shop: 1.1 serves
              1.1 (current, 100% of the traffic): 2 in load
              rolling back: about 250ms, its instances have to start
            20.9s  rollback from 1.1 to 1.0
            20.9s  Start
            20.9s  start shop.r1.i7
            20.9s  start shop.r1.i8
            20.9s  Warmup
            21.2s  shop.r1.i7 is ready
            21.2s  shop.r1.i8 is ready
            21.2s  Expose
            21.2s  route (table 32) to 1.0 × 2
            21.2s  table 32 is in use at every proxy
            21.2s  Drain
            21.2s  shop.r3.i5 is drained
            21.2s  stop shop.r3.i5
            21.2s  shop.r3.i6 is drained
            21.2s  Stop
            21.2s  stop shop.r3.i6
            21.3s  shop.r3.i5 is stopped
            21.3s  shop.r3.i6 is stopped
            21.3s  done, after 450ms
            21.3s  notice: 1.0 is the current release
        "#]],
    );
}

#[test]
fn a_scaled_release_is_restarted_with_as_many_instances() {
    check(
        "settled 1.0 instances=1
         scale 2
         run
         restart
         run
         explain",
        expect![[r#"
            10.0s  scale of 1.0
            10.0s  Start
            10.0s  2 instances instead of 1
            10.0s  start shop.r1.i2
            10.0s  Warmup
            10.3s  shop.r1.i2 is ready
            10.3s  Expose
            10.3s  route (table 7) to 1.0 × 2
            10.3s  table 7 is in use at every proxy
            10.3s  done, after 310ms
            10.3s  notice: 1.0 has 2 instances
            10.3s  restart from 1.0 to 1.0
            10.3s  Start 1/2
            10.3s  start shop.r2.i3
            10.3s  Warmup 1/2
            10.6s  shop.r2.i3 is ready
            10.6s  Expose 1/2
            10.6s  route (table 12) to 1.0 × 2, 1.0+r2 × 1
            10.6s  table 12 is in use at every proxy
            10.6s  Drain 1/2
            10.6s  route (table 13) to 1.0 × 1, 1.0+r2 × 1
            10.6s  table 13 is in use at every proxy
            10.6s  shop.r1.i2 is drained
            10.6s  Stop 1/2
            10.6s  stop shop.r1.i2
            10.7s  shop.r1.i2 is stopped
            10.7s  Start 2/2
            10.7s  start shop.r2.i4
            10.8s  Warmup 2/2
            11.0s  shop.r2.i4 is ready
            11.0s  Expose 2/2
            11.0s  route (table 16) to 1.0 × 1, 1.0+r2 × 2
            11.0s  table 16 is in use at every proxy
            11.0s  Drain 2/2
            11.0s  route (table 17) to 1.0 × 2
            11.0s  table 17 is in use at every proxy
            11.1s  shop.r1.i1 is drained
            11.1s  Stop 2/2
            11.1s  stop shop.r1.i1
            11.2s  shop.r1.i1 is stopped
            11.2s  done, after 920ms
            11.2s  notice: 1.0 was restarted
            shop: 1.0 serves
              1.0 (current, 100% of the traffic): 2 in load
              rolling back: nothing to go back to
        "#]],
    );
}

#[test]
fn a_stopped_service_refuses_what_makes_no_sense_and_starts_again() {
    check(
        "settled 1.0 instances=2
         start
         plan-stop
         stop
         run 30ms
         abort
         restart
         run
         explain
         stop
         scale 3
         restart
         start
         run
         explain",
        expect![[r#"
            refused: the service is not stopped
            stop of 1.0
              Drain          take 2 instances of 1.0 out of load; after 35s the rollout is done, and what is left drains behind it
              Stop           stop what is drained; after 35s the rollout is done, and what is left drains behind it
              at least 0ms in all, at most 10m; going back: nothing to go back to
            10.0s  stop of 1.0
            10.0s  Drain
            10.0s  route (table 7) to nothing: requests are refused
            10.0s  table 7 is in use at every proxy
            refused: rollout 2, a stop, cannot be turned back
            refused: rollout 2 is running
            10.0s  shop.r1.i1 is drained
            10.0s  stop shop.r1.i1
            10.0s  shop.r1.i2 is drained
            10.0s  Stop
            10.0s  stop shop.r1.i2
            10.1s  shop.r1.i1 is stopped
            10.1s  shop.r1.i2 is stopped
            10.1s  done, after 150ms
            10.1s  notice: 1.0 was stopped
            shop: 1.0 is stopped
              1.0 (current, 0% of the traffic): no instance
              rolling back: nothing to go back to
            refused: the service is stopped
            refused: the service is stopped
            refused: the service is stopped
            10.1s  start of 1.0
            10.1s  Start
            10.1s  start shop.r1.i3
            10.1s  start shop.r1.i4
            10.1s  route (table 14) to nothing: requests are held
            10.1s  table 14 is in use at every proxy
            10.2s  Warmup
            10.4s  shop.r1.i3 is ready
            10.4s  shop.r1.i4 is ready
            10.4s  Expose
            10.4s  route (table 15) to 1.0 × 2
            10.4s  table 15 is in use at every proxy
            10.4s  done, after 310ms
            10.4s  notice: 1.0 was started
            shop: 1.0 serves
              1.0 (current, 100% of the traffic): 2 in load
              rolling back: nothing to go back to
        "#]],
    );
}

#[test]
fn a_deploy_starts_a_stopped_service_with_the_new_release_and_a_failed_one_leaves_it_stopped() {
    check(
        "settled 1.0 instances=1
         stop
         run
         1.1 exits-at-start
         deploy 1.1 instances=1
         run
         explain
         deploy 1.2 instances=1
         run
         rollback
         run
         explain",
        expect![[r#"
            10.0s  stop of 1.0
            10.0s  Drain
            10.0s  route (table 6) to nothing: requests are refused
            10.0s  table 6 is in use at every proxy
            10.0s  shop.r1.i1 is drained
            10.0s  Stop
            10.0s  stop shop.r1.i1
            10.1s  shop.r1.i1 is stopped
            10.1s  done, after 150ms
            10.1s  notice: 1.0 was stopped
            10.1s  deploy while stopped of 1.1
            10.1s  Start
            10.1s  start shop.r2.i2
            10.1s  route (table 11) to nothing: requests are held
            10.1s  table 11 is in use at every proxy
            10.2s  Warmup
            10.2s  shop.r2.i2 is lost: exit code 1
            10.3s  start shop.r2.i3
            10.3s  shop.r2.i3 is lost: exit code 1
            10.5s  start shop.r2.i4
            10.6s  shop.r2.i4 is lost: exit code 1
            10.6s  turning back: shop.r2.i4 did not start: exit code 1
            10.6s  Rollback
            10.6s  rolled back: shop.r2.i4 did not start: exit code 1, after 480ms
            10.6s  notice: 1.1 was rolled back: shop.r2.i4 did not start: exit code 1
            10.6s  route (table 17) to nothing: requests are refused
            10.6s  table 17 is in use at every proxy
            shop: 1.0 is stopped
              1.0 (current, 0% of the traffic): no instance
              rolling back: nothing to go back to
            10.6s  deploy while stopped of 1.2
            10.6s  Start
            10.6s  start shop.r3.i5
            10.6s  route (table 20) to nothing: requests are held
            10.6s  table 20 is in use at every proxy
            10.6s  Warmup
            10.9s  shop.r3.i5 is ready
            10.9s  Expose
            10.9s  route (table 22) to 1.2 × 1
            10.9s  table 22 is in use at every proxy
            10.9s  done, after 310ms
            10.9s  notice: 1.2 is the current release
            10.9s  rollback from 1.2 to 1.0
            10.9s  Start
            10.9s  start shop.r1.i6
            11.0s  Warmup
            11.2s  shop.r1.i6 is ready
            11.2s  Expose
            11.2s  route (table 26) to 1.0 × 1
            11.2s  table 26 is in use at every proxy
            11.2s  Drain
            11.3s  shop.r3.i5 is drained
            11.3s  Stop
            11.3s  stop shop.r3.i5
            11.4s  shop.r3.i5 is stopped
            11.4s  done, after 450ms
            11.4s  notice: 1.0 is the current release
            shop: 1.0 serves
              1.0 (current, 100% of the traffic): 1 in load
              rolling back: nothing to go back to
        "#]],
    );
}

#[test]
fn a_removed_service_has_no_route_no_instance_and_no_release() {
    check(
        "settled 1.0 instances=1
         settled 1.1 instances=1
         remove
         run
         explain
         remove
         rollback
         deploy 1.2 instances=1
         run",
        expect![[r#"
            20.0s  remove of 1.1
            20.0s  Drain
            20.0s  route (table 13) to nothing: requests are refused
            20.0s  table 13 is in use at every proxy
            20.0s  shop.r2.i2 is drained
            20.0s  Stop
            20.0s  stop shop.r2.i2
            20.1s  shop.r2.i2 is stopped
            20.1s  done, after 150ms
            20.1s  notice: 1.1 was removed, with every release before it
            shop: nothing is deployed
              rolling back: nothing to go back to
            refused: nothing is deployed
            refused: there is no earlier release to go back to
            20.1s  first deploy of 1.2
            20.1s  Start
            20.1s  start shop.r3.i3
            20.2s  Warmup
            20.4s  shop.r3.i3 is ready
            20.4s  Expose
            20.4s  route (table 20) to 1.2 × 1
            20.4s  table 20 is in use at every proxy
            20.4s  done, after 310ms
            20.4s  notice: 1.2 is the current release
        "#]],
    );
}

#[test]
fn orders_that_wait_for_a_change_of_size_begin_after_it_and_others_are_refused() {
    check(
        "settled 1.0 instances=1
         scale 2
         scale 3
         stop
         deploy 1.1 instances=1 bake=0s
         run",
        expect![[r#"
            10.0s  scale of 1.0
            10.0s  Start
            10.0s  2 instances instead of 1
            10.0s  start shop.r1.i2
            refused: rollout 2 is running
            refused: rollout 2 is running
            10.0s  1.1 waits for rollout 2
            10.0s  Warmup
            10.3s  shop.r1.i2 is ready
            10.3s  Expose
            10.3s  route (table 8) to 1.0 × 2
            10.3s  table 8 is in use at every proxy
            10.3s  done, after 310ms
            10.3s  notice: 1.0 has 2 instances
            10.3s  rolling from 1.0 to 1.1
            10.3s  Start
            10.3s  start shop.r2.i3
            10.3s  Warmup
            10.6s  shop.r2.i3 is ready
            10.6s  Expose
            10.6s  route (table 12) to 1.0 × 2, 1.1 × 1
            10.6s  table 12 is in use at every proxy
            10.6s  Drain
            10.6s  route (table 13) to 1.1 × 1
            10.6s  table 13 is in use at every proxy
            10.6s  shop.r1.i1 is drained
            10.6s  stop shop.r1.i1
            10.6s  shop.r1.i2 is drained
            10.6s  Stop
            10.6s  stop shop.r1.i2
            10.7s  shop.r1.i1 is stopped
            10.7s  shop.r1.i2 is stopped
            10.7s  done, after 460ms
            10.7s  notice: 1.1 is the current release
        "#]],
    );
}

#[test]
fn instances_that_do_not_come_up_for_a_larger_size_are_for_an_operator_and_what_serves_is_kept() {
    check(
        "settled 1.0 instances=1
         1.0 never-ready
         scale 2
         run 20s
         explain
         stop
         run 1m
         explain",
        expect![[r#"
            10.0s  scale of 1.0
            10.0s  Start
            10.0s  2 instances instead of 1
            10.0s  start shop.r1.i2
            10.0s  Warmup
            20.0s  needs an operator: Warmup did not end within 10s, after 10s
            20.0s  notice: the rollout to 1.0 needs an operator: Warmup did not end within 10s
            20.0s  shop.r1.i2 is lost: it was not ready in time
            20.0s  stop shop.r1.i2
            20.1s  shop.r1.i2 is stopped
            20.1s  start shop.r1.i3
            shop: rollout 2 needs an operator for 10s: Warmup did not end within 10s
              1.0 (current, 100% of the traffic): 1 in load, 1 warming
              waits for shop.r1.i3 to be ready, for 9.850s
              at the latest in 100ms: the instance is replaced
              rolling back: nothing to go back to
            30.0s  stop of 1.0
            30.0s  Drain
            30.0s  route (table 11) to nothing: requests are refused
            30.0s  stop shop.r1.i3
            30.0s  table 11 is in use at every proxy
            30.0s  shop.r1.i1 is drained
            30.0s  Stop
            30.0s  stop shop.r1.i1
            30.1s  shop.r1.i3 is stopped
            30.1s  shop.r1.i1 is stopped
            30.1s  done, after 150ms
            30.1s  notice: 1.0 was stopped
            shop: 1.0 is stopped
              1.0 (current, 0% of the traffic): no instance
              rolling back: nothing to go back to
        "#]],
    );
}

#[test]
fn a_first_deploy_that_fails_its_checks_leaves_no_route_behind() {
    check(
        "1.0 checks-fail
         deploy 1.0 instances=1 checks=1
         run
         explain",
        expect![[r#"
            0.0s  first deploy of 1.0
            0.0s  Start
            0.0s  start shop.r1.i1
            0.0s  Warmup
            0.3s  shop.r1.i1 is ready
            0.3s  Test
            0.3s  route (table 3) to nothing: requests are held, preview 1.0 × 1
            0.3s  table 3 is in use at every proxy
            0.3s  check "smoke-1"
            0.5s  turning back: check "smoke-1" failed: status 500
            0.5s  Rollback
            0.5s  route (table 5) to nothing: requests are held
            0.5s  table 5 is in use at every proxy
            0.5s  shop.r1.i1 is drained
            0.5s  stop shop.r1.i1
            0.6s  shop.r1.i1 is stopped
            0.6s  rolled back: check "smoke-1" failed: status 500, after 660ms
            0.6s  notice: 1.0 was rolled back: check "smoke-1" failed: status 500
            0.6s  route (table 9) to nothing: requests are refused
            0.6s  table 9 is in use at every proxy
            shop: nothing is deployed
              rolling back: nothing to go back to
        "#]],
    );
}

#[test]
fn a_service_whose_instances_are_all_unhealthy_is_stopped_all_the_same() {
    check(
        "settled 1.0 instances=1
         sick 1
         stop
         run
         explain",
        expect![[r#"
            10.0s  shop.r1.i1 is unhealthy: status 503
            10.0s  stop of 1.0
            10.0s  Drain
            10.0s  route (table 6) to nothing: requests are refused
            10.0s  table 6 is in use at every proxy
            10.0s  shop.r1.i1 is drained
            10.0s  Stop
            10.0s  stop shop.r1.i1
            10.1s  shop.r1.i1 is stopped
            10.1s  done, after 150ms
            10.1s  notice: 1.0 was stopped
            shop: 1.0 is stopped
              1.0 (current, 0% of the traffic): no instance
              rolling back: nothing to go back to
        "#]],
    );
}
