//! Using an approval: once, in time, for the very bytes, under the newest policy.

use checkrein_shared::action::Sha256;
use checkrein_shared::decision::Cause;
use checkrein_shared::grant::Chain;
use checkrein_shared::hold::{Hold, Requirement, State, Step};
use checkrein_shared::id::{DecisionId, Generation, HoldId, InstanceId, ProofId};
use checkrein_shared::ledger::{Amounts, Ledger};
use checkrein_shared::policy::Reversibility;

use super::{HoldError, Holds, Refusal, announce, group, standing, step, store, sweep, vote};
use crate::database::{FeedName, Transaction};
use crate::fleet;
use crate::task::{self, Counted, Release, Released, Spending, Task, Waiting};

/// An enforcer that is about to release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consume {
    /// Whose approval.
    pub hold: HoldId,
    /// The enforcer's name.
    pub enforcer: String,
    /// Recomputed from the bytes about to be sent.
    pub action: Sha256,
    /// The generation under which it was judged again.
    pub generation: Generation,
    /// From which directory the enforcer runs.
    pub instance: InstanceId,
    /// Which opening of it this is.
    pub incarnation: u64,
    /// The grant under which it was, with all that was narrowed from.
    pub presented: String,
    /// The proof of possession that came with the call.
    pub proof: Option<ProofId>,
    /// What the rules demand now.
    pub requirements: Vec<Requirement>,
    /// The revision of the task's ledger that it was judged by; none: no rule looked at it.
    pub ledger_revision: Option<u64>,
    /// The class of the tool.
    pub reversibility: Reversibility,
    /// What the call uses up at most.
    pub cost: Amounts,
    /// The enforcer's name for this attempt, under which it may give it back; none: it never does.
    pub attempt: Option<DecisionId>,
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsumeAnswer {
    /// Release it.
    Consumed {
        /// Until when.
        use_by_ms: u64,
        /// Who said yes.
        approvers: Vec<String>,
        /// Who broke the glass; nobody: it was approved without.
        broken_by: Vec<String>,
    },
    /// Judge again; the approval is intact.
    Refresh {
        /// Under this generation.
        newest: Generation,
        /// By this; none: by what it was judged by already.
        ledger: Option<Ledger>,
    },
    /// The approval can't be used.
    Refused(Refusal),
    /// Calls under way hold what it takes, in these budgets, and may give it back; the approval is intact. In a sentence.
    Busy(Vec<String>, String),
}

impl Holds {
    /// Uses an approval up, if hold, deadline, task, bytes, approvers and policy all still stand.
    /// One that takes what calls under way may give back waits for that, in its turn.
    pub async fn consume(&self, consume: &Consume) -> Result<ConsumeAnswer, HoldError> {
        let mut waiting = Waiting::of(&self.database, consume.hold.uuid());
        loop {
            let (keys, said) = match self.consume_now(consume).await? {
                ConsumeAnswer::Busy(keys, said) => (keys, said),
                answer => {
                    waiting.leave().await?;
                    return Ok(answer);
                }
            };
            if !waiting.turn(&keys).await? {
                return Ok(refused((Cause::Budget, said)));
            }
        }
    }

    async fn consume_now(&self, consume: &Consume) -> Result<ConsumeAnswer, HoldError> {
        let tx = self.database.begin("hold.consume").await?;
        let task = store::task_of(&tx, consume.hold)
            .await?
            .ok_or(HoldError::NotFound(consume.hold))?;
        // Alone, so that what the task has done does not change until this is counted in it.
        let of = task::lock(&tx, task)
            .await?
            .ok_or(HoldError::NotFound(consume.hold))?;
        let held = store::lock(&tx, consume.hold)
            .await?
            .ok_or(HoldError::NotFound(consume.hold))?;
        let hold = &held.hold;
        if hold.enforcer.name() != consume.enforcer {
            return Err(HoldError::OtherEnforcer(hold.id));
        }
        let presented = (&*consume.enforcer, &*consume.presented);
        let chain = match task::believe(&tx, &self.authority, presented, &of).await? {
            Ok(chain) => chain,
            Err(objection) => return Ok(refused(objection)),
        };
        if hold.action.agent != chain.leaf().agent || hold.action.delegated_by != chain.delegators() {
            return Err(HoldError::OtherTask(of.id));
        }
        if hold.state != State::Approved {
            return Ok(refused(not_approved(hold)));
        }
        if let Some(attempt) = consume.attempt
            && task::was_returned(&tx, of.id, attempt.uuid()).await?
        {
            let reason = "the enforcer gave this attempt up; the approval is untouched".to_owned();
            return Ok(refused((Cause::ControlPlaneUnreachable, reason)));
        }
        if hold.action_sha256 != consume.action {
            let reason =
                "the action about to be sent is not the one that was approved; the approval is untouched";
            return Ok(refused((Cause::ActionChanged, reason.to_owned())));
        }
        if held.is_late {
            return lapsed(tx, hold).await;
        }
        if let Some(said) = store::denial_of_class(&tx, hold.id).await? {
            return Ok(refused((Cause::DeniedBefore, vote::denied_before(&said))));
        }
        // Shared, so that a push that forbids it is either seen here or answered after this release.
        let newest = Generation(tx.share(FeedName::Policy).await?);
        if !task::is_live(&tx, task).await? {
            return Ok(refused((Cause::TaskEnded, "the task has ended".to_owned())));
        }
        let is_news = consume
            .ledger_revision
            .is_some_and(|revision| revision != of.ledger_revision);
        if newest != consume.generation || is_news {
            return refresh(&tx, (newest, &of), consume.ledger_revision).await;
        }
        let latest = fleet::share_incarnation(&tx, &consume.enforcer, consume.instance).await?;
        if latest.is_some_and(|latest| latest > consume.incarnation) {
            return Err(HoldError::Fenced(consume.incarnation));
        }
        consume_approved(tx, hold, consume, (&of, &chain)).await
    }
}

