//! Off this machine whoever comes in is who their certificate says, and nobody else is heard.

use http_body_util::BodyExt;
use tonic::body::Body;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tower::{Service, ServiceExt};

use super::*;
use crate::fixture::{AGENT, Bench, Ca};

/// In the revision 2026-07-28.
const WANTED: &str = r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
const EDGE: &str = "spiffe://acme.example/enforcer/edge";

struct Port {
    authority: Ca,
    address: SocketAddr,
    _place: tempfile::TempDir,
    _surfaces: Surfaces,
}

impl Port {
    async fn open(bench: &Bench) -> Self {
        let authority = Ca::new();
        let place = tempfile::tempdir().unwrap();
        let front = Front {
            door: Door::Certificate { path: "/mcp".into() },
            gate: bench.gate.clone(),
            // Nobody listens there.
            servers: vec![(
                "bank".parse().unwrap(),
                Place::new("http://127.0.0.1:1/mcp", None, None).unwrap(),
            )],
            grant: GrantSource::Nowhere,
            patience: Duration::ZERO,
            sessions: Sessions::default(),
            callers: Callers::default(),
            forms: Forms::default(),
            clock: Arc::new(bench.clock.clone()),
        };
        let mut routes = Routes::default();
        *routes.axum_router_mut() = Router::new().fallback(asked).with_state(Arc::new(front));
        let mut surfaces = Surfaces::none();
        let identity = authority.source(&place, EDGE);
        let listen = "127.0.0.1:0".parse().unwrap();
        let serving = surfaces.serve_http(listen, routes, Some((identity, Speaks::Http)));
        Self {
            address: serving.await.unwrap(),
            authority,
            _place: place,
            _surfaces: surfaces,
        }
    }

    async fn connect(&self, id: &str) -> Channel {
        let tls = ClientTlsConfig::new()
            .ca_certificate(self.authority.pem())
            .domain_name("localhost")
            .identity(self.authority.issue(id));
        let endpoint = Endpoint::from_shared(format!("https://{}", self.address)).unwrap();
        endpoint.tls_config(tls).unwrap().connect().await.unwrap()
    }

    async fn knock(&self, id: &str, path: &str, headers: &[(&str, &str)]) -> StatusCode {
        let request = axum::http::Request::delete(path);
        self.sends(id, request, headers, Body::empty()).await.status()
    }

    /// Wants a prompt, without a session.
    async fn wants(&self, id: &str, headers: &[(&str, &str)]) -> (StatusCode, serde_json::Value) {
        let request = axum::http::Request::post("/mcp")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "prompts/get")
            .header("mcp-name", "p");
        let answer = self
            .sends(id, request, headers, Body::new(WANTED.to_owned()))
            .await;
        let status = answer.status();
        let told = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&told).unwrap_or_default())
    }

    async fn sends(
        &self,
        id: &str,
        mut request: axum::http::request::Builder,
        headers: &[(&str, &str)],
        body: Body,
    ) -> axum::http::Response<Body> {
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut channel = self.connect(id).await;
        let ready = channel.ready().await.unwrap();
        ready.call(request.body(body).unwrap()).await.unwrap()
    }
}

#[tokio::test]
async fn an_agent_is_known_by_its_certificate_and_nobody_else_nor_any_page() {
    let bench = Bench::new();
    let port = Port::open(&bench).await;
    // It is heard, and has no session to end.
    assert_eq!(port.knock(AGENT, "/mcp", &[]).await, StatusCode::BAD_REQUEST);
    assert_eq!(port.knock(AGENT, "/", &[]).await, StatusCode::NOT_FOUND);
    let page = [("origin", "https://localhost")];
    assert_eq!(port.knock(AGENT, "/mcp", &page).await, StatusCode::FORBIDDEN);
    let grants = [("checkrein-grant", "one"), ("checkrein-grant", "two")];
    assert_eq!(port.knock(AGENT, "/mcp", &grants).await, StatusCode::BAD_REQUEST);
    for stranger in [EDGE, "spiffe://acme.example/operator/olga"] {
        assert_eq!(
            port.knock(stranger, "/mcp", &[]).await,
            StatusCode::FORBIDDEN,
            "{stranger}"
        );
    }
}

#[tokio::test]
async fn without_a_session_too_a_caller_is_who_its_certificate_says() {
    let bench = Bench::new();
    let port = Port::open(&bench).await;
    let grant = bench.grant();
    let other = "spiffe://acme.example/agent/other";
    for (agent, cause) in [(AGENT, "unknown_tool"), (other, "wrong_agent")] {
        let (status, told) = port.wants(agent, &[("checkrein-grant", &grant)]).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        assert_eq!(told["error"]["data"]["cause"], cause, "{told}");
    }
    let decided = bench.records().into_iter().filter_map(|record| match record {
        checkrein_shared::decision::Record::Decision(decision) => {
            Some((decision.agent.to_string(), decision.agent_asserted))
        }
        _ => None,
    });
    let decided: Vec<_> = decided.collect();
    assert_eq!(decided, [(AGENT.to_owned(), false), (other.to_owned(), false)]);
    for stranger in [EDGE, "spiffe://acme.example/operator/olga"] {
        assert_eq!(
            port.wants(stranger, &[]).await.0,
            StatusCode::FORBIDDEN,
            "{stranger}"
        );
    }
    let page = [("origin", "https://localhost")];
    assert_eq!(port.wants(AGENT, &page).await.0, StatusCode::FORBIDDEN);
    assert_eq!(bench.records().len(), 2, "nobody else was heard");
}

#[tokio::test]
async fn a_session_is_its_callers_alone_and_there_is_a_bound_on_each_callers() {
    let bench = Bench::new();
    let terms = || Terms {
        gate: bench.gate.clone(),
        name: "bank".parse().unwrap(),
        era: Some(Era::Handshake),
        grant: GrantSource::Nowhere,
        patience: Duration::ZERO,
        definitions: Arc::default(),
        held: Arc::new(HeldCalls::new("tag")),
        forms: Forms::default(),
    };
    let place = Place::new("http://127.0.0.1:1/mcp", None, None).unwrap();
    let open = |agent: &str| {
        Open::new(
            agent.parse().unwrap(),
            vec![(terms(), place.clone())],
            &HeaderMap::new(),
            false,
        )
    };
    let (ours, other) = (AGENT, "spiffe://acme.example/agent/other");
    let sessions = Sessions::default();
    let first = open(ours);
    let id = first.id.clone();
    sessions.add(first).unwrap();
    assert!(sessions.of(&id, &ours.parse().unwrap()).is_some());
    assert!(sessions.of(&id, &other.parse().unwrap()).is_none());
    assert!(!sessions.end(&id, &other.parse().unwrap()));
    for _ in 1..sessions::SESSIONS_OF_ONE_MAX {
        sessions.add(open(ours)).unwrap();
    }
    assert!(
        sessions.add(open(ours)).is_err(),
        "one more than one caller may have"
    );
    sessions.add(open(other)).unwrap();
    assert!(sessions.end(&id, &ours.parse().unwrap()));
    assert!(sessions.of(&id, &ours.parse().unwrap()).is_none());
    sessions.add(open(ours)).unwrap();
}
