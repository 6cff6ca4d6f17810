//! Following shows every decision once.

use checkrein_proto::decision::v1::{Decision, SearchRequest, SearchResponse, StoredDecision};

use super::Cursor;

fn decided(id: &str, at_ms: u64) -> StoredDecision {
    let decision = Decision {
        decision_id: id.into(),
        decided_unix_ms: at_ms,
        ..Decision::default()
    };
    StoredDecision {
        decision: Some(decision),
        ..StoredDecision::default()
    }
}

fn page(decisions: &[StoredDecision], token: &str) -> SearchResponse {
    SearchResponse {
        decisions: decisions.to_vec(),
        next_page_token: token.into(),
    }
}

#[test]
fn what_was_shown_before_following_is_not_shown_again() {
    let latest = [decided("dec_1", 100), decided("dec_2", 200)];
    let mut cursor = Cursor::after(&latest, SearchRequest::default(), 999);
    assert_eq!(
        (cursor.request.since_unix_ms, cursor.request.ascending),
        (100, true)
    );
    let first = page(
        &[latest[0].clone(), latest[1].clone(), decided("dec_3", 200)],
        "a",
    );
    assert_eq!(cursor.advance(first), [decided("dec_3", 200)]);
}

#[test]
fn an_empty_page_keeps_the_place() {
    let mut cursor = Cursor::after(&[], SearchRequest::default(), 999);
    assert_eq!(cursor.request.since_unix_ms, 999);
    assert_eq!(cursor.advance(page(&[decided("dec_1", 1_000)], "a")).len(), 1);
    assert!(cursor.advance(page(&[], "")).is_empty());
    assert_eq!(cursor.request.page_token, "a");
    assert!(cursor.advance(page(&[], "b")).is_empty());
    assert_eq!(cursor.request.page_token, "b");
}

#[test]
fn the_filter_stays_while_following() {
    let filter = SearchRequest {
        tool: "bank/send_money".into(),
        ..SearchRequest::default()
    };
    assert_eq!(Cursor::after(&[], filter, 0).request.tool, "bank/send_money");
}
