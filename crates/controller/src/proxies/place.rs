//! Where the proxies of this machine live: their folder, their sockets, how one is started.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gapless_drivers::proxylink::{
    ControlAddress, LinkFailed, ListenFailed, PeerRefused, ProcessMark, ProxyCommand, ProxyEvent, ProxyEvents,
    ProxyLink, SpawnFailed, Spawned, abstract_prefix, peer_of, spawn_proxy, user_named,
};
use gapless_model::{Epoch, Term};
use gapless_wire::config::ServerConfig;
use gapless_wire::control::SettingsDoc;

/// The folder of the proxies in the state folder: their sockets, their last table.
const FOLDER: &str = "proxy";
/// Where proxies of earlier releases had their control socket, in the state folder.
const SOCKET_BEFORE: &str = "proxy.sock";
/// The files of the last two tables, now in the folder of the proxies.
const TABLES: [&str; 2] = ["table.json", "table.json.prev"];
/// What the proxies say, in the state folder.
const LOG: &str = "proxy.log";
/// The user a proxy becomes where none is named and there is such a user.
const USER: &str = "gapless-proxy";
/// The user and group it becomes otherwise: a number that belongs to nobody (65520 to 65533 are not given out by systemd or any distribution), so that
/// no other program of that user can reach it, as one of `nobody` could.
const USER_NUMBER: u32 = 65_525;
/// How long a proxy that accepts connections may take to introduce itself.
const HELLO_WITHIN: Duration = Duration::from_secs(3);
/// How long a proxy that was just started may take to listen.
const START_WITHIN: Duration = Duration::from_secs(10);
/// From one look for its socket to the next.
const LOOK: Duration = Duration::from_millis(5);
/// From one look to the next at a proxy that broke its connection: is it gone?
const GOING_LOOK: Duration = Duration::from_millis(20);

/// The control sockets of a state folder, of living proxies and dead ones.
fn addresses(state: &Path) -> Vec<ControlAddress> {
    ControlAddress::listed(&state.join(FOLDER), &state.join(SOCKET_BEFORE), &abstract_prefix(state))
}

/// The files in which proxies keep their last tables, those of earlier releases too.
pub fn kept_tables(state: &Path) -> Vec<PathBuf> {
    let folders = [state.join(FOLDER), state.to_owned()];
    folders.iter().flat_map(|folder| TABLES.map(|name| folder.join(name))).collect()
}

/// What the proxies of a state folder say about whom they obey.
#[derive(Debug, Default)]
pub struct Obeyed {
    /// The newest epoch; none where no proxy runs.
    pub newest: Option<Epoch>,
    /// Names without a file on which somebody listens and accepts nobody: a frozen proxy's, or anybody's. The journal knows which are proxies'.
    pub crowded: Vec<String>,
    /// Where a process of a user that proxies are of listens and does not answer. The journal knows whether it is a proxy.
    pub silent: Vec<(ControlAddress, LinkFailed)>,
}

