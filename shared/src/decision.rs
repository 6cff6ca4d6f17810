//! Decisions: what a verdict is, how one is recorded, and the chain that makes a record tamper-evident.
//!
//! **Invariant**: the chain begins with the journal it belongs to, one incarnation of one instance, and covers the encoded
//! bytes of each record, in order. So a record that was changed, moved, taken out from between others or relabelled to another
//! journal is found offline, from the rows alone. A tail that was cut off is found only against the head that the control
//! plane acknowledged; that an instance is one enforcer's is the control plane's to say.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::action::{MaskedArguments, Sha256};
use crate::id::{DecisionId, Generation, GrantId, HoldId, InstanceId, SliceId, TaskId};
use crate::identity::SpiffeId;
use crate::label::Label;
use crate::ledger::Amounts;
use crate::policy::Reversibility;
use crate::text::shown;

/// What every chain begins with, so that its hashes are no others'.
const CHAIN_TAG: &[u8] = b"checkrein.chain.v1";

/// What may happen now. Ordered: more labels, more risk or older policy never lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Do it.
    Permit,
    /// Wait for people.
    Hold,
    /// Don't.
    Deny,
}

/// How much has to be true at the moment of release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Touches no data and no state; rules still deny.
    Static,
    /// Reads and reversible writes: decided wholly locally.
    Light,
    /// Policy fresh, task confirmed live online, the record on stable storage before release.
    Full,
}

/// Why a verdict is what it is, in one word for machines. The list only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A rule permits it and none forbids it.
    Permitted,
    /// A forbidding rule is satisfied.
    Forbidden,
    /// No permitting rule is satisfied.
    NoPermit,
    /// A forbidding rule could not be evaluated.
    RuleErred,
    /// A rule wants people to look.
    Held,
    /// People approved, and the approval was used for this release.
    Approved,
    /// People said no.
    DeniedByPerson,
    /// Nobody answered in time.
    HoldExpired,
    /// The approval was not used in time.
    HoldLapsed,
    /// The hold was cancelled or taken back.
    HoldCancelled,
    /// Too many holds are open.
    HoldsExhausted,
    /// The task has made all the calls it may.
    Budget,
    /// A person said no to this tool on this resource in this task before.
    DeniedBefore,
    /// The approved action and the one presented are not the same.
    ActionChanged,
    /// The approval of this very call was used before.
    AlreadyReleased,
    /// There is no policy yet.
    NoPolicy,
    /// Policy is older than the tier allows.
    PolicyStale,
    /// The control plane could not be asked.
    ControlPlaneUnreachable,
    /// The control plane answered, and would not hear of it.
    ControlPlaneRefused,
    /// What the task has done so far is not known here, and can't be asked for.
    LedgerUnknown,
    /// What the call brings into its task could not be written into the ledger.
    LabelUnwritten,
    /// The grant is not one that can be believed, or it does not hold now.
    InvalidGrant,
    /// The proof that the caller has the grant's key is missing, wrong, old, or used.
    InvalidProof,
    /// The grant is another agent's.
    WrongAgent,
    /// This enforcer may not speak for the agent.
    UnknownAgent,
    /// The task ended, expired or was revoked.
    TaskEnded,
    /// The grant was given before its task was amended.
    TaskAmended,
    /// The grant was revoked, or one above it, or whose it is.
    GrantRevoked,
    /// The tool is not in the task's scope.
    OutOfScope,
    /// The catalog does not know the tool.
    UnknownTool,
    /// The arguments are not what the catalog says they may be.
    InvalidArguments,
    /// The key that masks secret arguments has not come yet.
    NoMaskingKey,
    /// The decision could not be recorded.
    JournalFull,
    /// The enforcer is stopping.
    Stopping,
}

/// Whether a verdict is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// It is.
    Enforce,
    /// It is only recorded.
    Observe,
}

/// How a permitted call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutcomeResult {
    /// The tool did it.
    Done,
    /// The tool did not do it.
    Failed,
    /// Sent, and nobody knows.
    Unknown,
}

/// One entry of an enforcer's journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A verdict.
    Decision(Box<Decision>),
    /// What happened afterwards.
    Outcome(Outcome),
    /// A slice of budgets that nothing is drawn from any more.
    SliceClosed(SliceClosed),
}

/// The record of a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Its id.
    pub id: DecisionId,
    /// When, by the enforcer's wall clock.
    pub decided_ms: u64,
    /// Who wanted to act.
    pub agent: SpiffeId,
    /// Nobody proved it: the embedding process said so.
    pub agent_asserted: bool,
    /// Who passed the grant on to it, root first.
    pub delegated_by: Vec<SpiffeId>,
    /// For whom; empty if the grant could not be read.
    pub user: String,
    /// Inside which task; none if the grant could not be read.
    pub task: Option<TaskId>,
    /// Under which grant.
    pub grant: Option<GrantId>,
    /// The caller's own name for the call.
    pub call_id: String,
    /// With which tool.
    pub tool: String,
    /// How; empty if the arguments could not be read or masked.
    pub arguments: MaskedArguments,
    /// The action's hash, if it could be made.
    pub action: Option<Sha256>,
    /// What the tool's catalog entry demands; full for an unknown tool.
    pub tier: Tier,
    /// What was decided.
    pub verdict: Verdict,
    /// Why, for machines.
    pub cause: Cause,
    /// Why, for people.
    pub reason: String,
    /// The rules that decided, sorted.
    pub rules: Vec<String>,
    /// Whether it was enforced.
    pub mode: Mode,
    /// The epoch of the policy it was decided under.
    pub epoch: u64,
    /// The generation, pinned.
    pub generation: Generation,
    /// The revocation sequence, pinned with it.
    pub revocation_sequence: u64,
    /// How long ago that policy was confirmed to be the newest.
    pub policy_age_ms: u64,
    /// The hold that this verdict opened, released or ended.
    pub hold: Option<HoldId>,
    /// Where the task runs.
    pub environment: String,
    /// What the user wants.
    pub intent: String,
    /// What the task had done, as far as a rule looked at it.
    pub ledger: Option<SeenLedger>,
    /// The labels that the call brings into its task, if it is let through.
    pub yields: BTreeSet<Label>,
    /// Whether, and by whom, the tool's effect can be undone; none: the tool is not known.
    pub reversibility: Option<Reversibility>,
    /// A release of this call that was confirmed, or may have been, and did not go ahead.
    pub release: Option<DecisionId>,
    /// What it was paid from, if its enforcer held that already.
    pub drawn: Option<Drawn>,
}

