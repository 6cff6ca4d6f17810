//! Two servers of this revision that are one to their clients.

use checkrein_tests::installed;

use super::forms::CONSOLE;
use super::*;
use crate::flows::mcp::conformance;
use crate::flows::mcp::several::{as_one, command, stands_before, stands_before_urls};
use crate::flows::mcp::{everything, server as server_of_npm};

const NAMES: [&str; 5] = ["deploy", "echo", "pay", "seen", "wait"];

/// What both have, each under its own name.
async fn both(upstream: &str) -> PackSource {
    twice(pack(&catalog(upstream).await), "modern")
}

/// The same for another server that has what one has.
fn twice(mut pack: PackSource, name: &str) -> PackSource {
    for end in ["json", "toml"] {
        let same = pack.files[&format!("catalog/{name}.{end}")].clone();
        pack.files.insert(format!("catalog/other.{end}"), same);
    }
    pack
}

fn all() -> Vec<String> {
    let all = ["modern", "other"].map(|server| NAMES.map(|name| format!("{server}__{name}")));
    all.concat()
}

/// Calls each, is denied, and answers what its server asks first.
async fn deals_with_both(client: &mut Client) {
    assert_eq!(client.tools().await, all());
    let told = client.calls("other__echo", json!({"message": "hello"})).await;
    assert_eq!(text(&told), "Echo: hello");
    is_denied(
        &client.calls("modern__deploy", json!({"env": "prod"})).await,
        "forbidden",
    );
    let told = client.calls("modern__deploy", json!({"env": "test"})).await;
    assert!(text(&told).starts_with("deployed to test"), "{told}");
}

