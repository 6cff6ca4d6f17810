//! What the task of a call has done, and what the call adds to it.
//!
//! ```text
//! a rule looks at the ledger -> view too old or unknown -> ask -> judge again
//! permitted, and brings a label that the task does not carry -> note -> only then recorded and answered
//! completed, and the result carries one -> note -> only then answered
//! ```
//!
//! **Invariant**: no data is released whose labels are not in the ledger of its task, and nothing is permitted that a rule would
//! judge by a ledger that is unknown here, or older than its tier allows.

use std::collections::BTreeSet;
use std::sync::Arc;

use checkrein_shared::decision::{Cause, Tier, Verdict};
use checkrein_shared::grant::Chain;
use checkrein_shared::id::DecisionId;
use checkrein_shared::label::Label;
use checkrein_shared::ledger::Ledger;
use checkrein_shared::policy::{BOUNDS_DEFAULT, ResultSize, Reversibility, Situation};
use tracing::debug;

use super::permits::Outstanding;
use super::{Case, Core, Found, Weighed};
use crate::control_plane::{AskError, Because, LabelSource, Note, Noted, Refusal};

/// While the control plane can be asked, a light-tier call is judged by a ledger at most so old.
const VIEW_AGE_MS_MAX: u64 = 1_000;

/// The labels that a call brings and its task is not known to carry.
#[derive(Debug)]
pub(super) struct Owed {
    pub(super) labels: BTreeSet<Label>,
    pub(super) because: Because,
    pub(super) presented: Arc<str>,
    pub(super) chain: Arc<Chain>,
}

impl Core {
    /// Judges by a ledger that is new enough, if any rule looks at it.
    pub(crate) async fn weigh_informed(&self, case: &Case) -> Weighed {
        let weighed = self.weigh(case);
        let Some(chain) = weighed.chain.clone().filter(|_| weighed.reads_ledger) else {
            return weighed;
        };
        let age_ms = weighed
            .view
            .as_ref()
            .map(|view| self.clock.boot_ms().saturating_sub(view.asked_boot_ms));
        match age_ms {
            Some(age_ms) if age_ms <= VIEW_AGE_MS_MAX => return weighed,
            // Nobody waits for a control plane that is away, while what is known is new enough.
            Some(age_ms) if !self.authority.is_connected() => return self.unless_old(weighed, age_ms),
            _ => {}
        }
        match (self.ask_ledger(case, &chain).await, age_ms) {
            (Ok(Noted::Ledger(_)), _) => self.weigh(case),
            (Ok(Noted::Refused(refusal)), _) => weighed.denied(refusal),
            (Err(_), Some(age_ms)) => self.unless_old(weighed, age_ms),
            (Err(error), None) => {
                let reason = format!("{}, and {error}", weighed.reason);
                weighed.denied(Refusal::new(Cause::LedgerUnknown, reason))
            }
        }
    }

    /// A call of the full tier is confirmed, and by that judged by the newest ledger; any other makes do with what is known here, for as
    /// long as policy would.
    fn unless_old(&self, weighed: Weighed, age_ms: u64) -> Weighed {
        let policy = self.snapshots.pin();
        let bounds = policy
            .policy
            .as_ref()
            .map_or(BOUNDS_DEFAULT, |policy| policy.bundle.bounds());
        if weighed.verdict == Verdict::Deny || age_ms <= bounds.light_ms {
            return weighed;
        }
        let reason = format!(
            "what this task has done was last heard of {} s ago, too long for a rule that asks for it; the control plane can't be reached",
            age_ms / 1_000
        );
        weighed.denied(Refusal::new(Cause::LedgerUnknown, reason))
    }

    async fn ask_ledger(&self, case: &Case, chain: &Arc<Chain>) -> Result<Noted, AskError> {
        self.note(&case.presented, chain, BTreeSet::new(), None).await
    }

    /// Writes labels, and takes in what the ledger is then.
    async fn note(
        &self,
        presented: &Arc<str>,
        chain: &Chain,
        labels: BTreeSet<Label>,
        because: Option<Because>,
    ) -> Result<Noted, AskError> {
        let root = chain.root();
        let asked_boot_ms = self.clock.boot_ms();
        let note = Note {
            task: root.task,
            presented: Arc::clone(presented),
            labels,
            because,
        };
        let noted = self.authority.note(note).await?;
        if let Noted::Ledger(ledger) = &noted {
            self.ledgers
                .learn(root.task, root.epoch, Arc::clone(ledger), asked_boot_ms);
        }
        Ok(noted)
    }

    /// What this call brings, if it is let through under this id.
    pub(super) fn owed(&self, case: &Case, weighed: &Weighed, id: DecisionId) -> Option<Owed> {
        let chain = weighed.chain.as_ref()?;
        let root = chain.root();
        let labels = self.ledgers.lacks(root.task, root.epoch, &weighed.yields);
        (!labels.is_empty()).then(|| Owed {
            labels,
            because: Because {
                decision: id,
                tool: case.action.tool.clone(),
                source: LabelSource::Call,
            },
            presented: Arc::clone(&case.presented),
            chain: Arc::clone(chain),
        })
    }

