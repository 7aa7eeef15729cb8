//! A disk that is full under a controller that runs, and under one that starts. On a small disk of its own, which only root can mount.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use crate::world::{Service, World, kill};

/// A file system in memory in the place of the state folder.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn under(world: &World) -> Option<SmallDisk> {
        let state = world.state();
        fs::create_dir_all(&state).expect("a state folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=160m,mode=711", "tmpfs"]).arg(&state);
        mount.output().is_ok_and(|output| output.status.success()).then_some(SmallDisk(state))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Not a byte is left that anybody could write.
    fn fill(&self) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.filler()).expect("a filler");
        for size in [1 << 20, 1 << 12, 1] {
            let block = vec![1; size];
            while file.write_all(&block).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).expect("room");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn on_a_full_disk_a_death_is_told_and_mended_and_a_controller_starts() {
    let mut world = World::down();
    let Some(disk) = SmallDisk::under(&world) else {
        return eprintln!("skipped: only root can mount a small disk");
    };
    world.start_controller(&[]);
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    world.eventually("room is kept", || world.state().join("journal.reserve-4").exists());
    disk.fill();

    let (killed, pid) = world.live()[0].clone();
    kill(pid);
    world.eventually("status tells of the death", || world.live().iter().all(|(instance, _)| *instance != killed));
    world.eventually("a new instance took its place", || world.live().len() == 3);
    world.eventually_warned(&["the disk is full"]);
    let refused = world.deploy(&Service::sample(&[]), "1.1", "rolling");
    assert_ne!(refused.code, 0, "{}", world.tell(&refused));

    world.kill_controller();
    disk.fill();
    world.start_controller(&[]);
    world.eventually("all instances are in load", || world.live().len() == 3);

    disk.make_room();
    world.eventually("room is kept again", || world.state().join("journal.reserve-4").exists());
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.2", "rolling"));
}
