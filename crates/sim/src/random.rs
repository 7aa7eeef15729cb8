//! Scripts drawn from a seed.

use gapless_model::{Amount, HookPoint, Millis, Order as BatchOrder, SecondOrder, Strategy, Tick};

use crate::chance::Chance;
use crate::releases::{Hooks, ReleaseShape};
use crate::script::{Fault, Knobs, Order, Quality, Script};

/// For how long faults happen, in milliseconds.
const FAULTS_UNTIL: u64 = 45_000;

/// A script drawn from a seed: a first deploy that is good, two to four orders after it, and up to a dozen faults.
#[must_use]
pub fn random_script(seed: u64) -> Script {
    let mut chance = Chance::new(seed.wrapping_mul(31));
    let mut orders = vec![(Tick(0), Order::Deploy { release: 1, shape: shape(&mut chance), quality: Quality::Good })];
    let mut at = 3_000;
    for release in 2..=chance.between(3, 5) {
        let order = match chance.once_in(5) {
            true => Order::Rollback,
            false => Order::Deploy { release, shape: shape(&mut chance), quality: quality(&mut chance) },
        };
        orders.push((Tick(at), order));
        at += chance.between(100, 14_000);
    }
    let faults = (0..chance.between(0, 12)).map(|_| (Tick(chance.between(500, FAULTS_UNTIL)), fault(&mut chance)));
    let mut faults: Vec<(Tick, Fault)> = faults.collect();
    faults.sort_by_key(|(at, _)| *at);
    Script {
        proxies: chance.between(1, 5) as usize,
        request_every: chance.between(15, 60),
        requests_until: Tick(FAULTS_UNTIL + 10_000),
        tunnels_one_in: chance.between(0, 1) * 40,
        orders,
        faults,
        knobs: Knobs::default(),
    }
}

fn shape(chance: &mut Chance) -> ReleaseShape {
    let instances = chance.between(1, 4) as u16;
    let batch = Amount::Count(chance.between(1, 4) as u16);
    let (observe, bake) = (Millis(chance.between(0, 2_000)), Millis(chance.between(0, 3_000)));
    let strategy = match chance.between(0, 3) {
        0 | 1 => Strategy::Rolling { batch, order: BatchOrder::SurgeFirst, observe, bake },
        2 => Strategy::Rolling { batch, order: BatchOrder::InPlace, observe, bake },
        _ => Strategy::BlueGreen { bake },
    };
    ReleaseShape {
        instances,
        floor: Amount::Count(chance.between(1, u64::from(instances)) as u16),
        strategy,
        checks: chance.between(0, 2) as usize,
        hooks: *chance.one_of(&[Hooks::None, Hooks::None, Hooks::EveryPoint]),
        second_order: *chance.one_of(&[SecondOrder::Queue, SecondOrder::Reject, SecondOrder::Supersede]),
        drain_timeout: Millis(chance.between(3_000, 8_000)),
    }
}

fn quality(chance: &mut Chance) -> Quality {
    match chance.between(0, 8) {
        0 => Quality::NeverReady,
        1 => Quality::ExitsAtStart,
        2 => Quality::ExitsAfter(chance.between(200, 4_000)),
        3 => Quality::ChecksFail,
        4 => Quality::HookFails(*chance.one_of(&HookPoint::NAMED)),
        _ => Quality::Good,
    }
}

fn fault(chance: &mut Chance) -> Fault {
    let which = chance.bits();
    match chance.between(0, 6) {
        0 | 1 => Fault::KillProcess(which),
        2 => Fault::SickenProcess(which),
        3 | 4 => Fault::KillController(chance.between(50, 4_000)),
        5 => Fault::KillProxy((which % 3) as usize, chance.between(50, 2_000)),
        _ => Fault::FreezeProxy((which % 3) as usize, chance.between(200, 6_000)),
    }
}
