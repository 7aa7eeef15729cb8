//! The text of a case, read.
//!
//! ```text
//! == a finished answer before the whole body poisons no later client
//! stage: one
//! repeat: 10
//! origin early: send "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"; wait 200ms; send "HTTP/1.1 200 OK\r\n…"
//! a: send "POST $/early HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nhalf"
//! a: status 200
//! b: send "GET $/victim HTTP/1.1\r\nHost: t\r\n\r\n"
//! b: body has "/victim"
//! origin: saw =1 victim
//! ```
//!
//! `$/` in what a client sends becomes the path of this run of the case, so that the origin knows which script a request asks for. A request for
//! a script that the case does not have is *reflected*: answered 200, with the head as it came as the body.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::literal;

/// The most repetitions of a case.
const REPEAT_MAX: u32 = 100;
/// The longest pause that a case may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// One attack with what has to come of it.
#[derive(Debug, Clone)]
pub struct Case {
    /// A sentence: what holds.
    pub name: String,
    /// The file it stands in, without its ending; what kind of attack it is.
    pub kind: String,
    /// What stands behind the proxy, and with which time-outs.
    pub stage: StageKind,
    /// How often it is run; every run has to pass.
    pub repeat: u32,
    /// Whether it is about something that other proxies do not have.
    pub scope: Scope,
    /// What the origin does with requests, by the last part of their path.
    pub scripts: Vec<Script>,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

/// Which proxies a case says something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Any that forwards HTTP/1.1.
    Everybody,
    /// Gapless alone: it is about a feature of its own.
    Gapless,
}

/// What stands behind the proxy, and with which time-outs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StageKind {
    /// One instance, the proxy's usual time-outs.
    One,
    /// Two instances, the proxy's usual time-outs.
    Two,
    /// One instance, the shortest time-outs.
    Short,
    /// One instance that cases make crash, five places in the hold. Cases of this stage run one after the other.
    Fragile,
}

/// What the origin does with a request.
#[derive(Debug, Clone)]
pub struct Script {
    /// The last part of the path that asks for it.
    pub name: String,
    /// Done in order once the head was read. Then the next head is read from the same connection, wherever it begins.
    pub acts: Vec<Act>,
}

/// One thing the origin does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Reads the request's body to its end.
    Body,
    /// Reads so many bytes of whatever comes.
    Take(usize),
    /// Answers 200 with the request's head as the body.
    Reflect,
    /// Sends bytes.
    Send(Vec<u8>),
    /// Sends bytes again and again, so many times, with a pause after each.
    Trickle {
        /// What is sent each time.
        bytes: Vec<u8>,
        /// How often.
        times: u32,
        /// The pause after each.
        pause: Duration,
    },
    /// Does nothing for a while.
    Wait(Duration),
    /// Ends the connection in good order.
    Close,
    /// Resets the connection.
    Reset,
    /// Gives back every byte that comes, until the other side ends.
    Echo,
    /// Crashes: the whole process ends.
    Crash,
}

/// One line of a case.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its number in the file, from 1.
    pub line: usize,
    /// The line itself, for messages.
    pub text: String,
    /// What it asks for.
    pub act: StepAct,
}

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepAct {
    /// Something is done with or expected of a client's connection; the first mention opens it.
    Client(String, ClientAct),
    /// So many requests for a script must have reached the origin in this run.
    Saw(Bound, String),
    /// The last head that asked for a script must, or must not, hold some bytes. Case is ignored.
    Head(String, Content),
    /// Nothing is done for a while.
    Pause(Duration),
}

/// What a client does or expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAct {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Sends bytes one by one with a pause after each; stops when the other side ends.
    Drip(Vec<u8>, Duration),
    /// Reads one whole answer, or the connection's end.
    Answer(Vec<Expected>),
    /// Reads an answer's head and body until both are there or nothing more comes for a while, at so many bytes a second.
    ReadSlowly(u64),
    /// What the last answer's body, or head, holds.
    Body(Content),
    /// What the last answer's head holds.
    Head(Content),
    /// So many bytes the last answer's body has.
    Length(usize),
    /// The proxy ends the connection, cleanly or not.
    Ended,
    /// The proxy resets the connection: what came before was not whole, and the client can tell.
    Cut,
    /// Ends sending, goes on reading.
    Half,
    /// Closes the connection.
    Leave,
    /// Resets the connection.
    Abort,
    /// Bytes come back as they are, behind an upgrade.
    Receive(Vec<u8>),
}

