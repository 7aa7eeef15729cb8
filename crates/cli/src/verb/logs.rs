//! `gapless logs`: what the instances of a service write, from the past and as it comes.

use std::io::IsTerminal as _;

use gapless_model::{InstanceId, ServiceName};
use gapless_wire::api::{LogLine, LogStream};
use jiff::Timestamp;

use crate::client::escaped;
use crate::show::harmless;
use crate::show::style::{Paint, Style};
use crate::{Context, Exit, Failure, follow, project};

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
    /// Only this instance, as `gapless status` names it (shop.r3.i7)
    #[arg(long, value_name = "INSTANCE")]
    pub instance: Option<InstanceId>,
    /// Only lines from then on: how long ago (10m, 2h, 1d), or when (2026-11-21T08:00, by this machine's clock)
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    pub since: Option<Timestamp>,
    /// So many lines of the past per instance [default: 100; with -f 10; with --since all that is kept]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(TAIL_MAX)))]
    pub tail: Option<u32>,
}

/// The most lines of the past that the controller gives of an instance.
const TAIL_MAX: u32 = 100_000;

/// `10m` ago, or a time; one without a zone is this machine's.
fn parse_since(text: &str) -> Result<Timestamp, String> {
    let wrong =
        || "how long ago, such as 10m, 2h or 1d, or a time such as 2026-11-21T08:00 or 2026-11-21T08:00:00Z".to_owned();
    let now = jiff::Zoned::now();
    if let Ok(ago) = text.parse::<jiff::Span>() {
        let then = if ago.is_negative() { now.checked_add(ago) } else { now.checked_sub(ago) };
        return then.map(|then| then.timestamp()).map_err(|_| wrong());
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let local = text.parse::<jiff::civil::DateTime>().map_err(|_| wrong())?;
    local.to_zoned(now.time_zone().clone()).map(|at| at.timestamp()).map_err(|_| wrong())
}

impl Args {
    /// The lines of the past: what a person wants to see at once.
    fn tail(&self) -> u32 {
        self.tail.unwrap_or(match (self.since, self.follow) {
            (Some(_), _) => TAIL_MAX,
            (None, true) => 10,
            (None, false) => 100,
        })
    }

    fn path(&self, service: &ServiceName) -> String {
        let mut path = format!("/v1/services/{service}/logs?tail={}&follow={}", self.tail(), self.follow);
        let mut also = |name: &str, value: Option<String>| {
            path.extend(value.map(|value| format!("&{name}={}", escaped(&value))));
        };
        also("release", self.release.clone());
        also("instance", self.instance.as_ref().map(ToString::to_string));
        also("since", self.since.map(|since| since.to_string()));
        path
    }
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
    let path = args.path(&service);
    let style = Style::of_stdout();
    let is_watched = std::io::stdout().is_terminal();
    follow::lines(context, &path, |mut line: LogLine| {
        if is_watched {
            line.text = harmless(&line.text).into_owned();
        }
        if context.json { serde_json::to_string(&line).unwrap_or_default() } else { text(&line, style) }
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

    use clap::Parser as _;
    use gapless_model::ServiceName;
    use jiff::Timestamp;

    use super::{Args, Style, TAIL_MAX, parse_since, text};

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn what_is_asked_for_says_how_much_of_the_past_is_shown() {
        let asked = |words: &[&str]| {
            let line = Line::try_parse_from(["logs", "shop"].iter().chain(words)).unwrap();
            line.args.path(&ServiceName::new("shop").unwrap())
        };
        assert_eq!(asked(&[]), "/v1/services/shop/logs?tail=100&follow=false");
        assert_eq!(asked(&["-f"]), "/v1/services/shop/logs?tail=10&follow=true");
        assert_eq!(
            asked(&["--instance", "shop.r3.i7", "--release", "1.0+b", "--tail", "5"]),
            "/v1/services/shop/logs?tail=5&follow=false&release=1.0%2Bb&instance=shop.r3.i7"
        );
        let since = asked(&["--since", "2026-11-21T08:00:00Z"]);
        assert_eq!(
            since,
            format!("/v1/services/shop/logs?tail={TAIL_MAX}&follow=false&since=2026-11-21T08%3A00%3A00Z")
        );
    }

    #[test]
    fn a_time_is_said_as_people_say_it() {
        let ago = |text: &str| {
            let since = parse_since(text).unwrap();
            Timestamp::now().duration_since(since).as_secs()
        };
        for (text, seconds) in [("10m", 600), ("1h30m", 5_400), ("90s", 90), ("10 minutes ago", 600)] {
            assert!((seconds..seconds + 60).contains(&ago(text)), "{text}");
        }
        assert!(
            parse_since("1d").is_ok()
                && parse_since("2026-11-21T08:00").is_ok()
                && parse_since("2026-11-21 08:00:00").is_ok()
        );
        for wrong in ["", "yesterday", "10", "2026-13-01T00:00", "99999999y"] {
            assert!(parse_since(wrong).is_err(), "{wrong}");
        }
    }

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
