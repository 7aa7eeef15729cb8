//! What kind of service lies in a folder. The first kind that fits wins; the order goes from what says most to what says least.

use super::listing::{Found, Listing, READS_PORT, found};
use super::python::python;

/// Finds out what lies in the folder; `None` when nothing there is known.
#[must_use]
pub fn detect(folder: &Listing) -> Option<Found> {
    let kinds = [procfile, node, deno, python, go, rust, ruby, java, program, php, static_files, dockerfile];
    let mut found = kinds.iter().find_map(|kind| kind(folder))?;
    found.notes.extend(containers(folder));
    Some(found)
}

/// What is said where nothing is known of the folder but that it is made for containers.
#[must_use]
pub fn containers(folder: &Listing) -> Option<String> {
    const COMPOSE: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
    let file = folder.first_of(&["Dockerfile", "Containerfile"]).or_else(|| folder.first_of(&COMPOSE))?;
    let others = if COMPOSE.iter().any(|name| folder.has(name)) {
        " What else the compose file names (a database, a cache) is started as before."
    } else {
        ""
    };
    Some(format!(
        "There is a {file}: Gapless runs programs of this machine, not containers. What the image installs must be on the machine or in the release.{others}"
    ))
}

fn procfile(folder: &Listing) -> Option<Found> {
    let web = folder.text("Procfile").lines().find_map(|line| line.strip_prefix("web:"))?;
    let command = vec!["sh".to_owned(), "-c".to_owned(), format!("exec {}", web.trim())];
    let mut notes = vec!["The command is the one of `web:` in the Procfile; the shell replaces $PORT.".to_owned()];
    let release = folder.text("Procfile").lines().find_map(|line| line.strip_prefix("release:"));
    notes.extend(release.map(|command| {
        let command = command.trim();
        format!("`release: {command}` of the Procfile is not run by this file: run it before `gapless deploy`, or write it as the release command where `gapless help config` has one.")
    }));
    Some(Found { what: "a Procfile", command, notes, health: None })
}

fn node(folder: &Listing) -> Option<Found> {
    // Without a package.json only names that nothing but a service has: an index.js may belong to a web page.
    if !folder.has("package.json") && folder.first_of(&["server.js", "server.mjs", "app.js"]).is_none() {
        return None;
    }
    let package: serde_json::Value = serde_json::from_str(folder.text("package.json")).unwrap_or_default();
    let start = package["scripts"]["start"].as_str().unwrap_or_default();
    // Plain `node FILE` is run without npm, which would stand between Gapless and the service when signals are sent.
    let plain = start.starts_with("node ") && !start.contains(['&', '|', ';', '$', '"', '\'']);
    let script = package["main"].as_str().filter(|main| folder.has(main));
    let script =
        script.or_else(|| folder.first_of(&["server.js", "app.js", "index.js", "main.js", "server.mjs", "index.mjs"]));
    let mut found = match (plain, start.is_empty(), script) {
        (true, ..) => found("a Node service", start, &[READS_PORT]),
        (false, true, Some(script)) => found("a Node service", &format!("node {script}"), &[READS_PORT]),
        _ => found("a Node service", "npm start --silent", &[READS_PORT, "npm must hand SIGTERM on to the service."]),
    };
    if package["dependencies"].as_object().is_some_and(|dependencies| !dependencies.is_empty()) {
        found
            .notes
            .push("Run `npm ci --omit=dev` before `gapless deploy`: node_modules is part of the release.".to_owned());
    }
    Some(found)
}

fn deno(folder: &Listing) -> Option<Found> {
    let script = folder.first_of(&["main.ts", "server.ts", "mod.ts"]);
    let known = folder.has("deno.json") || folder.has("deno.jsonc");
    script.filter(|_| known).map(|script| {
        found("a Deno service", &format!("deno run --allow-net --allow-env --allow-read {script}"), &[READS_PORT])
    })
}

