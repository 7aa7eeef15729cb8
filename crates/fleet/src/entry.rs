//! One service with everything that is known around it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use gapless_model::{Release, ReleaseId, RolloutId, Tick};
use gapless_rollout::{Effect, Input, Intent, Service, SituationReport, Step};
use gapless_routing::SeriesKey;
use gapless_wire::record::ReleaseRecord;

use crate::chronicle::Chronicle;
use crate::decided::Moment;
use crate::events::Events;
use crate::publication::Publication;

/// One service with what is known around it.
#[derive(Debug)]
pub struct ServiceEntry {
    /// The machine's state.
    pub state: Service,
    /// When to step again at the latest.
    pub next_deadline: Option<Tick>,
    /// What happened to it.
    pub chronicle: Chronicle,
    /// What happened to it outside of them too.
    pub events: Events,
    /// Every release that a record names.
    pub releases: BTreeMap<ReleaseId, KnownRelease>,
    /// The releases that may not be deleted; all of them before the machine said anything.
    pub kept: Option<BTreeSet<ReleaseId>>,
    /// The last order that was given before an operator had it forgotten, where nothing of it was deployed.
    pub forgotten: Option<RolloutId>,
    /// Records since it was last written down whole.
    pub records: u64,
    /// Facts that are not durable yet, the oldest first.
    pub(crate) unwritten: VecDeque<Input>,
}

/// A registered release.
#[derive(Clone, Debug)]
pub struct KnownRelease {
    /// What it means.
    pub release: Arc<Release>,
    /// How it is kept.
    pub record: ReleaseRecord,
}

impl ServiceEntry {
    /// A service about which nothing is known yet.
    #[must_use]
    pub fn new(state: Service) -> ServiceEntry {
        ServiceEntry {
            state,
            next_deadline: None,
            chronicle: Chronicle::default(),
            events: Events::default(),
            releases: BTreeMap::new(),
            kept: None,
            forgotten: None,
            records: 0,
            unwritten: VecDeque::new(),
        }
    }

    /// The last table that a service ordered is part of this term's first; what was draining drains on.
    pub(crate) fn republish(&self, publication: &mut Publication) {
        if let Some((number, part)) = self.state.published() {
            publication.order(number, part.clone());
        }
        for instance in self.state.instances().filter(|instance| instance.is_draining()) {
            publication.leaving_since_before(instance.id.clone());
        }
    }

    /// Takes over what a step gave; used by live steps and by the replay alike. Answers its effects.
    pub(crate) fn moves_on(&mut self, step: Step, at: Moment) -> Vec<Intent> {
        self.chronicle.told(&step, at);
        self.events.stepped(&self.state, &step, at);
        for intent in &step.effects {
            if let Effect::KeepReleases { releases } = &intent.effect {
                self.kept = Some(releases.clone());
            }
        }
        self.state = step.state;
        self.next_deadline = step.next_deadline;
        step.effects
    }

    /// The release with a label among those that are kept, the newest where several have it.
    #[must_use]
    pub fn kept_with_label(&self, label: &str) -> Option<&KnownRelease> {
        self.kept_releases().find(|known| known.release.label.as_str() == label)
    }

    /// The releases that are kept, the newest first.
    pub fn kept_releases(&self) -> impl Iterator<Item = &KnownRelease> {
        self.releases.iter().rev().filter(|(id, _)| self.is_kept(**id)).map(|(_, known)| known)
    }

    /// Whether a receipt may need a series: that of a release which is kept, or of requests that reached none.
    pub(crate) fn counts(&self, key: &SeriesKey) -> bool {
        self.state.owes_receipt() || key.release.is_none_or(|id| self.is_kept(id))
    }

    /// The releases that may be deleted.
    pub(crate) fn let_go_releases(&self) -> impl Iterator<Item = ReleaseId> {
        // The newest stays on record: the next release has the number behind it, and no number is given twice.
        let newest = self.releases.last_key_value().map(|(id, _)| *id);
        self.releases.keys().copied().filter(move |id| !self.is_kept(*id) && Some(*id) != newest)
    }

    /// Whether a release may not be deleted. A release is registered with the order that makes the machine keep it.
    fn is_kept(&self, id: ReleaseId) -> bool {
        self.kept.as_ref().is_none_or(|kept| kept.contains(&id))
    }

    /// Whether people are shown it: not once it was removed, until something is ordered of it again.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        let newest = self.chronicle.newest();
        let removed = self.forgotten.is_some_and(|upto| newest.is_none_or(|newest| newest <= upto))
            || newest.is_some_and(|newest| self.chronicle.is_removal(newest));
        !(removed && matches!(self.state.situation(), SituationReport::Empty))
    }
}
