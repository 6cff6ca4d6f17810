//! `TaskService` on the wire.

mod amend;
mod delegate;
mod encode;
mod ledger;
mod revoke;
mod spend;

use std::time::Duration;

use checkrein_proto::task::v1 as wire;
use checkrein_proto::task::v1::task_service_server::TaskService;
use checkrein_shared::action::Sha256;
use checkrein_shared::grant::{DataScope, InvalidLimits, Limits, SCOPE_BYTES_MAX, Scope};
use checkrein_shared::id::TaskId;
use checkrein_shared::identity::{Role, SpiffeId};
use checkrein_shared::key::VerifyingKey;
use checkrein_shared::wire::amounts_from_wire;
use prost::Message;
use tonic::{Request, Response, Status};

use self::encode::whole;
use self::revoke::Target;
use super::store::{self, Filter};
use super::{BelieveError, Closing, Objection, Start, TASK_LIFE_MAX, Task, TaskError, Tasks};
use crate::api::{
    bad_field, database_trouble, idempotency_key, next_page, not_found, page_after, page_rows, precondition,
    stored_text, text,
};
use crate::caller::Caller;

/// A user may have named at most this many values.
const NAMED_MAX: usize = 256;

#[tonic::async_trait]
impl TaskService for Tasks {
    async fn start(
        &self,
        request: Request<wire::StartRequest>,
    ) -> Result<Response<wire::StartResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let key = idempotency_key(&request.idempotency_key)?.to_owned();
        let (task, grant) = self.start(&caller.id, &key, parse_start(request)?).await?;
        let shown = self.with_budgets(&task, whole(&task)).await?;
        Ok(Response::new(wire::StartResponse {
            task: Some(shown),
            grant,
        }))
    }

    async fn end(&self, request: Request<wire::EndRequest>) -> Result<Response<wire::EndResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = parse_id(&request.get_ref().task_id)?;
        let task = self.close(&caller.id, id, Closing::Ended, "").await?;
        Ok(Response::new(wire::EndResponse {
            task: Some(whole(&task)),
        }))
    }

    async fn revoke(
        &self,
        request: Request<wire::RevokeRequest>,
    ) -> Result<Response<wire::RevokeResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let reason = text("reason", &request.reason)?;
        let task = match revoke::parse(&request)? {
            Target::Task(id) => Some(self.close(&caller.id, id, Closing::Revoked, reason).await?),
            Target::Grant(id, grant) => Some(self.revoke_grant(&caller.id, id, grant, reason).await?),
            Target::Key(thumbprint) => {
                self.revoke_key(&caller.id, thumbprint, reason).await?;
                None
            }
        };
        let task = task.as_ref().map(whole);
        Ok(Response::new(wire::RevokeResponse { task }))
    }

    async fn amend(
        &self,
        request: Request<wire::AmendRequest>,
    ) -> Result<Response<wire::AmendResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let key = idempotency_key(&request.idempotency_key)?;
        let id = parse_id(&request.task_id)?;
        let amend = amend::parse(&request)?;
        let reason = text("reason", &request.reason)?;
        let asked = Sha256::of(&request.encode_to_vec());
        let (task, past, grant) = self.amend(&caller.id, (key, asked), id, (amend, reason)).await?;
        let shown = amend::with_history(whole(&task), &task, &past);
        let task = Some(self.with_budgets(&task, shown).await?);
        Ok(Response::new(wire::AmendResponse { task, grant }))
    }

    async fn delegate(
        &self,
        request: Request<wire::DelegateRequest>,
    ) -> Result<Response<wire::DelegateResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let key = idempotency_key(&request.idempotency_key)?;
        let narrowing = delegate::parse(&request)?;
        let asked = Sha256::of(&request.encode_to_vec());
        let (child, grant) = self
            .delegate(&caller.id, (key, asked), &request.grant, narrowing)
            .await?;
        Ok(Response::new(wire::DelegateResponse {
            grant,
            grant_id: child.id.to_string(),
            expires_unix_ms: child.expires_ms,
        }))
    }

    async fn list(
        &self,
        request: Request<wire::ListRequest>,
    ) -> Result<Response<wire::ListResponse>, Status> {
        let request = request.into_inner();
        text("agent", &request.agent)?;
        let states: Vec<&str> = request.states().filter_map(state_word).collect();
        let filter = Filter {
            agent: &request.agent,
            states: &states,
            before: page_after(&request.page_token)?,
            rows: page_rows(request.page_size),
        };
        let tx = self.read().await.map_err(|error| database_trouble(&error))?;
        let tasks = store::list(&tx, filter)
            .await
            .map_err(|error| database_trouble(&error))?;
        let token = |task: &Task| format!("{}.{}", task.started_ms, task.id);
        let next_page_token = next_page(&tasks, request.page_size, token);
        Ok(Response::new(wire::ListResponse {
            tasks: tasks.iter().map(Into::into).collect(),
            next_page_token,
        }))
    }

    async fn show(
        &self,
        request: Request<wire::ShowRequest>,
    ) -> Result<Response<wire::ShowResponse>, Status> {
        let id = parse_id(&request.get_ref().task_id)?;
        let tx = self.read().await.map_err(|error| database_trouble(&error))?;
        let task = store::find(&tx, id)
            .await
            .map_err(|error| database_trouble(&error))?;
        let task = task.ok_or_else(|| not_found("task", &id.to_string()))?;
        let past = store::epoch::past(&tx, id)
            .await
            .map_err(|error| database_trouble(&error))?;
        let delegated = store::delegation::list(&tx, id)
            .await
            .map_err(|error| database_trouble(&error))?;
        let mut shown = amend::with_history(whole(&task), &task, &past);
        spend::show(&tx, &task, &mut shown)
            .await
            .map_err(|error| database_trouble(&error))?;
        shown.delegations = delegated.iter().map(Into::into).collect();
        let done = super::ledger::read(&tx, id)
            .await
            .map_err(|error| database_trouble(&error))?;
        let carried = store::ledger::labels(&tx, id)
            .await
            .map_err(|error| database_trouble(&error))?;
        let shown = ledger::with_ledger(shown, &done, &carried);
        Ok(Response::new(wire::ShowResponse { task: Some(shown) }))
    }

    async fn confirm(
        &self,
        request: Request<wire::ConfirmRequest>,
    ) -> Result<Response<wire::ConfirmResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let ask = ledger::parse_confirm(caller.id.name(), request)?;
        let confirmation = self.confirm(caller.id.name(), &ask).await?;
        let (refused_cause, refused_reason) = said(confirmation.objection);
        Ok(Response::new(wire::ConfirmResponse {
            state: wire::State::from(&confirmation.state).into(),
            generation: confirmation.generation,
            revocation_sequence: confirmation.revocation_sequence,
            charge: wire::Charge::from(confirmation.charge).into(),
            refused_cause,
            refused_reason,
            ledger: confirmation.ledger.as_ref().map(Into::into),
            known: ledger::encode_known(&confirmation.from),
            slice: confirmation.slice.map(Into::into),
        }))
    }

    async fn note(
        &self,
        request: Request<wire::NoteRequest>,
    ) -> Result<Response<wire::NoteResponse>, Status> {
        let caller = Caller::of(&request)?;
        let note = ledger::parse_note(request.into_inner())?;
        let (found, known, objection) = match self.note(caller.id.name(), &note).await? {
            Ok(known) => (
                Some((&known.ledger).into()),
                ledger::encode_known(&known.from),
                None,
            ),
            Err(objection) => (None, None, Some(objection)),
        };
        let (refused_cause, refused_reason) = said(objection);
        Ok(Response::new(wire::NoteResponse {
            ledger: found,
            known,
            refused_cause,
            refused_reason,
        }))
    }

    async fn declassify(
        &self,
        request: Request<wire::DeclassifyRequest>,
    ) -> Result<Response<wire::DeclassifyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let key = idempotency_key(&request.idempotency_key)?;
        let id = parse_id(&request.task_id)?;
        let (labels, reason) = ledger::parse_declassify(&request)?;
        let asked = Sha256::of(&request.encode_to_vec());
        let done = self
            .declassify(&caller.id, (key, asked), id, (&labels, reason))
            .await?;
        Ok(Response::new(wire::DeclassifyResponse {
            task: Some(amend::with_history(whole(&done.task), &done.task, &done.past)),
            grant: done.grant,
            lifted: done.lifted.iter().map(Into::into).collect(),
        }))
    }

    async fn settle(
        &self,
        request: Request<wire::SettleRequest>,
    ) -> Result<Response<wire::SettleResponse>, Status> {
        let caller = Caller::of(&request)?;
        let settle = spend::parse_settle(request.into_inner())?;
        let task = self.settle_unknown(&caller.id, &settle).await?;
        let shown = self.with_budgets(&task, whole(&task)).await?;
        Ok(Response::new(wire::SettleResponse { task: Some(shown) }))
    }
}

