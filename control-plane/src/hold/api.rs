//! `HoldService` on the wire.

mod approver;
mod glass;
mod numbers;
mod remark;
mod standing;
mod together;

use checkrein_proto::hold::v1 as wire;
use checkrein_proto::hold::v1::hold_service_server::HoldService;
use checkrein_shared::action::{ARGUMENT_BYTES_MAX, ActionIdentity, Sha256};
use checkrein_shared::decision::Cause;
use checkrein_shared::hold::{Requirement, State};
use checkrein_shared::id::{DecisionId, Generation, HoldId};
use checkrein_shared::wire::{amounts_from_wire, reversibility_from_wire};
use tonic::{Request, Response, Status};

use super::store::{self, Before, Filter, Listed};
use super::{Consume, ConsumeAnswer, HoldError, Holds, Open, OpenAnswer, Refusal, Vote, standing as given};
use crate::api::{
    TEXT_BYTES_MAX, bad_field, bad_message, class_or_worst, database_trouble, not_found, page_after,
    page_rows, precondition, proof_id, stored_text, text,
};
use crate::caller::Caller;
use crate::database::{DatabaseError, Transaction};
use crate::task::{self, BelieveError};

/// A reason has at most this many bytes.
const REASON_BYTES_MAX: usize = 1 << 10;
/// The names of calls, tools, rules and groups have at most this many bytes.
const NAME_BYTES_MAX: usize = 256;
/// Arguments have at most this many bytes once they are canonical and masked.
const ARGUMENTS_BYTES_MAX: usize = 2 * ARGUMENT_BYTES_MAX;
/// Why an action is held, in the words of all rules together, has at most this many bytes.
const HELD_REASON_BYTES_MAX: usize = 64 << 10;
/// A page of holds has at most this many bytes, or one hold that is longer.
const PAGE_BYTES_MAX: usize = 3 << 20;
/// A hold may have at most this many requirements.
const REQUIREMENTS_MAX: usize = 32;

#[tonic::async_trait]
impl HoldService for Holds {
    async fn open(
        &self,
        request: Request<wire::OpenRequest>,
    ) -> Result<Response<wire::OpenResponse>, Status> {
        let caller = Caller::of(&request)?;
        let open = parse_open(caller.id.name(), request.into_inner())?;
        let result = match self.open(open).await? {
            OpenAnswer::Held(hold) => wire::open_response::Result::Hold((&*hold).into()),
            OpenAnswer::Refused(refusal) => wire::open_response::Result::Refused(refusal.into()),
        };
        Ok(Response::new(wire::OpenResponse { result: Some(result) }))
    }

