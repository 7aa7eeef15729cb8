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
    /// An order that waited and is displaced gets no end.
    SilentDisplacement,
    /// Lines about an order that waits go to the rollout that runs.
    WordsToTheRunning,
    /// The report says of each deadline that the rollout turns back then.
    FixedConsequence,
    /// A batch waits for tunnels as it does for requests.
    WaitsForTunnels,
    /// A controller that takes over counts only the proxies that it has heard since.
    ForgottenProxy,
}

impl PlantedBug {
    /// All of them.
    pub const ALL: [PlantedBug; 12] = [
        PlantedBug::StopBeforeDrained,
        PlantedBug::BelowFloor,
        PlantedBug::SkipAcknowledgement,
        PlantedBug::StartTwice,
        PlantedBug::UnprovenRollback,
        PlantedBug::UnfencedDrain,
        PlantedBug::LatchedObservation,
        PlantedBug::SilentDisplacement,
        PlantedBug::WordsToTheRunning,
        PlantedBug::FixedConsequence,
        PlantedBug::WaitsForTunnels,
        PlantedBug::ForgottenProxy,
    ];
}
