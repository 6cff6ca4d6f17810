//! What agentgateway asks, in the shapes in which it asks, over a real connection.

use checkrein_proto::ext_mcp::ext_mcp_client::ExtMcpClient;
use checkrein_shared::hold::State;
use checkrein_shared::id::HoldId;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

use super::*;
use crate::config::Gateway;
use crate::fixture::{AGENT, Bench, Ca};
use crate::surface::Surfaces;
use crate::surface::tests::empty;

struct Scene {
    bench: Bench,
    gateway: ExtMcpClient<Channel>,
    _place: TempDir,
    _surfaces: Surfaces,
}

impl Scene {
    async fn set() -> Self {
        let bench = Bench::new();
        let place = tempfile::tempdir().unwrap();
        let gateway = Gateway {
            path: Some(place.path().join("gateway.sock")),
            ..Gateway::default()
        };
        let identity = Ca::new().source(&place, "spiffe://acme.example/enforcer/edge");
        let mut surfaces = empty();
        surfaces
            .serve_gateway(bench.gate.clone(), identity, &gateway)
            .await
            .unwrap();
        let path = gateway.path.unwrap();
        let connector = tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://gate")
            .connect_with_connector(connector)
            .await;
        Self {
            bench,
            gateway: ExtMcpClient::new(channel.unwrap()),
            _place: place,
            _surfaces: surfaces,
        }
    }

    fn calls(&self, tool: &str, arguments: &serde_json::Value) -> McpRequest {
        self.asks(
            "tools/call",
            Some(&json!({ "name": tool, "arguments": arguments })),
        )
    }

    fn asks(&self, method: &str, params: Option<&serde_json::Value>) -> McpRequest {
        McpRequest {
            service_names: vec!["bank".to_owned()],
            method: method.to_owned(),
            metadata_context: Some(context(&[(AGENT_FIELD, AGENT)])),
            mcp_request: params.map(|params| Bytes::from(params.to_string())),
            headers: vec![header("checkrein-grant", &self.bench.grant())],
        }
    }

    async fn request(&mut self, request: McpRequest) -> McpRequestResult {
        self.gateway.check_request(request).await.unwrap().into_inner()
    }

    async fn passes(&mut self, request: McpRequest) -> McpRequestResult {
        let answer = self.request(request).await;
        assert!(
            matches!(answer.result, Some(mcp_request_result::Result::Pass(_))),
            "{answer:?}"
        );
        answer
    }

    async fn refuses(&mut self, request: McpRequest) -> (Code, serde_json::Value) {
        let answer = self.request(request).await;
        let Some(mcp_request_result::Result::Error(error)) = answer.result else {
            panic!("{answer:?}")
        };
        assert!(!error.reason.is_empty());
        let code = error.code();
        (code, serde_json::from_slice(&error.mcp_error.unwrap()).unwrap())
    }

    async fn lists(&mut self, grant: &str, result: &str) -> Option<mcp_response_result::Result> {
        let response = McpResponse {
            service_names: vec!["bank".to_owned()],
            method: "tools/list".to_owned(),
            metadata_context: Some(context(&[(AGENT_FIELD, AGENT), (GRANT, grant)])),
            mcp_response: Bytes::from(result.to_owned()),
        };
        self.gateway
            .check_response(response)
            .await
            .unwrap()
            .into_inner()
            .result
    }
}

/// The gateway's word for the agent; `AGENT` is who that is here.
const AGENT_FIELD: &str = super::AGENT;

fn context(fields: &[(&str, &str)]) -> Struct {
    let field = |(name, value): &(&str, &str)| ((*name).to_owned(), text((*value).to_owned()));
    Struct {
        fields: fields.iter().map(field).collect(),
    }
}

fn header(name: &str, value: &str) -> McpHeader {
    McpHeader {
        key: name.to_owned(),
        value: Bytes::from(value.to_owned()),
    }
}

#[tokio::test]
async fn a_permitted_call_goes_on_without_its_grant_and_a_denied_one_is_an_error_with_the_reason() {
    let mut scene = Scene::set().await;
    let look = scene.calls("look", &json!({}));
    let grant = String::from_utf8(look.headers[0].value.to_vec()).unwrap();
    let answer = scene.passes(look).await;
    let removed = answer.header_mutation.unwrap().remove;
    assert!(removed.contains(&"checkrein-grant".to_owned()));
    assert_eq!(said(answer.metadata.as_ref(), GRANT), Some(&*grant));
    let pay = scene.calls("pay", &json!({ "to": "GB29", "amount": 5_000 }));
    let (code, error) = scene.refuses(pay).await;
    assert_eq!(code, Code::PermissionDenied);
    assert_eq!(
        (&error["code"], &error["data"]["cause"]),
        (&json!(-31001), &json!("forbidden"))
    );
}

