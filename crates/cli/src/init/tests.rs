//! What is found in which folder, and the file that comes of it.

use expect_test::expect;
use gapless_model::{ProbeKind, ServiceName};
use gapless_wire::config::parse_service_config;

use super::{Listing, config_text, detect};

fn folder(files: &[(&str, &str)]) -> Listing {
    Listing { files: files.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect() }
}

fn command(files: &[(&str, &str)]) -> String {
    detect(&folder(files))
        .map_or_else(|| "unknown".to_owned(), |found| format!("{}: {}", found.what, found.command.join(" ")))
}

#[test]
fn the_kind_of_a_service_is_told_by_its_files() {
    let folders: &[&[(&str, &str)]] = &[
        &[("Procfile", "worker: x\nweb: bundle exec rails s -p $PORT\n"), ("package.json", "{}")],
        &[("package.json", r#"{"scripts":{"start":"node src/server.js"}}"#)],
        &[("package.json", r#"{"scripts":{"start":"next start -p $PORT"}}"#)],
        &[("package.json", r#"{"main":"lib.js"}"#), ("index.js", "")],
        &[("package.json", "not JSON")],
        &[("server.js", "")],
        &[("deno.json", "{}"), ("main.ts", "")],
        &[("requirements.txt", "FastAPI==0.1\n"), ("main.py", "")],
        &[("requirements.txt", "flask\n"), ("app.py", "")],
        &[("manage.py", ""), ("requirements.txt", "Django\n")],
        &[("app.py", "")],
        &[("go.mod", "module example.com/shop/cart\n")],
        &[("Cargo.toml", "[package]\nname = \"shop\"\n")],
        &[("config.ru", "")],
        &[("shop.jar", "")],
        &[("pom.xml", "")],
        &[("index.php", "")],
        &[("index.html", "")],
        &[("README", "")],
    ];
    let told: Vec<String> = folders.iter().map(|files| command(files)).collect();
    expect![[r#"
        a Procfile: sh -c exec bundle exec rails s -p $PORT
        a Node service: node src/server.js
        a Node service: npm start --silent
        a Node service: node index.js
        a Node service: npm start --silent
        a Node service: node server.js
        a Deno service: deno run --allow-net --allow-env --allow-read main.ts
        an ASGI service: uvicorn main:app --host 127.0.0.1 --port {port}
        a WSGI service: gunicorn --bind 127.0.0.1:{port} app:app
        a Django service: gunicorn --bind 127.0.0.1:{port} project.wsgi
        a Python service: python3 app.py
        a Go service: ./cart
        a Rust service: ./shop
        a Ruby service: bundle exec puma --bind tcp://127.0.0.1:{port}
        a Java service: java -jar shop.jar --server.port={port}
        a Java service: java -jar service.jar --server.port={port}
        a PHP service: php -S 127.0.0.1:{port}
        static files: python3 -m http.server --bind 127.0.0.1 {port}
        unknown"#]]
    .assert_eq(&told.join("\n"));
}

#[test]
fn every_file_that_init_writes_is_read_again() {
    let service = ServiceName::new("shop").unwrap();
    for files in [
        &[("Procfile", "web: a \"b\" \\ $PORT")][..],
        &[("package.json", r#"{"dependencies":{"express":"4"}}"#), ("server.js", "")],
        &[("index.html", "")],
        &[("go.mod", "module a")],
        &[],
    ] {
        let found = detect(&folder(files));
        let text = config_text(&service, found.as_ref());
        let spec = parse_service_config(&text, "gapless.toml").unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        if let Some(found) = found {
            assert_eq!(spec.run.command, found.command);
            assert_eq!(matches!(spec.probe.kind, ProbeKind::Http { .. }), found.health.is_some());
        }
    }
}

#[test]
fn what_is_commented_out_can_be_put_in() {
    let service = ServiceName::new("shop").unwrap();
    let text = config_text(&service, None);
    // A comment that is a key or a section begins with a lower-case word and `=`, or with a bracket.
    let uncommented = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if rest.starts_with('[') || rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    let all: Vec<String> = text.lines().map(uncommented).collect();
    parse_service_config(&all.join("\n"), "gapless.toml").unwrap();
}

#[test]
fn the_file_for_a_node_service_reads_like_this() {
    let found = detect(&folder(&[("package.json", "{}"), ("server.js", "")]));
    expect![[r##"
        # How Gapless runs this service and replaces it without losing a request. `gapless init` found a
        # Node service.
        # `gapless help config` explains every key; those that are commented out show their defaults.

        service = "shop"
        # How many instances are in load.
        # instances = 2
        # The least number of ready instances in load that no action may go below: a count, or a share of
        # `instances` (rounded up).
        # floor = "50%"

        [run]
        # The service must listen on 127.0.0.1 and the port in the PORT variable.
        command = ["node", "server.js"]
        # Environment variables.
        # environment = { LOG_LEVEL = "info" }
        # From SIGTERM to SIGKILL.
        # stop_grace = "10s"

        # Which requests are the service's. Without any route: all that no other service claims.
        # [[route]]
        # host = "shop.example.com"
        # path = "/"

        [health]
        # An open port is all that is asked. A path that answers 200 only when the service can work tells
        # more: http = "/health" instead.
        tcp = true
        # From the end of one probe to the begin of the next.
        # interval = "1s"
        # From the start of an instance to its first readiness.
        # start_timeout = "60s"

        [strategy]
        # `rolling` replaces batch by batch.
        # kind = "rolling"
        # With `rolling`: how many instances at a time, as a count or a share of `instances` (rounded up).
        # batch = 1
        # With `rolling`: how long a batch is observed in load before the next.
        # observe = "5s"
        # How long the finished whole is observed before the rollout is done.
        # bake = "10s"

        # What is asked of a new release before anyone is switched to it.
        # [[check]]
        # name = "front page"
        # http = "/"
        # expect = 200

        [traffic]
        # How long requests in flight may run on when their instance drains.
        # drain_timeout = "30s"
        # The same for WebSockets and other upgraded connections.
        # tunnel_drain_timeout = "5m"
    "##]]
    .assert_eq(&config_text(&ServiceName::new("shop").unwrap(), found.as_ref()));
}
