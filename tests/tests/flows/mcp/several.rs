//! Several servers behind one enforcer: clients see one, in which nothing has the name of another.

use std::fmt::Write as _;
use std::path::Path;

use checkrein_tests::{Process, read_pack};
use serde_json::json;

use super::*;

/// An enforcer's configuration with these servers, each started so.
async fn scene(servers: &[(&str, Vec<PathBuf>)]) -> Scene {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/packs/files");
    let all = as_one(read_pack("files", &directory).unwrap(), everything());
    let scene = Scene::set(&all, &["everything/*", "files/*"]).await;
    stands_before(&scene, servers);
    scene
}

/// Two packs in one: the cases of either are about its own rules alone.
pub(super) fn as_one(mut all: PackSource, more: PackSource) -> PackSource {
    all.files.retain(|path, _| !path.starts_with("tests/"));
    let more = more.files.into_iter();
    for (path, text) in more.filter(|(path, _)| path != "checkrein.toml") {
        let whole = all.files.entry(path).or_default();
        whole.push(b'\n');
        whole.extend(text);
    }
    all
}

/// Writes servers into the configuration, each started so.
pub(super) fn stands_before(scene: &Scene, servers: &[(&str, Vec<PathBuf>)]) {
    let mut config = std::fs::read_to_string(&scene.config).unwrap();
    for (name, command) in servers {
        let command = json!(command);
        write!(
            config,
            "\n[[mcp.upstream]]\nname = \"{name}\"\ncommand = {command}\n"
        )
        .unwrap();
    }
    std::fs::write(&scene.config, config).unwrap();
}

/// Writes servers over HTTP into the configuration.
pub(super) fn stands_before_urls(scene: &Scene, servers: &[(&str, &str)]) {
    let mut config = std::fs::read_to_string(&scene.config).unwrap();
    for (name, url) in servers {
        write!(config, "\n[[mcp.upstream]]\nname = \"{name}\"\nurl = \"{url}\"\n").unwrap();
    }
    std::fs::write(&scene.config, config).unwrap();
}

