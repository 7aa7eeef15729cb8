//! The machine of one case, and what the steps do to it.

use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use gapless_load::{Connections, Kind, Offer, Plan, Run};
use rustix::process::Signal;
use serde_json::Value;

use crate::case::Case;
use crate::disk::SmallDisk;
use crate::process::{Cast, is_alive, kill_all, signal};
use crate::step::{Disk, Step, Who};
use crate::verdict::{self, Marks, Repeats};
use crate::world::{Ended, PATIENCE, Service, World};
use crate::{journal, shim};

/// How many instances the service has; `world::Service` says so too.
const INSTANCES: usize = 3;

/// How long the service works on each request, in milliseconds, so that every fault meets requests under way.
const WORK_MS: &str = "100";

/// The machine of one case. Fields are dropped in their order: the processes end before their disk goes.
pub struct Ground {
    world: World,
    disk: Option<SmallDisk>,
    case: Case,
    load: Option<Run>,
    cast: Cast,
    marks: Marks,
    deploys: u32,
    current: String,
    steps_done: usize,
}

/// What the case needs and the machine lacks.
pub fn lacking(case: &Case) -> Option<&'static str> {
    if let Some(why) = case.steps.iter().find_map(Step::disk).and_then(SmallDisk::lacking) {
        return Some(why);
    }
    let unbuilt = case.steps.iter().any(Step::needs_shim) && shim::library().is_none();
    unbuilt.then_some("there is no C compiler that builds the library which bends system calls")
}

impl Ground {
    /// A machine with what the case needs; nothing runs yet.
    pub fn for_case(case: &Case) -> Self {
        let world = World::down();
        let config = world.path("gapless-server.toml");
        let text = std::fs::read_to_string(&config).expect("the server's configuration");
        std::fs::write(&config, text + "\n[releases]\nspace_left = \"1MiB\"\n").expect("the server's configuration");
        let disk = case.steps.iter().find_map(Step::disk).map(|kind| SmallDisk::over(&world.state(), kind));
        Self {
            world,
            disk,
            case: case.clone(),
            load: None,
            cast: Cast::default(),
            marks: Marks::default(),
            deploys: 0,
            current: String::new(),
            steps_done: 0,
        }
    }

    /// Does one step; a panic says which one it was.
    pub fn perform(&mut self, step: &Step) {
        self.steps_done += 1;
        eprintln!("step {}: {step:?}", self.steps_done);
        if step.is_fault() {
            self.marks.fault();
        }
        match step {
            Step::Serve => self.serve(),
            Step::Disk(what) => self.change_disk(*what),
            Step::Bend(what) => shim::bend(&self.control(), *what),
            Step::Journal(surgery) => journal::operate(*surgery, &self.world.state(), &self.world.path("aside")),
            Step::Kill(all) => self.kill(all),
            Step::Freeze(who) => self.freeze(*who),
            Step::Thaw(who) => self.thaw(*who),
            Step::StopController => self.world.stop_controller(),
            Step::StartController => self.start_controller(),
            Step::ControllerRefuses => self.controller_refuses(),
            Step::ControllerEnds => self.controller_ends(),
            Step::Standstill => self.standstill(),
            Step::ProxyReplaced => self.proxy_replaced(),
            Step::Deploy => self.deploy(),
            Step::DeployRefused => self.deploy_refused(),
            Step::DeployBegins => self.deploy_begins(),
            Step::DeployGoesOn => assert!(!self.is_settled(), "the rollout is over:\n{}", self.told()),
            Step::DeployEnds => self.deploy_ends(),
            Step::Ready => self.all_is_ready(),
            Step::Replaced(who) => self.replaced(*who),
            Step::EndLoad => self.judge(),
            Step::RestartMachine => self.restart_machine(),
            Step::Later(count) => self.later(*count),
            Step::Run(words) => self.run(words),
        }
    }