fn go(folder: &Listing) -> Option<Found> {
    let module = folder.text("go.mod").lines().find_map(|line| line.strip_prefix("module "))?;
    let name = module.trim().rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("service");
    let note = format!("Build before `gapless deploy`: `go build -o {name} .`");
    Some(Found { notes: vec![note, READS_PORT.to_owned()], ..found("a Go service", &format!("./{name}"), &[]) })
}

fn rust(folder: &Listing) -> Option<Found> {
    let package = folder.text("Cargo.toml");
    let name = package.lines().find_map(|line| {
        let value = line.trim().strip_prefix("name")?.trim_start().strip_prefix('=')?;
        Some(value.trim().trim_matches('"').to_owned())
    })?;
    let note = format!(
        "Build before `gapless deploy`, and release the folder with the program: `cargo build --release`, then `--from target/release` or a folder of its own with `{name}`."
    );
    Some(Found { notes: vec![note, READS_PORT.to_owned()], ..found("a Rust service", &format!("./{name}"), &[]) })
}

fn ruby(folder: &Listing) -> Option<Found> {
    let bind = "tcp://127.0.0.1:{port}";
    let note = "Run `bundle install --deployment` before `gapless deploy`.";
    (folder.has("config.ru") || folder.text("Gemfile").contains("puma"))
        .then(|| found("a Ruby service", &format!("bundle exec puma --bind {bind}"), &[note]))
}

fn java(folder: &Listing) -> Option<Found> {
    if let Some(jar) = folder.with_ending(".jar") {
        return Some(found("a Java service", &format!("java -jar {jar} --server.port={{port}}"), &[]));
    }
    if folder.first_of(&["pom.xml", "build.gradle", "build.gradle.kts"]).is_some() {
        let note =
            "Build before `gapless deploy`, and release the folder with the jar; write its name into the command.";
        return Some(found("a Java service", "java -jar service.jar --server.port={port}", &[note]));
    }
    // `java FILE` compiles and runs it (JEP 330).
    let sources = || folder.files.keys().filter(|name| name.ends_with(".java") && !name.contains('/'));
    let main = match sources().count() {
        1 => sources().next().map(String::as_str),
        _ => None,
    };
    main.map(|main| found("a Java program in one file", &format!("java {main}"), &[READS_PORT]))
}

/// A folder with one program in it, built elsewhere.
fn program(folder: &Listing) -> Option<Found> {
    let mut programs = folder.programs.iter();
    let (Some(only), None) = (programs.next(), programs.next()) else { return None };
    Some(Found { command: vec![format!("./{only}")], ..found("a program", "", &[READS_PORT]) })
}

/// What the image would run, where it is a list and nothing else is known.
fn dockerfile(folder: &Listing) -> Option<Found> {
    let list = |instruction: &str| {
        let lines = folder.text("Dockerfile").lines().rev().map(str::trim);
        let list = lines.filter_map(|line| line.strip_prefix(instruction)).next()?;
        serde_json::from_str::<Vec<String>>(list.trim()).ok()
    };
    let command: Vec<String> = [list("ENTRYPOINT "), list("CMD ")].into_iter().flatten().flatten().collect();
    (!command.is_empty()).then(|| Found { command, ..found("a Dockerfile", "", &[READS_PORT]) })
}

fn php(folder: &Listing) -> Option<Found> {
    let known = folder.has("index.php") || folder.has("composer.json");
    let note = "PHP's own server answers one request at a time: good enough to try things, not for load.";
    known.then(|| found("a PHP service", "php -S 127.0.0.1:{port}", &[note]))
}

fn static_files(folder: &Listing) -> Option<Found> {
    let note = "Python's own server is good enough to try things; a web server of your choice serves files better.";
    folder.has("index.html").then(|| Found {
        health: Some("/"),
        ..found("static files", "python3 -m http.server --bind 127.0.0.1 {port}", &[note])
    })
}
