//! Both files through their only doors, with every error as it is shown.

use expect_test::{Expect, expect};
use gapless_model::{Amount, Millis, Order, ProbeKind, ServiceName, Strategy};

use super::key::{Fallback, Section};
use super::{SERVER, SERVICE, ServerConfig, parse_server_config, parse_service_config, read, routes_taken};

const LEAST: &str = "service = \"shop\"\n[run]\ncommand = [\"./shop\", \"{port}\"]\n";

fn refused(text: &str, expected: Expect) {
    let errors = parse_service_config(text, "gapless.toml").expect_err("the text is refused");
    expected.assert_eq(&errors.to_string());
}

fn server_refused(text: &str, expected: Expect) {
    let errors = parse_server_config(text, "gapless-server.toml").expect_err("the text is refused");
    expected.assert_eq(&errors.to_string());
}

#[test]
fn two_keys_make_a_service_and_the_rest_has_defaults() {
    let spec = parse_service_config(LEAST, "gapless.toml").unwrap();
    assert_eq!(spec.service.as_str(), "shop");
    assert_eq!(spec.instances, 2);
    assert_eq!(spec.floor, Amount::Percent(50));
    assert_eq!(spec.routes.len(), 1);
    assert_eq!(spec.probe.kind, ProbeKind::Tcp);
    assert!(matches!(spec.strategy, Strategy::Rolling { batch: Amount::Count(1), order: Order::SurgeFirst, .. }));
}

#[test]
fn everything_that_can_be_written_is_read() {
    let text = r#"
service = "shop"
instances = 8
floor = "75%"
releases_kept = 5
[run]
command = ["./shop"]
environment = { A = "1", B = "{port}" }
folder = "server"
user = "www-data"
stop_grace = "1m30s"
limits = { memory = "512MiB", cpu = 1.5, tasks = 64 }
[[route]]
host = "Shop.example.com"
[[route]]
host = "*.example.org"
path = "/shop/"
[health]
http = "/health"
host = "shop.example.com"
expect = 204
interval = "500ms"
[strategy]
kind = "rolling"
batch = "25%"
order = "in-place"
second_order = "supersede"
[[check]]
name = "front"
http = "/"
contains = "Welcome"
[[check]]
name = "smoke"
command = ["./smoke"]
[traffic]
balance = "consistent-hash"
hash_key = "cookie:session"
replay_body = "1MiB"
[restart]
backoff_min = "1s"
[logs]
files = 2
"#;
    let spec = parse_service_config(text, "gapless.toml").unwrap();
    assert_eq!(spec.run.limits.cpu_milli_max, Some(1_500));
    assert_eq!(spec.run.limits.memory_bytes_max, Some(512 << 20));
    assert_eq!(spec.run.stop_grace, Millis(90_000));
    assert_eq!(spec.run.environment["B"], "{port}");
    assert_eq!(spec.routes[1].path.as_str(), "/shop");
    assert_eq!(spec.routes[0].host.as_str(), "shop.example.com");
    assert_eq!(spec.checks.len(), 2);
    assert_eq!(spec.run.logs.files_max, 2);
    assert_eq!(spec.traffic.replay_bytes_max, 1 << 20);
    assert_eq!(spec.traffic.balance, gapless_model::Balance::ConsistentHash("cookie:session".parse().unwrap()));
}

