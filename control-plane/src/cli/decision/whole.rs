//! `checkrein decision show`: one decision with the people who answered for it and the authority it was made under, put
//! together from what three services say of it.
//!
//! ```text
//! decision --\
//! its hold ---> card, or a document for scripts
//! its task --/
//! ```

use checkrein_proto::decision::v1::decision_service_client::DecisionServiceClient;
use checkrein_proto::decision::v1::{Decision, ShowRequest, StoredDecision};
use checkrein_proto::hold::v1::hold_service_client::HoldServiceClient;
use checkrein_proto::hold::v1::{self as hold, Hold};
use checkrein_proto::task::v1::task_service_client::TaskServiceClient;
use checkrein_proto::task::v1::{self as task, Task};
use serde::Serialize;
use tonic::{Code, Status};

use super::show;
use super::view::DecisionView;
use crate::cli::client::{ANSWER_BYTES_MAX, Connection};
use crate::cli::output::{Fields, Style, relative, rfc3339, style_of};
use crate::cli::{Error, Invocation, Outcome};
use crate::words::{grant_origin, hold_word, task_word};

/// A decision with what it belongs to.
#[derive(Debug, Default)]
struct Whole {
    stored: StoredDecision,
    /// None: no people were asked.
    hold: Option<Hold>,
    /// None: no grant could be read.
    task: Option<Task>,
}

/// The same for scripts. Names are stable.
#[derive(Debug, Serialize)]
struct WholeView {
    #[serde(flatten)]
    decision: DecisionView,
    held: Option<HeldView>,
    authority: Option<AuthorityView>,
}

#[derive(Debug, Serialize)]
struct HeldView {
    state: &'static str,
    groups: Vec<String>,
    answers: Vec<AnswerView>,
    /// The standing approval that approved it.
    approval: String,
    opened_at: Option<String>,
    /// The decision that held it.
    opened_by: String,
}

#[derive(Debug, Serialize)]
struct AnswerView {
    approver: String,
    approve: bool,
    reason: String,
    at: Option<String>,
    /// They gave it once for several, and did not look at this very action.
    by_standing_approval: bool,
}

#[derive(Debug, Serialize)]
struct AuthorityView {
    task_state: &'static str,
    started_by: String,
    started_at: Option<String>,
    expires_at: Option<String>,
    /// How the agent came by the grant.
    grant: String,
}

/// Runs it.
pub(super) async fn run(
    connection: Connection,
    mut client: DecisionServiceClient<Connection>,
    decision_id: String,
    invocation: &Invocation,
) -> Result<Outcome, Error> {
    let shown = client.show(ShowRequest { decision_id }).await?.into_inner();
    let stored = shown.decision.ok_or(Error::Incomplete("decision"))?;
    let decision = stored.decision.clone().unwrap_or_default();
    let whole = Whole {
        hold: find_hold(connection.clone(), &decision.hold_id).await?,
        task: find_task(connection, &decision.task_id).await?,
        stored,
    };
    let now_ms = invocation.now_ms();
    invocation.answer(&whole.view(&decision), |paint| {
        format!(
            "{}\n{}",
            show::card(&whole.stored, now_ms, paint),
            whole.fields(&decision, now_ms).render(paint)
        )
    })?;
    Ok(Outcome::Done)
}

async fn find_hold(connection: Connection, hold_id: &str) -> Result<Option<Hold>, Error> {
    if hold_id.is_empty() {
        return Ok(None);
    }
    let mut client = HoldServiceClient::new(connection).max_decoding_message_size(ANSWER_BYTES_MAX);
    let hold_id = hold_id.to_owned();
    let shown = unless_gone(client.show(hold::ShowRequest { hold_id }).await)?;
    Ok(shown.and_then(|shown| shown.hold))
}

async fn find_task(connection: Connection, task_id: &str) -> Result<Option<Task>, Error> {
    if task_id.is_empty() {
        return Ok(None);
    }
    let mut client = TaskServiceClient::new(connection).max_decoding_message_size(ANSWER_BYTES_MAX);
    let task_id = task_id.to_owned();
    let shown = unless_gone(client.show(task::ShowRequest { task_id }).await)?;
    Ok(shown.and_then(|shown| shown.task))
}

/// An enforcer may name what is not there.
fn unless_gone<T>(answer: Result<tonic::Response<T>, Status>) -> Result<Option<T>, Error> {
    match answer {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status.into()),
    }
}

impl Whole {
    fn fields(&self, decision: &Decision, now_ms: u64) -> Fields {
        let mut fields = Fields::default();
        if let Some(hold) = &self.hold {
            let word = hold_word(hold);
            fields
                .styled("held", word, style_of(word))
                .line("waited for", &groups(hold).join(", "))
                .block("answers", &answers(hold, now_ms).join("\n"), Style::Plain)
                .line("by approval", &hold.standing_id);
            if hold.decision_id != decision.decision_id {
                fields.line("held by", &hold.decision_id);
            }
        }
        if let Some(task) = &self.task {
            let word = task_word(task);
            fields
                .styled("its task is", word, style_of(word))
                .line("started by", &task.started_by)
                .line("expires", &relative(task.expires_unix_ms, now_ms))
                .line("grant", &grant_origin(task, decision));
        }
        fields
    }

    fn view(&self, decision: &Decision) -> WholeView {
        WholeView {
            decision: DecisionView::of(&self.stored),
            held: self.hold.as_ref().map(HeldView::of),
            authority: self.task.as_ref().map(|task| AuthorityView {
                task_state: task_word(task),
                started_by: task.started_by.clone(),
                started_at: rfc3339(task.started_unix_ms),
                expires_at: rfc3339(task.expires_unix_ms),
                grant: grant_origin(task, decision),
            }),
        }
    }
}

impl HeldView {
    fn of(hold: &Hold) -> Self {
        let answer = |vote: &hold::Vote| AnswerView {
            approver: vote.approver.clone(),
            approve: vote.approve,
            reason: vote.reason.clone(),
            at: rfc3339(vote.voted_unix_ms),
            by_standing_approval: !vote.standing_id.is_empty(),
        };
        Self {
            state: hold_word(hold),
            groups: groups(hold),
            answers: hold.votes.iter().map(answer).collect(),
            approval: hold.standing_id.clone(),
            opened_at: rfc3339(hold.opened_unix_ms),
            opened_by: hold.decision_id.clone(),
        }
    }
}

fn groups(hold: &Hold) -> Vec<String> {
    let mut groups: Vec<String> = hold.requirements.iter().map(|of| of.group.clone()).collect();
    groups.sort();
    groups.dedup();
    groups
}

/// Who said what, and when.
fn answers(hold: &Hold, now_ms: u64) -> Vec<String> {
    let said = |vote: &hold::Vote| {
        let word = if vote.approve { "yes" } else { "no" };
        let once = if vote.standing_id.is_empty() {
            ""
        } else {
            " (once, for what is like it)"
        };
        let reason = if vote.reason.is_empty() {
            String::new()
        } else {
            format!(": {}", vote.reason)
        };
        let when = relative(vote.voted_unix_ms, now_ms);
        format!("{word} by {} {when}{once}{reason}", vote.approver)
    };
    hold.votes.iter().map(said).collect()
}

#[cfg(test)]
mod tests;
