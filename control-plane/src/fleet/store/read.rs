//! The register as people see it: a page of entries, their instances and refusals, each read in one statement.

use std::collections::HashMap;

use checkrein_shared::id::InstanceId;
use tokio_postgres::Row;

use crate::database::{DatabaseError, Transaction, moment_ms, moment_ms_opt, parsed, signed, unsigned};
use crate::fleet::{Enforcer, Instance, Nack};

/// An enforcer shows at most this many of its refusals, the latest first.
const NACKS_SHOWN_MAX: i64 = 20;
/// And of the directories it has run from.
const INSTANCES_SHOWN_MAX: i64 = 50;

/// One entry. An instance that was silent for longer than this is not connected, whatever its row says.
pub(in crate::fleet) async fn find(
    tx: &Transaction,
    name: &str,
    silence_ms: u64,
) -> Result<Option<Enforcer>, DatabaseError> {
    let read = "-- fleet.find
        SELECT enforcer.*, removed_at FROM enforcer LEFT JOIN removed_identity USING (spiffe_id) WHERE name = $1";
    let rows = tx
        .query(read, &[&name])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(completed(tx, &rows, silence_ms).await?.into_iter().next())
}

/// The entries that follow a name.
pub(in crate::fleet) async fn list(
    tx: &Transaction,
    after: &str,
    rows: i64,
    silence_ms: u64,
) -> Result<Vec<Enforcer>, DatabaseError> {
    let read = "-- fleet.list
        SELECT enforcer.*, removed_at FROM enforcer LEFT JOIN removed_identity USING (spiffe_id)
        WHERE name > $1 ORDER BY name LIMIT $2";
    let rows = tx
        .query(read, &[&after, &rows])
        .await
        .map_err(|source| tx.failed(source))?;
    completed(tx, &rows, silence_ms).await
}

/// Entries with what hangs on them.
async fn completed(tx: &Transaction, rows: &[Row], silence_ms: u64) -> Result<Vec<Enforcer>, DatabaseError> {
    let mut enforcers = rows.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = enforcers.iter().map(|enforcer| enforcer.name.clone()).collect();
    let mut instances = instances(tx, &names, silence_ms).await?;
    let mut nacks = nacks(tx, &names).await?;
    for enforcer in &mut enforcers {
        enforcer.instances = instances.remove(&enforcer.name).unwrap_or_default();
        enforcer.nacks = nacks.remove(&enforcer.name).unwrap_or_default();
    }
    Ok(enforcers)
}

async fn instances(
    tx: &Transaction,
    names: &[String],
    silence_ms: u64,
) -> Result<HashMap<String, Vec<Instance>>, DatabaseError> {
    let read = "-- fleet.instances
        SELECT * FROM (
            SELECT *, row_number() OVER (PARTITION BY enforcer ORDER BY last_seen_at DESC) AS place,
                session_id IS NOT NULL
                    AND last_seen_at > clock_timestamp() - $3::bigint * interval '1 millisecond' AS connected
            FROM enforcer_instance WHERE enforcer = ANY ($1)
        ) AS placed WHERE place <= $2 ORDER BY enforcer, place";
    let rows = tx
        .query(read, &[&names, &INSTANCES_SHOWN_MAX, &signed(silence_ms)])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(by_enforcer(&rows, instance))
}

async fn nacks(tx: &Transaction, names: &[String]) -> Result<HashMap<String, Vec<Nack>>, DatabaseError> {
    let read = "-- fleet.nacks
        SELECT * FROM (
            SELECT *, row_number() OVER (PARTITION BY enforcer ORDER BY refused_at DESC) AS place
            FROM nack WHERE enforcer = ANY ($1)
        ) AS placed WHERE place <= $2 ORDER BY enforcer, place";
    let rows = tx
        .query(read, &[&names, &NACKS_SHOWN_MAX])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(by_enforcer(&rows, nack))
}

fn by_enforcer<T>(rows: &[Row], decode: impl Fn(&Row) -> T) -> HashMap<String, Vec<T>> {
    let mut found: HashMap<String, Vec<T>> = HashMap::new();
    for row in rows {
        found.entry(row.get("enforcer")).or_default().push(decode(row));
    }
    found
}

fn decode(row: &Row) -> Result<Enforcer, DatabaseError> {
    Ok(Enforcer {
        name: row.get("name"),
        spiffe_id: parsed(row, "spiffe_id", "enforcer")?,
        labels: row.get("labels"),
        agents: row.get("agents"),
        registered_ms: moment_ms(row, "registered_at"),
        removed_ms: moment_ms_opt(row, "removed_at"),
        instances: Vec::new(),
        nacks: Vec::new(),
    })
}

fn instance(row: &Row) -> Instance {
    Instance {
        id: InstanceId::from_uuid(row.get("instance_id")),
        incarnation: unsigned(row.get("incarnation")),
        build: row.get("build"),
        connected: row.get("connected"),
        last_seen_ms: moment_ms(row, "last_seen_at"),
        generation: unsigned(row.get("acked_generation")),
        acked_ms: moment_ms_opt(row, "acked_at").unwrap_or_default(),
        journal_pending: unsigned(row.get("journal_pending")),
    }
}

fn nack(row: &Row) -> Nack {
    Nack {
        instance: InstanceId::from_uuid(row.get("instance_id")),
        generation: unsigned(row.get("generation")),
        stage: row.get("stage"),
        reason: row.get("reason"),
        refused_ms: moment_ms(row, "refused_at"),
    }
}
