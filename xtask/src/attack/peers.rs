//! Other proxies under the same attacks, with the same origins behind them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use gapless_attack::case::StageKind;
use gapless_attack::origin;
use gapless_attack::run::Target;

use crate::bench::process::{Group, await_listening, free_port, local};
use crate::{nginx, tools};

/// Connections of nginx's worker: more than any case makes.
const WORKER_CONNECTIONS: u32 = 1_024;

/// A peer with its origins.
pub struct Running {
    address: SocketAddr,
    folder: tempfile::TempDir,
    /// Ended in this order: the proxy before what is behind it.
    _proxy: Group,
    _origins: Vec<Group>,
}

impl Running {
    /// Where the origins write down what they are asked.
    pub fn record(&self) -> PathBuf {
        self.folder.path().join("record")
    }

    /// What a case is run against.
    pub fn target<'r>(&self, record: &'r Path) -> Target<'r> {
        Target { address: self.address, record }
    }
}

/// nginx in front of origins.
pub fn nginx(origin: &[String], kind: StageKind) -> anyhow::Result<Running> {
    tools::ensure(&[tools::NGINX])?;
    behind(origin, kind, |folder, listen, ports| {
        let configuration = nginx_conf(folder, listen, ports, kind);
        fs::write(folder.join(nginx::FILE), configuration).context("cannot write nginx.conf")?;
        Ok(nginx::in_foreground(folder))
    })
}

/// HAProxy in front of origins.
pub fn haproxy(origin: &[String], kind: StageKind) -> anyhow::Result<Running> {
    tools::ensure(&[tools::HAPROXY])?;
    behind(origin, kind, |folder, listen, ports| {
        let path = folder.join("haproxy.cfg");
        fs::write(&path, haproxy_cfg(listen, ports, kind)).context("cannot write haproxy.cfg")?;
        let mut command = Command::new(tools::find("haproxy").unwrap_or_else(|| "haproxy".into()));
        command.args(["-W", "-db", "-f"]).arg(path);
        Ok(command)
    })
}

fn behind(
    origin: &[String],
    kind: StageKind,
    proxy: impl FnOnce(&Path, SocketAddr, &[u16]) -> anyhow::Result<Command>,
) -> anyhow::Result<Running> {
    let folder = tempfile::Builder::new().prefix("gapless-attack-").tempdir().context("no temporary folder")?;
    let (mut ports, mut origins) = (Vec::new(), Vec::new());
    for number in 0..kind.instances() {
        let port = free_port()?;
        let arguments =
            origin::Options::arguments(&port.to_string(), &gapless_attack::folder(), &folder.path().join("record"));
        let (program, first) = origin.split_first().context("an origin needs a program")?;
        let log = folder.path().join(format!("origin-{number}.log"));
        origins.push(Group::start(Command::new(program).args(first).args(arguments), None, &log)?);
        await_listening(local(port), &log)?;
        ports.push(port);
    }
    let address = local(free_port()?);
    let log = folder.path().join("log");
    let proxy = Group::start(&mut proxy(folder.path(), address, &ports)?, None, &log)?;
    await_listening(address, &log)?;
    Ok(Running { address, folder, _proxy: proxy, _origins: origins })
}

fn nginx_conf(folder: &Path, listen: SocketAddr, ports: &[u16], kind: StageKind) -> String {
    let servers: String = ports.iter().map(|port| format!("server 127.0.0.1:{port} max_fails=0; ")).collect();
    let times = match kind {
        StageKind::One | StageKind::Two | StageKind::Fragile => "",
        StageKind::Short => {
            "  client_header_timeout 1s;\n  client_body_timeout 1s;\n  send_timeout 1s;\n  keepalive_timeout 2s;\n  proxy_read_timeout 2s;\n"
        }
    };
    let http = format!(
        "{times}  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  upstream instances {{ {servers}keepalive 64; }}
  server {{
    listen {listen};
    location / {{
      proxy_pass http://instances;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header Forwarded \"\";
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Request-Id $request_id;
    }}
  }}
"
    );
    nginx::configuration(folder, WORKER_CONNECTIONS, &http)
}

fn haproxy_cfg(listen: SocketAddr, ports: &[u16], kind: StageKind) -> String {
    let servers: String = ports
        .iter()
        .enumerate()
        .map(|(number, port)| format!("  server instance{number} 127.0.0.1:{port} check inter 200ms\n"))
        .collect();
    let times = match kind {
        StageKind::One | StageKind::Two | StageKind::Fragile => {
            "  timeout http-request 10s\n  timeout client 60s\n  timeout server 60s\n  timeout http-keep-alive 75s\n"
        }
        StageKind::Short => {
            "  timeout http-request 1s\n  timeout client 1s\n  timeout server 2s\n  timeout http-keep-alive 2s\n"
        }
    };
    format!(
        "global
  nbthread 1
  maxconn 1024
defaults
  mode http
  timeout connect 2s
  timeout tunnel 60s
{times}  retries 2
  http-reuse always
frontend clients
  bind {listen}
  http-request del-header Forwarded
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  unique-id-format %[uuid]
  http-request set-header X-Request-Id %[unique-id]
  default_backend instances
backend instances
  balance roundrobin
  option httpchk GET {}
{servers}",
        origin::HEALTH
    )
}
