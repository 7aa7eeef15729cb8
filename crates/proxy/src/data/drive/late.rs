//! What is late of a request. Judged by [`gapless_exchange::Bounds::due`]; here is what it is shown of the sockets, and what is done.

use gapless_exchange::{Bounds, Due, Failure, Late, Sight, Upload};
use gapless_http1::Version;
use gapless_routing::{CutReason, OurAnswer, Terminal};

use super::asked::Core;
use super::context::Context;
use super::exchange::Exchange;
use super::failed::attempt_failed;
use super::step::Step;
use super::{hold, ours, outcome};
use crate::data::frontend::client::Client;
use crate::data::io::output::Flushed;
use crate::data::io::progress::Taken;
use crate::data::io::stream::Stream;

/// What a client is asked with whether it still reads: every client of HTTP/1.1 passes over it.
const ARE_YOU_THERE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A request's two connections, as the judge of its deadlines sees them.
struct Connections<'s> {
    client: &'s mut Client,
    instance: Option<&'s Stream>,
    instance_took: &'s mut Taken,
    unsent: bool,
    upload: Upload,
    version: Version,
    now_ms: u64,
}

impl Sight for Connections<'_> {
    fn has_output(&self) -> bool {
        !self.client.output.is_empty()
    }

    fn progress_ms(&self) -> u64 {
        self.client.progress_ms
    }

    fn client_still_ms(&mut self, most_ms: u64) -> u64 {
        self.client.still_ms(self.now_ms, most_ms)
    }

    fn instance_still_ms(&mut self, most_ms: u64) -> u64 {
        let Some(stream) = self.instance else { return 0 };
        self.instance_took.still_ms(stream, self.client.progress_ms, self.now_ms, most_ms)
    }

    fn is_unsent(&self) -> bool {
        self.unsent
    }

    fn upload(&self) -> Upload {
        self.upload
    }

    fn client_has_ended(&self) -> bool {
        self.client.stream.is_ended()
    }

    fn client_can_be_asked(&self) -> bool {
        self.version == Version::Http11
    }

    fn client_owes_acknowledgement(&self) -> bool {
        self.client.stream.unacknowledged().is_some_and(|bytes| bytes > 0)
    }
}

/// Does what is due for a request.
pub(crate) fn look(exchange: &mut Exchange, client: &mut Client, cx: &mut Context) -> Step {
    let due =
        if cx.is_cutting() { Due::Late(OurAnswer::Quitting, CutReason::Quitting) } else { judge(exchange, client, cx) };
    if due == Due::Nothing {
        return Step::Wait;
    }
    hold::end(exchange, cx);
    match due {
        Due::Nothing => Step::Wait,
        Due::HoldTimeout => {
            let cause = exchange.core.failure().unwrap_or(OurAnswer::HoldTimeout);
            ours::answer(exchange, client, cx, cause)
        }
        Due::ConnectTimeout => attempt_failed(exchange, client, cx, Failure::ConnectTimeout),
        Due::Late(reason, cut) => match exchange.core.handle_late(reason, cut) {
            Late::Answer(reason) => ours::answer(exchange, client, cx, reason),
            Late::AnswerForInstance(reason, slot) => {
                cx.note_failure(slot, &exchange.core);
                ours::answer(exchange, client, cx, reason)
            }
            Late::Cut(reason) => outcome::give_up(exchange, client, cx, Terminal::Cut(reason)),
        },
        Due::ClientLeft => outcome::give_up(exchange, client, cx, Terminal::ClientLeft),
        Due::AskClient => match client.send(&mut cx.buffers, ARE_YOU_THERE) {
            Flushed::All | Flushed::Some => Step::Wait,
            Flushed::Broken => outcome::give_up(exchange, client, cx, Terminal::ClientLeft),
        },
    }
}

/// When to look next at the latest, if nothing happens before.
pub(crate) fn look_next_ms(exchange: &mut Exchange, client: &mut Client, cx: &Context) -> u64 {
    with_sight(exchange, client, cx, |bounds, core, sight| bounds.look_next_ms(core, sight))
}

/// What is due. Notes on the way how far the peers have come.
fn judge(exchange: &mut Exchange, client: &mut Client, cx: &Context) -> Due {
    with_sight(exchange, client, cx, |bounds, core, sight| bounds.due(core, sight))
}

#[inline]
fn with_sight<T>(
    exchange: &mut Exchange,
    client: &mut Client,
    cx: &Context,
    ask: impl FnOnce(Bounds, &mut Core, &mut Connections<'_>) -> T,
) -> T {
    let bounds = Bounds {
        now_ms: cx.clock.now_ms(),
        write_stall_ms: cx.settings.write_stall_ms,
        body_grace_ms: cx.settings.body_grace_ms,
    };
    let (unsent, upload) = (exchange.sending.is_unsent(), exchange.sending.upload(&exchange.asked));
    let Exchange { core, asked, instance_took, .. } = exchange;
    let upstream = core.attempt().and_then(|attempt| cx.backend.get(attempt.carrier()));
    let instance = upstream.map(|upstream| &upstream.stream);
    let (version, now_ms) = (asked.version, bounds.now_ms);
    ask(bounds, core, &mut Connections { client, instance, instance_took, unsent, upload, version, now_ms })
}
