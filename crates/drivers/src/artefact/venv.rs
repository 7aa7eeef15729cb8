//! Python's virtual environments in an artefact: their links to the interpreter, the only links that may leave it.
//!
//! `python3 -m venv` makes `bin/python3` a link to the machine's interpreter, and writes `pyvenv.cfg` above. Python finds the environment by the
//! place of the link, so that it works wherever it was copied to. The programs beside it (`bin/gunicorn`) do not: their first line names the interpreter
//! of the folder in which they were installed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use super::entry::EntryPath;

/// The file that makes a folder a virtual environment.
const MARK: &str = "pyvenv.cfg";
/// The longest first line that the kernel reads of a script.
const FIRST_LINE_BYTES_MAX: u64 = 255;

/// The mark that an artefact must hold for this link to be one to an interpreter; none where the link can be none: it lies elsewhere, has another
/// name, or leads to something else.
pub(super) fn mark_of(link: &EntryPath, target: &Path) -> Option<PathBuf> {
    let path = link.as_path();
    let folder = path.parent().filter(|folder| folder.file_name() == Some(OsStr::new("bin")))?;
    let named = |path: &Path| path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"python"));
    let plain = target.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let beside = target.components().count() == 1;
    let leads_to_one = named(target) && plain && (target.is_absolute() || beside);
    (named(path) && leads_to_one).then(|| folder.parent().unwrap_or(Path::new("")).join(MARK))
}

/// Whether this machine has a program there.
pub(super) fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// A program of a virtual environment whose first line names the interpreter of another folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForeignInterpreter {
    /// The interpreter that it would run.
    pub interpreter: PathBuf,
    /// The command that uses the release's own instead.
    pub instead: Vec<String>,
}

/// Looks whether a command of a release would run another folder's virtual environment: what is installed there later would change the release, and
/// without that folder it would not start. None where it would not, and where that cannot be told.
#[must_use]
pub fn foreign_interpreter(release: &Path, folder: &str, command: &[String]) -> Option<ForeignInterpreter> {
    let (program, arguments) = command.split_first()?;
    let file = release.join(folder).join(program);
    if program.starts_with('/') || !program.contains('/') {
        return None;
    }
    let bin = file.parent()?;
    if !bin.parent()?.join(MARK).is_file() {
        return None;
    }
    let mut line = Vec::new();
    File::open(&file).ok()?.take(FIRST_LINE_BYTES_MAX).read_to_end(&mut line).ok()?;
    let line = line.split(|byte| *byte == b'\n').next()?.strip_prefix(b"#!")?;
    let interpreter = PathBuf::from(OsStr::from_bytes(line.trim_ascii()));
    let is_foreign = interpreter.is_absolute()
        && interpreter.file_name()?.as_bytes().starts_with(b"python")
        && !interpreter.starts_with(release)
        && (interpreter.parent()?.parent()?.join(MARK).is_file() || !interpreter.exists());
    is_foreign.then(|| {
        let (folder, name) = program.rsplit_once('/').unwrap_or(("", program));
        let mut instead = vec![format!("{folder}/python"), "-m".to_owned(), name.to_owned()];
        instead.extend_from_slice(arguments);
        ForeignInterpreter { interpreter, instead }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_link_of_that_name_and_place_is_one_to_an_interpreter() {
        let mark = |link: &str, target: &str| {
            let link = EntryPath::new(link.as_bytes()).unwrap().unwrap();
            mark_of(&link, Path::new(target)).map(|path| path.display().to_string())
        };
        assert_eq!(mark(".venv/bin/python3", "/usr/bin/python3").as_deref(), Some(".venv/pyvenv.cfg"));
        assert_eq!(mark("bin/python3.12", "/opt/x/python3.12").as_deref(), Some("pyvenv.cfg"));
        assert_eq!(mark("a/b/bin/python", "python3").as_deref(), Some("a/b/pyvenv.cfg"));
        for (link, target) in [
            ("bin/python3", "/etc/passwd"),
            ("bin/python3", "/usr/../etc/python"),
            ("bin/python3", "../../../usr/bin/python3"),
            ("bin/python3", "x/python3"),
            ("bin/pip", "/usr/bin/python3"),
            ("python3", "/usr/bin/python3"),
            ("lib/python3", "/usr/bin/python3"),
        ] {
            assert_eq!(mark(link, target), None, "{link} -> {target}");
        }
    }

    #[test]
    fn a_program_of_another_folders_environment_is_told_with_what_to_write_instead() {
        let (release, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for root in [release.path().join(".venv"), elsewhere.path().to_owned()] {
            fs::create_dir_all(root.join("bin")).unwrap();
            fs::write(root.join(MARK), "").unwrap();
        }
        let of_elsewhere = elsewhere.path().join("bin/python3");
        fs::write(&of_elsewhere, "").unwrap();
        let script = release.path().join(".venv/bin/uvicorn");
        let command = [".venv/bin/uvicorn".to_owned(), "main:app".to_owned()];
        fs::write(&script, format!("#!{}\nimport sys\n", of_elsewhere.display())).unwrap();
        let foreign = foreign_interpreter(release.path(), ".", &command).unwrap();
        assert_eq!(foreign.interpreter, of_elsewhere);
        assert_eq!(foreign.instead, [".venv/bin/python", "-m", "uvicorn", "main:app"]);
        fs::write(&script, "#!/usr/bin/env python3\n").unwrap();
        assert_eq!(foreign_interpreter(release.path(), ".", &command), None);
        assert_eq!(foreign_interpreter(release.path(), ".", &["python3".to_owned()]), None);
    }
}
