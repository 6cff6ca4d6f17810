//! Whether people are enough, and who may answer: everything that decides it, as it stands in this transaction.
//!
//! **Invariant**: asked anew at each vote and at each release, by the database's clock. Until the transaction ends nobody whose
//! word counted is removed, and nobody goes away or comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use checkrein_shared::hold::{Askers, Barred, Elector, Electorate, Group, Hold, Person, Requirement, Yes};
use checkrein_shared::identity::SpiffeId;

use super::{HoldError, store};
use crate::database::{DatabaseError, Transaction, inconsistent};
use crate::{fleet, task};

/// What was read for one hold; most of it with that of others.
pub(super) struct Moment<'h> {
    hold: &'h Hold,
    groups: Arc<BTreeMap<String, Group>>,
    away: Arc<BTreeSet<Person>>,
    removed: Arc<BTreeSet<SpiffeId>>,
    owners: Vec<String>,
    started_by: SpiffeId,
    pub(super) now_ms: u64,
}

/// What people said of a hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    /// Yes.
    pub(super) yes: Vec<Yes>,
    /// Break the glass.
    pub(super) broken: Vec<Yes>,
}

impl Said {
    /// As it stands with the hold.
    pub(super) fn of(hold: &Hold) -> Self {
        let yes = hold.votes.iter().filter(|vote| vote.approve).map(|vote| Yes {
            by: vote.approver.clone(),
            at_ms: vote.voted_ms,
        });
        let broken = hold.breaks.iter().map(|one| Yes {
            by: one.approver.clone(),
            at_ms: one.broken_ms,
        });
        Self {
            yes: yes.collect(),
            broken: broken.collect(),
        }
    }

    /// Only what these people said.
    pub(super) fn by(mut self, people: &[SpiffeId]) -> Self {
        self.yes.retain(|yes| people.contains(&yes.by));
        self.broken.clear();
        self
    }
}

impl<'h> Moment<'h> {
    /// Reads what decides about these requirements of a hold, and keeps it so as far as it counts what was said.
    pub(super) async fn load(
        tx: &Transaction,
        hold: &'h Hold,
        requirements: &[Requirement],
        said: &Said,
    ) -> Result<Self, DatabaseError> {
        store::share_absences(tx).await?;
        let mut moment = Self::read(tx, hold, requirements).await?;
        let said: Vec<Yes> = said.yes.iter().chain(&said.broken).cloned().collect();
        let mut removed = BTreeSet::new();
        for id in moment.electorate().depends_on(requirements, &said) {
            if fleet::is_removed(tx, id).await? {
                removed.insert(id.clone());
            }
        }
        Arc::make_mut(&mut moment.removed).extend(removed);
        Ok(moment)
    }

    /// The same to look at only: what is so now may not be so the next moment.
    pub(super) async fn read(
        tx: &Transaction,
        hold: &'h Hold,
        requirements: &[Requirement],
    ) -> Result<Self, DatabaseError> {
        let mut read = Self::read_of(tx, &[hold], requirements).await?;
        read.pop().ok_or_else(|| inconsistent("hold", &hold.id))
    }

    /// The same of several holds and the requirements that each has, with as many statements as for one; in their order.
    pub(super) async fn read_all(tx: &Transaction, holds: &[&'h Hold]) -> Result<Vec<Self>, DatabaseError> {
        let requirements = holds.iter().flat_map(|hold| &hold.requirements);
        Self::read_of(tx, holds, requirements).await
    }

    async fn read_of(
        tx: &Transaction,
        holds: &[&'h Hold],
        requirements: impl IntoIterator<Item = &Requirement>,
    ) -> Result<Vec<Self>, DatabaseError> {
        let chains: BTreeSet<&str> = holds.iter().flat_map(|hold| agents(hold)).collect();
        let owners = store::owners(tx, &Vec::from_iter(chains)).await?;
        let asked = requirements.into_iter().map(|requirement| &*requirement.group);
        let names: BTreeSet<&str> = asked.chain(owners.values().map(String::as_str)).collect();
        let groups = store::groups(tx, &Vec::from_iter(names)).await?;
        let people = groups
            .values()
            .flat_map(|group| group.members.iter().chain(group.deputies.values()));
        let people: BTreeSet<&str> = people.map(SpiffeId::as_str).collect();
        let removed = Arc::new(store::removed(tx, &Vec::from_iter(people)).await?);
        let started_by = task::starters(tx, &holds.iter().map(|hold| hold.action.task).collect()).await?;
        // Last, because whoever waits for a lock grows older.
        let (now_ms, absences) = store::absences(tx).await?;
        let away = absences.iter().map(|absence| Person::of(&absence.approver));
        let (groups, away) = (Arc::new(groups), Arc::new(away.collect()));
        let moment = |hold: &&'h Hold| {
            let started_by = started_by.get(&hold.action.task).cloned();
            Ok(Self {
                hold,
                groups: Arc::clone(&groups),
                away: Arc::clone(&away),
                removed: Arc::clone(&removed),
                owners: agents(hold)
                    .filter_map(|agent| owners.get(agent))
                    .cloned()
                    .collect(),
                started_by: started_by.ok_or_else(|| inconsistent("hold", &hold.id))?,
                now_ms,
            })
        };
        holds.iter().map(moment).collect()
    }

    /// Who may answer, and what people are enough.
    pub(super) fn electorate(&self) -> Electorate<'_> {
        Electorate {
            groups: &self.groups,
            away: &self.away,
            removed: &self.removed,
            askers: Askers {
                agent: &self.hold.action.agent,
                delegated_by: &self.hold.action.delegated_by,
                started_by: &self.started_by,
                user: &self.hold.action.user,
            },
            owners: &self.owners,
            opened_ms: self.hold.opened_ms,
            now_ms: self.now_ms,
        }
    }