/// An end of waiting for an answer that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// An answer of this status.
    Status(u16),
    /// The connection ends without an answer.
    Closed,
}

/// What some text has to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// These bytes somewhere.
    Has(Vec<u8>),
    /// These bytes nowhere.
    Lacks(Vec<u8>),
}

/// A bound on a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Exactly so many.
    Exactly(usize),
    /// So many at most.
    AtMost(usize),
    /// So many at least.
    AtLeast(usize),
}

impl Content {
    /// Whether `text` is as asked for; letters compare without case.
    #[must_use]
    pub fn holds_for(&self, text: &[u8]) -> bool {
        let (wanted, has) = match self {
            Content::Has(wanted) => (wanted, true),
            Content::Lacks(wanted) => (wanted, false),
        };
        let found = wanted.is_empty() || text.windows(wanted.len()).any(|part| part.eq_ignore_ascii_case(wanted));
        found == has
    }
}

impl Bound {
    /// Whether a count is within the bound.
    #[must_use]
    pub fn holds_for(self, count: usize) -> bool {
        match self {
            Bound::Exactly(wanted) => count == wanted,
            Bound::AtMost(most) => count <= most,
            Bound::AtLeast(least) => count >= least,
        }
    }
}

/// Reads every case of a folder, in the order of file names and lines.
///
/// # Errors
/// A file that cannot be read, or a line that says nothing known: the file and the line are named.
pub fn read_folder(folder: &Path) -> anyhow::Result<Vec<Case>> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .with_context(|| format!("cannot list {}", folder.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
        .collect();
    files.sort();
    let mut cases = Vec::new();
    for path in files {
        let kind = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        cases.extend(read(&kind, &text).with_context(|| format!("in {}", path.display()))?);
    }
    Ok(cases)
}

/// Reads the cases of one text.
///
/// # Errors
/// A line that says nothing known, with its number.
pub fn read(kind: &str, text: &str) -> anyhow::Result<Vec<Case>> {
    let mut cases: Vec<Case> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("== ") {
            cases.push(Case::named(kind, name));
            continue;
        }
        let case = cases.last_mut().with_context(|| format!("line {}: no case has begun", index + 1))?;
        case.take_line(index + 1, line).with_context(|| format!("line {}: {line}", index + 1))?;
    }
    Ok(cases)
}