impl Tasks {
    /// What is shown of a task, with what became of its budgets.
    async fn with_budgets(&self, task: &Task, mut shown: wire::Task) -> Result<wire::Task, Status> {
        let tx = self.read().await.map_err(|error| database_trouble(&error))?;
        spend::show(&tx, task, &mut shown)
            .await
            .map_err(|error| database_trouble(&error))?;
        Ok(shown)
    }
}

impl From<TaskError> for Status {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::NotFound(id) => not_found("task", &id.to_string()),
            TaskError::SelfStarted(_)
            | TaskError::Involved(..)
            | TaskError::Believe(BelieveError::OtherAgent { .. }) => {
                Self::permission_denied(error.to_string())
            }
            TaskError::NotCarried(..) => precondition("NOT_CARRIED", error.to_string()),
            TaskError::NotUnknown(_) => precondition("NOT_UNKNOWN", error.to_string()),
            TaskError::OwnGrant(_) => bad_field("grant_id", error.to_string()),
            TaskError::Over(_) => precondition("TASK_OVER", error.to_string()),
            TaskError::AmendedTooOften(_) => precondition("AMENDED_TOO_OFTEN", error.to_string()),
            TaskError::AgentRemoved(_) => precondition("AGENT_REMOVED", error.to_string()),
            TaskError::KeyReused { .. } => Self::already_exists(error.to_string()),
            TaskError::GrantTooLong(_) => bad_field("named", error.to_string()),
            TaskError::Unsigned(_) => Self::internal(error.to_string()),
            TaskError::Database(error) | TaskError::Believe(BelieveError::Database(error)) => {
                database_trouble(&error)
            }
        }
    }
}

