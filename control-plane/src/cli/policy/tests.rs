//! The pack that `init` writes is one to learn from, and what fails here is never sent.

use checkrein_shared::policy::{PackSource, template};

use super::PackArgs;
use super::local::{Rehearsal, rehearse};
use crate::cli::output::Paint;

const PLAIN: Paint = Paint::new(false);

/// The first pack, after somebody edited it.
fn edited(edit: impl Fn(&str, &str) -> String) -> Rehearsal {
    let files = template("payments", "acme.example")
        .files
        .into_iter()
        .map(|(path, content)| {
            let text = String::from_utf8(content).unwrap();
            let text = edit(&path, &text);
            (path, text.into_bytes())
        });
    let source = PackSource {
        name: "payments".into(),
        files: files.collect(),
    };
    let args = PackArgs {
        dir: "payments".into(),
        name: None,
        with: Vec::new(),
    };
    rehearse(&source, &args).unwrap()
}

#[test]
fn the_pack_that_init_writes_passes_its_check_and_its_cases() {
    let rehearsal = edited(|_, text| text.to_owned());
    assert!(rehearsal.is_good(), "{rehearsal:?}");
    assert!(
        rehearsal
            .check_text(PLAIN)
            .starts_with("payments is a good pack: 4 rules, ")
    );
    let text = rehearsal.test_text(PLAIN);
    assert!(text.ends_with(" passed\n"), "{text}");
}

#[test]
fn a_rule_that_names_what_is_not_there_is_an_error_at_its_place() {
    let rehearsal =
        edited(|_, text| text.replace("context.arguments_from_intent", "context.arguments_from_intend"));
    assert!(!rehearsal.is_good());
    let view = serde_json::to_value(rehearsal.view(false)).unwrap();
    assert_eq!(view["ok"], false);
    assert_eq!(view["findings"][0]["severity"], "error");
    assert_eq!(view["findings"][0]["file"], "rules.cedar");
    assert!(view["findings"][0]["line"].as_u64() > Some(0), "{view}");
    assert!(
        rehearsal.test_text(PLAIN).starts_with("payments has "),
        "no case runs on a bad pack"
    );
}

#[test]
fn a_case_that_fails_shows_what_was_expected_and_what_was_found() {
    let rehearsal = edited(|_, text| {
        text.replace(
            "verdict: hold, rules: [send-unnamed], groups",
            "verdict: permit, groups",
        )
    });
    assert!(!rehearsal.is_good());
    let text = rehearsal.test_text(PLAIN);
    assert!(
        text.contains("FAIL an address that came from somewhere else waits for the office  tests/mail.yaml"),
        "{text}"
    );
    assert!(text.contains("expected  permit for office"), "{text}");
    assert!(text.contains("found     hold"), "{text}");
    assert!(text.contains("payments: 1 of "), "{text}");
}
