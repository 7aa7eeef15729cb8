//! `gapless-server.toml`: the machine. Everything has a usable default; the file may be absent.

use std::net::SocketAddr;
use std::path::PathBuf;

use gapless_model::Millis;

use super::error::{ConfigErrors, Fault, placed};
use super::key::{Fallback, Key, Kind, Section};
use super::notify::{self, NotifyConfig};
use super::read::{Written, read};
use super::value::{Network, PortRange};

/// The sections and keys of `gapless-server.toml`.
pub static SERVER: &[Section] = &[
    Section {
        name: "listener",
        repeated: true,
        doc: "Where the proxy listens; may be repeated. Without any: 0.0.0.0:8080. All services are behind all listeners.",
        keys: &[Key {
            name: "address",
            kind: Kind::SocketAddress,
            default: Fallback::Required,
            doc: "The address and port. The controller opens it and hands it to the proxy, so only the controller needs the right to open \
                  ports below 1024.",
            example: "\"0.0.0.0:80\"",
        }],
    },
    Section {
        name: "proxy",
        repeated: false,
        doc: "The data plane.",
        keys: &[
            Key {
                name: "threads",
                kind: Kind::Count { min: 1, max: 256 },
                default: Fallback::Absent("one per core"),
                doc: "How many threads serve requests. Each has its own listening sockets and connections; nothing is shared between them. A proxy that \
                      runs keeps its number: `gapless status` says so, and another takes its place without a lost request when it is told to end.",
                example: "4",
            },
            Key {
                name: "user",
                kind: Kind::Text { bytes_max: 64 },
                default: Fallback::Absent("`gapless-proxy` where there is such a user, else the number 65525"),
                doc: "The user that the proxy becomes where the controller runs as root. It needs no right at all: listening sockets are lent to it, \
                      and it keeps nothing but what is in the folder `proxy` of the state folder, which is given to it. Without root it runs as the \
                      controller's own user, without capabilities. Holds for a proxy that is started from then on.",
                example: "\"www-proxy\"",
            },
            Key {
                name: "access_log",
                kind: Kind::Path,
                default: Fallback::Absent("no access log"),
                doc: "A file to which one line of JSON is written per request, off the request path. A relative path is in the folder `proxy` of the \
                      state folder; elsewhere the proxy's user must be able to write.",
                example: "\"access.jsonl\"",
            },
            Key {
                name: "trusted_peers",
                kind: Kind::Networks,
                default: Fallback::Absent("nobody is trusted"),
                doc: "Peers whose `X-Forwarded-*`, `Forwarded` and `X-Request-Id` headers are kept. From everybody else they are dropped.",
                example: "[\"10.0.0.0/8\", \"127.0.0.1\"]",
            },
            Key {
                name: "head_timeout",
                kind: Kind::Duration { min: Millis(500), max: Millis::from_secs(120) },
                default: Fallback::Value("\"10s\""),
                doc: "How long a client may take for the whole head of a request.",
                example: "\"5s\"",
            },
            Key {
                name: "keep_alive_timeout",
                kind: Kind::Duration { min: Millis::from_secs(1), max: Millis::from_secs(3_600) },
                default: Fallback::Value("\"75s\""),
                doc: "How long a client's connection may stay idle between requests.",
                example: "\"30s\"",
            },
        ],
    },
    Section {
        name: "api",
        repeated: false,
        doc: "The socket `api.sock` in the state folder, over which orders are given.",
        keys: &[Key {
            name: "group",
            kind: Kind::Text { bytes_max: 64 },
            default: Fallback::Absent("the controller's own user and root alone"),
            doc: "The group whose members may give orders too, such as a build's user. Whoever may deploy says what is run and as whom: a member can do what the \
                  controller's user can, so with a controller of root's the group is as good as root.",
            example: "\"deploy\"",
        }],
    },
    Section {
        name: "instances",
        repeated: false,
        doc: "Where instances listen: on 127.0.0.1, each on a port of its own.",
        keys: &[Key {
            name: "ports",
            kind: Kind::Ports,
            default: Fallback::Value("\"20000-29999\""),
            doc: "The ports that instances are given, one each. A port that something else uses is passed over.",
            example: "\"40000-40999\"",
        }],
    },
    Section {
        name: "notify",
        repeated: true,
        doc: "Who is told what happens, though they ask for nothing: how rollouts end, instances lost outside of rollouts, crash loops, faults that take a service below \
              its floor. May be repeated. Nothing waits for a receiver; one that does not take a notice is tried again three times.",
        keys: &[
            Key {
                name: "url",
                kind: Kind::Text { bytes_max: 2_048 },
                default: Fallback::Absent("the receiver is a command"),
                doc: "A webhook, to which the notice is sent by POST. `http://` alone: for `https://` write a `command` such as curl, or a proxy of your own.",
                example: "\"http://127.0.0.1:9000/gapless\"",
            },
            Key {
                name: "command",
                kind: Kind::Command,
                default: Fallback::Absent("the receiver is a webhook"),
                doc: "A program that is run for each notice, as the controller's own user. It finds `GAPLESS_NOTICE` (what a webhook would be sent), \
                      `GAPLESS_SERVICE`, `GAPLESS_ACTION` and `GAPLESS_TEXT` in its environment, and `GAPLESS_SIGNATURE` where there is a secret.",
                example: "[\"sh\", \"-c\", \"curl -sf --json \\\"$GAPLESS_NOTICE\\\" https://hooks.example.com/T0/B0\"]",
            },
            Key {
                name: "format",
                kind: Kind::OneOf(&["json", "slack"]),
                default: Fallback::Value("\"json\""),
                doc: "`json` sends the event as `gapless events --json` prints it, `slack` an object with a `text`.",
                example: "\"slack\"",
            },
            Key {
                name: "secret_file",
                kind: Kind::Path,
                default: Fallback::Absent("notices are not signed"),
                doc: "A file with the secret by which notices are signed: `X-Gapless-Signature: sha256=` and the HMAC-SHA256 of the body.",
                example: "\"/etc/gapless/notify.key\"",
            },
            Key {
                name: "timeout",
                kind: Kind::Duration { min: Millis(100), max: Millis::from_secs(60) },
                default: Fallback::Value("\"10s\""),
                doc: "How long a receiver may take for one notice.",
                example: "\"3s\"",
            },
        ],
    },
    Section {
        name: "releases",
        repeated: false,
        doc: "The unpacked releases of all services.",
        keys: &[
            Key {
                name: "artefact_size",
                kind: Kind::Size { min: 1 << 20, max: 1 << 40 },
                default: Fallback::Value("\"16GiB\""),
                doc: "The largest artefact that is accepted, unpacked.",
                example: "\"1GiB\"",
            },
            Key {
                name: "space_left",
                kind: Kind::Size { min: 0, max: 1 << 40 },
                default: Fallback::Value("\"64MiB\""),
                doc: "How much of the file system must stay free after an artefact is unpacked; otherwise the deploy is refused.",
                example: "\"2GiB\"",
            },
        ],
    },
];

