//! Connections by number, where a number that was given back is never mistaken for its successor; and an index of when each is to be looked at, so that
//! what waits costs nothing until then.
//!
//! Values are boxed: while one is served it is taken out (a move of one pointer), so that it and the worker can be
//! changed at the same time, and put back afterwards.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The number of a value. Copies may outlive the value; looking it up then finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    index: u32,
    serial: u32,
}

impl Key {
    /// As 56 bits of an event token.
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.serial & SERIAL_MASK) << 32 | u64::from(self.index)
    }

    /// Back from [`Key::to_bits`].
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, serial: (bits >> 32) as u32 & SERIAL_MASK }
    }
}

/// Serial numbers have 24 bits, so that a key fits a token beside the kind of thing it names. A stale event would have
/// to survive sixteen million reuses of one place within one batch to be mistaken.
const SERIAL_MASK: u32 = 0x00ff_ffff;

/// Never.
pub(crate) const NEVER_MS: u64 = u64::MAX;

/// Entries of the index that nobody waits for any more, beside twice as many as there are values, before they are cleared away.
const STALE_MAX: usize = 1_024;

#[derive(Debug)]
struct Place<T> {
    serial: u32,
    used: bool,
    /// When it is looked at next.
    look_ms: u64,
    value: Option<Box<T>>,
}

/// The values.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    /// An entry is never changed: whoever is to be looked at sooner is entered again, and its place knows the one that counts.
    looks: BinaryHeap<Reverse<(u64, Key)>>,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), looks: BinaryHeap::new() }
    }

    /// How many values there are, those taken out included.
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Reserves a number and puts what `make` returns there.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { serial: 0, used: false, look_ms: NEVER_MS, value: None });
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[index as usize];
        let key = Key { index, serial: place.serial };
        place.used = true;
        place.value = Some(Box::new(make(key)));
        key
    }

    fn place(&mut self, key: Key) -> Option<&mut Place<T>> {
        self.places.get_mut(key.index as usize).filter(|place| place.used && place.serial == key.serial)
    }

    /// The value, unless it is gone or taken out.
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.place(key)?.value.as_deref_mut()
    }

    /// The value, unless it is gone or taken out.
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let place = self.places.get(key.index as usize)?;
        place.value.as_deref().filter(|_| place.used && place.serial == key.serial)
    }

    /// The number of a value for which `wanted` holds.
    pub(crate) fn find(&self, mut wanted: impl FnMut(&T) -> bool) -> Option<Key> {
        let index = self.places.iter().position(|place| place.value.as_deref().is_some_and(&mut wanted))?;
        Some(Key { index: index as u32, serial: self.places[index].serial })
    }

    /// Takes the value out to serve it. Its number stays reserved until [`Slab::put_back`] or [`Slab::release`].
    #[inline]
    pub(crate) fn take(&mut self, key: Key) -> Option<Box<T>> {
        self.place(key)?.value.take()
    }

    /// Puts a value back that was taken out.
    #[inline]
    pub(crate) fn put_back(&mut self, key: Key, value: Box<T>) {
        if let Some(place) = self.place(key) {
            debug_assert!(place.value.is_none(), "BUG: two values under one number");
            place.value = Some(value);
        }
    }

    /// Gives the number back. The value, if it is there, is dropped.
    pub(crate) fn release(&mut self, key: Key) {
        if let Some(place) = self.place(key) {
            place.value = None;
            place.used = false;
            place.look_ms = NEVER_MS;
            place.serial = (place.serial + 1) & SERIAL_MASK;
            self.free.push(key.index);
        }
    }

    /// Has a value looked at then, in milliseconds of the thread's clock, unless it is looked at sooner.
    #[inline]
    pub(crate) fn arm(&mut self, key: Key, at_ms: u64) {
        if let Some(place) = self.place(key).filter(|place| at_ms < place.look_ms) {
            place.look_ms = at_ms;
            self.looks.push(Reverse((at_ms, key)));
        }
    }

    /// What is to be looked at now, and not again before it is armed again.
    pub(crate) fn take_due(&mut self, now_ms: u64) -> Vec<Key> {
        let mut due = Vec::new();
        while let Some(&Reverse((at_ms, key))) = self.looks.peek().filter(|entry| entry.0.0 <= now_ms) {
            self.looks.pop();
            if let Some(place) = self.place(key).filter(|place| place.look_ms == at_ms) {
                place.look_ms = NEVER_MS;
                due.push(key);
            }
        }
        if self.looks.len() > 2 * self.len() + STALE_MAX {
            let places = &self.places;
            let counts = |place: &Place<T>, at_ms, key: Key| place.serial == key.serial && place.look_ms == at_ms;
            self.looks.retain(|&Reverse((at_ms, key))| counts(&places[key.index as usize], at_ms, key));
        }
        due
    }

    /// The numbers of all values that are not taken out, appended to `keys`.
    pub(crate) fn keys_where(&self, keys: &mut Vec<Key>, mut wanted: impl FnMut(&T) -> bool) {
        for (index, place) in self.places.iter().enumerate() {
            if place.value.as_deref().is_some_and(&mut wanted) {
                keys.push(Key { index: index as u32, serial: place.serial });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, NEVER_MS, STALE_MAX, Slab};

    #[test]
    fn a_number_that_was_given_back_finds_nothing() {
        let mut slab = Slab::new();
        let first = slab.insert_with(|_| 1);
        slab.release(first);
        let second = slab.insert_with(|_| 2);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.get_mut(second), Some(&mut 2));
        assert_eq!(Key::from_bits(second.to_bits()), second);
    }

    #[test]
    fn a_value_that_is_taken_out_keeps_its_number() {
        let mut slab = Slab::new();
        let key = slab.insert_with(|_| 1);
        let value = slab.take(key).unwrap();
        assert!(slab.take(key).is_none());
        assert_eq!(slab.len(), 1);
        slab.put_back(key, value);
        assert_eq!(slab.get_mut(key), Some(&mut 1));
    }

    #[test]
    fn what_is_armed_is_due_once_at_the_soonest_of_its_times() {
        let mut slab = Slab::new();
        let [first, second, third] = [(); 3].map(|()| slab.insert_with(|_| ()));
        slab.arm(first, 200);
        slab.arm(second, 300);
        slab.arm(second, 100);
        slab.arm(second, 250);
        slab.arm(third, NEVER_MS);
        assert!(slab.take_due(99).is_empty());
        assert_eq!(slab.take_due(150), [second]);
        slab.arm(second, 300);
        assert_eq!(slab.take_due(400), [first, second], "and not by what is left of earlier times");
        assert!(slab.take_due(NEVER_MS).is_empty());
    }

    #[test]
    fn what_is_gone_is_not_due_and_its_times_do_not_pile_up() {
        let mut slab = Slab::new();
        let kept = slab.insert_with(|_| ());
        slab.arm(kept, 1_000_000);
        for at_ms in 0..10 * STALE_MAX as u64 {
            let key = slab.insert_with(|_| ());
            slab.arm(key, 1_000 + at_ms);
            slab.release(key);
            assert!(slab.take_due(at_ms / 100).is_empty());
        }
        assert!(slab.looks.len() <= STALE_MAX + 4, "{}", slab.looks.len());
        assert_eq!(slab.take_due(1_000_000), [kept]);
    }
}
