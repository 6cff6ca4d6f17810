//! A person's word on a hold.

use checkrein_shared::action::Sha256;
use checkrein_shared::hold::{Elector, Hold, State, Step, Terms, Yes};
use checkrein_shared::id::{HoldId, StandingId};
use checkrein_shared::identity::SpiffeId;

use super::group::{Moment, Said};
use super::{HoldError, Holds, announce, glass, standing, step, store, sweep};
use crate::database::Transaction;
use crate::task::{self, Task};

/// A vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// On what.
    pub hold: HoldId,
    /// Whose.
    pub approver: SpiffeId,
    /// Yes or no.
    pub approve: bool,
    /// The hash of what they were shown.
    pub shown: Sha256,
    /// Why.
    pub reason: String,
    /// What else they let happen.
    pub terms: Option<Terms>,
    /// As whom they answer; found out when the vote is counted.
    pub(super) capacity: Option<Elector>,
}

impl Vote {
    /// A vote without terms.
    pub const fn new(hold: HoldId, approver: SpiffeId, shown: Sha256, approve: bool, reason: String) -> Self {
        Self {
            hold,
            approver,
            approve,
            shown,
            reason,
            terms: None,
            capacity: None,
        }
    }
}

impl Holds {
    /// Counts a vote. The first no ends an open hold, and takes back an approval that has not been used, and with it whatever
    /// else waits in the task for the same tool on the same resource; the last yes that was needed approves it. The same vote again changes nothing; another vote replaces it while the hold is open.
    pub async fn vote(&self, mut vote: Vote) -> Result<Hold, HoldError> {
        let tx = self.database.begin("hold.vote").await?;
        // What else happens is between the task's end and its uses: one or the other comes first.
        let task = match &vote.terms {
            Some(_) => Some(lock_task(&tx, vote.hold).await?),
            None => None,
        };
        let siblings = if vote.approve {
            Vec::new()
        } else {
            lock_class(&tx, vote.hold).await?
        };
        let held = store::lock(&tx, vote.hold)
            .await?
            .ok_or(HoldError::NotFound(vote.hold))?;
        vote.terms = standing::terms_of(&tx, &held.hold, vote.terms.take()).await?;
        if has_voted_so(&held.hold, &vote) {
            return Ok(held.hold);
        }
        if held.hold.action_sha256 != vote.shown {
            return Err(HoldError::OtherBytes(held.hold.id));
        }
        let mut said = Said::of(&held.hold);
        if vote.approve {
            said.yes.push(Yes {
                by: vote.approver.clone(),
                at_ms: 0,
            });
        }
        let moment = Moment::load(&tx, &held.hold, &held.hold.requirements, &said).await?;
        moment.may_answer(&vote.approver)?;
        vote.capacity = moment.capacity(&vote.approver);
        let in_time = match (held.is_late, vote.approve) {
            (true, _) => false,
            (false, true) => {
                let given = task.as_ref().map(|task| (StandingId::new(&*self.clock), task));
                approve(&tx, (&held.hold, &moment), &vote, given).await?
            }
            (false, false) => {
                deny(&tx, &held.hold, &vote).await?;
                standing::end_of_class(&tx, &vote).await?;
                cancel_siblings(&tx, &siblings, &vote.reason).await?;
                true
            }
        };
        if !in_time {
            let (state, said) = (held.hold.state, sweep::said(held.hold.state));
            step(&tx, vote.hold, state.after(Step::Expire)?, said).await?;
            tx.commit().await?;
            return Err(HoldError::TooLate(vote.hold));
        }
        let hold = store::find(&tx, vote.hold)
            .await?
            .ok_or(HoldError::NotFound(vote.hold))?;
        tx.commit().await?;
        Ok(hold)
    }
}

/// Counts a yes; false if time ran out meanwhile, and the yes does not count.
async fn approve(
    tx: &Transaction,
    (hold, moment): (&Hold, &Moment<'_>),
    vote: &Vote,
    given: Option<(StandingId, &Task)>,
) -> Result<bool, HoldError> {
    let approved = hold.state.after(Step::Approve)?;
    let mut said = Said::of(hold);
    said.yes.push(Yes {
        by: vote.approver.clone(),
        at_ms: moment.now_ms,
    });
    let electorate = moment.electorate();
    let unmet = electorate.unmet(&hold.requirements, &said.yes, &said.broken);
    if !unmet.is_empty() {
        store::record_vote(tx, vote).await?;
        store::bump_version(tx, hold.id).await?;
        return Ok(true);
    }
    if !store::approve(tx, hold.id, approved).await? {
        return Ok(false);
    }
    store::record_vote(tx, vote).await?;
    if glass::is_needed(tx, hold, &electorate, &said).await? {
        announce(tx, hold.id, glass::BROKEN).await?;
        return Ok(true);
    }
    if let Some((id, task)) = given {
        standing::give(tx, id, (hold, task), vote).await?;
    }
    announce(tx, hold.id, "").await?;
    Ok(true)
}

async fn deny(tx: &Transaction, hold: &Hold, vote: &Vote) -> Result<(), HoldError> {
    let next = hold.state.after(Step::Deny)?;
    store::record_vote(tx, vote).await?;
    store::set_denial(tx, hold.id, &vote.reason).await?;
    step(tx, hold.id, next, &vote.reason).await?;
    Ok(())
}

/// A no is for the whole class: the task is locked, so that nothing of the class is opened or used meanwhile, and then
/// everything of it that waits, this hold among the rest, in the one order of holds. Gives the others.
async fn lock_class(tx: &Transaction, id: HoldId) -> Result<Vec<(HoldId, State)>, HoldError> {
    lock_task(tx, id).await?;
    let mut class = store::lock_waiting_of_class(tx, id).await?;
    class.retain(|(other, _)| *other != id);
    Ok(class)
}

async fn lock_task(tx: &Transaction, id: HoldId) -> Result<Task, HoldError> {
    let task = store::task_of(tx, id).await?.ok_or(HoldError::NotFound(id))?;
    task::lock(tx, task).await?.ok_or(HoldError::NotFound(id))
}

/// Ends what waits for the same thing, under whatever call or amount: the answer to it was given.
async fn cancel_siblings(
    tx: &Transaction,
    siblings: &[(HoldId, State)],
    said: &str,
) -> Result<(), HoldError> {
    let reason = denied_before(said);
    for (id, state) in siblings {
        let next = state.after(Step::Cancel)?;
        store::set_denial(tx, *id, &reason).await?;
        step(tx, *id, next, &reason).await?;
    }
    Ok(())
}

/// What the agent is told of everything else in the class.
pub(super) fn denied_before(said: &str) -> String {
    let said = if said.is_empty() {
        String::new()
    } else {
        format!(" (`{said}`)")
    };
    format!("a person said no to this tool on this resource in this task{said}; it will not be asked again")
}

fn has_voted_so(hold: &Hold, vote: &Vote) -> bool {
    hold.action_sha256 == vote.shown
        && hold.votes.iter().any(|before| {
            before.approver == vote.approver && before.approve == vote.approve && before.terms == vote.terms
        })
}

/// Whether a hold in this state still waits for an answer.
pub(super) const fn waits(state: State) -> bool {
    matches!(state, State::Open)
}
