//! The faults that happen by themselves: crashes and children left behind.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{CRASH_CODE, Options, SampleError, millis};

/// Arms what happens without a request.
pub(super) fn arm(options: &Options) -> Result<(), SampleError> {
    if options.fork_away {
        // Nobody waits for it: that is the fault. It ends by itself.
        Command::new("sleep")
            .arg("300")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(SampleError::SetUp)?;
    }
    if let Some(ms) = options.crash_after {
        crash_in(millis(ms));
    }
    Ok(())
}

/// Ends the process after a while, as a crash does: whatever is under way is cut.
pub(super) fn crash_in(delay: Duration) {
    tokio::task::spawn_local(async move {
        tokio::time::sleep(delay).await;
        eprintln!("sample service: crashing as told");
        std::process::exit(CRASH_CODE);
    });
}
