//! Whole holds: their rows, with all that stands in other tables, read with so many statements for any number of holds.
//!
//! **Invariant**: what is shown is what is hashed, or the row is refused.

use std::collections::BTreeMap;

use checkrein_shared::action::{ActionIdentity, MaskedArguments, Sha256};
use checkrein_shared::hold::{Break, Hold, Remark, Requirement, Review, State, Vote};
use checkrein_shared::id::{DecisionId, Generation, HoldId, StandingId, TaskId};
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::policy::Reversibility;
use checkrein_shared::wire::reversibility_from_wire;
use tokio_postgres::Row;
use uuid::Uuid;

use super::super::vote::waits;
use super::standing::vote;
use super::{glass, remark};
use crate::database::{DatabaseError, Transaction, inconsistent, moment_ms, moment_ms_opt, parsed, unsigned};

/// What a row of a hold is decoded from.
pub(super) const SELECT: &str = "SELECT hold.*, enforcer.spiffe_id,
        coalesce(CASE state WHEN 'open' THEN decide_by WHEN 'approved' THEN use_by END <= clock_timestamp(), false) AS is_late
    FROM hold JOIN enforcer ON enforcer.name = hold.enforcer";

/// What stands in other tables, by hold, each in its order.
struct Parts {
    requirements: BTreeMap<HoldId, Vec<Requirement>>,
    votes: BTreeMap<HoldId, Vec<Vote>>,
    breaks: BTreeMap<HoldId, Vec<Break>>,
    reviews: BTreeMap<HoldId, Vec<Review>>,
    remarks: BTreeMap<HoldId, Vec<Remark>>,
}

/// The hold of a row, if there is one.
pub(super) async fn of(tx: &Transaction, row: Option<Row>) -> Result<Option<Hold>, DatabaseError> {
    Ok(all(tx, row.as_slice()).await?.pop())
}

/// Those of some rows, in their order.
pub(super) async fn all(tx: &Transaction, rows: &[Row]) -> Result<Vec<Hold>, DatabaseError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = rows.iter().map(|row| row.get("id")).collect();
    let mut parts = Parts::read(tx, &ids).await?;
    rows.iter().map(|row| hold(row, &mut parts)).collect()
}

impl Parts {
    async fn read(tx: &Transaction, ids: &[Uuid]) -> Result<Self, DatabaseError> {
        let requirements = "-- hold.requirements
            SELECT * FROM hold_requirement WHERE hold_id = ANY ($1) ORDER BY rule";
        let votes = "-- hold.votes
            SELECT * FROM hold_vote WHERE hold_id = ANY ($1) ORDER BY voted_at";
        let breaks = "-- hold.breaks
            SELECT * FROM hold_break WHERE hold_id = ANY ($1) ORDER BY broken_at";
        let reviews = "-- hold.review
            SELECT * FROM hold_review WHERE hold_id = ANY ($1)";
        let remarks = "-- hold.remarks
            SELECT * FROM hold_remark WHERE hold_id = ANY ($1) ORDER BY ordinal";
        Ok(Self {
            requirements: by_hold(tx, requirements, ids, requirement).await?,
            votes: by_hold(tx, votes, ids, vote).await?,
            breaks: by_hold(tx, breaks, ids, glass::decode_break).await?,
            reviews: by_hold(tx, reviews, ids, glass::decode_review).await?,
            remarks: by_hold(tx, remarks, ids, remark::decode_remark).await?,
        })
    }
}

/// The rows of one table, by the hold that they are of.
async fn by_hold<T>(
    tx: &Transaction,
    read: &str,
    ids: &[Uuid],
    decode: fn(&Row) -> Result<T, DatabaseError>,
) -> Result<BTreeMap<HoldId, Vec<T>>, DatabaseError> {
    let rows = tx
        .query(read, &[&ids])
        .await
        .map_err(|source| tx.failed(source))?;
    let mut found: BTreeMap<HoldId, Vec<T>> = BTreeMap::new();
    for row in &rows {
        let id = HoldId::from_uuid(row.get("hold_id"));
        found.entry(id).or_default().push(decode(row)?);
    }
    Ok(found)
}

