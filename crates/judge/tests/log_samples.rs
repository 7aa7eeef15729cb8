//! The labelled samples in `tests/logs`, read as raw lines with the one configuration there is. How they were made and
//! labelled stands in `tests/logs/generate.py`.

use gapless_judge::logs::{Reader, Side, Tally};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Formats there must be.
const FORMATS_MIN: usize = 16;
/// Grouping accuracy each format and their average must reach.
const EACH_MIN: f64 = 0.95;
const AVERAGE_MIN: f64 = 0.92;
/// Formats that miss [`EACH_MIN`], and what they reach. HAProxy writes every request by one format string and is labelled
/// so; the reader keeps the method and the way a session ended as words with a meaning. systemd names a unit and then
/// describes it in a sentence of its own ("Started web.service - Shop front end."), which nothing tells from the message.
const BELOW: [(&str, f64); 2] = [("haproxy_2k", 0.30), ("systemd_2k", 0.45)];

/// The template of every line.
fn templates(raw: &[u8]) -> Vec<String> {
    let mut tally = Tally::new();
    let mut records = Vec::new();
    let mut reader = Reader::default();
    reader.push(raw, |record| records.push((record.lines, tally.add(Side::Current, record))));
    reader.finish(|record| records.push((record.lines, tally.add(Side::Current, record))));
    let (signatures, of_entry) = tally.signatures_by_entry();
    let mut found = Vec::new();
    for (lines, entry) in records {
        let template = &signatures[of_entry[entry.index()] as usize].signature.template;
        found.extend((0..lines).map(|_| template.clone()));
    }
    found
}

/// The `EventId` column, the third; other cells may hold quotes and commas.
fn events(csv: &str) -> Vec<String> {
    csv.lines()
        .skip(1)
        .map(|line| {
            let mut cells = vec![String::new()];
            let mut quoted = false;
            for character in line.chars() {
                match character {
                    '"' => quoted = !quoted,
                    ',' if !quoted => cells.push(String::new()),
                    _ => {
                        if let Some(cell) = cells.last_mut() {
                            cell.push(character);
                        }
                    }
                }
            }
            cells[2].clone()
        })
        .collect()
}

/// The share of lines whose group is exactly the labelled one.
fn grouping_accuracy(found: &[String], labels: &[String]) -> f64 {
    assert_eq!(found.len(), labels.len(), "every line is in a record");
    let mut by_label: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut by_template: HashMap<&str, Vec<usize>> = HashMap::new();
    for index in 0..labels.len() {
        by_label.entry(&labels[index]).or_default().push(index);
        by_template.entry(&found[index]).or_default().push(index);
    }
    let exact: usize =
        by_template.values().filter(|group| by_label[labels[group[0]].as_str()] == **group).map(Vec::len).sum();
    exact as f64 / labels.len() as f64
}

fn scores() -> BTreeMap<String, f64> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/logs");
    let mut scores = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let labels = std::fs::read_to_string(format!("{}_structured.csv", path.display())).unwrap();
            let score = grouping_accuracy(&templates(&std::fs::read(&path).unwrap()), &events(&labels));
            scores.insert(path.file_stem().unwrap().to_string_lossy().into_owned(), score);
        }
    }
    scores
}

#[test]
fn real_programs_are_grouped_as_labelled() {
    let scores = scores();
    assert!(scores.len() >= FORMATS_MIN, "{scores:?}");
    let average = scores.values().sum::<f64>() / scores.len() as f64;
    assert!(average >= AVERAGE_MIN, "average {average:.3} of {scores:#?}");
    let least = |name: &str| BELOW.iter().find(|(below, _)| *below == name).map_or(EACH_MIN, |(_, least)| *least);
    assert!(scores.iter().all(|(name, score)| *score >= least(name)), "{scores:#?}");
}

#[test]
fn the_measure_sees_wrong_groups() {
    let labels: Vec<String> = ["a", "a", "b", "c"].map(String::from).to_vec();
    assert_eq!(grouping_accuracy(&labels, &labels), 1.0);
    let one_group = vec![String::from("x"); 4];
    assert_eq!(grouping_accuracy(&one_group, &labels), 0.0);
    let split: Vec<String> = ["a", "z", "b", "c"].map(String::from).to_vec();
    assert_eq!(grouping_accuracy(&split, &labels), 0.5);
}
