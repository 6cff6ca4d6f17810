//! The register, and what each enforcer last said, in Postgres.

use checkrein_shared::action::Sha256;
use checkrein_shared::id::{InstanceId, SessionId};
use checkrein_shared::identity::SpiffeId;
use tokio_postgres::Row;

use super::{Enforcer, Instance, Nack, Register};
use crate::database::{DatabaseError, Transaction, moment_ms, moment_ms_opt, parsed, signed, unsigned};

/// An enforcer shows at most this many of its refusals.
const NACKS_SHOWN_MAX: i64 = 20;
/// An instance that has not been heard of for this long is not connected, whatever its row says.
const SILENT_SECONDS_MAX: i64 = 60;

/// A stream, as its rows know it.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) enforcer: String,
    pub(super) instance: InstanceId,
    pub(super) incarnation: u64,
    pub(super) session: SessionId,
    pub(super) build: String,
}

/// Whether the name was free.
pub(super) async fn insert(
    tx: &Transaction,
    id: &SpiffeId,
    by: &SpiffeId,
    register: &Register,
    audience: &str,
) -> Result<bool, DatabaseError> {
    let insert = "-- fleet.insert
        INSERT INTO enforcer (name, spiffe_id, labels, agents, audience, registered_by)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    let labels: Vec<String> = register
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let agents: Vec<&str> = register.agents.iter().map(SpiffeId::as_str).collect();
    let inserted = tx
        .execute(
            insert,
            &[
                &register.name,
                &id.as_str(),
                &labels,
                &agents,
                &audience,
                &by.as_str(),
            ],
        )
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(inserted == 1)
}

pub(super) async fn speaks_for(
    tx: &Transaction,
    enforcer: &str,
    agent: &SpiffeId,
) -> Result<bool, DatabaseError> {
    let read = "-- fleet.speaks_for
        SELECT EXISTS (SELECT FROM enforcer WHERE name = $1 AND $2 = ANY (agents))";
    let row = tx
        .query_one(read, &[&enforcer, &agent.as_str()])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(row.get(0))
}

pub(super) async fn share_incarnation(
    tx: &Transaction,
    enforcer: &str,
    instance: InstanceId,
) -> Result<Option<u64>, DatabaseError> {
    let share = "-- fleet.share_incarnation
        SELECT incarnation FROM enforcer_instance WHERE enforcer = $1 AND instance_id = $2 FOR SHARE";
    let row = tx
        .query_opt(share, &[&enforcer, &instance.uuid()])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(row.map(|row| unsigned(row.get(0))))
}

/// Takes the instance over for this stream; an earlier incarnation is refused.
pub(super) async fn open_stream(tx: &Transaction, stream: &Stream) -> Result<bool, DatabaseError> {
    let open = "-- fleet.open_stream
        INSERT INTO enforcer_instance (enforcer, instance_id, incarnation, session_id, build)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (enforcer, instance_id) DO UPDATE
        SET incarnation = excluded.incarnation, session_id = excluded.session_id, build = excluded.build,
            last_seen_at = clock_timestamp()
        WHERE enforcer_instance.incarnation <= excluded.incarnation";
    let changed = tx
        .execute(
            open,
            &[
                &stream.enforcer,
                &stream.instance.uuid(),
                &signed(stream.incarnation),
                &stream.session.uuid(),
                &stream.build,
            ],
        )
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(changed == 1)
}

/// Writes a beat down; false: another stream has taken the instance over.
pub(super) async fn beat(
    tx: &Transaction,
    stream: &Stream,
    journal_pending: u64,
) -> Result<bool, DatabaseError> {
    let beat = "-- fleet.beat
        UPDATE enforcer_instance SET last_seen_at = clock_timestamp(), journal_pending = $4
        WHERE enforcer = $1 AND instance_id = $2 AND session_id = $3";
    let parameters = (
        stream.instance.uuid(),
        stream.session.uuid(),
        signed(journal_pending),
    );
    let changed = tx
        .execute(
            beat,
            &[&stream.enforcer, &parameters.0, &parameters.1, &parameters.2],
        )
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(changed == 1)
}

pub(super) async fn ack(tx: &Transaction, stream: &Stream, generation: u64) -> Result<(), DatabaseError> {
    let ack = "-- fleet.ack
        UPDATE enforcer_instance
        SET acked_generation = $4, acked_at = clock_timestamp(), last_seen_at = clock_timestamp()
        WHERE enforcer = $1 AND instance_id = $2 AND session_id = $3";
    let parameters = (stream.instance.uuid(), stream.session.uuid(), signed(generation));
    tx.execute(
        ack,
        &[&stream.enforcer, &parameters.0, &parameters.1, &parameters.2],
    )
    .await
    .map_err(|source| tx.failed(source))?;
    Ok(())
}

