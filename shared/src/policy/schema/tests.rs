//! Every tool has types that rules can be held to, and what rules are asked about is what the types say.

use cedar_policy_core::ast::Request;
use cedar_policy_core::extensions::Extensions;
use proptest::prelude::*;

use super::*;
use crate::action::Arguments;
use crate::policy::argument::{ArgumentType, RecordType, Scalar};
use crate::policy::request::{Known, Question};
use crate::policy::trial::{Authority, Trial};
use crate::policy::{Bundle, check, fixture};
use crate::policy::{ResultSize, Situation};

const WORKSPACE: &str = include_str!("../fixtures/agentdojo/workspace.json");
const BANKING: &str = include_str!("../fixtures/agentdojo/banking.json");
/// Names that are no identifiers, words that Cedar reserves, every kind of type.
const AWKWARD: &str = r##"{"result": {"tools": [
  {"name": "every-kind.of/type", "inputSchema": {
    "type": "object",
    "$defs": {
      "Level": {"type": "string", "enum": ["low level", "high"]},
      "Tree": {"type": "object", "properties": {"in": {"$ref": "#/$defs/Tree"}, "size": {"type": "integer"}}}
    },
    "required": ["in", "is", "level"],
    "properties": {
      "in": {"type": "integer"},
      "is": {"type": "boolean"},
      "level": {"$ref": "#/$defs/Level"},
      "levels": {"type": "array", "items": {"$ref": "#/$defs/Level"}},
      "a name with spaces": {"type": "string"},
      "ünïcode": {"type": "number"},
      "when": {"type": "string", "format": "date-time"},
      "how-long": {"type": "string", "format": "duration"},
      "where": {"type": "string", "format": "ipv4"},
      "nothing": {"type": "null"},
      "anything": {},
      "tree": {"$ref": "#/$defs/Tree"},
      "either": {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "object", "properties": {"x": {"type": "boolean"}}}]},
      "maybe": {"type": ["string", "null"]},
      "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false},
      "map": {"type": "object", "additionalProperties": {"type": "integer"}},
      "open": {"type": "object"},
      "records": {"type": "array", "items": {"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string", "enum": ["a", "b"]}}}}
    }}},
  {"name": "every_kind_of_type", "inputSchema": {"type": "object"}}
]}}"##;

fn toml(json: &str) -> String {
    let value: Value = serde_json::from_str(json).unwrap();
    let tools = value.get("result").unwrap_or(&value)["tools"]
        .as_array()
        .unwrap()
        .clone();
    let entry = |tool: Value| {
        format!(
            "[\"{}\"]\neffects = [\"write\"]\nreversibility = \"reversible\"\n",
            tool["name"].as_str().unwrap()
        )
    };
    tools.into_iter().map(entry).collect()
}

fn pack(name: &str, json: &str) -> Pack {
    let (json_file, toml_file) = (format!("catalog/{name}.json"), format!("catalog/{name}.toml"));
    let rules = format!("@id(\"{name}\") permit (principal, action, resource);");
    fixture::pack(
        name,
        &[
            (&json_file, json),
            (&toml_file, &toml(json)),
            ("rules.cedar", &rules),
        ],
    )
}

#[test]
fn every_tool_of_the_suites_is_accepted_and_has_a_strict_type() {
    for (name, json, count) in [
        ("workspace", WORKSPACE, 24),
        ("banking", BANKING, 11),
        ("awkward", AWKWARD, 2),
    ] {
        let pack = pack(name, json);
        assert_eq!(pack.tools().len(), count);
        let errors: Vec<_> = check(&[&pack]).into_iter().filter(Finding::is_error).collect();
        assert!(errors.is_empty(), "{}", fixture::rendered(&errors));
    }
}

