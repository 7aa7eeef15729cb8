//! `gapless logs diff`: what two sets of log lines differ in.
//!
//! Works on files alone, without a controller or a configuration of formats, or on what the releases of a service wrote, by their labels. Useful in
//! any CI: the exit code says whether something new at ERROR or above was found.

mod own;
mod page;
mod table;

use super::known;
use crate::client::{Client, block_on, escaped};
use crate::{Context, Exit, Failure, hint, project};
use gapless_judge::logs::{Comparison, Options, Reader, Side, Tally, compare};
use gapless_model::ReleaseLabel;
use gapless_wire::api::LogLine;
use std::io::{IsTerminal, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// The most lines of each instance of a release: as many as the controller gives.
const TAIL_MAX: usize = 100_000;
/// Bytes read at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// Folders inside folders, at most; deeper is a loop or not logs.
const DEPTH_MAX: usize = 16;
/// Files in one folder tree, at most.
const FILES_MAX: usize = 100_000;

/// What `gapless logs diff` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Lines of the old release: a file, a folder, - for stdin, or the label of a release
    pub old: PathBuf,
    /// Lines of the new release: the same
    pub new: PathBuf,
    /// The service whose releases the labels are [default: the one in ./gapless.toml]
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// What the lines are counted over on each side, such as requests or hours [default: the lines of each side]
    #[arg(long, value_name = "OLD,NEW", value_parser = parse_exposure)]
    pub exposure: Option<[f64; 2]>,
    /// A TOML file of known findings: reported, but never a reason for exit code 7
    #[arg(long, value_name = "FILE")]
    pub known: Option<PathBuf>,
    /// Write the difference as a web page that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Show also what did not change, and every row
    #[arg(long)]
    pub all: bool,
}

/// `--exposure 1000,1200`.
fn parse_exposure(text: &str) -> Result<[f64; 2], String> {
    let parts: Vec<f64> = text.split(',').filter_map(|part| part.trim().parse().ok()).collect();
    match parts[..] {
        [old, new] if old > 0.0 && new > 0.0 && old.is_finite() && new.is_finite() => Ok([old, new]),
        _ => Err("two positive numbers separated by a comma, such as 1000,1200".to_owned()),
    }
}

/// Runs the verb.
///
/// # Errors
/// When a file cannot be read or written, or a known finding is not understood.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    if args.old.as_os_str() == "-" && args.new.as_os_str() == "-" {
        return Err(Failure::new("stdin can be one side only").hint(hint::ONE_SIDE_FROM_STDIN).exit(Exit::Usage));
    }
    let caveats = match &args.known {
        Some(path) => known::read(path)?,
        None => Vec::new(),
    };
    let mut tally = Tally::new();
    let mut names = [String::new(), String::new()];
    for (nth, (path, side)) in [(&args.old, Side::Current), (&args.new, Side::Candidate)].into_iter().enumerate() {
        names[nth] = match label(path) {
            Some(label) => take_release(args.service.as_deref(), &label, side, &mut tally, context)?,
            None => take_side(path, side, &mut tally).map(|()| path.display().to_string())?,
        };
    }
    let options = Options { exposure: args.exposure, caveats, now_unix_s: known::now_unix_s(), ..Options::default() };
    let comparison = compare(&tally, &options);
    if comparison.records == [0, 0] {
        let failure = Failure::new(format!("no data: neither {} nor {} has a log record", names[0], names[1]));
        return Err(failure.hint(hint::NAME_LOGS));
    }
    if let Some(path) = &args.html {
        let page = page::render(&comparison, &names, args.exposure.is_some());
        std::fs::write(path, page)
            .map_err(|error| Failure::new(format!("writing {}", path.display())).because(&error))?;
    }
    let out = if context.json {
        format!("{}\n", table::json(&comparison, &names, args.all))
    } else {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        table::text(
            &comparison,
            &names,
            &table::Look { all: args.all, colour, given_exposure: args.exposure.is_some() },
        )
    };
    // A reader that has seen enough (`| head`) is no error.
    let _ = std::io::Write::write_all(&mut std::io::stdout().lock(), out.as_bytes());
    Ok(exit_of(&comparison))
}

