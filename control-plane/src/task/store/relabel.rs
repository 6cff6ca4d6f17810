//! Labels that come back with records, in Postgres.

use crate::database::{DatabaseError, Transaction, from_ms, signed};
use crate::task::relabel::Brought;
use crate::task::store::ledger::tool_column;

/// Adds what tasks do not carry, with the first call that brought it; not what was lifted of the same call, or that long after it. A
/// task may carry more than it may have after this: no ledger is given of it then.
pub(in crate::task) async fn add(
    tx: &Transaction,
    enforcer: &str,
    brought: &[Brought<'_>],
    skew_ms: u64,
) -> Result<(), DatabaseError> {
    let add = "-- ledger.relabel
        WITH missing AS (
            SELECT DISTINCT ON (row.task_id, row.label) row.*
            FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[])
                 AS row (task_id, label, decision_id, tool, agent, decided_at)
            JOIN task ON task.id = row.task_id
            WHERE NOT EXISTS (SELECT FROM task_label carried
                              WHERE carried.task_id = row.task_id AND carried.label = row.label)
              AND NOT EXISTS (SELECT FROM task_label_lifted lifted
                              WHERE lifted.task_id = row.task_id AND lifted.label = row.label
                                AND (lifted.decision_id = row.decision_id
                                     OR row.decided_at <= lifted.lifted_at - $8::bigint * interval '1 millisecond'))
            ORDER BY row.task_id, row.label, row.decided_at, row.decision_id
        ), added AS (
            INSERT INTO task_label (task_id, label, source, decision_id, tool, agent, enforcer)
            SELECT task_id, label, 'call', decision_id, tool, agent, $7 FROM missing
            RETURNING task_id
        )
        UPDATE task SET ledger_revision = ledger_revision + 1
        WHERE id IN (SELECT task_id FROM added)";
    let rows: Vec<_> = brought
        .iter()
        .flat_map(|call| call.labels.iter().map(move |label| (call, label)))
        .collect();
    let tasks: Vec<_> = rows.iter().map(|(call, _)| call.task.uuid()).collect();
    let labels: Vec<_> = rows.iter().map(|(_, label)| label.as_str()).collect();
    let decisions: Vec<_> = rows.iter().map(|(call, _)| call.decision.uuid()).collect();
    let tools: Vec<_> = rows.iter().map(|(call, _)| tool_column(call.tool)).collect();
    let agents: Vec<_> = rows.iter().map(|(call, _)| call.agent.as_str()).collect();
    let moments: Vec<_> = rows.iter().map(|(call, _)| from_ms(call.at_ms)).collect();
    let added = tx
        .execute(
            add,
            &[
                &tasks,
                &labels,
                &decisions,
                &tools,
                &agents,
                &moments,
                &enforcer,
                &signed(skew_ms),
            ],
        )
        .await;
    added.map(drop).map_err(|source| tx.failed(source))
}
