//! What gateways show, as bytes that somebody changed: what is refused never reaches the gate, and what is permitted is what the service
//! behind reads.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use checkrein_proto::ext_authz::attribute_context::{self, HttpRequest, Peer};
use checkrein_proto::ext_authz::authorization_server::Authorization;
use checkrein_proto::ext_authz::check_response::HttpResponse;
use checkrein_proto::ext_authz::{AttributeContext, CheckRequest};
use checkrein_proto::ext_mcp::ext_mcp_server::ExtMcp;
use checkrein_proto::ext_mcp::mcp_request_result::Result as Answered;
use checkrein_proto::ext_mcp::{McpHeader, McpRequest};
use checkrein_proto::value::Kind;
use checkrein_proto::{Struct, Value as Said};
use checkrein_shared::decision::{Decision, Record, Verdict};
use proptest::test_runner::TestCaseResult;
use proptest::{prop_assert, prop_assert_eq};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tonic::Request;

use super::asking::Asking;
use super::ext_authz::ExtAuthz;
use super::ext_mcp::Guardrail;
use crate::config::{Gateway, GatewayRoute};
use crate::fixture::{AGENT, Bench, hostile};

/// Each is decided by a whole gate: one of so many of the usual number.
const SHARE: u32 = 10;
const BODIES: [&str; 5] = [
    r#"{"amount":5}"#,
    r#"{ "amount" : 5e0, "to2": null }"#,
    r#"{"amount":5000,"memo":"x"}"#,
    r#"{"amount":500}"#,
    "",
];
const PATHS: [&str; 4] = [
    "/accounts/GB29/payments",
    "/accounts/GB29/payments?amount=5",
    "/accounts/..%2fUS1/payments",
    "/accounts/GB29/payments?amount=5&amount=6#x",
];
const PARAMS: [&str; 4] = [
    r#"{"name":"look","arguments":{"account":"a"}}"#,
    r#"{"name":"pay","arguments":{"to":"GB29","amount":5}}"#,
    r#"{"name":"pay","arguments":{"to":"GB29","amount":5000},"_meta":{}}"#,
    r#"{"name":"mail"}"#,
];

/// A gate keeps so many records in these tests, and then another takes its place.
const RECORDS_MAX: usize = 200;

struct Scene {
    bench: Bench,
    http: ExtAuthz,
    mcp: Guardrail,
}

/// A gate, and what it is asked in.
struct Stage {
    scene: RefCell<Scene>,
    runtime: Runtime,
}

impl Scene {
    fn set() -> Self {
        let bench = Bench::new();
        let asking = Arc::new(Asking::new(bench.gate.clone(), &Gateway::default()));
        let route = GatewayRoute {
            request: "POST /accounts/{to}/payments".parse().unwrap(),
            tool: "bank/pay".to_owned(),
        };
        Self {
            bench,
            http: ExtAuthz::new(Arc::clone(&asking), vec![route]),
            mcp: Guardrail::new(asking),
        }
    }

    fn decisions(&self) -> Vec<Decision> {
        let decision = |record| match record {
            Record::Decision(decision) => Some(*decision),
            _ => None,
        };
        self.bench.records().into_iter().filter_map(decision).collect()
    }
}

impl Stage {
    fn set() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self {
            scene: RefCell::new(Scene::set()),
            runtime: runtime.unwrap(),
        }
    }

    /// Asks; gives the answer, and what was recorded meanwhile.
    fn asks<T>(&self, ask: impl AsyncFn(&Scene) -> T) -> (T, Option<Decision>) {
        let before = self.scene.borrow().decisions().len();
        if before > RECORDS_MAX {
            self.scene.replace(Scene::set());
            return self.asks(ask);
        }
        let scene = self.scene.borrow();
        let answer = self.runtime.block_on(ask(&scene));
        (answer, scene.decisions().into_iter().skip(before).next_back())
    }
}

/// A request in plain HTTP.
fn shown(grant: &str, path: &str, body: &[u8]) -> CheckRequest {
    let headers = [
        ("checkrein-grant", grant.to_owned()),
        ("content-type", "application/json".to_owned()),
        ("content-length", body.len().to_string()),
    ];
    let http = HttpRequest {
        method: "POST".to_owned(),
        path: path.to_owned(),
        headers: headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        raw_body: Bytes::copy_from_slice(body),
        size: i64::try_from(body.len()).unwrap(),
        ..HttpRequest::default()
    };
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(Peer {
                principal: AGENT.to_owned(),
            }),
            request: Some(attribute_context::Request { http: Some(http) }),
            ..AttributeContext::default()
        }),
    }
}

