//! What the page about approvals shows can be typed as it stands.

use crate::hold::Then;
use crate::policy::check::check;
use crate::policy::fixture;

const PAGE: &str = include_str!("../../../../../docs/approvals.md");

const TOOLS: &str = r#"[{"name": "pay", "inputSchema": {"type": "object", "required": ["to"], "properties": {"to": {"type": "string"}}}}]"#;
const CATALOG: &str = "[pay]\neffects = [\"spend\"]\nreversibility = \"irreversible\"\n";

/// The indented block that begins with this line.
fn block(first: &str) -> String {
    let indented = |line: &&str| line.starts_with("    ") || line.is_empty();
    let lines = PAGE.lines().skip_while(|line| line.trim() != first).skip(1);
    let is_next = |line: &&str| !line.trim().starts_with("// ") && !line.trim().starts_with("# ");
    let lines: Vec<_> = lines
        .take_while(indented)
        .take_while(is_next)
        .map(str::trim_start)
        .collect();
    assert!(!lines.is_empty(), "the page shows `{first}`");
    lines.join("\n")
}

#[test]
fn the_page_about_approvals_can_be_typed_as_it_stands() {
    let pack = fixture::pack(
        "bank",
        &[
            ("checkrein.toml", &block("# checkrein.toml")),
            ("catalog/bank.json", TOOLS),
            ("catalog/bank.toml", CATALOG),
            ("rules.cedar", &block("// rules.cedar")),
        ],
    );
    let findings = check(&[&pack]);
    assert!(
        !findings.iter().any(crate::policy::Finding::is_error),
        "{}",
        fixture::rendered(&findings)
    );
    let about_groups = findings.iter().any(|finding| finding.file == "checkrein.toml");
    assert!(!about_groups, "{}", fixture::rendered(&findings));
    let treasury = &pack.groups()["treasury"];
    assert_eq!(treasury.break_glass.as_deref(), Some("board"));
    assert_eq!(
        treasury.quiet.as_ref().unwrap().then,
        Then::Ask("on-call".to_owned())
    );
}
