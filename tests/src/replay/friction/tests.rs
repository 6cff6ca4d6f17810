//! What verdicts come to, and what a user has said by a turn.

use checkrein_shared::decision::Cause;
use checkrein_shared::policy::PackSource;

use super::*;
use crate::replay::{Corpus, Results};

const CORPUS: &str = r#"{"set": "desk", "left_out": [{"id": "odd", "calls": 3, "why": "not a call"}], "conversations": [
    {"id": "one", "turns": [
        {"user": "Look.", "calls": [{"tool": "desk/look", "arguments": {}}]},
        {"user": "Send it.", "calls": [{"tool": "desk/send", "arguments": {}}, {"tool": "desk/send", "arguments": {}}]}]},
    {"id": "two", "turns": [{"user": "Send it.", "calls": [{"tool": "desk/send", "arguments": {}}]}]},
    {"id": "three", "turns": [{"user": "Look.", "calls": [{"tool": "desk/look", "arguments": {}}]}]}]}"#;

fn pack() -> Pack {
    let tool = |name: &str| {
        format!(r#"{{"name": "{name}", "inputSchema": {{"type": "object", "properties": {{}}}}}}"#)
    };
    let files = [
        ("checkrein.toml", "namespace = \"org\"".to_owned()),
        (
            "catalog/desk.json",
            format!("[{}, {}]", tool("look"), tool("send")),
        ),
        (
            "catalog/desk.toml",
            "[look]\neffects = [\"read\"]\nreversibility = \"read_only\"\n\
             [send]\neffects = [\"write\", \"send\"]\nreversibility = \"irreversible\"\n"
                .to_owned(),
        ),
    ];
    let files = files
        .map(|(path, text)| (path.to_owned(), text.into_bytes()))
        .into();
    let name = "desks".to_owned();
    Pack::parse(&PackSource { name, files }).unwrap()
}

fn corpus() -> Corpus {
    Corpus::parse(CORPUS.as_bytes()).unwrap()
}

fn judged(verdict: Verdict, cause: Cause, rules: &[&str]) -> Judgement {
    Judgement {
        verdict,
        cause,
        rules: rules.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn by_a_turn_the_user_has_said_that_turn_and_those_before() {
    let one = &corpus().conversations[0];
    assert_eq!(
        (one.said_by(0), one.said_by(1)),
        ("Look.".into(), "Look.\nSend it.".into())
    );
    assert!(one.scope().into_iter().eq(["desk/look", "desk/send"]));
    assert_eq!(corpus().left_out[0].calls, 3);
}

#[test]
fn each_call_counts_once_and_a_conversation_is_as_good_as_its_worst_call() {
    let permit = || judged(Verdict::Permit, Cause::Permitted, &["may"]);
    let hold = || judged(Verdict::Hold, Cause::Held, &["ask", "ask-too"]);
    let deny = judged(Verdict::Deny, Cause::Forbidden, &["never"]);
    let judgements = [vec![permit(), hold(), hold()], vec![deny], vec![permit()]];
    let found = friction(&pack(), &corpus().conversations, &judgements);
    assert_eq!(
        (found.conversations, found.untouched, found.waiting, found.broken),
        (3, 1, 1, 1)
    );
    let count = |all, permitted, held, denied| Count {
        all,
        permitted,
        held,
        denied,
    };
    assert_eq!(found.calls, count(5, 2, 2, 1));
    assert_eq!(found.by_effect["read"], count(2, 2, 0, 0));
    assert_eq!(
        (found.by_effect["send"], found.by_effect["write"]),
        (count(3, 0, 2, 1), count(3, 0, 2, 1))
    );
    assert!(found.by_tool.keys().eq(["desk/send"]));
    assert_eq!((found.held_by["ask"], found.held_by["ask-too"]), (2, 2));
    assert_eq!(
        (
            found.holds["one desk/send ask ask-too"],
            found.denials["two desk/send forbidden"]
        ),
        (2, 1)
    );
}

#[test]
fn calls_are_given_the_results_of_their_own_conversations_and_of_no_others() {
    let results = |set: &str, one: &str| {
        let text = format!(
            r#"{{"set": "{set}", "conversations": [{{"id": "one", "turns": {one}}},
               {{"id": "two", "turns": [[null]]}}, {{"id": "three", "turns": [[{{"id": 7}}]]}}]}}"#
        );
        Results::parse(text.as_bytes()).unwrap()
    };
    let mut whole = corpus();
    whole
        .give(results("desk", r#"[["seen"], [null, "sent"]]"#))
        .unwrap();
    let turn = &whole.conversations[0].turns[1];
    assert_eq!(turn.results, [None, Some("sent".into())]);
    for (set, one) in [
        ("other", r#"[["seen"], [null, "sent"]]"#),
        ("desk", r#"[["seen"], ["sent"]]"#),
        ("desk", r#"[["seen"]]"#),
    ] {
        let refused = corpus().give(results(set, one)).unwrap_err().to_string();
        assert!(
            refused.contains("not those of the conversations in `desk`"),
            "{refused}"
        );
    }
}