impl Case {
    fn named(kind: &str, name: &str) -> Case {
        Case {
            name: name.to_owned(),
            kind: kind.to_owned(),
            stage: StageKind::One,
            repeat: 1,
            scope: Scope::Everybody,
            scripts: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn take_line(&mut self, number: usize, line: &str) -> anyhow::Result<()> {
        let (who, what) = line.split_once(':').context("`WHO: WHAT` is expected")?;
        let what = what.trim();
        if let Some(name) = who.strip_prefix("origin ") {
            self.scripts.push(Script { name: name.trim().to_owned(), acts: read_acts(what)? });
            return Ok(());
        }
        let act = match who {
            "stage" => {
                self.stage = read_stage(what)?;
                return Ok(());
            }
            "only" => {
                anyhow::ensure!(what == "gapless", "a case can be about gapless only");
                self.scope = Scope::Gapless;
                return Ok(());
            }
            "repeat" => {
                self.repeat = what.parse().context("a count is expected")?;
                anyhow::ensure!((1..=REPEAT_MAX).contains(&self.repeat), "between 1 and {REPEAT_MAX} repetitions");
                return Ok(());
            }
            "pause" => StepAct::Pause(read_duration(what)?),
            "origin" => read_expectation_of_origin(what)?,
            client => StepAct::Client(client.to_owned(), read_client_act(what)?),
        };
        self.steps.push(Step { line: number, text: line.to_owned(), act });
        Ok(())
    }
}

fn read_stage(text: &str) -> anyhow::Result<StageKind> {
    match text {
        "one" => Ok(StageKind::One),
        "two" => Ok(StageKind::Two),
        "short" => Ok(StageKind::Short),
        "fragile" => Ok(StageKind::Fragile),
        other => bail!("`{other}` is no stage: one, two, short, fragile"),
    }
}

fn read_acts(text: &str) -> anyhow::Result<Vec<Act>> {
    let mut acts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (act, behind) = read_act(rest)?;
        acts.push(act);
        rest = behind.trim_start();
        rest = match rest.strip_prefix(';') {
            Some(next) => next.trim_start(),
            None if rest.is_empty() => rest,
            None => bail!("`;` is expected before `{rest}`"),
        };
    }
    Ok(acts)
}

fn read_act(text: &str) -> anyhow::Result<(Act, &str)> {
    let end = text.find([' ', ';']).unwrap_or(text.len());
    let (word, rest) = (&text[..end], text[end..].trim_start());
    let argument = |rest: &'_ str| -> (String, usize) {
        let end = rest.find([' ', ';']).unwrap_or(rest.len());
        (rest[..end].to_owned(), end)
    };
    Ok(match word {
        "body" => (Act::Body, rest),
        "reflect" => (Act::Reflect, rest),
        "close" => (Act::Close, rest),
        "reset" => (Act::Reset, rest),
        "echo" => (Act::Echo, rest),
        "crash" => (Act::Crash, rest),
        "send" => {
            let (bytes, rest) = literal::read(rest)?;
            (Act::Send(bytes), rest)
        }
        "trickle" => {
            let (bytes, rest) = literal::read(rest)?;
            let rest = rest.trim_start();
            let (times, end) = argument(rest);
            let rest = rest[end..].trim_start();
            let (pause, end) = argument(rest);
            let times = times.strip_prefix('x').context("`x COUNT` is expected")?.parse().context("a count")?;
            (Act::Trickle { bytes, times, pause: read_duration(&pause)? }, &rest[end..])
        }
        "wait" => {
            let (time, end) = argument(rest);
            (Act::Wait(read_duration(&time)?), &rest[end..])
        }
        "take" => {
            let (count, end) = argument(rest);
            (Act::Take(count.parse().context("a count is expected")?), &rest[end..])
        }
        other => bail!("an origin cannot `{other}`"),
    })
}

fn read_expectation_of_origin(text: &str) -> anyhow::Result<StepAct> {
    let (word, rest) = text.split_once(' ').context("`saw` or `head` is expected")?;
    match word {
        "saw" => {
            let (bound, script) = rest.split_once(' ').context("`saw BOUND SCRIPT` is expected")?;
            Ok(StepAct::Saw(read_bound(bound)?, script.trim().to_owned()))
        }
        "head" => {
            let (script, rest) = rest.split_once(' ').context("`head SCRIPT has|lacks TEXT` is expected")?;
            Ok(StepAct::Head(script.to_owned(), read_content(rest)?))
        }
        other => bail!("nothing is known of an origin's `{other}`"),
    }
}

fn read_bound(text: &str) -> anyhow::Result<Bound> {
    let count = |digits: &str| digits.parse::<usize>().context("a count is expected");
    if let Some(digits) = text.strip_prefix("<=") {
        return Ok(Bound::AtMost(count(digits)?));
    }
    if let Some(digits) = text.strip_prefix(">=") {
        return Ok(Bound::AtLeast(count(digits)?));
    }
    Ok(Bound::Exactly(count(text.strip_prefix('=').context("=N, <=N or >=N is expected")?)?))
}

fn read_content(text: &str) -> anyhow::Result<Content> {
    let (word, rest) = text.trim().split_once(' ').context("`has TEXT` or `lacks TEXT` is expected")?;
    let (bytes, _) = literal::read(rest.trim_start())?;
    match word {
        "has" => Ok(Content::Has(bytes)),
        "lacks" => Ok(Content::Lacks(bytes)),
        other => bail!("`has` or `lacks` is expected, not `{other}`"),
    }
}

