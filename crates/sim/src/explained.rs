//! Whether a deadline does what the report said it would: read off the states before and after, not off the words.

use gapless_model::Tick;
use gapless_rollout::{
    Change, Drain, Effect, Input, Life, Listing, NextDeadline, Outcome, Service, SituationReport, Then, step,
};

/// What is wrong with the explanation of a deadline that passes now.
pub(crate) fn check(service: &Service, next: &NextDeadline, now: Tick) -> Option<String> {
    let Ok(after) = step(service.clone(), Input::TimerFired, now) else {
        return Some("a timer was refused".to_owned());
    };
    let did = match after.change {
        Change::Unchanged => None,
        Change::Changed => observed(service, &after, now),
    };
    (did != Some(next.then)).then(|| format!("the deadline was to do {:?}, and did {did:?}", next.then))
}

fn observed(before: &Service, after: &gapless_rollout::Step, now: Tick) -> Option<Then> {
    let was_back =
        matches!(before.report(now).situation, SituationReport::Rollout(rollout) if rollout.turned_back.is_some());
    let ended = after.effects.iter().find_map(|intent| match &intent.effect {
        Effect::CloseReceipt { rollout, outcome } if Some(*rollout) == before.rollout() => Some(match outcome {
            Outcome::NeedsOperator { .. } => Then::CallOperator,
            Outcome::Done => Then::EndRollout,
            // Back at once: what matters to a reader is that it turns.
            Outcome::RolledBack { .. } if !was_back => Then::RollBack,
            Outcome::RolledBack { .. } | Outcome::Superseded { .. } | Outcome::Refused { .. } => Then::EndBack,
        }),
        _ => None,
    });
    let course = |service: &Service| match service.report(now).situation {
        SituationReport::Rollout(rollout) => {
            Some((rollout.rollout, rollout.phase, rollout.batch.number, rollout.turned_back.is_some()))
        }
        SituationReport::Empty
        | SituationReport::Settled { .. }
        | SituationReport::Stopped { .. }
        | SituationReport::NeedsOperator { .. } => None,
    };
    let (was, is) = (course(before), course(&after.state));
    let turned = matches!((was, is), (Some((.., false)), Some((.., true))));
    let stopped = |id: &gapless_model::InstanceId| {
        after
            .effects
            .iter()
            .any(|intent| matches!(&intent.effect, Effect::StopInstance { instance, .. } if instance == id))
    };
    let cut = before.instances().any(|instance| match instance.listing {
        Listing::Left { drain: Drain::Running { .. } | Drain::Lasting { .. }, .. } => stopped(&instance.id),
        _ => false,
    });
    let given_up = before.instances().any(|instance| {
        let still = after.state.instances().find(|still| still.id == instance.id);
        // One that is wanted no more is stopped without being given up.
        matches!(instance.life, Life::Starting { deadline, .. } | Life::Warming { deadline, .. } if now >= deadline)
            && still.is_none_or(|still| matches!(still.life, Life::Stopping { .. } | Life::Unhealthy { .. }))
    });
    let starts = after.effects.iter().any(|intent| matches!(intent.effect, Effect::StartInstance { .. }));
    let found = [
        (turned, Then::RollBack),
        (cut, Then::StopAnyway),
        (given_up, Then::Replace),
        (before.one_offs().any(|one_off| stopped(&one_off.id)), Then::EndCommand),
        (was != is, Then::GoOn),
        (starts, Then::Restart),
    ];
    ended.or(found.into_iter().find(|(so, _)| *so).map(|(_, then)| then))
}
