//! Several holds answered in one request: each in its own right.

use std::collections::BTreeSet;

use checkrein_proto::hold::v1 as wire;
use checkrein_proto::hold::v1::State;
use checkrein_tests::{Person, fresh_key};
use tonic::{Code, Status};

use crate::flows::asking::{AGENT, Asking, open};

fn yes(hold: &wire::Hold) -> wire::Answer {
    wire::Answer {
        hold_id: hold.hold_id.clone(),
        approve: true,
        action_sha256: hold.action.clone().unwrap().action_sha256,
        reason: String::new(),
    }
}

async fn answer(person: &Person, answers: Vec<wire::Answer>) -> Result<Vec<wire::AnswerResult>, Status> {
    let request = wire::VoteAllRequest {
        answers,
        idempotency_key: fresh_key(),
    };
    Ok(person.holds().vote_all(request).await?.into_inner().results)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_is_counted_for_itself_and_what_fails_is_said() {
    let scene = Asking::set().await;
    let bob = scene.world.approver("bob").await.unwrap();
    let (good, other, late) = (
        scene.held("good", "A").await,
        scene.held("other", "B").await,
        scene.held("late", "C").await,
    );
    let (denied, done) = (scene.held("denied", "D").await, scene.held("done", "E").await);
    scene.approve(&done).await.unwrap();
    let set_back =
        "UPDATE hold SET decide_by = clock_timestamp() - interval '1 second' WHERE call_id = 'late'";
    assert_eq!(scene.sql().await.execute(set_back, &[]).await.unwrap(), 1);
    let answers = vec![
        wire::Answer {
            action_sha256: good.action.clone().unwrap().action_sha256,
            ..yes(&other)
        },
        yes(&late),
        wire::Answer {
            approve: false,
            reason: "no".to_owned(),
            ..yes(&denied)
        },
        wire::Answer {
            hold_id: good.hold_id.replace("hold_", "hold_ffffffff")[..37].to_owned(),
            ..yes(&good)
        },
        yes(&done),
        yes(&good),
    ];
    let order: Vec<_> = answers.iter().map(|answer| answer.hold_id.clone()).collect();
    let results = answer(&bob, answers).await.unwrap();
    assert_eq!(
        results
            .iter()
            .map(|result| result.hold_id.clone())
            .collect::<Vec<_>>(),
        order
    );
    let said: Vec<_> = results
        .iter()
        .map(|result| (result.state(), &*result.cause))
        .collect();
    assert_eq!(
        said,
        [
            (State::Unspecified, "other_bytes"),
            (State::Unspecified, "too_late"),
            (State::Denied, ""),
            (State::Unspecified, "not_found"),
            (State::Approved, ""),
            (State::Approved, ""),
        ]
    );
    assert_eq!(scene.state(&other).await, State::Open);
    assert_eq!(scene.state(&late).await, State::Expired);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_answers_together_what_they_could_not_answer_alone() {
    let scene = Asking::set().await;
    let (one, two) = (scene.held("one", "A").await, scene.held("two", "B").await);
    for (name, cause) in [("olga", "asker"), ("alice", "asker"), ("mallory", "not_in_group")] {
        let person = scene.world.approver(name).await.unwrap();
        let results = answer(&person, vec![yes(&one), yes(&two)]).await.unwrap();
        assert!(
            results.iter().all(|result| result.cause == cause),
            "{name}: {results:?}"
        );
    }
    assert_eq!(scene.state(&one).await, State::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_read_counts_nothing_of_the_rest() {
    let scene = Asking::set().await;
    let bob = scene.world.approver("bob").await.unwrap();
    let hold = scene.held("one", "A").await;
    let unreadable = wire::Answer {
        action_sha256: b"short".as_slice().into(),
        ..yes(&hold)
    };
    for answers in [
        vec![],
        vec![yes(&hold), yes(&hold)],
        vec![yes(&hold), unreadable],
        vec![yes(&hold); 101],
    ] {
        let refused = answer(&bob, answers).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    }
    assert_eq!(scene.state(&hold).await, State::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn identical_ones_that_wait_are_found_in_whatever_task_and_others_are_not() {
    let scene = Asking::set().await;
    let first = scene.held("one", "A").await;
    let second = scene.held("two", "A").await;
    scene.held("other", "B").await;
    let approved = scene.held("approved", "A").await;
    scene.approve(&approved).await.unwrap();
    let elsewhere = scene
        .operator
        .start("alice", AGENT, &["bank/*"], &[])
        .await
        .unwrap();
    let third = scene.opened(open(&elsewhere, "one", "A")).await;
    let request = wire::ListRequest {
        like_hold_id: first.hold_id.clone(),
        ..wire::ListRequest::default()
    };
    let listed = scene
        .operator
        .holds()
        .list(request)
        .await
        .unwrap()
        .into_inner()
        .holds;
    let listed: BTreeSet<_> = listed.into_iter().map(|hold| hold.hold_id).collect();
    assert_eq!(listed, [first, second, third].map(|hold| hold.hold_id).into());
}
