//! People ask, reply and hand on: seen by everybody at once, and never an answer.

use checkrein_control_plane::hold::standing;
use checkrein_enforcer::Answer;
use checkrein_proto::hold::v1 as wire;
use checkrein_proto::hold::v1::State;
use checkrein_shared::decision::Verdict;
use checkrein_shared::identity::Role;
use checkrein_tests::{Person, World, fresh_key, payments};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::groups::{BOB, DAVE, held_for, may_answer, scene, use_up, vote};
use crate::flows::asking::Asking;
use crate::flows::hold::Scene;

const CAROL: &str = "spiffe://acme.example/approver/carol";

/// A question about a hold, as it was shown.
fn question(hold: &wire::Hold, text: &str) -> wire::RemarkRequest {
    wire::RemarkRequest {
        hold_id: hold.hold_id.clone(),
        action_sha256: hold.action.clone().unwrap().action_sha256,
        text: text.to_owned(),
        idempotency_key: fresh_key(),
        ..wire::RemarkRequest::default()
    }
}

fn reply(hold: &wire::Hold, text: &str) -> wire::RemarkRequest {
    wire::RemarkRequest {
        replies: true,
        ..question(hold, text)
    }
}

fn to(hold: &wire::Hold, whom: &str) -> wire::RemarkRequest {
    wire::RemarkRequest {
        to: whom.to_owned(),
        ..question(hold, "on leave")
    }
}

async fn say(person: &Person, request: wire::RemarkRequest) -> Result<wire::Hold, Status> {
    let said = person.holds().remark(request).await?;
    Ok(said.into_inner().hold.unwrap())
}

async fn says(scene: &Asking, name: &str, request: wire::RemarkRequest) -> Result<wire::Hold, Status> {
    say(&scene.world.approver(name).await.unwrap(), request).await
}

