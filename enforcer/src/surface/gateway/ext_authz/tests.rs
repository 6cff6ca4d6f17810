//! What a gateway asks becomes a call, or nothing does.

mod held;
mod mcp;

use std::collections::HashMap;

use checkrein_proto::ext_authz::attribute_context::{self, HttpRequest, Peer};
use checkrein_proto::ext_authz::check_response::HttpResponse;
use checkrein_proto::ext_authz::{DeniedHttpResponse, OkHttpResponse};
use checkrein_shared::decision::{OutcomeResult, Record};
use serde_json::{Value, json};

use super::*;
use crate::config::Gateway;
use crate::fixture::{AGENT, Bench, Offer};

const ROUTES: [(&str, &str); 3] = [
    ("POST /accounts/{to}/payments", "bank/pay"),
    ("GET /accounts", "bank/look"),
    ("PUT /accounts/{id}", "bank/wipe"),
];

/// A gateway that asks a real gate.
struct Scene {
    bench: Bench,
    asked: ExtAuthz,
}

/// What a client sends, as a gateway shows it.
struct Sent {
    attributes: AttributeContext,
    body: Vec<u8>,
}

impl Scene {
    fn set() -> Self {
        let bench = Bench::new();
        let route = |(request, tool): (&str, &str)| GatewayRoute {
            request: request.parse().unwrap(),
            tool: tool.to_owned(),
        };
        let asking = Asking::new(bench.gate.clone(), &Gateway::default());
        let asked = ExtAuthz::new(Arc::new(asking), ROUTES.map(route).to_vec());
        Self { bench, asked }
    }

    /// The usual agent, with its grant.
    fn sends(&self, method: &str, path: &str, body: &str) -> Sent {
        let mut sent = Sent::new(method, path, body);
        sent.header("checkrein-grant", &self.bench.grant());
        sent
    }

    fn pays(&self, amount: u32) -> Sent {
        self.sends(
            "POST",
            "/accounts/GB29/payments",
            &json!({ "amount": amount }).to_string(),
        )
    }

    async fn asks(&self, sent: &Sent) -> CheckResponse {
        let request = CheckRequest {
            attributes: Some(sent.attributes.clone()),
        };
        self.asked
            .check(Request::new(request))
            .await
            .unwrap()
            .into_inner()
    }

    /// It goes on.
    async fn permits(&self, sent: &Sent) -> OkHttpResponse {
        let answer = self.asks(sent).await;
        assert_eq!(answer.status.as_ref().unwrap().code, 0, "{answer:?}");
        let Some(HttpResponse::OkResponse(ok)) = answer.http_response else {
            panic!("{answer:?}")
        };
        ok
    }

    /// It does not; what the client is told.
    async fn denies(&self, sent: &Sent) -> (DeniedHttpResponse, Value) {
        let answer = self.asks(sent).await;
        assert_eq!(answer.status.as_ref().unwrap().code, 7, "{answer:?}");
        let Some(HttpResponse::DeniedResponse(denied)) = answer.http_response else {
            panic!("{answer:?}")
        };
        let body = serde_json::from_str(&denied.body).unwrap();
        (denied, body)
    }

    async fn cause(&self, sent: &Sent) -> String {
        let (denied, body) = self.denies(sent).await;
        assert_eq!(denied.status.unwrap().code, 403);
        assert_eq!(body["verdict"], "deny", "{body}");
        assert!(!body["reason"].as_str().unwrap().is_empty());
        body["cause"].as_str().unwrap().to_owned()
    }

    fn outcomes(&self) -> Vec<OutcomeResult> {
        let outcome = |record| match record {
            Record::Outcome(outcome) => Some(outcome.result),
            _ => None,
        };
        self.bench.records().into_iter().filter_map(outcome).collect()
    }
}

impl Sent {
    fn new(method: &str, path: &str, body: &str) -> Self {
        let mut sent = Self {
            attributes: AttributeContext {
                source: Some(Peer {
                    principal: AGENT.to_owned(),
                }),
                request: Some(attribute_context::Request {
                    http: Some(HttpRequest {
                        method: method.to_owned(),
                        path: path.to_owned(),
                        ..HttpRequest::default()
                    }),
                }),
                context_extensions: HashMap::new(),
                metadata_context: None,
            },
            body: body.as_bytes().to_vec(),
        };
        if !body.is_empty() {
            sent.header("content-type", "application/json");
            sent.header("content-length", &body.len().to_string());
            sent.header("x-envoy-auth-partial-body", "false");
            sent.http().raw_body = body.as_bytes().to_vec().into();
            sent.http().size = i64::try_from(body.len()).unwrap();
        }
        sent
    }

    fn http(&mut self) -> &mut HttpRequest {
        let request = self.attributes.request.as_mut().unwrap();
        request.http.as_mut().unwrap()
    }

