//! Telling people what happened, though they ask for nothing: `[[notify]]`.
//!
//! One task for each receiver. It follows the services' events as anybody does, so nothing waits for it, and what is not delivered yet is bounded by
//! what is kept of them; the controller never knows whether somebody listens. A notice may come twice where a receiver was slow to answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gapless_probe::{CommandOrder, run_command};
use gapless_wire::api::ServiceEvent;
use gapless_wire::config::{NotifyConfig, NotifyFormat, NotifyTarget};
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use sha2::Sha256;
use tokio::net::TcpStream;

use crate::happened::{Seen, all_seen, newer};
use crate::shared::Shared;

/// Waits before a notice is tried again; after the last it is given up.
const RETRIES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];
/// Notices that may wait for a receiver: behind an outage of it the newest are told, and how many were not.
const WAITING_MAX: usize = 100;
/// The largest file that holds a secret, in bytes.
const SECRET_BYTES_MAX: u64 = 4_096;

/// Begins to tell every receiver what happens from now on.
pub fn start(shared: &Arc<Shared>, receivers: &[NotifyConfig]) {
    let seen = all_seen(shared);
    for receiver in receivers {
        tokio::spawn(tell(Arc::clone(shared), receiver.clone(), seen.clone()));
    }
}

async fn tell(shared: Arc<Shared>, receiver: NotifyConfig, mut seen: Seen) {
    let mut changed = shared.changed.subscribe();
    loop {
        let mut notices = newer(&shared, None, &mut seen);
        notices.retain(ServiceEvent::is_notice);
        let over = notices.len().saturating_sub(WAITING_MAX);
        if over > 0 {
            tracing::warn!(receiver = %receiver.target, over, "notices were passed over");
        }
        for notice in &notices[over..] {
            deliver(&receiver, notice).await;
        }
        tokio::select! {
            changed = changed.changed() => if changed.is_err() { return },
            () = shared.ended() => return,
        }
    }
}

/// Delivers one notice, or gives it up and says so.
async fn deliver(receiver: &NotifyConfig, notice: &ServiceEvent) {
    let mut waits = RETRIES.iter();
    loop {
        let sent = tokio::time::timeout(receiver.timeout.to_duration(), send(receiver, notice)).await;
        let reason = match sent {
            Ok(Ok(())) => return,
            Ok(Err(reason)) => reason,
            Err(_) => format!("no answer within {}", receiver.timeout),
        };
        match waits.next() {
            Some(wait) => tokio::time::sleep(*wait).await,
            None => {
                tracing::warn!(receiver = %receiver.target, notice = notice.text, reason, "a notice could not be delivered");
                return;
            }
        }
    }
}

async fn send(receiver: &NotifyConfig, notice: &ServiceEvent) -> Result<(), String> {
    let body = body(receiver.format, notice);
    let signature = match &receiver.secret_file {
        Some(path) => Some(sign(&secret(path).await?, body.as_bytes())),
        None => None,
    };
    match &receiver.target {
        NotifyTarget::Webhook { authority, path } => post(authority, path, body, signature).await,
        NotifyTarget::Command(argv) => run(argv, notice, body, signature).await,
    }
}

/// What a receiver is sent.
fn body(format: NotifyFormat, notice: &ServiceEvent) -> String {
    match format {
        NotifyFormat::Json => serde_json::to_string(notice).expect("BUG: an event is always JSON"),
        NotifyFormat::Slack => {
            let rollout = notice.rollout.map(|rollout| format!(", rollout {rollout}")).unwrap_or_default();
            serde_json::json!({ "text": format!("{}{rollout}: {}", notice.service, notice.text) }).to_string()
        }
    }
}

async fn secret(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("the secret in `{}` cannot be read: {error}", path.display());
    if tokio::fs::metadata(path).await.map_err(failed)?.len() > SECRET_BYTES_MAX {
        return Err(format!("the secret in `{}` is larger than {SECRET_BYTES_MAX} bytes", path.display()));
    }
    let mut secret = tokio::fs::read(path).await.map_err(failed)?;
    // An editor's last newline is no part of it.
    while secret.last().is_some_and(u8::is_ascii_whitespace) {
        secret.pop();
    }
    if secret.is_empty() {
        return Err(format!("the secret in `{}` is empty", path.display()));
    }
    Ok(secret)
}

/// `sha256=` and the HMAC (RFC 2104) of a body, in hexadecimal digits.
fn sign(secret: &[u8], body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("BUG: HMAC takes keys of every length");
    mac.update(body);
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

async fn post(authority: &str, path: &str, body: String, signature: Option<String>) -> Result<(), String> {
    let address = if authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let stream = TcpStream::connect(&address).await.map_err(|error| format!("cannot connect: {error}"))?;
    let broken = |error: hyper::Error| format!("the connection broke: {error}");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let connection = tokio::spawn(connection);
    let mut request = Request::post(path)
        .header("host", authority)
        .header("user-agent", "gapless")
        .header("connection", "close")
        .header("content-type", "application/json");
    if let Some(signature) = signature {
        request = request.header("x-gapless-signature", signature);
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(|error| format!("cannot be sent: {error}"))?;
    let answered = sender.send_request(request).await.map_err(broken);
    // Nobody reads the body.
    connection.abort();
    match answered?.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("it answered {status}")),
    }
}

async fn run(argv: &[String], notice: &ServiceEvent, body: String, signature: Option<String>) -> Result<(), String> {
    let own = ["PATH", "HOME", "LANG", "TZ"].into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?)));
    let told = [
        ("GAPLESS_NOTICE", body),
        ("GAPLESS_SERVICE", notice.service.clone()),
        ("GAPLESS_ACTION", notice.action.clone()),
        ("GAPLESS_TEXT", notice.text.clone()),
    ];
    let signed = signature.map(|signature| ("GAPLESS_SIGNATURE", signature));
    let environment: BTreeMap<String, String> =
        own.chain(told).chain(signed).map(|(name, value)| (name.to_owned(), value)).collect();
    run_command(&CommandOrder { argv: argv.to_vec(), environment, folder: None, user: None }).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_signed_as_rfc_4231_has_it() {
        assert_eq!(
            sign(b"Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn what_is_sent_is_the_event_or_what_slack_takes() {
        let notice = ServiceEvent {
            seq: 1,
            at: String::new(),
            at_ms: 0,
            service: "shop".to_owned(),
            rollout: Some(7),
            action: "ended".to_owned(),
            instance: None,
            text: "rolled back: \"x\"".to_owned(),
        };
        assert_eq!(body(NotifyFormat::Slack, &notice), r#"{"text":"shop, rollout 7: rolled back: \"x\""}"#);
        let read: ServiceEvent = serde_json::from_str(&body(NotifyFormat::Json, &notice)).unwrap();
        assert_eq!(read, notice);
    }
}
