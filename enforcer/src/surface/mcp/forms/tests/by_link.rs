//! A call whose client is given a link, and comes back with a state.

use checkrein_shared::id::TaskId as GrantsTask;
use checkrein_shared::key::SigningKey;

use super::*;
use crate::fixture::AGENT;

const TAKES: &str = r#"{"elicitation":{"form":{},"url":{}}}"#;
const OTHER: &str = r#""name":"pay","arguments":{"to":"GB29","amount":501}"#;

fn key(pkcs8: &[u8]) -> SigningKey {
    SigningKey::from_pkcs8(pkcs8).unwrap()
}

fn made() -> Vec<u8> {
    SigningKey::generate().unwrap()
}

fn linked(bench: Bench, pkcs8: &[u8]) -> Scene {
    let clock = Arc::new(bench.clock.clone());
    let links = Links::new("https://console.example", key(pkcs8), clock);
    Scene::with(bench, TAKES, Some(links), Duration::ZERO)
}

/// A call that comes back with this state, and what its user said to the link.
fn back(call: &str, state: &str, action: &str) -> String {
    let answer = format!(r#""inputResponses":{{"checkrein-approval":{{"action":"{action}"}}}}"#);
    format!(r#"{call},{answer},"requestState":{}"#, json!(state))
}

impl Scene {
    /// With a call that waits; its state.
    async fn asked() -> (Self, HoldId, String) {
        let mut scene = linked(Bench::new(), &made());
        let hold = scene.hold();
        scene.asks("tools/call", PAY).await;
        scene.lists().await;
        let state = state(&scene.told().await);
        (scene, hold, state)
    }
}

fn state(told: &Value) -> String {
    assert_eq!(told["result"]["resultType"], "input_required", "{told}");
    told["result"]["requestState"].as_str().unwrap().to_owned()
}

fn is_pending(told: &Value) -> bool {
    told["result"]["_meta"]["checkrein/decision"]["verdict"] == "hold" && told["result"]["isError"] == true
}

#[tokio::test]
async fn a_user_is_shown_where_people_answer_and_the_call_that_comes_back_is_made_once_they_have() {
    let mut scene = linked(Bench::new(), &made());
    let hold = scene.hold();
    scene.asks("tools/call", PAY).await;
    scene.lists().await;
    let told = scene.told().await;
    let link = &told["result"]["inputRequests"]["checkrein-approval"];
    assert_eq!(
        (&link["method"], &link["params"]["mode"]),
        (&json!("elicitation/create"), &json!("url"))
    );
    assert_eq!(
        link["params"]["url"],
        format!("https://console.example/holds/{hold}")
    );
    let words = link["params"]["message"].as_str().unwrap();
    assert!(words.contains("treasury") && !words.contains("GB29"), "{words}");
    scene.bench.authority.holds_as(hold, State::Approved);
    scene
        .asks("tools/call", &back(PAY, &state(&told), "accept"))
        .await;
    let made = scene.heard().await;
    assert_eq!(made["params"]["arguments"], json!({"to": "GB29", "amount": 500}));
    for ours in ["inputResponses", "requestState"] {
        assert!(made["params"].get(ours).is_none(), "{made}");
    }
    scene.server_says(&made, r#"{"content":[]}"#).await;
    assert_eq!(scene.told().await["result"]["content"], json!([]));
    assert_eq!(
        (scene.bench.authority.consumed(), scene.outcomes()),
        (1, vec![OutcomeResult::Done])
    );
}

#[tokio::test]
async fn what_a_user_says_to_the_link_approves_nothing() {
    let (mut scene, _, first) = Scene::asked().await;
    let mut given = first;
    for _ in 1..8 {
        let told = scene.does("tools/call", &back(PAY, &given, "accept")).await;
        assert!(
            told["result"].get("inputRequests").is_none(),
            "its user was asked once: {told}"
        );
        given = state(&told);
    }
    assert!(is_pending(
        &scene.does("tools/call", &back(PAY, &given, "accept")).await
    ));
    for action in ["decline", "cancel", "approve"] {
        assert!(
            is_pending(&scene.does("tools/call", &back(PAY, &given, action)).await),
            "{action}"
        );
    }
    assert_eq!(scene.bench.authority.consumed(), 0);
    assert!(scene.is_quiet());
}

#[tokio::test]
async fn an_approval_that_can_not_be_used_makes_nothing_of_a_call_that_comes_back() {
    let (mut scene, hold, given) = Scene::asked().await;
    scene.bench.authority.holds_as(hold, State::Approved);
    scene
        .bench
        .authority
        .on_consume(|_| Err(crate::control_plane::AskError::NotConnected));
    let told = scene.does("tools/call", &back(PAY, &given, "accept")).await;
    assert_eq!(
        told["result"]["_meta"]["checkrein/decision"]["verdict"], "deny",
        "{told}"
    );
    assert!(scene.is_quiet());
}

#[tokio::test]
async fn a_state_that_was_not_given_for_this_call_to_this_caller_is_refused() {
    let (mut scene, hold, given) = Scene::asked().await;
    scene.bench.authority.holds_as(hold, State::Approved);
    let (signed, _) = given.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", "A".repeat(86));
    let cut = given[..given.len() - 1].to_owned();
    let mut changed = given.clone().into_bytes();
    let at = given.find('.').unwrap() + given.len() / 2;
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap();
    for state in [&forged, &cut, &changed] {
        let told = scene.does("tools/call", &back(PAY, state, "accept")).await;
        assert_eq!(told["error"]["code"], INVALID_PARAMS, "{state}: {told}");
    }
    for call in [OTHER, LOOK] {
        let told = scene.does("tools/call", &back(call, &given, "accept")).await;
        assert_eq!(told["error"]["code"], INVALID_PARAMS, "{call}: {told}");
    }
    let other = scene.bench.grant_of(AGENT, GrantsTask::new(&scene.bench.clock));
    scene
        .asks_with("tools/call", &back(PAY, &given, "accept"), Some(other))
        .await;
    assert_eq!(scene.told().await["error"]["code"], INVALID_PARAMS);
    scene.bench.clock.advance_ms(1_800_000 + 3_600_001);
    let told = scene.does("tools/call", &back(PAY, &given, "accept")).await;
    assert!(
        told["error"]["message"].as_str().unwrap().contains("too old"),
        "{told}"
    );
    assert_eq!(scene.bench.authority.consumed(), 0);
    assert!(scene.is_quiet());
}

#[tokio::test]
async fn a_call_finds_its_hold_again_after_a_restart_and_what_it_brought_its_server() {
    let pkcs8 = made();
    let mut scene = linked(Bench::new(), &pkcs8);
    let hold = scene.hold();
    let theirs =
        format!(r#"{PAY},"inputResponses":{{"sure":{{"action":"accept"}}}},"requestState":"theirs""#);
    let names = Arc::new(std::sync::Mutex::new(Vec::new()));
    let open = |scene: &Scene, state: State| {
        let names = Arc::clone(&names);
        scene.bench.authority.on_open(move |ask| {
            names.lock().unwrap().push(ask.call_id.clone());
            Ok(crate::control_plane::Opened::Held(crate::fixture::notice(
                hold, state, ask,
            )))
        });
    };
    open(&scene, State::Open);
    scene.asks("tools/call", &theirs).await;
    scene.lists().await;
    let given = state(&scene.told().await);
    let Scene { bench, .. } = scene;
    let mut scene = linked(bench, &pkcs8);
    open(&scene, State::Approved);
    scene.asks("tools/call", &back(PAY, &given, "accept")).await;
    scene.lists().await;
    let made = scene.heard().await;
    assert_eq!(
        made["params"]["inputResponses"],
        json!({"sure": {"action": "accept"}})
    );
    assert_eq!(made["params"]["requestState"], "theirs");
    let names = names.lock().unwrap().clone();
    assert!(
        names.len() >= 2 && names.windows(2).all(|pair| pair[0] == pair[1]),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_state_of_another_is_its_servers_affair() {
    let (mut scene, _, given) = Scene::asked().await;
    let clock = Arc::new(scene.bench.clock.clone());
    let stranger = Links::new("https://console.example", key(&made()), clock);
    let ours = scene.session.terms.forms.links.as_ref().unwrap().ours();
    let theirs = given.replacen(&ours, &stranger.ours(), 1);
    assert_ne!(theirs, given);
    scene
        .asks(
            "tools/call",
            &format!(r#"{LOOK},"requestState":{}"#, json!(theirs)),
        )
        .await;
    let made = scene.heard().await;
    assert_eq!(made["params"]["requestState"], json!(theirs));
}
