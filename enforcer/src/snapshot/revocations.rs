//! What ended before its grants expired, as far as this enforcer knows.
//!
//! **Invariant**: an entry is forgotten only when no grant that it stops can be believed any more, and a sequence never falls.

use std::collections::BTreeMap;

use checkrein_shared::action::Sha256;
use checkrein_shared::grant::{Grant, Revocation, Revoked, Stopped};
use checkrein_shared::id::{GrantId, TaskId};
use checkrein_shared::identity::SpiffeId;

/// A revocation outlives its grants by this much, so that a clock that ran ahead for a while forgets none.
const REMEMBERED_MS: u64 = 60 * 60 * 1_000;

/// Every entry that still counts, found by what a grant says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Revocations {
    /// Every entry up to this one is known.
    pub(crate) sequence: u64,
    tasks: BTreeMap<TaskId, Entry>,
    /// With the first epoch that holds.
    before: BTreeMap<TaskId, (u64, Entry)>,
    grants: BTreeMap<(TaskId, GrantId), Entry>,
    /// With the moment until which their grants stop.
    agents: BTreeMap<SpiffeId, (u64, Entry)>,
    keys: BTreeMap<Sha256, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    expires_ms: u64,
    cause: String,
}

impl Revocations {
    /// With these entries and without those that no grant can outlive any more.
    pub(crate) fn extended(
        &self,
        sequence: u64,
        entries: impl IntoIterator<Item = Revocation>,
        now_ms: u64,
    ) -> Self {
        let mut next = self.clone();
        for entry in entries {
            next.add(entry);
        }
        let counts = |entry: &Entry| entry.expires_ms.saturating_add(REMEMBERED_MS) > now_ms;
        next.tasks.retain(|_, entry| counts(entry));
        next.before.retain(|_, (_, entry)| counts(entry));
        next.grants.retain(|_, entry| counts(entry));
        next.agents.retain(|_, (_, entry)| counts(entry));
        next.keys.retain(|_, entry| counts(entry));
        next.sequence = next.sequence.max(sequence);
        next
    }

    /// Of two entries of one target, the one that stops more takes the place of the other.
    fn add(&mut self, revocation: Revocation) {
        let entry = Entry {
            expires_ms: revocation.expires_ms,
            cause: revocation.cause,
        };
        match revocation.what {
            Revoked::Task(task) => {
                self.tasks.insert(task, entry);
            }
            Revoked::Before { task, epoch } => put_farther(&mut self.before, task, epoch, entry),
            Revoked::Grant { task, grant } => {
                self.grants.insert((task, grant), entry);
            }
            Revoked::Agent { agent, until_ms } => put_farther(&mut self.agents, agent, until_ms, entry),
            Revoked::Key(thumbprint) => {
                self.keys.insert(thumbprint, entry);
            }
        }
    }

    /// All entries, without their numbers.
    pub(crate) fn entries(&self) -> Vec<Revocation> {
        let tasks = self
            .tasks
            .iter()
            .map(|(task, entry)| entry.of(Revoked::Task(*task)));
        let before = self.before.iter().map(|(task, (epoch, entry))| {
            entry.of(Revoked::Before {
                task: *task,
                epoch: *epoch,
            })
        });
        let grants = self.grants.iter().map(|((task, grant), entry)| {
            entry.of(Revoked::Grant {
                task: *task,
                grant: *grant,
            })
        });
        let agents = self.agents.iter().map(|(agent, (until_ms, entry))| {
            entry.of(Revoked::Agent {
                agent: agent.clone(),
                until_ms: *until_ms,
            })
        });
        let keys = self.keys.iter().map(|(key, entry)| entry.of(Revoked::Key(*key)));
        tasks
            .chain(before)
            .chain(grants)
            .chain(agents)
            .chain(keys)
            .collect()
    }

    /// Why these grants give nothing any more, if any of them was stopped. To be asked of a whole chain: one that stands
    /// above another takes it down.
    pub(crate) fn stops<'a>(&self, grants: impl IntoIterator<Item = &'a Grant>) -> Option<Stopped> {
        grants.into_iter().find_map(|grant| self.stops_one(grant))
    }

    fn stops_one(&self, grant: &Grant) -> Option<Stopped> {
        let task = grant.task;
        if let Some(entry) = self.tasks.get(&task) {
            return Some(Revoked::Task(task).stopped(&entry.cause));
        }
        if let Some((epoch, entry)) = self.before.get(&task)
            && grant.epoch < *epoch
        {
            return Some(Revoked::Before { task, epoch: *epoch }.stopped(&entry.cause));
        }
        if let Some(entry) = self.grants.get(&(task, grant.id)) {
            return Some(
                Revoked::Grant {
                    task,
                    grant: grant.id,
                }
                .stopped(&entry.cause),
            );
        }
        if let Some((until_ms, entry)) = self.agents.get(&grant.agent)
            && grant.issued_ms <= *until_ms
        {
            let agent = grant.agent.clone();
            let until_ms = *until_ms;
            return Some(Revoked::Agent { agent, until_ms }.stopped(&entry.cause));
        }
        // A thumbprint costs a hash: not before any key was ever revoked.
        let holder = grant.holder.as_ref().filter(|_| !self.keys.is_empty())?;
        let thumbprint = holder.thumbprint();
        let entry = self.keys.get(&thumbprint)?;
        Some(Revoked::Key(thumbprint).stopped(&entry.cause))
    }
}

impl Entry {
    fn of(&self, what: Revoked) -> Revocation {
        Revocation {
            what,
            expires_ms: self.expires_ms,
            cause: self.cause.clone(),
        }
    }
}

fn put_farther<K: Ord>(map: &mut BTreeMap<K, (u64, Entry)>, key: K, reach: u64, entry: Entry) {
    match map.get(&key) {
        Some((known, _)) if *known > reach => {}
        _ => {
            map.insert(key, (reach, entry));
        }
    }
}

#[cfg(test)]
mod tests;
