//! What happens in the demo, in its order.

use std::time::{Duration, Instant};

use gapless_load::{Connections, Kind, Offer, Plan, Run, Sums};

use super::summary::{self, Summary};
use super::world::{SERVICE, World};
use crate::verb::demo::Args;
use crate::{Context, Exit, Failure};

/// Batch by batch.
const ROLLING: &str =
    "[strategy]\nkind = \"rolling\"\nbatch = 1\nobserve = \"300ms\"\nbake = \"1s\"\ntimeout = \"30s\"";
/// The whole set beside, tested, switched at once.
const BLUE_GREEN: &str = "[strategy]\nkind = \"blue-green\"\nbake = \"2s\"\ntimeout = \"30s\"\n\n[[check]]\nname = \"front page\"\nhttp = \"/\"\nexpect = \"200-299\"";

/// The same without a check: the check would be the first request, and the crash that counts from there would come before the switch.
const BLUE_GREEN_UNCHECKED: &str = "[strategy]\nkind = \"blue-green\"\nbake = \"2s\"\ntimeout = \"30s\"";

/// Tells what happens, with the time since the beginning. On stderr where stdout is for programs.
pub struct Teller {
    began: Instant,
    json: bool,
}

impl Teller {
    fn say(&self, line: &str) {
        let seconds = self.began.elapsed().as_secs_f64();
        self.print(&format!("{seconds:5.1}s  {line}"));
    }

    /// A line of a program that the demo runs.
    pub fn quote(&self, line: &str) {
        self.print(&format!("        │ {line}"));
    }

    /// A line as it is.
    pub fn print(&self, line: &str) {
        match self.json {
            true => tell!("{line}"),
            // Of no consequence: the demo's exit code tells how it went.
            false => drop(print_line!("{line}")),
        }
    }
}

/// Runs the demo.
///
/// # Errors
/// When a part of it could not be run at all. What it found is in the exit code.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let teller = Teller { began: Instant::now(), json: context.json };
    let mut world = World::new()?;
    let told = tell(&mut world, &teller, Duration::from_secs(u64::from(args.seconds)));
    let summary = match told {
        Ok(told) => Summary::of(&world, &told),
        Err(failure) => Err(failure),
    };
    if let Some(folder) = world.end(args.keep || summary.is_err()) {
        teller.say(&format!("the demo's folder: {}", folder.display()));
    }
    let summary = summary?;
    summary::show(&summary, &teller, context.json)?;
    Ok(if summary.is_flawless() { Exit::Done } else { Exit::FailedByUs })
}

/// How long a client waits: the story tells what a deploy loses, and it has to be right on a machine that is busy with something else.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How far the clients get ahead of their answers: a machine that is too slow for their rates gets fewer requests, not ones that time out.
const AHEAD: Duration = Duration::from_secs(2);

/// The two kinds of load: short requests all the time; slow ones and WebSockets while nothing is killed.
fn short_requests(world: &World, at_most: Duration) -> Plan {
    let mut plan = Plan::new(world.address)
        .with(Kind::Get, Connections::Kept(8), 120.0, "/")
        .with(Kind::Get, Connections::New, 30.0, "/")
        .with(Kind::Post { bytes: 2_000 }, Connections::Kept(4), 40.0, "/cart")
        .with(Kind::PostChunked { bytes: 4_000 }, Connections::Kept(2), 10.0, "/cart");
    plan.duration = at_most;
    plan.timeout = ANSWER_TIMEOUT;
    plan.offer = Offer::Yielding { ahead: AHEAD };
    plan.run = "short".to_owned();
    plan.seen = Some(world.seen());
    plan.idempotency_keys = true;
    plan
}

fn long_requests(world: &World, at_most: Duration) -> Plan {
    let slowly = Duration::from_secs(2);
    let websocket = Kind::WebSocket { every: Duration::from_millis(250), lifetime: Duration::from_secs(3) };
    let mut plan = Plan::new(world.address)
        .with(Kind::SlowUpload { bytes: 20_000, over: slowly }, Connections::New, 2.0, "/cart")
        .with(Kind::SlowDownload { bytes: 50_000, over: slowly }, Connections::New, 2.0, "/large")
        .with(websocket, Connections::New, 1.0, "/ws");
    plan.duration = at_most;
    plan.timeout = ANSWER_TIMEOUT;
    plan.offer = Offer::Yielding { ahead: AHEAD };
    plan.run = "long".to_owned();
    plan.seen = Some(world.seen());
    plan
}

/// What the clients and the story found.
pub struct Told {
    /// By run: the short requests, the long ones.
    pub sums: Vec<Sums>,
    /// Whether the controller was killed in the middle of a rollout.
    pub controller_killed: bool,
    /// Requests that ended with an instance that crashed or was killed.
    pub toll: u64,
}

/// Does what makes instances end with requests in flight, and answers how many requests ended with them.
fn toll_of(load: &Run, fault: impl FnOnce() -> Result<(), Failure>) -> Result<u64, Failure> {
    let before = summary::ended_with_instances(&load.snapshot());
    fault()?;
    Ok(summary::ended_with_instances(&load.snapshot()) - before)
}

