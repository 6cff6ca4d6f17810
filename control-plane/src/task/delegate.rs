//! Passing a grant on for an agent that has no key of its own: the control plane narrows it, and signs.
//!
//! An agent with a key needs none of this: it signs offline, and nobody hears of it before the first call. What is passed on
//! here stands in the record of the task.
//!
//! **Invariant**: only the agent whose grant it is passes it on, in a task that is live until the transaction ends; what is
//! signed narrows what was presented.

use checkrein_shared::action::Sha256;
use checkrein_shared::grant::{Grant, Narrowing, NotNarrowed, OwnGrant};
use checkrein_shared::id::GrantId;
use checkrein_shared::identity::{Role, SpiffeId};
use checkrein_shared::ledger::Meter;
use thiserror::Error;

use super::presented::{Objection, objection};
use super::spend::account::Account;
use super::{TaskState, Tasks, store};
use crate::database::DatabaseError;
use crate::fleet;

/// In one task at most so many grants are passed on by the control plane.
const DELEGATIONS_MAX: i64 = 1_000;
/// A task shows at most this many of them, the newest first.
pub(super) const DELEGATIONS_SHOWN_MAX: i64 = 100;

/// A grant that was passed on here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// Which.
    pub grant: GrantId,
    /// From which.
    pub parent: GrantId,
    /// By whom.
    pub by: SpiffeId,
    /// To whom.
    pub agent: SpiffeId,
    /// When.
    pub at_ms: u64,
    /// Until when it holds.
    pub expires_ms: u64,
    /// How many calls may be made under it; none: as many as those above it have left.
    pub calls: Option<u64>,
    /// How many were charged to that.
    pub calls_used: u64,
    /// What may be used up under it, and what became of that.
    pub(super) budgets: Vec<(Meter, u64, Account)>,
}

/// Why a grant is not passed on.
#[derive(Debug, Error)]
pub enum DelegateError {
    /// It can't be narrowed like this, or it is none.
    #[error(transparent)]
    NotNarrowed(#[from] NotNarrowed),
    /// Somebody else's.
    #[error("the grant is for `{0}`, and only that agent passes it on")]
    NotTheirs(SpiffeId),
    /// To nobody who could use it.
    #[error("`{0}` is not an agent of this trust domain: expected `spiffe://<domain>/agent/<name>`")]
    NotAnAgent(SpiffeId),
    /// To nobody any more.
    #[error("agent `{0}` was removed, and is given nothing any more")]
    Removed(SpiffeId),
    /// The grant gives nothing any more.
    #[error("{}", .0.1)]
    Objection(Objection),
    /// The task is over.
    #[error("the task is over; its authority ended with it")]
    Over,
    /// More than any task needs.
    #[error("{DELEGATIONS_MAX} grants were passed on in this task already; start another one")]
    TooMany,
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl Tasks {
    /// Passes the caller's own grant on. The child is made of what was asked and of what is remembered of it, so that a
    /// repeated request gets the same one and no token is ever stored.
    pub async fn delegate(
        &self,
        caller: &SpiffeId,
        (key, asked): (&str, Sha256),
        presented: &str,
        narrowing: Narrowing,
    ) -> Result<(Grant, String), DelegateError> {
        let own = OwnGrant::verify(presented, &self.authority.grant_keys).map_err(NotNarrowed::from)?;
        let parent = own.chain().leaf();
        if parent.agent != *caller {
            return Err(DelegateError::NotTheirs(parent.agent.clone()));
        }
        let to = narrowing.agent.clone();
        if to.role() != Some(Role::Agent) || to.trust_domain() != self.authority.trust_domain {
            return Err(DelegateError::NotAnAgent(to));
        }
        let tx = self.database.begin("task.delegate").await?;
        let sign = |made| own.pass_on_as_authority(narrowing, &self.authority.grant, made);
        if let Some(made) = store::delegation::delegated_under(&tx, caller, key, &asked).await? {
            return Ok(sign(made)?);
        }
        // Shared: the task ends before this, or after it.
        let task = store::share(&tx, parent.task).await?.ok_or(DelegateError::Over)?;
        if task.state != TaskState::Live {
            return Err(DelegateError::Over);
        }
        if let Some(objection) = objection(&tx, own.chain(), &task).await? {
            return Err(DelegateError::Objection(objection));
        }
        if let Some(removed) = fleet::any_removed(&tx, [&to].into_iter()).await? {
            return Err(DelegateError::Removed(removed));
        }
        if store::delegation::count(&tx, task.id).await? >= DELEGATIONS_MAX {
            return Err(DelegateError::TooMany);
        }
        let made = (GrantId::new(&*self.clock), store::now_ms(&tx).await?);
        let (child, token) = sign(made)?;
        store::delegation::insert(&tx, &child, parent, made.1).await?;
        store::delegation::remember(&tx, caller, key, &asked, made).await?;
        tx.commit().await?;
        Ok((child, token))
    }
}
