//! Changing holds. The row is locked by whoever calls.

use checkrein_shared::hold::{Requirement, State, Why};
use checkrein_shared::id::{DecisionId, HoldId, TaskId};
use checkrein_shared::identity::SpiffeId;

use super::super::{Consume, Open, Vote};
use super::standing;
use crate::database::{DatabaseError, FeedName, Transaction, from_ms, signed};

pub(in super::super) async fn insert(tx: &Transaction, id: HoldId, open: &Open) -> Result<(), DatabaseError> {
    let insert = "-- hold.insert
        INSERT INTO hold (id, task_id, call_id, action_sha256, agent, user_name, tool, definition_sha256, arguments,
            denial_class, enforcer, decision_id, generation, environment, intent, reason, opened_at, decide_by,
            use_within_ms, state, version, delegated_by, fixed, reversibility)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, now.moment,
               now.moment + $17::bigint * interval '1 millisecond', $18, 'open', 1, $19, $20, $21
        FROM (SELECT date_trunc('milliseconds', clock_timestamp()) AS moment) now";
    let shortest =
        |of: fn(&Requirement) -> u64| signed(open.requirements.iter().map(of).min().unwrap_or_default());
    let action = &open.action;
    let class = open.reversibility.map(|class| i16::from(class.rank()) + 1);
    let delegated_by: Vec<&str> = action.delegated_by.iter().map(SpiffeId::as_str).collect();
    tx.change_one(
        insert,
        &[
            &id.uuid(),
            &action.task.uuid(),
            &open.call_id,
            &&action.sha256().0[..],
            &action.agent.as_str(),
            &action.user,
            &action.tool,
            &&action.definition.0[..],
            &action.arguments.0,
            &&open.denial_class.0[..],
            &open.enforcer,
            &open.decision.uuid(),
            &signed(open.generation.0),
            &open.environment,
            &open.intent,
            &open.reason,
            &shortest(|requirement| requirement.decide_within_ms),
            &shortest(|requirement| requirement.use_within_ms),
            &delegated_by,
            &open.fixed,
            &class,
        ],
    )
    .await?;
    for requirement in &open.requirements {
        insert_requirement(tx, id, requirement).await?;
    }
    Ok(())
}

async fn insert_requirement(
    tx: &Transaction,
    id: HoldId,
    requirement: &Requirement,
) -> Result<(), DatabaseError> {
    let insert = "-- hold.insert_requirement
        INSERT INTO hold_requirement (hold_id, rule, group_name, quorum, decide_within_ms, use_within_ms, reason)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    tx.change_one(
        insert,
        &[
            &id.uuid(),
            &requirement.rule,
            &requirement.group,
            &i32::try_from(requirement.quorum).unwrap_or(i32::MAX),
            &signed(requirement.decide_within_ms),
            &signed(requirement.use_within_ms),
            &requirement.reason,
        ],
    )
    .await
}

pub(in super::super) async fn insert_event(
    tx: &Transaction,
    revision: u64,
    id: HoldId,
    reason: &str,
) -> Result<(), DatabaseError> {
    let insert = "-- hold.insert_event
        INSERT INTO hold_event (revision, hold_id, enforcer, state, version, reason)
        SELECT $1, id, enforcer, state, version, $3 FROM hold WHERE id = $2";
    tx.change_one(insert, &[&signed(revision), &id.uuid(), &reason])
        .await
}

/// Says on the holds that wait in a task what the task says now: none of it is hashed, all of it is shown.
pub(in super::super) async fn amend_waiting(
    tx: &Transaction,
    task: TaskId,
    (environment, intent): (&str, &str),
    note: &str,
) -> Result<(), DatabaseError> {
    let amend = "-- hold.amend_waiting
        UPDATE hold SET environment = $2, intent = $3,
                        reason = CASE WHEN right(reason, length($4)) = $4 THEN reason ELSE reason || $4 END
        WHERE task_id = $1 AND state IN ('open', 'approved')";
    tx.execute(amend, &[&task.uuid(), &environment, &intent, &note])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(())
}

