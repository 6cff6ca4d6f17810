//! A pack is understood file by file, and refused for all that is wrong at once.

use super::*;
use crate::policy::fixture;

fn settings(text: &str) -> Result<Pack, Vec<Finding>> {
    Pack::parse(&fixture::source("pack", &[("checkrein.toml", text)]))
}

#[test]
fn the_example_pack_is_read_whole() {
    let pack = Pack::parse(&fixture::payments()).unwrap();
    assert_eq!(
        (pack.name(), pack.rules().len(), pack.tools().len()),
        ("payments", 5, 2)
    );
    assert_eq!(pack.groups()["treasury"].members.len(), 2);
    assert_eq!(
        (pack.full_bound_ms, pack.light_bound_ms),
        (Some(20_000), Some(600_000))
    );
    assert!(pack.warnings.is_empty(), "{}", fixture::rendered(&pack.warnings));
}

#[test]
fn a_pack_is_run_by_the_enforcers_that_carry_all_its_labels() {
    let pack = settings("namespace = \"org\"\n[selectors]\nteam = \"payments\"\nzone = \"eu\"\n").unwrap();
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert!(pack.selects(&[label("zone", "eu"), label("team", "payments"), label("x", "y")]));
    assert!(!pack.selects(&[label("team", "payments")]));
    assert!(!pack.selects(&[label("team", "payments"), label("zone", "us")]));
    assert!(settings("namespace = \"org\"").unwrap().selects(&[]));
}

#[test]
fn a_bound_that_would_loosen_the_default_is_a_warning_at_its_place() {
    let pack = settings("namespace = \"org\"\n[bounds]\nfull = \"720h\"\nlight = \"15m\"\n").unwrap();
    let [warning] = pack.warnings.as_slice() else {
        panic!("{}", fixture::rendered(&pack.warnings));
    };
    assert_eq!((warning.line, warning.column), (3, 8), "{}", warning.rendered);
    assert_eq!(
        warning.message,
        "the bound `720h` has no effect: policy older than `30s` never decides"
    );
}

#[test]
fn settings_that_are_not_understood_are_refused_at_their_place() {
    let group = |people: &str| format!("namespace = \"org\"\n[groups]\nops = [{people}]\n");
    for (text, line, said) in [
        (
            "namespace = \"org\"\nnamspace = \"org\"\n",
            2,
            "unknown field `namspace`",
        ),
        ("namespace = \"team\"\n", 1, "`team` does not exist"),
        ("[selectors]\n", 1, "missing field `namespace`"),
        (
            "namespace = \"org\"\n[bounds]\nfull = \"30 seconds\"\n",
            3,
            "is not a duration",
        ),
        (
            "namespace = \"org\"\n[bounds]\nmedium = \"30s\"\n",
            3,
            "unknown field `medium`",
        ),
        ("namespace = org\n", 1, ""),
        (&group(""), 3, "nobody is in `ops`"),
        (&group("\"bob\""), 3, "is not a SPIFFE ID"),
        (
            &group("\"spiffe://a.example/agent/bob\""),
            3,
            "is not an approver",
        ),
    ] {
        let findings = settings(text).unwrap_err();
        assert_eq!(
            (findings.len(), findings[0].line),
            (1, line),
            "{}",
            fixture::rendered(&findings)
        );
        assert!(
            findings[0].message.contains(said),
            "{}",
            fixture::rendered(&findings)
        );
    }
    let mut source = fixture::source("pack", &[]);
    source.files.clear();
    assert!(
        Pack::parse(&source).unwrap_err()[0]
            .message
            .contains("no `checkrein.toml`")
    );
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let findings = fixture::refusal(&[
        ("rules.cedar", "permit (principal, action, resource);"),
        ("s.cedarschema", "entity Agent;\naction \"x\";\n"),
        ("tests/a.yaml", "- name: x\n"),
        ("catalog/a b.json", "[]"),
        ("catalog/lonely.toml", ""),
    ]);
    let files: Vec<_> = findings
        .iter()
        .map(|finding| (finding.file.as_str(), finding.line))
        .collect();
    assert_eq!(
        files,
        [
            ("catalog/a b.json", 0),
            ("catalog/lonely.toml", 0),
            ("rules.cedar", 1),
            ("s.cedarschema", 2),
            ("s.cedarschema", 1),
            ("tests/a.yaml", 1),
        ]
    );
}

#[test]
fn a_schema_that_is_no_schema_is_shown_with_a_caret() {
    let findings = fixture::refusal(&[("s.cedarschema", "entity Account {\n  level Long,\n};\n")]);
    assert_eq!(
        (findings.len(), findings[0].line),
        (1, 2),
        "{}",
        fixture::rendered(&findings)
    );
}

