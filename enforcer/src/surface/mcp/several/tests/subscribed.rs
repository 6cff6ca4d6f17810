//! A subscription before several servers.

use super::stateless::{discovered, said};
use super::*;
use crate::fixture::Offer;

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

impl Scene {
    /// Two servers whose changes may be listened to, or the second's may not.
    async fn listening(second: &str) -> Self {
        let bench = Bench::new();
        bench.install(&Offer::listening(2, &bench.keys.bundle));
        let mut scene = Self::with(bench, (None, None), ["bank", second]);
        scene.discovers().await;
        scene
    }

    async fn listens(&mut self, id: u32, filter: Value) {
        let params = said(json!({ "notifications": filter }));
        self.asks(id, "subscriptions/listen", params).await;
    }

    /// A server is asked for this, and says that it will tell of this; the id under which.
    async fn acknowledges(&mut self, at: usize, asked_for: Value, honored: Value) -> Value {
        let asked = self.heard(at).await;
        assert_eq!(asked["method"], "subscriptions/listen", "{asked}");
        assert_eq!(asked["params"]["notifications"], asked_for, "{asked}");
        self.tells(
            at,
            "subscriptions/acknowledged",
            &asked["id"],
            json!({ "notifications": honored }),
        )
        .await;
        asked["id"].clone()
    }

    async fn tells(&self, at: usize, what: &str, id: &Value, mut params: Value) {
        params["_meta"] = json!({ SUBSCRIPTION: id });
        let method = format!("notifications/{what}");
        self.server_says(at, json!({"jsonrpc": "2.0", "method": method, "params": params}))
            .await;
    }

    /// What the client is told of, and how.
    async fn told_of(&mut self, id: u32) -> (String, Value) {
        let mut told = self.told().await;
        assert_eq!(told["params"]["_meta"], json!({ SUBSCRIPTION: id }), "{told}");
        let params = told["params"].as_object_mut().unwrap();
        params.remove("_meta");
        (told["method"].as_str().unwrap().to_owned(), told["params"].take())
    }
}

fn tools_changed() -> Value {
    json!({"toolsListChanged": true})
}

#[tokio::test]
async fn one_subscription_is_one_at_every_server_and_what_they_tell_comes_under_its_id() {
    let mut scene = Scene::listening("bank").await;
    scene
        .listens(7, json!({"toolsListChanged": true, "promptsListChanged": true}))
        .await;
    let wanted = json!({"toolsListChanged": true, "promptsListChanged": true});
    let first = scene.acknowledges(0, wanted.clone(), tools_changed()).await;
    // Before the client knows what it is told of.
    scene.tells(0, "tools/list_changed", &first, json!({})).await;
    let second = scene.acknowledges(1, wanted.clone(), wanted.clone()).await;
    assert_ne!(first, second);
    let (method, params) = scene.told_of(7).await;
    assert_eq!(
        (method.as_str(), &params["notifications"]),
        ("notifications/subscriptions/acknowledged", &wanted)
    );
    assert_eq!(scene.told_of(7).await.0, "notifications/tools/list_changed");
    scene.tells(1, "prompts/list_changed", &second, json!({})).await;
    assert_eq!(scene.told_of(7).await.0, "notifications/prompts/list_changed");

    // Neither what nobody asked for, nor under the id of another, nor under none.
    scene.tells(1, "resources/list_changed", &second, json!({})).await;
    scene.tells(1, "tools/list_changed", &first, json!({})).await;
    scene.tells(0, "tools/list_changed", &json!(7), json!({})).await;
    let bare = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
    scene.server_says(0, bare).await;
    scene.asks(8, "tools/list", said(json!({}))).await;
    for at in [0, 1] {
        scene.answers(at, tools()).await;
    }
    assert_eq!(scene.told().await["id"], 8, "nothing else was told");

    for (at, id) in [(0, &first), (1, &second)] {
        let ends = json!({"jsonrpc": "2.0", "id": id, "result": {"resultType": "complete", "_meta": {SUBSCRIPTION: id}}});
        scene.server_says(at, ends).await;
    }
    let told = scene.told().await;
    assert_eq!(
        (&told["id"], &told["result"]),
        (
            &json!(7),
            &json!({"resultType": "complete", "_meta": {SUBSCRIPTION: 7}})
        )
    );
    assert!(scene.several.state().subscriptions.is_empty());
}

#[tokio::test]
async fn a_server_of_which_nothing_may_be_listened_to_hears_of_no_subscription() {
    let mut scene = Scene::listening("shop").await;
    scene.listens(7, tools_changed()).await;
    scene.acknowledges(0, tools_changed(), tools_changed()).await;
    let (_, params) = scene.told_of(7).await;
    assert_eq!(params["notifications"], tools_changed());
    assert!(scene.is_quiet());

    // And where nothing may be listened to at all, whoever asks is told why.
    let mut scene = Scene::speaking(None);
    scene.discovers().await;
    scene.listens(7, tools_changed()).await;
    let told = scene.told().await;
    assert_eq!(
        (&told["id"], &told["error"]["data"]["cause"]),
        (&json!(7), &json!("unknown_tool")),
        "{told}"
    );
    assert!(scene.is_quiet());
}

