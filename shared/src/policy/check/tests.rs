//! A check finds what would refuse, deny or never apply, and says where.

use super::*;
use crate::policy::fixture;

#[test]
fn the_example_pack_has_nothing_to_find() {
    let pack = Pack::parse(&fixture::payments()).unwrap();
    assert_eq!(fixture::rendered(&check(&[&pack])), "");
}

/// The example pack with one file changed.
fn changed(file: &str, from: &str, to: &str) -> Vec<Finding> {
    let mut source = fixture::payments();
    let content = source.files.get_mut(file).unwrap();
    let text = String::from_utf8(content.clone()).unwrap();
    assert!(text.contains(from), "{from}");
    *content = text.replacen(from, to, 1).into_bytes();
    match Pack::parse(&source) {
        Ok(pack) => check(&[&pack]),
        Err(findings) => findings,
    }
}

fn one(findings: &[Finding]) -> (Severity, &str, u32, u32, &str) {
    match findings {
        [finding] => (
            finding.severity,
            &*finding.file,
            finding.line,
            finding.column,
            &*finding.message,
        ),
        several => panic!("not one finding: {}", fixture::rendered(several)),
    }
}

#[test]
fn a_rule_that_does_not_fit_the_types_is_shown_with_a_caret() {
    let findings = changed("rules.cedar", "input.amount", "input.amont");
    let (severity, file, line, column, message) = one(&findings);
    assert_eq!(
        (severity, file, line, column),
        (Severity::Error, "rules.cedar", 6, 8)
    );
    assert!(message.contains("`input.amont`"), "{message}");
    assert_eq!(findings[0].help, "did you mean `amount`?");
    let rendered = &findings[0].rendered;
    assert!(
        rendered.contains("6 │ when { context.input.amont.lessThanOrEqual"),
        "{rendered}"
    );
    assert!(rendered.contains("       ─────────────────────"), "{rendered}");
}

#[test]
fn every_reference_that_leads_nowhere_is_an_error_at_its_place() {
    let cases = [
        (
            "rules.cedar",
            "bank/send_money",
            "bank/sendmoney",
            5,
            "unrecognized action",
        ),
        (
            "rules.cedar",
            "Team::\"billing\"",
            "Squad::\"billing\"",
            2,
            "unrecognized entity type `Squad`",
        ),
        (
            "rules.cedar",
            "@hold(\"treasury\")",
            "@hold(\"tresury\")",
            11,
            "the group `tresury` does not exist",
        ),
        (
            "rules.cedar",
            "@quorum(\"1\")",
            "@quorum(\"3\")",
            11,
            "could never be approved",
        ),
        ("entities.json", "\"restricted\"", "7", 10, "XX00666"),
        (
            "entities.json",
            "\"Team\", \"id\": \"billing\" }, \"attrs\"",
            "\"Squad\", \"id\": \"billing\" }, \"attrs\"",
            0,
            "Squad",
        ),
    ];
    for (file, from, to, line, said) in cases {
        let findings = changed(file, from, to);
        let errors: Vec<_> = findings.iter().filter(|finding| finding.is_error()).collect();
        let found = errors
            .iter()
            .any(|f| f.file == file && (line == 0 || f.line == line) && f.message.contains(said));
        assert!(found, "{to}: {}", fixture::rendered(&findings));
    }
}

#[test]
fn what_two_packs_both_have_is_refused() {
    let payments = Pack::parse(&fixture::payments()).unwrap();
    let mut copy = fixture::payments();
    copy.name = "copy".to_owned();
    let copy = Pack::parse(&copy).unwrap();
    let findings = check(&[&payments, &copy]);
    for what in [
        "the rule `pay-small`",
        "the tool `bank/send_money`",
        "the group `treasury`",
        "`Account` is declared",
    ] {
        let found = findings
            .iter()
            .any(|finding| finding.is_error() && finding.message.starts_with(what));
        assert!(found, "{what}: {}", fixture::rendered(&findings));
    }
    let entities = r#"[{"uid": {"type": "Team", "id": "billing"}, "attrs": {}, "parents": []}]"#;
    let other = fixture::pack("other", &[("entities.json", entities)]);
    let findings = check(&[&payments, &other]);
    let (_, file, line, _, message) = one(&findings);
    assert_eq!((file, line), ("other/entities.json", 1));
    assert_eq!(
        message,
        "the entity `Team::\"billing\"` belongs to pack `payments`"
    );
}