/// In the word that decision records use, and for people.
fn said(objection: Option<Objection>) -> (String, String) {
    objection.map_or_else(Default::default, |(cause, reason)| (cause.to_string(), reason))
}

fn parse_start(request: wire::StartRequest) -> Result<Start, Status> {
    let agent: SpiffeId = request
        .agent
        .parse()
        .map_err(|error| bad_field("agent", format!("{error}")))?;
    if agent.role() != Some(Role::Agent) {
        return Err(bad_field(
            "agent",
            format!("`{agent}` is not an agent: expected `spiffe://<domain>/agent/<name>`"),
        ));
    }
    if text("user", &request.user)?.is_empty() {
        return Err(bad_field("user", "for whom does the agent act?"));
    }
    for tool in &request.tools {
        text("tools", tool)?;
    }
    let scope = parse_scope(request.tools, &request.scope)?;
    let limits = parse_limits(request.limits.unwrap_or_default(), &request.budgets)
        .map_err(|error| bad_field("limits", error.to_string()))?;
    let data = request.data.map(DataScope::try_from).transpose();
    let data = data.map_err(|error| bad_field("data", error.to_string()))?;
    let holder = parse_holder(&request.holder_key)?;
    check_named(&request.named)?;
    text("intent", &request.intent)?;
    text("environment", &request.environment)?;
    let expires_in = Duration::from_millis(request.expires_in_ms);
    if expires_in.is_zero() || expires_in > TASK_LIFE_MAX {
        let hours = TASK_LIFE_MAX.as_secs() / 3600;
        return Err(bad_field(
            "expires_in_ms",
            format!("a task lives longer than nothing and at most {hours} hours"),
        ));
    }
    Ok(Start {
        user: request.user,
        agent,
        scope,
        limits,
        data,
        named: request.named,
        intent: request.intent,
        environment: request.environment,
        expires_in,
        holder,
    })
}

fn check_named(named: &[String]) -> Result<(), Status> {
    if named.len() > NAMED_MAX {
        return Err(bad_field(
            "named",
            format!("at most {NAMED_MAX} values can be named"),
        ));
    }
    for value in named {
        text("named", value)?;
    }
    Ok(())
}

fn parse_scope(tools: Vec<String>, json: &str) -> Result<Scope, Status> {
    let mut scope = Scope::parse(tools).map_err(|error| bad_field("tools", error.to_string()))?;
    if !json.is_empty() {
        let constrained = Scope::parse_json(json.as_bytes());
        let both = constrained.and_then(|constrained| scope.and(constrained));
        scope = both.map_err(|error| bad_field("scope", error.to_string()))?;
    }
    if scope.tools().len() == 0 {
        return Err(bad_field("tools", "name at least one tool here or in `scope`"));
    }
    // The values of constraints reach the database as they are.
    stored_text("scope", &scope.to_json().to_string(), SCOPE_BYTES_MAX)?;
    Ok(scope)
}

fn parse_limits(limits: wire::Limits, budgets: &[wire::Amount]) -> Result<Limits, InvalidLimits> {
    let spend = amounts_from_wire(budgets).map_err(|error| InvalidLimits::Spend(error.to_string()))?;
    let limits = Limits {
        calls: limits.calls,
        risk: u8::try_from(limits.risk).map_err(|_| InvalidLimits::Risk)?,
        depth: u8::try_from(limits.depth).map_err(|_| InvalidLimits::Depth)?,
        spend,
    };
    limits.checked()
}

/// The agent's key; none if nothing is said.
fn parse_holder(key: &str) -> Result<Option<VerifyingKey>, Status> {
    if key.is_empty() {
        return Ok(None);
    }
    let parsed = VerifyingKey::from_base64(key);
    parsed
        .map(Some)
        .map_err(|error| bad_field("holder_key", error.to_string()))
}

fn parse_id(id: &str) -> Result<TaskId, Status> {
    id.parse()
        .map_err(|error| bad_field("task_id", format!("{error}")))
}

const fn state_word(state: wire::State) -> Option<&'static str> {
    match state {
        wire::State::Live => Some("live"),
        wire::State::Ended => Some("ended"),
        wire::State::Revoked => Some("revoked"),
        wire::State::Expired => Some("expired"),
        wire::State::Unspecified => None,
    }
}
