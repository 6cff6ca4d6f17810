//! What a call brings into its task is said by the catalog, by rules and by the resource, and no error loses a label.

use super::*;
use crate::grant::DataScope;
use crate::policy::trial::{Authority, Trial};
use crate::policy::{Pack, fixture};

const JSON: &str = r#"[
  {"name": "open", "inputSchema": {"type": "object", "required": ["file"],
    "properties": {"file": {"type": "string"}, "limit": {"type": "integer"}}}},
  {"name": "save", "inputSchema": {"type": "object", "required": ["file"], "properties": {"file": {"type": "string"}}}}
]"#;
const TOML: &str = r#"
[open]
effects = ["read"]
reversibility = "read_only"
yields = ["files"]
resource = { type = "File", id = "file" }
[save]
effects = ["write"]
reversibility = "reversible"
resource = { type = "File", id = "file" }
"#;
const SCHEMA: &str = "entity File { sensitivity?: String, level?: Long };";
const ENTITIES: &str = r#"[
  {"uid": {"type": "File", "id": "payroll"}, "attrs": {"sensitivity": "confidential"}, "parents": []},
  {"uid": {"type": "File", "id": "menu"}, "attrs": {"sensitivity": "public"}, "parents": []},
  {"uid": {"type": "File", "id": "odd"}, "attrs": {"sensitivity": "very"}, "parents": []}
]"#;
const PERMIT: &str = r#"@id("all") permit (principal, action, resource);"#;

fn pack(labels: &str) -> Pack {
    fixture::pack(
        "pack",
        &[
            ("catalog/c.json", JSON),
            ("catalog/c.toml", TOML),
            ("s.cedarschema", SCHEMA),
            ("entities.json", ENTITIES),
            ("rules.cedar", PERMIT),
            ("labels.cedar", labels),
        ],
    )
}

fn trial(tool: &str, arguments: &str) -> Trial {
    let authority = Authority {
        scope: vec!["c/*".to_owned()],
        ..Authority::default()
    };
    let arguments = crate::action::Arguments::parse(arguments.as_bytes()).unwrap();
    let agent = "spiffe://a.example/agent/ann".parse().unwrap();
    Trial::new(String::new(), agent, tool.to_owned(), arguments, authority, 0).unwrap()
}

fn words(judged: &Judgement) -> Vec<&str> {
    judged.yields.iter().map(Label::as_str).collect()
}

