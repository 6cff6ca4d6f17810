//! What the numbers say.

use serde_json::{json, to_value};

use super::*;

fn report() -> NumbersResponse {
    let total = wire::Numbers {
        asked: 8,
        approved: 5,
        denied: 1,
        expired: 2,
        standing: 7,
        answer_p50_ms: Some(61_000),
        answer_p90_ms: Some(600_000),
        calls: 640,
        ..wire::Numbers::default()
    };
    NumbersResponse {
        since_unix_ms: 1_772_323_200_000,
        total: Some(total),
        groups: vec![NamedNumbers {
            name: "treasury".to_owned(),
            numbers: Some(total),
        }],
        ..NumbersResponse::default()
    }
}

#[test]
fn rates_are_of_a_hundred_calls_and_shares_of_what_people_could_have_answered() {
    let json = to_value(ReportView::of(&report())).unwrap();
    assert_eq!(json["total"]["interruption_rate"], json!(1.25));
    assert_eq!(json["groups"][0]["expired_share"], json!(0.25));
    let none = to_value(NumbersView::of(&wire::Numbers::default())).unwrap();
    assert_eq!(
        (&none["interruption_rate"], &none["expired_share"]),
        (&json!(null), &json!(null))
    );
}

#[test]
fn a_page_says_how_often_people_were_asked_and_how_soon_they_answered() {
    let page = page(&report(), 1_772_323_200_000, Paint::new(false));
    for said in [
        "8, 1.25 of a hundred calls",
        "61 s (half), 10 min (nine of ten)",
        "2 (25.0 %)",
        "treasury",
    ] {
        assert!(page.contains(said), "{said} in {page}");
    }
}
