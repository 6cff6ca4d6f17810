//! The unary calls, with deadlines: domain in, wire between, domain out.

use std::future::Future;
use std::sync::Arc;

use checkrein_proto::hold::v1 as hold_wire;
use checkrein_proto::hold::v1::consume_response::Result as Answer;
use checkrein_proto::hold::v1::hold_service_client::HoldServiceClient;
use checkrein_proto::task::v1 as task_wire;
use checkrein_proto::task::v1::task_service_client::TaskServiceClient;
use checkrein_shared::Generation;
use checkrein_shared::action::Sha256;
use checkrein_shared::decision::Cause;
use checkrein_shared::hold::{Remark, State, asks};
use checkrein_shared::id::ProofId;
use checkrein_shared::ledger::{CameFrom, Fingerprint, Ledger, Seen};
use checkrein_shared::wire::{
    amounts_from_wire, amounts_to_wire, fingerprints_to_wire, reversibility_to_wire,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use super::{
    AskError, Authority, CALL_DEADLINE, Charge, Confirm, Confirmation, Connection, Consume, Consumption,
    HoldNotice, Known, LabelSource, Note, Noted, OpenHold, Opened, Refusal,
};
use crate::slices::Given;

/// The replica in use, asked over gRPC.
#[derive(Debug, Clone)]
pub(crate) struct Replicas(pub(crate) Connection);

impl Authority for Replicas {
    fn confirm(&self, ask: Confirm) -> BoxFuture<'_, Result<Confirmation, AskError>> {
        async move {
            let request = task_wire::ConfirmRequest {
                task_id: ask.task.to_string(),
                generation: ask.generation.0,
                revocation_sequence: ask.revocation_sequence,
                use_id: ask.release.uuid().to_string(),
                presented: ask.presented.to_string(),
                proof_id: proof_id(ask.proof),
                tool: ask.tool,
                reversibility: reversibility_to_wire(ask.reversibility),
                asked: asked(&ask.asked),
                cost: amounts_to_wire(&ask.cost),
                instance_id: ask.instance.to_string(),
                incarnation: ask.incarnation,
                slice_id: ask.slice.map(|slice| slice.to_string()).unwrap_or_default(),
            };
            let confirm = move |channel| {
                let request = request.clone();
                async move { TaskServiceClient::new(channel).confirm(request).await }
            };
            let mut answer = self.ask_again_once(confirm).await?;
            Ok(Confirmation {
                known: known(answer.ledger.take(), answer.known.take())?,
                slice: answer.slice.as_ref().map(given).transpose()?,
                live: answer.state() == task_wire::State::Live,
                refused: refusal(&answer.refused_cause, &answer.refused_reason),
                generation: Generation(answer.generation),
                charge: match answer.charge() {
                    task_wire::Charge::Charged => Charge::Charged,
                    task_wire::Charge::Exhausted => Charge::Exhausted,
                    task_wire::Charge::Unspecified | task_wire::Charge::Uncounted => Charge::None,
                },
            })
        }
        .boxed()
    }

    fn open_hold(&self, ask: OpenHold) -> BoxFuture<'_, Result<Opened, AskError>> {
        async move {
            let request = open_request(ask);
            // What was opened is found again by its name.
            let open = move |channel| {
                let request = request.clone();
                async move { HoldServiceClient::new(channel).open(request).await }
            };
            match self.ask_again_once(open).await?.result {
                Some(hold_wire::open_response::Result::Hold(hold)) => Ok(Opened::Held(notice(hold)?)),
                Some(hold_wire::open_response::Result::Refused(refusal)) => {
                    Ok(Opened::Refused(refusal.into()))
                }
                None => Err(not_understood(&"`result` is missing")),
            }
        }
        .boxed()
    }

    fn consume(&self, ask: Consume) -> BoxFuture<'_, Result<Consumption, AskError>> {
        async move {
            // Once, whatever happens: an approval whose fate is unknown is used up.
            let (channel, _) = self.0.get().await?;
            let mut client = HoldServiceClient::new(channel);
            let request = hold_wire::ConsumeRequest {
                hold_id: ask.hold.to_string(),
                action_sha256: ask.action_sha256.to_bytes(),
                generation: ask.generation.0,
                requirements: ask.requirements.iter().map(Into::into).collect(),
                instance_id: ask.instance.to_string(),
                incarnation: ask.incarnation,
                presented: ask.presented.to_string(),
                proof_id: proof_id(ask.proof),
                ledger_revision: ask.ledger_revision,
                reversibility: reversibility_to_wire(ask.reversibility),
                cost: amounts_to_wire(&ask.cost),
                attempt_id: ask.attempt.to_string(),
            };
            match answered(client.consume(request)).await?.result {
                Some(Answer::Consumed(consumed)) => Ok(Consumption::Consumed {
                    approvers: who_approved(consumed),
                }),
                Some(Answer::Refresh(refresh)) => Ok(Consumption::Refresh(
                    Generation(refresh.generation),
                    refresh.ledger.map(ledger).transpose()?,
                )),
                Some(Answer::Refused(refusal)) => Ok(Consumption::Refused(refusal.into())),
                None => Err(not_understood(&"`result` is missing")),
            }
        }
        .boxed()
    }

    fn note(&self, ask: Note) -> BoxFuture<'_, Result<Noted, AskError>> {
        async move {
            let request = note_request(ask);
            // What is noted is noted once.
            let note = move |channel| {
                let request = request.clone();
                async move { TaskServiceClient::new(channel).note(request).await }
            };
            let answer = self.ask_again_once(note).await?;
            if let Some(refusal) = refusal(&answer.refused_cause, &answer.refused_reason) {
                return Ok(Noted::Refused(refusal));
            }
            let known = known(answer.ledger, answer.known)?;
            known
                .map(Noted::Known)
                .ok_or_else(|| not_understood(&"`ledger` is missing"))
        }
        .boxed()
    }

    fn is_connected(&self) -> bool {
        self.0.is_there()
    }
}

