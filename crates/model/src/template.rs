//! `${NAME}` in the value of a variable: where what a source gives is put.

use std::borrow::Cow;

/// Why a text with `${` in it has no value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TemplateInvalid {
    /// What stands between the braces is no name.
    #[error("`${{{written}}}` is not understood: between the braces stands a name of letters, digits and _")]
    NotAName {
        /// What stands there, shortened.
        written: String,
    },
    /// The brace is never closed.
    #[error("a `${{` is never closed")]
    NotClosed,
    /// Nothing gives the name a value.
    #[error("nothing gives `${{{name}}}` a value")]
    Unknown {
        /// Which.
        name: String,
    },
}

/// The text with each `${NAME}` replaced by what `value` has for the name, and each `$${` by `${`. Any other `$` is itself. What was put in is
/// not looked at again.
///
/// # Errors
/// [`TemplateInvalid`]; it never holds a value.
pub fn expand<'a>(text: &str, value: impl Fn(&str) -> Option<Cow<'a, str>>) -> Result<String, TemplateInvalid> {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            done.push_str(before);
            done.push_str("${");
            rest = after;
            continue;
        }
        done.push_str(before);
        let end = after.find('}').ok_or(TemplateInvalid::NotClosed)?;
        let name = &after[..end];
        if !is_variable(name) {
            return Err(TemplateInvalid::NotAName { written: name.chars().take(40).collect() });
        }
        done.push_str(&value(name).ok_or_else(|| TemplateInvalid::Unknown { name: name.to_owned() })?);
        rest = &after[end + 1..];
    }
    done.push_str(rest);
    Ok(done)
}

/// Whether a text can be the name of a variable that a shell would know too.
#[must_use]
pub fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether a variable is one that Gapless itself gives each instance, so that nobody else may.
#[must_use]
pub fn is_own_variable(name: &str) -> bool {
    name == "PORT" || name.starts_with("GAPLESS_")
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{TemplateInvalid, expand};

    fn expanded(text: &str) -> Result<String, TemplateInvalid> {
        expand(text, |name| match name {
            "USER" => Some(Cow::Borrowed("shop")),
            "PASSWORD" => Some(Cow::Borrowed("a$b${USER}")),
            _ => None,
        })
    }

    #[test]
    fn a_name_in_braces_becomes_its_value_and_nothing_else_changes() {
        for (text, value) in [
            ("", ""),
            ("plain $5 $USER {port}", "plain $5 $USER {port}"),
            ("postgres://${USER}:${PASSWORD}@db", "postgres://shop:a$b${USER}@db"),
            ("$${USER}${USER}", "${USER}shop"),
            ("$$${USER}", "$${USER}"),
            ("ä${USER}ö", "äshopö"),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_has_no_value_is_told_by_name() {
        for (text, told) in [
            ("${NOBODY}", "nothing gives `${NOBODY}` a value"),
            ("${USER", "a `${` is never closed"),
            ("${USER:-x}", "`${USER:-x}` is not understood: between the braces stands a name of letters, digits and _"),
            ("${}", "`${}` is not understood: between the braces stands a name of letters, digits and _"),
        ] {
            assert_eq!(expanded(text).unwrap_err().to_string(), told, "{text}");
        }
    }
}
