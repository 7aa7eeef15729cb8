//! A world for one test: a data plane in this process, instances that follow a script, clients that speak bytes.

#![allow(dead_code, clippy::allow_attributes, reason = "each suite uses its own part of the world")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gapless_model::{
    Balance, Epoch, Generation, HoldLimits, Host, InstanceId, Millis, PathPrefix, ReleaseId, ReleaseLabel, Route,
    ServiceName, TableVersion, TrafficPolicy, Weight,
};
use gapless_proxy::data::{DataPlane, Settings};
use gapless_proxy::seam::{AccessRecord, Event};
use gapless_routing::{
    Audience, Fallback, InstanceSpec, Intake, PoolSpec, PreviewToken, Registry, SERIES_MAX, SeriesCounts, ServiceSpec,
    Table, TableSpec, Terminal,
};

/// How long anything that must happen may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `holds`.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "did not happen: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What the service asks of the proxy unless the test says otherwise: nothing times out by itself.
pub fn policy() -> TrafficPolicy {
    TrafficPolicy {
        balance: Balance::RoundRobin,
        connect_timeout: Millis(5_000),
        response_timeout: Millis(60_000),
        idle_timeout: Millis(60_000),
        body_rate_min: 0,
        retries_max: 2,
        replay_with_idempotency_key: true,
        replay_bytes_max: 65_536,
        hold: HoldLimits::NONE,
        drain_timeout: Millis(30_000),
        tunnel_drain_timeout: Millis(60_000),
        slow_start: Millis::ZERO,
        eject_after_failures: 0,
        eject_above_peers: 0,
    }
}

/// What a table is made of.
pub struct Plan {
    pub instances: Vec<SocketAddr>,
    pub policy: TrafficPolicy,
    pub intake: Intake,
    pub hold: HoldLimits,
    pub fallback: Option<Fallback>,
    pub release: u64,
    pub preview_token: Option<PreviewToken>,
    /// A second release with one instance.
    pub candidate: Option<(ReleaseId, ReleaseLabel, Weight, SocketAddr)>,
}

impl Plan {
    pub fn of(instances: &[&Instance]) -> Self {
        Self::at(&instances.iter().map(|instance| instance.address).collect::<Vec<_>>())
    }

    pub fn at(instances: &[SocketAddr]) -> Self {
        Self {
            instances: instances.to_vec(),
            policy: policy(),
            intake: Intake::Serve,
            hold: HoldLimits::NONE,
            fallback: None,
            release: 1,
            preview_token: None,
            candidate: None,
        }
    }
}

pub struct World {
    pub plane: DataPlane,
    pub address: SocketAddr,
    pub events: Receiver<Event>,
    pub records: Receiver<AccessRecord>,
    registry: Registry,
    generation: u64,
}

impl World {
    pub fn new(plan: &Plan) -> Self {
        Self::with(plan, Settings::default(), 1)
    }

