//! What of a request a consistent hash goes by.

use std::fmt;
use std::str::FromStr;

/// What of a request a consistent hash goes by: requests with the same value go to the same instance. A request without the header or
/// the cookie goes by the client's address.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum HashKey {
    /// The client's address, without its port.
    #[default]
    Address,
    /// The value of the first header line of this name.
    Header(FieldName),
    /// The value of the cookie of this name.
    Cookie(FieldName),
}

/// The name of a header line or of a cookie: a token (RFC 9110 §5.6.2), at most 128 bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FieldName(Box<str>);

impl FieldName {
    const BYTES_MAX: usize = 128;

    fn new(name: &str) -> Option<FieldName> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let fits = (1..=Self::BYTES_MAX).contains(&name.len());
        (fits && name.bytes().all(token)).then(|| FieldName(name.into()))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text names nothing that a hash can go by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not `address`, `header:NAME` or `cookie:NAME`")]
pub struct HashKeyInvalid;

impl FromStr for HashKey {
    type Err = HashKeyInvalid;

    fn from_str(text: &str) -> Result<HashKey, HashKeyInvalid> {
        let name = |name| FieldName::new(name).ok_or(HashKeyInvalid);
        match text.split_once(':') {
            None if text == "address" => Ok(HashKey::Address),
            Some(("header", header)) => Ok(HashKey::Header(name(header)?)),
            Some(("cookie", cookie)) => Ok(HashKey::Cookie(name(cookie)?)),
            _ => Err(HashKeyInvalid),
        }
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HashKey::Address => f.write_str("address"),
            HashKey::Header(name) => write!(f, "header:{}", name.as_str()),
            HashKey::Cookie(name) => write!(f, "cookie:{}", name.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HashKey, HashKeyInvalid};

    #[test]
    fn a_hash_key_reads_back_as_it_is_written_and_nothing_else_is_one() {
        for good in ["address", "header:X-User-Id", "cookie:session"] {
            assert_eq!(good.parse::<HashKey>().unwrap().to_string(), good);
        }
        for wrong in
            ["", "time", "Address", "header", "header:", "header:a b", "cookie:a=b", "query:x", "header:a\r\nb"]
        {
            assert_eq!(wrong.parse::<HashKey>(), Err(HashKeyInvalid), "{wrong}");
        }
    }
}
