//! What was passed on here, what delegated grants have used, and the proofs of possession that were.

use std::collections::HashMap;
use std::time::Duration;

use checkrein_proto::task::v1 as wire;
use checkrein_shared::action::Sha256;
use checkrein_shared::grant::Grant;
use checkrein_shared::id::{GrantId, ProofId, TaskId};
use checkrein_shared::identity::SpiffeId;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::database::{
    DatabaseError, Transaction, from_ms, inconsistent, moment_ms, parsed, signed, unsigned,
};
use crate::task::delegate::{DELEGATIONS_SHOWN_MAX, Delegation};
use crate::task::spend::account::Account;
use crate::task::spend::key_of_link;

/// A proof is believed for a minute at most; what is ten times as old proves nothing to anybody.
const PROOF_KEPT: Duration = Duration::from_mins(10);

/// Charges one call to the budget of a grant that was passed on; false if there is none left.
pub(in crate::task) async fn charge_grant(
    tx: &Transaction,
    grant: &Grant,
    calls: u64,
) -> Result<bool, DatabaseError> {
    let charge = "-- task.charge_grant
        INSERT INTO task_grant (task_id, grant_id, parent_sha256, calls_used) VALUES ($1, $2, $3, 1)
        ON CONFLICT (task_id, grant_id, parent_sha256) DO UPDATE SET calls_used = task_grant.calls_used + 1
            WHERE task_grant.calls_used < $4";
    let parent = grant.link.map(|link| link.parent).unwrap_or_default();
    let charged = tx
        .execute(
            charge,
            &[
                &grant.task.uuid(),
                &grant.id.uuid(),
                &&parent.0[..],
                &signed(calls),
            ],
        )
        .await;
    Ok(charged.map_err(|source| tx.failed(source))? == 1)
}

/// Remembers with a release which grants were charged for it, so that all of them get it back.
pub(in crate::task) async fn remember_charged(
    tx: &Transaction,
    (task, release): (TaskId, Uuid),
    charged: &[&Grant],
) -> Result<(), DatabaseError> {
    let remember = "-- task.remember_charged
        UPDATE task_use SET grant_ids = $3, grant_parents = $4 WHERE task_id = $1 AND use_id = $2";
    let ids: Vec<Uuid> = charged.iter().map(|grant| grant.id.uuid()).collect();
    let parent = |grant: &&Grant| grant.link.map(|link| link.parent).unwrap_or_default();
    let parents: Vec<Sha256> = charged.iter().map(parent).collect();
    let parents: Vec<&[u8]> = parents.iter().map(|parent| &parent.0[..]).collect();
    tx.change_one(remember, &[&task.uuid(), &release, &ids, &parents])
        .await
}

/// How many calls were charged to a grant that was passed on.
pub(in crate::task) async fn calls_used(tx: &Transaction, grant: &Grant) -> Result<u64, DatabaseError> {
    let read = "-- task.calls_of_grant
        SELECT calls_used FROM task_grant WHERE task_id = $1 AND grant_id = $2 AND parent_sha256 = $3";
    let parent = grant.link.map(|link| link.parent).unwrap_or_default();
    let row = tx
        .query_opt(read, &[&grant.task.uuid(), &grant.id.uuid(), &&parent.0[..]])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(row.map_or(0, |row| unsigned(row.get("calls_used"))))
}

