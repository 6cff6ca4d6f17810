//! Broken glass in Postgres. The hold is locked by whoever calls.

use checkrein_shared::hold::{Break, Finding, Review};
use checkrein_shared::id::HoldId;
use tokio_postgres::Row;

use super::super::BreakGlass;
use crate::database::{DatabaseError, Transaction, inconsistent, moment_ms, parsed};

pub(in super::super) async fn record_break(
    tx: &Transaction,
    glass: &BreakGlass,
) -> Result<(), DatabaseError> {
    let record = "-- hold.record_break
        INSERT INTO hold_break (hold_id, approver, reason, broken_at) VALUES ($1, $2, $3, clock_timestamp())";
    let approver = glass.approver.as_str();
    tx.change_one(record, &[&glass.hold.uuid(), &approver, &glass.reason])
        .await
}

pub(in super::super) async fn set_broken(tx: &Transaction, id: HoldId) -> Result<(), DatabaseError> {
    let set = "-- hold.set_broken
        UPDATE hold SET broken_at = clock_timestamp() WHERE id = $1";
    tx.change_one(set, &[&id.uuid()]).await
}

pub(in super::super) async fn record_review(
    tx: &Transaction,
    id: HoldId,
    review: &Review,
) -> Result<(), DatabaseError> {
    let record = "-- hold.record_review
        INSERT INTO hold_review (hold_id, reviewer, finding, reason, reviewed_at) VALUES ($1, $2, $3, $4, clock_timestamp())";
    let (by, finding) = (review.by.as_str(), review.finding.as_str());
    tx.change_one(record, &[&id.uuid(), &by, &finding, &review.reason])
        .await
}

pub(super) fn decode_break(row: &Row) -> Result<Break, DatabaseError> {
    Ok(Break {
        approver: parsed(row, "approver", "hold_break")?,
        reason: row.get("reason"),
        broken_ms: moment_ms(row, "broken_at"),
    })
}

pub(super) fn decode_review(row: &Row) -> Result<Review, DatabaseError> {
    let finding: &str = row.get("finding");
    let broken = || inconsistent("hold_review", &HoldId::from_uuid(row.get("hold_id")));
    Ok(Review {
        by: parsed(row, "reviewer", "hold_review")?,
        finding: Finding::named(finding).ok_or_else(broken)?,
        reason: row.get("reason"),
        reviewed_ms: moment_ms(row, "reviewed_at"),
    })
}
