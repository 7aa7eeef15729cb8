//! The messages of both directions.

use gapless_model::Health;
use serde::{Deserialize, Serialize};

use super::report::ReportDoc;
use super::seal::SealedTable;
use super::settings::SettingsDoc;
use super::table::VersionDoc;

/// The number of this protocol. Neighbours understand each other.
pub const PROTOCOL: u32 = 1;

/// What a program of this protocol may be able to do beyond its number.
pub mod feature {
    /// A proxy takes [`ToProxy::Settings`](super::ToProxy::Settings) while it serves.
    pub const SETTINGS: &str = "settings";
    /// A proxy answers [`ToProxy::Report`](super::ToProxy::Report).
    pub const REPORT: &str = "report";
    /// A proxy says [`FromProxy::Leaving`](super::FromProxy::Leaving) and serves on until the controller lets it drain.
    pub const LEAVING: &str = "leaving";
}

/// How each side introduces itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol it speaks.
    pub protocol: u32,
    /// What it can do beyond the protocol's number.
    #[serde(default)]
    pub features: Vec<String>,
    /// The program's version, for people.
    #[serde(default)]
    pub program: String,
}

impl Hello {
    /// This program's.
    #[must_use]
    pub fn ours() -> Hello {
        let features = [feature::SETTINGS, feature::REPORT, feature::LEAVING].map(str::to_owned).to_vec();
        Hello { protocol: PROTOCOL, features, program: format!("gapless {}", env!("CARGO_PKG_VERSION")) }
    }

    /// Whether the other side can do this; the names are in [`feature`].
    #[must_use]
    pub fn can(&self, feature: &str) -> bool {
        self.features.iter().any(|can| can == feature)
    }

    /// Whether the two understand each other: the numbers are the same or next to each other.
    #[must_use]
    pub fn speaks(&self) -> bool {
        self.protocol.abs_diff(PROTOCOL) <= 1
    }
}

/// How a proxy introduces itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProxyHello {
    /// Protocol and features.
    #[serde(flatten)]
    pub hello: Hello,
    /// Which life of which proxy: another after each start.
    pub proxy: String,
    /// Its process.
    pub pid: u32,
    /// Its worker threads: how many listening sockets each address is best given.
    pub threads: u32,
    /// The table that every thread uses; none before the first.
    #[serde(default)]
    pub applied: Option<VersionDoc>,
    /// The addresses it listens on, one for each socket it holds.
    #[serde(default)]
    pub listeners: Vec<String>,
    /// Milliseconds since the Unix epoch at its start, for people.
    #[serde(default)]
    pub started_unix_ms: u64,
    /// It was told to end, or drains already: another proxy is to take its place.
    #[serde(default)]
    pub leaving: bool,
}

/// From the controller to a proxy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToProxy {
    /// The first frame. A proxy that has seen a newer epoch answers [`FromProxy::Fenced`].
    Hello {
        /// Protocol and features.
        #[serde(flatten)]
        hello: Hello,
        /// The controller's term. 0 asks whom the proxy obeys and orders nothing; the answer is [`FromProxy::Fenced`].
        epoch: u64,
        /// Which life of which controller; none from a controller that has no such identity.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        controller: Option<String>,
    },
    /// Listening sockets, one descriptor for each address in order; they are added to those the proxy holds.
    Listeners {
        /// Of the descriptors, in order.
        addresses: Vec<String>,
    },
    /// Asks for copies of the listening sockets; answered by [`FromProxy::Listeners`].
    GiveListeners,
    /// Closes the listening sockets of these addresses. What was accepted goes on.
    CloseListeners {
        /// Which.
        addresses: Vec<String>,
    },
    /// A table; answered by [`FromProxy::Applied`] when every thread uses it, or [`FromProxy::Refused`].
    Table {
        /// The table with its checksum.
        table: SealedTable,
    },
    /// The controller knows better than the probes: an instance has exited, say.
    Health {
        /// As `SERVICE.rN.iN`.
        instance: String,
        /// What it is.
        health: HealthDoc,
    },
    /// End the tunnels of an instance, spread over this time.
    DrainTunnels {
        /// As `SERVICE.rN.iN`.
        instance: String,
        /// In milliseconds from now.
        within_ms: u64,
    },
    /// Go away: stop accepting, finish what is in flight within this time, then exit.
    Drain {
        /// In milliseconds from now.
        within_ms: u64,
    },
    /// Exit now.
    Quit,
    /// Settings that hold from now on.
    Settings {
        /// All of them.
        settings: SettingsDoc,
    },
    /// Asks for a report now; [`ReportDoc::asked`] of the answer is this number.
    Report {
        /// Rising.
        number: u64,
    },
    /// Answered by [`FromProxy::Pong`] with the same number.
    Ping {
        /// Any.
        number: u64,
    },
    /// A message of a newer controller that this proxy does not know: ignored.
    #[serde(other)]
    Unknown,
}

