//! A whole proxy process against a controller that the test plays: tables, listening sockets, drains, deaths.

mod world;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gapless_drivers::proxylink::{LinkFailed, Listening, ProxyEvent, ProxyEvents, ProxyLink, open_listeners};
use gapless_model::{
    ControllerId, Epoch, Generation, Health, Host, InstanceId, Millis, PathPrefix, Probe, ProbeKind, ReleaseId,
    ReleaseLabel, Route, ServiceName, StatusRange, TableVersion, Term, Weight,
};
use gapless_proxy::data::Settings;
use gapless_proxy::{Mode, Options};
use gapless_routing::{InstanceSpec, Intake, PoolSpec, ServiceSpec, TableSpec};
use gapless_wire::control::{HealthDoc, ReportDoc, SealedTable, SettingsDoc};

use world::{Client, Instance, PATIENCE, get, ok, policy, until};

const STATE: &str = "GAPLESS_TEST_PROXY_STATE";
const TABLE: &str = "GAPLESS_TEST_PROXY_TABLE";
const LISTEN: &str = "GAPLESS_TEST_PROXY_LISTEN";

/// Not a test of its own: the process that the others start, which is this program with the variables above set.
#[test]
fn as_a_proxy_process() {
    let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let Some(state) = path(STATE) else { return };
    let mode = match path(TABLE) {
        Some(table) => Mode::Static { table, listen: vec![std::env::var(LISTEN).unwrap().parse().unwrap()] },
        None => Mode::Controlled { socket: state.join("proxy.sock"), spare: None, state },
    };
    let options = Options {
        mode,
        threads: Some(2),
        cpus: Vec::new(),
        access_log: None,
        settings: Settings::default(),
        troubles: Vec::new(),
    };
    gapless_proxy::run(options).unwrap();
}

/// A proxy process, killed when dropped.
struct Process(Child);

impl Process {
    fn start(state: &Path) -> Process {
        Process::with(state, &[])
    }

    fn with(state: &Path, variables: &[(&str, String)]) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["as_a_proxy_process", "--exact", "--nocapture"]).env(STATE, state);
        command.envs(variables.iter().map(|(name, value)| (*name, value)));
        Process(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn ended_well(&mut self) -> bool {
        let mut status = None;
        until("the process ends", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _status = self.0.wait();
    }
}

/// In whose name the tests order: of each epoch there is one controller.
fn term(epoch: u64) -> Term {
    Term { epoch: Epoch(epoch), controller: ControllerId::new(&format!("controller-{epoch}")).ok() }
}

/// The controller's end: a link, and everything heard so far.
struct Controller {
    link: ProxyLink,
    events: ProxyEvents,
    reports: Vec<ReportDoc>,
    notices: Vec<String>,
}

impl Controller {
    async fn connect(state: &Path, epoch: u64) -> Controller {
        let (link, events) = ProxyLink::connect(&state.join("proxy.sock"), &term(epoch), PATIENCE).await.unwrap();
        Controller { link, events, reports: Vec::new(), notices: Vec::new() }
    }

    /// Takes events until one is what is waited for.
    async fn heard<T>(&mut self, what: &str, mut wanted: impl FnMut(&ProxyEvent) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = tokio::time::timeout(left, self.events.next()).await;
            let event = event.unwrap_or_else(|_| panic!("did not hear: {what}")).expect("the connection stays");
            let found = wanted(&event);
            match event {
                ProxyEvent::Report(report) => self.reports.push(report),
                ProxyEvent::Notice(text) => self.notices.push(text),
                _ => {}
            }
            if let Some(found) = found {
                return found;
            }
        }
    }

    async fn applied(&mut self, version: TableVersion) {
        let is =
            |event: &ProxyEvent| matches!(event, ProxyEvent::Applied(applied) if *applied == version).then_some(());
        self.heard("table applied", is).await;
    }

    /// Waits until everything that was ordered is done: orders are carried out one after the other.
    async fn in_step(&mut self) {
        self.link.ping(7).await.unwrap();
        self.heard("pong", |event| matches!(event, ProxyEvent::Pong(7)).then_some(())).await;
    }

    async fn publish(&mut self, table: &TableSpec) {
        self.link.publish(table).await.unwrap();
        self.applied(table.version).await;
    }

    /// The next report for which something holds.
    async fn report(&mut self, what: &str, mut holds: impl FnMut(&ReportDoc) -> bool) -> ReportDoc {
        let is = |event: &ProxyEvent| match event {
            ProxyEvent::Report(report) if holds(report) => Some(report.clone()),
            _ => None,
        };
        self.heard(what, is).await
    }

    /// What the ledger counts of a terminal state, over the newest report of each series.
    fn count(&self, terminal: &str) -> u64 {
        let mut newest = std::collections::BTreeMap::new();
        for series in self.reports.iter().flat_map(|report| &report.series) {
            newest.insert((&series.service, series.release), series.ended.get(terminal).copied().unwrap_or(0));
        }
        newest.values().sum()
    }
}

