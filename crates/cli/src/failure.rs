//! An error as a person reads it: what and where, caused by, hint.

use std::fmt;

use gapless_drivers::talk::say;
use gapless_wire::api::causes;
use gapless_wire::config::ConfigErrors;

use crate::{Exit, hint};

/// Why a verb failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What failed, and where.
    pub what: String,
    /// Why, outermost first.
    pub caused_by: Vec<String>,
    /// What mends it; from [`crate::hint`].
    pub hint: Option<String>,
    /// The exit code.
    pub exit: Exit,
    /// Further failures of the same act: a configuration file names all its faults.
    pub also: Vec<Failure>,
    /// Whether the controller could not be reached, or decides nothing any more: asking again later may help, when there is another.
    pub unreachable: bool,
}

impl Failure {
    /// A failure without a cause or hint, with exit code 1.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Failure {
        Failure {
            what: what.into(),
            caused_by: Vec::new(),
            hint: None,
            exit: Exit::Error,
            also: Vec::new(),
            unreachable: false,
        }
    }

    /// The same with an error and all its sources as causes.
    #[must_use]
    pub fn because(mut self, error: &dyn std::error::Error) -> Failure {
        self.caused_by.extend(causes(error));
        self
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// The same with another exit code.
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Failure {
        self.exit = exit;
        self
    }

    /// Prints it on stderr (as one line of JSON where that was asked for) and gives the exit code.
    #[must_use]
    pub fn report(&self, json: bool) -> Exit {
        // Not by `eprintln!`: where nobody reads the words, the exit code still says it.
        match json {
            true => say(self.json()),
            false => say(self),
        }
        self.exit
    }

    fn json(&self) -> serde_json::Value {
        let mut object = serde_json::json!({
            "error": self.what, "caused_by": self.caused_by, "hint": self.hint, "exit": self.exit.code(),
        });
        if !self.also.is_empty() {
            object["also"] = self.also.iter().map(Failure::json).collect();
        }
        object
    }
}

/// The three parts, one per line, without a line end at the end; further failures follow.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        for cause in &self.caused_by {
            write!(f, "\ncaused by: {}", cause.replace('\n', "\n           "))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        self.also.iter().try_for_each(|also| write!(f, "\n{also}"))
    }
}

impl std::error::Error for Failure {}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        let mut chain = error.chain().map(ToString::to_string);
        let failure = Failure::new(chain.next().unwrap_or_default());
        Failure { caused_by: chain.collect(), ..failure }
    }
}

/// A refused configuration file: every fault of it.
impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Failure {
        let mut failures = errors.0.into_iter().map(|error| Failure {
            what: error.to_string(),
            caused_by: error.caused_by.into_iter().collect(),
            hint: Some(error.hint.unwrap_or_else(|| hint::HELP_CONFIG.to_owned())),
            ..Failure::new("").exit(Exit::Refused)
        });
        let first = failures.next().unwrap_or_else(|| Failure::new("the configuration is refused").exit(Exit::Refused));
        Failure { also: failures.collect(), ..first }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::Failure;

    #[test]
    fn a_failure_prints_its_three_parts() {
        let cause = std::io::Error::other("no such file");
        let failure = Failure::new("cannot read `gapless.toml`").because(&cause).hint("`gapless init` writes one");
        expect![[r"
            error: cannot read `gapless.toml`
            caused by: no such file
            hint: `gapless init` writes one"]]
        .assert_eq(&failure.to_string());
    }
}
