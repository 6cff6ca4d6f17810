//! Whoever looks into a task sees with one command who did what in it, because of whom, and what it brought.

use std::path::PathBuf;

use checkrein_control_plane::cli::client::ClientConfig;
use checkrein_control_plane::cli::identity::{
    CLIENT_FILE, Credentials, RootKey, generate_request, write_identity,
};
use checkrein_proto::decision::v1::CountRequest;
use checkrein_proto::fleet::v1::CertifyRequest;
use checkrein_proto::task::v1::AmendRequest;
use checkrein_tests::Binaries;
use serde_json::{Value, json};

use super::*;

/// The client config of somebody who was certified for this.
async fn config(scene: &Scene, role: Role, name: &str) -> PathBuf {
    let made = generate_request(name).unwrap();
    let certify = CertifyRequest {
        role: role.to_string(),
        name: name.to_owned(),
        certificate_request: made.request,
    };
    let certified = scene
        .operator
        .fleet()
        .certify(certify)
        .await
        .unwrap()
        .into_inner();
    let credentials = Credentials {
        certificate: certified.certificate,
        key: made.key,
        ca: certified.ca_certificate,
    };
    let directory = scene.world.path().join(name);
    let address = format!("https://{}", scene.world.address(0));
    let config = ClientConfig::beside(vec![address], RootKey([7; 32]));
    write_identity(
        &directory,
        &credentials,
        (CLIENT_FILE, &config.encode().unwrap()),
        false,
    )
    .unwrap();
    directory.join(CLIENT_FILE)
}

async fn typed(config: &PathBuf, words: &[&str]) -> String {
    let mut command = Binaries::build().await.unwrap().checkrein();
    let typed = command.arg("--config").arg(config).args(words).output();
    let typed = tokio::time::timeout(WAIT_MAX, typed).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&typed.stderr);
    assert!(typed.status.success(), "checkrein {}: {said}", words.join(" "));
    String::from_utf8(typed.stdout).unwrap()
}

async fn document(config: &PathBuf, words: &[&str]) -> Value {
    let words = [words, &["--json"]].concat();
    serde_json::from_str(&typed(config, &words).await).unwrap()
}

/// Until this much is in the record.
async fn recorded(scene: &Scene, decisions: u64, outcomes: u64) {
    let mut record = scene.operator.decisions();
    let counting = async {
        loop {
            let count = CountRequest {
                task_id: scene.task.task_id.clone(),
            };
            let counted = record.count(count).await.unwrap().into_inner();
            if (counted.decisions, counted.outcomes) == (decisions, outcomes) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, counting).await.unwrap();
}

/// The reader looks a customer up; the sender is held, approved, and sends; the task is amended.
async fn lived() -> (Scene, String) {
    let scene = Scene::set().await;
    done(scene.read(CUSTOMER).await).await;
    let held = scene.send(SEND).await;
    let pat = scene.world.approver("pat").await.unwrap();
    let hold = pat.waiting(&scene.task.task_id).await.unwrap();
    pat.vote(&hold, true).await.unwrap();
    let again = call(&scene.grants.1, SEND).call_id(held.decided().call_id.clone());
    done(permitted(scene.sender.gate().authorize(again).await.unwrap())).await;
    let amend = AmendRequest {
        task_id: scene.task.task_id.clone(),
        risk: Some(50),
        reason: "the customer is a friend".to_owned(),
        idempotency_key: fresh_key(),
        ..AmendRequest::default()
    };
    scene.operator.tasks().amend(amend).await.unwrap();
    recorded(&scene, 3, 2).await;
    (scene, hold.hold_id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_shows_who_acted_in_it_because_of_whom_and_what_happened_in_order() {
    let (scene, hold_id) = lived().await;
    let operator = config(&scene, Role::Operator, "otto").await;
    let id = &*scene.task.task_id;
    let shown = document(&operator, &["task", "show", id]).await;

    let reader = &shown["agents"][0];
    assert_eq!(
        (&reader["agent"], &reader["permitted"]),
        (&json!(READER), &json!(1))
    );
    let sender = &reader["passed_on_to"][0];
    assert_eq!(
        (&sender["agent"], &sender["given_by"]),
        (&json!(SENDER), &json!("control_plane"))
    );
    let counts = ["calls", "permitted", "held", "denied"].map(|name| sender[name].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 1, 0]);

    let timeline = shown["timeline"].as_array().unwrap();
    let words: Vec<&str> = timeline
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        words,
        [
            "started",
            "passed_on",
            "call",
            "call",
            "answered",
            "call",
            "amended"
        ]
    );
    let [_, _, read, held, answered, sent, _] = &timeline[..] else {
        panic!("{timeline:?}")
    };
    assert_eq!(
        (&read["brought"], &read["outcome"]),
        (&json!(["pii"]), &json!("done"))
    );
    assert_eq!(
        (&held["verdict"], &held["rules"]),
        (&json!("hold"), &json!(["personal"]))
    );
    assert_eq!(held["hold"]["hold"], json!(hold_id));
    assert_eq!(answered["by"], json!("spiffe://acme.example/approver/pat"));
    assert_eq!(answered["approved"], json!(true));
    assert_eq!(
        (&sent["verdict"], &sent["outcome"]),
        (&json!("permit"), &json!("done"))
    );

    let page = typed(&operator, &["task", "show", id]).await;
    for said in ["└ sender", "+pii", "approved", "risk to `50`"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let short = typed(&operator, &["task", "show", id, "--no-timeline"]).await;
    assert!(page.starts_with(short.lines().next().unwrap()) && !short.contains("timeline"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_starts_tasks_sees_one_without_the_record_and_whoever_approves_sees_what_it_carries() {
    let (scene, hold_id) = lived().await;
    let id = &*scene.task.task_id;
    let starter = config(&scene, Role::Orchestrator, "starter").await;
    let shown = document(&starter, &["task", "show", id]).await;
    assert_eq!(shown["record_read"], json!(false));
    assert_eq!(shown["agents"][0]["passed_on_to"][0]["agent"], json!(SENDER));
    let page = typed(&starter, &["task", "show", id]).await;
    assert!(page.contains("your identity may not read the record"), "{page}");

    let approver = config(&scene, Role::Approver, "pia").await;
    let held = document(&approver, &["hold", "show", &hold_id]).await;
    let carried = &held["task_carries"][0];
    assert_eq!(
        (&carried["label"], &carried["tool"]),
        (&json!("pii"), &json!(CUSTOMER))
    );
    let decided = document(
        &approver,
        &["decision", "show", held["decision"].as_str().unwrap()],
    )
    .await;
    assert_eq!(decided["ledger"]["labels"], json!(["pii"]));
    assert_eq!(decided["reversibility"], json!("irreversible"));
}