    async fn consume(
        &self,
        request: Request<wire::ConsumeRequest>,
    ) -> Result<Response<wire::ConsumeResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let consume = Consume {
            hold: parse_id(&request.hold_id)?,
            enforcer: caller.id.name().to_owned(),
            action: parse_hash(&request.action_sha256)?,
            generation: Generation(request.generation),
            instance: request
                .instance_id
                .parse()
                .map_err(|error| bad_field("instance_id", format!("{error}")))?,
            incarnation: request.incarnation,
            presented: request.presented,
            proof: proof_id(&request.proof_id)?,
            requirements: parse_requirements(request.requirements)?,
            ledger_revision: request.ledger_revision,
            reversibility: class_or_worst(request.reversibility)?,
            cost: amounts_from_wire(&request.cost).map_err(|error| bad_field("cost", error.to_string()))?,
            attempt: attempt_id(&request.attempt_id)?,
        };
        let result = match self.consume(&consume).await? {
            ConsumeAnswer::Consumed {
                use_by_ms,
                approvers,
                broken_by,
            } => wire::consume_response::Result::Consumed(wire::Consumed {
                use_by_unix_ms: use_by_ms,
                approvers,
                broken_by,
            }),
            ConsumeAnswer::Refresh { newest, ledger } => {
                wire::consume_response::Result::Refresh(wire::Refresh {
                    generation: newest.0,
                    ledger: ledger.as_ref().map(Into::into),
                })
            }
            ConsumeAnswer::Busy(_, reason) => wire::consume_response::Result::Refused(wire::Refusal {
                cause: Cause::Budget.to_string(),
                reason,
            }),
            ConsumeAnswer::Refused(refusal) => wire::consume_response::Result::Refused(refusal.into()),
        };
        Ok(Response::new(wire::ConsumeResponse { result: Some(result) }))
    }

    async fn list(
        &self,
        request: Request<wire::ListRequest>,
    ) -> Result<Response<wire::ListResponse>, Status> {
        let request = request.into_inner();
        let filter = filter(&request)?;
        let tx = self
            .database
            .begin("hold.list")
            .await
            .map_err(|error| database_trouble(&error))?;
        let page = page(&tx, &filter)
            .await
            .map_err(|error| database_trouble(&error))?;
        Ok(Response::new(page))
    }

    async fn show(
        &self,
        request: Request<wire::ShowRequest>,
    ) -> Result<Response<wire::ShowResponse>, Status> {
        let id = parse_id(&request.get_ref().hold_id)?;
        let tx = self
            .database
            .begin("hold.show")
            .await
            .map_err(|error| database_trouble(&error))?;
        let hold = store::find(&tx, id)
            .await
            .map_err(|error| database_trouble(&error))?;
        let hold = hold.ok_or_else(|| not_found("hold", &id.to_string()))?;
        let carried = task::carried(&tx, hold.action.task)
            .await
            .map_err(|error| database_trouble(&error))?;
        let shown = approver::whole(&tx, &hold)
            .await
            .map_err(|error| database_trouble(&error))?;
        let before = store::before(&tx, &hold)
            .await
            .map_err(|error| database_trouble(&error))?;
        Ok(Response::new(wire::ShowResponse {
            hold: Some(shown),
            labels: carried.iter().map(Into::into).collect(),
            offer: standing::offer(&hold),
            before: before.map(Into::into),
        }))
    }

    async fn vote(
        &self,
        request: Request<wire::VoteRequest>,
    ) -> Result<Response<wire::VoteResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        if text("reason", &request.reason)?.len() > REASON_BYTES_MAX {
            return Err(bad_field("reason", format!("at most {REASON_BYTES_MAX} bytes")));
        }
        let (hold, shown) = (parse_id(&request.hold_id)?, parse_hash(&request.action_sha256)?);
        let terms = standing::parse_terms(request.approve, request.terms)?;
        let vote = Vote::new(hold, caller.id, shown, request.approve, request.reason);
        let hold = self.vote(Vote { terms, ..vote }).await?;
        Ok(Response::new(wire::VoteResponse {
            hold: Some(approver::shown(self, &hold).await?),
            standing: standing::given_with(self, &hold).await?,
        }))
    }

    async fn vote_all(
        &self,
        request: Request<wire::VoteAllRequest>,
    ) -> Result<Response<wire::VoteAllResponse>, Status> {
        let caller = Caller::of(&request)?;
        let votes = together::parse(&caller.id, request.into_inner().answers)?;
        let answered = self.vote_all(votes).await;
        Ok(Response::new(wire::VoteAllResponse {
            results: answered.into_iter().map(together::result).collect(),
        }))
    }

    async fn remark(
        &self,
        request: Request<wire::RemarkRequest>,
    ) -> Result<Response<wire::RemarkResponse>, Status> {
        let caller = Caller::of(&request)?;
        let said = remark::remark(self, caller.id, request.into_inner()).await?;
        Ok(Response::new(said))
    }

    async fn list_standing(
        &self,
        request: Request<wire::ListStandingRequest>,
    ) -> Result<Response<wire::ListStandingResponse>, Status> {
        Ok(Response::new(standing::list(self, request.into_inner()).await?))
    }

    async fn show_standing(
        &self,
        request: Request<wire::ShowStandingRequest>,
    ) -> Result<Response<wire::ShowStandingResponse>, Status> {
        let shown = standing::show(self, &request.get_ref().standing_id).await?;
        Ok(Response::new(wire::ShowStandingResponse {
            standing: Some(shown),
        }))
    }

    async fn revoke_standing(
        &self,
        request: Request<wire::RevokeStandingRequest>,
    ) -> Result<Response<wire::RevokeStandingResponse>, Status> {
        let caller = Caller::of(&request)?;
        let revoked = standing::revoke(self, &caller.id, request.into_inner()).await?;
        Ok(Response::new(revoked))
    }

    async fn break_glass(
        &self,
        request: Request<wire::BreakGlassRequest>,
    ) -> Result<Response<wire::BreakGlassResponse>, Status> {
        let caller = Caller::of(&request)?;
        let broken = glass::break_glass(self, caller.id, request.into_inner()).await?;
        Ok(Response::new(broken))
    }

    async fn review(
        &self,
        request: Request<wire::ReviewRequest>,
    ) -> Result<Response<wire::ReviewResponse>, Status> {
        let caller = Caller::of(&request)?;
        let reviewed = glass::review(self, caller.id, request.into_inner()).await?;
        Ok(Response::new(reviewed))
    }

    async fn go_away(
        &self,
        request: Request<wire::GoAwayRequest>,
    ) -> Result<Response<wire::GoAwayResponse>, Status> {
        let caller = Caller::of(&request)?;
        let gone = approver::go_away(self, &caller.id, request.into_inner()).await?;
        Ok(Response::new(gone))
    }

    async fn come_back(
        &self,
        request: Request<wire::ComeBackRequest>,
    ) -> Result<Response<wire::ComeBackResponse>, Status> {
        let caller = Caller::of(&request)?;
        let came = approver::come_back(self, &caller.id, request.into_inner()).await?;
        Ok(Response::new(came))
    }

    async fn list_absences(
        &self,
        _: Request<wire::ListAbsencesRequest>,
    ) -> Result<Response<wire::ListAbsencesResponse>, Status> {
        let absences = self.absences().await?;
        Ok(Response::new(wire::ListAbsencesResponse {
            absences: absences.iter().map(approver::encode).collect(),
        }))
    }

    async fn numbers(
        &self,
        request: Request<wire::NumbersRequest>,
    ) -> Result<Response<wire::NumbersResponse>, Status> {
        Ok(Response::new(numbers::of(self, request.get_ref().days).await?))
    }
}

