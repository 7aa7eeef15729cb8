//! HAProxy: server slots driven over the runtime API, `drain` before a server leaves.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

use anyhow::Context;

use super::{Change, Peer, Place, await_change};
use crate::bench::process::{Group, await_listening};
use crate::tools;

/// Slots without a server at the start, for surge.
const SPARE_SLOTS: usize = 2;

pub struct Haproxy;

impl Peer for Haproxy {
    fn name(&self) -> &'static str {
        "haproxy"
    }

    fn start(&self, place: &Place, instances: &[u16]) -> anyhow::Result<Group> {
        let path = place.write("haproxy.cfg", &configuration(place, instances))?;
        let mut command = Command::new(tools::find("haproxy").unwrap_or_else(|| "haproxy".into()));
        let group = Group::start(command.args(["-W", "-db", "-f"]).arg(path), place.core, &place.log())?;
        await_listening(place.listen, &place.log())?;
        Ok(group)
    }

    fn replace(&self, place: &Place, _group: &Group, change: &Change<'_>) -> anyhow::Result<()> {
        let servers = servers(place)?;
        let free =
            servers.iter().find(|server| server.status == "MAINT").context("haproxy has no free slot")?.name.clone();
        let old = format!("127.0.0.1:{}", change.old);
        let leaving = servers.iter().find(|server| server.address == old && server.status != "MAINT");
        let leaving = leaving.with_context(|| format!("haproxy does not know {old}"))?.name.clone();
        tell(place, &format!("set server instances/{free} addr 127.0.0.1 port {}", change.new))?;
        tell(place, &format!("set server instances/{free} state ready"))?;
        await_change("the new server", || {
            Ok(self::servers(place)?.iter().any(|server| server.name == free && server.status.starts_with("UP")))
        })?;
        tell(place, &format!("set server instances/{leaving} state drain"))?;
        await_change("the drain", || {
            Ok(self::servers(place)?.iter().any(|server| server.name == leaving && server.sessions == 0))
        })?;
        tell(place, &format!("set server instances/{leaving} state maint"))
    }

    fn way(&self) -> &'static str {
        "runtime API: new server into a free slot, old one to drain, stopped when it has no session left"
    }
}

/// A server as `show stat` tells it.
struct Server {
    name: String,
    status: String,
    sessions: u64,
    address: String,
}

fn servers(place: &Place) -> anyhow::Result<Vec<Server>> {
    let text = say(place, "show stat")?;
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().trim_start_matches("# ").split(',').collect();
    let column = |name: &str| head.iter().position(|known| *known == name).with_context(|| format!("no column {name}"));
    let (backend, name, status) = (column("pxname")?, column("svname")?, column("status")?);
    let (sessions, address) = (column("scur")?, column("addr")?);
    let servers = lines.map(|line| line.split(',').collect::<Vec<_>>()).filter(|fields| {
        fields.get(backend) == Some(&"instances") && fields.get(name).is_some_and(|name| name.starts_with("slot"))
    });
    let field = |fields: &[&str], number: usize| fields.get(number).copied().unwrap_or_default().to_owned();
    Ok(servers
        .map(|fields| Server {
            name: field(&fields, name),
            status: field(&fields, status),
            sessions: field(&fields, sessions).parse().unwrap_or(0),
            address: field(&fields, address),
        })
        .collect())
}

/// A command whose answer has to be empty or an information.
fn tell(place: &Place, command: &str) -> anyhow::Result<()> {
    let answer = say(place, command)?;
    let refused = ["Unknown", "No such", "Invalid", "Permission", "not "].iter().any(|word| answer.contains(word));
    anyhow::ensure!(!refused, "haproxy answered `{command}`: {answer}");
    Ok(())
}

fn say(place: &Place, command: &str) -> anyhow::Result<String> {
    let path = place.path("admin.sock");
    let mut socket = UnixStream::connect(&path).with_context(|| format!("cannot connect to {}", path.display()))?;
    socket.write_all(format!("{command}\n").as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer.trim().to_owned())
}

fn configuration(place: &Place, instances: &[u16]) -> String {
    let mut slots = String::new();
    for (number, port) in instances.iter().enumerate() {
        slots.push_str(&format!("  server slot{number} 127.0.0.1:{port} check inter 200ms\n"));
    }
    for number in instances.len()..instances.len() + SPARE_SLOTS {
        slots.push_str(&format!("  server slot{number} 127.0.0.1:1 check inter 200ms disabled\n"));
    }
    let (socket, listen) = (place.path("admin.sock").display().to_string(), place.listen);
    format!(
        "global
  nbthread 1
  maxconn 4096
  stats socket {socket} mode 600 level admin
defaults
  mode http
  timeout connect 5s
  timeout client 120s
  timeout server 120s
  timeout http-keep-alive 120s
  option forwardfor
  http-reuse always
frontend clients
  bind {listen} backlog 4096
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(Host)]
  default_backend instances
backend instances
  balance roundrobin
  option httpchk GET /healthz
{slots}"
    )
}
