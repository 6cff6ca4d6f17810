//! Broken glass: two people, in the open, over people who did not answer and over nothing else; reviewed by somebody else.

use checkrein_tests::Person;

use super::absence::go_away;
use super::*;

pub(crate) async fn break_glass(who: &Person, hold: &wire::Hold) -> Result<wire::Hold, Status> {
    let request = wire::BreakGlassRequest {
        hold_id: hold.hold_id.clone(),
        action_sha256: hold.action.clone().unwrap().action_sha256,
        reason: "payroll is due".to_owned(),
        idempotency_key: fresh_key(),
    };
    Ok(who.holds().break_glass(request).await?.into_inner().hold.unwrap())
}

async fn review(who: &Person, hold: &wire::Hold, reason: &str) -> Result<wire::Hold, Status> {
    let request = wire::ReviewRequest {
        hold_id: hold.hold_id.clone(),
        finding: wire::Finding::Justified.into(),
        reason: reason.to_owned(),
        idempotency_key: fresh_key(),
    };
    Ok(who.holds().review(request).await?.into_inner().hold.unwrap())
}

async fn listed(scene: &Asking, unreviewed: bool) -> Vec<String> {
    let request = wire::ListRequest {
        broken: true,
        unreviewed,
        ..wire::ListRequest::default()
    };
    let holds = scene
        .operator
        .holds()
        .list(request)
        .await
        .unwrap()
        .into_inner()
        .holds;
    holds.into_iter().map(|hold| hold.hold_id).collect()
}

/// Broken by both.
async fn broken(scene: &Asking, call: &str) -> wire::Hold {
    let hold = scene.held(call, "US13").await;
    for name in ["frank", "grace"] {
        break_glass(&scene.world.approver(name).await.unwrap(), &hold)
            .await
            .unwrap();
    }
    assert_eq!(scene.state(&hold).await, wire::State::Approved);
    hold
}

