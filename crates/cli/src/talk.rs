//! How a controller and a proxy begin to talk: one way for both.

use std::io::IsTerminal;

use gapless_drivers::talk::{Talk, begin as begin_writing, end_on_panic};
use tracing_subscriber::EnvFilter;

/// What says how much is told on stderr; in the words of tracing's `EnvFilter`.
const LOG_ENV: &str = "GAPLESS_LOG";

/// Has this process talk on stderr by a writer that can fail nothing, and end where a thread or task of it panics.
pub(crate) fn begin() {
    end_on_panic();
    begin_writing();
    let filter = EnvFilter::try_from_env(LOG_ENV).unwrap_or_else(|_| "info".into());
    let writing = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
        .log_internal_errors(false) // it would say so by `eprintln!`, which panics
        .with_writer(|| Talk);
    let _set_before = writing.try_init();
}
