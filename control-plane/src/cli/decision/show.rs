//! Decisions for people: as rows, as a running line, and one at length.

use checkrein_proto::decision::v1::{Decision, StoredDecision};
use checkrein_proto::task::v1::Amount;
use checkrein_shared::action::Sha256;

use crate::cli::ledger::reversibility_word;
use crate::cli::output::{Cell, Fields, Paint, Style, Table, relative, rfc3339, span, style_of, visible};
use crate::words::{outcome_word, tier_word, verdict_word};

/// Rows.
pub(super) fn table(decisions: &[StoredDecision], now_ms: u64, paint: Paint) -> String {
    let mut table = Table::new(&["WHEN", "VERDICT", "TOOL", "AGENT", "RULES", "REASON", "DECISION"]);
    for stored in decisions {
        let decision = stored.decision.clone().unwrap_or_default();
        table.push([
            Cell::dim(relative(decision.decided_unix_ms, now_ms)),
            Cell::word(verdict_word(&decision)),
            Cell::from(&*decision.tool),
            Cell::from(agent_name(&decision.agent)),
            Cell::from(decision.rules.join(", ")),
            Cell::from(&*decision.reason),
            Cell::dim(&decision.decision_id),
        ]);
    }
    table.render(paint, "no decisions")
}

/// One line of a running log.
pub(super) fn line(stored: &StoredDecision, paint: Paint) -> String {
    let decision = stored.decision.clone().unwrap_or_default();
    let word = verdict_word(&decision);
    let at = rfc3339(decision.decided_unix_ms).unwrap_or_default();
    let time = at.get(11..23).unwrap_or_default();
    format!(
        "{}  {}  {}  {}  {}",
        paint.apply(Style::Dim, time),
        paint.apply(style_of(word), &format!("{word:6}")),
        visible(&decision.tool),
        paint.apply(Style::Dim, &visible(agent_name(&decision.agent))),
        visible(&decision.reason),
    )
}

/// One decision, whole.
pub(super) fn card(stored: &StoredDecision, now_ms: u64, paint: Paint) -> String {
    let decision = stored.decision.clone().unwrap_or_default();
    let word = verdict_word(&decision);
    let mut fields = Fields::default();
    fields
        .line("because", &decision.reason)
        .line("cause", &decision.cause)
        .line("rules", &decision.rules.join(", "))
        .line("agent", &agent(&decision))
        .line("passed on by", &decision.delegated_by.join(", then "))
        .line("acting for", &decision.user)
        .styled("wanted to call", &decision.tool, Style::Strong)
        .line("with", &String::from_utf8_lossy(&decision.arguments))
        .line("in", &decision.environment)
        .line("asked to", &decision.intent)
        .line("task", &decision.task_id)
        .line("task carried", &seen(&decision))
        .line("brings", &decision.yields.join(", "))
        .line(
            "reversibility",
            reversibility_word(decision.reversibility).unwrap_or_default(),
        )
        .line("paid", &paid(&decision))
        .line("hold", &decision.hold_id)
        .line("outcome", &outcome(stored, now_ms))
        .line("used up", &used_up(stored));
    let id = paint.apply(Style::Strong, &visible(&decision.decision_id));
    let verdict = paint.apply(style_of(word), word);
    let when = relative(decision.decided_unix_ms, now_ms);
    format!(
        "{id}  {verdict}  {when}\n\n{}\n{}",
        fields.render(paint),
        evidence(stored, &decision).render(paint)
    )
}

/// From what it was paid, if its enforcer held that already.
fn paid(decision: &Decision) -> String {
    match &decision.drawn {
        Some(drawn) => format!("{} from {}", listed(&drawn.cost), drawn.slice_id),
        None => String::new(),
    }
}

/// What it used up, as far as it said.
fn used_up(stored: &StoredDecision) -> String {
    let spent = stored.outcome.as_ref().map(|outcome| listed(&outcome.spent));
    spent.unwrap_or_default()
}

fn listed(amounts: &[Amount]) -> String {
    let words: Vec<String> = amounts
        .iter()
        .map(|of| format!("{} {}", of.amount, of.meter))
        .collect();
    words.join(", ")
}

/// What makes the record one that can be checked.
fn evidence(stored: &StoredDecision, decision: &Decision) -> Fields {
    let digest = |bytes: &[u8]| {
        Sha256::try_from(bytes)
            .map(|digest| digest.to_string())
            .unwrap_or_default()
    };
    let mut fields = Fields::default();
    fields
        .line("tier", tier_word(decision))
        .line(
            "policy",
            &format!(
                "generation {}, confirmed {} before",
                decision.generation,
                span(decision.policy_age_ms)
            ),
        )
        .line("revocations", &format!("up to {}", decision.revocation_sequence))
        .line(
            "decided at",
            &rfc3339(decision.decided_unix_ms).unwrap_or_default(),
        )
        .line("stored at", &rfc3339(stored.received_unix_ms).unwrap_or_default())
        .line(
            "journal",
            &format!(
                "{} {} incarnation {} sequence {}",
                stored.enforcer, stored.instance_id, stored.incarnation, stored.sequence
            ),
        )
        .line("action sha256", &digest(&decision.action_sha256))
        .line("chain sha256", &digest(&stored.chain_hash));
    fields
}

fn outcome(stored: &StoredDecision, now_ms: u64) -> String {
    let Some(outcome) = &stored.outcome else {
        return "not reported".to_owned();
    };
    let detail = if outcome.detail.is_empty() {
        String::new()
    } else {
        format!(": {}", outcome.detail)
    };
    format!(
        "{} {}{detail}",
        outcome_word(outcome),
        relative(outcome.completed_unix_ms, now_ms)
    )
}

/// The labels that the task carried when it was decided; nothing, if no rule looked.
fn seen(decision: &Decision) -> String {
    let Some(ledger) = &decision.ledger else {
        return String::new();
    };
    let labels = if ledger.labels.is_empty() {
        "no labels".to_owned()
    } else {
        ledger.labels.join(", ")
    };
    format!("{labels} (revision {} of its ledger)", ledger.revision)
}

fn agent(decision: &Decision) -> String {
    let asserted = if decision.agent_asserted {
        " (asserted by the service that embeds the enforcer)"
    } else {
        ""
    };
    format!("{}{asserted}", decision.agent)
}

/// The part of a SPIFFE ID that tells agents of one domain apart.
fn agent_name(agent: &str) -> &str {
    agent.split_once("/agent/").map_or(agent, |(_, name)| name)
}

#[cfg(test)]
mod tests;