pub(super) async fn nack(
    tx: &Transaction,
    stream: &Stream,
    digest: Sha256,
    nack: &Nack,
) -> Result<(), DatabaseError> {
    let insert = "-- fleet.nack
        INSERT INTO nack (enforcer, instance_id, manifest_sha256, build, generation, stage, reason)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (enforcer, instance_id, manifest_sha256, build) DO UPDATE
        SET stage = excluded.stage, reason = excluded.reason, refused_at = clock_timestamp()";
    tx.change_one(
        insert,
        &[
            &stream.enforcer,
            &stream.instance.uuid(),
            &&digest.0[..],
            &stream.build,
            &signed(nack.generation),
            &nack.stage,
            &nack.reason,
        ],
    )
    .await
}

/// The bundles this very build refused: they are not offered again.
pub(super) async fn nacked(tx: &Transaction, stream: &Stream) -> Result<Vec<Sha256>, DatabaseError> {
    let read = "-- fleet.nacked
        SELECT manifest_sha256 FROM nack WHERE enforcer = $1 AND instance_id = $2 AND build = $3";
    let rows = tx
        .query(read, &[&stream.enforcer, &stream.instance.uuid(), &stream.build])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(rows
        .iter()
        .filter_map(|row| Sha256::try_from(row.get::<_, &[u8]>(0)).ok())
        .collect())
}

pub(super) async fn close_stream(tx: &Transaction, stream: &Stream) -> Result<(), DatabaseError> {
    let close = "-- fleet.close_stream
        UPDATE enforcer_instance SET session_id = NULL WHERE enforcer = $1 AND instance_id = $2 AND session_id = $3";
    tx.execute(
        close,
        &[&stream.enforcer, &stream.instance.uuid(), &stream.session.uuid()],
    )
    .await
    .map_err(|source| tx.failed(source))?;
    Ok(())
}

/// The whole register, or one entry.
pub(super) async fn list(tx: &Transaction, name: Option<&str>) -> Result<Vec<Enforcer>, DatabaseError> {
    let read = "-- fleet.list
        SELECT * FROM enforcer WHERE $1::text IS NULL OR name = $1 ORDER BY name";
    let rows = tx
        .query(read, &[&name])
        .await
        .map_err(|source| tx.failed(source))?;
    let mut enforcers = rows.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    let read = "-- fleet.list_instances
        SELECT *, session_id IS NOT NULL AND last_seen_at > clock_timestamp() - $2::bigint * interval '1 second' AS connected
        FROM enforcer_instance WHERE $1::text IS NULL OR enforcer = $1 ORDER BY last_seen_at DESC";
    for row in tx
        .query(read, &[&name, &SILENT_SECONDS_MAX])
        .await
        .map_err(|source| tx.failed(source))?
    {
        let whose: String = row.get("enforcer");
        if let Some(enforcer) = enforcers.iter_mut().find(|enforcer| enforcer.name == whose) {
            enforcer.instances.push(instance(&row));
        }
    }
    for enforcer in &mut enforcers {
        enforcer.nacks = nacks(tx, &enforcer.name).await?;
    }
    Ok(enforcers)
}

async fn nacks(tx: &Transaction, enforcer: &str) -> Result<Vec<Nack>, DatabaseError> {
    let read = "-- fleet.nacks
        SELECT * FROM nack WHERE enforcer = $1 ORDER BY refused_at DESC LIMIT $2";
    let rows = tx
        .query(read, &[&enforcer, &NACKS_SHOWN_MAX])
        .await
        .map_err(|source| tx.failed(source))?;
    let decode = |row: &Row| Nack {
        instance: InstanceId::from_uuid(row.get("instance_id")),
        generation: unsigned(row.get("generation")),
        stage: row.get("stage"),
        reason: row.get("reason"),
        refused_ms: moment_ms(row, "refused_at"),
    };
    Ok(rows.iter().map(decode).collect())
}

fn decode(row: &Row) -> Result<Enforcer, DatabaseError> {
    Ok(Enforcer {
        name: row.get("name"),
        spiffe_id: parsed(row, "spiffe_id", "enforcer")?,
        labels: row.get("labels"),
        agents: row.get("agents"),
        registered_ms: moment_ms(row, "registered_at"),
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
