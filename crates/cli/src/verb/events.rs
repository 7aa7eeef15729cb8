//! `gapless events`: what happened to the services, in rollouts and outside of them.

use gapless_wire::api::ServiceEvent;
use gapless_wire::config::parse_duration;

use crate::client::escaped;
use crate::show::style::{Paint, Style};
use crate::{Context, Exit, Failure, follow};

/// What `gapless events` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The service [default: all of them]
    pub service: Option<String>,
    /// Go on with what happens from now on
    #[arg(short, long)]
    pub follow: bool,
    /// Only what happened so long ago at most, such as 90s, 2h or 1d
    #[arg(long, value_name = "TIME", value_parser = age)]
    pub since: Option<u64>,
    /// So many of the past at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub tail: u32,
}

/// A length of time, in milliseconds.
fn age(text: &str) -> Result<u64, String> {
    let length = parse_duration(text).ok_or("a time such as 90s, 2h or 1d is needed: each number has its unit")?;
    Ok(length.0)
}

/// Runs the verb.
///
/// # Errors
/// There is no such service, or the controller does not answer.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let service = args.service.as_deref().map(|name| format!("&service={}", escaped(name))).unwrap_or_default();
    let since = args.since.map(|age| format!("&age_ms={age}")).unwrap_or_default();
    let path = format!("/v1/events?tail={}&follow={}{service}{since}", args.tail, args.follow);
    let style = Style::of_stdout();
    follow::lines(context, &path, |event: ServiceEvent| match context.json {
        true => serde_json::to_string(&event).unwrap_or_default(),
        false => text(&event, style),
    })
}

/// `2026-11-21T08:00:00.250Z shop rollout 7: rolling from 1.0 to 1.1`
fn text(event: &ServiceEvent, style: Style) -> String {
    let head = style.paint(Paint::Faint, &event.at);
    let rollout = event.rollout.map(|rollout| format!(" rollout {rollout}:")).unwrap_or_default();
    let paint = match event.action.as_str() {
        "lost" | "unhealthy" | "not-ready" | "crash-loop" | "turned-back" | "drain-cut" => Paint::Bad,
        "ready" | "mended" => Paint::Good,
        _ => Paint::None,
    };
    format!("{head} {}{rollout} {}", event.service, style.paint(paint, &event.text))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use gapless_wire::api::ServiceEvent;

    use super::{Style, age, text};

    #[test]
    fn an_event_names_its_service_and_its_rollout() {
        let event = ServiceEvent {
            seq: 4,
            at: "2026-11-21T08:00:00.250Z".to_owned(),
            at_ms: 0,
            service: "shop".to_owned(),
            rollout: None,
            action: "lost".to_owned(),
            instance: Some("shop.r1.i3".to_owned()),
            text: "shop.r1.i3 is lost: exit code 1".to_owned(),
        };
        expect!["2026-11-21T08:00:00.250Z shop shop.r1.i3 is lost: exit code 1"].assert_eq(&text(&event, Style::Plain));
        let of_rollout = ServiceEvent { rollout: Some(7), text: "done, after 4s".to_owned(), ..event };
        expect!["2026-11-21T08:00:00.250Z shop rollout 7: done, after 4s"].assert_eq(&text(&of_rollout, Style::Plain));
    }

    #[test]
    fn a_time_has_its_unit() {
        assert_eq!((age("90s"), age("1h30m")), (Ok(90_000), Ok(5_400_000)));
        assert!(age("90").is_err() && age("soon").is_err());
    }
}
