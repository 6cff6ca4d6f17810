//! Whoever leaves: an agent, an enforcer or a person, removed in one verb and refused by all others from then on.
//!
//! ```text
//! remove --> row, live tasks revoked, the register's feed raised   one transaction
//! feed   --> every replica refuses the identity, and ends its sessions
//! ```
//!
//! A certificate can't be taken back, and neither can its name: what was certified for it may be out there for as long as
//! certificates live.
//!
//! **Invariant**: no task of a removed agent is live; a removed identity is never certified, renewed or let in again.

use std::collections::HashSet;
use std::sync::Arc;

use checkrein_shared::identity::{Role, SpiffeId};
use tokio::sync::watch;

use super::{Fleet, FleetError, store};
use crate::database::{Database, DatabaseError, FeedName, Transaction};
use crate::task;

/// Whom every verb refuses.
pub type Removed = HashSet<SpiffeId>;

/// How each replica knows.
pub type RemovedFeed = watch::Receiver<Arc<Removed>>;

/// An identity that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Who.
    pub id: SpiffeId,
    /// By whom.
    pub by: SpiffeId,
    /// When.
    pub at_ms: u64,
    /// Why.
    pub reason: String,
    /// Live tasks that were revoked with it.
    pub tasks_revoked: u64,
}

impl Fleet {
    /// Removes an identity, and revokes the live tasks of an agent. Removing it again changes nothing.
    pub async fn remove(&self, by: &SpiffeId, id: &SpiffeId, reason: &str) -> Result<Removal, FleetError> {
        if id == by {
            return Err(FleetError::RemovesItself(id.clone()));
        }
        let is_ours = id.trust_domain() == self.authority.trust_domain;
        if !is_ours || id.role().is_none_or(|role| role == Role::ControlPlane) {
            return Err(FleetError::NotRemovable(id.clone()));
        }
        let removal = self.database.transact("fleet.remove", |tx| async move {
            store::lock_identity(&tx, id).await?;
            if let Some(removal) = store::find_removal(&tx, id).await? {
                return Ok((tx, removal));
            }
            let tasks = task::revoke_all_of(&tx, id, by, reason).await?;
            let removal = store::insert_removal(&tx, id, by, reason, tasks).await?;
            task::give_up_removed(&tx, id).await?;
            tx.raise(FeedName::Fleet).await?;
            if id.role() == Some(Role::Agent) {
                // The rosters of its enforcers name it no more.
                tx.raise(FeedName::Agent).await?;
            }
            Ok((tx, removal))
        });
        Ok(removal.await?)
    }

    /// Refuses whoever was removed, for as long as a transaction of their own would take.
    pub(super) async fn check_not_removed(&self, id: &SpiffeId) -> Result<(), FleetError> {
        let is_removed = self
            .database
            .transact("fleet.check_not_removed", |tx| async move {
                let is_removed = is_removed(&tx, id).await?;
                Ok((tx, is_removed))
            });
        if is_removed.await? {
            return Err(FleetError::Removed(id.clone()));
        }
        Ok(())
    }
}

/// Whether an identity was removed; if not, nobody removes it until the transaction ends.
pub async fn is_removed(tx: &Transaction, id: &SpiffeId) -> Result<bool, DatabaseError> {
    store::share_identity(tx, id).await?;
    Ok(store::find_removal(tx, id).await?.is_some())
}

/// One of these that was removed, as it stands at this moment; another may be the next.
pub async fn any_removed<'a>(
    tx: &Transaction,
    ids: impl Iterator<Item = &'a SpiffeId>,
) -> Result<Option<SpiffeId>, DatabaseError> {
    let ids: Vec<&str> = ids.map(SpiffeId::as_str).collect();
    store::any_removed(tx, &ids).await
}

/// Loads whom to refuse.
pub async fn load_removed(database: &Database) -> Result<Removed, DatabaseError> {
    let tx = database.begin("fleet.load_removed").await?;
    store::removed(&tx).await
}
