//! agentgateway's question over mutual TLS, on the port where every gateway asks: by a client in its shapes.

use std::path::Path;

use checkrein_proto::decision::v1::CountRequest;
use checkrein_proto::ext_mcp::ext_mcp_client::ExtMcpClient;
use checkrein_proto::ext_mcp::mcp_request_result::Result as Requested;
use checkrein_proto::ext_mcp::mcp_response_result::Result as Responded;
use checkrein_proto::ext_mcp::{McpHeader, McpRequest, McpResponse};
use checkrein_proto::value::Kind;
use checkrein_proto::{Struct, Value as Said};
use checkrein_shared::identity::Role;
use checkrein_tests::{World, read_pack};
use serde_json::{Value, json};
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::edge::{AGENT, Edge};

/// An enforcer, and whoever asks it.
struct Scene {
    edge: Edge,
}

impl Scene {
    async fn set() -> Self {
        Self {
            edge: Edge::open().await,
        }
    }

    /// With a certificate of the world's own CA.
    async fn caller(&self, role: Role, name: &str) -> ExtMcpClient<Channel> {
        let channel = self.connected(Some(certificate(&self.edge.world, role, name)));
        ExtMcpClient::new(channel.await.unwrap())
    }

    async fn connected(&self, identity: Option<Identity>) -> Result<Channel, tonic::transport::Error> {
        let tls = ClientTlsConfig::new()
            .domain_name("localhost")
            .ca_certificate(Certificate::from_pem(self.edge.world.ca_certificate()));
        let tls = match identity {
            Some(identity) => tls.identity(identity),
            None => tls,
        };
        let url = format!("https://127.0.0.1:{}", self.edge.port);
        let endpoint = Endpoint::from_shared(url).unwrap();
        endpoint.tls_config(tls).unwrap().connect().await
    }

    fn asks(&self, method: &str, params: Option<&Value>) -> McpRequest {
        McpRequest {
            service_names: vec!["everything".to_owned()],
            method: method.to_owned(),
            metadata_context: Some(context(&[("checkrein_agent", AGENT)])),
            mcp_request: params.map(|params| params.to_string().into()),
            headers: vec![McpHeader {
                key: "checkrein-grant".to_owned(),
                value: self.edge.grant.clone().into(),
            }],
        }
    }

    fn calls(&self, tool: &str, arguments: &Value) -> McpRequest {
        self.asks(
            "tools/call",
            Some(&json!({ "name": tool, "arguments": arguments })),
        )
    }
}

fn certificate(world: &World, role: Role, name: &str) -> Identity {
    let client = world.client_config(role, name).unwrap();
    let read = |name: &str| std::fs::read(client.with_file_name(name)).unwrap();
    Identity::from_pem(read("certificate.pem"), read("key.pem"))
}

fn context(fields: &[(&str, &str)]) -> Struct {
    let field = |(name, value): &(&str, &str)| {
        let kind = Some(Kind::StringValue((*value).to_owned()));
        ((*name).to_owned(), Said { kind })
    };
    Struct {
        fields: fields.iter().map(field).collect(),
    }
}

