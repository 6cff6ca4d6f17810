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
use std::fmt;
use std::sync::Arc;

use checkrein_shared::decision::{Cause, Tier, Verdict};
use checkrein_shared::grant::Chain;
use checkrein_shared::id::DecisionId;
use checkrein_shared::label::Label;
use checkrein_shared::ledger::{Fingerprint, Ledger, Pedigree, Seen, Trust, Values};
use checkrein_shared::policy::{BOUNDS_DEFAULT, ResultSize, Reversibility, Situation, UNTRUSTED_CONTENT};
use tracing::debug;

use super::permits::Outstanding;
use super::{Case, Core, Found, Weighed};
use crate::control_plane::{AskError, Because, Known, LabelSource, Note, Noted, Refusal};

/// While the control plane can be asked, a light-tier call is judged by a ledger at most so old.
const VIEW_AGE_MS_MAX: u64 = 1_000;

/// What a call brings and the ledger of its task is not known to tell.
#[derive(Debug)]
pub(super) struct Owed {
    pub(super) labels: BTreeSet<Label>,
    /// Values that its result carried.
    pub(super) seen: Option<Seen>,
    pub(super) because: Because,
    pub(super) presented: Arc<str>,
    pub(super) chain: Arc<Chain>,
}

/// What the control plane is told of a task, and asked.
#[derive(Default)]
struct Look {
    labels: BTreeSet<Label>,
    because: Option<Because>,
    seen: Option<Seen>,
    asked: Vec<Fingerprint>,
}

impl fmt::Display for Owed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.labels.is_empty() {
            return f.write_str("the values in this result");
        }
        let words: Vec<&str> = self.labels.iter().map(Label::as_str).collect();
        write!(f, "the first data labelled {} in it", words.join(", "))
    }
}

impl Core {
    /// Judges by a ledger that is new enough, if any rule looks at it, and by where values came from, if any asks.
    pub(crate) async fn weigh_informed(&self, case: &Case) -> Weighed {
        let weighed = self.weigh(case);
        let looks = weighed.reads_ledger || weighed.reads_pedigree;
        let Some(chain) = weighed.chain.clone().filter(|_| looks) else {
            return weighed;
        };
        // Where values came from is not kept here: each call has others.
        let view = weighed.view.as_ref().filter(|_| !weighed.reads_pedigree);
        let age_ms = view.map(|view| self.clock.boot_ms().saturating_sub(view.asked_boot_ms));
        match age_ms {
            Some(age_ms) if age_ms <= VIEW_AGE_MS_MAX => return weighed,
            // Nobody waits for a control plane that is away, while what is known is new enough.
            Some(age_ms) if !self.authority.is_connected() => return self.unless_old(weighed, age_ms),
            _ => {}
        }
        let look = Look {
            asked: self.asked(case, &weighed),
            ..Look::default()
        };
        match (self.note(&case.presented, &chain, look).await, age_ms) {
            (Ok(Noted::Known(known)), _) => self.weigh_known(case, &weighed, &known),
            (Ok(Noted::Refused(refusal)), _) => weighed.denied(refusal),
            (Err(_), Some(age_ms)) => self.unless_old(weighed, age_ms),
            (Err(error), None) => {
                let reason = format!("{}, and {error}", weighed.reason);
                weighed.denied(Refusal::new(Cause::LedgerUnknown, reason))
            }
        }
    }

    fn weigh_known(&self, case: &Case, before: &Weighed, known: &Known) -> Weighed {
        let can_tell = before.reads_pedigree && self.snapshots.pin().masking.is_some();
        let pedigree = can_tell.then(|| {
            let values = Values::of_arguments(&case.action.arguments);
            Pedigree::of(values, &known.from, known.ledger.values_lost)
        });
        self.weigh_by(case, &known.ledger, pedigree)
    }

