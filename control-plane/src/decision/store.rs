//! The record in Postgres: cursors, and day partitions without a unique index.

pub(super) mod partition;
mod search;
pub(super) mod tally;

use std::borrow::Cow;

use bytes::Bytes;
use checkrein_shared::action::Sha256;
use checkrein_shared::decision::{Chain, Record};
use checkrein_shared::id::InstanceId;
use tokio_postgres::Row;

use super::{Journal, Placed, Progress};
use crate::database::{
    DatabaseError, Transaction, from_ms, inconsistent, moment_ms, moment_ms_opt, signed, unsigned,
};

pub(super) use search::{count, find, search};

/// Text that is looked for is kept up to this many bytes: an index takes no more than 2704.
const COLUMN_BYTES_MAX: usize = 1 << 10;
/// An enforcer shows at most this many of its journals.
const JOURNALS_SHOWN_MAX: i64 = 50;

/// Whether another enforcer has a journal of this instance. Until the transaction ends, whoever opens one of it waits here,
/// so that two enforcers can't both come first.
pub(super) async fn is_foreign(tx: &Transaction, journal: &Journal) -> Result<bool, DatabaseError> {
    let lock = "-- decision.lock_instance
        SELECT pg_advisory_xact_lock(hashtextextended('decision.instance ' || $1::uuid::text, 0))";
    let instance = journal.instance.uuid();
    tx.query_one(lock, &[&instance])
        .await
        .map_err(|source| tx.failed(source))?;
    let look = "-- decision.is_foreign
        SELECT EXISTS (SELECT 1 FROM journal_cursor WHERE instance_id = $1 AND enforcer <> $2)";
    let row = tx
        .query_one(look, &[&instance, &journal.enforcer])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(row.get(0))
}

/// The cursor, made at the journal's beginning if there is none.
pub(super) async fn open_cursor(tx: &Transaction, journal: &Journal) -> Result<Chain, DatabaseError> {
    let open = "-- decision.open_cursor
        INSERT INTO journal_cursor (enforcer, instance_id, incarnation, next_sequence, chain)
        VALUES ($1, $2, $3, 0, $4)
        ON CONFLICT (enforcer, instance_id, incarnation) DO UPDATE SET enforcer = excluded.enforcer
        RETURNING next_sequence, chain";
    let begin = Chain::begin(journal.instance, journal.incarnation);
    let row = tx
        .query_one(
            open,
            &[
                &journal.enforcer,
                &journal.instance.uuid(),
                &signed(journal.incarnation),
                &&begin.hash.0[..],
            ],
        )
        .await
        .map_err(|source| tx.failed(source))?;
    chain(&row, "chain")
}

/// Moves the cursor from one place to the next, if it is there: false, if it is elsewhere.
pub(super) async fn advance_cursor(
    tx: &Transaction,
    journal: &Journal,
    before: Chain,
    after: Chain,
) -> Result<bool, DatabaseError> {
    let advance = "-- decision.advance_cursor
        UPDATE journal_cursor SET next_sequence = $6, chain = $7, advanced_at = clock_timestamp()
        WHERE enforcer = $1 AND instance_id = $2 AND incarnation = $3 AND next_sequence = $4 AND chain = $5";
    let changed = tx
        .execute(
            advance,
            &[
                &journal.enforcer,
                &journal.instance.uuid(),
                &signed(journal.incarnation),
                &signed(before.next_sequence),
                &&before.hash.0[..],
                &signed(after.next_sequence),
                &&after.hash.0[..],
            ],
        )
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(changed == 1)
}

