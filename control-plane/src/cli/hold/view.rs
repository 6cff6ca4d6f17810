//! A hold for scripts. Names are stable.

use checkrein_proto::hold::v1 as wire;
use checkrein_shared::action::Sha256;
use checkrein_shared::policy::Reversibility;
use checkrein_shared::wire::reversibility_from_wire;
use serde::Serialize;
use serde_json::value::RawValue;

use super::people::{CapacityView, GlassView};
use super::remark::RemarkView;
use super::show::Shown;
use crate::cli::ledger::LabelView;
use crate::cli::output::{raw_json, rfc3339};
use crate::words::{ShownAction, hold_word};

#[derive(Debug, Serialize)]
pub(super) struct HoldView {
    id: String,
    state: &'static str,
    task: String,
    agent: String,
    delegated_by: Vec<String>,
    user: String,
    tool: String,
    arguments: Option<Box<RawValue>>,
    /// The very text that is hashed.
    arguments_canonical: String,
    definition_sha256: Option<String>,
    action_sha256: Option<String>,
    /// The hash, recomputed here, is the one named.
    action_sha256_verified: bool,
    environment: String,
    intent: String,
    reason: String,
    requirements: Vec<RequirementView>,
    votes: Vec<VoteView>,
    /// Who may answer at this moment; only of an open one.
    may_answer: Vec<CapacityView>,
    /// What people said of it, in their order.
    remarks: Vec<RemarkView>,
    /// Whether it can be undone; null: nobody said.
    reversibility: Option<&'static str>,
    /// The last such action that was approved; only where one hold is shown, and there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<BeforeView>,
    /// Only if somebody wanted it broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    glass: Option<GlassView>,
    denial_reason: String,
    enforcer: String,
    call_id: String,
    decision: String,
    generation: u64,
    opened_at: Option<String>,
    decide_by: Option<String>,
    use_by: Option<String>,
    version: u64,
    /// Only where one hold is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    task_carries: Option<Vec<LabelView>>,
    /// The standing approval that approved it.
    #[serde(skip_serializing_if = "String::is_empty")]
    approved_by_approval: String,
    /// The standing approval that came into force with it; only where it was just voted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<String>,
}

#[derive(Debug, Serialize)]
struct BeforeView {
    id: String,
    arguments: Option<Box<RawValue>>,
    opened_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct RequirementView {
    rule: String,
    group: String,
    quorum: u32,
    decide_within_ms: u64,
    use_within_ms: u64,
    reason: String,
}

#[derive(Debug, Serialize)]
struct VoteView {
    approver: String,
    approve: bool,
    reason: String,
    voted_at: Option<String>,
    /// As whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity: Option<CapacityView>,
}

impl HoldView {
    pub(super) fn of(hold: &wire::Hold) -> Self {
        let action = hold.action.clone().unwrap_or_default();
        let digest = |bytes: &[u8]| Sha256::try_from(bytes).ok().map(|digest| digest.to_string());
        Self {
            id: hold.hold_id.clone(),
            state: hold_word(hold),
            arguments: raw_json(&action.arguments),
            arguments_canonical: String::from_utf8_lossy(&action.arguments).into_owned(),
            definition_sha256: digest(&action.definition_sha256),
            action_sha256: digest(&action.action_sha256),
            action_sha256_verified: ShownAction::verify(hold).is_ok(),
            task: action.task_id,
            agent: action.agent,
            delegated_by: action.delegated_by,
            user: action.user,
            tool: action.tool,
            environment: hold.environment.clone(),
            intent: hold.intent.clone(),
            reason: hold.reason.clone(),
            requirements: hold.requirements.iter().map(RequirementView::of).collect(),
            votes: hold.votes.iter().map(VoteView::of).collect(),
            may_answer: CapacityView::all(hold),
            remarks: RemarkView::all(hold),
            reversibility: reversibility_from_wire(hold.reversibility)
                .ok()
                .flatten()
                .map(Reversibility::as_str),
            before: None,
            glass: hold.glass.as_ref().map(GlassView::of),
            denial_reason: hold.denial_reason.clone(),
            enforcer: hold.enforcer.clone(),
            call_id: hold.call_id.clone(),
            decision: hold.decision_id.clone(),
            generation: hold.generation,
            opened_at: rfc3339(hold.opened_unix_ms),
            decide_by: rfc3339(hold.decide_by_unix_ms),
            use_by: rfc3339(hold.use_by_unix_ms),
            version: hold.version,
            task_carries: None,
            approved_by_approval: hold.standing_id.clone(),
            approval: None,
        }
    }

    /// With the standing approval that came into force.
    pub(super) fn with_approval(mut self, approval: Option<String>) -> Self {
        self.approval = approval;
        self
    }

    /// With what its task carries, and the last such action that was approved.
    pub(super) fn of_shown(shown: &Shown) -> Self {
        Self {
            task_carries: Some(shown.labels.iter().map(LabelView::of).collect()),
            before: shown.before.as_ref().map(BeforeView::of),
            ..Self::of(&shown.hold)
        }
    }
}

impl RequirementView {
    fn of(requirement: &wire::Requirement) -> Self {
        Self {
            rule: requirement.rule.clone(),
            group: requirement.group.clone(),
            quorum: requirement.quorum,
            decide_within_ms: requirement.decide_within_ms,
            use_within_ms: requirement.use_within_ms,
            reason: requirement.reason.clone(),
        }
    }
}

impl VoteView {
    fn of(vote: &wire::Vote) -> Self {
        Self {
            approver: vote.approver.clone(),
            approve: vote.approve,
            reason: vote.reason.clone(),
            voted_at: rfc3339(vote.voted_unix_ms),
            capacity: vote.capacity.as_ref().map(CapacityView::of),
        }
    }
}

impl BeforeView {
    fn of(before: &wire::Before) -> Self {
        Self {
            id: before.hold_id.clone(),
            arguments: raw_json(&before.arguments),
            opened_at: rfc3339(before.opened_unix_ms),
        }
    }
}