fn version(epoch: u64, generation: u64) -> TableVersion {
    TableVersion { epoch: Epoch(epoch), generation: Generation(generation) }
}

fn id(release: u64, address: SocketAddr) -> InstanceId {
    let service = ServiceName::new("shop").unwrap();
    InstanceId { service, release: ReleaseId(release), ordinal: address.port().into() }
}

/// One service, all of whose traffic goes to one release.
fn table(version: TableVersion, release: u64, instances: &[&Instance]) -> TableSpec {
    let member = |instance: &&Instance| InstanceSpec { id: id(release, instance.address), address: instance.address };
    let pool = PoolSpec {
        release: ReleaseId(release),
        label: ReleaseLabel::new(&format!("1.{release}")).unwrap(),
        weight: Weight::ALL,
        policy: policy(),
        probe: None,
        preview_hosts: Vec::new(),
        instances: instances.iter().map(member).collect(),
    };
    let service = ServiceSpec {
        name: ServiceName::new("shop").unwrap(),
        routes: vec![Route { host: Host::any(), path: PathPrefix::new("/").unwrap() }],
        pools: vec![pool],
        intake: Intake::Serve,
        hold: gapless_model::HoldLimits::NONE,
        health_path: None,
        fallback: None,
        pins: None,
        preview_token: None,
    };
    TableSpec { version, services: vec![service] }
}

fn listeners() -> (SocketAddr, Vec<Listening>) {
    let opened = open_listeners("127.0.0.1:0".parse().unwrap(), 2).unwrap();
    (opened[0].address, opened)
}

/// A proxy with a table that leads to one instance, and the controller that gave it.
async fn served(state: &Path, instance: &Instance) -> (Process, Controller, SocketAddr, Vec<Listening>) {
    let process = Process::start(state);
    let mut controller = Controller::connect(state, 1).await;
    let (address, opened) = listeners();
    controller.link.lend_listeners(&opened).await.unwrap();
    controller.publish(&table(version(1, 1), 1, &[instance])).await;
    (process, controller, address, opened)
}

fn ask(address: SocketAddr) -> String {
    Client::connect(address).ask(get("/")).text()
}

/// An instance that answers `/slow` only when told to, everything else at once.
fn slow(name: &'static str, go: &Arc<AtomicBool>) -> Instance {
    let go = Arc::clone(go);
    Instance::answering(move |request| {
        if request.start().starts_with("GET /slow") {
            until("the slow answer may go", || go.load(Ordering::SeqCst));
        }
        ok(name)
    })
}

