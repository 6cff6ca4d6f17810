//! What gateways ask, in the shapes in which they ask: of a request in plain HTTP, of one to an MCP server, and of a message of MCP.

use std::collections::HashMap;

use checkrein_proto::ext_authz::attribute_context::{HttpRequest, Peer, Request};
use checkrein_proto::ext_authz::authorization_client::AuthorizationClient;
use checkrein_proto::ext_authz::check_response::HttpResponse;
use checkrein_proto::ext_authz::{AttributeContext, CheckRequest, HeaderValueOption};
use checkrein_proto::ext_mcp::ext_mcp_client::ExtMcpClient;
use checkrein_proto::ext_mcp::mcp_request_result::Result as Answered;
use checkrein_proto::ext_mcp::{McpHeader, McpRequest};
use checkrein_proto::value::Kind;
use checkrein_proto::{Struct, Value as Said};
use serde_json::Value;

use super::mcp::told;
use super::stand::{Call, Stand};
use super::told::Told;

/// A request that its route calls by this tool, with the arguments as its body.
pub(super) async fn http(stand: &Stand, call: &Call) -> Told {
    let route = [("checkrein.tool", &*call.tool), ("checkrein.route", "POST /call")];
    match checked(stand, call, ("/call", &call.arguments), &route).await {
        Ok(told) => told,
        Err(body) if body["decision_id"].is_null() => Told::refused(body["reason"].as_str().unwrap()),
        Err(body) => Told::of(&body),
    }
}

/// A request to an MCP server.
pub(super) async fn mcp(stand: &Stand, call: &Call) -> Told {
    let message = call.message(1, "");
    match checked(stand, call, ("/mcp", &message), &[("checkrein.mcp", "bank")]).await {
        Ok(told) => told,
        Err(body) => told(&body),
    }
}

/// Whether it goes on; else what its sender gets.
async fn checked(
    stand: &Stand,
    call: &Call,
    (path, body): (&str, &str),
    route: &[(&str, &str)],
) -> Result<Told, Value> {
    let mut headers = HashMap::from([
        ("content-type".to_owned(), "application/json".to_owned()),
        ("content-length".to_owned(), body.len().to_string()),
    ]);
    if !call.grant.is_empty() {
        headers.insert("checkrein-grant".to_owned(), call.grant.clone());
    }
    let http = HttpRequest {
        method: "POST".to_owned(),
        path: path.to_owned(),
        headers,
        raw_body: body.as_bytes().to_vec().into(),
        size: i64::try_from(body.len()).unwrap(),
        ..HttpRequest::default()
    };
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let attributes = AttributeContext {
        source: Some(Peer {
            principal: call.agent.clone(),
        }),
        request: Some(Request { http: Some(http) }),
        context_extensions: route.iter().map(owned).collect(),
        metadata_context: None,
    };
    let request = CheckRequest {
        attributes: Some(attributes),
    };
    let mut gateway = AuthorizationClient::new(stand.gateway.clone());
    let answer = gateway.check(request).await.unwrap().into_inner();
    let is_ok = answer.status.unwrap().code == 0;
    match answer.http_response.unwrap() {
        HttpResponse::OkResponse(goes_on) => {
            assert!(is_ok);
            Ok(Told {
                decision: named(&goes_on.headers, "x-checkrein-decision-id"),
                ..Told::permit()
            })
        }
        HttpResponse::DeniedResponse(denied) => {
            assert!(!is_ok);
            Err(serde_json::from_str(&denied.body).unwrap())
        }
    }
}

/// A message of MCP, as agentgateway shows it.
pub(super) async fn ext_mcp(stand: &Stand, call: &Call) -> Told {
    let agent = Said {
        kind: Some(Kind::StringValue(call.agent.clone())),
    };
    let grant = McpHeader {
        key: "checkrein-grant".to_owned(),
        value: call.grant.clone().into(),
    };
    let request = McpRequest {
        service_names: vec!["bank".to_owned()],
        method: "tools/call".to_owned(),
        metadata_context: Some(Struct {
            fields: [("checkrein_agent".to_owned(), agent)].into(),
        }),
        mcp_request: Some(call.params("").into()),
        headers: vec![grant],
    };
    let mut gateway = ExtMcpClient::new(stand.gateway.clone());
    match gateway
        .check_request(request)
        .await
        .unwrap()
        .into_inner()
        .result
        .unwrap()
    {
        Answered::Pass(_) => Told::permit(),
        Answered::Error(error) => {
            let said: Value = serde_json::from_slice(&error.mcp_error.unwrap()).unwrap();
            Told::of(&said["data"]).with(said["message"].as_str().unwrap())
        }
        other @ Answered::Mutated(_) => panic!("{other:?}"),
    }
}

fn named(headers: &[HeaderValueOption], name: &str) -> Option<String> {
    let mut all = headers.iter().filter_map(|option| option.header.as_ref());
    all.find(|header| header.key == name)
        .map(|header| header.value.clone())
}
