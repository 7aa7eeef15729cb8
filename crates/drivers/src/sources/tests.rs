//! Sources read from real files and programs.

use std::collections::BTreeMap;
use std::fs;

use gapless_model::{EnvironmentFile, Presence, RunSpec, SecretSource, Sources};

use super::{SourceError, Sourced};
use crate::process::fixture;

/// What an instance's own variables become in a release's folder with these files.
async fn completed(
    files: &[(&str, &str)],
    change: impl FnOnce(&mut RunSpec),
) -> Result<BTreeMap<String, String>, SourceError> {
    let release = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(release.path().join(name), text).unwrap();
    }
    let mut order = fixture::order("shop.r1.i1", 4000, &["true"]);
    change(&mut order.run);
    order.environment(release.path()).await
}

fn env_file(path: &str, presence: Presence) -> EnvironmentFile {
    EnvironmentFile { path: path.to_owned(), presence }
}

/// The error in a line, with the folder of the test as `RELEASE`.
fn told(error: &SourceError) -> String {
    let text = gapless_wire::api::in_one_line(error);
    let Some(begin) = text.find(std::env::temp_dir().to_str().unwrap()) else { return text };
    let end = text[begin..].rfind('/').map_or(text.len(), |at| begin + at);
    format!("{}RELEASE{}", &text[..begin], &text[end..])
}

#[tokio::test]
async fn a_later_file_holds_over_an_earlier_one_the_configuration_over_both_and_gapless_over_all() {
    let files = [("a.env", "A=a\nB=a\nC=a\nPORT=1\nPATH=/of/the/file\n"), ("b.env", "B=b\nC=b\nGAPLESS_SERVICE=x\n")];
    let environment = completed(&files, |run| {
        run.sources.files = vec![
            env_file("a.env", Presence::Required),
            env_file("b.env", Presence::Required),
            env_file("missing.env", Presence::Optional),
        ];
        run.environment.insert("C".into(), "c".into());
    });
    let environment = environment.await.unwrap();
    let of = |name: &str| environment.get(name).map(String::as_str);
    assert_eq!([of("A"), of("B"), of("C"), of("PATH")], [Some("a"), Some("b"), Some("c"), Some("/of/the/file")]);
    assert_eq!([of("PORT"), of("GAPLESS_SERVICE")], [Some("4000"), Some("shop")]);
}

#[tokio::test]
async fn a_secret_comes_from_a_file_or_a_command_and_goes_into_other_values() {
    let environment = completed(&[("password", "p@ss\n")], |run| {
        run.sources = Sources {
            files: Vec::new(),
            secrets: BTreeMap::from([
                ("DB_PASSWORD".into(), SecretSource::File("password".into())),
                ("TOKEN".into(), SecretSource::Command(vec!["cat".into(), "password".into()])),
            ]),
        };
        run.environment.insert("URL".into(), "postgres://shop:${DB_PASSWORD}@db:{port}/$${x}".into());
    });
    let environment = environment.await.unwrap();
    assert_eq!(environment["DB_PASSWORD"], "p@ss");
    assert_eq!(environment["TOKEN"], "p@ss");
    assert_eq!(environment["URL"], "postgres://shop:p@ss@db:4000/${x}");
}

#[tokio::test]
async fn what_cannot_be_read_is_told_by_name_and_place_without_what_was_read() {
    let secret = |source: SecretSource| {
        move |run: &mut RunSpec| {
            run.sources.secrets.insert("KEY".into(), source);
        }
    };
    let file = |path: &str| SecretSource::File(path.to_owned());
    let command = |line: &str| SecretSource::Command(vec!["sh".into(), "-c".into(), line.into()]);
    for (source, wanted) in [
        (file("none"), "cannot read the secret KEY from RELEASE/none: No such file or directory (os error 2)"),
        (file("."), "cannot read the secret KEY from RELEASE/.: it is not a file"),
        (file("empty"), "the value of KEY is empty"),
        (file("nul"), "the value of KEY holds a NUL byte"),
        (
            SecretSource::Credential("key".into()),
            "cannot read the secret KEY from credential key: systemd gave the controller no credentials (LoadCredential= in its unit)",
        ),
        (command("echo hunter2; exit 3"), "the command for the secret KEY failed: exit status: 3"),
        (
            command("echo hunter2; echo sealed >&2; exit 3"),
            "the command for the secret KEY failed: exit status: 3: sealed",
        ),
        (command("head -c 5000 /dev/zero"), "the command for the secret KEY failed: it wrote 4096 bytes or more"),
    ] {
        let error = completed(&[("empty", "\n"), ("nul", "hunter2\0")], secret(source)).await.unwrap_err();
        assert_eq!(told(&error), wanted);
    }
}

#[tokio::test]
async fn a_file_of_variables_that_is_not_understood_is_told_by_its_line() {
    let one = |run: &mut RunSpec| run.sources.files = vec![env_file("a.env", Presence::Optional)];
    let error = completed(&[("a.env", "A=1\nhunter2\n")], one).await.unwrap_err();
    assert_eq!(told(&error), "the env_file RELEASE/a.env is not understood: line 2 has no `=`");
    let error = completed(&[("a.env", "A=1\n")], |run| {
        one(run);
        run.environment.insert("URL".into(), "${B}".into());
    });
    assert_eq!(error.await.unwrap_err().to_string(), "the value of URL is not complete: nothing gives `${B}` a value");
}

#[tokio::test]
async fn without_sources_a_dollar_and_braces_stay_what_earlier_releases_wrote() {
    let environment = completed(&[], |run| {
        run.environment.insert("A".into(), "${B} $${C}".into());
        run.environment.insert("D".into(), "$${E}".into());
    });
    let environment = environment.await.unwrap();
    assert_eq!([environment["A"].as_str(), environment["D"].as_str()], ["${B} $${C}", "${E}"]);
}

#[test]
fn a_secret_is_masked_in_what_a_command_wrote() {
    let mut order = fixture::order("shop.r1.i1", 4000, &["true"]);
    order.run.sources.secrets.insert("KEY".into(), SecretSource::Credential("key".into()));
    let environment = BTreeMap::from([("KEY".to_owned(), "hunter2".to_owned())]);
    let masked = Sourced::of(&order.run).unwrap().masked("login as hunter2 failed", &environment);
    assert_eq!(masked, "login as *** failed");
}
