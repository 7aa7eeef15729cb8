//! What the record of a member says of its process: a proxy counts until that is known to be gone.

use gapless_drivers::proxylink::{ControlAddress, ProcessMark};
use gapless_wire::record::ProxyRecord;

/// The record of a proxy.
#[must_use]
pub fn record(process: Option<&ProcessMark>, address: &ControlAddress) -> ProxyRecord {
    let (socket, spare_socket) = match address {
        ControlAddress::File(path) => (path.display().to_string(), String::new()),
        ControlAddress::Abstract(name) => (String::new(), name.clone()),
    };
    let (pid, started, boot) =
        process.map_or((0, 0, String::new()), |process| (process.pid, process.started, process.boot.clone()));
    ProxyRecord { pid, started, boot, socket, spare_socket }
}

/// The process that a record names.
#[must_use]
pub fn process(record: &ProxyRecord) -> Option<ProcessMark> {
    let ProxyRecord { pid, started, boot, .. } = record.clone();
    (pid != 0).then_some(ProcessMark { pid, started, boot })
}

/// Where the proxy of a record listens. Of a record that cannot be read it is not known.
#[must_use]
pub fn address(record: &ProxyRecord) -> Option<ControlAddress> {
    let named = |name: &String| !name.is_empty();
    let file = Some(&record.socket).filter(|name| named(name)).map(|path| ControlAddress::File(path.into()));
    file.or_else(|| {
        Some(&record.spare_socket).filter(|name| named(name)).map(|name| ControlAddress::Abstract(name.clone()))
    })
}

/// Whether the process that a record names is known to be gone. Of a record that names none nothing is known.
#[must_use]
pub fn is_gone(record: &ProxyRecord) -> bool {
    process(record).is_some_and(|process| !process.is_alive())
}

#[cfg(test)]
mod tests {
    use gapless_fleet::members::recorded;
    use gapless_journal::{Batch, MemoryStore, Store as _};
    use gapless_wire::record::PROXIES;

    use super::*;

    #[test]
    fn a_record_that_cannot_be_read_names_a_member_that_is_not_known_to_be_gone() {
        let mut store = MemoryStore::new();
        store.begin_term().unwrap();
        let ours = ProcessMark::of(std::process::id()).unwrap();
        let address = ControlAddress::Abstract("x".to_owned());
        let dead = record(Some(&ProcessMark { started: ours.started + 1, ..ours.clone() }), &address);
        let mut batch = Batch::new();
        batch.put(PROXIES, "a", b"of a newer program");
        batch.put(PROXIES, "b", serde_json::to_vec(&record(Some(&ours), &address)).unwrap());
        batch.put(PROXIES, "c", serde_json::to_vec(&dead).unwrap());
        store.commit(&batch).unwrap();
        let gone: Vec<bool> = recorded(&mut store).unwrap().iter().map(|(_, record)| is_gone(record)).collect();
        assert_eq!(gone, [false, false, true]);
    }
}
