//! What is presented for a release: a grant with everything it was narrowed from, believed here once more.
//!
//! An enforcer has verified it offline. The primary knows what no enforcer may have heard yet: that the task was amended, a
//! grant revoked, somebody of the chain removed, a proof used on another enforcer.
//!
//! **Invariant**: nothing is released under a chain that this file has not believed in the transaction of the release.

use checkrein_shared::decision::Cause;
use checkrein_shared::grant::{Chain, InvalidGrant, Stopped};
use checkrein_shared::id::ProofId;
use checkrein_shared::identity::SpiffeId;
use thiserror::Error;
use uuid::Uuid;

use super::{Task, stopped, store};
use crate::authority::Authority;
use crate::database::{Database, DatabaseError, Transaction};
use crate::fleet;

/// Why something may not be released, in the words that decision records use.
pub type Objection = (Cause, String);

/// Why nothing can be said of what was presented.
#[derive(Debug, Error)]
pub enum BelieveError {
    /// The enforcer has no business with the agent.
    #[error("enforcer `{enforcer}` may not speak for `{agent}`; `checkrein fleet add --agent` says for whom")]
    OtherAgent {
        /// Who asked.
        enforcer: String,
        /// Who would act.
        agent: SpiffeId,
    },
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// What was presented by an enforcer for a task, if it can be believed.
pub async fn believe(
    tx: &Transaction,
    authority: &Authority,
    presented: (&str, &str),
    task: &Task,
) -> Result<Result<Chain, Objection>, BelieveError> {
    let chain = match verify(tx, authority, presented, task).await? {
        Ok(chain) => chain,
        Err(objection) => return Ok(Err(objection)),
    };
    Ok(match objection(tx, &chain, task).await? {
        Some(objection) => Err(objection),
        None => Ok(chain),
    })
}

/// What was presented by an enforcer that may, if it ever was a grant of this task, whatever stands against it now.
pub(super) async fn verify(
    tx: &Transaction,
    authority: &Authority,
    (enforcer, presented): (&str, &str),
    task: &Task,
) -> Result<Result<Chain, Objection>, BelieveError> {
    let chain = match Chain::verify(presented, &authority.grant_keys) {
        Ok(chain) => chain,
        Err(error) => return Ok(Err((Cause::InvalidGrant, error.to_string()))),
    };
    if chain.root().task != task.id {
        let reason = "what was presented is a grant of another task";
        return Ok(Err((Cause::InvalidGrant, reason.to_owned())));
    }
    if !fleet::speaks_for(tx, enforcer, &chain.leaf().agent).await? {
        let (enforcer, agent) = (enforcer.to_owned(), chain.leaf().agent.clone());
        return Err(BelieveError::OtherAgent { enforcer, agent });
    }
    Ok(Ok(chain))
}

/// What stands against a chain now, if anything does. That its task is over is the task's to say.
pub(super) async fn objection(
    tx: &Transaction,
    chain: &Chain,
    task: &Task,
) -> Result<Option<Objection>, DatabaseError> {
    if chain.root().epoch != task.epoch {
        let Stopped { cause, reason } = Stopped::by_amendment();
        return Ok(Some((cause, reason)));
    }
    if let Some(Stopped { cause, reason }) = stopped(tx, chain.grants()).await? {
        return Ok(Some((cause, reason)));
    }
    let agents = chain.grants().map(|grant| &grant.agent);
    if let Some(removed) = fleet::any_removed(tx, agents).await? {
        let reason = format!("the grant went through the hands of `{removed}`, which was removed");
        return Ok(Some((Cause::GrantRevoked, reason)));
    }
    Ok(match chain.leaf().holds_at(store::now_ms(tx).await?) {
        Ok(()) => None,
        Err(error @ InvalidGrant::Expired) => Some((Cause::TaskEnded, error.to_string())),
        Err(error) => Some((Cause::InvalidGrant, error.to_string())),
    })
}

/// Uses a proof of possession up for this release: once in the whole fleet, however often the release is asked for.
pub(super) async fn use_proof(
    tx: &Transaction,
    chain: &Chain,
    (proof, release): (ProofId, Uuid),
) -> Result<Option<Objection>, DatabaseError> {
    if store::delegation::use_proof(tx, proof, chain.leaf().id, release).await? {
        return Ok(None);
    }
    let reason = "the proof of possession was used before; make one for each call";
    Ok(Some((Cause::InvalidProof, reason.to_owned())))
}

/// Forgets the proofs that nobody believes any more.
pub async fn forget_proofs(database: &Database) -> Result<u64, DatabaseError> {
    let tx = database.begin("task.forget_proofs").await?;
    let forgotten = store::delegation::delete_old_proofs(&tx).await?;
    tx.commit().await?;
    Ok(forgotten)
}
