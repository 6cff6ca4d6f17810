//! Groups that ask each other for ever, or nobody, are refused where they say so.

use crate::policy::check::check;
use crate::policy::finding::Finding;
use crate::policy::fixture;
use crate::policy::pack::Pack;

/// What is found in a pack whose rule asks one of `ops` for ten minutes.
fn found(groups: &str) -> Vec<Finding> {
    let settings = format!("namespace = \"org\"\n{groups}\n");
    let rules = "@id(\"ask\") @hold(\"ops\") @decide_within(\"10m\") @reason(\"ask\")\n\
                 forbid (principal, action, resource);\n";
    let source = fixture::source("pack", &[("checkrein.toml", &settings), ("rules.cedar", rules)]);
    let pack = Pack::parse(&source).unwrap_or_else(|findings| panic!("{}", fixture::rendered(&findings)));
    check(&[&pack])
}

fn escalating(name: &str, member: &str, to: &str) -> String {
    format!(
        "[groups.{name}]\nmembers = [\"spiffe://a.example/approver/{member}\"]\nescalate_after = \"5m\"\nescalate_to = \"{to}\"\n"
    )
}

#[test]
fn groups_that_ask_each_other_in_a_chain_are_fine() {
    let chain = [
        escalating("ops", "bob", "board"),
        escalating("board", "carol", "owners"),
    ]
    .concat()
        + "[groups.owners]\nmembers = [\"spiffe://a.example/approver/dave\"]\n";
    let findings = found(&chain);
    let about_groups = findings.iter().any(|finding| finding.file == "checkrein.toml");
    assert!(!about_groups, "{}", fixture::rendered(&findings));
}

#[test]
fn an_escalation_to_nobody_or_in_a_circle_is_an_error_at_its_place() {
    let circle = [
        escalating("ops", "bob", "board"),
        escalating("board", "carol", "ops"),
    ]
    .concat();
    let glass = "[groups]\nops = [\"spiffe://a.example/approver/bob\"]\n[break_glass]\ngroup = ";
    for (groups, said) in [
        (
            escalating("ops", "bob", "board"),
            "the group `board` does not exist",
        ),
        (escalating("ops", "bob", "ops"), "`ops` would ask itself"),
        (circle, "`ops` asks `board`, which asks `ops` again"),
        (format!("{glass}\"board\""), "the group `board` does not exist"),
        (
            format!("{glass}\"ops\""),
            "breaking the glass takes 2 people, and `ops` has 1",
        ),
    ] {
        let findings = found(&groups);
        let error = findings.iter().find(|finding| finding.message == said);
        let error = error.unwrap_or_else(|| panic!("{said} is not in {}", fixture::rendered(&findings)));
        assert!(
            error.is_error() && error.line > 1 && !error.help.is_empty(),
            "{}",
            error.rendered
        );
    }
}

#[test]
fn an_escalation_that_comes_after_the_deadline_is_a_warning_at_the_rule() {
    let late = "[groups.ops]\nmembers = [\"spiffe://a.example/approver/bob\"]\nescalate_after = \"10m\"\nescalate_to = \"board\"\n\
                [groups.board]\nmembers = [\"spiffe://a.example/approver/carol\"]\n";
    let findings = found(late);
    let warning = findings
        .iter()
        .find(|finding| finding.message.contains("expire before `board` is asked"));
    let warning = warning.unwrap_or_else(|| panic!("{}", fixture::rendered(&findings)));
    assert!(
        !warning.is_error() && warning.file == "rules.cedar",
        "{}",
        warning.rendered
    );
}