#[tokio::test]
async fn an_instance_that_left_the_table_is_reported_until_its_last_request_has_ended() {
    let state = tempfile::tempdir().unwrap();
    let go = Arc::new(AtomicBool::new(false));
    let (old, new) = (slow("old", &go), Instance::named("new"));
    let (_process, mut controller, address, _opened) = served(state.path(), &old).await;
    assert_eq!(ask(address), "old");
    let mut waiting = Client::connect(address);
    waiting.send(get("/slow"));
    let leaving = id(1, old.address).to_string();
    controller.report("the slow request is in flight", |report| report.in_flight.len() == 1).await;

    controller.publish(&table(version(1, 2), 2, &[&new])).await;
    for _ in 0..20 {
        assert_eq!(ask(address), "new", "no request goes by an older table once it is acknowledged");
    }
    let held = controller.report("a report under the new table", |report| report.applied == version(1, 2).into()).await;
    assert_eq!((held.in_flight[0].instance.as_str(), held.in_flight[0].requests), (leaving.as_str(), 1));

    go.store(true, Ordering::SeqCst);
    assert_eq!(waiting.answer().text(), "old", "the request in flight runs to its end");
    let drained = controller.report("drained", |report| report.in_flight.is_empty()).await;
    assert_eq!(drained.applied, version(1, 2).into());
    controller.report("all is counted", |report| !report.series.is_empty() || report.number > drained.number + 1).await;
    assert_eq!(controller.count("2xx"), 22);
}

#[tokio::test]
async fn a_killed_proxy_refuses_nobody_and_comes_back_with_its_last_table() {
    let state = tempfile::tempdir().unwrap();
    let instance = Instance::named("kept");
    let (process, controller, address, opened) = served(state.path(), &instance).await;
    assert_eq!(ask(address), "kept");
    process.kill();
    drop(controller);
    let mut waiting: Vec<Client> = (0..50).map(|_| Client::connect(address)).collect();
    waiting.iter_mut().for_each(|client| client.send(get("/")));

    let _process = Process::start(state.path());
    let mut returned = Controller::connect(state.path(), 2).await;
    returned.link.lend_listeners(&opened).await.unwrap();
    returned.in_step().await;
    for client in &mut waiting {
        assert_eq!(client.answer().text(), "kept", "no table was sent: this is the one on disk");
    }
    returned.publish(&table(version(2, 1), 1, &[&instance])).await;
    assert_eq!(ask(address), "kept");
}

#[tokio::test]
async fn another_controller_of_the_same_epoch_is_refused_also_after_the_proxy_was_killed() {
    let state = tempfile::tempdir().unwrap();
    let instance = Instance::named("mine");
    let (process, controller, _address, _opened) = served(state.path(), &instance).await;
    let socket = state.path().join("proxy.sock");
    let rival = Term { epoch: Epoch(1), controller: ControllerId::new("rival").ok() };
    let refused = ProxyLink::connect(&socket, &rival, PATIENCE).await;
    assert!(matches!(refused, Err(LinkFailed::Fenced { epoch: Epoch(1) })));
    assert_eq!(ProxyLink::ask_whom_it_obeys(&socket, PATIENCE).await.unwrap(), term(1));
    // Neither took the place of the one that is obeyed.
    let mut controller = controller;
    controller.in_step().await;

    process.kill();
    let _process = Process::start(state.path());
    let refused = ProxyLink::connect(&socket, &rival, PATIENCE).await;
    assert!(matches!(refused, Err(LinkFailed::Fenced { epoch: Epoch(1) })), "its table on disk says whom it obeys");
    assert_eq!(ProxyLink::ask_whom_it_obeys(&socket, PATIENCE).await.unwrap(), term(1));
    let mut same = Controller::connect(state.path(), 1).await;
    same.in_step().await;
}