#[test]
fn the_catalog_rules_and_the_resource_together_say_what_a_call_brings() {
    let labels = r#"@id("many") @yields("bulk, pii") permit (principal, action == Action::"c/open", resource)
        when { context.input has limit && context.input.limit > 100 };"#;
    let bundle = fixture::bundle(&[&pack(labels)]);
    for (tool, arguments, expected) in [
        ("c/open", r#"{"file": "a"}"#, vec!["files"]),
        ("c/open", r#"{"file": "a", "limit": 100}"#, vec!["files"]),
        (
            "c/open",
            r#"{"file": "a", "limit": 101}"#,
            vec!["bulk", "files", "pii"],
        ),
        ("c/open", r#"{"file": "payroll"}"#, vec!["confidential", "files"]),
        ("c/open", r#"{"file": "menu"}"#, vec!["files"]),
        ("c/open", r#"{"file": "odd"}"#, vec!["files", "restricted"]),
        // What is written into a file tells the task nothing about it.
        ("c/save", r#"{"file": "payroll"}"#, vec![]),
    ] {
        let judged = trial(tool, arguments).judge(&bundle);
        assert_eq!(judged.verdict, Verdict::Permit);
        assert_eq!(words(&judged), expected, "{tool} {arguments}");
    }
}

#[test]
fn a_rule_that_labels_permits_nothing_and_labels_even_if_it_errs() {
    let labels = r#"@id("all-labels") @yields("pii") permit (principal, action, resource)
        when { resource.level > 1 };"#;
    let mut pack = pack(labels);
    let judged = trial("c/open", r#"{"file": "menu"}"#).judge(&fixture::bundle(&[&pack]));
    assert_eq!(words(&judged), ["files", "pii"], "`menu` has no level");
    assert_eq!(judged.rules, ["all"]);
    pack.rules.retain(|rule| rule.id != "all");
    let judged = trial("c/open", r#"{"file": "menu"}"#).judge(&fixture::bundle(&[&pack]));
    assert_eq!((judged.verdict, judged.cause), (Verdict::Deny, Cause::NoPermit));
}

#[test]
fn a_label_that_a_rule_finds_is_held_against_what_the_task_may_touch() {
    let labels = r#"@id("mine") @yields("pii") permit (principal, action, resource)
        when { context.input has limit };"#;
    let bundle = fixture::bundle(&[&pack(labels)]);
    let mut asked = trial("c/open", r#"{"file": "a", "limit": 1}"#);
    asked.grant.data = Some(DataScope::parse(["files"]).unwrap());
    let judged = asked.judge(&bundle);
    assert_eq!((judged.verdict, judged.cause), (Verdict::Deny, Cause::OutOfScope));
    asked.grant.data = Some(DataScope::parse(["files", "pii"]).unwrap());
    assert_eq!(asked.judge(&bundle).verdict, Verdict::Permit);
}

#[test]
fn how_much_a_call_gave_is_asked_about_once_it_is_known() {
    let labels = r#"@id("large") @yields("bulk") permit (principal, action == Action::"c/open", resource)
        when { context has result && (context.result.bytes > 1000 || (context.result has rows && context.result.rows > 10)) };"#;
    let pack = pack(labels);
    let errors: Vec<_> = crate::policy::check(&[&pack])
        .into_iter()
        .filter(crate::policy::Finding::is_error)
        .collect();
    assert!(errors.is_empty(), "{}", fixture::rendered(&errors));
    let bundle = fixture::bundle(&[&pack]);
    let asked = trial("c/open", r#"{"file": "a"}"#);
    let before = asked.judge(&bundle);
    let may: Vec<_> = before.may_yield.iter().map(Label::as_str).collect();
    assert_eq!((words(&before), may), (vec!["files"], vec!["bulk"]));
    for (bytes, rows, expected) in [
        (1_000, None, vec!["files"]),
        (1_001, None, vec!["bulk", "files"]),
        (1, Some(10), vec!["files"]),
        (1, Some(11), vec!["bulk", "files"]),
    ] {
        let after = bundle.judge(&Situation {
            result: Some(ResultSize { bytes, rows }),
            ..asked.situation()
        });
        assert_eq!(words(&after), expected, "{bytes} {rows:?}");
    }
    let other = trial("c/save", r#"{"file": "a"}"#).judge(&bundle);
    assert!(other.may_yield.is_empty(), "no rule labels what it gives");
    let largest = bundle.judge(&Situation {
        result: Some(ResultSize::MAX),
        ..asked.situation()
    });
    assert_eq!(words(&largest), ["bulk", "files"]);
}

#[test]
fn rules_that_label_and_rules_that_decide_are_kept_apart() {
    for (file, rule, said) in [
        (
            "rules.cedar",
            r#"@id("a") @yields("pii") permit (principal, action, resource);"#,
            "stands among rules that decide",
        ),
        ("labels.cedar", PERMIT, "decides nothing here"),
        (
            "labels.cedar",
            r#"@id("a") @yields("pii") forbid (principal, action, resource);"#,
            "would forbid, too",
        ),
        (
            "labels.cedar",
            r#"@id("a") @yields("PII") permit (principal, action, resource);"#,
            "`PII` is not a label",
        ),
        (
            "labels.cedar",
            r#"@id("a") @yields("pii") @hold("people") permit (principal, action, resource);"#,
            "says nothing beside `@yields`",
        ),
    ] {
        let findings = fixture::refusal(&[("catalog/c.json", JSON), ("catalog/c.toml", TOML), (file, rule)]);
        assert!(
            findings.iter().any(|finding| finding.message.contains(said)),
            "{rule}: {}",
            fixture::rendered(&findings)
        );
    }
}
