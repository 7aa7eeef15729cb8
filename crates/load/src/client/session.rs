//! One WebSocket session: messages on a schedule, each awaited as an echo.

use std::time::Duration;

use tokio::time::Instant;

use super::pool::connect;
use super::schedule::{Context, Due};
use crate::http::{Broken, Peer};
use crate::ledger::Fate;
use crate::plan::Stream;
use crate::websocket::{self, Frame, Side};
use crate::{ID_HEADER, REASON_HEADER, RELEASE_HEADER};

/// Any sixteen bytes do (RFC 6455 §4.1); the one of the RFC's example.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// How a session that was opened ended.
enum End {
    ByUs,
    ByPeer(u16),
    Cut,
    Wrong(String),
}

/// Runs a session and enters it as one request: answered 101 if it ended in due form, whoever ended it.
pub(super) async fn run(context: &Context, stream: &Stream, due: Vec<Due>, every: Duration, lifetime: Duration) {
    for due in due {
        let sent = Instant::now();
        let opening = tokio::time::timeout(context.plan.timeout, open(context, stream, &due.id)).await;
        let (mut peer, release) = match opening.unwrap_or(Err(Fate::TimedOut)) {
            Ok(opened) => opened,
            Err(fate) => {
                context.enter(due.id, stream.kind, due.at, sent, fate);
                continue;
            }
        };
        let opened = Instant::now();
        context.shared.with(|ledger| ledger.sums_mut().websockets.opened += 1);
        let end = talk(context, &mut peer, &due.id, every, opened + lifetime).await;
        let fate = close(context, end, opened.elapsed(), release);
        context.enter(due.id, stream.kind, due.at, sent, fate);
    }
}

/// The handshake.
async fn open(context: &Context, stream: &Stream, id: &str) -> Result<(Peer, Option<String>), Fate> {
    let ended = |broken| match broken {
        Broken::Ended { began: false } => Fate::Reset,
        Broken::Ended { began: true } => Fate::Cut,
        Broken::Malformed(why) => Fate::Wrong { why },
    };
    let mut peer = connect(context).await?;
    let (path, host) = (&stream.path, &context.plan.host);
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\n{ID_HEADER}: {id}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n"
    );
    peer.write(request.as_bytes()).await.map_err(ended)?;
    let head = peer.answer_head().await.map_err(ended)?;
    let release = head.header(RELEASE_HEADER).map(str::to_owned);
    if head.status != 101 {
        let reason = head.header(REASON_HEADER).map(str::to_owned);
        return Err(Fate::Answered { status: head.status, release, reason });
    }
    if head.header("sec-websocket-accept") != Some(websocket::accept(KEY).as_str()) {
        return Err(Fate::Wrong { why: "Sec-WebSocket-Accept differs".into() });
    }
    Ok((peer, release))
}

/// Sends and awaits echoes until the session's time is over or the other side ends it.
async fn talk(context: &Context, peer: &mut Peer, id: &str, every: Duration, until: Instant) -> End {
    for number in 0_u64.. {
        if Instant::now() >= until || context.shared.is_stopped() {
            let _ = peer.write(&websocket::encode(&Frame::Close(1000), Side::Client)).await;
            return End::ByUs;
        }
        let message = format!("{id}:{number}").into_bytes();
        if peer.write(&websocket::encode(&Frame::Text(message.clone()), Side::Client)).await.is_err() {
            return last_word(context, peer).await;
        }
        context.shared.with(|ledger| ledger.sums_mut().websockets.sent += 1);
        match tokio::time::timeout(context.plan.timeout, echo(peer, &message)).await {
            Ok(None) => context.shared.with(|ledger| ledger.sums_mut().websockets.echoed += 1),
            Ok(Some(end)) => return end,
            Err(_) => return End::Wrong("no echo in time".into()),
        }
        if let Some(end) = rest(peer, (Instant::now() + every).min(until)).await {
            return end;
        }
    }
    End::ByUs
}

/// Waits for the time of the next message; the other side may end the session meanwhile.
async fn rest(peer: &mut Peer, until: Instant) -> Option<End> {
    loop {
        let readable = tokio::time::timeout_at(until, peer.socket.readable()).await;
        if !peer.has_leftover() && readable.is_err() {
            return None;
        }
        match frame(peer).await {
            Ok(Frame::Text(text)) => return Some(End::Wrong(format!("{} bytes nobody sent", text.len()))),
            Ok(_) => {}
            Err(end) => return Some(end),
        }
    }
}

/// The next frame; pings are answered, a Close is an end.
async fn frame(peer: &mut Peer) -> Result<Frame, End> {
    match websocket::read(peer).await {
        Ok(Frame::Ping(data)) => {
            let _ = peer.write(&websocket::encode(&Frame::Pong(data.clone()), Side::Client)).await;
            Ok(Frame::Ping(data))
        }
        Ok(Frame::Close(code)) => {
            let _ = peer.write(&websocket::encode(&Frame::Close(code), Side::Client)).await;
            Err(End::ByPeer(code))
        }
        Ok(frame) => Ok(frame),
        Err(Broken::Ended { .. }) => Err(End::Cut),
        Err(Broken::Malformed(why)) => Err(End::Wrong(why)),
    }
}

/// Reads up to the echo of `message`; none when it came, else how the session ended.
async fn echo(peer: &mut Peer, message: &[u8]) -> Option<End> {
    loop {
        match frame(peer).await {
            Ok(Frame::Text(text)) if text == message => return None,
            Ok(Frame::Text(text)) => return Some(End::Wrong(format!("an echo of {} bytes differs", text.len()))),
            Ok(_) => {}
            Err(end) => return Some(end),
        }
    }
}

/// What the other side still says once it has stopped listening.
async fn last_word(context: &Context, peer: &mut Peer) -> End {
    loop {
        match tokio::time::timeout(context.plan.timeout, frame(peer)).await {
            Ok(Ok(_)) => {}
            Ok(Err(end)) => return end,
            Err(_) => return End::Cut,
        }
    }
}

/// Counts the end and says what it is as a fate.
fn close(context: &Context, end: End, lived: Duration, release: Option<String>) -> Fate {
    context.shared.with(|ledger| {
        let sums = &mut ledger.sums_mut().websockets;
        let lived_ms = u64::try_from(lived.as_millis()).unwrap_or(u64::MAX);
        match &end {
            End::ByUs => sums.closed_by_us += 1,
            End::ByPeer(code) => *sums.closed_by_peer.entry(*code).or_default() += 1,
            End::Cut => sums.cut += 1,
            End::Wrong(_) => {}
        }
        if !matches!(end, End::ByUs) {
            sums.longest_ended_ms = sums.longest_ended_ms.max(lived_ms);
        }
        match end {
            End::ByUs | End::ByPeer(_) => Fate::Answered { status: 101, release, reason: None },
            End::Cut => Fate::Cut,
            End::Wrong(why) => Fate::Wrong { why },
        }
    })
}
