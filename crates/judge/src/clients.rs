//! Clients that begin to fail, each once however often it tries again.
//!
//! One client whose requests always fail, and that is bound to one instance, looks like a worse release when errors are counted. Counted
//! is instead when a client *begins* to fail: its first failed request after a time without any. Whose first it was, on whichever
//! arm, decides for whom it counts, so a client that has met both arms counts on one of them, by their shares of the requests.

use gapless_model::{Millis, Tick};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// A client begins to fail anew when it has not failed for one to two of these.
pub const GENERATION: Millis = Millis(600_000);

/// Clients remembered in one generation; further ones are taken for such as have failed before, which counts nothing.
pub const CLIENTS_MAX: usize = 65_536;

/// The median client that fails may do so at most so often in a generation. Beyond, most clients fail all the time, none begins to, and
/// errors have to be counted instead.
const MEDIAN_ERRORS_MAX: u32 = 2;

/// Clients there must be: of a few, one more or less decides.
pub const CLIENTS_MIN: u64 = 100;

/// Who has failed lately.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FailingClients {
    now: HashMap<u64, u32>,
    before: HashMap<u64, u32>,
    began_ms: Option<u64>,
    forgotten: u64,
}

impl FailingClients {
    /// Takes a failed request of a client; whether the client begins to fail with it.
    pub fn begins(&mut self, now: Tick, client: u64) -> bool {
        let began = *self.began_ms.get_or_insert(now.0);
        if now.since(Tick(began)) >= GENERATION {
            // After two generations nobody is remembered.
            let both = now.since(Tick(began)).0 >= 2 * GENERATION.0;
            self.before = if both { HashMap::new() } else { std::mem::take(&mut self.now) };
            self.now.clear();
            self.began_ms = Some(now.0);
        }
        if let Some(errors) = self.now.get_mut(&client) {
            *errors = errors.saturating_add(1);
            return false;
        }
        if self.now.len() >= CLIENTS_MAX {
            self.forgotten = self.forgotten.saturating_add(1);
            return false;
        }
        self.now.insert(client, 1);
        !self.before.contains_key(&client)
    }

    /// Whether counting clients says what counting errors would: the median of those that fail does so hardly more than once.
    pub fn tell_apart(&self) -> bool {
        let generation = if self.before.len() > self.now.len() { &self.before } else { &self.now };
        let mut errors: Vec<u32> = generation.values().copied().collect();
        errors.sort_unstable();
        errors.get(errors.len() / 2).is_none_or(|median| *median <= MEDIAN_ERRORS_MAX)
    }

    /// Failed requests of clients beyond [`CLIENTS_MAX`].
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_always_fails_begins_once() {
        let mut clients = FailingClients::default();
        let began = (0..7_200_u64).filter(|second| clients.begins(Tick(second * 1_000), 7)).count();
        assert_eq!(began, 1);
    }

    #[test]
    fn a_client_that_fails_now_and_then_begins_each_time() {
        let mut clients = FailingClients::default();
        let began = (0..5_u64).filter(|time| clients.begins(Tick(time * 3_600_000), 7)).count();
        assert_eq!(began, 5);
    }

    #[test]
    fn where_all_clients_fail_all_the_time_errors_are_counted() {
        let (mut rarely, mut always) = (FailingClients::default(), FailingClients::default());
        for second in 0..500_u64 {
            rarely.begins(Tick(second * 1_000), second % 400);
            rarely.begins(Tick(second * 1_000), u64::MAX);
            always.begins(Tick(second * 1_000), second % 20);
        }
        assert!(rarely.tell_apart() && !always.tell_apart());
    }

    #[test]
    fn memory_is_bounded_and_what_is_beyond_it_is_told() {
        let mut clients = FailingClients::default();
        (0..CLIENTS_MAX as u64 + 10).for_each(|client| {
            clients.begins(Tick(0), client);
        });
        assert_eq!((clients.forgotten(), clients.now.len()), (10, CLIENTS_MAX));
    }
}
