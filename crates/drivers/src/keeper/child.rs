//! Starting the main process of an instance, and saying exactly why when it cannot be started.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Gid, Uid};

use super::cgroup::Cgroup;
use super::spec::{InstanceFolder, Spec};
use super::{output, privileges};
use crate::sys;

/// The main process and what it writes to.
#[derive(Debug)]
pub(crate) struct Main {
    pub(crate) pid: i32,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// What was being done between fork and exec when it failed; told through a pipe as one byte before the error number.
const ACTS: [&str; 4] = ["note its process number", "enter its cgroup", "give up new privileges", "become its user"];

/// Starts the main process.
///
/// It is not made to die with its keeper (`PR_SET_PDEATHSIG`): an instance whose keeper was killed goes on serving, and the controller,
/// which hears of it at once, or finds it by its noted number when it returns, gives it another.
///
/// # Errors
/// Text for people.
pub(crate) fn start(spec: &Spec, folder: &InstanceFolder, cgroup: Option<&Cgroup>) -> Result<Main, String> {
    let working = working_folder(spec)?;
    let (name, arguments) = spec.command.split_first().ok_or("no program is named")?;
    let program = program(name, &working, spec.environment.get("PATH").map_or("", String::as_str))?;
    let user = spec.user.as_deref().map(user).transpose()?.flatten();

    let mut note = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(folder.main_process())
        .map_err(|error| format!("cannot note its process number: {error}"))?;
    let entrance = cgroup.and_then(|group| group.entrance().ok());
    let (mut told, tell) = io::pipe().map_err(|error| format!("no pipe: {error}"))?;

    let mut command = Command::new(&program);
    command.arg0(name).args(arguments).current_dir(&working).env_clear().envs(&spec.environment);
    let become_user = user.as_ref().map(|user| (user.uid, user.gid));
    let pipe = |path: PathBuf| {
        output::make(&path, become_user).map_err(|error| format!("cannot make the pipe {}: {error}", path.display()))
    };
    let (out, err) = (pipe(folder.out_pipe())?, pipe(folder.err_pipe())?);
    command.process_group(0).stdin(Stdio::null()).stdout(out.instance).stderr(err.instance);
    if user.is_some() {
        privileges::drop(privileges::Known::Openly).map_err(|error| format!("cannot give up privileges: {error}"))?;
    }
    let mut tell_file = File::from(OwnedFd::from(tell));
    sys::between_fork_and_exec(&mut command, move || {
        let mut step = 0;
        let done = prepare(&mut note, entrance.as_ref(), user.as_ref(), &mut step);
        if let Err(error) = &done {
            let number = error.raw_os_error().unwrap_or(0).to_ne_bytes();
            let _nobody_else_to_tell = tell_file.write(&[step, number[0], number[1], number[2], number[3]]);
        }
        done
    });
    let spawned = spawn(&mut command);
    // Closes this side's end of the pipe, which the function holds, and of the instance's own.
    drop(command);
    let child = spawned.map_err(|error| {
        let mut act = [0_u8; 5];
        match told.read(&mut act) {
            Ok(5) => {
                let number = i32::from_ne_bytes([act[1], act[2], act[3], act[4]]);
                let act = ACTS.get(usize::from(act[0])).copied().unwrap_or("prepare");
                format!("cannot {act}: {}", io::Error::from_raw_os_error(number))
            }
            _ => exec_failed(&program, &error),
        }
    })?;
    Ok(Main { pid: pid(&child), stdout: out.keeper, stderr: err.keeper })
}

/// How long a program may be busy because somebody has it open for writing.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// Starts it, and waits a little for a program that is open for writing (ETXTBSY). Whoever wrote it has closed it, but a process that was forked
/// meanwhile, by the controller for another instance or by a build tool, has all descriptors until it calls exec, which is long on a busy machine.
fn spawn(command: &mut Command) -> io::Result<Child> {
    let deadline = Instant::now() + BUSY_MAX;
    loop {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            spawned => return spawned,
        }
    }
}

