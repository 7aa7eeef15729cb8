//! `[[notify]]`: who is told what happens.

use std::fmt;
use std::path::PathBuf;

use gapless_model::Millis;

use super::error::Fault;
use super::read::Group;

/// A receiver of notices.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotifyConfig {
    /// Where to.
    pub target: NotifyTarget,
    /// In which form.
    pub format: NotifyFormat,
    /// The file with the secret by which notices are signed.
    pub secret_file: Option<PathBuf>,
    /// How long it may take for one notice.
    pub timeout: Millis,
}

/// Where notices go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotifyTarget {
    /// A POST over HTTP.
    Webhook {
        /// Host, with a port where one is written.
        authority: String,
        /// Path and query, beginning with `/`.
        path: String,
    },
    /// A program and its arguments, run for each notice.
    Command(Vec<String>),
}

/// The form of a notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotifyFormat {
    /// The event itself.
    Json,
    /// An object with a `text`.
    Slack,
}

/// The receiver without what may be secret in it: a webhook's path often is.
impl fmt::Display for NotifyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotifyTarget::Webhook { authority, .. } => write!(f, "http://{authority}"),
            NotifyTarget::Command(argv) => f.write_str(argv.first().map_or("", String::as_str)),
        }
    }
}

/// Reads one receiver.
pub(super) fn receiver_of(group: &Group, faults: &mut Vec<Fault>) -> Option<NotifyConfig> {
    let target = match (group.text("url"), group.texts("command")) {
        (Some(url), None) => webhook(&url).map_err(|fault| faults.push(fault.at(group.at("url")))).ok()?,
        (None, Some(argv)) => NotifyTarget::Command(argv),
        (url, _) => {
            let how = if url.is_some() { "both `url` and `command`" } else { "neither `url` nor `command`" };
            faults.push(Fault::new(format!("[[notify]] has {how}")).at(group.at("url")).hint("write one of them"));
            return None;
        }
    };
    let format = if group.word("format") == Some("slack") { NotifyFormat::Slack } else { NotifyFormat::Json };
    Some(NotifyConfig { target, format, secret_file: group.path("secret_file"), timeout: group.duration("timeout")? })
}

fn webhook(url: &str) -> Result<NotifyTarget, Fault> {
    if url.starts_with("https://") {
        let fault = Fault::new("`notify.url` is https, which the controller does not speak");
        return Err(
            fault.hint("write command = [\"sh\", \"-c\", \"curl -sf --json \\\"$GAPLESS_NOTICE\\\" https://...\"]")
        );
    }
    let wrong = || {
        Fault::new(format!("`notify.url` is no address of a webhook: {url:?}")).hint("write \"http://host:port/path\"")
    };
    let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if authority.is_empty() || authority.contains(['@', '?', '#']) || !is_plain(authority) || !is_plain(path) {
        return Err(wrong());
    }
    Ok(NotifyTarget::Webhook { authority: authority.to_owned(), path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::super::server::parse_server_config;
    use super::*;

    fn receivers(text: &str) -> Result<Vec<NotifyConfig>, String> {
        let read = parse_server_config(text, "gapless-server.toml");
        read.map(|config| config.notify).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_receiver_is_a_webhook_or_a_command() {
        let read = receivers(
            "[[notify]]\nurl = \"http://hooks:9000/a?b=c\"\nformat = \"slack\"\n[[notify]]\ncommand = [\"tell\"]\n",
        )
        .unwrap();
        let webhook = NotifyTarget::Webhook { authority: "hooks:9000".to_owned(), path: "/a?b=c".to_owned() };
        assert_eq!((&read[0].target, read[0].format, read[0].timeout), (&webhook, NotifyFormat::Slack, Millis(10_000)));
        assert_eq!(
            (&read[1].target, read[1].format),
            (&NotifyTarget::Command(vec!["tell".to_owned()]), NotifyFormat::Json)
        );
        assert_eq!(read[0].target.to_string(), "http://hooks:9000", "the path of a webhook is a secret");
    }

    #[test]
    fn what_is_no_receiver_is_refused_with_what_to_write() {
        for (text, told) in [
            ("[[notify]]\n", "neither `url` nor `command`"),
            ("[[notify]]\nurl = \"http://a/\"\ncommand = [\"b\"]\n", "both `url` and `command`"),
            ("[[notify]]\nurl = \"https://hooks.slack.com/x\"\n", "curl"),
            ("[[notify]]\nurl = \"ftp://a/\"\n", "no address of a webhook"),
            ("[[notify]]\nurl = \"http://user@a/\"\n", "no address of a webhook"),
        ] {
            let refused = receivers(text).unwrap_err();
            assert!(refused.contains(told), "{text}: {refused}");
        }
    }
}
