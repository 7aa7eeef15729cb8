//! Attacks on a proxy as data: what clients and instances send on purpose, and what nobody else may notice of it.
//!
//! A case is a few lines of text in `cases/`: what the origin does with a request, what each client sends, and what has to come of it.
//! The same cases run against any program that forwards HTTP/1.1: against Gapless as it ships, started with `gapless up` and a real
//! deploy, and for comparison against other proxies (`cargo xtask attack`). They know nothing of how a proxy is made, so they stay
//! true through every change of shape.
//!
//! - [`case`]: the text of a case, read.
//! - [`run`]: one case against one proxy.
//! - [`origin`]: the instance behind the proxy, as badly behaved as its script says.
//! - [`stage`]: Gapless with such an origin behind it.
//! - [`processes`]: all processes of a test's own machine, ended.
//!
//! **It refuses to know** the proxy under attack: it speaks bytes over sockets and reads what the origin wrote down.

pub mod case;
mod client;
mod literal;
pub mod origin;
pub mod processes;
pub mod run;
pub mod stage;

use std::path::PathBuf;

/// Where the cases of this crate lie.
#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cases")
}
