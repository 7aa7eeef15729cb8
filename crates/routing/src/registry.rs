//! Small dense numbers for what is counted: instances and (service, release, route) series.
//!
//! Kept by the control side of a proxy over the life of its process. Worker threads index plain arrays with these numbers, so a
//! count needs no hashing and no lock, and the same instance keeps its number from table to table.

use core::net::SocketAddr;
use std::collections::HashMap;
use std::hash::Hash;

use gapless_model::{InstanceId, ReleaseId, Route, ServiceName, Tick};

use crate::spec::Intake;

/// How many instances may be counted at once, draining ones included: arrays of that length are cheap, and a machine's ports run
/// out at about the same scale.
pub const INSTANCE_SLOTS_MAX: usize = 4_096;

/// How many (service, release, route) series may be counted at once, those of drained releases included until they are recycled.
pub const SERIES_MAX: usize = 1_024;

/// The dense index of an instance at an address, below [`INSTANCE_SLOTS_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(u32);

impl Slot {
    /// As an index into an array of [`INSTANCE_SLOTS_MAX`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The dense index of a series of counts, below [`SERIES_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Series(u32);

impl Series {
    /// The series of requests that reached no service: malformed, or for an unknown host.
    pub const UNMATCHED: Series = Series(0);

    /// As an index into an array of [`SERIES_MAX`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a series counts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SeriesKey {
    /// The service.
    pub service: ServiceName,
    /// The release that answered; none where a request ended before it reached one.
    pub release: Option<ReleaseId>,
    /// The route that matched.
    pub route: Route,
    /// Whose requests.
    pub audience: Audience,
}

/// Whose requests a series counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Audience {
    /// Everybody's.
    #[default]
    Everybody,
    /// Those that reached a release by a preview; no release is named then.
    Preview,
}

/// What a slot stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seat {
    pub slot: Slot,
    /// Never used twice by one registry.
    pub serial: u64,
    /// When it was first in a table.
    pub since: Tick,
}

/// The numbers given so far.
#[derive(Debug)]
pub struct Registry {
    seats: HashMap<(InstanceId, SocketAddr), Seat>,
    seats_free: Vec<u32>,
    seats_used: u32,
    serial_next: u64,
    series: HashMap<SeriesKey, Series>,
    series_free: Vec<u32>,
    series_used: u32,
    /// When each release first had weight, for its slow start.
    weighted_since: HashMap<(ServiceName, ReleaseId), Tick>,
    /// When each service began to hold its requests.
    held_since: HashMap<ServiceName, Tick>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// No numbers given yet; [`Series::UNMATCHED`] is taken.
    #[must_use]
    pub fn new() -> Registry {
        Registry {
            seats: HashMap::new(),
            seats_free: Vec::new(),
            seats_used: 0,
            serial_next: 1,
            series: HashMap::new(),
            series_free: Vec::new(),
            series_used: 1,
            weighted_since: HashMap::new(),
            held_since: HashMap::new(),
        }
    }

    /// Every instance that has a slot, in no order. An instance that was seen at two addresses has two.
    pub fn instances(&self) -> impl Iterator<Item = (Slot, &InstanceId, SocketAddr)> {
        self.seats.iter().map(|((id, address), seat)| (seat.slot, id, *address))
    }

    /// Every series but [`Series::UNMATCHED`], in no order.
    pub fn series(&self) -> impl Iterator<Item = (Series, &SeriesKey)> {
        self.series.iter().map(|(key, series)| (*series, key))
    }

    /// Gives the slots of an instance back. Only for one that no applied table holds and that has nothing in flight.
    pub fn retire_instance(&mut self, id: &InstanceId) {
        let free = &mut self.seats_free;
        self.seats.retain(|(seated, _), seat| {
            if seated == id {
                free.push(seat.slot.0);
            }
            seated != id
        });
    }

    /// Gives a series back. Only for one that no applied table names and that nothing in flight counts on; whoever reads its
    /// counts must take what they are now as the zero of whatever comes next.
    pub fn retire_series(&mut self, key: &SeriesKey) -> Option<Series> {
        let series = self.series.remove(key)?;
        self.series_free.push(series.0);
        if let Some(release) = key.release {
            self.weighted_since.remove(&(key.service.clone(), release));
        }
        Some(series)
    }

    /// How many more instances and series fit.
    pub(crate) fn room(&self) -> (usize, usize) {
        let seats = INSTANCE_SLOTS_MAX - self.seats_used as usize + self.seats_free.len();
        (seats, SERIES_MAX - self.series_used as usize + self.series_free.len())
    }

    pub(crate) fn has_seat(&self, id: &InstanceId, address: SocketAddr) -> bool {
        self.seats.contains_key(&(id.clone(), address))
    }

    pub(crate) fn has_series(&self, key: &SeriesKey) -> bool {
        self.series.contains_key(key)
    }

    /// The seat of an instance, a new one where it has none. The caller made sure of [`Registry::room`].
    pub(crate) fn seat(&mut self, id: &InstanceId, address: SocketAddr, now: Tick) -> Seat {
        if let Some(seat) = self.seats.get(&(id.clone(), address)) {
            return seat.clone();
        }
        let slot = Slot(take(&mut self.seats_free, &mut self.seats_used));
        let seat = Seat { slot, serial: self.serial_next, since: now };
        self.serial_next += 1;
        self.seats.insert((id.clone(), address), seat.clone());
        seat
    }

    /// The series of a key, a new one where it has none. The caller made sure of [`Registry::room`].
    pub(crate) fn series_of(&mut self, key: SeriesKey) -> Series {
        let (free, used) = (&mut self.series_free, &mut self.series_used);
        *self.series.entry(key).or_insert_with(|| Series(take(free, used)))
    }

    /// Since when a release has had weight; forgotten when it has none.
    pub(crate) fn weighted(&mut self, service: &ServiceName, release: ReleaseId, weight: u16, now: Tick) -> Tick {
        let key = (service.clone(), release);
        if weight == 0 {
            self.weighted_since.remove(&key);
            return now;
        }
        *self.weighted_since.entry(key).or_insert(now)
    }

    /// Forgets since when services hold that are in the table no more.
    pub(crate) fn forget_holds(&mut self, is_there: impl Fn(&ServiceName) -> bool) {
        self.held_since.retain(|service, _| is_there(service));
    }

    /// Since when a service has held its requests; forgotten when it serves them.
    pub(crate) fn held(&mut self, service: &ServiceName, intake: Intake, now: Tick) -> Option<Tick> {
        match intake {
            Intake::Hold => Some(*self.held_since.entry(service.clone()).or_insert(now)),
            Intake::Serve => {
                self.held_since.remove(service);
                None
            }
        }
    }
}

fn take(free: &mut Vec<u32>, used: &mut u32) -> u32 {
    free.pop().unwrap_or_else(|| {
        *used += 1;
        *used - 1
    })
}
