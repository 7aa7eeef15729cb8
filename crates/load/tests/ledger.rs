//! The ledger against the sample service, each as its own process: what is answered, and what is found when something is wrong.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use gapless_load::{Connections, Kind, Offer, Plan, Reuse, Run, SEEN_ENV, Sums};

/// A sample service that is killed with the test.
struct Service {
    child: Child,
    address: SocketAddr,
}

impl Service {
    fn start(arguments: &[&str], seen: &Path) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let child = Command::new(env!("CARGO_BIN_EXE_sample-service"))
            .args(["--release", "1.0", "--port", &port.to_string()])
            .args(arguments)
            .env(SEEN_ENV, seen)
            .spawn()
            .unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "the sample service does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { child, address }
    }

    fn terminate(&self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn plan(service: &Service, seconds_tenths: u64) -> Plan {
    let mut plan = Plan::new(service.address);
    plan.duration = Duration::from_millis(seconds_tenths * 100);
    // Far beyond what an answer takes on a busy machine: nothing here is to time out.
    plan.timeout = Duration::from_secs(60);
    plan
}

fn sums(plan: Plan) -> Sums {
    Run::start(plan).unwrap().finish().unwrap()
}

#[test]
fn every_kind_of_client_gets_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let service = Service::start(&[], &seen);
    let over = Duration::from_millis(500);
    let mut plan = plan(&service, 10)
        .with(Kind::Get, Connections::Kept(4), 100.0, "/")
        .with(Kind::Get, Connections::New, 50.0, "/")
        .with(Kind::Post { bytes: 100_000 }, Connections::Kept(2), 20.0, "/echo")
        .with(Kind::PostChunked { bytes: 70_000 }, Connections::New, 20.0, "/echo")
        .with(Kind::SlowUpload { bytes: 20_000, over }, Connections::Kept(8), 5.0, "/echo")
        .with(Kind::SlowDownload { bytes: 500_000, over }, Connections::New, 5.0, "/large")
        .with(Kind::Get, Connections::Kept(2), 10.0, "/stream?bytes=5000&ms=50")
        .with(Kind::Pipeline { depth: 8 }, Connections::Kept(2), 10.0, "/")
        .with(Kind::WebSocket { every: Duration::from_millis(50), lifetime: over }, Connections::New, 5.0, "/ws");
    plan.seen = Some(seen);
    let sums = sums(plan);
    assert_eq!(sums.lost, 0, "{:#?}", sums.incidents);
    assert_eq!(sums.duplicated, 0);
    assert_eq!(sums.seen.as_ref().unwrap().ids, sums.ended, "each was executed");
    assert_eq!(sums.by_release["1.0"], sums.ended);
    assert!(sums.websockets.echoed >= 5 && sums.websockets.echoed == sums.websockets.sent, "{:?}", sums.websockets);
    assert_eq!(sums.by_kind.len(), 7, "{:?}", sums.by_kind);
}

#[test]
fn a_load_that_yields_never_gets_further_ahead_of_its_answers_than_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(&[], &folder.path().join("seen"));
    let mut plan = plan(&service, 20).with(Kind::Get, Connections::Kept(100), 100.0, "/slow?ms=1000");
    plan.offer = Offer::Yielding { ahead: Duration::from_millis(50) };
    let begun = Instant::now();
    let sums = sums(plan);
    // A busy machine may take longer over it than the plan says.
    let most = 5 * (begun.elapsed().as_secs() + 1);
    assert!(sums.left_out > 0 && sums.scheduled <= most, "five at a time at most, each for a second: {sums:#?}");
    assert_eq!((sums.lost, sums.scheduled + sums.left_out), (0, 200), "what is left out is neither scheduled nor lost");
}

