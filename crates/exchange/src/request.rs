//! What an exchange knows of its request.

use gapless_routing::KeySent;

/// What is known of a request, whatever protocol it came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// As sent, where it may be done twice; what may not is told by any other.
    pub method: Method,
    /// Whether it carries an `Idempotency-Key`.
    pub key: KeySent,
}

/// Whether doing a request twice does what doing it once does (RFC 9110 §9.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// It does.
    Idempotent,
    /// It may not.
    Other,
}

impl Request {
    /// Whether its method may be done twice.
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        self.method == Method::Idempotent
    }
}
