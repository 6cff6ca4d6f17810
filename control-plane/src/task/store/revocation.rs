//! The log of ended authority in Postgres.

use checkrein_shared::action::Sha256;
use checkrein_shared::grant::{Grant, Revocation, Revoked};
use checkrein_shared::id::{GrantId, TaskId};
use checkrein_shared::identity::SpiffeId;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::database::{
    DatabaseError, Transaction, from_ms, inconsistent, moment_ms, moment_ms_opt, parsed, signed, unsigned,
};
use crate::task::revocation::REVOCATION_GRACE;

/// The log is read in pages of this many entries.
const REVOCATIONS_READ_MAX: i64 = 10_000;

/// What a row has beside its number, its time and its cause.
#[derive(Default)]
struct Columns<'a> {
    kind: &'static str,
    task: Option<Uuid>,
    epoch: Option<i64>,
    grant: Option<Uuid>,
    agent: Option<&'a str>,
    until_ms: Option<u64>,
    key: Option<&'a [u8]>,
}

impl<'a> From<&'a Revoked> for Columns<'a> {
    fn from(what: &'a Revoked) -> Self {
        let none = Self::default();
        match what {
            Revoked::Task(task) => Self {
                kind: "task",
                task: Some(task.uuid()),
                ..none
            },
            Revoked::Before { task, epoch } => Self {
                kind: "before",
                task: Some(task.uuid()),
                epoch: Some(signed(*epoch)),
                ..none
            },
            Revoked::Grant { task, grant } => Self {
                kind: "grant",
                task: Some(task.uuid()),
                grant: Some(grant.uuid()),
                ..none
            },
            Revoked::Agent { agent, until_ms } => Self {
                kind: "agent",
                agent: Some(agent.as_str()),
                until_ms: Some(*until_ms),
                ..none
            },
            Revoked::Key(thumbprint) => Self {
                kind: "key",
                key: Some(&thumbprint.0),
                ..none
            },
        }
    }
}

/// Appends an entry; `by` says who revoked a grant or a key, and why.
pub(in crate::task) async fn insert(
    tx: &Transaction,
    sequence: u64,
    revocation: &Revocation,
    by: Option<(&SpiffeId, &str)>,
) -> Result<(), DatabaseError> {
    let insert = "-- revocation.insert
        INSERT INTO revocation (sequence, kind, task_id, epoch, grant_id, agent, issued_until, key_sha256, expires_at, cause,
                                revoked_by, reason)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    let columns = Columns::from(&revocation.what);
    let (by, reason) = by.map(|(by, reason)| (by.as_str(), reason)).unzip();
    tx.change_one(
        insert,
        &[
            &signed(sequence),
            &columns.kind,
            &columns.task,
            &columns.epoch,
            &columns.grant,
            &columns.agent,
            &columns.until_ms.map(from_ms),
            &columns.key,
            &from_ms(revocation.expires_ms),
            &revocation.cause,
            &by,
            &reason,
        ],
    )
    .await
}

/// Whether this grant was revoked before.
pub(in crate::task) async fn is_revoked(
    tx: &Transaction,
    task: TaskId,
    grant: GrantId,
) -> Result<bool, DatabaseError> {
    let read = "-- revocation.is_revoked
        SELECT FROM revocation WHERE task_id = $1 AND grant_id = $2";
    let row = tx.query_opt(read, &[&task.uuid(), &grant.uuid()]).await;
    Ok(row.map_err(|source| tx.failed(source))?.is_some())
}

/// One page of what counts in the log, in order.
pub(in crate::task) async fn between(
    tx: &Transaction,
    after: u64,
    last: u64,
) -> Result<Vec<(u64, Revocation)>, DatabaseError> {
    let read = "-- revocation.between
        SELECT * FROM revocation
        WHERE sequence > $1 AND sequence <= $2 AND expires_at + $3::bigint * interval '1 second' > clock_timestamp()
        ORDER BY sequence LIMIT $4";
    let parameters = (signed(after), signed(last), signed(REVOCATION_GRACE.as_secs()));
    let rows = tx
        .query(
            read,
            &[&parameters.0, &parameters.1, &parameters.2, &REVOCATIONS_READ_MAX],
        )
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter()
        .map(|row| Ok((unsigned(row.get("sequence")), decode(row)?)))
        .collect()
}

/// The entries that may stop one of these grants, but those that end whole tasks, of which the task itself knows.
pub(in crate::task) async fn about(
    tx: &Transaction,
    grants: &[&Grant],
) -> Result<Vec<Revocation>, DatabaseError> {
    let read = "-- revocation.about
        SELECT * FROM revocation
        WHERE task_id = ANY ($1) AND kind = 'before'
           OR grant_id = ANY ($2) OR agent = ANY ($3) OR key_sha256 = ANY ($4)
        ORDER BY sequence";
    let tasks: Vec<Uuid> = grants.iter().map(|grant| grant.task.uuid()).collect();
    let ids: Vec<Uuid> = grants.iter().map(|grant| grant.id.uuid()).collect();
    let agents: Vec<&str> = grants.iter().map(|grant| grant.agent.as_str()).collect();
    let keys = grants.iter().filter_map(|grant| grant.holder.as_ref());
    let keys: Vec<Vec<u8>> = keys.map(|key| key.thumbprint().0.to_vec()).collect();
    let rows = tx
        .query(read, &[&tasks, &ids, &agents, &keys])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter().map(decode).collect()
}

pub(in crate::task) async fn delete_old(tx: &Transaction) -> Result<u64, DatabaseError> {
    let delete = "-- revocation.delete_old
        DELETE FROM revocation WHERE expires_at + $1::bigint * interval '1 second' <= clock_timestamp()";
    tx.execute(delete, &[&signed(REVOCATION_GRACE.as_secs())])
        .await
        .map_err(|source| tx.failed(source))
}

fn decode(row: &Row) -> Result<Revocation, DatabaseError> {
    let sequence: i64 = row.get("sequence");
    let bad = || inconsistent("revocation", &sequence);
    let columns = (
        row.get("kind"),
        row.get::<_, Option<Uuid>>("task_id").map(TaskId::from_uuid),
        row.get::<_, Option<i64>>("epoch").map(unsigned),
        row.get::<_, Option<Uuid>>("grant_id").map(GrantId::from_uuid),
        moment_ms_opt(row, "issued_until"),
        row.get::<_, Option<&[u8]>>("key_sha256"),
    );
    let what = match columns {
        ("task", Some(task), None, None, None, None) => Revoked::Task(task),
        ("before", Some(task), Some(epoch), None, None, None) => Revoked::Before { task, epoch },
        ("grant", Some(task), None, Some(grant), None, None) => Revoked::Grant { task, grant },
        ("agent", None, None, None, Some(until_ms), None) => Revoked::Agent {
            agent: parsed(row, "agent", "revocation")?,
            until_ms,
        },
        ("key", None, None, None, None, Some(key)) => Revoked::Key(Sha256::try_from(key).map_err(|_| bad())?),
        _ => return Err(bad()),
    };
    Ok(Revocation {
        what,
        expires_ms: moment_ms(row, "expires_at"),
        cause: row.get("cause"),
    })
}