#[test]
fn the_fates_add_up_to_what_was_scheduled() {
    let folder = tempfile::tempdir().unwrap();
    // It crashes late enough for downloads to have begun on a busy machine, and early enough for requests after it.
    let service = Service::start(&["--crash-in-load", "2000", "--fail-percent", "10"], &folder.path().join("seen"));
    let sums = sums(
        plan(&service, 40)
            .with(Kind::Get, Connections::Kept(4), 200.0, "/")
            .with(Kind::Get, Connections::New, 50.0, "/slow?ms=200")
            .with(
                Kind::SlowDownload { bytes: 9_000_000, over: Duration::from_secs(10) },
                Connections::New,
                10.0,
                "/large",
            ),
    );
    assert_eq!(sums.scheduled, sums.ended);
    let ended: u64 = sums.by_kind.values().sum();
    assert_eq!(ended, sums.scheduled);
    assert_eq!(sums.lost, sums.lost_by.values().sum::<u64>());
    for how in ["refused", "cut", "reset", "status-5xx"] {
        assert!(sums.lost_by.contains_key(how), "{how} is missing in {:?}", sums.lost_by);
    }
}

#[test]
fn a_graceful_end_loses_nothing_that_was_under_way_and_announces_the_close() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(&[], &folder.path().join("seen"));
    let long = Duration::from_secs(60);
    let over = Duration::from_millis(800);
    let run = Run::start(
        plan(&service, 1)
            .with(Kind::Get, Connections::Kept(8), 50.0, "/slow?ms=700")
            .with(Kind::SlowUpload { bytes: 50_000, over }, Connections::New, 50.0, "/")
            .with(Kind::WebSocket { every: over, lifetime: long }, Connections::New, 50.0, "/ws"),
    )
    .unwrap();
    assert!(run.wait_until(Duration::from_secs(60), |sums| sums.scheduled == 15 && sums.websockets.sent == 5));
    service.terminate();
    let sums = run.finish().unwrap();
    assert_eq!(sums.lost, 0, "{:#?}", sums.incidents);
    assert_eq!(sums.websockets.closed_by_peer.get(&1001), Some(&5), "{:?}", sums.websockets);
}

#[test]
fn the_latency_counts_from_the_scheduled_time() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(&["--work", "50"], &folder.path().join("seen"));
    // One connection can serve 20 a second; 100 are scheduled.
    let sums = sums(plan(&service, 10).with(Kind::Get, Connections::Kept(1), 100.0, "/"));
    assert!(sums.latency.p99_ms > 2_000.0, "the wait for the connection counts: {:?}", sums.latency);
    assert!(sums.service_time.p50_ms < sums.latency.p50_ms / 4.0, "{:?}", sums.service_time);
    assert!(sums.slow > 0);
}

#[test]
fn a_connection_closed_under_a_request_is_lost_or_repeated_as_the_policy_says() {
    for (reuse, lost, repeated) in [(Reuse::CountAsLost, 1, 0), (Reuse::RepeatIdempotent, 0, 1)] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut plan = Plan::new(listener.local_addr().unwrap()).with(Kind::Get, Connections::Kept(1), 10.0, "/");
        plan.duration = Duration::from_millis(150);
        plan.reuse = reuse;
        let server = std::thread::spawn(move || closes_under_the_second_request(&listener));
        let sums = sums(plan);
        server.join().unwrap();
        assert_eq!((sums.scheduled, sums.lost, sums.repeated), (2, lost, repeated), "{reuse:?}: {sums:#?}");
    }
}

/// Answers one request, reads the next and closes; answers one more on a new connection if there is one.
fn closes_under_the_second_request(listener: &TcpListener) {
    use std::io::{Read, Write};
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let mut buffer = [0; 4096];
    let (mut first, _) = listener.accept().unwrap();
    assert!(first.read(&mut buffer).unwrap() > 0);
    first.write_all(answer).unwrap();
    assert!(first.read(&mut buffer).unwrap() > 0);
    drop(first);
    listener.set_nonblocking(true).unwrap();
    let deadline = Instant::now() + Duration::from_millis(500);
    while Instant::now() < deadline {
        if let Ok((mut second, _)) = listener.accept() {
            second.set_nonblocking(false).unwrap();
            assert!(second.read(&mut buffer).unwrap() > 0);
            second.write_all(answer).unwrap();
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