/// What reached one of them.
async fn seen_by(client: &mut Client, name: &str) -> Value {
    let told = client.calls(&format!("{name}__seen"), json!({})).await;
    serde_json::from_str(text(&told)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_behind_one_door_are_one_to_their_clients() {
    let (_first, modern) = server().await;
    let (_second, other) = server().await;
    let scene = Scene::set(&both(&modern).await, &["modern/*", "other/*"]).await;
    stands_before_urls(&scene, &[("modern", &modern), ("other", &other)]);
    let door = Door::of_config(&scene, 50).await;
    let mut client = Client::run(client(), &[door.url.clone().into()]).await;
    deals_with_both(&mut client).await;

    let number = client
        .begins(json!({"do": "call", "name": "modern__pay", "arguments": {"amount": 5}}))
        .await;
    scene.operator.waiting(&scene.task).await.unwrap();
    scene.approves().await;
    assert_eq!(text(&client.told(number).await), "paid 5");
    let other = seen_by(&mut client, "other").await;
    assert_eq!(
        other["calls"],
        json!(["echo", "seen"]),
        "and nothing of what was for the other"
    );
    assert_eq!(paid(&seen_by(&mut client, "modern").await), 1);
    client.ends().await;
    door.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_over_stdio_are_one_to_a_client_without_a_handshake() {
    let (_server, upstream) = server().await;
    let scene = Scene::set(&both(&upstream).await, &["modern/*", "other/*"]).await;
    let config = std::fs::read_to_string(&scene.config).unwrap();
    std::fs::write(&scene.config, format!("{CONSOLE}{config}")).unwrap();
    stands_before(&scene, &["modern", "other"].map(|name| (name, stdio::command())));
    let mut program = client();
    program.env("CLIENT_MODES", "url");
    let mut client = Client::run(program, &command(&scene)).await;
    deals_with_both(&mut client).await;

    let number = client
        .begins(json!({"do": "call", "name": "modern__pay", "arguments": {"amount": 5}}))
        .await;
    let hold = scene.operator.waiting(&scene.task).await.unwrap();
    assert_eq!(
        paid(&seen_by(&mut client, "modern").await),
        0,
        "nobody has agreed"
    );
    scene.approves().await;
    assert_eq!(text(&client.told(number).await), "paid 5");
    let page = format!("https://console.acme.example/holds/{}", hold.hold_id);
    assert!(
        client.early.contains(&json!({ "link": page })),
        "{:?}",
        client.early
    );
    assert_eq!(paid(&seen_by(&mut client, "modern").await), 1);
    assert_eq!(
        seen_by(&mut client, "other").await["calls"],
        json!(["echo", "seen"]),
        "and nothing of what was for the other"
    );
    client.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_both_eras_goes_back_to_the_handshake_where_one_server_has_only_that() {
    let (_server, upstream) = server().await;
    let all = as_one(pack(&catalog(&upstream).await), everything());
    let scene = Scene::set(&all, &["modern/*", "everything/*"]).await;
    let both_eras = vec![
        node(),
        peer("stateless-server.mjs"),
        installed("peers/mcp").unwrap(),
        "both".into(),
    ];
    stands_before(
        &scene,
        &[
            ("modern", both_eras),
            ("everything", server_of_npm("everything", "stdio")),
        ],
    );
    let mut program = client();
    program.env("CLIENT_ERA", "auto");
    let mut client = Client::run(program, &command(&scene)).await;
    assert_eq!(client.tools().await.len(), NAMES.len() + 5);
    for server in ["modern", "everything"] {
        let told = client
            .calls(&format!("{server}__echo"), json!({"message": "hello"}))
            .await;
        assert_eq!(text(&told), "Echo: hello");
    }
    is_denied(&client.calls("everything__get-env", json!({})).await, "forbidden");
    is_denied(
        &client.calls("modern__deploy", json!({"env": "prod"})).await,
        "forbidden",
    );
    client.ends().await;
}

/// Listens, and is told of what each of these changes, until its task ends.
async fn listens(scene: &Scene, client: &mut Client, changing: &[&str]) {
    let filter = json!({"toolsListChanged": true});
    let told = client.does(json!({"do": "listen", "filter": filter})).await;
    assert_eq!(told["result"]["toolsListChanged"], true, "{told}");
    for name in changing {
        let told = client
            .calls(&format!("{name}__test_trigger_tool_change"), json!({}))
            .await;
        assert_eq!(text(&told), "tools have changed");
        let told = client.does(json!({"do": "heard"})).await;
        assert_eq!(told["result"]["heard"], "tools", "{told}");
    }
    scene.operator.end(&scene.task).await.unwrap();
    let told = client.does(json!({"do": "closed"})).await;
    assert!(told["result"]["closed"].is_string(), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_listens_is_told_of_what_each_server_changes_until_its_task_has_ended() {
    let pack = twice(conformance::pack().await, "suite");
    let scene = Scene::set(&pack, &["suite/*", "other/*"]).await;
    let command_of = |name| {
        let mut command = conformance::command();
        command.push("stdio".into());
        (name, command)
    };
    stands_before(&scene, &["suite", "other"].map(command_of));
    let mut client = Client::run(client(), &command(&scene)).await;
    listens(&scene, &mut client, &["suite", "other"]).await;
    client.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_one_door_it_is_told_by_those_that_it_may_listen_to() {
    let (_first, suite) = conformance::server().await;
    let (_second, other) = conformance::server().await;
    let pack = twice(conformance::pack().await, "suite");
    let tools = ["suite/*", "other/test_trigger_tool_change"];
    let scene = Scene::set(&pack, &tools).await;
    stands_before_urls(&scene, &[("suite", &suite), ("other", &other)]);
    let door = Door::of_config(&scene, 0).await;
    let mut client = Client::run(client(), &[door.url.clone().into()]).await;
    listens(&scene, &mut client, &["suite"]).await;
    client.ends().await;
    door.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_started_and_one_over_http_are_one_to_a_client_without_a_handshake() {
    let (_server, upstream) = server().await;
    let scene = Scene::set(&both(&upstream).await, &["modern/*", "other/*"]).await;
    stands_before(&scene, &[("other", stdio::command())]);
    stands_before_urls(&scene, &[("modern", &upstream)]);
    let mut client = Client::run(client(), &command(&scene)).await;
    deals_with_both(&mut client).await;
    is_denied(
        &client.calls("modern__pay", json!({"amount": "much"})).await,
        "invalid_arguments",
    );
    let number = client
        .begins(json!({"do": "call", "name": "modern__pay", "arguments": {"amount": 5}}))
        .await;
    scene.operator.waiting(&scene.task).await.unwrap();
    assert_eq!(
        paid(&seen_by(&mut client, "modern").await),
        0,
        "nobody has agreed"
    );
    scene.approves().await;
    assert_eq!(text(&client.told(number).await), "paid 5");
    assert_eq!(paid(&seen_by(&mut client, "modern").await), 1);
    client.ends().await;
}