    pub fn with(plan: &Plan, settings: Settings, threads: usize) -> Self {
        let (told, events) = sync_channel(1_024);
        let (logged, records) = sync_channel(1_024);
        let plane = DataPlane::start(threads, settings, &told, Some(&logged)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for thread in 0..threads {
            plane.listen(thread, listener.try_clone().unwrap());
        }
        let mut world = Self { plane, address, events, records, registry: Registry::new(), generation: 0 };
        world.install(plan);
        world
    }

    /// Gives the threads a new table and waits until they use it.
    pub fn install(&mut self, plan: &Plan) -> TableVersion {
        self.generation += 1;
        let version = TableVersion { epoch: Epoch(1), generation: Generation(self.generation) };
        let table = Table::build(&spec(plan, version), &mut self.registry, self.plane.now()).unwrap();
        self.plane.install(&Arc::new(table));
        until("every thread uses the table", || self.plane.applied() == Some(version));
        version
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Every series that has a key, and whose requests it counts.
    pub fn series(&self) -> Vec<(usize, Audience)> {
        self.registry.series().map(|(series, key)| (series.index(), key.audience)).collect()
    }

    /// The slot of an instance.
    pub fn slot(&self, address: SocketAddr) -> usize {
        self.registry.instances().find(|(_, _, at)| *at == address).map(|(slot, _, _)| slot.index()).unwrap()
    }

    /// The whole ledger.
    pub fn ledger(&self) -> SeriesCounts {
        let mut sum = SeriesCounts::default();
        for series in 0..SERIES_MAX {
            sum.merge(&self.plane.series(series));
        }
        sum
    }

    /// The ends of all requests as text, such as `2xx:3 by_us.no_route:1`, when there are `total` of them.
    pub fn ends(&self, total: u64) -> String {
        until("the ledger has them all", || self.ledger().total() >= total);
        let ledger = self.ledger();
        let mut shown: Vec<String> = Vec::new();
        for terminal in Terminal::all() {
            let count = ledger.terminals[terminal.index()];
            if count > 0 {
                shown.push(format!("{}:{count}", terminal.key()));
            }
        }
        shown.join(" ")
    }

    /// Waits until nothing is in flight anywhere.
    pub fn settled(&self) {
        until("nothing is in flight", || self.plane.in_flight().is_empty());
    }
}

fn spec(plan: &Plan, version: TableVersion) -> TableSpec {
    let service = ServiceName::new("shop").unwrap();
    let release = ReleaseId(plan.release);
    let instances: Vec<InstanceSpec> = plan
        .instances
        .iter()
        .map(|&address| InstanceSpec {
            id: InstanceId { service: service.clone(), release, ordinal: u64::from(address.port()) },
            address,
        })
        .collect();
    let weight = if instances.is_empty() { Weight::NONE } else { Weight::ALL };
    let pool = PoolSpec {
        release,
        label: ReleaseLabel::new("1.0").unwrap(),
        weight,
        policy: plan.policy.clone(),
        probe: None,
        preview_hosts: Vec::new(),
        instances,
    };
    let mut pools = vec![pool];
    if let Some((release, label, weight, address)) = &plan.candidate {
        let id = InstanceId { service: service.clone(), release: *release, ordinal: u64::from(address.port()) };
        let instances = vec![InstanceSpec { id, address: *address }];
        pools.push(PoolSpec {
            release: *release,
            label: label.clone(),
            weight: *weight,
            instances,
            ..pools[0].clone()
        });
    }
    let service = ServiceSpec {
        name: service,
        routes: vec![Route { host: Host::any(), path: PathPrefix::new("/").unwrap() }],
        pools,
        intake: plan.intake,
        hold: plan.hold,
        health_path: Some("/healthz".to_owned()),
        fallback: plan.fallback.clone(),
        pins: None,
        preview_token: plan.preview_token.clone(),
    };
    let other = ServiceSpec {
        name: ServiceName::new("void").unwrap(),
        routes: vec![Route { host: Host::new("void.test").unwrap(), path: PathPrefix::new("/").unwrap() }],
        pools: Vec::new(),
        intake: Intake::Serve,
        hold: HoldLimits::NONE,
        health_path: None,
        fallback: None,
        pins: None,
        preview_token: None,
    };
    TableSpec { version, services: vec![service, other] }
}

/// A connection, from either end, read in the units of HTTP.
pub struct Client {
    pub stream: TcpStream,
    kept: Vec<u8>,
}

/// A message as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub head: String,
    pub body: Vec<u8>,
    /// The chunked body as it was written, framing and trailers included.
    pub raw: Vec<u8>,
}

impl Message {
    pub fn start(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub fn status(&self) -> u16 {
        self.start().split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub fn line(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).unwrap())
    }

    pub fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, kept: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends what the other side may not want.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    fn more(&mut self) -> bool {
        let mut room = [0; 65_536];
        match self.stream.read(&mut room) {
            Ok(count) => {
                self.kept.extend_from_slice(&room[..count]);
                count > 0
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                panic!("nothing came in time; so far {:?}", String::from_utf8_lossy(&self.kept))
            }
            Err(_) => false,
        }
    }

    /// Whether something is there to read now.
    pub fn has_input(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let there = !self.kept.is_empty() || self.stream.peek(&mut [0]).is_ok_and(|count| count > 0);
        self.stream.set_nonblocking(false).unwrap();
        there
    }

