//! What kind of service lies in a folder. The first kind that fits wins; the order goes from what says most to what says least.

use std::collections::BTreeMap;

/// The files at the top of a folder, with the text of those that say something about it.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Text by file name; empty for files whose text does not matter.
    pub files: BTreeMap<String, String>,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// What it is, for people.
    pub what: &'static str,
    /// How it is run; `{port}` where the port goes.
    pub command: Vec<String>,
    /// What must be done before it can be released, or is not known about it: each a sentence.
    pub notes: Vec<String>,
    /// The path that tells its health, if it has an obvious one; otherwise the port is asked.
    pub health: Option<&'static str>,
}

impl Listing {
    /// The files whose text says something, and at most so much of it, in bytes.
    pub const READ: [&'static str; 9] = [
        "package.json",
        "requirements.txt",
        "pyproject.toml",
        "Cargo.toml",
        "go.mod",
        "Procfile",
        "Gemfile",
        "mix.exs",
        "composer.json",
    ];

    fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    fn text(&self, name: &str) -> &str {
        self.files.get(name).map_or("", String::as_str)
    }

    fn first_of<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        names.iter().copied().find(|name| self.has(name))
    }

    fn with_ending(&self, ending: &str) -> Option<&str> {
        self.files.keys().find(|name| name.ends_with(ending)).map(String::as_str)
    }
}

/// Finds out what lies in the folder; `None` when nothing there is known.
#[must_use]
pub fn detect(folder: &Listing) -> Option<Found> {
    [procfile, node, deno, python, go, rust, ruby, java, php, static_files].iter().find_map(|kind| kind(folder))
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

const READS_PORT: &str = "The service must listen on 127.0.0.1 and the port in the PORT variable.";

fn found(what: &'static str, command: &str, notes: &[&str]) -> Found {
    Found { what, command: words(command), notes: notes.iter().map(ToString::to_string).collect(), health: None }
}

fn procfile(folder: &Listing) -> Option<Found> {
    let web = folder.text("Procfile").lines().find_map(|line| line.strip_prefix("web:"))?;
    let command = vec!["sh".to_owned(), "-c".to_owned(), format!("exec {}", web.trim())];
    let notes = vec!["The command is the one of `web:` in the Procfile; the shell replaces $PORT.".to_owned()];
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

fn python(folder: &Listing) -> Option<Found> {
    const ENVIRONMENT: &str = "The packages it needs must be found by python3: install them on the machine, or use a virtual environment at a fixed path outside this folder.";
    let needs = format!("{}{}", folder.text("requirements.txt"), folder.text("pyproject.toml")).to_lowercase();
    let module = folder.first_of(&["main.py", "app.py", "server.py", "wsgi.py", "asgi.py"]);
    let name = module.map_or("app", |module| module.trim_end_matches(".py"));
    let known =
        module.is_some() || folder.has("requirements.txt") || folder.has("pyproject.toml") || folder.has("manage.py");
    if !known {
        return None;
    }
    let bind = "127.0.0.1:{port}";
    if folder.has("manage.py") {
        let note = "Name the project's wsgi module instead of `project.wsgi`.";
        return Some(found("a Django service", &format!("gunicorn --bind {bind} project.wsgi"), &[note, ENVIRONMENT]));
    }
    if needs.contains("fastapi") || needs.contains("uvicorn") || needs.contains("starlette") {
        let command = format!("uvicorn {name}:app --host 127.0.0.1 --port {{port}}");
        return Some(found("an ASGI service", &command, &[ENVIRONMENT]));
    }
    if needs.contains("flask") || needs.contains("gunicorn") || needs.contains("django") || needs.contains("bottle") {
        return Some(found("a WSGI service", &format!("gunicorn --bind {bind} {name}:app"), &[ENVIRONMENT]));
    }
    let script = module.unwrap_or("app.py");
    Some(found("a Python service", &format!("python3 {script}"), &[READS_PORT]))
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
    folder.first_of(&["pom.xml", "build.gradle", "build.gradle.kts"]).map(|_| {
        let note =
            "Build before `gapless deploy`, and release the folder with the jar; write its name into the command.";
        found("a Java service", "java -jar service.jar --server.port={port}", &[note])
    })
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