#[tokio::test]
async fn a_held_call_is_pending_and_goes_on_once_when_it_is_approved() {
    let mut scene = Scene::set().await;
    let id = HoldId::new(&scene.bench.clock);
    scene.bench.authority.holds_as(id, State::Open);
    let pay = scene.calls("pay", &json!({ "to": "GB29", "amount": 500 }));
    let (_, error) = scene.refuses(pay.clone()).await;
    assert_eq!(
        (&error["code"], &error["data"]["hold_id"]),
        (&json!(-31002), &json!(id.to_string()))
    );
    scene.bench.authority.holds_as(id, State::Approved);
    scene.bench.authority.bob_approves();
    scene.passes(pay.clone()).await;
    scene.bench.authority.holds_as(id, State::Consumed);
    scene.refuses(pay).await;
}

#[tokio::test]
async fn what_has_two_readings_or_is_of_nobody_is_refused() {
    let mut scene = Scene::set().await;
    let look = scene.calls("look", &json!({}));
    let with = |change: &dyn Fn(&mut McpRequest)| {
        let mut request = look.clone();
        change(&mut request);
        request
    };
    let twice = scene.bench.grant();
    let refused = [
        with(&|asked| asked.metadata_context = None),
        with(&|asked| asked.metadata_context = Some(context(&[(SUBJECT, AGENT)]))),
        with(&|asked| asked.headers.push(header("Checkrein-Grant", &twice))),
        with(&|asked| asked.headers.push(header("mcp-name", "pay"))),
        with(&|asked| asked.headers.push(header("mcp-method", "tools/list"))),
        with(&|asked| asked.service_names.clear()),
        with(&|asked| asked.service_names = vec!["bank".to_owned(); SERVERS_MAX + 1]),
        with(&|asked| asked.mcp_request = None),
        with(&|asked| asked.mcp_request = Some(Bytes::from_static(br#"{"name":"lo"#))),
        with(&|asked| asked.mcp_request = Some(Bytes::from_static(br#"{"name":"look","name":"pay"}"#))),
        with(&|asked| asked.method = "tasks/get".to_owned()),
    ];
    for request in refused {
        let (code, error) = scene.refuses(request).await;
        assert_eq!(code, Code::Invalid);
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
    let ungranted = with(&|asked| asked.headers.clear());
    assert_eq!(scene.refuses(ungranted).await.0, Code::PermissionDenied);
    let two = with(&|asked| asked.service_names = vec!["bank".to_owned(), "other".to_owned()]);
    assert_eq!(
        scene.refuses(two).await.0,
        Code::PermissionDenied,
        "each of them is decided"
    );
    let ping = scene.asks("ping", None);
    scene.passes(ping).await;
}

#[tokio::test]
async fn of_a_list_of_tools_a_client_gets_what_its_task_may_use_as_the_catalog_accepted_it() {
    let mut scene = Scene::set().await;
    let look =
        r#"{"name":"look","inputSchema":{"type":"object","properties":{"account":{"type":"string"}}}}"#;
    let changed = r#"{"name":"mail","description":"other words","inputSchema":{"type":"object"}}"#;
    let unknown = r#"{"name":"wipe","inputSchema":{"type":"object"}}"#;
    let grant = scene.bench.grant();
    let result = format!(r#"{{"nextCursor":"2","tools":[{changed},{look},{unknown}]}}"#);
    let Some(mcp_response_result::Result::Mutated(shown)) = scene.lists(&grant, &result).await else {
        panic!("a part of it is shown")
    };
    assert_eq!(shown, format!(r#"{{"nextCursor":"2","tools":[{look}]}}"#));
    let all = format!(r#"{{"tools":[{look}]}}"#);
    let whole = scene.lists(&grant, &all).await;
    assert!(matches!(whole, Some(mcp_response_result::Result::Pass(_))));
    let Some(mcp_response_result::Result::Mutated(nothing)) = scene.lists("", &all).await else {
        panic!("without a grant nothing is shown")
    };
    assert_eq!(nothing, r#"{"tools":[]}"#);
    for unreadable in ["", r#"{"tools":[],"tools":[]}"#, "[]"] {
        let answer = scene.lists(&grant, unreadable).await;
        assert!(
            matches!(answer, Some(mcp_response_result::Result::Error(_))),
            "{unreadable}"
        );
    }
}
