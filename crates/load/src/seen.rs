//! The ids the instances say they executed: how duplicates are found that no client can see.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

/// The most ids read; the bound of a plan's requests with their repetitions.
const IDS_MAX: usize = 2 * crate::plan::REQUESTS_MAX as usize;

/// What a file of seen ids says about one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Different ids.
    pub ids: u64,
    /// Ids that were executed more than once.
    pub duplicated: u64,
    /// Those of them whose method may not be sent again (RFC 9110, section 9.2.2): anything but GET and HEAD here.
    pub duplicated_unsafe: u64,
    /// The first ids that were executed more than once.
    pub examples: Vec<String>,
}

/// Why a file of seen ids cannot be read.
#[derive(Debug, Error)]
pub enum SeenError {
    /// The file is there and cannot be read.
    #[error("cannot read the seen ids in {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// How one id was executed.
#[derive(Default)]
struct Executed {
    times: u32,
    repeatable: bool,
}

impl Seen {
    /// Reads the ids that begin with `run` and a dash. A line is an id, a space, the method and anything. No file means nothing was seen.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(path: &Path, run: &str) -> Result<Self, SeenError> {
        let failed = |source| SeenError::Read { path: path.to_owned(), source };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(error)),
        };
        let mut executed: HashMap<String, Executed> = HashMap::new();
        for line in BufReader::new(file).lines() {
            let line = line.map_err(failed)?;
            let mut words = line.split(' ');
            let id = words.next().unwrap_or_default();
            let of_this_run = id.strip_prefix(run).is_some_and(|rest| rest.starts_with('-'));
            if of_this_run && executed.len() < IDS_MAX {
                let entry = executed.entry(id.to_owned()).or_default();
                entry.times += 1;
                entry.repeatable = matches!(words.next(), Some("GET" | "HEAD"));
            }
        }
        let duplicates = || executed.iter().filter(|(_, of)| of.times > 1);
        let duplicated_unsafe = duplicates().filter(|(_, of)| !of.repeatable).count() as u64;
        let mut examples: Vec<String> = duplicates().map(|(id, _)| id.clone()).collect();
        let duplicated = examples.len() as u64;
        examples.sort();
        examples.truncate(20);
        Ok(Self { ids: executed.len() as u64, duplicated, duplicated_unsafe, examples })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_executed_twice_is_found_and_another_runs_ids_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seen");
        std::fs::write(&path, "a-1 POST 1.0\na-2 GET 1.0\nb-1 GET 1.0\na-1 POST 1.1\na-2 GET 1.1\n").unwrap();
        let seen = Seen::read(&path, "a").unwrap();
        assert_eq!(
            seen,
            Seen { ids: 2, duplicated: 2, duplicated_unsafe: 1, examples: vec!["a-1".into(), "a-2".into()] }
        );
        assert_eq!(Seen::read(&folder.path().join("none"), "a").unwrap(), Seen::default());
    }
}
