//! What a key is: the rows of the table that parses the files and documents them.

use gapless_model::Millis;

/// A part of a file: the top level, a `[table]`, or a `[[table]]` that may be repeated.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its name: empty for the top level, else dotted, such as `run.limits`.
    pub name: &'static str,
    /// Whether it is written `[[name]]`, once per entry.
    pub repeated: bool,
    /// What it is about: sentences.
    pub doc: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name within its section.
    pub name: &'static str,
    /// Its type and bounds.
    pub kind: Kind,
    /// What holds when it is not written.
    pub default: Fallback,
    /// What it does: sentences.
    pub doc: &'static str,
    /// An example of its value, as TOML.
    pub example: &'static str,
}

/// What holds when a key is not written.
#[derive(Clone, Copy, Debug)]
pub enum Fallback {
    /// Nothing: it must be written.
    Required,
    /// This value, as TOML; read by the same code as a written one.
    Value(&'static str),
    /// No value; the words say what that means.
    Absent(&'static str),
}

/// The type of a key's value, with its bounds (all included).
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Text that is not empty.
    Text {
        /// The longest, in bytes.
        bytes_max: usize,
    },
    /// A service's name.
    ServiceName,
    /// A host pattern.
    Host,
    /// A path prefix of a route.
    PathPrefix,
    /// The path of a request, beginning with `/`.
    RequestPath,
    /// A folder within the release.
    Folder,
    /// A program and its arguments.
    Command,
    /// A table of texts.
    TextMap,
    /// Files of variables, one or several.
    EnvironmentFiles,
    /// A table of secrets with their sources.
    Secrets,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A count or a share: `3` or `"25%"`.
    Amount {
        /// The least count (or 0 %).
        min: u16,
    },
    /// A length of time: `"30s"`.
    Duration {
        /// The shortest.
        min: Millis,
        /// The longest.
        max: Millis,
    },
    /// A size in bytes: `"64KiB"`.
    Size {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A number of processor cores: `1.5`.
    Cores,
    /// HTTP statuses: `200` or `"200-399"`.
    Statuses,
    /// One of some words.
    OneOf(&'static [&'static str]),
    /// An address with a port: `"0.0.0.0:8080"`.
    SocketAddress,
    /// A list of addresses and networks: `["10.0.0.0/8"]`.
    Networks,
    /// A range of ports: `"20000-29999"`.
    Ports,
    /// A path of this machine.
    Path,
}

impl Section {
    /// The key with this name, if there is one.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The full name of a key, such as `health.interval`.
    #[must_use]
    pub fn full_name(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}

impl Kind {
    /// Its type in words, with how it is written.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Kind::Text { .. } => "text",
            Kind::ServiceName => "service name",
            Kind::Host => "host pattern",
            Kind::PathPrefix => "path prefix",
            Kind::RequestPath => "request path",
            Kind::Folder => "folder",
            Kind::Command => "list of texts",
            Kind::TextMap => "table of texts",
            Kind::EnvironmentFiles => "path or list of paths",
            Kind::Secrets => "table of sources",
            Kind::Flag => "true or false",
            Kind::Count { .. } => "count",
            Kind::Amount { .. } => "count or share",
            Kind::Duration { .. } => "duration",
            Kind::Size { .. } => "size",
            Kind::Cores => "cores",
            Kind::Statuses => "status or range",
            Kind::OneOf(_) => "word",
            Kind::SocketAddress => "address and port",
            Kind::Networks => "list of networks",
            Kind::Ports => "range of ports",
            Kind::Path => "path",
        }
    }

    /// Its bounds in words.
    #[must_use]
    pub fn bounds(&self) -> String {
        match self {
            Kind::Text { bytes_max } => format!("1 to {bytes_max} bytes"),
            Kind::ServiceName => "1 to 63 lower-case letters, digits and inner hyphens".to_owned(),
            Kind::Host => "a host name, `*.domain`, or `*` for any".to_owned(),
            Kind::PathPrefix => "begins with `/`, matches whole segments, up to 1024 bytes".to_owned(),
            Kind::RequestPath => "begins with `/`, no spaces, up to 1024 bytes".to_owned(),
            Kind::Folder => "relative, inside the release".to_owned(),
            Kind::Command => "program and arguments, at least one".to_owned(),
            Kind::TextMap => "up to 256 entries".to_owned(),
            Kind::EnvironmentFiles => "one path or up to 16, absolute or inside the release".to_owned(),
            Kind::Secrets => {
                "up to 64 names, each `{ file = … }`, `{ credential = … }` or `{ command = […] }`".to_owned()
            }
            Kind::Flag => String::new(),
            Kind::Count { min, max } => format!("{min} to {max}"),
            Kind::Amount { min } => format!("`{min}` or more, or `\"0%\"` to `\"100%\"`"),
            Kind::Duration { min, max } => format!("{min} to {max}"),
            Kind::Size { min, max } => {
                format!("{} to {}", super::value::size_text(*min), super::value::size_text(*max))
            }
            Kind::Cores => "0.01 to 1024".to_owned(),
            Kind::Statuses => "100 to 599".to_owned(),
            Kind::OneOf(words) => words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", "),
            Kind::SocketAddress => "IPv4 `a.b.c.d:port` or IPv6 `[a::b]:port`".to_owned(),
            Kind::Networks => "addresses or `address/bits`, up to 256".to_owned(),
            Kind::Ports => "`first-last`, each 1024 to 65535, at least 16 of them".to_owned(),
            Kind::Path => "absolute, or relative to the folder `proxy` of the state folder".to_owned(),
        }
    }
}
