//! A recorded stream of samples, replayed to its verdict: so that a verdict can be looked into and reproduced.
//!
//! Owns: the record format, putting records into windows, learning from the time before the rollout, the course of the evidence.
//! The format is JSON lines; `docs/judge.md` shows it. What is not right about a line is counted and the line left out:
//! the answer says how many, and no line can stop a replay.
//!
//! | what is wrong | what is done |
//! |---|---|
//! | no JSON, an unknown field, NaN or a negative number | line refused |
//! | a total (`"total": true`) that falls | the source restarted: the new total is the difference |
//! | a record out of order | counted in the second it names |
//! | a clock that steps | the gap has no windows and is not counted; arms with different clocks have one-sided windows |
//! | milliseconds for seconds, clocks of the arms apart | said ([`Doubt`]); no verdict rests on such a stream |
//! | a record that was taken already | left out and counted: a source was read twice |
//! | more shapes of log lines than are kept | said; their ERROR lines are tested in total |
//! | an arm without samples | its windows are one-sided and say nothing; the verdict says "no data" |
//! | more events than requests | that window of that metric refused |
//! | more than [`METRICS_MAX`] metrics, [`WINDOWS_MAX`] windows, [`LOG_LINES_MAX`] log lines | the rest refused |

mod assemble;
mod course;
mod doubts;
mod record;

pub use assemble::{LOG_LINES_MAX, METRICS_MAX, Refused, Replay, WINDOWS_MAX};
pub use course::{CoursePoint, Replayed, Until};
pub use doubts::Doubt;
pub use record::{HistogramRecord, LINE_BYTES_MAX, Line, LineInvalid, Sample, Start, packed_format, parse_line};
