//! `.ci/run` on machines that lack something: a folder of stand-ins for programs is all it finds on its path.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// A machine by the programs it has; each stand-in writes its words to a file.
struct Machine(tempfile::TempDir);

/// How a run ended.
struct Ended {
    code: Option<i32>,
    stderr: String,
    /// What was called, a line each.
    called: String,
}

impl Machine {
    /// One that lacks nothing, of a user with this number.
    fn whole(user: u32) -> Machine {
        let machine = Machine(tempfile::tempdir().unwrap());
        symlink("/usr/bin/dirname", machine.path().join("dirname")).unwrap();
        machine.has("id", &format!("echo {user}"));
        for program in ["cargo", "cc", "apt-get", "rustup"] {
            machine.has(program, &machine.notes(program));
        }
        machine
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn notes(&self, program: &str) -> String {
        format!("echo \"{program} $*\" >> {}", self.path().join("called").display())
    }

    /// Written by a process of its own: a file that this one has open may not be executed while a child that another test is starting has it too.
    fn has(&self, program: &str, body: &str) {
        let mut writer = Command::new("/bin/sh");
        writer.args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod 755 \"$1\"", "sh"]);
        assert!(writer.arg(self.path().join(program)).arg(body).status().unwrap().success());
    }

    fn lacks(self, program: &str) -> Machine {
        fs::remove_file(self.path().join(program)).unwrap();
        self
    }

    /// Its cargo comes without these parts.
    fn lacks_parts(self, parts: &str) -> Machine {
        let body = format!("case \" {parts} \" in *\" $1 \"*) exit 1 ;; esac\n{}", self.notes("cargo"));
        self.has("cargo", &body);
        self
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/run");
        let mut command = Command::new("/bin/bash");
        command.arg(script).args(arguments).env_clear().env("PATH", self.path());
        let output = command.output().unwrap();
        Ended {
            code: output.status.code(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            called: fs::read_to_string(self.path().join("called")).unwrap_or_default(),
        }
    }
}

const ROOT: u32 = 0;
const USER: u32 = 1_000;
const C_COMPILER_MISSING: &str =
    "error: a C compiler is missing\nhint: sudo apt-get install --no-install-recommends gcc libc6-dev\n";

#[test]
fn a_machine_that_lacks_nothing_runs_the_tests_with_the_arguments_handed_on() {
    let ended = Machine::whole(USER).run(&["--quick", "--only", "proxy"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(ended.called.lines().last(), Some("cargo xtask test --quick --only proxy"));
    assert!(!ended.called.contains("apt-get") && !ended.called.contains("rustup"), "{}", ended.called);
}

#[test]
fn without_cargo_it_says_where_it_comes_from() {
    let ended = Machine::whole(ROOT).lacks("cargo").run(&[]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.starts_with("error: cargo is missing\nhint: https://rustup.rs"), "{}", ended.stderr);
    assert_eq!(ended.called, "");
}

#[test]
fn root_gets_a_c_compiler_by_apt() {
    let ended = Machine::whole(ROOT).lacks("cc").run(&[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let expected = "apt-get update -q\napt-get install -q -y --no-install-recommends gcc libc6-dev\n";
    assert!(ended.called.starts_with(expected), "{}", ended.called);
    assert!(ended.called.ends_with("cargo xtask test\n"), "{}", ended.called);
}

#[test]
fn anybody_else_is_told_the_packages_of_a_c_compiler() {
    let ended = Machine::whole(USER).lacks("cc").run(&[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), C_COMPILER_MISSING));
    assert_eq!(ended.called, "", "nothing is installed");
}

#[test]
fn where_there_is_no_apt_root_is_told_the_packages_too() {
    let ended = Machine::whole(ROOT).lacks("cc").lacks("apt-get").run(&[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), C_COMPILER_MISSING));
}

#[test]
fn an_installation_that_fails_ends_the_run() {
    let machine = Machine::whole(ROOT).lacks("cc");
    machine.has("apt-get", "exit 100");
    let ended = machine.run(&[]);
    assert_eq!(ended.code, Some(100));
    assert!(!ended.called.contains("xtask"), "{}", ended.called);
}

#[test]
fn parts_of_the_toolchain_come_by_rustup() {
    let ended = Machine::whole(USER).lacks_parts("fmt clippy").run(&[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(ended.called, "rustup component add rustfmt\nrustup component add clippy\ncargo xtask test\n");
}

#[test]
fn without_rustup_it_says_which_part_is_missing() {
    let ended = Machine::whole(USER).lacks_parts("clippy").lacks("rustup").run(&[]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.stderr, "error: clippy is missing\nhint: install it with the Rust toolchain\n");
}
