//! The `gapless` program: one file per verb.
fn main() {}
