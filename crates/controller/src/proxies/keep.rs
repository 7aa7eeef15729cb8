//! One proxy serves, always; who is superseded drains when its successor serves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gapless_drivers::proxylink::{LinkFailed, Listening, ProxyEvent, open_listeners};
use gapless_model::Millis;
use gapless_routing::ProxyId;
use gapless_wire::api::in_one_line;

use super::crew::{Member, Role};
use super::place::{Found, Place, ProxyUnavailable};
use super::tend::{Tending, gone};
use crate::membership;
use crate::shared::Shared;

/// From one look at the crew to the next, where nothing calls for one.
const LOOK: Duration = Duration::from_millis(250);
/// A look that comes so late shows that this process stood still, not the proxies.
const STOOD_STILL: Duration = Duration::from_secs(2);
/// The first and the longest wait between two starts that came to nothing.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));
/// A proxy that ends sooner than this was started in vain.
const LIFE_MIN: Duration = Duration::from_secs(5);
/// How long a superseded proxy's requests may run on; its tunnels are ended spread over this time.
const DRAIN_WITHIN: Millis = Millis(30_000);
/// How long a proxy may take to hand out copies of its sockets.
const GIVE_WITHIN: Duration = Duration::from_secs(5);
/// Members at most: a machine on which more are frozen gets no further one.
const MEMBERS_MAX: usize = 8;

/// The listening sockets: those that a proxy has are taken back, or copied from one that is frozen; the others are opened.
///
/// # Errors
/// When an address cannot be listened on.
pub async fn listeners(
    wanted: &[SocketAddr],
    threads: usize,
    found: &mut [Found],
    copied: Vec<Listening>,
) -> Result<Vec<Listening>, ProxyUnavailable> {
    let mut have = copied;
    for proxy in found.iter_mut().filter(|proxy| !proxy.link.hello().listeners.is_empty()) {
        proxy.link.ask_listeners().await?;
        let given = async {
            while let Some(event) = proxy.events.next().await {
                match event {
                    ProxyEvent::Listeners(given) => return given,
                    other => proxy.early.push(other),
                }
            }
            Vec::new()
        };
        have = tokio::time::timeout(GIVE_WITHIN, given).await.map_err(|_| LinkFailed::Silent)?;
        if !have.is_empty() {
            break;
        }
    }
    let mut listeners = Vec::new();
    for address in wanted {
        let (mine, others): (Vec<_>, Vec<_>) = have.into_iter().partition(|listening| {
            listening.address == *address || (address.port() == 0 && listening.address.ip() == address.ip())
        });
        have = others;
        match mine.is_empty() {
            true => listeners.extend(open_listeners(*address, threads)?),
            false => listeners.extend(mine),
        }
    }
    Ok(listeners)
}

/// What an operator is told of a member whose record cannot be read: no process can be named whose end would end it.
const UNREADABLE: &str = "its record in the journal cannot be read (a newer gapless wrote it, or it is damaged), so nobody can tell whether it is gone, and \
    rollouts wait for it. The gapless that wrote it can read it; else end every other `gapless proxy` of this state folder, end the controller, and \
    `gapless recover` begins a journal without it";

/// Keeps a proxy there until the controller ends.
pub async fn keep(shared: Arc<Shared>, place: Place, listeners: Vec<Listening>, found: Vec<Found>) {
    shared.proxies().addresses = addresses(&listeners);
    let tending = Tending { shared: Arc::clone(&shared), place: Arc::new(place), listeners: Arc::new(listeners) };
    let mut newest = None;
    for found in found.into_iter().rev() {
        let leaving = found.link.hello().leaving;
        let id = begin(&tending, found);
        newest = if leaving { newest } else { Some(id) };
    }
    remember(&tending);
    let (mut pause, mut started, mut looked) = (PAUSE.0, None::<Instant>, Instant::now());
    while shared.keeps_proxies() {
        if looked.elapsed() >= STOOD_STILL {
            shared.proxies().forgive_silence();
        }
        looked = Instant::now();
        let room = shared.proxies().all().len() < MEMBERS_MAX;
        if shared.proxies().needs_another() && room {
            if started.is_some_and(|started| started.elapsed() < LIFE_MIN) {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
            } else {
                pause = PAUSE.0;
            }
            started = Some(Instant::now());
            let term = shared.core().term().clone();
            match tending.place.start(&term).await {
                Ok(found) => newest = Some(begin(&tending, found)),
                Err(error) => {
                    let error = in_one_line(&error);
                    tracing::error!(error, "no proxy could be started");
                    shared.proxies().trouble = Some(error);
                }
            }
            looked = Instant::now();
            continue;
        }
        let superseded = shared.proxies().superseded(newest.as_ref());
        for link in superseded {
            tracing::info!(proxy = %link.id(), "another proxy serves in its place: it drains");
            let _gone = link.drain(DRAIN_WITHIN).await;
        }
        let _look = tokio::time::timeout(LOOK, shared.crew_changed.notified()).await;
    }
}

fn begin(tending: &Tending, found: Found) -> ProxyId {
    let id = tending.take_on(&found);
    tending.shared.proxies().trouble = None;
    tokio::spawn(tending.clone().tend(id.clone(), found.address.clone(), Some(found)));
    id
}

/// The members on record that were not found: those whose process lives count, silent as they are (X3).
fn remember(tending: &Tending) {
    let recorded = tending.shared.core().proxies();
    for (id, record) in recorded {
        if tending.shared.proxies().knows(&id) {
            continue;
        }
        let process = membership::process(&record);
        tending.shared.proxies().joined(id.clone(), Member::unheard(Role::Leaving, process.clone()));
        if membership::is_gone(&record) {
            gone(&tending.shared, &id);
            continue;
        }
        tracing::warn!(proxy = %id, pid = record.pid, "a proxy on record does not answer: it counts until its process is gone");
        // Without an address its record cannot be read: there is nowhere to look for it. It has acknowledged nothing, and it is not known to be gone.
        let Some(address) = membership::address(&record) else {
            if let Some(member) = tending.shared.proxies().get_mut(&id) {
                member.trouble = Some(UNREADABLE.to_owned());
            }
            continue;
        };
        tokio::spawn(tending.clone().tend(id, address, None));
    }
}

fn addresses(listeners: &[Listening]) -> Vec<SocketAddr> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for listening in listeners {
        if !addresses.contains(&listening.address) {
            addresses.push(listening.address);
        }
    }
    addresses
}
