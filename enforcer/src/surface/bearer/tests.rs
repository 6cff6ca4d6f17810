//! Whom a token names, and who is not believed.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use checkrein_shared::key::SigningKey;
use checkrein_shared::{Clock, ManualClock};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::config::OAuthClient;
use crate::fixture::AGENT;

const RESOURCE: &str = "https://files.acme.example/mcp";
const NOW_MS: u64 = 1_800_000_000_000;

/// An issuer that answers over HTTP, and whoever believes it.
struct World {
    key: SigningKey,
    issuer: String,
    bearers: Bearers,
    _stop: tokio_util::sync::DropGuard,
}

impl World {
    async fn open(scope: Option<&str>) -> Self {
        let key = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let x = URL_SAFE_NO_PAD.encode(key.verifying().as_bytes());
        let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": x}]}).to_string();
        let about = json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")}).to_string();
        // It says of itself what authorization servers do that know nothing of OIDC.
        let router = Router::new()
            .route(
                "/.well-known/oauth-authorization-server",
                get(async move || about),
            )
            .route("/keys", get(async move || keys));
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        let until = stop.clone();
        tokio::spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(until.cancelled_owned());
            served.await.unwrap();
        });
        let settings = settings(&issuer, scope);
        let bearers = Bearers::start(settings, Arc::new(ManualClock::at(NOW_MS)), &stop).unwrap();
        Self {
            key,
            issuer,
            bearers,
            _stop: guard,
        }
    }

    fn claims(&self) -> Value {
        let now_s = NOW_MS / 1_000;
        json!({"iss": self.issuer, "aud": RESOURCE, "client_id": "assistant", "exp": now_s + 60, "iat": now_s, "scope": "tools more"})
    }

    fn token(&self, claims: &Value) -> String {
        self.token_of(&json!({"alg": "EdDSA", "kid": "one", "typ": "at+jwt"}), claims)
    }

    fn token_of(&self, header: &Value, claims: &Value) -> String {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    async fn ask(&self, token: &str) -> Result<SpiffeId, Unbelieved> {
        self.bearers.agent(&headers(&format!("Bearer {token}"))).await
    }
}

fn settings(issuer: &str, scope: Option<&str>) -> OAuth {
    OAuth {
        issuer: issuer.to_owned(),
        resource: RESOURCE.to_owned(),
        ca: None,
        scope: scope.map(str::to_owned),
        client: vec![OAuthClient {
            id: "assistant".to_owned(),
            agent: AGENT.parse().unwrap(),
        }],
    }
}

fn headers(authorization: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, authorization.parse().unwrap())])
}

#[tokio::test]
async fn a_token_of_the_issuer_for_this_resource_names_the_agent_of_its_client() {
    let world = World::open(Some("tools")).await;
    let believed = world.ask(&world.token(&world.claims())).await.unwrap();
    assert_eq!(believed.as_str(), AGENT);
    let mut by_azp = world.claims();
    by_azp["azp"] = by_azp.as_object_mut().unwrap().remove("client_id").unwrap();
    assert!(world.ask(&world.token(&by_azp)).await.is_ok());
}

#[tokio::test]
async fn a_token_for_somebody_else_of_somebody_else_or_for_another_time_names_nobody() {
    let world = World::open(Some("tools")).await;
    let changed = |name: &str, value: Value| {
        let mut claims = world.claims();
        claims[name] = value;
        world.token(&claims)
    };
    let refused = async |token: String| world.ask(&token).await.unwrap_err().to_string();
    let now_s = NOW_MS / 1_000;
    for (token, words) in [
        (
            changed("aud", json!("https://other.acme.example/mcp")),
            "audience",
        ),
        (changed("aud", json!([])), "audience"),
        (changed("iss", json!("https://evil.example")), "issuer"),
        (changed("exp", json!(now_s - 60)), "expired"),
        (changed("exp", json!(null)), "exp"),
        (changed("nbf", json!(now_s + 60)), "future"),
        (changed("client_id", json!("stranger")), "no agent here"),
        (changed("client_id", json!(7)), "which client"),
        (changed("azp", json!("another")), "which client"),
        (changed("scope", json!("tool")), "scope"),
        (changed("scope", json!(["tools"])), "scope"),
        (changed("cnf", json!({"jkt": "x"})), "bound to a key"),
        (
            world.token_of(&json!({"alg": "none", "kid": "one"}), &world.claims()),
            "algorithm",
        ),
        (
            world.token_of(&json!({"alg": "EdDSA", "kid": "two"}), &world.claims()),
            "key",
        ),
        (
            world.token_of(
                &json!({"alg": "EdDSA", "kid": "one", "typ": "logout+jwt"}),
                &world.claims(),
            ),
            "typ",
        ),
        (format!("{}x", world.token(&world.claims())), "JSON Web Token"),
        ("x".repeat(20_000), "JSON Web Token"),
    ] {
        let said = refused(token).await;
        assert!(said.contains(words), "expected {words:?}: {said}");
    }
}

