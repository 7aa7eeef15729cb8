//! Envoy: endpoints from a file (EDS by filesystem), moved into place.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::{Change, Peer, Place, ask, await_change};
use crate::bench::process::{Group, await_listening};

pub struct Envoy {
    pub program: PathBuf,
}

impl Peer for Envoy {
    fn name(&self) -> &'static str {
        "envoy"
    }

    fn start(&self, place: &Place, instances: &[u16]) -> anyhow::Result<Group> {
        place.write("endpoints.json", &endpoints(instances).to_string())?;
        let path = place.write("envoy.json", &configuration(place).to_string())?;
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(path).args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]);
        let group = Group::start(&mut command, place.core, &place.log())?;
        await_listening(place.listen, &place.log())?;
        await_change("envoy's first endpoints", || knows(place, instances))?;
        Ok(group)
    }

    fn replace(&self, place: &Place, _group: &Group, change: &Change<'_>) -> anyhow::Result<()> {
        place.write("endpoints.json", &endpoints(change.instances).to_string())?;
        await_change("envoy's new endpoints", || knows(place, change.instances))
    }

    fn way(&self) -> &'static str {
        "endpoints by file, moved into place, old instance stopped when /clusters shows the new ones"
    }
}

/// Whether the admin port shows exactly these endpoints.
fn knows(place: &Place, instances: &[u16]) -> anyhow::Result<bool> {
    let Ok(text) = ask(place.admin, "GET", "/clusters", "") else { return Ok(false) };
    let known: Vec<&str> = text.lines().filter_map(|line| line.strip_suffix("::health_flags::healthy")).collect();
    let wanted: Vec<String> = instances.iter().map(|port| format!("instances::127.0.0.1:{port}")).collect();
    Ok(known.len() == wanted.len() && wanted.iter().all(|line| known.contains(&line.as_str())))
}

fn address(ip: &str, port: u16) -> Value {
    json!({ "socket_address": { "address": ip, "port_value": port } })
}

fn endpoints(instances: &[u16]) -> Value {
    let hosts: Vec<Value> =
        instances.iter().map(|port| json!({ "endpoint": { "address": address("127.0.0.1", *port) } })).collect();
    json!({ "resources": [{
        "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": "instances",
        "endpoints": [{ "lb_endpoints": hosts }],
    }] })
}

fn configuration(place: &Place) -> Value {
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "clients",
        "use_remote_address": true,
        "upgrade_configs": [{ "upgrade_type": "websocket" }],
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [{
            "match": { "prefix": "/" },
            "route": { "cluster": "instances", "append_x_forwarded_host": true, "timeout": "120s" },
        }] }] },
        "http_filters": [{ "name": "router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
        } }],
    });
    json!({
        "node": { "id": "bench", "cluster": "bench" },
        "admin": { "address": address("127.0.0.1", place.admin.port()) },
        "static_resources": {
            "listeners": [{
                "name": "clients",
                "address": address("127.0.0.1", place.listen.port()),
                "tcp_backlog_size": 4096,
                "filter_chains": [{ "filters": [{ "name": "http", "typed_config": manager }] }],
            }],
            "clusters": [{
                "name": "instances",
                "type": "EDS",
                "connect_timeout": "5s",
                "eds_cluster_config": { "eds_config": { "resource_api_version": "V3", "path_config_source": {
                    "path": place.path("endpoints.json"),
                } } },
                "circuit_breakers": { "thresholds": [{ "max_connections": 16384, "max_requests": 16384,
                    "max_pending_requests": 16384 }] },
            }],
        },
    })
}
