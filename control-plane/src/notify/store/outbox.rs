//! Messages that wait, are under way, were sent or were given up.

use std::time::Duration;

use checkrein_shared::action::Sha256;
use checkrein_shared::id::{HoldId, NotificationId};
use tokio_postgres::Row;

use super::super::Kind;
use super::super::message::Facts;
use super::super::retry::AGE_MAX;
use crate::database::{DatabaseError, Transaction, from_ms, moment_ms, moment_ms_opt};

/// How long what was sent is kept, and what was given up.
const SENT_KEPT: Duration = Duration::from_hours(7 * 24);
const DEAD_KEPT: Duration = Duration::from_hours(30 * 24);
/// Of those given up, the newest are kept.
const DEAD_MAX: i64 = 10_000;

/// A message in this replica's hands.
#[derive(Debug)]
pub(in super::super) struct Due {
    pub id: NotificationId,
    /// Which try this is, from 1.
    pub attempt: u32,
    pub made_ms: u64,
    /// Whom of the channel it goes to; empty: wherever the channel leads.
    pub recipient: String,
    pub hold: HoldId,
    pub happened_ms: u64,
    /// What it says; or why this replica can't say it.
    pub says: Result<(Kind, Facts), String>,
}

/// A message as operators see it.
#[derive(Debug)]
pub(in super::super) struct Listed {
    pub id: NotificationId,
    pub channel: String,
    pub recipient: String,
    pub kind: String,
    pub hold: HoldId,
    pub state: String,
    pub attempts: u32,
    pub last_error: String,
    pub happened_ms: u64,
    pub next_ms: u64,
    pub ended_ms: Option<u64>,
    pub made_ms: u64,
}

/// What a list asks for.
#[derive(Debug)]
pub(in super::super) struct Filter {
    pub states: Vec<&'static str>,
    /// The last of the page before.
    pub after: Option<(u64, NotificationId)>,
    pub rows: i64,
}

/// Takes the most pressing messages of a channel in hand, and counts the try. One that can't be read is among them as such.
pub(in super::super) async fn claim(
    tx: &Transaction,
    channel: &str,
    now_ms: u64,
    lease: Duration,
    most: i64,
) -> Result<Vec<Due>, DatabaseError> {
    let claim = "-- notification.claim
        WITH due AS (
            SELECT id FROM notification
            WHERE channel = $1 AND state = 'waiting' AND next_at <= $2
              AND (leased_until IS NULL OR leased_until <= $2)
            ORDER BY next_at, id LIMIT $4 FOR UPDATE SKIP LOCKED)
        UPDATE notification SET attempts = attempts + 1, leased_until = $3
        FROM due, notice
        WHERE notification.id = due.id AND notice.id = notification.notice_id
        RETURNING notification.id, attempts, made_at, recipient, kind, hold_id, facts, happened_at";
    let (now, until) = (from_ms(now_ms), after(now_ms, lease));
    let rows = tx
        .query(claim, &[&channel, &now, &until, &most])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(rows.iter().map(due).collect())
}

/// Writes down how a try ended that was the last. Nothing changes if somebody else has the message in hand by now.
pub(in super::super) async fn end(
    tx: &Transaction,
    due: &Due,
    state: &'static str,
    why: &str,
    now_ms: u64,
) -> Result<(), DatabaseError> {
    let end = "-- notification.end
        UPDATE notification SET state = $3, last_error = $4, ended_at = $5, leased_until = NULL
        WHERE id = $1 AND attempts = $2 AND state = 'waiting'";
    let attempt = i32::try_from(due.attempt).unwrap_or(i32::MAX);
    let parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)] =
        &[&due.id.uuid(), &attempt, &state, &why, &from_ms(now_ms)];
    tx.execute(end, parameters)
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(())
}

/// The same of a try after which there is another.
pub(in super::super) async fn postpone(
    tx: &Transaction,
    due: &Due,
    why: &str,
    now_ms: u64,
    wait: Duration,
) -> Result<(), DatabaseError> {
    let postpone = "-- notification.postpone
        UPDATE notification SET last_error = $3, next_at = $4, leased_until = NULL
        WHERE id = $1 AND attempts = $2 AND state = 'waiting'";
    let attempt = i32::try_from(due.attempt).unwrap_or(i32::MAX);
    tx.execute(postpone, &[&due.id.uuid(), &attempt, &why, &after(now_ms, wait)])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(())
}

/// Whether the receiver to which a channel leads wants no more.
pub(in super::super) async fn is_off(
    tx: &Transaction,
    channel: &str,
    fingerprint: Sha256,
) -> Result<bool, DatabaseError> {
    let read = "-- notification.is_off
        SELECT FROM notification_off WHERE channel = $1 AND fingerprint = $2";
    let row = tx
        .query_opt(read, &[&channel, &&fingerprint.0[..]])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(row.is_some())
}

pub(in super::super) async fn turn_off(
    tx: &Transaction,
    channel: &str,
    fingerprint: Sha256,
    now_ms: u64,
) -> Result<(), DatabaseError> {
    let off = "-- notification.turn_off
        INSERT INTO notification_off (channel, fingerprint, off_at) VALUES ($1, $2, $3)
        ON CONFLICT (channel) DO UPDATE SET fingerprint = excluded.fingerprint, off_at = excluded.off_at";
    tx.change_one(off, &[&channel, &&fingerprint.0[..], &from_ms(now_ms)])
        .await
}

