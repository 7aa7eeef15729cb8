//! The end of everything where no controller is left to order it: proxies drain, instances stop with their grace, as [`down`](crate::down) has it.
//!
//! Nothing is written but what keepers write of their ends; the journal stays as it is, damaged or not. What is deployed starts again with the
//! next controller. Orders are given in the name of a term above every one that anybody has seen, which no journal knows: whoever obeyed it
//! is gone afterwards.

use std::path::Path;
use std::time::{Duration, Instant};

use gapless_drivers::driver::{AdoptedState, Driver as _, DriverError};
use gapless_drivers::process::{ProcessDriver, Remains, RemainsLife};
use gapless_drivers::proxylink::ProcessMark;
use gapless_journal::{StoreError, refuse_in_use};
use gapless_model::{ControllerId, Epoch, InstanceId, Millis, Term};

use crate::down::DRAIN_WITHIN;
use crate::identity;
use crate::proxies::{Place, ProxyUnavailable};
use crate::survey::{Survey, SurveyFailed};

/// How often it is looked whether a proxy is gone.
const LOOK: Duration = Duration::from_millis(20);

/// What was ended.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Leftovers {
    /// Processes of proxies that drained and ended.
    pub proxies: Vec<u32>,
    /// Instances that ended.
    pub instances: Vec<InstanceId>,
    /// What is still there, a sentence each.
    pub left: Vec<String>,
}

/// Why nothing, or not all, was ended.
#[derive(Debug, thiserror::Error)]
pub enum LeftoversFailed {
    /// A controller has the journal open, although it does not answer.
    #[error("a controller runs on this state folder")]
    Controller(#[source] StoreError),
    /// It cannot be told what runs.
    #[error("it cannot be told what runs")]
    Survey(#[from] SurveyFailed),
    /// The proxies cannot be spoken to.
    #[error(transparent)]
    Proxy(#[from] ProxyUnavailable),
    /// Keepers cannot be asked.
    #[error("the instances cannot be reached")]
    Driver(#[from] DriverError),
}

/// Ends what a controller of this state folder left behind; `gapless` is this program.
///
/// # Errors
/// [`LeftoversFailed`].
pub async fn end(state: &Path, gapless: &Path) -> Result<Leftovers, LeftoversFailed> {
    // A disk that cannot be written is no reason to leave everything running.
    if let Err(error @ StoreError::InUse { .. }) = refuse_in_use(state) {
        return Err(LeftoversFailed::Controller(error));
    }
    let survey = Survey::of(state).await?;
    let term = Term {
        epoch: Epoch(survey.traces().highest_epoch().0.saturating_add(1)),
        controller: ControllerId::new(&identity::by_chance()).ok(),
    };
    let mut ended = Leftovers::default();
    for (address, _) in &survey.silent {
        ended.left.push(format!("the proxy at {address} does not answer: it may be frozen"));
    }
    end_proxies(state, &term, &mut ended).await?;
    end_instances(state, gapless, &term, &survey.remains, &mut ended).await?;
    Ok(ended)
}

async fn end_proxies(state: &Path, term: &Term, ended: &mut Leftovers) -> Result<(), LeftoversFailed> {
    let mut processes: Vec<ProcessMark> = Vec::new();
    let mut links = Vec::new();
    for found in Place::found_at(state).find(term).await? {
        let _drained = found.link.drain(DRAIN_WITHIN).await;
        let mut events = found.events;
        // What it says is not of interest, and must not keep it waiting.
        tokio::spawn(async move { while events.next().await.is_some() {} });
        processes.extend(found.process);
        links.push(found.link);
    }
    let until = Instant::now() + DRAIN_WITHIN.to_duration() + Duration::from_secs(2);
    for process in processes {
        while process.is_alive() && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
        match process.is_alive() {
            true => ended.left.push(format!("the proxy (process {}) did not end in time", process.pid)),
            false => ended.proxies.push(process.pid),
        }
    }
    Ok(())
}

async fn end_instances(
    state: &Path,
    gapless: &Path,
    term: &Term,
    remains: &[Remains],
    ended: &mut Leftovers,
) -> Result<(), LeftoversFailed> {
    if remains.iter().all(|left| left.life == RemainsLife::Ended) {
        return Ok(());
    }
    let (driver, _events) = ProcessDriver::new(state, gapless, term.epoch)?;
    let mut stops = tokio::task::JoinSet::new();
    for adopted in driver.observe().await? {
        if adopted.state != AdoptedState::Running {
            continue;
        }
        let known = remains.iter().find(|left| left.instance == adopted.instance);
        let grace = known.map_or(DRAIN_WITHIN, |left| left.stop_grace);
        let driver = driver.clone();
        stops.spawn(stop(driver, adopted.instance, grace));
    }
    for (instance, stopped) in stops.join_all().await {
        match stopped {
            Ok(()) => ended.instances.push(instance),
            Err(error) => ended.left.push(format!("{instance} could not be stopped: {error}")),
        }
    }
    ended.instances.sort();
    Ok(())
}

async fn stop(driver: ProcessDriver, instance: InstanceId, grace: Millis) -> (InstanceId, Result<(), DriverError>) {
    let stopped = match driver.stop(&instance, grace).await {
        Ok(_) => driver.forget(&instance).await,
        Err(error) => Err(error),
    };
    (instance, stopped)
}
