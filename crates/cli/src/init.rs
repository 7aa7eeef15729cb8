//! What `gapless init` finds in a folder, and the file that it writes: pure functions of a listing of the folder.

mod detect;
#[cfg(test)]
mod tests;
mod write;

pub use detect::{Found, Listing, detect};
pub use write::config_text;
