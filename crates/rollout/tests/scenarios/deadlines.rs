//! Deadlines, returns of the controller, and plans.

use expect_test::expect;

use gapless_rollout::plan;

use crate::player::check;
use crate::world::World;
use crate::world::releases::release;

#[test]
fn requests_that_do_not_end_are_cut_at_the_drain_deadline_and_that_is_on_the_record() {
    check(
        "service instances=1 floor=1 drain=2s tunnels=6s
         settled 1.0
         1.0 never-drains
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
                10.3s  table 8 is in use at every proxy
                10.3s  Drain
                10.3s  route (table 9) to 1.1 × 1
                10.3s  table 9 is in use at every proxy
                12.3s  Stop
                12.3s  done, after 2.320s
                12.3s  notice: 1.1 is the current release
                16.3s  shop.r1.i1 did not drain in time
                16.3s  stop shop.r1.i1
                16.4s  shop.r1.i1 is stopped
        "#]],
    );
}

#[test]
fn proxies_that_say_nothing_turn_the_rollout_back_and_then_call_an_operator() {
    check(
        "service instances=1 floor=1
         settled 1.0
         proxies silent
         deploy 1.1
         run 2m
         explain
         proxies back
         run 1m
         explain",
        expect![[r#"
            10.0s  rolling from 1.0 to 1.1
            10.0s  Start
            10.0s  start shop.r2.i2
            10.0s  Warmup
            10.3s  shop.r2.i2 is ready
            10.3s  Expose
            10.3s  route (table 8) to 1.0 × 1, 1.1 × 1
            40.3s  turning back: Expose did not end within 30s
            40.3s  Rollback
            40.3s  route (table 9) to 1.0 × 1
            70.3s  needs an operator: Rollback did not end within 30s, after 1m
            70.3s  notice: the rollout to 1.1 needs an operator: Rollback did not end within 30s
            shop: rollout 2 needs an operator for 59.7s: Rollback did not end within 30s
              1.0 (current, 100% of the traffic): 1 in load
              1.1 (candidate, 0% of the traffic): 1 ready and not in load
              waits for every proxy to use table 9, for 1m29s
              rolling back: one table change
            130.0s  table 9 is in use at every proxy
            130.0s  shop.r2.i2 is drained
            130.0s  stop shop.r2.i2
            130.1s  shop.r2.i2 is stopped
            130.1s  1.0 serves in full again
            shop: 1.0 serves
              1.0 (current, 100% of the traffic): 1 in load
              rolling back: nothing to go back to
        "#]],
    );
}

#[test]
fn a_controller_that_returns_observes_again_what_was_being_observed() {
    check(
        "service instances=2 floor=1 bake=4s
         settled 1.0
         deploy 1.1 blue-green
         run 3s
         restart-controller
         explain
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
            13.0s  a controller took over and found 4 instances running
            shop: rollout 2, blue-green from 1.0 to 1.1, in Bake for 2.690s
              1.0 (current, 0% of the traffic): 2 warming
              1.1 (candidate, 100% of the traffic): 2 in load
              waits for shop.r1.i1 to be ready, for 0ms
              waits for shop.r1.i2 to be ready, for 0ms
              waits for shop.r2.i3 to be ready, for 0ms
              waits for shop.r2.i4 to be ready, for 0ms
              waits for what clients see of it, 4s more, for 2.690s
              at the latest in 10s: the rollout rolls back
              rolling back: about 250ms, its instances have to start
            13.2s  shop.r1.i1 is ready
            13.2s  shop.r1.i2 is ready
            13.2s  shop.r2.i3 is ready
            13.2s  shop.r2.i4 is ready
            17.0s  Drain
            17.0s  Stop
            17.0s  stop shop.r1.i1
            17.0s  stop shop.r1.i2
            17.1s  shop.r1.i1 is stopped
            17.1s  shop.r1.i2 is stopped
            17.1s  done, after 7.1s
            17.1s  notice: 1.1 is the current release
        "#]],
    );
}

#[test]
fn a_draining_instance_that_is_not_proven_again_keeps_its_time_to_drain() {
    check(
        "service instances=1 floor=1 drain=8s tunnels=20s start_timeout=2s
         settled 1.0
         1.0 never-drains
         deploy 1.1
         run 1s
         1.0 never-ready
         proxies silent
         restart-controller
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
            10.3s  Drain
            10.3s  route (table 9) to 1.1 × 1
            10.3s  table 9 is in use at every proxy
            11.0s  a controller took over and found 2 instances running
            11.2s  shop.r2.i2 is ready
            13.0s  shop.r1.i1 is lost: it was not ready in time
            18.3s  Stop
            18.3s  done, after 8.320s
            18.3s  notice: 1.1 is the current release
            30.3s  shop.r1.i1 did not drain in time
            30.3s  stop shop.r1.i1
            30.4s  shop.r1.i1 is stopped
        "#]],
    );
}

#[test]
fn a_batch_does_not_wait_for_tunnels_alone() {
    check(
        "service instances=2 floor=1 drain=30s tunnels=5m
         settled 1.0
         1.0 tunnels-stay
         deploy 1.1
         explain
         run",
        expect![[r#"
            10.0s  rolling from 1.0 to 1.1
            10.0s  Start 1/2
            10.0s  start shop.r2.i3
            shop: rollout 2, rolling from 1.0 to 1.1, in Start of batch 1 of 2 for 0ms
              1.0 (current, 100% of the traffic): 2 in load
              1.1 (candidate, 0% of the traffic): 1 starting
              waits for the process of shop.r2.i3, for 0ms
              at the latest in 10s: the rollout rolls back
              rolling back: one table change
            10.0s  Warmup 1/2
            10.3s  shop.r2.i3 is ready
            10.3s  Expose 1/2
            10.3s  route (table 9) to 1.0 × 2, 1.1 × 1
            10.3s  table 9 is in use at every proxy
            10.3s  Drain 1/2
            10.3s  route (table 10) to 1.0 × 1, 1.1 × 1
            10.3s  table 10 is in use at every proxy
            10.3s  shop.r1.i2 has tunnels and streams alone
            10.3s  Stop 1/2
            10.3s  Start 2/2
            10.3s  start shop.r2.i4
            10.4s  Warmup 2/2
            10.6s  shop.r2.i4 is ready
            10.6s  Expose 2/2
            10.6s  route (table 12) to 1.0 × 1, 1.1 × 2
            10.6s  table 12 is in use at every proxy
            10.6s  Drain 2/2
            10.6s  route (table 13) to 1.1 × 2
            10.6s  table 13 is in use at every proxy
            10.7s  shop.r1.i1 has tunnels and streams alone
            10.7s  Stop 2/2
            10.7s  done, after 720ms
            10.7s  notice: 1.1 is the current release
            310.3s  shop.r1.i2 did not drain in time
            310.3s  stop shop.r1.i2
            310.4s  shop.r1.i2 is stopped
            310.6s  shop.r1.i1 did not drain in time
            310.6s  stop shop.r1.i1
            310.7s  shop.r1.i1 is stopped
        "#]],
    );
}

#[test]
fn an_operator_may_cut_an_observation_short() {
    check(
        "service instances=1 floor=1 bake=1h
         settled 1.0
         deploy 1.1 blue-green
         run 2s
         promote
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
                12.0s  promoted by ann (on second thoughts)
                12.0s  Drain
                12.0s  Stop
                12.0s  stop shop.r1.i1
                12.1s  shop.r1.i1 is stopped
                12.1s  done, after 2.1s
                12.1s  notice: 1.1 is the current release
        "#]],
    );
}

#[test]
fn a_rollout_that_takes_too_long_turns_back() {
    check(
        "service instances=1 floor=1 bake=1h rollout_timeout=30s
         settled 1.0
         deploy 1.1 blue-green
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
                40.0s  turning back: the rollout did not end within 30s
                40.0s  Rollback
                40.0s  route (table 9) to 1.0 × 1
                40.0s  table 9 is in use at every proxy
                40.0s  shop.r2.i2 is drained
                40.0s  stop shop.r2.i2
                40.1s  shop.r2.i2 is stopped
                40.1s  rolled back: the rollout did not end within 30s, after 30.150s
                40.1s  notice: 1.1 was rolled back: the rollout did not end within 30s
        "#]],
    );
}

#[test]
fn orders_that_make_no_sense_are_refused() {
    check(
        "service instances=1 floor=1
         rollback
         abort
         promote
         settled 1.0
         rollback
         abort",
        expect![[r#"
            refused: there is no earlier release to go back to
            refused: no rollout is running
            refused: no rollout is running
            refused: there is no earlier release to go back to
            refused: no rollout is running
        "#]],
    );
}

#[test]
fn a_plan_tells_the_phases_before_they_run() {
    check(
        "service instances=2 floor=1 observe=10s bake=1m
         plan 1.0
         settled 1.0
         plan 1.1
         plan 1.1 in-place batch=50% bake=0s
         plan 1.1 blue-green checks=2
         plan 1.1 in-place floor=2",
        expect![[r#"
            first deploy of 1.0
              Start          start 2 instances of 1.0; after 10s the rollout rolls back
              Warmup         wait until all are ready, at least 250ms; after 10s the rollout rolls back
              Expose         route to 1.0 × 2; after 30s the rollout stops as it is and calls an operator
              at least 250ms in all, at most 10m; going back: nothing to go back to
            rolling from 1.0 to 1.1
              Start    1/2   start 1 instance of 1.1; after 10s the rollout rolls back
              Warmup   1/2   wait until all are ready, at least 250ms; after 10s the rollout rolls back
              Expose   1/2   route to 1.0 × 2 and 1.1 × 1; after 30s the rollout rolls back
              Observe  1/2   watch the batch in load, at least 10s; after 40s the rollout rolls back
              Drain    1/2   take 1 instance of 1.0 out of load; after 35s the rollout rolls back
              Stop     1/2   stop what is drained; after 15s the rollout goes on
              Start    2/2   start 1 instance of 1.1; after 10s the rollout rolls back
              Warmup   2/2   wait until all are ready, at least 250ms; after 10s the rollout rolls back
              Expose   2/2   route to 1.0 × 1 and 1.1 × 2; after 30s the rollout rolls back
              Observe  2/2   watch the batch in load, at least 10s; after 40s the rollout rolls back
              Bake     2/2   watch 1.1 in load, 1 instance of 1.0 kept warm, at least 1m; after 1m30s the rollout rolls back
              Drain    2/2   take 1 instance of 1.0 out of load; after 35s the rollout is done, and what is left drains behind it
              Stop     2/2   stop what is drained; after 15s the rollout goes on
              at least 1m20s in all, at most 10m; going back: about 250ms, its instances have to start
            rolling in place from 1.0 to 1.1
              Drain    1/2   take 1 instance of 1.0 out of load; after 35s the rollout rolls back
              Stop     1/2   stop what is drained; after 35s the rollout rolls back
              Start    1/2   start 1 instance of 1.1; after 10s the rollout rolls back
              Warmup   1/2   wait until all are ready, at least 250ms; after 10s the rollout rolls back
              Expose   1/2   route to 1.0 × 1 and 1.1 × 1; after 30s the rollout rolls back
              Observe  1/2   watch the batch in load, at least 10s; after 40s the rollout rolls back
              Drain    2/2   take 1 instance of 1.0 out of load; after 35s the rollout rolls back
              Stop     2/2   stop what is drained; after 35s the rollout rolls back
              Start    2/2   start 1 instance of 1.1; after 10s the rollout rolls back
              Warmup   2/2   wait until all are ready, at least 250ms; after 10s the rollout rolls back
              Expose   2/2   route to 1.1 × 2; after 30s the rollout rolls back
              Observe  2/2   watch the batch in load, at least 10s; after 40s the rollout rolls back
              at least 20.5s in all, at most 10m; going back: about 250ms, its instances have to start
            blue-green from 1.0 to 1.1
              Start          start 2 instances of 1.1; after 10s the rollout rolls back
              Warmup         wait until all are ready, at least 250ms; after 10s the rollout rolls back
              Test           run smoke-1, smoke-2 through the preview; after 40s the rollout rolls back
              Expose         route to 1.1 × 2; after 30s the rollout rolls back
              Bake           watch 1.1 in load, 2 instances of 1.0 kept warm, at least 1m; after 1m30s the rollout rolls back
              Drain          take 2 instances of 1.0 out of load; after 35s the rollout is done, and what is left drains behind it
              Stop           stop what is drained; after 15s the rollout goes on
              at least 1m in all, at most 10m; going back: one table change
            rolling in place from 1.0 to 1.1
              Drain    1/2   take 1 instance of 1.0 out of load; after 35s the rollout rolls back
              Stop     1/2   stop what is drained; after 35s the rollout rolls back
              Start    1/2   start 1 instance of 1.1; after 10s the rollout rolls back
              Warmup   1/2   wait until all are ready, at least 250ms; after 10s the rollout rolls back
              Expose   1/2   route to 1.0 × 1 and 1.1 × 1; after 30s the rollout rolls back
              Observe  1/2   watch the batch in load, at least 10s; after 40s the rollout rolls back
              Drain    2/2   take 1 instance of 1.0 out of load; after 35s the rollout rolls back
              Stop     2/2   stop what is drained; after 35s the rollout rolls back
              Start    2/2   start 1 instance of 1.1; after 10s the rollout rolls back
              Warmup   2/2   wait until all are ready, at least 250ms; after 10s the rollout rolls back
              Expose   2/2   route to 1.1 × 2; after 30s the rollout rolls back
              Observe  2/2   watch the batch in load, at least 10s; after 40s the rollout rolls back
              Bake     2/2   watch 1.1 in load, at least 1m; after 1m30s the rollout rolls back
              at least 1m20s in all, at most 10m; going back: about 250ms, its instances have to start
        "#]],
    );
}

#[test]
fn what_a_plan_tells_is_what_a_rollout_does() {
    for strategy in [
        "rolling batch=1",
        "rolling batch=2 observe=1s",
        "in-place batch=50% bake=0s",
        "blue-green",
        "blue-green bake=0s",
    ] {
        for (instances, checks) in [(1, 0), (3, 2), (5, 0)] {
            let mut world = World::new("shop");
            let mut text = format!("1.0 {strategy} instances={instances} floor=0 checks={checks}");
            for number in 1..=2 {
                let release = release("shop", number, &text, "");
                let told = plan(&world.service, &release, None).unwrap();
                world.entered.clear();
                world.deploy(release);
                world.run();
                let told: Vec<_> = told.phases.iter().map(|planned| (planned.phase, planned.batch)).collect();
                assert_eq!(world.entered, told, "{text}:\n{}", world.output);
                text = text.replacen("1.0", "1.1", 1);
            }
        }
    }
}

#[test]
fn the_end_of_a_rollout_is_explained_though_the_order_behind_it_cannot_begin() {
    check(
        "service instances=1 floor=1 observe=1s bake=0s drain=1s
         settled 1.0
         1.0 never-drains
         deploy 1.1
         run 1s
         deploy 1.2 in-place
         run 400ms
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
            11.3s  Drain
            11.3s  route (table 10) to 1.1 × 1
            11.3s  table 10 is in use at every proxy
            shop: rollout 2, rolling from 1.0 to 1.1, in Drain for 90ms
              1.0 (current, 0% of the traffic): 1 ready and not in load
              1.1 (candidate, 100% of the traffic): 1 in load
              waits for the requests in flight to shop.r1.i1, for 80ms
              at the latest in 920ms: the rollout is done, and what is left drains behind it
              rollout 3 begins after this one
              rolling back: one table change
            12.3s  Stop
            12.3s  done, after 2.320s
            12.3s  notice: 1.1 is the current release
            12.3s  it could not begin: replacing in place leaves 0 of 1 instances in load, below the floor of 1, after 1.320s
            12.3s  notice: the rollout to 1.2 that waited cannot begin: replacing in place leaves 0 of 1 instances in load, below the floor of 1
            31.3s  shop.r1.i1 did not drain in time
            31.3s  stop shop.r1.i1
            31.4s  shop.r1.i1 is stopped
        "#]],
    );
}