impl Replicas {
    /// Asks what may be asked twice: once more, on the next connection, if the replica goes away before it has answered.
    async fn ask_again_once<T, Answer>(&self, call: impl Fn(Channel) -> Answer) -> Result<T, AskError>
    where
        Answer: Future<Output = Result<Response<T>, Status>>,
    {
        let (channel, place) = self.0.get().await?;
        match answered(call(channel)).await {
            Err(AskError::Failed(status)) if went_away(&status) => match place.next().await {
                Some(channel) => answered(call(channel)).await,
                None => Err(AskError::Failed(status)),
            },
            answer => answer,
        }
    }
}

/// Whether this is the end of a replica or of its connection. What a replica says itself has no source.
fn went_away(status: &Status) -> bool {
    status.code() == Code::Unavailable || std::error::Error::source(status).is_some()
}

impl From<hold_wire::Refusal> for Refusal {
    fn from(refusal: hold_wire::Refusal) -> Self {
        Self {
            // A newer control plane may know causes that this enforcer does not; a no stays a no.
            cause: refusal.cause.parse().unwrap_or(Cause::Forbidden),
            reason: refusal.reason,
        }
    }
}

async fn answered<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, AskError> {
    match tokio::time::timeout(CALL_DEADLINE, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(status.into()),
        Err(_) => Err(AskError::Deadline),
    }
}

fn open_request(ask: OpenHold) -> hold_wire::OpenRequest {
    hold_wire::OpenRequest {
        decision_id: ask.decision.to_string(),
        call_id: ask.call_id,
        action: Some((&ask.action).into()),
        requirements: ask.requirements.iter().map(Into::into).collect(),
        generation: ask.generation.0,
        environment: ask.environment,
        intent: ask.intent,
        reason: ask.reason,
        denial_class: ask.denial_class,
        instance_id: ask.instance.to_string(),
        presented: ask.presented.to_string(),
        reversibility: reversibility_to_wire(ask.reversibility),
    }
}

