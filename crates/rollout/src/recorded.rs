//! Replay of what another edition of the machine decided: what was intended is what was performed, whatever would be decided now.
//!
//! Effects are computed again at a replay. After a change of the rules the same inputs may give other effects, and then every number after
//! them differs too: instances that run would be known to no service, and acknowledgements would be of tables that were never ordered. So where a
//! record intends something else than the replay computes, the record is right. Starts, tables, stops, ends and numbers are taken from
//! it; phases are moved by the rules of today, from the fleet as it was recorded. An earlier rule is nowhere kept for the sake of its records.

use std::collections::BTreeSet;

use gapless_model::{EffectNumber, HookPoint, InstanceId, Millis, ReleaseId, RolloutId, Tick};

use crate::effect::{Effect, Outcome};
use crate::rollout::compiled::Reversibility;
use crate::rollout::{Forward, HookStage, Phase, TestStage, Way};
use crate::service::{Kept, OpenReceipt, Service, Situation};
use crate::table::{self, Listed};
use crate::transition::Transition;
use crate::{Cause, Change, Input, OneOff, Step};

/// The edition of the machine. Raised with each change after which an input may give other effects than before; written into every record.
pub const EDITION: u32 = 3;

/// An effect as a record has it, as far as the state of a service rests on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorded {
    /// Its number.
    pub number: EffectNumber,
    /// What was to be done.
    pub intent: RecordedIntent,
}

/// What was to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RecordedIntent {
    /// An instance was to be started.
    Start(InstanceId),
    /// A table with these instances was to be used.
    Publish {
        /// Reached by everybody.
        live: BTreeSet<InstanceId>,
        /// Reached by preview alone.
        preview: BTreeSet<InstanceId>,
    },
    /// An instance was to be stopped.
    Stop {
        /// Which.
        instance: InstanceId,
        /// From SIGTERM to SIGKILL.
        grace: Millis,
    },
    /// A check was to be run.
    Check,
    /// A hook was to be run.
    Hook {
        /// As this one-off.
        id: InstanceId,
        /// The hook's name.
        name: String,
        /// Its point.
        point: HookPoint,
    },
    /// The receipt of an order that ended was to be written.
    Close {
        /// Its number.
        rollout: RolloutId,
        /// How it ended.
        end: RecordedEnd,
        /// Why, for people.
        words: String,
    },
    /// All releases but these might be deleted.
    Keep(BTreeSet<ReleaseId>),
    /// Somebody was to be told.
    Notify,
}

/// How an order ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordedEnd {
    /// The candidate became current.
    Done,
    /// The release before was put back.
    RolledBack,
    /// Neither.
    NeedsOperator,
    /// It never began.
    NeverBegan,
}

/// Takes the service through an input at the time `now` as the record of it says.
///
/// For a replay only, where [`step`](crate::step()) computes other effects than were recorded. An order that would be refused today changes
/// nothing beyond what was recorded.
///
/// # Panics
/// `BUG:` when one input moves the machine without end.
pub fn follow(state: Service, input: Input, now: Tick, recorded: &[Recorded]) -> Step {
    let before = state.clone();
    let mut turn = Transition::new(state, now);
    let _refused = turn.take(input);
    turn.move_phases();
    turn.drop_unrecorded_hooks(&before, recorded);
    // Repeats, which a controller orders when it takes over, stand under the numbers that they have.
    let fresh: Vec<&Recorded> = recorded.iter().filter(|recorded| recorded.number > before.numbers.effect).collect();
    for Recorded { number, intent } in fresh.iter().copied() {
        turn.adopt(*number, intent);
    }
    turn.move_phases();
    turn.drop_unrecorded(&before, &fresh);
    turn.drop_unrecorded_hooks(&before, recorded);
    turn.number_as_recorded(&before, &fresh);
    let Transition { service, effects, timeline, placed, .. } = turn;
    let next_deadline = service.next_instant(now);
    let effects = effects.into_iter().filter(|intent| matches!(intent.effect, Effect::KeepReleases { .. })).collect();
    Step { state: service, effects, timeline, next_deadline, placed, change: Change::Changed }
}

