//! The pure service machine: step(state, input, now) decides what happens next to a service.
