//! nginx: a new configuration file, then `nginx -s reload`.

use anyhow::Context;

use super::{Change, KEPT_CONNECTIONS, Peer, Place, await_change};
use crate::bench::process::{Group, await_listening, tree};
use crate::nginx;

/// Connections of the worker: more than any measurement makes.
const WORKER_CONNECTIONS: u32 = 16_384;

pub struct Nginx;

impl Peer for Nginx {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn start(&self, place: &Place, instances: &[u16]) -> anyhow::Result<Group> {
        place.write(nginx::FILE, &configuration(place, instances))?;
        let group = Group::start(&mut nginx::in_foreground(&place.folder), place.core, &place.log())?;
        await_listening(place.listen, &place.log())?;
        Ok(group)
    }

    fn replace(&self, place: &Place, group: &Group, change: &Change<'_>) -> anyhow::Result<()> {
        place.write(nginx::FILE, &configuration(place, change.instances))?;
        let before = tree(group.pid());
        let output =
            nginx::command(&place.folder).args(["-s", "reload"]).output().context("cannot run nginx -s reload")?;
        anyhow::ensure!(output.status.success(), "nginx -s reload: {}", String::from_utf8_lossy(&output.stderr));
        // "The old worker processes … continue to service current requests until all such requests are serviced. After that, [they] exit":
        // the only sign nginx gives that the old instance is no longer asked.
        await_change("the reload of nginx", || {
            let now = tree(group.pid());
            Ok(now.len() >= 2 && before.iter().filter(|pid| **pid != group.pid()).all(|pid| !now.contains(pid)))
        })
    }

    fn way(&self) -> &'static str {
        "new upstream block, nginx -s reload, old instance stopped once the old workers have exited"
    }
}

fn configuration(place: &Place, instances: &[u16]) -> String {
    let servers: String = instances.iter().map(|port| format!("    server 127.0.0.1:{port};\n")).collect();
    let listen = place.listen;
    let http = format!(
        "  keepalive_requests 100000000;
  upstream instances {{
{servers}    keepalive {KEPT_CONNECTIONS};
    keepalive_requests 100000000;
  }}
  server {{
    listen {listen} backlog=4096;
    location / {{
      proxy_pass http://instances;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host;
    }}
  }}
"
    );
    nginx::configuration(&place.folder, WORKER_CONNECTIONS, &http)
}
