//! What a refused artefact leaves in memory. A program of its own, so that nothing else counts.

use std::io::Write;

use gapless_drivers::artefact::{ArtefactError, Artefacts};
use gapless_model::ServiceName;

/// What may stay, in bytes: tables of the allocator and of threads.
const LEFT_MAX: u64 = 16 << 20;

/// The resident memory of this process (proc_pid_statm(5)).
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * rustix::param::page_size() as u64
}

#[test]
fn an_archive_of_too_many_files_is_refused_and_its_memory_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.tar.zst");
    let mut packed = zstd::Encoder::new(std::fs::File::create(&path).unwrap(), 1).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    for number in 0..600_000 {
        header.set_path(format!("a/folder/of/some/depth/{:03}/file-{number:07}.txt", number / 1_000)).unwrap();
        header.set_cksum();
        packed.write_all(header.as_bytes()).unwrap();
    }
    packed.write_all(&[0; 1_024]).unwrap();
    packed.finish().unwrap();
    let artefacts = Artefacts::open(&folder.path().join("state")).unwrap();
    let before = resident();
    let refused = artefacts.take(&ServiceName::new("shop").unwrap(), &path);
    assert!(matches!(refused, Err(ArtefactError::TooMany { .. })), "{refused:?}");
    let left = resident().saturating_sub(before);
    assert!(left < LEFT_MAX, "{} MiB are left", left >> 20);
}
