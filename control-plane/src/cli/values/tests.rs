//! What people may write.

use std::time::Duration;

use super::{When, duration, key_value, label, socket, tool, trust_domain, when};

#[test]
fn durations_are_written_with_their_unit() {
    assert_eq!(duration("90m"), Ok(Duration::from_mins(90)));
    assert_eq!(duration("1h 30m"), Ok(Duration::from_mins(90)));
    for wrong in ["", "90", "0s", "-1h", "soon"] {
        assert!(duration(wrong).is_err(), "{wrong}");
    }
    assert!(duration("90").unwrap_err().contains("`30s`"));
}

#[test]
fn a_moment_is_a_duration_ago_or_a_time() {
    let now_ms = 1_767_225_600_000;
    assert_eq!(when("1h").unwrap().resolve(now_ms), now_ms - 3_600_000);
    assert_eq!(when("2026-01-01T00:00:00Z"), Ok(When::At(now_ms)));
    assert_eq!(when("2026-01-01 00:00:00"), Ok(When::At(now_ms)));
    assert!(when("yesterday").unwrap_err().contains("`1h`"));
}

#[test]
fn a_label_has_a_key_and_a_value() {
    assert_eq!(key_value("team=payments"), Ok("team=payments".to_owned()));
    assert_eq!(key_value("query=a=b"), Ok("query=a=b".to_owned()));
    for wrong in ["team", "=payments", "team=", ""] {
        assert!(key_value(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_socket_belongs_to_an_agent() {
    let parsed = socket("run/a=b.sock=spiffe://acme.example/agent/billing").unwrap();
    assert_eq!(parsed.path, "run/a=b.sock");
    assert_eq!(parsed.agent.name(), "billing");
    for wrong in [
        "gate.sock",
        "gate.sock=billing",
        "=spiffe://acme.example/agent/billing",
    ] {
        assert!(socket(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_tool_is_named_with_its_catalog() {
    assert!(tool("bank/send_money").is_ok());
    assert!(tool("bank/*").is_ok());
    for wrong in ["send_money", "*/*", "/x", "bank/"] {
        assert!(tool(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_kind_of_data_is_one_word() {
    assert_eq!(label("untrusted_content"), Ok("untrusted_content".to_owned()));
    for wrong in ["", "PII", "pii,public", "a=b"] {
        assert!(
            label(wrong).unwrap_err().contains("lower-case letters"),
            "{wrong}"
        );
    }
}

#[test]
fn a_trust_domain_is_what_stands_after_the_scheme_and_nothing_else() {
    assert_eq!(trust_domain("acme.example"), Ok("acme.example".to_owned()));
    for wrong in [
        "",
        "Acme",
        "spiffe://acme.example",
        "acme.example/agent",
        "acme example",
    ] {
        assert!(
            trust_domain(wrong).unwrap_err().contains("`acme.example`"),
            "{wrong}"
        );
    }
}
