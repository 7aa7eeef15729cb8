//! An error as a person reads it: what and where, caused by, hint.

use std::fmt;

use crate::Exit;

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
}

impl Failure {
    /// A failure without a cause or hint, with exit code 1.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), caused_by: Vec::new(), hint: None, exit: Exit::Error }
    }

    /// The same with an error and all its sources as causes.
    #[must_use]
    pub fn because(mut self, error: &dyn std::error::Error) -> Failure {
        let mut next = Some(error);
        while let Some(error) = next {
            self.caused_by.push(error.to_string());
            next = error.source();
        }
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
        if json {
            let object = serde_json::json!({
                "error": self.what, "caused_by": self.caused_by, "hint": self.hint, "exit": self.exit.code(),
            });
            eprintln!("{object}");
        } else {
            eprintln!("{self}");
        }
        self.exit
    }
}

/// The three parts, one per line, without a line end at the end.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        for cause in &self.caused_by {
            write!(f, "\ncaused by: {}", cause.replace('\n', "\n           "))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        let mut chain = error.chain().map(ToString::to_string);
        let what = chain.next().unwrap_or_default();
        Failure { what, caused_by: chain.collect(), hint: None, exit: Exit::Error }
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
