//! What a consistent hash goes by, and where on the ring that is: the same in every proxy, of every build.
//!
//! The hash is SHA-256, of which the first eight bytes are read as a number, the most significant first. The standard library's own
//! hash is none: its documentation leaves it unspecified, so two builds could send one client to two instances. That nobody who chooses
//! their own header can aim at one instance's arc without trying is welcome too.

use core::net::{IpAddr, SocketAddr};

use gapless_model::HashKey;
use sha2::{Digest, Sha256};

/// A place on the ring. Only [`RingPlace::of_client`] and [`RingPlace::of_instance`] make one, from what asks and from what is asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct RingPlace(u64);

/// What of a request a consistent hash may go by.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// The client's address.
    pub address: IpAddr,
    /// The value of the first header line of a name, whatever its case.
    pub line: &'a dyn Fn(&str) -> Option<&'a [u8]>,
}

impl std::fmt::Debug for Asker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Asker({})", self.address)
    }
}

impl RingPlace {
    /// Where a client is. Values of headers, cookies and addresses never meet by accident: each kind is hashed with its name.
    pub(crate) fn of_client(key: &HashKey, asker: &Asker<'_>) -> RingPlace {
        let (kind, value) = match key {
            HashKey::Address => ("address", None),
            HashKey::Header(name) => ("header", (asker.line)(name.as_str())),
            HashKey::Cookie(name) => ("cookie", (asker.line)("cookie").and_then(|line| cookie(line, name.as_str()))),
        };
        match value {
            Some(value) => RingPlace::of(kind, value),
            None => RingPlace::of("address", asker.address.to_canonical().to_string().as_bytes()),
        }
    }

    /// Where an instance has one of its points.
    pub(crate) fn of_instance(address: SocketAddr, point: u64) -> RingPlace {
        RingPlace::of("instance", format!("{address} {point}").as_bytes())
    }

    fn of(kind: &str, value: &[u8]) -> RingPlace {
        let digest = Sha256::new().chain_update(kind).chain_update([0]).chain_update(value).finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        RingPlace(u64::from_be_bytes(first))
    }
}

/// The value of a cookie in a `Cookie` line (RFC 6265 §4.2.1); the first of its name.
fn cookie<'l>(line: &'l [u8], name: &str) -> Option<&'l [u8]> {
    line.split(|&byte| byte == b';').map(<[u8]>::trim_ascii).find_map(|pair| {
        let (found, value) = pair.split_at_checked(name.len())?;
        (found == name.as_bytes()).then(|| value.strip_prefix(b"=")).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(key: &str, lines: &[(&str, &str)], address: &str) -> RingPlace {
        let line = |name: &str| {
            let found = lines.iter().find(|(line, _)| line.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_bytes())
        };
        RingPlace::of_client(&key.parse().unwrap(), &Asker { address: address.parse().unwrap(), line: &line })
    }

    #[test]
    fn places_are_the_same_in_every_build() {
        let at = |place: RingPlace| format!("{:016x}", place.0);
        let shown = [
            at(place("address", &[], "192.0.2.7")),
            at(place("address", &[], "::ffff:192.0.2.7")),
            at(place("header:x-user", &[("X-User", "ann")], "192.0.2.7")),
            at(place("cookie:sid", &[("Cookie", "a=b; sid=ann; sidx=1")], "192.0.2.7")),
            at(RingPlace::of_instance("127.0.0.1:8080".parse().unwrap(), 0)),
            at(RingPlace::of_instance("[::1]:8080".parse().unwrap(), 99)),
        ];
        expect_test::expect![[r#"
            b9a4aa5a6da22ef0
            b9a4aa5a6da22ef0
            8f54ce0fa3d84d4d
            4c0ce02c19f92c68
            91925b29cf10c597
            57ab813bf65ab467
        "#]]
        .assert_eq(&(shown.join("\n") + "\n"));
    }

    #[test]
    fn what_is_not_there_is_replaced_by_the_address() {
        let by_address = place("address", &[], "192.0.2.7");
        assert_eq!(place("header:x-user", &[], "192.0.2.7"), by_address);
        for cookies in ["", "sid", "sidx=ann", "xsid=ann", "; ;=;sid"] {
            assert_eq!(place("cookie:sid", &[("Cookie", cookies)], "192.0.2.7"), by_address, "{cookies}");
        }
        assert_ne!(place("cookie:sid", &[("Cookie", "sid=")], "192.0.2.7"), by_address);
        assert_ne!(place("header:x-user", &[("x-user", "192.0.2.7")], "192.0.2.7"), by_address);
    }
}
