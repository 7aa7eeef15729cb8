//! One run of one suite.

use std::ffi::OsString;
use std::fs;
use std::io::IsTerminal as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process_group};

use super::counts::{Counts, Held};
use super::suite::Suite;
use crate::workspace;

/// What every suite is run with.
pub struct Runner {
    environment: Vec<(&'static str, OsString)>,
    outputs: PathBuf,
}

/// What came of one run.
pub struct Outcome {
    /// What it counted.
    pub counts: Counts,
    /// How long it took.
    pub seconds: f64,
    /// Everything it wrote.
    pub output: String,
}

impl Runner {
    /// Keeps the outputs under `target/`, so that what failed can be read whole.
    pub fn new(environment: Vec<(&'static str, OsString)>) -> anyhow::Result<Self> {
        let outputs = workspace::target().join("suites");
        fs::create_dir_all(&outputs).with_context(|| format!("cannot make {}", outputs.display()))?;
        Ok(Self { environment, outputs })
    }

    /// Runs a suite to its end. Whatever keeps it from running is its failure: the suites behind it run all the same.
    pub fn run(&self, suite: &Suite) -> Outcome {
        let began = Instant::now();
        if std::io::stderr().is_terminal() {
            // Overwritten by the suite's line when it has ended.
            eprint!("{} …\r", suite.name);
        }
        let (held, output) = self.ended(suite).unwrap_or_else(|error| (Held::No, format!("{error:#}\n")));
        let counts = if suite.tells_tests() { Counts::read(&output, held) } else { Counts::whole(held) };
        Outcome { counts, seconds: began.elapsed().as_secs_f64(), output }
    }

    fn ended(&self, suite: &Suite) -> anyhow::Result<(Held, String)> {
        let path = self.outputs.join(format!("{}.txt", suite.name.replace('/', "-")));
        let file = fs::File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let errors = file.try_clone().context("cannot share the output's file")?;
        let mut command: Command = suite.command();
        command.envs(self.environment.iter().map(|(name, value)| (*name, value)));
        command.stdin(Stdio::null()).stdout(file).stderr(errors).process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", suite.name))?;
        let held = wait(&mut child, Suite::LIFE_MAX)?;
        let mut output = String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
        if held.is_none() {
            output.push_str(&format!("\nended after {} s without an end of its own\n", Suite::LIFE_MAX.as_secs()));
        }
        Ok((held.unwrap_or(Held::No), output))
    }
}

/// Waits for the end; none when the time was over and the group had to be killed.
fn wait(child: &mut Child, at_most: Duration) -> anyhow::Result<Option<Held>> {
    let deadline = Instant::now() + at_most;
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for a suite")? {
            return Ok(Some(Held::from(status.success())));
        }
        if Instant::now() > deadline {
            if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _gone = kill_process_group(group, Signal::KILL);
            }
            child.wait().context("cannot wait for a suite that was killed")?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_that_does_not_end_is_ended() {
        let mut child = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
        assert_eq!(wait(&mut child, Duration::from_millis(50)).unwrap(), None);
        let mut child = Command::new("false").process_group(0).spawn().unwrap();
        assert_eq!(wait(&mut child, Duration::from_secs(60)).unwrap(), Some(Held::No));
    }
}
