//! What operators order: rollbacks, and second orders while one runs.

use expect_test::expect;

use crate::player::check;

#[test]
fn an_operators_rollback_during_bake_is_one_table() {
    check(
        "service instances=2 bake=1m
         settled 1.0
         deploy 1.1 blue-green
         run 5s
         explain
         rollback
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
            shop: rollout 2, blue-green from 1.0 to 1.1, in Bake for 4.690s
              1.0 (current, 0% of the traffic): 2 ready and not in load
              1.1 (candidate, 100% of the traffic): 2 in load
              waits for what clients see of it, 55.310s more, for 4.690s
              at the latest in 55.310s: the rollout goes on
              rolling back: one table change
            15.0s  turning back: ordered by ann (wrong colour)
            15.0s  Rollback
            15.0s  route (table 11) to 1.0 × 2
            15.0s  table 11 is in use at every proxy
            15.0s  shop.r2.i3 is drained
            15.0s  stop shop.r2.i3
            15.0s  shop.r2.i4 is drained
            15.0s  stop shop.r2.i4
            15.1s  shop.r2.i3 is stopped
            15.1s  shop.r2.i4 is stopped
            15.1s  rolled back: ordered by ann (wrong colour), after 5.150s
            15.1s  notice: 1.1 was rolled back: ordered by ann (wrong colour)
        "#]],
    );
}