impl From<Before> for wire::Before {
    fn from(before: Before) -> Self {
        Self {
            hold_id: before.hold.to_string(),
            arguments: before.arguments.into(),
            opened_unix_ms: before.opened_ms,
        }
    }
}

impl From<Refusal> for wire::Refusal {
    fn from(refusal: Refusal) -> Self {
        Self {
            cause: refusal.cause.to_string(),
            reason: refusal.reason,
        }
    }
}

impl From<HoldError> for Status {
    fn from(error: HoldError) -> Self {
        let message = error.to_string();
        match error {
            HoldError::NotFound(id) => not_found("hold", &id.to_string()),
            HoldError::NoStanding(id) => not_found("standing approval", &id.to_string()),
            HoldError::TooWide(_) => bad_field("terms", message),
            HoldError::Transition(_) => precondition("INVALID_TRANSITION", message),
            HoldError::TooLate(_) => precondition("HOLD_EXPIRED", message),
            HoldError::OtherBytes(_) => precondition("OTHER_BYTES", message),
            HoldError::Fenced(_) => precondition("FENCED", message),
            HoldError::Away(_) => precondition("AWAY", message),
            HoldError::NoGlass(_) => precondition("NO_GLASS", message),
            HoldError::TaskOver(_) => precondition("TASK_ENDED", message),
            HoldError::NotBroken(_) => precondition("NOT_BROKEN", message),
            HoldError::NotOver(_) => precondition("NOT_OVER", message),
            HoldError::Reviewed(..) => precondition("REVIEWED", message),
            HoldError::NotOpen(..) => precondition("NOT_OPEN", message),
            HoldError::NothingAsked(_) => precondition("NOTHING_ASKED", message),
            HoldError::TooManyRemarks(_) => precondition("TOO_MANY_REMARKS", message),
            HoldError::ToOneself(_) | HoldError::NotToThem { .. } => bad_field("to", message),
            HoldError::NoAbsence => bad_field("until_unix_ms", message),
            HoldError::NotAnApprover(_) => bad_field("approver", message),
            HoldError::Asker(_)
            | HoldError::Owner(_)
            | HoldError::NotInGlass { .. }
            | HoldError::NotIndependent(_)
            | HoldError::SomebodyElse(_)
            | HoldError::NotInGroup { .. }
            | HoldError::Believe(BelieveError::OtherAgent { .. })
            | HoldError::OtherTask(_)
            | HoldError::OtherEnforcer(_) => Self::permission_denied(message),
            HoldError::HashMismatch => bad_field("action.action_sha256", message),
            HoldError::Database(error) | HoldError::Believe(BelieveError::Database(error)) => {
                database_trouble(&error)
            }
        }
    }
}

/// What a list asks for. Glass that was broken is looked for wherever its hold stands.
fn filter(request: &wire::ListRequest) -> Result<Filter, Status> {
    let like = Some(&request.like_hold_id).filter(|id| !id.is_empty());
    let asked = request.states().filter_map(|state| State::try_from(state).ok());
    let mut states: Vec<&str> = asked.map(State::as_str).collect();
    if states.is_empty() {
        states = match like {
            Some(_) => vec![State::Open.as_str()],
            None if request.broken || request.unreviewed => State::ALL.map(State::as_str).to_vec(),
            None => vec![State::Open.as_str(), State::Approved.as_str()],
        };
    }
    let task = Some(&request.task_id).filter(|id| !id.is_empty());
    let parse_task = |id: &String| {
        id.parse()
            .map_err(|error| bad_field("task_id", format!("{error}")))
    };
    Ok(Filter {
        states,
        task: task.map(parse_task).transpose()?,
        like: like.map(|id| parse_id(id)).transpose()?,
        broken: request.broken,
        unreviewed: request.unreviewed,
        after: page_after(&request.page_token)?,
        rows: page_rows(request.page_size),
    })
}