/// What a call takes, one call beside, out of a slice of budgets that its enforcer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    /// Out of which.
    pub slice: SliceId,
    /// How much.
    pub cost: Amounts,
}

/// The record of the end of a slice: whatever was drawn from it stands before this, and what is left is not needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceClosed {
    /// Which.
    pub slice: SliceId,
    /// In which task.
    pub task: TaskId,
}

/// A ledger, as a decision saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenLedger {
    /// Its revision.
    pub revision: u64,
    /// The labels that the task carried.
    pub labels: BTreeSet<Label>,
}

/// The record of what happened after a permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The decision that permitted it.
    pub decision: DecisionId,
    /// When, by the enforcer's wall clock.
    pub completed_ms: u64,
    /// How it ended.
    pub result: OutcomeResult,
    /// What went wrong.
    pub detail: String,
    /// The hold whose approval was used.
    pub hold: Option<HoldId>,
    /// The task.
    pub task: Option<TaskId>,
    /// What the call used up, as far as that is known; of any other meter it is what was reserved.
    pub spent: Amounts,
}

/// The head of a journal's hash chain. There is no chain of no journal: it starts with [`Chain::begin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// How many records it covers: the sequence of the next.
    pub next_sequence: u64,
    /// The hash over all of them.
    pub hash: Sha256,
}

/// A word that names no verdict, tier or cause.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{word}` is not a {kind}")]
pub struct InvalidWord {
    kind: &'static str,
    word: String,
}

impl Chain {
    /// The chain of a journal without records: SHA-256 over a tag, the instance's 16 bytes and the incarnation's 8, big
    /// endian.
    #[must_use]
    pub fn begin(instance: InstanceId, incarnation: u64) -> Self {
        let (instance, incarnation) = (instance.uuid(), incarnation.to_be_bytes());
        Self {
            next_sequence: 0,
            hash: Sha256::of_parts(&[CHAIN_TAG, instance.as_bytes(), &incarnation]),
        }
    }

    /// The chain after one more record.
    #[must_use]
    pub fn extend(self, record: &[u8]) -> Self {
        Self {
            next_sequence: self.next_sequence + 1,
            hash: Sha256::of_parts(&[&self.hash.0, record]),
        }
    }
}

macro_rules! words {
    ($name:ident, $kind:literal, $($variant:ident = $word:literal),+ $(,)?) => {
        impl $name {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for it, on the wire and in rows.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = InvalidWord;

            fn from_str(word: &str) -> Result<Self, InvalidWord> {
                let found = Self::ALL.iter().copied().find(|known| known.as_str() == word);
                found.ok_or_else(|| InvalidWord { kind: $kind, word: shown(word) })
            }
        }
    };
}

words!(
    Verdict,
    "verdict",
    Permit = "permit",
    Hold = "hold",
    Deny = "deny"
);
words!(Tier, "tier", Static = "static", Light = "light", Full = "full");
words!(Mode, "mode", Enforce = "enforce", Observe = "observe");
words!(
    OutcomeResult,
    "outcome",
    Done = "done",
    Failed = "failed",
    Unknown = "unknown"
);
words!(
    Cause,
    "cause",
    Permitted = "permitted",
    Forbidden = "forbidden",
    NoPermit = "no_permit",
    RuleErred = "rule_erred",
    Held = "held",
    Approved = "approved",
    DeniedByPerson = "denied_by_person",
    HoldExpired = "hold_expired",
    HoldLapsed = "hold_lapsed",
    HoldCancelled = "hold_cancelled",
    HoldsExhausted = "holds_exhausted",
    Budget = "budget",
    DeniedBefore = "denied_before",
    ActionChanged = "action_changed",
    AlreadyReleased = "already_released",
    NoPolicy = "no_policy",
    PolicyStale = "policy_stale",
    ControlPlaneUnreachable = "control_plane_unreachable",
    ControlPlaneRefused = "control_plane_refused",
    LedgerUnknown = "ledger_unknown",
    LabelUnwritten = "label_unwritten",
    InvalidGrant = "invalid_grant",
    InvalidProof = "invalid_proof",
    WrongAgent = "wrong_agent",
    UnknownAgent = "unknown_agent",
    TaskEnded = "task_ended",
    TaskAmended = "task_amended",
    GrantRevoked = "grant_revoked",
    OutOfScope = "out_of_scope",
    UnknownTool = "unknown_tool",
    InvalidArguments = "invalid_arguments",
    NoMaskingKey = "no_masking_key",
    JournalFull = "journal_full",
    Stopping = "stopping",
);

#[cfg(test)]
mod tests;
