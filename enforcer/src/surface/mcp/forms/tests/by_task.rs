//! A call that comes to a task.

use checkrein_shared::Clock;
use checkrein_shared::grant::{Revocation, Revoked};
use checkrein_shared::id::TaskId as GrantsTask;

use super::*;
use crate::control_plane::AskError;
use crate::fixture::AGENT;

const TAKES: &str = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;

impl Scene {
    /// With a call that waits; the name of its task.
    async fn waiting() -> (Self, HoldId, String) {
        let mut scene = Self::set(TAKES, None, Duration::from_secs(50));
        let hold = scene.hold();
        scene.asks("tools/call", PAY).await;
        scene.lists().await;
        let told = scene.told().await;
        let name = told["result"]["taskId"]
            .as_str()
            .unwrap_or_else(|| panic!("{told}"));
        (scene, hold, name.to_owned())
    }

    async fn about(&mut self, method: &str, name: &str) -> Value {
        self.does(method, &named(name)).await
    }

    /// Asks until it is told so.
    async fn until(&mut self, name: &str, status: &str) -> Value {
        loop {
            let told = self.about("tasks/get", name).await;
            if told["result"]["status"] == status {
                return told["result"].clone();
            }
            assert_eq!(told["result"]["status"], "working", "{told}");
            tokio::task::yield_now().await;
        }
    }
}

