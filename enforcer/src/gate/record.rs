//! From what was weighed to a record, and from a record to an answer.
//!
//! **Invariant**: an answer leaves here only after its record is in the journal; if that fails, the answer is a deny.

use std::sync::Arc;

use checkrein_shared::decision::{Cause, Decision, Mode, Record, SeenLedger, Verdict};
use checkrein_shared::grant::Chain;
use checkrein_shared::id::{DecisionId, HoldId};
use tracing::error;

use super::answer::{Answer, Decided, Denied, Held, Permit};
use super::permits::Outstanding;
use super::{Case, Core, Weighed};
use crate::journal::JournalError;

/// A call is kept, to be asked about once more when its result is there, if its arguments take at most so much. Of any other result
/// the worst is assumed.
const KEPT_ARGUMENTS_BYTES_MAX: usize = 64 << 10;

impl Core {
    /// Records a deny and answers it.
    pub(crate) fn deny(&self, case: &Case, weighed: Weighed) -> Answer {
        self.deny_held(case, weighed, None)
    }

    /// The same, for an action that had a hold.
    pub(crate) fn deny_held(&self, case: &Case, weighed: Weighed, hold: Option<HoldId>) -> Answer {
        let decision = self.decision(DecisionId::new(&*self.clock), case, weighed, hold);
        match self.write(decision) {
            Ok((decided, _)) => Answer::Deny(Denied { decided }),
            Err(decided) => Answer::Deny(Denied { decided: *decided }),
        }
    }

    /// Records a permit under this id and answers it.
    pub(super) fn permit(self: &Arc<Self>, case: &Arc<Case>, weighed: Weighed, id: DecisionId) -> Answer {
        match self.write_permit(case, weighed, None, id) {
            Ok((permit, _)) => Answer::Permit(permit),
            Err(decided) => Answer::Deny(Denied { decided: *decided }),
        }
    }

    /// Records the release of an action, approved or not in need of it, and answers once that is on stable storage.
    pub(crate) async fn release(
        self: &Arc<Self>,
        case: &Arc<Case>,
        weighed: Weighed,
        hold: Option<HoldId>,
        id: DecisionId,
    ) -> Answer {
        let (permit, sequence) = match self.write_permit(case, weighed, hold, id) {
            Ok(written) => written,
            Err(decided) => return Answer::Deny(Denied { decided: *decided }),
        };
        match self.journal.sync(sequence).await {
            Ok(()) => Answer::Permit(permit),
            Err(error) => Answer::Deny(Denied {
                decided: unrecorded(permit.decided().clone(), &error),
            }),
        }
    }

    /// Records that an action waits for people.
    pub(crate) fn held(
        &self,
        id: DecisionId,
        case: &Case,
        weighed: Weighed,
        notice: &crate::control_plane::HoldNotice,
    ) -> Result<Held, Box<Denied>> {
        let decision = self.decision(id, case, weighed, Some(notice.id));
        match self.write(decision) {
            Ok((decided, _)) => Ok(Held {
                decided,
                groups: notice.groups.clone(),
                decide_by_ms: notice.decide_by_ms,
            }),
            Err(decided) => Err(Box::new(Denied { decided: *decided })),
        }
    }

    fn write_permit(
        self: &Arc<Self>,
        case: &Arc<Case>,
        weighed: Weighed,
        hold: Option<HoldId>,
        id: DecisionId,
    ) -> Result<(Permit, u64), Box<Decided>> {
        let durable = hold.is_some() || weighed.tier == checkrein_shared::decision::Tier::Full;
        let task = weighed.chain.as_ref().map(|chain| chain.leaf().task);
        let chain = weighed.chain.clone();
        let may_yield = weighed.may_yield.clone();
        let (fails_without_effect, cost) = (weighed.fails_without_effect, weighed.cost);
        let is_kept = !may_yield.is_empty() && weighed.arguments.0.len() <= KEPT_ARGUMENTS_BYTES_MAX;
        let trust = weighed.trust;
        // Until it is written down.
        let paid = weighed.paid.clone();
        let decision = self.decision(id, case, weighed, hold);
        let outstanding = Outstanding {
            trust,
            agent: decision.agent.clone(),
            task,
            hold,
            durable,
            chain: chain.clone(),
            tool: decision.tool.clone(),
            presented: Arc::clone(&case.presented),
            may_yield,
            fails_without_effect,
            cost,
            case: is_kept.then(|| Arc::clone(case)),
        };
        let written = self.write(decision);
        drop(paid);
        let (decided, sequence) = written?;
        if !self.remember(decided.id, outstanding) {
            return Err(Box::new(too_late(decided)));
        }
        Ok((Permit::new(Arc::clone(self), decided, chain), sequence))
    }

