//! Mistakes that a suite can plant in the machine, to prove that it would catch them. None is reachable without the feature
//! `planted-bugs`, which only test suites turn on.

/// A mistake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlantedBug {
    /// Instances are stopped as soon as a table without them is ordered.
    StopBeforeDrained,
    /// Tables are ordered without regard to the floor, and in-place batches are as large as asked for.
    BelowFloor,
    /// A table counts as in use everywhere as soon as it is ordered.
    SkipAcknowledgement,
    /// A controller that takes over starts instances anew whose start has no outcome yet.
    StartTwice,
    /// The candidate leaves load before the release it goes back to is proven ready.
    UnprovenRollback,
    /// Reports of a drain are believed whichever table they speak of.
    UnfencedDrain,
    /// What was observed before a controller died counts.
    LatchedObservation,
}

impl PlantedBug {
    /// All of them.
    pub const ALL: [PlantedBug; 7] = [
        PlantedBug::StopBeforeDrained,
        PlantedBug::BelowFloor,
        PlantedBug::SkipAcknowledgement,
        PlantedBug::StartTwice,
        PlantedBug::UnprovenRollback,
        PlantedBug::UnfencedDrain,
        PlantedBug::LatchedObservation,
    ];
}