fn exit_of(comparison: &Comparison) -> Exit {
    if comparison.has_new_error() { Exit::NewErrors } else { Exit::Done }
}

/// The label of a release, where a side names no file: a file of that name is the side.
fn label(side: &Path) -> Option<ReleaseLabel> {
    let label = side.to_str().and_then(|text| ReleaseLabel::new(text).ok())?;
    (side.as_os_str() != "-" && !side.exists()).then_some(label)
}

/// Counts what the instances of a release wrote, as far as it is kept; answers how the side is called.
fn take_release(
    service: Option<&str>,
    label: &ReleaseLabel,
    side: Side,
    tally: &mut Tally,
    context: &Context,
) -> Result<String, Failure> {
    let none = |failure: Failure| {
        let what = format!("there is no file `{label}`, and no release of that label can be asked for");
        let mut causes = vec![failure.what];
        causes.extend(failure.caused_by);
        Failure { caused_by: causes, ..Failure::new(what).hint(hint::NAME_LOGS) }
    };
    let service = project::service(service).map_err(none)?;
    let path = format!("/v1/services/{service}/logs?tail={TAIL_MAX}&follow=false&release={}", escaped(label.as_str()));
    let mut streams = own::Streams::default();
    let client = Client::new(context);
    block_on(client.lines(&path, |line: LogLine| {
        streams.add_line(&line);
        ControlFlow::<()>::Continue(())
    }))
    .map_err(none)?;
    let mut reader = Reader::default();
    streams.give(|bytes| {
        reader.push(bytes, |record| {
            tally.add(side, record);
        });
    });
    reader.finish(|record| {
        tally.add(side, record);
    });
    Ok(format!("release {label} of {service}"))
}

/// Counts every line of a file, of the files of a folder tree, or of stdin.
fn take_side(path: &Path, side: Side, tally: &mut Tally) -> Result<(), Failure> {
    let failed = |path: &Path, error: &std::io::Error| {
        Failure::new(format!("reading {}", path.display())).because(error).hint(hint::NAME_LOGS)
    };
    if path.as_os_str() == "-" {
        return take(&mut std::io::stdin().lock(), side, tally).map_err(|error| failed(Path::new("stdin"), &error));
    }
    let mut files = Vec::new();
    find_files(path, 0, &mut files).map_err(|error| failed(path, &error))?;
    files.sort();
    for file in files {
        let taken = std::fs::File::open(&file).and_then(|mut open| take(&mut open, side, tally));
        taken.map_err(|error| failed(&file, &error))?;
    }
    Ok(())
}

/// The regular files under a path. Links inside a folder are not followed.
fn find_files(path: &Path, depth: usize, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        found.push(path.to_owned());
        return Ok(());
    }
    if depth >= DEPTH_MAX {
        return Err(std::io::Error::other(format!("more than {DEPTH_MAX} folders deep")));
    }
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            find_files(&entry.path(), depth + 1, found)?;
        } else if kind.is_file() {
            if found.len() >= FILES_MAX {
                return Err(std::io::Error::other(format!("more than {FILES_MAX} files")));
            }
            found.push(entry.path());
        }
    }
    Ok(())
}

/// What a file is that holds no text in UTF-8, told by its first bytes: packed, or UTF-16. Read as lines such a file would give
/// signatures of nothing, and a comparison that finds nothing.
fn not_text(begin: &[u8]) -> Option<&'static str> {
    const KINDS: [(&[u8], &str); 7] = [
        (b"\x1f\x8b", "it is packed (gzip)"),
        (b"\x28\xb5\x2f\xfd", "it is packed (zstd)"),
        (b"PK\x03\x04", "it is packed (zip)"),
        (b"\xfd7zXZ\x00", "it is packed (xz)"),
        (b"BZh", "it is packed (bzip2)"),
        (b"\xff\xfe", "its text is UTF-16, not UTF-8"),
        (b"\xfe\xff", "its text is UTF-16, not UTF-8"),
    ];
    let window = &begin[..begin.len().min(64)];
    // UTF-16 without a mark: every second byte of Latin text is zero.
    let zeros = |odd: usize| window.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let half = window.len() / 2;
    if half >= 8 && (zeros(0) * 10 >= half * 9 && zeros(1) == 0 || zeros(1) * 10 >= half * 9 && zeros(0) == 0) {
        return Some("its text is UTF-16, not UTF-8");
    }
    KINDS.iter().find(|(magic, _)| begin.starts_with(magic)).map(|(_, kind)| *kind)
}

