//! Who is to be told of a hold beside the groups that its rules name: groups that are asked as well by now, and whoever may
//! break the glass once somebody wants to. No step of the hold marks these moments, so they are looked for.
//!
//! **Invariant**: a further group is found only while the group that it is asked for is not enough, by the rules and the clock
//! that votes are counted by.

use std::collections::{BTreeMap, BTreeSet};

use checkrein_shared::hold::{Group, State, Why, escalated};
use checkrein_shared::id::HoldId;

use super::super::group::{Moment, Said};
use super::super::store;
use crate::database::{DatabaseError, Transaction};

/// A group that is asked beside one that a rule names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Further {
    /// Of which hold.
    pub hold: HoldId,
    /// Which.
    pub group: String,
    /// The group that the rule names.
    pub beside: String,
    /// From when on.
    pub since_ms: u64,
    /// How long the hold had waited then.
    pub after_ms: u64,
    /// Why.
    pub why: Why,
}

/// The first who wants to break the glass for a hold that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GlassRequest {
    /// For which hold.
    pub hold: HoldId,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at_ms: u64,
}

/// What is known without asking who is there, who asked, or who said what.
#[derive(Debug)]
pub(in super::super) struct Sketch {
    pub hold: HoldId,
    pub groups: Vec<String>,
    pub opened_ms: u64,
    pub now_ms: u64,
}

/// The further groups of these holds that are asked by now and are not among those told of each; at most so many.
pub(crate) async fn further(
    tx: &Transaction,
    told: &BTreeMap<HoldId, Vec<String>>,
    most: usize,
) -> Result<Vec<Further>, DatabaseError> {
    let sketches = store::sketches(tx, &told.keys().copied().collect::<Vec<_>>()).await?;
    let names: BTreeSet<&str> = sketches
        .iter()
        .flat_map(|sketch| &sketch.groups)
        .map(String::as_str)
        .collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let groups = store::groups(tx, &names.into_iter().collect::<Vec<_>>()).await?;
    let mut found = Vec::new();
    for sketch in &sketches {
        let told = told.get(&sketch.hold).map_or(&[][..], Vec::as_slice);
        // What decides takes a handful of questions for each hold, so they are asked only where somebody may be new.
        if sketch.asks(&groups).any(|group| !told.contains(&group)) {
            found.extend(asked(tx, sketch.hold, told).await?);
        }
        if found.len() >= most {
            break;
        }
    }
    Ok(found)
}

/// Those of these holds for which somebody wants to break the glass.
pub(crate) async fn glass_requests(
    tx: &Transaction,
    holds: &[HoldId],
    most: i64,
) -> Result<Vec<GlassRequest>, DatabaseError> {
    store::glass_requests(tx, holds, most).await
}

/// The further groups of one hold that are asked by now, but for these.
async fn asked(tx: &Transaction, id: HoldId, told: &[String]) -> Result<Vec<Further>, DatabaseError> {
    let Some(hold) = store::find(tx, id)
        .await?
        .filter(|hold| hold.state == State::Open)
    else {
        return Ok(Vec::new());
    };
    let moment = Moment::read(tx, &hold, &hold.requirements).await?;
    let electorate = moment.electorate();
    let said = Said::of(&hold);
    let mut found: Vec<Further> = Vec::new();
    for unmet in electorate.unmet(&hold.requirements, &said.yes, &said.broken) {
        for (group, since_ms, why) in electorate.escalated(&unmet.group) {
            let is_known = told.contains(&group)
                || hold.requirements.iter().any(|named| named.group == group)
                || found.iter().any(|other| other.group == group);
            if !is_known {
                found.push(Further {
                    hold: id,
                    group,
                    beside: unmet.group.clone(),
                    since_ms,
                    after_ms: since_ms.saturating_sub(hold.opened_ms),
                    why,
                });
            }
        }
    }
    Ok(found)
}

impl Sketch {
    /// The further groups that are asked by now, whoever has answered.
    fn asks<'a>(&'a self, groups: &'a BTreeMap<String, Group>) -> impl Iterator<Item = String> + 'a {
        let further = |group: &String| escalated(groups, group, self.opened_ms, self.now_ms);
        let asked = self.groups.iter().flat_map(further).map(|(group, ..)| group);
        asked.filter(|group| !self.groups.contains(group))
    }
}
