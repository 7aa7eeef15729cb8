//! Values as they are written: each [`Kind`] reads one item of TOML into a [`Value`], or says what is wrong with it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use gapless_model::{Amount, EnvironmentFile, Host, Millis, PathPrefix, SecretSource, ServiceName, StatusRange};
use ipnet::IpNet;
use toml_edit::Item;

use super::error::Fault;
use super::key::Kind;
use super::sources;
use super::text::{ENTRIES_MAX, TEXT_BYTES_MAX, command, folder, shortened, text, texts, wrong_type};

/// The fewest ports instances may share: fewer leave no room for a candidate beside the current release.
const PORTS_MIN: u16 = 16;

/// A value that was read.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value {
    Text(String),
    ServiceName(ServiceName),
    Host(Host),
    PathPrefix(PathPrefix),
    Texts(Vec<String>),
    TextMap(BTreeMap<String, String>),
    EnvironmentFiles(Vec<EnvironmentFile>),
    Secrets(BTreeMap<String, SecretSource>),
    Flag(bool),
    Count(u64),
    Amount(Amount),
    Duration(Millis),
    Statuses(StatusRange),
    Word(&'static str),
    SocketAddress(SocketAddr),
    Networks(Vec<Network>),
    Ports(PortRange),
    Path(PathBuf),
}

/// A network: an address and how many of its leading bits count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Network(IpNet);

/// The text is not a network.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text:?} is not an address or `address/bits`")]
pub struct NetworkInvalid {
    text: String,
}

impl FromStr for Network {
    type Err = NetworkInvalid;