#[test]
fn the_same_id_twice_in_one_pack_is_refused() {
    let rules =
        "@id(\"a\") permit (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource);";
    let pack = fixture::pack("pack", &[("rules.cedar", rules)]);
    let errors: Vec<_> = check(&[&pack]).into_iter().filter(Finding::is_error).collect();
    let (_, file, line, column, message) = one(&errors);
    assert_eq!((file, line, column), ("rules.cedar", 2, 1));
    assert_eq!(message, "the rule `a` stands twice in this pack");
}

#[test]
fn what_is_probably_a_mistake_is_a_warning() {
    let json = r#"{"tools": [{"name": "a", "inputSchema": {"type": "object"}}, {"name": "b", "inputSchema": {"type": "object"}}]}"#;
    let toml = "[a]\neffects = [\"read\"]\nreversibility = \"read_only\"\n";
    let rules = "@id(\"later\") forbid (principal, action in Action::\"spend\", resource);\n\
                 @id(\"who\") permit (principal == Agent::\"billing\", action, resource);\n\
                 @id(\"team\") forbid (principal in Team::\"biling\", action, resource);";
    let files = [
        ("catalog/c.json", json),
        ("catalog/c.toml", toml),
        ("rules.cedar", rules),
        ("rules.ceder", ""),
        ("README.md", ""),
    ];
    let findings = check(&[&fixture::pack("pack", &files)]);
    assert!(
        findings
            .iter()
            .all(|finding| finding.severity == Severity::Warning),
        "{}",
        fixture::rendered(&findings)
    );
    for said in [
        "`c/b` is not catalogued",
        "rule `later` is about no tool",
        "no agent can be this one",
        "nothing is in `Team::\"biling\"`",
        "the pack has no tests",
        "this file is not read",
    ] {
        let found = findings
            .iter()
            .filter(|finding| finding.message.contains(said))
            .count();
        assert_eq!(found, 1, "{said}: {}", fixture::rendered(&findings));
    }
    assert_eq!(findings.len(), 6, "{}", fixture::rendered(&findings));
}

#[test]
fn a_team_that_is_declared_may_be_empty_since_the_register_puts_agents_into_it() {
    let rules = "@id(\"team\") forbid (principal in Team::\"night\", action, resource);";
    let entities = r#"[{"uid": {"type": "Team", "id": "night"}, "attrs": {}, "parents": []}]"#;
    let said = |files: &[(&str, &str)]| {
        let findings = check(&[&fixture::pack("pack", files)]);
        findings
            .iter()
            .any(|finding| finding.message.contains("nothing is in"))
    };
    assert!(said(&[("rules.cedar", rules)]));
    assert!(!said(&[("rules.cedar", rules), ("entities.json", entities)]));
}

fn selecting(name: &str, label: &str, files: &[(&str, &str)]) -> Pack {
    let settings = format!("namespace = \"org\"\n[selectors]\n{label}\n");
    let files: Vec<_> = files
        .iter()
        .copied()
        .chain([("checkrein.toml", &*settings)])
        .collect();
    fixture::pack(name, &files)
}

fn errors(packs: &[&Pack]) -> Vec<Finding> {
    check(packs).into_iter().filter(Finding::is_error).collect()
}

#[test]
fn what_the_enforcers_of_one_label_lack_is_an_error_that_names_them() {
    let schema = [("own.cedarschema", "entity Account { level: Long };\n")];
    let base = selecting("base", "team = \"payments\"", &schema);
    let entities = r#"[{"uid": {"type": "Account", "id": "one"}, "attrs": {"level": 1}, "parents": []}]"#;
    let ceiling = fixture::pack("ceiling", &[("entities.json", entities)]);
    let found = errors(&[&base, &ceiling]);
    let (_, file, _, _, message) = one(&found);
    assert_eq!(file, "ceiling/entities.json");
    assert!(message.starts_with("for enforcers without labels: "), "{message}");
    assert!(
        found[0].rendered.ends_with("for enforcers without labels\n"),
        "{}",
        found[0].rendered
    );

    let abroad = selecting("ceiling", "zone = \"eu\"", &[("entities.json", entities)]);
    assert_eq!(fixture::rendered(&errors(&[&base, &abroad])), "");
    let labels = |labels: &[(&str, &str)]| -> Vec<(String, String)> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        labels.iter().map(owned).collect()
    };
    let both = labels(&[("team", "payments"), ("zone", "eu")]);
    assert!(check_selected(&[&base, &abroad], &both).is_empty());
    let found = check_selected(&[&base, &abroad], &labels(&[("zone", "eu")]));
    let (_, _, _, _, message) = one(&found);
    assert!(message.starts_with("for enforcers with `zone=eu`: "), "{message}");
}