impl Transition {
    /// As [`Transition::run`], without what orders starts, tables and stops: the record has them.
    fn move_phases(&mut self) {
        let mut moves = 0;
        while self.advance() || self.mend() || self.advance_test() {
            moves += 1;
            assert!(moves < crate::step::MOVES_MAX, "BUG: one input moves the machine without end");
        }
    }

    fn adopt(&mut self, number: EffectNumber, intent: &RecordedIntent) {
        match intent {
            RecordedIntent::Start(instance) => self.adopt_start(number, instance),
            RecordedIntent::Publish { live, preview } => self.adopt_table(number, live, preview),
            RecordedIntent::Stop { instance, grace } => {
                self.stop_ordered(instance.ordinal, number, *grace);
                self.one_off_stop_ordered(instance.ordinal, number, *grace);
            }
            RecordedIntent::Keep(releases) => self.adopt_kept(number, releases),
            RecordedIntent::Close { rollout, end, words } => self.adopt_end(*rollout, *end, words),
            RecordedIntent::Hook { id, name, point } => self.adopt_hook(number, id, name, *point),
            RecordedIntent::Check | RecordedIntent::Notify => {}
        }
    }

    fn adopt_start(&mut self, number: EffectNumber, id: &InstanceId) {
        let waits = self.service.backoff.get_mut(&id.release);
        let place = waits.and_then(|waits| {
            let (at, _) = waits.iter().enumerate().min_by_key(|(_, wait)| wait.until)?;
            Some(waits.swap_remove(at).failures)
        });
        self.service.numbers.ordinal = self.service.numbers.ordinal.max(id.ordinal);
        self.start_ordered(id.clone(), number, place.unwrap_or(0));
    }

    /// A hook that the release no longer names is none: whoever starts next ends what runs of it.
    fn adopt_hook(&mut self, number: EffectNumber, id: &InstanceId, name: &str, point: HookPoint) {
        let release = self.service.releases.get(&id.release).cloned();
        let hooks = release.iter().flat_map(|release| &release.spec.hooks);
        let Some(hook) = hooks.into_iter().find(|hook| hook.name == name && hook.point == point) else { return };
        let is_due = self.service.hook_of_step() == Some(hook);
        self.one_off_ordered(self.service.rollout(), OneOff::of_hook(id.clone(), hook), number);
        if is_due {
            self.set_hook_stage(HookStage::Running { ordinal: id.ordinal });
        }
    }

    /// A table that takes the candidate out of load turned its rollout back, whatever the reason was.
    fn adopt_table(&mut self, number: EffectNumber, live: &BTreeSet<InstanceId>, preview: &BTreeSet<InstanceId>) {
        let known = |ids: &BTreeSet<InstanceId>| {
            let known = ids.iter().filter(|id| self.service.instances.get(&id.ordinal).is_some_and(|i| i.id == **id));
            known.map(|id| id.ordinal).collect::<BTreeSet<u64>>()
        };
        let listed = Listed { live: known(live), preview: known(preview) };
        if let Some(rollout) = self.service.running()
            && rollout.reversibility() != Reversibility::Earned
            && self.service.live(rollout.to) > 0
            && !live.iter().any(|id| id.release == rollout.to)
        {
            self.turn_back(Cause::Recorded { words: "an earlier release of Gapless turned it back".to_owned() });
        }
        let Some(serving) = self.service.serving(&listed) else { return };
        let service = &self.service;
        let routes =
            table::routes(&service.name, &service.releases, (serving, service.front()), &service.instances, &listed);
        self.table_ordered(number, routes, &listed, serving);
    }

