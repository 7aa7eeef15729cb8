//! Asking the instances how they are: one task for each, from its start to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gapless_drivers::driver::{Listener, StartOrder};
use gapless_model::{EffectNumber, InstanceId, Millis, ProbeKind, Release};
use gapless_probe::{Change, ProbeFailure, ProbeResult, ProbeState, ProbeTarget, ask};
use gapless_rollout::{EndedBy, Input, Listing};
use gapless_wire::api::in_one_line;
use tokio::time::Instant;

use crate::logs::plain;
use crate::performer::forget;
use crate::shared::Shared;
use crate::start_order::start_order;

/// The pause before the sources of an environment are read again for a probe's command.
const SOURCES_PAUSE: Duration = Duration::from_secs(5);

/// How long an instance may not be ready before it is told why: shorter where it has less time than that.
const COMPLAINT_AFTER: Duration = Duration::from_secs(2);
/// The least time between two reasons.
const COMPLAINT_EVERY: Duration = Duration::from_secs(1);
/// Reasons told of one instance: one that fails with something else each time fills no journal.
const COMPLAINTS_MAX: u8 = 20;
/// Characters of a reason that are kept.
const REASON_CHARS_MAX: usize = 300;

/// Begins to ask. Every change of its health becomes a fact.
pub fn watch(shared: &Arc<Shared>, instance: &InstanceId, release: &Arc<Release>) {
    let address = match shared.instances().get(instance).and_then(|running| running.address) {
        Some(address) => address,
        None => return,
    };
    // Only what the instance was given is of interest; no effect is ordered.
    let order = start_order(shared, instance, release, address.port(), EffectNumber(0));
    let task = tokio::spawn(probe(Arc::clone(shared), order, address, Arc::clone(release)));
    shared.instances().probed(instance, task.abort_handle());
}

async fn probe(shared: Arc<Shared>, order: StartOrder, address: SocketAddr, release: Arc<Release>) {
    let (probe, instance) = (&release.spec.probe, &order.instance);
    let target = target(&shared, &order, address, &release).await;
    let mut state = ProbeState::new(probe);
    let mut was_ready = false;
    let mut complaint = Complaint::after(release.spec.start_timeout);
    loop {
        let result = match ask(&probe.kind, &target, probe.timeout).await {
            ProbeResult::Passed if probe.kind != ProbeKind::Process => believed(&shared, instance).await,
            answered => answered,
        };
        if let ProbeResult::Failed(ProbeFailure::Foreign(foreign)) = &result
            && !was_ready
            && !is_live(&shared, instance)
        {
            // It will not get its port any more; its successor gets another.
            tokio::spawn(give_up(Arc::clone(&shared), instance.clone(), foreign.to_string()));
            return;
        }
        if let ProbeResult::Failed(failure) = &result
            && !was_ready
        {
            let reason = order.masked(&failure.about(&probe.kind, target.address), &target.environment);
            complaint.make(&shared, instance, failure, reason).await;
        }
        let now = shared.now();
        match state.observe(result, now) {
            Some(Change::BecameHealthy) => {
                was_ready = true;
                shared.fact(&instance.service, Input::InstanceReady { instance: instance.clone() });
            }
            Some(Change::BecameUnhealthy { failure }) => {
                let reason = order.masked(&failure.to_string(), &target.environment);
                shared.fact(&instance.service, Input::InstanceUnhealthy { instance: instance.clone(), reason });
            }
            None => {}
        }
        tokio::time::sleep(probe.interval.to_duration()).await;
    }
}

/// Whom the probes ask. Where the sources of the environment cannot be read any more nothing is known of the instance's health, and that is no reason
/// to call it ill: they are tried again.
async fn target(shared: &Shared, order: &StartOrder, address: SocketAddr, release: &Release) -> ProbeTarget {
    let folder = shared.artefacts.folder(&order.instance.service, &release.digest);
    loop {
        match order.probe_target(&release.spec.probe.kind, address, &folder).await {
            Ok(target) => return target,
            Err(error) => {
                let reason = in_one_line(&error);
                tracing::warn!(instance = %order.instance, reason, "the environment of a probe's command cannot be read");
            }
        }
        tokio::time::sleep(SOURCES_PAUSE).await;
    }
}

/// Why an instance is not ready, told when it has not been for a while, and again when the reason changes.
struct Complaint {
    /// Nothing is told before.
    quiet_until: Instant,
    /// What was told last.
    last: String,
    /// How often something may still be told: each time is a record in the journal.
    left: u8,
}

impl Complaint {
    /// What an instance that has just been started fails with says nothing yet.
    fn after(start_timeout: Millis) -> Complaint {
        let quiet = COMPLAINT_AFTER.min(start_timeout.to_duration() / 2);
        Complaint { quiet_until: Instant::now() + quiet, last: String::new(), left: COMPLAINTS_MAX }
    }

    async fn make(&mut self, shared: &Shared, instance: &InstanceId, failure: &ProbeFailure, mut reason: String) {
        let now = Instant::now();
        if now < self.quiet_until || self.left == 0 {
            return;
        }
        self.quiet_until = now + COMPLAINT_EVERY;
        if let ProbeFailure::Connect(_) = failure {
            reason.push_str(&elsewhere(shared.driver.listening(instance).await));
        }
        let reason = plain(&reason, REASON_CHARS_MAX);
        if reason != self.last {
            self.left -= 1;
            self.last.clone_from(&reason);
            shared.fact(&instance.service, Input::ProbeFailed { instance: instance.clone(), reason });
        }
    }
}

/// Where an instance listens that does not listen where it is asked.
fn elsewhere(listening: Option<Vec<SocketAddr>>) -> String {
    match listening {
        None => String::new(),
        Some(none) if none.is_empty() => "; it listens on no port".to_owned(),
        Some(addresses) => {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            format!("; it listens on {}", addresses.join(", "))
        }
    }
}

/// A probe that passed proves something only where the instance itself answered it.
async fn believed(shared: &Shared, instance: &InstanceId) -> ProbeResult {
    match shared.driver.listener(instance).await {
        Listener::Foreign(foreign) => ProbeResult::Failed(ProbeFailure::Foreign(foreign)),
        Listener::Own | Listener::Nobody | Listener::Unknown => ProbeResult::Passed,
    }
}

/// Whether clients' requests go to it: then it leaves in order, as any that is unhealthy.
fn is_live(shared: &Shared, instance: &InstanceId) -> bool {
    let core = shared.core();
    let tended = core.service(&instance.service);
    tended.is_some_and(|tended| {
        tended.state.instances().any(|known| known.id == *instance && known.listing == Listing::Live)
    })
}

async fn give_up(shared: Arc<Shared>, instance: InstanceId, status: String) {
    tracing::warn!(%instance, status, "an instance cannot have its port");
    if let Err(error) = shared.driver.kill(&instance).await {
        tracing::warn!(%instance, %error, "an instance that cannot have its port could not be ended");
        return;
    }
    let ended_by = EndedBy::Itself;
    shared.fact(&instance.service, Input::InstanceExited { instance: instance.clone(), status, ended_by });
    forget(&shared, &instance).await;
}