#[tokio::test(flavor = "multi_thread")]
async fn two_break_the_glass_it_is_kept_and_somebody_else_reviews_it() {
    let scene = scene("").await;
    let hold = scene.held("call", "US13").await;
    let (frank, grace) = (
        scene.world.approver("frank").await.unwrap(),
        scene.world.approver("grace").await.unwrap(),
    );
    // One is not two, however often.
    for _ in 0..2 {
        let open = break_glass(&frank, &hold).await.unwrap();
        assert_eq!(
            (open.state(), open.glass.unwrap().broken_unix_ms),
            (wire::State::Open, 0)
        );
    }
    let approved = break_glass(&grace, &hold).await.unwrap();
    assert_eq!(approved.state(), wire::State::Approved);
    let glass = approved.glass.unwrap();
    assert!(glass.broken_unix_ms > 0 && glass.breaks.iter().all(|one| one.reason == "payroll is due"));
    let carol = scene.world.approver("carol").await.unwrap();
    let early = review(&carol, &hold, "looked").await.unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition, "{early:?}");

    let consumed = use_up(&scene, &hold).await.unwrap();
    assert_eq!((consumed.approvers.len(), consumed.broken_by.len()), (0, 2));
    let events = "SELECT reason FROM hold_event WHERE state = 'approved'";
    let said: String = scene.sql().await.query_one(events, &[]).await.unwrap().get(0);
    assert_eq!(said, "approved by breaking the glass");
    assert_eq!(listed(&scene, true).await, std::slice::from_ref(&hold.hold_id));

    for (who, why) in [(&frank, "broke it"), (&scene.operator, "started the task")] {
        let refused = review(who, &hold, "fine").await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{why}");
    }
    assert_eq!(
        review(&carol, &hold, " ").await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let reviewed = review(&carol, &hold, "it was due").await.unwrap();
    assert_eq!(
        reviewed.glass.unwrap().review.unwrap().finding(),
        wire::Finding::Justified
    );
    review(&carol, &hold, "it was due").await.unwrap();
    let again = review(&carol, &hold, "on second thoughts").await.unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition, "{again:?}");
    assert_eq!(
        (
            listed(&scene, true).await.len(),
            listed(&scene, false).await.len()
        ),
        (0, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_glass_is_no_way_around_a_no_a_deadline_the_end_of_a_task_or_who_asked() {
    let scene = scene("").await;
    let frank = scene.world.approver("frank").await.unwrap();
    let grace = scene.world.approver("grace").await.unwrap();

    let hold = scene.held("bob", "GB1").await;
    let outside = break_glass(&scene.world.approver("bob").await.unwrap(), &hold)
        .await
        .unwrap_err();
    assert_eq!(outside.code(), Code::PermissionDenied, "{outside:?}");
    let mut other = hold.clone();
    other.action.as_mut().unwrap().action_sha256 = checkrein_shared::action::Sha256::of(b"other").to_bytes();
    assert!(
        break_glass(&frank, &other)
            .await
            .unwrap_err()
            .message()
            .contains("show hold")
    );

    break_glass(&frank, &hold).await.unwrap();
    vote(&scene, "carol", &hold, false).await.unwrap();
    assert_eq!(
        break_glass(&grace, &hold).await.unwrap_err().code(),
        Code::FailedPrecondition
    );

    let late = scene.held("late", "GB2").await;
    break_glass(&frank, &late).await.unwrap();
    let set_back =
        "UPDATE hold SET decide_by = clock_timestamp() - interval '1 second' WHERE call_id = 'late'";
    scene.sql().await.execute(set_back, &[]).await.unwrap();
    assert_eq!(
        break_glass(&grace, &late).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    assert_eq!(scene.state(&late).await, wire::State::Expired);

    let ended = scene.held("ended", "GB3").await;
    break_glass(&frank, &ended).await.unwrap();
    // The task is over by its own time, and nobody has swept yet.
    let over = "UPDATE task SET expires_at = clock_timestamp() - interval '1 second'";
    scene.sql().await.execute(over, &[]).await.unwrap();
    let refused = break_glass(&grace, &ended).await.unwrap_err();
    assert!(refused.message().contains("is over"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asker_breaks_no_glass_nor_does_anybody_where_no_group_is_named() {
    let mut pack = payments().unwrap();
    let asker = settings("").replace(
        "approver/frank\"",
        "approver/frank\", \"spiffe://acme.example/approver/olga\"",
    );
    pack.files.insert("checkrein.toml".to_owned(), asker.into_bytes());
    let scene = Asking::set_with(&pack).await;
    let hold = scene.held("call", "US13").await;
    let olga = scene.world.approver("olga").await.unwrap();
    let refused = break_glass(&olga, &hold).await.unwrap_err();
    assert!(refused.message().contains("asked for this action"), "{refused:?}");

    scene.world.push(&payments().unwrap()).await.unwrap();
    let bob = scene.world.approver("bob").await.unwrap();
    let refused = break_glass(&bob, &hold).await.unwrap_err();
    assert!(
        refused.message().contains("nobody may break the glass"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_broke_it_and_was_removed_or_is_away_breaks_nothing() {
    let scene = scene("").await;
    let hold = broken(&scene, "one").await;
    scene
        .operator
        .remove("spiffe://acme.example/approver/grace")
        .await
        .unwrap();
    assert_eq!(use_up(&scene, &hold).await.unwrap_err().cause, "hold_cancelled");
    let next = scene.held("two", "US14").await;
    let frank = scene.world.approver("frank").await.unwrap();
    go_away(&frank, "", 0).await.unwrap();
    assert_eq!(
        break_glass(&frank, &next).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_takes_broken_glass_back_and_nothing_happens_again_by_it() {
    let scene = scene("").await;
    let hold = broken(&scene, "one").await;
    // The same again is asked again.
    let next = scene.held("two", "US13").await;
    assert_eq!(next.state(), wire::State::Open);
    vote(&scene, "bob", &hold, false).await.unwrap();
    assert_eq!(use_up(&scene, &hold).await.unwrap_err().cause, "denied_by_person");
    assert_eq!(scene.state(&next).await, wire::State::Cancelled);
}
