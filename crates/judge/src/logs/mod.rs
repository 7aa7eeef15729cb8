//! Log lines become signatures: bytes in, `(severity, logger, exception class, template)` with counts out.
//!
//! What this module owns: finding the lines in byte chunks, recognising and removing the header of a line by its shape,
//! reading JSON and logfmt lines, folding stack traces into the line they belong to, masking the variables, merging what
//! is left into templates, and comparing two sides. What it refuses to know: files, sockets, clocks, which service a line
//! is of, and what a finding means for a rollout (the verdict weighs; this module only names and counts).
//!
//! Invariants, each with its test:
//! - the order of the records changes no signature (`order_changes_no_signature`);
//! - a word with a meaning never becomes a wildcard (`words_with_meaning_stay_apart`);
//! - memory is bounded, whatever the lines are (`a_million_shapes_stay_within_the_bound`);
//! - no byte sequence panics (`arbitrary_bytes_never_panic`).

mod absorb;
mod atoms;
mod caveat;
mod class;
mod compare;
mod condense;
mod exception;
mod fields;
mod fold;
mod hash;
mod header;
mod json;
mod kinds;
mod lines;
mod logfmt;
mod merge;
mod padding;
mod reader;
mod rename;
mod scan;
mod scatter;
mod severity;
mod signature;
mod tally;
#[cfg(test)]
mod tests;
mod units;
mod words;

pub use caveat::{Caveat, CaveatScope};
pub use class::{Class, RateRule, Shift, Sighting, classify, rate_shift};
pub use compare::{Change, Comparison, Difference, Options, compare};
pub use header::Headers;
pub use lines::LINE_BYTES_MAX;
pub use reader::{Format, Reader, Record, SAMPLE_LINES};
pub use severity::{Numbering, Severity};
pub use signature::{Signature, SignatureId};
pub use tally::{Counted, ENTRIES_MAX, EntryId, Side, Tally};