/// Runs between fork and exec: system calls only (see [`sys::between_fork_and_exec`]).
fn prepare(note: &mut File, entrance: Option<&File>, user: Option<&Ids>, step: &mut u8) -> io::Result<()> {
    let mut line = [0_u8; 1024];
    let length = rustix::io::read(
        rustix::fs::open(
            c"/proc/self/stat",
            rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )?,
        &mut line,
    )?;
    // From its begin: this may be another attempt ([`spawn`]).
    rustix::fs::ftruncate(&*note, 0)?;
    rustix::io::pwrite(&*note, &line[..length], 0)?;
    *step = 1;
    if let Some(entrance) = entrance {
        rustix::io::write(entrance, b"0")?;
    }
    *step = 2;
    rustix::thread::set_no_new_privs(true)?;
    *step = 3;
    if let Some(user) = user {
        rustix::thread::set_thread_groups(&user.groups)?;
        rustix::thread::set_thread_res_gid(user.gid, user.gid, user.gid)?;
        rustix::thread::set_thread_res_uid(user.uid, user.uid, user.uid)?;
    }
    Ok(())
}

/// Numbers made before the fork, so that nothing is allocated after it.
pub(super) struct Ids {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

/// Whom to become; none when that is who we are.
pub(super) fn user(name: &str) -> Result<Option<Ids>, String> {
    let user = sys::user(name)
        .map_err(|error| format!("cannot look up user {name:?}: {error}"))?
        .ok_or_else(|| format!("there is no user {name:?}"))?;
    let own = rustix::process::geteuid();
    if own.as_raw() == user.uid {
        return Ok(None);
    }
    if !own.is_root() {
        return Err(format!("cannot become user {name:?}: only root may"));
    }
    let groups = user.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    Ok(Some(Ids { uid: Uid::from_raw(user.uid), gid: Gid::from_raw(user.gid), groups }))
}

fn working_folder(spec: &Spec) -> Result<PathBuf, String> {
    let folder = spec.folder.join(&spec.working_folder);
    let inside =
        |folder: &Path| -> io::Result<bool> { Ok(folder.canonicalize()?.starts_with(spec.folder.canonicalize()?)) };
    match inside(&folder) {
        Ok(true) if folder.is_dir() => Ok(folder),
        Ok(true) => Err(format!("its working folder {:?} is not a folder", spec.working_folder)),
        Ok(false) => Err(format!("its working folder {:?} lies outside the release", spec.working_folder)),
        Err(error) => Err(format!("its working folder {}: {error}", folder.display())),
    }
}

/// The file of a program: with a slash in it relative to the working folder, else searched for in `PATH`.
pub(super) fn program(name: &str, working: &Path, path: &str) -> Result<PathBuf, String> {
    if name.contains('/') {
        let file = working.join(name);
        return match runnable(&file) {
            Ok(()) => Ok(file),
            Err(error) => Err(format!("cannot run {name:?}: {error}")),
        };
    }
    let mut refused = None;
    for folder in path.split(':').filter(|folder| !folder.is_empty()) {
        let file = working.join(folder).join(name);
        match runnable(&file) {
            Ok(()) => return Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => refused = Some(format!("cannot run {}: {error}", file.display())),
        }
    }
    Err(refused.unwrap_or_else(|| format!("there is no program {name:?} in PATH ({path})")))
}

fn runnable(file: &Path) -> io::Result<()> {
    let meta = fs::metadata(file)?;
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is not a file"));
    }
    if meta.permissions().mode() & 0o111 == 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "permission denied (it is not executable)"));
    }
    Ok(())
}

fn exec_failed(program: &Path, error: &io::Error) -> String {
    let hint = match error.raw_os_error() {
        // The file was there a moment ago, so it is what the file asks for that is missing.
        Some(libc::ENOENT) => " (the interpreter its first line names, or its loader, is missing)",
        Some(libc::ENOEXEC) => " (it is neither a program of this machine nor begins with #!)",
        _ => "",
    };
    format!("cannot run {}: {error}{hint}", program.display())
}

fn pid(child: &Child) -> i32 {
    i32::try_from(child.id()).expect("BUG: Linux process numbers fit an i32")
}