#[test]
fn an_operators_rollback_afterwards_starts_the_previous_release_again() {
    check(
        "service instances=2 bake=0s checks=1
         settled 1.0
         settled 1.1 blue-green
         rollback
         run
         explain",
        expect![[r#"
            20.0s  rollback from 1.1 to 1.0
            20.0s  Start
            20.0s  start shop.r1.i5
            20.0s  start shop.r1.i6
            20.0s  Warmup
            20.3s  shop.r1.i5 is ready
            20.3s  shop.r1.i6 is ready
            20.3s  Expose
            20.3s  route (table 21) to 1.0 × 2
            20.3s  table 21 is in use at every proxy
            20.3s  Drain
            20.3s  shop.r2.i3 is drained
            20.3s  stop shop.r2.i3
            20.3s  shop.r2.i4 is drained
            20.3s  Stop
            20.3s  stop shop.r2.i4
            20.4s  shop.r2.i3 is stopped
            20.4s  shop.r2.i4 is stopped
            20.4s  done, after 450ms
            20.4s  notice: 1.0 is the current release
            shop: 1.0 serves
              1.0 (current, 100% of the traffic): 2 in load
              rolling back: nothing to go back to
        "#]],
    );
}

#[test]
fn a_rollback_that_cannot_restore_the_old_release_calls_an_operator_and_keeps_what_serves() {
    check(
        "service instances=2 floor=2 observe=2s batch=1
         settled 1.0
         deploy 1.1
         run 4s
         1.0 start-fails
         abort
         run 2s
         explain
         rollback
         1.0 well-behaved
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
            12.3s  Drain 1/2
            12.3s  route (table 10) to 1.0 × 1, 1.1 × 1
            12.3s  table 10 is in use at every proxy
            12.3s  shop.r1.i2 is drained
            12.3s  Stop 1/2
            12.3s  stop shop.r1.i2
            12.4s  shop.r1.i2 is stopped
            12.4s  Start 2/2
            12.4s  start shop.r2.i4
            12.5s  Warmup 2/2
            12.7s  shop.r2.i4 is ready
            12.7s  Expose 2/2
            12.7s  route (table 13) to 1.0 × 1, 1.1 × 2
            12.7s  table 13 is in use at every proxy
            12.7s  Observe 2/2
            14.0s  turning back: ordered by ann (on second thoughts)
            14.0s  Rollback
            14.0s  start shop.r1.i5
            14.0s  shop.r1.i5 is lost: no such file
            14.1s  start shop.r1.i6
            14.2s  shop.r1.i6 is lost: no such file
            14.4s  start shop.r1.i7
            14.4s  shop.r1.i7 is lost: no such file
            14.4s  needs an operator: shop.r1.i7 did not start: no such file, after 4.450s
            14.4s  notice: the rollout to 1.1 needs an operator: shop.r1.i7 did not start: no such file
            14.8s  start shop.r1.i8
            14.9s  shop.r1.i8 is lost: no such file
            15.7s  start shop.r1.i9
            15.7s  shop.r1.i9 is lost: no such file
            shop: rollout 2 needs an operator for 1.550s: shop.r1.i7 did not start: no such file
              1.0 (current, 33.33% of the traffic): 1 in load
              1.1 (candidate, 66.67% of the traffic): 2 in load
              waits for the next try to start 1.0, 1.350s more, for 0ms
              at the latest in 1.350s: instances are started again
              rolling back: about 250ms, its instances have to start
            16.0s  rollback from 1.1 to 1.0
            16.0s  Rollback
            17.3s  start shop.r1.i10
            17.6s  shop.r1.i10 is ready
            17.6s  route (table 22) to 1.0 × 2
            17.6s  table 22 is in use at every proxy
            17.7s  shop.r2.i3 is drained
            17.7s  stop shop.r2.i3
            17.7s  shop.r2.i4 is drained
            17.7s  stop shop.r2.i4
            17.8s  shop.r2.i3 is stopped
            17.8s  shop.r2.i4 is stopped
            17.8s  rolled back: ordered by ann (wrong colour), after 1.8s
            17.8s  notice: 1.1 was rolled back: ordered by ann (wrong colour)
        "#]],
    );
}

#[test]
fn a_second_order_waits_and_a_third_takes_its_place() {
    check(
        "service instances=1 floor=1 observe=2s
         settled 1.0
         deploy 1.1
         run 1s
         deploy 1.2
         deploy 1.3
         explain
         run",
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
            11.0s  1.2 waits for rollout 2
            11.0s  1.3 waits for rollout 2
            11.0s  superseded by rollout 4, after 0ms
            shop: rollout 2, rolling from 1.0 to 1.1, in Observe for 690ms
              1.0 (current, 50% of the traffic): 1 in load
              1.1 (candidate, 50% of the traffic): 1 in load
              waits for what clients see of it, 1.310s more, for 690ms
              at the latest in 1.310s: the rollout goes on
              rollout 4 begins after this one
              rolling back: one table change
            12.3s  Drain
            12.3s  route (table 12) to 1.1 × 1
            12.3s  table 12 is in use at every proxy
            12.3s  shop.r1.i1 is drained
            12.3s  Stop
            12.3s  stop shop.r1.i1
            12.4s  shop.r1.i1 is stopped
            12.4s  done, after 2.460s
            12.4s  notice: 1.1 is the current release
            12.4s  rolling from 1.1 to 1.3
            12.4s  Start
            12.4s  start shop.r4.i3
            12.5s  Warmup
            12.7s  shop.r4.i3 is ready
            12.7s  Expose
            12.7s  route (table 17) to 1.1 × 1, 1.3 × 1
            12.7s  table 17 is in use at every proxy
            12.7s  Observe
            14.7s  Drain
            14.7s  route (table 18) to 1.3 × 1
            14.7s  table 18 is in use at every proxy
            14.8s  shop.r2.i2 is drained
            14.8s  Stop
            14.8s  stop shop.r2.i2
            14.9s  shop.r2.i2 is stopped
            14.9s  done, after 2.460s
            14.9s  notice: 1.3 is the current release
        "#]],
    );
}

#[test]
fn a_second_order_may_be_refused() {
    check(
        "service instances=1 floor=1 observe=2s second=reject
         settled 1.0
         deploy 1.1
         run 1s
         deploy 1.2",
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
            refused: rollout 2 is running
        "#]],
    );
}

#[test]
fn a_second_order_may_supersede_the_first() {
    check(
        "service instances=1 floor=1 observe=2s second=supersede
         settled 1.0
         deploy 1.1
         run 1s
         deploy 1.2
         run",
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
            11.0s  1.2 waits for rollout 2
            11.0s  turning back: superseded by rollout 3
            11.0s  Rollback
            11.0s  route (table 9) to 1.0 × 1
            11.0s  table 9 is in use at every proxy
            11.0s  shop.r2.i2 is drained
            11.0s  stop shop.r2.i2
            11.1s  shop.r2.i2 is stopped
            11.1s  rolled back: superseded by rollout 3, after 1.150s
            11.1s  notice: 1.1 was rolled back: superseded by rollout 3
            11.1s  rolling from 1.0 to 1.2
            11.1s  Start
            11.1s  start shop.r3.i3
            11.2s  Warmup
            11.4s  shop.r3.i3 is ready
            11.4s  Expose
            11.4s  route (table 16) to 1.0 × 1, 1.2 × 1
            11.4s  table 16 is in use at every proxy
            11.4s  Observe
            13.4s  Drain
            13.4s  route (table 17) to 1.2 × 1
            13.4s  table 17 is in use at every proxy
            13.5s  shop.r1.i1 is drained
            13.5s  Stop
            13.5s  stop shop.r1.i1
            13.6s  shop.r1.i1 is stopped
            13.6s  done, after 2.460s
            13.6s  notice: 1.2 is the current release
        "#]],
    );
}

#[test]
fn a_queued_order_that_became_impossible_ends_refused_under_its_own_number() {
    check(
        "service instances=1 floor=1 observe=1s
         settled 1.0
         deploy 1.1
         run 1s
         deploy 1.2 in-place
         run
         deploy 1.3
         run 1s",
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
            11.0s  1.2 waits for rollout 2
            11.3s  Drain
            11.3s  route (table 10) to 1.1 × 1
            11.3s  table 10 is in use at every proxy
            11.3s  shop.r1.i1 is drained
            11.3s  Stop
            11.3s  stop shop.r1.i1
            11.4s  shop.r1.i1 is stopped
            11.4s  done, after 1.460s
            11.4s  notice: 1.1 is the current release
            11.4s  it could not begin: replacing in place leaves 0 of 1 instances in load, below the floor of 1, after 460ms
            11.4s  notice: the rollout to 1.2 that waited cannot begin: replacing in place leaves 0 of 1 instances in load, below the floor of 1
            11.4s  rolling from 1.1 to 1.3
            11.4s  Start
            11.4s  start shop.r4.i3
            11.5s  Warmup
            11.7s  shop.r4.i3 is ready
            11.7s  Expose
            11.7s  route (table 19) to 1.1 × 1, 1.3 × 1
            11.7s  table 19 is in use at every proxy
            11.7s  Observe
        "#]],
    );
}

#[test]
fn a_rollback_to_elsewhere_is_refused_while_a_rollout_runs_and_one_to_where_it_came_from_is_not() {
    check(
        "service instances=1 floor=1 observe=1s
         settled 1.0
         settled 1.1
         deploy 1.2
         run 500ms
         rollback 1.0
         rollback 1.1
         rollback 1.1
         run",
        expect![[r#"
            20.0s  rolling from 1.1 to 1.2
            20.0s  Start
            20.0s  start shop.r3.i3
            20.0s  Warmup
            20.3s  shop.r3.i3 is ready
            20.3s  Expose
            20.3s  route (table 15) to 1.1 × 1, 1.2 × 1
            20.3s  table 15 is in use at every proxy
            20.3s  Observe
            refused: rollout 3 is running, and goes back to 1.1 alone
            20.5s  turning back: ordered by ann (wrong colour)
            20.5s  Rollback
            20.5s  route (table 16) to 1.1 × 1
            refused: rollout 3 is rolling back already
            20.5s  table 16 is in use at every proxy
            20.5s  shop.r3.i3 is drained
            20.5s  stop shop.r3.i3
            20.6s  shop.r3.i3 is stopped
            20.6s  rolled back: ordered by ann (wrong colour), after 650ms
            20.6s  notice: 1.2 was rolled back: ordered by ann (wrong colour)
        "#]],
    );
}

#[test]
fn a_promotion_keeps_who_and_why_and_what_cannot_be_promoted_is_refused_with_its_phase() {
    check(
        "service instances=1 floor=1 observe=60s
         settled 1.0
         promote
         deploy 1.1
         promote
         run 1s
         promote
         run",
        expect![[r#"
            refused: no rollout is running
            10.0s  rolling from 1.0 to 1.1
            10.0s  Start
            10.0s  start shop.r2.i2
            refused: the rollout is in Start, where nothing is being observed
            10.0s  Warmup
            10.3s  shop.r2.i2 is ready
            10.3s  Expose
            10.3s  route (table 8) to 1.0 × 1, 1.1 × 1
            10.3s  table 8 is in use at every proxy
            10.3s  Observe
            11.0s  promoted by ann (on second thoughts)
            11.0s  Drain
            11.0s  route (table 9) to 1.1 × 1
            11.0s  table 9 is in use at every proxy
            11.0s  shop.r1.i1 is drained
            11.0s  Stop
            11.0s  stop shop.r1.i1
            11.1s  shop.r1.i1 is stopped
            11.1s  done, after 1.150s
            11.1s  notice: 1.1 is the current release
        "#]],
    );
}
