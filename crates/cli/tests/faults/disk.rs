//! A small disk of a machine's own, over its state folder.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::OWN_MOUNTS_ENV;

/// Room for a journal and some releases, little enough to be filled at once.
const MEBIBYTES: u64 = 32;

/// What the disk is to be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// To be full, and empty again: a tmpfs.
    Fills,
    /// To fail, so that the kernel makes it read-only for good, open files included, as it does with a disk that has errors: an ext4 on
    /// a loop device, told by the file system's own door for tests (`trigger_fs_error`).
    Fails,
}

/// The disk; unmounted when dropped, whoever still uses it.
pub struct SmallDisk {
    folder: PathBuf,
    kind: Kind,
}

impl SmallDisk {
    /// Why there can be none of this kind here.
    pub fn lacking(kind: Kind) -> Option<&'static str> {
        if std::env::var_os(OWN_MOUNTS_ENV).is_none() {
            return Some("only root may mount a disk (and needs unshare(1))");
        }
        let ext4 = Path::new("/sys/fs/ext4/features").exists() && Path::new("/dev/loop-control").exists();
        let makes = Command::new("mkfs.ext4").arg("-V").output().is_ok();
        (kind == Kind::Fails && !(ext4 && makes)).then_some("there is no ext4, no loop device or no mkfs.ext4 here")
    }

    /// Mounts one over the folder.
    pub fn over(folder: &Path, kind: Kind) -> Self {
        fs::create_dir_all(folder).expect("a folder for the disk");
        let disk = Self { folder: folder.to_path_buf(), kind };
        if kind == Kind::Fails {
            let image = File::create(disk.image()).expect("the disk's image");
            image.set_len(MEBIBYTES << 20).expect("the disk's image");
            run("mkfs.ext4", &["-q", "-F"], &disk.image());
        }
        disk.mount();
        disk
    }

    fn mount(&self) {
        let image = self.image().display().to_string();
        let size = format!("size={MEBIBYTES}m");
        match self.kind {
            Kind::Fills => run("mount", &["-t", "tmpfs", "-o", &size, "gapless-faults"], &self.folder),
            Kind::Fails => run("mount", &["-t", "ext4", "-o", "loop,errors=remount-ro", &image], &self.folder),
        }
        // As the system's own folders: below it every part has the mode its owner gave it.
        fs::set_permissions(&self.folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("the disk's mode");
    }

    /// Leaves not a byte.
    pub fn fill(&self) {
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).expect("the ballast");
        for size in [1 << 20, 1 << 12, 1] {
            let piece = vec![b'x'; size];
            while ballast.write_all(&piece).is_ok() {}
        }
    }

    /// Gives back what [`SmallDisk::fill`] took.
    pub fn empty(&self) {
        fs::remove_file(self.ballast()).expect("the ballast goes");
    }

    /// The file system finds an error in itself.
    pub fn fail(&self) {
        let output =
            Command::new("findmnt").args(["-n", "-o", "SOURCE"]).arg(&self.folder).output().expect("findmnt(8)");
        let device = String::from_utf8_lossy(&output.stdout).trim().replace("/dev/", "");
        fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "1").expect("the door for tests");
        assert!(File::create(self.folder.join("probe")).is_err(), "the disk can still be written");
    }

    /// Repairs it, as a machine does when it starts. No process may use it any more.
    pub fn repair(&self) {
        run("umount", &[], &self.folder);
        if self.kind == Kind::Fails {
            // 1: errors were found and corrected.
            let status =
                Command::new("e2fsck").args(["-f", "-y"]).arg(self.image()).output().expect("e2fsck(8)").status;
            assert!(matches!(status.code(), Some(0 | 1)), "e2fsck: {status}");
        }
        self.mount();
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }

    /// Beside the folder, not on the disk it holds.
    fn image(&self) -> PathBuf {
        self.folder.with_extension("img")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _at_the_process_end = Command::new("umount").arg("--lazy").arg(&self.folder).status();
    }
}

fn run(program: &str, arguments: &[&str], last: &Path) {
    let output = Command::new(program).args(arguments).arg(last).output();
    let output = output.unwrap_or_else(|error| panic!("{program} does not start: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
