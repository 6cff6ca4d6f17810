//! One call and what is to be said of it under one snapshot.
//!
//! **Invariant**: weighing reads one pinned snapshot, one view of the task's ledger, the clock, whether the enforcer is stopping and,
//! the first time, the proof of possession, and nothing else; it can be done again at any moment,
//! and everything that may have changed meanwhile (keys, agents, revocations, expiry, policy, its age) is looked at again.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use checkrein_shared::Clock;
use checkrein_shared::action::{Action, ActionIdentity, Arguments, MaskedArguments, Sha256};
use checkrein_shared::decision::{Cause, Tier, Verdict};
use checkrein_shared::grant::{Chain, InvalidGrant};
use checkrein_shared::hold::Requirement;
use checkrein_shared::id::{DecisionId, ProofId};
use checkrein_shared::label::Label;
use checkrein_shared::ledger::{Amounts, Ledger, Pedigree, Trust};
use checkrein_shared::policy::{Bounds, Reversibility, Situation, Tool};

use super::{CALL_ID_BYTES_MAX, Caller, Core, GateError, Request, TOOL_BYTES_MAX};
use crate::control_plane::Refusal;
use crate::ledger::View;
use crate::slices::Paid;
use crate::snapshot::{Policy, Running, Snapshot};

/// A call as it was presented, parsed once.
pub(crate) struct Case {
    pub(crate) caller: Caller,
    pub(crate) wait: Duration,
    pub(crate) action: Action,
    /// The grant as it was presented, with all it was narrowed from.
    pub(crate) presented: Arc<str>,
    pub(super) proof: String,
    /// How the tool is defined by whoever offers it now, if that is known.
    definition: Option<Sha256>,
    /// Looked at once: a proof seen twice proves nothing.
    pub(super) proved: OnceLock<Result<Option<ProofId>, Refusal>>,
    /// The arguments can't be read; `action` has none.
    unreadable: Option<String>,
}

/// What is to be said of a case now.
#[derive(Debug)]
pub(crate) struct Weighed {
    pub(crate) running: Running,
    pub(crate) policy_age_ms: u64,
    pub(crate) chain: Option<Arc<Chain>>,
    /// The proof of possession that came with the call.
    pub(crate) proof: Option<ProofId>,
    pub(crate) verdict: Verdict,
    pub(crate) cause: Cause,
    pub(crate) reason: String,
    pub(crate) rules: Vec<String>,
    pub(crate) tier: Tier,
    pub(crate) requirements: Vec<Requirement>,
    /// Empty if they can't be read or masked.
    pub(crate) arguments: MaskedArguments,
    pub(crate) identity: Option<ActionIdentity>,
    pub(crate) denial_class: String,
    /// The labels of what the call brings into its task.
    pub(crate) yields: BTreeSet<Label>,
    /// What rules may add once it is known how much the call gave.
    pub(crate) may_yield: BTreeSet<Label>,
    /// What is known of its task.
    pub(crate) view: Option<View>,
    /// A rule looked at that.
    pub(crate) reads_ledger: bool,
    /// Where its values came from; none: nobody was asked.
    pub(crate) pedigree: Option<Pedigree>,
    /// A rule looked at that.
    pub(crate) reads_pedigree: bool,
    /// Whose word the values in its result are.
    pub(crate) trust: Option<Trust>,
    /// None: the tool is not known.
    pub(crate) reversibility: Option<Reversibility>,
    /// What the call uses up at most.
    pub(crate) cost: Amounts,
    /// If it fails, it uses up nothing.
    pub(crate) fails_without_effect: bool,
    /// What people are told of the tool beside the reason.
    pub(crate) warning: Option<String>,
    /// A release of it that was confirmed, or may have been: it is to be given back, if it does not go ahead.
    pub(crate) confirmed: Option<DecisionId>,
    /// What it was paid from, if that was held here.
    pub(crate) paid: Option<Paid>,
}

