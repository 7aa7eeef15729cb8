//! Previews: who may reach a release before everybody does.
//!
//! A preview goes past weights and holds, and reaches a candidate that nobody has vouched for yet. So it takes a right: the token of the
//! rollout, which its checks and its operators have, or a peer that the proxy trusts. `X-Gapless-Preview` reads `LABEL:TOKEN`, or `LABEL`
//! from a trusted peer. Without a right it says nothing, so that nobody learns by it which releases there are.

use std::fmt;

use gapless_model::{ReleaseLabel, RolloutId, ServiceName};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::table::{Pool, Service};

/// Bytes of a token: 128 bits cannot be guessed.
const TOKEN_BYTES: usize = 16;

/// The secret of a controller that tokens are made with.
#[derive(Clone, PartialEq, Eq)]
pub struct PreviewKey(pub [u8; 32]);

/// Keys are not shown.
impl fmt::Debug for PreviewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PreviewKey(…)")
    }
}

impl PreviewKey {
    /// The token of a rollout: the same for as long as the key is, and no other's.
    #[must_use]
    pub fn token(&self, service: &ServiceName, rollout: RolloutId) -> PreviewToken {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("BUG: HMAC takes keys of every length");
        mac.update(service.as_str().as_bytes());
        mac.update(&[0]);
        mac.update(&rollout.0.to_be_bytes());
        let digest = mac.finalize().into_bytes();
        PreviewToken(digest[..TOKEN_BYTES].iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// What gives the right to a preview: 32 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct PreviewToken(Box<str>);

/// Tokens are not shown in logs.
impl fmt::Debug for PreviewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PreviewToken(…)")
    }
}

/// The text is no token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a preview token is 32 hexadecimal digits")]
pub struct PreviewTokenInvalid;

impl PreviewToken {
    /// Checks and takes a token.
    ///
    /// # Errors
    /// [`PreviewTokenInvalid`].
    pub fn new(text: &str) -> Result<PreviewToken, PreviewTokenInvalid> {
        let fine = text.len() == TOKEN_BYTES * 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if fine { Ok(PreviewToken(text.into())) } else { Err(PreviewTokenInvalid) }
    }

    /// The token as text, for those who may have it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of the preview header that reaches a release.
    #[must_use]
    pub fn header(&self, label: &ReleaseLabel) -> String {
        format!("{label}:{}", self.0)
    }

    /// In a time that does not tell how much of it is right.
    fn is(&self, text: &[u8]) -> bool {
        let own = self.0.as_bytes();
        own.len() == text.len() && own.iter().zip(text).fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
    }
}

/// Whether the proxy believes what a peer says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeerTrust {
    /// It is in `trusted_peers`.
    Trusted,
    /// It is anybody.
    Stranger,
}

/// What a preview header comes to.
#[derive(Clone, Copy, Debug)]
pub enum PreviewAsked<'t> {
    /// It has no right: the request is one like all others.
    Ignored,
    /// It has the right, and no such release has instances.
    Absent,
    /// It goes to this release.
    Reaches(&'t Pool),
}

impl Service {
    /// What becomes of a request with this value of the preview header.
    #[must_use]
    pub fn preview_asked(&self, value: &[u8], peer: PeerTrust) -> PreviewAsked<'_> {
        let (label, token) = match value.iter().position(|byte| *byte == b':') {
            Some(colon) => (&value[..colon], Some(&value[colon + 1..])),
            None => (value, None),
        };
        let by_token = self.preview_token.as_ref().zip(token).is_some_and(|(own, token)| own.is(token));
        if !by_token && peer == PeerTrust::Stranger {
            return PreviewAsked::Ignored;
        }
        match self.preview(label) {
            Some(pool) => PreviewAsked::Reaches(pool),
            None => PreviewAsked::Absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_rollouts_and_one_keys() {
        let service = |name: &str| ServiceName::new(name).unwrap();
        let key = PreviewKey([7; 32]);
        let token = key.token(&service("shop"), RolloutId(3));
        assert_eq!(token, key.token(&service("shop"), RolloutId(3)));
        assert_eq!(PreviewToken::new(token.as_str()).as_ref(), Ok(&token));
        for other in [
            key.token(&service("shop"), RolloutId(4)),
            key.token(&service("shop-2"), RolloutId(3)),
            PreviewKey([8; 32]).token(&service("shop"), RolloutId(3)),
        ] {
            assert_ne!(token, other);
            assert!(!token.is(other.as_str().as_bytes()));
        }
        assert!(!format!("{key:?}{token:?}").contains(token.as_str()));
        for wrong in ["", "abc", &"x".repeat(32), &"a".repeat(33)] {
            assert!(PreviewToken::new(wrong).is_err(), "{wrong}");
        }
    }
}