pub(in super::super) async fn turn_on(tx: &Transaction, channel: &str) -> Result<(), DatabaseError> {
    let on = "-- notification.turn_on
        DELETE FROM notification_off WHERE channel = $1";
    tx.execute(on, &[&channel])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(())
}

/// The latest first.
pub(in super::super) async fn list(tx: &Transaction, filter: &Filter) -> Result<Vec<Listed>, DatabaseError> {
    let list = "-- notification.list
        SELECT notification.id, channel, recipient, kind, hold_id, state, attempts, last_error, happened_at, next_at, ended_at, made_at
        FROM notification JOIN notice ON notice.id = notice_id
        WHERE state = ANY ($1) AND ($2::timestamptz IS NULL OR (made_at, notification.id) < ($2, $3))
        ORDER BY made_at DESC, notification.id DESC LIMIT $4";
    let (moment, id) = filter.after.map(|(ms, id)| (from_ms(ms), id.uuid())).unzip();
    let rows = tx
        .query(list, &[&filter.states, &moment, &id, &filter.rows])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(rows.iter().map(listed).collect())
}

/// Lets messages that were given up be tried anew: this one, or all. Returns how many.
pub(in super::super) async fn retry(
    tx: &Transaction,
    only: Option<NotificationId>,
    now_ms: u64,
) -> Result<u64, DatabaseError> {
    let retry = "-- notification.retry
        UPDATE notification SET state = 'waiting', attempts = 0, made_at = $2, next_at = $2, ended_at = NULL
        WHERE state = 'dead' AND ($1::uuid IS NULL OR id = $1)";
    tx.execute(retry, &[&only.map(NotificationId::uuid), &from_ms(now_ms)])
        .await
        .map_err(|source| tx.failed(source))
}

/// Gives up what nobody tried in time, and deletes what is old. Returns how many rows changed.
pub(in super::super) async fn sweep(tx: &Transaction, now_ms: u64) -> Result<u64, DatabaseError> {
    let ago = |time: Duration| from_ms(now_ms.saturating_sub(ms(time)));
    let give_up = "-- notification.give_up
        UPDATE notification SET state = 'dead', ended_at = $1, leased_until = NULL,
            last_error = 'no replica has a channel of this name, or none came to it in time'
        WHERE state = 'waiting' AND made_at <= $2 AND (leased_until IS NULL OR leased_until <= $1)";
    let mut changed = tx
        .execute(give_up, &[&from_ms(now_ms), &ago(AGE_MAX * 2)])
        .await
        .map_err(|source| tx.failed(source))?;
    let delete = "-- notification.delete_old
        DELETE FROM notification
        WHERE (state = 'sent' AND ended_at <= $1) OR (state = 'dead' AND ended_at <= $2)
           OR id IN (SELECT id FROM notification WHERE state = 'dead' ORDER BY ended_at DESC, id OFFSET $3)";
    changed += tx
        .execute(delete, &[&ago(SENT_KEPT), &ago(DEAD_KEPT), &DEAD_MAX])
        .await
        .map_err(|source| tx.failed(source))?;
    let forget = "-- notification.forget_notices
        DELETE FROM notice WHERE happened_at <= $1
          AND NOT EXISTS (SELECT FROM notification WHERE notice_id = notice.id)
          AND NOT EXISTS (SELECT FROM hold WHERE hold.id = hold_id AND state = 'open')";
    changed += tx
        .execute(forget, &[&ago(DEAD_KEPT)])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(changed)
}

fn due(row: &Row) -> Due {
    Due {
        id: NotificationId::from_uuid(row.get("id")),
        attempt: count(row, "attempts"),
        made_ms: moment_ms(row, "made_at"),
        recipient: row.get("recipient"),
        hold: HoldId::from_uuid(row.get("hold_id")),
        happened_ms: moment_ms(row, "happened_at"),
        says: says(row.get("kind"), row.get("facts")),
    }
}

/// What an event says. One that a newer program made, which this one does not know, must not stand in the way of others.
fn says(kind: &str, facts: &str) -> Result<(Kind, Facts), String> {
    let known: Kind = kind
        .parse()
        .map_err(|_| format!("this replica knows no event `{kind}`: a newer one has to tell of it"))?;
    let facts = serde_json::from_str(facts)
        .map_err(|error| format!("this replica can't read what is to be told of `{kind}`: {error}"))?;
    Ok((known, facts))
}

fn listed(row: &Row) -> Listed {
    Listed {
        id: NotificationId::from_uuid(row.get("id")),
        channel: row.get("channel"),
        recipient: row.get("recipient"),
        kind: row.get("kind"),
        hold: HoldId::from_uuid(row.get("hold_id")),
        state: row.get("state"),
        attempts: count(row, "attempts"),
        last_error: row.get("last_error"),
        happened_ms: moment_ms(row, "happened_at"),
        next_ms: moment_ms(row, "next_at"),
        ended_ms: moment_ms_opt(row, "ended_at"),
        made_ms: moment_ms(row, "made_at"),
    }
}

fn count(row: &Row, column: &str) -> u32 {
    u32::try_from(row.get::<_, i32>(column)).unwrap_or_default()
}

fn after(now_ms: u64, wait: Duration) -> time::OffsetDateTime {
    from_ms(now_ms.saturating_add(ms(wait)))
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
