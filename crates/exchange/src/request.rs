//! What an exchange knows of its request.

use gapless_routing::{KeySent, Method};

/// What is known of a request, whatever protocol it came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Whether it may be done twice.
    pub method: Method,
    /// Whether it carries an `Idempotency-Key`.
    pub key: KeySent,
}

impl Request {
    /// Whether its method may be done twice.
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        self.method == Method::Idempotent
    }
}
