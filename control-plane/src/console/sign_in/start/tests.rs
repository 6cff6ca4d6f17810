//! A browser comes back to where it started, and no other browser does.

use super::*;
use axum::http::header::COOKIE;

const NOW_MS: u64 = 1_800_000_000_000;

/// What a browser sends that keeps this.
fn kept(start: &Start, is_secure: bool) -> HeaderMap {
    let cookie = start.cookie(is_secure);
    let pair = cookie.split(';').next().unwrap_or_default();
    HeaderMap::from_iter([(COOKIE, format!("theme=dark; {pair}").parse().unwrap())])
}

#[test]
fn the_browser_that_was_sent_comes_back_to_its_page() {
    for is_secure in [true, false] {
        let start = Start::fresh(NOW_MS, "/holds/hold_1?x=y");
        let state = start.attempt().state;
        let back = Start::returned(&kept(&start, is_secure), is_secure, &state, NOW_MS + START_MAX_MS);
        assert!(back.is_some_and(|back| back == start));
    }
}

#[test]
fn another_browser_a_later_one_and_a_changed_cookie_do_not() {
    let start = Start::fresh(NOW_MS, "/");
    let state = start.attempt().state;
    let comes =
        |headers: &HeaderMap, state: &str, now_ms| Start::returned(headers, true, state, now_ms).is_some();
    let own = kept(&start, true);
    assert!(comes(&own, &state, NOW_MS));
    assert!(!comes(&own, &state, NOW_MS + START_MAX_MS + 1), "too late");
    assert!(comes(&own, &state, NOW_MS - 1), "by the clock of another replica");
    assert!(!comes(&own, "", NOW_MS));
    assert!(!comes(&HeaderMap::new(), &state, NOW_MS));
    let other = Start::fresh(NOW_MS, "/");
    assert!(!comes(&kept(&other, true), &state, NOW_MS));
    assert!(
        !comes(&kept(&start, false), &state, NOW_MS),
        "a cookie that any neighbour may set"
    );
    for changed in [
        Start {
            next: "/fleet".to_owned(),
            ..start.clone()
        },
        Start {
            begun_ms: NOW_MS + 1,
            ..start.clone()
        },
    ] {
        assert!(!comes(&kept(&changed, true), &state, NOW_MS + 1));
    }
    let mut two = own;
    two.append(COOKIE, kept(&other, true)[COOKIE].clone());
    assert!(!comes(&two, &state, NOW_MS), "which of two is it?");
}

#[test]
fn an_address_that_is_too_long_to_keep_is_not() {
    let long = format!("/{}", "x".repeat(NEXT_BYTES_MAX));
    assert_eq!(Start::fresh(NOW_MS, &long).next, "/");
}
