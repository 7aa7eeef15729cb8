//! The demo: a whole life of a service on this machine in a minute, under load, with everything real.
//!
//! It drives the program itself (`up`, `deploy`, `status`, `history`, `down`) as a user would, from outside, so that what it shows is what users
//! get. [`world`] starts and kills processes, [`story`] is the order of events, [`summary`] the numbers at the end.

mod story;
mod summary;
mod world;

pub use story::run;