/// The configuration of the machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerConfig {
    /// Where the proxy listens; at least one.
    pub listeners: Vec<ListenerConfig>,
    /// How many threads serve requests; one per core when not given.
    pub proxy_threads: Option<u16>,
    /// The user that the proxy becomes where the controller runs as root.
    pub proxy_user: Option<String>,
    /// The access log, absolute or relative to the proxy's folder.
    pub access_log: Option<PathBuf>,
    /// Peers whose forwarding headers are kept.
    pub trusted_peers: Vec<Network>,
    /// How long a client may take for the whole head of a request.
    pub head_timeout: Millis,
    /// How long a client's connection may stay idle between requests.
    pub keep_alive_timeout: Millis,
    /// The group whose members may give orders; nobody but the controller's user and root where there is none.
    pub api_group: Option<String>,
    /// The ports that instances are given.
    pub instance_ports: PortRange,
    /// Who is told what happens.
    pub notify: Vec<NotifyConfig>,
    /// The largest artefact, unpacked, in bytes.
    pub artefact_bytes_max: u64,
    /// How many bytes of the file system stay free.
    pub space_left_bytes_min: u64,
}

/// One listener.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ListenerConfig {
    /// The address and port.
    pub address: SocketAddr,
}

/// What holds when there is no file.
impl Default for ServerConfig {
    fn default() -> ServerConfig {
        parse_server_config("", "gapless-server.toml").expect("BUG: an empty gapless-server.toml is refused")
    }
}

/// Reads the text of a `gapless-server.toml`. `file_name` is how errors call it.
///
/// # Errors
/// Every fault that was found.
pub fn parse_server_config(text: &str, file_name: &str) -> Result<ServerConfig, ConfigErrors> {
    let written = read(SERVER, text).map_err(|faults| placed(file_name, text, faults))?;
    let mut faults = Vec::new();
    let config = meaning(&written, &mut faults);
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(placed(file_name, text, faults)),
    }
}

fn meaning(written: &Written, faults: &mut Vec<Fault>) -> Option<ServerConfig> {
    let (proxy, instances, releases) = (written.one("proxy"), written.one("instances"), written.one("releases"));
    Some(ServerConfig {
        listeners: listeners_of(written, faults),
        proxy_threads: proxy.count("threads").and_then(|threads| u16::try_from(threads).ok()),
        proxy_user: proxy.text("user"),
        access_log: proxy.path("access_log"),
        trusted_peers: proxy.networks("trusted_peers").unwrap_or_default(),
        head_timeout: proxy.duration("head_timeout")?,
        keep_alive_timeout: proxy.duration("keep_alive_timeout")?,
        api_group: written.one("api").text("group"),
        instance_ports: instances.ports("ports")?,
        notify: written.many("notify").iter().filter_map(|group| notify::receiver_of(group, faults)).collect(),
        artefact_bytes_max: releases.count("artefact_size")?,
        space_left_bytes_min: releases.count("space_left")?,
    })
}

fn listeners_of(written: &Written, faults: &mut Vec<Fault>) -> Vec<ListenerConfig> {
    let mut listeners: Vec<ListenerConfig> = Vec::new();
    for group in written.many("listener") {
        if let Some(address) = group.socket_address("address") {
            let listener = ListenerConfig { address };
            // Port 0 asks the kernel for any free port, so two of them differ.
            if address.port() != 0 && listeners.contains(&listener) {
                let fault = Fault::new(format!("the listener {address} is there twice")).at(group.at("address"));
                faults.push(fault.hint("remove one of them"));
            }
            listeners.push(listener);
        }
    }
    if listeners.is_empty() {
        listeners.push(ListenerConfig { address: SocketAddr::from(([0, 0, 0, 0], 8_080)) });
    }
    listeners
}