#[test]
fn a_hash_key_that_names_nothing_or_stands_where_nothing_is_hashed_is_refused() {
    refused(
        &format!("{LEAST}[traffic]\nbalance = \"consistent-hash\"\nhash_key = \"time\"\n"),
        expect![[r#"
        error: gapless.toml:6:1: `traffic.hash_key` is not `address`, `header:NAME` or `cookie:NAME`: "time"
        hint: write "address", "header:X-User-Id" or "cookie:session""#]],
    );
    refused(
        &format!("{LEAST}[traffic]\nhash_key = \"address\"\n"),
        expect![[r#"
        error: gapless.toml:5:1: `traffic.hash_key` means something only with balance = "consistent-hash"
        hint: remove it, or use balance = "consistent-hash""#]],
    );
}

#[test]
fn the_stored_text_gives_the_same_specification_again() {
    let once = parse_service_config(LEAST, "gapless.toml").unwrap();
    assert_eq!(parse_service_config(LEAST, "release 7").unwrap(), once);
}

#[test]
fn broken_toml_is_refused_with_its_place() {
    refused(
        "service = \"shop\n[run]\n",
        expect![[r#"
        error: gapless.toml:1:16: this is not TOML
        caused by: invalid basic string, expected `"`
        hint: https://toml.io shows how TOML is written"#]],
    );
    refused(
        "service = \"a\"\nservice = \"b\"\n",
        expect![[r#"
        error: gapless.toml:2:1: this is not TOML
        caused by: duplicate key
        hint: https://toml.io shows how TOML is written"#]],
    );
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    refused(
        &format!("instancs = 3\n{LEAST}comand = 1\n[helth]\nhttp = \"/\"\n[traffic]\ninterval = \"1s\"\nzzz = 1\n"),
        expect![[r#"
            error: gapless.toml:1:1: unknown key `instancs`
            hint: did you mean `instances`?
            error: gapless.toml:5:1: unknown key `run.comand`
            hint: did you mean `command`?
            error: gapless.toml:6:2: unknown key `helth`
            hint: did you mean `health`?
            error: gapless.toml:9:1: unknown key `traffic.interval`
            hint: there is a key `interval` in [health]
            error: gapless.toml:10:1: unknown key `traffic.zzz`
            hint: `gapless help config` lists every key"#]],
    );
}

#[test]
fn what_is_missing_is_named_with_an_example() {
    refused(
        "",
        expect![[r#"
        error: gapless.toml:1:1: `service` is missing
        hint: write at the top of the file: service = "shop"
        error: gapless.toml:1:1: `run.command` is missing
        hint: write below [run]: command = ["python3", "-m", "http.server", "--bind", "127.0.0.1", "{port}"]"#]],
    );
    refused(
        "service = \"shop\"\n[run]\nfolder = \"x\"\n[[check]]\nhttp = \"/\"\n",
        expect![[r#"
        error: gapless.toml:3:1: `run.command` is missing
        hint: write below [run]: command = ["python3", "-m", "http.server", "--bind", "127.0.0.1", "{port}"]
        error: gapless.toml:5:1: `check.name` is missing
        hint: write below [[check]]: name = "front page""#]],
    );
}

#[test]
fn wrong_types_and_values_out_of_bounds_are_refused_all_at_once() {
    refused(
        r#"service = "Shop!"
instances = 0
floor = "120%"
releases_kept = "many"
[run]
command = "python3 app.py --port {port}"
environment = { PORT = 80 }
folder = "../elsewhere"
limits = { memory = "12 bytes", cpu = 0 }
[[route]]
host = "a b"
path = "shop"
[health]
interval = 5
timeout = "2 parsecs"
rise = 0
expect = "404-200"
[strategy]
kind = "bluegreen"
bake = "10d"
"#,
        expect![[r#"
            error: gapless.toml:1:11: `service` has the wrong value "Shop!"
            caused by: 'S' is not allowed there: lower-case letters, digits and inner hyphens
            hint: an example: service = "shop"
            error: gapless.toml:2:13: `instances` must be 1 to 1000, found 0
            hint: an example: instances = 4
            error: gapless.toml:3:9: `floor` must be "0%" to "100%", found "120"%
            hint: an example: floor = "75%"
            error: gapless.toml:4:17: `releases_kept` must be a whole number, found the text "many"
            hint: an example: releases_kept = 5
            error: gapless.toml:6:11: `run.command` must be a list: the program and each argument in quotes of its own, found the text "python3 app.py --port {port}"
            hint: write ["python3", "app.py", "--port", "{port}"]; for a shell's features write ["sh", "-c", "exec …"]
            error: gapless.toml:7:24: `run.environment` must be a text, found the number 80
            hint: put the value of `PORT` in quotes: variables are texts
            error: gapless.toml:8:10: `run.folder` has the wrong value "../elsewhere"
            caused by: a folder of the release is relative and does not leave it by `..`
            hint: an example: folder = "server"
            error: gapless.toml:9:21: `run.limits.memory` must be a size such as "64KiB" or "512MiB", found the text "12 bytes"
            caused by: the units are B, KiB, MiB, GiB, TiB, kB, MB and GB
            hint: an example: memory = "512MiB"
            error: gapless.toml:9:39: `run.limits.cpu` must be 0.01 to 1024, found 0
            hint: an example: cpu = 1.5
            error: gapless.toml:11:8: `route.host` has the wrong value "a b"
            caused by: "a b" is not a host name, `*.domain` or `*`
            hint: an example: host = "shop.example.com"
            error: gapless.toml:12:8: `route.path` has the wrong value "shop"
            caused by: "shop" is not a path that begins with `/`, without spaces, `?`, `#` or control characters
            hint: an example: path = "/api"
            error: gapless.toml:14:12: `health.interval` must be a duration such as "500ms", "30s" or "1m30s", found the number 5
            hint: write "5s" if seconds are meant
            error: gapless.toml:15:11: `health.timeout` must be a duration such as "500ms", "30s" or "1m30s", found the text "2 parsecs"
            caused by: the units are ms, s, m, h and d; each number needs one
            hint: an example: timeout = "500ms"
            error: gapless.toml:16:8: `health.rise` must be 1 to 100, found 0
            hint: an example: rise = 3
            error: gapless.toml:17:10: `health.expect` must be a status such as 200 or a range such as "200-399", within 100 to 599, found the text "404-200"
            hint: an example: expect = 200
            error: gapless.toml:19:8: `strategy.kind` must be one of "rolling", "blue-green", found the text "bluegreen"
            hint: did you mean "blue-green"?
            error: gapless.toml:20:8: `strategy.bake` must be 0ms to 24h, found "10d"
            hint: an example: bake = "10m""#]],
    );
}

#[test]
fn an_empty_command_is_refused() {
    refused(
        "service = \"shop\"\n[run]\ncommand = []\n",
        expect![[r#"
        error: gapless.toml:3:11: `run.command` is empty: it needs a program
        hint: an example: command = ["python3", "-m", "http.server", "--bind", "127.0.0.1", "{port}"]"#]],
    );
    refused(
        "service = \"shop\"\n[run]\ncommand = [\"\", \"x\"]\n",
        expect![[r#"
        error: gapless.toml:3:11: `run.command` begins with an empty text: it needs a program
        hint: an example: command = ["python3", "-m", "http.server", "--bind", "127.0.0.1", "{port}"]"#]],
    );
}

#[test]
fn sections_and_values_are_not_mistaken_for_each_other() {
    refused(
        "service = \"shop\"\nrun = \"x\"\nroute = 3\n",
        expect![[r#"
        error: gapless.toml:1:1: `run.command` is missing
        hint: write below [run]: command = ["python3", "-m", "http.server", "--bind", "127.0.0.1", "{port}"]
        error: gapless.toml:2:7: `run` must be a section, found string
        hint: write [run] on a line of its own and its keys below
        error: gapless.toml:3:9: `route` must be a section, found integer
        hint: write [[route]] on a line of its own and its keys below"#]],
    );
    refused(
        &format!("{LEAST}[[health]]\nhttp = \"/\"\n"),
        expect![[r#"
        error: gapless.toml:4:1: `health` must be a section, found array of tables
        hint: write [health] on a line of its own and its keys below"#]],
    );
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    refused(
        &format!(
            "instances = 4\nfloor = 5\n{LEAST}[health]\nhttp = \"/\"\ntcp = true\n[strategy]\nkind = \"blue-green\"\nbatch = 2\n\
             [[check]]\nname = \"a\"\n[[check]]\nname = \"b\"\ncommand = [\"x\"]\ncontains = \"y\"\n\
             [[route]]\n[[route]]\npath = \"/\"\n[restart]\nbackoff_min = \"1m\"\n"
        ),
        expect![[r#"
            error: gapless.toml:2:1: `floor` is 5, above the 4 instances there are to be
            hint: write at most floor = 4, or more instances
            error: gapless.toml:8:1: [health] asks in more than one way
            hint: keep one of `http`, `tcp`, `command` and `process`
            error: gapless.toml:11:1: `strategy.batch` means something only with kind = "rolling"
            hint: remove it, or use kind = "rolling"
            error: gapless.toml:13:1: the check "a" has neither `http` nor `command`
            hint: write one of them
            error: gapless.toml:17:1: `check.contains` means something only with http
            hint: remove it, or use http
            error: gapless.toml:20:1: the route host * path / is there twice
            hint: remove one of them
            error: gapless.toml:22:1: `backoff_min` (1m) is longer than `backoff_max` (30s)
            hint: make backoff_max at least as long"#]],
    );
    refused(
        &format!("instances = 4\nfloor = \"75%\"\n{LEAST}[strategy]\norder = \"in-place\"\nbatch = 2\n"),
        expect![[r#"
            error: gapless.toml:8:1: an in-place batch of 2 leaves 2 of 4 instances, below the floor of 3
            hint: use order = "surge-first", a smaller batch, a lower floor or more instances"#]],
    );
}

#[test]
fn an_absent_machine_file_is_all_defaults() {
    let config = ServerConfig::default();
    assert_eq!(config.listeners[0].address.to_string(), "0.0.0.0:8080");
    assert_eq!((config.instance_ports.first, config.instance_ports.last), (20_000, 29_999));
    assert_eq!(config.proxy_threads, None);
}

#[test]
fn a_machine_file_is_refused_with_all_its_faults() {
    server_refused(
        "[[listener]]\naddress = \"80\"\n[[listener]]\nadress = \"0.0.0.0:80\"\n[proxy]\nthreads = 0\ntrusted_peers = [\"10.0.0.0/40\"]\n[instances]\nports = \"80-90\"\n",
        expect![[r#"
            error: gapless-server.toml:2:11: `listener.address` has the wrong value "80"
            caused by: an address and a port are written `0.0.0.0:8080` or `[::]:8080`
            hint: an example: address = "0.0.0.0:80"
            error: gapless-server.toml:4:1: unknown key `listener.adress`
            hint: did you mean `address`?
            error: gapless-server.toml:4:1: `listener.address` is missing
            hint: write below [[listener]]: address = "0.0.0.0:80"
            error: gapless-server.toml:6:11: `proxy.threads` must be 1 to 256, found 0
            hint: an example: threads = 4
            error: gapless-server.toml:7:17: `proxy.trusted_peers` has a wrong entry
            caused by: "10.0.0.0/40" is not an address or `address/bits`
            hint: an example: trusted_peers = ["10.0.0.0/8", "127.0.0.1"]
            error: gapless-server.toml:9:9: `instances.ports` has the wrong value "80-90"
            caused by: a range of ports is written `20000-29999`: none below 1024, at least 16 of them
            hint: an example: ports = "40000-40999""#]],
    );
    server_refused(
        "[[listener]]\naddress = \"[::]:80\"\n[[listener]]\naddress = \"[::]:80\"\n",
        expect![[r#"
        error: gapless-server.toml:4:1: the listener [::]:80 is there twice
        hint: remove one of them"#]],
    );
}

#[test]
fn every_default_and_every_example_of_the_tables_is_read_by_its_own_key() {
    for section in [SERVICE, SERVER].into_iter().flatten() {
        for key in section.keys {
            read::default_value(key, key.example);
            if let Fallback::Value(value) = key.default {
                read::default_value(key, value);
            }
            assert!(key.doc.ends_with('.'), "{} is documented in sentences", section.full_name(key.name));
        }
    }
}

#[test]
fn no_name_stands_twice_in_the_tables() {
    fn names(sections: &'static [Section]) -> Vec<String> {
        let keys = |section: &'static Section| section.keys.iter().map(move |key| section.full_name(key.name));
        sections.iter().flat_map(keys).chain(sections.iter().map(|section| section.name.to_owned())).collect()
    }
    for sections in [SERVICE, SERVER] {
        let mut names = names(sections);
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}

#[test]
fn help_finds_a_section_a_key_and_nothing_else() {
    assert!(super::help(None).unwrap().contains("gapless-server.toml"));
    assert!(super::help(Some("nonsense")).is_none());
    expect![[r#"
        gapless.toml
        ────────────
        A service. It lies beside the service's code and is part of every release, so going back to a
        release goes back to its configuration too.

        [health]
        # How the health of an instance is asked for: by one of `http`, `tcp`, `command` or `process`.
        # An instance starts unknown and gets no request before it is ready.

        interval = "2s"
            From the end of one probe to the begin of the next.
            duration: 10ms to 10m (default `"1s"`)
    "#]]
    .assert_eq(&super::help(Some("health.interval")).unwrap());
}

#[test]
fn a_route_belongs_to_one_service() {
    let shop = parse_service_config(LEAST, "gapless.toml").unwrap();
    let other = ServiceName::new("other").unwrap();
    let taken = routes_taken(&shop.service, &shop.routes, [(&other, shop.routes.as_slice())].into_iter());
    expect!["the route host * path / belongs to service `other`"].assert_eq(&taken[0].to_string());
    assert!(
        routes_taken(&shop.service, &shop.routes, [(&shop.service, shop.routes.as_slice())].into_iter()).is_empty()
    );
}

mod no_panic {
    use proptest::prelude::*;

    use crate::config::{SERVICE, parse_server_config, parse_service_config};

    /// Lines made of the file's own words in any order, which get deeper than plain noise.
    fn line() -> impl Strategy<Value = String> {
        let keys: Vec<String> =
            SERVICE.iter().flat_map(|section| section.keys.iter().map(|key| key.name.to_owned())).collect();
        let headers: Vec<String> = SERVICE.iter().map(|section| format!("[{}]", section.name)).collect();
        let repeated: Vec<String> = SERVICE.iter().map(|section| format!("[[{}]]", section.name)).collect();
        let value = prop_oneof![
            Just("\"30s\"".to_owned()),
            Just("[]".to_owned()),
            Just("[\"a\"]".to_owned()),
            Just("{}".to_owned()),
            Just("{ a = \"b\" }".to_owned()),
            Just("1979-05-27".to_owned()),
            Just("nan".to_owned()),
            any::<i64>().prop_map(|number| number.to_string()),
            "[ -~ä]{0,12}".prop_map(|text| format!("{text:?}")),
        ];
        prop_oneof![
            proptest::sample::select(headers),
            proptest::sample::select(repeated),
            (proptest::sample::select(keys), value).prop_map(|(key, value)| format!("{key} = {value}")),
            "[ -~ä]{0,20}",
        ]
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(lines in proptest::collection::vec(line(), 0..12)) {
            let text = lines.join("\n");
            if let Err(errors) = parse_service_config(&text, "gapless.toml") {
                prop_assert!(!errors.0.is_empty());
            }
            let _ = parse_server_config(&text, "gapless-server.toml");
        }
    }
}

#[test]
fn variables_may_come_from_files_and_secrets() {
    use gapless_model::{EnvironmentFile, Presence, SecretSource};
    let text = format!(
        "{LEAST}env_file = [\"/etc/shop/env\", \"-local.env\"]\nenvironment = {{ URL = \"x://${{KEY}}@${{OTHER}}\" }}\n\
         [run.secrets]\nKEY = {{ file = \"/etc/shop/key\" }}\nA = {{ credential = \"a\" }}\nB = {{ command = [\"pass\", \"b\"] }}\n"
    );
    let sources = parse_service_config(&text, "gapless.toml").unwrap_or_else(|errors| panic!("{errors}")).run.sources;
    let file = |path: &str, presence| EnvironmentFile { path: path.to_owned(), presence };
    assert_eq!(sources.files, [file("/etc/shop/env", Presence::Required), file("local.env", Presence::Optional)]);
    assert_eq!(sources.secrets["KEY"], SecretSource::File("/etc/shop/key".into()));
    assert_eq!(sources.secrets["A"], SecretSource::Credential("a".into()));
    assert_eq!(sources.secrets["B"], SecretSource::Command(vec!["pass".into(), "b".into()]));
    let one = format!("{LEAST}env_file = \"/etc/shop/env\"\n");
    assert_eq!(parse_service_config(&one, "gapless.toml").unwrap().run.sources.files.len(), 1);
}

#[test]
fn a_source_that_cannot_be_one_is_refused_and_never_repeated() {
    refused(
        &format!("{LEAST}secrets = {{ KEY = \"hunter2\" }}\nenv_file = 3\n"),
        expect![[r#"
        error: gapless.toml:4:19: `run.secrets` has for `KEY` a source that must be a table and is a text: a secret does not stand in the file
        hint: write a source such as { file = "/etc/shop/db-password" }, `credential` or `command`
        error: gapless.toml:5:12: `run.env_file` must be a path or a list of paths, found the number 3
        hint: an example: env_file = ["/etc/shop/env", "-/etc/shop/local.env"]"#]],
    );
    refused(
        &format!("{LEAST}[run.secrets]\n\"A B\" = {{ file = \"/x\" }}\n"),
        expect![[r#"
        error: gapless.toml:5:1: `run.secrets` has the name "A B", which is none of a variable
        hint: letters, digits and _ make one, such as DB_PASSWORD"#]],
    );
    refused(
        &format!("{LEAST}[run.secrets]\nPORT = {{ file = \"/x\" }}\n"),
        expect![[r#"
        error: gapless.toml:5:1: `run.secrets` has the name "PORT", which Gapless gives a value itself
        hint: an example: secrets = { DB_PASSWORD = { file = "/etc/shop/db-password" }, API_KEY = { credential = "api-key" }, TOKEN = { command = ["pass", "shop/token"] } }"#]],
    );
    refused(
        &format!("{LEAST}[run.secrets]\nA = {{ file = \"../x\" }}\n"),
        expect![[r#"
        error: gapless.toml:5:14: `run.secrets` has for `A` a source that has the path "../x", which is relative and leaves the release by `..`
        hint: an example: secrets = { DB_PASSWORD = { file = "/etc/shop/db-password" }, API_KEY = { credential = "api-key" }, TOKEN = { command = ["pass", "shop/token"] } }"#]],
    );
    refused(
        &format!("{LEAST}[run.secrets]\nA = {{ fiel = \"/x\" }}\n"),
        expect![[r#"
        error: gapless.toml:5:5: `run.secrets` has for `A` a source that has the unknown key `fiel`
        hint: a source is one of `file`, `credential` and `command`"#]],
    );
    refused(
        &format!("{LEAST}[run.secrets]\nA = {{ credential = \"a/b\" }}\n"),
        expect![[r#"
        error: gapless.toml:5:20: `run.secrets` has for `A` a source that names the credential "a/b", which cannot be one
        hint: the name is the one in LoadCredential=NAME:… of the controller's unit"#]],
    );
    refused(
        &format!("{LEAST}environment = {{ A = \"1\" }}\n[run.secrets]\nA = {{ file = \"/x\" }}\n"),
        expect![[r#"
        error: gapless.toml:5:6: the variable `A` is in `environment` and in `secrets`
        hint: keep one of them"#]],
    );
}

#[test]
fn what_was_meant_for_a_value_does_not_reach_an_instance_as_it_is_written() {
    let text = "service = \"shop\"\n[run]\ncommand = [\"./shop\", \"--port={prot}\"]\n\
                environment = { A = \"{Release}\", B = \"${KEY}\", C = \"${X:-1}\" }\n\
                [health]\ncommand = [\"./ask\", \"{prot}\"]\n";
    refused(
        text,
        expect![[r#"
        error: gapless.toml:3:1: `run.command` has {prot}, which nothing is put in for
        hint: did you mean {port}?
        error: gapless.toml:4:1: `run.environment` has {Release}, which nothing is put in for
        hint: did you mean {release}?
        error: gapless.toml:4:1: `run.environment` has for `B` a value in which nothing gives `${KEY}` a value
        hint: name its source, such as secrets = { KEY = { file = "/etc/shop/secret" } }; `$${` stands for the text `${`
        error: gapless.toml:4:1: `run.environment` has for `C` a value in which `${X:-1}` is not understood: between the braces stands a name of letters, digits and _
        hint: `$${` stands for the text `${`
        error: gapless.toml:6:1: `health.command` has {prot}, which nothing is put in for
        hint: did you mean {port}?"#]],
    );
    super::recorded_service_config(text, "gapless.toml").expect("a release that was deployed before is still one");
    refused(
        &format!("{LEAST}environment = {{ B = \"${{KEI}}\" }}\nsecrets = {{ KEY = {{ file = \"/x\" }} }}\n"),
        expect![[r#"
            error: gapless.toml:4:1: `run.environment` has for `B` a value in which nothing gives `${KEI}` a value
            hint: did you mean `${KEY}`?"#]],
    );
}
