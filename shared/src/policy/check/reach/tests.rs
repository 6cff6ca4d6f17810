//! A rule that never applies, or always, is warned of at the part that makes it so.

use crate::policy::{Finding, check, fixture};

const JSON: &str = r#"[
  {"name": "open", "inputSchema": {"type": "object", "required": ["file"], "properties": {"file": {"type": "string"}}}},
  {"name": "wait", "inputSchema": {"type": "object"}}
]"#;
const TOML: &str = r#"
[open]
effects = ["read"]
reversibility = "read_only"
yields = ["files"]
resource = { type = "File", id = "file" }
[wait]
effects = []
reversibility = "read_only"
"#;
const LABELS: &str = r#"@id("l") @yields("pii") permit (principal, action == Action::"c/open", resource)
  when { context.input.file like "hr/*" };"#;
const ENTITIES: &str = r#"[
  {"uid": {"type": "File", "id": "payroll"}, "attrs": {"sensitivity": "confidential"}, "parents": []},
  {"uid": {"type": "File", "id": "menu"}, "attrs": {"sensitivity": "public"}, "parents": []}
]"#;

fn found(rules: &str, entities: &str) -> Vec<Finding> {
    let pack = fixture::pack(
        "pack",
        &[
            ("catalog/c.json", JSON),
            ("catalog/c.toml", TOML),
            (
                "s.cedarschema",
                "entity File { sensitivity?: String }; entity Box;",
            ),
            ("entities.json", entities),
            ("labels.cedar", LABELS),
            ("rules.cedar", rules),
        ],
    );
    let findings = check(&[&pack]);
    findings
        .into_iter()
        .filter(|finding| finding.file != "tests")
        .collect()
}

/// The one thing that is found about a rule with this condition.
fn said(head: &str, condition: &str) -> Option<String> {
    let rule = format!("@id(\"r\")\n{head} (principal, action, resource)\nwhen {{ {condition} }};");
    let findings = found(&rule, ENTITIES);
    assert!(findings.len() <= 1, "{}", fixture::rendered(&findings));
    let finding = findings.first()?;
    assert!(!finding.is_error(), "{}", fixture::rendered(&findings));
    assert_eq!((finding.file.as_str(), finding.line), ("rules.cedar", 3));
    Some(format!("{} ({})", finding.message, finding.help))
}

#[test]
fn a_comparison_that_always_comes_out_the_same_is_shown_with_the_reason() {
    for (condition, expected) in [
        (
            "context.risk > 100",
            "`context.risk > 100` never holds in rule `r` (`context.risk` lies between 0 and 100)",
        ),
        (
            "context.risk >= 0",
            "`context.risk >= 0` always holds in rule `r` (`context.risk` lies between 0 and 100)",
        ),
        (
            "context.environment == \"x\" && context.task.sensitivity > 3",
            "`context.task.sensitivity > 3` never holds in rule `r` (`context.task.sensitivity` lies between 0 and 3)",
        ),
        (
            "context.chain.depth == 9",
            "`context.chain.depth == 9` never holds in rule `r` (`context.chain.depth` lies between 0 and 8)",
        ),
        (
            "context.task.reversibility >= 4",
            "`context.task.reversibility >= 4` never holds in rule `r` (`context.task.reversibility` lies between 0 and 3)",
        ),
        (
            "context.task.calls > -1",
            "`context.task.calls > -1` always holds in rule `r` (`context.task.calls` is never below 0)",
        ),
        ("1 > 2", "`1 > 2` never holds in rule `r` (both sides are fixed)"),
    ] {
        assert_eq!(
            said("forbid", condition).as_deref(),
            Some(expected),
            "{condition}"
        );
    }
}

#[test]
fn conditions_that_hold_for_every_call_or_for_none_are_warned_of() {
    let said = |condition| said("permit", condition).unwrap_or_default();
    assert!(said("true").starts_with("the conditions of rule `r` always hold"));
    assert!(
        said("true || context.environment == \"x\"").starts_with("the conditions of rule `r` always hold")
    );
    let never = found(
        "@id(\"r\") permit (principal, action, resource) when { false };",
        ENTITIES,
    );
    assert_eq!(
        never.len(),
        1,
        "by Cedar itself, and once: {}",
        fixture::rendered(&never)
    );
    assert!(never[0].message.contains("impossible"), "{}", never[0].message);
    assert!(said("if context.environment == \"x\" then true else true").contains("always hold"));
}

#[test]
fn a_label_that_nothing_here_yields_is_warned_of_and_the_others_are_not() {
    let asked = |word: &str| said("forbid", &format!("context.task.labels.contains(\"{word}\")"));
    for word in ["files", "pii", "confidential"] {
        assert_eq!(asked(word), None, "{word}");
    }
    let unknown = asked("pji").unwrap_or_default();
    assert!(
        unknown.starts_with("no tool here yields `pji`: only a caller could find it"),
        "{unknown}"
    );
    let restricted = asked("restricted").unwrap_or_default();
    assert!(
        restricted.contains("`restricted`"),
        "no entity is so sensitive: {restricted}"
    );
    let no_label = asked("PII").unwrap_or_default();
    assert!(
        no_label.starts_with("no task carries it: `PII` is not a label"),
        "{no_label}"
    );
    let any = said("forbid", "context.task.labels.containsAny([\"pii\", \"pji\"])").unwrap_or_default();
    assert!(any.contains("`pji`"), "{any}");
}

#[test]
fn what_makes_a_difference_is_not_warned_of() {
    for condition in [
        "context.risk >= 1 && context.risk > 99",
        "context.task.sensitivity >= 3",
        "context.chain.depth > 7",
        "context.task.calls > 0",
        "if context.environment == \"x\" then context.risk > 3 else true",
        "context.policy_age > duration(\"1m\")",
    ] {
        assert_eq!(said("forbid", condition), None, "{condition}");
    }
}

#[test]
fn a_scope_that_no_tool_has_a_resource_for_is_warned_of() {
    for scope in [
        "principal, action, resource is Box",
        "principal, action == Action::\"c/wait\", resource is File",
    ] {
        let findings = found(&format!("@id(\"r\") forbid ({scope});"), ENTITIES);
        assert!(!findings.is_empty(), "{scope}");
        assert!(
            findings.iter().all(|finding| !finding.is_error()),
            "{}",
            fixture::rendered(&findings)
        );
    }
}

#[test]
fn a_sensitivity_that_is_none_of_the_words_counts_as_restricted_and_is_said() {
    let odd = ENTITIES.replace("\"public\"", "\"secret\"");
    let rule = "@id(\"r\") forbid (principal, action, resource) when { context.task.labels.contains(\"restricted\") };";
    let findings = found(rule, &odd);
    let messages: Vec<_> = findings
        .iter()
        .map(|finding| (finding.line, finding.message.as_str()))
        .collect();
    assert_eq!(messages, [(3, "the sensitivity `secret` counts as `restricted`")]);
    assert!(!findings[0].is_error());
    assert_eq!(
        findings[0].help,
        "it is one of `public`, `internal`, `confidential`, `restricted`"
    );
}
