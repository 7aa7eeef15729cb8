//! A machine that is busy with something else: one spinning process per core, bounded in every way.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::suite::cores;
use crate::workspace;

/// The longest a spinning process lives, whatever happens to the one that started it.
const LIFE_MAX: Duration = Duration::from_secs(4 * 3_600);

/// The spinning processes; they end with this value, and with the process that holds it even where it is killed.
pub struct Busy {
    spinners: Vec<Child>,
}

impl Busy {
    /// Starts one process per core, at normal priority: the suites get about half of the machine.
    pub fn start() -> anyhow::Result<Self> {
        let program = workspace::this_program();
        let mut busy = Self { spinners: Vec::new() };
        for _ in 0..cores() {
            let spinner = Command::new(&program).arg("spin").stdin(Stdio::null()).spawn();
            busy.spinners.push(spinner.context("cannot start a spinning process")?);
        }
        Ok(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for spinner in &mut self.spinners {
            let _gone = spinner.kill();
            let _gone = spinner.wait();
        }
    }
}

/// Computes nothing until its parent is gone or [`LIFE_MAX`] is over: the hidden verb `spin`.
pub fn spin() -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot tie this process to its parent")?;
    // A parent that ended before that call is noticed here.
    let (parent, deadline) = (getppid(), Instant::now() + LIFE_MAX);
    while Instant::now() < deadline && getppid() == parent {
        for _ in 0..1_000_000 {
            std::hint::spin_loop();
        }
    }
    Ok(())
}
