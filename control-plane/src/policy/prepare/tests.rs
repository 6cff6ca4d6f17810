//! What is published fits every enforcer that would run it; what does not is refused, and says whom it would hit.

use super::*;

const CATALOG: (&str, &str) = (
    "catalog/c.json",
    r#"[{"name": "look", "inputSchema": {"type": "object"}}]"#,
);
const CATALOG_NOTES: (&str, &str) = (
    "catalog/c.toml",
    "[look]\neffects = [\"read\"]\nreversibility = \"read_only\"\n",
);
const PERMIT: (&str, &str) = ("all.cedar", "@id(\"all\") permit (principal, action, resource);");
const FORBID: (&str, &str) = (
    "none.cedar",
    "@id(\"none\") forbid (principal, action, resource);",
);

fn source(name: &str, selectors: &str, files: &[(&str, &str)]) -> PackSource {
    let settings = format!("namespace = \"org\"\n[selectors]\n{selectors}\n");
    let files = files.iter().copied().chain([("checkrein.toml", &*settings)]);
    PackSource {
        name: name.to_owned(),
        files: files
            .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
            .collect(),
    }
}

fn expecting(verdict: &str) -> String {
    format!(
        "- name: it looks\n  agent: spiffe://acme.example/agent/ann\n  task: {{ user: bob, scope: [c/look] }}\n  \
         tool: c/look\n  expect: {{ verdict: {verdict} }}\n"
    )
}

fn heads(sources: &[&PackSource]) -> Heads {
    let head = |source: &&PackSource| (source.name.clone(), (1, (*source).clone()));
    sources.iter().map(head).collect()
}

fn labels(labels: &[(&str, &str)]) -> Labels {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    labels.iter().map(owned).collect()
}

/// What the refusal says, to whoever asked.
fn refusal(heads: &Heads, occasion: &Occasion, register: &[Labels]) -> String {
    let register = register.iter().cloned().collect();
    match prepare(heads, occasion, &register) {
        Ok(_) => String::new(),
        Err(PolicyError::Refused(findings)) => findings[0].message.clone(),
        Err(error) => error.to_string(),
    }
}

/// A pack that declares a type, and one that has entities of it.
fn declaring_and_using(uses_where: &str) -> (PackSource, PackSource) {
    let schema = ("own.cedarschema", "entity Account { level: Long };\n");
    let entities = r#"[{"uid": {"type": "Account", "id": "one"}, "attrs": {"level": 1}, "parents": []}]"#;
    (
        source("base", "team = \"payments\"", &[schema]),
        source("uses", uses_where, &[("entities.json", entities)]),
    )
}

#[test]
fn a_push_that_some_enforcers_could_not_run_is_refused_and_names_them() {
    let (base, everywhere) = declaring_and_using("");
    let register = [labels(&[]), labels(&[("team", "payments")])];
    let refused = refusal(&heads(&[&base]), &Occasion::Push(everywhere), &register);
    assert!(refused.starts_with("for enforcers without labels: "), "{refused}");

    let (_, abroad) = declaring_and_using("zone = \"eu\"");
    let both = labels(&[("team", "payments"), ("zone", "eu")]);
    let heads = heads(&[&base]);
    let push = Occasion::Push(abroad);
    assert_eq!(refusal(&heads, &push, &[labels(&[]), both.clone()]), "");
    let refused = refusal(&heads, &push, &[labels(&[]), both, labels(&[("zone", "eu")])]);
    assert_eq!(
        refused,
        "the packs don't fit together for enforcers with `zone=eu`: 1 errors"
    );
}

#[test]
fn a_registration_whose_packs_do_not_fit_is_refused_and_no_other_is() {
    let (base, uses) = declaring_and_using("zone = \"eu\"");
    let heads = heads(&[&base, &uses]);
    let both = labels(&[("team", "payments"), ("zone", "eu")]);
    for (joining, refused) in [
        (both.clone(), ""),
        (labels(&[("team", "payments")]), ""),
        (
            labels(&[("zone", "eu")]),
            "the packs don't fit together for enforcers with `zone=eu`: 1 errors",
        ),
    ] {
        let register = [labels(&[]), joining.clone()];
        assert_eq!(
            refusal(&heads, &Occasion::Registration(joining), &register),
            refused
        );
    }
}

#[test]
fn a_case_passes_only_by_rules_that_its_enforcers_run() {
    let strict = source("strict", "stage = \"production\"", &[FORBID]);
    let register = [labels(&[]), labels(&[("stage", "production")])];
    let denied = expecting("deny");
    let denied = [CATALOG, CATALOG_NOTES, PERMIT, ("tests/a.yaml", &*denied)];
    let refused = refusal(
        &heads(&[&strict]),
        &Occasion::Push(source("base", "", &denied)),
        &register,
    );
    assert!(
        refused.contains("for enforcers without labels: base/tests/a.yaml: it looks"),
        "{refused}"
    );
}

#[test]
fn a_case_about_a_tool_that_only_some_enforcers_have_is_for_them() {
    let tools = source("tools", "team = \"payments\"", &[CATALOG, CATALOG_NOTES, PERMIT]);
    let denied = expecting("deny");
    let ceiling = |verdict: &str| {
        source(
            "ceiling",
            "",
            &[FORBID, ("tests/a.yaml", &denied.replace("deny", verdict))],
        )
    };
    let register = [labels(&[]), labels(&[("team", "payments")])];
    let heads = heads(&[&tools]);
    let forbidden = ceiling("deny, cause: forbidden");
    assert_eq!(refusal(&heads, &Occasion::Push(forbidden), &register), "");
    let refused = refusal(&heads, &Occasion::Push(ceiling("permit")), &register);
    assert!(
        refused.contains("for enforcers with `team=payments`: ceiling/"),
        "{refused}"
    );
}

#[test]
fn a_pack_that_no_enforcer_runs_yet_is_judged_as_the_one_it_asks_for_would_run_it() {
    let permitted = expecting("permit");
    let files = [CATALOG, CATALOG_NOTES, FORBID, ("tests/a.yaml", &*permitted)];
    let push = Occasion::Push(source("base", "team = \"payments\"", &files));
    let refused = refusal(&heads(&[]), &push, &[labels(&[])]);
    assert!(
        refused.contains("for enforcers with `team=payments`: base/tests/a.yaml"),
        "{refused}"
    );
}
