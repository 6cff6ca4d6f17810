//! Standing approvals: given with the approval of one hold, used for holds that are like it, ended for many reasons.
//!
//! ```text
//! give <-- the vote that approves a hold, if everyone who approved gave terms: the tightest of all
//! use  <-- open, of an action that is like the one that was shown: a hold of its own, approved as it is opened
//! end  <-- revoke, a no to the class, the task's end or amendment, its people no longer enough; its time, its count
//! ```
//!
//! A use is charged when it approves a hold. It stays charged, whatever becomes of that: the same call finds its hold again.
//!
//! **Invariant**: every step holds the task, alone or with the counter of holds, so that a use is before an end or not at all.
//! Whatever is not like what was shown, in each respect, waits for people.

use std::collections::BTreeSet;

use checkrein_shared::action::Arguments;
use checkrein_shared::hold::{Bounds, Hold, Requirement, State, Step, Terms};
use checkrein_shared::id::{HoldId, StandingId, TaskId};
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::label::Label;

use super::group::{Said, unmet_by};
use super::store::standing as store;
use super::vote::Vote;
use super::{HoldError, Holds, Open, announce, step};
use crate::database::{DatabaseError, Transaction};
use crate::task::{self, Task};

/// So many in force in a task are looked at, the latest first; with more, people are asked.
pub(super) const CANDIDATES_MAX: i64 = 100;
/// So many holds that came from one are shown, the latest first. It can't have more.
pub(super) const USES_MAX: i64 = 100;

/// A standing approval. What it is of is its hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its id.
    pub id: StandingId,
    /// The hold with whose approval it came into force.
    pub hold: HoldId,
    /// Within which task.
    pub task: TaskId,
    /// Of the task when it was given.
    pub epoch: u64,
    /// How far arguments may differ from those of its hold.
    pub bounds: Bounds,
    /// The labels that the task may carry.
    pub labels: BTreeSet<Label>,
    /// Who gave it.
    pub approvers: Vec<SpiffeId>,
    /// How often it may be used.
    pub times: u32,
    /// How often it was.
    pub used: u32,
    /// When it was given.
    pub given_ms: u64,
    /// Until when it lasts.
    pub until_ms: u64,
    /// Whether that moment has passed, by the database's clock.
    pub is_over: bool,
    /// Why it ended before.
    pub ended: Option<End>,
}

/// The end of a standing approval before its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// When.
    pub at_ms: u64,
    /// Who ended it; none: what it rests on changed.
    pub by: Option<SpiffeId>,
    /// Why.
    pub reason: String,
}

/// A hold that a standing approval approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// Which.
    pub hold: HoldId,
    /// Where it stands.
    pub state: State,
    /// When it was opened, and so approved.
    pub opened_ms: u64,
}

impl Holds {
    /// Ends a standing approval, and withdraws what it approved and is not released. Ending it again changes nothing.
    pub async fn revoke_standing(
        &self,
        by: &SpiffeId,
        id: StandingId,
        reason: &str,
    ) -> Result<(Standing, Vec<HoldId>), HoldError> {
        let tx = self.database.begin("hold.revoke_standing").await?;
        let gone = || HoldError::NoStanding(id);
        let found = store::find(&tx, id).await?.ok_or_else(gone)?;
        task::lock(&tx, found.task).await?;
        // As it stands now that nobody changes it.
        let found = store::find(&tx, id).await?.ok_or_else(gone)?;
        if found.ended.is_some() {
            return Ok((found, Vec::new()));
        }
        store::end(&tx, id, Some(by), reason).await?;
        let withdrawn = withdraw(&tx, &[id], &revoked(reason)).await?;
        let ended = store::find(&tx, id).await?.ok_or_else(gone)?;
        tx.commit().await?;
        Ok((ended, withdrawn))
    }
}

/// The terms of a vote as they count: of the labels that it names, those that the task carries. Refused if they cover more
/// than an approver may allow.
pub(super) async fn terms_of(
    tx: &Transaction,
    hold: &Hold,
    terms: Option<Terms>,
) -> Result<Option<Terms>, HoldError> {
    let Some(mut terms) = terms else { return Ok(None) };
    terms.check(&arguments(hold)?, &hold.fixed)?;
    let carried = carried(tx, hold.action.task).await?;
    terms.labels.retain(|label| carried.contains(label));
    Ok(Some(terms))
}

/// Gives what everyone who approved this hold lets happen, if each of them said so: to be called by the vote that approves it,
/// with the task locked.
pub(super) async fn give(
    tx: &Transaction,
    id: StandingId,
    (hold, task): (&Hold, &Task),
    vote: &Vote,
) -> Result<(), HoldError> {
    let Some(mut terms) = vote.terms.clone() else {
        return Ok(());
    };
    let held = arguments(hold)?;
    let mut approvers = vec![vote.approver.clone()];
    let others = hold.votes.iter().filter(|other| other.approver != vote.approver);
    for other in others.filter(|other| other.approve) {
        let both = other.terms.as_ref().and_then(|other| terms.meet(other, &held));
        let Some(both) = both else { return Ok(()) };
        terms = both;
        approvers.push(other.approver.clone());
    }
    Ok(store::insert(tx, id, (hold.id, task), (&terms, &approvers)).await?)
}