async fn consume_approved(
    tx: Transaction,
    hold: &Hold,
    consume: &Consume,
    (of, chain): (&Task, &Chain),
) -> Result<ConsumeAnswer, HoldError> {
    let yes = || {
        hold.votes
            .iter()
            .filter(|vote| vote.approve)
            .map(|vote| &vote.approver)
    };
    if let Some(reason) = standing::objection(&tx, hold, &consume.requirements, of).await? {
        step(&tx, hold.id, hold.state.after(Step::Deny)?, &reason).await?;
        tx.commit().await?;
        return Ok(refused((Cause::HoldCancelled, reason)));
    }
    if let Some(missing) = group::unmet(&tx, hold, &consume.requirements).await?.first() {
        let reason = format!(
            "rule `{}` now wants {} of `{}`: ask again",
            missing.rule, missing.quorum, missing.group
        );
        step(&tx, hold.id, hold.state.after(Step::Deny)?, &reason).await?;
        tx.commit().await?;
        return Ok(refused((Cause::HoldCancelled, reason)));
    }
    if !store::consume(&tx, consume, hold.state.after(Step::Consume)?).await? {
        return lapsed(tx, hold).await;
    }
    let release = Release {
        id: hold.id.uuid(),
        proof: consume.proof,
        counted: Some(Counted {
            tool: hold.action.tool.clone(),
            reversibility: consume.reversibility,
        }),
        spending: Spending {
            cost: consume.cost,
            tool: hold.action.tool.clone(),
            enforcer: consume.enforcer.clone(),
            instance: consume.instance,
            incarnation: consume.incarnation,
        },
        slice: None,
    };
    // Not committed unless it goes ahead: the approval is untouched.
    match task::release(&tx, (of, chain), &release).await? {
        Released::Ahead(_) => {}
        Released::Exhausted => return Ok(refused((Cause::Budget, chain.used_up()))),
        Released::Refused(objection) => return Ok(refused(objection)),
        Released::Busy(keys, said) => return Ok(ConsumeAnswer::Busy(keys, said)),
    }
    announce(&tx, hold.id, "").await?;
    tx.commit().await?;
    let approvers = yes().map(ToString::to_string).collect();
    let breaks = hold.breaks.iter().filter(|_| hold.broken_ms.is_some());
    Ok(ConsumeAnswer::Consumed {
        use_by_ms: hold.use_by_ms.unwrap_or_default(),
        approvers,
        broken_by: breaks.map(|one| one.approver.to_string()).collect(),
    })
}

/// What to judge again by.
async fn refresh(
    tx: &Transaction,
    (newest, of): (Generation, &Task),
    judged_by: Option<u64>,
) -> Result<ConsumeAnswer, HoldError> {
    if judged_by == Some(of.ledger_revision) {
        let ledger = None;
        return Ok(ConsumeAnswer::Refresh { newest, ledger });
    }
    Ok(match task::known(tx, of.id).await? {
        Ok(ledger) => ConsumeAnswer::Refresh {
            newest,
            ledger: Some(ledger),
        },
        Err(objection) => refused(objection),
    })
}

async fn lapsed(tx: Transaction, hold: &Hold) -> Result<ConsumeAnswer, HoldError> {
    let next = hold.state.after(Step::Expire)?;
    step(&tx, hold.id, next, sweep::said(hold.state)).await?;
    tx.commit().await?;
    let reason = "the approval was not used in time; ask again".to_owned();
    Ok(refused((Cause::HoldLapsed, reason)))
}

fn not_approved(hold: &Hold) -> (Cause, String) {
    let said = &hold.denial_reason;
    match hold.state {
        State::Open => (Cause::HoldCancelled, "nobody has approved it".to_owned()),
        State::Denied => (Cause::DeniedByPerson, format!("a person said no: {said}")),
        State::Expired => (Cause::HoldExpired, "nobody answered in time".to_owned()),
        State::Lapsed => (Cause::HoldLapsed, "the approval was not used in time".to_owned()),
        State::Withdrawn if said.is_empty() => {
            (Cause::HoldCancelled, "the approval no longer suffices".to_owned())
        }
        State::Withdrawn => (
            Cause::DeniedByPerson,
            format!("the approval was taken back: {said}"),
        ),
        State::Cancelled if said.is_empty() => (Cause::HoldCancelled, "the hold was cancelled".to_owned()),
        State::Cancelled => (Cause::DeniedBefore, said.clone()),
        _ => (
            Cause::AlreadyReleased,
            "the approval was used already; it is good for one release".to_owned(),
        ),
    }
}

fn refused((cause, reason): (Cause, String)) -> ConsumeAnswer {
    ConsumeAnswer::Refused(Refusal { cause, reason })
}
