//! The data plane alone, with a table that never changes: `forward LISTEN INSTANCE... [--threads N]`.
//!
//! For measuring while the data path is worked on; a proxy that is run is started by the program.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use gapless_model::{
    Balance, Epoch, Generation, HoldLimits, Host, InstanceId, Millis, PathPrefix, ReleaseId, ReleaseLabel, Route,
    ServiceName, TableVersion, TrafficPolicy, Weight,
};
use gapless_proxy::data::{DataPlane, Settings};
use gapless_routing::{InstanceSpec, Intake, PoolSpec, Registry, ServiceSpec, Table, TableSpec};
use socket2::{Domain, Protocol, Socket, Type};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    let mut threads = 1;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--threads" {
            threads = arguments.next().ok_or("--threads needs a number")?.parse()?;
        } else {
            addresses.push(argument.parse()?);
        }
    }
    let (&listen, instances) = addresses.split_first().ok_or("usage: forward LISTEN INSTANCE... [--threads N]")?;
    let (events, _told) = sync_channel(1_024);
    let plane = DataPlane::start(threads, Settings::default(), &events, None)?;
    let table = Table::build(&spec(instances)?, &mut Registry::new(), plane.now())?;
    plane.install(&Arc::new(table));
    for thread in 0..threads {
        plane.listen(thread, listener(listen)?);
    }
    loop {
        std::thread::park();
    }
}

fn listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(1_024)?;
    Ok(socket.into())
}

fn spec(instances: &[SocketAddr]) -> Result<TableSpec, Box<dyn std::error::Error>> {
    let service = ServiceName::new("bench")?;
    let release = ReleaseId(1);
    let hold = HoldLimits::NONE;
    let instances = instances
        .iter()
        .zip(1..)
        .map(|(&address, ordinal)| InstanceSpec {
            id: InstanceId { service: service.clone(), release, ordinal },
            address,
        })
        .collect();
    let policy = TrafficPolicy {
        balance: Balance::PeakEwma,
        connect_timeout: Millis(3_000),
        response_timeout: Millis(60_000),
        idle_timeout: Millis(60_000),
        body_rate_min: 0,
        retries_max: 2,
        replay_with_idempotency_key: false,
        replay_bytes_max: 65_536,
        hold,
        drain_timeout: Millis(30_000),
        tunnel_drain_timeout: Millis(60_000),
        slow_start: Millis::ZERO,
        eject_after_failures: 5,
        eject_above_peers: 20,
    };
    let pool = PoolSpec {
        release,
        label: ReleaseLabel::new("1.0")?,
        weight: Weight::ALL,
        policy,
        probe: None,
        preview_hosts: Vec::new(),
        instances,
    };
    let service = ServiceSpec {
        name: service,
        routes: vec![Route { host: Host::any(), path: PathPrefix::new("/")? }],
        pools: vec![pool],
        intake: Intake::Serve,
        hold,
        health_path: None,
        fallback: None,
        pins: None,
        preview_token: None,
    };
    Ok(TableSpec { version: TableVersion { epoch: Epoch(1), generation: Generation(1) }, services: vec![service] })
}
