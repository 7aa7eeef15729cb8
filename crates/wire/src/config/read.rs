//! The first stage: what was written. Walks a file along the table of sections and keys, and gathers every fault on the way.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;

use gapless_model::{Amount, EnvironmentFile, Host, Millis, PathPrefix, SecretSource, ServiceName, StatusRange};
use toml_edit::{Document, Item, TableLike};

use super::CONFIG_BYTES_MAX;
use super::error::Fault;
use super::key::{Fallback, Key, Section};
use super::value::{Network, PortRange, Value};

/// The most entries of one `[[section]]`.
const REPEATS_MAX: usize = 256;
/// How alike two names must be for one to be offered for the other (Jaro-Winkler, 0 to 1): found by trying typing errors.
const ALIKE_MIN: f64 = 0.75;

/// What was written in one section, or that it was not.
#[derive(Clone, Debug)]
pub(super) struct Group {
    section: &'static Section,
    at: Option<Range<usize>>,
    values: BTreeMap<&'static str, (Value, Option<Range<usize>>)>,
}

/// What was written in a whole file.
#[derive(Debug)]
pub(super) struct Written {
    groups: BTreeMap<&'static str, Vec<Group>>,
}

/// Reads a file along its table.
///
/// # Errors
/// Every fault that was found, in no order.
pub(super) fn read(sections: &'static [Section], text: &str) -> Result<Written, Vec<Fault>> {
    if text.len() > CONFIG_BYTES_MAX {
        return Err(vec![Fault::new(format!("the file is larger than {CONFIG_BYTES_MAX} bytes"))]);
    }
    let document = Document::parse(text).map_err(|error| {
        let cause = error.message().trim().replace('\n', "; ");
        vec![
            Fault::new("this is not TOML")
                .because(cause)
                .at(error.span())
                .hint("https://toml.io shows how TOML is written"),
        ]
    })?;
    let mut walk = Walk { sections, written: Written { groups: BTreeMap::new() }, faults: Vec::new() };
    walk.table("", document.as_table());
    walk.absences();
    if walk.faults.is_empty() { Ok(walk.written) } else { Err(walk.faults) }
}

struct Walk {
    sections: &'static [Section],
    written: Written,
    faults: Vec<Fault>,
}

impl Walk {
    fn section(&self, name: &str) -> Option<&'static Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The entries of a table that stands where `prefix` says: keys of its section, deeper sections, or unknown.
    fn table(&mut self, prefix: &str, table: &dyn TableLike) {
        let section = self.section(prefix);
        let mut group = section.map(|section| Group { section, at: None, values: BTreeMap::new() });
        for (name, item) in table.iter() {
            let key_at = table.key(name).and_then(toml_edit::Key::span);
            let full = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
            let key = section.and_then(|section| section.key(name));
            if let (Some(key), Some(group)) = (key, group.as_mut()) {
                self.value(&full, key, item, key_at, group);
            } else if self
                .sections
                .iter()
                .any(|section| section.name == full || section.name.starts_with(&format!("{full}.")))
            {
                self.deeper(&full, item, key_at);
            } else {
                let fault = self.unknown(prefix, name, &full);
                self.faults.push(fault.at(key_at));
            }
        }
        if let Some(group) = group {
            self.written.groups.entry(group.section.name).or_default().push(group);
        }
    }

    fn value(&mut self, full: &str, key: &'static Key, item: &Item, key_at: Option<Range<usize>>, group: &mut Group) {
        match key.kind.read(item) {
            Ok(value) => {
                group.values.insert(key.name, (value, key_at));
            }
            Err(mut fault) => {
                fault.what = format!("`{full}` {}", fault.what);
                if fault.hint.is_none() {
                    fault.hint = Some(format!("an example: {} = {}", key.name, key.example));
                }
                self.faults.push(fault.at_least_at(key_at));
                // The key is written, if wrongly: it must not be reported missing too.
                group.values.insert(key.name, (Value::Flag(false), None));
            }
        }
    }

    fn deeper(&mut self, full: &str, item: &Item, key_at: Option<Range<usize>>) {
        let repeated = self.section(full).is_some_and(|section| section.repeated);
        let tables: Option<Vec<&dyn TableLike>> = if repeated {
            if let Some(tables) = item.as_array_of_tables() {
                Some(tables.iter().map(|table| table as &dyn TableLike).collect())
            } else {
                let inline = item.as_array();
                inline.and_then(|array| {
                    array.iter().map(|value| value.as_inline_table().map(|table| table as &dyn TableLike)).collect()
                })
            }
        } else {
            item.as_table_like().map(|table| vec![table])
        };
        match tables {
            None => {
                let wanted = if repeated { format!("[[{full}]]") } else { format!("[{full}]") };
                let found = item.type_name();
                let fault = Fault::new(format!("`{full}` must be a section, found {found}")).at(item.span().or(key_at));
                self.faults.push(fault.hint(format!("write {wanted} on a line of its own and its keys below")));
            }
            Some(tables) if tables.len() > REPEATS_MAX => {
                self.faults.push(Fault::new(format!("`{full}` has more than {REPEATS_MAX} entries")).at(key_at));
            }
            Some(tables) => {
                for table in tables {
                    self.table(full, table);
                    if let Some(group) = self.written.groups.get_mut(full).and_then(|groups| groups.last_mut()) {
                        group.at = table_at(table).or_else(|| key_at.clone());
                    }
                }
            }
        }
    }

