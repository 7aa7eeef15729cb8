//! The program as people and pipelines meet it: what it says, where it says it, and its exit codes. The controller is a stand-in that
//! answers what a case needs.

mod stand_in;

use std::path::Path;
use std::process::{Command, Output};

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::stand_in::StandIn;

const CONFIG: &str = "service = \"shop\"\n[run]\ncommand = [\"./shop\"]\n";

fn gapless(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    command.current_dir(folder).env("GAPLESS_STATE", folder.join("state")).env("USER", "ada").env_remove("SUDO_USER");
    command.args(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// What was said on stderr, without the folder of the case.
fn said(folder: &Path, output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).replace(folder.to_str().unwrap(), "FOLDER")
}

fn refused(folder: &Path, arguments: &[&str], exit: i32, expected: &Expect) {
    let output = gapless(folder, arguments);
    expected.assert_eq(&said(folder, &output));
    assert_eq!(code(&output), exit);
    assert!(output.stdout.is_empty(), "errors are talk");
}

#[test]
fn without_a_controller_every_question_says_how_to_start_one() {
    let folder = tempfile::tempdir().unwrap();
    refused(
        folder.path(),
        &["status"],
        1,
        &expect![[r#"
            error: the controller does not answer at `FOLDER/state/api.sock`
            caused by: there is no state folder `FOLDER/state`
            hint: start it with `gapless up`, or name its state folder with --state DIR (or GAPLESS_STATE)
        "#]],
    );
    refused(
        folder.path(),
        &["--json", "status"],
        1,
        &expect![[r#"
            {"caused_by":["there is no state folder `FOLDER/state`"],"error":"the controller does not answer at `FOLDER/state/api.sock`","exit":1,"hint":"start it with `gapless up`, or name its state folder with --state DIR (or GAPLESS_STATE)"}
        "#]],
    );
}

#[test]
fn a_folder_without_a_configuration_is_told_apart_from_a_service_that_is_not_named() {
    let folder = tempfile::tempdir().unwrap();
    refused(
        folder.path(),
        &["deploy"],
        1,
        &expect![[r#"
        error: there is no `gapless.toml`
        hint: `gapless init` writes one for the code in this folder
    "#]],
    );
    refused(
        folder.path(),
        &["explain"],
        2,
        &expect![[r#"
        error: no service is named, and there is no `gapless.toml` in this folder
        hint: name the service, or run this in the folder of its `gapless.toml`; `gapless status` lists the services
    "#]],
    );
    refused(
        folder.path(),
        &["explain", "Shop"],
        2,
        &expect![[r#"
        error: `Shop` is not the name of a service
        caused by: 'S' is not allowed there: lower-case letters, digits and inner hyphens
        hint: name the service, or run this in the folder of its `gapless.toml`; `gapless status` lists the services
    "#]],
    );
}

#[test]
fn a_wrong_configuration_is_refused_before_anything_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gapless.toml"), "service = \"shop\"\ninstanses = 2\n[run]\ncommand = []\n")
        .unwrap();
    refused(
        folder.path(),
        &["deploy"],
        5,
        &expect![[r#"
        error: gapless.toml:2:1: unknown key `instanses`
        hint: did you mean `instances`?
        error: gapless.toml:4:11: `run.command` is empty: it needs a program
        hint: an example: command = ["python3", "-m", "http.server", "--bind", "127.0.0.1", "{port}"]
    "#]],
    );
}

#[test]
fn what_cannot_be_deployed_is_refused_with_the_flag_that_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gapless.toml"), CONFIG).unwrap();
    refused(
        folder.path(),
        &["deploy", "cart"],
        2,
        &expect![[r#"
        error: `gapless.toml` is about service `shop`, not `cart`
        hint: leave the name out, or name that service's configuration with --config FILE
    "#]],
    );
    refused(
        folder.path(),
        &["deploy", "--label", "../1"],
        2,
        &expect![[r#"
        error: `../1` cannot be the label of a release
        caused by: '.' is not allowed there: letters, digits and ._+- after a letter or digit
        hint: --label takes 1 to 63 letters, digits and ._+-, such as 1.4.0
    "#]],
    );
    refused(
        folder.path(),
        &["deploy", "--from", "nowhere.tar.gz"],
        1,
        &expect![[r#"
        error: there is no artefact at `nowhere.tar.gz`
        caused by: No such file or directory (os error 2)
        hint: --from names the folder or archive that is to be released
    "#]],
    );
    assert_eq!(code(&gapless(folder.path(), &["deploy", "--strategy", "hopeful"])), 2);
    assert_eq!(code(&gapless(folder.path(), &["depoly"])), 2);
}

#[test]
fn init_writes_a_file_that_deploy_understands_and_does_not_overwrite_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("server.js"), "").unwrap();
    std::fs::write(folder.path().join("package.json"), "{}").unwrap();
    assert_eq!(code(&gapless(folder.path(), &["init", "--service", "shop"])), 0);
    refused(
        folder.path(),
        &["init"],
        5,
        &expect![[r#"
        error: `./gapless.toml` is there already
        hint: --force replaces it
    "#]],
    );
    let output = gapless(folder.path(), &["deploy"]);
    assert!(said(folder.path(), &output).contains("the controller does not answer"), "the file was understood");
}

/// A controller whose rollout ends in a state, with so many requests lost.
fn ending(folder: &Path, state: &str, lost: u64) -> StandIn {
    let rollout = json!({
        "rollout": 7, "from": "1.3.0", "to": "1.4.0", "strategy": "rolling", "state": state, "ordered_at": "2026-11-21T08:00:00Z",
        "took_ms": 12_345, "failed_by_us": lost, "cause": if state == "rolled-back" { json!("check \"front\" failed") } else { Value::Null },
    });
    let event = |seq: u64, action: &str, text: &str| json!({ "seq": seq, "at_ms": seq * 1_000, "phase": "Start", "batch": { "number": 1, "of": 1 }, "action": action, "text": text });
    let mut last = event(2, "ended", "ended");
    last["ended"] = rollout.clone();
    let events = [event(0, "entered", "Start"), event(1, "ready", "shop.r2.i1 is ready"), last];
    let receipt = json!({
        "service": "shop", "rollout": rollout, "requests": 10, "releases": [{ "label": "1.4.0", "answered": 10 - lost }],
        "answered_by_us": lost, "client_left": 0, "cut": 0, "retried": 0, "replayed": 0, "held": 0, "longest_wait_ms": 0,
        "failed_by_service": 0, "failed_by_us": lost,
    });
    StandIn::start(
        &folder.join("state"),
        vec![
            (
                "POST /v1/services/shop/releases",
                202,
                json!({ "service": "shop", "rollout": 7, "label": "1.4.0" }).to_string(),
            ),
            ("POST /v1/services/shop/rollback", 202, json!({ "service": "shop", "rollout": 7 }).to_string()),
            ("GET /v1/services/shop/rollouts/7/events", 200, events.map(|event| format!("{event}\n")).concat()),
            ("GET /v1/services/shop/rollouts/7/receipt", 200, receipt.to_string()),
        ],
    )
}

#[test]
fn deploy_tells_by_its_exit_code_how_the_rollout_ended() {
    for (state, lost, verb, exit) in [
        ("done", 0, "deploy", 0),
        ("done", 2, "deploy", 6),
        ("rolled-back", 0, "deploy", 3),
        ("needs-operator", 0, "deploy", 4),
        ("superseded", 0, "deploy", 8),
        ("rolled-back", 0, "rollback", 0),
        ("done", 0, "rollback", 0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("gapless.toml"), CONFIG).unwrap();
        let _controller = ending(folder.path(), state, lost);
        let output = gapless(folder.path(), &[verb]);
        assert_eq!(code(&output), exit, "{verb} that ends {state} with {lost} lost: {}", said(folder.path(), &output));
    }
}

#[test]
fn a_deploy_in_a_pipe_prints_a_line_per_action_and_the_receipt() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gapless.toml"), CONFIG).unwrap();
    let controller = ending(folder.path(), "done", 0);
    let output = gapless(folder.path(), &["deploy", "--label", "1.4.0", "--reason", "tea", "--strategy", "blue-green"]);
    expect![[r#"
        $ gapless deploy
            0.0s  Start
            1.0s  Start          shop.r2.i1 is ready
            2.0s  Start          ended

        receipt of rollout 7 of shop: 1.3.0 to 1.4.0 by rolling, done after 12.3s
                                 REQUESTS
          answered by 1.4.0      10
          answered by Gapless    0
          client left            0
          cut                    0
          retried                0
          replayed               0
          held                   0
          failed by the service  0
          failed by us           0
    "#]]
    .assert_eq(&format!("$ gapless deploy\n{}", String::from_utf8_lossy(&output.stdout)));
    assert_eq!(said(folder.path(), &output), "");
    let order: Value = serde_json::from_str(&controller.bodies()[0]).unwrap();
    assert_eq!(
        (order["label"].as_str(), order["by"].as_str(), order["reason"].as_str()),
        (Some("1.4.0"), Some("ada"), Some("tea"))
    );
    assert!(
        order["config"].as_str().unwrap().contains("kind = \"blue-green\""),
        "the release stores what it was deployed with"
    );
    assert_eq!(order["from"].as_str(), folder.path().canonicalize().unwrap().to_str());
}

#[test]
fn with_json_a_deploy_prints_one_object_per_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gapless.toml"), CONFIG).unwrap();
    let _controller = ending(folder.path(), "done", 0);
    let output = gapless(folder.path(), &["--json", "deploy"]);
    let lines: Vec<Value> =
        String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[3]["failed_by_us"], 0);
}

#[test]
fn a_refusal_of_the_controller_is_shown_in_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gapless.toml"), CONFIG).unwrap();
    let body = json!({
        "error": "the deploy of shop is refused", "caused_by": ["rollout 6 is running"], "hint": "wait for it", "code": "busy",
    });
    let _controller =
        StandIn::start(&folder.path().join("state"), vec![("POST /v1/services/shop/releases", 409, body.to_string())]);
    refused(
        folder.path(),
        &["deploy"],
        5,
        &expect![[r#"
        error: the deploy of shop is refused
        caused by: rollout 6 is running
        hint: wait for it
    "#]],
    );
}

#[test]
fn a_controller_that_goes_away_while_a_rollout_runs_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gapless.toml"), CONFIG).unwrap();
    let controller = ending(folder.path(), "done", 0);
    // The first answer to the question for events is cut in the middle.
    controller.cut_once("GET /v1/services/shop/rollouts/7/events");
    let output = gapless(folder.path(), &["deploy"]);
    assert_eq!(code(&output), 0, "{}", said(folder.path(), &output));
    let ready = String::from_utf8_lossy(&output.stdout).matches("is ready").count();
    assert_eq!(ready, 1, "no action is shown twice");
}
