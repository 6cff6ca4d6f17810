//! An explanation for scripts. Names are stable.

use checkrein_shared::decision::Tier;
use checkrein_shared::label::Label;
use checkrein_shared::policy::{Asks, Candidate, Explanation, RiskTerm, RuleKind, TierReason};
use serde::Serialize;

const LOCAL: &str = "decided by the enforcer alone";
const LOCAL_LEDGER: &str = "decided by the enforcer alone, with its copy of the ledger";
const CONFIRMED: &str = "the control plane confirms that the task lives and what it has done, before release";
const PAID_CONFIRMED: &str = "with the confirmation of the call";
const PAID_EACH: &str = "with a confirmation of each call: a rule looks at what the task has done";
const PAID_LOCALLY: &str =
    "by the enforcer, from a slice of the budgets that it holds; the first call with a confirmation";
const GOES_ON: &str = "goes on without a control plane until policy is too old, then denies";
const GOES_ON_IF_KNOWN: &str =
    "goes on without a control plane until policy is too old or the ledger is not known, then denies";
const DENIES: &str = "denies while the control plane can't be reached";

#[derive(Debug, Serialize)]
pub(super) struct View {
    pub(super) tool: String,
    pub(super) catalogued: bool,
    pub(super) tier: TierView,
    pub(super) risk: RiskView,
    pub(super) rules: Vec<RuleView>,
    /// Null: without arguments there is none.
    pub(super) judgement: Option<JudgementView>,
}

#[derive(Debug, Serialize)]
pub(super) struct TierView {
    pub(super) tier: String,
    pub(super) because: Vec<ReasonView>,
    pub(super) consistency: &'static str,
    pub(super) policy_age_ms_max: u64,
    pub(super) failure: &'static str,
    /// What a call uses up: `money`, `tokens`, …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) costs: Vec<&'static str>,
    /// How that is paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) paid: Option<&'static str>,
    /// Of one whose calls can't be stopped once they began: what compensates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unstoppable: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct ReasonView {
    pub(super) tier: String,
    pub(super) why: String,
}

#[derive(Debug, Serialize)]
pub(super) struct RiskView {
    pub(super) risk: u8,
    pub(super) floor: u8,
    pub(super) terms: Vec<TermView>,
}

#[derive(Debug, Serialize)]
pub(super) struct TermView {
    pub(super) term: &'static str,
    pub(super) points: u8,
    pub(super) why: String,
}

#[derive(Debug, Serialize)]
pub(super) struct RuleView {
    pub(super) id: String,
    pub(super) kind: &'static str,
    /// For a hold: whom it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<String>,
    /// For a label: what it yields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) yields: Vec<String>,
    pub(super) pack: String,
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) conditions: bool,
    pub(super) reads_ledger: bool,
    /// `ledger`, `arguments_from`, `result`: what the conditions look at, beside what every call says of itself.
    pub(super) asks: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
pub(super) struct JudgementView {
    pub(super) verdict: String,
    pub(super) cause: String,
    pub(super) reason: String,
    pub(super) rules: Vec<String>,
    pub(super) groups: Vec<String>,
    /// The labels that the call would bring into its task.
    pub(super) yields: Vec<String>,
}

impl View {
    pub(super) fn of(tool: &str, explanation: &Explanation) -> Self {
        let judgement = explanation.judgement.as_ref().map(|judged| JudgementView {
            verdict: judged.verdict.to_string(),
            cause: judged.cause.to_string(),
            reason: judged.reason.clone(),
            rules: judged.rules.clone(),
            groups: judged
                .requirements
                .iter()
                .map(|requirement| requirement.group.clone())
                .collect(),
            yields: judged.yields.iter().map(Label::to_string).collect(),
        });
        Self {
            tool: tool.to_owned(),
            catalogued: explanation.is_catalogued,
            tier: TierView::of(explanation),
            risk: RiskView {
                risk: explanation.risk.total,
                floor: explanation.risk.floor,
                terms: explanation.risk.terms.iter().map(TermView::of).collect(),
            },
            rules: explanation.candidates.iter().map(RuleView::of).collect(),
            judgement,
        }
    }
}

impl TierView {
    fn of(explanation: &Explanation) -> Self {
        let (full_ms, light_ms) = (explanation.bounds.full_ms, explanation.bounds.light_ms);
        let asks = explanation.candidates.iter().any(|rule| rule.asks.ledger);
        let asks_more = asks || explanation.candidates.iter().any(|rule| rule.asks.arguments_from);
        let paid = match explanation.tier {
            Tier::Full => PAID_CONFIRMED,
            Tier::Static | Tier::Light if asks_more => PAID_EACH,
            Tier::Static | Tier::Light => PAID_LOCALLY,
        };
        let (consistency, policy_age_ms_max, failure) = match (explanation.tier, asks) {
            (Tier::Full, _) => (CONFIRMED, full_ms, DENIES),
            (Tier::Static | Tier::Light, true) => (LOCAL_LEDGER, light_ms, GOES_ON_IF_KNOWN),
            (Tier::Static | Tier::Light, false) => (LOCAL, light_ms, GOES_ON),
        };
        Self {
            tier: explanation.tier.to_string(),
            because: explanation.tier_because.iter().map(ReasonView::of).collect(),
            consistency,
            policy_age_ms_max,
            failure,
            costs: explanation.costs.iter().map(|meter| meter.as_str()).collect(),
            paid: (!explanation.costs.is_empty()).then_some(paid),
            unstoppable: explanation.unstoppable.clone(),
        }
    }
}

impl ReasonView {
    fn of(reason: &TierReason) -> Self {
        Self {
            tier: reason.tier.to_string(),
            why: reason.why.clone(),
        }
    }
}

impl TermView {
    fn of(term: &RiskTerm) -> Self {
        Self {
            term: term.term,
            points: term.points,
            why: term.why.clone(),
        }
    }
}

impl RuleView {
    fn of(rule: &Candidate) -> Self {
        let (kind, group, yields) = match &rule.kind {
            RuleKind::Permit => ("permit", None, Vec::new()),
            RuleKind::Forbid => ("forbid", None, Vec::new()),
            RuleKind::Hold(terms) => ("hold", Some(terms.group.clone()), Vec::new()),
            RuleKind::Yield(labels) => ("label", None, labels.iter().map(Label::to_string).collect()),
        };
        Self {
            id: rule.id.clone(),
            kind,
            group,
            yields,
            pack: rule.pack.clone(),
            file: rule.origin.file.clone(),
            line: rule.origin.line,
            conditions: rule.has_conditions,
            reads_ledger: rule.asks.ledger,
            asks: asks(rule.asks),
        }
    }
}

fn asks(asks: Asks) -> Vec<&'static str> {
    let known = [
        (asks.ledger, "ledger"),
        (asks.arguments_from, "arguments_from"),
        (asks.result, "result"),
    ];
    let asked = known.into_iter().filter(|(is_asked, _)| *is_asked);
    asked.map(|(_, word)| word).collect()
}