impl Case {
    pub(super) fn new(caller: Caller, request: Request, clock: &dyn Clock) -> Result<Self, GateError> {
        if request.call_id.len() > CALL_ID_BYTES_MAX {
            return Err(GateError::CallIdTooLong(request.call_id.len()));
        }
        if request.tool.len() > TOOL_BYTES_MAX {
            return Err(GateError::ToolTooLong(request.tool.len()));
        }
        // The record is kept where text can't hold all of these, and people read both names on terminals.
        if request.call_id.contains(char::is_control) {
            return Err(GateError::CallIdControl(shown(&request.call_id)));
        }
        if request.tool.contains(char::is_control) {
            return Err(GateError::ToolControl(shown(&request.tool)));
        }
        let call_id = Some(request.call_id).filter(|id| !id.is_empty());
        let call_id = call_id.unwrap_or_else(|| DecisionId::new(clock).to_string());
        let (arguments, unreadable) = match request.arguments {
            Ok(arguments) => (arguments, None),
            Err(error) => (Arguments::none(), Some(error.to_string())),
        };
        let action = Action {
            tool: request.tool,
            arguments,
            call_id,
        };
        Ok(Self {
            caller,
            wait: request.wait,
            action,
            presented: request.grant.into(),
            proof: request.proof,
            definition: request.definition,
            proved: OnceLock::new(),
            unreadable,
        })
    }
}

impl fmt::Debug for Case {
    /// Without the grant, which is a bearer's, and without the arguments, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("caller", &self.caller)
            .field("tool", &self.action.tool)
            .field("call_id", &self.action.call_id)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

impl Core {
    /// What is to be said of this case at this moment, by what is known of its task here.
    pub(crate) fn weigh(&self, case: &Case) -> Weighed {
        self.weigh_with(case, None, None)
    }

    /// The same, by this ledger, and by where its values came from.
    pub(crate) fn weigh_by(&self, case: &Case, ledger: &Arc<Ledger>, pedigree: Option<Pedigree>) -> Weighed {
        self.weigh_with(case, Some(ledger), pedigree)
    }

    fn weigh_with(&self, case: &Case, ledger: Option<&Arc<Ledger>>, pedigree: Option<Pedigree>) -> Weighed {
        // The age first: what is pinned afterwards is what it was confirmed for, or newer. The other way round, a thread that was
        // kept waiting in between would judge an old snapshot with the age that was confirmed for the next.
        let policy_age_ms = self.freshness.age_ms();
        let snapshot = self.snapshots.pin();
        let mut weighed = Weighed::nothing(snapshot.running(), policy_age_ms);
        let tool = snapshot
            .policy
            .as_ref()
            .and_then(|policy| policy.bundle.tool(&case.action.tool));
        let masked = tool.and_then(|tool| mask(case, tool, &snapshot));
        if let Some(masked) = &masked {
            weighed.arguments = masked.clone();
        }
        weighed.tier = tool.map_or(Tier::Full, Tool::tier);
        weighed.reversibility = tool.map(|tool| tool.reversibility);
        weighed.trust = tool.and_then(|tool| tool.trust);
        let chain = match self.admit(case, &snapshot) {
            Ok(chain) => chain,
            Err(refusal) => return weighed.denied(refusal),
        };
        weighed.chain = Some(Arc::clone(&chain));
        let policy = match self.object(case, &chain, &snapshot) {
            Ok(policy) => policy,
            Err(refusal) => return weighed.denied(refusal),
        };
        if let Some(refusal) = tool.and_then(|tool| changed(case, tool)) {
            return weighed.denied(refusal);
        }
        if let (Some(tool), Some(masked)) = (tool, masked) {
            weighed.denial_class = tool.denial_class(&masked);
            weighed.identity = Some(identity(case, &chain, tool, masked));
        }
        weighed.view = match ledger {
            Some(ledger) => Some(View::given(ledger, self.clock.boot_ms())),
            None => self.ledgers.view(chain.root().task, chain.root().epoch),
        };
        weighed.pedigree = pedigree;
        self.judge(case, &chain, policy, weighed)
    }

    /// Believes the grant, or says why not.
    pub(super) fn admit(&self, case: &Case, snapshot: &Snapshot) -> Result<Arc<Chain>, Refusal> {
        if let Some(why) = &case.unreadable {
            return Err(Refusal::new(Cause::InvalidArguments, why));
        }
        let Some(keys) = &snapshot.keys else {
            let reason = "this enforcer has not heard from its control plane yet";
            return Err(Refusal::new(Cause::NoPolicy, reason));
        };
        self.grants
            .verify(&case.presented, keys)
            .map_err(|error| Refusal::new(Cause::InvalidGrant, error.to_string()))
    }

