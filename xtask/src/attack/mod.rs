//! `cargo xtask attack`: the attacks of `gapless-attack` on the release build, and on other proxies beside it.
//!
//! For Gapless every case has to hold; for the others the table only tells. They are configured as their own documentation recommends, with
//! the same time-outs as Gapless has.

mod peers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, ValueEnum};
use gapless_attack::case::{Case, Scope, StageKind, read_folder};
use gapless_attack::run::Target;
use gapless_attack::stage::{Programs, Stage};
use gapless_attack::{origin, run};

use crate::workspace;

/// The first argument that makes this program an origin.
pub const ORIGIN: &str = "attack-origin";

#[derive(Args)]
pub struct Options {
    /// Which programs are attacked, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "gapless")]
    against: Vec<Name>,
    /// Only cases whose name or file holds this text.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// The program to attack as Gapless; without it the release build, which is made first.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// One JSON object on stdout instead of a table.
    #[arg(long)]
    json: bool,
}

/// A program that can be attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    Gapless,
    Nginx,
    Haproxy,
}

/// How a case ended: held, or why not.
type Outcome = Result<(), String>;

/// What one program made of the cases, by their number.
struct Column {
    name: Name,
    outcomes: BTreeMap<usize, Outcome>,
}

/// A program with origins behind it; ended when dropped.
enum Running {
    Gapless(Stage),
    Peer(peers::Running),
}

/// Attacks every program named, one after the other.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let cases = read_folder(&gapless_attack::folder())?;
    let wanted: Vec<(usize, &Case)> = cases.iter().enumerate().filter(|(_, case)| options.wants(case)).collect();
    if wanted.is_empty() {
        bail!("no case is called like that");
    }
    let mut columns = Vec::new();
    for name in &options.against {
        columns.push(attack(*name, &wanted, options)?);
    }
    match options.json {
        true => println!("{}", as_json(&wanted, &columns)),
        false => print!("{}", as_table(&wanted, &columns)),
    }
    let lost = columns.iter().filter(|column| column.name == Name::Gapless);
    let lost = lost.flat_map(|column| column.outcomes.values()).filter(|outcome| outcome.is_err()).count();
    if lost > 0 {
        bail!("{lost} attacks got through Gapless");
    }
    Ok(())
}

/// What the hidden verb does: be an origin.
pub fn serve_origin(arguments: &[String]) -> anyhow::Result<()> {
    origin::serve(&origin::Options::read(arguments)?)
}

impl Options {
    fn wants(&self, case: &Case) -> bool {
        self.only.as_ref().is_none_or(|text| case.name.contains(text) || case.kind.contains(text))
    }
}

fn attack(name: Name, cases: &[(usize, &Case)], options: &Options) -> anyhow::Result<Column> {
    let origin = vec![workspace::this_program().display().to_string(), ORIGIN.to_owned()];
    let gapless = match (name, &options.program) {
        (Name::Gapless, Some(program)) => program.clone(),
        (Name::Gapless, None) => workspace::release_binary("gapless", "gapless")?,
        _ => PathBuf::new(),
    };
    let programs = Programs { gapless, origin };
    let mut outcomes = BTreeMap::new();
    for kind in [StageKind::One, StageKind::Two, StageKind::Short, StageKind::Fragile] {
        let fits = |case: &Case| case.stage == kind && (case.scope == Scope::Everybody || name == Name::Gapless);
        let of_kind: Vec<_> = cases.iter().filter(|(_, case)| fits(case)).collect();
        if of_kind.is_empty() {
            continue;
        }
        let running = start(name, &programs, kind)?;
        let record = running.record();
        for (number, case) in of_kind {
            let outcome = run::run(case, *number, running.target(&record)).map_err(|error| format!("{error:#}"));
            if let Err(why) = &outcome {
                eprintln!("{name:?}: {}: {why}", case.name);
            }
            outcomes.insert(*number, outcome);
        }
    }
    Ok(Column { name, outcomes })
}

fn start(name: Name, programs: &Programs, kind: StageKind) -> anyhow::Result<Running> {
    Ok(match name {
        Name::Gapless => Running::Gapless(Stage::start(programs, kind)?),
        Name::Nginx => Running::Peer(peers::nginx(&programs.origin, kind)?),
        Name::Haproxy => Running::Peer(peers::haproxy(&programs.origin, kind)?),
    })
}

impl Running {
    fn record(&self) -> PathBuf {
        match self {
            Running::Gapless(stage) => stage.record(),
            Running::Peer(peer) => peer.record(),
        }
    }

    fn target<'r>(&self, record: &'r Path) -> Target<'r> {
        match self {
            Running::Gapless(stage) => stage.target(record),
            Running::Peer(peer) => peer.target(record),
        }
    }
}

/// A table in Markdown: a row per case, a column per program.
fn as_table(cases: &[(usize, &Case)], columns: &[Column]) -> String {
    let names: Vec<String> = columns.iter().map(|column| format!("{:?}", column.name).to_lowercase()).collect();
    let mut text = format!("| attack | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for (number, case) in cases {
        let cells: Vec<&str> = columns
            .iter()
            .map(|column| match column.outcomes.get(number) {
                Some(Ok(())) => "held",
                Some(Err(_)) => "**got through**",
                None => "not its own",
            })
            .collect();
        text.push_str(&format!("| {}: {} | {} |\n", case.kind, case.name, cells.join(" | ")));
    }
    let held = |column: &Column| {
        let held = column.outcomes.values().filter(|outcome| outcome.is_ok()).count();
        format!("{held} of {}", column.outcomes.len())
    };
    let totals: Vec<String> = columns.iter().map(held).collect();
    text.push_str(&format!("| **held** | {} |\n", totals.join(" | ")));
    text
}

fn as_json(cases: &[(usize, &Case)], columns: &[Column]) -> serde_json::Value {
    let of_column = |column: &Column| -> serde_json::Value {
        let failed = |(number, case): &(usize, &Case)| {
            let why = column.outcomes.get(number)?.as_ref().err()?;
            Some(serde_json::json!({ "kind": case.kind, "case": case.name, "why": why }))
        };
        let held = column.outcomes.values().filter(|outcome| outcome.is_ok()).count();
        let through: Vec<_> = cases.iter().filter_map(failed).collect();
        serde_json::json!({ "name": format!("{:?}", column.name).to_lowercase(), "held": held, "through": through })
    };
    serde_json::json!({ "cases": cases.len(), "programs": columns.iter().map(of_column).collect::<Vec<_>>() })
}
