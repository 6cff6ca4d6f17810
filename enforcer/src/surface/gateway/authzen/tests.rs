//! What is asked by AuthZEN becomes a call, or nothing does.

mod held;
mod mapped;
mod search;

use axum::body::Body;
use axum::http::Method;
use checkrein_shared::decision::{OutcomeResult, Record};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::super::Pep;
use super::*;
use crate::config::Gateway;
use crate::control_plane::AskError;
use crate::fixture::{AGENT, Bench, Offer};

/// Askers of a real gate.
struct Scene {
    bench: Bench,
    router: Router,
}

/// What an asker is told.
struct Told {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Scene {
    fn set() -> Self {
        Self::with("")
    }

    /// With this under `[gateway.authzen]`.
    fn with(configured: &str) -> Self {
        let bench = Bench::new();
        let configured: Configured = toml::from_str(configured).unwrap();
        let asking = Arc::new(Asking::new(bench.gate.clone(), &Gateway::default()));
        let router = AuthZen::new(asking, &configured).router();
        Self { bench, router }
    }

    async fn sends(&self, pep: Pep, request: axum::http::request::Builder, body: String) -> Told {
        let mut request = request.body(Body::from(body)).unwrap();
        request.extensions_mut().insert(pep);
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let is_json = parts
            .headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.to_str().unwrap().ends_with("json"));
        Told {
            status: parts.status,
            headers: parts.headers,
            body: if is_json {
                serde_json::from_slice(&bytes).unwrap()
            } else {
                Value::from(String::from_utf8(bytes.to_vec()).unwrap())
            },
        }
    }

    async fn posts(&self, path: &str, body: &Value) -> Told {
        self.sends(Pep::OfSocket, self.post(path), body.to_string()).await
    }

    /// With the usual grant.
    fn post(&self, path: &str) -> axum::http::request::Builder {
        axum::http::Request::builder()
            .method(Method::POST)
            .uri(path)
            .header("host", "pdp.example")
            .header("content-type", "application/json")
            .header("checkrein-grant", self.bench.grant())
    }

    async fn evaluates(&self, body: &Value) -> Value {
        let told = self.posts("/access/v1/evaluation", body).await;
        assert_eq!(told.status, 200, "{}", told.body);
        told.body
    }

    fn outcomes(&self) -> Vec<OutcomeResult> {
        let outcome = |record| match record {
            Record::Outcome(outcome) => Some(outcome.result),
            _ => None,
        };
        self.bench.records().into_iter().filter_map(outcome).collect()
    }
}

/// The usual agent calls a tool.
fn call(tool: &str, arguments: &Value) -> Value {
    json!({
        "subject": { "type": "agent", "id": AGENT },
        "action": { "name": "call", "properties": { "arguments": arguments } },
        "resource": { "type": "tool", "id": tool },
    })
}

fn pays(amount: u32) -> Value {
    call("bank/pay", &json!({ "to": "GB29", "amount": amount }))
}

#[tokio::test]
async fn a_question_is_a_call_that_is_decided_and_recorded() {
    let scene = Scene::set();
    let permitted = scene.evaluates(&call("bank/look", &json!({}))).await;
    assert_eq!(permitted["decision"], true, "{permitted}");
    assert_eq!(scene.outcomes(), [OutcomeResult::Unknown]);
    let denied = scene.evaluates(&pays(5_000)).await;
    let context = &denied["context"];
    assert_eq!(
        (&denied["decision"], &context["reason"]),
        (&json!(false), &json!("forbidden"))
    );
    assert!(
        context["reason_user"]["403"]
            .as_str()
            .unwrap()
            .contains("more than 1000")
    );
    assert!(
        context["reason_admin"]["403"]
            .as_str()
            .unwrap()
            .contains("capped")
    );
    let recorded = scene.bench.records().into_iter().any(|record| match record {
        Record::Decision(decision) => context["evaluation_id"] == decision.id.to_string(),
        _ => false,
    });
    assert!(recorded, "{context}");
    assert_eq!(
        scene.evaluates(&call("bank/burn", &json!({}))).await["decision"],
        false
    );
}