    /// What is left to be judged at the end.
    pub fn close(&mut self) {
        if self.load.is_some() {
            self.judge();
        }
        let logs = ["controller.log", "state/proxy.log"].map(|name| std::fs::read_to_string(self.world.path(name)));
        let panicked = logs.into_iter().flatten().find(|log| log.contains("panicked at"));
        assert!(panicked.is_none(), "a process of the program panicked:\n{}", panicked.unwrap_or_default());
    }

    /// Ends the load and holds its ledger against the promise.
    fn judge(&mut self) {
        let load = self.load.take().expect("a case serves");
        load.stop();
        let sums = load.finish().expect("the load's sums");
        let repeats = if self.has(Step::breaks_an_instance) { Repeats::Allowed } else { Repeats::Never };
        eprintln!("{}: {} requests, {} lost {:?}", self.case.name, sums.ended, sums.lost, sums.lost_by);
        verdict::judge(self.case.promise, &sums, &self.marks, repeats);
    }

    fn has(&self, what: impl Fn(&Step) -> bool) -> bool {
        self.case.steps.iter().any(what)
    }

    fn serve(&mut self) {
        self.start_controller();
        self.deploy();
        let mut plan = plan(&self.world);
        plan.idempotency_keys = self.has(Step::breaks_an_instance);
        self.marks.begin();
        let load = Run::start(plan).expect("load");
        assert!(load.wait_until(PATIENCE, |sums| sums.answered >= 50), "{:#?}", load.snapshot());
        self.load = Some(load);
        self.all_is_ready();
    }

