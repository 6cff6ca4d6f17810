//! A tool is in the catalog only as a person described it, and its tier follows from that.

use super::*;
use crate::policy::{Finding, Pack, fixture};

const TOOLS: &str = r#"{"name": "move", "inputSchema": {"type": "object", "required": ["to"],
  "properties": {"to": {"type": "string"}, "via": {"type": "string"}, "many": {"type": "array"}, "n": {"type": "number"}}}}"#;

fn catalog(json: &str, toml: &str) -> Result<Pack, Vec<Finding>> {
    Pack::parse(&fixture::source(
        "pack",
        &[("catalog/c.json", json), ("catalog/c.toml", toml)],
    ))
}

fn tool(effects: &[Effect], reversibility: Reversibility) -> Tool {
    Tool {
        id: "c/move".to_owned(),
        effects: effects.iter().copied().collect(),
        reversibility,
        resource: Some(ResourceSpec {
            entity_type: "Account".to_owned(),
            argument: "to".to_owned(),
        }),
        secret: Vec::new(),
        yields: BTreeSet::new(),
        trust: None,
        cost: Cost::new(),
        fails_without_effect: false,
        unstoppable: None,
        definition: Sha256::default(),
        arguments: RecordType::default(),
    }
}

#[test]
fn tools_are_read_in_each_form_that_tools_list_comes_in() {
    let toml = "[move]\neffects = [\"write\"]\nreversibility = \"reversible\"\n";
    let forms = [
        format!("[{TOOLS}]"),
        format!("{{\"tools\": [{TOOLS}], \"nextCursor\": null}}"),
        format!("{{\"jsonrpc\": \"2.0\", \"id\": 1, \"result\": {{\"tools\": [{TOOLS}]}}}}"),
    ];
    let tools: Vec<_> = forms
        .iter()
        .map(|json| catalog(json, toml).unwrap().tools[0].clone())
        .collect();
    assert!(tools.iter().all(|tool| *tool == tools[0]));
    assert_eq!(tools[0].id, "c/move");
}

#[test]
fn the_definition_s_hash_changes_with_its_meaning_and_not_with_its_form() {
    let toml = "[move]\neffects = [\"write\"]\nreversibility = \"reversible\"\n";
    let hash = |json: &str| catalog(json, toml).unwrap().tools[0].definition;
    let tidy = hash(&format!("[{TOOLS}]"));
    assert_eq!(tidy, hash(&format!("[{}]", TOOLS.replace(": ", ":\n"))));
    assert_ne!(tidy, hash(&format!("[{}]", TOOLS.replace("\"n\":", "\"m\":"))));
}

fn entry(more: &str) -> String {
    format!("[move]\neffects = [\"write\"]\nreversibility = \"reversible\"\n{more}\n")
}

fn yields(count: usize) -> String {
    let words: Vec<String> = (0..count).map(|at| format!("\"l{at}\"")).collect();
    format!("yields = [{}]", words.join(", "))
}

#[test]
fn a_tool_yields_what_its_entry_says_and_nothing_if_it_says_nothing() {
    let yielded = |more: &str| -> Vec<String> {
        let pack = catalog(&format!("[{TOOLS}]"), &entry(more)).unwrap();
        pack.tools[0].yields.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        yielded("yields = [\"untrusted_content\", \"pii\"]"),
        ["pii", "untrusted_content"]
    );
    assert!(yielded("").is_empty());
    assert!(yielded("yields = []").is_empty());
    assert_eq!(yielded(&yields(YIELDS_MAX)).len(), YIELDS_MAX);
}

fn assert_finding(result: Result<Pack, Vec<Finding>>, file: &str, line: u32, said: &str) {
    let findings = result.unwrap_err();
    let is_it =
        |finding: &Finding| finding.file == file && finding.line == line && finding.message.contains(said);
    assert!(
        findings.iter().any(is_it),
        "{said}: {}",
        fixture::rendered(&findings)
    );
}