#[tokio::test]
async fn what_is_no_question_is_refused_in_words_and_nothing_is_decided() {
    let scene = Scene::set();
    let whole = pays(1);
    let without = |part: &str, member: &str| {
        let mut body = whole.clone();
        if member.is_empty() {
            body.as_object_mut().unwrap().remove(part);
        } else {
            body[part].as_object_mut().unwrap().remove(member);
        }
        body.to_string()
    };
    let with = |part: &str, member: &str, value: Value| {
        let mut body = whole.clone();
        if member.is_empty() {
            body[part] = value;
        } else {
            body[part][member] = value;
        }
        body.to_string()
    };
    let bodies = [
        without("subject", ""),
        without("action", ""),
        without("resource", ""),
        without("subject", "type"),
        without("subject", "id"),
        without("action", "name"),
        without("resource", "type"),
        without("resource", "id"),
        with("subject", "", json!("alice")),
        with("action", "name", json!(123)),
        with("context", "", json!([])),
        with("resource", "properties", json!(1)),
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        format!("{{\"subject\":1,{}", &whole.to_string()[1..]),
        format!("{}{}{}", "{\"x\":".repeat(80), 1, "}".repeat(80)),
    ];
    for body in bodies {
        let told = scene
            .sends(Pep::OfSocket, scene.post("/access/v1/evaluation"), body.clone())
            .await;
        assert_eq!(told.status, 400, "{body}: {}", told.body);
        assert!(!told.body.as_str().unwrap().is_empty(), "{body}");
    }
    let told = |request, body: &Value| scene.sends(Pep::OfSocket, request, body.to_string());
    let plain = axum::http::Request::post("/access/v1/evaluation").header("content-type", "text/plain");
    assert_eq!(told(plain, &whole).await.status, 400);
    let twice = scene
        .post("/access/v1/evaluation")
        .header("checkrein-grant", "another");
    assert_eq!(told(twice, &whole).await.status, 400);
    let large = json!({ "x": "y".repeat(BODY_BYTES_MAX) });
    assert_eq!(
        told(scene.post("/access/v1/evaluation"), &large).await.status,
        413
    );
    let get = axum::http::Request::get("/access/v1/evaluation");
    assert_eq!(told(get, &whole).await.status, 405);
    assert!(scene.bench.records().is_empty());
}

#[tokio::test]
async fn the_name_of_a_request_is_said_back_whatever_comes_of_it() {
    let scene = Scene::set();
    for body in [pays(1).to_string(), "{".to_owned()] {
        let request = scene.post("/access/v1/evaluation").header("x-request-id", "r-1");
        let told = scene.sends(Pep::OfSocket, request, body).await;
        assert_eq!(told.headers["x-request-id"], "r-1");
    }
    let told = scene.posts("/access/v1/evaluation", &pays(1)).await;
    assert!(!told.headers.contains_key("x-request-id"));
}

#[tokio::test]
async fn several_are_decided_in_their_order_each_by_itself() {
    let scene = Scene::set();
    let deed = |amount: u32| json!({ "action": pays(amount)["action"] });
    let several = |items: &[Value], semantic: &str| {
        let mut body = pays(1);
        body["evaluations"] = Value::from(items.to_vec());
        body["options"] = json!({ "evaluations_semantic": semantic });
        body
    };
    let decided = async |items: &[Value], semantic: &str| {
        let told = scene
            .posts("/access/v1/evaluations", &several(items, semantic))
            .await;
        assert_eq!(told.status, 200, "{}", told.body);
        assert!(told.body.get("decision").is_none());
        let items = told.body["evaluations"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| item["decision"].as_bool().unwrap())
            .collect::<Vec<_>>()
    };
    let broken = json!({ "action": { "name": 1 } });
    let items = [json!({}), deed(5_000), broken.clone(), deed(2)];
    assert_eq!(decided(&items, "execute_all").await, [true, false, false, true]);
    assert_eq!(decided(&items, "deny_on_first_deny").await, [true, false]);
    assert_eq!(decided(&items, "permit_on_first_permit").await, [true]);
    let last = [deed(5_000), deed(1), deed(2)];
    assert_eq!(decided(&last, "permit_on_first_permit").await, [false, true]);

    let told = scene
        .posts("/access/v1/evaluations", &several(&[broken], "execute_all"))
        .await;
    assert_eq!(told.body["evaluations"][0]["context"]["error"]["status"], 400);
    for alone in [pays(1), several(&[], "execute_all")] {
        let told = scene.posts("/access/v1/evaluations", &alone).await;
        assert_eq!(told.body["decision"], true);
    }
    let mut wrong = several(&[json!({})], "whichever");
    assert_eq!(scene.posts("/access/v1/evaluations", &wrong).await.status, 400);
    wrong["evaluations"] = json!({});
    assert_eq!(scene.posts("/access/v1/evaluations", &wrong).await.status, 400);
    wrong = several(&[pays(1)], "execute_all");
    wrong["subject"] = json!("alice");
    assert_eq!(scene.posts("/access/v1/evaluations", &wrong).await.status, 400);
    let many = several(&vec![json!({}); 257], "execute_all");
    assert_eq!(scene.posts("/access/v1/evaluations", &many).await.status, 400);
}