#[test]
fn of_a_request_in_plain_http_all_is_decided_or_nothing_is() {
    let stage = Stage::set();
    let property = |path: &str, body: &[u8]| {
        let (answer, recorded) = stage.asks(async |scene| {
            let request = Request::new(shown(&scene.bench.grant(), path, body));
            scene.http.check(request).await.unwrap().into_inner()
        });
        let (goes_on, headers) = match answer.http_response.unwrap() {
            HttpResponse::OkResponse(ok) => (true, ok.headers),
            HttpResponse::DeniedResponse(denied) => (false, denied.headers),
        };
        let mut names = headers.iter().filter_map(|option| option.header.as_ref());
        let names_one = names.any(|header| header.key == "x-checkrein-decision-id");
        prop_assert_eq!(
            names_one,
            recorded.is_some(),
            "what is refused never reaches the gate"
        );
        let Some(recorded) = recorded else {
            prop_assert!(!goes_on);
            return Ok(());
        };
        prop_assert_eq!(goes_on, recorded.verdict == Verdict::Permit);
        if goes_on {
            let read: Value = serde_json::from_slice(body).unwrap_or_else(|_| json!({}));
            let arguments: Value = serde_json::from_str(&recorded.arguments.0).unwrap();
            for (name, value) in read.as_object().into_iter().flatten() {
                prop_assert_eq!(name, "amount");
                prop_assert_eq!(arguments[name].as_f64(), value.as_f64());
            }
        }
        Ok(())
    };
    hostile::run(SHARE, &BODIES, |body| property(PATHS[0], body));
    hostile::run(SHARE, &PATHS, |path| {
        property(&String::from_utf8_lossy(path), b"")
    });
}

fn message(grant: String, params: &[u8]) -> McpRequest {
    let agent = Said {
        kind: Some(Kind::StringValue(AGENT.to_owned())),
    };
    McpRequest {
        service_names: vec!["bank".to_owned()],
        method: "tools/call".to_owned(),
        metadata_context: Some(Struct {
            fields: [("checkrein_agent".to_owned(), agent)].into(),
        }),
        mcp_request: Some(Bytes::copy_from_slice(params)),
        headers: vec![McpHeader {
            key: "checkrein-grant".to_owned(),
            value: grant.into(),
        }],
    }
}

/// What was permitted is what the server reads.
fn is_same(read: &Value, recorded: &Decision) -> TestCaseResult {
    prop_assert_eq!(recorded.verdict, Verdict::Permit);
    prop_assert_eq!(recorded.tool.strip_prefix("bank/"), read["name"].as_str());
    let arguments: Value = serde_json::from_str(&recorded.arguments.0).unwrap();
    let members = |value: &Value| value.as_object().map_or(0, serde_json::Map::len);
    prop_assert_eq!(members(&arguments), members(&read["arguments"]));
    if recorded.tool == "bank/pay" {
        prop_assert_eq!(&arguments["to"], &read["arguments"]["to"]);
        prop_assert_eq!(arguments["amount"].as_f64(), read["arguments"]["amount"].as_f64());
    }
    Ok(())
}

#[test]
fn of_a_message_of_mcp_that_a_gateway_shows_all_is_decided_or_nothing_is() {
    let stage = Stage::set();
    hostile::run(SHARE, &PARAMS, |params| {
        let (answer, recorded) = stage.asks(async |scene| {
            let request = Request::new(message(scene.bench.grant(), params));
            scene.mcp.check_request(request).await.unwrap().into_inner()
        });
        match answer.result.unwrap() {
            Answered::Pass(_) => {
                prop_assert!(recorded.is_some());
                is_same(&serde_json::from_slice(params).unwrap(), &recorded.unwrap())?;
            }
            Answered::Error(error) => {
                let said: Value = serde_json::from_slice(&error.mcp_error.unwrap()).unwrap();
                let names_one = said["data"]["decision_id"].is_string();
                prop_assert_eq!(
                    names_one,
                    recorded.is_some(),
                    "what is refused never reaches the gate"
                );
                prop_assert!(recorded.is_none_or(|recorded| recorded.verdict != Verdict::Permit));
            }
            Answered::Mutated(_) => prop_assert!(false, "a request is never changed"),
        }
        Ok(())
    });
}
