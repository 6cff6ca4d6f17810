//! What a rule is asked about is the call, the grant and the clock, and a resource is never guessed.

use super::*;
use crate::decision::{Cause, Verdict};
use crate::grant::DataScope;
use crate::policy::trial::{Authority, Trial};
use crate::policy::{Bundle, Pack, fixture};

const JSON: &str = r#"[
  {"name": "take", "inputSchema": {"type": "object", "required": ["n"],
    "properties": {"n": {"type": "integer"}, "x": {"type": "number"}}}},
  {"name": "pick", "inputSchema": {"type": "object",
    "properties": {"which": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}},
  {"name": "seal", "inputSchema": {"type": "object",
    "properties": {"payload": {"type": "object", "properties": {"pin": {"type": "string"}}}}}}
]"#;
const TOML: &str = r#"
[take]
effects = ["write"]
reversibility = "reversible"
yields = ["pii"]
resource = { type = "Slot", id = "n" }
[pick]
effects = ["write"]
reversibility = "reversible"
resource = { type = "Slot", id = "which" }
[seal]
effects = ["write"]
reversibility = "reversible"
secret = ["payload"]
"#;

fn pack(rules: &str) -> Pack {
    fixture::pack(
        "pack",
        &[
            ("catalog/c.json", JSON),
            ("catalog/c.toml", TOML),
            ("rules.cedar", rules),
        ],
    )
}

fn trial(tool: &str, arguments: &str) -> Trial {
    let authority = Authority {
        user: "ann".to_owned(),
        scope: vec!["c/*".to_owned()],
        data: None,
        named: vec!["1".to_owned()],
        intent: "tidy up".to_owned(),
        environment: "production".to_owned(),
        risk: 0,
        delegated_by: Vec::new(),
        ledger: crate::ledger::Ledger::default(),
        pedigree: crate::ledger::Pedigree::default(),
    };
    let arguments = crate::action::Arguments::parse(arguments.as_bytes()).unwrap();
    let agent = "spiffe://a.example/agent/ann".parse().unwrap();
    Trial::new(
        String::new(),
        agent,
        tool.to_owned(),
        arguments,
        authority,
        1_700_000_000_000,
    )
    .unwrap()
}

/// Rules here compare with the one value that is expected, which no rule of a pack may: they are held to their types alone.
fn bundle(rules: &str) -> Bundle {
    let pack = pack(rules);
    let is_about_types = |finding: &crate::policy::Finding| !finding.message.contains("monotone");
    let errors: Vec<_> = crate::policy::check(&[&pack])
        .into_iter()
        .filter(|finding| finding.is_error() && is_about_types(finding))
        .collect();
    assert!(errors.is_empty(), "{}", fixture::rendered(&errors));
    fixture::bundle(&[&pack])
}

