//! The ledgers of tasks in Postgres. Whoever changes one has locked its task first.

use std::collections::BTreeSet;

use checkrein_shared::id::{DecisionId, TaskId};
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::label::Label;
use checkrein_shared::ledger::{
    AMOUNT_MAX, Amounts, LEDGER_LABELS_MAX, LEDGER_TOOLS_MAX, Ledger, Meter, Use,
};
use checkrein_shared::policy::Reversibility;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::database::{
    DatabaseError, Transaction, from_ms, inconsistent, moment_ms, moment_ms_opt, parsed, signed, to_ms,
    unsigned,
};
use crate::task::ledger::{Carried, Counted, Note, Recorded, Source, TOOL_BYTES_MAX};
use crate::task::spend::key_of_task;

/// The ledger as one snapshot has it, with at most one tool and one label more than it may have; none: there is no such task.
pub(in crate::task) async fn read(tx: &Transaction, id: TaskId) -> Result<Option<Ledger>, DatabaseError> {
    let read = "-- ledger.read
        SELECT task.ledger_revision, task.values_lost,
               ARRAY(SELECT label FROM task_label WHERE task_id = $1 ORDER BY label LIMIT $2) AS labels,
               ARRAY(SELECT (SELECT spent + reserved + unknown FROM budget_use
                             WHERE budget_use.key = meter.key AND window_start = 0)
                     FROM unnest($4::text[]) WITH ORDINALITY AS meter (key, place) ORDER BY place) AS spent,
               used.tools, used.times, used.moments, used.reversibility
        FROM task, LATERAL (
            SELECT array_agg(tool) AS tools, array_agg(times) AS times, array_agg(last_used_at) AS moments,
                   max(reversibility) AS reversibility
            FROM (SELECT * FROM task_tool WHERE task_id = $1 ORDER BY tool LIMIT $3) tool) used
        WHERE task.id = $1";
    let labels_max = i64::try_from(LEDGER_LABELS_MAX + 1).unwrap_or(i64::MAX);
    let meters = Meter::OF_TASKS.map(|meter| key_of_task(id, meter));
    let tools_max = i64::try_from(LEDGER_TOOLS_MAX + 1).unwrap_or(i64::MAX);
    let row = tx
        .query_opt(read, &[&id.uuid(), &labels_max, &tools_max, &&meters[..]])
        .await
        .map_err(|source| tx.failed(source))?;
    row.map(|row| decode(&row, id)).transpose()
}

/// Names a release and the tool it is counted for; false if it was named before.
pub(in crate::task) async fn insert_use(
    tx: &Transaction,
    id: TaskId,
    (release, enforcer): (Uuid, &str),
    tool: Option<&str>,
) -> Result<bool, DatabaseError> {
    let insert = "-- ledger.insert_use
        INSERT INTO task_use (task_id, use_id, charged_at, tool, enforcer, tool_used_at)
        VALUES ($1, $2, date_trunc('milliseconds', clock_timestamp()), $3, $4,
                (SELECT last_used_at FROM task_tool WHERE task_id = $1 AND tool = $3))
        ON CONFLICT DO NOTHING";
    let inserted = tx
        .execute(insert, &[&id.uuid(), &release, &tool, &enforcer])
        .await;
    Ok(inserted.map_err(|source| tx.failed(source))? == 1)
}

/// Whether a release was given back.
pub(in crate::task) async fn was_returned(
    tx: &Transaction,
    id: TaskId,
    release: Uuid,
) -> Result<bool, DatabaseError> {
    let look = "-- ledger.was_returned
        SELECT EXISTS (SELECT FROM task_use WHERE task_id = $1 AND use_id = $2 AND returned_at IS NOT NULL)";
    let row = tx
        .query_one(look, &[&id.uuid(), &release])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(row.get(0))
}

