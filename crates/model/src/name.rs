//! Names that people give: services and release labels.

use std::fmt;
use std::sync::Arc;

/// The longest service name or release label, in bytes: what a DNS label allows, so that a name can be a host too.
pub const NAME_BYTES_MAX: usize = 63;

/// Why a name was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameInvalid {
    /// Nothing was given.
    #[error("it is empty")]
    Empty,
    /// It has more than [`NAME_BYTES_MAX`] bytes.
    #[error("it is longer than {NAME_BYTES_MAX} bytes")]
    TooLong,
    /// It has a character that is not allowed, or not allowed there.
    #[error("{found:?} is not allowed there: {allowed}")]
    Character {
        /// The first such character.
        found: char,
        /// What is allowed, for people.
        allowed: &'static str,
    },
}

/// The name of a service: lower-case letters, digits and inner hyphens, 1 to 63 bytes (RFC 1123 label).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(Arc<str>);

/// What people call a release, such as `1.4.0`: letters, digits and `._+-`, beginning with a letter or digit, 1 to 63 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseLabel(Arc<str>);

impl ServiceName {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`NameInvalid`] says what is wrong.
    pub fn new(text: &str) -> Result<Self, NameInvalid> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        check(text, inner, |c| c != '-', "lower-case letters, digits and inner hyphens")?;
        if text.ends_with('-') {
            return Err(NameInvalid::Character { found: '-', allowed: "a name ends with a letter or digit" });
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ReleaseLabel {
    /// Checks and takes a label.
    ///
    /// # Errors
    /// [`NameInvalid`] says what is wrong.
    pub fn new(text: &str) -> Result<Self, NameInvalid> {
        let inner = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        check(text, inner, |c| c.is_ascii_alphanumeric(), "letters, digits and ._+- after a letter or digit")?;
        Ok(Self(text.into()))
    }

    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(
    text: &str,
    inner: impl Fn(char) -> bool,
    first: impl Fn(char) -> bool,
    allowed: &'static str,
) -> Result<(), NameInvalid> {
    if text.is_empty() {
        return Err(NameInvalid::Empty);
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(NameInvalid::TooLong);
    }
    match text.char_indices().find(|(at, c)| !inner(*c) || (*at == 0 && !first(*c))) {
        Some((_, found)) => Err(NameInvalid::Character { found, allowed }),
        None => Ok(()),
    }
}

macro_rules! shown {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

shown!(ServiceName);
shown!(ReleaseLabel);

#[cfg(test)]
mod tests {
    use super::{NameInvalid, ReleaseLabel, ServiceName};

    #[test]
    fn a_service_name_is_a_dns_label() {
        for good in ["a", "shop", "shop-2", "0x"] {
            assert!(ServiceName::new(good).is_ok(), "{good}");
        }
        for wrong in ["", "-a", "a-", "Shop", "a.b", "a/b", "ä", &"a".repeat(64)] {
            assert!(ServiceName::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_label_cannot_climb_out_of_a_folder() {
        for good in ["1.4.0", "v2+build-7", "2026-11-21_1"] {
            assert!(ReleaseLabel::new(good).is_ok(), "{good}");
        }
        for wrong in ["", ".", "..", "../x", "a/b", "a b", "-x"] {
            assert!(ReleaseLabel::new(wrong).is_err(), "{wrong}");
        }
        assert_eq!(ReleaseLabel::new(&"1".repeat(64)), Err(NameInvalid::TooLong));
    }
}
