//! The deterministic world: virtual clock, fake fleet, faults, seeds, scenarios.
