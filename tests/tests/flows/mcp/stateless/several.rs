//! Two servers of this revision behind one door.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_behind_one_door_are_one_to_their_clients() {
    let (_first, modern) = server().await;
    let (_second, other) = server().await;
    let mut pack = pack(&catalog(&modern).await);
    for end in ["json", "toml"] {
        let same = pack.files[&format!("catalog/modern.{end}")].clone();
        pack.files.insert(format!("catalog/other.{end}"), same);
    }
    let scene = Scene::set(&pack, &["modern/*", "other/*"]).await;
    let mut config = std::fs::read_to_string(&scene.config).unwrap();
    for (name, url) in [("modern", &modern), ("other", &other)] {
        let server = format!("\n[[mcp.upstream]]\nname = \"{name}\"\nurl = \"{url}\"\n");
        config.push_str(&server);
    }
    std::fs::write(&scene.config, config).unwrap();
    let door = Door::of_config(&scene, 50).await;
    let mut client = Client::run(client(), &[door.url.clone().into()]).await;
    let names = ["deploy", "echo", "pay", "seen", "wait"];
    let all = ["modern", "other"].map(|server| names.map(|name| format!("{server}__{name}")));
    assert_eq!(client.tools().await, all.concat());
    let told = client.calls("other__echo", json!({"message": "hello"})).await;
    assert_eq!(text(&told), "Echo: hello");
    is_denied(
        &client.calls("modern__deploy", json!({"env": "prod"})).await,
        "forbidden",
    );
    let told = client.calls("modern__deploy", json!({"env": "test"})).await;
    assert!(text(&told).starts_with("deployed to test"), "{told}");

    let number = client
        .begins(json!({"do": "call", "name": "modern__pay", "arguments": {"amount": 5}}))
        .await;
    scene.operator.waiting(&scene.task).await.unwrap();
    scene.approves().await;
    assert_eq!(text(&client.told(number).await), "paid 5");
    let told = client.calls("other__seen", json!({})).await;
    let other: Value = serde_json::from_str(text(&told)).unwrap();
    assert_eq!(
        other["calls"],
        json!(["echo", "seen"]),
        "and nothing of what was for the other"
    );
    let told = client.calls("modern__seen", json!({})).await;
    assert_eq!(paid(&serde_json::from_str(text(&told)).unwrap()), 1);
    client.ends().await;
    door.stop().await;
}
