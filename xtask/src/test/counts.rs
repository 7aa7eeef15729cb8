//! What a test program says of itself, read from its output.

/// What one run of one suite came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed; a suite that ended badly without naming one counts as one.
    pub failed: u64,
    /// Their names, where the program told them.
    pub failures: Vec<String>,
}

impl Counts {
    /// A run that is one question: it held or it did not.
    pub fn whole(held: Held) -> Self {
        match held {
            Held::Yes => Self { passed: 1, ..Self::default() },
            Held::No => Self { failed: 1, ..Self::default() },
        }
    }

    /// Reads the output of a test program as libtest and its kin write it, and how it ended.
    pub fn read(output: &str, ended: Held) -> Self {
        let mut counts = Self::default();
        for line in output.lines() {
            if let Some(summary) = line.strip_prefix("test result: ") {
                counts.passed += before(summary, " passed");
                counts.failed += before(summary, " failed");
            } else if let Some(name) = line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED")) {
                counts.failures.push(name.trim_end().to_owned());
            }
        }
        if ended == Held::No && counts.failed == 0 {
            // It was aborted, killed, or could not begin: whatever it had counted before, that is a failure.
            counts.failed = 1;
        }
        counts
    }
}

/// Whether something ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It did.
    Yes,
    /// It did not.
    No,
}

impl From<bool> for Held {
    fn from(well: bool) -> Self {
        if well { Self::Yes } else { Self::No }
    }
}

/// The number before a word, as in `12 passed`.
fn before(text: &str, word: &str) -> u64 {
    let Some(at) = text.find(word) else { return 0 };
    text[..at].rsplit(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "running 3 tests\ntest a ... ok\ntest b::c   ... FAILED\ntest d - slow ... ok\n\nfailures:\n\n---- b::c stdout ----\n\
                          oh\n\ntest result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n";

    #[test]
    fn passed_and_failed_tests_are_counted_and_the_failed_named() {
        let counts = Counts::read(OUTPUT, Held::No);
        assert_eq!(counts, Counts { passed: 2, failed: 1, failures: vec!["b::c".to_owned()] });
    }

    #[test]
    fn a_program_that_was_killed_before_its_result_is_a_failure() {
        assert_eq!(Counts::read("running 3 tests\ntest a ... ok\n", Held::No).failed, 1);
        assert_eq!(Counts::read("", Held::Yes), Counts::default());
    }
}
