//! A client's connection with what it is doing: the one place that knows all phases.

use super::context::Context;
use super::exchange::Exchange;
use super::step::Step;
use super::tunnel::Tunnel;
use super::{carry, hold, late, outcome};
use crate::data::frontend::client::Client;
use crate::data::frontend::lingering::Lingering;
use crate::data::frontend::waiting::Waiting;
use gapless_routing::{CutReason, Terminal};

/// Steps of one connection before others have their turn: a client that sends requests without end must not keep the
/// thread to itself.
const STEPS_MAX: usize = 64;

/// What a client's connection is doing.
#[derive(Debug)]
enum Phase {
    /// Between requests, or reading a head that is not whole.
    Waiting(Waiting),
    /// A request is being answered.
    Exchange(Box<Exchange>),
    /// The connection was upgraded; bytes are carried as they are.
    Tunnel(Box<Tunnel>),
    /// The last answer was given.
    Lingering(Lingering),
}

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    phase: Phase,
}

/// What a connection's turn comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Turn {
    /// It waits for news.
    Waits,
    /// It has had its turn, and there is more to do.
    More,
    /// It is over.
    Over,
}

impl Connection {
    /// One that was just accepted.
    pub(crate) fn accepted(client: Client) -> Self {
        Self { client, phase: Phase::Waiting(Waiting::default()) }
    }

    /// Goes from phase to phase until it has to wait.
    pub(crate) fn turn(&mut self, cx: &mut Context) -> Turn {
        for _ in 0..STEPS_MAX {
            let client = &mut self.client;
            let step = match &mut self.phase {
                Phase::Waiting(waiting) => waiting.turn(client, cx),
                Phase::Exchange(exchange) => carry::turn(exchange, client, cx),
                Phase::Tunnel(tunnel) => tunnel.turn(client, cx),
                Phase::Lingering(lingering) => lingering.turn(client, cx),
            };
            match step {
                Step::Wait => return Turn::Waits,
                Step::Close => return Turn::Over,
                step => self.follow(step, cx),
            }
        }
        Turn::More
    }

    /// Does what is due for it now.
    pub(crate) fn look(&mut self, cx: &mut Context) -> Turn {
        let client = &mut self.client;
        let step = match &mut self.phase {
            Phase::Waiting(waiting) => waiting.look(client, cx),
            Phase::Exchange(exchange) => late::look(exchange, client, cx),
            Phase::Tunnel(tunnel) => tunnel.look(client, cx),
            Phase::Lingering(lingering) => lingering.look(client, cx),
        };
        match step {
            Step::Wait => Turn::Waits,
            Step::Close => Turn::Over,
            step => {
                self.follow(step, cx);
                self.turn(cx)
            }
        }
    }

    /// When to look at it next at the latest, if nothing happens before: nothing is due earlier.
    #[inline]
    pub(crate) fn look_next_ms(&mut self, cx: &Context) -> u64 {
        let client = &mut self.client;
        match &mut self.phase {
            Phase::Waiting(waiting) => waiting.look_next_ms(client, &cx.settings),
            Phase::Exchange(exchange) => late::look_next_ms(exchange, client, cx),
            Phase::Tunnel(tunnel) => tunnel.look_next_ms(client, cx.clock.now_ms()),
            Phase::Lingering(lingering) => lingering.look_next_ms(),
        }
    }

    /// Its request is held no more.
    pub(crate) fn let_go(&mut self, cx: &Context) {
        if let Phase::Exchange(exchange) = &mut self.phase {
            hold::let_go(exchange, cx);
        }
    }

    /// Gives what it does its end in the ledger: the thread ends.
    pub(crate) fn cut(&mut self, cx: &mut Context) {
        let terminal = Terminal::Cut(CutReason::Quitting);
        match &mut self.phase {
            Phase::Exchange(exchange) => {
                hold::end(exchange, cx);
                outcome::give_up(exchange, &self.client, cx, terminal);
            }
            Phase::Tunnel(tunnel) => {
                tunnel.end(&mut self.client, cx, terminal);
            }
            Phase::Waiting(_) | Phase::Lingering(_) => {}
        }
    }

    /// Gives back what it was lent: it is over.
    pub(crate) fn close(&mut self, cx: &mut Context) {
        self.client.discard(&mut cx.buffers);
        self.enter(Phase::Waiting(Waiting::default()), cx);
    }

    /// Its tunnel, if it is one.
    pub(crate) fn tunnel_mut(&mut self) -> Option<&mut Tunnel> {
        match &mut self.phase {
            Phase::Tunnel(tunnel) => Some(tunnel),
            Phase::Waiting(_) | Phase::Exchange(_) | Phase::Lingering(_) => None,
        }
    }

    /// Enters the phase that a step leads to.
    #[inline]
    fn follow(&mut self, step: Step, cx: &mut Context) {
        match step {
            Step::Wait | Step::Again | Step::Close => {}
            Step::AwaitRequest => self.enter(Phase::Waiting(Waiting::behind(&self.client)), cx),
            Step::Serve(exchange) => self.phase = Phase::Exchange(exchange),
            Step::Linger => self.enter(Phase::Lingering(Lingering::begin(cx.clock.now_ms())), cx),
            Step::Switch(first) => {
                if let Phase::Exchange(exchange) =
                    std::mem::replace(&mut self.phase, Phase::Waiting(Waiting::default()))
                {
                    let tunnel = Tunnel::begin(exchange, &mut self.client, cx, &first);
                    self.phase = Phase::Tunnel(Box::new(tunnel));
                }
            }
        }
    }

    /// Leaves its phase for another. The request of the phase has its end.
    #[inline]
    fn enter(&mut self, phase: Phase, cx: &mut Context) {
        match std::mem::replace(&mut self.phase, phase) {
            Phase::Exchange(exchange) => cx.recycle(exchange),
            Phase::Tunnel(tunnel) => cx.recycle(tunnel.into_exchange()),
            Phase::Waiting(_) | Phase::Lingering(_) => {}
        }
    }
}
