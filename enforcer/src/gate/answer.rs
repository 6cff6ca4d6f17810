//! What the gate answers.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use checkrein_shared::Generation;
use checkrein_shared::decision::{Cause, Decision, OutcomeResult, Tier, Verdict};
use checkrein_shared::grant::Chain;
use checkrein_shared::id::{DecisionId, HoldId};
use tracing::error;

use checkrein_shared::label::Label;
use checkrein_shared::ledger::Amounts;
use checkrein_shared::policy::ResultSize;

use super::outcomes::Owed;
use super::permits::NOBODY_KNOWS;
use super::{CompleteError, Core};
use crate::control_plane::Refusal;

/// What may happen now.
#[derive(Debug)]
#[must_use = "an action goes ahead only on `Answer::Permit`"]
pub enum Answer {
    /// Do it, and say how it ended.
    Permit(Permit),
    /// People have to look, and have not answered yet.
    Hold(Held),
    /// Don't.
    Deny(Denied),
}

/// What was decided, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The record's id.
    pub id: DecisionId,
    /// Why, in a word.
    pub cause: Cause,
    /// Why, in a sentence for the agent and its human.
    pub reason: String,
    /// The rules that decided, sorted.
    pub rules: Vec<String>,
    /// What the tool demands.
    pub tier: Tier,
    /// The policy it was decided under.
    pub generation: Generation,
    /// The revocations it was decided under.
    pub revocation_sequence: u64,
    /// The caller's name for the call, or the one that was made for it.
    pub call_id: String,
    /// The hold that this verdict opened, released or ended.
    pub hold: Option<HoldId>,
}

/// People have to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The record.
    pub decided: Decided,
    /// Who is asked.
    pub groups: Vec<String>,
    /// When they stop being asked, by the control plane's clock.
    pub decide_by_ms: u64,
}

/// It may not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The record.
    pub decided: Decided,
}

/// It may happen, once. Dropping this without [`Permit::complete`] or [`Permit::detach`] records that nobody knows how it
/// ended.
#[must_use = "say how the call ended with `complete`"]
pub struct Permit {
    decided: Decided,
    core: Option<Arc<Core>>,
    /// What it was given under.
    pub(super) chain: Option<Arc<Chain>>,
    /// What must be written into the ledger of the task before the result is passed on.
    pub(super) owed: Option<Owed>,
}

/// What whoever made a call found in its result.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The kinds of data in it, beside those that the catalog and rules know of.
    pub labels: BTreeSet<Label>,
    /// How much it is. None: it is taken for as large as can be, if a rule labels results by that.
    pub size: Option<ResultSize>,
    /// The result itself, JSON or text. It is looked through for the values that it carries, if the catalog says whose word they are,
    /// and goes nowhere. None: of untrusted content any value could have come, then.
    pub content: Option<Vec<u8>>,
    /// What the call used up, as far as that is known; of any other meter it is what was reserved for it. In meters of which the
    /// catalog says no cost nothing was reserved: what is said of them is recorded, and no budget counts it.
    pub spent: Amounts,
}

impl Answer {
    /// The record, whatever was decided.
    pub fn decided(&self) -> &Decided {
        match self {
            Self::Permit(permit) => &permit.decided,
            Self::Hold(held) => &held.decided,
            Self::Deny(denied) => &denied.decided,
        }
    }

    /// What was decided.
    pub const fn verdict(&self) -> Verdict {
        match self {
            Self::Permit(_) => Verdict::Permit,
            Self::Hold(_) => Verdict::Hold,
            Self::Deny(_) => Verdict::Deny,
        }
    }
}

impl From<Decision> for Decided {
    fn from(decision: Decision) -> Self {
        Self {
            id: decision.id,
            cause: decision.cause,
            reason: decision.reason,
            rules: decision.rules,
            tier: decision.tier,
            generation: decision.generation,
            revocation_sequence: decision.revocation_sequence,
            call_id: decision.call_id,
            hold: decision.hold,
        }
    }
}

impl Permit {
    pub(super) const fn new(core: Arc<Core>, decided: Decided, chain: Option<Arc<Chain>>) -> Self {
        Self {
            decided,
            core: Some(core),
            chain,
            owed: None,
        }
    }

    /// Writes what is owed, so that the result may be passed on; it may be dropped with the call that it overlaps.
    pub(super) fn pay(&mut self) -> impl Future<Output = Result<(), Refusal>> + use<> {
        let owed = self.core.clone().zip(self.owed.take());
        async move {
            match owed {
                Some((core, owed)) => core.pay(owed).await,
                None => Ok(()),
            }
        }
    }

    /// The enforcer that gave it; none, once its outcome was said.
    pub(super) const fn core(&self) -> Option<&Arc<Core>> {
        self.core.as_ref()
    }

    /// The record.
    pub const fn decided(&self) -> &Decided {
        &self.decided
    }

    /// Says how the call ended. `detail` says what went wrong, for the record; never the result itself.
    ///
    /// For a full-tier call the outcome is on stable storage when this returns.
    pub async fn complete(self, result: OutcomeResult, detail: &str) -> Result<(), CompleteError> {
        self.complete_with(result, detail, &Found::default()).await
    }

    /// The same, with what was found in the result. That is in the ledger of the task when this returns: pass the result on only
    /// then, and not at all after an error.
    pub async fn complete_with(
        mut self,
        result: OutcomeResult,
        detail: &str,
        found: &Found,
    ) -> Result<(), CompleteError> {
        let Some(core) = self.core.clone() else {
            return Ok(());
        };
        let completed = core.complete(self.decided.id, None, result, detail, found).await;
        // A permit that is let go of is given up as unknown: after an error it is not.
        self.core = None;
        if let Err(CompleteError::Unlabelled(_)) = &completed {
            let settled = core.settle(
                self.decided.id,
                None,
                (result, found.spent),
                "the result could not be labelled and was withheld",
            );
            settled?;
        }
        completed
    }

    /// Lets go of the permit without an outcome: [`super::Gate::complete`] will bring it.
    pub fn detach(mut self) -> Decided {
        self.core = None;
        self.decided.clone()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(core) = self.core.take() else { return };
        let detail = "the caller let go of its permit without saying how the call ended";
        let settled = core.settle(self.decided.id, None, NOBODY_KNOWS, detail);
        // An enforcer that stopped has said so already.
        if let Err(error) = settled
            && !matches!(error, CompleteError::Twice(_))
        {
            error!(error = &error as &dyn std::error::Error, decision = %self.decided.id, "an outcome can't be recorded");
        }
    }
}

impl fmt::Debug for Found {
    /// Without the result, which belongs in no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found")
            .field("labels", &self.labels)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("decided", &self.decided)
            .finish_non_exhaustive()
    }
}
