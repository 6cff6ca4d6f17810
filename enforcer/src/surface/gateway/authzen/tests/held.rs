//! What people have to look at can be requested, and once it is approved goes on, once.

use axum::http::HeaderValue;
use checkrein_shared::hold::State;
use checkrein_shared::id::HoldId;

use super::*;
use crate::fixture::NOW_MS;
use crate::hold::View;

const OTHER: &str = "spiffe://acme.example/gateway/other";

/// Somebody else on the same listener.
fn other() -> Pep {
    Pep::Certified(OTHER.parse().unwrap())
}

impl Scene {
    /// Every hold from now on is this one.
    fn holds(&self, state: State) -> HoldId {
        let id = HoldId::new(&self.bench.clock);
        self.bench.authority.holds_as(id, state);
        id
    }

    fn approves(&self, id: HoldId) {
        self.bench.authority.holds_as(id, State::Approved);
        self.bench.authority.bob_approves();
        let view = View {
            use_by_ms: Some(NOW_MS + 600_000),
            ..View::new(State::Approved, 2, "")
        };
        self.bench.holds.tell(id, view);
    }

    /// A denial that can be requested.
    async fn held(&self, amount: u32) -> Value {
        let denied = self.evaluates(&pays(amount)).await;
        assert_eq!(denied["decision"], false);
        assert_eq!(denied["context"]["reason"], "approval_required", "{denied}");
        denied["context"].clone()
    }

    async fn requests(&self, pep: Pep, body: &Value, key: Option<&str>) -> Told {
        let mut request = self.post("/access/v1/requests");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.sends(pep, request, body.to_string()).await
    }

    async fn looks_at(&self, pep: Pep, place: &str) -> Told {
        let request = axum::http::Request::get(place).header("host", "pdp.example");
        self.sends(pep, request, String::new()).await
    }
}

fn request(amount: u32, denial: &Value) -> Value {
    let mut body = pays(amount);
    body["denial"] = json!({ "evaluation_id": denial["evaluation_id"] });
    body
}

fn with_approval(amount: u32, approval: &Value) -> Value {
    let mut body = pays(amount);
    body["context"] = json!({ "approval": approval });
    body
}

#[tokio::test]
async fn a_hold_is_requested_looked_at_approved_and_goes_on_once() {
    let scene = Scene::set();
    let id = scene.holds(State::Open);
    let denial = scene.held(500).await;
    assert_eq!(
        denial["access_request"]["endpoint"],
        "https://pdp.example/access/v1/requests"
    );
    assert!(
        denial["access_request"]["expires_at"]
            .as_str()
            .unwrap()
            .ends_with('Z')
    );
    let told = scene.requests(Pep::OfSocket, &request(500, &denial), None).await;
    assert_eq!(
        (told.status, &told.body["task"]["status"]),
        (StatusCode::ACCEPTED, &json!("pending"))
    );
    assert_eq!(told.body["task"]["id"], id.to_string());
    assert_eq!(denial["groups"], json!(["treasury"]));
    assert_eq!(told.body["task"]["progress"]["awaiting"], denial["groups"]);
    let place = told.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(told.body["task"]["status_endpoint"], place);
    let told = scene.looks_at(Pep::OfSocket, &place).await;
    assert_eq!(
        (told.status, &told.headers["retry-after"]),
        (StatusCode::OK, &HeaderValue::from(5))
    );
    assert!(told.body.get("result").is_none());

    scene.approves(id);
    let told = scene.looks_at(Pep::OfSocket, &place).await;
    assert_eq!(told.body["task"]["status"], "approved", "{}", told.body);
    assert_eq!(told.body["result"]["mode"], "reevaluate");
    let approval = told.body["result"]["approval"].clone();
    assert!(approval["id"].as_str().unwrap().len() > 32 && approval["approved_until"].is_string());
    assert_eq!(scene.bench.authority.consumed(), 0, "looking uses nothing up");
    let permitted = scene.evaluates(&with_approval(500, &approval)).await;
    assert_eq!(permitted["decision"], true, "{permitted}");
    assert_eq!(permitted["context"]["approval"]["id"], approval["id"]);
    assert_eq!(scene.bench.authority.consumed(), 1);

    let again = scene.holds(State::Open);
    let replayed = scene.evaluates(&with_approval(500, &approval)).await;
    let context = &replayed["context"];
    assert_eq!(
        (&replayed["decision"], &context["reason"]),
        (&json!(false), &json!("approval_expired"))
    );
    assert_eq!(context["next_action"], "request");
    assert!(
        context["access_request"].is_object(),
        "people can be asked again: {again}"
    );
    let told = scene.looks_at(Pep::OfSocket, &place).await;
    assert_eq!(
        told.body["task"]["status"], "approved",
        "what is over stays what it became"
    );
}

