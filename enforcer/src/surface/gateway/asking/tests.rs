//! Nobody is named by default, and nobody in two ways.

use checkrein_proto::Value;

use super::*;
use crate::fixture::{AGENT, Bench};

const MESH: &str = "spiffe://cluster.local/ns/shop/sa/billing";

fn asking(from: &[AgentFrom]) -> Asking {
    let gateway = Gateway {
        agent_from: from.to_vec(),
        agents: BTreeMap::from([(MESH.to_owned(), AGENT.parse().unwrap())]),
        ..Gateway::default()
    };
    Asking::new(Bench::new().gate, &gateway)
}

fn text(text: &str) -> Value {
    Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    }
}

fn payload(fields: Vec<(&str, Value)>) -> Struct {
    Struct {
        fields: fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }
}

fn nested(payload: Struct) -> Value {
    Value {
        kind: Some(Kind::StructValue(payload)),
    }
}

#[test]
fn an_agent_is_who_the_first_source_of_the_configuration_names() {
    let other = "spiffe://acme.example/agent/other";
    let by_default = asking(&[]);
    assert_eq!(by_default.agent(AGENT, Some(other)).unwrap().as_str(), AGENT);
    assert_eq!(by_default.agent(MESH, None).unwrap().as_str(), AGENT);
    assert!(
        by_default.agent("", Some(AGENT)).is_err(),
        "tokens are not looked at"
    );
    let by_token = asking(&[AgentFrom::Jwt, AgentFrom::Principal]);
    assert_eq!(by_token.agent(AGENT, Some(other)).unwrap().as_str(), other);
    assert_eq!(by_token.agent(AGENT, None).unwrap().as_str(), AGENT);
    let by_token_alone = asking(&[AgentFrom::Jwt]);
    assert!(by_token_alone.agent(AGENT, None).is_err());
}

#[test]
fn who_is_named_and_is_no_agent_is_nobody_though_the_next_source_names_one() {
    let asking = asking(&[AgentFrom::Principal, AgentFrom::Jwt]);
    for nobody in [
        "spiffe://acme.example/operator/olga",
        "spiffe://cluster.local/ns/shop/sa/other",
        "CN=billing",
        "spiffe://acme.example/agent/billing,spiffe://acme.example/agent/other",
    ] {
        let error = asking.agent(nobody, Some(AGENT)).unwrap_err();
        assert!(error.contains("no agent here"), "{error}");
    }
    assert!(asking.agent("", None).unwrap_err().contains("does not say"));
}

#[test]
fn a_subject_stands_in_one_place() {
    let inner = || nested(payload(vec![("sub", text(AGENT))]));
    assert_eq!(subject(&payload(vec![("sub", text(AGENT))])), Some(AGENT));
    let within = payload(vec![("jwt_payload", inner()), ("x", text("y"))]);
    assert_eq!(subject(&within), Some(AGENT));
    for two in [
        payload(vec![("a", inner()), ("b", inner())]),
        payload(vec![("sub", text(AGENT)), ("b", inner())]),
        payload(vec![(
            "sub",
            Value {
                kind: Some(Kind::NumberValue(1.0)),
            },
        )]),
        payload(vec![]),
    ] {
        assert_eq!(subject(&two), None, "{two:?}");
    }
}
