//! One case against one proxy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::case::{Bound, Case, ClientAct, Content, Expected, Step, StepAct};
use crate::client::{Answer, Appetite, Connection, Outcome};
use crate::origin::{self, Seen};

/// How long anything may take that a case waits for. Long, since a busy machine is a usual one; what holds ends sooner.
const PATIENCE: Duration = Duration::from_secs(30);

/// A proxy under attack.
#[derive(Debug, Clone, Copy)]
pub struct Target<'t> {
    /// Where clients reach it.
    pub address: SocketAddr,
    /// Where the origins behind it write down what they are asked.
    pub record: &'t Path,
}

/// Runs a case as often as it asks for. `number` is its place among the cases that the origin knows.
///
/// # Errors
/// The first expectation that did not hold, with its line.
pub fn run(case: &Case, number: usize, target: Target<'_>) -> anyhow::Result<()> {
    // Runs of different processes may share an origin's record; the clock keeps their names apart.
    let began = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_micros();
    for repetition in 0..case.repeat {
        let name = format!("k{number}-{}", began + u128::from(repetition));
        let mut attack = Attack { case, target, name, clients: BTreeMap::new(), answers: BTreeMap::new() };
        for step in &case.steps {
            attack.step(step).with_context(|| {
                format!(
                    "line {} of {} (run {} of {}): {}",
                    step.line,
                    case.kind,
                    repetition + 1,
                    case.repeat,
                    step.text
                )
            })?;
        }
    }
    Ok(())
}

/// One run of a case.
struct Attack<'c> {
    case: &'c Case,
    target: Target<'c>,
    /// What requests of this run carry in their path.
    name: String,
    clients: BTreeMap<String, Connection>,
    /// The last answer that each client got.
    answers: BTreeMap<String, Answer>,
}

impl Attack<'_> {
    fn step(&mut self, step: &Step) -> anyhow::Result<()> {
        match &step.act {
            StepAct::Client(name, act) => self.client(name, act),
            StepAct::Pause(time) => {
                std::thread::sleep(*time);
                Ok(())
            }
            StepAct::Saw(bound, script) => self.saw(*bound, script),
            StepAct::Head(script, content) => {
                let seen = self.seen(script)?;
                let head = &seen.last().with_context(|| format!("the origin was never asked for {script}"))?.head;
                holds(content, head, "the head at the origin")
            }
        }
    }

    fn client(&mut self, name: &str, act: &ClientAct) -> anyhow::Result<()> {
        match act {
            ClientAct::Leave => {
                self.clients.remove(name);
                return Ok(());
            }
            ClientAct::Abort => {
                if let Some(connection) = self.clients.remove(name) {
                    connection.abort();
                }
                return Ok(());
            }
            ClientAct::Body(content) => return holds(content, &self.answered(name)?.body, "the body"),
            ClientAct::Head(content) => return holds(content, &self.answered(name)?.head, "the head"),
            ClientAct::Length(length) => {
                let found = self.answered(name)?.body.len();
                anyhow::ensure!(found == *length, "the body has {found} bytes");
                return Ok(());
            }
            _ => {}
        }
        let path = format!("/{}/", self.name);
        let connection = self.connection(name)?;
        match act {
            ClientAct::Send(bytes) => connection.send(&with_path(bytes, &path)),
            ClientAct::Drip(bytes, pause) => connection.drip(&with_path(bytes, &path), *pause),
            ClientAct::ReadSlowly(pace) => {
                connection.pace(*pace);
                Ok(())
            }
            ClientAct::Half => {
                connection.half_close();
                Ok(())
            }
            ClientAct::Ended => connection.until_end().map(drop),
            ClientAct::Cut => match connection.answer()? {
                Outcome::Partial { .. } | Outcome::Nothing(crate::client::End::Reset) => Ok(()),
                Outcome::Nothing(end) => bail!("the connection ended ({end:?}) without an answer"),
                Outcome::Whole(answer) => bail!("a whole answer of {} came", answer.status),
            },
            ClientAct::Receive(bytes) => {
                let found = connection.receive(bytes.len())?;
                anyhow::ensure!(found == *bytes, "{:?} came", String::from_utf8_lossy(&found));
                Ok(())
            }
            ClientAct::Answer(expected) => {
                let outcome = connection.answer()?;
                self.expect(name, expected, outcome)
            }
            ClientAct::Leave | ClientAct::Abort | ClientAct::Body(_) | ClientAct::Head(_) | ClientAct::Length(_) => {
                Ok(())
            }
        }
    }

    fn expect(&mut self, name: &str, expected: &[Expected], outcome: Outcome) -> anyhow::Result<()> {
        match outcome {
            Outcome::Whole(answer) => {
                let status = answer.status;
                let fits = expected.contains(&Expected::Status(status));
                let shown = String::from_utf8_lossy(&answer.body[..answer.body.len().min(120)]).into_owned();
                self.answers.insert(name.to_owned(), answer);
                anyhow::ensure!(fits, "{status} came: {shown:?}");
            }
            Outcome::Nothing(end) => {
                anyhow::ensure!(
                    expected.contains(&Expected::Closed),
                    "the connection ended ({end:?}) without an answer"
                );
            }
            Outcome::Partial { answer, end } => {
                let (status, length) = (answer.status, answer.body.len());
                bail!("the connection ended ({end:?}) inside the answer of {status}, after {length} bytes of its body")
            }
        }
        Ok(())
    }

    fn connection(&mut self, name: &str) -> anyhow::Result<&mut Connection> {
        if !self.clients.contains_key(name) {
            let reads_slowly =
                |step: &Step| matches!(&step.act, StepAct::Client(who, ClientAct::ReadSlowly(_)) if who == name);
            let appetite = if self.case.steps.iter().any(reads_slowly) { Appetite::Small } else { Appetite::Usual };
            let connection = Connection::open(self.target.address, appetite, PATIENCE)?;
            self.clients.insert(name.to_owned(), connection);
        }
        self.clients.get_mut(name).context("no connection")
    }

    fn answered(&self, name: &str) -> anyhow::Result<&Answer> {
        self.answers.get(name).with_context(|| format!("{name} has no answer yet"))
    }

    fn seen(&self, script: &str) -> anyhow::Result<Vec<Seen>> {
        let mut seen = origin::seen(self.target.record)?;
        seen.retain(|seen| seen.run == self.name && seen.script == script);
        Ok(seen)
    }

    /// Waits until as many were seen as are expected, then holds the count against the bound.
    fn saw(&self, bound: Bound, script: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let least = match bound {
            Bound::Exactly(count) | Bound::AtLeast(count) => count,
            Bound::AtMost(_) => 0,
        };
        loop {
            let count = self.seen(script)?.len();
            if count >= least || Instant::now() > deadline {
                anyhow::ensure!(bound.holds_for(count), "the origin was asked {count} times");
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn holds(content: &Content, text: &[u8], what: &str) -> anyhow::Result<()> {
    let shown = String::from_utf8_lossy(&text[..text.len().min(600)]);
    anyhow::ensure!(content.holds_for(text), "{what} is {shown:?}");
    Ok(())
}

/// `$/` becomes the path of this run.
fn with_path(bytes: &[u8], path: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + path.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(2).position(|part| part == b"$/") {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(path.as_bytes());
        rest = &rest[at + 2..];
    }
    out.extend_from_slice(rest);
    out
}