/// What the enforcer of a hold is told of where it stands, if it lost its place.
async fn told(scene: &Asking, hold: &wire::Hold) -> (u64, String) {
    let database = scene.world.database().unwrap();
    let ids = [hold.hold_id.parse().unwrap()];
    let mut events = standing(&database, "edge", &ids).await.unwrap();
    let event = events.remove(0);
    (event.version, event.reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_at_one_replica_is_seen_at_the_other_and_changes_nothing_else() {
    let mut world = World::start().await.unwrap();
    let second = world.add_replica().await.unwrap();
    let scene = Asking::set_in(world, &payments().unwrap()).await;
    let hold = scene.held("call", "US13").await;
    let before = scene.shown(&hold).await;
    says(&scene, "bob", question(&hold, "which invoice?"))
        .await
        .unwrap();
    says(&scene, "bob", to(&hold, CAROL)).await.unwrap();

    let carol = scene.world.person(Role::Approver, "carol", second).await.unwrap();
    let request = wire::ListRequest {
        states: vec![State::Open.into()],
        ..wire::ListRequest::default()
    };
    let seen = carol
        .holds()
        .list(request)
        .await
        .unwrap()
        .into_inner()
        .holds
        .remove(0);
    let said: Vec<(&str, &str, &str, bool)> = seen
        .remarks
        .iter()
        .map(|one| (&*one.author, &*one.text, &*one.to, one.replies))
        .collect();
    assert_eq!(
        said,
        [
            (BOB, "which invoice?", "", false),
            (BOB, "on leave", CAROL, false)
        ]
    );
    assert!(
        seen.remarks
            .iter()
            .all(|one| one.remarked_unix_ms >= hold.opened_unix_ms)
    );
    assert_eq!(seen.version, before.version + 2);
    let as_before = wire::Hold {
        version: before.version,
        remarks: Vec::new(),
        ..seen
    };
    assert_eq!(as_before, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_is_of_the_very_bytes_and_only_while_the_hold_is_open() {
    let scene = Asking::set().await;
    let (hold, other) = (
        scene.held("call", "US13").await,
        scene.held("other", "DE89").await,
    );
    let of_other = wire::RemarkRequest {
        hold_id: hold.hold_id.clone(),
        ..question(&other, "why?")
    };
    let refused = says(&scene, "bob", of_other).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("is not what is held"), "{refused:?}");
    for text in ["", " \n", &"x".repeat(1_025), "a\u{7}bell"] {
        let refused = says(&scene, "bob", question(&hold, text)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{text:?}");
    }

    scene.approve(&other).await.unwrap();
    let refused = says(&scene, "bob", question(&other, "why?")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("is approved"), "{refused:?}");

    let late = "UPDATE hold SET opened_at = clock_timestamp() - interval '2 hours',
        decide_by = clock_timestamp() - interval '1 hour' WHERE call_id = 'call' AND state = 'open'";
    scene.sql().await.execute(late, &[]).await.unwrap();
    let refused = says(&scene, "bob", question(&hold, "why?")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    let expired = scene.shown(&hold).await;
    assert_eq!((expired.state(), expired.remarks.len()), (State::Expired, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_answer_or_an_operator_says_something_and_it_is_handed_only_to_who_may() {
    let scene = scene("").await;
    let hold = scene.held("call", "US13").await;
    // Alice is whom it is for, olga started its task; mallory is in no group, frank only in that of the glass.
    for name in ["alice", "olga", "mallory", "frank"] {
        let refused = says(&scene, name, question(&hold, "why?")).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{name}: {refused:?}");
    }
    for name in ["bob", "alice", "mallory", "frank"] {
        let whom = format!("spiffe://acme.example/approver/{name}");
        let refused = says(&scene, "bob", to(&hold, &whom)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{name}: {refused:?}");
        let names_carol = refused.message().contains(&format!("`{CAROL}`"));
        assert_eq!(names_carol, name != "bob", "{name}: {refused:?}");
    }
    assert_eq!(
        says(&scene, "bob", to(&hold, "carol")).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    // Who started the task answers nothing, and knows best what was meant.
    say(&scene.operator, question(&hold, "does anybody know?"))
        .await
        .unwrap();
    say(&scene.operator, to(&hold, CAROL)).await.unwrap();
    assert_eq!(scene.shown(&hold).await.remarks.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_away_says_nothing_and_is_handed_nothing_and_their_deputy_is() {
    let deputy =
        r#"deputies = { "spiffe://acme.example/approver/bob" = "spiffe://acme.example/approver/dave" }"#;
    let scene = scene(deputy).await;
    let hold = scene.held("call", "US13").await;
    let refused = says(&scene, "carol", to(&hold, DAVE)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "bob is there: {refused:?}");
    let bob = scene.world.approver("bob").await.unwrap();
    let away = wire::GoAwayRequest {
        idempotency_key: fresh_key(),
        ..wire::GoAwayRequest::default()
    };
    bob.holds().go_away(away).await.unwrap();
    let refused = say(&bob, question(&hold, "why?")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("is away"), "{refused:?}");
    let refused = says(&scene, "carol", to(&hold, BOB)).await.unwrap_err();
    assert!(refused.message().contains(DAVE), "{refused:?}");
    says(&scene, "carol", to(&hold, DAVE)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_again_is_one_remark_and_its_key_is_good_for_no_other() {
    let scene = Asking::set().await;
    let (hold, other) = (
        scene.held("call", "US13").await,
        scene.held("other", "DE89").await,
    );
    let request = question(&hold, "which invoice?");
    let (one, two) = tokio::join!(
        says(&scene, "bob", request.clone()),
        says(&scene, "bob", request.clone())
    );
    assert_eq!(one.unwrap().version, two.unwrap().version);
    let others = [
        wire::RemarkRequest {
            text: "which one?".to_owned(),
            ..request.clone()
        },
        wire::RemarkRequest {
            to: CAROL.to_owned(),
            ..request.clone()
        },
        wire::RemarkRequest {
            idempotency_key: request.idempotency_key.clone(),
            ..question(&other, "which invoice?")
        },
    ];
    for another in others {
        let refused = says(&scene, "bob", another).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    }
    // Of somebody else it is another key; and it is the same request still once nobody can say anything any more.
    says(&scene, "carol", request.clone()).await.unwrap();
    scene.approve(&hold).await.unwrap();
    let again = says(&scene, "bob", request).await.unwrap();
    assert_eq!((again.state(), again.remarks.len()), (State::Approved, 2));
    assert_eq!(scene.shown(&other).await.remarks.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_thirty_third_remark_is_refused_however_many_come_at_once_and_the_hold_can_be_answered() {
    let scene = Asking::set().await;
    let hold = scene.held("call", "US13").await;
    let bob = scene.world.approver("bob").await.unwrap();
    let mut all = JoinSet::new();
    for n in 0..40 {
        let (mut holds, request) = (bob.holds(), question(&hold, &format!("question {n}")));
        all.spawn(async move { holds.remark(request).await });
    }
    let said = all.join_all().await;
    let refused: Vec<Status> = said.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 8);
    for refused in refused {
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
        assert!(refused.message().contains("no more are kept"), "{refused:?}");
    }
    assert_eq!(scene.shown(&hold).await.remarks.len(), 32);
    assert_eq!(scene.approve(&hold).await.unwrap().state(), State::Approved);
    use_up(&scene, &hold).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_said_counts_towards_no_quorum_and_takes_no_vote_from_anybody() {
    let scene = scene("").await;
    let hold = held_for(&scene, "call", 2).await;
    let who = may_answer(&scene, &hold).await;
    says(&scene, "carol", question(&hold, "yes")).await.unwrap();
    says(&scene, "bob", to(&hold, CAROL)).await.unwrap();
    say(&scene.operator, reply(&hold, "approve it")).await.unwrap();
    assert_eq!(may_answer(&scene, &hold).await, who);
    // Bob handed it on, and may answer it all the same; carol said something, and has not answered.
    assert_eq!(
        vote(&scene, "bob", &hold, true).await.unwrap().state(),
        State::Open
    );
    says(&scene, "bob", question(&hold, "carol?")).await.unwrap();
    assert_eq!(scene.state(&hold).await, State::Open);
    assert!(use_up(&scene, &hold).await.is_err());
    let approved = vote(&scene, "carol", &hold, true).await.unwrap();
    assert_eq!((approved.state(), approved.votes.len()), (State::Approved, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_open_until_somebody_replies_and_an_enforcer_that_lost_its_place_hears_of_it() {
    let scene = Asking::set().await;
    let hold = scene.held("call", "US13").await;
    let refused = says(&scene, "bob", reply(&hold, "4711")).await.unwrap_err();
    assert!(refused.message().contains("nobody asks"), "{refused:?}");
    let at_once = wire::RemarkRequest {
        replies: true,
        ..to(&hold, CAROL)
    };
    let refused = says(&scene, "bob", at_once).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(told(&scene, &hold).await, (1, String::new()));

    says(&scene, "bob", question(&hold, "which invoice?"))
        .await
        .unwrap();
    says(&scene, "bob", to(&hold, CAROL)).await.unwrap();
    let (version, reason) = told(&scene, &hold).await;
    assert_eq!(version, 3);
    assert_eq!(reason, format!("`{BOB}` asks: \u{201c}which invoice?\u{201d}"));
    say(&scene.operator, reply(&hold, "4711")).await.unwrap();
    assert_eq!(told(&scene, &hold).await, (4, String::new()));
    says(&scene, "carol", question(&hold, "of March?")).await.unwrap();
    scene.deny(&hold).await.unwrap();
    assert_eq!(told(&scene, &hold).await, (6, "not today".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_asks_again_is_told_what_a_person_asks_until_somebody_replies() {
    let scene = Scene::set().await;
    let first = scene.pay("call").await;
    let hold = scene.waiting().await;
    let bob = scene.world.approver("bob").await.unwrap();
    say(&bob, question(&hold, "which invoice?")).await.unwrap();
    let answer = scene.pay("call").await;
    assert_eq!(answer.verdict(), Verdict::Hold);
    let reason = &answer.decided().reason;
    assert!(reason.starts_with(&first.decided().reason), "{reason}");
    assert!(
        reason.contains(&format!("{BOB}` asks: \u{201c}which invoice?\u{201d}")),
        "{reason}"
    );
    say(&scene.operator, reply(&hold, "4711")).await.unwrap();
    let answer = scene.pay("call").await;
    assert_eq!(answer.decided().reason, first.decided().reason);
    bob.vote(&hold, true).await.unwrap();
    let Answer::Permit(permit) = scene.collect("call").await else {
        panic!("not released")
    };
    drop(permit);
}
