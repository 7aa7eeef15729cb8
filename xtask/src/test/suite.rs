//! What can be run: a name, and what is done.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::{check, workspace};

/// One suite: it runs as one process and comes to one line of the table.
#[derive(Debug, Clone)]
pub struct Suite {
    /// `crate/target`, or the one word of what is no crate's.
    pub name: String,
    /// Only tests whose names hold one of these; all where there are none.
    pub filters: Vec<String>,
    /// What is done.
    pub act: Act,
}

/// How a suite runs and how its outcome is read.
#[derive(Debug, Clone)]
pub enum Act {
    /// A test program, in its crate's folder.
    Program { path: PathBuf, folder: PathBuf },
    /// Cargo with arguments and a variable or none; its tests are counted.
    CountedCargo(&'static [&'static str]),
    /// A check of the house.
    Check(check::Step),
    /// The demo of the program under test.
    Demo,
}

impl Suite {
    /// One with nothing to filter.
    pub fn new(name: impl Into<String>, act: Act) -> Self {
        Self { name: name.into(), filters: Vec::new(), act }
    }

    #[cfg(test)]
    pub fn named(name: &str) -> Self {
        Self::new(name, Act::Demo)
    }

    /// The process that runs it; a check that needs none is this program's own verb.
    pub fn command(&self) -> Command {
        match &self.act {
            Act::Program { path, folder } => {
                let mut command = Command::new(path);
                // As cargo starts test programs: some read files beside their manifest.
                command.current_dir(folder).env("CARGO_MANIFEST_DIR", folder).args(&self.filters);
                // What a passed test was not able to do is told too.
                command.arg("--show-output");
                if WAITING.contains(&self.name.as_str()) {
                    command.arg(format!("--test-threads={}", THREADS_PER_CORE * cores()));
                }
                command
            }
            Act::CountedCargo(arguments) => workspace::cargo(arguments),
            Act::Check(step) => step.command(),
            Act::Demo => {
                let mut command = Command::new(program_under_test());
                command.arg("demo").current_dir(workspace::root());
                command
            }
        }
    }

    /// Whether its outcome is in its output, test by test; else it is one question that holds or does not.
    pub fn tells_tests(&self) -> bool {
        matches!(self.act, Act::Program { .. } | Act::CountedCargo(_))
    }

    /// After this long it hangs and is ended. The longest takes minutes on a busy machine.
    pub const LIFE_MAX: Duration = Duration::from_secs(40 * 60);
}

/// Suites whose tests mostly wait, each for a machine of its own with little load: more of them at once than there are cores.
const WAITING: &[&str] = &["cli/faults"];
const THREADS_PER_CORE: usize = 2;

/// How many cores there are.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The rules of the house; in the short form those that need no compiler.
pub fn checks(quick: bool) -> Vec<Suite> {
    let steps = check::Step::ALL.iter().filter(|step| !quick || step.is_quick());
    steps.map(|step| Suite::new(format!("check/{}", step.name()), Act::Check(*step))).collect()
}

/// The examples in the documentation of the crates.
pub fn documentation_examples() -> Suite {
    Suite::new("doc", Act::CountedCargo(&["test", "--workspace", "--doc"]))
}

/// The README's first command, with the program that the end-to-end suites test.
pub fn demo() -> Suite {
    Suite::new("demo", Act::Demo)
}

/// The program as it was built with the suites.
fn program_under_test() -> PathBuf {
    workspace::target().join("debug").join("gapless")
}
