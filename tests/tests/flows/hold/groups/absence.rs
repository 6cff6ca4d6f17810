//! Absence: the deputy answers in the place of whoever is away, while they are away, and only then.

use checkrein_tests::Person;

use super::*;
use crate::flows::asking::until_waiting;

const DEPUTY: &str =
    r#"deputies = { "spiffe://acme.example/approver/bob" = "spiffe://acme.example/approver/dave" }"#;

pub(super) async fn go_away(
    who: &Person,
    approver: &str,
    until_unix_ms: u64,
) -> Result<wire::Absence, Status> {
    let request = wire::GoAwayRequest {
        approver: approver.to_owned(),
        until_unix_ms,
        idempotency_key: fresh_key(),
    };
    Ok(who.holds().go_away(request).await?.into_inner().absence.unwrap())
}

pub(super) async fn come_back(who: &Person, approver: &str) -> Result<bool, Status> {
    let request = wire::ComeBackRequest {
        approver: approver.to_owned(),
        idempotency_key: fresh_key(),
    };
    Ok(who.holds().come_back(request).await?.into_inner().was_away)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deputy_answers_while_the_member_is_away_and_the_record_says_for_whom() {
    let scene = scene(DEPUTY).await;
    let hold = scene.held("call", "US13").await;
    let refused = vote(&scene, "dave", &hold, true).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
    let bob = scene.world.approver("bob").await.unwrap();
    go_away(&bob, "", 0).await.unwrap();
    let mut expected = in_group("treasury", &["carol"]);
    expected.push(("dave".to_owned(), "bob".to_owned(), "treasury".to_owned()));
    assert_eq!(may_answer(&scene, &hold).await, expected);
    let away = bob.vote(&hold, true).await.unwrap_err();
    assert_eq!(away.code(), Code::FailedPrecondition);
    assert!(away.message().contains("checkrein approver back"), "{away:?}");

    let approved = vote(&scene, "dave", &hold, true).await.unwrap();
    assert_eq!(approved.state(), wire::State::Approved);
    let capacity = approved.votes[0].capacity.clone().unwrap();
    assert_eq!(
        (&*capacity.approver, &*capacity.seat, &*capacity.group),
        (DAVE, BOB, "treasury")
    );
    assert_eq!(use_up(&scene, &hold).await.unwrap().approvers, [DAVE]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_member_is_back_before_the_release_counts_no_more() {
    let scene = scene(DEPUTY).await;
    let bob = scene.world.approver("bob").await.unwrap();
    let hold = scene.held("call", "US13").await;
    go_away(&bob, "", 0).await.unwrap();
    vote(&scene, "dave", &hold, true).await.unwrap();
    assert!(come_back(&bob, "").await.unwrap());
    assert!(!come_back(&bob, "").await.unwrap(), "they are back");
    assert_eq!(use_up(&scene, &hold).await.unwrap_err().cause, "hold_cancelled");
}

/// Both are made to wait after they have looked who is away: what they saw then must be so until they are done.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_back_while_a_vote_or_a_release_that_counts_on_it_is_under_way() {
    let scene = scene(DEPUTY).await;
    let bob = scene.world.approver("bob").await.unwrap();
    let hold = scene.held("call", "US13").await;
    let (mut sql, watching) = (scene.sql().await, scene.sql().await);
    for releases in [false, true] {
        go_away(&bob, "", 0).await.unwrap();
        let feed = sql.transaction().await.unwrap();
        let lock = "SELECT value FROM revision WHERE feed = 'hold' FOR UPDATE";
        feed.execute(lock, &[]).await.unwrap();
        let counted = async {
            if releases {
                use_up(&scene, &hold).await.unwrap();
            } else {
                vote(&scene, "dave", &hold, true).await.unwrap();
            }
        };
        let back = async {
            until_waiting(&watching, "revision.raise").await;
            let coming = tokio::spawn({
                let bob = bob.clone();
                async move { come_back(&bob, "").await.unwrap() }
            });
            until_waiting(&watching, "absence.lock").await;
            feed.rollback().await.unwrap();
            assert!(coming.await.unwrap());
        };
        tokio::join!(counted, back);
        let (moment, of) = if releases {
            ("consumed_at", "hold")
        } else {
            ("voted_at", "hold_vote")
        };
        let later = format!("SELECT max(ended_at) > (SELECT max({moment}) FROM {of}) FROM approver_absence");
        assert!(
            watching.query_one(&later, &[]).await.unwrap().get::<_, bool>(0),
            "{of}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absence_ends_at_its_time_by_itself() {
    let scene = scene(DEPUTY).await;
    let bob = scene.world.approver("bob").await.unwrap();
    let hold = scene.held("call", "US13").await;
    let soon = hold.decide_by_unix_ms;
    assert_eq!(go_away(&bob, "", soon).await.unwrap().until_unix_ms, soon);
    let over = "UPDATE approver_absence SET since = since - interval '2 hours', lasts_until = clock_timestamp() - interval '1 hour'";
    assert_eq!(scene.sql().await.execute(over, &[]).await.unwrap(), 1);
    assert_eq!(
        may_answer(&scene, &hold).await,
        in_group("treasury", &["bob", "carol"])
    );
    assert_eq!(
        vote(&scene, "dave", &hold, true).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    // And the next one begins where nothing is left of it.
    go_away(&bob, "", 0).await.unwrap();
    vote(&scene, "dave", &hold, true).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deputy_and_the_one_they_stand_for_are_not_two() {
    let scene = scene(DEPUTY).await;
    let hold = held_for(&scene, "call", 2).await;
    let bob = scene.world.approver("bob").await.unwrap();
    bob.vote(&hold, true).await.unwrap();
    go_away(&bob, "", 0).await.unwrap();
    assert_eq!(
        vote(&scene, "dave", &hold, true).await.unwrap().state(),
        wire::State::Open
    );
    assert_eq!(
        vote(&scene, "carol", &hold, true).await.unwrap().state(),
        wire::State::Approved
    );
    use_up(&scene, &hold).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_says_it_of_themselves_and_an_operator_of_anybody() {
    let scene = scene(DEPUTY).await;
    let carol = scene.world.approver("carol").await.unwrap();
    let refused = go_away(&carol, BOB, 0).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
    assert_eq!(
        go_away(&carol, "", 1).await.unwrap_err().code(),
        Code::InvalidArgument,
        "over already"
    );
    assert_eq!(
        go_away(&scene.operator, "", 0).await.unwrap_err().code(),
        Code::InvalidArgument,
        "whom?"
    );
    let agent = go_away(&scene.operator, AGENT, 0).await.unwrap_err();
    assert_eq!(agent.code(), Code::InvalidArgument, "{agent:?}");
    let declared = go_away(&scene.operator, BOB, 0).await.unwrap();
    assert_eq!(declared.declared_by, "spiffe://acme.example/operator/olga");
    let listed = scene
        .operator
        .holds()
        .list_absences(wire::ListAbsencesRequest {})
        .await
        .unwrap();
    assert_eq!(listed.into_inner().absences, [declared]);
    assert!(come_back(&scene.operator, BOB).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deputy_lets_happen_again_ends_when_the_member_is_back() {
    let scene = scene(DEPUTY).await;
    let bob = scene.world.approver("bob").await.unwrap();
    go_away(&bob, "", 0).await.unwrap();
    let first = scene.held("first", "US13").await;
    let terms = wire::Terms {
        for_ms: 3_600_000,
        times: 5,
        ..wire::Terms::default()
    };
    let dave = scene.world.approver("dave").await.unwrap();
    let given = dave.vote_with(&first, true, Some(terms)).await.unwrap();
    assert!(given.standing.is_some(), "{given:?}");
    let (second, third) = (
        scene.held("second", "US13").await,
        scene.held("third", "US13").await,
    );
    assert_eq!(second.state(), wire::State::Approved);
    use_up(&scene, &second).await.unwrap();
    come_back(&bob, "").await.unwrap();
    assert_eq!(use_up(&scene, &third).await.unwrap_err().cause, "hold_cancelled");
    assert_eq!(scene.held("fourth", "US13").await.state(), wire::State::Open);
}
