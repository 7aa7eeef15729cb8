//! How an instance ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The end of an instance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Exit {
    /// What ended it.
    pub cause: ExitCause,
    /// Whether it was ended for using more memory than it may.
    #[serde(default)]
    pub oom: bool,
    /// How many processes of its tree were still there when its main process ended by itself, and were killed: a service that forks into the background.
    #[serde(default)]
    pub left_behind: u32,
    /// When, in milliseconds since 1970 by the wall clock; for people.
    #[serde(default)]
    pub at_unix_ms: i64,
}

/// What ended an instance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitCause {
    /// Its main process exited with this code.
    Code(i32),
    /// Its main process was ended by this signal.
    Signal(i32),
    /// It was never run; why, for people.
    NotStarted(String),
    /// Its keeper died; what was left of the instance was killed.
    KeeperLost,
}

impl Exit {
    /// Whether the instance ended by itself, rather than by the hand of an operator, of the machine or with its keeper. The kernel does not say
    /// who sent a signal; a program that fails sends itself none of these, and one that used too much memory is told apart.
    #[must_use]
    pub fn is_own_doing(&self) -> bool {
        match self.cause {
            ExitCause::Code(_) | ExitCause::NotStarted(_) => true,
            ExitCause::Signal(signal) => {
                self.oom
                    || !matches!(signal, libc::SIGKILL | libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGQUIT)
            }
            ExitCause::KeeperLost => false,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            ExitCause::Code(code) => write!(f, "exit code {code}")?,
            ExitCause::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "signal {signal} ({name})")?,
                None => write!(f, "signal {signal}")?,
            },
            ExitCause::NotStarted(reason) => write!(f, "not started: {reason}")?,
            ExitCause::KeeperLost => f.write_str("its keeper died")?,
        }
        if self.oom {
            f.write_str(", out of memory")?;
        }
        if self.left_behind > 0 {
            write!(f, ", {} processes left behind were killed (run it in the foreground)", self.left_behind)?;
        }
        Ok(())
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    let names = [
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGXCPU, "SIGXCPU"),
        (libc::SIGXFSZ, "SIGXFSZ"),
        (libc::SIGSYS, "SIGSYS"),
    ];
    names.into_iter().find(|(number, _)| *number == signal).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_reads_as_a_person_says_it() {
        let exit = |cause| Exit { cause, oom: false, left_behind: 0, at_unix_ms: 0 };
        assert_eq!(exit(ExitCause::Code(3)).to_string(), "exit code 3");
        assert_eq!(Exit { oom: true, ..exit(ExitCause::Signal(9)) }.to_string(), "signal 9 (SIGKILL), out of memory");
        assert!(Exit { left_behind: 2, ..exit(ExitCause::Code(0)) }.to_string().contains("2 processes left behind"));
    }
}
