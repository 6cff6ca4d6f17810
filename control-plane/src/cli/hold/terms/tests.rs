//! What is allowed again is what was typed, and it is said before it is allowed.

use checkrein_shared::hold::Terms;
use clap::Parser;

use super::*;
use crate::cli::Cli;

const PLAIN: Paint = Paint::new(false);

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    again: TermsArgs,
}

fn typed(line: &[&str]) -> Option<wire::Terms> {
    let labels = [TaskLabel {
        label: "pii".to_owned(),
        ..TaskLabel::default()
    }];
    let line = Line::try_parse_from([&["approve"], line].concat()).unwrap();
    line.again.terms(&labels)
}

fn bound(argument: &str, how: How) -> wire::Bound {
    wire::Bound {
        argument: argument.to_owned(),
        how: Some(how),
    }
}

fn offer() -> wire::Offer {
    wire::Offer {
        for_ms: 28_800_000,
        times: 100,
        bounds: vec![
            bound("amount", How::AtMost("500".to_owned())),
            bound("memo", How::Any(true)),
            bound("recipient", How::Exactly("\"US13\"".to_owned())),
        ],
        fixed: vec!["recipient".to_owned()],
    }
}

fn held() -> wire::Hold {
    wire::Hold {
        action: Some(wire::HeldAction {
            agent: "spiffe://acme.example/agent/billing".to_owned(),
            tool: "bank/send_money".to_owned(),
            arguments: br#"{"amount":500,"memo":"March","recipient":"US13"}"#.as_slice().into(),
            ..wire::HeldAction::default()
        }),
        ..wire::Hold::default()
    }
}

#[test]
fn nothing_else_is_allowed_unless_somebody_says_so() {
    assert_eq!(typed(&[]), None);
}

#[test]
fn what_is_typed_is_what_is_asked_for_with_the_labels_that_were_shown() {
    let terms = typed(&[
        "--for",
        "2h",
        "--times",
        "20",
        "--at-most",
        "amount=400",
        "--any",
        "memo",
    ]);
    let terms = terms.unwrap();
    assert_eq!((terms.for_ms, terms.times), (7_200_000, 20));
    assert_eq!(terms.labels, ["pii"]);
    let read = Terms::try_from(terms).unwrap();
    assert_eq!(read.bounds.at_most["amount"].as_str(), "400");
    assert!(read.bounds.any.contains("memo"));
    // One of them alone is bounded by the most there may be of the other.
    assert_eq!(typed(&["--times", "1"]).unwrap().for_ms, 28_800_000);
    assert_eq!(typed(&["--for", "1m"]).unwrap().times, 100);
}

#[test]
fn what_can_not_be_meant_is_refused_as_it_is_typed() {
    for line in [
        &["--times", "0"][..],
        &["--times", "101"],
        &["--for", "0s"],
        &["--at-most", "amount"],
        &["--at-most", "=5"],
    ] {
        assert!(
            Line::try_parse_from([&["approve"], line].concat()).is_err(),
            "{line:?}"
        );
    }
    let both = ["checkrein", "hold", "approve", "hold_1", "--like", "hold_1"];
    assert!(Cli::try_parse_from(both).is_err());
    assert!(Cli::try_parse_from(["checkrein", "hold", "approve"]).is_err());
    assert!(Cli::try_parse_from(["checkrein", "hold", "approve", "hold_1", "hold_2"]).is_ok());
}

#[test]
fn every_argument_of_what_will_be_allowed_is_said_in_plain_words() {
    let terms = typed(&["--for", "2h", "--times", "20", "--any", "memo"]).unwrap();
    let said = preview(&held(), &offer(), &terms, PLAIN);
    for part in [
        "up to 20 more times within 2 h, in this task only",
        "spiffe://acme.example/agent/billing",
        "bank/send_money",
        "`amount` exactly 500",
        "`memo` of ANY value",
        "`recipient` exactly \"US13\"",
        "no more than pii",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    let terms = typed(&["--at-most", "amount=9"]).unwrap();
    assert!(preview(&held(), &offer(), &terms, PLAIN).contains("`amount` from 0 to 9"));
}

#[test]
fn the_page_says_what_may_be_allowed_at_most_and_what_never_differs() {
    let said = offered(&offer(), PLAIN);
    for part in [
        "--at-most amount=N, from 0 up to 500",
        "--any memo",
        "`recipient` is what it acts on: always exactly as shown",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
}

#[test]
fn a_secret_is_said_to_be_the_same_and_not_shown_as_a_value() {
    let mask = bound("pin", How::Exactly("{\"masked\":\"ab\"}".to_owned()));
    assert_eq!(bound_words(&mask), "`pin` exactly the same secret value");
}
