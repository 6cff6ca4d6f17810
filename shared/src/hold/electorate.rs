//! Who may answer a hold, as whom, and whether those who said yes are enough.
//!
//! Each requirement asks a group. Its members each have one seat. A seat is taken by the member, or, while the member is away
//! and only then, by the deputy whom the group names for them. Groups that are asked as well later add the seats of their own.
//! People and seats are matched one to one: nobody is counted twice, under whatever names, and a deputy and the one they stand
//! for are never two.
//!
//! **Invariant**: whoever may not answer has no seat, so nobody can stand in for them; a vote counts only where its moment is
//! not before the one from which that seat was asked.

use std::collections::{BTreeMap, BTreeSet};

use super::group::{Exclusion, Group, Person, Why};
use super::{Askers, Requirement, is_same_person};
use crate::identity::SpiffeId;

/// A glass is broken by so many people.
pub const BREAKERS: usize = 2;

/// Everything that decides who may answer one hold at one moment.
#[derive(Debug, Clone)]
pub struct Electorate<'a> {
    /// The groups that packs in force name.
    pub groups: &'a BTreeMap<String, Group>,
    /// Who is away at this moment.
    pub away: &'a BTreeSet<Person>,
    /// Who was removed.
    pub removed: &'a BTreeSet<SpiffeId>,
    /// Who asked.
    pub askers: Askers<'a>,
    /// Who answers for the agents of the chain, as the register says it: people, or groups of them.
    pub owners: &'a [String],
    /// When the action was held: from then on people were asked.
    pub opened_ms: u64,
    /// This moment, by the database's clock.
    pub now_ms: u64,
}

/// A yes, and when it was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Yes {
    /// Whose.
    pub by: SpiffeId,
    /// When.
    pub at_ms: u64,
}

/// One way in which one person may answer one requirement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Elector {
    /// Who.
    pub person: SpiffeId,
    /// Whose seat it is: their own, or that of the member they stand in for.
    pub seat: SpiffeId,
    /// In which group.
    pub group: String,
    /// From when on.
    pub since_ms: u64,
    /// Why that group is asked as well; none: the rule names it.
    pub why: Option<Why>,
}

/// Why somebody may not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barred {
    /// They asked.
    Asker,
    /// They are away, and said so.
    Away,
    /// They answer for an agent of the chain, and the group leaves those out.
    Owner,
    /// They are in none of the groups, and stand in for nobody who is, or are asked only later.
    NotAsked,
}

