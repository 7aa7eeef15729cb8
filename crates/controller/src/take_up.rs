//! Before a term: the journal read back, everybody asked who remembers an earlier term, and the listening sockets of those who cannot answer.

use std::path::Path;

use gapless_drivers::proxylink::{ControlAddress, Listening, ProcessMark, copy_listeners};
use gapless_fleet::Fleet;
use gapless_fleet::recover::{self, Beginning, RecoverError, Recovered};
use gapless_fleet::traces::Standing;
use gapless_journal::SqliteStore;
use gapless_model::{ControllerId, Epoch};
use gapless_routing::ProxyId;
use gapless_wire::record::ProxyRecord;

use crate::clock::{Clock, ClockMark};
use crate::crash_point::Crashing;
use crate::identity;
use crate::membership;
use crate::shared::Journal;
use crate::start::StartFailed;
use crate::survey::{Survey, SurveyFailed};

/// What is known before a term begins.
pub struct KnownBefore {
    /// The highest epoch that anybody has seen.
    pub epoch: Epoch,
    /// The epoch that a running proxy obeys.
    pub proxy: Option<Epoch>,
    /// The proxies on record that stand still; where another answers, it is not asked for them.
    pub frozen: Vec<ProcessMark>,
}

/// Reads the journal and asks everybody who remembers earlier terms whether it may act. Nothing is written but, on a machine where nothing
/// ever ran, an empty journal.
///
/// # Errors
/// [`StartFailed`]: it may not act, or that cannot be told.
pub async fn journal(state: &Path) -> Result<(Recovered<Journal>, KnownBefore), StartFailed> {
    let survey = Survey::of(state).await?;
    for remark in &survey.unreadable {
        tracing::warn!(remark, "left by an earlier term and not readable");
    }
    let traces = survey.traces();
    if !SqliteStore::is_there(state) {
        traces.allow(&Standing::default())?;
    }
    let mut journal = recover::read(Crashing::from_environment(SqliteStore::open(state).map_err(RecoverError::from)?))?;
    for differs in journal.differs() {
        tracing::warn!(
            service = %differs.service, sequence = %differs.sequence, edition = differs.edition,
            "the program that wrote the record decided differently: what it intended is taken for what was done"
        );
    }
    let epoch = traces.allow(&journal.standing())?;
    let proxy = survey.proxy;
    let frozen = match proxy {
        Some(_) => Vec::new(),
        None => frozen(survey, &living(journal.proxies()?))?,
    };
    Ok((journal, KnownBefore { epoch, proxy, frozen }))
}

/// Begins a term above every epoch that anybody is known to have seen, and the clock that goes on from the term before.
///
/// # Errors
/// [`RecoverError::Store`].
pub fn begin(journal: Recovered<Journal>, known: Epoch) -> Result<(Fleet<Journal>, Clock), RecoverError> {
    let mut begun = None;
    let fleet = journal.begin(Beginning {
        known,
        controller: ControllerId::new(&identity::by_chance()).ok(),
        journal: identity::by_chance(),
        clock: &mut |earlier, last| {
            let earlier = earlier.and_then(|bytes| serde_json::from_slice::<ClockMark>(bytes).ok());
            let clock = Clock::begin(earlier.as_ref(), last);
            let mark = serde_json::to_vec(clock.mark()).expect("BUG: a mark is always JSON");
            begun = Some(clock);
            mark
        },
    })?;
    Ok((fleet, begun.expect("BUG: a term began without its clock")))
}

/// The proxies on record whose processes live, with where each listens.
fn living(recorded: Vec<(ProxyId, ProxyRecord)>) -> Vec<(ControlAddress, ProcessMark)> {
    let living = recorded.into_iter().filter_map(|(_, record)| {
        let process = membership::process(&record).filter(ProcessMark::is_alive)?;
        Some((membership::address(&record)?, process))
    });
    living.collect()
}

/// The proxies on record that do not answer. They cannot be asked how far the journal had come; whatever else remembers was asked, and a proxy that
/// was told more by another refuses this controller when it wakes up.
///
/// # Errors
/// When one that is not on record does not answer: it may be the proxy of another journal.
fn frozen(survey: Survey, living: &[(ControlAddress, ProcessMark)]) -> Result<Vec<ProcessMark>, SurveyFailed> {
    let on_record = |address: &ControlAddress| {
        living.iter().find(|(known, _)| known == address).map(|(_, process)| process.clone())
    };
    let crowded = survey.crowded.into_iter().map(ControlAddress::Abstract);
    // A name without a file belongs to nobody: what another program has bound there keeps nothing from starting.
    let mut frozen: Vec<ProcessMark> = crowded.filter_map(|address| on_record(&address)).collect();
    for (address, failed) in survey.silent {
        frozen.push(on_record(&address).ok_or(SurveyFailed::Proxy(failed))?);
    }
    Ok(frozen)
}

/// The listening sockets of proxies that stand still: without copies their addresses could not be listened on while they live.
///
/// # Errors
/// [`StartFailed::Frozen`].
pub fn copies(frozen: &[ProcessMark]) -> Result<Vec<Listening>, StartFailed> {
    let mut copies: Vec<Listening> = Vec::new();
    for process in frozen {
        tracing::warn!(pid = process.pid, "a proxy on record does not answer: another takes its place");
        let copied = copy_listeners(process).map_err(|source| StartFailed::Frozen { pid: process.pid, source })?;
        // Of two that were lent the same sockets one is enough.
        let new: Vec<Listening> =
            copied.into_iter().filter(|one| copies.iter().all(|known| known.address != one.address)).collect();
        copies.extend(new);
    }
    Ok(copies)
}