#[tokio::test]
async fn routing_goes_on_without_a_controller_and_a_newer_one_takes_over() {
    let state = tempfile::tempdir().unwrap();
    let instance = Instance::named("on");
    let (_process, mut first, address, opened) = served(state.path(), &instance).await;
    let mut kept = Client::connect(address);
    assert_eq!(kept.ask(get("/")).text(), "on");

    let mut second = Controller::connect(state.path(), 5).await;
    let fenced =
        |event: &ProxyEvent| matches!(event, ProxyEvent::Closed(LinkFailed::Fenced { epoch: Epoch(5) })).then_some(());
    first.heard("the older controller is told", fenced).await;
    let older = ProxyLink::connect(&state.path().join("proxy.sock"), &term(4), PATIENCE).await;
    assert!(matches!(older, Err(LinkFailed::Fenced { epoch: Epoch(5) })));
    assert_eq!(second.link.applied(), Some(version(1, 1)));
    assert_eq!(second.link.hello().listeners, vec![address.to_string(); 2]);

    second.link.ask_listeners().await.unwrap();
    let copies = second
        .heard("copies of the sockets", |event| match event {
            ProxyEvent::Listeners(copies) => Some(copies.iter().map(|copy| copy.address).collect::<Vec<_>>()),
            _ => None,
        })
        .await;
    assert_eq!(copies, [address; 2]);
    drop((first, second, opened));
    for _ in 0..10 {
        assert_eq!(ask(address), "on");
        assert_eq!(kept.ask(get("/")).text(), "on", "the client's connection stays");
    }

    let mut third = Controller::connect(state.path(), 6).await;
    let stale = table(version(5, 9), 1, &[&instance]);
    third.link.publish(&stale).await.unwrap();
    let refused = |event: &ProxyEvent| match event {
        ProxyEvent::Refused { version, reason } => Some((*version, reason.clone())),
        _ => None,
    };
    let (which, reason) = third.heard("refused", refused).await;
    assert_eq!(which, Some(version(5, 9)));
    assert_eq!(reason, "table 5.9 is not of the controller's epoch 6");
    third.publish(&table(version(6, 1), 1, &[&instance])).await;
}