    fn header(&mut self, name: &str, value: &str) {
        self.http().headers.insert(name.to_owned(), value.to_owned());
    }

    fn without(mut self, name: &str) -> Self {
        self.http().headers.remove(name);
        self
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.header(name, value);
        self
    }

    fn routed(mut self, extensions: &[(&str, &str)]) -> Self {
        let extensions = extensions.iter();
        self.attributes.context_extensions = extensions
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        self
    }

    fn of(mut self, principal: &str) -> Self {
        self.attributes.source = Some(Peer {
            principal: principal.to_owned(),
        });
        self
    }
}

fn named<'a>(headers: &'a [checkrein_proto::ext_authz::HeaderValueOption], name: &str) -> &'a str {
    let headers = headers.iter().filter_map(|option| option.header.as_ref());
    let found = headers.clone().find(|header| header.key == name);
    found.map_or_else(|| panic!("no `{name}`"), |header| &header.value)
}

#[tokio::test]
async fn a_request_that_is_permitted_goes_on_without_its_grant_and_nobody_knows_how_it_ended() {
    let scene = Scene::set();
    let ok = scene.permits(&scene.pays(100)).await;
    for removed in [
        "checkrein-grant",
        "txn-token",
        "checkrein-proof",
        "x-http-method-override",
    ] {
        assert!(
            ok.headers_to_remove.iter().any(|name| name == removed),
            "{removed}"
        );
    }
    let decision = named(&ok.headers, "x-checkrein-decision-id").to_owned();
    assert_eq!(
        named(&ok.response_headers_to_add, "x-checkrein-decision-id"),
        decision
    );
    let records = scene.bench.records();
    let Record::Decision(record) = &records[0] else {
        panic!("no decision")
    };
    assert_eq!((record.id.to_string(), record.agent_asserted), (decision, true));
    assert_eq!(scene.outcomes(), [OutcomeResult::Unknown]);
}

