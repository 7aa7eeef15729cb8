//! Whom a proxy obeys, and which table it takes. Pure.

use gapless_model::{ControllerId, Epoch, TableVersion, Term};

/// The newest controller and table that were taken.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Fence {
    term: Term,
    table: Option<TableVersion>,
}

/// What becomes of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Admission {
    /// It is newer: it is taken.
    New,
    /// It is the one in use: it is acknowledged again.
    Again,
}

/// Why a table is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Stale {
    /// One as new or newer is in use.
    #[error("table {offered} is not newer than {used}")]
    Older {
        /// This one.
        offered: TableVersion,
        /// The one in use.
        used: TableVersion,
    },
    /// It is of another term than the controller that sends it.
    #[error("table {offered} is not of the controller's epoch {epoch}")]
    Epoch {
        /// This one.
        offered: TableVersion,
        /// The newest controller's term.
        epoch: Epoch,
    },
}

impl Fence {
    /// What a proxy that starts with a table it kept has seen.
    pub(crate) fn after(table: TableVersion, controller: Option<ControllerId>) -> Fence {
        Fence { term: Term { epoch: table.epoch, controller }, table: Some(table) }
    }

    /// A controller introduces itself: it is obeyed unless a newer one was, or another one of the same epoch. Epoch 0 only asks; an epoch that none
    /// can have come to is nobody's, for no other could follow it.
    ///
    /// # Errors
    /// The term that is obeyed.
    pub(crate) fn controller(&mut self, term: Term) -> Result<(), Term> {
        let newer = term.epoch > self.term.epoch && term.epoch.is_plausible();
        let again = term.epoch != Epoch(0) && term == self.term;
        if !newer && !again {
            return Err(self.term.clone());
        }
        self.term = term;
        Ok(())
    }

    /// The controller that is obeyed offers a table.
    ///
    /// # Errors
    /// [`Stale`].
    pub(crate) fn table(&self, offered: TableVersion) -> Result<Admission, Stale> {
        match self.table {
            Some(used) if used == offered => Ok(Admission::Again),
            Some(used) if used > offered => Err(Stale::Older { offered, used }),
            _ if offered.epoch != self.term.epoch => Err(Stale::Epoch { offered, epoch: self.term.epoch }),
            _ => Ok(Admission::New),
        }
    }

    /// A table was taken.
    pub(crate) fn taken(&mut self, table: TableVersion) {
        self.table = Some(table);
    }
}

#[cfg(test)]
mod tests {
    use gapless_model::{Epoch, Generation, TableVersion};

    use super::*;

    fn version(epoch: u64, generation: u64) -> TableVersion {
        TableVersion { epoch: Epoch(epoch), generation: Generation(generation) }
    }

    fn term(epoch: u64, controller: &str) -> Term {
        Term { epoch: Epoch(epoch), controller: ControllerId::new(controller).ok() }
    }

    #[test]
    fn controllers_are_obeyed_in_the_order_of_their_epochs() {
        let mut fence = Fence::after(version(3, 7), ControllerId::new("a").ok());
        assert_eq!(fence.controller(term(2, "a")), Err(term(3, "a")));
        assert_eq!(fence.controller(term(3, "a")), Ok(()), "the same controller may connect again");
        assert_eq!(fence.controller(term(5, "b")), Ok(()));
        assert_eq!(fence.controller(term(4, "a")), Err(term(5, "b")));
    }

    #[test]
    fn another_controller_of_the_same_epoch_is_refused_by_whichever_way_it_came_to_it() {
        let mut fence = Fence::after(version(3, 7), ControllerId::new("a").ok());
        assert_eq!(fence.controller(term(3, "b")), Err(term(3, "a")));
        assert_eq!(fence.controller(term(3, "")), Err(term(3, "a")), "nor one without an identity");
        let mut kept_by_an_older_release = Fence::after(version(3, 7), None);
        assert_eq!(kept_by_an_older_release.controller(term(3, "b")), Err(term(3, "")));
        assert_eq!(kept_by_an_older_release.controller(term(3, "")), Ok(()), "its own controller");
        assert_eq!(kept_by_an_older_release.controller(term(4, "b")), Ok(()));
    }

    #[test]
    fn nobody_can_take_a_place_that_no_other_could_take_after_him() {
        let mut fence = Fence::after(version(3, 7), ControllerId::new("a").ok());
        for epoch in [u64::MAX, Epoch::PLAUSIBLE_MAX.0 + 1] {
            assert_eq!(fence.controller(term(epoch, "b")), Err(term(3, "a")));
        }
        assert_eq!(fence.controller(term(4, "b")), Ok(()));
    }

    #[test]
    fn a_question_whom_it_obeys_takes_nobodys_place() {
        let mut fresh = Fence::default();
        assert_eq!(fresh.controller(term(0, "")), Err(Term::default()));
        let mut fence = Fence::after(version(3, 7), ControllerId::new("a").ok());
        assert_eq!(fence.controller(term(0, "")), Err(term(3, "a")));
    }

    #[test]
    fn tables_are_taken_in_strictly_rising_order_and_under_the_epoch_of_their_controller() {
        let mut fence = Fence::default();
        fence.controller(term(4, "a")).unwrap();
        assert_eq!(fence.table(version(4, 1)), Ok(Admission::New));
        fence.taken(version(4, 1));
        assert_eq!(fence.table(version(4, 1)), Ok(Admission::Again));
        assert!(matches!(fence.table(version(4, 0)), Err(Stale::Older { .. })));
        assert!(matches!(fence.table(version(3, 9)), Err(Stale::Older { .. })));
        assert!(matches!(fence.table(version(9, 1)), Err(Stale::Epoch { .. })));
        fence.controller(term(5, "b")).unwrap();
        assert!(matches!(fence.table(version(4, 2)), Err(Stale::Epoch { .. })), "of the term before");
        assert_eq!(fence.table(version(5, 1)), Ok(Admission::New));
    }
}