/// As many holds as were asked for and as fit into an answer that any client decodes; at least one, if there are any.
async fn page(tx: &Transaction, filter: &Filter) -> Result<wire::ListResponse, DatabaseError> {
    let listed = store::list(tx, filter).await?;
    let holds = store::find_all(tx, &readable(&listed)).await?;
    let mut page = wire::ListResponse {
        holds: approver::whole_within(tx, &holds, PAGE_BYTES_MAX).await?,
        ..wire::ListResponse::default()
    };
    let is_full = i64::try_from(listed.len()).is_ok_and(|count| count >= filter.rows);
    let last = page.holds.len().checked_sub(1).and_then(|last| holds.get(last));
    if let Some(last) = last.filter(|_| is_full || page.holds.len() < listed.len()) {
        page.next_page_token = format!("{}.{}", last.decide_by_ms, last.id);
    }
    Ok(page)
}

/// The first, and those after it that may fit into a page with it: more are not even read.
fn readable(listed: &[Listed]) -> Vec<HoldId> {
    let mut bytes = 0_usize;
    let fits = listed.iter().enumerate().take_while(|(at, one)| {
        bytes = bytes.saturating_add(one.bytes);
        *at == 0 || bytes <= PAGE_BYTES_MAX
    });
    fits.map(|(_, one)| one.id).collect()
}

fn attempt_id(id: &str) -> Result<Option<DecisionId>, Status> {
    if id.is_empty() {
        return Ok(None);
    }
    id.parse()
        .map(Some)
        .map_err(|error| bad_field("attempt_id", format!("{error}")))
}

fn parse_open(enforcer: &str, request: wire::OpenRequest) -> Result<Open, Status> {
    let sent = request.action.ok_or_else(|| bad_field("action", "missing"))?;
    let hash = parse_hash(&sent.action_sha256)?;
    let action = ActionIdentity::try_from(sent).map_err(|error| bad_message(&error))?;
    if action.sha256() != hash {
        return Err(HoldError::HashMismatch.into());
    }
    let requirements = parse_requirements(request.requirements)?;
    if requirements.is_empty() {
        return Err(bad_field("requirements", "whom does it wait for?"));
    }
    if requirements
        .iter()
        .any(|r| r.quorum == 0 || r.decide_within_ms == 0 || r.use_within_ms == 0)
    {
        return Err(bad_field(
            "requirements",
            "quorum and both times must be more than zero",
        ));
    }
    if request.call_id.is_empty() {
        return Err(bad_field("call_id", "expected a name for the call"));
    }
    let texts = [
        ("call_id", &request.call_id, NAME_BYTES_MAX),
        ("action.tool", &action.tool, NAME_BYTES_MAX),
        ("action.user", &action.user, TEXT_BYTES_MAX),
        ("action.arguments", &action.arguments.0, ARGUMENTS_BYTES_MAX),
        ("environment", &request.environment, TEXT_BYTES_MAX),
        ("intent", &request.intent, TEXT_BYTES_MAX),
        ("reason", &request.reason, HELD_REASON_BYTES_MAX),
    ];
    for (field, text, bytes_max) in texts {
        stored_text(field, text, bytes_max)?;
    }
    Ok(Open {
        reversibility: reversibility_from_wire(request.reversibility).map_err(|error| bad_message(&error))?,
        fixed: given::fixed(&request.denial_class, &action.tool, &action.arguments.0),
        enforcer: enforcer.to_owned(),
        decision: request
            .decision_id
            .parse()
            .map_err(|error| bad_field("decision_id", format!("{error}")))?,
        call_id: request.call_id,
        action,
        requirements,
        generation: Generation(request.generation),
        presented: request.presented,
        environment: request.environment,
        intent: request.intent,
        reason: request.reason,
        denial_class: Sha256::of(request.denial_class.as_bytes()),
    })
}

fn parse_requirements(sent: Vec<wire::Requirement>) -> Result<Vec<Requirement>, Status> {
    if sent.len() > REQUIREMENTS_MAX {
        return Err(bad_field("requirements", format!("at most {REQUIREMENTS_MAX}")));
    }
    for requirement in &sent {
        stored_text("requirements.rule", &requirement.rule, NAME_BYTES_MAX)?;
        stored_text("requirements.group", &requirement.group, NAME_BYTES_MAX)?;
        stored_text("requirements.reason", &requirement.reason, TEXT_BYTES_MAX)?;
    }
    Ok(sent.into_iter().map(Into::into).collect())
}

fn parse_id(id: &str) -> Result<HoldId, Status> {
    id.parse()
        .map_err(|error| bad_field("hold_id", format!("{error}")))
}

fn parse_hash(bytes: &[u8]) -> Result<Sha256, Status> {
    Sha256::try_from(bytes).map_err(|error| bad_field("action_sha256", error.to_string()))
}
