//! What instances write.

use serde::{Deserialize, Serialize};

/// One line of an instance's log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was read from the instance (RFC 3339, milliseconds).
    pub at: String,
    /// The instance, such as `shop.r3.i7`.
    pub instance: String,
    /// The label of its release.
    pub release: String,
    /// Where it was written.
    pub stream: LogStream,
    /// The line without its end; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// Where a line was written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The keeper's own words: started, exited with, rotated.
    Keeper,
}
