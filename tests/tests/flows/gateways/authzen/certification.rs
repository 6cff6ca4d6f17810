//! The table of the certification scenario, each case with what its harness looks at.

use super::*;

fn user(id: &str) -> Value {
    json!({ "type": "user", "id": id })
}

fn record(id: &str) -> Value {
    json!({ "type": "record", "id": id })
}

fn named(name: &str) -> Value {
    json!({ "name": name })
}

fn asks(subject: &Value, action: &Value, resource: &Value) -> Value {
    json!({ "subject": subject, "action": action, "resource": resource })
}

fn archived() -> Value {
    json!({ "type": "record", "id": "record-2", "properties": { "status": "archived" } })
}

fn admin() -> Value {
    json!({ "type": "user", "id": "bob", "properties": { "role": "admin" } })
}

fn context() -> Value {
    json!({ "time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1" })
}

fn with(mut question: Value, name: &str, value: Value) -> Value {
    question[name] = value;
    question
}

fn without(question: &Value, name: &str) -> Value {
    let mut question = question.clone();
    question.as_object_mut().unwrap().remove(name);
    question
}

#[tokio::test(flavor = "multi_thread")]
async fn basic_decisions_are_those_of_the_fixture() {
    let scene = Scene::set().await;
    let (alice, bob, first) = (user("alice"), user("bob"), record("record-1"));
    let read = asks(&alice, &named("read"), &first);
    let soft = |soft: bool| json!({ "name": "delete", "properties": { "soft": soft } });
    let more = asks(
        &json!({ "type": "user", "id": "alice", "properties": { "department": "Sales", "role": "manager" } }),
        &json!({ "name": "read", "properties": { "method": "GET" } }),
        &json!({ "type": "record", "id": "record-1", "properties": { "status": "active", "owner": "bob" } }),
    );
    let unknown = with(
        with(read.clone(), "foo", json!("bar")),
        "futureField",
        json!({ "nested": true }),
    );
    let cases = [
        (read.clone(), true),
        (asks(&alice, &named("write"), &first), true),
        (asks(&bob, &named("read"), &first), true),
        (asks(&bob, &named("write"), &first), false),
        (with(read.clone(), "context", context()), true),
        (asks(&alice, &named("write"), &archived()), false),
        (asks(&admin(), &named("write"), &archived()), true),
        (asks(&alice, &soft(true), &first), true),
        (asks(&alice, &soft(false), &first), false),
        (more, true),
        (unknown, true),
        (read.clone(), true),
        (read.clone(), true),
    ];
    for (question, expected) in cases {
        let answer = scene.asker.asks("/access/v1/evaluation", &question).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, "application/json")
        );
        assert_eq!(answer.json()["decision"], expected, "{question} {answer:?}");
        assert!(answer.json().get("context").is_none_or(Value::is_object));
    }
    let headers = [("x-request-id", "bfe9eb29-ab87-4ca3-be83-a1d5d8305716")];
    let answer = scene
        .asker
        .sends("POST", "/access/v1/evaluation", &headers, &read.to_string())
        .await;
    assert_eq!(answer.header("x-request-id"), headers[0].1);
}

