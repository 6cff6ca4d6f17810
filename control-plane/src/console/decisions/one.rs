//! One decision whole: what was decided and why, who answered for it, under whose authority, and what came of it.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use checkrein_proto::decision::v1::{Decision, Outcome, ShowRequest, StoredDecision};
use checkrein_proto::hold::v1::{self as hold, Hold};
use checkrein_proto::task::v1::{self as task, Task};
use checkrein_shared::action::Sha256;
use tonic::Status;

use super::super::page::{Frame, Place, Trouble, ok};
use super::super::parts::{Moment, if_shown, listed};
use super::super::visit::Visit;
use crate::words::{
    grant_origin, hold_word, outcome_word, pretty, span, task_word, tier_word, verdict_word, visible,
    visible_lines,
};

#[derive(Template)]
#[template(path = "decision.html")]
struct DecisionPage {
    frame: Frame,
    id: String,
    word: &'static str,
    tool: String,
    agent: String,
    is_asserted: bool,
    delegated_by: Vec<String>,
    user: String,
    at: Moment,
    reason: String,
    cause: String,
    rules: Vec<String>,
    arguments: String,
    environment: String,
    intent: String,
    carried: String,
    yields: String,
    outcome: Option<Came>,
    held: Option<Held>,
    authority: Option<Authority>,
    task: String,
    evidence: Vec<(&'static str, String)>,
    enforcer: String,
}

/// What came of it.
struct Came {
    word: &'static str,
    at: Moment,
    detail: String,
    spent: String,
}

/// The people who were asked.
struct Held {
    id: String,
    word: &'static str,
    groups: String,
    voices: Vec<Voice>,
    by_standing: bool,
    /// The decision that held it, if that is another.
    first: String,
}

struct Voice {
    who: String,
    word: &'static str,
    at: Moment,
    reason: String,
    is_standing: bool,
}

/// Under whose authority.
struct Authority {
    word: &'static str,
    started_by: String,
    expires: Moment,
    grant: String,
}

/// `GET /decisions/{id}`
pub(in crate::console) async fn page(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    let request = ShowRequest { decision_id: id };
    let shown = visit.entrance.decisions().show(request).await?.into_inner();
    let stored = shown
        .decision
        .ok_or_else(|| Status::not_found("there is no such decision"))?;
    let decision = stored.decision.clone().unwrap_or_default();
    let held = hold_of(&visit, &decision).await?;
    let task = task_of(&visit, &decision).await?;
    let page = DecisionPage::of(&visit, &stored, &decision, (held.as_ref(), task.as_ref()));
    Ok(ok(&page))
}

async fn hold_of(visit: &Visit, decision: &Decision) -> Result<Option<Hold>, Trouble> {
    if decision.hold_id.is_empty() {
        return Ok(None);
    }
    let hold_id = decision.hold_id.clone();
    let shown = if_shown(visit.entrance.holds().show(hold::ShowRequest { hold_id }).await)?;
    Ok(shown.and_then(|shown| shown.hold))
}

async fn task_of(visit: &Visit, decision: &Decision) -> Result<Option<Task>, Trouble> {
    if decision.task_id.is_empty() {
        return Ok(None);
    }
    let task_id = decision.task_id.clone();
    let shown = if_shown(visit.entrance.tasks().show(task::ShowRequest { task_id }).await)?;
    Ok(shown.and_then(|shown| shown.task))
}

impl DecisionPage {
    fn of(
        visit: &Visit,
        stored: &StoredDecision,
        decision: &Decision,
        (held, task): (Option<&Hold>, Option<&Task>),
    ) -> Self {
        let now_ms = visit.now_ms;
        let word = verdict_word(decision);
        Self {
            frame: visit.frame(&format!("{word} {}", decision.tool), Place::Decisions),
            id: visible(&decision.decision_id),
            word,
            tool: visible(&decision.tool),
            agent: visible(&decision.agent),
            is_asserted: decision.agent_asserted,
            delegated_by: decision.delegated_by.iter().map(|agent| visible(agent)).collect(),
            user: visible(&decision.user),
            at: Moment::of(decision.decided_unix_ms, now_ms),
            reason: visible_lines(&decision.reason),
            cause: visible(&decision.cause),
            rules: decision.rules.iter().map(|rule| visible(rule)).collect(),
            arguments: arguments(&decision.arguments),
            environment: visible(&decision.environment),
            intent: visible_lines(&decision.intent),
            carried: match &decision.ledger {
                Some(seen) if seen.labels.is_empty() => "no labels".to_owned(),
                Some(seen) => listed(&seen.labels),
                None => String::new(),
            },
            yields: listed(&decision.yields),
            outcome: stored.outcome.as_ref().map(|outcome| Came::of(outcome, now_ms)),
            held: held.map(|hold| Held::of(hold, decision, now_ms)),
            authority: task.map(|task| Authority {
                word: task_word(task),
                started_by: visible(&task.started_by),
                expires: Moment::of(task.expires_unix_ms, now_ms),
                grant: visible(&grant_origin(task, decision)),
            }),
            task: visible(&decision.task_id),
            evidence: evidence(stored, decision),
            enforcer: visible(&stored.enforcer),
        }
    }
}

impl Came {
    fn of(outcome: &Outcome, now_ms: u64) -> Self {
        let spent: Vec<String> = outcome
            .spent
            .iter()
            .map(|of| format!("{} {}", of.amount, of.meter))
            .collect();
        Self {
            word: outcome_word(outcome),
            at: Moment::of(outcome.completed_unix_ms, now_ms),
            detail: visible_lines(&outcome.detail),
            spent: listed(&spent),
        }
    }
}

impl Held {
    fn of(hold: &Hold, decision: &Decision, now_ms: u64) -> Self {
        let mut groups: Vec<String> = hold.requirements.iter().map(|of| of.group.clone()).collect();
        groups.sort();
        groups.dedup();
        let voice = |vote: &hold::Vote| Voice {
            who: visible(&vote.approver),
            word: if vote.approve { "yes" } else { "no" },
            at: Moment::of(vote.voted_unix_ms, now_ms),
            reason: visible_lines(&vote.reason),
            is_standing: !vote.standing_id.is_empty(),
        };
        let is_other = hold.decision_id != decision.decision_id;
        Self {
            id: visible(&hold.hold_id),
            word: hold_word(hold),
            groups: listed(&groups),
            voices: hold.votes.iter().map(voice).collect(),
            by_standing: !hold.standing_id.is_empty(),
            first: if is_other {
                visible(&hold.decision_id)
            } else {
                String::new()
            },
        }
    }
}

/// As people read JSON; as it came, if it is none.
fn arguments(bytes: &[u8]) -> String {
    match pretty(bytes) {
        Ok(text) => visible_lines(&text),
        Err(_) => visible_lines(&String::from_utf8_lossy(bytes)),
    }
}

/// What makes the record one that can be checked.
fn evidence(stored: &StoredDecision, decision: &Decision) -> Vec<(&'static str, String)> {
    let digest = |bytes: &[u8]| {
        Sha256::try_from(bytes)
            .map(|digest| digest.to_string())
            .unwrap_or_default()
    };
    let policy = format!(
        "generation {}, confirmed {} before",
        decision.generation,
        span(decision.policy_age_ms)
    );
    let journal = format!(
        "{} #{}, record {}",
        stored.instance_id, stored.incarnation, stored.sequence
    );
    let at = |at_ms| crate::words::rfc3339(at_ms).unwrap_or_default();
    let lines = [
        ("Tier", tier_word(decision).to_owned()),
        ("Policy", policy),
        ("Revocations", format!("up to {}", decision.revocation_sequence)),
        ("Decided at", at(decision.decided_unix_ms)),
        ("Stored at", at(stored.received_unix_ms)),
        ("Journal", journal),
        ("Call", decision.call_id.clone()),
        ("Action SHA-256", digest(&decision.action_sha256)),
        ("Chain SHA-256", digest(&stored.chain_hash)),
    ];
    let lines = lines.into_iter().filter(|(_, value)| !value.is_empty());
    lines.map(|(label, value)| (label, visible(&value))).collect()
}
