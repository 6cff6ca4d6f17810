//! Notifications in Postgres. Of holds only ids, states and deadlines are read here, and nothing is written.

mod outbox;

use std::time::Duration;

use checkrein_shared::id::{HoldId, NotificationId, StandingId};
use tokio_postgres::Row;
use uuid::Uuid;

use super::Kind;
use super::gather::STEPS_MAX;
use super::message::Facts;
use crate::database::{DatabaseError, FeedName, Transaction, from_ms, moment_ms, signed, unsigned};

pub(super) use outbox::{
    Due, Filter, Listed, claim, end, is_off, list, postpone, retry, sweep, turn_off, turn_on,
};

/// So many holds that wait are looked at for further groups at once: those whose deadline is nearest.
const WAITING_HOLDS_MAX: i64 = 10_000;
/// So many messages may wait for one channel; beyond, new ones are given up as they are made.
const WAITING_MAX: i64 = 10_000;

/// Something that happened.
#[derive(Debug)]
pub(super) struct Notice {
    pub kind: Kind,
    pub hold: HoldId,
    /// Tells apart what can happen more than once.
    pub ordinal: u64,
    /// The group that is asked beside those that rules name; empty: the event is another.
    pub group: String,
    pub facts: Facts,
    pub happened_ms: u64,
}

/// A standing approval that a person ended.
#[derive(Debug)]
pub(super) struct Revoked {
    pub standing: StandingId,
    pub hold: HoldId,
    pub by: String,
    pub reason: String,
    pub happened_ms: u64,
}

/// A hold that waits and that people were told of, and what they were told since.
#[derive(Debug)]
pub(super) struct Waiting {
    pub hold: HoldId,
    /// The further groups that know of it.
    pub told: Vec<String>,
    /// Whether they know that somebody wants to break the glass.
    pub is_glass_told: bool,
}

/// The revision up to which events were made. None: there is no cursor, or another replica holds it.
pub(super) async fn lock_cursor(tx: &Transaction) -> Result<Option<u64>, DatabaseError> {
    let lock = "-- notification.lock_cursor
        SELECT revision FROM notification_cursor FOR UPDATE SKIP LOCKED";
    let row = tx
        .query_opt(lock, &[])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(row.map(|row| unsigned(row.get(0))))
}

/// From now on, if nothing was ever told.
pub(super) async fn begin_cursor(tx: &Transaction) -> Result<(), DatabaseError> {
    let begin = "-- notification.begin_cursor
        INSERT INTO notification_cursor (revision)
        SELECT value FROM revision WHERE feed = $1 AND NOT EXISTS (SELECT FROM notification_cursor)
        ON CONFLICT DO NOTHING";
    tx.execute(begin, &[&FeedName::Hold.as_str()])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(())
}

pub(super) async fn move_cursor(tx: &Transaction, revision: u64) -> Result<(), DatabaseError> {
    let advance = "-- notification.move_cursor
        UPDATE notification_cursor SET revision = $1";
    tx.change_one(advance, &[&signed(revision)]).await
}

/// Holds that people were told of, that still wait, and whose deadline is near: nearer than asked, or than half of their time.
pub(super) async fn near_deadlines(tx: &Transaction, before: Duration) -> Result<Vec<HoldId>, DatabaseError> {
    let read = "-- notification.near_deadlines
        SELECT hold.id FROM hold
        WHERE state = 'open' AND decide_by > clock_timestamp()
          AND greatest(decide_by - $1::bigint * interval '1 millisecond', opened_at + (decide_by - opened_at) / 2)
              <= clock_timestamp()
          AND EXISTS (SELECT FROM notice WHERE hold_id = hold.id AND kind = $2)
          AND NOT EXISTS (SELECT FROM notice WHERE hold_id = hold.id AND kind = $3)
        ORDER BY decide_by, id LIMIT $4";
    let before_ms = i64::try_from(before.as_millis()).unwrap_or(i64::MAX);
    let (opened, reminder) = (Kind::HoldOpened.as_str(), Kind::HoldReminder.as_str());
    let rows = tx
        .query(read, &[&before_ms, &opened, &reminder, &STEPS_MAX])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(rows.iter().map(|row| HoldId::from_uuid(row.get(0))).collect())
}