#[tokio::test(flavor = "multi_thread")]
async fn basic_errors_are_bad_requests() {
    let scene = Scene::set().await;
    let read = asks(&user("alice"), &named("read"), &record("record-1"));
    let bad = [
        without(&read, "subject"),
        without(&read, "action"),
        without(&read, "resource"),
        with(read.clone(), "subject", json!({ "id": "alice" })),
        with(read.clone(), "subject", json!({ "type": "user" })),
        with(read.clone(), "action", json!({})),
        with(read.clone(), "resource", json!({ "id": "record-1" })),
        with(read.clone(), "resource", json!({ "type": "record" })),
        with(read.clone(), "subject", json!("alice")),
        with(
            read.clone(),
            "action",
            named("x").as_object().map(|_| json!({ "name": 123 })).unwrap(),
        ),
    ];
    for question in bad {
        let answer = scene.asker.asks("/access/v1/evaluation", &question).await;
        assert_eq!(answer.status, 400, "{question}");
    }
    for body in ["{\"subject\":", " "] {
        let answer = scene
            .asker
            .sends("POST", "/access/v1/evaluation", &[], body)
            .await;
        assert_eq!(answer.status, 400, "{body}");
    }
    let empty = [("content-type", "application/json"), ("content-length", "0")];
    let answer = scene
        .asker
        .sends("POST", "/access/v1/evaluation", &empty, "")
        .await;
    assert_eq!(answer.status, 400);
    let text = [("content-type", "text/plain"), ("content-length", "0")];
    let answer = scene
        .asker
        .sends("POST", "/access/v1/evaluation", &text, "")
        .await;
    assert_eq!(answer.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_answered_in_their_order() {
    let scene = Scene::set().await;
    let (alice, bob, first) = (user("alice"), user("bob"), record("record-1"));
    let active = json!({ "type": "record", "id": "record-1", "properties": { "status": "active" } });
    let batches = [
        (
            json!({ "subject": bob, "resource": first, "evaluations": [{ "action": named("read") }, { "action": named("write") }] }),
            vec![true, false],
        ),
        (
            json!({ "subject": alice, "action": named("write"), "evaluations": [{ "resource": active }, { "resource": archived() }] }),
            vec![true, false],
        ),
        (
            json!({ "action": named("write"), "resource": archived(), "evaluations": [{ "subject": alice }, { "subject": admin() }] }),
            vec![false, true],
        ),
        (
            json!({ "evaluations": [asks(&alice, &named("read"), &first), asks(&bob, &named("write"), &first)] }),
            vec![true, false],
        ),
        (
            json!({ "subject": alice, "action": named("write"), "resource": active, "evaluations": [{}, { "resource": archived() }] }),
            vec![true, false],
        ),
        (
            json!({
                "subject": alice,
                "action": named("read"),
                "context": context(),
                "evaluations": [{ "resource": first }, { "resource": record("record-2"), "context": { "source": "batch-override" } }],
            }),
            vec![true, true],
        ),
        (
            json!({
                "subject": alice,
                "action": named("read"),
                "options": { "evaluations_semantic": "execute_all" },
                "evaluations": [{ "resource": first }, {}],
            }),
            vec![true, false],
        ),
    ];
    for (question, expected) in batches {
        let answer = scene.asker.asks("/access/v1/evaluations", &question).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        let decisions = answer["evaluations"].as_array().unwrap().iter();
        let decisions: Vec<bool> = decisions
            .map(|item| item["decision"].as_bool().unwrap())
            .collect();
        assert_eq!(decisions, expected, "{question}");
    }
    let single = asks(&alice, &named("read"), &first);
    for question in [single.clone(), with(single, "evaluations", json!([]))] {
        let answer = scene.asker.asks("/access/v1/evaluations", &question).await;
        assert_eq!((answer.status, &answer.json()["decision"]), (200, &json!(true)));
    }
    let bad = json!({ "action": named("read"), "evaluations": "all" });
    assert_eq!(scene.asker.asks("/access/v1/evaluations", &bad).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_find_what_the_fixture_has_and_nothing_of_what_is_unknown() {
    let scene = Scene::set().await;
    let kind = |kind: &str| json!({ "type": kind });
    let (alice, first) = (user("alice"), record("record-1"));
    let by = |subject: Value, action: &str, resource: Value| asks(&subject, &named(action), &resource);
    let may = |subject: Value, resource: Value| json!({ "subject": subject, "resource": resource });
    let paged = |limit: Value| with(by(kind("user"), "read", first.clone()), "page", limit);
    let found = [
        (
            "subject",
            by(kind("user"), "read", first.clone()),
            vec!["alice", "bob"],
        ),
        (
            "subject",
            with(by(kind("user"), "read", first.clone()), "context", context()),
            vec!["alice", "bob"],
        ),
        (
            "subject",
            by(user("alice"), "read", first.clone()),
            vec!["alice", "bob"],
        ),
        ("subject", by(kind("user"), "write", archived()), vec!["bob"]),
        (
            "resource",
            by(alice.clone(), "read", kind("record")),
            vec!["record-1", "record-2"],
        ),
        (
            "resource",
            by(alice.clone(), "read", record("record-1")),
            vec!["record-1", "record-2"],
        ),
        ("resource", by(admin(), "write", kind("record")), vec!["record-2"]),
        ("action", may(alice.clone(), first.clone()), vec!["read", "write"]),
        (
            "action",
            with(may(alice.clone(), first.clone()), "context", context()),
            vec!["read", "write"],
        ),
        ("action", may(admin(), archived()), vec!["read", "write"]),
        ("subject", paged(json!({ "limit": 1 })), vec!["alice", "bob"]),
        ("action", may(user("nonexistent-user"), first.clone()), vec![]),
        ("subject", by(kind("spaceship"), "read", first.clone()), vec![]),
        ("resource", by(alice.clone(), "read", kind("spaceship")), vec![]),
        (
            "action",
            may(alice.clone(), json!({ "type": "spaceship", "id": "1" })),
            vec![],
        ),
    ];
    for (what, question, expected) in found {
        let answer = scene
            .asker
            .asks(&format!("/access/v1/search/{what}"), &question)
            .await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, "application/json")
        );
        let answer = answer.json();
        let results = answer["results"].as_array().unwrap().iter();
        let name = |result: &Value| {
            assert!(
                what == "action" || result["type"] == question[what]["type"],
                "{result}"
            );
            result
                .get("id")
                .or(result.get("name"))
                .unwrap()
                .as_str()
                .unwrap()
                .to_owned()
        };
        let names: Vec<String> = results.map(name).collect();
        // The five of the todo application may read, too.
        let names: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| !name.starts_with("CiRm"))
            .collect();
        assert_eq!(names, expected, "{question}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_whose_given_parts_are_not_whole_are_bad_requests() {
    let scene = Scene::set().await;
    let kind = |kind: &str| json!({ "type": kind });
    let (alice, first) = (user("alice"), record("record-1"));
    let by = |subject: Value, action: &str, resource: Value| asks(&subject, &named(action), &resource);
    let may = |subject: Value, resource: Value| json!({ "subject": subject, "resource": resource });
    let bad = [
        ("subject", may(kind("user"), first.clone())),
        (
            "resource",
            json!({ "action": named("read"), "resource": kind("record") }),
        ),
        ("action", json!({ "subject": alice })),
        ("subject", by(kind("user"), "read", kind("record"))),
        ("resource", by(kind("user"), "read", kind("record"))),
        ("action", may(kind("user"), first)),
    ];
    for (what, question) in bad {
        let answer = scene
            .asker
            .asks(&format!("/access/v1/search/{what}"), &question)
            .await;
        assert_eq!(answer.status, 400, "{what} {question}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_names_every_endpoint_over_https() {
    let scene = Scene::set().await;
    let answer = scene
        .asker
        .sends("GET", "/.well-known/authzen-configuration", &[], "")
        .await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/json")
    );
    let said = answer.json();
    assert_eq!(said["policy_decision_point"], "https://localhost");
    for name in [
        "access_evaluation",
        "access_evaluations",
        "search_subject",
        "search_resource",
        "search_action",
        "access_request",
    ] {
        let url = said[format!("{name}_endpoint")].as_str().unwrap();
        assert!(url.starts_with("https://localhost/access/v1/"), "{name} {url}");
    }
    assert!(
        said["capabilities"]
            .as_array()
            .unwrap()
            .iter()
            .all(Value::is_string)
    );
}