#[test]
fn rules_read_the_task_the_user_the_place_and_the_time() {
    let rules = r#"@id("all") permit (principal == Agent::"spiffe://a.example/agent/ann", action, resource == Slot::"1")
      when {
        context.task.id like "task_*" && context.task.intent == "tidy up" && context.task.scope == ["c/*"] &&
        context.task.age == duration("5m") && context.task.risk == 75 &&
        context.task has data && context.task.data == ["pii", "public"] && context.tool.yields == ["pii"] && context.user == User::"ann" && context.environment == "production" &&
        context.now > datetime("2023-11-14T22:13:19Z") && context.now < datetime("2023-11-14T22:13:21Z") &&
        context.policy_age == duration("7s") && context.arguments_from_intent == ["n"] &&
        context.input has n && context.input.n == 1
      };"#;
    let bundle = bundle(rules);
    let mut trial = trial("c/take", r#"{"n": 1.0, "x": 2}"#);
    trial.grant.issued_ms = 1_700_000_000_000 - 300_000;
    trial.grant.limits.risk = 75;
    trial.grant.data = Some(DataScope::parse(["public", "pii"]).unwrap());
    let situation = Situation {
        policy_age_ms: 7_000,
        ..trial.situation()
    };
    assert_eq!(bundle.judge(&situation).rules, ["all"]);
    let later = Situation {
        policy_age_ms: 7_001,
        ..situation
    };
    assert!(bundle.judge(&later).rules.is_empty());
}

#[test]
fn rules_read_what_the_task_has_done() {
    let rules = r#"@id("all") permit (principal, action, resource)
      when {
        context.task.labels == ["pii", "restricted"] && context.task.sensitivity == 3 && context.task.calls == 3 &&
        context.task.reversibility == 2 && context.task.used has "c/take" && context.task.used["c/take"].times == 2 &&
        context.risk == 40 && context.task.used["c/take"].ago == duration("90s") && !(context.task.used has "c/pick")
      };"#;
    let bundle = bundle(rules);
    let mut trial = trial("c/take", r#"{"n": 1.0, "x": 2}"#);
    assert_eq!(
        trial.judge(&bundle).cause,
        Cause::NoPermit,
        "it has done nothing yet"
    );
    trial.ledger.labels = ["pii", "restricted"].map(|word| word.parse().unwrap()).into();
    for (tool, class, ago_ms) in [
        ("c/take", Reversibility::ExternallyReversible, 90_000),
        ("c/take", Reversibility::ReadOnly, 95_000),
        ("elsewhere/tool", Reversibility::ReadOnly, 1_000),
    ] {
        trial.ledger.count(tool, class, trial.now_ms - ago_ms);
    }
    let judged = trial.judge(&bundle);
    assert_eq!(
        (judged.rules.as_slice(), judged.reads_ledger),
        (&["all".to_owned()][..], true)
    );
}

#[test]
fn a_call_that_a_rule_would_judge_by_a_ledger_nobody_knows_is_denied() {
    let permits = r#"@id("all") permit (principal, action, resource);"#;
    let sink = r#"@id("sink") forbid (principal, action == Action::"c/take", resource) when { context.task.labels.contains("pii") };"#;
    let bundle = bundle(&format!("{permits}\n{sink}"));
    let judge = |tool: &str, arguments: &str, known: bool| {
        let trial = trial(tool, arguments);
        let situation = trial.situation();
        bundle.judge(&Situation {
            ledger: situation.ledger.filter(|_| known),
            ..situation
        })
    };
    let unknown = judge("c/take", r#"{"n": 1}"#, false);
    assert_eq!(
        (unknown.verdict, unknown.cause),
        (Verdict::Deny, Cause::LedgerUnknown)
    );
    assert!(
        unknown.reads_ledger,
        "whoever can ask for it knows that it is worth it"
    );
    assert_eq!(judge("c/take", r#"{"n": 1}"#, true).verdict, Verdict::Permit);
    let unread = judge("c/pick", r#"{"which": "1"}"#, false);
    assert_eq!(
        (unread.verdict, unread.reads_ledger),
        (Verdict::Permit, false),
        "no rule about it asks"
    );
}

#[test]
fn a_task_that_may_touch_any_data_says_nothing_of_it_and_a_rule_that_reads_it_all_the_same_errs() {
    let rules = r#"@id("all") permit (principal, action, resource) unless { context.task has data };"#;
    let open = trial("c/take", r#"{"n": 1}"#);
    assert_eq!(open.judge(&bundle(rules)).rules, ["all"]);
    let mut closed = open.clone();
    closed.grant.data = Some(DataScope::parse(["pii"]).unwrap());
    assert_eq!(closed.judge(&bundle(rules)).cause, Cause::NoPermit);
    let unasked = pack(
        r#"@id("all") permit (principal, action, resource);
        @id("no") forbid (principal, action, resource) when { context.task.data.contains("pii") };"#,
    );
    let findings = crate::policy::check(&[&unasked]);
    assert!(
        findings.iter().any(crate::policy::Finding::is_error),
        "a push is refused"
    );
    let judged = open.judge(&fixture::bundle(&[&unasked]));
    assert_eq!((judged.verdict, judged.cause), (Verdict::Deny, Cause::RuleErred));
}

#[test]
fn a_call_that_does_not_name_its_resource_is_denied_even_if_the_catalog_lets_it() {
    let bundle = bundle("@id(\"all\") permit (principal, action, resource);");
    for arguments in ["{}", r#"{"which":null}"#] {
        let judged = trial("c/pick", arguments).judge(&bundle);
        assert_eq!(
            (judged.verdict, judged.cause),
            (Verdict::Deny, Cause::InvalidArguments),
            "{arguments}"
        );
        assert_eq!(
            judged.reason,
            "argument `which` names the resource, and is missing"
        );
    }
    assert_eq!(
        trial("c/pick", r#"{"which":""}"#).judge(&bundle).verdict,
        Verdict::Permit
    );
}

#[test]
fn a_denial_says_nothing_of_what_is_inside_a_secret_argument() {
    let bundle = bundle("@id(\"all\") permit (principal, action, resource);");
    let judged = trial("c/seal", r#"{"payload":{"hunter2":1}}"#).judge(&bundle);
    assert_eq!(judged.cause, Cause::InvalidArguments);
    assert_eq!(
        judged.reason,
        "argument `payload` is not built as the catalog says"
    );
}

#[test]
fn a_number_names_one_resource_however_it_is_written() {
    let bundle = bundle("@id(\"ten\") permit (principal, action, resource == Slot::\"10\");");
    for n in ["10", "10.0", "1e1"] {
        assert_eq!(
            trial("c/take", &format!("{{\"n\":{n}}}")).judge(&bundle).verdict,
            Verdict::Permit,
            "{n}"
        );
    }
    let judged = trial("c/take", r#"{"n":1e300}"#).judge(&bundle);
    assert_eq!(judged.cause, Cause::InvalidArguments);
}

#[test]
fn an_inexact_number_denies_exactly_where_a_rule_of_its_scope_reads_it() {
    let reading = r#"@id("all") permit (principal, action, resource);
      @id("x") forbid (principal, action == Action::"c/take", resource == Slot::"1")
      when { context.input has x && context.input.x.greaterThan(decimal("2.0")) };"#;
    let bundle = bundle(reading);
    let judged = trial("c/take", r#"{"n":1,"x":2.00004}"#).judge(&bundle);
    assert_eq!(
        (judged.verdict, judged.cause),
        (Verdict::Deny, Cause::InvalidArguments)
    );
    assert!(judged.reason.contains("`x`"), "{}", judged.reason);
    assert_eq!(
        trial("c/take", r#"{"n":2,"x":2.00004}"#).judge(&bundle).verdict,
        Verdict::Permit
    );
    assert_eq!(
        trial("c/take", r#"{"n":1,"x":2.0000}"#).judge(&bundle).verdict,
        Verdict::Permit
    );
    assert_eq!(
        trial("c/take", r#"{"n":1,"x":2.0001}"#).judge(&bundle).cause,
        Cause::Forbidden
    );
}
