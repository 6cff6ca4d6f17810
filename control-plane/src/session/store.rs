//! Sessions and links in Postgres, whose clock says which are over.

use std::time::Duration;

use checkrein_shared::action::Sha256;
use checkrein_shared::identity::SpiffeId;
use tokio_postgres::types::ToSql;

use crate::database::{DatabaseError, Transaction, from_ms, inconsistent, moment_ms, parsed};

pub(super) async fn open(
    tx: &Transaction,
    token: &Sha256,
    ids: &[SpiffeId],
    (life, until_ms): (Duration, Option<u64>),
    sessions_max: i64,
) -> Result<(), DatabaseError> {
    let open = "-- session.open
        INSERT INTO console_session (token_sha256, identities, expires_at)
        VALUES ($1, $2, least(clock_timestamp() + $3::double precision * interval '1 second', $4))";
    let crowd_out = "-- session.crowd_out
        DELETE FROM console_session WHERE identities = $1 AND token_sha256 NOT IN (
            SELECT token_sha256 FROM console_session WHERE identities = $1 ORDER BY opened_at DESC LIMIT $2)";
    let ids: Vec<&str> = ids.iter().map(SpiffeId::as_str).collect();
    let until = until_ms.map(from_ms);
    tx.change_one(open, &[&&token.0[..], &ids, &life.as_secs_f64(), &until])
        .await?;
    execute(tx, crowd_out, &[&ids, &sessions_max]).await
}

/// That somebody was seen is written at most once a minute.
pub(super) async fn find(
    tx: &Transaction,
    token: &Sha256,
    idle: Duration,
) -> Result<Option<Vec<SpiffeId>>, DatabaseError> {
    let find = "-- session.find
        SELECT identities, used_at < clock_timestamp() - interval '1 minute' AS is_stale FROM console_session
        WHERE token_sha256 = $1 AND expires_at > clock_timestamp()
            AND used_at > clock_timestamp() - $2::double precision * interval '1 second'";
    let seen = "-- session.seen
        UPDATE console_session SET used_at = clock_timestamp() WHERE token_sha256 = $1";
    let row = tx
        .query_opt(find, &[&&token.0[..], &idle.as_secs_f64()])
        .await
        .map_err(|source| tx.failed(source))?;
    let Some(row) = row else { return Ok(None) };
    if row.get("is_stale") {
        execute(tx, seen, &[&&token.0[..]]).await?;
    }
    let ids: Vec<String> = row.get("identities");
    let read = |id: &String| id.parse().map_err(|_| inconsistent("console_session", id));
    ids.iter().map(read).collect::<Result<_, _>>().map(Some)
}

pub(super) async fn end(tx: &Transaction, token: &Sha256) -> Result<(), DatabaseError> {
    let end = "-- session.end
        DELETE FROM console_session WHERE token_sha256 = $1";
    execute(tx, end, &[&&token.0[..]]).await
}

pub(super) async fn keep_link(
    tx: &Transaction,
    token: &Sha256,
    id: &SpiffeId,
    life: Duration,
    links_max: i64,
) -> Result<u64, DatabaseError> {
    let keep = "-- session.keep_link
        INSERT INTO console_link (token_sha256, identity, expires_at)
        VALUES ($1, $2, clock_timestamp() + $3::double precision * interval '1 second')
        RETURNING expires_at";
    let crowd_out = "-- session.crowd_out_link
        DELETE FROM console_link WHERE identity = $1 AND token_sha256 NOT IN (
            SELECT token_sha256 FROM console_link WHERE identity = $1 ORDER BY expires_at DESC LIMIT $2)";
    let row = tx
        .query_one(keep, &[&&token.0[..], &id.as_str(), &life.as_secs_f64()])
        .await
        .map_err(|source| tx.failed(source))?;
    execute(tx, crowd_out, &[&id.as_str(), &links_max]).await?;
    Ok(moment_ms(&row, "expires_at"))
}

pub(super) async fn read_link(tx: &Transaction, token: &Sha256) -> Result<Option<SpiffeId>, DatabaseError> {
    let read = "-- session.read_link
        SELECT identity FROM console_link WHERE token_sha256 = $1 AND expires_at > clock_timestamp()";
    let row = tx
        .query_opt(read, &[&&token.0[..]])
        .await
        .map_err(|source| tx.failed(source))?;
    row.map(|row| parsed(&row, "identity", "console_link"))
        .transpose()
}

/// Of two who show it at once, one takes it.
pub(super) async fn take_link(tx: &Transaction, token: &Sha256) -> Result<Option<SpiffeId>, DatabaseError> {
    let take = "-- session.take_link
        DELETE FROM console_link WHERE token_sha256 = $1 AND expires_at > clock_timestamp() RETURNING identity";
    let row = tx
        .query_opt(take, &[&&token.0[..]])
        .await
        .map_err(|source| tx.failed(source))?;
    row.map(|row| parsed(&row, "identity", "console_link"))
        .transpose()
}

pub(super) async fn sweep(tx: &Transaction, idle: Duration) -> Result<(), DatabaseError> {
    let sessions = "-- session.sweep
        DELETE FROM console_session WHERE expires_at <= clock_timestamp()
            OR used_at <= clock_timestamp() - $1::double precision * interval '1 second'";
    let links = "-- session.sweep_links
        DELETE FROM console_link WHERE expires_at <= clock_timestamp()";
    execute(tx, sessions, &[&idle.as_secs_f64()]).await?;
    execute(tx, links, &[]).await
}

async fn execute(
    tx: &Transaction,
    statement: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<(), DatabaseError> {
    let changed = tx.execute(statement, values).await;
    changed.map(drop).map_err(|source| tx.failed(source))
}