#[test]
fn a_type_that_nobody_declares_is_an_error_at_its_place() {
    let good = fixture::pack("good", &[("types.cedarschema", "entity Region;\n")]);
    for (text, line, column, name) in [
        ("entity Land;\n\nentity Account in [Nowhere];\n", 3, 20, "Nowhere"),
        (
            "entity Account {\n  home: Region,\n  level: Lnog,\n};\n",
            3,
            10,
            "Lnog",
        ),
        ("type Kind = { of: Sort };\n", 1, 19, "Sort"),
    ] {
        let bad = fixture::pack("bad", &[("own.cedarschema", text)]);
        let findings: Vec<_> = check(&[&good, &bad])
            .into_iter()
            .filter(Finding::is_error)
            .collect();
        let [finding] = findings.as_slice() else {
            panic!("not one finding: {}", fixture::rendered(&findings));
        };
        assert_eq!(
            (finding.file.as_str(), finding.line, finding.column),
            ("bad/own.cedarschema", line, column),
            "{}",
            finding.rendered
        );
        assert!(finding.message.contains(name), "{}", finding.rendered);
    }
}

#[test]
fn rules_read_arguments_of_any_name_with_their_types() {
    let rules = r#"
        @id("typed") permit (principal, action == Action::"awkward/every-kind.of/type", resource)
        when {
          context.input["in"] > 3 && context.input["is"] &&
          context.input.level == awkward_every_kind_of_type_level::"low level" &&
          context.input has "a name with spaces" && context.input["a name with spaces"] like "x*" &&
          context.input has either && context.input.either has typeChoice1 &&
          context.input has maybe && context.input.maybe == "yes" &&
          context.input has records && !context.input.records.isEmpty() &&
          context.input has anything
        };"#;
    let files = [
        ("catalog/awkward.json", AWKWARD),
        ("catalog/awkward.toml", &toml(AWKWARD)),
        ("rules.cedar", rules),
    ];
    let pack = fixture::pack("awkward", &files);
    let errors: Vec<_> = check(&[&pack]).into_iter().filter(Finding::is_error).collect();
    assert!(errors.is_empty(), "{}", fixture::rendered(&errors));
    let bundle = fixture::bundle(&[&pack]);
    let arguments = r#"{"in":4,"is":true,"level":"low level","a name with spaces":"xy","either":"text","maybe":"yes",
        "records":[{"kind":"a"}],"anything":null}"#;
    let judged = call(&bundle, "awkward/every-kind.of/type", arguments).judge(&bundle);
    assert_eq!(judged.rules, ["typed"], "{judged:?}");
    let judged = call(
        &bundle,
        "awkward/every-kind.of/type",
        &arguments.replace(":\"yes\"", ":null"),
    )
    .judge(&bundle);
    assert!(judged.rules.is_empty(), "null is absence: {judged:?}");
}