/// From a proxy to the controller.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromProxy {
    /// The first frame.
    Hello(ProxyHello),
    /// The controller is older than one this proxy has obeyed, or another of the same term (I5), or a newer one came, or it only asked;
    /// the connection ends.
    Fenced {
        /// The newest term it has seen.
        epoch: u64,
        /// The controller that took it, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        controller: Option<String>,
    },
    /// Every thread uses this table.
    Applied {
        /// Which.
        version: VersionDoc,
    },
    /// A table was not taken; the one before stays.
    Refused {
        /// Which, as far as it could be read.
        #[serde(default)]
        version: Option<VersionDoc>,
        /// Why, for people.
        reason: String,
    },
    /// Counts.
    Report(ReportDoc),
    /// Copies of the listening sockets, one descriptor for each address in order. Sent in several parts when there are many.
    Listeners {
        /// Of the descriptors, in order.
        addresses: Vec<String>,
        /// How many parts follow.
        #[serde(default)]
        parts_left: u32,
    },
    /// Something an operator should know: an instance was ejected, all of a service are bad, a table could not be persisted.
    Notice {
        /// What, for people.
        text: String,
    },
    /// It was told to end by a signal: it serves on for a moment, so that another proxy can take its place, until [`ToProxy::Drain`] comes.
    Leaving,
    /// Nothing is left to drain: the proxy exits.
    Drained,
    /// The answer to a ping.
    Pong {
        /// As asked.
        number: u64,
    },
    /// A message of a newer proxy that this controller does not know: ignored.
    #[serde(other)]
    Unknown,
}

/// [`Health`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthDoc {
    /// Not asked often enough yet.
    #[default]
    Unknown,
    /// Its probes pass.
    Healthy,
    /// Its probes fail.
    Unhealthy,
}

impl From<Health> for HealthDoc {
    fn from(health: Health) -> Self {
        match health {
            Health::Unknown => HealthDoc::Unknown,
            Health::Healthy => HealthDoc::Healthy,
            Health::Unhealthy => HealthDoc::Unhealthy,
        }
    }
}

impl From<HealthDoc> for Health {
    fn from(doc: HealthDoc) -> Self {
        match doc {
            HealthDoc::Unknown => Health::Unknown,
            HealthDoc::Healthy => Health::Healthy,
            HealthDoc::Unhealthy => Health::Unhealthy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_version_understand_each_other() {
        let newer = r#"{"type":"hello","protocol":2,"features":["mirror"],"epoch":7,"colour":"red"}"#;
        let ToProxy::Hello { hello, epoch, controller } = serde_json::from_str(newer).unwrap() else {
            panic!("no hello")
        };
        assert!(hello.speaks() && epoch == 7 && controller.is_none());
        let older = r#"{"type":"fenced","epoch":7}"#;
        assert_eq!(serde_json::from_str::<FromProxy>(older).unwrap(), FromProxy::Fenced { epoch: 7, controller: None });
        assert!(!Hello { protocol: PROTOCOL + 2, ..hello }.speaks());
        let unknown = r#"{"type":"mirror","share":5}"#;
        assert_eq!(serde_json::from_str::<ToProxy>(unknown).unwrap(), ToProxy::Unknown);
        assert_eq!(serde_json::from_str::<FromProxy>(unknown).unwrap(), FromProxy::Unknown);
        let older = r#"{"type":"hello","protocol":1,"proxy":"p","pid":1,"threads":2}"#;
        let FromProxy::Hello(hello) = serde_json::from_str(older).unwrap() else { panic!("no hello") };
        assert_eq!((hello.applied, hello.threads), (None, 2));
        let sparse = r#"{"type":"report","number":3}"#;
        assert!(matches!(serde_json::from_str(sparse).unwrap(), FromProxy::Report(ReportDoc { number: 3, .. })));
    }
}