#[test]
fn what_is_wrong_with_an_entry_is_shown_at_its_place() {
    let json = format!("[{TOOLS}]");
    for (toml, line, said) in [
        (&*entry("colour = 1"), 4, "unknown field `colour`"),
        (
            "[move]\neffects = [\"sned\"]\nreversibility = \"reversible\"",
            2,
            "unknown variant `sned`",
        ),
        ("[move]\neffects = [\"send\"]", 1, "missing field `reversibility`"),
        (
            "[move]\neffects = [\"send\"]\nreversibility = \"read_only\"",
            3,
            "can't have the effect `send`",
        ),
        (
            &entry("resource = { type = \"Account\", id = \"nowhere\" }"),
            4,
            "no argument `nowhere`",
        ),
        (
            &entry("resource = { type = \"a-b\", id = \"to\" }"),
            4,
            "can't be the name of an entity type",
        ),
        (
            &entry("resource = { type = \"Action\", id = \"to\" }"),
            4,
            "can't be the name",
        ),
        (
            &entry("resource = { type = \"Account\", id = \"many\" }"),
            4,
            "can't be the id of a resource",
        ),
        (&entry("secret = [\"pin\"]"), 4, "no argument `pin`"),
        (&entry("yields = [\"pii\", \"PII\"]"), 4, "`PII` is not a label"),
        (&entry("yields = [\"\"]"), 4, "`` is not a label"),
        (&entry("yields = [\"pii\",\n\"pii\"]"), 5, "`pii` stands twice"),
        (&entry(&yields(YIELDS_MAX + 1)), 4, "more than 32 labels"),
        (&entry("yields = \"pii\""), 4, "invalid type"),
        (
            &entry("[copy]\neffects = []\nreversibility = \"read_only\""),
            4,
            "does not list `copy`",
        ),
    ] {
        assert_finding(catalog(&json, toml), "catalog/c.toml", line, said);
    }
}

#[test]
fn what_is_wrong_with_a_definition_is_shown_at_its_place() {
    let json = format!("[{TOOLS}]");
    let with = |from: &str, to: &str| json.replacen(from, to, 1);
    for (json, line, said) in [
        ("{\n}".to_owned(), 1, "no member `tools`"),
        ("[\n{]".to_owned(), 2, "not a list of tools"),
        (with("\"move\"", "\"mo ve\""), 1, "`mo ve` can't be the name"),
        (with("\"move\"", "\"move\", \"name\": \"x\""), 1, "stands twice"),
        (with("\"array\"", "\"list\""), 1, "argument types of `move`"),
        (
            with("{\"type\": \"array\"}", "{\"$ref\": \"#/$defs/X\"}"),
            1,
            "`#/$defs/X` is not defined",
        ),
        (format!("[{TOOLS},\n{TOOLS}]"), 3, "listed twice"),
    ] {
        assert_finding(catalog(&json, &entry("")), "catalog/c.json", line, said);
    }
}

#[test]
fn an_optional_resource_and_an_uncatalogued_tool_are_warned_of() {
    let toml =
        "[move]\neffects = []\nreversibility = \"reversible\"\nresource = { type = \"A\", id = \"via\" }";
    let json = format!("[{TOOLS}, {}]", TOOLS.replace("\"move\"", "\"other\""));
    let pack = catalog(&json, toml).unwrap();
    let messages: Vec<_> = pack
        .warnings
        .iter()
        .map(|warning| warning.message.as_str())
        .collect();
    assert_eq!(
        messages,
        [
            "`via` is optional: calls of `c/move` without it will be denied",
            "`c/other` is not catalogued: every call of it will be denied",
        ]
    );
}

#[test]
fn a_denial_covers_the_tool_and_the_value_of_its_resource() {
    let masked = |text: &str| MaskedArguments(text.to_owned());
    let tool = tool(&[Effect::Send], Reversibility::Irreversible);
    assert_eq!(
        tool.denial_class(&masked(r#"{"amount":1,"to":"US13"}"#)),
        r#"c/move to="US13""#
    );
    assert_eq!(
        tool.denial_class(&masked(r#"{"to":{"masked":"ab"}}"#)),
        r#"c/move to={"masked":"ab"}"#
    );
    let classes = ["10", "10.0", "1e1"].map(|n| tool.denial_class(&masked(&format!("{{\"to\":{n}}}"))));
    assert!(
        classes.iter().all(|class| class == "c/move to=10.0000"),
        "{classes:?}"
    );
    assert_eq!(tool.denial_class(&masked("{}")), "c/move to=null");
    assert_eq!(tool.denial_class(&masked("not json")), "c/move");
    assert_eq!(
        Tool {
            resource: None,
            ..tool
        }
        .denial_class(&masked(r#"{"to":"x"}"#)),
        "c/move"
    );
}

#[test]
fn a_tool_that_can_not_be_stopped_says_what_compensates_or_is_refused() {
    let toml = |text: &str| {
        format!("[move]\neffects = [\"trigger\"]\nreversibility = \"reversible\"\nunstoppable = {text}\n")
    };
    let json = format!("[{TOOLS}]");
    let read = catalog(&json, &toml("\"its token is good for ten minutes\"")).unwrap();
    let warning = read.tools[0].warning().unwrap();
    assert!(
        warning.contains("can't be stopped") && warning.ends_with("its token is good for ten minutes"),
        "{warning}"
    );
    let long = format!("\"{}\"", "x".repeat(201));
    for nothing in ["\"\"", "\" \"", "true", "\"a\\nb\"", &long] {
        assert!(catalog(&json, &toml(nothing)).is_err(), "{nothing}");
    }
}