    fn from_str(text: &str) -> Result<Network, NetworkInvalid> {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(Network).map_err(|_| NetworkInvalid { text: text.chars().take(60).collect() })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Network {
    /// Whether the address lies in the network. An IPv4 address that came in IPv6's clothes (`::ffff:a.b.c.d`) counts as what it is.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

/// A range of ports, both ends included; at least 16 of them, none below 1024.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl Kind {
    /// Reads a written item. The fault says what is wrong but not which key it is: the caller knows that.
    pub(super) fn read(&self, item: &Item) -> Result<Value, Fault> {
        match self {
            Kind::Text { bytes_max } => text(item, *bytes_max).map(Value::Text),
            Kind::ServiceName => checked(item, ServiceName::new).map(Value::ServiceName),
            Kind::Host => checked(item, Host::new).map(Value::Host),
            Kind::PathPrefix => checked(item, PathPrefix::new).map(Value::PathPrefix),
            Kind::RequestPath => checked(item, request_path).map(Value::Text),
            Kind::Folder => checked(item, folder).map(Value::Text),
            Kind::Command => command(item).map(Value::Texts),
            Kind::TextMap => text_map(item).map(Value::TextMap),
            Kind::EnvironmentFiles => sources::files(item).map(Value::EnvironmentFiles),
            Kind::Secrets => sources::secrets(item).map(Value::Secrets),
            Kind::Flag => item.as_bool().map(Value::Flag).ok_or_else(|| wrong_type(item, "`true` or `false`")),
            Kind::Count { min, max } => count(item, *min, *max).map(Value::Count),
            Kind::Amount { min } => amount(item, *min).map(Value::Amount),
            Kind::Duration { min, max } => duration(item, *min, *max).map(Value::Duration),
            Kind::Size { min, max } => size(item, *min, *max).map(Value::Count),
            Kind::Cores => cores(item).map(Value::Count),
            Kind::Statuses => statuses(item).map(Value::Statuses),
            Kind::OneOf(words) => one_of(item, words).map(Value::Word),
            Kind::SocketAddress => checked(item, |text| {
                text.parse().map_err(|_| "an address and a port are written `0.0.0.0:8080` or `[::]:8080`".to_owned())
            })
            .map(Value::SocketAddress),
            Kind::Networks => networks(item).map(Value::Networks),
            Kind::Ports => checked(item, ports).map(Value::Ports),
            Kind::Path => text(item, 4_096).map(|path| Value::Path(path.into())),
        }
    }
}

fn checked<T, E: fmt::Display>(item: &Item, check: impl Fn(&str) -> Result<T, E>) -> Result<T, Fault> {
    let text = text(item, TEXT_BYTES_MAX)?;
    check(&text).map_err(|error| {
        Fault::new(format!("has the wrong value {:?}", shortened(&text))).because(error.to_string()).at(item.span())
    })
}

fn request_path(text: &str) -> Result<String, String> {
    let fine = text.starts_with('/') && text.len() <= 1_024 && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if fine {
        Ok(text.to_owned())
    } else {
        Err("a request path begins with `/` and has no spaces, `#` or other than ASCII".to_owned())
    }
}

fn text_map(item: &Item) -> Result<BTreeMap<String, String>, Fault> {
    let table = item.as_table_like().ok_or_else(|| wrong_type(item, "a table of texts"))?;
    if table.len() > ENTRIES_MAX {
        return Err(Fault::new(format!("has more than {ENTRIES_MAX} entries")).at(item.span()));
    }
    let mut map = BTreeMap::new();
    for (name, value) in table.iter() {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(
                Fault::new(format!("has the variable {name:?}, whose name is empty or holds `=`")).at(item.span())
            );
        }
        let text = value.as_str().ok_or_else(|| {
            wrong_type(value, "a text").hint(format!("put the value of `{name}` in quotes: variables are texts"))
        })?;
        if text.len() > TEXT_BYTES_MAX || text.contains('\0') {
            return Err(
                Fault::new(format!("has for `{name}` a value that is too long or holds a NUL byte")).at(value.span())
            );
        }
        map.insert(name.to_owned(), text.to_owned());
    }
    Ok(map)
}

fn count(item: &Item, min: u64, max: u64) -> Result<u64, Fault> {
    let number = item.as_integer().ok_or_else(|| wrong_type(item, "a whole number"))?;
    match u64::try_from(number) {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(Fault::new(format!("must be {min} to {max}, found {number}")).at(item.span())),
    }
}

fn amount(item: &Item, min: u16) -> Result<Amount, Fault> {
    if let Some(percent) = item.as_str().and_then(|text| text.strip_suffix('%')) {
        return match percent.trim_end().parse::<u8>() {
            Ok(percent) if percent <= 100 => Ok(Amount::Percent(percent)),
            _ => {
                Err(Fault::new(format!("must be \"0%\" to \"100%\", found {:?}%", shortened(percent))).at(item.span()))
            }
        };
    }
    if item.as_integer().is_none() {
        return Err(wrong_type(item, "a count such as 3 or a share such as \"25%\""));
    }
    let number = count(item, u64::from(min), 1_000)?;
    Ok(Amount::Count(u16::try_from(number).unwrap_or(u16::MAX)))
}

fn duration(item: &Item, min: Millis, max: Millis) -> Result<Millis, Fault> {
    let wanted = "a duration such as \"500ms\", \"30s\" or \"1m30s\"";
    if let Some(number) = item.as_integer() {
        return Err(wrong_type(item, wanted).hint(format!("write \"{number}s\" if seconds are meant")));
    }
    let text = item.as_str().ok_or_else(|| wrong_type(item, wanted))?;
    let length = duration_of(text).ok_or_else(|| {
        wrong_type(item, wanted).because("the units are ms, s, m, h and d; each number needs one".to_owned())
    })?;
    if (min..=max).contains(&length) {
        Ok(length)
    } else {
        Err(Fault::new(format!("must be {min} to {max}, found {:?}", shortened(text))).at(item.span()))
    }
}

/// A duration as people write it: numbers with units, the larger first or not, `1.5s` too. `None` when it is none.
#[must_use]
pub fn duration_of(text: &str) -> Option<Millis> {
    const NUMBER: [char; 11] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '.'];
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() || rest.len() > 40 {
        return None;
    }
    while !rest.is_empty() {
        let number_end = rest.find(|c| !NUMBER.contains(&c))?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(decimal(number, unit_ms)?)?;
        rest = after.trim_start();
    }
    Some(Millis(total))
}

/// `number × unit` for a decimal number, rounded down to a whole; `None` when it is not a number or too large.
fn decimal(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = u32::try_from(fraction.len()).ok().filter(|digits| (1..=9).contains(digits))?;
    let whole: u64 = whole.parse().ok()?;
    let fraction: u64 = fraction.parse().ok()?;
    whole.checked_mul(unit)?.checked_add(fraction.checked_mul(unit)? / 10_u64.pow(digits))
}

const SIZE_UNITS: [(&str, u64); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

fn size(item: &Item, min: u64, max: u64) -> Result<u64, Fault> {
    let wanted = "a size such as \"64KiB\" or \"512MiB\"";
    let bytes = match (item.as_integer(), item.as_str()) {
        (Some(number), _) => u64::try_from(number).ok(),
        (None, Some(text)) => SIZE_UNITS
            .iter()
            .find_map(|(unit, bytes)| text.strip_suffix(unit).and_then(|number| decimal(number.trim_end(), *bytes))),
        (None, None) => None,
    };
    let bytes =
        bytes.ok_or_else(|| wrong_type(item, wanted).because("the units are B, KiB, MiB, GiB, TiB, kB, MB and GB"))?;
    if (min..=max).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(Fault::new(format!("must be {} to {}, found {}", size_text(min), size_text(max), size_text(bytes)))
            .at(item.span()))
    }
}

