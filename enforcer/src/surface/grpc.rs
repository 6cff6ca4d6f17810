//! `GateService` over gRPC. It only translates: who calls, what they ask, what the gate says.

use std::time::Duration;

use checkrein_proto::decision::v1 as wire;
use checkrein_proto::decision::v1::gate_service_server::GateService;
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::policy::ResultSize;
use checkrein_shared::wire::{amounts_from_wire, labels_from_wire};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tonic::{Request, Response, Status};

use super::caller::{certified_agent, check_uid};
use crate::gate::{Answer, Caller, CompleteError, Decided, Found, Gate, GateError, Request as GateRequest};

/// The gate, as one listener offers it.
#[derive(Debug)]
pub(super) struct GateSurface {
    pub(super) gate: Gate,
    pub(super) peer: Peer,
}

/// How a listener knows who calls.
#[derive(Debug)]
pub(super) enum Peer {
    /// Whoever has this user id is this agent.
    Unix { agent: SpiffeId, uid: u32 },
    /// By the certificate that TLS verified.
    Certificate,
}

/// So many calls can be watched at once.
const WATCHED_MAX: usize = 256;
/// A caller finds at most so many labels in one result.
const FOUND_LABELS_MAX: usize = 32;

#[tonic::async_trait]
impl GateService for GateSurface {
    type WatchStream = BoxStream<'static, Result<wire::WatchResponse, Status>>;

    async fn watch(
        &self,
        request: Request<wire::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let gate = self.gate.for_caller(self.peer.caller(&request)?);
        let ids = request.into_inner().decision_ids;
        if ids.is_empty() || ids.len() > WATCHED_MAX {
            let found = ids.len();
            return Err(Status::invalid_argument(format!(
                "decision_ids: expected 1 to {WATCHED_MAX}, and there are {found}"
            )));
        }
        let ids = ids.iter().map(|id| id.parse()).collect::<Result<Vec<_>, _>>();
        let ids = ids.map_err(|error: checkrein_shared::id::InvalidId| {
            Status::invalid_argument(format!("decision_ids: {error}"))
        })?;
        let watched = gate.watch(ids);
        let watched = watched.map_err(|error| Status::resource_exhausted(error.to_string()))?;
        let told = stream::unfold(watched, |mut watched| async move {
            let (decision, stopped) = watched.next().await?;
            let told = wire::WatchResponse {
                decision_id: decision.to_string(),
                cause: stopped.cause.to_string(),
                reason: stopped.reason,
            };
            Some((Ok(told), watched))
        });
        Ok(Response::new(told.boxed()))
    }

    async fn authorize(
        &self,
        request: Request<wire::AuthorizeRequest>,
    ) -> Result<Response<wire::AuthorizeResponse>, Status> {
        let gate = self.gate.for_caller(self.peer.caller(&request)?);
        let asked = request.into_inner();
        let call = GateRequest::new(asked.grant, asked.tool, &asked.arguments)
            .call_id(asked.call_id)
            .proof(asked.proof)
            .wait(Duration::from_millis(asked.wait_ms));
        let answer = gate.authorize(call).await.map_err(|error| no_call(&error))?;
        Ok(Response::new(answer.into()))
    }

    async fn complete(
        &self,
        request: Request<wire::CompleteRequest>,
    ) -> Result<Response<wire::CompleteResponse>, Status> {
        let gate = self.gate.for_caller(self.peer.caller(&request)?);
        let said = request.into_inner();
        let invalid = |error: &dyn std::fmt::Display| Status::invalid_argument(error.to_string());
        let result = said
            .result()
            .try_into()
            .map_err(|error: checkrein_shared::wire::InvalidMessage| invalid(&error))?;
        let decision = said
            .decision_id
            .parse()
            .map_err(|error: checkrein_shared::id::InvalidId| invalid(&error))?;
        let found = Found {
            labels: labels_from_wire(&said.labels, FOUND_LABELS_MAX).map_err(|error| invalid(&error))?,
            size: said.result_size.map(|size| ResultSize {
                bytes: size.bytes,
                rows: size.rows,
            }),
            content: (!said.content.is_empty()).then(|| said.content.to_vec()),
            spent: amounts_from_wire(&said.spent).map_err(|error| invalid(&error))?,
        };
        gate.complete_with(decision, result, &said.detail, &found)
            .await
            .map_err(|error| no_outcome(&error))?;
        Ok(Response::new(wire::CompleteResponse {}))
    }
}

impl Peer {
    fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let agent = match self {
            Self::Unix { agent, uid } => {
                check_uid(request.extensions(), *uid)?;
                agent.clone()
            }
            Self::Certificate => certified_agent(request.extensions())?,
        };
        Ok(Caller {
            agent,
            asserted: false,
        })
    }
}

impl From<Answer> for wire::AuthorizeResponse {
    fn from(answer: Answer) -> Self {
        let verdict = answer.verdict();
        let (decided, groups, decide_by_ms) = match answer {
            // The agent says over the wire how it ended.
            Answer::Permit(permit) => (permit.detach(), Vec::new(), 0),
            Answer::Hold(held) => (held.decided, held.groups, held.decide_by_ms),
            Answer::Deny(denied) => (denied.decided, Vec::new(), 0),
        };
        Self {
            verdict: wire::Verdict::from(verdict).into(),
            groups,
            decide_by_unix_ms: decide_by_ms,
            ..decided.into()
        }
    }
}

impl From<Decided> for wire::AuthorizeResponse {
    fn from(decided: Decided) -> Self {
        Self {
            decision_id: decided.id.to_string(),
            cause: decided.cause.to_string(),
            reason: decided.reason,
            rules: decided.rules,
            tier: wire::Tier::from(decided.tier).into(),
            hold_id: decided.hold.map(|hold| hold.to_string()).unwrap_or_default(),
            generation: decided.generation.0,
            revocation_sequence: decided.revocation_sequence,
            call_id: decided.call_id,
            ..Self::default()
        }
    }
}

fn no_call(error: &GateError) -> Status {
    match error {
        GateError::NoAgent => Status::failed_precondition(error.to_string()),
        GateError::CallIdTooLong(_)
        | GateError::ToolTooLong(_)
        | GateError::CallIdControl(_)
        | GateError::ToolControl(_) => Status::invalid_argument(error.to_string()),
    }
}

fn no_outcome(error: &CompleteError) -> Status {
    let message = error.to_string();
    match error {
        CompleteError::Unknown(_) => Status::not_found(message),
        CompleteError::Twice(_) => Status::failed_precondition(message),
        CompleteError::DetailTooLong(_) => Status::invalid_argument(message),
        CompleteError::Journal(_) => Status::resource_exhausted(message),
        CompleteError::Unlabelled(_) => Status::unavailable(message),
    }
}
