//! `gapless logs`: what the instances of a service write, from the past and as it comes.

use std::io::Write as _;
use std::ops::ControlFlow;

use gapless_wire::api::{LogLine, LogStream};

use crate::client::{Client, block_on, escaped};
use crate::show::style::{Paint, Style};
use crate::{Context, Exit, Failure, project};

/// What `gapless logs` is given.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// What else can be done with logs
    #[command(subcommand)]
    pub action: Option<Action>,
    /// The service [default: the one in ./gapless.toml]
    pub service: Option<String>,
    /// Go on with what is written from now on
    #[arg(short, long)]
    pub follow: bool,
    /// Only the instances of this release (its label)
    #[arg(long, value_name = "LABEL")]
    pub release: Option<String>,
    /// So many lines of the past per instance
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub tail: u32,
}

/// What else can be done with logs.
#[derive(clap::Subcommand, Debug)]
pub enum Action {
    /// Compare the log lines of two releases: new, gone, more often, less often
    Diff(super::logs_diff::Args),
}

/// Runs the verb.
///
/// # Errors
/// There is no such service or release, or the controller does not answer.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    if let Some(Action::Diff(diff)) = &args.action {
        return super::logs_diff::run(diff, context);
    }
    let service = project::service(args.service.as_deref())?;
    let release = args.release.as_deref().map(|label| format!("&release={}", escaped(label))).unwrap_or_default();
    let path = format!("/v1/services/{service}/logs?tail={}&follow={}{release}", args.tail, args.follow);
    let (client, style) = (Client::new(context), Style::of_stdout());
    let print = |line: LogLine| {
        let text = if context.json { serde_json::to_string(&line).unwrap_or_default() } else { text(&line, style) };
        // A reader that went away ends the following.
        match writeln!(std::io::stdout().lock(), "{text}") {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    };
    block_on(async {
        tokio::select! {
            ended = client.lines(&path, print) => ended.map(|_| Exit::Done),
            _ = tokio::signal::ctrl_c() => Ok(Exit::Done),
        }
    })
}

/// `12:00:01.250 1.4.0 shop.r3.i7 | text`, the stream told by its separator: `|` stdout, `!` stderr, `*` the keeper.
fn text(line: &LogLine, style: Style) -> String {
    let separator = match line.stream {
        LogStream::Stdout => style.paint(Paint::Faint, "|"),
        LogStream::Stderr => style.paint(Paint::Busy, "!"),
        LogStream::Keeper => style.paint(Paint::Strong, "*"),
    };
    let head = style.paint(Paint::Faint, &format!("{} {} {}", line.at, line.release, line.instance));
    format!("{head} {separator} {}", line.text)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use gapless_wire::api::{LogLine, LogStream};

    use super::{Style, text};

    #[test]
    fn a_log_line_names_its_instance_and_stream() {
        let line = LogLine {
            at: "2026-11-21T08:00:00.250Z".to_owned(),
            instance: "shop.r3.i7".to_owned(),
            release: "1.4.0".to_owned(),
            stream: LogStream::Stderr,
            text: "out of tea".to_owned(),
        };
        expect!["2026-11-21T08:00:00.250Z 1.4.0 shop.r3.i7 ! out of tea"].assert_eq(&text(&line, Style::Plain));
    }
}
