//! What instances write, as those see it who look for something in it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::world::{Service, World, found, program};

/// A service that writes this when it starts.
fn writing(lines: &str) -> Service {
    let script = format!(
        "import http.server, sys\n\
         for line in {lines:?}.splitlines(): print(line, file=sys.stderr, flush=True)\n\
         class Handler(http.server.BaseHTTPRequestHandler):\n\
         \x20 def do_GET(self):\n\
         \x20   self.send_response(200); self.send_header('Content-Length', '2'); self.end_headers(); self.wfile.write(b'ok')\n\
         \x20 def log_message(self, *words): pass\n\
         http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()\n"
    );
    Service {
        command: "[\"/usr/bin/env\", \"python3\", \"server.py\", \"{port}\"]".to_owned(),
        files: vec![("server.py", script)],
        more: String::new(),
    }
}

#[test]
fn following_begins_with_what_runs_and_releases_are_compared_by_their_labels() {
    if found("python3").is_none() {
        return;
    }
    let world = World::up();
    world.assert_done(&world.deploy(&writing("INFO ready to serve"), "1.0", "rolling"));
    let traceback = "INFO ready to serve\nERROR no order was taken\nTraceback (most recent call last):\n  File \"a.py\", line 1, in f\nValueError: no tea";
    world.assert_done(&world.deploy(&writing(traceback), "1.1", "rolling"));

    let mut follow = Command::new(program());
    follow.args(["logs", "shop", "-f", "--state"]).arg(world.state()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut follow = follow.spawn().expect("gapless runs");
    let lines = BufReader::new(follow.stdout.take().expect("a pipe")).lines();
    let first: Vec<String> = lines.map_while(Result::ok).take(15).collect();
    follow.kill().expect("it ends");
    follow.wait().expect("it ends");
    assert!(first.iter().all(|line| line.contains(" 1.1 shop.r2.")), "{first:?}");

    let (id, _) = world.live().first().cloned().expect("an instance");
    let of_one = world.gapless(&["logs", "shop", "--instance", &id, "--since", "10m"]).stdout;
    assert!(of_one.contains("ValueError") && of_one.lines().all(|line| line.contains(&id)), "{of_one}");
    let later = world.gapless(&["logs", "shop", "--since", "2999-01-01T00:00:00Z"]);
    assert_eq!((later.code, later.stdout.as_str()), (0, ""));

    let diff = world.gapless(&["logs", "diff", "1.0", "1.1", "--service", "shop"]);
    assert_eq!(diff.code, 7, "{}", world.tell(&diff));
    assert!(diff.stdout.contains("release 1.1 of shop") && diff.stdout.contains("1 new at ERROR"), "{}", diff.stdout);
    // What the program printed is read back to the same.
    for json in [None, Some("--json")] {
        for label in ["1.0", "1.1"] {
            let printed =
                world.gapless(&["logs", "shop", "--release", label].into_iter().chain(json).collect::<Vec<_>>());
            std::fs::write(world.path(&format!("{label}.log")), printed.stdout).expect("a file");
        }
        let diff = world.gapless(&["logs", "diff", "1.0.log", "1.1.log"]);
        assert_eq!(diff.code, 7, "{}", world.tell(&diff));
        assert!(diff.stdout.contains("1 new at ERROR"), "{}", diff.stdout);
    }
    let nothing = world.gapless(&["logs", "diff", "9.8", "9.9", "--service", "shop"]);
    assert_eq!(nothing.code, 1, "{}", world.tell(&nothing));
    assert!(nothing.stderr.contains("no data"), "{}", nothing.stderr);
}
