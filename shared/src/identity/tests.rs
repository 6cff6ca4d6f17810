//! A SPIFFE ID is read strictly, and says who it is.

use super::*;

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

#[test]
fn an_identity_has_a_domain_a_role_and_a_name() {
    let billing = id("spiffe://acme.example/agent/billing");
    assert_eq!(
        (billing.trust_domain(), billing.role(), billing.name()),
        ("acme.example", Some(Role::Agent), "billing")
    );
    let deep = id("spiffe://acme.example/agent/eu/billing");
    assert_eq!((deep.role(), deep.name()), (Some(Role::Agent), "eu/billing"));
    assert_eq!(SpiffeId::of("acme.example", Role::Agent, "billing"), Ok(billing));
}

#[test]
fn a_path_that_begins_with_no_role_has_none() {
    for text in [
        "spiffe://acme.example/ns/billing",
        "spiffe://acme.example/Operator/olga",
        "spiffe://acme.example/operators/olga",
    ] {
        assert_eq!(id(text).role(), None, "{text}");
    }
}

#[test]
fn what_is_no_spiffe_id_is_refused() {
    for text in [
        "",
        "https://acme.example/agent/billing",
        "SPIFFE://acme.example/agent/billing",
        "spiffe://",
        "spiffe:///agent/billing",
        "spiffe://./agent/billing",
        "spiffe://../agent/billing",
        &format!("spiffe://{}/agent/billing", "a".repeat(256)),
        "spiffe://acme.example",
        "spiffe://acme.example/",
        "spiffe://acme.example/agent",
        "spiffe://acme.example/agent/",
        "spiffe://acme.example//billing",
        "spiffe://acme.example/agent/billing/",
        "spiffe://acme.example/agent/../operator/olga",
        "spiffe://acme.example/agent/./billing",
        "spiffe://acme.example/agent/bill%69ng",
        "spiffe://acme.example/agent/billing?x",
        "spiffe://acme.example/agent/billing#x",
        "spiffe://acme.example/agent/b\u{0456}lling",
        "spiffe://ACME.example/agent/billing",
        "spiffe://acme.example:443/agent/billing",
        "spiffe://olga@acme.example/agent/billing",
        " spiffe://acme.example/agent/billing",
        "spiffe://acme.example/agent/billing\n",
    ] {
        assert!(text.parse::<SpiffeId>().is_err(), "{text}");
    }
}

#[test]
fn an_identity_is_as_long_as_the_standard_allows_and_no_longer() {
    let of_length = |length: usize| {
        let head = "spiffe://acme.example/agent/";
        format!("{head}{}", "x".repeat(length - head.len()))
    };
    assert!(of_length(SPIFFE_ID_BYTES_MAX).parse::<SpiffeId>().is_ok());
    assert_eq!(
        of_length(SPIFFE_ID_BYTES_MAX + 1).parse::<SpiffeId>(),
        Err(InvalidSpiffeId::Length(SPIFFE_ID_BYTES_MAX + 1))
    );
}

#[test]
fn a_role_is_named_as_it_is_parsed() {
    for role in Role::ALL {
        assert_eq!(role.as_str().parse(), Ok(role));
        let named = SpiffeId::of("acme.example", role, "x").unwrap();
        assert_eq!(named.role(), Some(role));
    }
    assert!("root".parse::<Role>().is_err());
}
