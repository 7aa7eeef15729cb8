//! End to end: the program as users run it, servers others wrote, load that keeps its schedule, every request accounted for.
//!
//! Each test has a controller, a proxy, a state folder and ports of its own. What a suite needs and the machine lacks (gunicorn, Node,
//! nginx, wrk) makes it say so and pass, unless `GAPLESS_E2E` is set as `cargo xtask test` sets it: then it fails. `GAPLESS_QUICK`
//! shortens the loads and thins out the crash points.

mod bad_input;
mod clients;
mod contents;
mod crash;
mod disks;
mod events;
mod failing;
mod foreign;
mod full_disk;
mod hooks;
mod keepers;
mod listeners;
mod logs;
mod machine;
mod not_ready;
mod notices;
mod operating;
mod orders;
mod ports;
mod previews;
mod recovery;
mod refusals;
mod refused_tables;
mod secrets;
mod servers;
mod sources;
mod takeover;
mod talk;
mod tunnels;
mod verbs;
mod workers;
mod world;
mod wrk;