impl Electorate<'_> {
    /// Everyone who may answer for this group, from when on and in which way; those who may later on too.
    pub fn electors(&self, group: &str) -> Vec<Elector> {
        let mut found = BTreeSet::new();
        for asked in self.asked(group) {
            let Some(named) = self.groups.get(&asked.group) else {
                continue;
            };
            // Whom the rule's own group leaves out is not let in by another one that is asked as well.
            let excludes = self.excludes([group, &asked.group]);
            for member in named
                .members
                .iter()
                .filter(|member| !self.is_barred(member, &excludes))
            {
                let is_away = self.away.contains(&Person::of(member));
                let deputy = named.deputies.get(member).filter(|_| is_away);
                let deputy = deputy.filter(|deputy| !self.is_barred(deputy, &excludes));
                for person in [member].into_iter().chain(deputy) {
                    found.insert(Elector {
                        person: person.clone(),
                        seat: member.clone(),
                        group: asked.group.clone(),
                        since_ms: asked.since_ms,
                        why: asked.why,
                    });
                }
            }
        }
        found.into_iter().collect()
    }

    /// Those of them who may answer at this moment.
    pub fn electors_now(&self, group: &str) -> Vec<Elector> {
        let mut electors = self.electors(group);
        electors.retain(|elector| {
            elector.since_ms <= self.now_ms && !self.away.contains(&Person::of(&elector.person))
        });
        electors
    }

    /// The other groups that are asked as well by now: which, since when, why.
    pub fn escalated(&self, group: &str) -> Vec<(String, u64, Why)> {
        escalated(self.groups, group, self.opened_ms, self.now_ms)
    }

    /// Whether this person may answer any of these now; if not, why.
    pub fn may_answer(&self, requirements: &[Requirement], person: &SpiffeId) -> Result<(), Barred> {
        let groups = || requirements.iter().map(|requirement| &*requirement.group);
        self.admit(
            person,
            groups().flat_map(|group| self.electors_now(group)),
            groups(),
        )
    }

    /// Whether this person may break the glass for any of these now; if not, why.
    pub fn may_break(&self, requirements: &[Requirement], person: &SpiffeId) -> Result<(), Barred> {
        let glass = || {
            requirements
                .iter()
                .filter_map(|requirement| self.glass(&requirement.group))
        };
        self.admit(
            person,
            glass().flat_map(|(group, glass)| self.breakers(group, glass)),
            glass().map(|(_, glass)| glass),
        )
    }

    /// The requirements that these people do not meet, and that those who broke the glass do not cover.
    pub fn unmet<'r>(
        &self,
        requirements: &'r [Requirement],
        yes: &[Yes],
        broken: &[Yes],
    ) -> Vec<&'r Requirement> {
        let unmet = requirements.iter().filter(|requirement| {
            !requirement.is_met_by(self.count(&requirement.group, yes))
                && !self.is_broken(&requirement.group, broken)
        });
        unmet.collect()
    }

    /// How many of these count as distinct people of the group.
    pub fn count(&self, group: &str, yes: &[Yes]) -> usize {
        let mut seats: BTreeMap<Person, BTreeSet<Person>> = BTreeMap::new();
        for elector in self.electors(group) {
            // A yes counts under the identity that the group names, and not under another of the same name.
            let is_said = yes
                .iter()
                .any(|yes| yes.by == elector.person && yes.at_ms >= elector.since_ms);
            if is_said {
                let seat = Person::of(&elector.seat);
                seats.entry(Person::of(&elector.person)).or_default().insert(seat);
            }
        }
        matched(&seats)
    }

    /// Whether those who broke the glass are enough for this group.
    pub fn is_broken(&self, group: &str, broken: &[Yes]) -> bool {
        let Some((_, glass)) = self.glass(group) else {
            return false;
        };
        let people: BTreeSet<Person> = self
            .may_ever_break(group, glass)
            .filter(|member| broken.iter().any(|yes| yes.by == **member))
            .map(Person::of)
            .collect();
        people.len() >= BREAKERS
    }

    /// Everybody whose being removed would change the answer: to be locked against that before it is given.
    pub fn depends_on<'y>(
        &'y self,
        requirements: &'y [Requirement],
        said: &'y [Yes],
    ) -> BTreeSet<&'y SpiffeId> {
        let mut ids: BTreeSet<&SpiffeId> = said.iter().map(|yes| &yes.by).collect();
        for asked in requirements
            .iter()
            .flat_map(|requirement| self.asked(&requirement.group))
        {
            let Some(group) = self.groups.get(&asked.group) else {
                continue;
            };
            let stood_for = group
                .deputies
                .iter()
                .filter(|(_, deputy)| said.iter().any(|yes| yes.by == **deputy));
            ids.extend(stood_for.map(|(member, _)| member));
        }
        ids
    }

    fn admit<'g>(
        &self,
        person: &SpiffeId,
        mut electors: impl Iterator<Item = Elector>,
        mut groups: impl Iterator<Item = &'g str>,
    ) -> Result<(), Barred> {
        if self.askers.include(person) {
            return Err(Barred::Asker);
        }
        if electors.any(|elector| elector.person == *person) {
            return Ok(());
        }
        let is_member = groups.any(|group| {
            self.asked(group).iter().any(|asked| {
                self.groups
                    .get(&asked.group)
                    .is_some_and(|group| group.members.contains(person))
            })
        });
        Err(match is_member {
            _ if self.away.contains(&Person::of(person)) => Barred::Away,
            true if self.is_owner(person) => Barred::Owner,
            _ => Barred::NotAsked,
        })
    }

    fn glass<'s>(&'s self, group: &'s str) -> Option<(&'s str, &'s str)> {
        let glass = self.groups.get(group)?.break_glass.as_deref()?;
        Some((group, glass))
    }

    fn may_ever_break<'s>(&'s self, group: &str, glass: &str) -> impl Iterator<Item = &'s SpiffeId> {
        let excludes = self.excludes([group, glass]);
        let members = self.groups.get(glass).map(|glass| glass.members.iter());
        members
            .into_iter()
            .flatten()
            .filter(move |member| !self.is_barred(member, &excludes))
    }

    fn breakers(&self, group: &str, glass: &str) -> Vec<Elector> {
        let members = self.may_ever_break(group, glass);
        let present = members.filter(|member| !self.away.contains(&Person::of(member)));
        let elector = |member: &SpiffeId| Elector {
            person: member.clone(),
            seat: member.clone(),
            group: glass.to_owned(),
            since_ms: self.opened_ms,
            why: None,
        };
        present.map(elector).collect()
    }

    fn asked(&self, group: &str) -> Vec<Asked> {
        asked(self.groups, group, self.opened_ms)
    }

    fn excludes(&self, groups: [&str; 2]) -> BTreeSet<Exclusion> {
        let named = groups.into_iter().filter_map(|group| self.groups.get(group));
        named.flat_map(|group| group.excludes.iter().copied()).collect()
    }

    fn is_barred(&self, person: &SpiffeId, excludes: &BTreeSet<Exclusion>) -> bool {
        self.askers.include(person)
            || self.removed.contains(person)
            || excludes.contains(&Exclusion::AgentOwner) && self.is_owner(person)
    }

    /// An agent's owner is a person, or a team: then everybody in the group of that name.
    fn is_owner(&self, person: &SpiffeId) -> bool {
        let is_in = |group: &Group| {
            group
                .members
                .iter()
                .any(|member| Person::of(member) == Person::of(person))
        };
        self.owners
            .iter()
            .any(|owner| is_same_person(owner, person.name()) || self.groups.get(owner).is_some_and(is_in))
    }
}

