//! How well and how fast log lines become signatures.
//!
//! Quality: a folder tree with `NAME_2k.log` and `NAME_2k.log_structured.csv` (columns LineId, Content, EventId,
//! EventTemplate; only EventId where every line has a label) is read as *raw lines with one fixed configuration*, and the templates found
//! are compared with the labels:
//! - grouping accuracy (GA): the share of lines whose group is exactly the labelled group;
//! - F1 of grouping accuracy (FGA): the harmonic mean of the shares of found and of labelled groups that are exact.
//!
//! Speed: lines a second of one core, CPU time of the measuring thread, best of several runs.

use super::logs_speed;
use anyhow::Context;
use clap::Args;
use gapless_judge::logs::{Reader, Side, Tally};
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct Options {
    /// Folder tree with the labelled sets. Without it the project's own samples are taken.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Measure speed as well (build with --release).
    #[arg(long)]
    speed: bool,
    /// End stdout with one JSON object.
    #[arg(long)]
    json: bool,
    /// Show, for every set, the labelled events whose group is not exact.
    #[arg(long)]
    misses: bool,
}

/// The result for one set.
#[derive(Debug, Serialize)]
struct Score {
    name: String,
    lines: usize,
    /// Labelled groups.
    labelled: usize,
    /// Groups found.
    found: usize,
    grouping_accuracy: f64,
    f1_grouping_accuracy: f64,
}

#[derive(Debug, Serialize)]
struct Average {
    grouping_accuracy: f64,
    f1_grouping_accuracy: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    sets: Vec<Score>,
    average: Option<Average>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    speed: Vec<logs_speed::Speed>,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let own_samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/judge/tests/logs");
    let root = options.data.clone().unwrap_or(own_samples);
    let mut logs = Vec::new();
    find_logs(&root, &mut logs).with_context(|| format!("reading {}", root.display()))?;
    logs.sort();
    anyhow::ensure!(
        !logs.is_empty(),
        "no NAME_2k.log with a NAME_2k.log_structured.csv beside it in {}",
        root.display()
    );
    let mut sets = Vec::new();
    eprintln!("{:<14} {:>6} {:>9} {:>6} {:>7} {:>7}", "set", "lines", "labelled", "found", "GA", "FGA");
    for log in logs {
        let score = score(&log, options.misses).with_context(|| format!("scoring {}", log.display()))?;
        eprintln!(
            "{:<14} {:>6} {:>9} {:>6} {:>7.3} {:>7.3}",
            score.name, score.lines, score.labelled, score.found, score.grouping_accuracy, score.f1_grouping_accuracy
        );
        sets.push(score);
    }
    let mean = |value: fn(&Score) -> f64| sets.iter().map(value).sum::<f64>() / sets.len() as f64;
    let average = Average {
        grouping_accuracy: mean(|score| score.grouping_accuracy),
        f1_grouping_accuracy: mean(|score| score.f1_grouping_accuracy),
    };
    eprintln!("{:<14} {:>31.3} {:>7.3}", "average", average.grouping_accuracy, average.f1_grouping_accuracy);
    let speed = if options.speed { logs_speed::measure() } else { Vec::new() };
    if options.json {
        println!("{}", serde_json::to_string(&Report { sets, average: Some(average), speed })?);
    }
    Ok(())
}

/// Finds every `NAME.log` that has its labels beside it.
fn find_logs(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_logs(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "log") && labels_of(&path).is_file() {
            found.push(path);
        }
    }
    Ok(())
}

fn labels_of(log: &Path) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push("_structured.csv");
    PathBuf::from(name)
}

fn score(log: &Path, misses: bool) -> anyhow::Result<Score> {
    let raw = std::fs::read(log)?;
    let labels = read_labels(&std::fs::read(labels_of(log))?)?;
    let templates = templates_by_line(&raw);
    let predicted = align(&raw, &templates, &labels);
    let name =
        log.file_stem().map(|stem| stem.to_string_lossy().trim_end_matches("_2k").to_owned()).unwrap_or_default();
    let mut labelled_groups: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut found_groups: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, label) in labels.iter().enumerate() {
        labelled_groups.entry(&label.event).or_default().push(index);
        found_groups.entry(predicted[index]).or_default().push(index);
    }
    let exact: Vec<&Vec<usize>> =
        found_groups.values().filter(|group| labelled_groups[labels[group[0]].event.as_str()] == **group).collect();
    let exact_lines: usize = exact.iter().map(|group| group.len()).sum();
    let (precision, recall) =
        (exact.len() as f64 / found_groups.len() as f64, exact.len() as f64 / labelled_groups.len() as f64);
    if misses {
        show_misses(&name, &labels, &labelled_groups, &found_groups, &predicted);
    }
    Ok(Score {
        name,
        lines: labels.len(),
        labelled: labelled_groups.len(),
        found: found_groups.len(),
        grouping_accuracy: exact_lines as f64 / labels.len() as f64,
        f1_grouping_accuracy: if exact.is_empty() { 0.0 } else { 2.0 * precision * recall / (precision + recall) },
    })
}

