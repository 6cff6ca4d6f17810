//! Counts in Postgres: by hour and by day, in lanes, so that journals seldom wait for each other.

use checkrein_shared::action::Sha256;
use time::Date;
use tokio_postgres::Row;

use super::super::Journal;
use super::super::tally::{Calls, RuleUse, Tally};
use crate::database::{
    DatabaseError, Transaction, from_ms, inconsistent, moment_ms, moment_ms_opt, unsigned,
};

/// A journal counts in one of so many rows of a key; who reads adds them up. As many as a replica appends at once.
const LANES: u8 = 4;
/// So many rules are told of.
const RULES_MAX: i64 = 2_000;

pub(in crate::decision) async fn add(
    tx: &Transaction,
    journal: &Journal,
    tally: &Tally,
) -> Result<(), DatabaseError> {
    let lane = i16::from(Sha256::of(journal.enforcer.as_bytes()).0[0] % LANES);
    add_rules(tx, lane, tally).await?;
    add_agents(tx, lane, tally).await
}

async fn add_rules(tx: &Transaction, lane: i16, tally: &Tally) -> Result<(), DatabaseError> {
    let add = "-- decision.count_rules
        INSERT INTO rule_count (hour, lane, rule, verdict, decisions)
        SELECT hour, $1, rule, verdict, decisions
        FROM unnest($2::timestamptz[], $3::text[], $4::text[], $5::bigint[]) AS row (hour, rule, verdict, decisions)
        ON CONFLICT (hour, lane, rule, verdict) DO UPDATE SET decisions = rule_count.decisions + excluded.decisions";
    if tally.rules.is_empty() {
        return Ok(());
    }
    let hours: Vec<_> = tally
        .rules
        .keys()
        .map(|(hour_ms, ..)| from_ms(*hour_ms))
        .collect();
    let rules: Vec<&str> = tally.rules.keys().map(|(_, rule, _)| rule.as_str()).collect();
    let verdicts: Vec<&str> = tally.rules.keys().map(|(.., verdict)| *verdict).collect();
    let counts: Vec<i64> = tally.rules.values().copied().collect();
    tx.execute(add, &[&lane, &hours, &rules, &verdicts, &counts])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(())
}

async fn add_agents(tx: &Transaction, lane: i16, tally: &Tally) -> Result<(), DatabaseError> {
    let add = "-- decision.count_agents
        INSERT INTO agent_count (day, lane, agent, calls)
        SELECT (day AT TIME ZONE 'UTC')::date, $1, agent, calls
        FROM unnest($2::timestamptz[], $3::text[], $4::bigint[]) AS row (day, agent, calls)
        ON CONFLICT (day, lane, agent) DO UPDATE SET calls = agent_count.calls + excluded.calls";
    if tally.agents.is_empty() {
        return Ok(());
    }
    let days: Vec<_> = tally.agents.keys().map(|(day_ms, _)| from_ms(*day_ms)).collect();
    let agents: Vec<&str> = tally.agents.keys().map(|(_, agent)| agent.as_str()).collect();
    let counts: Vec<i64> = tally.agents.values().copied().collect();
    tx.execute(add, &[&lane, &days, &agents, &counts])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(())
}

pub(in crate::decision) async fn rule_uses(
    tx: &Transaction,
    since_ms: u64,
    until_ms: u64,
) -> Result<Vec<RuleUse>, DatabaseError> {
    let read = "-- decision.rule_uses
        SELECT rule, max(hour) AS last_hour, sum(decisions)::bigint AS decisions,
               coalesce(sum(decisions) FILTER (WHERE verdict = 'permit'), 0)::bigint AS permits,
               coalesce(sum(decisions) FILTER (WHERE verdict = 'hold'), 0)::bigint AS holds,
               coalesce(sum(decisions) FILTER (WHERE verdict = 'deny'), 0)::bigint AS denies
        FROM rule_count WHERE hour >= $1 AND hour < $2
        GROUP BY rule ORDER BY decisions DESC, rule LIMIT $3";
    let rows = tx
        .query(read, &[&from_ms(since_ms), &from_ms(until_ms), &RULES_MAX])
        .await
        .map_err(|source| tx.failed(source))?;
    let rule_use = |row: &Row| RuleUse {
        rule: row.get("rule"),
        permits: unsigned(row.get("permits")),
        holds: unsigned(row.get("holds")),
        denies: unsigned(row.get("denies")),
        last_hour_ms: moment_ms(row, "last_hour"),
    };
    Ok(rows.iter().map(rule_use).collect())
}

/// The first hour in which anything was counted.
pub(in crate::decision) async fn counted_since(tx: &Transaction) -> Result<Option<u64>, DatabaseError> {
    let read = "-- decision.counted_since
        SELECT min(hour) AS hour FROM rule_count";
    let row = tx.query_one(read, &[]).await;
    Ok(moment_ms_opt(&row.map_err(|source| tx.failed(source))?, "hour"))
}

pub(in crate::decision) async fn calls_since(tx: &Transaction, day: Date) -> Result<Calls, DatabaseError> {
    let read = "-- decision.calls_since
        SELECT day, agent, sum(calls)::bigint AS calls FROM agent_count WHERE day >= $1 GROUP BY GROUPING SETS ((day), (agent))";
    let rows = tx
        .query(read, &[&day])
        .await
        .map_err(|source| tx.failed(source))?;
    let mut found = Calls::default();
    for row in &rows {
        let calls = unsigned(row.get("calls"));
        match (row.get("day"), row.get("agent")) {
            (Some(day), None) => found.by_day.insert(day, calls),
            (None, Some(agent)) => found.by_agent.insert(agent, calls),
            _ => return Err(inconsistent("agent_count", &"calls")),
        };
    }
    Ok(found)
}

/// Forgets what was counted before a day.
pub(in crate::decision) async fn forget(tx: &Transaction, oldest: Date) -> Result<(), DatabaseError> {
    let rules = "-- decision.forget_rule_counts
        DELETE FROM rule_count WHERE hour < $1::date::timestamp AT TIME ZONE 'UTC'";
    let agents = "-- decision.forget_agent_counts
        DELETE FROM agent_count WHERE day < $1";
    for forget in [rules, agents] {
        tx.execute(forget, &[&oldest])
            .await
            .map_err(|source| tx.failed(source))?;
    }
    Ok(())
}
