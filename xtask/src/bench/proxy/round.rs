//! One proxy under load once.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::bench::peers::{Peer, Place};
use crate::bench::process::{Cores, Group};
use crate::tools;

/// Load before the measurement, so that connections, caches and branch predictors are warm.
const WARM_UP_SECONDS: u64 = 1;

/// Makes wrk tell its counts as one line that is easily read.
const TELL: &str = r#"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("told %d %d %d %d %d %d\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.timeout + e.status,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"#;

/// Where and how much.
pub struct Setting<'a> {
    pub cores: Cores,
    pub backend: std::net::SocketAddr,
    pub connections: usize,
    pub seconds: u64,
    pub folder: &'a Path,
}

/// What one round told.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// CPU time of the proxy's process tree per request, in microseconds.
    pub cpu_us: f64,
    pub rps: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    /// Resident memory of the process tree at the end of the round.
    pub rss_kib: u64,
}

/// What wrk told.
struct Told {
    requests: u64,
    duration_us: u64,
    errors: u64,
    p50_us: u64,
    p99_us: u64,
    p999_us: u64,
}

/// Starts the proxy, warms it, loads it, reads what it used.
pub fn measure(peer: &dyn Peer, setting: &Setting<'_>) -> anyhow::Result<Measured> {
    let place = Place::below(setting.folder, peer.name(), Some(setting.cores.measured))?;
    let group = peer.start(&place, &[setting.backend.port()])?;
    load(&place, setting, WARM_UP_SECONDS)?;
    let before = group.usage();
    let told = load(&place, setting, setting.seconds)?;
    let after = group.usage();
    let errors = told.errors;
    ensure!(told.requests > 0, "{} answered nothing", peer.name());
    ensure!(errors == 0, "{errors} of {} requests failed through {}", told.requests, peer.name());
    Ok(Measured {
        cpu_us: (after.cpu_us - before.cpu_us) as f64 / told.requests as f64,
        rps: told.requests as f64 / (told.duration_us as f64 / 1e6),
        p50_ms: told.p50_us as f64 / 1e3,
        p99_ms: told.p99_us as f64 / 1e3,
        p999_ms: told.p999_us as f64 / 1e3,
        rss_kib: after.rss_kib,
    })
}

/// One run of wrk on the other core.
fn load(place: &Place, setting: &Setting<'_>, seconds: u64) -> anyhow::Result<Told> {
    let script = place.write("tell.lua", TELL)?;
    let log = place.path("wrk.log");
    let program = tools::find("wrk").context("wrk is gone")?;
    let mut command = Command::new(program);
    command.args(["--threads", "1", "--timeout", "10s", "--connections", &setting.connections.to_string()]);
    command.args(["--duration", &format!("{seconds}s"), "--script"]).arg(script).stderr(Stdio::null());
    command.arg(format!("http://{}/", place.listen));
    let mut wrk = Group::start(&mut command, Some(setting.cores.rest), &log)?;
    ensure!(wrk.wait(Duration::from_secs(seconds + 30)), "wrk does not end");
    let text = std::fs::read_to_string(&log).context("cannot read what wrk told")?;
    let line = text.lines().find_map(|line| line.strip_prefix("told "));
    parse(line.unwrap_or_default()).with_context(|| format!("wrk told nothing that can be read:\n{text}"))
}

fn parse(line: &str) -> Option<Told> {
    let mut numbers = line.split(' ').map(|word| word.parse::<u64>().ok());
    let mut next = || numbers.next().flatten();
    Some(Told {
        requests: next()?,
        duration_us: next()?,
        errors: next()?,
        p50_us: next()?,
        p99_us: next()?,
        p999_us: next()?,
    })
}
