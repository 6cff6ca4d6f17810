//! Holds, the actions they hold, and what they wait for.

use checkrein_proto::decision::v1 as decision_wire;
use checkrein_proto::hold::v1 as wire;

use super::{InvalidMessage, ids, parsed_ids, reversibility_to_wire, text};
use crate::action::{ActionIdentity, MaskedArguments, Sha256};
use crate::decision::OutcomeResult;
use crate::hold::{Hold, Remark, RemarkKind, Requirement, State, Vote};

impl From<&Requirement> for wire::Requirement {
    fn from(requirement: &Requirement) -> Self {
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

impl From<wire::Requirement> for Requirement {
    fn from(requirement: wire::Requirement) -> Self {
        Self {
            rule: requirement.rule,
            group: requirement.group,
            quorum: requirement.quorum,
            decide_within_ms: requirement.decide_within_ms,
            use_within_ms: requirement.use_within_ms,
            reason: requirement.reason,
        }
    }
}

impl From<&ActionIdentity> for wire::HeldAction {
    fn from(action: &ActionIdentity) -> Self {
        Self {
            task_id: action.task.to_string(),
            agent: action.agent.to_string(),
            user: action.user.clone(),
            tool: action.tool.clone(),
            definition_sha256: action.definition.to_bytes(),
            arguments: action.arguments.0.clone().into(),
            action_sha256: action.sha256().to_bytes(),
            delegated_by: ids(&action.delegated_by),
        }
    }
}

/// The sender's hash is not read: whoever receives a held action computes it anew, and compares where it matters.
impl TryFrom<wire::HeldAction> for ActionIdentity {
    type Error = InvalidMessage;

    fn try_from(action: wire::HeldAction) -> Result<Self, InvalidMessage> {
        Ok(Self {
            task: action.task_id.parse()?,
            agent: action.agent.parse()?,
            user: action.user,
            tool: action.tool,
            definition: Sha256::try_from(&*action.definition_sha256)?,
            arguments: MaskedArguments(text("arguments", &action.arguments)?),
            delegated_by: parsed_ids(&action.delegated_by)?,
        })
    }
}

impl From<&Vote> for wire::Vote {
    fn from(vote: &Vote) -> Self {
        Self {
            approver: vote.approver.to_string(),
            approve: vote.approve,
            reason: vote.reason.clone(),
            voted_unix_ms: vote.voted_ms,
            terms: vote.terms.as_ref().map(Into::into),
            standing_id: vote.standing.map(|id| id.to_string()).unwrap_or_default(),
            capacity: vote.capacity.as_ref().map(Into::into),
        }
    }
}

impl From<&Remark> for wire::Remark {
    fn from(remark: &Remark) -> Self {
        Self {
            author: remark.author.to_string(),
            text: remark.text.clone(),
            to: match &remark.kind {
                RemarkKind::HandedOn { to } => to.to_string(),
                RemarkKind::Question | RemarkKind::Reply => String::new(),
            },
            remarked_unix_ms: remark.remarked_ms,
            replies: remark.kind == RemarkKind::Reply,
        }
    }
}

impl TryFrom<&wire::Remark> for Remark {
    type Error = InvalidMessage;

    fn try_from(remark: &wire::Remark) -> Result<Self, InvalidMessage> {
        let kind = match (&*remark.to, remark.replies) {
            ("", false) => RemarkKind::Question,
            ("", true) => RemarkKind::Reply,
            (to, _) => RemarkKind::HandedOn { to: to.parse()? },
        };
        Ok(Self {
            author: remark.author.parse()?,
            kind,
            text: remark.text.clone(),
            remarked_ms: remark.remarked_unix_ms,
        })
    }
}

impl From<&Hold> for wire::Hold {
    fn from(hold: &Hold) -> Self {
        let outcome = match hold.state {
            State::Done => decision_wire::OutcomeResult::from(OutcomeResult::Done),
            State::Failed => OutcomeResult::Failed.into(),
            State::Unknown => OutcomeResult::Unknown.into(),
            _ => decision_wire::OutcomeResult::Unspecified,
        };
        Self {
            hold_id: hold.id.to_string(),
            state: wire::State::from(hold.state).into(),
            action: Some((&hold.action).into()),
            requirements: hold.requirements.iter().map(Into::into).collect(),
            votes: hold.votes.iter().map(Into::into).collect(),
            enforcer: hold.enforcer.to_string(),
            call_id: hold.call_id.clone(),
            decision_id: hold.decision.to_string(),
            generation: hold.generation.0,
            environment: hold.environment.clone(),
            intent: hold.intent.clone(),
            reason: hold.reason.clone(),
            opened_unix_ms: hold.opened_ms,
            decide_by_unix_ms: hold.decide_by_ms,
            use_by_unix_ms: hold.use_by_ms.unwrap_or_default(),
            version: hold.version,
            outcome: outcome.into(),
            denial_reason: hold.denial_reason.clone(),
            standing_id: hold.standing.map(|id| id.to_string()).unwrap_or_default(),
            // Who may answer changes with the moment: whoever knows it says it.
            may_answer: Vec::new(),
            asked: Vec::new(),
            glass: super::approver::glass(hold),
            remarks: hold.remarks.iter().map(Into::into).collect(),
            glass_groups: Vec::new(),
            reversibility: reversibility_to_wire(hold.reversibility),
        }
    }
}

macro_rules! states {
    ($($variant:ident),+) => {
        impl From<State> for wire::State {
            fn from(state: State) -> Self {
                match state { $(State::$variant => Self::$variant),+ }
            }
        }

        impl TryFrom<wire::State> for State {
            type Error = InvalidMessage;

            fn try_from(state: wire::State) -> Result<Self, InvalidMessage> {
                match state {
                    $(wire::State::$variant => Ok(Self::$variant),)+
                    wire::State::Unspecified => {
                        Err(InvalidMessage::UnknownValue { field: "state", value: "0".to_owned() })
                    }
                }
            }
        }
    };
}

states!(
    Open, Approved, Denied, Expired, Cancelled, Lapsed, Withdrawn, Consumed, Done, Failed, Unknown
);
