//! A call made up to see how a bundle judges it: by a case of a pack, or by the self-test.

use uuid::Uuid;

use super::bundle::Bundle;
use super::evaluate::{Judgement, Situation};
use crate::action::{Action, Arguments};
use crate::grant::{DataScope, Grant, InvalidScope, Limits, Scope};
use crate::id::{GrantId, TaskId};
use crate::identity::SpiffeId;
use crate::ledger::{Ledger, Pedigree};

/// A made-up call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trial {
    pub(super) name: String,
    pub(super) action: Action,
    pub(super) grant: Grant,
    pub(super) delegated_by: Vec<SpiffeId>,
    pub(super) now_ms: u64,
    /// What its task has done.
    pub(super) ledger: Ledger,
    /// Where its values came from.
    pub(super) pedigree: Pedigree,
}

/// What the task of a made-up call allows.
#[derive(Debug, Clone, Default)]
pub(super) struct Authority {
    pub(super) user: String,
    pub(super) scope: Vec<String>,
    pub(super) data: Option<DataScope>,
    pub(super) named: Vec<String>,
    pub(super) intent: String,
    pub(super) environment: String,
    pub(super) risk: u8,
    /// Who passed it on to the agent, root first.
    pub(super) delegated_by: Vec<SpiffeId>,
    /// What was done in it before.
    pub(super) ledger: Ledger,
    /// Which values were seen.
    pub(super) pedigree: Pedigree,
}

impl Trial {
    pub(super) fn new(
        name: String,
        agent: SpiffeId,
        tool: String,
        arguments: Arguments,
        authority: Authority,
        now_ms: u64,
    ) -> Result<Self, InvalidScope> {
        let grant = Grant {
            // No rule reads these but as text, and the same packs must give the same verdicts.
            id: GrantId::from_uuid(Uuid::nil()),
            task: TaskId::from_uuid(Uuid::nil()),
            epoch: 0,
            agent,
            user: authority.user,
            scope: Scope::parse(authority.scope)?,
            limits: Limits {
                risk: authority.risk,
                ..Limits::default()
            },
            data: authority.data,
            named: authority.named,
            intent: authority.intent,
            environment: authority.environment,
            issued_ms: now_ms,
            expires_ms: u64::MAX,
            holder: None,
            link: None,
        };
        let action = Action {
            tool,
            arguments,
            call_id: String::new(),
        };
        Ok(Self {
            name,
            action,
            grant,
            delegated_by: authority.delegated_by,
            now_ms,
            ledger: authority.ledger,
            pedigree: authority.pedigree,
        })
    }

    /// The call as it is judged, policy fresh.
    pub(super) fn situation(&self) -> Situation<'_> {
        Situation {
            action: &self.action,
            grant: &self.grant,
            delegated_by: &self.delegated_by,
            now_ms: self.now_ms,
            policy_age_ms: 0,
            ledger: Some(&self.ledger),
            pedigree: Some(&self.pedigree),
            result: None,
        }
    }

    /// What the bundle says.
    pub(super) fn judge(&self, bundle: &Bundle) -> Judgement {
        bundle.judge(&self.situation())
    }
}
