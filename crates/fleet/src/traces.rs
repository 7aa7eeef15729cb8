//! What is known of earlier terms outside of the journal, and whether the journal may act beside it.
//!
//! A journal is the only source of truth, but not the only witness: proxies and keepers remember whom they obeyed, their files and the manifests
//! which numbers were given out. A journal that knows less than they do is an older one (restored from a copy), another one, or a new one
//! (the old one was lost). What it would decide ends what serves; so it never acts, and nobody is asked to obey it.
//!
//! **Invariant T1**: a term is begun only above every epoch that anybody is known to have seen, and only by a journal that knows of
//! everything that was ordered. A start that is refused takes no term.

use std::collections::BTreeMap;
use std::fmt;

use gapless_journal::Position;
use gapless_model::{Epoch, InstanceId, ServiceName};

/// Who remembers something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Witness {
    /// The proxy that runs.
    Proxy,
    /// The table that a proxy keeps on disk.
    TableFile,
    /// An instance: its order, or its keeper.
    Instance(InstanceId),
    /// The manifest of a service.
    Manifest(ServiceName),
    /// The folder of a service's releases.
    Releases(String),
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Witness::Proxy => f.write_str("the running proxy"),
            Witness::TableFile => f.write_str("the proxy's table on disk"),
            Witness::Instance(instance) => write!(f, "instance {instance}"),
            Witness::Manifest(service) => write!(f, "the manifest of service {service}"),
            Witness::Releases(service) => write!(f, "the releases of service {service}"),
        }
    }
}

/// All that is remembered outside of the journal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Traces {
    /// The epochs that were seen.
    pub epochs: Vec<(Epoch, Witness)>,
    /// How far which journal had come.
    pub positions: Vec<(String, Position, Witness)>,
    /// The instances that were ordered.
    pub instances: Vec<(InstanceId, Witness)>,
    /// What shows that something was deployed here, without a number.
    pub others: Vec<Witness>,
}

/// What the journal itself knows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// Its identity; none of a journal that no term of this release or a later one began on.
    pub journal: Option<String>,
    /// How far it has come.
    pub position: Position,
    /// The last ordinal of each service.
    pub ordinals: BTreeMap<ServiceName, u64>,
}

/// Why a journal may not act.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Outdated {
    /// There is none, or one in which no term ever began, beside what earlier terms left.
    #[error("there is no journal of what {0} remembers: a new one would end what serves")]
    New(Witness),
    /// Somebody has seen a later term.
    #[error("the journal has come to term {journal}, {by} has seen term {seen}: it is an older copy")]
    Term {
        /// Of the journal.
        journal: Epoch,
        /// That was seen.
        seen: Epoch,
        /// By whom.
        by: Witness,
    },
    /// It had come further.
    #[error("the journal is at {journal}, {by} was written at {seen}: it is an older copy")]
    Position {
        /// Of the journal.
        journal: Position,
        /// That was seen.
        seen: Position,
        /// By whom.
        by: Witness,
    },
    /// An instance was ordered that it does not know of.
    #[error("the journal knows nothing of {instance}, which {by} names: it is an older copy")]
    Instance {
        /// Which.
        instance: InstanceId,
        /// Who names it.
        by: Witness,
    },
    /// It is the journal of something else.
    #[error("the journal is not the one that {by} was written from")]
    Another {
        /// Who was.
        by: Witness,
    },
}

impl Traces {
    /// Who remembers anything at all.
    #[must_use]
    pub fn any(&self) -> Option<Witness> {
        let epochs = self.epochs.iter().filter(|(epoch, _)| *epoch > Epoch(0)).map(|(_, by)| by);
        let positions = self.positions.iter().map(|(_, _, by)| by);
        let instances = self.instances.iter().map(|(_, by)| by);
        epochs.chain(positions).chain(instances).chain(&self.others).next().cloned()
    }

    /// The highest epoch that anybody has seen.
    #[must_use]
    pub fn highest_epoch(&self) -> Epoch {
        let of_positions = self.positions.iter().map(|(_, position, _)| position.epoch);
        self.epochs.iter().map(|(epoch, _)| *epoch).chain(of_positions).max().unwrap_or_default()
    }