/// A group that is asked, from when on, and why.
#[derive(Debug, Clone)]
struct Asked {
    group: String,
    since_ms: u64,
    why: Option<Why>,
}

/// How many people have a seat each, if they are seated as well as can be.
fn matched(seats: &BTreeMap<Person, BTreeSet<Person>>) -> usize {
    let mut taken: BTreeMap<&Person, &Person> = BTreeMap::new();
    let seated = |taken: &mut _, person| seat(person, seats, taken, &mut BTreeSet::new());
    seats.keys().filter(|person| seated(&mut taken, *person)).count()
}

/// Seats a person; whoever has the seat moves to another one of theirs, if there is one.
fn seat<'a>(
    person: &'a Person,
    seats: &'a BTreeMap<Person, BTreeSet<Person>>,
    taken: &mut BTreeMap<&'a Person, &'a Person>,
    tried: &mut BTreeSet<&'a Person>,
) -> bool {
    for wanted in seats.get(person).into_iter().flatten() {
        if !tried.insert(wanted) {
            continue;
        }
        let is_free = match taken.get(wanted).copied() {
            None => true,
            Some(other) => seat(other, seats, taken, tried),
        };
        if is_free {
            taken.insert(wanted, person);
            return true;
        }
    }
    false
}

/// The other groups that are asked as well of a hold that was opened then: which, since when, why. It does not matter for this who
/// asked, who is there, or who said what.
pub fn escalated(
    groups: &BTreeMap<String, Group>,
    group: &str,
    opened_ms: u64,
    now_ms: u64,
) -> Vec<(String, u64, Why)> {
    let also = asked(groups, group, opened_ms).into_iter().filter_map(|asked| {
        let why = asked.why?;
        (asked.since_ms <= now_ms).then_some((asked.group, asked.since_ms, why))
    });
    also.collect()
}

/// The group that a rule names, and those that are asked as well, each from its first moment on.
fn asked(groups: &BTreeMap<String, Group>, group: &str, opened_ms: u64) -> Vec<Asked> {
    let mut asked = vec![Asked {
        group: group.to_owned(),
        since_ms: opened_ms,
        why: None,
    }];
    let mut at = 0;
    while let Some(one) = asked.get(at).cloned() {
        at += 1;
        let Some(named) = groups.get(&one.group) else {
            continue;
        };
        for (to, since_ms, why) in named.asks(one.since_ms) {
            match asked.iter_mut().find(|known| known.group == to) {
                // By two ways: by the earlier one.
                Some(known) if known.why.is_some() && since_ms < known.since_ms => {
                    (known.since_ms, known.why) = (since_ms, Some(why));
                    // What it asks in turn is asked earlier too.
                    at = 0;
                }
                Some(_) => {}
                None => asked.push(Asked {
                    group: to.to_owned(),
                    since_ms,
                    why: Some(why),
                }),
            }
        }
    }
    asked
}

#[cfg(test)]
mod tests;
