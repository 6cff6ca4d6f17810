//! What a person reads and what a script reads is the same explanation.

use checkrein_shared::policy::template;

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