/// Gives a release back that this enforcer asked for: its call, also in the grants of its chain, and its use of a tool are not
/// counted any more.
pub(in crate::task) async fn take_back(
    tx: &Transaction,
    enforcer: &str,
    (id, release): (TaskId, Uuid),
) -> Result<(), DatabaseError> {
    let take = "-- ledger.take_back
        WITH taken AS (
            UPDATE task_use SET returned_at = clock_timestamp()
            WHERE task_id = $1 AND use_id = $2 AND enforcer = $3 AND returned_at IS NULL
            RETURNING tool, charged_at, tool_used_at, grant_ids, grant_parents),
        ungranted AS (
            UPDATE task_grant charged SET calls_used = greatest(charged.calls_used - 1, 0)
            FROM taken, LATERAL unnest(taken.grant_ids, taken.grant_parents) AS link (id, parent)
            WHERE charged.task_id = $1 AND charged.grant_id = link.id AND charged.parent_sha256 = link.parent),
        uncharged AS (
            UPDATE task SET calls_used = greatest(calls_used - 1, 0), ledger_revision = ledger_revision + 1
            FROM taken WHERE id = $1),
        gone AS (
            DELETE FROM task_tool used USING taken WHERE used.task_id = $1 AND used.tool = taken.tool AND times = 1)
        UPDATE task_tool used
        SET times = times - 1,
            last_used_at = CASE WHEN last_used_at = taken.charged_at THEN coalesce(taken.tool_used_at, last_used_at)
                                ELSE last_used_at END
        FROM taken WHERE used.task_id = $1 AND used.tool = taken.tool AND times > 1";
    tx.execute(take, &[&id.uuid(), &release, &enforcer])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(())
}

/// Names a release that was given back before it was asked for, so that it is refused when it is. A hold's own name is its hold's,
/// whoever says what of it.
pub(in crate::task) async fn insert_returned(
    tx: &Transaction,
    enforcer: &str,
    (id, release): (TaskId, Uuid),
) -> Result<(), DatabaseError> {
    let insert = "-- ledger.insert_returned
        INSERT INTO task_use (task_id, use_id, charged_at, enforcer, returned_at)
        SELECT id, $2, clock_timestamp(), $3, clock_timestamp() FROM task
        WHERE id = $1 AND NOT EXISTS (SELECT FROM hold WHERE hold.id = $2)
        ON CONFLICT DO NOTHING";
    tx.execute(insert, &[&id.uuid(), &release, &enforcer])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(())
}

/// Counts a release that was just named.
pub(in crate::task) async fn count(
    tx: &Transaction,
    id: TaskId,
    release: Uuid,
    counted: &Counted,
) -> Result<(), DatabaseError> {
    let count = "-- ledger.count
        INSERT INTO task_tool AS used (task_id, tool, times, reversibility, first_used_at, last_used_at)
        SELECT task_id, tool, 1, $3, charged_at, charged_at FROM task_use WHERE task_id = $1 AND use_id = $2
        ON CONFLICT (task_id, tool) DO UPDATE
        SET times = used.times + 1, reversibility = greatest(used.reversibility, excluded.reversibility),
            last_used_at = greatest(used.last_used_at, excluded.last_used_at)";
    tx.change_one(count, &[&id.uuid(), &release, &class(counted.reversibility)])
        .await?;
    raise(tx, id).await
}

/// Takes a release that was counted out of the ledger again. What is left is a change behind what is written, as it was when the
/// release was first asked for: whoever adds the release to it has what is written, under its number.
pub(in crate::task) async fn without(
    tx: &Transaction,
    id: TaskId,
    release: Uuid,
    ledger: Ledger,
) -> Result<Ledger, DatabaseError> {
    let read = "-- ledger.use
        SELECT task_use.tool, charged_at, tool_used_at,
               (SELECT max(reversibility) FROM task_tool WHERE task_id = $1 AND tool <> task_use.tool) AS others
        FROM task_use WHERE task_id = $1 AND use_id = $2 AND tool IS NOT NULL AND returned_at IS NULL";
    let row = tx
        .query_opt(read, &[&id.uuid(), &release])
        .await
        .map_err(|source| tx.failed(source))?;
    let Some(row) = row else { return Ok(ledger) };
    let mut ledger = ledger;
    let tool: &str = row.get("tool");
    let used = ledger
        .used
        .get_mut(tool)
        .ok_or_else(|| inconsistent("task_tool", &id))?;
    ledger.revision = ledger.revision.saturating_sub(1);
    ledger.calls = ledger.calls.saturating_sub(1);
    used.times = used.times.saturating_sub(1);
    if Some(used.last_ms) == moment_ms_opt(&row, "charged_at") {
        used.last_ms = moment_ms_opt(&row, "tool_used_at").unwrap_or_default();
    }
    if used.times == 0 {
        ledger.used.remove(tool);
        ledger.reversibility = of_class(row.get("others"), id)?;
    }
    Ok(ledger)
}