/// The newest epoch that the proxies of a state folder obey. One that is frozen does not answer: whether that matters is asked of the journal. A name without a file has no permissions: what another user has bound there is nobody's proxy, and keeps none from
/// starting.
///
/// # Errors
/// When somebody is there, nobody answers, and it is not known to be a proxy that stands still.
pub async fn newest_epoch(state: &Path, within: Duration) -> Result<Obeyed, LinkFailed> {
    let (mut obeyed, mut failed) = (Obeyed::default(), None);
    let mut addresses: VecDeque<_> =
        addresses(state).into_iter().map(|address| (address, Instant::now() + within)).collect();
    while let Some((address, deadline)) = addresses.pop_front() {
        let stream = match address.connect() {
            Ok(stream) => Ok(stream),
            Err(error) if nobody_listens(&error) => continue,
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock
                    && let ControlAddress::Abstract(name) = &address =>
            {
                tracing::warn!(%address, "somebody listens on a name of the proxies and accepts nobody");
                obeyed.crowded.push(name.clone());
                continue;
            }
            Err(source) => Err(LinkFailed::Unreachable { address: address.clone(), source }),
        };
        let asked = match stream {
            Ok(stream) => match peer_of(&stream, &address.users(&state.join(FOLDER))) {
                Ok(_) => ProxyLink::ask_over(stream, within).await,
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error),
        };
        match asked {
            Ok(term) => obeyed.newest = obeyed.newest.max(Some(term.epoch)),
            Err(failed) if is_strangers(&address, &failed) => {
                tracing::warn!(%address, error = %failed, "another user has taken a name of the proxies: passed over");
            }
            Err(silent) if stands_still(&silent) => obeyed.silent.push((address, silent)),
            // A process that was just killed lets go of its sockets one after the other: in a moment nobody listens there.
            Err(LinkFailed::Broken(_) | LinkFailed::Closed) if Instant::now() < deadline => {
                tokio::time::sleep(GOING_LOOK).await;
                addresses.push_back((address, deadline));
            }
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(failed) if obeyed.newest.is_none() => Err(failed),
        _ => Ok(obeyed),
    }
}

/// Whether this is how a process fails that is frozen: it accepts nobody, or whom it accepted it does not answer.
fn stands_still(failed: &LinkFailed) -> bool {
    match failed {
        LinkFailed::Silent => true,
        LinkFailed::Unreachable { source, .. } => source.kind() == io::ErrorKind::WouldBlock,
        _ => false,
    }
}

/// Whether what listens at an address is of a user that no proxy of ours is of, where any user can listen. Root's is not: it may have been started
/// by a controller of root's.
fn is_strangers(address: &ControlAddress, failed: &LinkFailed) -> bool {
    let stranger = matches!(failed, LinkFailed::Peer(PeerRefused::User { theirs, .. }) if *theirs != 0);
    stranger && matches!(address, ControlAddress::Abstract(_))
}

/// Why there is no proxy at the start.
#[derive(Debug, thiserror::Error)]
pub enum ProxyUnavailable {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenFailed),
    /// Its process cannot be started.
    #[error(transparent)]
    Spawn(#[from] SpawnFailed),
    /// It cannot be spoken to.
    #[error(transparent)]
    Link(#[from] LinkFailed),
    /// The process that was started ended before it listened.
    #[error("the proxy ended before it served ({status}); {} says why", log.display())]
    Ended {
        /// How.
        status: String,
        /// What it said.
        log: PathBuf,
    },
}

/// A connection to a proxy that has introduced itself, with what came by it.
#[derive(Debug)]
pub struct Found {
    /// The connection.
    pub link: ProxyLink,
    /// What it tells.
    pub events: ProxyEvents,
    /// What came while the listening sockets were waited for. A proxy's first report has every count it has; later ones only what changed.
    pub early: Vec<ProxyEvent>,
    /// Its control socket.
    pub address: ControlAddress,
    /// Its process.
    pub process: Option<ProcessMark>,
}

/// How proxies are started and found.
#[derive(Clone, Debug)]
pub struct Place {
    /// The state folder.
    state: PathBuf,
    /// This program.
    gapless: PathBuf,
    /// Its worker threads.
    pub threads: usize,
    /// What the machine's configuration says to it.
    pub settings: SettingsDoc,
    /// The user and group that a proxy becomes; none where we are not root.
    user: Option<(u32, u32)>,
    /// What is not as it should be, for people.
    pub troubles: Vec<String>,
}

impl Place {
    /// The place of a state folder, made where it is not there. What cannot be made is told: a proxy can be started all the same.
    #[must_use]
    pub fn new(state: &Path, gapless: PathBuf, threads: usize, config: &ServerConfig) -> Place {
        let mut place = Place {
            state: state.to_owned(),
            gapless,
            threads,
            settings: SettingsDoc::of(config),
            user: None,
            troubles: Vec::new(),
        };
        if rustix::process::geteuid().is_root() {
            let (user, trouble) = user(config.proxy_user.as_deref());
            place.user = Some(user);
            place.troubles.extend(trouble);
        } else if config.proxy_user.is_some() {
            place
                .troubles
                .push("`proxy.user` needs a controller that runs as root: the proxy runs as this user".to_owned());
        }
        if let Err(error) = place.make_folder() {
            place.troubles.push(format!("the proxies' folder {} cannot be made: {error}", place.folder().display()));
        }
        place
    }

    /// The place of a state folder, only to find who is there: nothing is made, and no proxy is started from it.
    #[must_use]
    pub fn found_at(state: &Path) -> Place {
        let settings = SettingsDoc::of(&ServerConfig::default());
        let (gapless, troubles) = (PathBuf::new(), Vec::new());
        Place { state: state.to_owned(), gapless, threads: 1, settings, user: None, troubles }
    }

    fn folder(&self) -> PathBuf {
        self.state.join(FOLDER)
    }

    /// The folder, of the proxies' user, mode 0700. The state folder is ours: nobody can put a link in its place meanwhile.
    fn make_folder(&mut self) -> io::Result<()> {
        let folder = self.folder();
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let found = fs::symlink_metadata(&folder)?;
        if !found.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "something else is there"));
        }
        if let Some((user, group)) = self.user
            && (found.uid(), found.gid()) != (user, group)
            && let Err(error) = std::os::unix::fs::lchown(&folder, Some(user), Some(group))
        {
            // In a container without the right, or a user namespace without the number.
            self.user = None;
            self.troubles.push(format!("the proxy runs as root: its folder cannot be given to user {user}: {error}"));
        }
        if found.permissions().mode() & 0o777 != 0o700 {
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        }
        self.take_over_tables(&folder)
    }

    /// The tables that a proxy of an earlier release kept in the state folder.
    fn take_over_tables(&self, folder: &Path) -> io::Result<()> {
        for name in TABLES {
            let (before, now) = (self.state.join(name), folder.join(name));
            if fs::symlink_metadata(&now).is_err() && fs::symlink_metadata(&before).is_ok_and(|found| found.is_file()) {
                if let Some((user, group)) = self.user {
                    std::os::unix::fs::lchown(&before, Some(user), Some(group))?;
                }
                fs::rename(&before, &now)?;
            }
        }
        Ok(())
    }

    /// Every control socket that is there, of living proxies and dead ones.
    fn addresses(&self) -> Vec<ControlAddress> {
        addresses(&self.state)
    }

    /// Connects to every proxy that is there. One that accepts connections and does not introduce itself is not among them.
    ///
    /// # Errors
    /// When one obeys a newer controller, or speaks another protocol.
    pub async fn find(&self, term: &Term) -> Result<Vec<Found>, ProxyUnavailable> {
        let mut found = Vec::new();
        for address in self.addresses() {
            match self.connect(&address, term).await {
                Ok(proxy) => found.push(proxy),
                Err(failed @ (LinkFailed::Fenced { .. } | LinkFailed::Protocol { .. })) => return Err(failed.into()),
                Err(LinkFailed::Unreachable { source, .. }) if nobody_listens(&source) => address.remove(),
                Err(error) => tracing::warn!(%address, %error, "a proxy does not answer"),
            }
        }
        found.sort_by_key(|proxy| (proxy.link.hello().leaving, std::cmp::Reverse(proxy.link.hello().started_unix_ms)));
        Ok(found)
    }

    /// Connects to the proxy at an address.
    ///
    /// # Errors
    /// [`LinkFailed`].
    pub async fn connect(&self, address: &ControlAddress, term: &Term) -> Result<Found, LinkFailed> {
        let unreachable = |source| LinkFailed::Unreachable { address: address.clone(), source };
        self.introduce(address, address.connect().map_err(unreachable)?, term).await
    }

    async fn introduce(&self, address: &ControlAddress, stream: UnixStream, term: &Term) -> Result<Found, LinkFailed> {
        let process = ProcessMark::of(peer_of(&stream, &address.users(&self.folder()))?);
        let (link, events) = ProxyLink::over(stream, term, HELLO_WITHIN).await?;
        Ok(Found { link, events, early: Vec::new(), address: address.clone(), process })
    }

    /// Starts a proxy and connects to it.
    ///
    /// # Errors
    /// [`ProxyUnavailable`].
    pub async fn start(&self, term: &Term) -> Result<Found, ProxyUnavailable> {
        let name = self.free_name(term.epoch);
        let spare = format!("{}{name}", abstract_prefix(&self.state));
        let Spawned { mut child, log_failed } = spawn_proxy(&self.command(&name, &spare))?;
        if let Some(error) = log_failed {
            tracing::warn!(%error, "what the proxy says is not written down");
        }
        tracing::info!(pid = child.id(), "started a proxy");
        let found = self.first_word(&mut child, &name, spare, term).await;
        if found.is_err() {
            // It was lent nothing and nobody will look for it: left alive, each further attempt would add one.
            let _ended_already = child.start_kill();
        }
        tokio::spawn(async move { child.wait().await });
        found
    }

    /// Waits until a proxy that was just started listens, and connects to it.
    async fn first_word(
        &self,
        child: &mut tokio::process::Child,
        name: &str,
        spare: String,
        term: &Term,
    ) -> Result<Found, ProxyUnavailable> {
        let addresses = [ControlAddress::File(self.folder().join(name)), ControlAddress::Abstract(spare)];
        let listens = async {
            loop {
                for address in &addresses {
                    // Anybody may have bound the name without a file meanwhile.
                    if let Ok(stream) = address.connect()
                        && peer_of(&stream, &address.users(&self.folder())).is_ok()
                    {
                        return (address, stream);
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let listens = tokio::select! {
            listens = tokio::time::timeout(START_WITHIN, listens) => listens,
            status = child.wait() => {
                let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                return Err(ProxyUnavailable::Ended { status, log: self.state.join(LOG) });
            }
        };
        let (address, stream) = listens.map_err(|_| LinkFailed::Silent)?;
        Ok(self.introduce(address, stream, term).await?)
    }

    /// A name that no proxy of this state folder has.
    fn free_name(&self, epoch: Epoch) -> String {
        let taken: BTreeSet<String> = self.addresses().iter().map(ToString::to_string).collect();
        let free = |name: &String| !taken.iter().any(|taken| taken.ends_with(&format!("/{name}")));
        (1_u32..).map(|number| format!("{epoch}-{number}.sock")).find(free).expect("BUG: numbers end")
    }

    fn command(&self, name: &str, spare: &str) -> ProxyCommand {
        let settings = serde_json::to_string(&self.settings).expect("BUG: settings are always JSON");
        let mut arguments: Vec<std::ffi::OsString> = vec!["--state".into(), self.state.clone().into(), "proxy".into()];
        for (flag, value) in [
            ("--folder", self.folder().into_os_string()),
            ("--control", name.into()),
            ("--spare-control", spare.into()),
            ("--threads", self.threads.to_string().into()),
            ("--settings", settings.into()),
        ] {
            arguments.extend([flag.into(), value]);
        }
        if let Some((user, group)) = self.user {
            arguments.extend(["--user".into(), format!("{user}:{group}").into()]);
        }
        ProxyCommand { program: self.gapless.clone(), arguments, log: self.state.join(LOG) }
    }
}

/// Whether nobody will ever answer at an address again.
pub fn nobody_listens(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}

/// The user and group that a proxy becomes, never root; and what is not as the configuration says.
fn user(named: Option<&str>) -> ((u32, u32), Option<String>) {
    let name = named.unwrap_or(USER);
    let nobody_elses = (USER_NUMBER, USER_NUMBER);
    let instead = |why: String| (nobody_elses, Some(format!("the proxy runs as user {USER_NUMBER}: {why}")));
    match (user_named(name), named) {
        (Ok(Some((0, _))), _) => instead(format!("user `{name}` is root")),
        (Ok(Some(user)), _) => (user, None),
        (Ok(None), None) => (nobody_elses, None),
        (Ok(None), Some(_)) => instead(format!("there is no user `{name}`, which `proxy.user` names")),
        (Err(error), _) => instead(format!("user `{name}` cannot be looked up: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};

    use super::*;

    #[test]
    fn a_name_without_a_file_that_another_user_has_taken_is_nobodys_proxy() {
        let nameless = ControlAddress::Abstract("gapless-proxy/1-2/x.sock".to_owned());
        let file = ControlAddress::File("/state/proxy/x.sock".into());
        let refused = |theirs| LinkFailed::Peer(PeerRefused::User { theirs, ours: 1_000 });
        assert!(is_strangers(&nameless, &refused(65_534)));
        assert!(!is_strangers(&nameless, &refused(0)), "a controller of root's may have started it");
        assert!(!is_strangers(&file, &refused(65_534)), "where only proxies can make a file, it may be one");
        assert!(!is_strangers(&nameless, &LinkFailed::Silent));
    }

    #[tokio::test]
    async fn a_name_without_a_file_on_which_nobody_is_accepted_is_told_and_refuses_nothing() {
        let state = tempfile::tempdir().unwrap();
        let name = format!("{}x.sock", abstract_prefix(state.path()));
        let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let address = ControlAddress::Abstract(name.clone());
        let mut crowd = Vec::new();
        let full = loop {
            match address.connect() {
                Ok(stream) => crowd.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        let obeyed = newest_epoch(state.path(), Duration::from_millis(10)).await.unwrap();
        assert_eq!((obeyed.newest, obeyed.crowded, obeyed.silent.len()), (None, vec![name], 0));
    }

    /// The processes that have this path among their arguments.
    fn started_with(path: &Path) -> usize {
        let path = path.to_str().unwrap();
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        lines.filter(|line| String::from_utf8_lossy(line).contains(path)).count()
    }

    #[tokio::test]
    async fn a_proxy_that_goes_while_it_is_asked_is_no_proxy() {
        let state = tempfile::tempdir().unwrap();
        let listener = std::os::unix::net::UnixListener::bind(state.path().join(SOCKET_BEFORE)).unwrap();
        // As a process does that was killed: who is connected is cut, and a moment later nobody listens.
        let going = std::thread::spawn(move || drop((listener.accept().unwrap(), listener)));
        let obeyed = newest_epoch(state.path(), Duration::from_secs(20)).await.unwrap();
        assert!(obeyed.newest.is_none() && obeyed.silent.is_empty(), "{obeyed:?}");
        going.join().unwrap();
    }

    #[tokio::test]
    async fn a_proxy_that_does_not_listen_in_time_is_ended() {
        let state = tempfile::tempdir().unwrap();
        let program = state.path().join("program");
        fs::write(&program, "#!/bin/sh\nwhile :; do sleep 0.1; done\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let config =
            gapless_wire::config::parse_server_config("[[listener]]\naddress = \"127.0.0.1:8080\"\n", "x").unwrap();
        let mut place = Place::new(state.path(), program, 1, &config);
        place.user = None;
        let term = Term { epoch: Epoch(1), controller: None };
        let failed = place.start(&term).await.unwrap_err();
        assert!(matches!(failed, ProxyUnavailable::Link(LinkFailed::Silent)), "{failed}");
        let deadline = Instant::now() + Duration::from_secs(10);
        while started_with(state.path()) > 0 {
            assert!(Instant::now() < deadline, "it is left alive");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