    /// Pays what is owed, or says why that can't be.
    pub(super) async fn pay(&self, owed: Owed) -> Result<(), Refusal> {
        let words: Vec<&str> = owed.labels.iter().map(Label::as_str).collect();
        let words = words.join(", ");
        let noted = self
            .note(&owed.presented, &owed.chain, owed.labels, Some(owed.because))
            .await;
        match noted {
            Ok(Noted::Ledger(_)) => Ok(()),
            Ok(Noted::Refused(refusal)) => Err(refusal),
            Err(error) => {
                debug!(
                    error = &error as &dyn std::error::Error,
                    "labels can't be written"
                );
                let reason = format!(
                    "this is the first data labelled {words} in its task, the ledger of the task must say so before it is released, and {error}"
                );
                Err(Refusal::new(Cause::LabelUnwritten, reason))
            }
        }
    }

    /// Pays whatever this call brings.
    pub(crate) async fn pay_owed(
        &self,
        case: &Case,
        weighed: &Weighed,
        id: DecisionId,
    ) -> Result<(), Refusal> {
        match self.owed(case, weighed, id) {
            Some(owed) => self.pay(owed).await,
            None => Ok(()),
        }
    }

    /// Takes in what the control plane has just said of the task of this call.
    pub(crate) fn learn(&self, weighed: &Weighed, ledger: Option<Arc<Ledger>>) {
        if let (Some(chain), Some(ledger)) = (&weighed.chain, ledger) {
            let (root, now_ms) = (chain.root(), self.clock.boot_ms());
            self.ledgers.learn(root.task, root.epoch, ledger, now_ms);
        }
    }

    /// Judges a confirmed release by the ledger that came with its confirmation.
    pub(super) fn weigh_confirmed(
        &self,
        case: &Case,
        weighed: Weighed,
        ledger: Option<Arc<Ledger>>,
    ) -> Weighed {
        let (Some(chain), true) = (weighed.chain.clone(), weighed.reads_ledger) else {
            return weighed;
        };
        let Some(ledger) = ledger else {
            let reason = "the control plane did not say what this task has done, and a rule asks for it";
            return weighed.denied(Refusal::new(Cause::LedgerUnknown, reason));
        };
        let again = self.weigh_by(case, &ledger);
        // The release itself is counted already: whoever comes next here is judged by it, too.
        if let (Some(class), Tier::Full) = (again.reversibility, again.tier) {
            self.count(&chain, &case.action.tool, class, &ledger);
        }
        again
    }

    fn count(&self, chain: &Chain, tool: &str, class: Reversibility, before: &Ledger) {
        let (root, asked_boot_ms) = (chain.root(), self.clock.boot_ms());
        let mut after = before.clone();
        after.count(tool, class, self.clock.wall_ms());
        after.revision += 1;
        self.ledgers
            .learn(root.task, root.epoch, Arc::new(after), asked_boot_ms);
    }

    /// What was found in the result of a call is in the ledger when this returns.
    pub(super) async fn label_result(
        &self,
        id: DecisionId,
        outstanding: &Outstanding,
        found: &Found,
    ) -> Result<(), Refusal> {
        let Some(chain) = &outstanding.chain else {
            return Ok(());
        };
        let mut labels = found.labels.clone();
        if !outstanding.may_yield.is_empty() {
            let case = outstanding.case.as_deref();
            let by_size = case.and_then(|case| self.labels_by_size(case, chain, found));
            labels.extend(by_size.unwrap_or_else(|| outstanding.may_yield.clone()));
        }
        let root = chain.root();
        let labels = self.ledgers.lacks(root.task, root.epoch, &labels);
        if labels.is_empty() {
            return Ok(());
        }
        self.pay(Owed {
            labels,
            because: Because {
                decision: id,
                tool: outstanding.tool.clone(),
                source: LabelSource::Result,
            },
            presented: Arc::clone(&outstanding.presented),
            chain: Arc::clone(chain),
        })
        .await
    }

    /// What rules say of a result of this size, under the policy of now; none if they can't be asked. One whose size nobody tells
    /// is as large as can be.
    fn labels_by_size(&self, case: &Case, chain: &Chain, found: &Found) -> Option<BTreeSet<Label>> {
        let snapshot = self.snapshots.pin();
        let policy = snapshot.policy.as_ref()?;
        let root = chain.root();
        let view = self.ledgers.view(root.task, root.epoch);
        let judgement = policy.judge(&Situation {
            action: &case.action,
            grant: chain.leaf(),
            delegated_by: chain.delegators(),
            now_ms: self.clock.wall_ms(),
            policy_age_ms: self.freshness.age_ms(),
            ledger: view.as_ref().map(|view| &*view.ledger),
            result: Some(found.size.unwrap_or(ResultSize::MAX)),
        });
        judgement.labels().cloned()
    }
}

impl Weighed {
    /// The revision of the ledger that it was judged by; none: no rule looked at it.
    pub(crate) fn seen_revision(&self) -> Option<u64> {
        let view = self.view.as_ref().filter(|_| self.reads_ledger);
        view.map(|view| view.ledger.revision)
    }

    /// Whether what its call gives back can be held back until its labels are written: it changes nothing by being made.
    pub(super) fn can_overlap(&self) -> bool {
        self.reversibility == Some(Reversibility::ReadOnly) && self.tier != Tier::Full
    }
}

#[cfg(test)]
mod tests;
