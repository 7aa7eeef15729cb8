//! What was tried for one request, and what of it counts for ever.
//!
//! An attempt that reached nobody is forgotten when the request was held: whoever took no connection may take one now. One that an
//! instance may have seen is never forgotten, whatever the request waits for in between; a request that an instance dies of would
//! otherwise be given to each of its replacements.

use gapless_routing::Slot;

/// The attempts of one request.
#[derive(Debug, Default)]
pub struct Tries {
    begun: u8,
    sends: u8,
    unsent: u8,
    tried: Vec<Slot>,
    refusing: Vec<Slot>,
}

impl Tries {
    /// Forgets all: for another request.
    pub fn clear(&mut self) {
        let Self { begun, sends, unsent, tried, refusing } = self;
        (*begun, *sends, *unsent) = (0, 0, 0);
        tried.clear();
        refusing.clear();
    }

    /// An attempt begins.
    pub fn begin(&mut self) {
        self.begun = self.begun.saturating_add(1);
    }

    /// Attempts that were begun.
    pub fn begun(&self) -> u8 {
        self.begun
    }

    /// Attempts that failed and of which an instance may have seen something. They count for ever.
    pub fn sends(&self) -> u8 {
        self.sends
    }

    /// Attempts that failed and of which no instance saw anything, since the request was last held.
    pub fn unsent(&self) -> u8 {
        self.unsent
    }

    /// The instances that were tried since the request was last held: others come first.
    pub fn tried(&self) -> &[Slot] {
        &self.tried
    }

    /// Those of them that took no connection: there is no use in asking them again.
    pub fn refusing(&self) -> &[Slot] {
        &self.refusing
    }

    /// An instance took no connection.
    pub fn note_refused(&mut self, slot: Option<Slot>) {
        self.note_unsent(slot);
        self.refusing.extend(slot);
    }

    /// An instance took the connection and provably nothing of the request.
    pub fn note_unsent(&mut self, slot: Option<Slot>) {
        self.unsent = self.unsent.saturating_add(1);
        self.tried.extend(slot);
    }

    /// An instance may have seen the request. `slot` is to be avoided, if it can be.
    pub fn note_sent(&mut self, slot: Option<Slot>) {
        self.sends = self.sends.saturating_add(1);
        self.tried.extend(slot);
    }

    /// The request is held: what reached nobody is forgotten.
    pub fn forget_unsent(&mut self) {
        self.unsent = 0;
        self.tried.clear();
        self.refusing.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::Tries;

    #[test]
    fn a_hold_forgets_what_reached_nobody_and_nothing_else() {
        let mut tries = Tries::default();
        tries.begin();
        tries.note_sent(None);
        tries.begin();
        tries.note_refused(None);
        assert_eq!((tries.begun(), tries.sends(), tries.unsent()), (2, 1, 1));
        tries.forget_unsent();
        assert_eq!((tries.begun(), tries.sends(), tries.unsent()), (2, 1, 0));
        assert!(tries.tried().is_empty() && tries.refusing().is_empty());
    }
}
