//! Idle connections to one instance: which exchange may leave one behind, and which request may take it.
//!
//! On a connection that is out of step the next client gets an answer that was meant for somebody else, so nothing here is a guess
//! that may fail late. A connection enters with a [`Rest`], which only [`rest_after`] makes from how its exchange ended; it leaves as a
//! [`Candidate`], and carries a request as [`InStep`], which only [`Candidate::prove`] makes by looking at the socket itself. What
//! the event queue told is no proof: an edge that was told while the connection was busy is not told again.
//!
//! Looking is not enough where bytes may still be on their way: an application that does not read a body takes it for the next
//! request, one whose `Content-Length` is too short sends the rest a moment later. How long a connection must have been quiet before a
//! *different* client may have it follows from what its exchange was. What comes later still is judged when it is read, by
//! [`may_answer`]; what passes that too cannot be told from an answer by anybody who sees no more than bytes.

use gapless_http1::{Persistence, RequestContext};

use crate::data::io::slab::Key;
use crate::data::io::socket::Silence;
use crate::data::io::stream::Stream;

/// Quiet after an ordinary answer. Two writes of one handler are microseconds apart; a thread that waits for an interpreter's lock
/// in between, five milliseconds.
const QUIET_MS: u64 = 5;

/// Quiet after a request with a body: an instance that did not read it answers it as if it were a request, at once.
const QUIET_AFTER_BODY_MS: u64 = 250;

/// Connections that rest for longer than after an ordinary answer: more are closed rather than kept, for there are instances that
/// spend a thread on each.
const LONG_RESTS_MAX: usize = 64;

/// Bytes on an idle connection count against the instance only so soon after the answer: later ones are a server's word before it
/// closes an idle connection (some send a `408`), which belongs to no exchange.
const SURPLUS_WITHIN_MS: u64 = 1_000;

/// Whether the whole request was written when its answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestEnd {
    /// It was: what the instance read of it, it read before or after, but nothing of it is still to come.
    BeforeAnswers,
    /// Some of it was written later, and the instance may take that for another request.
    AfterAnswers,
}

/// What the instance was sent behind the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestBody {
    /// Nothing.
    None,
    /// A body, which it may or may not have read.
    Sent,
}

/// How an exchange ended, as far as it tells whether its connection is still in step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finished {
    /// Whether the instance keeps the connection, by its own word.
    pub(crate) persistence: Persistence,
    pub(crate) request_end: RequestEnd,
    pub(crate) request_body: RequestBody,
    pub(crate) context: RequestContext,
    pub(crate) status: u16,
    pub(crate) speaker: Speaker,
}

/// Whose requests come on a client connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    /// One client's, as far as is known.
    Client,
    /// Those of a trusted proxy's clients.
    Proxy,
}

/// Leave to wait for another request. Only [`rest_after`] gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rest {
    quiet_ms: u64,
    /// The same client may go on at once: what it might be given in error is its own.
    own: Own,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    AtOnce,
    AsOthers,
}

/// Whether a connection may carry another request after this exchange, and after how much quiet.
///
/// Never after `HEAD`, `204` and `304`: an application that sends a body all the same sends it at a time that is anybody's guess. Nor after an
/// error in answer to a body, which is when bodies are left unread.
pub(crate) fn rest_after(finished: &Finished) -> Option<Rest> {
    let Finished { persistence, request_end, request_body, context, status, speaker } = *finished;
    let unread = request_body == RequestBody::Sent && status >= 400;
    if persistence == Persistence::Close
        || request_end == RequestEnd::AfterAnswers
        || context == RequestContext::Head
        || matches!(status, 204 | 304)
        || unread
    {
        return None;
    }
    Some(match (request_body, speaker) {
        (RequestBody::Sent, _) => Rest { quiet_ms: QUIET_AFTER_BODY_MS, own: Own::AsOthers },
        (RequestBody::None, Speaker::Proxy) => Rest { quiet_ms: QUIET_MS, own: Own::AsOthers },
        (RequestBody::None, Speaker::Client) => Rest { quiet_ms: QUIET_MS, own: Own::AtOnce },
    })
}

/// How an answer begins, in whatever version (RFC 9112 §4).
pub(crate) const ANSWER_BEGINS: &[u8] = b"HTTP/";

/// How far a request had come on a connection that carried others before, when the first bytes came back on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reached {
    /// Bytes of its head.
    pub(crate) head: u64,
    /// Bytes of it that were written.
    pub(crate) written: u64,
    /// Those of them that the instance's system had acknowledged, asked for after the bytes were read; none where that is not known.
    pub(crate) acknowledged: Option<u64>,
}