/// Holds that people were told of and that still wait, with what they were told since.
pub(super) async fn waiting(tx: &Transaction) -> Result<Vec<Waiting>, DatabaseError> {
    let read = "-- notification.waiting_holds
        SELECT hold.id,
               ARRAY(SELECT group_name FROM notice WHERE hold_id = hold.id AND kind = $2) AS told,
               EXISTS (SELECT FROM notice WHERE hold_id = hold.id AND kind = $3) AS is_glass_told
        FROM hold
        WHERE state = 'open' AND decide_by > clock_timestamp()
          AND EXISTS (SELECT FROM notice WHERE hold_id = hold.id AND kind = $1)
        ORDER BY decide_by, id LIMIT $4";
    let (opened, further) = (Kind::HoldOpened.as_str(), Kind::HoldEscalated.as_str());
    let glass = Kind::HoldGlassRequested.as_str();
    let rows = tx
        .query(read, &[&opened, &further, &glass, &WAITING_HOLDS_MAX])
        .await
        .map_err(|source| tx.failed(source))?;
    let decode = |row: &Row| Waiting {
        hold: HoldId::from_uuid(row.get("id")),
        told: row.get("told"),
        is_glass_told: row.get("is_glass_told"),
    };
    Ok(rows.iter().map(decode).collect())
}

/// The further groups that were told of a hold, in the order in which they were asked.
pub(super) async fn further_groups(tx: &Transaction, hold: HoldId) -> Result<Vec<String>, DatabaseError> {
    let read = "-- notification.further_groups
        SELECT group_name FROM notice WHERE hold_id = $1 AND kind = $2 ORDER BY ordinal";
    let rows = tx
        .query(read, &[&hold.uuid(), &Kind::HoldEscalated.as_str()])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Standing approvals whose beginning people were told of, and which a person ended since, not longer ago than this. What was
/// told is remembered for longer than that, so that none is told twice.
pub(super) async fn revoked_standing(
    tx: &Transaction,
    within_ms: u64,
) -> Result<Vec<Revoked>, DatabaseError> {
    let read = "-- notification.revoked_standing
        SELECT id, hold_id, ended_by, ended_reason, ended_at FROM standing_approval AS standing
        WHERE ended_by IS NOT NULL AND ended_at > clock_timestamp() - $4::bigint * interval '1 millisecond'
          AND EXISTS (SELECT FROM notice WHERE hold_id = standing.hold_id AND kind = $1)
          AND NOT EXISTS (SELECT FROM notice WHERE hold_id = standing.hold_id AND kind = $2)
        ORDER BY ended_at, id LIMIT $3";
    let (given, revoked) = (Kind::StandingGiven.as_str(), Kind::StandingRevoked.as_str());
    let rows = tx
        .query(read, &[&given, &revoked, &STEPS_MAX, &signed(within_ms)])
        .await
        .map_err(|source| tx.failed(source))?;
    let decode = |row: &Row| Revoked {
        standing: StandingId::from_uuid(row.get("id")),
        hold: HoldId::from_uuid(row.get("hold_id")),
        by: row.get("ended_by"),
        reason: row.get("ended_reason"),
        happened_ms: moment_ms(row, "ended_at"),
    };
    Ok(rows.iter().map(decode).collect())
}

/// False if it is known already.
pub(super) async fn insert_notice(
    tx: &Transaction,
    id: Uuid,
    notice: &Notice,
) -> Result<bool, DatabaseError> {
    let insert = "-- notification.insert_notice
        INSERT INTO notice (id, kind, hold_id, ordinal, group_name, facts, happened_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
    // Strings and numbers: that can't fail, and nothing would be said if it did.
    let facts = serde_json::to_string(&notice.facts).unwrap_or_default();
    let inserted = tx
        .execute(
            insert,
            &[
                &id,
                &notice.kind.as_str(),
                &notice.hold.uuid(),
                &signed(notice.ordinal),
                &notice.group,
                &facts,
                &from_ms(notice.happened_ms),
            ],
        )
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(inserted == 1)
}

/// A message for a recipient of a channel; given up at once if too many wait for the channel.
pub(super) async fn insert(
    tx: &Transaction,
    id: NotificationId,
    (notice, channel, recipient): (Uuid, &str, &str),
    now_ms: u64,
) -> Result<(), DatabaseError> {
    let insert = "-- notification.insert
        INSERT INTO notification (id, notice_id, channel, recipient, made_at, next_at, state, last_error, ended_at)
        SELECT $1, $2, $3, $6, $4, $4,
               CASE WHEN is_full THEN 'dead' ELSE 'waiting' END,
               CASE WHEN is_full THEN 'too many messages wait for the channel' ELSE '' END,
               CASE WHEN is_full THEN $4::timestamptz END
        FROM (SELECT count(*) >= $5 AS is_full
              FROM (SELECT FROM notification WHERE channel = $3 AND state = 'waiting' LIMIT $5) AS waiting) AS queue";
    let now = from_ms(now_ms);
    let parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)] =
        &[&id.uuid(), &notice, &channel, &now, &WAITING_MAX, &recipient];
    tx.change_one(insert, parameters).await
}
