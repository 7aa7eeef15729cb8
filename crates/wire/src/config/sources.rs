//! Where variables come from that are no part of the file: `env_file` and `secrets`.

use std::collections::BTreeMap;

use gapless_model::{EnvironmentFile, Presence, SecretSource, is_own_variable, is_variable};
use toml_edit::{Item, TableLike};

use super::error::Fault;
use super::text::{command, folder, shortened, texts, wrong_type};

/// The most files of variables: each is read at each start.
const FILES_MAX: usize = 16;
/// The most secrets: each may be a program that is run at each start.
const SECRETS_MAX: usize = 64;
/// The longest path.
const PATH_BYTES_MAX: usize = 4_096;
/// The longest name of a credential: it is the name of a file.
const CREDENTIAL_BYTES_MAX: usize = 255;
/// What is written for the source of a secret.
const SOURCE: &str = "a source such as { file = \"/etc/shop/db-password\" }";

/// One path or a list of them.
pub(super) fn files(item: &Item) -> Result<Vec<EnvironmentFile>, Fault> {
    let paths = match item.as_str() {
        Some(one) => vec![one.to_owned()],
        None if item.is_array() => texts(item)?,
        None => return Err(wrong_type(item, "a path or a list of paths")),
    };
    if paths.len() > FILES_MAX {
        return Err(Fault::new(format!("has more than {FILES_MAX} files")).at(item.span()));
    }
    let file = |written: &String| {
        let (path, presence) = match written.strip_prefix('-') {
            Some(path) => (path, Presence::Optional),
            None => (written.as_str(), Presence::Required),
        };
        Ok(EnvironmentFile { path: path_of(path, item)?, presence })
    };
    paths.iter().map(file).collect()
}

/// A table of names, each with its source.
pub(super) fn secrets(item: &Item) -> Result<BTreeMap<String, SecretSource>, Fault> {
    let table = item.as_table_like().ok_or_else(|| wrong_type(item, "a table of secrets"))?;
    if table.len() > SECRETS_MAX {
        return Err(Fault::new(format!("has more than {SECRETS_MAX} entries")).at(item.span()));
    }
    let one = |(name, source): (&str, &Item)| {
        let at = || table.key(name).and_then(toml_edit::Key::span);
        if !is_variable(name) {
            let what = format!("has the name {:?}, which is none of a variable", shortened(name));
            return Err(Fault::new(what).at(at()).hint("letters, digits and _ make one, such as DB_PASSWORD"));
        }
        if is_own_variable(name) {
            return Err(Fault::new(format!("has the name {name:?}, which Gapless gives a value itself")).at(at()));
        }
        let source = secret(source).map_err(|fault| {
            Fault { what: format!("has for `{name}` a source that {}", fault.what), ..fault }.at_least_at(at())
        })?;
        Ok((name.to_owned(), source))
    };
    table.iter().map(one).collect()
}

fn secret(item: &Item) -> Result<SecretSource, Fault> {
    if item.as_str().is_some() {
        // What is written there may be the secret itself: it is not repeated.
        return Err(Fault::new("must be a table and is a text: a secret does not stand in the file")
            .at(item.span())
            .hint(format!("write {SOURCE}, `credential` or `command`")));
    }
    let table: &dyn TableLike = item.as_table_like().ok_or_else(|| wrong_type(item, SOURCE))?;
    let mut entries = table.iter();
    let (Some((kind, value)), None) = (entries.next(), entries.next()) else {
        let fault = Fault::new("must have exactly one of `file`, `credential` and `command`").at(item.span());
        return Err(fault.hint(format!("write {SOURCE}")));
    };
    let text = || value.as_str().ok_or_else(|| wrong_type(value, "a text in quotes"));
    match kind {
        "file" => Ok(SecretSource::File(path_of(text()?, value)?)),
        "credential" => credential(text()?, value),
        "command" => command(value).map(SecretSource::Command),
        other => {
            let what = format!("has the unknown key `{}`", shortened(other));
            Err(Fault::new(what).at(item.span()).hint("a source is one of `file`, `credential` and `command`"))
        }
    }
}

fn credential(name: &str, item: &Item) -> Result<SecretSource, Fault> {
    let fine =
        !name.is_empty() && name.len() <= CREDENTIAL_BYTES_MAX && !name.starts_with('.') && !name.contains(['/', '\0']);
    if fine {
        return Ok(SecretSource::Credential(name.to_owned()));
    }
    let what = format!("names the credential {:?}, which cannot be one", shortened(name));
    Err(Fault::new(what).at(item.span()).hint("the name is the one in LoadCredential=NAME:… of the controller's unit"))
}

/// A path that is absolute, or stays inside the release.
fn path_of(path: &str, item: &Item) -> Result<String, Fault> {
    let refused =
        |what: &str| Err(Fault::new(format!("has the path {:?}, which {what}", shortened(path))).at(item.span()));
    if path.is_empty() {
        return refused("is empty");
    }
    if path.len() > PATH_BYTES_MAX || path.contains('\0') {
        return refused("is too long or holds a NUL byte");
    }
    if !path.starts_with('/') && folder(path).is_err() {
        return refused("is relative and leaves the release by `..`");
    }
    Ok(path.to_owned())
}
