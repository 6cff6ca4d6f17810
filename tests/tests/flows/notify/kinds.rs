//! What people are told of, and when.

use checkrein_proto::hold::v1::bound::How;
use checkrein_proto::hold::v1::{Bound, Hold, RemarkRequest, RevokeStandingRequest, State, Terms};
use checkrein_tests::fresh_key;

use super::receiver::Receiver;
use super::{Telling, webhook};
use crate::flows::hold::groups;

const ALL: &str = r#"events = ["hold.opened", "hold.reminder", "hold.asked", "hold.handed_on", "hold.approved", "hold.denied", "hold.expired",
    "hold.cancelled", "hold.unknown", "standing.given", "standing.used", "standing.revoked", "hold.glass_broken"]"#;

/// Everything that was told since, as `event: what was said`.
async fn told(scene: &Telling, receiver: &mut Receiver) -> Vec<String> {
    let notifier = scene.notifier(&webhook("pager", receiver, ALL));
    while notifier.gather().await.unwrap() > 0 {}
    let mut told = Vec::new();
    loop {
        let sent = notifier.deliver("pager").await.unwrap();
        if sent == 0 {
            told.sort();
            return told;
        }
        for _ in 0..sent {
            let event = receiver.next().await.json();
            let kind = event["type"].as_str().unwrap();
            let said = event["data"]["said"].as_str().unwrap_or_default();
            told.push(format!("{}: {said}", kind.trim_start_matches("checkrein.")));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_and_deadlines_are_told_with_what_was_said() {
    let scene = Telling::set().await;
    let mut receiver = Receiver::plain().await;
    let (yes, no) = (scene.asking.held("yes", "A").await, scene.held_twice().await);
    let late = scene.asking.held("late", "C").await;
    assert_eq!(told(&scene, &mut receiver).await.len(), 4);
    scene.asking.approve(&yes).await.unwrap();
    scene.asking.deny(&no).await.unwrap();
    let sql = scene.asking.sql().await;
    let near = "UPDATE hold SET opened_at = clock_timestamp() - interval '9 minutes',
        decide_by = clock_timestamp() + interval '1 minute' WHERE call_id = 'late'";
    sql.execute(near, &[]).await.unwrap();
    let news = told(&scene, &mut receiver).await;
    assert_eq!(news.len(), 4, "{news:?}");
    assert_eq!(news[0], "hold.approved: ");
    assert!(
        news[1].starts_with("hold.cancelled: a person said no"),
        "{news:?}"
    );
    assert_eq!(news[2], "hold.denied: not today");
    assert_eq!(news[3], "hold.reminder: ");
    assert_eq!(told(&scene, &mut receiver).await, [""; 0], "reminded once");
    let past = "UPDATE hold SET decide_by = clock_timestamp() - interval '1 second' WHERE call_id = 'late'";
    sql.execute(past, &[]).await.unwrap();
    while scene.asking.state(&late).await != State::Expired {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        told(&scene, &mut receiver).await,
        ["hold.expired: nobody answered in time"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn standing_approvals_are_told_when_given_used_and_revoked() {
    let scene = Telling::set().await;
    let mut receiver = Receiver::plain().await;
    let hold = scene.asking.held("call", "US13").await;
    let bob = scene.asking.world.approver("bob").await.unwrap();
    let voted = bob.vote_with(&hold, true, Some(twice())).await.unwrap();
    scene.asking.held("again", "US13").await;
    let news = told(&scene, &mut receiver).await;
    assert_eq!(news.len(), 4, "{news:?}");
    assert!(
        news[2].starts_with("standing.given: up to 2 times, until 2"),
        "{news:?}"
    );
    assert_eq!(news[3], "standing.used: ");
    let request = RevokeStandingRequest {
        standing_id: voted.standing.unwrap().standing_id,
        reason: "wrong supplier".to_owned(),
        idempotency_key: fresh_key(),
    };
    scene
        .asking
        .operator
        .holds()
        .revoke_standing(request)
        .await
        .unwrap();
    let news = told(&scene, &mut receiver).await;
    assert!(
        news.contains(&"standing.revoked: wrong supplier".to_owned()),
        "{news:?}"
    );
    assert_eq!(told(&scene, &mut receiver).await, [""; 0]);

    // Long afterwards it is forgotten that this was told, and still known that the approval was given.
    let sql = scene.asking.sql().await;
    for long_ago in [
        "UPDATE standing_approval SET ended_at = ended_at - interval '40 days'",
        "UPDATE notice SET happened_at = happened_at - interval '40 days' WHERE kind = 'standing.revoked'",
        "DELETE FROM notification USING notice WHERE notice.id = notice_id AND kind = 'standing.revoked'",
    ] {
        assert_eq!(sql.execute(long_ago, &[]).await.unwrap(), 1, "{long_ago}");
    }
    assert_eq!(scene.notifier("").sweep().await.unwrap(), 1);
    assert_eq!(told(&scene, &mut receiver).await, [""; 0], "told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_glass_is_told_as_such_with_who_broke_it() {
    let scene = Telling::of(groups::scene("").await).await;
    let mut receiver = Receiver::plain().await;
    let hold = scene.asking.held("call", "US13").await;
    assert_eq!(told(&scene, &mut receiver).await, ["hold.opened: "]);
    for name in ["frank", "grace"] {
        let who = scene.asking.world.approver(name).await.unwrap();
        groups::break_glass(&who, &hold).await.unwrap();
    }
    assert_eq!(
        told(&scene, &mut receiver).await,
        ["hold.glass_broken: approved by breaking the glass"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_and_a_handing_on_are_told_once_with_who_said_it_and_a_reply_is_not() {
    let scene = Telling::set().await;
    let mut receiver = Receiver::plain().await;
    let hold = scene.asking.held("call", "US13").await;
    assert_eq!(told(&scene, &mut receiver).await, ["hold.opened: "]);
    let bob = scene.asking.world.approver("bob").await.unwrap();
    let question = RemarkRequest {
        hold_id: hold.hold_id.clone(),
        action_sha256: hold.action.unwrap().action_sha256,
        text: "which\u{202e} invoice?".to_owned(),
        idempotency_key: fresh_key(),
        ..RemarkRequest::default()
    };
    let carol = "spiffe://acme.example/approver/carol";
    let handed = RemarkRequest {
        to: carol.to_owned(),
        text: "on leave".to_owned(),
        idempotency_key: fresh_key(),
        ..question.clone()
    };
    let reply = RemarkRequest {
        replies: true,
        idempotency_key: fresh_key(),
        ..question.clone()
    };
    for request in [question, handed, reply] {
        bob.holds().remark(request).await.unwrap();
    }
    let news = told(&scene, &mut receiver).await;
    assert_eq!(
        news,
        [
            "hold.asked: which\u{fffd} invoice?".to_owned(),
            format!("hold.handed_on: to {carol}: on leave")
        ]
    );
    assert_eq!(told(&scene, &mut receiver).await, [""; 0]);
}

/// The same payment again, twice.
fn twice() -> Terms {
    Terms {
        for_ms: 3_600_000,
        times: 2,
        bounds: vec![Bound {
            argument: "amount".to_owned(),
            how: Some(How::AtMost("1".to_owned())),
        }],
        labels: Vec::new(),
    }
}

impl Telling {
    /// Two holds of one class.
    async fn held_twice(&self) -> Hold {
        self.asking.held("no", "B").await;
        self.asking.held("sibling", "B").await
    }
}
