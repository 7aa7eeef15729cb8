//! Another program that answers for an instance.

use std::fmt;

/// A process that listens where an instance should.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Foreign {
    /// The port.
    pub port: u16,
    /// The process and its command line, where they can be told.
    pub process: Option<(i32, String)>,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.process {
            Some((pid, command)) => write!(f, "port {} is another program's: process {pid} ({command})", self.port),
            None => write!(f, "port {} is another program's, which this user may not look into", self.port),
        }
    }
}