/// A size as a person writes it, exact.
pub(super) fn size_text(bytes: u64) -> String {
    let unit = SIZE_UNITS[..4].iter().rev().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{bytes}B"), |(name, unit)| format!("{}{name}", bytes / unit))
}

/// Thousandths of a core.
fn cores(item: &Item) -> Result<u64, Fault> {
    let number = item.as_float().or_else(|| item.as_integer().map(|number| number as f64));
    let number = number.ok_or_else(|| wrong_type(item, "a number of cores such as 2 or 0.5"))?;
    if (0.01..=1024.0).contains(&number) {
        Ok((number * 1_000.0).round() as u64)
    } else {
        Err(Fault::new(format!("must be 0.01 to 1024, found {number}")).at(item.span()))
    }
}

fn statuses(item: &Item) -> Result<StatusRange, Fault> {
    let range = match (item.as_integer(), item.as_str()) {
        (Some(number), _) => u16::try_from(number).ok().map(|number| (number, number)),
        (None, Some(text)) => {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            first.trim().parse().ok().zip(last.trim().parse().ok())
        }
        (None, None) => None,
    };
    match range {
        Some((first, last)) if 100 <= first && first <= last && last <= 599 => Ok(StatusRange { first, last }),
        _ => Err(wrong_type(item, "a status such as 200 or a range such as \"200-399\", within 100 to 599")),
    }
}

fn one_of(item: &Item, words: &'static [&'static str]) -> Result<&'static str, Fault> {
    let all = || words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
    let text = item.as_str().ok_or_else(|| wrong_type(item, &format!("one of {}", all())))?;
    words.iter().copied().find(|word| *word == text).ok_or_else(|| {
        let fault = wrong_type(item, &format!("one of {}", all()));
        match super::read::nearest(text, words.iter().copied()) {
            Some(near) => fault.hint(format!("did you mean {near:?}?")),
            None => fault,
        }
    })
}

fn networks(item: &Item) -> Result<Vec<Network>, Fault> {
    texts(item)?
        .iter()
        .map(|text| {
            text.parse::<Network>()
                .map_err(|error| Fault::new("has a wrong entry").because(error.to_string()).at(item.span()))
        })
        .collect()
}

fn ports(text: &str) -> Result<PortRange, String> {
    let range = text.split_once('-').and_then(|(first, last)| first.trim().parse().ok().zip(last.trim().parse().ok()));
    match range {
        Some((first, last)) if first >= 1024 && last >= first && last - first >= PORTS_MIN - 1 => {
            Ok(PortRange { first, last })
        }
        _ => Err(format!("a range of ports is written `20000-29999`: none below 1024, at least {PORTS_MIN} of them")),
    }
}

#[cfg(test)]
mod tests {
    use gapless_model::Millis;

    use super::{Network, decimal, duration_of, size_text};

    #[test]
    fn a_duration_is_numbers_with_units() {
        let read = |text: &str| duration_of(text).map(|length| length.0);
        for (text, ms) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("2m", 120_000),
            ("1.5s", 1_500),
            ("1m30s", 90_000),
            ("1h 5m", 3_900_000),
            ("0s", 0),
        ] {
            assert_eq!(read(text), Some(ms), "{text}");
        }
        for wrong in ["", "30", "s", "30x", "-1s", "1.s", "1..5s", ".5s", "99999999999999999999d", "1e3s", "3 0s5"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_duration_reads_back_as_it_prints() {
        for ms in [0, 1, 999, 1_000, 1_050, 59_900, 60_000, 90_000, 3_600_000, 86_399_000] {
            assert_eq!(duration_of(&Millis(ms).to_string()), Some(Millis(ms)));
        }
    }

    #[test]
    fn a_decimal_is_exact_or_refused() {
        assert_eq!(decimal("1.5", 1 << 20), Some(3 << 19));
        assert_eq!(decimal("18446744073709551615", 2), None);
        assert_eq!(decimal("1.0000000001", 1), None);
        assert_eq!(size_text(64 << 10), "64KiB");
        assert_eq!(size_text(1_500), "1500B");
        assert_eq!(size_text(0), "0B");
    }

    #[test]
    fn a_network_holds_its_addresses() {
        let holds = |network: &str, address: &str| network.parse::<Network>().unwrap().holds(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.9.8.7"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("0.0.0.0/0", "1.2.3.4"));
        assert!(holds("127.0.0.1", "::ffff:127.0.0.1"));
        assert!(!holds("127.0.0.1", "127.0.0.2"));
        assert!(holds("::/0", "fe80::1"));
        assert!(holds("fd00::/8", "fd12::1") && !holds("fd00::/8", "fe80::1"));
        for wrong in ["", "10.0.0.0/33", "::1/129", "10.0.0.0/x", "host"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
