//! What delegated grants have used, and the proofs of possession that were.

use std::time::Duration;

use checkrein_shared::grant::Grant;
use checkrein_shared::id::{GrantId, ProofId};
use uuid::Uuid;

use crate::database::{DatabaseError, Transaction, signed};

/// A proof is believed for a minute at most; what is ten times as old proves nothing to anybody.
const PROOF_KEPT: Duration = Duration::from_mins(10);

/// Charges one call to the budget of a grant that was passed on; false if there is none left.
pub(in crate::task) async fn charge_grant(
    tx: &Transaction,
    grant: &Grant,
    calls: u64,
) -> Result<bool, DatabaseError> {
    let charge = "-- task.charge_grant
        INSERT INTO task_grant (task_id, grant_id, calls_used) VALUES ($1, $2, 1)
        ON CONFLICT (grant_id) DO UPDATE SET calls_used = task_grant.calls_used + 1
            WHERE task_grant.task_id = excluded.task_id AND task_grant.calls_used < $3";
    let charged = tx
        .execute(charge, &[&grant.task.uuid(), &grant.id.uuid(), &signed(calls)])
        .await;
    Ok(charged.map_err(|source| tx.failed(source))? == 1)
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