    /// Whether somebody may answer the hold now.
    pub(super) fn may_answer(&self, approver: &SpiffeId) -> Result<(), HoldError> {
        let allowed = self.electorate().may_answer(&self.hold.requirements, approver);
        allowed.map_err(|barred| self.refusal(barred, approver, false))
    }

    /// Whether somebody may break the glass for it now.
    pub(super) fn may_break(&self, approver: &SpiffeId) -> Result<(), HoldError> {
        let allowed = self.electorate().may_break(&self.hold.requirements, approver);
        allowed.map_err(|barred| self.refusal(barred, approver, true))
    }

    /// Everybody who may answer the hold now.
    pub(super) fn people(&self) -> BTreeSet<SpiffeId> {
        let electorate = self.electorate();
        let groups = self.hold.requirements.iter();
        let electors = groups.flat_map(|requirement| electorate.electors_now(&requirement.group));
        electors.map(|elector| elector.person).collect()
    }

    /// The groups of which two may break the glass for it.
    pub(super) fn glass_groups(&self) -> BTreeSet<&str> {
        let groups = self.hold.requirements.iter();
        let glass = |requirement: &Requirement| self.groups.get(&requirement.group)?.break_glass.as_deref();
        groups.filter_map(glass).collect()
    }

    /// As whom somebody answers: in the group that a rule names before any other, and in their own place before another's.
    pub(super) fn capacity(&self, approver: &SpiffeId) -> Option<Elector> {
        let electorate = self.electorate();
        let groups = self
            .hold
            .requirements
            .iter()
            .map(|requirement| &*requirement.group);
        let own = groups.flat_map(|group| electorate.electors_now(group));
        own.filter(|elector| elector.person == *approver)
            .min_by_key(|elector| (elector.why.is_some(), elector.seat != elector.person))
    }

    fn refusal(&self, barred: Barred, approver: &SpiffeId, breaks: bool) -> HoldError {
        let approver = approver.clone();
        match barred {
            Barred::Asker => HoldError::Asker(approver),
            Barred::Away => HoldError::Away(approver),
            Barred::Owner => HoldError::Owner(approver),
            Barred::NotAsked => {
                let groups = self
                    .hold
                    .requirements
                    .iter()
                    .map(|requirement| &*requirement.group);
                let asked: BTreeSet<&str> = if breaks {
                    self.glass_groups()
                } else {
                    groups.collect()
                };
                let groups = asked.into_iter().collect::<Vec<_>>().join(", ");
                match breaks {
                    true if groups.is_empty() => HoldError::NoGlass(self.hold.id),
                    true => HoldError::NotInGlass { approver, groups },
                    false => HoldError::NotInGroup { approver, groups },
                }
            }
        }
    }
}

/// The agents of a hold's chain.
fn agents(hold: &Hold) -> impl Iterator<Item = &str> {
    let action = &hold.action;
    let chain = action.delegated_by.iter().chain([&action.agent]);
    chain.map(SpiffeId::as_str)
}

/// The requirements that whoever approved a hold does not meet now. One that a standing approval approved is met by those who
/// gave it, as they gave it.
pub(super) async fn unmet(
    tx: &Transaction,
    hold: &Hold,
    demanded: &[Requirement],
) -> Result<Vec<Requirement>, HoldError> {
    let given = match hold.standing {
        None => None,
        Some(id) => {
            let standing = store::standing::find(tx, id)
                .await?
                .ok_or(HoldError::NoStanding(id))?;
            let given = store::find(tx, standing.hold).await?;
            Some(given.ok_or(HoldError::NotFound(standing.hold))?)
        }
    };
    let voters: Vec<SpiffeId> = hold.votes.iter().map(|vote| vote.approver.clone()).collect();
    let (hold, said) = match &given {
        None => (hold, Said::of(hold)),
        Some(given) => (given, Said::of(given).by(&voters)),
    };
    unmet_by(tx, hold, demanded, &said).await
}

/// The requirements that what was said does not meet now.
pub(super) async fn unmet_by(
    tx: &Transaction,
    hold: &Hold,
    demanded: &[Requirement],
    said: &Said,
) -> Result<Vec<Requirement>, HoldError> {
    let moment = Moment::load(tx, hold, demanded, said).await?;
    let electorate = moment.electorate();
    let missing = electorate.unmet(demanded, &said.yes, &said.broken);
    Ok(missing.into_iter().cloned().collect())
}
