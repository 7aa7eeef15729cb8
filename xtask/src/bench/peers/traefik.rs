//! Traefik: the file provider, which watches its file.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::{Change, KEPT_CONNECTIONS, Peer, Place, ask, await_change};
use crate::bench::process::{Group, await_listening};

pub struct Traefik {
    pub program: PathBuf,
}

impl Peer for Traefik {
    fn name(&self) -> &'static str {
        "traefik"
    }

    fn start(&self, place: &Place, instances: &[u16]) -> anyhow::Result<Group> {
        // JSON is YAML.
        let dynamic = place.write("dynamic.yaml", &dynamic(instances).to_string())?;
        let fixed = json!({
            "entryPoints": {
                "clients": { "address": place.listen.to_string() },
                "traefik": { "address": place.admin.to_string() },
            },
            "providers": { "file": { "filename": dynamic, "watch": true } },
            "serversTransport": { "maxIdleConnsPerHost": KEPT_CONNECTIONS },
            "api": { "insecure": true },
            "global": { "checkNewVersion": false, "sendAnonymousUsage": false },
            "log": { "level": "ERROR" },
        });
        let path = place.write("traefik.yaml", &fixed.to_string())?;
        let mut command = Command::new(&self.program);
        command.arg(format!("--configFile={}", path.display())).env("GOMAXPROCS", "1");
        let group = Group::start(&mut command, place.core, &place.log())?;
        await_listening(place.listen, &place.log())?;
        await_listening(place.admin, &place.log())?;
        await_change("traefik's first configuration", || knows(place, instances))?;
        Ok(group)
    }

    fn replace(&self, place: &Place, _group: &Group, change: &Change<'_>) -> anyhow::Result<()> {
        place.write("dynamic.yaml", &dynamic(change.instances).to_string())?;
        await_change("traefik's new configuration", || knows(place, change.instances))
    }

    fn way(&self) -> &'static str {
        "file provider: file renamed into place, old instance stopped when the API shows the new servers"
    }
}

/// Whether the API shows exactly these servers.
fn knows(place: &Place, instances: &[u16]) -> anyhow::Result<bool> {
    let Ok(text) = ask(place.admin, "GET", "/api/http/services/instances@file", "") else { return Ok(false) };
    let service: Value = serde_json::from_str(text.trim()).unwrap_or_default();
    let servers = service["loadBalancer"]["servers"].as_array().cloned().unwrap_or_default();
    let known: Vec<&str> = servers.iter().filter_map(|server| server["url"].as_str()).collect();
    let wanted: Vec<String> = instances.iter().map(|port| url(*port)).collect();
    Ok(known.len() == wanted.len() && wanted.iter().all(|url| known.contains(&url.as_str())))
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn dynamic(instances: &[u16]) -> Value {
    let servers: Vec<Value> = instances.iter().map(|port| json!({ "url": url(*port) })).collect();
    json!({ "http": {
        "routers": { "all": { "rule": "PathPrefix(`/`)", "service": "instances", "entryPoints": ["clients"] } },
        "services": { "instances": { "loadBalancer": { "servers": servers } } },
    } })
}
