//! What is known of the proxies from moment to moment. Nothing here is durable.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use gapless_drivers::proxylink::{ProcessMark, ProxyLink};
use gapless_model::TableVersion;
use gapless_routing::ProxyId;
use gapless_wire::control::{ReportDoc, feature};
use tokio::sync::watch;

/// A proxy that says nothing for so long is silent: it reports each second, also while its disk is slow.
pub const SILENT_AFTER: Duration = Duration::from_secs(5);

/// All proxies.
#[derive(Debug)]
pub struct Crew {
    members: BTreeMap<ProxyId, Member>,
    /// Where the proxies listen.
    pub addresses: Vec<SocketAddr>,
    /// Rises with every report.
    pub reports: watch::Sender<u64>,
    /// Why no proxy can be started, for people.
    pub trouble: Option<String>,
    asked: u64,
}

/// One proxy.
#[derive(Debug)]
pub struct Member {
    /// What it is there for.
    pub role: Role,
    /// The connection, while there is one.
    pub link: Option<ProxyLink>,
    /// Its process.
    pub process: Option<ProcessMark>,
    /// Its last report.
    pub last: Option<ReportDoc>,
    /// The newest table that it said it uses.
    pub applied: Option<TableVersion>,
    /// When it said something last.
    pub heard: Instant,
    /// The number of the newest question for a report that it answered.
    pub answered: u64,
    /// The question that it answers after it was lent the listening sockets.
    pub equipped_at: Option<u64>,
    /// What went wrong last, for people.
    pub trouble: Option<String>,
    /// What is not as the configuration says, for people.
    pub remarks: Vec<String>,
}

/// What a proxy is there for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// It serves.
    Serving,
    /// Another takes its place; it serves on until that one does.
    Leaving,
    /// It was told to drain.
    Draining,
}

impl Default for Crew {
    fn default() -> Crew {
        Crew {
            members: BTreeMap::new(),
            addresses: Vec::new(),
            reports: watch::Sender::new(0),
            trouble: None,
            asked: 0,
        }
    }
}

impl Member {
    /// One of which nothing was heard yet.
    #[must_use]
    pub fn unheard(role: Role, process: Option<ProcessMark>) -> Member {
        Member {
            role,
            link: None,
            process,
            last: None,
            applied: None,
            heard: Instant::now(),
            answered: 0,
            equipped_at: None,
            trouble: None,
            remarks: Vec::new(),
        }
    }

    /// Whether it has said nothing for too long, or cannot be reached.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.link.is_none() || self.heard.elapsed() >= SILENT_AFTER
    }

    /// Whether it serves with all that it needs: a table, and the listening sockets.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        self.role == Role::Serving && !self.is_silent() && self.applied.is_some() && self.is_equipped()
    }

    fn is_equipped(&self) -> bool {
        self.equipped_at.is_some_and(|question| self.answered >= question)
    }

    fn answers(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.can(feature::REPORT))
    }

    /// It was lent all listening sockets, and asked this behind them. A proxy that cannot be asked is believed.
    pub fn equipped(&mut self, question: u64) {
        self.equipped_at = Some(if self.answers() { question } else { 0 });
    }

    /// It reported.
    pub fn reported(&mut self, report: ReportDoc) {
        self.applied = Some(TableVersion::from(report.applied)).filter(|version| *version != TableVersion::default());
        self.answered = self.answered.max(report.asked);
        self.last = Some(report);
    }

    /// Everything that an operator should know of it.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let silent = self.is_silent().then(|| {
            let since = self.heard.elapsed().as_secs();
            let cure = match &self.process {
                Some(process) => format!("`kill -KILL {}` declares it gone", process.pid),
                None => "its process is not known".to_owned(),
            };
            format!(
                "it has not answered for {since} s; while its process lives it counts as using its last table, and rollouts wait for it. {cure}"
            )
        });
        let reported = self.last.iter().flat_map(|report| report.troubles.iter().cloned());
        self.trouble.iter().cloned().chain(silent).chain(self.remarks.iter().cloned()).chain(reported).collect()
    }
}

impl Crew {
    /// A proxy is there.
    pub fn joined(&mut self, id: ProxyId, member: Member) {
        self.members.insert(id, member);
    }

    /// A proxy's process is gone. Answers whether it was known.
    pub fn left(&mut self, id: &ProxyId) -> bool {
        self.members.remove(id).is_some()
    }

    /// One of them.
    pub fn get_mut(&mut self, id: &ProxyId) -> Option<&mut Member> {
        self.members.get_mut(id)
    }

    /// Whether it is known.
    #[must_use]
    pub fn knows(&self, id: &ProxyId) -> bool {
        self.members.contains_key(id)
    }

    /// All of them, the one that serves first.
    #[must_use]
    pub fn all(&self) -> Vec<(&ProxyId, &Member)> {
        let mut all: Vec<_> = self.members.iter().collect();
        all.sort_by_key(|(_, member)| (member.role, member.link.is_none()));
        all
    }

    /// The connections there are.
    #[must_use]
    pub fn links(&self) -> Vec<ProxyLink> {
        self.members.values().filter_map(|member| member.link.clone()).collect()
    }

    /// Whether no proxy serves, or none that answers.
    #[must_use]
    pub fn needs_another(&self) -> bool {
        !self.members.values().any(|member| member.role == Role::Serving && !member.is_silent())
    }

    /// Whoever is to drain now that another serves in its place: those that leave, and of several that serve all but the newest that is in place.
    pub fn superseded(&mut self, newest: Option<&ProxyId>) -> Vec<ProxyLink> {
        let in_place = |id: &ProxyId, member: &Member| newest == Some(id) && member.is_in_place();
        if !self.members.iter().any(|(id, member)| in_place(id, member)) {
            return Vec::new();
        }
        let mut links = Vec::new();
        for (id, member) in &mut self.members {
            if newest == Some(id) || member.role == Role::Draining {
                continue;
            }
            member.role = Role::Leaving;
            if let Some(link) = member.link.clone().filter(|_| member.heard.elapsed() < SILENT_AFTER) {
                member.role = Role::Draining;
                links.push(link);
            }
        }
        links
    }

    /// A new question for reports of now.
    pub fn next_question(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// Who has yet to answer a question, or cannot be asked.
    #[must_use]
    pub fn unanswered(&self, question: u64) -> Vec<(&ProxyId, &Member)> {
        let owes = |member: &Member| member.link.is_none() || (member.answers() && member.answered < question);
        self.members.iter().filter(|(_, member)| owes(member)).collect()
    }

    /// Whether everybody who is connected can be asked for a report.
    #[must_use]
    pub fn all_answer(&self) -> bool {
        self.members.values().filter(|member| member.link.is_some()).all(Member::answers)
    }

    /// Nobody was heard because we did not listen: this process stood still.
    pub fn forgive_silence(&mut self) {
        self.members.values_mut().for_each(|member| member.heard = Instant::now());
    }

    /// An address of the proxies at which the controller itself reaches them.
    #[must_use]
    pub fn reachable_at(&self) -> Option<SocketAddr> {
        let address = *self.addresses.first()?;
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Some(SocketAddr::new(ip, address.port()))
    }
}
