//! The durable log: the Store trait, SQLite, and the conformance suite for every store.