    /// The values of a call, as the ledger knows them; none, if no rule asks, or nobody could tell them apart.
    pub(super) fn asked(&self, case: &Case, weighed: &Weighed) -> Vec<Fingerprint> {
        let snapshot = self.snapshots.pin();
        match (&snapshot.masking, &weighed.chain) {
            (Some(key), Some(chain)) if weighed.reads_pedigree => {
                let task = chain.root().task;
                let values = Values::of_arguments(&case.action.arguments).values;
                values
                    .iter()
                    .map(|value| Fingerprint::of(key, task, value))
                    .collect()
            }
            _ => Vec::new(),
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

    /// Writes what there is to write, and takes in what the ledger is then.
    async fn note(&self, presented: &Arc<str>, chain: &Chain, look: Look) -> Result<Noted, AskError> {
        let root = chain.root();
        let asked_boot_ms = self.clock.boot_ms();
        let note = Note {
            task: root.task,
            presented: Arc::clone(presented),
            labels: look.labels,
            because: look.because,
            seen: look.seen,
            asked: look.asked,
        };
        let noted = self.authority.note(note).await?;
        if let Noted::Known(known) = &noted {
            self.ledgers
                .learn(root.task, root.epoch, Arc::clone(&known.ledger), asked_boot_ms);
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
            seen: None,
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
        let what = owed.to_string();
        let look = Look {
            labels: owed.labels,
            because: Some(owed.because),
            seen: owed.seen,
            ..Look::default()
        };
        match self.note(&owed.presented, &owed.chain, look).await {
            Ok(Noted::Known(_)) => Ok(()),
            Ok(Noted::Refused(refusal)) => Err(refusal),
            Err(error) => {
                debug!(
                    error = &error as &dyn std::error::Error,
                    "a ledger can't be written"
                );
                let reason =
                    format!("the ledger of the task must tell of {what} before it is released, and {error}");
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

    /// Takes in what the control plane said of the task of this call when it was asked at this moment.
    pub(crate) fn learn(&self, weighed: &Weighed, ledger: Option<Arc<Ledger>>, asked_boot_ms: u64) {
        if let (Some(chain), Some(ledger)) = (&weighed.chain, ledger) {
            let root = chain.root();
            self.ledgers.learn(root.task, root.epoch, ledger, asked_boot_ms);
        }
    }

    /// Judges a confirmed release by what came with its confirmation.
    pub(super) fn weigh_confirmed(
        &self,
        case: &Case,
        weighed: Weighed,
        (known, asked_boot_ms): (Option<Known>, u64),
    ) -> Weighed {
        let looks = weighed.reads_ledger || weighed.reads_pedigree;
        if weighed.chain.is_none() || !looks {
            return weighed;
        }
        let Some(known) = known else {
            let reason = "the control plane did not say what this task has done, and a rule asks for it";
            return weighed.denied(Refusal::new(Cause::LedgerUnknown, reason));
        };
        let again = self.weigh_known(case, &weighed, &known);
        // The release itself is counted already, as what it was confirmed as: whoever comes next here is judged by it, too.
        if let Some(class) = weighed.reversibility {
            let mut after = Ledger::clone(&known.ledger);
            after.count(&case.action.tool, class, self.clock.wall_ms());
            after.spent = after.spent.plus(&weighed.cost);
            after.revision += 1;
            self.learn(&weighed, Some(Arc::new(after)), asked_boot_ms);
        }
        again
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
        // What the task was known to carry may have been lifted since its grant was over.
        let is_over = self.snapshots.pin().revocations.stops(chain.grants()).is_some();
        if !is_over {
            labels = self.ledgers.lacks(root.task, root.epoch, &labels);
        }
        let seen = self.seen(outstanding, chain, found);
        if labels.is_empty() && seen.is_none() {
            return Ok(());
        }
        self.pay(Owed {
            labels,
            seen,
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

    /// The values that a result carried, if anybody's word about them is to be remembered. Of untrusted content that nobody shows,
    /// or that can't be fingerprinted, any value could have been.
    fn seen(&self, outstanding: &Outstanding, chain: &Chain, found: &Found) -> Option<Seen> {
        let says_untrusted = found
            .labels
            .iter()
            .any(|label| label.as_str() == UNTRUSTED_CONTENT);
        let trust = match (says_untrusted, outstanding.trust) {
            (true, _) if outstanding.trust.is_some() || found.content.is_some() => Trust::Untrusted,
            (_, Some(trust)) => trust,
            _ => return None,
        };
        let root = chain.root();
        let snapshot = self.snapshots.pin();
        let (Some(key), Some(content)) = (&snapshot.masking, &found.content) else {
            let view = self.ledgers.view(root.task, root.epoch);
            let is_known = view.is_some_and(|view| view.ledger.values_lost);
            return (trust == Trust::Untrusted && !is_known).then_some(Seen {
                trust,
                values: Vec::new(),
                lost: true,
            });
        };
        let Values { values, lost } = Values::of_result(content);
        let values = values.iter().map(|value| Fingerprint::of(key, root.task, value));
        Some(Seen {
            trust,
            values: values.collect(),
            lost,
        })
    }

    /// What rules say of a result of this size, under the policy of now; none if they can't be asked. One whose size nobody tells
    /// is as large as can be.
    fn labels_by_size(&self, case: &Case, chain: &Chain, found: &Found) -> Option<BTreeSet<Label>> {
        let snapshot = self.snapshots.pin();
        let policy = snapshot.policy.as_ref()?;
        let root = chain.root();
        let view = self.ledgers.view(root.task, root.epoch);
        // Where its arguments came from was asked before it was let through; whatever labels by that is to label.
        let worst = Pedigree {
            lost: true,
            ..Pedigree::default()
        };
        let judgement = policy.judge(&Situation {
            action: &case.action,
            grant: chain.leaf(),
            delegated_by: chain.delegators(),
            now_ms: self.clock.wall_ms(),
            policy_age_ms: self.freshness.age_ms(),
            ledger: view.as_ref().map(|view| &*view.ledger),
            pedigree: Some(&worst),
            result: Some(found.size.unwrap_or(ResultSize::MAX)),
        });
        judgement.labels().cloned()
    }
}

impl Weighed {
    /// The revision of the ledger that it was judged by; none: no rule looked at it.
    pub(crate) fn seen_revision(&self) -> Option<u64> {
        let view = self
            .view
            .as_ref()
            .filter(|_| self.reads_ledger || self.reads_pedigree);
        view.map(|view| view.ledger.revision)
    }

    /// Whether what its call gives back can be held back until its labels are written: it changes nothing by being made.
    pub(super) fn can_overlap(&self) -> bool {
        self.reversibility == Some(Reversibility::ReadOnly) && self.tier != Tier::Full
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