/// None: it goes on.
async fn refused(gateway: &mut ExtMcpClient<Channel>, request: McpRequest) -> Option<Value> {
    let answer = gateway.check_request(request).await.unwrap().into_inner();
    match answer.result.unwrap() {
        Requested::Pass(_) => None,
        Requested::Error(error) => Some(serde_json::from_slice(&error.mcp_error.unwrap()).unwrap()),
        other @ Requested::Mutated(_) => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_mutual_tls_a_named_gateway_is_told_what_may_go_on_and_what_waits() {
    let scene = Scene::set().await;
    let mut gateway = scene.caller(Role::Enforcer, "ingress").await;
    let echo = scene.calls("echo", &json!({ "message": "hello" }));
    assert_eq!(refused(&mut gateway, echo).await, None);
    let env = refused(&mut gateway, scene.calls("get-env", &json!({})))
        .await
        .unwrap();
    assert_eq!(
        (&env["code"], &env["data"]["rules"]),
        (&json!(-31001), &json!(["no-env"]))
    );

    let sum = scene.calls("get-sum", &json!({ "a": 2, "b": 3 }));
    let held = refused(&mut gateway, sum.clone()).await.unwrap();
    assert_eq!(
        (&held["code"], &held["data"]["groups"]),
        (&json!(-31002), &json!(["owners"]))
    );
    let hold = scene.edge.hold(held["data"]["hold_id"].as_str().unwrap()).await;
    let bob = scene.edge.world.approver("bob").await.unwrap();
    bob.vote(&hold, true).await.unwrap();
    assert_eq!(refused(&mut gateway, sum.clone()).await, None);
    let again = refused(&mut gateway, sum).await.unwrap();
    assert_eq!(again["code"], -31002, "people are asked again: {again}");
    assert_ne!(again["data"]["hold_id"], held["data"]["hold_id"]);

    // Of a list, what the task may use.
    let everything = Path::new(env!("CARGO_MANIFEST_DIR")).join("packs/everything");
    let pack = read_pack("everything", &everything).unwrap();
    let offered = &pack.files["catalog/everything.json"];
    let mut offered: Value = serde_json::from_slice(offered).unwrap();
    let whole = offered["tools"].as_array().unwrap().len();
    let stranger = json!({ "name": "stranger", "inputSchema": { "type": "object" } });
    offered["tools"].as_array_mut().unwrap().push(stranger);
    let response = McpResponse {
        service_names: vec!["everything".to_owned()],
        method: "tools/list".to_owned(),
        metadata_context: Some(context(&[
            ("checkrein_agent", AGENT),
            ("checkrein_grant", &scene.edge.grant),
        ])),
        mcp_response: offered.to_string().into(),
    };
    let answer = gateway.check_response(response).await.unwrap().into_inner();
    let Some(Responded::Mutated(shown)) = answer.result else {
        panic!("{answer:?}")
    };
    let shown: Value = serde_json::from_slice(&shown).unwrap();
    let shown = shown["tools"].as_array().unwrap();
    assert!(shown.len() <= whole && shown.iter().any(|tool| tool["name"] == "echo"));
    assert!(shown.iter().all(|tool| tool["name"] != "stranger"));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_mutual_tls_nobody_else_is_heard_whom_the_same_ca_vouches_for_and_nobody_without_a_certificate()
{
    let scene = Scene::set().await;
    let strangers = [
        (Role::Enforcer, "edge"),
        (Role::Enforcer, "ingress-2"),
        (Role::Agent, "billing"),
        (Role::Agent, "ingress"),
        (Role::Operator, "olga"),
        (Role::Approver, "bob"),
    ];
    let echo = scene.calls("echo", &json!({ "message": "hello" }));
    for (role, name) in strangers {
        let mut caller = scene.caller(role, name).await;
        let request = caller.check_request(echo.clone()).await.unwrap_err();
        let response = caller.check_response(McpResponse::default()).await.unwrap_err();
        for status in [request, response] {
            assert_eq!(status.code(), Code::PermissionDenied, "{role} {name}: {status}");
            assert!(status.message().contains("name it under `callers`"), "{status}");
        }
    }
    let other = World::start().await.unwrap();
    let foreign = certificate(&other, Role::Enforcer, "ingress");
    for identity in [None, Some(foreign)] {
        // TLS 1.3 tells a client that it is not believed only once it asks.
        let Ok(channel) = scene.connected(identity).await else {
            continue;
        };
        let status = ExtMcpClient::new(channel).check_request(echo.clone()).await;
        assert_ne!(
            status.unwrap_err().code(),
            Code::PermissionDenied,
            "it is not even heard"
        );
    }
    // Whoever is named is heard meanwhile, and of all of them one call was decided.
    let mut gateway = scene.caller(Role::Enforcer, "ingress").await;
    assert_eq!(refused(&mut gateway, echo).await, None);
    let home = |status: &checkrein_enforcer::Status| status.journal_pending() == 0;
    scene
        .edge
        .enforcer
        .wait_until(home, checkrein_tests::WAIT_MAX)
        .await
        .unwrap();
    let mut decisions = scene.edge.operator.decisions();
    let counted = decisions
        .count(CountRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(counted.decisions, 1);
}
