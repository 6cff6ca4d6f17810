//! What shall be revoked, on the wire.

use checkrein_proto::task::v1 as wire;
use checkrein_shared::action::Sha256;
use checkrein_shared::grant::holder_thumbprint;
use checkrein_shared::id::{GrantId, TaskId};
use tonic::Status;

use super::parse_id;
use crate::api::bad_field;

/// What stops.
pub(super) enum Target {
    /// A task.
    Task(TaskId),
    /// One grant of it.
    Grant(TaskId, GrantId),
    /// Whatever the holder of a key holds.
    Key(Sha256),
}

pub(super) fn parse(request: &wire::RevokeRequest) -> Result<Target, Status> {
    if request.key.is_empty() {
        let task = parse_id(&request.task_id)?;
        if request.grant_id.is_empty() {
            return Ok(Target::Task(task));
        }
        let grant = request.grant_id.parse();
        let grant = grant.map_err(|error| bad_field("grant_id", format!("{error}")))?;
        return Ok(Target::Grant(task, grant));
    }
    if !request.task_id.is_empty() || !request.grant_id.is_empty() {
        let why = "a key is revoked in every task; name no task and no grant with it";
        return Err(bad_field("key", why));
    }
    let why = "expected an Ed25519 public key in base64url, or `urn:ietf:params:oauth:jwk-thumbprint:sha-256:` with its thumbprint";
    let thumbprint = holder_thumbprint(&request.key).ok_or_else(|| bad_field("key", why))?;
    Ok(Target::Key(thumbprint))
}
