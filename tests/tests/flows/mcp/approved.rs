//! A call that waits for people: approved, it is made once, and whoever asks again gets what came of it.

use std::path::{Path, PathBuf};

use checkrein_proto::hold::v1::{ListRequest, State};
use checkrein_tests::read_pack;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Client, Scene, server, text};

/// The pack that we ship, and a directory of files.
async fn scene() -> (Scene, TempDir, PathBuf) {
    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/packs/files");
    let scene = Scene::set(&read_pack("files", &pack).unwrap(), &["files/*"]).await;
    // Its name must not begin with a dot: the pack lets nobody write there.
    let directory = tempfile::Builder::new().prefix("files-").tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    (scene, directory, root)
}

fn write(file: &Path, content: &str) -> Value {
    json!({"do": "call", "name": "write_file", "arguments": {"path": file, "content": content}})
}

/// The holds of the task, in whatever state.
async fn holds(scene: &Scene) -> Vec<State> {
    let request = ListRequest {
        task_id: scene.task.clone(),
        states: [
            State::Open,
            State::Approved,
            State::Consumed,
            State::Done,
            State::Unknown,
            State::Cancelled,
        ]
        .map(i32::from)
        .to_vec(),
        ..ListRequest::default()
    };
    let holds = scene
        .operator
        .holds()
        .list(request)
        .await
        .unwrap()
        .into_inner()
        .holds;
    holds.iter().map(checkrein_proto::hold::v1::Hold::state).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_waits_for_a_person_and_is_made_when_they_agree() {
    let (scene, _directory, root) = scene().await;
    let mut client = Client::start(&scene.wrapping("files", 50, &server("filesystem", &root))).await;
    assert_eq!(client.tools().await.len(), 14);
    let file = root.join("notes.txt");
    let number = client.begins(write(&file, "agreed")).await;
    scene.operator.waiting(&scene.task).await.unwrap();
    assert!(!file.exists());
    scene.approves().await;
    let told = client.told(number).await;
    assert!(text(&told).contains("Successfully wrote"), "{told}");
    assert!(client.progress.iter().any(|progress| {
        progress["message"]
            .as_str()
            .unwrap_or_default()
            .contains("waiting for approval by owners")
    }));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "agreed");
    let told = client.calls("read_text_file", json!({"path": file})).await;
    assert_eq!(text(&told), "agreed");
    client.ends().await;
    assert_eq!(holds(&scene).await, [State::Done]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_uses_a_client_that_takes_links_is_shown_where_people_answer_while_the_call_waits() {
    let (scene, _directory, root) = scene().await;
    let config = std::fs::read_to_string(&scene.config).unwrap();
    let console = "console_url = \"https://console.example\"\n";
    std::fs::write(&scene.config, format!("{console}{config}")).unwrap();
    let wrapping = scene.wrapping("files", 50, &server("filesystem", &root));
    let mut client = Client::start_with_links(&wrapping).await;
    let file = root.join("notes.txt");
    let number = client.begins(write(&file, "agreed")).await;
    let hold = scene.operator.waiting(&scene.task).await.unwrap().hold_id;
    let shown = client.hears("link").await;
    assert_eq!(shown["mode"], "url", "{shown}");
    assert_eq!(shown["url"], format!("https://console.example/holds/{hold}"));
    let words = shown["message"].as_str().unwrap();
    assert!(
        words.contains("`files/write_file`") && !words.contains("agreed"),
        "{words}"
    );
    assert!(!file.exists(), "the client said that its user opened the link");
    scene.approves().await;
    assert_eq!(client.hears("done_with").await["elicitationId"], hold);
    let told = client.told(number).await;
    assert!(text(&told).contains("Successfully wrote"), "{told}");
    client.ends().await;

    // Whoever is shown nothing reads the same link in the answer that the call waits.
    let mut client = Client::start(&scene.wrapping("files", 0, &server("filesystem", &root))).await;
    let told = client.does(write(&file, "again")).await;
    assert!(
        text(&told).contains("at https://console.example/holds/hold_"),
        "{told}"
    );
    client.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_approved_after_its_client_was_told_to_wait_is_picked_up_once() {
    let (scene, _directory, root) = scene().await;
    let mut client = Client::start(&scene.wrapping("files", 0, &server("filesystem", &root))).await;
    let file = root.join("notes.txt");
    let told = client.does(write(&file, "once")).await;
    assert_eq!(told["result"]["isError"], true, "{told}");
    assert!(
        text(&told).contains("waits for approval by owners") && text(&told).contains("NOT done"),
        "{told}"
    );
    scene.approves().await;
    assert!(!file.exists(), "an approval alone does nothing");
    // The word of the approval and the next call meet at the control plane.
    let told = client.does(write(&file, "once")).await;
    assert!(text(&told).contains("Successfully wrote"), "{told}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "once");

    // What was taken is over: the same once more is another call, and a person is asked again.
    std::fs::write(&file, "changed by somebody else").unwrap();
    let told = client.does(write(&file, "once")).await;
    assert!(text(&told).contains("waits for approval by owners"), "{told}");
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "changed by somebody else"
    );
    client.ends().await;
    let mut holds = holds(&scene).await;
    holds.sort_by_key(|state| *state as i32);
    assert_eq!(holds, [State::Open, State::Done]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_gave_up_waiting_gets_the_result_when_it_asks_again() {
    let (scene, _directory, root) = scene().await;
    let mut client = Client::start(&scene.wrapping("files", 50, &server("filesystem", &root))).await;
    let file = root.join("notes.txt");
    let mut impatient = write(&file, "kept");
    impatient["within"] = json!(1_500);
    let told = client.does(impatient).await;
    assert_eq!(told["error"]["code"], -32001, "the SDK's own time limit: {told}");
    let number = client.begins(write(&file, "kept")).await;
    scene.approves().await;
    let told = client.told(number).await;
    assert!(text(&told).contains("Successfully wrote"), "{told}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
    client.ends().await;
    assert_eq!(holds(&scene).await, [State::Done], "one hold for both");
}