/// What an MCP client starts.
pub(super) fn command(scene: &Scene) -> Vec<PathBuf> {
    let mut command: Vec<PathBuf> = vec![scene.enforcer.clone(), "mcp".into()];
    command.extend(["--config".into(), scene.config.clone()]);
    command.extend(["--grant".into(), scene.grant.clone()]);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_sees_what_two_real_servers_have_and_each_call_goes_to_its_own() {
    // Its name must not begin with a dot: the pack lets nobody write there.
    let directory = tempfile::Builder::new().prefix("files-").tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    let ends_at_once = vec![PathBuf::from("sh"), "-c".into(), "exit 3".into()];
    let scene = scene(&[
        ("files", server("filesystem", &root)),
        ("everything", server("everything", "stdio")),
        ("broken", ends_at_once),
    ])
    .await;
    let mut client = Client::start(&command(&scene)).await;
    let seen = client.tools().await;
    let of = |name: &str| seen.iter().filter(|tool| tool.starts_with(name)).count();
    assert_eq!(
        (of("files__"), of("everything__"), seen.len()),
        (14, 5, 19),
        "{seen:?}"
    );
    let told = client
        .calls("everything__echo", json!({"message": "naïve \u{1f600}"}))
        .await;
    assert_eq!(text(&told), "Echo: naïve \u{1f600}");
    is_denied(&client.calls("everything__get-env", json!({})).await, "forbidden");
    is_denied(
        &client.calls("files__echo", json!({"message": "x"})).await,
        "unknown_tool",
    );
    for nobodys in ["echo", "broken__echo"] {
        let told = client.calls(nobodys, json!({"message": "x"})).await;
        assert!(told["error"].is_object(), "{told}");
    }
    let long = json!({"do": "call", "name": "everything__trigger-long-running-operation", "arguments": {"duration": 0.2, "steps": 2}});
    assert!(text(&client.does(long).await).contains("completed"));
    assert!(!client.progress.is_empty());

    let uri = "demo://resource/static/document/features.md";
    let told = client.asks("resources/read", json!({ "uri": uri })).await;
    assert!(told["result"]["contents"][0]["text"].is_string(), "{told}");
    let told = client
        .asks("resources/read", json!({"uri": "demo://nowhere"}))
        .await;
    assert!(told["error"].is_object(), "{told}");
    let prompt = json!({"name": "everything__args-prompt", "arguments": {"city": "Oslo"}});
    let told = client.asks("prompts/get", prompt).await;
    assert!(told["result"]["messages"].is_array(), "{told}");

    let file = root.join("notes.txt");
    let number = client
        .begins(json!({"do": "call", "name": "files__write_file", "arguments": {"path": file, "content": "agreed"}}))
        .await;
    scene.operator.waiting(&scene.task).await.unwrap();
    assert!(!file.exists(), "nobody has agreed");
    scene.approves().await;
    let told = client.told(number).await;
    assert!(told["result"]["isError"] != true, "{told}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "agreed");
    client.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_server_in_the_config_names_are_as_the_server_gives_them() {
    let scene = scene(&[("everything", server("everything", "stdio"))]).await;
    let mut client = Client::start(&command(&scene)).await;
    assert_eq!(client.tools().await.len(), 5);
    let told = client.calls("echo", json!({"message": "x"})).await;
    assert_eq!(text(&told), "Echo: x");
    client.ends().await;
}

/// What a server that can be made to end has.
fn mortal() -> PackSource {
    let tool = |name: &str| json!({"name": name, "description": format!("Does {name}"), "inputSchema": {"type": "object", "properties": {}}});
    let catalog = json!({ "tools": [tool("die"), tool("look")] }).to_string();
    let note = |name: &str| format!("[{name}]\neffects = [\"read\"]\nreversibility = \"read_only\"\n");
    let notes = [note("die"), note("look")].concat();
    let files = [("catalog/mortal.json", catalog), ("catalog/mortal.toml", notes)];
    PackSource {
        name: "mortal".to_owned(),
        files: BTreeMap::from(files.map(|(path, text)| (path.to_owned(), text.into_bytes()))),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_is_started_again_and_what_it_was_asked_is_not_asked_again() {
    let scene = Scene::set(&as_one(everything(), mortal()), &["everything/*", "mortal/*"]).await;
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("log");
    stands_before(
        &scene,
        &[
            ("mortal", vec![node(), peer("mortal.mjs"), log.clone()]),
            ("everything", server("everything", "stdio")),
        ],
    );
    let mut client = Client::start(&command(&scene)).await;
    let seen = client.tools().await;
    assert!(seen.contains(&"mortal__die".to_owned()), "{seen:?}");
    let told = client.calls("mortal__die", json!({})).await;
    assert_eq!(told["result"]["isError"], true, "{told}");
    assert!(
        text(&told).contains("nobody knows whether the call was made"),
        "{told}"
    );
    let told = client.calls("everything__echo", json!({"message": "x"})).await;
    assert_eq!(text(&told), "Echo: x", "the others go on");

    let back = async {
        loop {
            let told = client.calls("mortal__look", json!({})).await;
            let Some(words) = told["error"]["message"].as_str() else {
                return told;
            };
            assert!(
                words.contains("`mortal` has ended, and is started again"),
                "{words}"
            );
        }
    };
    let told = timeout(WAIT_MAX, back).await.unwrap();
    assert_eq!(text(&told), "greeted 1 times");
    assert_eq!(client.tools().await, seen);
    client.ends().await;
    let noted = std::fs::read_to_string(&log).unwrap();
    assert_eq!(noted, "started\ndie\nstarted\nlook\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_over_http_that_forgets_its_session_gets_another_and_no_call_twice() {
    let scene = Scene::set(&as_one(everything(), mortal()), &["everything/*", "mortal/*"]).await;
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("log");
    let mut forgetful = Command::new(node());
    forgetful.arg(peer("mortal.mjs")).arg(&log).arg("http");
    let forgetful = Process::start(&mut forgetful).await.unwrap();
    let url = forgetful.ready["url"].as_str().unwrap();
    stands_before(&scene, &[("everything", server("everything", "stdio"))]);
    stands_before_urls(&scene, &[("mortal", url)]);
    let mut client = Client::start(&command(&scene)).await;
    let seen = client.tools().await;
    assert!(seen.contains(&"mortal__die".to_owned()), "{seen:?}");
    let told = client.calls("mortal__die", json!({})).await;
    assert_eq!(text(&told), "greeted 1 times");
    let back = async {
        loop {
            let told = client.calls("mortal__look", json!({})).await;
            if told["result"]["isError"] != true && told["error"].is_null() {
                return told;
            }
        }
    };
    let told = timeout(WAIT_MAX, back).await.unwrap();
    assert_eq!(text(&told), "greeted 2 times");
    assert_eq!(client.tools().await, seen);
    let told = client.calls("everything__echo", json!({"message": "x"})).await;
    assert_eq!(text(&told), "Echo: x");
    client.ends().await;
    let noted = std::fs::read_to_string(&log).unwrap();
    assert_eq!(noted, "started\ndie\nstarted\nlook\n");
}