#[tokio::test]
async fn one_token_in_one_header_is_read_and_nothing_else() {
    let world = World::open(None).await;
    let token = world.token(&world.claims());
    let ask = async |headers: HeaderMap| world.bearers.agent(&headers).await;
    assert!(matches!(ask(HeaderMap::new()).await, Err(Unbelieved::None)));
    assert!(ask(headers(&format!("bEARER {token}"))).await.is_ok());
    let mut twice = headers(&format!("Bearer {token}"));
    twice.append(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    assert!(matches!(ask(twice).await, Err(Unbelieved::Unreadable)));
    for other in [
        format!("DPoP {token}"),
        token.clone(),
        "Bearer ".to_owned(),
        "Basic YTpi".to_owned(),
    ] {
        assert!(
            matches!(ask(headers(&other)).await, Err(Unbelieved::Unreadable)),
            "{other}"
        );
    }
}

#[tokio::test]
async fn whoever_is_refused_is_told_where_to_get_a_token_and_nothing_of_the_one_they_showed() {
    let world = World::open(Some("tools")).await;
    let challenge = |why: &Unbelieved| {
        let response = world.bearers.refuse(why);
        let header = response.headers()[WWW_AUTHENTICATE].to_str().unwrap().to_owned();
        (response.status(), header)
    };
    let at =
        "Bearer resource_metadata=\"https://files.acme.example/.well-known/oauth-protected-resource/mcp\"";
    let (status, header) = challenge(&Unbelieved::None);
    assert_eq!(
        (status, header.as_str()),
        (StatusCode::UNAUTHORIZED, &*format!("{at}, scope=\"tools\""))
    );
    let (status, header) = challenge(&Unbelieved::Scope("tools".to_owned()));
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(header.contains("error=\"insufficient_scope\""), "{header}");
    let mut late = world.claims();
    late["exp"] = json!(1);
    let late = world.token(&late);
    let why = world.ask(&late).await.unwrap_err();
    let (status, header) = challenge(&why);
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(
        header.contains("error=\"invalid_token\"") && !header.contains(&late),
        "{header}"
    );
    assert_eq!(
        world.bearers.metadata_path(),
        "/.well-known/oauth-protected-resource/mcp"
    );
}

#[tokio::test(start_paused = true)]
async fn while_the_issuer_was_never_heard_nobody_is_believed() {
    let world = World::open(None).await;
    // Nobody listens on its port.
    let (nowhere, stop) = ("http://127.0.0.1:1", CancellationToken::new());
    let clock = ManualClock::at(NOW_MS);
    assert_eq!(clock.wall_ms(), NOW_MS);
    let deaf = Bearers::start(settings(nowhere, None), Arc::new(clock), &stop).unwrap();
    let mut claims = world.claims();
    claims["iss"] = json!(nowhere);
    let asked = headers(&format!("Bearer {}", world.token(&claims)));
    let asked = tokio::time::timeout(Duration::from_mins(1), deaf.agent(&asked)).await;
    let why = asked.unwrap().unwrap_err();
    assert!(matches!(why, Unbelieved::NoKeys), "{why:?}");
    assert_eq!(deaf.refuse(&why).status(), StatusCode::SERVICE_UNAVAILABLE);
    stop.cancel();
}