#[tokio::test]
async fn arguments_come_from_the_path_the_query_and_the_body_and_each_once() {
    let scene = Scene::set();
    let (_, body) = scene.denies(&scene.pays(5_000)).await;
    assert_eq!(body["cause"], "forbidden", "the amount of the body was seen");
    assert_eq!(body["rules"], json!(["capped"]));
    scene
        .permits(&scene.sends("GET", "/accounts?account=GB29", ""))
        .await;
    for (path, body) in [
        ("/accounts/GB29/payments", r#"{"to":"GB30","amount":1}"#),
        ("/accounts/GB29/payments", r#"{"TO":"GB30","amount":1}"#),
        ("/accounts/GB29/payments?amount=1", r#"{"amount":1}"#),
        ("/accounts/GB29/payments?a=1&a=2", r#"{"amount":1}"#),
        ("/accounts/GB29/payments", r#"{"amount":1,"amount":2}"#),
        ("/accounts/GB29/payments", r#"[{"amount":1}]"#),
        ("/accounts/GB29/payments", r#"{"amount":1},{"amount":2}"#),
        ("/accounts/GB29/payments", r#"{"amount":1"#),
        ("/accounts/GB29%2f/payments", r#"{"amount":1}"#),
    ] {
        assert_eq!(
            scene.cause(&scene.sends("POST", path, body)).await,
            "unreadable",
            "{path} {body}"
        );
    }
}

#[tokio::test]
async fn a_request_that_no_route_names_is_denied() {
    let scene = Scene::set();
    for (method, path) in [
        ("DELETE", "/accounts"),
        ("GET", "/other"),
        ("GET", "/"),
        ("get", "/accounts"),
    ] {
        assert_eq!(scene.cause(&scene.sends(method, path, "")).await, "no_route");
    }
    let whole = [
        ("checkrein.tool", "bank/look"),
        ("checkrein.route", "GET /balance"),
    ];
    let sent = scene.sends("GET", "/balance", "").routed(&whole);
    scene.permits(&sent).await;
    let elsewhere = scene.sends("GET", "/accounts", "").routed(&whole);
    assert_eq!(
        scene.cause(&elsewhere).await,
        "no_route",
        "the route of the gateway is the one"
    );
    for unclear in [
        &[("checkrein.tool", "bank/look")][..],
        &[("checkrein.route", "GET /balance")],
        &[("checkrein.tool", "bank/look"), ("checkrein.route", "balance")],
        &[("checkrein.mcp", "bank"), whole[0], whole[1]],
    ] {
        let sent = scene.sends("GET", "/balance", "").routed(unclear);
        assert_eq!(scene.cause(&sent).await, "invalid_route", "{unclear:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_seen_whole_and_as_it_is_permits_nothing() {
    let scene = Scene::set();
    let pays = || scene.pays(1);
    let mut as_text = pays();
    as_text.http().body = String::from_utf8(as_text.body.clone()).unwrap();
    let mut unseen = pays().without("x-envoy-auth-partial-body");
    unseen.http().raw_body = Vec::new().into();
    unseen.http().size = 0;
    let mut spoofed = pays();
    spoofed.http().raw_body = Vec::new().into();
    let mut shorter = pays();
    shorter.http().size += 1;
    for missing in [
        as_text,
        unseen,
        spoofed,
        shorter,
        pays().with("x-envoy-auth-partial-body", "true"),
        scene.sends("POST", "/accounts/GB29/payments", ""),
        scene
            .sends("GET", "/accounts", "")
            .with("transfer-encoding", "chunked"),
        scene.sends("GET", "/accounts", "").with("content-length", "5"),
        scene
            .sends("GET", "/accounts", "")
            .with("x-envoy-auth-partial-body", "true"),
    ] {
        assert_eq!(scene.cause(&missing).await, "body_missing");
    }
    // A gateway that does not say so, but how much there was.
    scene.permits(&pays().without("x-envoy-auth-partial-body")).await;
    for unread in [
        pays().with("content-type", "application/x-www-form-urlencoded"),
        pays().with("content-type", "application/json; charset=utf-16"),
        pays().with("content-type", "application/json; charset=x-utf-8"),
        pays().with("content-type", "application/json; charset =latin1"),
        pays().with("content-type", "application/json; charset"),
        pays().without("content-type"),
        pays().with("content-encoding", "gzip"),
    ] {
        assert_eq!(scene.cause(&unread).await, "unreadable");
    }
    scene
        .permits(&pays().with("content-type", "Application/JSON; charset=\"UTF-8\""))
        .await;
    let large = format!(r#"{{"amount":1,"note":"{}"}}"#, "x".repeat(1 << 20));
    let large = scene.sends("POST", "/accounts/GB29/payments", &large);
    assert_eq!(scene.cause(&large).await, "body_too_large");
    let none = scene.sends("PUT", "/accounts/1", "").with("content-length", "0");
    assert_eq!(scene.cause(&none).await, "unknown_tool", "it was decided");
}

#[tokio::test]
async fn who_is_not_named_or_has_no_grant_or_two_is_denied() {
    let scene = Scene::set();
    let look = || scene.sends("GET", "/accounts", "");
    assert_eq!(scene.cause(&look().of("")).await, "no_agent");
    assert_eq!(
        scene
            .cause(&look().of("spiffe://acme.example/operator/olga"))
            .await,
        "no_agent"
    );
    assert_eq!(
        scene.cause(&look().with("txn-token", "another")).await,
        "two_grants"
    );
    let both = look();
    let grant = both
        .attributes
        .request
        .as_ref()
        .unwrap()
        .http
        .as_ref()
        .unwrap()
        .headers["checkrein-grant"]
        .clone();
    scene
        .permits(&look().with("txn-token", &grant).with("checkrein-grant", &grant))
        .await;
    scene
        .permits(&look().without("checkrein-grant").with("txn-token", &grant))
        .await;
    let mut causes = Vec::new();
    for denied in [
        look().without("checkrein-grant"),
        look().with("checkrein-grant", &format!("{grant},{grant}")),
        look().of("spiffe://acme.example/agent/other"),
    ] {
        causes.push(scene.cause(&denied).await);
    }
    assert_eq!(causes, ["invalid_grant", "invalid_grant", "wrong_agent"]);
}

#[tokio::test]
async fn without_a_policy_and_without_its_control_plane_the_answer_is_a_deny_and_no_error() {
    let scene = Scene::set();
    scene
        .bench
        .authority
        .on_confirm(|_| Err(crate::control_plane::AskError::NotConnected));
    let cause = scene.cause(&scene.pays(1)).await;
    assert_eq!(cause, "control_plane_unreachable");
    scene.bench.snapshots.install(|next| next.policy = None);
    assert_eq!(
        scene.cause(&scene.sends("GET", "/accounts", "")).await,
        "no_policy"
    );
    let mut empty = Sent::new("GET", "/", "");
    empty.attributes.request = None;
    assert_eq!(scene.cause(&empty).await, "no_request");
}

#[tokio::test]
async fn a_permitted_request_of_which_the_ledger_can_not_be_told_does_not_go_on() {
    let scene = Scene::set();
    let bench = &scene.bench;
    // What it gives is not seen here, and so taken for as large as can be.
    let labels = r#"@id("large") @yields("bulk") permit (principal, action == Action::"bank/look", resource)
        when { context has result && context.result.bytes > 100 };"#;
    let rules = r#"@id("all") permit (principal, action, resource);"#;
    bench.install(&Offer::labelling(rules, labels, 2, &bench.keys.bundle));
    bench.authority.labels_nothing();
    let looks = scene.sends("GET", "/accounts", "");
    assert_eq!(scene.cause(&looks).await, "withheld");
    assert_eq!(scene.outcomes(), [OutcomeResult::Unknown]);
}
