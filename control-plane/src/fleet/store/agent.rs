//! The register of agents in Postgres: a page of identities first, then what is known of each.

use std::collections::{BTreeSet, HashMap};

use checkrein_shared::identity::SpiffeId;
use checkrein_shared::policy::TeamName;
use tokio_postgres::Row;

use crate::database::{
    DatabaseError, FeedName, Transaction, inconsistent, moment_ms, moment_ms_opt, parsed, unsigned,
};
use crate::fleet::agent::{Agent, AllowedTool};
use crate::fleet::roster::Teams;

/// The scopes of so many tasks of an agent are read, the newest first.
const TASKS_READ_MAX: i64 = 100;
/// An agent shows at most this many tools.
const TOOLS_SHOWN_MAX: i64 = 256;
/// And enforcers that may speak for it.
const ENFORCERS_SHOWN_MAX: i64 = 50;

/// Writes down who answers for an agent, and its teams; who registered it stays.
pub(in crate::fleet) async fn own_agent(
    tx: &Transaction,
    id: &SpiffeId,
    by: &SpiffeId,
    owner: &str,
    teams: &BTreeSet<TeamName>,
) -> Result<(), DatabaseError> {
    let own = "-- agent.own
        INSERT INTO agent (spiffe_id, registered_by, owner, teams, named_by, named_at)
        VALUES ($1, $2, $3, $4, $2, clock_timestamp())
        ON CONFLICT (spiffe_id) DO UPDATE SET owner = excluded.owner, teams = excluded.teams,
            named_by = excluded.named_by, named_at = excluded.named_at";
    let teams: Vec<&str> = teams.iter().map(TeamName::as_str).collect();
    tx.change_one(own, &[&id.as_str(), &by.as_str(), &owner, &teams])
        .await
}

/// Every agent that is in a team, those who were removed, and the revision that says so: as many as operators ever typed.
pub(in crate::fleet) async fn teams(tx: &Transaction) -> Result<Teams, DatabaseError> {
    let read = "-- agent.teams
        SELECT value, spiffe_id, teams, removed FROM revision LEFT JOIN (
            SELECT spiffe_id, teams, false AS removed FROM agent WHERE teams <> '{}'
            UNION ALL SELECT spiffe_id, '{}', true FROM removed_identity WHERE spiffe_id LIKE 'spiffe://%/agent/%') said ON true
        WHERE feed = $1";
    let rows = tx
        .query(read, &[&FeedName::Agent.as_str()])
        .await
        .map_err(|source| tx.failed(source))?;
    let revision = rows.first().map(|row| unsigned(row.get("value")));
    let revision = revision.ok_or_else(|| inconsistent("revision", &FeedName::Agent.as_str()))?;
    let mut all = Teams {
        revision,
        ..Teams::default()
    };
    for row in &rows {
        let Some(id) = row.get::<_, Option<&str>>("spiffe_id") else {
            continue;
        };
        let broken = || inconsistent("agent", &id);
        let agent: SpiffeId = id.parse().map_err(|_| broken())?;
        if row.get("removed") {
            all.removed.insert(agent);
            continue;
        }
        let teams: Vec<&str> = row.get("teams");
        let teams = teams.iter().map(|team| team.parse().map_err(|_| broken()));
        all.by_agent
            .insert(agent, teams.collect::<Result<_, DatabaseError>>()?);
    }
    Ok(all)
}

/// Writes down an agent unless it is there.
pub(in crate::fleet) async fn note_agent(
    tx: &Transaction,
    id: &SpiffeId,
    by: &SpiffeId,
) -> Result<(), DatabaseError> {
    let note = "-- agent.note
        INSERT INTO agent (spiffe_id, registered_by) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    tx.execute(note, &[&id.as_str(), &by.as_str()])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(())
}

/// One agent, if anything knows it.
pub(in crate::fleet) async fn find_agent(
    tx: &Transaction,
    id: &SpiffeId,
) -> Result<Option<Agent>, DatabaseError> {
    let found = described(tx, &[id.to_string()]).await?.pop();
    Ok(found.filter(|agent| {
        let is_named = agent.registered.is_some() || agent.removed_ms.is_some();
        is_named || !agent.enforcers.is_empty() || !agent.tools.is_empty()
    }))
}

/// The agents that follow an identity, from whatever knows them. Of tasks, each agent is stepped to: they are many.
pub(in crate::fleet) async fn list_agents(
    tx: &Transaction,
    after: &str,
    rows: i64,
) -> Result<Vec<Agent>, DatabaseError> {
    let read = "-- agent.list
        WITH RECURSIVE started (id, place) AS (
            SELECT (SELECT min(agent) FROM task WHERE agent > $1), 1::bigint
            UNION ALL
            SELECT (SELECT min(agent) FROM task WHERE agent > started.id), place + 1
            FROM started WHERE started.id IS NOT NULL AND place < $2
        )
        SELECT id FROM (
            SELECT id FROM started WHERE id IS NOT NULL
            UNION (SELECT spiffe_id FROM agent WHERE spiffe_id > $1 ORDER BY spiffe_id LIMIT $2)
            UNION (SELECT DISTINCT spoken.id FROM enforcer, unnest(agents) AS spoken (id) WHERE spoken.id > $1
                ORDER BY spoken.id LIMIT $2)
            UNION (SELECT spiffe_id FROM removed_identity
                WHERE spiffe_id > $1 AND split_part(spiffe_id, '/', 4) = 'agent' ORDER BY spiffe_id LIMIT $2)
        ) AS known ORDER BY id LIMIT $2";
    let rows = tx
        .query(read, &[&after, &rows])
        .await
        .map_err(|source| tx.failed(source))?;
    let ids: Vec<String> = rows.iter().map(|row| row.get("id")).collect();
    described(tx, &ids).await
}