/// Uses a standing approval for an action that is about to be held, if one covers it. Charged; the hold is to be opened and
/// then approved in this transaction.
pub(super) async fn charge(
    tx: &Transaction,
    open: &Open,
    task: &Task,
) -> Result<Option<Standing>, HoldError> {
    let candidates = store::candidates(tx, task, open).await?;
    if candidates.is_empty() {
        return Ok(None);
    }
    let Ok(asked) = Arguments::parse(open.action.arguments.0.as_bytes()) else {
        return Ok(None);
    };
    let carried = carried(tx, task.id).await?;
    for standing in candidates {
        let given = super::store::find(tx, standing.hold)
            .await?
            .ok_or(HoldError::NotFound(standing.hold))?;
        let covers = given.fixed == open.fixed
            && is_same_demand(&given.requirements, &open.requirements)
            && standing.bounds.admit(&arguments(&given)?, &asked)
            && carried.is_subset(&standing.labels);
        if !covers {
            continue;
        }
        let said = Said::of(&given).by(&standing.approvers);
        if !unmet_by(tx, &given, &given.requirements, &said).await?.is_empty() {
            // What it approved is withdrawn when it is to be released: here the counter is locked, and holds come before it.
            store::end(
                tx,
                standing.id,
                None,
                "the people who gave it are no longer enough",
            )
            .await?;
            continue;
        }
        if store::charge(tx, standing.id).await? {
            return Ok(Some(standing));
        }
    }
    Ok(None)
}

/// Approves a hold that was just opened with the word of those who gave a standing approval, which was charged for it.
pub(super) async fn approve(tx: &Transaction, hold: HoldId, by: &Standing) -> Result<(), HoldError> {
    let approved = State::Open.after(Step::Approve)?;
    store::approve_by(tx, hold, approved, by).await?;
    announce(tx, hold, "").await?;
    Ok(())
}

/// Why a hold that a standing approval approved is not released, whatever else stands.
pub(super) async fn objection(
    tx: &Transaction,
    hold: &Hold,
    demanded: &[Requirement],
    task: &Task,
) -> Result<Option<String>, HoldError> {
    let Some(id) = hold.standing else { return Ok(None) };
    let standing = store::find(tx, id).await?.ok_or(HoldError::NoStanding(id))?;
    if let Some(end) = &standing.ended {
        return Ok(Some(revoked(&end.reason)));
    }
    if standing.is_over || standing.epoch != task.epoch {
        return Ok(Some("the standing approval is over: ask again".to_owned()));
    }
    if !is_same_demand(&hold.requirements, demanded) {
        let reason = "what the rules demand is not what the standing approval was given for: ask again";
        return Ok(Some(reason.to_owned()));
    }
    let carried = carried(tx, task.id).await?;
    let more: Vec<&str> = carried.difference(&standing.labels).map(Label::as_str).collect();
    Ok((!more.is_empty()).then(|| {
        let more = more.join(", ");
        format!("the task carries {more} since the standing approval was given: ask again")
    }))
}

/// Ends all standing approvals of a locked task, and withdraws what they approved and is not released.
pub(super) async fn end_of_task(tx: &Transaction, task: TaskId, reason: &str) -> Result<(), DatabaseError> {
    let ended = store::end_of_task(tx, task, reason).await?;
    if !ended.is_empty() {
        withdraw(tx, &ended, &revoked(reason)).await?;
    }
    Ok(())
}

/// Ends those of the class of a hold that was denied, whose task is locked. What they approved ends with the class.
pub(super) async fn end_of_class(tx: &Transaction, vote: &Vote) -> Result<(), DatabaseError> {
    let reason = if vote.reason.is_empty() {
        "a person said no to the same".to_owned()
    } else {
        format!("a person said no to the same (`{}`)", vote.reason)
    };
    store::end_of_class(tx, vote.hold, &vote.approver, &reason).await
}

/// Which arguments say what a tool acts on, from the class of a denial: `<tool> <argument>=<value>`. If more than one can be
/// meant, all are.
pub(super) fn fixed(class: &str, tool: &str, arguments: &str) -> Vec<String> {
    let resource = class.strip_prefix(tool).and_then(|rest| rest.strip_prefix(' '));
    let (Some(resource), Ok(arguments)) = (resource, Arguments::parse(arguments.as_bytes())) else {
        return Vec::new();
    };
    let is_meant = |name: &str| {
        resource
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('='))
    };
    arguments
        .members()
        .map(|(name, _)| name)
        .filter(|name| is_meant(name))
        .map(ToOwned::to_owned)
        .collect()
}

/// The same rules, asking the same people, as many of them.
fn is_same_demand(one: &[Requirement], other: &[Requirement]) -> bool {
    let of = |requirements: &[Requirement]| -> BTreeSet<(String, String, u32)> {
        requirements
            .iter()
            .map(|demand| (demand.rule.clone(), demand.group.clone(), demand.quorum))
            .collect()
    };
    of(one) == of(other)
}

/// Withdraws what these approved and is not released. All are locked before the first step.
async fn withdraw(tx: &Transaction, ids: &[StandingId], reason: &str) -> Result<Vec<HoldId>, DatabaseError> {
    let mut withdrawn = Vec::new();
    for (id, state) in store::lock_unused(tx, ids).await? {
        if let Ok(next) = state.after(Step::Deny) {
            step(tx, id, next, reason).await?;
            withdrawn.push(id);
        }
    }
    Ok(withdrawn)
}

fn revoked(reason: &str) -> String {
    format!("the standing approval was ended ({reason}): ask again")
}

/// A held action's arguments, as they were shown.
pub(super) fn arguments(hold: &Hold) -> Result<Arguments, HoldError> {
    let text = hold.action.arguments.0.as_bytes();
    Arguments::parse(text).map_err(|_| HoldError::TooWide(checkrein_shared::hold::TooWide::Unreadable))
}

async fn carried(tx: &Transaction, task: TaskId) -> Result<BTreeSet<Label>, DatabaseError> {
    let carried = task::carried(tx, task).await?;
    Ok(carried.into_iter().map(|carried| carried.label).collect())
}
