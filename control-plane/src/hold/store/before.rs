//! What was approved before something like it.

use checkrein_shared::hold::Hold;
use checkrein_shared::id::HoldId;

use crate::database::{DatabaseError, Transaction, moment_ms};

/// An action that was approved before another like it.
pub(in super::super) struct Before {
    pub(in super::super) hold: HoldId,
    pub(in super::super) arguments: String,
    pub(in super::super) opened_ms: u64,
}

/// The latest before this one.
pub(in super::super) async fn before(tx: &Transaction, hold: &Hold) -> Result<Option<Before>, DatabaseError> {
    let read = "-- hold.before
        SELECT id, arguments, opened_at FROM hold
        WHERE tool = $1 AND agent = $2 AND user_name = $3 AND id <> $4 AND use_by IS NOT NULL
            AND state IN ('approved', 'consumed', 'done', 'failed', 'unknown', 'lapsed')
            AND opened_at <= (SELECT opened_at FROM hold WHERE id = $4)
        ORDER BY opened_at DESC, id DESC LIMIT 1";
    let action = &hold.action;
    let row = tx
        .query_opt(
            read,
            &[
                &action.tool,
                &action.agent.as_str(),
                &action.user,
                &hold.id.uuid(),
            ],
        )
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(row.map(|row| Before {
        hold: HoldId::from_uuid(row.get("id")),
        arguments: row.get("arguments"),
        opened_ms: moment_ms(&row, "opened_at"),
    }))
}
