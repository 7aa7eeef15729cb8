//! What is written for a value that is known only at a start: `{port}`, `{release}`, and `${NAME}` of a source.

use std::borrow::Cow;
use std::collections::BTreeMap;

use gapless_model::{SecretSource, TemplateInvalid, expand};

use super::error::Fault;
use super::read::{Group, Written};

/// What braces are replaced by.
const KNOWN: [&str; 2] = ["port", "release"];
/// How alike a word must be to one of those to be taken for a typing error (Jaro-Winkler): `{prot}` and `{relase}` are, `{print}` of a script and
/// `{level}` of a log format are not.
const ALIKE_MIN: f64 = 0.85;

/// Refuses what would reach an instance as it is written although it was meant for a value.
pub(super) fn check(written: &Written, faults: &mut Vec<Fault>) {
    let (run, health) = (written.one("run"), written.one("health"));
    let environment = run.text_map("environment").unwrap_or_default();
    words(run, "run.", "command", run.texts("command").iter().flatten(), faults);
    words(run, "run.", "environment", environment.values(), faults);
    words(health, "health.", "command", health.texts("command").iter().flatten(), faults);
    for check in written.many("check") {
        words(check, "check.", "command", check.texts("command").iter().flatten(), faults);
    }
    for (section, hooks) in
        [("hook.", written.many("hook")), ("release.", std::slice::from_ref(written.one("release")))]
    {
        for hook in hooks {
            words(hook, section, "command", hook.texts("command").iter().flatten(), faults);
        }
    }
    let secrets = run.secrets("secrets").unwrap_or_default();
    let has_files = run.environment_files("env_file").is_some_and(|files| !files.is_empty());
    for (name, text) in &environment {
        if let Err(invalid) = expand(text, |wanted| known(wanted, &secrets, has_files)) {
            faults.push(no_value(name, &invalid, &secrets).at(run.at("environment")));
        }
    }
}

/// What an environment file says is known at a start alone, so that any name may be in one.
fn known(wanted: &str, secrets: &BTreeMap<String, SecretSource>, has_files: bool) -> Option<Cow<'static, str>> {
    (has_files || secrets.contains_key(wanted)).then_some(Cow::Borrowed(""))
}

fn no_value(name: &str, invalid: &TemplateInvalid, secrets: &BTreeMap<String, SecretSource>) -> Fault {
    let fault = Fault::new(format!("`run.environment` has for `{name}` a value in which {invalid}"));
    match invalid {
        TemplateInvalid::Unknown { name } => {
            match super::read::nearest(name, secrets.keys().map(String::as_str)) {
                Some(near) => fault.hint(format!("did you mean `${{{near}}}`?")),
                None => fault.hint(format!(
                    "name its source, such as secrets = {{ {name} = {{ file = \"/etc/shop/secret\" }} }}; `$${{` stands for the text `${{`"
                )),
            }
        }
        TemplateInvalid::NotAName { .. } | TemplateInvalid::NotClosed => {
            fault.hint("`$${` stands for the text `${`".to_owned())
        }
    }
}

fn words<'a>(
    group: &Group,
    section: &str,
    key: &str,
    texts: impl Iterator<Item = &'a String>,
    faults: &mut Vec<Fault>,
) {
    for text in texts {
        if let Some((wrong, meant)) = mistyped(text) {
            let fault = Fault::new(format!("`{section}{key}` has {{{wrong}}}, which nothing is put in for"));
            faults.push(fault.at(group.at(key)).hint(format!("did you mean {{{meant}}}?")));
        }
    }
}

/// The first word in braces that is nearly one that is replaced. Behind a `$` braces are a shell's, or a source's.
fn mistyped(text: &str) -> Option<(&str, &'static str)> {
    let opened = text.match_indices('{').filter(|(at, _)| !text[..*at].ends_with('$'));
    let inside = opened.filter_map(|(at, _)| text[at + 1..].split_once('}').map(|(word, _)| word));
    inside.filter(|word| !KNOWN.contains(word)).find_map(|word| {
        let plain = word.trim().to_ascii_lowercase();
        let near = KNOWN.into_iter().find(|known| strsim::jaro_winkler(&plain, known) >= ALIKE_MIN)?;
        Some((word, near))
    })
}

#[cfg(test)]
mod tests {
    use super::mistyped;

    #[test]
    fn a_typing_error_is_told_from_braces_that_mean_something_else() {
        for (text, meant) in [
            ("{prot}", "port"),
            ("--bind=127.0.0.1:{Port}", "port"),
            ("{port} {PORT}", "port"),
            ("{ port }", "port"),
            ("{relase}", "release"),
            ("{releases}", "release"),
        ] {
            assert_eq!(mistyped(text).map(|(_, meant)| meant), Some(meant), "{text}");
        }
        for fine in [
            "{port}{release}",
            "awk '{print $1}'",
            "{time} {level} {message}",
            "{\"a\": 1}",
            "{",
            "}{",
            "${HOME}",
            "exec serve --port ${PORT} --or ${PORT:-8080}",
            "{}",
        ] {
            assert_eq!(mistyped(fine), None, "{fine}");
        }
    }
}
