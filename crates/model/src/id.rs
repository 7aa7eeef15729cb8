//! Numbers that name things. Each is its own type, so that no id can stand where another belongs.

use std::fmt;
use std::str::FromStr;

use crate::ServiceName;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub u64);

        impl $name {
            /// The number that follows this one.
            ///
            /// # Panics
            /// `BUG:` after 2⁶⁴ − 1, which one a nanosecond reaches in five centuries.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.checked_add(1).expect("BUG: a counter of 64 bits ran out"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// The number of a release within its service; rising in the order in which releases were registered, never reused.
    ReleaseId
);
number!(
    /// The number of a rollout within its service; rising, never reused.
    RolloutId
);
number!(
    /// The term of a controller: each start of a controller on a journal takes the next. Receivers refuse what is older (I5).
    Epoch
);
impl Epoch {
    /// The highest term that anybody is believed to have come to: one a second would reach it in a hundred thousand million years. What names a
    /// higher one is damaged, or lies; and near the last number no further term could begin.
    pub const PLAUSIBLE_MAX: Epoch = Epoch(1 << 62);

    /// Whether a controller can have come to it, so that others may follow.
    #[must_use]
    pub fn is_plausible(self) -> bool {
        self <= Self::PLAUSIBLE_MAX
    }
}

number!(
    /// The number of a routing table within an epoch; rising (I7).
    Generation
);
number!(
    /// The number of an effect within its service, given when it is journalled; rising, never reused.
    EffectNumber
);

/// The identity of one life of one controller, made by chance at its start. Two controllers that came to the same epoch by different
/// ways (a journal restored from a copy beside the one that went on) are told apart by it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ControllerId(String);

/// The text is no controller's identity.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a controller's identity is 1 to 64 letters, digits and hyphens")]
pub struct ControllerIdInvalid;

impl ControllerId {
    /// From its text: 1 to 64 ASCII letters, digits and hyphens.
    ///
    /// # Errors
    /// [`ControllerIdInvalid`].
    pub fn new(text: &str) -> Result<ControllerId, ControllerIdInvalid> {
        let valid = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if valid { Ok(ControllerId(text.to_owned())) } else { Err(ControllerIdInvalid) }
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ControllerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// In whose name orders are given: the epoch, and which controller took it. Receivers obey the highest epoch they have seen, and of
/// that epoch the one controller that showed it to them first (I5).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Term {
    /// The epoch.
    pub epoch: Epoch,
    /// Whose; none for a controller of a release that had no identity.
    pub controller: Option<ControllerId>,
}

/// Which routing table: tables apply in strictly rising order of this pair (I7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct TableVersion {
    /// The term of the controller that published it.
    pub epoch: Epoch,
    /// Its number within that term.
    pub generation: Generation,
}

impl fmt::Display for TableVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.generation)
    }
}

/// One running copy of one release. The ordinal counts the starts within the service and is never reused, so an instance
/// that was replaced and its replacement differ.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct InstanceId {
    /// The service it serves.
    pub service: ServiceName,
    /// The release it runs.
    pub release: ReleaseId,
    /// Its number within the service.
    pub ordinal: u64,
}

/// `shop.r3.i7`: safe as a file name.
impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.r{}.i{}", self.service, self.release, self.ordinal)
    }
}

/// The text is not an instance id.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("instance id {text:?} is not of the form SERVICE.rN.iN")]
pub struct InstanceIdInvalid {
    text: String,
}

impl FromStr for InstanceId {
    type Err = InstanceIdInvalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (head, ordinal) = text.rsplit_once(".i")?;
            let (service, release) = head.rsplit_once(".r")?;
            Some(InstanceId {
                service: ServiceName::new(service).ok()?,
                release: ReleaseId(release.parse().ok()?),
                ordinal: ordinal.parse().ok()?,
            })
        };
        parse().ok_or_else(|| InstanceIdInvalid { text: text.chars().take(100).collect() })
    }
}

/// A SHA-256 digest: the identity of an artefact.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The first twelve hexadecimal digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// The text is not a SHA-256 digest.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a digest is 64 hexadecimal digits")]
pub struct DigestInvalid;

impl FromStr for Digest {
    type Err = DigestInvalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(DigestInvalid);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| DigestInvalid)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| DigestInvalid)?;
        }
        Ok(Digest(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::{ControllerId, Digest, InstanceId, ReleaseId};
    use crate::ServiceName;

    #[test]
    fn an_instance_id_reads_back_as_it_prints() {
        let id = InstanceId { service: ServiceName::new("shop-eu").unwrap(), release: ReleaseId(3), ordinal: 7 };
        assert_eq!(id.to_string(), "shop-eu.r3.i7");
        assert_eq!("shop-eu.r3.i7".parse::<InstanceId>().unwrap(), id);
        for wrong in ["", "shop", "shop.r3", "shop.r.i7", "shop.r3.i", ".r3.i7", "Shop.r3.i7"] {
            assert!(wrong.parse::<InstanceId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_controllers_identity_is_bounded_and_of_plain_characters() {
        assert_eq!(ControllerId::new("7c9e6679-7425-40de-944b").unwrap().as_str(), "7c9e6679-7425-40de-944b");
        for wrong in ["", "a b", "a\n", &"x".repeat(65), "ä"] {
            assert!(ControllerId::new(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_digest_reads_back_as_it_prints() {
        let digest = Digest(std::array::from_fn(|i| i as u8 * 7));
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert!("00".parse::<Digest>().is_err());
        assert!("é".repeat(32).parse::<Digest>().is_err());
    }
}