    /// Whether this caller may use this grant here and now; gives the policy to be asked.
    pub(super) fn object<'a>(
        &self,
        case: &Case,
        chain: &Chain,
        snapshot: &'a Snapshot,
    ) -> Result<&'a Policy, Refusal> {
        let grant = chain.leaf();
        let agent = &case.caller.agent;
        if grant.agent != *agent {
            let reason = format!("the grant is for `{}`, and `{agent}` called", grant.agent);
            return Err(Refusal::new(Cause::WrongAgent, reason));
        }
        if !snapshot.agents.contains(agent) {
            let reason = format!(
                "this enforcer may not speak for `{agent}`; `checkrein fleet add --agent` says for whom"
            );
            return Err(Refusal::new(Cause::UnknownAgent, reason));
        }
        if let Err(error) = grant.holds_at(self.clock.wall_ms()) {
            let word = match error {
                InvalidGrant::Expired => Cause::TaskEnded,
                _ => Cause::InvalidGrant,
            };
            return Err(Refusal::new(word, error.to_string()));
        }
        if let Some(stopped) = snapshot.revocations.stops(chain.grants()) {
            return Err(Refusal::new(stopped.cause, stopped.reason));
        }
        if !snapshot.roster.knows(agent) {
            let reason = format!(
                "which teams `{agent}` is in has not come to this enforcer: it comes with the next session of the control plane, unless the agent was removed"
            );
            return Err(Refusal::new(Cause::UnknownAgent, reason));
        }
        let policy = snapshot.policy.as_ref();
        policy.ok_or_else(|| Refusal::new(Cause::NoPolicy, "this enforcer has no policy yet"))
    }

    fn judge(&self, case: &Case, chain: &Chain, policy: &Policy, mut weighed: Weighed) -> Weighed {
        let judgement = policy.judge(&Situation {
            action: &case.action,
            grant: chain.leaf(),
            delegated_by: chain.delegators(),
            now_ms: self.clock.wall_ms(),
            policy_age_ms: weighed.policy_age_ms,
            ledger: weighed.view.as_ref().map(|view| &*view.ledger),
            pedigree: weighed.pedigree.as_ref(),
            result: None,
        });
        weighed.verdict = judgement.verdict;
        weighed.cause = judgement.cause;
        weighed.reason = judgement.reason;
        weighed.rules = judgement.rules;
        weighed.tier = judgement.tier;
        weighed.requirements = judgement.requirements;
        weighed.yields = judgement.yields;
        weighed.may_yield = judgement.may_yield;
        weighed.reads_ledger = judgement.reads_ledger;
        weighed.reads_pedigree = judgement.reads_pedigree;
        if weighed.verdict == Verdict::Deny {
            return weighed;
        }
        if let Some(tool) = policy.bundle.tool(&case.action.tool) {
            weighed.fails_without_effect = tool.fails_without_effect;
            weighed.warning = tool.warning();
            match tool.cost_of(&case.action.arguments) {
                Ok(cost) => weighed.cost = cost,
                Err(reason) => return weighed.denied(Refusal::new(Cause::InvalidArguments, reason)),
            }
        }
        if self.refuses_permits() {
            let reason = "this enforcer is stopping and lets nothing more through; present the same call again when it is back";
            return weighed.denied(Refusal::new(Cause::Stopping, reason));
        }
        if is_stale(weighed.tier, weighed.policy_age_ms, policy.bundle.bounds()) {
            return weighed.stale();
        }
        match self.proved(case, chain, weighed.tier) {
            Ok(proof) => weighed.proof = proof,
            Err(refusal) => return weighed.denied(refusal),
        }
        if weighed.identity.is_none() {
            let reason =
                "the key that masks secret arguments comes with the next session of the control plane";
            return weighed.denied(Refusal::new(Cause::NoMaskingKey, reason));
        }
        weighed
    }
}