#[tokio::test]
async fn an_approval_is_for_what_was_asked_by_whom_it_was_given_to_and_for_nothing_else() {
    let scene = Scene::set();
    let id = scene.holds(State::Open);
    let denial = scene.held(500).await;
    scene.requests(Pep::OfSocket, &request(500, &denial), None).await;
    scene.approves(id);
    let place = format!("/access/v1/requests/{id}");
    let told = scene.looks_at(Pep::OfSocket, &place).await;
    let approval = told.body["result"]["approval"].clone();

    let forged = json!({ "id": "apr_00000000000000000000000000000000" });
    let refused = scene.evaluates(&with_approval(500, &forged)).await;
    assert_eq!(refused["context"]["reason"], "approval_unverifiable");
    assert_eq!(
        (&refused["decision"], &refused["context"]["next_action"]),
        (&json!(false), &json!("none"))
    );
    let request = scene.post("/access/v1/evaluation");
    let stolen = scene
        .sends(other(), request, with_approval(500, &approval).to_string())
        .await;
    assert_eq!(
        stolen.body["context"]["reason"], "approval_unverifiable",
        "{}",
        stolen.body
    );
    for wrong in [json!("apr"), json!({}), json!({ "id": 1 })] {
        let refused = scene.evaluates(&with_approval(500, &wrong)).await;
        assert_eq!(refused["decision"], false, "{wrong}");
    }
    assert_eq!(scene.bench.authority.consumed(), 0);
    scene.holds(State::Open);
    let another = scene.evaluates(&with_approval(501, &approval)).await;
    let context = &another["context"];
    assert_eq!(
        (&another["decision"], &context["reason"]),
        (&json!(false), &json!("out_of_scope"))
    );
    assert!(context["access_request"].is_object() && context["next_action"] == "request");
    let beyond = scene.evaluates(&with_approval(5_000, &approval)).await;
    assert_eq!(beyond["context"]["reason"], "policy_denied", "{beyond}");
}

#[tokio::test]
async fn while_people_have_not_answered_an_early_approval_says_to_come_back() {
    let scene = Scene::set();
    let id = scene.holds(State::Open);
    let denial = scene.held(500).await;
    scene.requests(Pep::OfSocket, &request(500, &denial), None).await;
    scene.bench.holds.tell(id, View::new(State::Approved, 2, ""));
    let told = scene
        .looks_at(Pep::OfSocket, &format!("/access/v1/requests/{id}"))
        .await;
    let approval = told.body["result"]["approval"].clone();
    // The control plane does not say so yet, or is away.
    scene
        .bench
        .authority
        .on_open(|_| Err(crate::control_plane::AskError::NotConnected));
    let answer = scene.evaluates(&with_approval(500, &approval)).await;
    assert_eq!(answer["decision"], false, "{answer}");
    scene.bench.authority.holds_as(id, State::Approved);
    scene
        .bench
        .authority
        .on_consume(|_| Err(crate::control_plane::AskError::NotConnected));
    let answer = scene.evaluates(&with_approval(500, &approval)).await;
    assert_eq!(
        answer["decision"], false,
        "an approval that can't be used up permits nothing: {answer}"
    );
    assert!(scene.outcomes().is_empty());
}

