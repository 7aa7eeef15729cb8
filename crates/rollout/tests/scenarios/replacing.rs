//! First deploys and replacements that go well.

use expect_test::expect;

use crate::player::check;

#[test]
fn a_first_deploy_starts_proves_and_exposes() {
    check(
        "service instances=2 floor=1
         deploy 1.0
         run",
        expect![[r#"
                 0.0s  first deploy of 1.0
                 0.0s  Start
                 0.0s  start shop.r1.i1
                 0.0s  start shop.r1.i2
                 0.0s  Warmup
                 0.3s  shop.r1.i1 is ready
                 0.3s  shop.r1.i2 is ready
                 0.3s  Expose
                 0.3s  route (table 4) to 1.0 × 2
                 0.3s  table 4 is in use at every proxy
                 0.3s  done, after 310ms
                 0.3s  notice: 1.0 is the current release
        "#]],
    );
}

#[test]
fn a_first_deploy_that_never_becomes_ready_leaves_nothing_behind() {
    check(
        "service instances=1 floor=1 start_timeout=3s
         1.0 never-ready
         deploy 1.0
         run
         explain",
        expect![[r#"
            0.0s  first deploy of 1.0
            0.0s  Start
            0.0s  start shop.r1.i1
            0.0s  Warmup
            3.0s  turning back: Warmup did not end within 3s
            3.0s  Rollback
            3.0s  shop.r1.i1 is lost: it was not ready in time
            3.0s  stop shop.r1.i1
            3.1s  shop.r1.i1 is stopped
            3.1s  rolled back: Warmup did not end within 3s, after 3.1s
            3.1s  notice: 1.0 was rolled back: Warmup did not end within 3s
            shop: nothing is deployed
              rolling back: nothing to go back to
        "#]],
    );
}

#[test]
fn rolling_replaces_batch_by_batch_and_stops_the_old_only_after_their_drain() {
    check(
        "service instances=2 floor=2 observe=1s bake=2s
         settled 1.0
         deploy 1.1
         run
         explain",
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
            11.3s  Drain 1/2
            11.3s  route (table 10) to 1.0 × 1, 1.1 × 1
            11.3s  table 10 is in use at every proxy
            11.3s  shop.r1.i2 is drained
            11.3s  Stop 1/2
            11.3s  stop shop.r1.i2
            11.4s  shop.r1.i2 is stopped
            11.4s  Start 2/2
            11.4s  start shop.r2.i4
            11.5s  Warmup 2/2
            11.7s  shop.r2.i4 is ready
            11.7s  Expose 2/2
            11.7s  route (table 13) to 1.0 × 1, 1.1 × 2
            11.7s  table 13 is in use at every proxy
            11.7s  Observe 2/2
            12.7s  Bake 2/2
            12.7s  route (table 14) to 1.1 × 2
            12.7s  table 14 is in use at every proxy
            12.8s  shop.r1.i1 is drained
            14.7s  Drain 2/2
            14.7s  Stop 2/2
            14.7s  stop shop.r1.i1
            14.8s  shop.r1.i1 is stopped
            14.8s  done, after 4.870s
            14.8s  notice: 1.1 is the current release
            shop: 1.1 serves
              1.1 (current, 100% of the traffic): 2 in load
              rolling back: about 250ms, its instances have to start
        "#]],
    );
}

#[test]
fn rolling_in_place_keeps_the_floor_by_taking_smaller_batches() {
    check(
        "service instances=3 floor=2 batch=3
         settled 1.0
         deploy 1.1 in-place
         run",
        expect![[r#"
                10.0s  rolling in place from 1.0 to 1.1
                10.0s  Drain 1/3
                10.0s  route (table 8) to 1.0 × 2
                10.0s  table 8 is in use at every proxy
                10.0s  shop.r1.i3 is drained
                10.0s  Stop 1/3
                10.0s  stop shop.r1.i3
                10.1s  shop.r1.i3 is stopped
                10.1s  Start 1/3
                10.1s  start shop.r2.i4
                10.2s  Warmup 1/3
                10.4s  shop.r2.i4 is ready
                10.4s  Expose 1/3
                10.4s  route (table 12) to 1.0 × 2, 1.1 × 1
                10.4s  table 12 is in use at every proxy
                10.4s  Drain 2/3
                10.4s  route (table 13) to 1.0 × 1, 1.1 × 1
                10.4s  table 13 is in use at every proxy
                10.5s  shop.r1.i2 is drained
                10.5s  Stop 2/3
                10.5s  stop shop.r1.i2
                10.6s  shop.r1.i2 is stopped
                10.6s  Start 2/3
                10.6s  start shop.r2.i5
                10.6s  Warmup 2/3
                10.9s  shop.r2.i5 is ready
                10.9s  Expose 2/3
                10.9s  route (table 16) to 1.0 × 1, 1.1 × 2
                10.9s  table 16 is in use at every proxy
                10.9s  Drain 3/3
                10.9s  route (table 17) to 1.1 × 2
                10.9s  table 17 is in use at every proxy
                10.9s  shop.r1.i1 is drained
                10.9s  Stop 3/3
                10.9s  stop shop.r1.i1
                11.0s  shop.r1.i1 is stopped
                11.0s  Start 3/3
                11.0s  start shop.r2.i6
                11.1s  Warmup 3/3
                11.3s  shop.r2.i6 is ready
                11.3s  Expose 3/3
                11.3s  route (table 20) to 1.1 × 3
                11.3s  table 20 is in use at every proxy
                11.3s  done, after 1.380s
                11.3s  notice: 1.1 is the current release
        "#]],
    );
}

#[test]
fn rolling_in_place_is_refused_where_the_floor_leaves_no_room() {
    check(
        "service instances=2 floor=100%
         settled 1.0
         deploy 1.1 in-place",
        expect![[r#"
            refused: replacing in place leaves 1 of 2 instances in load, below the floor of 2
        "#]],
    );
}

#[test]
fn blue_green_tests_before_anyone_is_switched_and_switches_by_one_table() {
    check(
        "service instances=2 checks=2 bake=5s
         settled 1.0
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
                10.3s  route (table 13) to 1.0 × 2, preview 1.1 × 2
                10.3s  table 13 is in use at every proxy
                10.3s  check "smoke-1"
                10.5s  check "smoke-1" passed
                10.5s  check "smoke-2"
                10.7s  check "smoke-2" passed
                10.7s  Expose
                10.7s  route (table 16) to 1.1 × 2
                10.7s  table 16 is in use at every proxy
                10.7s  Bake
                10.7s  shop.r1.i1 is drained
                10.7s  shop.r1.i2 is drained
                15.7s  Drain
                15.7s  Stop
                15.7s  stop shop.r1.i1
                15.7s  stop shop.r1.i2
                15.8s  shop.r1.i1 is stopped
                15.8s  shop.r1.i2 is stopped
                15.8s  done, after 5.820s
                15.8s  notice: 1.1 is the current release
        "#]],
    );
}