fn note_request(ask: Note) -> task_wire::NoteRequest {
    let (decision_id, tool, source) = match ask.because {
        None => (String::new(), String::new(), task_wire::LabelSource::Unspecified),
        Some(because) => {
            let source = match because.source {
                LabelSource::Call => task_wire::LabelSource::Call,
                LabelSource::Result => task_wire::LabelSource::Result,
            };
            (because.decision.to_string(), because.tool, source)
        }
    };
    task_wire::NoteRequest {
        task_id: ask.task.to_string(),
        presented: ask.presented.to_string(),
        labels: ask.labels.iter().map(ToString::to_string).collect(),
        decision_id,
        tool,
        source: source.into(),
        seen: ask.seen.as_ref().map(Seen::to_wire),
        asked: asked(&ask.asked),
    }
}

fn asked(values: &[Fingerprint]) -> Option<task_wire::AskedValues> {
    (!values.is_empty()).then(|| task_wire::AskedValues {
        fingerprints: fingerprints_to_wire(values),
    })
}

fn known(
    found: Option<task_wire::Ledger>,
    from: Option<task_wire::KnownValues>,
) -> Result<Option<Known>, AskError> {
    let Some(found) = found else { return Ok(None) };
    let bits = from.unwrap_or_default().from;
    // What a later control plane may say beside is not for us.
    let from = bits.into_iter().map(|bits| CameFrom::of_bits((bits & 3) as u8));
    Ok(Some(Known {
        ledger: ledger(found)?,
        from: from.collect(),
    }))
}

fn given(slice: &task_wire::Slice) -> Result<Given, AskError> {
    Ok(Given {
        calls: slice.calls.into(),
        amounts: amounts_from_wire(&slice.amounts).map_err(|error| not_understood(&error))?,
        lasts_ms: slice.lasts_ms,
    })
}

fn ledger(ledger: task_wire::Ledger) -> Result<Arc<Ledger>, AskError> {
    let ledger = Ledger::try_from(ledger).map_err(|error| not_understood(&error))?;
    Ok(Arc::new(ledger))
}

/// What stands in the way; a newer control plane may know causes that this enforcer does not.
fn refusal(cause: &str, reason: &str) -> Option<Refusal> {
    let is_refused = !(cause.is_empty() && reason.is_empty());
    is_refused.then(|| Refusal {
        cause: cause.parse().unwrap_or(Cause::InvalidGrant),
        reason: reason.to_owned(),
    })
}

/// Who approved it; whoever broke the glass is named as that, in the record too.
fn who_approved(consumed: hold_wire::Consumed) -> Vec<String> {
    let broke = consumed.broken_by.into_iter();
    let broke = broke.map(|approver| format!("{approver}, who broke the glass"));
    consumed.approvers.into_iter().chain(broke).collect()
}

fn proof_id(proof: Option<ProofId>) -> String {
    proof.map(|proof| proof.to_string()).unwrap_or_default()
}

fn notice(hold: hold_wire::Hold) -> Result<HoldNotice, AskError> {
    let state = hold.state().try_into().map_err(|error| not_understood(&error))?;
    let action = hold
        .action
        .ok_or_else(|| not_understood(&"`action` is missing"))?;
    let mut groups: Vec<String> = hold
        .requirements
        .into_iter()
        .map(|requirement| requirement.group)
        .collect();
    groups.sort_unstable();
    groups.dedup();
    Ok(HoldNotice {
        id: hold.hold_id.parse().map_err(|error| not_understood(&error))?,
        state,
        version: hold.version,
        action_sha256: Sha256::try_from(&*action.action_sha256).map_err(|error| not_understood(&error))?,
        groups,
        decide_by_ms: hold.decide_by_unix_ms,
        said: match state {
            State::Open => question(&hold.remarks),
            _ => hold.denial_reason,
        },
    })
}

/// What somebody asks and nobody has answered. One that can't be read is nothing to an agent: it decides nothing.
fn question(remarks: &[hold_wire::Remark]) -> String {
    let remarks = remarks.iter().filter_map(|remark| Remark::try_from(remark).ok());
    let remarks: Vec<Remark> = remarks.collect();
    let question = Remark::unanswered(&remarks);
    question.map_or_else(String::new, |one| asks(one.author.as_str(), &one.text))
}

fn not_understood(error: &dyn std::fmt::Display) -> AskError {
    AskError::Answer(error.to_string())
}
