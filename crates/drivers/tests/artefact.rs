//! Artefacts: one identity for one content, whatever it comes as; nothing that leaves its folder; nothing left behind by what is refused.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use gapless_drivers::artefact::{ArtefactError, Artefacts, Bounds, EntryRefused};
use gapless_model::ServiceName;
use tempfile::TempDir;

fn shop() -> ServiceName {
    ServiceName::new("shop").unwrap()
}

struct Bench {
    dir: TempDir,
    artefacts: Artefacts,
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let artefacts = Artefacts::open(&dir.path().join("state")).unwrap();
        Bench { dir, artefacts }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    /// Takes something that must be refused; the error, after a look that nothing was left.
    fn refused(&self, source: &Path) -> ArtefactError {
        let error = self.artefacts.take(&shop(), source).unwrap_err();
        assert_eq!(fs::read_dir(self.path("state/incoming")).unwrap().count(), 0, "{error}");
        assert_eq!(fs::read_dir(self.path("state/releases/shop")).map_or(0, Iterator::count), 0, "{error}");
        error
    }

    fn why(&self, source: &Path) -> EntryRefused {
        match self.refused(source) {
            ArtefactError::Entry { why, .. } => why,
            other => panic!("{other}"),
        }
    }
}

/// A tree with everything that may be in one.
fn tree(root: &Path) {
    fs::create_dir_all(root.join("bin/deep")).unwrap();
    fs::create_dir_all(root.join("empty")).unwrap();
    fs::write(root.join("bin/run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("bin/run"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::write(root.join("bin/deep/data"), vec![7; 300_000]).unwrap();
    fs::set_permissions(root.join("bin/deep/data"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(root.join("a file.txt"), "").unwrap();
    fs::set_permissions(root.join("a file.txt"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("bin/run", root.join("start")).unwrap();
    symlink("../a file.txt", root.join("bin/up")).unwrap();
}

fn tar_of(root: &Path) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.follow_symlinks(false);
    builder.append_dir_all(".", root).unwrap();
    builder.into_inner().unwrap()
}

fn zip_of(root: &Path) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let mode = |mode| zip::write::SimpleFileOptions::default().unix_permissions(mode);
    zip.start_file("bin/run", mode(0o750)).unwrap();
    zip.write_all(&fs::read(root.join("bin/run")).unwrap()).unwrap();
    zip.start_file("bin/deep/data", mode(0o644)).unwrap();
    zip.write_all(&fs::read(root.join("bin/deep/data")).unwrap()).unwrap();
    zip.start_file("a file.txt", mode(0o600)).unwrap();
    zip.add_directory("empty", mode(0o755)).unwrap();
    zip.add_symlink("start", "bin/run", mode(0o777)).unwrap();
    zip.add_symlink("bin/up", "../a file.txt", mode(0o777)).unwrap();
    zip.finish().unwrap().into_inner()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One tar entry made by hand, path and all as given.
fn tar_entry(path: &str, kind: tar::EntryType, mode: u32, target: &str, content: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    append(&mut builder, path, kind, mode, target, content);
    builder.into_inner().unwrap()
}

fn append(
    builder: &mut tar::Builder<Vec<u8>>,
    path: &str,
    kind: tar::EntryType,
    mode: u32,
    target: &str,
    content: &[u8],
) {
    let mut header = tar::Header::new_ustar();
    header.as_ustar_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
    header.as_ustar_mut().unwrap().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    header.set_cksum();
    builder.append(&header, content).unwrap();
}

#[test]
fn one_content_has_one_digest_whatever_it_comes_as() {
    let bench = Bench::new();
    let root = bench.path("build");
    tree(&root);
    let tar = tar_of(&root);
    let sources = [
        root.clone(),
        bench.file("a.tar", &tar),
        bench.file("a.tar.gz", &gz(&tar)),
        bench.file("a.tar.zst", &zstd::encode_all(&tar[..], 3).unwrap()),
        bench.file("named-by-mistake.tar", &zip_of(&root)),
    ];
    let taken: Vec<_> = sources.iter().map(|source| bench.artefacts.take(&shop(), source).unwrap()).collect();
    for (taken, source) in taken.iter().zip(&sources) {
        assert_eq!(taken.digest, taken.folder.file_name().unwrap().to_str().unwrap().parse().unwrap());
        assert_eq!((taken.digest, taken.entries, taken.bytes), (taken.digest, 8, 300_010), "{}", source.display());
        assert_eq!(taken.digest, taken.folder.file_name().unwrap().to_str().unwrap().parse().unwrap());
        assert_eq!(taken.folder, bench.artefacts.folder(&shop(), &taken.digest));
    }
    assert!(taken.iter().all(|one| one.digest == taken[0].digest), "{taken:?}");
    let already: Vec<bool> = taken.iter().map(|one| one.already).collect();
    assert_eq!(already, [false, true, true, true, true]);
    let folder = &taken[0].folder;
    assert_eq!(fs::read(folder.join("bin/deep/data")).unwrap(), vec![7; 300_000]);
    assert_eq!(fs::read_link(folder.join("bin/up")).unwrap(), Path::new("../a file.txt"));
    let mode = |path: &str| fs::metadata(folder.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("bin/run"), mode("a file.txt"), mode("bin/deep/data")), (0o750, 0o600, 0o644), "as in the source");
    assert_eq!((mode("bin"), mode("")), (0o755, 0o700), "closed to others from above");
    assert_eq!(fs::read_dir(bench.path("state/incoming")).unwrap().count(), 0);
}

#[test]
fn any_change_of_the_content_is_another_digest() {
    let bench = Bench::new();
    let mut digests = BTreeSet::new();
    type Change = (&'static str, fn(&Path));
    let changes: [Change; 8] = [
        ("nothing", |_| {}),
        ("a byte", |root| fs::write(root.join("bin/run"), "#!/bin/sl\n").unwrap()),
        ("the executable bit", |root| {
            fs::set_permissions(root.join("bin/run"), fs::Permissions::from_mode(0o644)).unwrap();
        }),
        ("who may read", |root| {
            fs::set_permissions(root.join("a file.txt"), fs::Permissions::from_mode(0o640)).unwrap();
        }),
        ("a name", |root| fs::rename(root.join("a file.txt"), root.join("b file.txt")).unwrap()),
        ("an empty folder", |root| fs::remove_dir(root.join("empty")).unwrap()),
        ("a link's target", |root| {
            fs::remove_file(root.join("start")).unwrap();
            symlink("bin/deep", root.join("start")).unwrap();
        }),
        ("a file for a link", |root| {
            fs::remove_file(root.join("start")).unwrap();
            fs::write(root.join("start"), "bin/run").unwrap();
        }),
    ];
    for (what, change) in changes {
        let root = bench.path(what);
        tree(&root);
        change(&root);
        assert!(digests.insert(bench.artefacts.take(&shop(), &root).unwrap().digest), "{what}");
    }
}

#[test]
fn what_leads_out_of_the_folder_is_refused() {
    use tar::EntryType as T;
    let bench = Bench::new();
    let why = |name: &str, bytes: &[u8]| bench.why(&bench.file(name, bytes));
    assert_eq!(why("1", &tar_entry("../evil", T::Regular, 0o644, "", b"x")), EntryRefused::Climbs);
    assert_eq!(why("2", &tar_entry("a/../../evil", T::Regular, 0o644, "", b"x")), EntryRefused::Climbs);
    assert_eq!(why("3", &tar_entry("/etc/evil", T::Regular, 0o644, "", b"x")), EntryRefused::Absolute);
    assert_eq!(why("5", &tar_entry("link", T::Symlink, 0o777, "/etc/passwd", b"")), EntryRefused::LinkLeaves);
    assert_eq!(why("6", &tar_entry("link", T::Symlink, 0o777, "../../etc/passwd", b"")), EntryRefused::LinkLeaves);
    assert_eq!(why("7", &tar_entry("link", T::Link, 0o644, "/etc/passwd", b"")), EntryRefused::LinkLeaves);
    assert_eq!(why("8", &tar_entry("link", T::Link, 0o644, "../../x", b"")), EntryRefused::LinkLeaves);
    assert_eq!(why("9", &tar_entry("link", T::Link, 0o644, "missing", b"")), EntryRefused::HardLinkWithoutFile);
    assert_eq!(why("a", &tar_entry("link", T::Symlink, 0o777, "link", b"")), EntryRefused::LinkCircle);
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("../evil", zip::write::SimpleFileOptions::default()).unwrap();
    assert_eq!(why("b", &zip.finish().unwrap().into_inner()), EntryRefused::Climbs);
    assert!(!bench.path("state/evil").exists() && !bench.path("evil").exists());
}

#[test]
fn a_link_over_a_link_that_leaves_is_refused_though_its_text_does_not() {
    let bench = Bench::new();
    let root = bench.path("build");
    fs::create_dir_all(root.join("a")).unwrap();
    // `a/b` is `a`, so `a/b/../..` is the folder above the artefact, though it reads as the artefact itself.
    symlink(".", root.join("a/b")).unwrap();
    symlink("a/b/../../secret", root.join("x")).unwrap();
    fs::write(root.join("file"), "x").unwrap();
    assert_eq!(bench.why(&root), EntryRefused::LinkLeaves);
}

#[test]
fn nothing_is_written_through_a_link_of_the_archive() {
    use tar::EntryType as T;
    let bench = Bench::new();
    let outside = bench.path("outside");
    fs::create_dir(&outside).unwrap();
    let mut builder = tar::Builder::new(Vec::new());
    append(&mut builder, "door", T::Symlink, 0o777, "../../../outside", b"");
    append(&mut builder, "door/evil", T::Regular, 0o644, "", b"x");
    assert_eq!(bench.why(&bench.file("a.tar", &builder.into_inner().unwrap())), EntryRefused::Twice);
    assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
}

#[test]
fn devices_pipes_and_set_id_bits_are_refused() {
    use tar::EntryType as T;
    let bench = Bench::new();
    for (name, kind) in [("1", T::Char), ("2", T::Block), ("3", T::Fifo)] {
        assert_eq!(bench.why(&bench.file(name, &tar_entry("x", kind, 0o644, "", b""))), EntryRefused::Special);
    }
    for (name, mode) in [("4", 0o4755), ("5", 0o2755)] {
        assert_eq!(bench.why(&bench.file(name, &tar_entry("x", T::Regular, mode, "", b"x"))), EntryRefused::SetId);
    }
    let root = bench.path("build");
    tree(&root);
    fs::set_permissions(root.join("bin/run"), fs::Permissions::from_mode(0o4755)).unwrap();
    assert_eq!(bench.why(&root), EntryRefused::SetId);
    fs::set_permissions(root.join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    assert_eq!(bench.why(&root), EntryRefused::Special);
}

/// A zip archive whose bytes were changed after it was made, which no honest program writes.
fn zip_with(names: [&str; 2], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for name in names {
        zip.start_file(name, zip::write::SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
        zip.write_all(b"content").unwrap();
    }
    let mut bytes = zip.finish().unwrap().into_inner();
    change(&mut bytes);
    bytes
}

fn all_of(bytes: &[u8], pattern: &[u8]) -> Vec<usize> {
    (0..bytes.len() - pattern.len()).filter(|at| bytes[*at..].starts_with(pattern)).collect()
}

#[test]
fn a_zip_archive_holds_to_the_rules_of_the_others() {
    let bench = Bench::new();
    let why = |name: &str, bytes: &[u8]| bench.why(&bench.file(name, bytes));
    let set_id = |bits: u8| {
        zip_with(["one", "two"], |bytes| {
            // The upper byte of the mode in the external attributes of the first entry of the directory (APPNOTE 4.3.12).
            let entry = all_of(bytes, b"PK\x01\x02")[0];
            bytes[entry + 41] |= bits << 1;
        })
    };
    assert_eq!(why("set-uid.zip", &set_id(4)), EntryRefused::SetId);
    assert_eq!(why("set-gid.zip", &set_id(2)), EntryRefused::SetId);
    let doubled = zip_with(["same", "samf"], |bytes| {
        for at in all_of(bytes, b"samf") {
            bytes[at..at + 4].copy_from_slice(b"same");
        }
    });
    assert_eq!(why("doubled.zip", &doubled), EntryRefused::Twice);
    let respelt = zip_with(["a/b", "a//c"], |bytes| {
        for at in all_of(bytes, b"a//c") {
            bytes[at..at + 4].copy_from_slice(b"a//b");
        }
    });
    assert_eq!(why("respelt.zip", &respelt), EntryRefused::Twice);
    let honest = zip_with(["one", "two"], |_| {});
    assert!(bench.artefacts.take(&shop(), &bench.file("honest.zip", &honest)).is_ok());
}

#[test]
fn a_zip_archive_of_too_many_files_is_refused_by_what_it_says_of_itself() {
    let bench = Bench::new();
    let many = zip_with(["one", "two"], |bytes| {
        let end = *all_of(bytes, b"PK\x05\x06").last().unwrap();
        for at in [8, 10] {
            bytes[end + at..end + at + 2].copy_from_slice(&60_000_u16.to_le_bytes());
        }
    });
    let bounded = Artefacts::with_bounds(&bench.path("state"), Bounds { entries_max: 50_000, ..Bounds::default() });
    let refused = bounded.unwrap().take(&shop(), &bench.file("many.zip", &many));
    assert!(matches!(refused, Err(ArtefactError::TooMany { entries_max: 50_000 })), "{refused:?}");
}

#[test]
fn a_hard_link_inside_becomes_a_file_of_the_same_content() {
    use tar::EntryType as T;
    let bench = Bench::new();
    let mut builder = tar::Builder::new(Vec::new());
    append(&mut builder, "one", T::Regular, 0o755, "", b"same");
    append(&mut builder, "two", T::Link, 0o755, "./one", b"");
    let taken = bench.artefacts.take(&shop(), &bench.file("a.tar", &builder.into_inner().unwrap())).unwrap();
    let root = bench.path("build");
    fs::create_dir(&root).unwrap();
    for name in ["one", "two"] {
        fs::write(root.join(name), "same").unwrap();
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    assert_eq!(bench.artefacts.take(&shop(), &root).unwrap().digest, taken.digest);
}

#[test]
fn an_archive_that_is_cut_short_anywhere_is_refused() {
    let bench = Bench::new();
    let root = bench.path("build");
    tree(&root);
    let tar = tar_of(&root);
    let whole = [tar.clone(), gz(&tar), zstd::encode_all(&tar[..], 3).unwrap(), zip_of(&root)];
    for (index, bytes) in whole.iter().enumerate() {
        let mut cuts: Vec<usize> = (1..24).map(|part| bytes.len() * part / 24).collect();
        // At the boundaries of blocks too, where a tar archive looks whole.
        cuts.extend((1..8).map(|block| block * 512));
        cuts.extend([1, 4, 1024].map(|short| bytes.len().saturating_sub(short)));
        for cut in cuts.into_iter().filter(|cut| *cut > 0 && *cut < bytes.len()) {
            // A tar archive ends in more zeros than it needs.
            if index == 0 && bytes[cut.saturating_sub(512)..].iter().all(|byte| *byte == 0) {
                continue;
            }
            let error = bench.refused(&bench.file("cut", &bytes[..cut]));
            let told = matches!(error, ArtefactError::Damaged { .. } | ArtefactError::Unknown { .. });
            assert!(told, "archive {index} cut at {cut} of {}: {error}", bytes.len());
        }
    }
}

#[test]
fn a_flipped_bit_in_a_compressed_archive_is_refused() {
    let bench = Bench::new();
    let root = bench.path("build");
    fs::create_dir(&root).unwrap();
    let noise: Vec<u8> = (0..20_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    fs::write(root.join("noise"), noise).unwrap();
    let packed = gz(&tar_of(&root));
    let whole = Bench::new();
    let digest = whole.artefacts.take(&shop(), &whole.file("whole", &packed)).unwrap().digest;
    for at in (20..packed.len()).step_by(packed.len() / 50) {
        let mut flipped = packed.clone();
        flipped[at] ^= 0x10;
        // A few bits of a compressed stream mean nothing, such as those that fill its last byte, and which ones they are depends on the
        // time in the archive: with such a bit the content is the same, and so is its digest.
        let other = Bench::new();
        match other.artefacts.take(&shop(), &other.file("flipped", &flipped)) {
            Ok(taken) => assert_eq!(taken.digest, digest, "a bit of byte {at} changed the content unseen"),
            Err(_) => drop(bench.refused(&bench.file("flipped", &flipped))),
        }
    }
}

#[test]
fn what_is_no_artefact_is_said_to_be_none() {
    let bench = Bench::new();
    assert!(matches!(bench.refused(&bench.path("missing")), ArtefactError::Read { .. }));
    assert!(matches!(bench.refused(&bench.file("text.tar", b"hello")), ArtefactError::Unknown { .. }));
    assert!(matches!(bench.refused(Path::new("/dev/null")), ArtefactError::Unknown { .. }));
    fs::create_dir_all(bench.path("hollow/inside")).unwrap();
    assert!(matches!(bench.refused(&bench.path("hollow")), ArtefactError::Empty { .. }));
    assert!(matches!(bench.refused(bench.dir.path()), ArtefactError::HoldsState { .. }));
}

#[test]
fn bounds_hold_and_room_is_looked_for_before_anything_is_written() {
    let bench = Bench::new();
    let root = bench.path("build");
    tree(&root);
    let state = bench.path("state");
    let with = |bounds| Artefacts::with_bounds(&state, bounds).unwrap().take(&shop(), &root);
    let default = Bounds::default();
    assert!(matches!(with(Bounds { bytes_max: 300_009, ..default }), Err(ArtefactError::TooLarge { .. })));
    assert!(matches!(with(Bounds { entries_max: 7, ..default }), Err(ArtefactError::TooMany { .. })));
    assert!(matches!(with(Bounds { free_bytes_kept: u64::MAX / 2, ..default }), Err(ArtefactError::NoSpace { .. })));
    assert!(with(Bounds { bytes_max: 300_010, entries_max: 8, ..default }).is_ok());
    // A small archive of very many zeros.
    let bomb = zstd::encode_all(&tar_entry("x", tar::EntryType::Regular, 0o644, "", &vec![0; 8 << 20])[..], 3).unwrap();
    assert!(bomb.len() < 10_000);
    let bomb = bench.file("bomb", &bomb);
    let bounded = Artefacts::with_bounds(&state, Bounds { bytes_max: 1 << 20, ..default }).unwrap();
    assert!(matches!(bounded.take(&shop(), &bomb), Err(ArtefactError::TooLarge { .. })));
}

#[test]
fn only_what_is_not_named_is_collected_and_leftovers_of_a_crash_go() {
    let bench = Bench::new();
    let mut digests = Vec::new();
    for name in ["one", "two", "three"] {
        let root = bench.path(name);
        fs::create_dir(&root).unwrap();
        fs::write(root.join("file"), name).unwrap();
        digests.push(bench.artefacts.take(&shop(), &root).unwrap().digest);
    }
    fs::create_dir(bench.path("state/releases/shop/not-a-digest")).unwrap();
    let keep = BTreeSet::from([digests[1]]);
    let mut removed = bench.artefacts.collect(&shop(), &keep).unwrap();
    removed.sort();
    let mut expected = vec![digests[0], digests[2]];
    expected.sort();
    assert_eq!(removed, expected);
    assert_eq!(bench.artefacts.collect(&shop(), &keep).unwrap(), []);
    assert!(bench.artefacts.folder(&shop(), &digests[1]).join("file").exists());
    assert!(bench.path("state/releases/shop/not-a-digest").exists());
    assert_eq!(bench.artefacts.collect(&ServiceName::new("other").unwrap(), &keep).unwrap(), []);

    fs::create_dir_all(bench.path("state/incoming/7/half")).unwrap();
    Artefacts::open(&bench.path("state")).unwrap();
    assert_eq!(fs::read_dir(bench.path("state/incoming")).unwrap().count(), 0);
}

#[test]
fn what_a_folder_leaves_out_is_no_part_of_its_release() {
    let bench = Bench::new();
    let root = bench.path("build");
    tree(&root);
    for (name, text) in [
        (".git/config", "[core]"),
        ("sub/.git", "gitdir: elsewhere"),
        ("node_modules/x/index.js", "x"),
        ("logs/a.log", "a"),
        ("logs/keep.log", "b"),
        ("deep/er/secret.pem", "c"),
        ("top", "d"),
        ("deep/top", "e"),
    ] {
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs::write(root.join(name), text).unwrap();
    }
    // What is left out may be what would be refused.
    make_pipe(&root.join("logs/pipe.log"));
    let ignore = "# built elsewhere\nnode_modules/\n*.log\n!keep.log\n*.pem\n/top\n";
    fs::write(root.join(".gaplessignore"), ignore).unwrap();
    let taken = bench.artefacts.take(&shop(), &root).unwrap();
    let there = |name: &str| taken.folder.join(name).exists();
    for name in [".git", "sub/.git", ".gaplessignore", "node_modules", "logs/a.log", "deep/er/secret.pem", "top"] {
        assert!(!there(name), "{name}");
    }
    for name in ["logs/keep.log", "deep/top", "bin/run"] {
        assert!(there(name), "{name}");
    }
    fs::write(root.join(".gaplessignore"), "!.git\nlogs\n").unwrap();
    assert!(bench.artefacts.take(&shop(), &root).unwrap().folder.join(".git/config").exists());
}

fn make_pipe(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn an_ignore_file_that_leaves_everything_out_or_is_none_is_told() {
    let bench = Bench::new();
    let root = bench.path("build");
    tree(&root);
    fs::write(root.join(".gaplessignore"), "*\n").unwrap();
    assert!(matches!(bench.refused(&root), ArtefactError::Empty { .. }));
    fs::write(root.join(".gaplessignore"), "fine\n[z-a]\n").unwrap();
    let told = bench.refused(&root).to_string();
    assert!(told.contains(".gaplessignore:2 is not understood"), "{told}");
    fs::write(root.join(".gaplessignore"), vec![b'a'; 70_000]).unwrap();
    assert!(matches!(bench.refused(&root), ArtefactError::Read { .. }));
    fs::remove_file(root.join(".gaplessignore")).unwrap();
    make_pipe(&root.join(".gaplessignore"));
    assert!(matches!(bench.refused(&root), ArtefactError::Read { .. }));
}

#[test]
fn a_virtual_environment_keeps_its_links_to_the_interpreter_and_no_others() {
    let bench = Bench::new();
    let python = bench.path("opt/bin/python3.12");
    fs::create_dir_all(python.parent().unwrap()).unwrap();
    fs::write(&python, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let root = bench.path("build");
    fs::create_dir_all(root.join(".venv/bin")).unwrap();
    fs::write(root.join("app.py"), "").unwrap();
    symlink(&python, root.join(".venv/bin/python3.12")).unwrap();
    symlink("python3.12", root.join(".venv/bin/python")).unwrap();
    assert_eq!(bench.why(&root), EntryRefused::LinkLeaves, "without its mark it is no environment");

    fs::write(root.join(".venv/pyvenv.cfg"), "home = /opt/bin\n").unwrap();
    let taken = bench.artefacts.take(&shop(), &root).unwrap();
    assert_eq!(fs::read_link(taken.folder.join(".venv/bin/python3.12")).unwrap(), python);
    assert_eq!(fs::read(taken.folder.join(".venv/bin/python")).unwrap(), b"#!/bin/sh\n");

    symlink("/etc/passwd", root.join(".venv/bin/passwd")).unwrap();
    let other = Bench::new();
    assert_eq!(other.why(&root), EntryRefused::LinkLeaves);
    fs::remove_file(root.join(".venv/bin/passwd")).unwrap();
    fs::remove_file(&python).unwrap();
    assert_eq!(other.why(&root), EntryRefused::InterpreterMissing);
}
