//! Pins: a signed cookie binds a client to a release, and if asked to an instance.
//!
//! A pin is honoured as long as its release is in the table and not revoked, whatever its weight; so a client that has seen the
//! candidate does not go back, but by a rollback, which revokes. A cookie that does not verify is no pin. The cookie reads
//! `RELEASE.ORDINAL.MAC` (`-` for no instance); the MAC is the first 128 bits of HMAC-SHA-256 over service, release and ordinal, in
//! hexadecimal. It carries no time: an expiry is the cookie's `Max-Age`.

use std::fmt;

use gapless_model::{ReleaseId, ServiceName};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::table::{Instance, Pool, Service};

/// Bytes of the MAC that a cookie carries: 128 bits cannot be guessed.
const MAC_BYTES: usize = 16;

/// The longest cookie value that can be a pin: two numbers of 64 bits, two dots, the MAC.
const PIN_BYTES_MAX: usize = 20 + 1 + 20 + 1 + MAC_BYTES * 2;

/// What a pin binds to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PinScope {
    /// The release.
    Release,
    /// The release, and within it the instance for as long as it is in load.
    Instance,
}

/// The keys that sign pins: the first signs, all verify, so that keys can be changed without losing pins.
#[derive(Clone, PartialEq, Eq)]
pub struct Keyring(pub Vec<[u8; 32]>);

/// Keys are not shown.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} keys)", self.0.len())
    }
}

/// How a service pins its clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PinSpec {
    /// The cookie's name: a token (RFC 6265 §4.1.1).
    pub cookie: String,
    /// What is bound.
    pub scope: PinScope,
    /// The keys; without any, nobody is pinned.
    pub keys: Keyring,
    /// Releases whose pins no longer hold: rolled back.
    pub revoked: Vec<ReleaseId>,
    /// The cookie's `Max-Age` in seconds; the browser's session when none is given.
    pub max_age_s: Option<u64>,
}

/// The pins of a service in a table.
pub struct Pins {
    spec: PinSpec,
    macs: Vec<Hmac<Sha256>>,
}

/// What a cookie says, verified.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Pin {
    /// The release.
    pub release: ReleaseId,
    /// The instance's ordinal, where one is bound.
    pub ordinal: Option<u64>,
}

/// What becomes of a client's pin.
#[derive(Clone, Copy, Debug)]
pub enum PinDecision<'t> {
    /// It goes to this release, and to this instance where it is bound to one that is still in the pool.
    Honoured {
        /// The release's pool; it has instances.
        pool: &'t Pool,
        /// The bound instance.
        instance: Option<&'t Instance>,
    },
    /// It has none that verifies: it is split like a new client.
    None,
    /// Its release was rolled back.
    Revoked,
    /// Its release is in the table no more, or has no instance.
    Retired,
}

impl Pins {
    pub(crate) fn new(service: &ServiceName, spec: &PinSpec) -> Pins {
        let keyed = |key: &[u8; 32]| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
            mac.update(b"gapless pin 1\0");
            mac.update(service.as_str().as_bytes());
            mac.update(b"\0");
            Some(mac)
        };
        Pins { macs: spec.keys.0.iter().filter_map(keyed).collect(), spec: spec.clone() }
    }

    /// The cookie's name.
    #[must_use]
    pub fn cookie(&self) -> &str {
        &self.spec.cookie
    }

    /// What a cookie's value says; none when no key signed it.
    #[must_use]
    pub fn verify(&self, value: &[u8]) -> Option<Pin> {
        if value.len() > PIN_BYTES_MAX {
            return None;
        }
        let text = std::str::from_utf8(value).ok()?;
        let (signed, mac) = text.rsplit_once('.')?;
        let mac = from_hex(mac)?;
        let (release, ordinal) = signed.split_once('.')?;
        let pin = Pin {
            release: ReleaseId(release.parse().ok()?),
            ordinal: if ordinal == "-" { None } else { Some(ordinal.parse().ok()?) },
        };
        let verified = self.macs.iter().any(|keyed| {
            let mut keyed = keyed.clone();
            keyed.update(signed.as_bytes());
            keyed.verify_truncated_left(&mac).is_ok()
        });
        verified.then_some(pin)
    }

    /// The value of a cookie that binds to this release and, by the scope, this instance. None without keys.
    #[must_use]
    pub fn sign(&self, release: ReleaseId, ordinal: u64) -> Option<String> {
        let signed = match self.spec.scope {
            PinScope::Release => format!("{release}.-"),
            PinScope::Instance => format!("{release}.{ordinal}"),
        };
        let mut mac = self.macs.first()?.clone();
        mac.update(signed.as_bytes());
        let full = mac.finalize().into_bytes();
        let mut value = signed;
        value.push('.');
        full.iter().take(MAC_BYTES).for_each(|byte| value.push_str(&format!("{byte:02x}")));
        Some(value)
    }

    /// The value of a `Set-Cookie` header for [`Pins::sign`]'s value.
    #[must_use]
    pub fn set_cookie(&self, value: &str) -> String {
        let age = self.spec.max_age_s.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
        format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{age}", self.spec.cookie)
    }
}

