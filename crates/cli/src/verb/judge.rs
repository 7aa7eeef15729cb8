//! `gapless judge FILE`: replays a recorded stream of samples to its verdict.

mod html;
mod table;

use super::known;
use crate::{Context, Exit, Failure};
use gapless_judge::Verdict;
use gapless_judge::replay::{LINE_BYTES_MAX, Replay, Replayed, Until, packed_format};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

/// What `gapless judge` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// JSON lines, as docs/judge.md describes them; `-` reads them from stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Also write a page with charts: odds with their interval over time, latencies of both releases, log lines
    #[arg(long, value_name = "PAGE")]
    pub html: Option<PathBuf>,
    /// A TOML file of known findings, as of `gapless logs diff`: reported, but never counted against the candidate
    #[arg(long, value_name = "KNOWN")]
    pub known: Option<PathBuf>,
    /// Go on to the end of the stream after a verdict that would have ended the phase
    #[arg(long)]
    pub to_the_end: bool,
}

/// Runs the verb. The exit code says what the rollout would have done: 0 promoted, 3 rolled back, 4 a person decides.
///
/// # Errors
/// A file that cannot be read or written, or without a single record; a known finding that is not understood.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let caveats = match &args.known {
        Some(path) => known::read(path)?,
        None => Vec::new(),
    };
    let mut replay = read(args)?;
    replay.set_caveats(caveats, known::now_unix_s());
    let replayed = replay.finish(if args.to_the_end { Until::End } else { Until::Decision });
    if replayed.course.is_empty() {
        let why = replayed.refused.first.map(|(line, why)| format!(": line {line}: {why}")).unwrap_or_default();
        return Err(Failure::new(format!("{} holds no sample of a rollout{why}", args.file.display()))
            .hint("the format is described in docs/judge.md"));
    }
    if let Some(page) = &args.html {
        std::fs::write(page, html::page(&replayed))
            .map_err(|error| Failure::new(format!("cannot write {}", page.display())).because(&error))?;
    }
    if context.json {
        let json = serde_json::to_string(&replayed)
            .map_err(|error| Failure::new("cannot write the verdict as JSON").because(&error))?;
        print_line!("{json}")?;
    } else {
        crate::follow::print_text(&table::text(&replayed))?;
    }
    Ok(exit(&replayed))
}

fn exit(replayed: &Replayed) -> Exit {
    match &replayed.evidence.verdict {
        Verdict::Guard(_) | Verdict::Fail => Exit::RolledBack,
        Verdict::Pass | Verdict::PassWeak | Verdict::PassUnjudged => Exit::Done,
        Verdict::Suspect(_) | Verdict::Inconclusive(_) | Verdict::Undecided(_) => Exit::NeedsOperator,
    }
}

fn read(args: &Args) -> Result<Replay, Failure> {
    let failed = |error: &std::io::Error| Failure::new(format!("cannot read {}", args.file.display())).because(error);
    let source: Box<dyn Read> = if args.file.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(&args.file).map_err(|error| failed(&error))?)
    };
    let mut source = BufReader::new(source);
    if let Some(format) = packed_format(source.fill_buf().map_err(|error| failed(&error))?) {
        return Err(Failure::new(format!("{} is {format}, not lines of text", args.file.display()))
            .hint("unpack it or convert it to UTF-8 first, and give the result or `-` with a pipe"));
    }
    let mut replay = Replay::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        // One byte more than a record may have, so that the replay sees it is too long; the rest of the line is skipped.
        let most = LINE_BYTES_MAX as u64 + 2;
        let bytes = source.by_ref().take(most).read_until(b'\n', &mut line).map_err(|error| failed(&error))?;
        if bytes == 0 {
            return Ok(replay);
        }
        if bytes as u64 == most && !line.ends_with(b"\n") {
            skip_line(&mut source).map_err(|error| failed(&error))?;
        }
        replay.handle_line(&line);
    }
}

fn skip_line(source: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = source.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let (used, found) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), false),
        };
        source.consume(used);
        if found {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    /// A stream with ten minutes before and ten after the start, the candidate's errors times `factor`.
    fn stream(factor: u64) -> String {
        let mut text = String::new();
        for second in 0..1_200_u64 {
            if second == 600 {
                text += "{\"start\":\"rollout\",\"at\":600,\"candidate\":\"v2\",\"current\":\"v1\"}\n";
            }
            let errors = u64::from(second % 5 == 0);
            let _ = writeln!(
                text,
                r#"{{"at":{second},"arm":"current","instance":"b1","metric":"errors","exposure":90,"events":{errors}}}"#
            );
            if second >= 600 {
                let errors = factor * u64::from(second % 45 == 0);
                let _ = writeln!(
                    text,
                    r#"{{"at":{second},"arm":"candidate","instance":"c1","metric":"errors","exposure":10,"events":{errors}}}"#
                );
            }
        }
        text
    }

    fn judge(text: &str) -> (Exit, Replayed, String) {
        let folder = tempfile::tempdir().unwrap();
        let (file, page) = (folder.path().join("samples.jsonl"), folder.path().join("page.html"));
        std::fs::write(&file, text).unwrap();
        let args = Args { file, html: Some(page.clone()), known: None, to_the_end: false };
        let replayed = read(&args).unwrap().finish(Until::Decision);
        std::fs::write(&page, html::page(&replayed)).unwrap();
        (exit(&replayed), replayed, std::fs::read_to_string(&page).unwrap())
    }

    #[test]
    fn a_bad_candidate_is_rolled_back_and_the_page_shows_it() {
        let (exit, replayed, page) = judge(&stream(9));
        assert_eq!(exit, Exit::RolledBack, "{}", replayed.evidence);
        assert!(page.contains("<svg") && page.contains("worse: proven") && !page.contains("http"));
        assert!(page.contains("<title>v2: fail</title>") && page.contains("v2 against v1"));
    }

    #[test]
    fn an_equal_candidate_is_not_rolled_back() {
        let (exit, replayed, _) = judge(&stream(1));
        assert_ne!(exit, Exit::RolledBack, "{}", replayed.evidence);
    }

    #[test]
    fn a_packed_file_or_one_in_utf_16_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = |bytes: &[u8]| {
            let file = folder.path().join("samples");
            std::fs::write(&file, bytes).unwrap();
            let args = Args { file, html: None, known: None, to_the_end: false };
            read(&args).err().map(|failure| failure.to_string()).unwrap_or_default()
        };
        assert!(refusal(&[0x1f, 0x8b, 8, 0, 0, 0]).contains("is gzip, not lines of text"));
        let utf_16: Vec<u8> = stream(1).encode_utf16().flat_map(u16::to_le_bytes).take(4_096).collect();
        assert!(refusal(&utf_16).contains("is UTF-16"));
        assert_eq!(refusal(stream(1).as_bytes()), "");
    }

    #[test]
    fn broken_lines_are_counted_and_stop_nothing() {
        let broken = format!("nonsense\n{{\"at\":-1,\"arm\":\"current\"}}\n\u{0}\n{}", stream(9));
        let (exit, replayed, _) = judge(&broken);
        assert_eq!(exit, Exit::RolledBack);
        assert_eq!(replayed.refused.lines, 3);
    }
}
