//! What the keeper knows of its instance's life, and what follows from it: pure, so that every order of events can be tested.

use std::time::{Duration, Instant};

/// How long a killed tree may take to be gone before its end is reported all the same (a process stuck in the kernel).
pub(crate) const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// How the main process ended, as the kernel said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MainEnd {
    Code(i32),
    Signal(i32),
    /// It was taken over from a keeper that died, and this kernel does not tell how such a process ended.
    Unknown,
}

/// The life of an instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Life {
    /// It runs.
    Running,
    /// It was asked to end; what is left is killed at the deadline.
    Stopping {
        /// The deadline.
        kill_at: Instant,
        /// Whether the main process has ended, and how.
        main: Option<MainEnd>,
    },
    /// It is being killed.
    Killing {
        /// Then it counts as ended whatever is left.
        give_up_at: Instant,
        /// Whether the main process has ended, and how.
        main: Option<MainEnd>,
    },
    /// It has ended.
    Ended {
        /// How.
        main: MainEnd,
    },
}

/// What the keeper does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Act {
    /// SIGTERM to the main process's group.
    Terminate,
    /// SIGKILL to the whole tree.
    Kill,
    /// Nothing.
    Wait,
}

impl Life {
    /// ## Running | Stopping => Stopping
    /// A second order may bring the deadline forward, never back.
    pub(crate) fn stop(&mut self, now: Instant, grace: Duration) -> Act {
        let kill_at = now.checked_add(grace).unwrap_or(now + Duration::from_secs(86_400));
        match self {
            Life::Running => {
                *self = Life::Stopping { kill_at, main: None };
                Act::Terminate
            }
            Life::Stopping { kill_at: before, .. } => {
                *before = kill_at.min(*before);
                Act::Wait
            }
            Life::Killing { .. } | Life::Ended { .. } => Act::Wait,
        }
    }

    /// ## Running | Stopping => Killing
    pub(crate) fn kill(&mut self, now: Instant) -> Act {
        let main = match *self {
            Life::Running => None,
            Life::Stopping { main, .. } => main,
            Life::Killing { .. } | Life::Ended { .. } => return Act::Wait,
        };
        *self = Life::Killing { give_up_at: now + KILL_PATIENCE, main };
        Act::Kill
    }

    /// ## Running => Killing
    /// An instance is its main process: when that ends unasked, what it left behind is killed.
    /// ## Stopping => Stopping
    /// A shell that was its main process may end first; what it started has its grace.
    pub(crate) fn main_ended(&mut self, now: Instant, end: MainEnd) -> Act {
        match self {
            Life::Running => {
                *self = Life::Killing { give_up_at: now + KILL_PATIENCE, main: Some(end) };
                Act::Kill
            }
            Life::Stopping { main, .. } | Life::Killing { main, .. } => {
                *main = Some(end);
                Act::Wait
            }
            Life::Ended { .. } => Act::Wait,
        }
    }

    /// ## Stopping | Killing => Ended
    /// When nothing is left of the tree.
    pub(crate) fn tree_empty(&mut self) {
        if let Life::Stopping { main: Some(main), .. } | Life::Killing { main: Some(main), .. } = *self {
            *self = Life::Ended { main };
        }
    }

    /// ## Stopping => Killing, at its deadline
    /// ## Killing => Ended, when patience is over
    /// Killing kills again until then: a process may have forked while the others died.
    pub(crate) fn time(&mut self, now: Instant) -> Act {
        match *self {
            Life::Stopping { kill_at, .. } if now >= kill_at => self.kill(now),
            Life::Killing { give_up_at, main } if now >= give_up_at => {
                *self = Life::Ended { main: main.unwrap_or(MainEnd::Signal(libc::SIGKILL)) };
                Act::Wait
            }
            Life::Killing { .. } => Act::Kill,
            Life::Running | Life::Stopping { .. } | Life::Ended { .. } => Act::Wait,
        }
    }

    /// Whether the main process has not ended, as far as is known.
    pub(crate) fn awaits_main(&self) -> bool {
        match *self {
            Life::Running => true,
            Life::Stopping { main, .. } | Life::Killing { main, .. } => main.is_none(),
            Life::Ended { .. } => false,
        }
    }

    /// When [`Life::time`] is to be called at the latest.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        match *self {
            Life::Running | Life::Ended { .. } => None,
            Life::Stopping { kill_at, .. } => Some(kill_at),
            Life::Killing { .. } => Some(now + Duration::from_millis(20)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_instance_that_ignores_the_request_is_killed_at_its_deadline() {
        let start = Instant::now();
        let mut life = Life::Running;
        assert_eq!(life.stop(start, SECOND * 3), Act::Terminate);
        assert_eq!(life.time(start + SECOND), Act::Wait);
        assert_eq!(life.time(start + SECOND * 3), Act::Kill);
        life.main_ended(start + SECOND * 3, MainEnd::Signal(9));
        life.tree_empty();
        assert_eq!(life, Life::Ended { main: MainEnd::Signal(9) });
    }

    #[test]
    fn the_grace_is_for_the_whole_tree_not_for_its_main_process_alone() {
        let start = Instant::now();
        let mut life = Life::Running;
        life.stop(start, SECOND * 3);
        assert_eq!(life.main_ended(start, MainEnd::Code(0)), Act::Wait);
        assert_eq!(life.time(start + SECOND), Act::Wait);
        life.tree_empty();
        assert_eq!(life, Life::Ended { main: MainEnd::Code(0) });
    }

    #[test]
    fn a_second_order_only_brings_the_deadline_forward() {
        let start = Instant::now();
        let mut life = Life::Running;
        life.stop(start, SECOND * 3);
        assert_eq!(life.stop(start, SECOND * 9), Act::Wait);
        assert_eq!(life.deadline(start), Some(start + SECOND * 3));
        life.stop(start, SECOND);
        assert_eq!(life.deadline(start), Some(start + SECOND));
    }

    #[test]
    fn a_main_process_that_ends_unasked_takes_what_it_left_with_it() {
        let start = Instant::now();
        let mut life = Life::Running;
        assert_eq!(life.main_ended(start, MainEnd::Code(0)), Act::Kill);
        assert_eq!(life.time(start + SECOND), Act::Kill, "until nothing is left");
        assert_eq!(life.time(start + KILL_PATIENCE), Act::Wait);
        assert_eq!(life, Life::Ended { main: MainEnd::Code(0) });
    }

    #[test]
    fn an_empty_tree_ends_nothing_while_the_main_process_was_not_heard_of() {
        let mut life = Life::Running;
        life.tree_empty();
        assert_eq!(life, Life::Running);
    }
}