fn read_client_act(text: &str) -> anyhow::Result<ClientAct> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim_start();
    Ok(match word {
        "send" => ClientAct::Send(literal::read(rest)?.0),
        "receive" => ClientAct::Receive(literal::read(rest)?.0),
        "drip" => {
            let (bytes, rest) = literal::read(rest)?;
            let every = rest.trim().strip_prefix("every ").context("`every DURATION` is expected")?;
            ClientAct::Drip(bytes, read_duration(every)?)
        }
        "answer" => ClientAct::Answer(rest.split_whitespace().map(read_expected).collect::<anyhow::Result<_>>()?),
        "read-slowly" => ClientAct::ReadSlowly(rest.parse().context("bytes per second are expected")?),
        "body" => ClientAct::Body(read_content(rest)?),
        "head" => ClientAct::Head(read_content(rest)?),
        "length" => ClientAct::Length(rest.parse().context("a count is expected")?),
        "ended" => ClientAct::Ended,
        "cut" => ClientAct::Cut,
        "half" => ClientAct::Half,
        "leave" => ClientAct::Leave,
        "abort" => ClientAct::Abort,
        other => bail!("a client cannot `{other}`"),
    })
}

fn read_expected(text: &str) -> anyhow::Result<Expected> {
    match text {
        "closed" => Ok(Expected::Closed),
        status => Ok(Expected::Status(status.parse().context("a status or `closed` is expected")?)),
    }
}

fn read_duration(text: &str) -> anyhow::Result<Duration> {
    let text = text.trim();
    let duration = if let Some(number) = text.strip_suffix("ms") {
        Duration::from_millis(number.parse().context("a duration is expected")?)
    } else {
        let number = text.strip_suffix('s').context("a duration such as 200ms or 2s is expected")?;
        Duration::from_secs(number.parse().context("a duration is expected")?)
    };
    anyhow::ensure!(duration <= PAUSE_MAX, "at most {} s", PAUSE_MAX.as_secs());
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_of_this_crate_can_be_read_has_a_name_of_its_own_and_expects_something() {
        let cases = read_folder(&crate::folder()).unwrap();
        assert!(!cases.is_empty());
        let mut names = std::collections::BTreeSet::new();
        for case in &cases {
            assert!(names.insert(&case.name), "two cases are called `{}`", case.name);
            let expects = |step: &Step| match &step.act {
                StepAct::Saw(..) | StepAct::Head(..) => true,
                StepAct::Client(_, act) => !matches!(
                    act,
                    ClientAct::Send(_) | ClientAct::Drip(..) | ClientAct::Half | ClientAct::Leave | ClientAct::Abort
                ),
                StepAct::Pause(_) => false,
            };
            assert!(case.steps.iter().any(expects), "`{}` cannot fail", case.name);
        }
    }

    #[test]
    fn a_line_that_says_nothing_known_is_told_with_its_number() {
        let wrong = [
            "a: send \"x\"",
            "== c\nnonsense",
            "== c\na: jump",
            "== c\norigin x: dance",
            "== c\norigin x: body reflect",
            "== c\norigin: saw 3 x",
            "== c\nstage: five",
            "== c\nrepeat: 1000",
            "== c\npause: 1h",
            "== c\na: answer soon",
        ];
        for text in wrong {
            let error = format!("{:#}", read("test", text).unwrap_err());
            assert!(error.starts_with("line "), "{text}: {error}");
        }
    }

    #[test]
    fn a_case_is_read_whole() {
        let text = "== it holds\nstage: short\nrepeat: 3\norigin s: take 5; trickle \"a\" x3 10ms; wait 1s; close\na: send \"x\"\na: answer 200 closed\norigin: saw <=2 s\n";
        let case = &read("kind", text).unwrap()[0];
        assert_eq!((case.stage, case.repeat, case.name.as_str()), (StageKind::Short, 3, "it holds"));
        assert_eq!(case.scripts[0].acts.len(), 4);
        assert_eq!(case.steps.len(), 3);
        assert_eq!(case.steps[2].act, StepAct::Saw(Bound::AtMost(2), "s".to_owned()));
    }
}
