//! A scenario file, read.

/// What a scenario says. Units: requests per second, percent as shares, seconds.
#[derive(Debug, Clone)]
pub struct Script {
    pub seed: u64,
    pub traffic: f64,
    pub share: f64,
    pub errors: f64,
    pub minutes: u64,
    /// Mean errors of an incident; 1 without bursts.
    pub bursts: f64,
    /// The candidate's errors: factor, and from which second on.
    pub candidate_errors: (f64, u64),
    /// A broken route: its share of the traffic, and the factor there.
    pub route: Option<(f64, f64)>,
    /// Median latency in milliseconds.
    pub latency: Option<f64>,
    /// Some answers so many times slower: factor, share.
    pub tail: Option<(f64, f64)>,
    /// All answers so many times slower.
    pub body: f64,
    /// The candidate's host is so many times slower, before as well.
    pub host: f64,
    /// Memory in percent of the limit, and growth per minute.
    pub memory: Option<(f64, f64)>,
    pub exits_every: Option<u64>,
    pub exit_once: Option<u64>,
    pub log: Option<LogScript>,
    pub panics: u64,
    /// Both arms fail so often between these seconds.
    pub outage: Option<(u64, u64, f64)>,
    pub silent_from: Option<u64>,
    pub lull: Option<(u64, u64)>,
    pub ramp: f64,
    /// healthy, bad, late or unseen.
    pub truth: String,
    /// The verdicts that are right.
    pub expect: Vec<String>,
}

/// Lines that one arm or both write.
#[derive(Debug, Clone, Copy)]
pub struct LogScript {
    pub kind: LogKind,
    pub per_hour: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogKind {
    NewError,
    NewErrorWithFailures,
    KnownError,
    RenamedInfo,
    LostInfo,
}

/// Reads a scenario; says which line it does not understand.
pub fn read(text: &str) -> Result<Script, String> {
    let mut script = Script {
        seed: 0,
        traffic: 0.0,
        share: 0.0,
        errors: 0.0,
        minutes: 30,
        bursts: 1.0,
        candidate_errors: (1.0, 0),
        route: None,
        latency: None,
        tail: None,
        body: 1.0,
        host: 1.0,
        memory: None,
        exits_every: None,
        exit_once: None,
        log: None,
        panics: 0,
        outage: None,
        silent_from: None,
        lull: None,
        ramp: 1.0,
        truth: String::new(),
        expect: Vec::new(),
    };
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().filter(|word| *word != "%").collect();
        read_line(&mut script, &words).ok_or_else(|| format!("not understood: {line}"))?;
    }
    if script.expect.is_empty() { Err("no expectation".to_owned()) } else { Ok(script) }
}

fn factor(word: &str) -> Option<f64> {
    word.strip_prefix('x')?.parse().ok()
}

fn read_line(script: &mut Script, words: &[&str]) -> Option<()> {
    let log = |kind, per_hour: &str| Some(LogScript { kind, per_hour: per_hour.parse().ok()? });
    match *words {
        ["seed", n] => script.seed = n.parse().ok()?,
        ["traffic", n] => script.traffic = n.parse().ok()?,
        ["share", n] => script.share = n.parse::<f64>().ok()? / 100.0,
        ["errors", n] => script.errors = n.parse::<f64>().ok()? / 100.0,
        ["minutes", n] => script.minutes = n.parse().ok()?,
        ["bursts", n] => script.bursts = n.parse().ok()?,
        ["candidate", "errors", x] => script.candidate_errors = (factor(x)?, 0),
        ["candidate", "errors", x, "from", at] => script.candidate_errors = (factor(x)?, at.parse().ok()?),
        ["route", share, x] => script.route = Some((share.parse::<f64>().ok()? / 100.0, factor(x)?)),
        ["latency", ms] => script.latency = Some(ms.parse().ok()?),
        ["candidate", "tail", x, share] => script.tail = Some((factor(x)?, share.parse::<f64>().ok()? / 100.0)),
        ["candidate", "body", x] => script.body = factor(x)?,
        ["host", "slower", x] => script.host = factor(x)?,
        ["memory", percent] => script.memory = Some((percent.parse().ok()?, 0.0)),
        ["memory", percent, "growing", step, "a", "minute"] => {
            script.memory = Some((percent.parse().ok()?, step.parse().ok()?));
        }
        ["candidate", "exits", "every", s] => script.exits_every = Some(s.parse().ok()?),
        ["candidate", "exits", "once", "at", s] => script.exit_once = Some(s.parse().ok()?),
        ["candidate", "log", n, "an", "hour"] => script.log = log(LogKind::NewError, n),
        ["candidate", "log", n, "an", "hour", "with", "failures"] => script.log = log(LogKind::NewErrorWithFailures, n),
        ["both", "log", n, "an", "hour"] => script.log = log(LogKind::KnownError, n),
        ["renamed", "info", n, "an", "hour"] => script.log = log(LogKind::RenamedInfo, n),
        ["lost", "info", n, "an", "hour"] => script.log = log(LogKind::LostInfo, n),
        ["candidate", "panics", n] => script.panics = n.parse().ok()?,
        ["outage", from, to, p] => {
            script.outage = Some((from.parse().ok()?, to.parse().ok()?, p.parse::<f64>().ok()? / 100.0));
        }
        ["candidate", "silent", "from", at] => script.silent_from = Some(at.parse().ok()?),
        ["lull", from, to] => script.lull = Some((from.parse().ok()?, to.parse().ok()?)),
        ["ramp", x] => script.ramp = factor(x)?,
        ["truth", truth] => script.truth = truth.to_owned(),
        ["expect", verdicts] => script.expect = verdicts.split('|').map(str::to_owned).collect(),
        _ => return None,
    }
    Some(())
}
