//! What a service manager is told, as `sd_notify(3)` describes it: datagrams to the socket that `NOTIFY_SOCKET` names. Nothing where none is named.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// A service manager that listens.
#[derive(Debug)]
pub(crate) struct ServiceManager {
    socket: UnixDatagram,
    to: SocketAddr,
    /// How often it wants to hear of us; half of what it waits for.
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The one that started this process, by its environment.
    pub(crate) fn of_environment() -> Option<ServiceManager> {
        let name = std::env::var_os("NOTIFY_SOCKET")?;
        let to = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            _ => SocketAddr::from_pathname(&name),
        };
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        // Meant for this process, and not for one that started it with its own environment.
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|_| is_ours).map(|time| Duration::from_micros(time / 2));
        Some(ServiceManager { socket: UnixDatagram::unbound().ok()?, to: to.ok()?, watchdog })
    }

    /// Everything serves; and from now on, as often as it is wanted, that this runtime turns. Must be called within it.
    pub(crate) fn ready(self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}\n"));
        if let Some(interval) = self.watchdog.filter(|interval| !interval.is_zero()) {
            tokio::spawn(async move {
                loop {
                    self.tell("WATCHDOG=1\n");
                    tokio::time::sleep(interval).await;
                }
            });
        }
    }

    /// This process ends, on purpose.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1\n");
    }

    /// A manager that does not listen any more fails nothing here.
    fn tell(&self, text: &str) {
        let _nobody_listens = self.socket.send_to_addr(text.as_bytes(), &self.to);
    }
}
