//! Opening a hold, or finding the one this very call already has.

use checkrein_shared::action::{ActionIdentity, Sha256};
use checkrein_shared::decision::Cause;
use checkrein_shared::grant::Chain;
use checkrein_shared::hold::{Hold, OPEN_HOLDS_MAX, Requirement, State};
use checkrein_shared::id::{DecisionId, Generation, HoldId};
use checkrein_shared::policy::Reversibility;

use super::{HoldError, Holds, Refusal, announce, standing, store, vote};
use crate::database::FeedName;
use crate::task::{self, Task, TaskState};

/// An action that has to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The enforcer's name.
    pub enforcer: String,
    /// The decision that held it.
    pub decision: DecisionId,
    /// The caller's own name for the call.
    pub call_id: String,
    /// What waits.
    pub action: ActionIdentity,
    /// For whom; never empty.
    pub requirements: Vec<Requirement>,
    /// The generation of the decision.
    pub generation: Generation,
    /// The grant it came with, with all that was narrowed from.
    pub presented: String,
    /// Where the task runs.
    pub environment: String,
    /// What the user wants.
    pub intent: String,
    /// Why it is held.
    pub reason: String,
    /// Hash over the tool and its resource.
    pub denial_class: Sha256,
    /// Whether it can be undone; none: nobody said.
    pub reversibility: Option<Reversibility>,
    /// The arguments that say what the tool acts on.
    pub fixed: Vec<String>,
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenAnswer {
    /// It waits, or did before.
    Held(Box<Hold>),
    /// It may not even wait.
    Refused(Refusal),
}

impl Holds {
    /// Holds an action. The same call of the same action finds its hold, whatever has become of it, so that a retry never
    /// asks people twice.
    pub async fn open(&self, open: Open) -> Result<OpenAnswer, HoldError> {
        let tx = self.database.begin("hold.open").await?;
        let Some(task) = task::share(&tx, open.action.task).await? else {
            return Ok(refused(Cause::TaskEnded, "there is no such task".to_owned()));
        };
        let presented = (&*open.enforcer, &*open.presented);
        let chain = match task::believe(&tx, &self.authority, presented, &task).await? {
            Ok(chain) => chain,
            Err((cause, reason)) => return Ok(refused(cause, reason)),
        };
        may_open(&open, &task, &chain)?;
        // Before the counter, as whoever counts votes does: a standing approval is counted below.
        store::share_absences(&tx).await?;
        // From here on nobody else opens: the counts below are exact.
        tx.lock(FeedName::Hold).await?;
        if let Some(hold) =
            store::find_by_key(&tx, open.action.task, &open.call_id, open.action.sha256()).await?
        {
            if hold.enforcer.name() != open.enforcer {
                return Err(HoldError::OtherEnforcer(hold.id));
            }
            if hold.state == State::Cancelled && !hold.denial_reason.is_empty() {
                return Ok(refused(Cause::DeniedBefore, hold.denial_reason));
            }
            return Ok(OpenAnswer::Held(Box::new(hold)));
        }
        if task.state != TaskState::Live {
            return Ok(refused(Cause::TaskEnded, "the task has ended".to_owned()));
        }
        if task::is_used_up(&tx, &task, &chain).await? {
            return Ok(refused(Cause::Budget, chain.used_up()));
        }
        if let Some(said) = store::denial_of(&tx, open.action.task, open.denial_class).await? {
            return Ok(refused(Cause::DeniedBefore, vote::denied_before(&said)));
        }
        let covered = standing::charge(&tx, &open, &task).await?;
        if covered.is_none()
            && let Some(bound) = exhausted(store::count_open(&tx, &open).await?)
        {
            return Ok(refused(Cause::HoldsExhausted, bound));
        }
        let id = HoldId::new(&*self.clock);
        store::insert(&tx, id, &open).await?;
        match &covered {
            Some(by) => standing::approve(&tx, id, by).await?,
            None => announce(&tx, id, "").await?,
        }
        let hold = store::find(&tx, id).await?.ok_or(HoldError::NotFound(id))?;
        tx.commit().await?;
        Ok(OpenAnswer::Held(Box::new(hold)))
    }
}

/// What approvers are shown of a task is what the task says of itself, and of who acts in it, what was presented.
fn may_open(open: &Open, task: &Task, chain: &Chain) -> Result<(), HoldError> {
    let action = &open.action;
    let is_of_task = action.agent == chain.leaf().agent
        && action.delegated_by == chain.delegators()
        && action.user == task.user
        && open.intent == task.intent
        && open.environment == task.environment;
    if is_of_task {
        Ok(())
    } else {
        Err(HoldError::OtherTask(task.id))
    }
}

/// How many holds are open already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenCounts {
    pub(super) task: u32,
    pub(super) agent: u32,
    /// The fullest of the groups it would wait for.
    pub(super) group: u32,
}

fn exhausted(counts: OpenCounts) -> Option<String> {
    let max = OPEN_HOLDS_MAX;
    let bounds = [
        (counts.task, max.per_task, "in this task"),
        (counts.agent, max.per_agent, "of this agent"),
        (counts.group, max.per_group, "before this group of people"),
    ];
    let (count, _, whose) = bounds.into_iter().find(|(count, max, _)| count >= max)?;
    Some(format!(
        "{count} actions {whose} are waiting for people already: wait for their answers first"
    ))
}

const fn refused(cause: Cause, reason: String) -> OpenAnswer {
    OpenAnswer::Refused(Refusal { cause, reason })
}
