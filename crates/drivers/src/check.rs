//! The checks of the Test phase: asking a candidate, through the proxy, before anyone is switched to it.

use std::net::SocketAddr;
use std::path::PathBuf;

use gapless_model::{Check, CheckKind, ReleaseLabel};
use gapless_probe::{BODY_BYTES_MAX, CommandOrder, Get, get, run_command};

use crate::process::of_machine;

/// The header that reaches a release before it has any weight.
pub const PREVIEW_HEADER: &str = "X-Gapless-Preview";

/// Where a candidate is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckTarget {
    /// A listener of the proxy.
    pub proxy: SocketAddr,
    /// The `Host` that routes to the service; the listener's address where any host does.
    pub host: Option<String>,
    /// The path prefix of the service's route, put before each path; empty or without a slash at its end.
    pub prefix: String,
    /// The release.
    pub preview: ReleaseLabel,
    /// The value of the preview header that reaches it.
    pub preview_header: String,
    /// The working folder of commands: the release's own.
    pub folder: PathBuf,
}

/// A check that did not pass.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("check {name:?} failed: {reason}")]
pub struct CheckFailed {
    /// The check's name.
    pub name: String,
    /// Why, for people.
    pub reason: String,
}

/// Runs one check to its end or its timeout.
///
/// # Errors
/// [`CheckFailed`] says why it did not pass.
pub async fn run(check: &Check, target: &CheckTarget) -> Result<(), CheckFailed> {
    let run = async {
        match &check.kind {
            CheckKind::Command { argv } => run_command(&command(argv, target)).await,
            CheckKind::Http { path, expect, contains } => {
                let order = Get {
                    address: target.proxy,
                    host: host(target),
                    path: format!("{}{path}", target.prefix.trim_end_matches('/')),
                    headers: preview_lines(target),
                    body_bytes_max: if contains.is_some() { BODY_BYTES_MAX } else { 0 },
                };
                let response = get(&order).await.map_err(|error| error.to_string())?;
                if !expect.holds(response.status) {
                    return Err(format!("{} answered with status {}", order.path, response.status));
                }
                match contains {
                    Some(text) if memchr::memmem::find(&response.body, text.as_bytes()).is_none() => {
                        Err(format!("the body of {} does not hold {text:?}", order.path))
                    }
                    _ => Ok(()),
                }
            }
        }
    };
    let ended = tokio::time::timeout(check.timeout.to_duration(), run).await;
    ended
        .unwrap_or_else(|_| Err(format!("it took longer than {}", check.timeout)))
        .map_err(|reason| CheckFailed { name: check.name.clone(), reason })
}

/// A proxy of before there were tokens looks at the first line alone and knows labels alone.
fn preview_lines(target: &CheckTarget) -> Vec<(String, String)> {
    [target.preview.to_string(), target.preview_header.clone()].map(|value| (PREVIEW_HEADER.to_owned(), value)).into()
}

fn host(target: &CheckTarget) -> String {
    target.host.clone().unwrap_or_else(|| target.proxy.to_string())
}

fn command(argv: &[String], target: &CheckTarget) -> CommandOrder {
    let url = format!("http://{}{}", target.proxy, target.prefix.trim_end_matches('/'));
    let mut environment = of_machine();
    environment.extend([
        ("GAPLESS_URL".to_owned(), url),
        ("GAPLESS_HOST".to_owned(), host(target)),
        ("GAPLESS_PREVIEW".to_owned(), target.preview_header.clone()),
    ]);
    let replaced = argv.iter().map(|text| text.replace("{release}", target.preview.as_str())).collect();
    CommandOrder { argv: replaced, environment, folder: Some(target.folder.clone()), user: None }
}
