//! What the clients do, and what is asked of their ledger.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use gapless_load::{Connections, Kind, Offer, Plan, Run, Sums};

use crate::world::{World, quick};

/// What a server can do besides GET.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Able {
    /// Echoes bodies, answers late, sends large bodies.
    Everything,
    /// Serves files.
    Files,
}

/// How long a slow body is under way: long enough to cross a switch.
pub fn slow() -> Duration {
    if quick() { Duration::from_secs(3) } else { Duration::from_secs(10) }
}

/// Every kind of client at once, until stopped.
pub fn everyone(world: &World, run: &str, able: Able) -> Plan {
    let over = slow();
    let mut plan = bounded(world.listen)
        .with(Kind::Get, Connections::Kept(16), 60.0, "/")
        .with(Kind::Get, Connections::New, 20.0, "/")
        .with(Kind::Pipeline { depth: 5 }, Connections::Kept(4), 5.0, "/")
        .with(Kind::SlowDownload { bytes: 2_000_000, over }, Connections::New, 1.5, "/large");
    if able == Able::Everything {
        plan = plan
            .with(Kind::Post { bytes: 3_000 }, Connections::Kept(8), 20.0, "/")
            .with(Kind::Post { bytes: 300 }, Connections::New, 10.0, "/")
            .with(Kind::PostChunked { bytes: 40_000 }, Connections::Kept(4), 5.0, "/")
            .with(Kind::PostChunked { bytes: 400 }, Connections::New, 5.0, "/")
            .with(Kind::SlowUpload { bytes: 120_000, over }, Connections::New, 1.5, "/")
            .with(Kind::Get, Connections::Kept(8), 10.0, "/slow?ms=300");
    }
    plan.run = run.to_owned();
    plan.seen = Some(world.seen());
    plan
}

/// A plan that ends by itself should a test never stop it.
fn bounded(listen: SocketAddr) -> Plan {
    let mut plan = Plan::new(listen);
    plan.duration = Duration::from_secs(300);
    // What is asked is what gets lost; how quick a machine is that is busy with something else is not.
    plan.timeout = Duration::from_secs(60);
    plan.offer = Offer::Yielding { ahead: Duration::from_secs(1) };
    plan
}

/// GETs and POSTs over new and kept connections, without the slow ones: for tests that end a load at once.
pub fn brisk(world: &World, run: &str) -> Plan {
    let mut plan = bounded(world.listen)
        .with(Kind::Get, Connections::Kept(16), 80.0, "/")
        .with(Kind::Get, Connections::New, 40.0, "/")
        .with(Kind::Post { bytes: 1_000 }, Connections::Kept(8), 30.0, "/");
    plan.run = run.to_owned();
    plan.seen = Some(world.seen());
    plan
}

/// Stops the load, waits for its last request.
pub fn end(run: Run) -> Sums {
    run.stop();
    run.finish().expect("the load's sums")
}

/// Load for a moment, so that a change meets requests under way.
pub fn until_under_way(run: &Run) {
    assert!(run.wait_until(Duration::from_secs(20), |sums| sums.answered >= 50), "{:#?}", run.snapshot());
}

/// Nothing lost, nothing executed twice, every release of the test has answered.
pub fn assert_nothing_lost(sums: &Sums, releases: &[&str]) {
    let first: Vec<_> = sums.incidents.iter().take(10).collect();
    assert_eq!(sums.lost, 0, "{:?}: {first:#?}", sums.lost_by);
    assert_eq!(sums.duplicated, 0, "{:?}", sums.seen);
    assert_eq!(sums.scheduled, sums.ended);
    for release in releases {
        assert!(sums.by_release.contains_key(*release), "{release} answered nothing: {:?}", sums.by_release);
    }
    assert!(
        sums.seen.as_ref().is_some_and(|seen| seen.ids > 0),
        "the instances write down what they execute: {:?}",
        sums.seen
    );
}

/// The answer to a GET over a connection of its own.
pub fn get(world: &World, within: Duration) -> std::io::Result<String> {
    get_with(world, "", within)
}

/// The same with header lines, each with its end.
pub fn get_with(world: &World, lines: &str, within: Duration) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(world.listen)?;
    connection.set_read_timeout(Some(within))?;
    connection.write_all(format!("GET / HTTP/1.1\r\nhost: x\r\n{lines}connection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}
