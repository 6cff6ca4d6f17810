//! What a person reads and what a script reads is the same explanation.

use checkrein_shared::policy::{PackSource, template};

use super::*;
use crate::cli::output::Paint;

fn explained(tool: &str, arguments: Option<&str>) -> View {
    let pack = Pack::parse(&template("mail", "acme.example")).unwrap();
    let bundle = Arc::new(bundle(std::slice::from_ref(&pack)).unwrap());
    let asked = Asked {
        tool: tool.to_owned(),
        arguments: arguments.map(|json| values::arguments(json).unwrap()),
        labels: ["untrusted_content".parse().unwrap()].into(),
        risk: 10,
        ..Asked::default()
    };
    let agent = "spiffe://acme.example/agent/assistant".parse().unwrap();
    View::of(tool, &explain(&[&pack], &bundle, &agent, asked).unwrap())
}

#[test]
fn an_explanation_says_tier_risk_rules_and_verdict_and_why() {
    let view = explained(
        "mail/send",
        Some(r#"{"to": "eve@evil.example", "subject": "x", "body": "y"}"#),
    );
    let text = text::of(&view, Paint::new(false));
    for said in [
        "mail/send  full tier\n",
        "because  its effect `send`",
        "policy   at most 30 s old",
        "denies while the control plane can't be reached",
        "20      untrusted      the task has read what others wrote",
        "never below the task's floor of 10",
        "send-unnamed  hold for office",
        "\nhold\n",
        "waits for  office",
    ] {
        assert!(text.contains(said), "{said:?} is not in\n{text}");
    }
    let json = serde_json::to_value(&view).unwrap();
    assert_eq!(json["tier"]["tier"], "full");
    assert_eq!(json["judgement"]["verdict"], "hold");
    let points = json["risk"]["terms"].as_array().unwrap().iter();
    let sum: u64 = points.map(|term| term["points"].as_u64().unwrap()).sum();
    assert_eq!(json["risk"]["risk"].as_u64(), Some(sum));
}

#[test]
fn without_arguments_there_is_no_verdict_and_the_rest_is_said() {
    let view = explained("mail/search", None);
    let text = text::of(&view, Paint::new(false));
    assert!(text.contains("mail/search  light tier"), "{text}");
    assert!(text.contains("no verdict without arguments"), "{text}");
}

#[test]
fn an_unknown_tool_is_explained_as_the_worst_there_is() {
    let view = explained("mail/nothing", None);
    let text = text::of(&view, Paint::new(false));
    for said in [
        "full tier",
        "no catalog here knows it",
        "\ndeny\n",
        "unknown_tool",
    ] {
        assert!(text.contains(said), "{said:?} is not in\n{text}");
    }
}

#[test]
fn a_pattern_is_no_tool_and_text_is_no_arguments() {
    assert!(values::one_tool("mail/*").is_err());
    assert!(values::one_tool("mail").is_err());
    assert!(values::arguments("[]").is_err());
    assert!(values::arguments(r#"{"a": 1, "a": 2}"#).is_err());
}

/// The rules of the desk: one about the call, one about the ledger, one about where its argument came from.
fn desk(done: Done) -> View {
    let files = [
        ("checkrein.toml", "namespace = \"org\"\n"),
        (
            "catalog/desk.json",
            r#"[{"name": "pay", "inputSchema": {"type": "object", "required": ["to"], "properties": {"to": {"type": "string"}}}}]"#,
        ),
        (
            "catalog/desk.toml",
            "pay = { effects = [\"spend\"], reversibility = \"irreversible\", cost = { money = 5 } }",
        ),
        (
            "labels.cedar",
            r#"@id("big") @yields("pii") permit (principal, action, resource) when { context has result && context.result.rows > 9 };"#,
        ),
        (
            "rules.cedar",
            r#"
@id("any") permit (principal, action, resource);
@id("here") forbid (principal, action, resource) unless { context.environment == "production" };
@id("stranger") forbid (principal, action, resource) when { context.arguments_from.untrusted.contains("to") };
@id("spent") forbid (principal, action, resource) when { context.task.spent.money.greaterThan(decimal("40.0")) };
@id("twice") forbid (principal, action, resource) when { context.task.used has "desk/pay" && context.task.used["desk/pay"].times >= 2 };
@id("much") forbid (principal, action, resource) when { context.task.calls > 7 };"#,
        ),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
    let source = checkrein_shared::policy::PackSource {
        name: "desk".to_owned(),
        files: files.into(),
    };
    let pack = Pack::parse(&source).unwrap();
    let bundle = Arc::new(bundle(std::slice::from_ref(&pack)).unwrap());
    let asked = Asked {
        tool: "desk/pay".to_owned(),
        arguments: Some(values::arguments(r#"{"to": "GB29NWBK60161331926819"}"#).unwrap()),
        environment: "production".to_owned(),
        done,
        ..Asked::default()
    };
    let agent = "spiffe://acme.example/agent/clerk".parse().unwrap();
    View::of("desk/pay", &explain(&[&pack], &bundle, &agent, asked).unwrap())
}

#[test]
fn each_rule_says_what_it_asks() {
    let view = desk(Done::default());
    let text = text::of(&view, Paint::new(false));
    let asked = |rule: &str| {
        let line = text
            .lines()
            .find(|line| line.split_whitespace().next() == Some(rule));
        let line = line
            .unwrap_or_else(|| panic!("`{rule}` is not in\n{text}"))
            .trim_end();
        line.rsplit("  ").next().unwrap_or_default().to_owned()
    };
    assert_eq!(asked("stranger"), "where arguments came from");
    assert_eq!(asked("twice"), "the ledger");
    assert_eq!(asked("here"), "the call");
    assert_eq!(asked("big"), "the result");
    let json = serde_json::to_value(&view).unwrap();
    let rules = json["rules"].as_array().unwrap();
    let asking = rules
        .iter()
        .filter(|rule| rule["asks"] == serde_json::json!(["arguments_from"]));
    let names: Vec<_> = asking.map(|rule| rule["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["stranger"]);
}

#[test]
fn a_call_is_explained_after_what_its_task_has_done() {
    let pay = |ago: u64| ("desk/pay".to_owned(), ago);
    let money = |amount: u64| Amounts::default().with(Meter::Money, amount);
    let account = || vec!["GB29NWBK60161331926819".to_owned()];
    let cases = [
        (Done::default(), "permit", ""),
        (
            Done {
                used: vec![pay(0)],
                ..Done::default()
            },
            "permit",
            "",
        ),
        (
            Done {
                used: vec![pay(300_000), pay(0)],
                ..Done::default()
            },
            "deny",
            "twice",
        ),
        (
            Done {
                calls: Some(8),
                ..Done::default()
            },
            "deny",
            "much",
        ),
        (
            Done {
                spent: money(400_000),
                ..Done::default()
            },
            "permit",
            "",
        ),
        (
            Done {
                spent: money(400_001),
                ..Done::default()
            },
            "deny",
            "spent",
        ),
        (
            Done {
                trusted: account(),
                ..Done::default()
            },
            "permit",
            "",
        ),
        (
            Done {
                untrusted: account(),
                ..Done::default()
            },
            "deny",
            "stranger",
        ),
    ];
    for (done, verdict, rule) in cases {
        let said = format!("{done:?}");
        let judgement = desk(done).judgement.unwrap();
        assert_eq!(judgement.verdict, verdict, "{said}");
        if verdict == "deny" {
            assert_eq!(judgement.rules, [rule], "{said}");
        }
    }
}

#[test]
fn what_no_task_can_have_done_is_refused() {
    assert_eq!(values::used("crm/search").unwrap(), ("crm/search".to_owned(), 0));
    assert_eq!(
        values::used("crm/search=5m").unwrap(),
        ("crm/search".to_owned(), 300_000)
    );
    for odd in ["crm", "crm/*", "crm/search=", "crm/search=soon"] {
        assert!(values::used(odd).is_err(), "{odd}");
    }
}

/// A tool that costs something, under this rule beside.
fn dear(effects: &str, rule: &str) -> View {
    let notes = format!("[ask]\n{effects}\ncost = {{ model_calls = 1, tokens = 4000 }}\n");
    let rules = format!("@id(\"all\") permit (principal, action, resource);\n{rule}");
    let files = [
        ("checkrein.toml", "namespace = \"org\"\n"),
        (
            "catalog/model.json",
            r#"[{"name": "ask", "inputSchema": {"type": "object"}}]"#,
        ),
        ("catalog/model.toml", &notes),
        ("rules.cedar", &rules),
    ];
    let source = PackSource {
        name: "model".to_owned(),
        files: files
            .map(|(path, text)| (path.to_owned(), text.into()))
            .into_iter()
            .collect(),
    };
    let pack = Pack::parse(&source).unwrap();
    let bundle = Arc::new(bundle(std::slice::from_ref(&pack)).unwrap());
    let asked = Asked {
        tool: "model/ask".to_owned(),
        ..Asked::default()
    };
    let agent = "spiffe://acme.example/agent/assistant".parse().unwrap();
    View::of("model/ask", &explain(&[&pack], &bundle, &agent, asked).unwrap())
}

#[test]
fn what_a_call_costs_is_said_and_who_pays_it() {
    const READS: &str = "effects = [\"read\"]\nreversibility = \"read_only\"";
    const SENDS: &str = "effects = [\"send\"]\nreversibility = \"irreversible\"";
    let looking = r#"@id("once") forbid (principal, action, resource) when { context.task.calls > 5 };"#;
    for (effects, rule, paid) in [
        (READS, "", "from a slice of the budgets that it holds"),
        (READS, looking, "with a confirmation of each call"),
        (SENDS, "", "with the confirmation of the call"),
    ] {
        let view = dear(effects, rule);
        let text = text::of(&view, Paint::new(false));
        assert!(
            text.contains("tokens and model_calls, paid") && text.contains(paid),
            "{text}"
        );
        assert_eq!(serde_json::to_value(&view).unwrap()["tier"]["costs"][0], "tokens");
    }
    assert!(!text::of(&explained("mail/search", None), Paint::new(false)).contains("costs"));
}

#[test]
fn that_a_call_can_not_be_stopped_is_said_with_what_compensates() {
    let effects = "effects = [\"trigger\"]\nreversibility = \"reversible\"\nunstoppable = \"its token is good for ten minutes\"";
    let view = dear(effects, "");
    let text = text::of(&view, Paint::new(false));
    assert!(
        text.contains("what compensates: its token is good for ten minutes"),
        "{text}"
    );
    let json = serde_json::to_value(&view).unwrap();
    assert_eq!(json["tier"]["unstoppable"], "its token is good for ten minutes");
    assert!(!text::of(&explained("mail/search", None), Paint::new(false)).contains("stopping"));
}
