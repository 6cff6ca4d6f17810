//! Standing approvals on the wire, and what of a hold could become one.

use checkrein_proto::hold::v1 as wire;
use checkrein_shared::hold::{Bounds, Hold, STANDING_MS_MAX, STANDING_TIMES_MAX, State, Terms};
use checkrein_shared::id::{HoldId, StandingId};
use checkrein_shared::wire::bounds_to_wire;
use prost::Message;
use tonic::Status;

use super::{PAGE_BYTES_MAX, REASON_BYTES_MAX};
use crate::api::{bad_field, bad_message, database_trouble, page_after, page_rows, text};
use crate::database::{DatabaseError, Transaction};
use crate::hold::standing::{Standing, arguments};
use crate::hold::store::standing::{self as store, StandingFilter};
use crate::hold::{HoldError, Holds};

/// What an approving vote lets happen again.
pub(super) fn parse_terms(approve: bool, terms: Option<wire::Terms>) -> Result<Option<Terms>, Status> {
    if !approve && terms.is_some() {
        return Err(bad_field("terms", "a no lets nothing happen"));
    }
    terms
        .map(Terms::try_from)
        .transpose()
        .map_err(|error| bad_message(&error))
}

/// The widest that a standing approval of an open hold could allow.
pub(super) fn offer(hold: &Hold) -> Option<wire::Offer> {
    if hold.state != State::Open {
        return None;
    }
    let held = arguments(hold).ok()?;
    Some(wire::Offer {
        for_ms: STANDING_MS_MAX,
        times: STANDING_TIMES_MAX,
        bounds: bounds_to_wire(&Bounds::widest(&held, &hold.fixed), &held),
        fixed: hold.fixed.clone(),
    })
}

/// What came into force with the approval of a hold.
pub(super) async fn given_with(holds: &Holds, hold: &Hold) -> Result<Option<wire::Standing>, Status> {
    if hold.state != State::Approved || hold.votes.iter().all(|vote| vote.terms.is_none()) {
        return Ok(None);
    }
    let tx = holds.database.begin("hold.given_with").await.map_err(trouble)?;
    match store::given_with(&tx, hold.id).await.map_err(trouble)? {
        Some(standing) => Ok(Some(whole(&tx, &standing).await?)),
        None => Ok(None),
    }
}

pub(super) async fn list(
    holds: &Holds,
    request: wire::ListStandingRequest,
) -> Result<wire::ListStandingResponse, Status> {
    let task = Some(&request.task_id).filter(|id| !id.is_empty());
    let filter = StandingFilter {
        task: task
            .map(|id| id.parse())
            .transpose()
            .map_err(|error| bad_field("task_id", format!("{error}")))?,
        all: request.all,
        after: page_after(&request.page_token)?,
        rows: page_rows(request.page_size),
    };
    let tx = holds
        .database
        .begin("hold.list_standing")
        .await
        .map_err(trouble)?;
    let ids = store::list(&tx, &filter).await.map_err(trouble)?;
    let mut page = wire::ListStandingResponse::default();
    let (mut bytes, mut last) = (0, None);
    for id in &ids {
        let Some(standing) = store::find(&tx, *id).await.map_err(trouble)? else {
            continue;
        };
        let encoded = whole(&tx, &standing).await?;
        bytes += encoded.encoded_len();
        if bytes > PAGE_BYTES_MAX && last.is_some() {
            break;
        }
        last = Some((standing.given_ms, standing.id));
        page.standing.push(encoded);
    }
    let is_full = i64::try_from(ids.len()).is_ok_and(|count| count >= filter.rows);
    if let Some((given_ms, id)) = last.filter(|_| is_full || page.standing.len() < ids.len()) {
        page.next_page_token = format!("{given_ms}.{id}");
    }
    Ok(page)
}

pub(super) async fn show(holds: &Holds, id: &str) -> Result<wire::Standing, Status> {
    let id = parse_id(id)?;
    let tx = holds
        .database
        .begin("hold.show_standing")
        .await
        .map_err(trouble)?;
    let standing = store::find(&tx, id).await.map_err(trouble)?;
    whole(&tx, &standing.ok_or(HoldError::NoStanding(id))?).await
}

pub(super) async fn revoke(
    holds: &Holds,
    by: &checkrein_shared::identity::SpiffeId,
    request: wire::RevokeStandingRequest,
) -> Result<wire::RevokeStandingResponse, Status> {
    let id = parse_id(&request.standing_id)?;
    let reason = text("reason", &request.reason)?;
    if reason.trim().is_empty() || reason.len() > REASON_BYTES_MAX {
        let why = format!("say why, in at most {REASON_BYTES_MAX} bytes");
        return Err(bad_field("reason", why));
    }
    let (standing, withdrawn) = holds.revoke_standing(by, id, reason).await?;
    let tx = holds
        .database
        .begin("hold.show_standing")
        .await
        .map_err(trouble)?;
    Ok(wire::RevokeStandingResponse {
        standing: Some(whole(&tx, &standing).await?),
        withdrawn: withdrawn.iter().map(HoldId::to_string).collect(),
    })
}

/// With what it is of, and what came of it.
async fn whole(tx: &Transaction, standing: &Standing) -> Result<wire::Standing, Status> {
    let hold = crate::hold::store::find(tx, standing.hold)
        .await
        .map_err(trouble)?
        .ok_or(HoldError::NotFound(standing.hold))?;
    let uses = store::uses(tx, standing.id).await.map_err(trouble)?;
    let uses = uses.iter().map(|one| wire::StandingUse {
        hold_id: one.hold.to_string(),
        state: wire::State::from(one.state).into(),
        opened_unix_ms: one.opened_ms,
    });
    let demands = hold
        .requirements
        .iter()
        .map(|demand| format!("{}: {} of {}", demand.rule, demand.quorum, demand.group));
    let action = &hold.action;
    let ended = standing.ended.as_ref();
    Ok(wire::Standing {
        standing_id: standing.id.to_string(),
        state: state(standing).into(),
        hold_id: standing.hold.to_string(),
        task_id: standing.task.to_string(),
        agent: action.agent.to_string(),
        delegated_by: action.delegated_by.iter().map(ToString::to_string).collect(),
        user: action.user.clone(),
        tool: action.tool.clone(),
        definition_sha256: action.definition.to_bytes(),
        bounds: bounds_to_wire(&standing.bounds, &arguments(&hold)?),
        labels: standing.labels.iter().map(ToString::to_string).collect(),
        approvers: standing.approvers.iter().map(ToString::to_string).collect(),
        given_unix_ms: standing.given_ms,
        until_unix_ms: standing.until_ms,
        times: standing.times,
        used: standing.used,
        ended_unix_ms: ended.map(|end| end.at_ms).unwrap_or_default(),
        ended_by: ended
            .and_then(|end| end.by.as_ref())
            .map(ToString::to_string)
            .unwrap_or_default(),
        ended_reason: ended.map(|end| end.reason.clone()).unwrap_or_default(),
        uses: uses.collect(),
        requirements: demands.collect(),
    })
}

const fn state(standing: &Standing) -> wire::StandingState {
    if standing.ended.is_some() {
        wire::StandingState::Ended
    } else if standing.is_over {
        wire::StandingState::Expired
    } else if standing.used >= standing.times {
        wire::StandingState::UsedUp
    } else {
        wire::StandingState::Live
    }
}

fn parse_id(id: &str) -> Result<StandingId, Status> {
    id.parse()
        .map_err(|error| bad_field("standing_id", format!("{error}")))
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn trouble(error: DatabaseError) -> Status {
    database_trouble(&error)
}
