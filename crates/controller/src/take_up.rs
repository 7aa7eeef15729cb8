//! Before a term: the journal read back, everybody asked who remembers an earlier term, and the listening sockets of those who cannot answer.

use std::path::Path;

use gapless_drivers::proxylink::{ControlAddress, Listening, ProcessMark, copy_listeners};
use gapless_journal::SqliteStore;
use gapless_model::Epoch;

use crate::recover::{self, RecoverError, Recovered};
use crate::start::StartFailed;
use crate::survey::{Survey, SurveyFailed};
use crate::traces::Standing;

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
pub async fn journal(state: &Path) -> Result<(Recovered<SqliteStore>, KnownBefore), StartFailed> {
    let survey = Survey::of(state).await?;
    for remark in &survey.unreadable {
        tracing::warn!(remark, "left by an earlier term and not readable");
    }
    let traces = survey.traces();
    if !SqliteStore::is_there(state) {
        traces.allow(&Standing::default())?;
    }
    let mut journal = recover::read(SqliteStore::open(state).map_err(RecoverError::from)?)?;
    let epoch = traces.allow(&journal.standing())?;
    let proxy = survey.proxy;
    let frozen = match proxy {
        Some(_) => Vec::new(),
        None => frozen(survey, &journal.living_proxies()?)?,
    };
    Ok((journal, KnownBefore { epoch, proxy, frozen }))
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