/// Whether bytes that came first on a kept connection may be the answer to the request it carries. They are not when they came before the
/// instance can have known the whole head: whatever it sends after that carries the acknowledgement of it. Nor when they are no answer at all.
pub(crate) fn may_answer(first: &[u8], reached: Reached) -> bool {
    let length = first.len().min(ANSWER_BEGINS.len());
    first[..length] == ANSWER_BEGINS[..length]
        && reached.written >= reached.head
        && reached.acknowledged.is_none_or(|bytes| bytes >= reached.head)
}

/// A connection that rests.
#[derive(Debug)]
struct Resting {
    key: Key,
    rest: Rest,
    since_ms: u64,
    /// The client whose request it carried last.
    client: Key,
}

/// The idle connections to one instance, the one used last at the end. Some may be closed already.
#[derive(Debug, Default)]
pub(crate) struct IdleConnections {
    resting: Vec<Resting>,
}

impl IdleConnections {
    pub(crate) fn len(&self) -> usize {
        self.resting.len()
    }

    /// Whether another connection may rest here, of `most` in all.
    pub(crate) fn has_room(&self, rest: Rest, now_ms: u64, most: usize) -> bool {
        let long = |rest: Rest| rest.quiet_ms > QUIET_MS;
        let resting = |other: &&Resting| long(other.rest) && now_ms < other.since_ms + other.rest.quiet_ms;
        self.resting.len() < most
            && (!long(rest) || self.resting.iter().filter(resting).take(LONG_RESTS_MAX).count() < LONG_RESTS_MAX)
    }

    /// Takes a connection in that carried a request of `client`.
    pub(crate) fn insert(&mut self, key: Key, rest: Rest, client: Key, now_ms: u64) {
        self.resting.push(Resting { key, rest, since_ms: now_ms, client });
    }

    /// The connection used last that this client may have now: its own, or one that was quiet for long enough.
    #[inline]
    pub(crate) fn take(&mut self, client: Key, now_ms: u64) -> Option<Candidate> {
        let may = |resting: &Resting| {
            (resting.client == client && resting.rest.own == Own::AtOnce)
                || now_ms.saturating_sub(resting.since_ms) >= resting.rest.quiet_ms
        };
        let at = self.resting.iter().rposition(may)?;
        let found = self.resting.remove(at);
        Some(Candidate { key: found.key, before: if found.client == client { Before::Own } else { Before::Others } })
    }

    /// Keeps those for which `open` holds.
    pub(crate) fn retain(&mut self, mut open: impl FnMut(Key) -> bool) {
        self.resting.retain(|resting| open(resting.key));
    }

    /// Empties it.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Key> + '_ {
        self.resting.drain(..).map(|resting| resting.key)
    }
}

/// A connection that was quiet for long enough, as far as was told.
#[derive(Debug)]
#[must_use]
pub(crate) struct Candidate {
    key: Key,
    before: Before,
}

/// Whose request a kept connection carried last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// That of the client which has it again.
    Own,
    /// That of another client.
    Others,
}

impl Candidate {
    pub(crate) fn key(&self) -> Key {
        self.key
    }

    pub(crate) fn before(&self) -> Before {
        self.before
    }

    /// Looks at the socket itself.
    ///
    /// # Errors
    /// [`OutOfStep`] where anything is there to read, its end included.
    #[inline]
    pub(crate) fn prove(self, stream: &mut Stream) -> Result<InStep, OutOfStep> {
        match stream.listen() {
            Silence::Quiet => Ok(InStep(self.key)),
            Silence::Bytes | Silence::Over => Err(OutOfStep(self.key)),
        }
    }
}

/// A kept connection with nothing to read on it: it may carry a request now. Only [`Candidate::prove`] makes one.
#[derive(Debug)]
#[must_use]
pub(crate) struct InStep(Key);

impl InStep {
    pub(crate) fn key(&self) -> Key {
        self.0
    }
}

/// A connection that can only be closed.
#[derive(Debug)]
#[must_use]
pub(crate) struct OutOfStep(pub(crate) Key);

