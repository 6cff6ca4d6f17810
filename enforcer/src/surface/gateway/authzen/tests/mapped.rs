//! Whose question it is, and which tool it is about.

use super::*;

/// What stands in the configuration, for askers who know of no agents.
fn configured(place: &tempfile::TempDir) -> String {
    format!(
        r#"
[[subject]]
type = "user"
id = "alice"
agent = "{AGENT}"
grant = "{}"
properties = {{ account = "GB29" }}
[[action]]
name = "pay"
resource = "account"
tool = "bank/pay"
arguments = {{ to = "resource.id", amount = "action.properties.amount" }}
[[action]]
name = "view"
resource = "account"
tool = "bank/look"
arguments = {{ account = "subject.properties.account" }}
"#,
        place.path().join("alice.grant").display()
    )
}

fn asks(subject: &str, action: &str, amount: &Value) -> Value {
    json!({
        "subject": { "type": "user", "id": subject, "properties": { "account": "XX" } },
        "action": { "name": action, "properties": { "amount": amount } },
        "resource": { "type": "account", "id": "GB29" },
    })
}

#[tokio::test]
async fn a_configured_question_is_its_tool_with_its_arguments_under_the_grant_in_the_file() {
    let place = tempfile::tempdir().unwrap();
    let scene = Scene::with(&configured(&place));
    let none = scene.evaluates(&asks("alice", "pay", &json!(1))).await;
    assert_eq!(none["context"]["reason"], "no_grant", "{none}");
    std::fs::write(place.path().join("alice.grant"), scene.bench.grant()).unwrap();
    let decided = async |question: Value| scene.evaluates(&question).await["decision"] == true;
    assert!(decided(asks("alice", "pay", &json!(1))).await);
    assert!(!decided(asks("alice", "pay", &json!(5_000))).await);
    assert!(
        !decided(asks("alice", "pay", &json!("1"))).await,
        "arguments keep their types"
    );
    assert!(decided(asks("alice", "view", &json!(1))).await);
    let looked = scene
        .bench
        .records()
        .into_iter()
        .rev()
        .find_map(|record| match record {
            Record::Decision(decision) => Some(decision.arguments.0),
            _ => None,
        });
    assert_eq!(
        looked.unwrap(),
        r#"{"account":"GB29"}"#,
        "what is known here counts"
    );
    for nobody in [asks("bob", "pay", &json!(1)), asks("alice", "close", &json!(1))] {
        let denied = scene.evaluates(&nobody).await;
        assert_eq!(denied["decision"], false);
        let reason = denied["context"]["reason"].as_str().unwrap();
        assert!(["no_agent", "no_tool"].contains(&reason), "{denied}");
    }
}

#[tokio::test]
async fn an_agent_that_acts_for_a_subject_acts_for_the_user_of_its_task() {
    let scene = Scene::set();
    let acts = |user: &str| {
        let mut question = pays(1);
        question["subject"] =
            json!({ "type": "user", "id": user, "properties": { "act": { "sub": AGENT } } });
        question
    };
    assert_eq!(scene.evaluates(&acts("alice")).await["decision"], true);
    let denied = scene.evaluates(&acts("mallory")).await;
    assert_eq!(
        (&denied["decision"], &denied["context"]["reason"]),
        (&json!(false), &json!("wrong_user"))
    );
}

#[tokio::test]
async fn a_grant_comes_in_the_header_or_in_the_context_and_two_are_none() {
    let scene = Scene::set();
    let mut question = pays(1);
    question["context"] = json!({ "grant": scene.bench.grant() });
    let without =
        || axum::http::Request::post("/access/v1/evaluation").header("content-type", "application/json");
    let told = scene.sends(Pep::OfSocket, without(), question.to_string()).await;
    assert_eq!(told.body["decision"], true, "{}", told.body);
    let other = without().header("checkrein-grant", "another");
    let told = scene.sends(Pep::OfSocket, other, question.to_string()).await;
    assert_eq!(told.body["context"]["reason"], "two_grants");
    for arguments in [json!([]), json!("{}")] {
        let denied = scene.evaluates(&call("bank/look", &arguments)).await;
        assert_eq!(denied["context"]["reason"], "unreadable");
    }
}
