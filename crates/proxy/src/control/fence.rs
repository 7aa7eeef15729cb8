//! Whom a proxy obeys, and which table it takes. Pure.

use gapless_model::{Epoch, TableVersion};

/// The newest controller and table that were taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Fence {
    epoch: Epoch,
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
    pub(crate) fn after(table: TableVersion) -> Fence {
        Fence { epoch: table.epoch, table: Some(table) }
    }

    /// A controller introduces itself: it is obeyed unless a newer one was.
    ///
    /// # Errors
    /// The newest epoch that was seen.
    pub(crate) fn controller(&mut self, epoch: Epoch) -> Result<(), Epoch> {
        if epoch < self.epoch {
            return Err(self.epoch);
        }
        self.epoch = epoch;
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
            _ if offered.epoch != self.epoch => Err(Stale::Epoch { offered, epoch: self.epoch }),
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

    #[test]
    fn controllers_are_obeyed_in_the_order_of_their_epochs() {
        let mut fence = Fence::after(version(3, 7));
        assert_eq!(fence.controller(Epoch(2)), Err(Epoch(3)));
        assert_eq!(fence.controller(Epoch(3)), Ok(()), "the same controller may connect again");
        assert_eq!(fence.controller(Epoch(5)), Ok(()));
        assert_eq!(fence.controller(Epoch(4)), Err(Epoch(5)));
    }

    #[test]
    fn tables_are_taken_in_strictly_rising_order_and_under_the_epoch_of_their_controller() {
        let mut fence = Fence::default();
        fence.controller(Epoch(4)).unwrap();
        assert_eq!(fence.table(version(4, 1)), Ok(Admission::New));
        fence.taken(version(4, 1));
        assert_eq!(fence.table(version(4, 1)), Ok(Admission::Again));
        assert!(matches!(fence.table(version(4, 0)), Err(Stale::Older { .. })));
        assert!(matches!(fence.table(version(3, 9)), Err(Stale::Older { .. })));
        assert!(matches!(fence.table(version(9, 1)), Err(Stale::Epoch { .. })));
        fence.controller(Epoch(5)).unwrap();
        assert!(matches!(fence.table(version(4, 2)), Err(Stale::Epoch { .. })), "of the term before");
        assert_eq!(fence.table(version(5, 1)), Ok(Admission::New));
    }
}