/// What is known of each.
async fn described(tx: &Transaction, ids: &[String]) -> Result<Vec<Agent>, DatabaseError> {
    let read = "-- agent.describe
        SELECT asked.id, coalesce(agent.owner, '') AS owner, coalesce(agent.teams, '{}') AS teams, agent.registered_by, agent.registered_at,
            agent.named_by, agent.named_at, removed_at,
            ARRAY(SELECT enforcer.name FROM enforcer WHERE enforcer.agents @> ARRAY[asked.id]
                AND NOT EXISTS (SELECT FROM removed_identity AS gone WHERE gone.spiffe_id = enforcer.spiffe_id)
                ORDER BY enforcer.name LIMIT $2) AS enforcers,
            (SELECT max(decided_at) FROM decision WHERE decision.agent = asked.id) AS last_seen_at,
            (SELECT count(*) FROM task WHERE task.agent = asked.id AND state = 'live'
                AND expires_at > clock_timestamp()) AS live_tasks
        FROM unnest($1::text[]) WITH ORDINALITY AS asked (id, place)
        LEFT JOIN agent ON agent.spiffe_id = asked.id
        LEFT JOIN removed_identity ON removed_identity.spiffe_id = asked.id
        ORDER BY asked.place";
    let rows = tx
        .query(read, &[&ids, &ENFORCERS_SHOWN_MAX])
        .await
        .map_err(|source| tx.failed(source))?;
    let mut tools = tools(tx, ids).await?;
    let decode = |row: &Row| {
        let tools = tools.remove(row.get::<_, &str>("id")).unwrap_or_default();
        decode(row, tools)
    };
    rows.iter().map(decode).collect()
}

/// What each is allowed. A tool or all of a catalog is a range of names, in the order of their bytes: nothing is between `/` and
/// `0`, and no text between another and that text with U+0001 behind it.
async fn tools(tx: &Transaction, ids: &[String]) -> Result<HashMap<String, Vec<AllowedTool>>, DatabaseError> {
    let read = r#"-- agent.tools
        SELECT asked.id, allowed.tool, EXISTS (
            SELECT FROM decision WHERE decision.agent = asked.id
                AND decision.tool COLLATE "C" >= allowed.first AND decision.tool COLLATE "C" < allowed.past
        ) AS is_used
        FROM unnest($1::text[]) AS asked (id)
        CROSS JOIN LATERAL (
            SELECT tool, CASE WHEN tool LIKE '%/*' THEN left(tool, -1) ELSE tool END AS first,
                CASE WHEN tool LIKE '%/*' THEN left(tool, -2) || '0' ELSE tool || chr(1) END AS past
            FROM (
                SELECT DISTINCT json_object_keys(newest.scope::json) COLLATE "C" AS tool FROM (
                    SELECT scope FROM task WHERE task.agent = asked.id ORDER BY started_at DESC LIMIT $2
                ) AS newest
            ) AS named ORDER BY tool LIMIT $3
        ) AS allowed ORDER BY asked.id, allowed.tool"#;
    let rows = tx
        .query(read, &[&ids, &TASKS_READ_MAX, &TOOLS_SHOWN_MAX])
        .await
        .map_err(|source| tx.failed(source))?;
    let mut tools: HashMap<String, Vec<AllowedTool>> = HashMap::new();
    for row in rows {
        tools.entry(row.get("id")).or_default().push(AllowedTool {
            tool: row.get("tool"),
            is_used: row.get("is_used"),
        });
    }
    Ok(tools)
}

fn decode(row: &Row, tools: Vec<AllowedTool>) -> Result<Agent, DatabaseError> {
    let by = |who: &str, when: &str| match row.get::<_, Option<&str>>(who) {
        Some(_) => Ok::<_, DatabaseError>(Some((parsed(row, who, "agent")?, moment_ms(row, when)))),
        None => Ok(None),
    };
    Ok(Agent {
        id: parsed(row, "id", "agent")?,
        owner: row.get("owner"),
        registered: by("registered_by", "registered_at")?,
        named: by("named_by", "named_at")?,
        enforcers: row.get("enforcers"),
        last_seen_ms: moment_ms_opt(row, "last_seen_at"),
        live_tasks: unsigned(row.get("live_tasks")),
        tools,
        removed_ms: moment_ms_opt(row, "removed_at"),
        teams: row.get("teams"),
    })
}
