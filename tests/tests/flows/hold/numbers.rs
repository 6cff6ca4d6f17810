//! Holds in numbers, as people brought them about.

mod history;

use checkrein_proto::hold::v1::bound::How;
use checkrein_proto::hold::v1::{Bound, Numbers, NumbersRequest, NumbersResponse, State, Terms};
use checkrein_shared::decision::{OutcomeResult, Verdict};
use tonic::Code;

use super::*;

async fn numbers(scene: &Scene, days: u32) -> NumbersResponse {
    let request = NumbersRequest { days };
    scene
        .operator
        .holds()
        .numbers(request)
        .await
        .unwrap()
        .into_inner()
}

/// Counted while the record comes home.
async fn once_home(scene: &Scene) -> NumbersResponse {
    scene
        .enforcer
        .wait_until(|status| status.journal_pending() == 0, WAIT_MAX)
        .await
        .unwrap();
    numbers(scene, 2).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_answered_what_nobody_did_and_what_waits_are_told_apart() {
    let scene = Scene::set().await;
    let approver = scene.world.approver("bob").await.unwrap();
    // Answered yes, and done.
    let _held = scene.pay("yes").await;
    let hold = scene.waiting().await;
    approver.vote(&hold, true).await.unwrap();
    let Answer::Permit(permit) = scene.collect("yes").await else {
        panic!("not released")
    };
    permit.complete(OutcomeResult::Done, "").await.unwrap();
    // Nobody answers.
    let _held = scene.pay("nobody").await;
    let hold = scene.waiting().await;
    scene.make_late(&hold.hold_id, "decide_by").await;
    scene.until(&hold.hold_id, State::Expired).await;
    // Answered no, and what waits beside it need not be answered any more.
    let _held = scene.pay("no").await;
    let hold = scene.waiting().await;
    let _held = scene.pay("no either").await;
    approver.vote(&hold, false).await.unwrap();
    // Waits.
    assert_eq!(
        scene
            .ask("open", CLOSE, br#"{"account":"x"}"#, Duration::ZERO)
            .await
            .verdict(),
        Verdict::Hold
    );
    // And calls that nobody had to look at.
    for _ in 0..3 {
        let looked = scene.ask("look", "bank/get_balance", b"{}", Duration::ZERO).await;
        assert_eq!(looked.verdict(), Verdict::Permit);
    }
    let report = once_home(&scene).await;
    let total = report.total.unwrap();
    let expected = Numbers {
        asked: 5,
        approved: 1,
        denied: 1,
        expired: 1,
        cancelled: 1,
        waiting: 1,
        standing: 0,
        calls: 8,
        ..total
    };
    assert_eq!(total, expected);
    let (half, most) = (total.answer_p50_ms.unwrap(), total.answer_p90_ms.unwrap());
    assert!(half <= most, "{total:?}");
    assert_eq!(report.days.len(), 2, "{report:?}");
    // The day may end while this runs.
    let of_days: u64 = report.days.iter().map(|day| day.numbers.unwrap().asked).sum();
    assert_eq!(of_days, 5);
    assert_eq!(report.agents[0].name, AGENT);
    assert_eq!(report.agents[0].numbers.unwrap(), total);
    assert_eq!(report.groups[0].name, "treasury");
    let of_group = Numbers { calls: 0, ..total };
    assert_eq!(report.groups[0].numbers.unwrap(), of_group);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_standing_approval_answered_asked_nobody() {
    let scene = Scene::set().await;
    let approver = scene.world.approver("bob").await.unwrap();
    let _held = scene.pay("first").await;
    let hold = scene.waiting().await;
    let terms = Terms {
        for_ms: 60_000,
        times: 3,
        bounds: vec![Bound {
            argument: "amount".to_owned(),
            how: Some(How::AtMost("10".to_owned())),
        }],
        ..Terms::default()
    };
    approver.vote_with(&hold, true, Some(terms)).await.unwrap();
    let _held = scene.collect("first").await;
    let _held = scene.collect("second").await;
    let total = once_home(&scene).await.total.unwrap();
    assert_eq!(
        (total.asked, total.approved, total.standing, total.calls),
        (1, 1, 1, 2),
        "{total:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_time_has_no_rates_and_a_long_one_is_refused() {
    let scene = Scene::set().await;
    let report = numbers(&scene, 0).await;
    assert_eq!(report.days.len(), 7);
    assert_eq!(report.total.unwrap(), Numbers::default());
    let refused = scene.operator.holds().numbers(NumbersRequest { days: 93 }).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
}
