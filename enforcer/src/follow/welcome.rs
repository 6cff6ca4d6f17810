//! Learning from the control plane who we are and which keys are in use.
//!
//! **Invariant**: a key set counts only with the pinned root's signature, for the CA that this connection was believed by
//! (where the root certifies that CA), and a version that never falls; and it is on disk before it verifies anything.

use std::sync::Arc;

use checkrein_proto::fleet::v1 as wire;
use checkrein_shared::action::{MaskingKey, Sha256};
use checkrein_shared::key::KeySet;
use checkrein_shared::policy::Roster;

use super::{Parts, SessionError};
use crate::last_known_good::Standing;

/// Believes a welcome whose keys the root certified, keeps it, and works by it.
///
/// `believed_by` are the CAs of the identity that this connection was made with: files may have changed since. None: they are
/// not of this control plane's making, and the root says nothing of them.
pub(super) async fn take_welcome(
    parts: &Arc<Parts>,
    welcome: wire::Welcome,
    believed_by: Option<&[Sha256]>,
) -> Result<(), SessionError> {
    let agents = welcome
        .agents
        .iter()
        .map(|agent| agent.parse())
        .collect::<Result<_, _>>();
    let agents = agents.map_err(|error: checkrein_shared::identity::InvalidSpiffeId| {
        SessionError::Message(error.to_string())
    })?;
    let roster = welcome
        .roster
        .map(|roster| read_roster(parts, roster))
        .transpose()?;
    let key_set = welcome
        .key_set
        .ok_or_else(|| SessionError::Message("`key_set` is missing".into()))?;
    if welcome.masking_key.is_empty() {
        // Taken at its word it would take away the key in use, and every call with a secret would be denied.
        return Err(SessionError::Message("`masking_key` is missing".into()));
    }
    let (keeping, believed_by) = (Arc::clone(parts), believed_by.map(<[Sha256]>::to_vec));
    let enforcer = welcome.enforcer;
    let kept = tokio::task::spawn_blocking(move || {
        let mut kept = keeping.kept();
        let keys = KeySet::verify(&key_set, &keeping.root, kept.held_key_set())?;
        // The connection was believed by a CA that only a file names; the root has the last word on which CA that is. A trust
        // bundle of the Workload API is another's, and changes without the root: there is nothing to compare, and a key set
        // still counts only with the pinned root's signature.
        if believed_by.is_some_and(|believed_by| !believed_by.contains(&keys.ca)) {
            return Err(SessionError::Authority { certified: keys.ca });
        }
        let standing = Standing {
            enforcer,
            agents,
            // None came: what was known stands, and an agent that is not in it is denied.
            roster: roster.unwrap_or_else(|| Arc::clone(&keeping.snapshots.pin().roster)),
            key_set,
            key_set_version: keys.version,
        };
        kept.keep_standing(&standing)?;
        Ok::<_, SessionError>((keys, standing))
    });
    let (keys, standing) = kept.await.map_err(|_| SessionError::Ended)??;
    parts.snapshots.install(|next| {
        next.keys = Some(Arc::new(keys));
        next.agents = Arc::new(standing.agents);
        next.roster = standing.roster;
        next.masking = Some(MaskingKey::new(&welcome.masking_key));
    });
    // Only now: whoever waits for the status decides by what it says.
    parts.status.update(|status| {
        status.enforcer = Some(standing.enforcer);
        status.replica = Some(welcome.replica_id);
        status.has_masking_key = true;
    });
    parts.report();
    parts.sweep();
    Ok(())
}

/// A roster that came, or the one that is held if that is newer: a replica may be behind the one before it.
pub(super) fn read_roster(parts: &Parts, came: wire::Roster) -> Result<Arc<Roster>, SessionError> {
    let came = Roster::try_from(came).map_err(|error| SessionError::Message(error.to_string()))?;
    let held = Arc::clone(&parts.snapshots.pin().roster);
    if came.revision < held.revision {
        return Ok(held);
    }
    Ok(Arc::new(came))
}
