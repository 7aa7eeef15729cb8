//! Caddy: its JSON configuration, changed over the admin API.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::{Change, KEPT_CONNECTIONS, Peer, Place, ask};
use crate::bench::process::{Group, await_listening};

/// Where the upstreams are in [`configuration`].
const UPSTREAMS: &str = "/config/apps/http/servers/clients/routes/0/handle/0/upstreams";

pub struct Caddy {
    pub program: PathBuf,
}

impl Peer for Caddy {
    fn name(&self) -> &'static str {
        "caddy"
    }

    fn start(&self, place: &Place, instances: &[u16]) -> anyhow::Result<Group> {
        let path = place.write("caddy.json", &configuration(place, instances).to_string())?;
        let mut command = Command::new(&self.program);
        command.arg("run").arg("--config").arg(path).env("GOMAXPROCS", "1").env("HOME", &place.folder);
        command.env("XDG_DATA_HOME", &place.folder).env("XDG_CONFIG_HOME", &place.folder);
        let group = Group::start(&mut command, place.core, &place.log())?;
        await_listening(place.listen, &place.log())?;
        Ok(group)
    }

    fn replace(&self, place: &Place, _group: &Group, change: &Change<'_>) -> anyhow::Result<()> {
        // The call returns when the new configuration serves; requests on the old one end by themselves.
        ask(place.admin, "PATCH", UPSTREAMS, &upstreams(change.instances).to_string()).map(drop)
    }

    fn way(&self) -> &'static str {
        "PATCH of the upstreams at the admin API, old instance stopped when the call returns"
    }
}

fn upstreams(instances: &[u16]) -> Value {
    instances.iter().map(|port| json!({ "dial": format!("127.0.0.1:{port}") })).collect()
}

fn configuration(place: &Place, instances: &[u16]) -> Value {
    json!({
        "admin": { "listen": place.admin.to_string() },
        "logging": { "logs": { "default": { "level": "ERROR" } } },
        "apps": { "http": { "servers": { "clients": {
            "listen": [place.listen.to_string()],
            "automatic_https": { "disable": true },
            "routes": [{ "handle": [{
                "handler": "reverse_proxy",
                "upstreams": upstreams(instances),
                "transport": { "protocol": "http", "keep_alive": {
                    "max_idle_conns": KEPT_CONNECTIONS, "max_idle_conns_per_host": KEPT_CONNECTIONS,
                } },
            }] }],
        } } } },
    })
}
