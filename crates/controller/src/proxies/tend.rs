//! One member, from its begin to the end of its process: connected while it can be, told every table and setting, heard.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gapless_drivers::proxylink::{ControlAddress, LinkFailed, Listening, ProcessMark, ProxyEvent, ProxyLink};
use gapless_model::TableVersion;
use gapless_routing::ProxyId;
use gapless_wire::api::in_one_line;
use gapless_wire::control::feature;

use super::crew::{Member, Role};
use super::place::{Found, Place, nobody_listens};
use crate::membership;
use crate::shared::{End, Shared};

/// The first and the longest wait between two attempts to connect.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(2));

/// What every member's task needs.
#[derive(Clone, Debug)]
pub struct Tending {
    pub shared: Arc<Shared>,
    pub place: Arc<Place>,
    pub listeners: Arc<Vec<Listening>>,
}

impl Tending {
    /// Takes a proxy on as a member, for good: on record before it is lent anything (X3).
    pub fn take_on(&self, found: &Found) -> ProxyId {
        let id = found.link.id();
        let role = if found.link.hello().leaving { Role::Leaving } else { Role::Serving };
        // Connected from this moment on: without it another would be started in its place before its task runs.
        let member = Member { link: Some(found.link.clone()), ..Member::unheard(role, found.process.clone()) };
        self.shared.proxies().joined(id.clone(), member);
        let record = membership::record(found.process.as_ref(), &found.address);
        let _ = self.shared.act(|core, _| core.proxy_joined(&id, record).map(|()| Vec::new()));
        id
    }

    /// Tends a member until its process is gone, or the controller ends.
    pub async fn tend(self, id: ProxyId, address: ControlAddress, mut found: Option<Found>) {
        let term = self.shared.core().term().clone();
        let mut pause = RECONNECT.0;
        loop {
            let connected = match found.take() {
                Some(found) => Ok(found),
                None => self.place.connect(&address, &term).await,
            };
            let failed = match connected {
                Ok(found) if found.link.id() == id => {
                    pause = RECONNECT.0;
                    self.serve(&id, found).await
                }
                Ok(_) => break, // another life at its address: this one has ended
                Err(failed) => failed,
            };
            if let LinkFailed::Fenced { .. } = &failed {
                return self.shared.end_with(End::Superseded(failed.to_string()));
            }
            let process = self.disconnected(&id, &failed);
            if !self.shared.keeps_proxies() {
                return;
            }
            let ended = match (&process, &failed) {
                (Some(process), _) => !process.is_alive(),
                (None, LinkFailed::Unreachable { source, .. }) => nobody_listens(source),
                (None, _) => false,
            };
            if ended {
                break;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RECONNECT.1);
        }
        address.remove();
        gone(&self.shared, &id);
    }

    /// The connection ended, or could not be made. Answers the member's process.
    fn disconnected(&self, id: &ProxyId, failed: &LinkFailed) -> Option<ProcessMark> {
        let mut crew = self.shared.proxies();
        let member = crew.get_mut(id)?;
        if member.link.take().is_some() {
            tracing::warn!(proxy = %id, error = in_one_line(failed), "there is no connection to the proxy");
        }
        member.trouble = Some(in_one_line(failed));
        let process = member.process.clone();
        drop(crew);
        self.shared.crew_changed.notify_one();
        process
    }

    /// One connection, from its begin to its end.
    async fn serve(&self, id: &ProxyId, found: Found) -> LinkFailed {
        let Found { link, mut events, early, .. } = found;
        let hello = link.hello();
        tracing::info!(proxy = %id, pid = hello.pid, applied = ?link.applied(), "connected to the proxy");
        if let Some(member) = self.shared.proxies().get_mut(id) {
            member.link = Some(link.clone());
            member.applied = link.applied();
            member.heard = Instant::now();
            member.trouble = None;
            member.remarks = self.remarks(&link);
            if hello.leaving && member.role == Role::Serving {
                member.role = Role::Leaving;
            }
        }
        for event in early {
            match event {
                ProxyEvent::Closed(failed) => return failed,
                event => heard(&self.shared, id, event),
            }
        }
        let mut sent = None;
        if let Err(failed) = self.begin(id, &link, &mut sent).await {
            return failed;
        }
        self.shared.crew_changed.notify_one();
        let mut tables = self.shared.changed.subscribe();
        loop {
            if let Err(failed) = send_table(&self.shared, &link, &mut sent).await {
                return failed;
            }
            tokio::select! {
                event = events.next() => match event {
                    Some(ProxyEvent::Closed(failed)) => return failed,
                    Some(event) => heard(&self.shared, id, event),
                    None => return LinkFailed::Closed,
                },
                _changed = tables.changed() => {}
            }
        }
    }

    /// The settings and the table first: a proxy that was just started has perhaps only a table of long ago. Then the listening sockets.
    async fn begin(&self, id: &ProxyId, link: &ProxyLink, sent: &mut Option<TableVersion>) -> Result<(), LinkFailed> {
        link.set(&self.place.settings).await?;
        send_table(&self.shared, link, sent).await?;
        if link.hello().leaving {
            return Ok(());
        }
        self.equip(link).await?;
        let question = self.shared.proxies().next_question();
        if let Some(member) = self.shared.proxies().get_mut(id) {
            member.equipped(question);
        }
        link.ask_report(question).await
    }

