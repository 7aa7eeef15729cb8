//! The controller's API over its Unix socket: one connection per request, HTTP/1.1, JSON.

use std::future::Future;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use gapless_wire::api::ErrorBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::{Context, Exit, Failure, hint};

/// How long the controller may take to take a connection: it is on this machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer that is read whole, in bytes: a status of a thousand instances is far below.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest line of a stream, in bytes: a log line is bounded below that where it is written.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// What talks to the controller.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// Runs a verb's conversation with the controller to its end.
///
/// # Errors
/// What the conversation failed with, or that the machine has no resources for one.
pub fn block_on<T>(conversation: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("cannot start a runtime").because(&error))?
        .block_on(conversation)
}

impl Client {
    /// A client of the controller whose state is there.
    #[must_use]
    pub fn new(context: &Context) -> Client {
        Client { socket: context.state.api_socket() }
    }

    /// A client of the controller behind a socket.
    #[must_use]
    pub fn at(socket: &Path) -> Client {
        Client { socket: socket.to_path_buf() }
    }

    /// Asks for something.
    ///
    /// # Errors
    /// The controller does not answer, refuses, or answers what this program does not understand.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let response = self.send(Method::GET, path, Bytes::new()).await?;
        answer(path, response).await
    }

    /// Gives an order.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| Failure::new("cannot write the order").because(&error))?;
        let response = self.send(Method::POST, path, body.into()).await?;
        answer(path, response).await
    }

    /// Gives an order whose acceptance says nothing more.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn order(&self, path: &str) -> Result<(), Failure> {
        let response = self.send(Method::POST, path, Bytes::new()).await?;
        if response.status().is_success() { Ok(()) } else { Err(refusal(path, response).await) }
    }

    /// Follows a stream of JSON lines until it ends or `each` breaks; gives what it broke with.
    ///
    /// # Errors
    /// As [`Client::get`], and when the stream is cut.
    pub async fn lines<T: DeserializeOwned, B>(
        &self,
        path: &str,
        mut each: impl FnMut(T) -> ControlFlow<B>,
    ) -> Result<Option<B>, Failure> {
        let response = self.send(Method::GET, path, Bytes::new()).await?;
        if !response.status().is_success() {
            return Err(refusal(path, response).await);
        }
        let mut body = response.into_body();
        let mut pending: Vec<u8> = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| cut(path).because(&error))?;
            let Ok(data) = frame.into_data() else { continue };
            pending.extend_from_slice(&data);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                let value = serde_json::from_slice(&line).map_err(|error| misunderstood(path).because(&error))?;
                if let ControlFlow::Break(end) = each(value) {
                    return Ok(Some(end));
                }
            }
            if pending.len() > LINE_BYTES_MAX {
                return Err(misunderstood(path));
            }
        }
        Ok(None)
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>, Failure> {
        let stream = match tokio::time::timeout(CONNECT_TIMEOUT, UnixStream::connect(&self.socket)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.unreachable(&error)),
            Err(elapsed) => return Err(self.unreachable(&std::io::Error::new(std::io::ErrorKind::TimedOut, elapsed))),
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| cut(path).because(&error))?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "gapless")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| Failure::new(format!("cannot ask for `{path}`")).because(&error))?;
        sender.send_request(request).await.map_err(|error| cut(path).because(&error))
    }

    fn unreachable(&self, error: &std::io::Error) -> Failure {
        let mut failure = Failure::new(format!("the controller does not answer at `{}`", self.socket.display()));
        // Unknown, or deleted under a controller: that a socket is missing would send people to look for a controller that is not at fault.
        let no_folder = self.socket.parent().filter(|folder| matches!(folder.try_exists(), Ok(false)));
        match no_folder {
            Some(folder) => failure.caused_by.push(format!("there is no state folder `{}`", folder.display())),
            None => failure = failure.because(error),
        }
        let hint = match error.kind() {
            std::io::ErrorKind::PermissionDenied => hint::BE_CONTROLLER_USER,
            _ => hint::START_CONTROLLER,
        };
        Failure { unreachable: true, ..failure.hint(hint) }
    }
}

/// The connection ended before the answer did: the controller went away.
fn cut(path: &str) -> Failure {
    let failure = Failure::new(format!("the controller went away in the middle of `{path}`"));
    Failure { unreachable: true, ..failure.hint(hint::LOOK_AT_CONTROLLER) }
}

fn misunderstood(path: &str) -> Failure {
    Failure::new(format!("the controller's answer to `{path}` is not understood")).hint(hint::SAME_VERSION)
}

async fn answer<T: DeserializeOwned>(path: &str, response: Response<Incoming>) -> Result<T, Failure> {
    if !response.status().is_success() {
        return Err(refusal(path, response).await);
    }
    let body = whole(path, response).await?;
    serde_json::from_slice(&body).map_err(|error| misunderstood(path).because(&error))
}

async fn whole(path: &str, response: Response<Incoming>) -> Result<Bytes, Failure> {
    let limited = http_body_util::Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    let collected = limited.collect().await.map_err(|error| cut(path).because(&*error))?;
    Ok(collected.to_bytes())
}

async fn refusal(path: &str, response: Response<Incoming>) -> Failure {
    let status = response.status();
    match whole(path, response).await {
        Ok(body) => match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(body) => Failure::from(body),
            Err(_) if status == StatusCode::NOT_FOUND => {
                Failure::new(format!("the controller knows no `{path}`")).hint(hint::SAME_VERSION)
            }
            Err(_) => Failure::new(format!("the controller answered `{path}` with {status}")),
        },
        Err(failure) => failure,
    }
}

impl From<ErrorBody> for Failure {
    fn from(body: ErrorBody) -> Failure {
        Failure {
            what: body.error,
            caused_by: body.caused_by,
            hint: body.hint,
            exit: if body.code.is_refusal() { Exit::Refused } else { Exit::Error },
            also: body.also.into_iter().map(Failure::from).collect(),
            unreachable: body.code == gapless_wire::api::ErrorCode::NotActing,
        }
    }
}

/// A text as one part of a path or query (RFC 3986 §2.1).
#[must_use]
pub fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_label_is_escaped_in_a_path() {
        assert_eq!(escaped("1.4.0+build 7/ä"), "1.4.0%2Bbuild%207%2F%C3%A4");
    }
}
