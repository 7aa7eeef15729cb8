//! Keepers, instances, controller and proxy killed, alone and two at once: what is lost, and that everything comes back.

use std::path::Path;
use std::time::{Duration, Instant};

use gapless_load::{Connections, Kind, Plan, Run, Sums};
use rustix::process::{Pid, Signal, kill_process};

use crate::clients::{assert_nothing_lost, brisk, end, until_under_way};
use crate::world::{PATIENCE, Service, World, kill};

fn service() -> Service {
    Service::sample(&[]).with("[strategy]\nobserve = \"100ms\"\nbake = \"200ms\"\n")
}

/// The keeper of an instance, by its command line.
fn keeper_of(world: &World, instance: &str) -> u32 {
    let spec = world.state().join("instances").join(instance).join("spec.json");
    let wanted = spec.to_string_lossy().into_owned();
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let keeper = entries.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        line.split(|byte| *byte == 0).any(|word| word == wanted.as_bytes()).then_some(pid)
    });
    let runs =
        |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    keeper.into_iter().find(runs).unwrap_or(0)
}

fn tunnels(world: &World) -> Plan {
    let lifetime = Duration::from_secs(250);
    let kind = Kind::WebSocket { every: Duration::from_millis(100), lifetime };
    let mut plan = Plan::new(world.listen).with(kind, Connections::New, 5.0, "/ws");
    plan.run = "tunnels".to_owned();
    plan.duration = Duration::from_secs(300);
    plan
}

/// Folders of cgroups that belong to no instance that is there.
fn cgroups_of(world: &World) -> Vec<std::path::PathBuf> {
    let instances = std::fs::read_dir(world.state().join("instances")).into_iter().flatten().flatten();
    instances
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("cgroup")).ok())
        .map(std::path::PathBuf::from)
        .filter(|path| path.exists())
        .collect()
}

#[test]
fn keepers_that_die_cost_no_request_no_tunnel_and_no_instance() {
    let world = World::up();
    world.assert_done(&world.deploy(&service(), "1.0", "rolling"));
    let load = Run::start(brisk(&world, "keepers")).expect("load");
    let long = Run::start(tunnels(&world)).expect("load");
    until_under_way(&load);
    assert!(long.wait_until(PATIENCE, |sums| sums.websockets.opened >= 9), "{:#?}", long.snapshot());
    let before = world.live();
    let groups = cgroups_of(&world);
    for (instance, _) in &before {
        let keeper = keeper_of(&world, instance);
        kill(keeper);
        world.eventually("another keeper is there", || ![0, keeper].contains(&keeper_of(&world, instance)));
    }
    let now = load.snapshot().answered;
    assert!(load.wait_until(PATIENCE, |sums| sums.answered >= now + 300), "{:#?}", load.snapshot());
    assert_eq!(world.live(), before, "the same instances, as the same processes");
    let tunnels = end(long);
    assert_eq!(tunnels.websockets.cut, 0, "{:?}", tunnels.websockets);
    // And they are replaced as any others, with nothing left.
    world.assert_done(&world.deploy(&service(), "1.1", "rolling"));
    assert_nothing_lost(&end(load), &["1.0", "1.1"]);
    world.eventually("no cgroup of theirs is left", || groups.iter().all(|group| !group.exists()));
}

#[test]
fn a_keeper_that_dies_during_a_rollout_does_not_turn_it_back() {
    let world = World::up();
    let slow = || Service::sample(&[]).with("[strategy]\nobserve = \"2s\"\nbake = \"2s\"\n");
    world.assert_done(&world.deploy(&slow(), "1.0", "rolling"));
    let load = Run::start(brisk(&world, "rollout")).expect("load");
    until_under_way(&load);
    std::thread::scope(|scope| {
        let deploy = scope.spawn(|| world.deploy(&slow(), "1.1", "rolling"));
        let candidate = || world.live().into_iter().map(|(id, _)| id).find(|instance| instance.starts_with("shop.r2."));
        world.eventually("the candidate is in load", || candidate().is_some());
        kill(keeper_of(&world, &candidate().expect("a candidate")));
        world.assert_done(&deploy.join().expect("the deploy"));
    });
    assert_nothing_lost(&end(load), &["1.0", "1.1"]);
}

/// What is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Victim {
    Keeper,
    Instance,
    Controller,
    Proxy,
}

fn pids(world: &World, victims: [Victim; 2], controller: u32) -> [u32; 2] {
    let (instance, main) = world.live().into_iter().next().expect("an instance");
    victims.map(|victim| match victim {
        Victim::Keeper => keeper_of(world, &instance),
        Victim::Instance => main,
        Victim::Controller => controller,
        Victim::Proxy => world.proxy_pid(),
    })
}

/// Both with one moment, so that neither hears of the other's end.
fn kill_both(pids: [u32; 2]) {
    for pid in pids {
        let pid = Pid::from_raw(i32::try_from(pid).expect("a process id")).expect("a process id");
        kill_process(pid, Signal::KILL).expect("kill -9");
    }
}

