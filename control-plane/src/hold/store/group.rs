//! Groups, absences and owners in Postgres: what decides who may answer.

use std::collections::{BTreeMap, BTreeSet};

use checkrein_shared::hold::{Escalation, Exclusion, Group, Quiet, Then};
use checkrein_shared::identity::SpiffeId;
use tokio_postgres::Row;

use super::super::approver::Absence;
use crate::database::{
    DatabaseError, Transaction, from_ms, inconsistent, moment_ms, moment_ms_opt, parsed, unsigned,
};

/// Nobody goes or comes back until the transaction ends; any number may share it.
pub(in super::super) async fn share_absences(tx: &Transaction) -> Result<(), DatabaseError> {
    let share = "-- absence.share
        SELECT pg_advisory_xact_lock_shared(hashtextextended('hold.absence', 0))";
    tx.query_one(share, &[])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(())
}

/// Alone: nobody counts votes meanwhile.
pub(in super::super) async fn lock_absences(tx: &Transaction) -> Result<(), DatabaseError> {
    let lock = "-- absence.lock
        SELECT pg_advisory_xact_lock(hashtextextended('hold.absence', 0))";
    tx.query_one(lock, &[])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(())
}

/// This moment by the clock that counts, and everybody who is away at it.
pub(in super::super) async fn absences(tx: &Transaction) -> Result<(u64, Vec<Absence>), DatabaseError> {
    let read = "-- absence.in_force
        SELECT now.moment, absence.* FROM (SELECT clock_timestamp() AS moment) now LEFT JOIN approver_absence AS absence
            ON ended_at IS NULL AND (lasts_until IS NULL OR lasts_until > now.moment)
        ORDER BY approver";
    let rows = tx.query(read, &[]).await.map_err(|source| tx.failed(source))?;
    let now_ms = rows.first().map(|row| moment_ms(row, "moment"));
    let now_ms = now_ms.ok_or_else(|| inconsistent("approver_absence", &"now"))?;
    let is_one = |row: &&Row| row.get::<_, Option<&str>>("approver").is_some();
    let absences = rows
        .iter()
        .filter(is_one)
        .map(absence)
        .collect::<Result<_, _>>()?;
    Ok((now_ms, absences))
}

/// Who is away from now on, instead of whatever was said of them before.
pub(in super::super) async fn go(
    tx: &Transaction,
    (approver, by): (&SpiffeId, &SpiffeId),
    until_ms: Option<u64>,
) -> Result<bool, DatabaseError> {
    come_back(tx, approver, by).await?;
    let go = "-- absence.go
        INSERT INTO approver_absence (approver, since, lasts_until, declared_by)
        SELECT $1, now.moment, $2, $3 FROM (SELECT clock_timestamp() AS moment) now
        WHERE $2::timestamptz IS NULL OR $2 > now.moment";
    let until = until_ms.map(from_ms);
    let gone = tx.execute(go, &[&approver.as_str(), &until, &by.as_str()]).await;
    Ok(gone.map_err(|source| tx.failed(source))? == 1)
}

/// Ends an absence; one whose time is over ended then, whoever says so now. Whether they were away.
pub(in super::super) async fn come_back(
    tx: &Transaction,
    approver: &SpiffeId,
    by: &SpiffeId,
) -> Result<bool, DatabaseError> {
    let end = "-- absence.end
        UPDATE approver_absence SET ended_at = least(lasts_until, clock_timestamp()),
            ended_by = CASE WHEN lasts_until <= clock_timestamp() THEN declared_by ELSE $2 END
        WHERE approver = $1 AND ended_at IS NULL RETURNING lasts_until IS NULL OR ended_at < lasts_until AS was_away";
    let row = tx
        .query_opt(end, &[&approver.as_str(), &by.as_str()])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(row.is_some_and(|row| row.get("was_away")))
}

/// These groups and all that they name in turn.
pub(in super::super) async fn groups(
    tx: &Transaction,
    names: &[&str],
) -> Result<BTreeMap<String, Group>, DatabaseError> {
    let read = "-- hold.group_members
        WITH RECURSIVE asked (name) AS (
            SELECT unnest($1::text[])
            UNION SELECT also.name FROM asked JOIN approver_group AS known USING (name),
                unnest(ARRAY[known.escalate_to, known.quiet_asks, known.break_glass]) AS also (name)
        )
        SELECT known.* FROM approver_group AS known JOIN asked USING (name)";
    let rows = tx
        .query(read, &[&names])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter()
        .map(|row| Ok((row.get("name"), group(row)?)))
        .collect()
}

/// Who answers for each of these agents, where the register says so.
pub(in super::super) async fn owners(
    tx: &Transaction,
    agents: &[&str],
) -> Result<BTreeMap<String, String>, DatabaseError> {
    let read = "-- hold.agent_owners
        SELECT spiffe_id, owner FROM agent WHERE spiffe_id = ANY ($1) AND owner <> ''";
    let rows = tx
        .query(read, &[&agents])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Who of these was removed.
pub(in super::super) async fn removed(
    tx: &Transaction,
    ids: &[&str],
) -> Result<BTreeSet<SpiffeId>, DatabaseError> {
    let read = "-- hold.removed_approvers
        SELECT spiffe_id FROM removed_identity WHERE spiffe_id = ANY ($1)";
    let rows = tx
        .query(read, &[&ids])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter()
        .map(|row| parsed(row, "spiffe_id", "removed_identity"))
        .collect()
}

fn absence(row: &Row) -> Result<Absence, DatabaseError> {
    Ok(Absence {
        approver: parsed(row, "approver", "approver_absence")?,
        since_ms: moment_ms(row, "since"),
        until_ms: moment_ms_opt(row, "lasts_until"),
        declared_by: parsed(row, "declared_by", "approver_absence")?,
    })
}

fn group(row: &Row) -> Result<Group, DatabaseError> {
    let name: &str = row.get("name");
    let broken = || inconsistent("approver_group", &name);
    let ids = |column: &str| -> Result<Vec<SpiffeId>, DatabaseError> {
        let ids: Vec<&str> = row.get(column);
        ids.iter().map(|id| id.parse().map_err(|_| broken())).collect()
    };
    let excludes: Vec<&str> = row.get("excludes");
    let excludes = excludes
        .into_iter()
        .map(|word| Exclusion::named(word).ok_or_else(broken));
    let escalation = match (
        row.get::<_, Option<i64>>("escalate_after_ms"),
        row.get("escalate_to"),
    ) {
        (Some(after_ms), Some(to)) => Some(Escalation {
            after_ms: unsigned(after_ms),
            to,
        }),
        (None, None) => None,
        _ => return Err(broken()),
    };
    Ok(Group {
        members: ids("members")?.into_iter().collect(),
        excludes: excludes.collect::<Result<_, _>>()?,
        deputies: ids("deputy_of")?.into_iter().zip(ids("deputies")?).collect(),
        escalation,
        quiet: quiet(row),
        break_glass: row.get("break_glass"),
    })
}

fn quiet(row: &Row) -> Option<Quiet> {
    let minute = |column| row.get::<_, Option<i32>>(column);
    Some(Quiet {
        // A CHECK keeps them from being negative.
        from: u32::try_from(minute("quiet_from")?).unwrap_or_default(),
        to: u32::try_from(minute("quiet_to")?).unwrap_or_default(),
        utc_offset: minute("quiet_offset")?,
        then: row
            .get::<_, Option<String>>("quiet_asks")
            .map_or(Then::Wait, Then::Ask),
    })
}
