//! What depends on the machine an instance runs on: its user, its limits, its disk.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::world::{Service, World};

/// A Python that every user may run.
const PYTHON: &str = "/usr/bin/python3";

/// A server of Python's own, which needs no folder but the release's.
const SERVER: &str = r#"
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

/// The number of a user in /etc/passwd.
fn number_of(user: &str) -> Option<u32> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = passwd.lines().find_map(|line| line.strip_prefix(user)?.strip_prefix(':'))?;
    line.split(':').nth(1)?.parse().ok()
}

/// The users that a process has: real, effective, saved, of the file system (proc_pid_status(5)).
fn users_of(pid: u32) -> Vec<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the status of a process that runs");
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("its users");
    line.split_whitespace().map(|user| user.parse().expect("a number")).collect()
}

#[test]
fn an_instance_runs_as_the_user_of_its_configuration_and_reads_its_release() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can start an instance as another user");
    }
    let Some(nobody) = number_of("nobody") else { return eprintln!("skipped: there is no user `nobody` here") };
    // A Python of root's own folder would be out of that user's reach.
    if !Path::new(PYTHON).is_file() {
        return eprintln!("skipped: {PYTHON} is missing");
    }
    let world = World::up();
    // The folder of the test is closed to others; what is below it is as the controller made it.
    let above = world.state().parent().expect("a parent").to_path_buf();
    std::fs::set_permissions(&above, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    let service = Service {
        command: format!("[\"{PYTHON}\", \"server.py\", \"{{port}}\"]\nuser = \"nobody\""),
        files: vec![("server.py", SERVER.to_owned())],
        more: String::new(),
    };
    world.assert_done(&world.deploy(&service, "1.0", "rolling"));
    let live = world.live();
    assert_eq!(live.len(), 3);
    for (instance, pid) in live {
        assert_eq!(users_of(pid), [nobody; 4], "{instance}");
    }
}

#[test]
fn a_limit_that_cannot_be_enforced_is_a_remark_of_the_service_told_once() {
    let world = World::up();
    let limited = Service::sample(&[]).with("[run.limits]\ncpu = 0.5\ntasks = 500\n");
    world.assert_done(&world.deploy(&limited, "1.0", "rolling"));
    let live = world.live();
    assert_eq!(live.len(), 3);
    let logged = world.gapless(&["logs", "shop", "--json", "--tail", "1000"]).stdout;
    // Where the machine enforces a limit there is nothing to tell; either way status and log agree.
    for limit in ["the CPU limit is not enforced", "the limit of tasks is not enforced"] {
        let times = usize::from(logged.contains(limit));
        let told = || {
            let remarks = world.status()["services"][0]["remarks"].as_array().cloned().unwrap_or_default();
            remarks.iter().filter(|remark| remark.as_str().is_some_and(|remark| remark.contains(limit))).count()
        };
        world.eventually("the status tells what the log tells", || told() == times);
        let text = world.gapless(&["status"]).stdout;
        assert_eq!(text.matches(limit).count(), times, "{text}");
    }
}

#[test]
fn releases_are_listed_with_the_bytes_of_their_files() {
    let world = World::up();
    let mut service = Service::sample(&[]);
    service.files.push(("data", "x".repeat(100_000)));
    world.assert_done(&world.deploy(&service, "1.0", "rolling"));
    let listed = world.gapless(&["releases", "shop", "--json"]).stdout;
    let releases: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let bytes = releases["releases"][0]["bytes"].as_u64().unwrap_or_else(|| panic!("{releases:#}"));
    assert!((100_000..110_000).contains(&bytes), "{bytes}");
    let text = world.gapless(&["releases", "shop"]).stdout;
    assert!(text.contains("KiB"), "{text}");
}