fn call(bundle: &Bundle, tool: &str, arguments: &str) -> Trial {
    let authority = Authority {
        user: "ann".to_owned(),
        scope: vec![tool.to_owned()],
        ..Authority::default()
    };
    let agent = "spiffe://a.example/agent/ann".parse().unwrap();
    let arguments = Arguments::parse(arguments.as_bytes()).unwrap();
    assert!(bundle.tool(tool).is_some(), "{tool}");
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

/// JSON of a type, now and then not quite.
fn json_of(ty: &ArgumentType) -> BoxedStrategy<Value> {
    match ty {
        ArgumentType::Scalar(scalar) => scalar_json(*scalar),
        ArgumentType::List(element) => proptest::collection::vec(json_of(element), 0..3)
            .prop_map(Value::from)
            .boxed(),
        ArgumentType::Record(record) => record_json(record),
        ArgumentType::Choice(alternatives) => {
            proptest::strategy::Union::new(alternatives.iter().map(json_of)).boxed()
        }
        ArgumentType::Enumeration(names) => proptest::sample::select(names.variants.clone())
            .prop_map(Value::from)
            .boxed(),
    }
}

fn scalar_json(scalar: Scalar) -> BoxedStrategy<Value> {
    match scalar {
        Scalar::Bool => any::<bool>().prop_map(Value::from).boxed(),
        Scalar::Long => any::<i64>().prop_map(Value::from).boxed(),
        Scalar::Decimal => prop_oneof![
            (-1_000_000_i32..1_000_000).prop_map(|n| json!(f64::from(n) / 1000.0)),
            Just(json!(0.000_01))
        ]
        .boxed(),
        Scalar::String => ".{0,8}".prop_map(Value::from).boxed(),
        Scalar::Datetime => proptest::sample::select(vec!["2026-01-01", "2026-01-01T00:00:00Z", "soon"])
            .prop_map(Value::from)
            .boxed(),
        Scalar::Duration => proptest::sample::select(vec!["1h", "PT1H"])
            .prop_map(Value::from)
            .boxed(),
        Scalar::IpAddress => proptest::sample::select(vec!["10.0.0.1", "::1", "x"])
            .prop_map(Value::from)
            .boxed(),
        Scalar::Null => Just(Value::Null).boxed(),
        Scalar::Opaque => prop_oneof![Just(Value::Null), Just(json!([1, {"a": "b"}]))].boxed(),
    }
}

fn record_json(record: &RecordType) -> BoxedStrategy<Value> {
    let mut all = Just(Map::new()).boxed();
    for member in record.members.clone() {
        let value = json_of(&member.ty);
        let value = match (member.required, member.nullable) {
            (true, false) => value.prop_map(Some).boxed(),
            (true, true) => prop_oneof![value.prop_map(Some), Just(Some(Value::Null))].boxed(),
            (false, false) => prop_oneof![value.prop_map(Some), Just(None)].boxed(),
            (false, true) => prop_oneof![value.prop_map(Some), Just(Some(Value::Null)), Just(None)].boxed(),
        };
        all = (all, value)
            .prop_map(move |(mut all, value)| {
                all.extend(value.map(|value| (member.name.clone(), value)));
                all
            })
            .boxed();
    }
    all.prop_map(Value::Object).boxed()
}

#[test]
fn what_rules_are_asked_about_is_what_the_schema_says() {
    let packs = [
        pack("workspace", WORKSPACE),
        pack("banking", BANKING),
        pack("awkward", AWKWARD),
    ];
    let packs: Vec<_> = packs.iter().collect();
    let schema = schema(&packs).unwrap_or_else(|findings| panic!("{}", fixture::rendered(&findings)));
    let core: &cedar_policy_core::validator::ValidatorSchema = schema.as_ref();
    let core = cedar_policy_core::validator::CoreSchema::new(core);
    let bundle = fixture::bundle(&packs);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 20,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    for (id, compiled) in &bundle.tools {
        let calls = record_json(&compiled.tool.arguments);
        let outcome = runner.run(&calls, |arguments| {
            let trial = call(&bundle, id, &arguments.to_string());
            let question = Question::new(compiled, &trial.situation());
            let question =
                question.map_err(|mismatch| TestCaseError::fail(format!("{arguments}: {mismatch:?}")))?;
            let situation = Situation {
                result: Some(ResultSize {
                    bytes: 1,
                    rows: Some(1),
                }),
                ..trial.situation()
            };
            let mut ledger = trial.ledger.clone();
            ledger.labels.insert("pii".parse().unwrap());
            ledger.count(id, compiled.tool.reversibility, trial.now_ms);
            ledger.count("of/another-bundle", compiled.tool.reversibility, 0);
            let known = Known {
                ledger: Some(&ledger),
                pedigree: Some(&trial.pedigree),
            };
            let question = question.within(&bundle.tools, &situation, known, &bundle.entities);
            // An argument that rules can't see is one that no rule was asked about.
            prop_assume!(question.inexact.is_empty());
            let uid = |uid: &cedar_policy_core::ast::EntityUID| (uid.clone(), None);
            let request = Request::new(
                uid(&question.principal),
                uid(&question.action),
                uid(&question.resource),
                question.context.clone(),
                Some(&core),
                Extensions::all_available(),
            );
            prop_assert!(request.is_ok(), "{arguments}: {:?}", request.err());
            Ok(())
        });
        assert!(outcome.is_ok(), "{id}: {outcome:?}");
    }
}
