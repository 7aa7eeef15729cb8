//! What other users of the machine may read: nothing. And what a release gets that it did not ask for: nothing either.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::world::{Service, World};

/// A user and group of nobody's.
const STRANGER: u32 = 54_321;
/// Opens each path of its input and prints those that it may read.
const READER: &str = "import sys\nfor path in sys.stdin.read().split('\\n'):\n  try:\n    open(path, 'rb').read(1); print(path)\n  except OSError:\n    pass\n";

fn all_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => all_files(&entry.path(), found),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
}

/// Those of the files that a user may read.
fn readable_by(user: u32, files: &[PathBuf]) -> Option<Vec<String>> {
    use std::io::Write;
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", READER]).uid(user).gid(user).stdin(Stdio::piped()).stdout(Stdio::piped()).current_dir("/");
    let mut child = command.spawn().ok()?;
    let paths: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    child.stdin.take()?.write_all(paths.join("\n").as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

fn open_above(world: &World) {
    // The folder of the test is closed to others; what is below it is as the controller made it.
    let above = world.state().parent().expect("a parent").to_path_buf();
    std::fs::set_permissions(&above, std::fs::Permissions::from_mode(0o755)).expect("permissions");
}

#[test]
fn no_other_user_can_read_a_release_a_log_or_the_journal() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can try to be another user");
    }
    let world = World::up();
    open_above(&world);
    let mut service = Service::sample(&[]);
    service.files.push((".env", "DB_PASSWORD=hunter2\n".to_owned()));
    let folder = world.release(&service, "1.0");
    for name in ["gapless.toml", ".env"] {
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o600)).expect("permissions");
    }
    world.assert_done(&world.gapless(&["deploy", "shop", "--label", "1.0", "--from", folder.to_str().expect("UTF-8")]));
    let mut files = Vec::new();
    for part in ["releases", "instances", "logs", "incoming"] {
        all_files(&world.state().join(part), &mut files);
    }
    files.extend(["journal.db", "journal.db-wal"].map(|name| world.state().join(name)));
    let secret = files.iter().find(|path| path.ends_with(".env")).expect("the release's secret");
    assert_eq!(std::fs::metadata(secret).expect("its mode").permissions().mode() & 0o777, 0o600, "as in the source");
    let Some(readable) = readable_by(STRANGER, &files) else {
        return eprintln!("skipped: no python3 for another user");
    };
    assert_eq!(readable, Vec::<String>::new(), "of {} files", files.len());
}

#[test]
fn the_user_of_an_instance_reads_its_release_and_cannot_change_it() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can start an instance as another user");
    }
    let world = World::up();
    open_above(&world);
    let script = "import http.server, os, sys\n\
        secret = open('.env').read()\n\
        try:\n  open('.env', 'a'); changed = True\nexcept OSError:\n  changed = False\n\
        print('read', secret.strip(), 'changed', changed, flush=True)\n\
        class Handler(http.server.BaseHTTPRequestHandler):\n\
        \x20 def do_GET(self):\n\
        \x20   self.send_response(200); self.send_header('Content-Length', '2'); self.end_headers(); self.wfile.write(b'ok')\n\
        http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()\n";
    let service = Service {
        command: "[\"/usr/bin/python3\", \"server.py\", \"{port}\"]\nuser = \"nobody\"".to_owned(),
        files: vec![("server.py", script.to_owned()), (".env", "DB_PASSWORD=hunter2".to_owned())],
        more: String::new(),
    };
    let folder = world.release(&service, "1.0");
    std::fs::set_permissions(folder.join(".env"), std::fs::Permissions::from_mode(0o600)).expect("permissions");
    world.assert_done(&world.gapless(&["deploy", "shop", "--label", "1.0", "--from", folder.to_str().expect("UTF-8")]));
    let logged = world.gapless(&["logs", "shop"]).stdout;
    assert!(logged.contains("read DB_PASSWORD=hunter2 changed False"), "{logged}");
    let mut files = Vec::new();
    all_files(&world.state().join("releases"), &mut files);
    let Some(readable) = readable_by(STRANGER, &files) else {
        return eprintln!("skipped: no python3 for another user");
    };
    assert_eq!(readable, Vec::<String>::new(), "of {} files", files.len());
}

#[test]
fn keys_in_the_environment_of_the_controller_reach_neither_keepers_nor_instances() {
    let mut world = World::down();
    world.start_controller(&[("AWS_SECRET_ACCESS_KEY", "of-the-controller-alone")]);
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));
    let state = world.state().display().to_string();
    let mut seen = 0;
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let read = |name: &str| {
            String::from_utf8_lossy(&std::fs::read(entry.path().join(name)).unwrap_or_default()).into_owned()
        };
        let (line, environment) = (read("cmdline"), read("environ"));
        let is_keeper = line.contains("\0keeper\0") && line.contains(&state);
        if is_keeper || (line.contains("sample-service") && environment.contains(&world.seen().display().to_string())) {
            seen += 1;
            assert!(!environment.contains("of-the-controller-alone"), "{line}");
        }
    }
    assert_eq!(seen, 6, "three keepers and three instances");
}

#[test]
fn a_state_folder_that_others_may_write_is_refused_by_name() {
    let world = World::down();
    let releases = world.state().join("releases");
    std::fs::create_dir_all(&releases).expect("folders");
    std::fs::set_permissions(&releases, std::fs::Permissions::from_mode(0o777)).expect("permissions");
    let config = world.path("gapless-server.toml");
    let refused = || world.gapless(&["up", "--config", config.to_str().expect("UTF-8")]);
    let ended = refused();
    assert_eq!(ended.code, 1, "{}", world.tell(&ended));
    assert!(ended.stderr.contains("releases may be written by other users (mode 0777)"), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);
    std::fs::remove_dir(&releases).expect("the folder goes");
    std::os::unix::fs::symlink("/etc", &releases).expect("a link");
    let ended = refused();
    assert!(ended.stderr.contains("releases is a symbolic link"), "{}", ended.stderr);
    assert!(!world.state().join("journal.db").exists(), "nothing was written");
}