impl Weighed {
    /// Nothing known: a deny of the highest tier, until something better is found.
    fn nothing(running: Running, policy_age_ms: u64) -> Self {
        Self {
            running,
            policy_age_ms,
            chain: None,
            proof: None,
            verdict: Verdict::Deny,
            cause: Cause::NoPolicy,
            reason: String::new(),
            rules: Vec::new(),
            tier: Tier::Full,
            requirements: Vec::new(),
            arguments: MaskedArguments(String::new()),
            identity: None,
            denial_class: String::new(),
            yields: BTreeSet::new(),
            may_yield: BTreeSet::new(),
            view: None,
            reads_ledger: false,
            pedigree: None,
            reads_pedigree: false,
            trust: None,
            reversibility: None,
            cost: Amounts::none(),
            fails_without_effect: false,
            warning: None,
            confirmed: None,
            paid: None,
        }
    }

    /// Whether the control plane must charge it: the calls of its task are counted, or it costs something.
    pub(crate) fn is_charged(&self) -> bool {
        !self.cost.is_empty() || self.chain.as_ref().is_some_and(|chain| chain.is_counted())
    }

    /// The same case, denied for this.
    pub(crate) fn denied(mut self, refusal: Refusal) -> Self {
        self.verdict = Verdict::Deny;
        self.cause = refusal.cause;
        self.reason = refusal.reason;
        self.requirements.clear();
        self
    }

    /// Denied, because newer policy came faster than it could be judged under.
    pub(crate) fn behind(self) -> Self {
        let reason = "newer policy exists and has not come here yet; try again in a moment";
        self.denied(Refusal::new(Cause::PolicyStale, reason))
    }

    /// Denied, because what was charged is not what it takes any more.
    pub(super) fn repriced(self) -> Self {
        let reason = "what the call takes changed while it was confirmed; present it again";
        self.denied(Refusal::new(Cause::Budget, reason))
    }

    fn stale(self) -> Self {
        let age = match self.policy_age_ms {
            u64::MAX => "was never confirmed to be the newest".to_owned(),
            age_ms => format!("was last confirmed to be the newest {} s ago", age_ms / 1_000),
        };
        let reason = format!(
            "the policy here {age}, too long for a {}-tier action; the control plane can't be reached",
            self.tier
        );
        self.denied(Refusal::new(Cause::PolicyStale, reason))
    }
}

/// A name with its control characters spelt out.
fn shown(name: &str) -> String {
    name.escape_debug().to_string()
}

/// A changed tool is another tool, and that one is in no catalog.
fn changed(case: &Case, tool: &Tool) -> Option<Refusal> {
    let now = case.definition.filter(|now| *now != tool.definition)?;
    let reason = format!(
        "`{}` is not defined as the catalog accepted it ({} there, {now} now): whoever keeps the catalog has to look at what changed, and push it",
        tool.id, tool.definition
    );
    Some(Refusal::new(Cause::UnknownTool, reason))
}

/// What people would see; none if there are secrets and nothing to mask them with.
fn mask(case: &Case, tool: &Tool, snapshot: &Snapshot) -> Option<MaskedArguments> {
    if case.unreadable.is_some() {
        return None;
    }
    let arguments = &case.action.arguments;
    if tool.secret.iter().all(|name| arguments.get(name).is_none()) {
        return Some(MaskedArguments(arguments.canonical()));
    }
    snapshot
        .masking
        .as_ref()
        .map(|key| arguments.masked(key, &tool.secret))
}

fn identity(case: &Case, chain: &Chain, tool: &Tool, arguments: MaskedArguments) -> ActionIdentity {
    let grant = chain.leaf();
    ActionIdentity {
        task: grant.task,
        agent: grant.agent.clone(),
        delegated_by: chain.delegators().to_vec(),
        user: grant.user.clone(),
        tool: case.action.tool.clone(),
        definition: tool.definition,
        arguments,
    }
}

const fn is_stale(tier: Tier, age_ms: u64, bounds: Bounds) -> bool {
    match tier {
        Tier::Static => false,
        Tier::Light => age_ms > bounds.light_ms,
        Tier::Full => age_ms > bounds.full_ms,
    }
}

#[cfg(test)]
mod chains;
#[cfg(test)]
mod tests;