#[test]
fn a_rule_about_a_tool_that_some_enforcers_lack_is_no_error() {
    let payments = Pack::parse(&fixture::payments()).unwrap();
    let rule = "@id(\"no-large\") forbid (principal, action == Action::\"bank/send_money\", resource is Account) \
                when { context.input.amount.greaterThan(decimal(\"100.0\")) };";
    let ceiling = fixture::pack("ceiling", &[("rules.cedar", rule)]);
    assert_eq!(fixture::rendered(&errors(&[&payments, &ceiling])), "");
}

#[test]
fn a_rule_that_would_err_where_another_pack_is_lacking_is_an_error() {
    let entities = r#"[{"uid": {"type": "Book", "id": "known"}, "attrs": {"open": true}, "parents": []}]"#;
    let files = [
        ("own.cedarschema", "entity Book { open: Bool };\n"),
        ("entities.json", entities),
    ];
    let books = selecting("books", "team = \"payments\"", &files);
    let rule = "@id(\"closed\") forbid (principal, action, resource) unless { Book::\"known\".open };";
    let ceiling = fixture::pack(
        "ceiling",
        &[
            ("rules.cedar", rule),
            (
                "catalog/c.json",
                r#"[{"name": "a", "inputSchema": {"type": "object"}}]"#,
            ),
            (
                "catalog/c.toml",
                "[a]\neffects = [\"read\"]\nreversibility = \"read_only\"\n",
            ),
        ],
    );
    let found = errors(&[&books, &ceiling]);
    let (_, file, line, _, message) = one(&found);
    assert_eq!((file, line), ("ceiling/rules.cedar", 1));
    assert!(message.starts_with("for enforcers without labels: "), "{message}");
}

#[test]
fn entities_that_two_packs_put_into_each_other_are_refused_at_their_place() {
    let team = |name: &str, other: &str| {
        let entities = format!(
            "[\n{{\"uid\": {{\"type\": \"Team\", \"id\": \"{name}\"}}, \"attrs\": {{}}, \
             \"parents\": [{{\"type\": \"Team\", \"id\": \"{other}\"}}]}}]"
        );
        fixture::pack(name, &[("entities.json", &entities)])
    };
    let (a, b, c) = (team("a", "b"), team("b", "a"), team("c", "a"));
    let found = errors(&[&a, &b, &c]);
    let (_, file, line, _, message) = one(&found);
    assert_eq!((file, line), ("a/entities.json", 2));
    assert_eq!(
        message,
        "nothing can be in itself: `Team::\"a\"` is in `Team::\"b\"` is in `Team::\"a\"`"
    );
    assert_eq!(fixture::rendered(&errors(&[&b, &c])), "");
}

#[test]
fn packs_that_need_each_other_pass_together() {
    let payments = Pack::parse(&fixture::payments()).unwrap();
    let ceiling = "@id(\"no-destroy\") forbid (principal, action in Action::\"destroy\", resource);\n\
                   @id(\"no-large\") @hold(\"treasury\") forbid (principal, action == Action::\"bank/send_money\", resource) \
                   when { context.input.amount.greaterThan(decimal(\"100.0\")) };";
    let ceiling = fixture::pack("ceiling", &[("rules.cedar", ceiling)]);
    let errors = |packs: &[&Pack]| check(packs).into_iter().filter(Finding::is_error).count();
    assert!(
        errors(&[&ceiling]) > 0,
        "alone, it speaks of what nobody declared"
    );
    assert_eq!(errors(&[&ceiling, &payments]), 0);
}

#[test]
fn a_rule_by_which_a_verdict_could_fall_is_refused_and_said_once() {
    let condition = "unless { context.environment == \"production\" }";
    let calm = "unless { context.environment == \"production\" && context.risk < 60 }";
    let wild = "when { context.risk < 60 }";
    assert!(
        changed("rules.cedar", condition, calm).is_empty(),
        "it forbids more"
    );
    let findings = changed("rules.cedar", condition, wild);
    let (severity, file, line, column, message) = one(&findings);
    assert_eq!((severity, file), (Severity::Error, "rules.cedar"));
    assert_eq!((line, column), (9, 64));
    assert!(
        message.contains("rule `prod-only` may not be monotone in `context.risk`"),
        "{message}"
    );
}