    /// The case's own library bends the system calls of the controller and of what it gives its environment to.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let Some(library) = shim::library().filter(|_| self.has(Step::needs_shim)) else { return Vec::new() };
        vec![("LD_PRELOAD", library.display().to_string()), (shim::CONTROL_ENV, self.control().display().to_string())]
    }

    fn control(&self) -> PathBuf {
        self.world.path("bent")
    }

    fn start_controller(&mut self) {
        let environment = self.environment();
        let borrowed: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.world.start_controller(&borrowed);
    }

    fn up(&self) -> Child {
        let mut command = self.world.up_command();
        command.envs(self.environment());
        command.spawn().expect("gapless up starts")
    }

    /// It ends by itself, says why, and says what mends it.
    fn controller_refuses(&mut self) {
        let from = self.log().len();
        let mut controller = self.up();
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = controller.try_wait().expect("the controller's end") {
                break status;
            }
            if Instant::now() > deadline {
                let _ = controller.kill();
                let _ = controller.wait();
                panic!("the controller started, or did not end:\n{}", self.told());
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let said = self.log()[from..].to_owned();
        assert!(!status.success(), "the controller ended with success:\n{said}");
        assert!(said.contains("error:") && said.contains("hint:"), "no error with a hint:\n{said}");
    }

    fn controller_ends(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.world.controller_ended() {
            assert!(Instant::now() < deadline, "the controller goes on:\n{}", self.told());
            std::thread::sleep(Duration::from_millis(20));
        }
        // Only forgets it: there is nothing to kill any more.
        self.world.kill_controller();
        let said = self.log();
        assert!(said.contains("error:"), "it ended without an error:\n{said}");
    }

    /// It goes on answering, and what it answers is an error.
    fn standstill(&mut self) {
        self.world.eventually("status says that nothing is decided any more", || {
            self.status().is_some_and(|status| status["controller"]["not_deciding"].is_string())
        });
        let ended = self.world.gapless(&["status"]);
        let says = |part: &str| ended.stderr.contains(part);
        assert!(
            ended.code == 1 && says("error:") && says("caused by:") && says("hint:"),
            "{}",
            self.world.tell(&ended)
        );
        assert!(ended.stdout.contains("decides nothing any more"), "{}", self.world.tell(&ended));
        assert!(!self.world.controller_ended(), "the controller has ended:\n{}", self.told());
    }

    fn proxy_replaced(&self) {
        let before = self.cast.proxy;
        self.world.eventually("another proxy serves", || {
            self.status().is_some_and(|status| {
                let proxy = &status["proxies"][0];
                proxy["connected"] == true && proxy["pid"] != before && alive(&proxy["pid"])
            })
        });
    }

    fn change_disk(&self, what: Disk) {
        let disk = self.disk.as_ref().expect("the case has a disk");
        match what {
            Disk::Fill => disk.fill(),
            Disk::Empty => disk.empty(),
            Disk::Fail => disk.fail(),
        }
    }

    fn pid(&self, who: Who) -> u32 {
        let kept = |place: usize| self.cast.kept.get(place).copied().unwrap_or_else(|| panic!("{:?}", self.cast));
        match who {
            Who::Controller => self.world.controller_pid().expect("a controller"),
            Who::Proxy => self.cast.proxy,
            Who::Keeper => kept(0).0,
            Who::OtherKeeper => kept(1).0,
            Who::Instance => kept(0).1,
            Who::OtherInstance => kept(1).1,
        }
    }

    fn kill(&mut self, all: &[Who]) {
        let pids: Vec<u32> = all.iter().map(|who| self.pid(*who)).collect();
        if all.contains(&Who::Controller) {
            // The others first: it would begin to replace them otherwise.
            let others: Vec<u32> =
                pids.iter().copied().filter(|pid| Some(*pid) != self.world.controller_pid()).collect();
            others.iter().for_each(|pid| signal(*pid, Signal::KILL));
            self.world.kill_controller();
        }
        let left: Vec<u32> = pids.into_iter().filter(|pid| is_alive(*pid)).collect();
        kill_all(&left);
        self.marks.gone();
    }

    fn freeze(&self, who: Who) {
        let pid = self.pid(who);
        signal(pid, Signal::STOP);
    }

    /// A frozen process may have been given up and replaced meanwhile.
    fn thaw(&self, who: Who) {
        let pid = self.pid(who);
        if is_alive(pid) {
            signal(pid, Signal::CONT);
        }
    }

    /// Deploys the next release; how `gapless deploy` ended, and its label.
    fn order(&mut self, more: &[&str]) -> (String, Ended) {
        self.deploys += 1;
        let label = format!("1.{}", self.deploys);
        let patience = if self.has(Step::freezes_an_instance) { "2s" } else { "30s" };
        let folder = self.world.release(&service(patience), &label);
        let from = folder.to_str().expect("a path in UTF-8").to_owned();
        let mut words = vec!["deploy", "shop", "--label", &label, "--from", &from, "--strategy", "rolling"];
        words.extend(more);
        let ended = self.world.gapless(&words);
        (label, ended)
    }

    fn deploy(&mut self) {
        let (label, ended) = self.order(&[]);
        assert_eq!(ended.code, 0, "{}", self.world.tell(&ended));
        self.current = label;
        if self.load.is_some() {
            self.all_is_ready();
        }
    }

    fn deploy_refused(&mut self) {
        let (label, ended) = self.order(&[]);
        assert_ne!(ended.code, 0, "{label} was deployed: {}", self.world.tell(&ended));
        let says = |part: &str| ended.stderr.contains(part);
        assert!(says("error:") && (says("caused by:") || says("hint:")), "no reason: {}", self.world.tell(&ended));
        if let Some(status) = self.status() {
            let current = &status["services"][0]["situation"]["current"];
            assert_eq!(current, self.current.as_str(), "{}", self.told());
        }
    }

    fn deploy_begins(&mut self) {
        let (label, ended) = self.order(&["--detach"]);
        assert_eq!(ended.code, 0, "{}", self.world.tell(&ended));
        self.current = label;
    }

    fn deploy_ends(&mut self) {
        let wanted = self.current.clone();
        let done = || self.is_settled() && self.situation()["current"] == wanted.as_str();
        self.world.eventually("the rollout ends well", done);
    }

    fn is_settled(&self) -> bool {
        self.situation()["kind"] == "settled"
    }

    fn situation(&self) -> Value {
        self.status().map_or(Value::Null, |status| status["services"][0]["situation"].clone())
    }

    fn status(&self) -> Option<Value> {
        let ended = self.world.gapless(&["status", "--json"]);
        serde_json::from_str(&ended.stdout).ok()
    }

    /// The machine is whole again; who is who is looked up anew.
    fn all_is_ready(&mut self) {
        self.world.eventually("all is ready", || {
            let Some(status) = self.status() else { return false };
            let proxies = status["proxies"].as_array().cloned().unwrap_or_default();
            let in_use = |proxy: &Value| proxy["table_applied"] == proxy["table_wanted"] && alive(&proxy["pid"]);
            is_whole(&status) && !proxies.is_empty() && proxies.iter().all(in_use)
        });
        self.cast = Cast::of(&self.world);
        self.marks.ready();
    }

    /// Its number is not among those in load any more. What is not in load is no longer waited for by anybody.
    fn replaced(&self, who: Who) {
        let pid = self.pid(who);
        let gone = || self.status().is_some_and(|status| in_load(&status).iter().all(|of| of["pid"] != pid));
        self.world.eventually("another instance has taken its place", gone);
    }

    fn restart_machine(&mut self) {
        self.world.end_every_process();
        if let Some(disk) = &self.disk {
            disk.repair();
        }
        self.start_controller();
    }

    fn later(&self, count: u64) {
        let load = self.load.as_ref().expect("load");
        let until = load.snapshot().scheduled + count;
        assert!(load.wait_until(PATIENCE, |sums| sums.scheduled >= until), "{:#?}", load.snapshot());
    }

    fn run(&self, words: &[String]) {
        let file = self.world.path("backup").display().to_string();
        let words: Vec<&str> = words.iter().map(|word| if word == "FILE" { file.as_str() } else { word }).collect();
        let ended = self.world.gapless(&words);
        assert_eq!(ended.code, 0, "gapless {}: {}", words.join(" "), self.world.tell(&ended));
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.world.path("controller.log")).unwrap_or_default()
    }

    fn told(&self) -> String {
        format!("status: {:#}\n{}", self.status().unwrap_or(Value::Null), self.world.log())
    }
}

