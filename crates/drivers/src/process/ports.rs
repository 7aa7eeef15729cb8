//! Which port an instance gets.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;

/// Hands out ports of a range in turn. A port that was just given back is the last to be given again, so that a connection
/// meant for an instance that is gone does not reach its successor.
#[derive(Clone, Debug)]
pub struct PortAllocator {
    range: RangeInclusive<u16>,
    next: u16,
}

/// All ports of the range are taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no port is free from {first} to {last}: {known} belong to instances, the others are in use by other programs")]
pub struct NoPortFree {
    first: u16,
    last: u16,
    known: usize,
}

impl PortAllocator {
    /// An allocator over a range; `after` is the port given last before a restart, if that is known.
    #[must_use]
    pub fn new(range: RangeInclusive<u16>, after: Option<u16>) -> PortAllocator {
        let next = after.filter(|port| range.contains(port)).map_or(*range.start(), |port| following(&range, port));
        PortAllocator { range, next }
    }

    /// A port that no known instance has and that can be bound at this moment.
    ///
    /// # Errors
    /// [`NoPortFree`] when there is none in the whole range.
    pub fn allocate(&mut self, in_use: &BTreeSet<u16>) -> Result<u16, NoPortFree> {
        for _ in self.range.clone() {
            let port = self.next;
            self.next = following(&self.range, port);
            if !in_use.contains(&port) && can_be_bound(port) {
                return Ok(port);
            }
        }
        let (first, last) = (*self.range.start(), *self.range.end());
        Err(NoPortFree { first, last, known: in_use.range(first..=last).count() })
    }
}

fn following(range: &RangeInclusive<u16>, port: u16) -> u16 {
    if port >= *range.end() { *range.start() } else { port + 1 }
}

/// Both as one address and as all: a program that has the port on another address would meet an instance that binds to all.
fn can_be_bound(port: u16) -> bool {
    [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED].into_iter().all(|address| TcpListener::bind((address, port)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_someone_has_is_not_given() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let mut allocator = PortAllocator::new(port..=port, None);
        assert!(allocator.allocate(&BTreeSet::new()).is_err());
        drop(taken);
        assert!(allocator.allocate(&BTreeSet::from([port])).is_err(), "known instances keep theirs");
        assert_eq!(allocator.allocate(&BTreeSet::new()).unwrap(), port);
    }

    #[test]
    fn ports_are_given_in_turn_over_restarts() {
        let mut allocator = PortAllocator::new(41_000..=41_200, Some(41_100));
        let first = allocator.allocate(&BTreeSet::new()).unwrap();
        let second = allocator.allocate(&BTreeSet::new()).unwrap();
        assert!(first > 41_100 && second > first, "{first} {second}");
        assert_eq!(PortAllocator::new(41_000..=41_200, Some(41_200)).next, 41_000);
    }
}
