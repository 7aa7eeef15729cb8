//! What of a folder is no part of a release: `.git`, and what the folder's own `.gaplessignore` leaves out, in the syntax of `.gitignore`.
//!
//! One file, at the top of the folder; it is no part of the release either. An archive holds what whoever made it put in, and is taken whole.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::{ArtefactError, cannot_read};

/// The name of the file.
pub const IGNORE_FILE: &str = ".gaplessignore";
/// The largest such file: thousands of patterns, each of which is asked for each entry.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// What is left out before the first line of the file is read, so that it can be put in again (`!.git`).
const ALWAYS: [&str; 2] = [".git", "/.gaplessignore"];

/// Which entries of a folder are left out.
#[derive(Clone, Debug)]
pub(super) struct Ignored(Gitignore);

impl Ignored {
    /// What is left out of a folder.
    pub(super) fn of(folder: &Path) -> Result<Ignored, ArtefactError> {
        let path = folder.join(IGNORE_FILE);
        let text = match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text.map_err(cannot_read(&path))?,
        };
        let mut builder = GitignoreBuilder::new("");
        let lines = ALWAYS.into_iter().map(|line| (0, line)).chain((1..).zip(text.lines()));
        for (line, pattern) in lines {
            let added = builder.add_line(None, pattern);
            added.map_err(|error| not_understood(&path, line, &error))?;
        }
        builder.build().map(Ignored).map_err(|error| not_understood(&path, 0, &error))
    }

    /// Whether an entry is left out; of a folder, with all that is in it.
    pub(super) fn holds_file(&self, relative: &Path) -> bool {
        self.0.matched(relative, false).is_ignore()
    }

    /// The same of a folder.
    pub(super) fn holds_folder(&self, relative: &Path) -> bool {
        self.0.matched(relative, true).is_ignore()
    }
}

fn not_understood(path: &Path, line: usize, error: &ignore::Error) -> ArtefactError {
    ArtefactError::Ignore { path: path.to_owned(), line, reason: error.to_string() }
}

fn read(path: &Path) -> io::Result<String> {
    // A pipe of that name would keep us for ever.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}
