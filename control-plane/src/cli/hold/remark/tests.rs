//! Whom a name means, and what is seen of what people said.

use super::*;
use crate::cli::output::Paint;

const NOW_MS: u64 = 1_767_225_600_000;

fn id(name: &str) -> String {
    format!("spiffe://acme.example/approver/{name}")
}

fn may(approver: &str) -> wire::MayAnswer {
    wire::MayAnswer {
        rule: "pay".to_owned(),
        capacity: Some(wire::Capacity {
            approver: approver.to_owned(),
            ..wire::Capacity::default()
        }),
    }
}

/// Bob asked, and handed it to carol.
fn said() -> wire::Hold {
    let remark = |author: &str, text: &str| wire::Remark {
        author: id(author),
        text: text.to_owned(),
        remarked_unix_ms: NOW_MS - 60_000,
        ..wire::Remark::default()
    };
    wire::Hold {
        state: wire::State::Open.into(),
        remarks: vec![
            remark("bob", "which\u{202e} invoice?"),
            wire::Remark {
                to: id("carol"),
                ..remark("bob", "on leave")
            },
        ],
        may_answer: vec![may(&id("bob")), may(&id("carol")), may(&id("carol"))],
        ..wire::Hold::default()
    }
}

#[test]
fn a_name_is_of_the_one_who_may_answer_and_no_other() {
    let mut hold = said();
    assert_eq!(person(&hold, "carol").unwrap(), id("carol"));
    assert_eq!(person(&hold, &id("dave")).unwrap(), id("dave"));
    let nobody = person(&hold, "dave").unwrap_err().to_string();
    assert!(nobody.contains("`dave`"), "{nobody}");
    hold.may_answer.push(may("spiffe://acme.example/operator/carol"));
    let several = person(&hold, "carol").unwrap_err().to_string();
    assert!(several.contains("/operator/carol"), "{several}");
}

#[test]
fn what_was_said_is_seen_in_its_order_until_somebody_has_replied_that_too() {
    let mut hold = said();
    let page = |hold: &wire::Hold| {
        let mut fields = Fields::default();
        lines(hold, NOW_MS, &mut fields);
        fields.render(Paint::new(false))
    };
    let text = page(&hold);
    assert!(
        text.contains(r"approver/bob asks, 60 s ago: which\u{202e} invoice?"),
        "{text}"
    );
    assert!(
        text.contains("handed it to spiffe://acme.example/approver/carol"),
        "{text}"
    );
    assert!(text.contains("nobody has replied yet"), "{text}");
    assert_eq!(word(&hold), "asked by bob, handed to carol by bob");
    let views = serde_json::to_value(RemarkView::all(&hold)).unwrap();
    assert_eq!(
        (&views[0]["kind"], &views[1]["to"]),
        (&"question".into(), &id("carol").into())
    );
    hold.remarks.push(wire::Remark {
        author: id("carol"),
        text: "4711".to_owned(),
        replies: true,
        ..wire::Remark::default()
    });
    assert_eq!(word(&hold), "handed to carol by bob");
    assert!(!page(&hold).contains("nobody has replied"));
}
