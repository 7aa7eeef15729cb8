//! The data side: worker threads that serve requests. See [`DataPlane`].
//!
//! A thread is a [`worker::Worker`]: its turn hands every event to the connection it is about. `io` is what the system offers, `frontend` what clients'
//! connections are beside requests, `backend` the connections to instances, and `drive` what goes on between the two.

mod backend;
mod crash_point;
mod drive;
mod frontend;
mod io;
mod plane;
mod reporter;
mod settings;
mod worker;

pub use plane::DataPlane;
pub use settings::Settings;
