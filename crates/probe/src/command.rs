//! Running a probe's or check's command: bounded output, the whole process group ended with it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

/// How much of a command's output is kept for its failure, its end: enough for the last lines of a stack trace.
pub const OUTPUT_BYTES_MAX: usize = 4 << 10;

/// A command to run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommandOrder {
    /// Program and arguments, at least one.
    pub argv: Vec<String>,
    /// Its whole environment: nothing of this process's own is handed on.
    pub environment: BTreeMap<String, String>,
    /// The working folder; this process's own when none is given.
    pub folder: Option<PathBuf>,
    /// Whom it runs as; this process's own user when none is given.
    pub user: Option<CommandUser>,
}

/// A user and its first group. It has no others: the groups of this process are given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommandUser {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// A command that ran to its end.
#[derive(Debug)]
pub struct CommandEnded {
    /// How it ended.
    pub status: ExitStatus,
    /// The end of its standard output, at most [`OUTPUT_BYTES_MAX`].
    pub stdout: Vec<u8>,
    /// The end of its standard error.
    pub stderr: Vec<u8>,
}

/// Kills the group of a command that is dropped before it ended.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // The leader is not waited for yet (or was this very moment), so the number is still its group's.
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs a command that is to end with 0; cancelled by dropping, which kills it and its group.
///
/// # Errors
/// Text for people: it could not be run, or ended with something other than 0, with the end of its output.
pub async fn run(order: &CommandOrder) -> Result<(), String> {
    let CommandEnded { status, stdout, stderr } = execute(order).await?;
    if status.success() {
        return Ok(());
    }
    let text = [stderr, stdout].into_iter().find(|bytes| !bytes.is_empty()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    Err(if text.trim().is_empty() { status.to_string() } else { format!("{status}: {}", text.trim()) })
}

/// Runs a command to its end, whatever that is; cancelled by dropping, which kills it and its group.
///
/// # Errors
/// Text for people: it could not be run.
pub async fn execute(order: &CommandOrder) -> Result<CommandEnded, String> {
    let (program, arguments) = order.argv.split_first().ok_or("no program is named")?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(&order.environment).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(folder) = &order.folder {
        command.current_dir(folder);
    }
    if let Some(user) = order.user {
        command.uid(user.uid).gid(user.gid);
    }
    let mut child = command.spawn().map_err(|error| format!("cannot run {program:?}: {error}"))?;
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let tails = async { tokio::join!(tail(out), tail(err)) };
    tokio::pin!(tails);
    // Ends with the command, not with its output: a process it left behind may hold the pipe for ever.
    let (status, output) = tokio::select! {
        biased;
        output = &mut tails => (child.wait().await, Some(output)),
        status = child.wait() => (status, None),
    };
    let status = status.map_err(|error| format!("cannot wait for {program:?}: {error}"))?;
    if let Some(left) = group.0.take() {
        let _gone = kill_process_group(left, Signal::KILL);
    }
    // All of its group is dead, so the pipes end; one that left the group is not waited for.
    let output = match output {
        Some(output) => output,
        None => {
            let last = tokio::time::timeout(std::time::Duration::from_millis(200), tails).await;
            last.unwrap_or_default()
        }
    };
    Ok(CommandEnded { status, stdout: output.0, stderr: output.1 })
}

async fn tail(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut pipe) = pipe else { return kept };
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..length]);
        let surplus = kept.len().saturating_sub(OUTPUT_BYTES_MAX);
        kept.drain(..surplus);
    }
    kept
}
