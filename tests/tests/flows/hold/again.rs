//! Standing approvals: what people let happen again happens, within what they saw, and nothing else does.

mod ends;
mod races;

use checkrein_proto::hold::v1 as wire;
use checkrein_proto::hold::v1::State;
use checkrein_proto::hold::v1::bound::How;
use checkrein_proto::hold::v1::consume_response::Result as Consumed;
use checkrein_shared::action::{ActionIdentity, MaskedArguments, Sha256};
use tonic::Code;

use crate::flows::asking::{Asking, open};

/// Money from 0 to this, any memo, two hours, so often.
pub(super) fn terms(times: u32, most: &str) -> wire::Terms {
    let bound = |argument: &str, how| wire::Bound {
        argument: argument.to_owned(),
        how: Some(how),
    };
    wire::Terms {
        for_ms: 2 * 60 * 60 * 1_000,
        times,
        bounds: vec![
            bound("amount", How::AtMost(most.to_owned())),
            bound("memo", How::Any(true)),
        ],
        labels: Vec::new(),
    }
}

/// A payment to the account that the user did not name.
pub(super) fn pay(scene: &Asking, call: &str, amount: &str, memo: &str) -> wire::OpenRequest {
    with_arguments(
        open(&scene.started, call, "US13"),
        &format!(r#"{{"amount":{amount},"memo":"{memo}","recipient":"US13"}}"#),
    )
}

fn with_arguments(mut request: wire::OpenRequest, arguments: &str) -> wire::OpenRequest {
    change(&mut request, |action| {
        action.arguments = MaskedArguments(arguments.to_owned());
    });
    request
}

fn change(request: &mut wire::OpenRequest, change: impl FnOnce(&mut ActionIdentity)) {
    let mut action = ActionIdentity::try_from(request.action.clone().unwrap()).unwrap();
    change(&mut action);
    request.action = Some((&action).into());
}

/// A payment of 500 is approved by bob with these terms.
pub(super) async fn given(scene: &Asking, terms: wire::Terms) -> wire::Standing {
    let hold = scene.opened(pay(scene, "first", "500", "March")).await;
    let bob = scene.world.approver("bob").await.unwrap();
    let voted = bob.vote_with(&hold, true, Some(terms)).await.unwrap();
    assert_eq!(voted.hold.unwrap().state(), State::Approved);
    voted.standing.unwrap()
}

pub(super) async fn shown(scene: &Asking, standing: &wire::Standing) -> wire::Standing {
    let request = wire::ShowStandingRequest {
        standing_id: standing.standing_id.clone(),
    };
    let shown = scene.operator.holds().show_standing(request).await.unwrap();
    shown.into_inner().standing.unwrap()
}

/// Without an answer, people are asked.
pub(super) async fn asks_people(scene: &Asking, request: wire::OpenRequest) {
    let what = format!("{:?}", request.action);
    let hold = scene.opened(request).await;
    assert_eq!((hold.state(), &*hold.standing_id), (State::Open, ""), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_like_the_approved_one_is_approved_as_it_is_opened_and_released_once() {
    let scene = Asking::set().await;
    let standing = given(&scene, terms(2, "400")).await;
    let hold = scene.opened(pay(&scene, "second", "399.5", "April")).await;
    assert_eq!(hold.state(), State::Approved);
    assert_eq!(hold.standing_id, standing.standing_id);
    let votes: Vec<_> = hold
        .votes
        .iter()
        .map(|vote| (&*vote.approver, &*vote.standing_id))
        .collect();
    assert_eq!(
        votes,
        [("spiffe://acme.example/approver/bob", &*standing.standing_id)]
    );
    // Its own bytes, its own hash.
    let action = ActionIdentity::try_from(hold.action.clone().unwrap()).unwrap();
    assert!(action.arguments.0.contains("399.5"), "{action:?}");
    assert_eq!(
        hold.action.clone().unwrap().action_sha256,
        action.sha256().to_bytes()
    );

    let consumed = scene.consume(scene.consume_request(&hold)).await.unwrap();
    assert!(
        matches!(&consumed, Consumed::Consumed(used) if used.approvers.len() == 1),
        "{consumed:?}"
    );
    let again = scene.consume(scene.consume_request(&hold)).await.unwrap();
    assert!(
        matches!(&again, Consumed::Refused(refusal) if refusal.cause == "already_released"),
        "{again:?}"
    );
    // The same call finds its hold, and charges nothing.
    let same = scene.opened(pay(&scene, "second", "399.5", "April")).await;
    assert_eq!(same.hold_id, hold.hold_id);
    let now = shown(&scene, &standing).await;
    assert_eq!(
        (now.used, now.times, now.state()),
        (1, 2, wire::StandingState::Live)
    );
    let uses: Vec<_> = now
        .uses
        .iter()
        .map(|one| (one.hold_id.clone(), one.state()))
        .collect();
    assert_eq!(uses, [(hold.hold_id, State::Consumed)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_not_like_what_was_shown_waits_for_people() {
    let scene = Asking::set().await;
    let standing = given(&scene, terms(100, "400")).await;
    let second = |amount, memo| pay(&scene, "second", amount, memo);
    // Five may wait in a task: each is answered before the next one waits.
    let mut others = vec![
        second("400.01", "April"),
        second("-1", "April"),
        second("\"1\"", "April"),
        with_arguments(second("1", ""), r#"{"amount":1,"recipient":"US13"}"#),
        with_arguments(
            second("1", ""),
            r#"{"amount":1,"extra":1,"memo":"","recipient":"US13"}"#,
        ),
    ];
    let mut other_account = open(&scene.started, "second", "GB29");
    other_account = with_arguments(other_account, r#"{"amount":1,"memo":"","recipient":"GB29"}"#);
    others.push(other_account);
    // As if the resource were written in two ways: the class is the same, the bytes are not.
    others.push(with_arguments(
        second("1", ""),
        r#"{"amount":1,"memo":"","recipient":"us13"}"#,
    ));
    let mut definition = second("1", "");
    change(&mut definition, |action| {
        action.definition = Sha256::of(b"another definition");
    });
    others.push(definition);
    let mut tool = second("1", "");
    change(&mut tool, |action| "bank/send_all".clone_into(&mut action.tool));
    others.push(tool);
    let demands: [fn(&mut wire::Requirement); 3] = [
        |demand| demand.quorum = 2,
        |demand| "pay-strange".clone_into(&mut demand.rule),
        |demand| "privacy".clone_into(&mut demand.group),
    ];
    for demand in demands {
        let mut request = second("1", "");
        demand(&mut request.requirements[0]);
        others.push(request);
    }
    let mut more = second("1", "");
    more.requirements.push(wire::Requirement {
        rule: "another".to_owned(),
        ..more.requirements[0].clone()
    });
    others.push(more);
    for (at, request) in others.into_iter().enumerate() {
        asks_people(
            &scene,
            wire::OpenRequest {
                call_id: format!("other-{at}"),
                ..request
            },
        )
        .await;
        let expire = "UPDATE hold SET state = 'expired' WHERE state = 'open'";
        assert_eq!(scene.sql().await.execute(expire, &[]).await.unwrap(), 1);
    }
    assert_eq!(shown(&scene, &standing).await.used, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_task_of_the_same_agent_and_user_is_not_covered() {
    let scene = Asking::set().await;
    given(&scene, terms(100, "400")).await;
    let other = scene
        .operator
        .start("alice", crate::flows::asking::AGENT, &["bank/*"], &[])
        .await
        .unwrap();
    let request = with_arguments(
        open(&other, "second", "US13"),
        r#"{"amount":1,"memo":"","recipient":"US13"}"#,
    );
    asks_people(&scene, request).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approver_can_only_tighten_what_the_page_shows_as_the_widest() {
    let scene = Asking::set().await;
    let hold = scene.opened(pay(&scene, "first", "500", "March")).await;
    let request = wire::ShowRequest {
        hold_id: hold.hold_id.clone(),
    };
    let page = scene.operator.holds().show(request).await.unwrap().into_inner();
    let offer = page.offer.unwrap();
    assert_eq!(
        (offer.for_ms, offer.times, offer.fixed),
        (8 * 3_600_000, 100, vec!["recipient".to_owned()])
    );
    let widest: Vec<_> = offer
        .bounds
        .iter()
        .map(|bound| bound.how.clone().unwrap())
        .collect();
    assert_eq!(
        widest,
        [
            How::AtMost("500".to_owned()),
            How::Any(true),
            How::Exactly("\"US13\"".to_owned())
        ]
    );
    let bob = scene.world.approver("bob").await.unwrap();
    let any = |argument: &str| wire::Bound {
        argument: argument.to_owned(),
        how: Some(How::Any(true)),
    };
    let wider = [
        terms(1, "500.01"),
        terms(101, "500"),
        terms(0, "500"),
        wire::Terms {
            for_ms: 8 * 3_600_000 + 1,
            ..terms(1, "500")
        },
        wire::Terms {
            bounds: vec![any("recipient")],
            ..terms(1, "1")
        },
        wire::Terms {
            bounds: vec![any("amount")],
            ..terms(1, "1")
        },
        wire::Terms {
            bounds: vec![any("other")],
            ..terms(1, "1")
        },
    ];
    for terms in wider {
        let refused = bob.vote_with(&hold, true, Some(terms.clone())).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{terms:?}: {refused:?}");
    }
    let refused = bob
        .vote_with(&hold, false, Some(terms(1, "1")))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(scene.state(&hold).await, State::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_people_both_must_give_terms_and_the_tightest_of_both_is_in_force() {
    let scene = Asking::set().await;
    let (bob, carol) = (
        scene.world.approver("bob").await.unwrap(),
        scene.world.approver("carol").await.unwrap(),
    );
    let by_two = |call: &str, amount: &str| {
        let mut request = pay(&scene, call, amount, "March");
        request.requirements[0].quorum = 2;
        request
    };
    let alone = scene.opened(by_two("alone", "500")).await;
    bob.vote_with(&alone, true, Some(terms(9, "300"))).await.unwrap();
    let voted = carol.vote_with(&alone, true, None).await.unwrap();
    assert_eq!(
        (voted.hold.unwrap().state(), voted.standing),
        (State::Approved, None)
    );
    asks_people(&scene, by_two("next", "1")).await;

    let both = scene.opened(by_two("both", "500")).await;
    bob.vote_with(&both, true, Some(terms(9, "300"))).await.unwrap();
    let tighter = wire::Terms {
        bounds: terms(4, "400").bounds[..1].to_vec(),
        ..terms(4, "400")
    };
    let voted = carol.vote_with(&both, true, Some(tighter)).await.unwrap();
    let standing = voted.standing.unwrap();
    assert_eq!((standing.times, standing.approvers.len()), (4, 2));
    let how: Vec<_> = standing
        .bounds
        .iter()
        .map(|bound| bound.how.clone().unwrap())
        .collect();
    assert_eq!(
        how,
        [
            How::AtMost("300".to_owned()),
            How::Exactly("\"March\"".to_owned()),
            How::Exactly("\"US13\"".to_owned())
        ]
    );
    let like = scene.opened(by_two("like", "300")).await;
    assert_eq!((like.state(), like.votes.len()), (State::Approved, 2));
    asks_people(&scene, by_two("more", "300.5")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terms_are_part_of_a_vote_which_can_be_given_anew_while_the_hold_is_open() {
    let scene = Asking::set().await;
    let mut request = pay(&scene, "first", "500", "March");
    request.requirements[0].quorum = 2;
    let hold = scene.opened(request).await;
    let (bob, carol) = (
        scene.world.approver("bob").await.unwrap(),
        scene.world.approver("carol").await.unwrap(),
    );
    bob.vote_with(&hold, true, None).await.unwrap();
    bob.vote_with(&hold, true, Some(terms(3, "5"))).await.unwrap();
    let given = carol.vote_with(&hold, true, Some(terms(7, "5"))).await.unwrap();
    assert_eq!(given.standing.unwrap().times, 3);
    // The very same vote again changes nothing; another one comes too late.
    let again = carol.vote_with(&hold, true, Some(terms(7, "5"))).await.unwrap();
    assert_eq!(again.standing.unwrap().times, 3);
    let late = carol
        .vote_with(&hold, true, Some(terms(99, "5")))
        .await
        .unwrap_err();
    assert_eq!(late.code(), Code::FailedPrecondition);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standing_approval_is_listed_with_who_gave_it_what_for_and_what_it_released() {
    let scene = Asking::set().await;
    let standing = given(&scene, terms(1, "400")).await;
    let request = |all| wire::ListStandingRequest {
        task_id: scene.task.task_id.clone(),
        all,
        ..wire::ListStandingRequest::default()
    };
    let list = async |all| {
        let listed = scene.operator.holds().list_standing(request(all)).await.unwrap();
        listed.into_inner().standing
    };
    assert_eq!(list(false).await, std::slice::from_ref(&standing));
    assert_eq!(standing.approvers, ["spiffe://acme.example/approver/bob"]);
    assert_eq!(standing.requirements, ["pay-unnamed: 1 of treasury"]);
    let used = scene.opened(pay(&scene, "second", "1", "")).await;
    assert_eq!(list(false).await, []);
    let all = list(true).await;
    assert_eq!(
        (all[0].state(), &*all[0].uses[0].hold_id),
        (wire::StandingState::UsedUp, &*used.hold_id)
    );
    asks_people(&scene, pay(&scene, "third", "1", "")).await;
}
