//! What of a folder goes into a release, and that it runs from there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::world::{Service, World, found};

const SERVER: &str = "import http.server, sys\n\
    print('prefix', sys.prefix, flush=True)\n\
    class Handler(http.server.BaseHTTPRequestHandler):\n\
    \x20 def do_GET(self):\n\
    \x20   self.send_response(200); self.send_header('Content-Length', '2'); self.end_headers(); self.wfile.write(b'ok')\n\
    http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()\n";

fn deploy(world: &World, folder: &Path, label: &str) -> crate::world::Ended {
    world.gapless(&["deploy", "shop", "--label", label, "--from", folder.to_str().expect("UTF-8")])
}

#[test]
fn a_folder_with_a_virtual_environment_runs_by_it_and_leaves_out_what_it_names() {
    let Some(python) = found("python3") else { return };
    let world = World::up();
    let service = Service {
        command: "[\".venv/bin/python\", \"server.py\", \"{port}\"]".to_owned(),
        files: vec![("server.py", SERVER.to_owned()), (".gaplessignore", "*.log\ntests/\n".to_owned())],
        more: String::new(),
    };
    let folder = world.release(&service, "1.0");
    for (name, text) in [(".git/HEAD", "ref: x"), ("tests/test_a.py", ""), ("old.log", ""), (".env", "KEY=1")] {
        fs::create_dir_all(folder.join(name).parent().expect("a folder")).expect("a folder");
        fs::write(folder.join(name), text).expect("a file");
    }
    fs::set_permissions(folder.join(".env"), fs::Permissions::from_mode(0o600)).expect("permissions");
    let made = Command::new(python).args(["-m", "venv", "--without-pip"]).arg(folder.join(".venv")).status();
    if !made.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: python3 makes no virtual environments here");
    }
    world.assert_done(&deploy(&world, &folder, "1.0"));
    let logged = world.gapless(&["logs", "shop"]).stdout;
    let releases = world.state().join("releases/shop");
    let release = fs::read_dir(&releases).expect("releases").flatten().next().expect("one").path();
    assert!(logged.contains(&format!("prefix {}/.venv", release.display())), "the release's own: {logged}");
    for (name, there) in [(".git", false), ("tests", false), ("old.log", false), (".env", true), ("server.py", true)] {
        assert_eq!(release.join(name).exists(), there, "{name}");
    }
    let mode = fs::metadata(release.join(".env")).expect("its mode").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // A program that pip installed names the interpreter of the folder it was installed in.
    let script = folder.join(".venv/bin/serve");
    fs::write(&script, format!("#!{}\n", folder.join(".venv/bin/python").display())).expect("a script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("permissions");
    let text = fs::read_to_string(folder.join("gapless.toml")).expect("its configuration");
    fs::write(folder.join("gapless.toml"), text.replace(".venv/bin/python", ".venv/bin/serve")).expect("another");
    let refused = deploy(&world, &folder, "1.1");
    assert_eq!(refused.code, 5, "{}", world.tell(&refused));
    assert!(refused.stderr.contains("the virtual environment of another folder"), "{}", refused.stderr);
    assert!(
        refused
            .stderr
            .contains("hint: the release's own is used by command = [\".venv/bin/python\", \"-m\", \"serve\""),
        "{}",
        refused.stderr
    );
    assert_eq!(world.live().len(), 3);
}
