//! A decision for scripts. Names are stable.

use std::collections::BTreeMap;

use checkrein_proto::decision::v1 as wire;
use checkrein_proto::task::v1::Amount;
use checkrein_shared::action::Sha256;
use checkrein_shared::decision::Mode;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::cli::ledger::reversibility_word;
use crate::cli::output::{raw_json, rfc3339};
use crate::words::{UNRECOGNISED, outcome_word, tier_word, verdict_word};

#[derive(Debug, Serialize)]
pub(super) struct DecisionView {
    id: String,
    verdict: &'static str,
    cause: String,
    reason: String,
    rules: Vec<String>,
    tier: &'static str,
    mode: &'static str,
    agent: String,
    agent_asserted: bool,
    delegated_by: Vec<String>,
    user: String,
    task: String,
    grant: String,
    call_id: String,
    tool: String,
    arguments: Option<Box<RawValue>>,
    action_sha256: Option<String>,
    hold: String,
    environment: String,
    intent: String,
    epoch: u64,
    generation: u64,
    revocation_sequence: u64,
    policy_age_ms: u64,
    decided_at: Option<String>,
    received_at: Option<String>,
    enforcer: String,
    instance: String,
    incarnation: u64,
    sequence: u64,
    chain_sha256: Option<String>,
    outcome: Option<OutcomeView>,
    /// None: no rule looked at what the task had done.
    ledger: Option<LedgerView>,
    yields: Vec<String>,
    /// None: the tool is not known.
    reversibility: Option<&'static str>,
    /// None: it cost nothing, or was paid when it was confirmed.
    drawn: Option<DrawnView>,
}

/// What a call was paid from, if its enforcer held that already.
#[derive(Debug, Serialize)]
struct DrawnView {
    slice: String,
    cost: BTreeMap<String, String>,
}

/// What the task had done, as it was seen.
#[derive(Debug, Serialize)]
struct LedgerView {
    revision: u64,
    labels: Vec<String>,
}

#[derive(Debug, Serialize)]
struct OutcomeView {
    result: &'static str,
    detail: String,
    completed_at: Option<String>,
    /// What the call used up, as far as it said.
    spent: BTreeMap<String, String>,
}

impl DecisionView {
    pub(super) fn of(stored: &wire::StoredDecision) -> Self {
        let decision = stored.decision.clone().unwrap_or_default();
        let digest = |bytes: &[u8]| Sha256::try_from(bytes).ok().map(|digest| digest.to_string());
        Self {
            verdict: verdict_word(&decision),
            tier: tier_word(&decision),
            mode: Mode::try_from(decision.mode()).map_or(UNRECOGNISED, Mode::as_str),
            arguments: raw_json(&decision.arguments),
            action_sha256: digest(&decision.action_sha256),
            decided_at: rfc3339(decision.decided_unix_ms),
            ledger: decision.ledger.map(|seen| LedgerView {
                revision: seen.revision,
                labels: seen.labels,
            }),
            drawn: decision.drawn.map(|drawn| DrawnView {
                slice: drawn.slice_id,
                cost: by_meter(&drawn.cost),
            }),
            yields: decision.yields,
            reversibility: reversibility_word(decision.reversibility),
            id: decision.decision_id,
            cause: decision.cause,
            reason: decision.reason,
            rules: decision.rules,
            agent: decision.agent,
            agent_asserted: decision.agent_asserted,
            delegated_by: decision.delegated_by,
            user: decision.user,
            task: decision.task_id,
            grant: decision.grant_id,
            call_id: decision.call_id,
            tool: decision.tool,
            hold: decision.hold_id,
            environment: decision.environment,
            intent: decision.intent,
            epoch: decision.epoch,
            generation: decision.generation,
            revocation_sequence: decision.revocation_sequence,
            policy_age_ms: decision.policy_age_ms,
            received_at: rfc3339(stored.received_unix_ms),
            enforcer: stored.enforcer.clone(),
            instance: stored.instance_id.clone(),
            incarnation: stored.incarnation,
            sequence: stored.sequence,
            chain_sha256: digest(&stored.chain_hash),
            outcome: stored.outcome.as_ref().map(OutcomeView::of),
        }
    }
}

impl OutcomeView {
    fn of(outcome: &wire::Outcome) -> Self {
        Self {
            result: outcome_word(outcome),
            detail: outcome.detail.clone(),
            completed_at: rfc3339(outcome.completed_unix_ms),
            spent: by_meter(&outcome.spent),
        }
    }
}

fn by_meter(amounts: &[Amount]) -> BTreeMap<String, String> {
    let pair = |of: &Amount| (of.meter.clone(), of.amount.clone());
    amounts.iter().map(pair).collect()
}