    /// Whether a journal may act beside these traces; answers the epoch above which its next term is to be.
    ///
    /// # Errors
    /// [`Outdated`].
    pub fn allow(&self, journal: &Standing) -> Result<Epoch, Outdated> {
        if journal.position.epoch == Epoch(0) {
            return self.any().map_or(Ok(Epoch(0)), |by| Err(Outdated::New(by)));
        }
        for (seen, by) in &self.epochs {
            if *seen > journal.position.epoch {
                return Err(Outdated::Term { journal: journal.position.epoch, seen: *seen, by: by.clone() });
            }
        }
        for (identity, seen, by) in &self.positions {
            if journal.journal.as_ref().is_some_and(|ours| ours != identity) {
                return Err(Outdated::Another { by: by.clone() });
            }
            if *seen > journal.position {
                return Err(Outdated::Position { journal: journal.position, seen: *seen, by: by.clone() });
            }
        }
        for (instance, by) in &self.instances {
            if instance.ordinal > journal.ordinals.get(&instance.service).copied().unwrap_or(0) {
                return Err(Outdated::Instance { instance: instance.clone(), by: by.clone() });
            }
        }
        Ok(self.highest_epoch())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> ServiceName {
        ServiceName::new("shop").unwrap()
    }

    fn at(epoch: u64, commits: u64) -> Position {
        Position { epoch: Epoch(epoch), commits }
    }

    fn standing() -> Standing {
        Standing { journal: Some("j".to_owned()), position: at(5, 100), ordinals: [(shop(), 7)].into() }
    }

    fn instance(ordinal: u64) -> (InstanceId, Witness) {
        let id: InstanceId = format!("shop.r2.i{ordinal}").parse().unwrap();
        (id.clone(), Witness::Instance(id))
    }

    #[test]
    fn a_journal_that_knows_all_that_is_remembered_may_act_above_it() {
        let traces = Traces {
            epochs: vec![(Epoch(5), Witness::Proxy), (Epoch(3), Witness::TableFile)],
            positions: vec![("j".to_owned(), at(5, 100), Witness::Manifest(shop()))],
            instances: vec![instance(7), instance(1)],
            others: vec![Witness::Releases("shop".to_owned())],
        };
        assert_eq!(traces.allow(&standing()), Ok(Epoch(5)));
        assert_eq!(Traces::default().allow(&Standing::default()), Ok(Epoch(0)), "a machine on which nothing ever ran");
    }

    #[test]
    fn a_new_journal_beside_anything_never_acts() {
        let alone = [
            Traces { epochs: vec![(Epoch(1), Witness::Proxy)], ..Traces::default() },
            Traces { positions: vec![("j".to_owned(), at(1, 2), Witness::Manifest(shop()))], ..Traces::default() },
            Traces { instances: vec![instance(1)], ..Traces::default() },
            Traces { others: vec![Witness::Releases("shop".to_owned())], ..Traces::default() },
        ];
        for traces in alone {
            assert!(matches!(traces.allow(&Standing::default()), Err(Outdated::New(_))), "{traces:?}");
        }
        let fresh = Traces { epochs: vec![(Epoch(0), Witness::Proxy)], ..Traces::default() };
        assert_eq!(fresh.allow(&Standing::default()), Ok(Epoch(0)), "a proxy that obeyed nobody yet remembers nothing");
    }

    #[test]
    fn an_older_journal_is_known_by_each_witness_alone() {
        let older = [
            Traces { epochs: vec![(Epoch(6), Witness::TableFile)], ..Traces::default() },
            Traces { positions: vec![("j".to_owned(), at(5, 101), Witness::Manifest(shop()))], ..Traces::default() },
            Traces { positions: vec![("j".to_owned(), at(6, 1), Witness::Manifest(shop()))], ..Traces::default() },
            Traces { instances: vec![instance(8)], ..Traces::default() },
        ];
        for traces in older {
            let refused = traces.allow(&standing()).unwrap_err();
            assert!(refused.to_string().ends_with("it is an older copy"), "{refused}");
        }
    }

    #[test]
    fn the_journal_of_another_folder_is_refused_however_far_it_came() {
        let traces =
            Traces { positions: vec![("other".to_owned(), at(1, 1), Witness::Manifest(shop()))], ..Traces::default() };
        assert!(matches!(traces.allow(&standing()), Err(Outdated::Another { .. })));
        let unnamed = Standing { journal: None, ..standing() };
        assert_eq!(traces.allow(&unnamed), Ok(Epoch(1)), "one of an earlier release has no identity yet");
    }
}