    /// Lends what the proxy lacks and takes away what is not wanted any more.
    async fn equip(&self, link: &ProxyLink) -> Result<(), LinkFailed> {
        let has: Vec<SocketAddr> = link.hello().listeners.iter().filter_map(|text| text.parse().ok()).collect();
        let lacking: Vec<Listening> = self
            .listeners
            .iter()
            .filter(|listening| !has.contains(&listening.address))
            .map(|listening| {
                let socket = listening.socket.try_clone().map_err(LinkFailed::Broken)?;
                Ok(Listening { address: listening.address, socket })
            })
            .collect::<Result<_, LinkFailed>>()?;
        if !lacking.is_empty() {
            link.lend_listeners(&lacking).await?;
        }
        let is_wanted = |address: &SocketAddr| self.listeners.iter().any(|wanted| wanted.address == *address);
        let unwanted: Vec<SocketAddr> = has.into_iter().filter(|address| !is_wanted(address)).collect();
        if !unwanted.is_empty() {
            link.close_listeners(&unwanted).await?;
        }
        Ok(())
    }

    /// What a proxy that runs does not do as the configuration says, and the cure.
    fn remarks(&self, link: &ProxyLink) -> Vec<String> {
        let hello = link.hello();
        let cure = format!("`kill -TERM {}` has another proxy take its place, without a lost request", hello.pid);
        let wanted = self.place.threads;
        let threads = (hello.threads as usize != wanted)
            .then(|| format!("it runs {} threads, and `proxy.threads` says {wanted}: {cure}", hello.threads));
        let settings = (!link.can(feature::SETTINGS))
            .then(|| format!("it is of an earlier release and keeps the settings it was started with: {cure}"));
        let remarks: Vec<String> = threads.into_iter().chain(settings).collect();
        for remark in &remarks {
            tracing::warn!(proxy = %link.id(), remark, "a setting does not hold");
        }
        remarks
    }
}

/// Sends the newest table if this connection has not seen it.
async fn send_table(shared: &Arc<Shared>, link: &ProxyLink, sent: &mut Option<TableVersion>) -> Result<(), LinkFailed> {
    let table = {
        let mut core = shared.core();
        if core.services().is_empty() && link.applied().is_some() {
            return Ok(());
        }
        let _ = core.publication.next_table();
        if *sent == Some(core.publication.version()) {
            return Ok(());
        }
        core.publication.table()
    };
    *sent = Some(table.version);
    link.publish(&table).await
}

fn heard(shared: &Arc<Shared>, id: &ProxyId, event: ProxyEvent) {
    if let Some(member) = shared.proxies().get_mut(id) {
        member.heard = Instant::now();
    }
    match event {
        ProxyEvent::Applied(version) => {
            let newest = shared.core().publication.is_newest(version);
            if let Some(member) = shared.proxies().get_mut(id) {
                member.applied = Some(version);
                // What it refused before, it has taken since.
                member.trouble = member.trouble.take().filter(|_| !newest);
            }
            let _ = shared.act(|core, at| {
                let news = core.publication.applied(id, version);
                core.heard(news, at)
            });
            shared.crew_changed.notify_one();
        }
        ProxyEvent::Report(report) => {
            let in_flight = match report.in_flight() {
                Ok(in_flight) => in_flight,
                Err(error) => return tracing::warn!(%error, "a report of the proxy cannot be read"),
            };
            let version = TableVersion::from(report.applied);
            let _ = shared.act(|core, at| {
                let mut news = core.publication.reported(id, version, in_flight);
                news.extend(core.publication.lasting(id, report.lasting()));
                news.extend(core.counted(id, &report, at));
                core.heard(news, at)
            });
            let mut crew = shared.proxies();
            if let Some(member) = crew.get_mut(id) {
                member.reported(report);
            }
            crew.reports.send_modify(|count| *count += 1);
        }
        ProxyEvent::Refused { version, reason } => {
            tracing::error!(proxy = %id, ?version, reason, "the proxy refused a table; it goes on with the one before");
            let mut serves = false;
            if let Some(member) = shared.proxies().get_mut(id) {
                member.trouble = Some(format!("it refused a table: {reason}"));
                serves = member.role == Role::Serving;
            }
            // One that leaves is not what rollouts are carried out at: it is waited for, as while it is silent.
            if serves {
                let _ = shared.act(|core, at| {
                    let news = core.publication.refused(id, version, &reason);
                    core.heard(news, at)
                });
            }
        }
        ProxyEvent::Leaving => {
            tracing::info!(proxy = %id, "the proxy was told to end: another takes its place");
            if let Some(member) = shared.proxies().get_mut(id).filter(|member| member.role == Role::Serving) {
                member.role = Role::Leaving;
            }
            shared.crew_changed.notify_one();
        }
        ProxyEvent::Notice(text) => tracing::warn!(proxy = %id, text, "the proxy says"),
        ProxyEvent::Listeners(_) | ProxyEvent::Drained | ProxyEvent::Pong(_) | ProxyEvent::Closed(_) => {}
    }
}

/// The process of a proxy is known to be gone, with all it had in flight.
pub fn gone(shared: &Arc<Shared>, id: &ProxyId) {
    if shared.proxies().left(id) {
        tracing::warn!(proxy = %id, "the proxy's process is gone");
        let _ = shared.act(|core, at| core.proxy_gone(id, at));
        shared.crew_changed.notify_one();
    }
}
