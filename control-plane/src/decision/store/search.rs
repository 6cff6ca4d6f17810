//! Reading the record.
//!
//! For people in the order in which it was decided, along an index of whatever they look for. For whoever follows it in the
//! order of the transactions that stored it, and only below the oldest that is still running: ids and clocks commit out of
//! order, this does not, so nothing is skipped.

use std::collections::BTreeMap;

use checkrein_shared::action::Sha256;
use checkrein_shared::decision::{Outcome, Record};
use checkrein_shared::id::{DecisionId, InstanceId, TaskId};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::super::{Journal, Order, Position, Search, StoredDecision};
use super::{column, record_bytes};
use crate::database::{DatabaseError, Transaction, from_ms, inconsistent, moment_ms, signed, unsigned};

const SELECT: &str =
    "SELECT tx::text::bigint AS tx, id, enforcer, instance_id, incarnation, sequence, chain_hash,
        received_at, decided_at, record FROM decision";
/// A record may come home before it was decided, by the clock of its enforcer, by no more days than this.
const CLOCK_DAYS_MAX: i32 = 1;

pub(in super::super) async fn search(
    tx: &Transaction,
    search: &Search,
) -> Result<Vec<StoredDecision>, DatabaseError> {
    let (below, after, order) = match search.order {
        Order::Newest => (
            "",
            "($9::timestamptz IS NULL OR (decided_at, id) < ($9, $10::uuid))",
            "decided_at DESC, id DESC",
        ),
        Order::Stored => (
            "tx < pg_snapshot_xmin(pg_current_snapshot()) AND",
            "($9::text IS NULL OR (tx, id) > ($9::text::xid8, $10::uuid))",
            "decision.tx, id",
        ),
    };
    let statement = format!(
        "-- decision.search\n{SELECT}
        WHERE {below} ($1::uuid IS NULL OR task_id = $1)
          AND ($2 = '' OR agent = $2) AND ($3 = '' OR tool = $3) AND ($4 = '' OR verdict = $4)
          AND ($5 = '' OR rules @> ARRAY[$5]) AND ($6 = '' OR enforcer = $6)
          AND ($7::timestamptz IS NULL OR decided_at >= $7
              AND received_day >= ($7::timestamptz AT TIME ZONE 'UTC')::date - {CLOCK_DAYS_MAX})
          AND ($8::timestamptz IS NULL OR decided_at < $8)
          AND {after}
        ORDER BY {order} LIMIT $11"
    );
    let id = search.after.map(|after| after.id.uuid());
    let moment = search.after.map(|after| from_ms(unsigned(after.at)));
    let transaction = search.after.map(|after| after.at.to_string());
    let place: &(dyn ToSql + Sync) = match search.order {
        Order::Newest => &moment,
        Order::Stored => &transaction,
    };
    let rows = tx
        .query(
            &statement,
            &[
                &search.task.map(TaskId::uuid),
                &search.agent,
                &column(&search.tool),
                &search.verdict,
                &column(&search.rule),
                &search.enforcer,
                &search.since_ms.map(from_ms),
                &search.until_ms.map(from_ms),
                place,
                &id,
                &search.rows,
            ],
        )
        .await
        .map_err(|source| tx.failed(source))?;
    let decode = |row| decode(row, search.order);
    let mut found = rows.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<Uuid> = found.iter().map(|stored| stored.decision.id.uuid()).collect();
    let mut outcomes = outcomes(tx, &ids).await?;
    for stored in &mut found {
        stored.outcome = outcomes.remove(&stored.decision.id);
    }
    Ok(found)
}

/// What is known of how these ended.
async fn outcomes(tx: &Transaction, ids: &[Uuid]) -> Result<BTreeMap<DecisionId, Outcome>, DatabaseError> {
    let read = "-- decision.outcomes
        SELECT decision_id, record FROM outcome WHERE decision_id = ANY ($1) AND kind = 'outcome'";
    let rows = tx.query(read, &[&ids]).await;
    let rows = rows.map_err(|source| tx.failed(source))?;
    let decode = |row: &Row| {
        let id = DecisionId::from_uuid(row.get("decision_id"));
        match Record::decode(&record_bytes(row)) {
            Ok(Record::Outcome(outcome)) => Ok((id, outcome)),
            _ => Err(inconsistent("outcome", &id)),
        }
    };
    rows.iter().map(decode).collect()
}

/// One decision, with its outcome.
pub(in super::super) async fn find(
    tx: &Transaction,
    id: DecisionId,
) -> Result<Option<StoredDecision>, DatabaseError> {
    let find = format!("-- decision.find\n{SELECT} WHERE id = $1 LIMIT 1");
    let row = tx
        .query_opt(&find, &[&id.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    let Some(row) = row else { return Ok(None) };
    let mut stored = decode(&row, Order::Newest)?;
    stored.outcome = outcomes(tx, &[id.uuid()]).await?.remove(&id);
    Ok(Some(stored))
}

/// How many decisions, rows beyond the first of a decision, and outcomes.
pub(in super::super) async fn count(
    tx: &Transaction,
    task: Option<TaskId>,
) -> Result<(u64, u64, u64), DatabaseError> {
    let count = "-- decision.count
        SELECT (SELECT count(DISTINCT id) FROM decision WHERE $1::uuid IS NULL OR task_id = $1),
               (SELECT count(*) FROM decision WHERE $1::uuid IS NULL OR task_id = $1),
               (SELECT count(*) FROM outcome WHERE kind = 'outcome' AND ($1::uuid IS NULL
                   OR decision_id IN (SELECT id FROM decision WHERE task_id = $1)))";
    let row = tx
        .query_one(count, &[&task.map(TaskId::uuid)])
        .await
        .map_err(|source| tx.failed(source))?;
    let (distinct, all) = (unsigned(row.get(0)), unsigned(row.get(1)));
    Ok((distinct, all - distinct, unsigned(row.get(2))))
}

fn decode(row: &Row, order: Order) -> Result<StoredDecision, DatabaseError> {
    let id = DecisionId::from_uuid(row.get("id"));
    let Ok(Record::Decision(decision)) = Record::decode(&record_bytes(row)) else {
        return Err(inconsistent("decision", &id));
    };
    let chain_hash = Sha256::try_from(row.get::<_, &[u8]>("chain_hash"));
    Ok(StoredDecision {
        decision: *decision,
        journal: Journal {
            enforcer: row.get("enforcer"),
            instance: InstanceId::from_uuid(row.get("instance_id")),
            incarnation: unsigned(row.get("incarnation")),
        },
        sequence: unsigned(row.get("sequence")),
        received_ms: moment_ms(row, "received_at"),
        chain_hash: chain_hash.map_err(|_| inconsistent("decision", &id))?,
        outcome: None,
        position: Position {
            at: match order {
                Order::Newest => signed(moment_ms(row, "decided_at")),
                Order::Stored => row.get("tx"),
            },
            id,
        },
    })
}