    fn unknown(&self, prefix: &str, name: &str, full: &str) -> Fault {
        let fault = Fault::new(format!("unknown key `{full}`"));
        let inside = |section: &&Section| section.name == prefix;
        let here = self.sections.iter().filter(inside).flat_map(|section| section.keys.iter().map(|key| key.name));
        let depth = if prefix.is_empty() { 0 } else { prefix.len() + 1 };
        let below = self.sections.iter().filter_map(|section| {
            let within = section.name.len() > depth && section.name.starts_with(prefix);
            within.then(|| section.name[depth..].split('.').next().unwrap_or_default())
        });
        if let Some(near) = nearest(name, here.chain(below)) {
            return fault.hint(format!("did you mean `{near}`?"));
        }
        let elsewhere = self.sections.iter().find(|section| section.key(name).is_some());
        match elsewhere {
            Some(section) if section.name.is_empty() => {
                fault.hint(format!("`{name}` stands at the top of the file, above all sections"))
            }
            Some(section) => fault.hint(format!("there is a key `{name}` in [{}]", section.name)),
            None => fault.hint("`gapless help config` lists every key"),
        }
    }

    /// Sections that were not written hold their defaults; required keys that were not written are faults.
    fn absences(&mut self) {
        for section in self.sections {
            let groups = self.written.groups.entry(section.name).or_default();
            if groups.is_empty() && !section.repeated {
                groups.push(Group { section, at: None, values: BTreeMap::new() });
            }
            for group in groups {
                for key in section.keys {
                    if matches!(key.default, Fallback::Required) && !group.values.contains_key(key.name) {
                        let fault =
                            Fault::new(format!("`{}` is missing", section.full_name(key.name))).at(group.at.clone());
                        let place = if section.name.is_empty() {
                            "at the top of the file".to_owned()
                        } else if section.repeated {
                            format!("below [[{}]]", section.name)
                        } else {
                            format!("below [{}]", section.name)
                        };
                        self.faults.push(fault.hint(format!("write {place}: {} = {}", key.name, key.example)));
                    }
                }
            }
        }
    }
}

fn table_at(table: &dyn TableLike) -> Option<Range<usize>> {
    let first = table.iter().next().map(|(name, _)| name.to_owned());
    first.and_then(|name| table.key(&name).and_then(toml_edit::Key::span))
}

/// The name most like the one that was written, if any is alike enough.
pub(super) fn nearest<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (strsim::jaro_winkler(written, name), name))
        .filter(|(alike, _)| *alike >= ALIKE_MIN)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name)
}

impl Written {
    /// The one group of a section that is not repeated.
    pub(super) fn one(&self, section: &str) -> &Group {
        self.groups
            .get(section)
            .and_then(|groups| groups.first())
            .unwrap_or_else(|| panic!("BUG: no section {section:?}"))
    }

    /// The groups of a repeated section, in the order of the file.
    pub(super) fn many(&self, section: &str) -> &[Group] {
        self.groups.get(section).map(Vec::as_slice).unwrap_or_default()
    }
}

macro_rules! of_type {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $type:ty) => {
        $(#[$doc])*
        pub(super) fn $name(&self, key: &str) -> Option<$type> {
            match self.value(key) {
                Some(Value::$variant(value)) => Some(value),
                None => None,
                Some(other) => panic!("BUG: {key:?} is not what the table says: {other:?}"),
            }
        }
    };
}

/// Values by key: the written one, else the default, else `None`. A key that the table does not have, or has with another type, is a
/// bug that the first test of each file meets.
impl Group {
    /// Where the key is written, else where the section is.
    pub(super) fn at(&self, key: &str) -> Option<Range<usize>> {
        self.values.get(key).and_then(|(_, at)| at.clone()).or_else(|| self.at.clone())
    }

    /// Whether the key is written.
    pub(super) fn is_written(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    fn value(&self, key: &str) -> Option<Value> {
        if let Some((value, _)) = self.values.get(key) {
            return Some(value.clone());
        }
        let key = self.section.key(key).unwrap_or_else(|| panic!("BUG: no key {key:?} in {:?}", self.section.name));
        match key.default {
            Fallback::Value(text) => Some(default_value(key, text)),
            Fallback::Required | Fallback::Absent(_) => None,
        }
    }

    of_type!(text, Text, String);
    of_type!(service_name, ServiceName, ServiceName);
    of_type!(host, Host, Host);
    of_type!(path_prefix, PathPrefix, PathPrefix);
    of_type!(texts, Texts, Vec<String>);
    of_type!(text_map, TextMap, BTreeMap<String, String>);
    of_type!(environment_files, EnvironmentFiles, Vec<EnvironmentFile>);
    of_type!(secrets, Secrets, BTreeMap<String, SecretSource>);
    of_type!(flag, Flag, bool);
    of_type!(count, Count, u64);
    of_type!(amount, Amount, Amount);
    of_type!(duration, Duration, Millis);
    of_type!(statuses, Statuses, StatusRange);
    of_type!(word, Word, &'static str);
    of_type!(socket_address, SocketAddress, SocketAddr);
    of_type!(networks, Networks, Vec<Network>);
    of_type!(ports, Ports, PortRange);
    of_type!(path, Path, PathBuf);
}

/// Reads the default of a key as if it were written.
pub(super) fn default_value(key: &Key, text: &str) -> Value {
    let document = Document::parse(format!("{} = {text}", key.name)).expect("BUG: the default of a key is not TOML");
    let item = document.as_table().get(key.name).expect("BUG: the default of a key is written under its name");
    key.kind.read(item).unwrap_or_else(|fault| panic!("BUG: the default of {:?} {}", key.name, fault.what))
}