/// Keeps the newest of them.
pub(in super::super) async fn delete_events(tx: &Transaction, keep: usize) -> Result<u64, DatabaseError> {
    let delete = "-- hold.delete_events
        DELETE FROM hold_event WHERE revision <= (SELECT value FROM revision WHERE feed = $1) - $2";
    let keep = i64::try_from(keep).unwrap_or(i64::MAX);
    tx.execute(delete, &[&FeedName::Hold.as_str(), &keep])
        .await
        .map_err(|source| tx.failed(source))
}

pub(in super::super) async fn set_state(
    tx: &Transaction,
    id: HoldId,
    state: State,
) -> Result<(), DatabaseError> {
    let set = "-- hold.set_state
        UPDATE hold SET state = $2, version = version + 1,
            answered_at = CASE WHEN $2 = 'denied' THEN clock_timestamp() ELSE answered_at END
        WHERE id = $1";
    tx.change_one(set, &[&id.uuid(), &state.as_str()]).await
}

/// False if the last moment for people has passed.
pub(in super::super) async fn approve(
    tx: &Transaction,
    id: HoldId,
    approved: State,
) -> Result<bool, DatabaseError> {
    let approve = "-- hold.approve
        UPDATE hold SET state = $2, version = version + 1, answered_at = clock_timestamp(),
            use_by = clock_timestamp() + use_within_ms * interval '1 millisecond'
        WHERE id = $1 AND state = 'open' AND decide_by > clock_timestamp()";
    let changed = tx
        .execute(approve, &[&id.uuid(), &approved.as_str()])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(changed == 1)
}

/// False if the last moment to use the approval has passed.
pub(in super::super) async fn consume(
    tx: &Transaction,
    consume: &Consume,
    consumed: State,
) -> Result<bool, DatabaseError> {
    let update = "-- hold.consume
        UPDATE hold SET state = $2, version = version + 1, consumed_at = clock_timestamp(),
            consumed_instance = $3, consumed_incarnation = $4, consumed_attempt = $5
        WHERE id = $1 AND state = 'approved' AND use_by > clock_timestamp()";
    let changed = tx
        .execute(
            update,
            &[
                &consume.hold.uuid(),
                &consumed.as_str(),
                &consume.instance.uuid(),
                &signed(consume.incarnation),
                &consume.attempt.map(DecisionId::uuid),
            ],
        )
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(changed == 1)
}

pub(in super::super) async fn set_denial(
    tx: &Transaction,
    id: HoldId,
    reason: &str,
) -> Result<(), DatabaseError> {
    let set = "-- hold.set_denial
        UPDATE hold SET denial_reason = $2 WHERE id = $1";
    tx.change_one(set, &[&id.uuid(), &reason]).await
}

pub(in super::super) async fn bump_version(tx: &Transaction, id: HoldId) -> Result<(), DatabaseError> {
    let bump = "-- hold.bump_version
        UPDATE hold SET version = version + 1 WHERE id = $1";
    tx.change_one(bump, &[&id.uuid()]).await
}

pub(in super::super) async fn record_vote(tx: &Transaction, vote: &Vote) -> Result<(), DatabaseError> {
    let record = "-- hold.record_vote
        INSERT INTO hold_vote (hold_id, approver, approve, reason, voted_at, as_group, as_seat, as_why, as_since)
        VALUES ($1, $2, $3, $4, clock_timestamp(), $5, $6, $7, $8)
        ON CONFLICT (hold_id, approver) DO UPDATE
        SET approve = excluded.approve, reason = excluded.reason, voted_at = excluded.voted_at,
            as_group = excluded.as_group, as_seat = excluded.as_seat, as_why = excluded.as_why, as_since = excluded.as_since";
    let capacity = vote.capacity.as_ref();
    tx.change_one(
        record,
        &[
            &vote.hold.uuid(),
            &vote.approver.as_str(),
            &vote.approve,
            &vote.reason,
            &capacity.map(|capacity| &capacity.group),
            &capacity.map(|capacity| capacity.seat.as_str()),
            &capacity.and_then(|capacity| capacity.why).map(Why::as_str),
            &capacity.map(|capacity| from_ms(capacity.since_ms)),
        ],
    )
    .await?;
    standing::record_terms(tx, (vote.hold, &vote.approver), vote.terms.as_ref()).await
}
