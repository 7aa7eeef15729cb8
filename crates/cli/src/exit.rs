//! The exit codes: one table, read by the program, by `gapless help exit-codes` and by the documentation.

use std::process::ExitCode;

/// How the program ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// What was asked for is done.
    Done,
    /// Something failed; stderr says what.
    Error,
    /// The command line is wrong.
    Usage,
    /// The rollout ended with the release before it in load.
    RolledBack,
    /// The rollout ended and a person has to decide.
    NeedsOperator,
    /// The order was refused; nothing changed.
    Refused,
    /// The rollout is done, but its receipt counts requests that failed by Gapless itself.
    FailedByUs,
    /// `gapless logs diff` found something new at ERROR or above.
    NewErrors,
    /// The rollout is done; what it cost is not known whole.
    CostUnknown,
    /// A later order took the place of this one before it began.
    Superseded,
    /// What serves is not well: fewer instances are ready in load than the floor says.
    Unwell,
    /// Waiting was interrupted; what was started goes on.
    Interrupted,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Which end.
    pub exit: Exit,
    /// Its code.
    pub code: u8,
    /// Its name in one or two words.
    pub name: &'static str,
    /// When it is given.
    pub meaning: &'static str,
}

/// All of them, by code.
pub const TABLE: &[Row] = &[
    Row {
        exit: Exit::Done,
        code: 0,
        name: "done",
        meaning: "What was asked for is done; for a rollout: the candidate is the current release.",
    },
    Row {
        exit: Exit::Error,
        code: 1,
        name: "error",
        meaning: "Something failed: a file, the controller, the network. stderr says what, why, and what mends it.",
    },
    Row {
        exit: Exit::Usage,
        code: 2,
        name: "usage",
        meaning: "The command line is wrong: an unknown verb or flag, a missing value.",
    },
    Row {
        exit: Exit::RolledBack,
        code: 3,
        name: "rolled back",
        meaning: "The rollout ended rolled back: the release before it is in load. `status -w` gives it for a rollout that it watched.",
    },
    Row {
        exit: Exit::NeedsOperator,
        code: 4,
        name: "needs operator",
        meaning: "The rollout ended where a person has to decide; capacity was kept. `gapless explain` says why.",
    },
    Row {
        exit: Exit::Refused,
        code: 5,
        name: "refused",
        meaning: "The order was refused and nothing changed: the configuration has errors, the artefact is unsafe, a rollout is running, or the order had become impossible when it no longer had to wait.",
    },
    Row {
        exit: Exit::FailedByUs,
        code: 6,
        name: "failed by us",
        meaning: "The rollout is done, but its receipt counts requests that failed by Gapless itself.",
    },
    Row {
        exit: Exit::NewErrors,
        code: 7,
        name: "new errors",
        meaning: "`gapless logs diff` found a signature at ERROR or above that only the new side has and that is not known.",
    },
    Row {
        exit: Exit::Superseded,
        code: 8,
        name: "superseded",
        meaning: "The order waited for a running rollout, and a later order took its place: it never began, and nothing of it is in load.",
    },
    Row {
        exit: Exit::CostUnknown,
        code: 9,
        name: "cost unknown",
        meaning: "The rollout is done, and its receipt counts nothing that failed by Gapless itself, but it is not whole: a proxy ended or did not answer while the rollout ran. `gapless receipt` says which.",
    },
    Row {
        exit: Exit::Unwell,
        code: 10,
        name: "not well",
        meaning: "`gapless status`: a service that is not stopped has fewer ready instances in load than its floor, or none. How its last rollout ended does not matter.",
    },
    Row {
        exit: Exit::Interrupted,
        code: 130,
        name: "interrupted",
        meaning: "Waiting was interrupted (Ctrl-C). The rollout goes on: `gapless status -w` watches it.",
    },
];

impl Exit {
    /// Its code.
    #[must_use]
    pub fn code(self) -> u8 {
        TABLE.iter().find(|row| row.exit == self).map_or(1, |row| row.code)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::{Exit, TABLE};

    #[test]
    fn every_end_of_the_program_has_a_code_of_its_own() {
        let all = [
            Exit::Done,
            Exit::Error,
            Exit::Usage,
            Exit::RolledBack,
            Exit::NeedsOperator,
            Exit::Refused,
            Exit::FailedByUs,
            Exit::NewErrors,
            Exit::Superseded,
            Exit::CostUnknown,
            Exit::Unwell,
            Exit::Interrupted,
        ];
        assert_eq!(all.len(), TABLE.len());
        for exit in all {
            assert_eq!(TABLE.iter().filter(|row| row.exit == exit).count(), 1, "{exit:?}");
            assert_eq!(TABLE.iter().filter(|row| row.code == exit.code()).count(), 1, "{exit:?}");
        }
    }
}