/// What these two may cost: what was in flight through the one that died.
fn assert_cost(victims: [Victim; 2], sums: &Sums) {
    let in_flight = victims.iter().any(|victim| matches!(victim, Victim::Instance | Victim::Proxy));
    // What an instance was doing when it died may have been executed there, and a GET of these may be sent again.
    let seen = sums.seen.as_ref().expect("the instances write down what they execute");
    let repeated = if victims.contains(&Victim::Instance) { seen.duplicated_unsafe } else { seen.duplicated };
    assert_eq!(repeated, 0, "{victims:?}: {seen:?}");
    if victims != [Victim::Controller, Victim::Proxy] {
        // The listening sockets are held by these two alone: where both are gone, so is whoever could take a connection.
        assert_eq!(sums.lost_by.get("refused"), None, "{victims:?}: {:?}", sums.lost_by);
    }
    assert_eq!(sums.lost_by.get("timed-out"), None, "{victims:?}: {:?}", sums.lost_by);
    if !in_flight {
        assert_eq!(sums.lost, 0, "{victims:?}: {:?} {:#?}", sums.lost_by, sums.incidents);
    }
    let first = sums.incidents.iter().map(|incident| incident.at_ms).min().unwrap_or(0);
    let last = sums.incidents.iter().map(|incident| incident.at_ms).max().unwrap_or(0);
    eprintln!("{victims:?}: {} of {} lost within {} ms: {:?}", sums.lost, sums.scheduled, last - first, sums.lost_by);
}

#[test]
fn any_two_that_die_at_once_come_back_and_cost_no_more_than_was_in_flight() {
    use Victim::{Controller, Instance, Keeper, Proxy};
    let pairs = [
        [Keeper, Instance],
        [Keeper, Controller],
        [Keeper, Proxy],
        [Instance, Controller],
        [Instance, Proxy],
        [Controller, Proxy],
    ];
    let mut world = World::up();
    world.assert_done(&world.deploy(&service(), "1.0", "rolling"));
    for (number, victims) in pairs.into_iter().enumerate() {
        let load = Run::start(brisk(&world, &format!("pair-{number}"))).expect("load");
        until_under_way(&load);
        kill_both(pids(&world, victims, world.controller_pid().expect("a controller")));
        if victims.contains(&Controller) {
            world.kill_controller();
            world.start_controller(&[]);
        }
        let begun = Instant::now();
        world.eventually("three instances are in load", || {
            let live = world.live();
            live.len() == 3 && live.iter().all(|(instance, _)| keeper_of(&world, instance) != 0)
        });
        eprintln!("{victims:?}: whole again after {} ms", begun.elapsed().as_millis());
        let now = load.snapshot().answered;
        assert!(load.wait_until(PATIENCE, |sums| sums.answered >= now + 200), "{:#?}", load.snapshot());
        assert_cost(victims, &end(load));
        let label = format!("1.{}", number + 1);
        let load = Run::start(brisk(&world, &format!("after-{number}"))).expect("load");
        until_under_way(&load);
        world.assert_done(&world.deploy(&service(), &label, "rolling"));
        assert_nothing_lost(&end(load), &[&label]);
        assert_eq!(left_over(&world.state().join("instances")), 3, "{victims:?}: no folder of another is left");
    }
}

fn left_over(instances: &Path) -> usize {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let count = std::fs::read_dir(instances).map_or(0, Iterator::count);
        if count <= 3 || Instant::now() >= deadline {
            return count;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn everything_that_was_killed_is_back_at_once_each_time() {
    let mut world = World::up();
    let service = service().with("[restart]\nbackoff_min = \"5s\"\nbackoff_max = \"60s\"\n");
    world.assert_done(&world.deploy(&service, "1.0", "rolling"));
    let mut slowest = Duration::ZERO;
    for _ in 0..3 {
        let live = world.live();
        let keepers: Vec<u32> = live.iter().map(|(instance, _)| keeper_of(&world, instance)).collect();
        let proxy = world.proxy_pid();
        world.kill_controller();
        keepers.into_iter().chain(live.into_iter().map(|(_, pid)| pid)).chain([proxy]).for_each(kill);
        let begun = Instant::now();
        world.start_controller(&[]);
        world.eventually("three instances are in load", || world.live().len() == 3);
        slowest = slowest.max(begun.elapsed());
    }
    // A failure of the release would wait for five seconds, then ten, then twenty.
    assert!(slowest < Duration::from_secs(15), "{slowest:?}\n{}", world.log());
    let (killed, pid) = world.live().remove(0);
    kill(pid);
    let begun = Instant::now();
    world.eventually("another takes its place", || {
        let live = world.live();
        live.len() == 3 && live.iter().all(|(instance, _)| *instance != killed)
    });
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}\n{}", begun.elapsed(), world.log());
}
