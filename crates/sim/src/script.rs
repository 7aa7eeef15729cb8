//! A script: what operators order and which faults happen, when.

use gapless_model::{HookPoint, Tick};
use gapless_rollout::{Adjustment, PlantedBug};

use crate::releases::ReleaseShape;

/// What is played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// How many proxies there are.
    pub proxies: usize,
    /// Milliseconds from one request to the next.
    pub request_every: u64,
    /// How long clients send requests.
    pub requests_until: Tick,
    /// One request in so many is a tunnel; none for 0.
    pub tunnels_one_in: u64,
    /// What is ordered, when.
    pub orders: Vec<(Tick, Order)>,
    /// What fails, when.
    pub faults: Vec<(Tick, Fault)>,
    /// What is bent.
    pub knobs: Knobs,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Deploy the release with this number, which behaves so.
    Deploy {
        /// Its number.
        release: u64,
        /// Its shape.
        shape: ReleaseShape,
        /// Whether it is any good.
        quality: Quality,
    },
    /// Go back.
    Rollback,
    /// The current release takes its own place, under this number.
    Restart {
        /// The number.
        release: u64,
    },
    /// The current release runs in another way.
    Adjust(Adjustment),
}

/// Whether a release is any good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// It is.
    Good,
    /// It never answers probes.
    NeverReady,
    /// It exits while it starts.
    ExitsAtStart,
    /// It exits so many milliseconds after it serves.
    ExitsAfter(u64),
    /// Its checks fail.
    ChecksFail,
    /// Its hook at this point fails.
    HookFails(HookPoint),
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9` of one process that serves; which one by this number.
    KillProcess(u64),
    /// One process that serves answers probes badly from now on; which one by this number.
    SickenProcess(u64),
    /// `kill -9` of the controller; another is there after so many milliseconds.
    KillController(u64),
    /// `kill -9` of a proxy; it is back after so many milliseconds.
    KillProxy(usize, u64),
    /// SIGSTOP of a proxy, for so many milliseconds.
    FreezeProxy(usize, u64),
}

/// What is bent in a run, at one place, for the harness that bends every place in turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Knobs {
    /// A mistake planted in the machine.
    pub planted: Option<PlantedBug>,
    /// The controller dies at this record.
    pub crash: Option<crate::crash::CrashPoint>,
    /// What happens to the n-th effect, counted from 1.
    pub effect: Option<(u64, TwistEffect)>,
    /// The n-th news, counted from 1, comes so many milliseconds late.
    pub late: Option<(u64, u64)>,
    /// How long a request may take at most, in milliseconds; 0 for the ordinary mix.
    pub request_ms_max: u64,
    /// A list of what happened is kept.
    pub keep_timeline: bool,
}

/// What happens to an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TwistEffect {
    /// It is performed twice.
    Twice,
    /// It fails, or comes to its end far too late.
    Fails,
}