fn from_hex(text: &str) -> Option<[u8; MAC_BYTES]> {
    let mut bytes = [0; MAC_BYTES];
    if text.len() != MAC_BYTES * 2 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

impl Service {
    /// What becomes of the pin that a request's cookie carries (the value of the cookie named [`Pins::cookie`]).
    #[must_use]
    pub fn pinned(&self, cookie: Option<&[u8]>) -> PinDecision<'_> {
        let Some(pins) = self.pins() else { return PinDecision::None };
        let Some(pin) = cookie.and_then(|value| pins.verify(value)) else { return PinDecision::None };
        if pins.spec.revoked.contains(&pin.release) {
            return PinDecision::Revoked;
        }
        match self.pool(pin.release) {
            Some(pool) if !pool.instances().is_empty() => {
                let bound = |ordinal| pool.instances().iter().find(|instance| instance.id.ordinal == ordinal);
                PinDecision::Honoured { pool, instance: pin.ordinal.and_then(bound) }
            }
            _ => PinDecision::Retired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::tests::{pool, service, table};
    use crate::{PoolSpec, Table};

    fn pinned(scope: PinScope, keys: &[u8], revoked: &[u64], pools: Vec<PoolSpec>) -> Table {
        let mut shop = service("shop", pools);
        shop.pins = Some(PinSpec {
            cookie: "gapless-pin".into(),
            scope,
            keys: Keyring(keys.iter().map(|key| [*key; 32]).collect()),
            revoked: revoked.iter().map(|release| ReleaseId(*release)).collect(),
            max_age_s: Some(60),
        });
        table(vec![shop])
    }

    fn pools() -> Vec<PoolSpec> {
        vec![pool("shop", 1, 10_000, 1, 2), pool("shop", 2, 0, 3, 2)]
    }

    fn shown(table: &Table, cookie: &str) -> String {
        match table.services()[0].pinned(Some(cookie.as_bytes())) {
            PinDecision::Honoured { pool, instance: None } => format!("release {}", pool.release()),
            PinDecision::Honoured { instance: Some(instance), .. } => instance.id.to_string(),
            PinDecision::None => "none".into(),
            PinDecision::Revoked => "revoked".into(),
            PinDecision::Retired => "retired".into(),
        }
    }

    #[test]
    fn a_pin_holds_whatever_the_weight_until_its_release_is_revoked_or_gone() {
        let table = pinned(PinScope::Release, &[1], &[], pools());
        let cookie = table.services()[0].pins().unwrap().sign(ReleaseId(2), 3).unwrap();
        assert_eq!(shown(&table, &cookie), "release 2");
        assert_eq!(shown(&pinned(PinScope::Release, &[1], &[2], pools()), &cookie), "revoked");
        assert_eq!(
            shown(&pinned(PinScope::Release, &[1], &[], vec![pool("shop", 1, 10_000, 1, 1)]), &cookie),
            "retired"
        );
        assert_eq!(
            shown(&pinned(PinScope::Release, &[9, 1], &[], pools()), &cookie),
            "release 2",
            "an old key verifies"
        );
        assert_eq!(shown(&pinned(PinScope::Release, &[9], &[], pools()), &cookie), "none");
        assert_eq!(shown(&pinned(PinScope::Release, &[], &[], pools()), &cookie), "none");
    }

    #[test]
    fn a_pin_to_an_instance_falls_back_to_its_release() {
        let table = pinned(PinScope::Instance, &[1], &[], pools());
        let pins = table.services()[0].pins().unwrap();
        assert_eq!(shown(&table, &pins.sign(ReleaseId(2), 4).unwrap()), "shop.r2.i4");
        assert_eq!(shown(&table, &pins.sign(ReleaseId(2), 99).unwrap()), "release 2");
    }

    #[test]
    fn no_changed_byte_of_a_cookie_verifies() {
        let table = pinned(PinScope::Instance, &[1], &[], pools());
        let pins = table.services()[0].pins().unwrap();
        let cookie = pins.sign(ReleaseId(2), 4).unwrap();
        assert_eq!(pins.verify(cookie.as_bytes()), Some(Pin { release: ReleaseId(2), ordinal: Some(4) }));
        for at in 0..cookie.len() {
            let mut wrong = cookie.clone().into_bytes();
            wrong[at] = if wrong[at] == b'1' { b'2' } else { b'1' };
            assert_eq!(pins.verify(&wrong), None, "byte {at}");
            assert_eq!(pins.verify(&cookie.as_bytes()[..at]), None);
        }
        for wrong in ["", ".", "..", "2.-", "2.-.", "-.-.00", "é.é.é", &"1".repeat(500)] {
            assert_eq!(pins.verify(wrong.as_bytes()), None);
        }
        assert_eq!(pins.set_cookie("x"), "gapless-pin=x; Path=/; HttpOnly; SameSite=Lax; Max-Age=60");
    }
}
