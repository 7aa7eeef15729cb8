//! From a request to the instance that is to answer it, by the routing table.

use core::net::SocketAddr;

use gapless_model::{HoldLimits, ServiceName};
use gapless_routing::{
    Draw, Fallback, Intake, OurAnswer, PeerTrust, Pool, PoolView, PreviewAsked, Series, Slot, Table, choose,
};

use crate::exchange::Exchange;

/// What of a request decides where it goes.
#[derive(Debug, Clone, Copy)]
pub struct RouteQuery<'a, 'd> {
    /// The host it names.
    pub host: &'a [u8],
    /// Its target.
    pub target: &'a [u8],
    /// The preview that it names, if it names one.
    pub preview: Option<&'a [u8]>,
    /// Whether its peer is believed.
    pub trust: PeerTrust,
    /// Chance, turn, time and who asks.
    pub draw: Draw<'d>,
}

/// Where a request goes.
#[derive(Debug)]
pub enum Decision {
    /// To this instance.
    Instance {
        /// Its index.
        slot: Slot,
        /// Distinguishes instances that had the same index one after the other.
        serial: u64,
        /// Where it listens.
        address: SocketAddr,
    },
    /// It waits until the service takes requests.
    Hold {
        /// Which service.
        service: ServiceName,
        /// Its limits.
        limits: HoldLimits,
    },
    /// It waits because every instance was tried.
    Exhausted {
        /// Which service's.
        service: ServiceName,
        /// Its limits.
        limits: HoldLimits,
    },
    /// The service's own answer for when no release has weight.
    Fallback(Fallback),
    /// We answer.
    Ours(OurAnswer),
}

/// Asks the routing table, and notes in the exchange which release's rules and counts hold for it from now on. `waits` tells whether requests of a service
/// are held already: later ones wait behind them.
#[inline]
pub fn route<C: Copy>(
    exchange: &mut Exchange<C>,
    table: &Table,
    view: &impl PoolView,
    query: &RouteQuery<'_, '_>,
    waits: impl Fn(&ServiceName) -> bool,
) -> Decision {
    let draw = query.draw;
    let Some(found) = table.find(query.host, query.target) else {
        exchange.handle_routed(Series::UNMATCHED, None);
        return Decision::Ours(OurAnswer::NoRoute);
    };
    let service = found.service;
    exchange.handle_routed(found.service_route().series, None);
    let asked = query.preview.map(|value| service.preview_asked(value, query.trust));
    let preview = match (found.preview, asked) {
        (Some(pool), _) | (None, Some(PreviewAsked::Reaches(pool))) => Some(pool),
        (None, Some(PreviewAsked::Absent)) => {
            exchange.handle_routed(found.service_route().previews, None);
            return Decision::Ours(OurAnswer::NoPreview);
        }
        (None, Some(PreviewAsked::Ignored) | None) => None,
    };
    if preview.is_none() && (service.intake() == Intake::Hold || (!exchange.was_held() && waits(service.name()))) {
        if exchange.request().is_idempotent() && service.answers_health(query.target, draw.now) {
            return Decision::Ours(OurAnswer::HeldHealth);
        }
        return Decision::Hold { service: service.name().clone(), limits: service.hold() };
    }
    let Some(mut pool) = preview.or_else(|| service.split(draw.chance, draw.now)) else {
        return match service.fallback() {
            Some(fallback) => Decision::Fallback(fallback.clone()),
            None => Decision::Ours(OurAnswer::NoInstance),
        };
    };
    let mut instance = None;
    // Others first; then those that took the connection though they failed the request, for an instance that takes connections
    // serves, and nobody else is to be held for the sake of this request.
    for left_out in [exchange.tries().tried(), exchange.tries().refusing()] {
        instance = choose(pool, view, left_out, draw);
        let usable = |pool: &Pool| choose(pool, view, left_out, draw).is_some();
        if instance.is_none()
            && preview.is_none()
            && let Some(other) = service.split_among(draw.chance, draw.now, usable)
        {
            pool = other;
            instance = choose(pool, view, left_out, draw);
        }
        if instance.is_some() {
            break;
        }
    }
    let series = if preview.is_some() { found.service_route().previews } else { pool.series(found.route) };
    exchange.handle_routed(series, instance.map(|_| pool.policy()));
    match instance {
        Some(instance) => {
            Decision::Instance { slot: instance.slot, serial: instance.serial, address: instance.address }
        }
        // Whoever previews asks of one release alone: the service serves, and nobody waits on a preview's account.
        None if preview.is_some() => Decision::Ours(exchange.failure().unwrap_or(OurAnswer::NoInstance)),
        None => Decision::Exhausted { service: service.name().clone(), limits: service.hold() },
    }
}
