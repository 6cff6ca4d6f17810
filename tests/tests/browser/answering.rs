//! People answer: what they read is what is hashed, and what they say is what the enforcer does.

use checkrein_proto::hold::v1::{Hold, State};
use checkrein_shared::action::ActionIdentity;
use checkrein_shared::decision::Cause;
use serde_json::{Value, json};

use super::scene::{PAY, Scene};
use super::story::Story;

const FIRST: &str = r#"{"recipient":"US133000000121212121212","amount":10,"memo":"a surprise"}"#;
const SECOND: &str = r#"{"recipient":"DE89370400440532013000","amount":20}"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_reads_is_what_is_hashed_and_what_they_say_is_what_the_enforcer_does() {
    let scene = Scene::set().await;
    let given = json!({ "link": scene.link("bob").await, "tool": PAY });
    let mut story = Story::begin("answering", &given).await;
    story.saw("an empty inbox").await;

    let (hold, asked) = scene.pays("first", FIRST).await;
    story.tell(&json!({})).await;
    let came = story.saw("it came").await;
    assert_eq!(came["reloaded"], false);
    // One can be told from another, and no secret is told.
    let listed = came["text"].as_str().unwrap();
    assert!(
        listed.contains("US133000000121212121212") && !listed.contains("surprise"),
        "{listed}"
    );
    expect_shown(&story.saw("the hold").await, &hold);
    story.saw("approved").await;
    let votes = scene.hold(&hold.hold_id).await.votes;
    assert_eq!(votes.len(), 1);
    assert!(
        votes[0].approve && votes[0].approver.ends_with("/approver/bob"),
        "{votes:?}"
    );
    assert_eq!(asked.done().await, Cause::Approved);
    scene.stands(&hold.hold_id, State::Done).await;
    story.tell(&json!({})).await;
    assert_eq!(story.saw("done").await["answerable"], 0);

    let (hold, asked) = scene.pays("second", SECOND).await;
    story.tell(&json!({ "hold": hold.hold_id })).await;
    story.saw("denied").await;
    assert_eq!(scene.hold(&hold.hold_id).await.state(), State::Denied);
    let answer = asked.answer().await;
    let told = answer.decided();
    assert_eq!(told.cause, Cause::DeniedByPerson);
    assert!(told.reason.contains("That is not our supplier."), "{told:?}");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_no_mouse_signs_in_reads_and_approves_with_tab_and_enter() {
    let scene = Scene::set().await;
    let (hold, asked) = scene.pays("call", FIRST).await;
    let given = json!({ "link": scene.link("carol").await, "tool": PAY });
    let mut story = Story::begin("keys", &given).await;
    let inbox = story.saw("the inbox").await;
    assert_eq!(
        (&inbox["first"], &inbox["seen"]),
        (&json!(1), &json!(true)),
        "{inbox}"
    );
    story.saw("approved").await;
    asked.done().await;
    assert_eq!(scene.hold(&hold.hold_id).await.votes.len(), 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_without_scripts_reads_and_approves_as_well() {
    let scene = Scene::set().await;
    let (_, asked) = scene.pays("call", FIRST).await;
    let given = json!({ "link": scene.link("bob").await, "tool": PAY });
    let mut story = Story::begin("plain", &given).await;
    story.saw("approved").await;
    asked.done().await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_for_other_bytes_or_too_late_is_said_in_words_and_counts_for_nothing() {
    let scene = Scene::set().await;
    let (swapped, _first) = scene.pays("first", FIRST).await;
    let (late, _second) = scene.pays("second", SECOND).await;
    let given = json!({
        "link": scene.link("carol").await, "swapped": swapped.hold_id, "late": late.hold_id,
    });
    let mut story = Story::begin("too_late", &given).await;
    expect_words(&story.saw("other bytes").await);
    assert_eq!(scene.hold(&swapped.hold_id).await.state(), State::Open);

    story.saw("both are open").await;
    let bob = scene.world.approver("bob").await.unwrap();
    bob.vote(&late, false).await.unwrap();
    story.tell(&json!({})).await;
    story.saw("told of it").await;
    assert_eq!(story.saw("no form is left").await["answerable"], 0);
    expect_words(&story.saw("too late").await);
    let votes = scene.hold(&late.hold_id).await.votes;
    assert_eq!(votes.len(), 1, "{votes:?}");
    // The browser says that the answer was a refusal, and nothing else.
    story.end_but_for(&[409]).await;
}

/// The page shows the hash of the very bytes, each argument, and no secret.
fn expect_shown(read: &Value, hold: &Hold) {
    let action = hold.action.clone().unwrap();
    let identity = ActionIdentity::try_from(action.clone()).unwrap();
    assert_eq!(identity.sha256().to_bytes(), action.action_sha256);
    assert_eq!(read["sha256"], identity.sha256().to_string());
    assert_eq!(read["arguments"], identity.arguments.0);
    assert_eq!(read["shown"]["recipient"], "US133000000121212121212");
    assert_eq!(read["shown"]["amount"], "10");
    let text = read["text"].as_str().unwrap();
    for said in [
        "alice",
        "billing",
        "a test",
        "production",
        "the user did not name this account",
    ] {
        assert!(text.contains(said), "it does not say `{said}`: {text}");
    }
    assert!(!read.to_string().contains("surprise"), "{read}");
}

/// What went wrong is said as a sentence, not as a code.
fn expect_words(said: &Value) {
    let says = said["says"].as_str().unwrap();
    assert!(says.split_whitespace().count() > 4, "{says}");
    for code in ["FailedPrecondition", "FAILED_PRECONDITION", "status:", "Status {"] {
        assert!(!says.contains(code), "{says}");
    }
}
