//! `checkrein task revoke`: a task, one grant, or a key.

use checkrein_proto::task::v1::RevokeRequest;
use checkrein_proto::task::v1::task_service_client::TaskServiceClient;
use serde_json::json;

use super::{Connection, Error, Invocation, Outcome, TaskView, card};

pub(super) const EXAMPLE: &str = "\
Example:
  checkrein task revoke task_0193f1c2a4b87d3e9f00a1b2c3d4e5f6 --reason 'agent misbehaves'
  checkrein task revoke --grant grant_0193f1c2a4b87d3e9f00a1b2c3d4e5f7 --task task_0193f1c2a4b87d3e9f00a1b2c3d4e5f6 \\
    --reason 'the helper misbehaves'
  checkrein task revoke --key 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo --reason 'the key leaked'

A grant takes all that was passed on from it down; the task goes on. A key takes down every grant whose holder has it, in every
task, for a day: no task lives longer.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The task
    #[arg(required_unless_present_any = ["grant", "key"], conflicts_with_all = ["grant", "key"])]
    id: Option<String>,
    /// One grant that was passed on in a task, and all below it
    #[arg(long, value_name = "GRANT", requires = "task", conflicts_with = "key")]
    grant: Option<String>,
    /// The task of the grant
    #[arg(long, value_name = "TASK", requires = "grant")]
    task: Option<String>,
    /// Every grant whose holder has this public key: base64url, or the `urn:ietf:params:oauth:jwk-thumbprint:…` of it
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Runs it.
pub(super) async fn run(
    mut client: TaskServiceClient<Connection>,
    args: Args,
    invocation: &Invocation,
) -> Result<Outcome, Error> {
    let request = RevokeRequest {
        task_id: args.id.or(args.task).unwrap_or_default(),
        grant_id: args.grant.unwrap_or_default(),
        key: args.key.clone().unwrap_or_default(),
        reason: args.reason,
        idempotency_key: invocation.idempotency_key(),
    };
    let task = client.revoke(request).await?.into_inner().task;
    if let Some(key) = args.key {
        invocation.answer(&json!({"key": key, "revoked": true}), |_| {
            format!("revoked `{key}`: no grant whose holder has it is good any more\n")
        })?;
        return Ok(Outcome::Done);
    }
    let task = task.ok_or(Error::Incomplete("task"))?;
    let now_ms = invocation.now_ms();
    invocation.answer(&TaskView::of(&task), |paint| card(&task, now_ms, paint))?;
    Ok(Outcome::Done)
}