fn hold(row: &Row, parts: &mut Parts) -> Result<Hold, DatabaseError> {
    let id = HoldId::from_uuid(row.get("id"));
    let state: State = parsed(row, "state", "hold")?;
    let use_by_ms = moment_ms_opt(row, "use_by");
    if waits(state) && use_by_ms.is_some() {
        return Err(inconsistent("hold", &id));
    }
    let digest =
        |column: &str| Sha256::try_from(row.get::<_, &[u8]>(column)).map_err(|_| inconsistent("hold", &id));
    let action = ActionIdentity {
        task: TaskId::from_uuid(row.get("task_id")),
        agent: parsed(row, "agent", "hold")?,
        user: row.get("user_name"),
        tool: row.get("tool"),
        definition: digest("definition_sha256")?,
        arguments: MaskedArguments(row.get("arguments")),
        delegated_by: delegators(row)?,
    };
    let action_sha256 = digest("action_sha256")?;
    // What is shown is what is hashed: a row for which that is not so was changed by somebody else.
    if action.sha256() != action_sha256 {
        return Err(inconsistent("hold", &id));
    }
    Ok(Hold {
        id,
        state,
        action,
        action_sha256,
        requirements: parts.requirements.remove(&id).unwrap_or_default(),
        votes: parts.votes.remove(&id).unwrap_or_default(),
        enforcer: parsed(row, "spiffe_id", "hold")?,
        call_id: row.get("call_id"),
        decision: DecisionId::from_uuid(row.get("decision_id")),
        generation: Generation(unsigned(row.get("generation"))),
        environment: row.get("environment"),
        intent: row.get("intent"),
        reason: row.get("reason"),
        opened_ms: moment_ms(row, "opened_at"),
        decide_by_ms: moment_ms(row, "decide_by"),
        use_by_ms,
        version: unsigned(row.get("version")),
        denial_reason: row.get::<_, Option<String>>("denial_reason").unwrap_or_default(),
        reversibility: class(row, &id)?,
        fixed: row.get("fixed"),
        standing: row
            .get::<_, Option<uuid::Uuid>>("standing_id")
            .map(StandingId::from_uuid),
        breaks: parts.breaks.remove(&id).unwrap_or_default(),
        broken_ms: moment_ms_opt(row, "broken_at"),
        review: parts.reviews.remove(&id).and_then(|mut reviews| reviews.pop()),
        remarks: parts.remarks.remove(&id).unwrap_or_default(),
    })
}

fn delegators(row: &Row) -> Result<Vec<SpiffeId>, DatabaseError> {
    let agents: Vec<&str> = row.get("delegated_by");
    let parsed = agents.iter().map(|agent| agent.parse());
    parsed
        .collect::<Result<_, _>>()
        .map_err(|_| inconsistent("hold", &HoldId::from_uuid(row.get("id"))))
}

fn class(row: &Row, id: &HoldId) -> Result<Option<Reversibility>, DatabaseError> {
    let rank = row.get::<_, Option<i16>>("reversibility");
    let read = |rank: i16| {
        let class = u32::try_from(rank)
            .ok()
            .and_then(|rank| reversibility_from_wire(rank).ok())
            .flatten();
        class.ok_or_else(|| inconsistent("hold", id))
    };
    rank.map(read).transpose()
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "decodes as the others do, which can fail"
)]
fn requirement(row: &Row) -> Result<Requirement, DatabaseError> {
    Ok(Requirement {
        rule: row.get("rule"),
        group: row.get("group_name"),
        quorum: u32::try_from(row.get::<_, i32>("quorum")).unwrap_or(u32::MAX),
        decide_within_ms: unsigned(row.get("decide_within_ms")),
        use_within_ms: unsigned(row.get("use_within_ms")),
        reason: row.get("reason"),
    })
}