#[tokio::test]
async fn without_policy_without_the_control_plane_and_without_a_grant_everything_is_denied() {
    let scene = Scene::set();
    let mut stranger = pays(1);
    stranger["subject"]["id"] = json!("spiffe://acme.example/agent/stranger");
    assert_eq!(scene.evaluates(&stranger).await["decision"], false);
    let without =
        axum::http::Request::post("/access/v1/evaluation").header("content-type", "application/json");
    let told = scene.sends(Pep::OfSocket, without, pays(1).to_string()).await;
    assert_eq!(told.body["decision"], false, "{}", told.body);
    scene.bench.authority.on_confirm(|_| Err(AskError::NotConnected));
    assert_eq!(scene.evaluates(&pays(1)).await["decision"], false);
    let held = scene.evaluates(&pays(500)).await;
    assert_eq!(held["decision"], false);
    assert!(
        held["context"].get("access_request").is_none(),
        "nobody is asked: {held}"
    );
    scene.bench.snapshots.install(|next| next.policy = None);
    let looks = scene.evaluates(&call("bank/look", &json!({}))).await;
    assert_eq!(
        (&looks["decision"], &looks["context"]["reason"]),
        (&json!(false), &json!("no_policy"))
    );
    assert!(scene.outcomes().is_empty());
}

#[tokio::test]
async fn a_permitted_question_of_which_the_ledger_can_not_be_told_is_a_deny() {
    let scene = Scene::set();
    let bench = &scene.bench;
    // What it gives is not seen here, and so taken for as large as can be.
    let labels = r#"@id("large") @yields("bulk") permit (principal, action == Action::"bank/look", resource)
        when { context has result && context.result.bytes > 100 };"#;
    let rules = r#"@id("all") permit (principal, action, resource);"#;
    bench.install(&Offer::labelling(rules, labels, 2, &bench.keys.bundle));
    bench.authority.labels_nothing();
    let looks = scene.evaluates(&call("bank/look", &json!({}))).await;
    assert_eq!(
        (&looks["decision"], &looks["context"]["reason"]),
        (&json!(false), &json!("withheld"))
    );
}

#[tokio::test]
async fn bare_answers_are_the_decision_alone() {
    let scene = Scene::with("terse = true");
    assert_eq!(scene.evaluates(&pays(1)).await, json!({ "decision": true }));
    assert_eq!(scene.evaluates(&pays(5_000)).await, json!({ "decision": false }));
}

#[tokio::test]
async fn where_everything_is_stands_in_the_metadata_under_the_name_that_was_asked() {
    let get = |scene: &Scene| {
        let request =
            axum::http::Request::get("/.well-known/authzen-configuration").header("host", "pdp.example:7600");
        let router = scene.router.clone();
        async move {
            let mut request = request.body(Body::empty()).unwrap();
            request.extensions_mut().insert(Pep::OfSocket);
            let answer = router.oneshot(request).await.unwrap();
            assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
            let bytes = answer.into_body().collect().await.unwrap().to_bytes();
            serde_json::from_slice::<Value>(&bytes).unwrap()
        }
    };
    let said = get(&Scene::set()).await;
    assert_eq!(said["policy_decision_point"], "https://pdp.example:7600");
    assert_eq!(
        said["access_request_endpoint"],
        "https://pdp.example:7600/access/v1/requests"
    );
    let said = get(&Scene::with("url = \"https://pdp.acme.example/\"")).await;
    assert_eq!(
        said["access_evaluation_endpoint"],
        "https://pdp.acme.example/access/v1/evaluation"
    );
}