impl Drop for Ground {
    /// The processes have to be gone before the disk can go, and the disk before the folder.
    fn drop(&mut self) {
        drop(self.load.take());
        self.world.end_every_process();
        drop(self.disk.take());
    }
}

/// Instances whose processes are alive, ready and in load: as many as there are to be.
fn is_whole(status: &Value) -> bool {
    in_load(status).iter().filter(|of| of["state"] == "ready" && alive(&of["pid"])).count() == INSTANCES
}

fn in_load(status: &Value) -> Vec<Value> {
    let releases = status["services"][0]["releases"].as_array().cloned().unwrap_or_default();
    let instances = releases.iter().filter_map(|release| release["instances"].as_array()).flatten();
    instances.filter(|of| of["load"] == "live").cloned().collect()
}

fn alive(pid: &Value) -> bool {
    pid.as_u64().and_then(|pid| u32::try_from(pid).ok()).is_some_and(is_alive)
}

/// A service whose requests may be sent again where they say so, and whose answers are waited for that long.
fn service(response_timeout: &str) -> Service {
    Service::sample(&["--work", WORK_MS]).with(&format!(
        "[strategy]\nobserve = \"100ms\"\nbake = \"200ms\"\n\n\
         [traffic]\nreplay_with_idempotency_key = true\nresponse_timeout = \"{response_timeout}\"\n"
    ))
}

/// Short requests over new and kept connections.
fn plan(world: &World) -> Plan {
    let mut plan = Plan::new(world.listen)
        .with(Kind::Get, Connections::Kept(16), 60.0, "/")
        .with(Kind::Get, Connections::New, 25.0, "/")
        .with(Kind::Post { bytes: 1_000 }, Connections::Kept(8), 25.0, "/");
    plan.duration = Duration::from_secs(600);
    plan.timeout = Duration::from_secs(30);
    plan.offer = Offer::Yielding { ahead: Duration::from_secs(2) };
    plan.run = "faults".to_owned();
    plan.seen = Some(world.seen());
    plan
}
