//! `fleet remove`: an agent, an enforcer or a person is let in nowhere any more.

use checkrein_proto::fleet::v1::RemoveRequest;
use checkrein_shared::identity::SpiffeId;
use serde_json::json;

use super::client;
use crate::cli::output::{Fields, Style, rfc3339, visible};
use crate::cli::{Error, Invocation, Outcome};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Who: the SPIFFE ID of an agent, an enforcer, an orchestrator, an approver or an operator
    #[arg(value_name = "SPIFFE-ID")]
    id: SpiffeId,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    let request = RemoveRequest {
        spiffe_id: args.id.to_string(),
        reason: args.reason,
        idempotency_key: invocation.idempotency_key(),
    };
    let removed = client(invocation.connect().await?).remove(request).await?;
    let removed = removed.into_inner();
    let removed_at = rfc3339(removed.removed_unix_ms);
    let document = json!({
        "spiffe_id": removed.spiffe_id,
        "removed_by": removed.removed_by,
        "removed_at": removed_at,
        "reason": removed.reason,
        "tasks_revoked": removed.tasks_revoked,
    });
    invocation.answer(&document, |paint| {
        let mut fields = Fields::default();
        fields
            .line("removed", removed_at.as_deref().unwrap_or_default())
            .line("by", &removed.removed_by)
            .line("because", &removed.reason)
            .line("tasks revoked", &removed.tasks_revoked.to_string());
        let who = paint.apply(Style::Strong, &visible(&removed.spiffe_id));
        format!("{who} is let in nowhere any more\n\n{}", fields.render(paint))
    })?;
    Ok(Outcome::Done)
}
