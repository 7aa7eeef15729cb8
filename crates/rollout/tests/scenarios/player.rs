//! Plays a scenario, one command per line.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use gapless_rollout::{Adjustment, EndedBy, Input, Origin, plan, plan_adjustment, plan_restart};

use crate::world::releases::{millis, release};
use crate::world::{Behaviour, World};

/// Plays a scenario, one command per line, and compares what it prints.
#[expect(clippy::needless_pass_by_value, reason = "expect! gives a value")]
pub fn check(scenario: &str, expected: Expect) {
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
            "rollback" => world.rollback(rest),
            "restart" => world.restart(),
            "scale" => world.adjust(Adjustment::Scale { instances: rest.parse().unwrap() }),
            "stop" => world.adjust(Adjustment::Stop),
            "start" => world.adjust(Adjustment::Start),
            "remove" => world.adjust(Adjustment::Remove),
            "plan-scale" => {
                let plan = plan_adjustment(&world.service, Adjustment::Scale { instances: rest.parse().unwrap() });
                write!(world.output, "{}", plan.unwrap()).unwrap();
            }
            "plan-stop" => {
                write!(world.output, "{}", plan_adjustment(&world.service, Adjustment::Stop).unwrap()).unwrap()
            }
            "plan-restart" => write!(world.output, "{}", plan_restart(&world.service).unwrap()).unwrap(),
            "abort" => world.input(Input::AbortOrdered(origin())),
            "promote" => world.input(Input::PromoteOrdered(origin())),
            "run" if rest.is_empty() => world.run(),
            "run" => {
                let until = world.now.after(millis(rest));
                world.run_until(until);
            }
            "exit" | "kill" => {
                let instance = world.instance(rest.parse().unwrap());
                let ended_by = if verb == "kill" { EndedBy::Outside } else { EndedBy::Itself };
                world.deliver(Input::InstanceExited { instance, status: "signal 9".into(), ended_by });
            }
            "machine-crashes" => {
                world.alive.clear();
                world.restart_controller();
            }
            "sick" => {
                let instance = world.instance(rest.parse().unwrap());
                world.deliver(Input::InstanceUnhealthy { instance, reason: "status 503".into() });
            }
            // `unready 3 /healthz answered 404`: what the probes of an instance that is not ready fail with.
            "unready" => {
                let (ordinal, reason) = rest.split_once(' ').unwrap();
                let instance = world.instance(ordinal.parse().unwrap());
                world.input(Input::ProbeFailed { instance, reason: reason.to_owned() });
            }
            "well" => {
                let instance = world.instance(rest.parse().unwrap());
                world.deliver(Input::InstanceReady { instance });
            }
            // `requests 30/30 old 0/60 before 0/100`: failed of all, of the candidate and of the release before; they went on for three seconds.
            "requests" => world.requests(rest),
            "proxies" if rest == "silent" => world.silent = true,
            // `proxies refuse 1.1`: every table that holds it; `proxies refuse *`: every table.
            "proxies" if rest.starts_with("refuse ") => world.refused = rest.split(' ').nth(1).map(str::to_owned),
            "proxies" if rest == "obliging" => world.refused = None,
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
        let time = || millis(after).0;
        let behaviour = match what {
            "never-ready" => Behaviour::NeverReady,
            "exits-at-start" => Behaviour::ExitsAtStart,
            "start-fails" => Behaviour::StartFails,
            "exits-after" => Behaviour::ExitsAfterReady(time()),
            "sick-after" => Behaviour::SickAfterReady(time()),
            "never-drains" => Behaviour::NeverDrains,
            "tunnels-stay" => Behaviour::TunnelsStay,
            "checks-fail" => Behaviour::ChecksFail,
            "hook-fails" => Behaviour::HookFails(after.parse().unwrap()),
            "hook-hangs" => Behaviour::HookHangs(after.parse().unwrap()),
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
