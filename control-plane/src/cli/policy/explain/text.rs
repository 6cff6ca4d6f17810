//! An explanation for people.

use super::view::{JudgementView, RiskView, RuleView, TierView, View};
use crate::cli::output::{Cell, Fields, Paint, Style, Table, span, style_of, visible};

/// All of it, in the order of the questions: how much must be true, how risky, by which rules, and so what.
pub(super) fn of(view: &View, paint: Paint) -> String {
    let tool = paint.apply(Style::Strong, &visible(&view.tool));
    let verdict = view
        .judgement
        .as_ref()
        .map_or_else(|| no_verdict(paint), |judgement| verdict(judgement, paint));
    format!(
        "{tool}  {} tier\n\n{}\n{}\n{}\n{verdict}",
        view.tier.tier,
        tier(&view.tier, paint),
        risk(&view.risk, paint),
        rules(&view.rules, paint)
    )
}

fn tier(tier: &TierView, paint: Paint) -> String {
    let mut fields = Fields::default();
    let because: Vec<&str> = tier
        .because
        .iter()
        .filter(|reason| reason.tier == tier.tier)
        .map(|reason| reason.why.as_str())
        .collect();
    fields
        .block("because", &because.join("\n"), Style::Plain)
        .line("means", tier.consistency)
        .line("policy", &format!("at most {} old", span(tier.policy_age_ms_max)))
        .line("failing", tier.failure);
    if let Some(paid) = tier.paid {
        fields.line("costs", &format!("{}, paid {paid}", tier.costs.join(" and ")));
    }
    if let Some(compensates) = &tier.unstoppable {
        let words = format!("not once it has begun; what compensates: {compensates}");
        fields.line("stopping", &words);
    }
    fields.render(paint)
}

fn risk(risk: &RiskView, paint: Paint) -> String {
    let mut table = Table::new(&["POINTS", "TERM", "WHY"]);
    for term in &risk.terms {
        let points = term.points.to_string();
        let points = if term.points == 0 {
            Cell::dim(points)
        } else {
            Cell::from(points)
        };
        table.push([points, Cell::from(term.term), Cell::from(term.why.as_str())]);
    }
    let total = paint.apply(Style::Strong, &format!("risk {}", risk.risk));
    let floor = match risk.floor {
        0 => "no floor is declared for the task".to_owned(),
        floor => format!("never below the task's floor of {floor}"),
    };
    format!(
        "{total}  {}\n\n{}",
        paint.apply(Style::Dim, &floor),
        table.render(paint, "")
    )
}

fn rules(rules: &[RuleView], paint: Paint) -> String {
    let mut table = Table::new(&["RULE", "DOES", "WHERE", "ASKS"]);
    for rule in rules {
        let does = match &rule.group {
            Some(group) => format!("{} for {group}", rule.kind),
            None => [rule.kind, &rule.yields.join(", ")].join(" "),
        };
        table.push([
            Cell::from(rule.id.as_str()),
            Cell::from(does.trim_end()).styled(style_of(rule.kind)),
            Cell::dim(format!("{}/{}:{}", rule.pack, rule.file, rule.line)),
            Cell::from(asks(rule)),
        ]);
    }
    let none = "no rule could apply: denied";
    let title = paint.apply(Style::Strong, "rules that could apply");
    format!("{title}\n\n{}", table.render(paint, none))
}

/// What its conditions look at, beside what every call says of itself.
fn asks(rule: &RuleView) -> String {
    let asked = rule.asks.iter().map(|word| match *word {
        "ledger" => "the ledger",
        "arguments_from" => "where arguments came from",
        "result" => "the result",
        word => word,
    });
    let asked: Vec<&str> = asked.collect();
    match asked.as_slice() {
        [] if rule.conditions => "the call".to_owned(),
        asked => asked.join(", "),
    }
}

fn verdict(judgement: &JudgementView, paint: Paint) -> String {
    let mut fields = Fields::default();
    let yields = match judgement.yields.as_slice() {
        [] => "nothing".to_owned(),
        labels => labels.join(", "),
    };
    fields
        .line("because", &judgement.reason)
        .line("cause", &judgement.cause)
        .line("rules", &judgement.rules.join(", "))
        .line("waits for", &judgement.groups.join(", "));
    if judgement.verdict != "deny" {
        fields.line("brings", &yields);
    }
    let word = paint.apply(style_of(&judgement.verdict), &judgement.verdict);
    format!("{word}\n\n{}", fields.render(paint))
}

fn no_verdict(paint: Paint) -> String {
    let line = "no verdict without arguments: say --arguments '{…}'";
    format!("{}\n", paint.apply(Style::Dim, line))
}
