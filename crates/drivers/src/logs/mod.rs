//! What instances write, kept in bounded files, read back merged by time.
//!
//! Under the state folder: `logs/<service>/<instance>/label` with the label of its release, and `logs/<service>/<instance>/<number>.log`, the highest
//! number the newest. A file is only ever appended to, so that a reader needs no word with the writer. [`Line`] says how a line looks.

mod line;
mod place;
mod read;
mod write;

pub use line::{LINE_BYTES_MAX, Line, LineInvalid, LogStream};
pub use place::INSTANCES_KEPT;
pub(crate) use place::{instance_folder, prune, root, write_label};
pub use read::{Follow, LogError, LogLine, LogSelector, Logs, TAIL_MAX};
pub(crate) use write::LogWriter;