#[tokio::test]
async fn nothing_is_lost_while_tables_are_swapped_under_load() {
    let state = tempfile::tempdir().unwrap();
    let (one, two) = (Instance::named("one"), Instance::named("two"));
    let (_process, mut controller, address, _opened) = served(state.path(), &one).await;
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let wrong: Arc<Mutex<Vec<String>>> = Arc::default();
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let (stop, answered, wrong) = (Arc::clone(&stop), Arc::clone(&answered), Arc::clone(&wrong));
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(Ordering::SeqCst) {
                    if number % 2 == 0 {
                        client = Client::connect(address);
                    }
                    let answer = client.ask(world::post("/", "x"));
                    if answer.status() != 200 {
                        wrong.lock().unwrap().push(answer.head);
                    }
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for generation in 2..60 {
        let before = answered.load(Ordering::SeqCst);
        let (release, instance) = if generation % 2 == 0 { (2, &two) } else { (1, &one) };
        controller.publish(&table(version(1, generation), release, &[instance])).await;
        until("requests go on", || answered.load(Ordering::SeqCst) > before);
    }
    stop.store(true, Ordering::SeqCst);
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert!(wrong.lock().unwrap().is_empty(), "{:?}", wrong.lock().unwrap());
    let answered = answered.load(Ordering::SeqCst);
    let deadline = Instant::now() + PATIENCE;
    while controller.count("2xx") < answered {
        assert!(Instant::now() < deadline, "{} of {answered} are counted", controller.count("2xx"));
        controller.report("the next report", |_| true).await;
    }
    assert_eq!(controller.count("2xx"), answered, "every request is counted once");
}

#[tokio::test]
async fn a_release_that_is_gone_as_a_whole_loses_nothing_that_the_table_after_it_can_serve() {
    let state = tempfile::tempdir().unwrap();
    let well = Instance::named("well");
    let (_process, mut controller, address, _opened) = served(state.path(), &well).await;
    let mut crashed = table(version(1, 2), 2, &[&well]);
    crashed.services[0].hold = gapless_model::HoldLimits { requests_max: 100, wait_max: Millis(15_000) };
    let gone = (0..5).map(|_| world::nobody()).map(|address| InstanceSpec { id: id(2, address), address });
    crashed.services[0].pools[0].instances = gone.collect();
    controller.publish(&crashed).await;
    let mut clients: Vec<Client> = (0..10).map(|_| Client::connect(address)).collect();
    clients.iter_mut().for_each(|client| client.send(world::post("/", "x")));
    controller.report("they wait", |report| report.holding == 10).await;
    controller.publish(&table(version(1, 3), 1, &[&well])).await;
    for client in &mut clients {
        assert_eq!(client.answer().text(), "well");
    }
}

#[tokio::test]
async fn a_damaged_table_gives_way_to_the_one_before_it() {
    let state = tempfile::tempdir().unwrap();
    let (old, new) = (Instance::named("old"), Instance::named("new"));
    let (process, mut controller, address, opened) = served(state.path(), &old).await;
    controller.publish(&table(version(1, 2), 2, &[&new])).await;
    assert_eq!(ask(address), "new");
    process.kill();
    let file = state.path().join("table.json");
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 0x10;
    std::fs::write(&file, bytes).unwrap();

    let _process = Process::start(state.path());
    let mut returned = Controller::connect(state.path(), 2).await;
    returned.link.lend_listeners(&opened).await.unwrap();
    returned.in_step().await;
    assert_eq!(ask(address), "old");
    let notice = |event: &ProxyEvent| match event {
        ProxyEvent::Notice(text) => Some(text.clone()),
        _ => None,
    };
    let text = match returned.notices.first() {
        Some(text) => text.clone(),
        None => returned.heard("the damage is told", notice).await,
    };
    assert!(text.contains("table.json"), "{text}");
}

#[tokio::test]
async fn a_report_that_is_asked_for_comes_at_once() {
    let state = tempfile::tempdir().unwrap();
    let instance = Instance::named("only");
    let (_process, mut controller, _address, _opened) = served(state.path(), &instance).await;
    let began = Instant::now();
    for number in 1..=50 {
        controller.link.ask_report(number).await.unwrap();
        controller.report("the answer", |report| report.asked == number).await;
    }
    assert!(began.elapsed() < Duration::from_secs(10), "not once a second: {:?}", began.elapsed());
}

#[tokio::test]
async fn settings_hold_from_the_moment_they_are_told() {
    let state = tempfile::tempdir().unwrap();
    let instance = Instance::named("only");
    let (_process, mut controller, address, _opened) = served(state.path(), &instance).await;
    let log = state.path().join("access.jsonl");
    let settings = SettingsDoc {
        head_timeout_ms: Some(300),
        access_log: Some(log.display().to_string()),
        ..SettingsDoc::default()
    };
    controller.link.set(&settings).await.unwrap();
    controller.in_step().await;
    assert_eq!(ask(address), "only");
    until("the request is in the access log", || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("GET")));
    let mut slow = Client::connect(address);
    slow.send("GET / HTTP/1.1\r\n");
    assert_eq!(slow.answer().status(), 408);
}

#[tokio::test]
async fn connections_wait_for_the_first_table_rather_than_be_turned_away() {
    let state = tempfile::tempdir().unwrap();
    let instance = Instance::named("first");
    let _process = Process::start(state.path());
    let mut controller = Controller::connect(state.path(), 1).await;
    let (address, opened) = listeners();
    controller.link.lend_listeners(&opened).await.unwrap();
    let mut early = Client::connect(address);
    early.send(get("/"));
    controller.in_step().await;
    controller.publish(&table(version(1, 1), 1, &[&instance])).await;
    assert_eq!(early.answer().text(), "first");
}