fn tell(world: &mut World, teller: &Teller, at_most: Duration) -> Result<Told, Failure> {
    teller.say("gapless up: the controller starts the proxy; both are processes of their own");
    world.start_controller()?;
    teller.say(&format!("serving on http://{}", world.address));

    teller.say("deploy 1.0, the first release: four instances of a small sample service");
    let first = world.release("1.0", &["--startup-delay", "150"], ROLLING)?;
    expect(world.deploy("1.0", &first, &[], teller)?, 0, "1.0")?;

    let short = start(short_requests(world, at_most))?;
    let long = start(long_requests(world, at_most))?;
    teller.say("load begins: 200 requests/s on a fixed schedule: GET, POST, chunked, new and kept connections,");
    teller.say("  slow uploads and downloads, WebSockets; each request has an id and is accounted for");
    short.wait_until(Duration::from_secs(5), |sums| sums.answered >= 100);

    teller.say("deploy 1.1 by rolling: one instance at a time, the new one in load before the old one leaves");
    let folder = world.release("1.1", &["--startup-delay", "150"], ROLLING)?;
    expect(world.deploy("1.1", &folder, &[], teller)?, 0, "1.1")?;
    so_far(&short, teller);

    teller.say("deploy 1.2 by blue-green: the whole set beside, checked before anyone sees it, switched by one table");
    let folder = world.release("1.2", &["--startup-delay", "150"], BLUE_GREEN)?;
    expect(world.deploy("1.2", &folder, &[], teller)?, 0, "1.2")?;
    so_far(&short, teller);
    long.stop();

    teller.say("deploy 1.3, which never becomes healthy");
    let folder = world.release("1.3", &["--never-healthy"], ROLLING)?;
    expect(world.deploy("1.3", &folder, &[], teller)?, 3, "1.3")?;
    so_far(&short, teller);
    let long = finish(long)?;

    teller.say("deploy 1.4, which crashes 600 ms after it is switched to");
    let folder = world.release("1.4", &["--startup-delay", "150", "--crash-in-load", "600"], BLUE_GREEN_UNCHECKED)?;
    let crash = toll_of(&short, || expect(world.deploy("1.4", &folder, &[], teller)?, 3, "1.4"))?;
    so_far(&short, teller);

    let kill = toll_of(&short, || kill_an_instance(world, teller))?;
    so_far(&short, teller);

    let controller_killed = kill_the_controller(world, teller)?;
    so_far(&short, teller);
    short.stop();
    let short = finish(short)?;
    teller.say("load has ended");
    Ok(Told { sums: vec![short, long], controller_killed, toll: crash + kill })
}

fn kill_an_instance(world: &World, teller: &Teller) -> Result<(), Failure> {
    let Some((instance, pid)) = world.instances_in_load()?.into_iter().next() else {
        return Err(Failure::new("no instance is in load"));
    };
    kill(pid);
    teller.say(&format!("kill -9 of instance {instance} (process {pid})"));
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        let now = world.instances_in_load()?;
        if now.len() >= 4 && now.iter().all(|(_, other)| *other != pid) {
            teller.say("it was replaced: four instances are in load again");
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(Failure::new("the killed instance was not replaced within 10 s"))
}

fn kill_the_controller(world: &mut World, teller: &Teller) -> Result<bool, Failure> {
    teller.say("deploy 1.5 by rolling, and kill -9 of the controller in the middle of it");
    let folder = world.release("1.5", &["--startup-delay", "150"], ROLLING)?;
    expect(world.deploy("1.5", &folder, &["--detach"], teller)?, 0, "1.5")?;
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut amidst = false;
    while !amidst && Instant::now() < deadline {
        let situation = world.status()?["services"][0]["situation"].clone();
        amidst = situation["kind"] == "rollout" && situation["batch"]["number"].as_u64().unwrap_or(0) >= 2;
        if situation["kind"] != "rollout" {
            break;
        }
    }
    let pid = world.kill_controller();
    teller.say(&format!("kill -9 of the controller (process {}): traffic goes on without it", pid.unwrap_or(0)));
    std::thread::sleep(Duration::from_millis(700));
    world.start_controller()?;
    teller.say("gapless up: the journal is replayed, instances and proxy are found again, the rollout goes on");
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        let last = world.ask(&["history", SERVICE, "--json"])?["rollouts"][0].clone();
        if last["to"] == "1.5" && last["state"] == "done" && last["failed_by_us"].is_u64() {
            teller.say("1.5 is the current release");
            return Ok(pid.is_some() && amidst);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(Failure::new("the rollout of 1.5 did not end within 20 s after the controller came back"))
}

fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _gone_already = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

fn so_far(load: &Run, teller: &Teller) {
    let sums = load.snapshot();
    let with_instances = summary::ended_with_instances(&sums);
    let lost = sums.lost - with_instances;
    teller.say(&format!(
        "so far {} requests answered, {lost} lost, {with_instances} ended with their instance",
        sums.answered
    ));
}

fn start(plan: Plan) -> Result<Run, Failure> {
    Run::start(plan).map_err(|error| Failure::new("the load did not start").because(&error))
}

fn finish(run: Run) -> Result<Sums, Failure> {
    run.finish().map_err(|error| Failure::new("the load did not end well").because(&error))
}

/// An unexpected exit code of a deploy ends the demo.
fn expect(code: i32, expected: i32, label: &str) -> Result<(), Failure> {
    if code == expected {
        return Ok(());
    }
    Err(Failure::new(format!("the deploy of {label} ended with exit code {code} instead of {expected}")))
}