fn show_misses(
    name: &str,
    labels: &[Label],
    labelled: &HashMap<&str, Vec<usize>>,
    found: &HashMap<&str, Vec<usize>>,
    predicted: &[&str],
) {
    let mut events: Vec<(&&str, &Vec<usize>)> = labelled.iter().collect();
    events.sort_by_key(|(_, lines)| std::cmp::Reverse(lines.len()));
    for (event, lines) in events {
        let mut templates: Vec<&str> = lines.iter().map(|line| predicted[*line]).collect();
        templates.sort_unstable();
        templates.dedup();
        let exact = templates.len() == 1 && found[templates[0]].len() == lines.len();
        if !exact {
            eprintln!("  {name} {event} ({} lines): {}", lines.len(), labels[lines[0]].content);
            for template in templates.iter().take(6) {
                eprintln!("      [{}] {template}", found[template].len());
            }
        }
    }
}

/// The template of each raw line; empty for lines that are no record.
fn templates_by_line(raw: &[u8]) -> Vec<String> {
    let mut tally = Tally::new();
    let mut records = Vec::new();
    let mut reader = Reader::default();
    reader.push(raw, |record| records.push((record.line, record.lines, tally.add(Side::Current, record))));
    reader.finish(|record| records.push((record.line, record.lines, tally.add(Side::Current, record))));
    let (signatures, of_entry) = tally.signatures_by_entry();
    let mut templates = vec![String::new(); raw.split(|byte| *byte == b'\n').count()];
    for (first, lines, entry) in records {
        let template = &signatures[of_entry[entry.index()] as usize].signature.template;
        for line in first..first + u64::from(lines) {
            if let Some(slot) = templates.get_mut(line as usize) {
                slot.clone_from(template);
            }
        }
    }
    templates
}

/// The template for each label. Where the file has lines without a label, labels are found again by their content.
fn align<'a>(raw: &[u8], templates: &'a [String], labels: &[Label]) -> Vec<&'a str> {
    let lines: Vec<&[u8]> = raw.split(|byte| *byte == b'\n').collect();
    let lines = if lines.last().is_some_and(|last| last.is_empty()) { &lines[..lines.len() - 1] } else { &lines[..] };
    if lines.len() == labels.len() {
        return templates[..lines.len()].iter().map(String::as_str).collect();
    }
    let mut next = 0;
    labels
        .iter()
        .map(|label| {
            let content = label.content.trim().as_bytes();
            let holds =
                |line: &&[u8]| content.is_empty() || line.windows(content.len()).any(|window| window == content);
            match lines[next.min(lines.len())..].iter().position(holds) {
                Some(offset) => {
                    next += offset + 1;
                    templates[next - 1].as_str()
                }
                None => "",
            }
        })
        .collect()
}

#[derive(Debug)]
struct Label {
    content: String,
    event: String,
}

fn read_labels(bytes: &[u8]) -> anyhow::Result<Vec<Label>> {
    let text = String::from_utf8_lossy(bytes);
    let mut rows = csv_rows(&text).into_iter();
    let head = rows.next().context("the label file is empty")?;
    let column = |wanted: &str| {
        head.iter()
            .position(|name| name.trim_start_matches('\u{feff}') == wanted)
            .with_context(|| format!("no column {wanted}"))
    };
    // Where every line has its label the content is not needed, and may be left out.
    let (content, event) = (column("Content").ok(), column("EventId")?);
    let labels: Vec<Label> = rows
        .filter(|row| row.len() > content.unwrap_or(0).max(event))
        .map(|row| Label { content: content.map(|at| row[at].clone()).unwrap_or_default(), event: row[event].clone() })
        .collect();
    anyhow::ensure!(!labels.is_empty(), "no labelled lines");
    Ok(labels)
}

/// Comma-separated values with quotes (RFC 4180).
fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut cell = String::new();
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                cell.push('"');
                characters.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell).trim_end_matches('\r').to_owned());
                rows.push(std::mem::take(&mut row));
            }
            _ => cell.push(character),
        }
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    rows
}
