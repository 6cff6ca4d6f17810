//! Agents whom Envoy knows by the tokens that they show.

use checkrein_shared::identity::Role;
use serde_json::{Value, json};

use super::agent::{Agent, Answer};
use super::bank::Bank;
use super::edge::{AGENT, Edge};
use super::envoy::{Envoy, Leads};
use super::signer::{Signer, now_s};

const KNOWN: &str = r#"agent_from = ["jwt"]
[gateway.agents]
billing-bot = "spiffe://acme.example/agent/billing"
"#;

/// An issuer, and what stands behind Envoy.
struct Scene {
    edge: Edge,
    bank: Bank,
    issuer: Signer,
}

impl Scene {
    async fn set() -> Self {
        Self {
            edge: Edge::saying(KNOWN).await,
            bank: Bank::open().await,
            issuer: Signer::new("first"),
        }
    }

    /// Envoy, which believes the issuer, and an agent with a grant before it.
    async fn envoy(&self, changes: &[(&str, &str)]) -> (Envoy, Agent) {
        let client = self.edge.world.client_config(Role::Enforcer, "ingress").unwrap();
        let keys = json!({ "keys": [self.issuer.public("sig")] }).to_string();
        std::fs::write(client.with_file_name("jwks.json"), keys).unwrap();
        let leads = Leads {
            enforcer: self.edge.port,
            bank: self.bank.port,
            mcp: 1,
        };
        let envoy = Envoy::start(&self.edge.world, ("jwt.yaml", changes), &leads).await;
        let agent = Agent::uncertified(&envoy, &self.edge.grant);
        (envoy, agent)
    }

    fn token(&self, subject: &str) -> String {
        self.issuer.sign(&claims(subject))
    }
}

fn claims(subject: &str) -> Value {
    json!({
        "iss": "https://issuer.acme.example", "aud": "https://gateway.acme.example", "sub": subject,
        "iat": now_s(), "exp": now_s() + 300,
    })
}

/// The same with another value, or without one.
fn but(name: &str, value: Value) -> Value {
    let mut claims = claims(AGENT);
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

async fn looks(agent: &Agent, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    agent
        .sends("GET", "/balance", &[("authorization", &bearer)], "")
        .await
}

/// What is said of a request that the enforcer denied.
fn denied(answer: &Answer) -> String {
    assert_eq!(answer.status, 403, "{answer:?}");
    answer.json()["cause"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_envoy_the_agent_that_a_verified_token_names_is_judged_by_either_of_its_names() {
    let scene = Scene::set().await;
    let (_envoy, agent) = scene.envoy(&[]).await;
    for name in [AGENT, "billing-bot"] {
        let answer = looks(&agent, &scene.token(name)).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
    }
    let got = scene.bank.got();
    assert_eq!(got.len(), 2);
    for request in &got {
        let request = request.to_lowercase();
        assert!(
            !request.contains("bearer") && !request.contains("checkrein-grant"),
            "{request}"
        );
    }
    let stranger = "spiffe://acme.example/agent/stranger";
    let answer = looks(&agent, &scene.token(stranger)).await;
    assert_eq!(
        denied(&answer),
        "wrong_agent",
        "the grant is for another: {answer:?}"
    );
    let operator = &scene.edge.operator;
    let task = operator.start("alice", stranger, &["bank/*"], &[]).await.unwrap();
    let answer = looks(&agent.with_grant(&task.grant), &scene.token(stranger)).await;
    assert_eq!(denied(&answer), "unknown_agent", "{answer:?}");
    for nobody in ["alice", "", "spiffe://acme.example/operator/olga"] {
        let answer = looks(&agent, &scene.token(nobody)).await;
        assert_eq!(denied(&answer), "no_agent", "{nobody}: {answer:?}");
    }
    // A token says who it is, and gives it nothing to do.
    let answer = looks(&agent.without_grant(), &scene.token(AGENT)).await;
    assert_eq!(denied(&answer), "invalid_grant");
    assert_eq!(scene.bank.got().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_envoy_no_token_and_one_that_is_not_of_its_issuer_for_it_and_for_now_get_nowhere() {
    let scene = Scene::set().await;
    let (_envoy, agent) = scene.envoy(&[]).await;
    let (issuer, another) = (&scene.issuer, Signer::new("first"));
    let good = scene.token(AGENT);
    let (signed, _) = good.rsplit_once('.').unwrap();
    let theirs = another.sign(&claims(AGENT));
    let forged = [
        issuer.sign(&but("iss", json!("https://issuer.evil.example"))),
        issuer.sign(&but("iss", Value::Null)),
        issuer.sign(&but("aud", json!("https://elsewhere.acme.example"))),
        issuer.sign(&but("aud", Value::Null)),
        issuer.sign(&but("exp", json!(now_s() - 300))),
        issuer.sign(&but("exp", Value::Null)),
        issuer.sign(&but("nbf", json!(now_s() + 300))),
        theirs.clone(),
        format!("{signed}.{}", theirs.rsplit_once('.').unwrap().1),
        format!("{signed}."),
        issuer.unsigned(&claims(AGENT)),
        issuer.sign_with_the_public_key_as_secret(&claims(AGENT)),
        "no-token".to_owned(),
    ];
    let by_envoy = |answer: &Answer| {
        [401, 403].contains(&answer.status) && !answer.header("www-authenticate").is_empty()
    };
    for token in &forged {
        let answer = looks(&agent, token).await;
        assert!(by_envoy(&answer), "{token}: {answer:?}");
    }
    let in_url = format!("/balance?access_token={good}");
    for path in ["/balance", &in_url] {
        let without = agent.sends("GET", path, &[], "").await;
        assert!(by_envoy(&without), "{path}: {without:?}");
    }
    assert!(scene.bank.got().is_empty());
    assert_eq!(looks(&agent, &good).await.status, 200, "it is the tokens");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_envoy_an_agent_whose_token_the_enforcer_does_not_hear_of_is_denied() {
    let scene = Scene::set().await;
    let metadata = "payload_in_metadata: jwt_payload";
    let passed_on = "metadata_context_namespaces: [envoy.filters.http.jwt_authn]";
    let required = "requires: { provider_name: agents }";
    let optional =
        "requires: { requires_any: { requirements: [{ provider_name: agents }, { allow_missing: {} }] } }";
    for (line, instead, token) in [
        (metadata, "forward: false", Some(AGENT)),
        (passed_on, "clear_route_cache: false", Some(AGENT)),
        (required, optional, None),
    ] {
        let (_envoy, agent) = scene.envoy(&[(line, instead)]).await;
        let answer = match token {
            Some(subject) => looks(&agent, &scene.token(subject)).await,
            None => agent.sends("GET", "/balance", &[], "").await,
        };
        assert_eq!(denied(&answer), "no_agent", "{instead}: {answer:?}");
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "echo", "arguments": {} } });
        let bearer = token.map(|subject| format!("Bearer {}", scene.token(subject)));
        let headers: Vec<_> = bearer
            .iter()
            .map(|bearer| ("authorization", bearer.as_str()))
            .collect();
        let answer = agent.sends("POST", "/mcp", &headers, &call.to_string()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["error"]["code"], -31001, "{answer:?}");
    }
    assert!(scene.bank.got().is_empty());
}
