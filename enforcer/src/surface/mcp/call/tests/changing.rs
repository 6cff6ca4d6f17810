//! A list of tools that changes while it comes is asked for again, a few times.

use super::*;

impl Scene {
    /// The server is asked what it has, and says that this has changed before it says what it was.
    async fn changes_while_it_lists(&mut self) {
        let asked = self.server.hears().await;
        assert_eq!(asked["method"], "tools/list");
        let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
        self.server.says(changed).await;
        assert_eq!(self.client.line().await, changed);
        let old = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "tools": [] } });
        self.server.says(&old.to_string()).await;
    }
}

#[tokio::test]
async fn a_call_during_a_change_is_made_once_the_list_has_come_and_denied_if_it_never_settles() {
    let mut scene = Scene::set();
    scene.calls(1, "look", "{}").await;
    scene.changes_while_it_lists().await;
    scene.lists(TOOLS).await;
    assert_eq!(scene.server.hears().await["params"]["name"], "look");
    scene
        .server
        .says(r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#)
        .await;
    assert_eq!(scene.client.hears().await["id"], 1);

    let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    scene.server.says(changed).await;
    assert_eq!(scene.client.line().await, changed);
    scene.calls(2, "look", "{}").await;
    for _ in 0..3 {
        scene.changes_while_it_lists().await;
    }
    let told = scene.client.hears().await;
    assert_eq!(
        told["result"]["_meta"]["checkrein/decision"]["cause"], "unknown_tool",
        "{told}"
    );
}
