//! What a file of chains must be, and what its ends come to.

use checkrein_shared::decision::{Cause, Verdict};
use serde_json::{Value, json};

use super::*;
use crate::replay::Judgement;

fn step(by: &str, tool: &str, content: &str) -> Value {
    json!({ "by": by, "call": { "tool": tool, "arguments": {} }, "result": { "content": content } })
}

fn story(named: &str, steps: &[Value]) -> Value {
    json!({ "why": "", "intent": "", "named": [named], "steps": steps })
}

fn domain(harm: &Value, twin: &Value) -> Result<Domain, InvalidDomain> {
    let pair = json!({ "id": "one", "passed_on": ["worker"], "harm": harm, "twin": twin });
    Domain::parse(
        json!({ "domain": "desk", "cases": [pair] })
            .to_string()
            .as_bytes(),
    )
}

fn read_and_send(content: &str) -> Value {
    story(
        "",
        &[step("lead", "d/read", content), step("worker", "d/send", "")],
    )
}

fn stopped(at: usize, verdict: Verdict) -> End {
    End {
        stopped: Some((
            at,
            Judgement {
                verdict,
                cause: Cause::Forbidden,
                rules: vec!["rule".to_owned()],
            },
        )),
    }
}

#[test]
fn a_twin_that_proves_nothing_is_refused() {
    let harm = read_and_send("secret");
    for (twin, expected) in [
        (read_and_send("secret"), "is the same as its harm"),
        (story("", &[step("lead", "d/read", "")]), "the same tools"),
        (story("", &[]), "the same tools"),
        (
            story("", &[step("lead", "d/read", ""), step("eve", "d/send", "")]),
            "`eve` has no part",
        ),
    ] {
        let error = domain(&harm, &twin).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    for twin in [
        read_and_send("weather"),
        story(
            "user",
            &[step("lead", "d/read", "secret"), step("worker", "d/send", "")],
        ),
        story(
            "",
            &[step("worker", "d/send", ""), step("lead", "d/read", "secret")],
        ),
    ] {
        assert!(domain(&harm, &twin).is_ok(), "{twin}");
    }
}

#[test]
fn an_empty_chain_and_one_with_members_that_nobody_reads_are_refused() {
    let empty = story("", &[]);
    let error = domain(&empty, &empty).unwrap_err().to_string();
    assert!(error.contains("`one` has no step"), "{error}");
    let mut misspelt = read_and_send("secret");
    misspelt["steps"][0]["result"]["lables"] = json!(["pii"]);
    assert!(domain(&misspelt, &read_and_send("")).is_err());
}

#[test]
fn a_harm_that_goes_through_and_a_twin_that_is_touched_are_named() {
    let domains = [domain(&read_and_send("secret"), &read_and_send("weather")).unwrap()];
    let parts = parts(&domains);
    let played: Vec<_> = parts.iter().map(ToString::to_string).collect();
    assert_eq!(
        played,
        ["desk/one (harm)", "desk/one (twin)", "desk/one (last call alone)"]
    );
    assert_eq!(parts[2].story.steps.len(), 1);
    let good = toll(
        &parts,
        &[stopped(1, Verdict::Hold), End::default(), End::default()],
    );
    assert!(good.is_clean(), "{good}");
    assert_eq!(
        (good.all.held, good.all.denied, good.passed_on.harmless_alone),
        (1, 0, 1)
    );
    let through = toll(&parts, &[End::default(), End::default(), End::default()]);
    assert!(!through.is_clean());
    assert_eq!(through.harms_not_stopped, ["desk/one"]);
    let touched = toll(
        &parts,
        &[
            stopped(0, Verdict::Deny),
            stopped(1, Verdict::Deny),
            End::default(),
        ],
    );
    assert!(!touched.is_clean());
    assert_eq!(
        (touched.harms_stopped_early.len(), touched.twins_touched.len()),
        (1, 1)
    );
    assert!(touched.twins_touched[0].contains("step 2 (d/send)"), "{touched}");
}
