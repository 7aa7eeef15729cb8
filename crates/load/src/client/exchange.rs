//! One request and its answer, or a pipelined batch of them.

use std::cell::Cell;

use tokio::time::Instant;

use super::pool::{Lent, Pool};
use super::schedule::{Context, Due};
use crate::http::{Broken, Framing, Head, Pace, Peer};
use crate::ledger::Fate;
use crate::plan::{Kind, Reuse, Stream};
use crate::{ID_HEADER, REASON_HEADER, RELEASE_HEADER};

/// Pieces in which a slow body is sent or read.
const SLOW_PIECES: usize = 50;
/// Sizes of chunks, in turn: unequal, so that no boundary falls where a buffer's does.
const CHUNKS: [usize; 4] = [1, 700, 4_093, 16_381];

/// How far a try came; kept outside it, so that a timeout that cancels it does not forget what was entered.
struct Progress {
    /// Answers taken and entered.
    done: Cell<usize>,
    /// When the requests were written.
    sent: Cell<Instant>,
}

/// How a try ended.
enum Tried {
    /// Every request has its answer.
    Whole,
    /// The last answer announced the close: what is behind it was not executed.
    Announced,
    /// Something else, and the fate of the first request without an answer.
    Failed(Fate),
}

/// Sends the due requests (one, or a pipelined batch) and enters what became of each.
pub(super) async fn run(context: &Context, pool: &Pool, stream: &Stream, due: Vec<Due>) {
    let mut left = due;
    let deadline = context.plan.timeout + stream.kind.own_slowness();
    let mut repeats_left = 1;
    while !left.is_empty() {
        let progress = Progress { done: Cell::new(0), sent: Cell::new(Instant::now()) };
        let tried = tokio::time::timeout(deadline, attempt(context, pool, stream, &left, &progress)).await;
        left.drain(..progress.done.get());
        let fate = match tried.unwrap_or(Tried::Failed(Fate::TimedOut)) {
            Tried::Whole => return,
            Tried::Announced => {
                context.shared.with(|ledger| ledger.sums_mut().repeated += left.len() as u64);
                continue;
            }
            Tried::Failed(fate) => fate,
        };
        if fate == Fate::ClosedUnanswered && repeats_left > 0 && may_repeat(context, stream.kind) {
            repeats_left -= 1;
            context.shared.with(|ledger| ledger.sums_mut().repeated += left.len() as u64);
            continue;
        }
        for due in left.drain(..) {
            context.enter(due.id, stream.kind, due.at, progress.sent.get(), fate.clone());
        }
    }
}

fn may_repeat(context: &Context, kind: Kind) -> bool {
    let idempotent = match kind {
        Kind::Get | Kind::SlowDownload { .. } | Kind::Pipeline { .. } => true,
        Kind::Post { .. } | Kind::PostChunked { .. } | Kind::SlowUpload { .. } | Kind::WebSocket { .. } => false,
    };
    idempotent && context.plan.reuse == Reuse::RepeatIdempotent
}

/// One try on one connection. Answers are entered as they come.
async fn attempt(context: &Context, pool: &Pool, stream: &Stream, due: &[Due], progress: &Progress) -> Tried {
    let mut lent = match pool.lend().await {
        Ok(lent) => lent,
        Err(fate) => return Tried::Failed(fate),
    };
    progress.sent.set(Instant::now());
    // A broken write is not the end: the answer may already be here (a refusal that came before the body was sent).
    let written = send(context, &mut lent.peer, stream, due, pool.keeps()).await;
    for one in due {
        let (head, body) = match answer(&mut lent.peer, stream.kind).await {
            Ok(answer) => answer,
            Err(broken) => return Tried::Failed(unanswered(broken, &lent, progress.done.get())),
        };
        let fate = judge(&head, &body, stream.kind, &one.id);
        context.enter(one.id.clone(), stream.kind, one.at, progress.sent.get(), fate);
        progress.done.set(progress.done.get() + 1);
        if head.closes() {
            return Tried::Announced;
        }
    }
    if written.is_ok() && !lent.peer.has_leftover() {
        lent.keep();
    }
    Tried::Whole
}

/// The fate of the first request without an answer.
fn unanswered(broken: Broken, lent: &Lent<'_>, answered_here: usize) -> Fate {
    match broken {
        Broken::Malformed(why) => Fate::Wrong { why },
        Broken::Ended { began: true } => Fate::Cut,
        Broken::Ended { began: false } if lent.served_before || answered_here > 0 => Fate::ClosedUnanswered,
        Broken::Ended { began: false } => Fate::Reset,
    }
}

