//! Candidates that are well by their probes and fail their clients.

use expect_test::expect;

use crate::player::check;

#[test]
fn a_candidate_that_fails_its_clients_in_its_first_batch_goes_back() {
    check(
        "service instances=2 observe=5s
         settled 1.0
         deploy 1.1
         run 1s
         requests 3/4 old 0/400
         run 1s
         requests 40/40 old 0/400
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
            12.0s  turning back: the candidate failed 40 of 40 requests (100%), the release before 0 of 400 in the same time
            12.0s  Rollback
            12.0s  route (table 10) to 1.0 × 2
            12.0s  table 10 is in use at every proxy
            12.0s  shop.r2.i3 is drained
            12.0s  stop shop.r2.i3
            12.1s  shop.r2.i3 is stopped
            12.1s  rolled back: the candidate failed 40 of 40 requests (100%), the release before 0 of 400 in the same time, after 2.150s
            12.1s  notice: 1.1 was rolled back: the candidate failed 40 of 40 requests (100%), the release before 0 of 400 in the same time
        "#]],
    );
}

#[test]
fn a_candidate_that_fails_behind_the_switch_goes_back_by_one_table_compared_with_the_time_before() {
    check(
        "service instances=2 bake=1m
         settled 1.0
         deploy 1.1 blue-green
         run 10s
         requests 90/100 old 0/3 before 2/700
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
            20.0s  turning back: the candidate failed 90 of 100 requests (90%), the release before 2 of 700 shortly before
            20.0s  Rollback
            20.0s  route (table 11) to 1.0 × 2
            20.0s  table 11 is in use at every proxy
            20.0s  shop.r2.i3 is drained
            20.0s  stop shop.r2.i3
            20.0s  shop.r2.i4 is drained
            20.0s  stop shop.r2.i4
            20.1s  shop.r2.i3 is stopped
            20.1s  shop.r2.i4 is stopped
            20.1s  rolled back: the candidate failed 90 of 100 requests (90%), the release before 2 of 700 shortly before, after 10.150s
            20.1s  notice: 1.1 was rolled back: the candidate failed 90 of 100 requests (90%), the release before 2 of 700 shortly before
        "#]],
    );
}

#[test]
fn an_outage_of_both_turns_nothing_back_and_neither_does_silence() {
    check(
        "service instances=1 floor=0 observe=2s bake=2s
         settled 1.0
         deploy 1.1
         run 1s
         requests 500/500 old 510/510
         requests 0/0 old 0/0
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
            12.3s  Bake
            12.3s  route (table 9) to 1.1 × 1
            12.3s  table 9 is in use at every proxy
            12.3s  shop.r1.i1 is drained
            14.3s  Drain
            14.3s  Stop
            14.3s  stop shop.r1.i1
            14.4s  shop.r1.i1 is stopped
            14.4s  done, after 4.410s
            14.4s  notice: 1.1 is the current release
        "#]],
    );
}

#[test]
fn counts_decide_nothing_where_nobody_is_exposed_where_the_place_is_earned_or_where_it_is_switched_off() {
    check(
        "service instances=1 floor=0 bake=2s errors_above=0
         settled 1.0
         requests 500/500 old 0/500
         deploy 1.1 blue-green
         run 1s
         requests 500/500 old 0/500
         run",
        expect![[r#"
            10.0s  blue-green from 1.0 to 1.1
            10.0s  Start
            10.0s  start shop.r2.i2
            10.0s  Warmup
            10.3s  shop.r2.i2 is ready
            10.3s  Expose
            10.3s  route (table 8) to 1.1 × 1
            10.3s  table 8 is in use at every proxy
            10.3s  Bake
            10.3s  shop.r1.i1 is drained
            12.3s  Drain
            12.3s  Stop
            12.3s  stop shop.r1.i1
            12.4s  shop.r1.i1 is stopped
            12.4s  done, after 2.410s
            12.4s  notice: 1.1 is the current release
        "#]],
    );
}