/// Whether what was found on a connection that was idle for `idle_ms` says that the instance sends bytes behind its answers.
pub(crate) fn is_surplus(silence: Silence, idle_ms: u64) -> bool {
    silence == Silence::Bytes && idle_ms < SURPLUS_WITHIN_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::io::slab::Slab;

    const PLAIN: Finished = Finished {
        persistence: Persistence::KeepAlive,
        request_end: RequestEnd::BeforeAnswers,
        request_body: RequestBody::None,
        context: RequestContext::Other,
        status: 200,
        speaker: Speaker::Client,
    };

    fn keys() -> [Key; 3] {
        let mut slab = Slab::new();
        [(); 3].map(|()| slab.insert_with(|_| ()))
    }

    #[test]
    fn what_an_exchange_was_decides_how_long_its_connection_rests() {
        let body = Finished { request_body: RequestBody::Sent, ..PLAIN };
        for (finished, quiet_ms) in [
            (PLAIN, Some(5)),
            (Finished { status: 404, ..PLAIN }, Some(5)),
            (body, Some(250)),
            (Finished { status: 303, ..body }, Some(250)),
            (Finished { status: 405, ..body }, None),
            (Finished { status: 500, ..body }, None),
            (Finished { status: 204, ..PLAIN }, None),
            (Finished { status: 204, ..body }, None),
            (Finished { status: 304, ..PLAIN }, None),
            (Finished { context: RequestContext::Head, ..PLAIN }, None),
            (Finished { persistence: Persistence::Close, ..PLAIN }, None),
            (Finished { request_end: RequestEnd::AfterAnswers, ..body }, None),
        ] {
            assert_eq!(rest_after(&finished).map(|rest| rest.quiet_ms), quiet_ms, "{finished:?}");
        }
    }

    #[test]
    fn another_client_gets_a_connection_only_after_its_rest_and_its_own_client_at_once() {
        let [connection, mine, other] = keys();
        let after = |finished: &Finished, client, wait_ms: u64| {
            let mut idle = IdleConnections::default();
            idle.insert(connection, rest_after(finished).unwrap(), mine, 1_000);
            idle.take(client, 1_000 + wait_ms).is_some()
        };
        assert!(after(&PLAIN, mine, 0));
        assert!(!after(&PLAIN, other, 0) && !after(&PLAIN, other, 4));
        assert!(after(&PLAIN, other, 5));
        assert!(
            !after(&Finished { speaker: Speaker::Proxy, ..PLAIN }, mine, 4),
            "a proxy's clients are others to each other"
        );
        let finished = Finished { request_body: RequestBody::Sent, ..PLAIN };
        assert!(!after(&finished, mine, 0) && !after(&finished, other, 249));
        assert!(after(&finished, mine, 250) && after(&finished, other, 250));
    }

    #[test]
    fn what_came_before_the_whole_head_was_there_or_is_no_answer_is_nobodys() {
        let whole = Reached { head: 100, written: 100, acknowledged: Some(100) };
        let may = |first: &[u8], reached| may_answer(first, reached);
        assert!(may(b"HTTP/1.1 200 OK", whole) && may(b"H", whole) && may(b"HTTP/", whole));
        assert!(may(b"HTTP/", Reached { acknowledged: None, ..whole }), "where nobody knows, nobody is accused");
        assert!(
            may(b"HTTP/", Reached { written: 900, acknowledged: Some(120), ..whole }),
            "its body may be on its way"
        );
        assert!(!may(b"HTTP/", Reached { written: 99, acknowledged: None, ..whole }));
        assert!(!may(b"HTTP/", Reached { acknowledged: Some(0), ..whole }));
        assert!(!may(b"HTTP/", Reached { acknowledged: Some(99), ..whole }));
        for surplus in [&b"\r\nHTTP/1.1 200"[..], b"<html>", b"HTTX", b"x"] {
            assert!(!may(surplus, whole), "{surplus:?}");
        }
    }

    #[test]
    fn only_so_many_rest_for_long_and_ordinary_ones_as_many_as_there_may_be() {
        let [connection, client, _] = keys();
        let long = rest_after(&Finished { request_body: RequestBody::Sent, ..PLAIN }).unwrap();
        let short = rest_after(&PLAIN).unwrap();
        let mut idle = IdleConnections::default();
        for _ in 0..LONG_RESTS_MAX {
            assert!(idle.has_room(long, 0, 1_000));
            idle.insert(connection, long, client, 0);
        }
        assert!(!idle.has_room(long, 249, 1_000));
        assert!(idle.has_room(short, 0, 1_000) && !idle.has_room(short, 0, LONG_RESTS_MAX));
        assert!(idle.has_room(long, 250, 1_000), "their rest is over");
    }

    #[test]
    fn the_one_used_last_of_those_that_may_be_taken_is_taken_and_only_once() {
        let [first, second, client] = keys();
        let rest = rest_after(&PLAIN).unwrap();
        let mut idle = IdleConnections::default();
        idle.insert(first, rest, first, 0);
        idle.insert(second, rest, first, 3);
        assert_eq!(idle.take(client, 5).map(|found| found.key()), Some(first));
        assert!(idle.take(client, 5).is_none());
        assert_eq!(idle.take(client, 8).map(|found| found.key()), Some(second));
        assert_eq!(idle.len(), 0);
    }
}