/// Writes labels that the task does not carry yet.
pub(in crate::task) async fn insert_labels(
    tx: &Transaction,
    note: &Note,
    labels: &BTreeSet<Label>,
    (decision, agent, enforcer): (DecisionId, &str, &str),
) -> Result<(), DatabaseError> {
    let insert = "-- ledger.insert_labels
        INSERT INTO task_label (task_id, label, source, decision_id, tool, agent, enforcer)
        SELECT $1, label, $3, $4, $5, $6, $7 FROM unnest($2::text[]) AS row (label) ON CONFLICT DO NOTHING";
    let words: Vec<&str> = labels.iter().map(Label::as_str).collect();
    tx.execute(
        insert,
        &[
            &note.task.uuid(),
            &words,
            &note.source.as_str(),
            &decision.uuid(),
            &note.tool,
            &agent,
            &enforcer,
        ],
    )
    .await
    .map_err(|source| tx.failed(source))?;
    raise(tx, note.task).await
}

/// What a task carries, and why: no more than a task can.
pub(in crate::task) async fn labels(tx: &Transaction, id: TaskId) -> Result<Vec<Carried>, DatabaseError> {
    let read = "-- ledger.labels
        SELECT * FROM task_label WHERE task_id = $1 ORDER BY label";
    let rows = tx.query(read, &[&id.uuid()]).await;
    let rows = rows.map_err(|source| tx.failed(source))?;
    rows.iter().map(|row| decode_carried(row, id)).collect()
}

/// Takes labels from a locked task, whose new epoch has begun.
pub(in crate::task) async fn lift(
    tx: &Transaction,
    (id, epoch): (TaskId, u64),
    labels: &BTreeSet<Label>,
    (by, reason): (&SpiffeId, &str),
) -> Result<(), DatabaseError> {
    let lift = "-- ledger.lift
        WITH lifted AS (DELETE FROM task_label WHERE task_id = $1 AND label = ANY ($3) RETURNING *)
        INSERT INTO task_label_lifted (task_id, epoch, label, source, decision_id, tool, agent, enforcer, added_at, lifted_by, reason)
        SELECT task_id, $2, label, source, decision_id, tool, agent, enforcer, added_at, $4, $5 FROM lifted";
    let words: Vec<&str> = labels.iter().map(Label::as_str).collect();
    let lifted = tx
        .execute(lift, &[&id.uuid(), &signed(epoch), &words, &by.as_str(), &reason])
        .await;
    lifted.map_err(|source| tx.failed(source))?;
    raise(tx, id).await
}

/// What was taken from a task when an epoch began.
pub(in crate::task) async fn lifted(
    tx: &Transaction,
    (id, epoch): (TaskId, u64),
) -> Result<Vec<Carried>, DatabaseError> {
    let read = "-- ledger.lifted
        SELECT * FROM task_label_lifted WHERE task_id = $1 AND epoch = $2 ORDER BY label";
    let rows = tx.query(read, &[&id.uuid(), &signed(epoch)]).await;
    let rows = rows.map_err(|source| tx.failed(source))?;
    rows.iter().map(|row| decode_carried(row, id)).collect()
}

/// Locks those of these tasks that there are, in the order of their ids.
pub(in crate::task) async fn lock_all(tx: &Transaction, ids: &[Uuid]) -> Result<(), DatabaseError> {
    let lock = "-- ledger.lock_all
        SELECT FROM task WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE";
    let locked = tx.query(lock, &[&ids]).await;
    locked.map(drop).map_err(|source| tx.failed(source))
}

