//! Passing on, on the wire.

use std::time::Duration;

use checkrein_proto::task::v1 as wire;
use checkrein_shared::grant::{CHAIN_BYTES_MAX, DataScope, Narrowing, Scope};
use checkrein_shared::wire::amounts_from_wire;
use tonic::Status;

use super::spend::budget;
use super::{check_named, parse_holder, parse_scope};
use crate::api::{bad_field, database_trouble, precondition};
use crate::task::delegate::{DelegateError, Delegation};

/// What a child shall be given.
pub(super) fn parse(request: &wire::DelegateRequest) -> Result<Narrowing, Status> {
    if request.grant.len() > CHAIN_BYTES_MAX {
        return Err(bad_field("grant", "longer than any grant is"));
    }
    let agent = request
        .agent
        .parse()
        .map_err(|error| bad_field("agent", format!("{error}")))?;
    let small = |field, value: Option<u32>| {
        let value =
            value.map(|value| u8::try_from(value).map_err(|_| bad_field(field, "larger than it can be")));
        value.transpose()
    };
    let named = request.named.as_ref().map(|named| named.values.clone());
    if let Some(named) = &named {
        check_named(named)?;
    }
    let data = request.data.clone().map(DataScope::try_from).transpose();
    Ok(Narrowing {
        agent,
        scope: scope(request)?,
        calls: request.calls,
        spend: amounts_from_wire(&request.budgets)
            .map_err(|error| bad_field("budgets", error.to_string()))?,
        risk: small("risk", request.risk)?,
        depth: small("depth", request.depth)?,
        named,
        data: data.map_err(|error| bad_field("data", error.to_string()))?,
        expires_in: Some(Duration::from_millis(request.expires_in_ms)).filter(|life| !life.is_zero()),
        holder: parse_holder(&request.holder_key)?,
    })
}

/// None: all of the parent's.
fn scope(request: &wire::DelegateRequest) -> Result<Option<Scope>, Status> {
    if request.tools.is_empty() && request.scope.is_empty() {
        return Ok(None);
    }
    parse_scope(request.tools.clone(), &request.scope).map(Some)
}

impl From<&Delegation> for wire::Delegation {
    fn from(delegation: &Delegation) -> Self {
        Self {
            grant_id: delegation.grant.to_string(),
            parent_grant_id: delegation.parent.to_string(),
            delegated_by: delegation.by.to_string(),
            agent: delegation.agent.to_string(),
            delegated_unix_ms: delegation.at_ms,
            expires_unix_ms: delegation.expires_ms,
            calls: delegation.calls,
            calls_used: delegation.calls_used,
            budgets: delegation
                .budgets
                .iter()
                .map(|(meter, limit, account)| budget(*meter, Some(*limit), *account))
                .collect(),
        }
    }
}

impl From<DelegateError> for Status {
    fn from(error: DelegateError) -> Self {
        let said = error.to_string();
        match error {
            DelegateError::NotNarrowed(_) => bad_field("grant", said),
            DelegateError::NotTheirs(_) => Self::permission_denied(said),
            DelegateError::NotAnAgent(_) => bad_field("agent", said),
            DelegateError::Removed(_) => precondition("AGENT_REMOVED", said),
            DelegateError::Objection((cause, _)) => precondition(&cause.as_str().to_uppercase(), said),
            DelegateError::Over => precondition("TASK_OVER", said),
            DelegateError::TooMany => precondition("DELEGATED_TOO_OFTEN", said),
            DelegateError::Database(error) => database_trouble(&error),
        }
    }
}
