//! What is found in which folder, and the file that comes of it.

use expect_test::expect;
use gapless_model::{ProbeKind, ServiceName};
use gapless_wire::config::parse_service_config;

use super::{Listing, Machine, config_text, detect};

fn folder(files: &[(&str, &str)]) -> Listing {
    // A name with `*` behind it is a program.
    let name = |name: &str| name.trim_end_matches('*').to_owned();
    Listing {
        files: files.iter().map(|(file, text)| (name(file), text.to_string())).collect(),
        programs: files.iter().filter(|(file, _)| file.ends_with('*')).map(|(file, _)| name(file)).collect(),
    }
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
        &[("manage.py", "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'store.settings.live')")],
        &[("manage.py", ""), ("cart/wsgi.py", ""), ("cart", "")],
        &[("app/main.py", ""), ("requirements.txt", "fastapi\n")],
        &[("app/__init__.py", ""), ("pyproject.toml", "dependencies = [\"flask\"]")],
        &[("main.py", ""), (".venv/pyvenv.cfg", ""), ("requirements.txt", "fastapi\n")],
        &[("server.py", ""), ("venv/pyvenv.cfg", "")],
        &[("src/main.py", "")],
        &[("app.py", "")],
        &[("go.mod", "module example.com/shop/cart\n")],
        &[("Cargo.toml", "[package]\nname = \"shop\"\n")],
        &[("config.ru", "")],
        &[("shop.jar", "")],
        &[("pom.xml", "")],
        &[("Shop.java", "")],
        &[("A.java", ""), ("B.java", "")],
        &[("shop*", ""), ("README", "")],
        &[("shop*", ""), ("migrate*", "")],
        &[("Dockerfile", "FROM x\nENTRYPOINT [\"./shop\"]\nCMD [\"--port\", \"80\"]\n")],
        &[("Dockerfile", "FROM x\nCMD ./shop\n")],
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
        a Django service: gunicorn --bind 127.0.0.1:{port} store.wsgi
        a Django service: gunicorn --bind 127.0.0.1:{port} cart.wsgi
        an ASGI service: uvicorn app.main:app --host 127.0.0.1 --port {port}
        a WSGI service: gunicorn --bind 127.0.0.1:{port} app:app
        an ASGI service: .venv/bin/python -m uvicorn main:app --host 127.0.0.1 --port {port}
        a Python service: venv/bin/python server.py
        a Python service: python3 -m src.main
        a Python service: python3 app.py
        a Go service: ./cart
        a Rust service: ./shop
        a Ruby service: bundle exec puma --bind tcp://127.0.0.1:{port}
        a Java service: java -jar shop.jar --server.port={port}
        a Java service: java -jar service.jar --server.port={port}
        a Java program in one file: java Shop.java
        unknown
        a program: ./shop
        unknown
        a Dockerfile: ./shop --port 80
        unknown
        a PHP service: php -S 127.0.0.1:{port}
        static files: python3 -m http.server --bind 127.0.0.1 {port}
        unknown"#]]
    .assert_eq(&told.join("\n"));
}

#[test]
fn what_is_not_done_by_the_file_is_told() {
    let notes = |files: &[(&str, &str)]| detect(&folder(files)).unwrap().notes.join("\n");
    let procfile = notes(&[("Procfile", "web: ./shop\nrelease: ./migrate --all\n")]);
    assert!(procfile.contains("`release: ./migrate --all` of the Procfile is not run"), "{procfile}");
    let image = notes(&[("Dockerfile", ""), ("server.js", ""), ("compose.yaml", "")]);
    assert!(image.contains("There is a Dockerfile") && image.contains("compose file"), "{image}");
    let only = super::containers(&folder(&[("docker-compose.yml", "")])).unwrap();
    assert!(only.starts_with("There is a docker-compose.yml"), "{only}");
    let venv = notes(&[("main.py", ""), (".venv/pyvenv.cfg", ""), ("requirements.txt", "fastapi")]);
    assert!(venv.contains("is part of the release"), "{venv}");
}

#[test]
fn the_user_and_the_path_of_this_machine_are_written_where_they_matter() {
    let service = ServiceName::new("shop").unwrap();
    let machine = Machine { user: Some("www-data".into()), path: Some("/opt/node/bin:/usr/bin".into()) };
    let text = config_text(&service, None, &machine);
    let run = parse_service_config(&text, "gapless.toml").unwrap_or_else(|errors| panic!("{errors}\n{text}")).run;
    assert_eq!(run.user.as_deref(), Some("www-data"));
    assert_eq!(run.environment["PATH"], "/opt/node/bin:/usr/bin");
    assert!(!text.contains("# environment"), "{text}");
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
        let text = config_text(&service, found.as_ref(), &Machine::default());
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
    let text = config_text(&service, None, &Machine::default());
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
    .assert_eq(&config_text(&ServiceName::new("shop").unwrap(), found.as_ref(), &Machine::default()));
}
