//! Scenarios as an operator would tell them, with what the machine answers.

mod world;

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use gapless_model::Millis;
use gapless_rollout::{Input, Origin, plan};

use world::releases::{millis, release};
use world::{Behaviour, World};

/// Plays a scenario, one command per line, and compares what it prints.
#[expect(clippy::needless_pass_by_value, reason = "expect! gives a value")]
fn check(scenario: &str, expected: Expect) {
    let mut player = Player { world: World::new("shop"), defaults: String::new(), releases: 0 };
    for line in scenario.lines().map(str::trim).filter(|line| !line.is_empty()) {
        player.command(line);
    }
    expected.assert_eq(&player.world.output);
}

struct Player {
    world: World,
    defaults: String,
    releases: u64,
}

impl Player {
    fn command(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let world = &mut self.world;
        let origin = || Origin { by: "ann".into(), reason: "on second thoughts".into() };
        match verb {
            "service" => self.defaults = rest.to_owned(),
            "deploy" => {
                self.releases += 1;
                world.deploy(release("shop", self.releases, rest, &self.defaults));
            }
            "plan" => {
                let release = release("shop", self.releases + 1, rest, &self.defaults);
                match plan(&world.service, &release, None) {
                    Ok(plan) => write!(world.output, "{plan}").unwrap(),
                    Err(refusal) => writeln!(world.output, "refused: {refusal}").unwrap(),
                }
            }
            "settled" => {
                // The same as a deploy that ran to its end, without its lines.
                self.releases += 1;
                let before = world.output.clone();
                world.deploy(release("shop", self.releases, rest, &self.defaults));
                world.run();
                world.output = before;
                world.now = gapless_model::Tick(world.now.0.div_ceil(10_000) * 10_000);
            }
            "rollback" => world.rollback(),
            "abort" => world.input(Input::AbortOrdered(origin())),
            "promote" => world.input(Input::PromoteOrdered(origin())),
            "run" if rest.is_empty() => world.run(),
            "run" => {
                let until = world.now.after(millis(rest));
                world.run_until(until);
            }
            "exit" => {
                let instance = world.instance(rest.parse().unwrap());
                world.deliver(Input::InstanceExited { instance, status: "signal 9".into() });
            }
            "sick" => {
                let instance = world.instance(rest.parse().unwrap());
                world.deliver(Input::InstanceUnhealthy { instance, reason: "status 503".into() });
            }
            "well" => {
                let instance = world.instance(rest.parse().unwrap());
                world.deliver(Input::InstanceReady { instance });
            }
            "proxies" if rest == "silent" => world.silent = true,
            "proxies" => world.proxies_back(),
            "restart-controller" => world.restart_controller(),
            "explain" => {
                let report = world.service.report(world.now);
                write!(world.output, "{report}").unwrap();
            }
            label => self.behave(label, rest),
        }
    }

    /// `1.1 never-ready`, `1.1 exits-after 300ms`.
    fn behave(&mut self, label: &str, rest: &str) {
        let (what, after) = rest.split_once(' ').unwrap_or((rest, "0ms"));
        let Millis(after) = millis(after);
        let behaviour = match what {
            "never-ready" => Behaviour::NeverReady,
            "exits-at-start" => Behaviour::ExitsAtStart,
            "start-fails" => Behaviour::StartFails,
            "exits-after" => Behaviour::ExitsAfterReady(after),
            "sick-after" => Behaviour::SickAfterReady(after),
            "never-drains" => Behaviour::NeverDrains,
            "checks-fail" => Behaviour::ChecksFail,
            "checks-hang" => Behaviour::ChecksHang,
            "well-behaved" => {
                self.world.behaviours.remove(label);
                return;
            }
            other => panic!("no command is called {label} {other}"),
        };
        self.world.behaviours.insert(label.to_owned(), behaviour);
    }
}

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
            20.0s  blue-green from 1.1 to 1.0
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
            11.0s  1.2 waits for the running rollout
            11.0s  1.3 waits for the running rollout
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
                11.0s  1.2 waits for the running rollout
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
              at the latest in 4s: the rollout goes on
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
                12.0s  promoted by ann
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
              Drain    2/2   take 1 instance of 1.0 out of load; after 35s the rollout ends and the last tunnels drain behind it
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
              Drain          take 2 instances of 1.0 out of load; after 35s the rollout ends and the last tunnels drain behind it
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
