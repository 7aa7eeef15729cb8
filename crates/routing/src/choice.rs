//! Which instance of a pool takes a request: a function of the pool, a view of how its instances fare, and a draw.
//!
//! Health never empties a pool. An instance that failed passively ([`Standing::Ejected`]) is left out unless that would leave less
//! than half of those that are not [`Standing::Bad`]; a bad one is left out unless all are bad. What was tried already for this
//! request is left out always, and the circle is widened before the answer is none.

use gapless_model::{Balance, Millis, Tick};

use crate::client_key::{Asker, RingPlace};
use crate::registry::Slot;
use crate::table::{Instance, Pool};

/// How an instance stands with this proxy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Standing {
    /// It may take requests.
    #[default]
    Good,
    /// Its requests failed of late: left out for a while, unless too many are.
    Ejected,
    /// Its probes fail: left out, unless all do.
    Bad,
}

/// What the caller knows of the instances, by slot. Cheap: asked a few times per request.
pub trait PoolView {
    /// Requests in flight, as the caller counts them (a thread may know only its own).
    fn in_flight(&self, slot: Slot) -> u32;
    /// The expected latency in microseconds, at least 1 ([`PeakEwma::cost_us`](crate::PeakEwma::cost_us)).
    fn latency_us(&self, slot: Slot) -> u64;
    /// How it stands.
    fn standing(&self, slot: Slot) -> Standing;
}

/// The chance and the circumstances of one choice.
#[derive(Clone, Copy, Debug)]
pub struct Draw<'a> {
    /// Uniform over 64 bits.
    pub chance: u64,
    /// How many choices came before, for taking turns.
    pub turn: u64,
    /// Who asks, for a consistent hash.
    pub asker: Asker<'a>,
    /// On the clock that [`Instance::since`] counts on.
    pub now: Tick,
}

/// The instance for the next attempt of a request whose earlier attempts went to `tried`. None when all were tried.
#[must_use]
pub fn choose<'p>(pool: &'p Pool, view: &impl PoolView, tried: &[Slot], draw: Draw<'_>) -> Option<&'p Instance> {
    let instances = pool.instances();
    if let [only] = instances {
        return (!tried.contains(&only.slot)).then_some(only);
    }
    if tried.is_empty()
        && pool.policy().balance == Balance::PeakEwma
        && let Some(found) = two_good(pool, view, draw)
    {
        return Some(found);
    }
    let fresh = |instance: &&Instance| !tried.contains(&instance.slot);
    let widest = widest(instances, view);
    let within = |most: Standing| move |instance: &&Instance| view.standing(instance.slot) <= most;
    for circle in [widest, Standing::Bad] {
        let candidates = || instances.iter().filter(within(circle)).filter(fresh);
        let count = candidates().count();
        if count > 0 {
            return by_policy(pool, view, draw, count, &candidates, |i| within(circle)(&i) && fresh(&i));
        }
    }
    None
}

/// The common case without a look at the whole pool: two at random, both good.
fn two_good<'p>(pool: &'p Pool, view: &impl PoolView, draw: Draw<'_>) -> Option<&'p Instance> {
    let (first, second) = two(draw.chance, pool.instances().len());
    let (first, second) = (pool.instances().get(first)?, pool.instances().get(second)?);
    let good = |instance: &Instance| view.standing(instance.slot) == Standing::Good;
    (good(first) && good(second)).then(|| cheaper(pool, view, draw, first, second))
}

/// Two different indices below `count`, which is at least 2.
fn two(chance: u64, count: usize) -> (usize, usize) {
    let count = count as u64;
    let first = below(chance >> 32, count);
    let second = below(chance & 0xffff_ffff, count - 1);
    (first as usize, (second + u64::from(second >= first)) as usize)
}

/// 32 uniform bits onto `0..count`.
fn below(bits: u64, count: u64) -> u64 {
    (bits * count) >> 32
}

fn cheaper<'p>(pool: &Pool, view: &impl PoolView, draw: Draw<'_>, a: &'p Instance, b: &'p Instance) -> &'p Instance {
    if cost(pool, view, draw, b) < cost(pool, view, draw, a) { b } else { a }
}

/// Expected latency times what would be in flight, over the ramp of the slow start.
fn cost(pool: &Pool, view: &impl PoolView, draw: Draw<'_>, instance: &Instance) -> u64 {
    let ramp = u64::from(ramp_permille(draw.now.since(instance.since), pool.policy().slow_start));
    let waiting = u64::from(view.in_flight(instance.slot)) + 1;
    view.latency_us(instance.slot).max(1).saturating_mul(waiting).saturating_mul(1_000) / ramp
}

/// The worst standing that may still take requests now.
fn widest(instances: &[Instance], view: &impl PoolView) -> Standing {
    let (mut good, mut ejected) = (0, 0);
    for instance in instances {
        match view.standing(instance.slot) {
            Standing::Good => good += 1,
            Standing::Ejected => ejected += 1,
            Standing::Bad => {}
        }
    }
    match (good, ejected) {
        (0, 0) => Standing::Bad,
        _ if good < ejected => Standing::Ejected, // fewer than half of those that answer probes would be left
        _ => Standing::Good,
    }
}

fn by_policy<'p, I: Iterator<Item = &'p Instance>>(
    pool: &'p Pool,
    view: &impl PoolView,
    draw: Draw<'_>,
    count: usize,
    candidates: &impl Fn() -> I,
    allowed: impl Fn(&'p Instance) -> bool,
) -> Option<&'p Instance> {
    let ramped = |instance: &&Instance| {
        let ramp = ramp_permille(draw.now.since(instance.since), pool.policy().slow_start);
        u64::from(ramp) * 65_536 / 1_000 > (draw.chance & 0xffff)
    };
    match &pool.policy().balance {
        Balance::PeakEwma if count == 1 => candidates().next(),
        Balance::PeakEwma => {
            let (first, second) = two(draw.chance, count);
            Some(cheaper(pool, view, draw, candidates().nth(first)?, candidates().nth(second)?))
        }
        Balance::RoundRobin => {
            let first = (draw.turn % count as u64) as usize;
            let in_turn = || candidates().skip(first).chain(candidates().take(first));
            in_turn().find(ramped).or_else(|| in_turn().next())
        }
        Balance::LeastRequests => {
            let first = below(draw.chance >> 32, count as u64) as usize; // so that equals share
            candidates().skip(first).chain(candidates().take(first)).min_by_key(|instance| {
                let ramp = u64::from(ramp_permille(draw.now.since(instance.since), pool.policy().slow_start));
                (u64::from(view.in_flight(instance.slot)) + 1) * 1_000_000 / ramp
            })
        }
        Balance::ConsistentHash(key) => {
            let place = RingPlace::of_client(key, &draw.asker);
            let at = pool.ring.partition_point(|(point, _)| *point < place);
            let around = pool.ring[at..].iter().chain(&pool.ring[..at]);
            around.filter_map(|(_, index)| pool.instances().get(*index as usize)).find(|instance| allowed(instance))
        }
    }
}

/// How far a slow start has come, 100 to 1 000 in thousandths: a tenth at once, then in proportion to its age.
#[must_use]
pub fn ramp_permille(age: Millis, slow_start: Millis) -> u32 {
    const LEAST: u32 = 100;
    if age >= slow_start {
        return 1_000;
    }
    let exact = age.0.saturating_mul(1_000) / slow_start.0;
    u32::try_from(exact).unwrap_or(1_000).clamp(LEAST, 1_000)
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