/// The chain after the record before `next_sequence`, if that record is still kept.
pub(super) async fn stored_hash(
    tx: &Transaction,
    journal: &Journal,
    next_sequence: u64,
) -> Result<Option<Sha256>, DatabaseError> {
    let read = "-- decision.stored_hash
        SELECT chain_hash FROM decision WHERE enforcer = $1 AND instance_id = $2 AND incarnation = $3 AND sequence = $4
        UNION ALL
        SELECT chain_hash FROM outcome WHERE enforcer = $1 AND instance_id = $2 AND incarnation = $3 AND sequence = $4";
    let sequence = signed(next_sequence.saturating_sub(1));
    let row = tx
        .query_opt(
            read,
            &[
                &journal.enforcer,
                &journal.instance.uuid(),
                &signed(journal.incarnation),
                &sequence,
            ],
        )
        .await
        .map_err(|source| tx.failed(source))?;
    row.map(|row| Sha256::try_from(row.get::<_, &[u8]>(0)).map_err(|_| inconsistent("decision", &sequence)))
        .transpose()
}

pub(super) async fn mark_forked(tx: &Transaction, journal: &Journal) -> Result<(), DatabaseError> {
    let mark = "-- decision.mark_forked
        UPDATE journal_cursor SET forked_at = clock_timestamp()
        WHERE enforcer = $1 AND instance_id = $2 AND incarnation = $3";
    tx.change_one(
        mark,
        &[
            &journal.enforcer,
            &journal.instance.uuid(),
            &signed(journal.incarnation),
        ],
    )
    .await
}

pub(super) async fn journals(tx: &Transaction, enforcer: &str) -> Result<Vec<Progress>, DatabaseError> {
    let read = "-- decision.journals
        SELECT instance_id, incarnation, next_sequence, advanced_at, forked_at,
               incarnation < max(incarnation) OVER (PARTITION BY instance_id) AS is_followed
        FROM journal_cursor WHERE enforcer = $1 ORDER BY advanced_at DESC LIMIT $2";
    let rows = tx
        .query(read, &[&enforcer, &JOURNALS_SHOWN_MAX])
        .await
        .map_err(|source| tx.failed(source))?;
    let progress = |row: &Row| Progress {
        instance: InstanceId::from_uuid(row.get("instance_id")),
        incarnation: unsigned(row.get("incarnation")),
        next_sequence: unsigned(row.get("next_sequence")),
        advanced_ms: moment_ms(row, "advanced_at"),
        forked_ms: moment_ms_opt(row, "forked_at"),
        is_followed: row.get("is_followed"),
    };
    Ok(rows.iter().map(progress).collect())
}

/// Inserts the records that advanced the cursor, one statement a kind.
pub(super) async fn insert(
    tx: &Transaction,
    journal: &Journal,
    placed: &[Placed],
) -> Result<(), DatabaseError> {
    insert_decisions(tx, journal, placed).await?;
    insert_outcomes(tx, journal, placed).await
}

async fn insert_decisions(
    tx: &Transaction,
    journal: &Journal,
    placed: &[Placed],
) -> Result<(), DatabaseError> {
    let insert = "-- decision.insert
        INSERT INTO decision (received_day, received_at, enforcer, instance_id, incarnation,
            sequence, chain_hash, record, id, decided_at, task_id, agent, tool, verdict, rules)
        SELECT (now() AT TIME ZONE 'UTC')::date, now(), $1, $2, $3, sequence, chain_hash, record, id, decided_at, task_id,
               agent, tool, verdict, string_to_array(rules, E'\\n')
        FROM unnest($4::bigint[], $5::bytea[], $6::bytea[], $7::uuid[], $8::timestamptz[], $9::uuid[], $10::text[],
                    $11::text[], $12::text[], $13::text[])
             AS row (sequence, chain_hash, record, id, decided_at, task_id, agent, tool, verdict, rules)";
    let decisions = || {
        placed.iter().filter_map(|placed| match &placed.record {
            Record::Decision(decision) => Some((placed, decision)),
            Record::Outcome(_) | Record::SliceClosed(_) => None,
        })
    };
    if decisions().next().is_none() {
        return Ok(());
    }
    let (sequences, hashes, records) = places(decisions().map(|(placed, _)| placed));
    let ids: Vec<_> = decisions().map(|(_, decision)| decision.id.uuid()).collect();
    let moments: Vec<_> = decisions()
        .map(|(_, decision)| from_ms(decision.decided_ms))
        .collect();
    let tasks: Vec<_> = decisions()
        .map(|(_, decision)| decision.task.map(checkrein_shared::id::TaskId::uuid))
        .collect();
    let agents: Vec<_> = decisions().map(|(_, decision)| decision.agent.as_str()).collect();
    let tools: Vec<_> = decisions().map(|(_, decision)| column(&decision.tool)).collect();
    let verdicts: Vec<_> = decisions()
        .map(|(_, decision)| decision.verdict.as_str())
        .collect();
    let rules: Vec<_> = decisions()
        .map(|(_, decision)| {
            let rules: Vec<_> = decision.rules.iter().map(|rule| column(rule)).collect();
            rules.join("\n")
        })
        .collect();
    tx.execute(
        insert,
        &[
            &journal.enforcer,
            &journal.instance.uuid(),
            &signed(journal.incarnation),
            &sequences,
            &hashes,
            &records,
            &ids,
            &moments,
            &tasks,
            &agents,
            &tools,
            &verdicts,
            &rules,
        ],
    )
    .await
    .map_err(|source| tx.failed(source))?;
    Ok(())
}

