//! People talk before they answer: who has the page open sees it come, and nothing of it is an answer.

use checkrein_enforcer::Answer;
use checkrein_proto::hold::v1::State;
use checkrein_shared::decision::OutcomeResult;
use serde_json::json;

use super::scene::Scene;
use super::story::Story;

const PAYMENT: &str = r#"{"recipient":"US13","amount":500}"#;

#[tokio::test(flavor = "multi_thread")]
async fn one_asks_and_hands_it_on_and_another_sees_it_come_replies_and_approves() {
    let scene = Scene::set().await;
    let (hold, asked) = scene.pays("first", PAYMENT).await;
    let given = json!({
        "bob": scene.link("bob").await, "carol": scene.link("carol").await, "hold": hold.hold_id,
    });
    let mut story = Story::begin("talking", &given).await;
    assert_eq!(story.saw("no reply is asked for").await["shown"], false);
    assert_eq!(story.saw("nothing was sent").await["approvable"], 1);
    assert_eq!(scene.hold(&hold.hold_id).await.votes.len(), 0);
    assert_eq!(story.saw("it came").await["reloaded"], false);
    let of_bob = story.saw("inbox-of-bob").await;
    let text = of_bob["text"].as_str().unwrap();
    assert!(
        text.contains("Nothing waits for your answer.") && text.contains("handed to carol"),
        "{text}"
    );
    let of_carol = story.saw("inbox-of-carol").await;
    let text = of_carol["text"].as_str().unwrap();
    assert!(text.contains("bob handed this to you"), "{text}");
    story.saw("approved").await;
    story.end().await;
    // The agent may have stopped waiting meanwhile: then it asks again, and finds what was approved.
    match asked.answer().await {
        Answer::Permit(permit) => permit.complete(OutcomeResult::Done, "").await.unwrap(),
        Answer::Hold(_) => scene.pays_unasked("first", PAYMENT).await,
        answer @ Answer::Deny(_) => panic!("not released: {answer:?}"),
    }
    let done = scene.stands(&hold.hold_id, State::Done).await;
    let said: Vec<&str> = done.remarks.iter().map(|remark| &*remark.text).collect();
    assert_eq!(
        said,
        [
            "Which invoice is this for?",
            "For 4711, of March.",
            "She knows the supplier."
        ]
    );
    assert_eq!(done.votes.len(), 1);
}
