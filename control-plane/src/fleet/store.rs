//! The register, and what each enforcer last said, in Postgres.

mod agent;
mod invitation;
mod read;
mod removal;

use std::collections::HashSet;

use checkrein_shared::action::Sha256;
use checkrein_shared::id::{Generation, InstanceId, SessionId};
use checkrein_shared::identity::SpiffeId;

use super::beats::Beat;
use super::offer::Offer;
use super::{Nack, Register};
use crate::database::{DatabaseError, Transaction, signed, unsigned};
use crate::policy::INSTANCE_DAYS_MAX;

pub(super) use agent::{find_agent, list_agents, note_agent, own_agent, teams};
pub(super) use invitation::{
    find_invitation, keep_place, latest_invited, list_invited, take_place, withdraw_places,
};
pub(super) use read::{find, list};
pub(super) use removal::{any_removed, find_removal, insert_removal, lock_identity, removed, share_identity};

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
        SELECT EXISTS (SELECT FROM enforcer WHERE name = $1 AND $2 = ANY (agents)
            AND NOT EXISTS (SELECT FROM removed_identity WHERE removed_identity.spiffe_id = enforcer.spiffe_id))";
    let row = tx
        .query_one(read, &[&enforcer, &agent.as_str()])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(row.get(0))
}

/// Whether this very request was answered under this key already.
pub(super) async fn registered_under(
    tx: &Transaction,
    by: &SpiffeId,
    key: &str,
    register: &Register,
) -> Result<bool, DatabaseError> {
    let known: Option<RegisteredEnforcer> = tx.answer_given_to(by, key, &digest(register)).await?;
    Ok(known.is_some())
}

pub(super) async fn remember_registered(
    tx: &Transaction,
    by: &SpiffeId,
    key: &str,
    register: &Register,
) -> Result<(), DatabaseError> {
    let name = register.name.clone();
    tx.remember_answer_to(by, key, &digest(register), &RegisteredEnforcer { name })
        .await
}

/// What is remembered of a registration: not the certificate, which is issued anew.
type RegisteredEnforcer = checkrein_proto::fleet::v1::ShowRequest;

/// Over what is asked for, but not for which key: one who asks again may have lost that.
fn digest(register: &Register) -> Sha256 {
    Sha256::of(format!("{:?}", (&register.name, &register.labels, &register.agents)).as_bytes())
}

pub(super) async fn is_registered(tx: &Transaction, name: &str) -> Result<bool, DatabaseError> {
    let read = "-- fleet.is_registered
        SELECT EXISTS (SELECT FROM enforcer WHERE name = $1)";
    let row = tx
        .query_one(read, &[&name])
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

/// Writes beats down; returns whose instance is still theirs.
pub(super) async fn beats(tx: &Transaction, beats: &[Beat]) -> Result<HashSet<SessionId>, DatabaseError> {
    // A beat lost in a crash of the server is followed by another: nobody waits for the disk.
    tx.batch_execute("-- fleet.beats_can_be_lost\nSET LOCAL synchronous_commit = off")
        .await
        .map_err(|source| tx.failed(source))?;
    let write = "-- fleet.beats
        UPDATE enforcer_instance SET last_seen_at = clock_timestamp(), journal_pending = beat.pending
        FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[]) AS beat (enforcer, instance_id, session_id, pending)
        WHERE enforcer_instance.enforcer = beat.enforcer AND enforcer_instance.instance_id = beat.instance_id
            AND enforcer_instance.session_id = beat.session_id
        RETURNING beat.session_id";
    let enforcers: Vec<&str> = beats.iter().map(|beat| &*beat.stream.enforcer).collect();
    let instances: Vec<_> = beats.iter().map(|beat| beat.stream.instance.uuid()).collect();
    let sessions: Vec<_> = beats.iter().map(|beat| beat.stream.session.uuid()).collect();
    let pending: Vec<i64> = beats.iter().map(|beat| signed(beat.journal_pending)).collect();
    let rows = tx
        .query(write, &[&enforcers, &instances, &sessions, &pending])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(rows.iter().map(|row| SessionId::from_uuid(row.get(0))).collect())
}

pub(super) async fn ack(
    tx: &Transaction,
    stream: &Stream,
    generation: Generation,
) -> Result<(), DatabaseError> {
    let ack = "-- fleet.ack
        UPDATE enforcer_instance
        SET acked_generation = $4, acked_at = clock_timestamp(), last_seen_at = clock_timestamp()
        WHERE enforcer = $1 AND instance_id = $2 AND session_id = $3";
    let parameters = (
        stream.instance.uuid(),
        stream.session.uuid(),
        signed(generation.0),
    );
    tx.execute(
        ack,
        &[&stream.enforcer, &parameters.0, &parameters.1, &parameters.2],
    )
    .await
    .map_err(|source| tx.failed(source))?;
    Ok(())
}

/// Writes down what the enforcer says it runs, if that is a bundle that was published.
pub(super) async fn confirm_running(
    tx: &Transaction,
    stream: &Stream,
    running: Offer,
) -> Result<(), DatabaseError> {
    let confirm = "-- fleet.confirm_running
        UPDATE enforcer_instance SET acked_generation = $3, acked_at = clock_timestamp()
        WHERE enforcer = $1 AND instance_id = $2 AND acked_generation <> $3
            AND EXISTS (SELECT FROM bundle WHERE generation = $3 AND manifest_sha256 = $4)";
    let digest = &running.digest.0[..];
    tx.execute(
        confirm,
        &[
            &stream.enforcer,
            &stream.instance.uuid(),
            &signed(running.generation.0),
            &digest,
        ],
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

/// Deletes refusals of bundles that are gone, instances that have been silent for long and owe no records, and old invitations.
pub(super) async fn retire(tx: &Transaction) -> Result<(), DatabaseError> {
    let nacks = "-- fleet.retire_nacks
        DELETE FROM nack WHERE refused_at < clock_timestamp() - $1::bigint * interval '1 day'
            AND NOT EXISTS (SELECT FROM bundle WHERE bundle.manifest_sha256 = nack.manifest_sha256)";
    let instances = "-- fleet.retire_instances
        DELETE FROM enforcer_instance
        WHERE last_seen_at < clock_timestamp() - $1::bigint * interval '1 day' AND journal_pending = 0";
    let invitations = "-- invitation.retire
        DELETE FROM invitation WHERE expires_at < clock_timestamp() - $1::bigint * interval '1 day'";
    for statement in [nacks, instances, invitations] {
        tx.execute(statement, &[&INSTANCE_DAYS_MAX])
            .await
            .map_err(|source| tx.failed(source))?;
    }
    Ok(())
}