fn take(source: &mut impl Read, side: Side, tally: &mut Tally) -> std::io::Result<()> {
    let mut reader: Option<Reader> = None;
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut begun = false;
    loop {
        match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                if !std::mem::replace(&mut begun, true)
                    && let Some(kind) = not_text(&buffer[..count])
                {
                    return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, kind));
                }
                if reader.is_none() && own::is_own(&buffer[..count]) {
                    return take_own(&buffer[..count], source, side, tally);
                }
                let reader = reader.get_or_insert_default();
                reader.push(&buffer[..count], |record| {
                    tally.add(side, record);
                });
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    reader.unwrap_or_default().finish(|record| {
        tally.add(side, record);
    });
    Ok(())
}

/// The same of lines that Gapless wrote, of which the first were read already.
fn take_own(begin: &[u8], rest: &mut impl Read, side: Side, tally: &mut Tally) -> std::io::Result<()> {
    let mut reader = Reader::default();
    let all = std::io::BufReader::with_capacity(CHUNK_BYTES, begin.chain(rest));
    own::read(all, |bytes| {
        reader.push(bytes, |record| {
            tally.add(side, record);
        });
    })?;
    reader.finish(|record| {
        tally.add(side, record);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn sample(errors: usize, message: &str) -> String {
        let mut text = String::new();
        for n in 0..300 {
            text += &format!("2024-01-02 03:04:05,{n:03} INFO [main] shop.Web: request {n} served in {} ms\n", n % 90);
        }
        for n in 0..errors {
            text += &format!("2024-01-02 03:04:06,{n:03} ERROR [main] shop.Pay: {message} {n}\n");
        }
        text
    }

    fn compared(old: &str, new: &str) -> Comparison {
        let mut tally = Tally::new();
        take(&mut old.as_bytes(), Side::Current, &mut tally).unwrap();
        take(&mut new.as_bytes(), Side::Candidate, &mut tally).unwrap();
        compare(&tally, &Options::default())
    }

    fn check(comparison: &Comparison, expected: &Expect) {
        let look = table::Look { all: false, colour: false, given_exposure: false };
        expected.assert_eq(&table::text(comparison, &["old.log".into(), "new.log".into()], &look));
    }

    #[test]
    fn a_new_error_is_shown_first_and_gives_its_exit_code() {
        let comparison = compared(&sample(0, ""), &sample(3, "card refused by bank <b>"));
        check(
            &comparison,
            &expect![[r#"
            old  old.log: 300 records
            new  new.log: 303 records

            NEW (1)
              ERROR           0 → 3           shop.Pay: card refused by bank <b> <*>
                                              e.g. 2024-01-02 03:04:06,000 ERROR [main] shop.Pay: card refused by bank <b> 0

            1 signatures on both sides about as often; 1 new at ERROR or above
        "#]],
        );
        assert_eq!(exit_of(&comparison), Exit::NewErrors);
        let page = page::render(&comparison, &["old".into(), "new".into()], false);
        assert!(page.contains("card refused by bank &lt;b&gt;"));
        assert!(!page.contains("http://") && !page.contains("https://"), "the page needs nothing else");
    }

    #[test]
    fn sides_alike_differ_in_nothing() {
        let comparison = compared(&sample(3, "card refused"), &sample(3, "card refused"));
        check(
            &comparison,
            &expect![[r#"
            old  old.log: 303 records
            new  new.log: 303 records

            2 signatures on both sides about as often; 0 new at ERROR or above
        "#]],
        );
        assert_eq!(exit_of(&comparison), Exit::Done);
    }

    #[test]
    fn folders_and_known_findings_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("old/a/x.log", sample(0, "")), ("new/b/y.log", sample(3, "card refused"))] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let known = folder.path().join("known.toml");
        std::fs::write(
            &known,
            "[[known]]\nsignature = \"card refused <*>\"\nreason = \"the bank's test day\"\nexpires = \"2999-01-01\"\n",
        )
        .unwrap();
        let context = Context { state: crate::StateFolder::resolve(Some(folder.path())).unwrap(), json: false };
        let mut args = Args {
            old: folder.path().join("old"),
            new: folder.path().join("new"),
            service: None,
            exposure: None,
            known: None,
            html: Some(folder.path().join("diff.html")),
            all: false,
        };
        assert_eq!(run(&args, &context), Ok(Exit::NewErrors));
        assert!(folder.path().join("diff.html").is_file());
        args.known = Some(known);
        assert_eq!(run(&args, &context), Ok(Exit::Done));
        args.old = folder.path().join("missing");
        assert_eq!(run(&args, &context).unwrap_err().exit, Exit::Error);
    }

    #[test]
    fn what_gapless_logs_printed_is_read_back_with_its_levels_and_its_tracebacks_whole() {
        let printed = |errors: usize| {
            let mut text = String::new();
            for n in 0..300 {
                text += &format!("2026-11-21T08:00:00.{n:03}Z 1.0 shop.r1.i{} | INFO request served\n", n % 3 + 1);
            }
            for n in 0..errors {
                for (i, line) in
                    ["Traceback (most recent call last):", "  File \"a.py\", line 1, in f", "ValueError: no tea"]
                        .into_iter()
                        .enumerate()
                {
                    text += &format!("2026-11-21T08:00:01.{n:03}Z 1.0 shop.r1.i1 ! {line}\n");
                    text += &format!("2026-11-21T08:00:01.{n:03}Z 1.0 shop.r1.i2 | INFO request served\n");
                    assert!(i < 3);
                }
            }
            text
        };
        let comparison = compared(&printed(0), &printed(65));
        assert!(comparison.has_new_error());
        let new: Vec<&str> = comparison
            .rows
            .iter()
            .filter(|row| row.change == gapless_judge::logs::Change::New)
            .map(|row| row.counted.signature.template.as_str())
            .collect();
        assert_eq!(new.len(), 1, "{new:?}");
        assert_eq!(exit_of(&comparison), Exit::NewErrors);
    }

    #[test]
    fn nothing_against_nothing_is_no_data() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old.log"), folder.path().join("new.log"));
        std::fs::write(&old, "").unwrap();
        std::fs::write(&new, "\n\n").unwrap();
        let context = Context { state: crate::StateFolder::resolve(Some(folder.path())).unwrap(), json: false };
        let args = Args { old, new, service: None, exposure: None, known: None, html: None, all: false };
        let failure = run(&args, &context).unwrap_err();
        assert!(failure.what.starts_with("no data: neither"), "{}", failure.what);
        assert_eq!(failure.exit, Exit::Error);
    }

    #[test]
    fn packed_files_and_utf_16_are_refused_by_name() {
        let wide: Vec<u8> = "INFO ready to serve".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (bytes, part) in [
            (&b"\x1f\x8b\x08\x00"[..], "gzip"),
            (b"\xff\xfeI\x00", "UTF-16"),
            (&wide, "UTF-16"),
            (b"PK\x03\x04", "zip"),
        ] {
            let error = take(&mut &bytes[..], Side::Current, &mut Tally::new()).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
        assert!(take(&mut &b"INFO ready\n"[..], Side::Current, &mut Tally::new()).is_ok());
    }

    #[test]
    fn exposure_is_two_positive_numbers() {
        assert_eq!(parse_exposure("1000, 1200.5"), Ok([1000.0, 1200.5]));
        for wrong in ["", "1", "1,2,3", "0,1", "-1,2", "NaN,1", "a,b"] {
            assert!(parse_exposure(wrong).is_err(), "{wrong}");
        }
    }
}
