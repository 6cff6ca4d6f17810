//! Less than a task is taken back, or more: one grant with all below it, what a key holds, what an agent was given.
//!
//! A grant need not be known here: holders pass grants on by themselves, and the name of one is enough to stop it.
//!
//! **Invariant**: an entry lives as long as any grant that it stops can: a grant as long as its task, a key or an agent as long
//! as the longest task.

use checkrein_shared::action::Sha256;
use checkrein_shared::grant::{Revocation, Revoked};
use checkrein_shared::id::{GrantId, TaskId};
use checkrein_shared::identity::SpiffeId;

use super::{TASK_LIFE_MAX, Task, TaskError, TaskState, Tasks, revocation, store};
use crate::database::{DatabaseError, Transaction};

impl Tasks {
    /// Stops one grant that was passed on in a task, and all below it. Stopping it again, or in a task that is over, changes
    /// nothing.
    pub async fn revoke_grant(
        &self,
        caller: &SpiffeId,
        id: TaskId,
        grant: GrantId,
        reason: &str,
    ) -> Result<Task, TaskError> {
        let tx = self.database.begin("task.revoke_grant").await?;
        let task = store::lock(&tx, id).await?.ok_or(TaskError::NotFound(id))?;
        if task.grant == grant {
            return Err(TaskError::OwnGrant(id));
        }
        if task.state != TaskState::Live || store::revocation::is_revoked(&tx, id, grant).await? {
            return Ok(task);
        }
        let entry = Revocation {
            what: Revoked::Grant { task: id, grant },
            expires_ms: task.expires_ms,
            cause: "revoked".to_owned(),
        };
        revocation::append(&tx, &entry, Some((caller, reason))).await?;
        tx.commit().await?;
        Ok(task)
    }

    /// Stops every grant whose holder has the key with this thumbprint, and all below them. Again, it stops them for longer.
    pub async fn revoke_key(
        &self,
        caller: &SpiffeId,
        thumbprint: Sha256,
        reason: &str,
    ) -> Result<(), TaskError> {
        let tx = self.database.begin("task.revoke_key").await?;
        let entry = Revocation {
            what: Revoked::Key(thumbprint),
            expires_ms: longest(&tx).await?,
            cause: "revoked".to_owned(),
        };
        revocation::append(&tx, &entry, Some((caller, reason))).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Stops the grants of an agent that is removed, wherever in a chain it stands, whenever they were issued.
pub(super) async fn revoke_agent(tx: &Transaction, agent: &SpiffeId) -> Result<(), DatabaseError> {
    let expires_ms = longest(tx).await?;
    let entry = Revocation {
        what: Revoked::Agent {
            agent: agent.clone(),
            until_ms: expires_ms,
        },
        expires_ms,
        cause: "removed".to_owned(),
    };
    revocation::append(tx, &entry, None).await
}

/// When the longest task that could be live now will be over.
async fn longest(tx: &Transaction) -> Result<u64, DatabaseError> {
    let life_ms = u64::try_from(TASK_LIFE_MAX.as_millis()).unwrap_or(u64::MAX);
    Ok(store::now_ms(tx).await?.saturating_add(life_ms))
}
