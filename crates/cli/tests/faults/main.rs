//! The fault suite: real processes and real sockets under load, and what breaks on real machines: disks that are full, read-only, slow or
//! failing, processes that are killed or frozen, journals that are cut, flipped, old or missing.
//!
//! A case is a line of [`cases.txt`](../../../tests/faults/cases.txt), and each is a test of its own name. `GAPLESS_FAULTS=whole` (as
//! `cargo xtask faults` sets it) runs all of them, else those marked `short`. The machine that is broken is the one of the end-to-end
//! suites, `../e2e/world.rs`; what is promised is what docs/guide/operations.md says.

#[path = "../e2e/ports.rs"]
mod ports;
#[path = "../e2e/world.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "the end-to-end suites use the rest of it")]
mod world;

mod case;
mod disk;
mod ground;
mod journal;
mod process;
mod shim;
mod step;
mod verdict;

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

use case::{Case, Form};
use ground::Ground;

/// Set for the whole suite.
const WHOLE_ENV: &str = "GAPLESS_FAULTS";
/// Set once this process has mounts of its own, which end with it.
const OWN_MOUNTS_ENV: &str = "GAPLESS_FAULTS_MOUNTS";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if !arguments.list {
        own_mounts();
    }
    let whole = std::env::var_os(WHOLE_ENV).is_some();
    let cases = Case::parse_all(include_str!("cases.txt")).expect("every line of cases.txt is a case");
    let trials = cases.into_iter().map(|case| {
        let ignored = !whole && case.form != Form::Short;
        Trial::test(case.name.clone(), move || run(&case)).with_ignored_flag(ignored)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// Starts this program again where its mounts are its own, so that whatever ends it, the machine has none of them. Without the right to
/// do so the cases that need a disk of their own say that they are skipped.
fn own_mounts() {
    if std::env::var_os(OWN_MOUNTS_ENV).is_some() || !rustix::process::geteuid().is_root() {
        return;
    }
    let may = Command::new("unshare").args(["--mount", "--propagation", "private", "true"]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        return;
    }
    let program = std::env::current_exe().expect("this program");
    let mut again = Command::new("unshare");
    again.args(["--mount", "--propagation", "private", "--"]).arg(program).args(std::env::args_os().skip(1));
    let error = again.env(OWN_MOUNTS_ENV, "1").exec();
    panic!("unshare does not start this program again: {error}");
}

fn run(case: &Case) -> Result<(), Failed> {
    if let Some(lacking) = ground::lacking(case) {
        eprintln!("{}: skipped: {lacking}", case.name);
        return Ok(());
    }
    let attempt = std::panic::catch_unwind(|| {
        let mut ground = Ground::for_case(case);
        case.steps.iter().for_each(|step| ground.perform(step));
        ground.close();
    });
    match (&case.awaited, attempt) {
        (None, Ok(())) => Ok(()),
        (None, Err(panic)) => Err(Failed::from(words(&*panic))),
        // With all tests it is no failure: who mended it is not to be stopped by a line that says less than is true.
        (Some(_), Ok(())) if std::env::var_os(WHOLE_ENV).is_none() => Ok(()),
        (Some(_), Ok(())) => Err(Failed::from("this case holds now: take `awaited` out of its line")),
        (Some(why), Err(_)) => {
            eprintln!("{}: does not hold yet, as its line says: {why}", case.name);
            Ok(())
        }
    }
}

/// What a panic said.
fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").to_owned()
}