/// Writes the requests: heads and bodies, slow ones in pieces.
async fn send(context: &Context, peer: &mut Peer, stream: &Stream, due: &[Due], keep: bool) -> Result<(), Broken> {
    let host = &context.plan.host;
    let close = if keep { "" } else { "connection: close\r\n" };
    let mut bytes = Vec::new();
    for (number, one) in due.iter().enumerate() {
        let last = number + 1 == due.len();
        let (id, close) = (&one.id, if last { close } else { "" });
        let (method, framing, query) = match stream.kind {
            Kind::Get | Kind::Pipeline { .. } | Kind::WebSocket { .. } => ("GET", String::new(), String::new()),
            Kind::SlowDownload { bytes, .. } => ("GET", String::new(), format!("&bytes={bytes}")),
            Kind::Post { bytes } | Kind::SlowUpload { bytes, .. } => {
                ("POST", format!("content-length: {bytes}\r\n"), String::new())
            }
            Kind::PostChunked { .. } => ("POST", "transfer-encoding: chunked\r\n".into(), String::new()),
        };
        let key = match method {
            "POST" if context.plan.idempotency_keys => format!("idempotency-key: {id}\r\n"),
            _ => String::new(),
        };
        let path = &stream.path;
        let mark = if path.contains('?') { '&' } else { '?' };
        bytes.extend_from_slice(
            format!(
                "{method} {path}{mark}id={id}{query} HTTP/1.1\r\nhost: {host}\r\n{ID_HEADER}: {id}\r\n{key}{framing}{close}\r\n"
            )
            .as_bytes(),
        );
    }
    let body = |length| due.first().map(|one| body_of(&one.id, length)).unwrap_or_default();
    match stream.kind {
        Kind::Get | Kind::Pipeline { .. } | Kind::SlowDownload { .. } | Kind::WebSocket { .. } => {
            peer.write(&bytes).await
        }
        Kind::Post { bytes: length } => {
            bytes.extend(body(length));
            peer.write(&bytes).await
        }
        Kind::PostChunked { bytes: length } => {
            bytes.extend(chunked(&body(length)));
            peer.write(&bytes).await
        }
        Kind::SlowUpload { bytes: length, over } => {
            peer.write(&bytes).await?;
            // By a schedule, as downloads: who wakes late catches up.
            let begun = Instant::now();
            for (piece, number) in body(length).chunks(length.div_ceil(SLOW_PIECES).max(1)).zip(1_u32..) {
                tokio::time::sleep_until(begun + over * number / SLOW_PIECES as u32).await;
                peer.write(piece).await?;
            }
            Ok(())
        }
    }
}

/// A body that differs from request to request and from place to place, so that a doubled or missing piece shows in the echo.
fn body_of(id: &str, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 32);
    let mut number = 0_u64;
    while bytes.len() < length {
        bytes.extend_from_slice(format!("{id}:{number};").as_bytes());
        number += 1;
    }
    bytes.truncate(length);
    bytes
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = body;
    for size in CHUNKS.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, behind) = rest.split_at((*size).min(rest.len()));
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        rest = behind;
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// Reads one whole answer.
async fn answer(peer: &mut Peer, kind: Kind) -> Result<(Head, Vec<u8>), Broken> {
    let head = peer.answer_head().await?;
    let framing = head.framing(false)?;
    let pace = match kind {
        Kind::SlowDownload { bytes, over } => {
            Some(Pace { bytes, over, piece: bytes.div_ceil(SLOW_PIECES).clamp(1, 16 * 1024) })
        }
        _ => None,
    };
    let body = peer.body(framing, pace).await?;
    if framing == Framing::UntilClose && body.is_empty() {
        return Err(Broken::Ended { began: true });
    }
    Ok((head, body))
}

/// Whether the answer is the one to our request.
fn judge(head: &Head, body: &[u8], kind: Kind, id: &str) -> Fate {
    let wrong = |why: String| Fate::Wrong { why };
    if let Some(other) = head.header(ID_HEADER)
        && other != id
    {
        return wrong(format!("the answer to {other}"));
    }
    if head.status < 300 {
        let echo_of = match kind {
            Kind::Post { bytes } | Kind::PostChunked { bytes } | Kind::SlowUpload { bytes, .. } => Some(bytes),
            Kind::Get | Kind::Pipeline { .. } | Kind::SlowDownload { .. } | Kind::WebSocket { .. } => None,
        };
        if echo_of.is_some_and(|length| body != body_of(id, length)) {
            return wrong(format!("the echo of {} bytes differs", body.len()));
        }
        if let Kind::SlowDownload { bytes, .. } = kind
            && body.len() != bytes
        {
            return wrong(format!("{} bytes instead of {bytes}", body.len()));
        }
    }
    let release = head.header(RELEASE_HEADER).map(str::to_owned);
    let reason = head.header(REASON_HEADER).map(str::to_owned);
    Fate::Answered { status: head.status, release, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_differ_in_every_place_and_chunks_hold_them_whole() {
        let body = body_of("r-get0-1", 10_000);
        assert_eq!(body.len(), 10_000);
        assert_ne!(body[..100], body[100..200]);
        let text = chunked(&body);
        assert!(text.starts_with(b"1\r\nr\r\n2bc\r\n"), "{:?}", String::from_utf8_lossy(&text[..20]));
        assert!(text.ends_with(b"\r\n0\r\n\r\n"));
    }
}
