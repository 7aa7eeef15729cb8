//! Where instances listen.

use std::net::{Ipv4Addr, SocketAddr};

/// Where an instance with this port listens: on this machine alone, since only the proxy is to reach it.
pub(crate) fn instance_address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