#[tokio::test]
async fn a_resource_is_told_of_by_its_server_and_one_that_nobody_offers_by_nobody() {
    let mut scene = Scene::listening("bank").await;
    scene
        .listens(7, json!({"resourceSubscriptions": ["a://1", "b://1", "c://1"]}))
        .await;
    for (at, uri) in [(0, "a://1"), (1, "b://1")] {
        scene.answers(at, json!({"resources": [{"uri": uri}]})).await;
        scene.answers(at, json!({"resourceTemplates": []})).await;
    }
    let of = |uri: &str| json!({ "resourceSubscriptions": [uri] });
    scene.acknowledges(0, of("a://1"), of("a://1")).await;
    let second = scene.acknowledges(1, of("b://1"), of("b://1")).await;
    let (_, params) = scene.told_of(7).await;
    let mut honored: Vec<&str> = params["notifications"]["resourceSubscriptions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|uri| uri.as_str().unwrap())
        .collect();
    honored.sort_unstable();
    assert_eq!(honored, ["a://1", "b://1"]);
    scene
        .tells(1, "resources/updated", &second, json!({"uri": "b://1"}))
        .await;
    let told = scene.told_of(7).await;
    assert_eq!(
        told,
        (
            "notifications/resources/updated".to_owned(),
            json!({"uri": "b://1"})
        )
    );

    scene.listens(8, of("c://1")).await;
    let told = scene.told().await;
    assert_eq!(
        (&told["id"], &told["error"]["code"]),
        (&json!(8), &json!(INVALID_PARAMS)),
        "{told}"
    );
}

#[tokio::test]
async fn what_is_cancelled_is_cancelled_at_every_server_and_told_of_no_more() {
    let mut scene = Scene::listening("bank").await;
    scene.listens(7, tools_changed()).await;
    let first = scene.acknowledges(0, tools_changed(), tools_changed()).await;
    scene.acknowledges(1, tools_changed(), tools_changed()).await;
    scene.told_of(7).await;
    scene
        .says(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}))
        .await;
    for at in [0, 1] {
        assert_eq!(scene.heard(at).await["method"], "notifications/cancelled");
    }
    scene.tells(0, "tools/list_changed", &first, json!({})).await;
    while scene.several.is_in_use(&Id::Number(7)) {
        tokio::task::yield_now().await;
    }
    scene.asks(8, "tools/list", said(json!({}))).await;
    for at in [0, 1] {
        scene.answers(at, tools()).await;
    }
    assert_eq!(scene.told().await["id"], 8, "nothing else was told");
}

#[tokio::test]
async fn a_server_that_ends_has_changed_and_the_others_go_on_telling() {
    let mut scene = Scene::listening("bank").await;
    scene.listens(7, tools_changed()).await;
    scene.acknowledges(0, tools_changed(), tools_changed()).await;
    let second = scene.acknowledges(1, tools_changed(), tools_changed()).await;
    scene.told_of(7).await;
    scene.several.lose(0).await;
    assert_eq!(scene.told_of(7).await.0, "notifications/tools/list_changed");
    scene.tells(1, "tools/list_changed", &second, json!({})).await;
    assert_eq!(scene.told_of(7).await.0, "notifications/tools/list_changed");

    // It is asked again when it is there again.
    assert_eq!(scene.several.regain(0, false), None);
    assert_eq!(scene.answers(0, discovered()).await["method"], "server/discover");
    let third = scene.acknowledges(0, tools_changed(), tools_changed()).await;
    scene.tells(0, "tools/list_changed", &third, json!({})).await;
    assert_eq!(scene.told_of(7).await.0, "notifications/tools/list_changed");
    // A server ends one by taking it back.
    for (at, id) in [(0, third), (1, second)] {
        let back =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
        scene.server_says(at, back).await;
    }
    assert_eq!(scene.told().await["id"], 7, "nobody tells of anything any more");
}

#[tokio::test]
async fn nobody_has_more_subscriptions_than_there_is_room_for() {
    let mut scene = Scene::listening("shop").await;
    for id in 0..16 {
        scene.listens(100 + id, tools_changed()).await;
        scene.acknowledges(0, tools_changed(), tools_changed()).await;
        scene.told_of(100 + id).await;
    }
    scene.listens(7, tools_changed()).await;
    let told = scene.told().await;
    assert_eq!(
        (&told["id"], &told["error"]["code"]),
        (&json!(7), &json!(INTERNAL)),
        "{told}"
    );
    assert!(scene.is_quiet());
}