    /// The next head, or none when the connection ends first.
    pub fn head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.kept.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.kept.drain(..at + 4).collect();
                return Some(String::from_utf8_lossy(&head).into_owned());
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// So many bytes, or fewer when the connection ends first.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.kept.len() < count && self.more() {}
        let count = count.min(self.kept.len());
        self.kept.drain(..count).collect()
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.kept.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.kept.drain(..at + 2).collect();
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// The next whole message. `bodiless` when it has no body whatever its head says. None when the connection ends first.
    pub fn message_of(&mut self, bodiless: bool) -> Option<Message> {
        let head = self.head()?;
        let mut message = Message { head, body: Vec::new(), raw: Vec::new() };
        let is_response = message.head.starts_with("HTTP/");
        if bodiless || (is_response && (message.status() < 200 || [204, 304].contains(&message.status()))) {
            return Some(message);
        }
        if message.line("transfer-encoding") == Some("chunked") {
            loop {
                let line = self.line()?;
                message.raw.extend_from_slice(line.as_bytes());
                let size = usize::from_str_radix(line.trim().split(';').next()?, 16).ok()?;
                if size == 0 {
                    loop {
                        let trailer = self.line()?;
                        message.raw.extend_from_slice(trailer.as_bytes());
                        if trailer == "\r\n" {
                            return Some(message);
                        }
                    }
                }
                let chunk = self.bytes(size + 2);
                if chunk.len() < size + 2 {
                    return None;
                }
                message.raw.extend_from_slice(&chunk);
                message.body.extend_from_slice(&chunk[..size]);
            }
        }
        if let Some(length) = message.line("content-length") {
            let length = length.parse().ok()?;
            message.body = self.bytes(length);
            return (message.body.len() == length).then_some(message);
        }
        if is_response {
            while self.more() {}
            message.body = std::mem::take(&mut self.kept);
        }
        Some(message)
    }

    pub fn message(&mut self) -> Option<Message> {
        self.message_of(false)
    }

    /// The answer to what was sent, which must come.
    pub fn answer(&mut self) -> Message {
        self.message().expect("an answer")
    }

    /// Sends and takes the answer.
    pub fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Message {
        self.send(bytes);
        self.answer()
    }

    /// Whether the other side has ended the connection and sent nothing more.
    pub fn is_ended(&mut self) -> bool {
        self.kept.is_empty() && !self.more()
    }

    /// Everything until the end.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.kept)
    }

    /// Breaks the connection without a word.
    pub fn reset(self) {
        let socket = socket2::Socket::from(self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    pub fn end(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

/// An instance that does what a script says with each connection.
pub struct Instance {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    pub requests: Arc<Mutex<Vec<Message>>>,
}

impl Instance {
    /// `script` is called for each connection with its number, from 0, on a thread of its own.
    pub fn start(script: impl Fn(usize, &mut Client, &Mutex<Vec<Message>>) + Send + Sync + 'static) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    pub fn start_on(
        listener: TcpListener,
        script: impl Fn(usize, &mut Client, &Mutex<Vec<Message>>) + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(script);
        let instance = Self { address, connections: Arc::clone(&connections), requests: Arc::clone(&requests) };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let (script, requests) = (Arc::clone(&script), Arc::clone(&requests));
                std::thread::spawn(move || script(number, &mut Client::of(stream), &requests));
            }
        });
        instance
    }

    /// Answers every request with `answer`, keeping connections.
    pub fn answering(answer: impl Fn(&Message) -> String + Send + Sync + 'static) -> Self {
        Self::start(move |_, connection, requests| {
            while let Some(request) = connection.message() {
                let text = answer(&request);
                requests.lock().unwrap().push(request);
                if !connection.try_send(text) {
                    return;
                }
            }
        })
    }

    /// Answers every request with its name.
    pub fn named(name: &'static str) -> Self {
        Self::answering(move |_| ok(name))
    }

    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    pub fn connection_count(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\n\r\n")
}

pub fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// An address where nobody listens.
pub fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