    /// What is in use stays known, also where the record let it go: the next step says again what is kept.
    fn adopt_kept(&mut self, effect: EffectNumber, kept: &BTreeSet<ReleaseId>) {
        let mut used: BTreeSet<ReleaseId> = self.service.roles().into_iter().collect();
        used.extend(self.service.instances.releases());
        used.extend(self.service.queued_release());
        used.extend(self.service.running().and_then(|rollout| rollout.rests));
        let Service { releases, backoff, scaled, history, left, .. } = &mut self.service;
        releases.retain(|id, _| kept.contains(id) || used.contains(id));
        backoff.retain(|id, _| releases.contains_key(id));
        scaled.retain(|id, _| releases.contains_key(id));
        history.retain(|id| releases.contains_key(id));
        left.retain(|id| releases.contains_key(id));
        self.service.kept = Kept { effect, releases: kept.clone() };
        self.repeat(effect, Effect::KeepReleases { releases: kept.clone() });
    }

    /// An order that the rules of today would not have ended ends as it did.
    fn adopt_end(&mut self, rollout: RolloutId, end: RecordedEnd, words: &str) {
        if self.service.open_receipts.contains_key(&rollout) {
            return;
        }
        let cause = || Cause::Recorded { words: words.to_owned() };
        let is_running = self.service.rollout() == Some(rollout);
        match end {
            RecordedEnd::Done if is_running => self.finish_done(),
            RecordedEnd::RolledBack if is_running => self.finish_back(cause()),
            RecordedEnd::NeedsOperator if is_running => self.call_operator(cause()),
            RecordedEnd::Done | RecordedEnd::RolledBack | RecordedEnd::NeedsOperator | RecordedEnd::NeverBegan => {
                if let Situation::Rollout(running) = &mut self.service.situation {
                    running.queued = running.queued.take().filter(|queued| queued.order.rollout != rollout);
                }
                let outcome = Outcome::Refused { reason: words.to_owned() };
                let receipt = OpenReceipt { effect: EffectNumber(0), outcome, left_behind: BTreeSet::new() };
                self.service.open_receipts.insert(rollout, receipt);
            }
        }
    }

    /// An end or a check that the rules of today would have ordered, and that nobody was told of, was not.
    fn drop_unrecorded(&mut self, before: &Service, recorded: &[&Recorded]) {
        let was_closed = |id: &RolloutId| {
            let closes =
                |one: &&Recorded| matches!(&one.intent, RecordedIntent::Close { rollout, .. } if rollout == id);
            before.open_receipts.contains_key(id) || recorded.iter().any(closes)
        };
        let unrecorded: Vec<RolloutId> =
            self.service.open_receipts.keys().filter(|id| !was_closed(id)).copied().collect();
        for rollout in unrecorded {
            self.service.open_receipts.remove(&rollout);
            if before.rollout() == Some(rollout) {
                self.service.situation = before.situation.clone();
            }
        }
        let Situation::Rollout(rollout) = &mut self.service.situation else { return };
        let Way::Forward(Forward { phase: Phase::Test { stage, .. }, .. }) = &mut rollout.way else { return };
        if let TestStage::Checking { effect, .. } = stage
            && *effect > before.numbers.effect
        {
            let check = recorded.iter().find(|one| one.intent == RecordedIntent::Check);
            match check {
                Some(check) => *effect = check.number,
                None => *stage = TestStage::Preview,
            }
        }
    }

    /// Hooks that the rules of today would have ordered and that were not.
    fn drop_unrecorded_hooks(&mut self, before: &Service, recorded: &[Recorded]) {
        let is_recorded = |ordinal: u64| {
            recorded.iter().any(|one| matches!(&one.intent, RecordedIntent::Hook { id, .. } if id.ordinal == ordinal))
        };
        self.service.one_offs.retain(|ordinal, _| before.one_offs.contains_key(ordinal) || is_recorded(*ordinal));
    }

    fn number_as_recorded(&mut self, before: &Service, recorded: &[&Recorded]) {
        for Recorded { number, intent } in recorded.iter().copied() {
            if let RecordedIntent::Close { rollout, .. } = intent
                && let Some(receipt) = self.service.open_receipts.get_mut(rollout)
            {
                receipt.effect = *number;
            }
        }
        let last = recorded.iter().map(|recorded| recorded.number).max();
        self.service.numbers.effect = last.unwrap_or(before.numbers.effect).max(before.numbers.effect);
    }
}
