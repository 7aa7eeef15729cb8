//! System calls that are slow or fail: a library that is loaded before all others, built by the C compiler that the program needs anyway.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::step::Calls;

/// The file that says what is bent, named to the library.
pub const CONTROL_ENV: &str = "GAPLESS_FAULTS_FILE";

/// How long a slow fsync takes: longer than a disk that works, shorter than any deadline of ours.
const SLOW_MS: u32 = 400;
/// What a disk that fails says.
const EIO: i32 = 5;
/// What a disk that is full says.
const ENOSPC: i32 = 28;

/// The library, built once per run; none where the machine has no C compiler or no loader that would load it.
pub fn library() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(folder).ok()?;
    let source = folder.join("gapless-faults-shim.c");
    fs::write(&source, include_str!("shim.c")).ok()?;
    // A name of this process's own: another run may have the other one loaded.
    let library = folder.join(format!("gapless-faults-{}.so", std::process::id()));
    let mut compiler = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source);
    compiler.status().is_ok_and(|status| status.success()).then_some(library)
}

/// Writes what is bent from now on.
pub fn bend(control: &Path, what: Calls) {
    let lines = match what {
        Calls::SlowSync => format!("sync 0 {SLOW_MS} journal\n"),
        Calls::FailSync => format!("sync {EIO} 0 journal\n"),
        Calls::FailWrites => format!("write {EIO} 0 journal\n"),
        Calls::NoRoom => format!("write {ENOSPC} 0 journal\n"),
        Calls::Heal => String::new(),
    };
    // Renamed, so that nobody reads half of it.
    let new = control.with_extension("new");
    fs::write(&new, lines).and_then(|()| fs::rename(&new, control)).expect("the control file");
}