async fn insert_outcomes(
    tx: &Transaction,
    journal: &Journal,
    placed: &[Placed],
) -> Result<(), DatabaseError> {
    let insert = "-- decision.insert_outcomes
        INSERT INTO outcome (received_day, received_at, enforcer, instance_id, incarnation,
            sequence, chain_hash, record, decision_id, kind)
        SELECT (now() AT TIME ZONE 'UTC')::date, now(), $1, $2, $3, sequence, chain_hash, record, decision_id, kind
        FROM unnest($4::bigint[], $5::bytea[], $6::bytea[], $7::uuid[], $8::text[])
             AS row (sequence, chain_hash, record, decision_id, kind)";
    let outcomes = || {
        placed.iter().filter_map(|placed| match &placed.record {
            Record::Outcome(outcome) => Some((placed, (outcome.decision.uuid(), "outcome"))),
            Record::SliceClosed(closed) => Some((placed, (closed.slice.uuid(), "slice"))),
            Record::Decision(_) => None,
        })
    };
    if outcomes().next().is_none() {
        return Ok(());
    }
    let (sequences, hashes, records) = places(outcomes().map(|(placed, _)| placed));
    let (decisions, kinds): (Vec<_>, Vec<_>) = outcomes().map(|(_, named)| named).unzip();
    tx.execute(
        insert,
        &[
            &journal.enforcer,
            &journal.instance.uuid(),
            &signed(journal.incarnation),
            &sequences,
            &hashes,
            &records,
            &decisions,
            &kinds,
        ],
    )
    .await
    .map_err(|source| tx.failed(source))?;
    Ok(())
}

/// Text as a column, and the index over it, can hold it. What a search looks in must not keep a record out, whatever an
/// enforcer let through: the record itself keeps the exact bytes.
pub(super) fn column(text: &str) -> Cow<'_, str> {
    let text = &text[..text.floor_char_boundary(COLUMN_BYTES_MAX)];
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Sequence, chain and bytes of each record, as columns.
fn places<'a>(placed: impl Iterator<Item = &'a Placed>) -> (Vec<i64>, Vec<&'a [u8]>, Vec<&'a [u8]>) {
    let mut columns = (Vec::new(), Vec::new(), Vec::new());
    for placed in placed {
        columns.0.push(signed(placed.after.next_sequence - 1));
        columns.1.push(&placed.after.hash.0[..]);
        columns.2.push(&placed.bytes[..]);
    }
    columns
}

fn chain(row: &Row, column: &str) -> Result<Chain, DatabaseError> {
    let next_sequence = unsigned(row.get("next_sequence"));
    let hash = Sha256::try_from(row.get::<_, &[u8]>(column));
    Ok(Chain {
        next_sequence,
        hash: hash.map_err(|_| inconsistent("journal_cursor", &next_sequence))?,
    })
}

/// The very bytes of a stored record.
pub(super) fn record_bytes(row: &Row) -> Bytes {
    Bytes::from(row.get::<_, Vec<u8>>("record"))
}
