//! What `gapless init` finds in a folder, and the file that it writes: pure functions of a listing of the folder.

mod detect;
mod listing;
mod python;
#[cfg(test)]
mod tests;
mod write;

pub use detect::{containers, detect};
pub use listing::{Found, Listing};
pub use write::{Machine, config_text};
