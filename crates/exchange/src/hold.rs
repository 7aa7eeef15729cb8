//! Waiting for an instance: in order, so many at most, so long at most.

use gapless_model::HoldLimits;

/// A request's place among those that are held, from the first time that it was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) number: u64,
    pub(crate) since_ms: u64,
    pub(crate) until_ms: u64,
}

/// What decides whether a request may be held.
#[derive(Debug, Clone, Copy)]
pub struct HoldAsk {
    /// The service's limits.
    pub limits: HoldLimits,
    /// How many of its requests may wait here at most.
    pub waiting_max: usize,
    /// How many do.
    pub waiting: usize,
    /// The number it gets if it was never held.
    pub number: u64,
    /// On the caller's clock.
    pub now_ms: u64,
}

/// What comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// It is held for the first time.
    New {
        /// Its place.
        number: u64,
    },
    /// It is held again, at the place it had: what it waited for has not come.
    Again {
        /// Its place.
        number: u64,
    },
    /// There is no room, or it has waited for as long as it may.
    Refused,
}

impl HoldAsk {
    pub(crate) fn decide(&self, had: Option<Place>) -> (Holding, Option<Place>) {
        match had {
            None if self.waiting >= self.waiting_max || self.limits.wait_max.0 == 0 => (Holding::Refused, None),
            None => {
                let until_ms = self.now_ms.saturating_add(self.limits.wait_max.0);
                let place = Place { number: self.number, since_ms: self.now_ms, until_ms };
                (Holding::New { number: self.number }, Some(place))
            }
            Some(place) if self.now_ms >= place.until_ms => (Holding::Refused, had),
            Some(place) => (Holding::Again { number: place.number }, had),
        }
    }
}