#[tokio::test]
async fn what_people_refuse_or_let_pass_is_never_a_permit() {
    for (state, word) in [
        (State::Denied, "denied"),
        (State::Expired, "expired"),
        (State::Cancelled, "cancelled"),
    ] {
        let scene = Scene::set();
        let id = scene.holds(State::Open);
        let denial = scene.held(500).await;
        scene.requests(Pep::OfSocket, &request(500, &denial), None).await;
        scene.bench.authority.holds_as(id, state);
        scene.bench.holds.tell(id, View::new(state, 2, "not today"));
        let told = scene
            .looks_at(Pep::OfSocket, &format!("/access/v1/requests/{id}"))
            .await;
        assert_eq!(told.body["task"]["status"], word);
        assert_eq!(told.body["task"]["display"]["description"], "not today");
        assert!(told.body.get("result").is_none());
        assert_eq!(scene.evaluates(&pays(500)).await["decision"], false, "{word}");
    }
}

#[tokio::test]
async fn a_request_is_bound_to_its_denial_and_to_whoever_was_denied() {
    let scene = Scene::set();
    let id = scene.holds(State::Open);
    let denial = scene.held(500).await;
    let kind = async |told: Told| {
        let kind = told.body["type"].as_str().unwrap_or_default();
        let kind = kind.rsplit(':').next().unwrap_or_default().to_owned();
        assert!(kind.is_empty() || told.headers["content-type"] == "application/problem+json");
        (told.status.as_u16(), kind)
    };
    let of = |body: Value, pep: Pep| {
        let scene = &scene;
        async move { kind(scene.requests(pep, &body, None).await).await }
    };
    let problem = |status: u16, kind: &str| (status, kind.to_owned());
    let good = request(500, &denial);
    assert_eq!(of(good.clone(), other()).await, problem(400, "not_requestable"));
    assert_eq!(
        of(request(501, &denial), Pep::OfSocket).await,
        problem(400, "invalid_denial_binding")
    );
    let unknown = json!({ "evaluation_id": "dec_00000000-0000-7000-8000-000000000000" });
    assert_eq!(
        of(request(500, &unknown), Pep::OfSocket).await,
        problem(400, "not_requestable")
    );
    assert_eq!(of(pays(500), Pep::OfSocket).await, problem(400, ""));
    let mut called = good.clone();
    called["callback"] = json!({ "endpoint": "https://10.0.0.1/" });
    assert_eq!(of(called, Pep::OfSocket).await, problem(400, "not_requestable"));
    let mut bundled = good.clone();
    bundled["items"] = json!([]);
    assert_eq!(of(bundled, Pep::OfSocket).await, problem(400, "not_requestable"));
    let place = format!("/access/v1/requests/{id}");
    let nobody = async |pep: Pep| kind(scene.looks_at(pep, &place).await).await;
    assert_eq!(
        nobody(Pep::OfSocket).await,
        problem(404, "unknown_task"),
        "nobody requested it"
    );

    let (first, again) = (
        scene.requests(Pep::OfSocket, &good, Some("k-1")).await,
        scene.requests(Pep::OfSocket, &good, Some("k-1")).await,
    );
    assert_eq!(first.body, again.body);
    assert_eq!(nobody(other()).await, problem(404, "unknown_task"));
    scene.holds(State::Open);
    let second = request(700, &scene.held(700).await);
    let told = scene.requests(Pep::OfSocket, &second, Some("k-1")).await;
    assert_eq!(kind(told).await, problem(409, "duplicate_request"));
    let late = request(800, &{
        scene.holds(State::Open);
        scene.held(800).await
    });
    scene.bench.clock.advance_ms(1_800_000);
    assert_eq!(of(late, Pep::OfSocket).await, problem(410, "expired_denial"));
}
