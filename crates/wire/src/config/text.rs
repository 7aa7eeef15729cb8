//! Texts as they are written, and what is said of an item that is none: what the readers of all kinds of values share.

use toml_edit::Item;

use super::error::Fault;

/// The most entries of a list or table within a file.
pub(super) const ENTRIES_MAX: usize = 256;
/// The longest text within a file, in bytes: the kernel's bound for one argument or variable is 128 KiB.
pub(super) const TEXT_BYTES_MAX: usize = 32 * 1024;

pub(super) fn wrong_type(item: &Item, wanted: &str) -> Fault {
    let mut found = item.type_name().to_owned();
    if let Some(text) = item.as_str() {
        found = format!("the text {:?}", shortened(text));
    } else if let Some(number) = item.as_integer() {
        found = format!("the number {number}");
    }
    Fault::new(format!("must be {wanted}, found {found}")).at(item.span())
}

/// A text for an error: its first 60 characters.
pub(super) fn shortened(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(60).chain(['…']).collect() }
}

pub(super) fn text(item: &Item, bytes_max: usize) -> Result<String, Fault> {
    let text = item.as_str().ok_or_else(|| wrong_type(item, "a text in quotes"))?;
    if text.is_empty() {
        return Err(Fault::new("must not be empty").at(item.span()));
    }
    if text.len() > bytes_max {
        return Err(Fault::new(format!("is longer than {bytes_max} bytes")).at(item.span()));
    }
    if text.contains('\0') {
        return Err(Fault::new("must not hold a NUL byte").at(item.span()));
    }
    Ok(text.to_owned())
}

pub(super) fn folder(text: &str) -> Result<String, String> {
    use std::path::{Component, Path};
    let inside = |component| matches!(component, Component::Normal(_) | Component::CurDir);
    if Path::new(text).components().all(inside) {
        Ok(text.to_owned())
    } else {
        Err("a folder of the release is relative and does not leave it by `..`".to_owned())
    }
}

pub(super) fn texts(item: &Item) -> Result<Vec<String>, Fault> {
    let array = item.as_array().ok_or_else(|| wrong_type(item, "a list of texts, such as [\"a\", \"b\"]"))?;
    if array.len() > ENTRIES_MAX {
        return Err(Fault::new(format!("has more than {ENTRIES_MAX} entries")).at(item.span()));
    }
    let entry = |value: &toml_edit::Value| match value.as_str() {
        Some(text) if text.len() > TEXT_BYTES_MAX => {
            Err(Fault::new(format!("has an entry longer than {TEXT_BYTES_MAX} bytes")).at(value.span()))
        }
        Some(text) if text.contains('\0') => Err(Fault::new("must not hold a NUL byte").at(value.span())),
        Some(text) => Ok(text.to_owned()),
        None => Err(Fault::new(format!("must hold only texts, found {}", value.type_name())).at(value.span())),
    };
    array.iter().map(entry).collect()
}

pub(super) fn command(item: &Item) -> Result<Vec<String>, Fault> {
    if let Some(line) = item.as_str() {
        let words: Vec<String> = line.split_whitespace().map(|word| format!("{word:?}")).collect();
        return Err(wrong_type(item, "a list: the program and each argument in quotes of its own")
            .hint(format!("write [{}]; for a shell's features write [\"sh\", \"-c\", \"exec …\"]", words.join(", "))));
    }
    let words = texts(item)?;
    match words.first() {
        None => Err(Fault::new("is empty: it needs a program").at(item.span())),
        Some(program) if program.is_empty() => {
            Err(Fault::new("begins with an empty text: it needs a program").at(item.span()))
        }
        Some(_) => Ok(words),
    }
}