fn named(name: &str) -> String {
    format!(r#""taskId":{}"#, json!(name))
}

#[tokio::test]
async fn a_held_call_comes_to_a_task_at_once_and_is_made_once_when_people_agree() {
    let (mut scene, hold, name) = Scene::waiting().await;
    assert!(name.len() >= 64, "nobody guesses {name}");
    let told = scene.about("tasks/get", &name).await["result"].clone();
    let words = told["statusMessage"].as_str().unwrap();
    assert!(
        words.contains("waiting for approval by treasury") && words.contains(&hold.to_string()),
        "{words}"
    );
    assert_eq!(
        (&told["resultType"], &told["status"], &told["pollIntervalMs"]),
        (&json!("complete"), &json!("working"), &json!(5_000))
    );
    assert!(told["ttlMs"].as_u64().unwrap() > 1_800_000, "{told}");
    // The same call is the same task.
    let again = scene.does("tools/call", PAY).await;
    assert_eq!(
        (&again["result"]["resultType"], &again["result"]["taskId"]),
        (&json!("task"), &json!(name))
    );

    scene.answered(hold, State::Approved).await;
    let made = scene.heard().await;
    assert_eq!(made["params"]["arguments"], json!({"to": "GB29", "amount": 500}));
    assert_eq!(
        scene.about("tasks/get", &name).await["result"]["status"],
        "working"
    );
    scene.server_says(&made, r#"{"content":[],"x":1.50}"#).await;
    let told = scene.until(&name, "completed").await;
    assert_eq!(told["result"], json!({"content": [], "x": 1.50}));
    assert_eq!(
        scene.until(&name, "completed").await["result"],
        told["result"],
        "however often"
    );
    assert_eq!(
        (scene.bench.authority.consumed(), scene.outcomes()),
        (1, vec![OutcomeResult::Done])
    );
    assert!(scene.is_quiet());
    let next = scene.does("tools/call", PAY).await;
    assert_ne!(next["result"]["taskId"], json!(name), "it is another call");
}

#[tokio::test]
async fn what_people_refuse_ends_its_task_with_the_result_that_a_denial_is() {
    let (mut scene, hold, name) = Scene::waiting().await;
    scene.answered(hold, State::Denied).await;
    let told = scene.until(&name, "completed").await;
    assert_eq!(told["result"]["isError"], true);
    assert_eq!(
        told["result"]["_meta"]["checkrein/decision"]["cause"],
        "denied_by_person"
    );
    assert!(scene.is_quiet());
}

#[tokio::test]
async fn an_approval_that_can_not_be_used_makes_nothing() {
    let (mut scene, hold, name) = Scene::waiting().await;
    scene.bench.authority.on_consume(|_| Err(AskError::NotConnected));
    scene.answered(hold, State::Approved).await;
    let told = scene.until(&name, "completed").await;
    assert_eq!(told["result"]["isError"], true, "{told}");
    assert!(scene.is_quiet());
}

#[tokio::test]
async fn a_task_is_its_callers_in_its_own_task_and_nobody_elses() {
    let (mut scene, _, name) = Scene::waiting().await;
    let unknown = scene.about("tasks/get", "checkrein-0").await["error"].clone();
    assert_eq!(unknown["code"], INVALID_PARAMS);
    let other = scene.bench.grant_of(AGENT, GrantsTask::new(&scene.bench.clock));
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        scene.asks_with(method, &named(&name), Some(other.clone())).await;
        assert_eq!(scene.told().await["error"], unknown, "{method}");
    }
    assert_eq!(
        scene.about("tasks/get", &name).await["result"]["status"],
        "working"
    );
    scene.takes = "{}";
    let told = scene.about("tasks/get", &name).await;
    assert_eq!(told["error"]["code"], MISSING_CAPABILITY);
    assert!(told["error"]["data"]["requiredCapabilities"]["extensions"][TASKS].is_object());
    assert!(scene.is_quiet(), "no server hears of a task of ours");
}

#[tokio::test]
async fn a_client_that_takes_no_tasks_waits_and_is_told_that_it_waits() {
    let mut scene = Scene::set("{}", None, Duration::ZERO);
    scene.hold();
    scene.asks("tools/call", PAY).await;
    scene.lists().await;
    let told = scene.told().await;
    assert_eq!(
        (&told["result"]["resultType"], &told["result"]["isError"]),
        (&json!("complete"), &json!(true))
    );
}

#[tokio::test]
async fn a_task_that_is_given_up_makes_nothing_and_its_call_keeps_its_hold() {
    let (mut scene, hold, name) = Scene::waiting().await;
    let told = scene.about("tasks/cancel", &name).await;
    assert_eq!(told["result"], json!({"resultType": "complete"}));
    scene.until(&name, "cancelled").await;
    scene.bench.authority.holds_as(hold, State::Approved);
    assert_eq!(scene.until(&name, "cancelled").await["status"], "cancelled");
    assert_eq!(scene.bench.authority.consumed(), 0);
    assert!(scene.is_quiet());
    scene.asks("tools/call", PAY).await;
    let made = scene.heard().await;
    scene.server_says(&made, r#"{"content":[]}"#).await;
    assert_eq!(scene.told().await["result"]["content"], json!([]));
    assert_eq!(
        scene.until(&name, "cancelled").await["status"],
        "cancelled",
        "for good"
    );
}

#[tokio::test]
async fn a_task_of_the_servers_goes_on_by_its_name_and_its_end_is_recorded_before_it_is_told() {
    let mut scene = Scene::set(TAKES, None, Duration::ZERO);
    scene.asks("tools/call", LOOK).await;
    scene.lists().await;
    let made = scene.heard().await;
    let handle = r#"{"resultType":"task","taskId":"theirs","status":"working"}"#;
    scene.server_says(&made, handle).await;
    assert_eq!(
        scene.told().await["result"],
        serde_json::from_str::<Value>(handle).unwrap()
    );
    assert_eq!(scene.outcomes(), [], "it has not ended");
    for (status, more, outcomes) in [
        ("working", "", vec![]),
        ("input_required", r#","inputRequests":{}"#, vec![]),
        (
            "completed",
            r#","result":{"content":[],"isError":true}"#,
            vec![OutcomeResult::Failed],
        ),
    ] {
        scene.asks("tasks/get", &named("theirs")).await;
        let asked = scene.heard().await;
        assert_eq!(
            (&asked["method"], &asked["params"]["taskId"]),
            (&json!("tasks/get"), &json!("theirs"))
        );
        let result = format!(r#"{{"resultType":"complete","taskId":"theirs","status":"{status}"{more}}}"#);
        scene.server_says(&asked, &result).await;
        assert_eq!(
            scene.told().await["result"],
            serde_json::from_str::<Value>(&result).unwrap()
        );
        assert_eq!(scene.outcomes(), outcomes);
    }
    // Its end is told again without the server.
    assert_eq!(
        scene.about("tasks/get", "theirs").await["result"]["status"],
        "completed"
    );
    assert_eq!(
        scene.about("tasks/get", "others").await["error"]["code"],
        INVALID_PARAMS
    );
    assert!(scene.is_quiet());
    scene
        .asks(
            "tasks/update",
            &format!(r#"{},"inputResponses":{{}}"#, named("theirs")),
        )
        .await;
    let asked = scene.heard().await;
    assert_eq!(asked["params"]["inputResponses"], json!({}));
    scene.server_says(&asked, r#"{"resultType":"complete"}"#).await;
    scene.told().await;
}

#[tokio::test]
async fn a_task_of_the_servers_gives_nothing_once_what_it_was_permitted_under_has_ended() {
    let mut scene = Scene::set(TAKES, None, Duration::ZERO);
    scene.asks("tools/call", LOOK).await;
    scene.lists().await;
    let made = scene.heard().await;
    scene
        .server_says(
            &made,
            r#"{"resultType":"task","taskId":"theirs","status":"working"}"#,
        )
        .await;
    scene.told().await;
    let now_ms = scene.bench.clock.wall_ms();
    let entry = Revocation {
        what: Revoked::Task(scene.bench.task),
        expires_ms: now_ms + 1_000_000,
        cause: "revoked".into(),
    };
    scene.bench.snapshots.install(|next| {
        let sequence = next.revocations.sequence + 1;
        next.revocations = Arc::new(next.revocations.extended(sequence, [entry], now_ms));
    });
    scene.asks("tasks/get", &named("theirs")).await;
    let asked = scene.heard().await;
    assert_eq!(asked["method"], "tasks/cancel", "{asked}");
    scene.server_says(&asked, r#"{"resultType":"complete"}"#).await;
    let told = scene.told().await;
    assert!(
        told["error"]["message"]
            .as_str()
            .unwrap()
            .contains("nobody knows how far it got"),
        "{told}"
    );
    assert_eq!(scene.outcomes(), [OutcomeResult::Unknown]);
}

#[tokio::test]
async fn an_approved_call_that_the_server_makes_a_task_of_goes_on_by_the_name_that_its_client_knows() {
    let (mut scene, hold, name) = Scene::waiting().await;
    scene.answered(hold, State::Approved).await;
    let made = scene.heard().await;
    scene
        .server_says(
            &made,
            r#"{"resultType":"task","taskId":"theirs","status":"working"}"#,
        )
        .await;
    let asked = loop {
        scene.asks("tasks/get", &named(&name)).await;
        // Until its handle has come through, we are asked.
        tokio::select! {
            biased;
            line = scene.server.recv() => break serde_json::from_str::<Value>(&line.unwrap()).unwrap(),
            told = scene.client.recv() => assert!(told.unwrap().line.contains("working")),
        }
    };
    assert_eq!(asked["params"]["taskId"], "theirs");
    scene
        .server_says(
            &asked,
            r#"{"resultType":"complete","taskId":"theirs","status":"completed","result":{"content":[]}}"#,
        )
        .await;
    let told = scene.told().await["result"].clone();
    assert_eq!(
        (&told["taskId"], &told["result"]),
        (&json!(name), &json!({"content": []}))
    );
    assert_eq!(
        (scene.bench.authority.consumed(), scene.outcomes()),
        (1, vec![OutcomeResult::Done])
    );
}

#[tokio::test]
async fn where_there_is_no_room_for_a_task_its_client_waits() {
    let (mut scene, _, name) = Scene::waiting().await;
    let permit = async |scene: &Scene| match scene.bench.gate.authorize(scene.bench.look()).await.unwrap() {
        crate::gate::Answer::Permit(permit) => permit,
        other => panic!("{other:?}"),
    };
    let tasks = Arc::clone(scene.session.terms.forms.tasks.as_ref().unwrap());
    for number in 1..tasks::TASKS_MAX {
        let permit = permit(&scene).await;
        assert!(
            tasks
                .take_up(&number.to_string(), scene.bench.task, permit)
                .is_none()
        );
    }
    let more = permit(&scene).await;
    assert!(tasks.take_up("more", scene.bench.task, more).is_some());
    assert_eq!(
        scene.about("tasks/get", &name).await["result"]["status"],
        "working",
        "none was given up"
    );
    scene.about("tasks/cancel", &name).await;
    scene.until(&name, "cancelled").await;
    let more = permit(&scene).await;
    assert!(tasks.take_up("more", scene.bench.task, more).is_none());
    assert_eq!(
        scene.about("tasks/get", &name).await["error"]["code"],
        INVALID_PARAMS
    );
}
