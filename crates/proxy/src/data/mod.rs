//! The data side: worker threads that serve requests. See [`DataPlane`].

mod answer;
mod backend;
mod buffers;
mod carry;
mod client;
mod clock;
mod crash_point;
mod deadlines;
mod descriptors;
mod dispatch;
mod drive;
mod exchange;
mod hold;
mod idle;
mod ids;
mod instances;
mod kernel;
mod obey;
mod outcome;
mod plane;
mod poller;
mod progress;
mod receive;
mod refused;
mod reporter;
mod send;
mod settings;

mod slab;
mod socket;
mod stream;
mod sweep;
mod tunnel;
mod upstream;
mod waiting;
mod websocket;
mod worker;

pub use plane::DataPlane;
pub use settings::Settings;
