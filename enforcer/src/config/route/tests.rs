//! A path has one reading or none, and the pattern that says most is meant.

use super::*;

fn pattern(text: &str) -> RequestPattern {
    text.parse().unwrap()
}

fn found(text: &str, method: &str, target: &str) -> Option<Vec<(String, String)>> {
    pattern(text).matches(method, &Target::parse(target).unwrap())
}

fn pairs(given: &[(&str, &str)]) -> Vec<(String, String)> {
    given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn what_stands_in_braces_is_an_argument_decoded_once() {
    let pay = "POST /accounts/{recipient}/payments";
    let expected = Some(pairs(&[("recipient", "GB 29")]));
    assert_eq!(found(pay, "POST", "/accounts/GB%2029/payments"), expected);
    for (method, target) in [
        ("GET", "/accounts/GB29/payments"),
        ("post", "/accounts/GB29/payments"),
        ("POST", "/accounts/GB29"),
        ("POST", "/accounts/GB29/payments/1"),
        ("POST", "/Accounts/GB29/payments"),
    ] {
        assert_eq!(found(pay, method, target), None, "{method} {target}");
    }
    assert_eq!(found("GET /", "GET", "/?a=b"), Some(Vec::new()));
}

#[test]
fn a_literal_in_another_spelling_is_the_literal() {
    assert_eq!(
        found("POST /accounts/close", "POST", "/accounts/cl%6Fse"),
        Some(Vec::new())
    );
    let target = Target::parse("/accounts/close").unwrap();
    let mut both = [pattern("POST /accounts/{id}"), pattern("POST /accounts/close")];
    assert!(
        both.iter()
            .all(|pattern| pattern.matches("POST", &target).is_some())
    );
    both.sort_by_key(RequestPattern::looseness);
    assert_eq!(both[0].to_string(), "POST /accounts/close");
}

#[test]
fn a_path_with_two_readings_has_none() {
    for path in [
        "",
        "accounts",
        "//accounts",
        "/accounts/",
        "/accounts//x",
        "/a/../b",
        "/a/%2e%2e/b",
        "/a/./b",
        "/a%2fb",
        "/a%5Cb",
        "/a\\b",
        "/a;b=c",
        "/a%252fb",
        "/a%00",
        "/a%0d",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%+1",
        "/a%ff",
        "/a#b",
        "*",
    ] {
        assert_eq!(Target::parse(path), Err(InvalidTarget::Path), "{path}");
    }
    for query in [
        "/?a",
        "/?a=1;b=2",
        "/?=1",
        "/?a=%",
        "/?a=1&",
        "/?a=1#b",
        "/?a=%00",
    ] {
        assert_eq!(Target::parse(query), Err(InvalidTarget::Query), "{query}");
    }
    let long = format!("/{}", "a".repeat(TARGET_BYTES_MAX));
    assert_eq!(
        Target::parse(&long),
        Err(InvalidTarget::TooLong(TARGET_BYTES_MAX + 1))
    );
    let many = format!("/?{}", vec!["a=1"; QUERY_MAX + 1].join("&"));
    assert_eq!(Target::parse(&many), Err(InvalidTarget::TooMany));
}

#[test]
fn a_query_is_read_as_forms_are() {
    let target = Target::parse("/a?x=1+2&y=%3D%26&z=").unwrap();
    assert_eq!(target.query, pairs(&[("x", "1 2"), ("y", "=&"), ("z", "")]));
}

#[test]
fn what_is_no_pattern_is_refused() {
    for text in [
        "",
        "/accounts",
        "post /accounts",
        "POST accounts",
        "POST /a//b",
        "POST /a/",
        "POST /{}",
        "POST /{a}/{A}",
        "POST /a{b}",
        "POST /*",
        "POST /a/..",
        "POST /a?b=c",
        "POST /%61",
    ] {
        assert!(text.parse::<RequestPattern>().is_err(), "{text}");
    }
    assert!(pattern("GET /a/{b}").is_as(&pattern("GET /a/{c}")));
    assert!(!pattern("GET /a/{b}").is_as(&pattern("GET /a/b")));
    assert!(!pattern("GET /a/{b}").is_as(&pattern("PUT /a/{b}")));
}