#[tokio::test]
async fn a_second_proxy_on_the_same_socket_leaves_the_first_alone() {
    let state = tempfile::tempdir().unwrap();
    let instance = Instance::named("only");
    let (_process, mut controller, address, _opened) = served(state.path(), &instance).await;
    assert!(!Process::start(state.path()).ended_well());
    assert_eq!(ask(address), "only");
    controller.in_step().await;
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(state.path().join("proxy.sock")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn probes_go_on_without_the_controller_and_leave_out_what_fails_them() {
    let state = tempfile::tempdir().unwrap();
    let sick = Arc::new(AtomicBool::new(false));
    let failing = {
        let sick = Arc::clone(&sick);
        Instance::answering(move |request| {
            let failed = request.start().starts_with("GET /health") && sick.load(Ordering::SeqCst);
            if failed { "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_owned() } else { ok("sick") }
        })
    };
    let well = Instance::named("well");
    let (_process, mut controller, address, _opened) = served(state.path(), &failing).await;
    let mut spec = table(version(1, 2), 1, &[&failing, &well]);
    spec.services[0].pools[0].probe = Some(Probe {
        kind: ProbeKind::Http { path: "/health".into(), host: None, expect: StatusRange::SUCCESS },
        interval: Millis(20),
        timeout: Millis(2_000),
        rise: 1,
        fall: 2,
        healthy_min: Millis::ZERO,
    });
    controller.publish(&spec).await;
    let named = id(1, failing.address).to_string();
    let is = |health: HealthDoc| {
        let named = named.clone();
        move |report: &ReportDoc| report.health.iter().any(|one| one.instance == named && one.probes == health)
    };
    controller.report("both pass", is(HealthDoc::Healthy)).await;
    sick.store(true, Ordering::SeqCst);
    controller.report("one fails", is(HealthDoc::Unhealthy)).await;
    until("only the other is asked", || (0..10).all(|_| ask(address) == "well"));
    sick.store(false, Ordering::SeqCst);
    controller.report("it is well again", is(HealthDoc::Healthy)).await;
    until("both are asked", || (0..10).any(|_| ask(address) == "sick"));
    controller.link.set_health(&id(1, failing.address), Health::Unhealthy).await.unwrap();
    controller.report("the controller's word counts", is(HealthDoc::Unhealthy)).await;
}

#[tokio::test]
async fn a_drained_proxy_finishes_what_is_in_flight_says_so_and_exits() {
    let state = tempfile::tempdir().unwrap();
    let go = Arc::new(AtomicBool::new(false));
    let instance = slow("done", &go);
    let (mut process, mut controller, address, _opened) = served(state.path(), &instance).await;
    let mut waiting = Client::connect(address);
    waiting.send(get("/slow"));
    controller.report("the slow request is in flight", |report| report.in_flight.len() == 1).await;
    controller.link.drain(Millis(15_000)).await.unwrap();
    controller.in_step().await;
    go.store(true, Ordering::SeqCst);
    assert_eq!(waiting.answer().text(), "done");
    controller.heard("drained", |event| matches!(event, ProxyEvent::Drained).then_some(())).await;
    assert!(process.ended_well());
}

#[tokio::test]
async fn closed_addresses_are_left_and_the_others_served_on() {
    let state = tempfile::tempdir().unwrap();
    let instance = Instance::named("here");
    let (_process, mut controller, address, opened) = served(state.path(), &instance).await;
    let (other, lent) = listeners();
    controller.link.lend_listeners(&lent).await.unwrap();
    controller.in_step().await;
    assert_eq!((ask(address), ask(other)), ("here".into(), "here".into()));
    controller.link.close_listeners(&[other]).await.unwrap();
    controller.in_step().await;
    drop((lent, opened));
    until("nobody listens there", || std::net::TcpStream::connect_timeout(&other, Duration::from_secs(1)).is_err());
    assert_eq!(ask(address), "here");
}

#[test]
fn a_table_file_serves_without_a_controller() {
    let state = tempfile::tempdir().unwrap();
    let instance = Instance::named("static");
    let file = state.path().join("static.json");
    let sealed = SealedTable::seal(&table(version(0, 1), 1, &[&instance])).unwrap();
    std::fs::write(&file, sealed.to_bytes()).unwrap();
    let (address, opened) = listeners();
    drop(opened);
    let variables = [(TABLE, file.display().to_string()), (LISTEN, address.to_string())];
    let mut process = Process::with(state.path(), &variables);
    until("it listens", || std::net::TcpStream::connect(address).is_ok());
    assert_eq!(ask(address), "static");
    let pid = rustix::process::Pid::from_child(&process.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(process.ended_well());
}
