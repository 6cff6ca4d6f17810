//! Remarks in Postgres. The hold is locked by whoever adds one.

use checkrein_shared::hold::{Hold, Remark, RemarkKind};
use checkrein_shared::id::HoldId;
use tokio_postgres::Row;

use super::super::remark::Say;
use super::write::bump_version;
use crate::database::{DatabaseError, Transaction, inconsistent, moment_ms, parsed, signed};

/// Whether this very request was answered before; another one under its key is refused.
pub(in super::super) async fn is_said(tx: &Transaction, say: &Say) -> Result<bool, DatabaseError> {
    let read = "-- hold.remark_of_key
        SELECT hold_id, kind, handed_to, remark FROM hold_remark WHERE author = $1 AND idempotency_key = $2";
    let row = tx
        .query_opt(read, &[&say.author.as_str(), &say.key])
        .await
        .map_err(|source| tx.failed(source))?;
    let Some(row) = row else { return Ok(false) };
    let known: (HoldId, &str, Option<&str>, &str) = (
        HoldId::from_uuid(row.get("hold_id")),
        row.get("kind"),
        row.get("handed_to"),
        row.get("remark"),
    );
    if known == (say.hold, say.kind.as_str(), handed_to(&say.kind), &*say.text) {
        Ok(true)
    } else {
        Err(DatabaseError::KeyReused(say.key.clone()))
    }
}

/// Adds a remark to those that the hold has, and counts it as a change of the hold.
pub(in super::super) async fn insert_remark(
    tx: &Transaction,
    say: &Say,
    hold: &Hold,
) -> Result<(), DatabaseError> {
    bump_version(tx, hold.id).await?;
    // Of two requests under one key, for two holds, the second one adds nothing.
    let insert = "-- hold.insert_remark
        INSERT INTO hold_remark (hold_id, ordinal, author, kind, handed_to, remark, version, idempotency_key, remarked_at)
        SELECT id, $2, $3, $4, $5, $6, version, $7, clock_timestamp() FROM hold WHERE id = $1
        ON CONFLICT (author, idempotency_key) DO NOTHING";
    let ordinal = i16::try_from(hold.remarks.len() + 1).unwrap_or(i16::MAX);
    let added = tx
        .execute(
            insert,
            &[
                &hold.id.uuid(),
                &ordinal,
                &say.author.as_str(),
                &say.kind.as_str(),
                &handed_to(&say.kind),
                &say.text,
                &say.key,
            ],
        )
        .await
        .map_err(|source| tx.failed(source))?;
    if added == 1 {
        Ok(())
    } else {
        Err(DatabaseError::KeyReused(say.key.clone()))
    }
}

pub(in super::super) async fn remark_at(
    tx: &Transaction,
    id: HoldId,
    version: u64,
) -> Result<Option<Remark>, DatabaseError> {
    let read = "-- hold.remark_at
        SELECT * FROM hold_remark WHERE hold_id = $1 AND version = $2";
    let row = tx
        .query_opt(read, &[&id.uuid(), &signed(version)])
        .await
        .map_err(|source| tx.failed(source))?;
    row.as_ref().map(decode_remark).transpose()
}

pub(super) fn decode_remark(row: &Row) -> Result<Remark, DatabaseError> {
    let kind = match (row.get("kind"), row.get::<_, Option<&str>>("handed_to")) {
        ("question", None) => RemarkKind::Question,
        ("reply", None) => RemarkKind::Reply,
        ("handed_on", Some(_)) => RemarkKind::HandedOn {
            to: parsed(row, "handed_to", "hold_remark")?,
        },
        _ => {
            let id = HoldId::from_uuid(row.get("hold_id"));
            return Err(inconsistent("hold_remark", &id));
        }
    };
    Ok(Remark {
        author: parsed(row, "author", "hold_remark")?,
        kind,
        text: row.get("remark"),
        remarked_ms: moment_ms(row, "remarked_at"),
    })
}

fn handed_to(kind: &RemarkKind) -> Option<&str> {
    match kind {
        RemarkKind::HandedOn { to } => Some(to.as_str()),
        RemarkKind::Question | RemarkKind::Reply => None,
    }
}
