//! A hold is a denial that can be requested; approved, it goes on once.

use super::*;

fn pays(amount: u32) -> Value {
    json!({
        "subject": { "type": "agent", "id": AGENT },
        "action": { "name": "call", "properties": { "arguments": { "recipient": "GB29", "amount": amount } } },
        "resource": { "type": "tool", "id": "bank/send_money" },
    })
}

impl Scene {
    /// Asks, requests what was denied, and gives where its task is.
    async fn requested(&self, question: &Value) -> String {
        let denied = self.asker.decided(question).await;
        assert_eq!(denied["decision"], false);
        assert_eq!(denied["context"]["reason"], "approval_required", "{denied}");
        let endpoint = denied["context"]["access_request"]["endpoint"].as_str().unwrap();
        let mut request = question.clone();
        request["denial"] = json!({ "evaluation_id": denied["context"]["evaluation_id"] });
        let path = path(endpoint);
        let headers = [("idempotency-key", "1")];
        let answer = self
            .asker
            .sends("POST", &path, &headers, &request.to_string())
            .await;
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (202, "5"),
            "{answer:?}"
        );
        let again = self
            .asker
            .sends("POST", &path, &headers, &request.to_string())
            .await;
        assert_eq!(again.json(), answer.json());
        answer.header("location").to_owned()
    }

    /// The task, once it is no longer pending.
    async fn decided(&self, place: &str) -> Value {
        let decided = async {
            loop {
                let task = self.asker.sends("GET", &path(place), &[], "").await.json();
                if task["task"]["status"] != "pending" {
                    return task;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, decided).await.unwrap()
    }
}

/// Without the host.
fn path(url: &str) -> String {
    let rest = url.strip_prefix("https://localhost").unwrap();
    assert!(rest.starts_with('/'), "{url}");
    rest.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_requested_approved_by_a_person_and_goes_on_once() {
    let scene = Scene::under(&payments().unwrap()).await;
    let place = scene.requested(&pays(10)).await;
    let bob = scene.world.approver("bob").await.unwrap();
    let hold = scene.operator.waiting(&scene.task).await.unwrap();
    assert!(place.ends_with(&hold.hold_id), "{place}");
    let approved = bob.vote(&hold, true).await.unwrap();
    let task = scene.decided(&place).await;
    assert_eq!(task["task"]["status"], "approved", "{task}");
    let approval = &task["result"]["approval"];
    let until = std::time::UNIX_EPOCH + std::time::Duration::from_millis(approved.use_by_unix_ms);
    let until = humantime::format_rfc3339_millis(until).to_string();
    assert_eq!(approval["approved_until"], until);

    let mut again = pays(10);
    again["context"] = json!({ "approval": approval });
    let permitted = scene.asker.decided(&again).await;
    assert_eq!(permitted["decision"], true, "{permitted}");
    let replayed = scene.asker.decided(&again).await;
    let context = &replayed["context"];
    assert_eq!(
        (&replayed["decision"], &context["reason"], &context["next_action"]),
        (&json!(false), &json!("approval_expired"), &json!("request"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_refuses_stays_refused_and_the_person_is_heard() {
    let scene = Scene::under(&payments().unwrap()).await;
    let place = scene.requested(&pays(10)).await;
    let bob = scene.world.approver("bob").await.unwrap();
    let hold = scene.operator.waiting(&scene.task).await.unwrap();
    bob.vote(&hold, false).await.unwrap();
    let task = scene.decided(&place).await;
    assert_eq!(task["task"]["status"], "denied", "{task}");
    assert!(task.get("result").is_none());
    let denied = scene.asker.decided(&pays(10)).await;
    assert_eq!(
        (&denied["decision"], &denied["context"]["reason"]),
        (&json!(false), &json!("denied_by_person"))
    );
    let stranger = scene.searcher.sends("GET", &path(&place), &[], "").await;
    assert_eq!(stranger.status, 404, "another port has other tasks");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_control_plane_nothing_is_held_and_nothing_released() {
    let mut scene = Scene::under(&payments().unwrap()).await;
    let place = scene.requested(&pays(10)).await;
    let bob = scene.world.approver("bob").await.unwrap();
    let hold = scene.operator.waiting(&scene.task).await.unwrap();
    bob.vote(&hold, true).await.unwrap();
    let task = scene.decided(&place).await;
    scene.world.stop_replica(0).await;
    let mut again = pays(10);
    again["context"] = json!({ "approval": task["result"]["approval"] });
    let denied = scene.asker.decided(&again).await;
    assert_eq!(denied["decision"], false, "{denied}");
    let another = scene.asker.decided(&pays(11)).await;
    assert_eq!(another["decision"], false, "{another}");
    assert!(
        another["context"].get("access_request").is_none(),
        "nobody can be asked: {another}"
    );
}