/// Counts calls that were recorded, in tasks that are locked. What was counted when it was released is not counted again, and
/// no enforcer's clock says that a tool was used later than now.
pub(in crate::task) async fn count_recorded(
    tx: &Transaction,
    recorded: &[Recorded<'_>],
) -> Result<(), DatabaseError> {
    let count = "-- ledger.count_recorded
        WITH seen AS (
            SELECT row.task_id, row.tool, count(*) AS times, max(row.reversibility) AS reversibility,
                   least(min(row.used_at), now()) AS first_used_at, least(max(row.used_at), now()) AS last_used_at
            FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::smallint[], $5::timestamptz[])
                 AS row (task_id, use_id, tool, reversibility, used_at)
            JOIN task ON task.id = row.task_id
            WHERE NOT EXISTS (SELECT FROM task_use WHERE task_use.task_id = row.task_id
                              AND task_use.use_id = row.use_id AND task_use.tool IS NOT NULL)
            GROUP BY row.task_id, row.tool
        ), news AS (
            SELECT DISTINCT seen.task_id FROM seen LEFT JOIN task_tool known USING (task_id, tool)
            WHERE known.reversibility IS NULL OR known.reversibility < seen.reversibility
        ), counted AS (
            INSERT INTO task_tool AS used (task_id, tool, times, reversibility, first_used_at, last_used_at)
            SELECT task_id, tool, times, reversibility, first_used_at, last_used_at FROM seen
            ON CONFLICT (task_id, tool) DO UPDATE
            SET times = used.times + excluded.times, reversibility = greatest(used.reversibility, excluded.reversibility),
                first_used_at = least(used.first_used_at, excluded.first_used_at),
                last_used_at = greatest(used.last_used_at, excluded.last_used_at)
        )
        UPDATE task SET ledger_revision = ledger_revision + 1 FROM news WHERE task.id = news.task_id";
    let column = |of: fn(&Recorded<'_>) -> Uuid| recorded.iter().map(of).collect::<Vec<_>>();
    let tools: Vec<_> = recorded.iter().map(|call| tool_column(call.tool)).collect();
    let classes: Vec<_> = recorded.iter().map(|call| class(call.reversibility)).collect();
    let moments: Vec<_> = recorded.iter().map(|call| from_ms(call.at_ms)).collect();
    let counted = tx
        .execute(
            count,
            &[
                &column(|call| call.task.uuid()),
                &column(|call| call.release),
                &tools,
                &classes,
                &moments,
            ],
        )
        .await;
    counted.map(drop).map_err(|source| tx.failed(source))
}

/// The name of a tool as the table can hold it: nothing that an enforcer let through keeps its record out.
pub(super) fn tool_column(tool: &str) -> String {
    let cut = &tool[..tool.floor_char_boundary(TOOL_BYTES_MAX)];
    cut.replace('\0', " ")
}

pub(in crate::task) async fn raise(tx: &Transaction, id: TaskId) -> Result<(), DatabaseError> {
    let raise = "-- ledger.raise
        UPDATE task SET ledger_revision = ledger_revision + 1 WHERE id = $1";
    tx.change_one(raise, &[&id.uuid()]).await
}

/// As the table keeps it: one more than its rank.
fn class(reversibility: Reversibility) -> i16 {
    i16::from(reversibility.rank()) + 1
}

fn of_class(class: Option<i16>, id: TaskId) -> Result<Option<Reversibility>, DatabaseError> {
    let Some(class) = class else { return Ok(None) };
    let rank = u32::try_from(class - 1).ok();
    let known = rank.and_then(Reversibility::ranked);
    known.map(Some).ok_or_else(|| inconsistent("task_tool", &id))
}

fn decode_carried(row: &Row, id: TaskId) -> Result<Carried, DatabaseError> {
    Ok(Carried {
        label: parsed(row, "label", "task_label")?,
        source: match row.get("source") {
            "call" => Source::Call,
            "result" => Source::Result,
            _ => return Err(inconsistent("task_label", &id)),
        },
        decision: DecisionId::from_uuid(row.get("decision_id")),
        tool: row.get("tool"),
        agent: parsed(row, "agent", "task_label")?,
        enforcer: row.get("enforcer"),
        added_ms: moment_ms(row, "added_at"),
    })
}

fn decode(row: &Row, id: TaskId) -> Result<Ledger, DatabaseError> {
    let labels: Vec<&str> = row.get("labels");
    let labels = labels.into_iter().map(str::parse).collect::<Result<_, _>>();
    let tools: Vec<String> = row.get::<_, Option<_>>("tools").unwrap_or_default();
    let times: Vec<i64> = row.get::<_, Option<_>>("times").unwrap_or_default();
    let moments: Vec<OffsetDateTime> = row.get::<_, Option<_>>("moments").unwrap_or_default();
    let calls = times
        .iter()
        .fold(0, |calls: u64, times| calls.saturating_add(unsigned(*times)));
    let uses = times.into_iter().zip(moments).map(|(times, moment)| Use {
        times: unsigned(times),
        last_ms: to_ms(moment),
    });
    let taken: Vec<Option<i64>> = row.get("spent");
    let mut spent = Amounts::default();
    for (meter, taken) in Meter::OF_TASKS.into_iter().zip(taken) {
        if let Some(taken) = taken {
            // Each of the three is small enough; together they may be more than is ever counted.
            spent.set(meter, unsigned(taken).min(AMOUNT_MAX));
        }
    }
    Ok(Ledger {
        revision: unsigned(row.get("ledger_revision")),
        labels: labels.map_err(|_| inconsistent("task_label", &id))?,
        calls,
        used: tools.into_iter().zip(uses).collect(),
        reversibility: of_class(row.get("reversibility"), id)?,
        values_lost: row.get("values_lost"),
        spent,
    })
}