/// A pack whose `ops` is this, beside a `board` of two.
fn group(table: &str) -> Result<Pack, Vec<Finding>> {
    settings(&format!(
        "namespace = \"org\"\n[groups]\nboard = [\"spiffe://a.example/approver/frank\"]\n[groups.ops]\n\
         members = [\"spiffe://a.example/approver/bob\", \"spiffe://a.example/approver/carol\"]\n{table}\n"
    ))
}

#[test]
fn a_group_that_says_more_than_its_people_is_read_whole() {
    let pack = group(
        "excludes = [\"agent_owner\"]\nescalate_after = \"10m\"\nescalate_to = \"board\"\n\
         deputies = { \"spiffe://a.example/approver/bob\" = \"spiffe://a.example/approver/dave\" }\n\
         quiet = { from = \"22:00\", to = \"07:00\", utc_offset = \"-05:30\", escalate_to = \"board\" }\n\
         [break_glass]\ngroup = \"ops\"",
    );
    let pack = pack.unwrap_or_else(|findings| panic!("{}", fixture::rendered(&findings)));
    let ops = &pack.groups()["ops"];
    assert_eq!((ops.people(), ops.excludes.len(), ops.deputies.len()), (2, 1, 1));
    let escalation = ops.escalation.as_ref().unwrap();
    assert_eq!((escalation.after_ms, &*escalation.to), (600_000, "board"));
    let quiet = ops.quiet.as_ref().unwrap();
    assert_eq!((quiet.from, quiet.to, quiet.utc_offset), (22 * 60, 7 * 60, -330));
    assert_eq!(pack.groups()["board"].break_glass.as_deref(), Some("ops"));
}

#[test]
fn a_group_that_could_not_work_is_refused_at_the_place_with_what_to_do() {
    for (table, said, help) in [
        (
            "excludes = [\"owner\"]",
            "can't leave out `owner`",
            "write `agent_owner`",
        ),
        ("escalate_after = \"10m\"", "only half", "escalate_to"),
        ("escalate_to = \"board\"", "only half", "escalate_after"),
        (
            "escalate_after = \"soon\"\nescalate_to = \"board\"",
            "is not a duration",
            "",
        ),
        (
            "deputies = { \"spiffe://a.example/approver/eve\" = \"spiffe://a.example/approver/dave\" }",
            "approver/eve` is not in the group",
            "only a member has a deputy",
        ),
        (
            "deputies = { \"spiffe://a.example/approver/bob\" = \"spiffe://a.example/approver/Carol\" }",
            "approver/Carol` is in the group already",
            "name somebody else",
        ),
        (
            "deputies = { \"spiffe://a.example/approver/bob\" = \"spiffe://a.example/agent/dave\" }",
            "is not an approver",
            "spiffe://",
        ),
        (
            "quiet = { from = \"22:00\", to = \"07:00\" }",
            "say what happens",
            "wait = true",
        ),
        (
            "quiet = { from = \"22:00\", to = \"07:00\", wait = true }",
            "no escalation that could wait",
            "escalate_after",
        ),
        (
            "quiet = { from = \"22:00\", to = \"22:00\", escalate_to = \"board\" }",
            "a whole day, or nothing",
            "",
        ),
        (
            "quiet = { from = \"24:00\", to = \"07:00\", escalate_to = \"board\" }",
            "`24:00` is no time of day",
            "`23:59`",
        ),
        (
            "quiet = { from = \"22:00\", to = \"07:00\", utc_offset = \"Berlin\", escalate_to = \"board\" }",
            "`Berlin` is no offset",
            "`+01:00`",
        ),
        ("deputy = 1", "unknown field `deputy`", ""),
    ] {
        let findings = group(table).unwrap_err();
        let rendered = fixture::rendered(&findings);
        assert_eq!(findings.len(), 1, "{table}\n{rendered}");
        assert!(findings[0].message.contains(said), "{table}\n{rendered}");
        assert!(findings[0].help.contains(help), "{table}\n{rendered}");
        assert!(findings[0].line > 3, "{table}\n{rendered}");
    }
    let twice = "namespace = \"org\"\n[groups]\nops = [\"spiffe://a.example/approver/bob\", \"spiffe://a.example/approver/Bob\"]";
    let findings = settings(twice).unwrap_err();
    assert!(
        findings[0].message.contains("the same person"),
        "{}",
        fixture::rendered(&findings)
    );
}