    /// Appends a decision; the error is the deny to answer instead.
    fn write(&self, decision: Decision) -> Result<(Decided, u64), Box<Decided>> {
        let record = Record::Decision(Box::new(decision));
        let appended = self.journal.append(&record);
        let Record::Decision(decision) = record else {
            // INVARIANT: it was made one three lines above.
            unreachable!("a decision is a decision")
        };
        let decided = Decided::from(*decision);
        match appended {
            Ok(sequence) => Ok((decided, sequence)),
            Err(error) => Err(Box::new(unrecorded(decided, &error))),
        }
    }

    fn decision(&self, id: DecisionId, case: &Case, weighed: Weighed, hold: Option<HoldId>) -> Decision {
        let chain = weighed.chain.as_deref();
        let grant = chain.map(Chain::leaf);
        Decision {
            id,
            decided_ms: self.clock.wall_ms(),
            agent: case.caller.agent.clone(),
            agent_asserted: case.caller.asserted,
            delegated_by: chain.map(|chain| chain.delegators().to_vec()).unwrap_or_default(),
            user: grant.map(|grant| grant.user.clone()).unwrap_or_default(),
            task: grant.map(|grant| grant.task),
            grant: grant.map(|grant| grant.id),
            call_id: case.action.call_id.clone(),
            tool: case.action.tool.clone(),
            action: weighed
                .identity
                .as_ref()
                .map(checkrein_shared::action::ActionIdentity::sha256),
            arguments: weighed.arguments,
            tier: weighed.tier,
            verdict: weighed.verdict,
            cause: weighed.cause,
            reason: weighed.reason,
            rules: weighed.rules,
            mode: Mode::Enforce,
            epoch: weighed.running.epoch,
            generation: weighed.running.generation,
            revocation_sequence: weighed.running.revocation_sequence,
            policy_age_ms: weighed.policy_age_ms,
            hold,
            environment: grant.map(|grant| grant.environment.clone()).unwrap_or_default(),
            intent: grant.map(|grant| grant.intent.clone()).unwrap_or_default(),
            ledger: weighed
                .view
                .filter(|_| weighed.reads_ledger)
                .map(|view| SeenLedger {
                    revision: view.ledger.revision,
                    labels: view.ledger.labels.clone(),
                }),
            yields: weighed.yields,
            reversibility: weighed.reversibility,
            release: weighed.confirmed.filter(|_| weighed.verdict != Verdict::Permit),
            drawn: weighed
                .paid
                .filter(|_| weighed.verdict == Verdict::Permit)
                .map(|paid| paid.drawn),
        }
    }
}

/// The deny that takes the place of what could not be recorded.
fn unrecorded(mut decided: Decided, error: &JournalError) -> Decided {
    error!(error = error as &dyn std::error::Error, decision = %decided.id, "a decision can't be recorded; the call is denied");
    decided.cause = match error {
        JournalError::Closed => Cause::Stopping,
        _ => Cause::JournalFull,
    };
    decided.reason = format!("the decision can't be recorded, and nothing happens unrecorded: {error}");
    decided.rules.clear();
    decided
}

/// The deny that takes the place of a permit that was decided while the enforcer stopped.
fn too_late(mut decided: Decided) -> Decided {
    decided.cause = Cause::Stopping;
    "this enforcer stopped before it could let the call through; present the same call again when it is back"
        .clone_into(&mut decided.reason);
    decided.rules.clear();
    decided
}

impl Weighed {
    /// The same action, released because people approved it.
    pub(crate) fn approved_by(mut self, approvers: &[String]) -> Self {
        self.verdict = Verdict::Permit;
        self.cause = Cause::Approved;
        self.reason = format!("approved by {}", approvers.join(" and "));
        self
    }
}
