//! What is explained is what is decided.

use super::*;
use crate::decision::{Cause, Verdict};
use crate::policy::{Pack, fixture};

const RULES: &str = r#"
@id("other-team") permit (principal in Team::"desk", action, resource);
@id("other-tool") permit (principal, action == Action::"bank/other", resource);
@id("other-type") forbid (principal, action, resource is Tool);
@id("one-account") @hold("treasury") forbid (principal, action, resource == Account::"DE1");
@id("stained") forbid (principal, action in Action::"spend", resource) when { context.task.labels.contains("pii") };
"#;

fn pack() -> Pack {
    let mut source = fixture::payments();
    source
        .files
        .insert("more.cedar".to_owned(), RULES.as_bytes().to_vec());
    Pack::parse(&source).unwrap_or_else(|findings| panic!("{}", fixture::rendered(&findings)))
}

fn explained(tool: &str, arguments: Option<&str>, labels: &[&str]) -> Explanation {
    let pack = pack();
    let bundle = Arc::new(fixture::bundle(&[&pack]));
    let asked = Asked {
        tool: tool.to_owned(),
        arguments: arguments.map(|json| Arguments::parse(json.as_bytes()).unwrap()),
        environment: "production".to_owned(),
        labels: labels.iter().map(|word| word.parse().unwrap()).collect(),
        depth: 2,
        risk: 10,
        ..Asked::default()
    };
    let agent = "spiffe://acme.example/agent/billing".parse().unwrap();
    explain(&[&pack], &bundle, &agent, asked).unwrap()
}

fn ids(explanation: &Explanation) -> Vec<&str> {
    explanation
        .candidates
        .iter()
        .map(|rule| rule.id.as_str())
        .collect()
}

const PAY: &str = r#"{"recipient": "US133000000121212121212", "amount": 10.0}"#;

#[test]
fn the_rules_that_could_apply_are_those_whose_scope_the_call_may_be_in() {
    let without = explained("bank/send_money", None, &[]);
    let scopes = [
        "one-account",
        "pay-small",
        "pay-unnamed",
        "pay-watched",
        "prod-only",
        "stained",
    ];
    assert_eq!(ids(&without), scopes, "the account is not known");
    assert!(without.judgement.is_none());
    let with = explained("bank/send_money", Some(PAY), &[]);
    assert_eq!(ids(&with), ["pay-small", "pay-unnamed", "prod-only", "stained"]);
    let reading: Vec<_> = with.candidates.iter().filter(|rule| rule.asks.ledger).collect();
    assert_eq!(reading.len(), 1);
    assert_eq!(
        (reading[0].origin.file.as_str(), reading[0].origin.line),
        ("more.cedar", 6)
    );
}

#[test]
fn the_verdict_is_the_one_that_is_decided() {
    let held = explained("bank/send_money", Some(PAY), &[]).judgement.unwrap();
    assert_eq!(
        (held.verdict, held.rules.as_slice()),
        (Verdict::Hold, &["pay-unnamed".to_owned()][..])
    );
    let denied = explained("bank/send_money", Some(PAY), &["pii"])
        .judgement
        .unwrap();
    assert_eq!(
        (denied.verdict, denied.rules.as_slice()),
        (Verdict::Deny, &["stained".to_owned()][..])
    );
    let senseless = explained("bank/send_money", Some("{}"), &[]).judgement.unwrap();
    assert_eq!(senseless.cause, Cause::InvalidArguments);
}

#[test]
fn a_tool_that_no_catalog_knows_is_explained_too() {
    let unknown = explained("elsewhere/tool", None, &[]);
    assert!(!unknown.is_catalogued);
    assert_eq!((unknown.tier, unknown.tier_because.len()), (Tier::Full, 1));
    assert_eq!(unknown.risk.total, 30 + 25 + 4);
    assert_eq!(unknown.judgement.unwrap().cause, Cause::UnknownTool);
    assert!(unknown.candidates.is_empty(), "no rule is asked");
}

#[test]
fn the_risk_is_that_of_the_very_call() {
    let clean = explained("bank/send_money", Some(PAY), &[]).risk;
    assert_eq!((clean.total, clean.floor), (25 + 25 + 4, 10));
    let stained = explained("bank/send_money", Some(PAY), &["restricted", "untrusted_content"]).risk;
    assert_eq!(stained.total, 25 + 25 + 25 + 4 + 20);
}

#[test]
fn a_team_of_the_register_counts_as_one_of_the_packs() {
    let pack = pack();
    let bundle = Arc::new(fixture::bundle(&[&pack]));
    let explained = |teams: &[&str]| {
        let asked = Asked {
            tool: "bank/send_money".to_owned(),
            arguments: Some(Arguments::parse(PAY.as_bytes()).unwrap()),
            named: vec!["US133000000121212121212".to_owned()],
            environment: "production".to_owned(),
            teams: teams.iter().map(|team| team.parse().unwrap()).collect(),
            ..Asked::default()
        };
        let agent = "spiffe://acme.example/agent/new".parse().unwrap();
        explain(&[&pack], &bundle, &agent, asked).unwrap()
    };
    let stranger = explained(&[]);
    assert!(!ids(&stranger).contains(&"pay-small"));
    assert_eq!(stranger.judgement.unwrap().cause, Cause::NoPermit);
    let seated = explained(&["billing"]);
    assert!(ids(&seated).contains(&"pay-small"));
    assert_eq!(seated.judgement.unwrap().verdict, Verdict::Permit);
}

#[test]
fn what_no_task_can_have_done_is_refused() {
    let pack = pack();
    let bundle = Arc::new(fixture::bundle(&[&pack]));
    let explained = |used: &[&str], calls| {
        let asked = Asked {
            tool: "bank/send_money".to_owned(),
            done: Done {
                used: used.iter().map(|tool| ((*tool).to_owned(), 0)).collect(),
                calls,
                ..Done::default()
            },
            ..Asked::default()
        };
        let agent = "spiffe://acme.example/agent/billing".parse().unwrap();
        explain(&[&pack], &bundle, &agent, asked)
    };
    let pay = "bank/send_money";
    assert!(explained(&[pay, pay], Some(2)).is_ok());
    let error = explained(&[pay, pay], Some(1)).unwrap_err();
    assert_eq!(error, ExplainError::Calls { calls: 1, used: 2 });
    let error = explained(&["bank/send_mony"], None).unwrap_err();
    assert_eq!(error, ExplainError::Used("bank/send_mony".to_owned()));
}