/// Whether this proof is used by this release and no other.
pub(in crate::task) async fn use_proof(
    tx: &Transaction,
    proof: ProofId,
    grant: GrantId,
    release: Uuid,
) -> Result<bool, DatabaseError> {
    let insert = "-- task.use_proof
        INSERT INTO proof_use (proof_id, grant_id, use_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let inserted = tx
        .execute(insert, &[&proof.uuid(), &grant.uuid(), &release])
        .await
        .map_err(|source| tx.failed(source))?;
    if inserted == 1 {
        return Ok(true);
    }
    let look = "-- task.proof_used_by
        SELECT EXISTS (SELECT FROM proof_use WHERE proof_id = $1 AND grant_id = $2 AND use_id = $3)";
    let row = tx
        .query_one(look, &[&proof.uuid(), &grant.uuid(), &release])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(row.get(0))
}

pub(in crate::task) async fn delete_old_proofs(tx: &Transaction) -> Result<u64, DatabaseError> {
    let delete = "-- task.delete_old_proofs
        DELETE FROM proof_use WHERE used_at + $1::bigint * interval '1 second' < clock_timestamp()";
    tx.execute(delete, &[&signed(PROOF_KEPT.as_secs())])
        .await
        .map_err(|source| tx.failed(source))
}

/// What this very request was answered with before: the grant, and when it was made.
pub(in crate::task) async fn delegated_under(
    tx: &Transaction,
    caller: &SpiffeId,
    key: &str,
    asked: &Sha256,
) -> Result<Option<(GrantId, u64)>, DatabaseError> {
    let known: Option<wire::Delegation> = tx.answer_given_to(caller, key, asked).await?;
    let made = |known: wire::Delegation| {
        let grant = known.grant_id.parse();
        let grant = grant.map_err(|_| inconsistent("idempotency", &known.grant_id))?;
        Ok((grant, known.delegated_unix_ms))
    };
    known.map(made).transpose()
}

pub(in crate::task) async fn remember(
    tx: &Transaction,
    caller: &SpiffeId,
    key: &str,
    asked: &Sha256,
    (grant, at_ms): (GrantId, u64),
) -> Result<(), DatabaseError> {
    let answer = wire::Delegation {
        grant_id: grant.to_string(),
        delegated_unix_ms: at_ms,
        ..wire::Delegation::default()
    };
    tx.remember_answer_to(caller, key, asked, &answer).await
}

pub(in crate::task) async fn count(tx: &Transaction, task: TaskId) -> Result<i64, DatabaseError> {
    let count = "-- delegation.count
        SELECT count(*) FROM delegation WHERE task_id = $1";
    let row = tx
        .query_one(count, &[&task.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(row.get(0))
}

pub(in crate::task) async fn insert(
    tx: &Transaction,
    child: &Grant,
    parent: &Grant,
    at_ms: u64,
) -> Result<(), DatabaseError> {
    let insert = "-- delegation.insert
        INSERT INTO delegation (grant_id, task_id, parent_grant_id, delegated_by, agent, delegated_at, expires_at,
                                parent_sha256, calls_max, spend_meters, spend_max)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let link = child.link.map(|link| link.parent).unwrap_or_default();
    let (meters, amounts): (Vec<&str>, Vec<i64>) = child
        .limits
        .spend
        .iter()
        .map(|(meter, amount)| (meter.as_str(), signed(amount)))
        .unzip();
    tx.change_one(
        insert,
        &[
            &child.id.uuid(),
            &child.task.uuid(),
            &parent.id.uuid(),
            &parent.agent.as_str(),
            &child.agent.as_str(),
            &from_ms(at_ms),
            &from_ms(child.expires_ms),
            &&link.0[..],
            &child.limits.calls.map(signed),
            &meters,
            &amounts,
        ],
    )
    .await
}

/// The newest first, each with what became of its budgets.
pub(in crate::task) async fn list(tx: &Transaction, task: TaskId) -> Result<Vec<Delegation>, DatabaseError> {
    let read = "-- delegation.list
        SELECT delegation.*, coalesce(task_grant.calls_used, 0) AS calls_used
        FROM delegation LEFT JOIN task_grant USING (task_id, grant_id, parent_sha256)
        WHERE task_id = $1 ORDER BY delegated_at DESC, grant_id LIMIT $2";
    let rows = tx
        .query(read, &[&task.uuid(), &DELEGATIONS_SHOWN_MAX])
        .await
        .map_err(|source| tx.failed(source))?;
    let mut listed: Vec<_> = rows
        .iter()
        .map(|row| decode(row, task))
        .collect::<Result<_, _>>()?;
    let keys: Vec<&str> = listed
        .iter()
        .flat_map(|(_, keys)| keys)
        .map(|key| &**key)
        .collect();
    let accounts = accounts(tx, &keys).await?;
    for (delegation, keys) in &mut listed {
        for ((_, _, account), key) in delegation.budgets.iter_mut().zip(keys) {
            *account = accounts.get(key).copied().unwrap_or_default();
        }
    }
    Ok(listed.into_iter().map(|(delegation, _)| delegation).collect())
}

/// What became of these budgets, which have no windows; of one that was never used there is nothing.
async fn accounts(tx: &Transaction, keys: &[&str]) -> Result<HashMap<String, Account>, DatabaseError> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let read = "-- delegation.budgets
        SELECT * FROM budget_use WHERE key = ANY ($1) AND window_start = 0";
    let rows = tx
        .query(read, &[&keys])
        .await
        .map_err(|source| tx.failed(source))?;
    let account = |row: &Row| Account {
        spent: unsigned(row.get("spent")),
        reserved: unsigned(row.get("reserved")),
        unknown: unsigned(row.get("unknown")),
    };
    Ok(rows.iter().map(|row| (row.get("key"), account(row))).collect())
}

/// A delegation of which nothing is used up yet, and the keys of its budgets.
fn decode(row: &Row, task: TaskId) -> Result<(Delegation, Vec<String>), DatabaseError> {
    let grant = GrantId::from_uuid(row.get("grant_id"));
    let wrong = || inconsistent("delegation", &grant);
    let parent: &[u8] = row.get("parent_sha256");
    let parent = Sha256(parent.try_into().map_err(|_| wrong())?);
    let (meters, amounts): (Vec<&str>, Vec<i64>) = (row.get("spend_meters"), row.get("spend_max"));
    let (mut budgets, mut keys) = (Vec::new(), Vec::new());
    for (meter, amount) in meters.into_iter().zip(amounts) {
        let meter = meter.parse().map_err(|_| wrong())?;
        budgets.push((meter, unsigned(amount), Account::default()));
        keys.push(key_of_link((task, grant, parent), meter));
    }
    let delegation = Delegation {
        grant,
        parent: GrantId::from_uuid(row.get("parent_grant_id")),
        by: parsed(row, "delegated_by", "delegation")?,
        agent: parsed(row, "agent", "delegation")?,
        at_ms: moment_ms(row, "delegated_at"),
        expires_ms: moment_ms(row, "expires_at"),
        calls: row.get::<_, Option<i64>>("calls_max").map(unsigned),
        calls_used: unsigned(row.get("calls_used")),
        budgets,
    };
    Ok((delegation, keys))
}
