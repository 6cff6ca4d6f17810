//! A page of holds: each as it is shown alone, in the order of their deadlines, whatever their states.

use checkrein_proto::fleet::v1::AddAgentRequest;
use checkrein_proto::hold::v1::{GoAwayRequest, Hold, ListRequest, State};
use checkrein_shared::identity::Role;
use checkrein_tests::fresh_key;

use super::groups;
use crate::flows::asking::{Asking, open};

const CLERK: &str = "spiffe://acme.example/agent/clerk";
const RULES: &str = "excludes = [\"agent_owner\"]\nescalate_after = \"10m\"\nescalate_to = \"board\"\n\
    deputies = { \"spiffe://acme.example/approver/bob\" = \"spiffe://acme.example/approver/dave\" }";

/// Everything that a list gives, by pages of so many.
async fn listed(scene: &Asking, states: &[State], page_size: u32) -> Vec<Hold> {
    let (mut holds, mut token) = (Vec::new(), String::new());
    loop {
        let request = ListRequest {
            states: states.iter().map(|state| (*state).into()).collect(),
            page_size,
            page_token: token,
            ..ListRequest::default()
        };
        let page = scene.operator.holds().list(request).await.unwrap().into_inner();
        holds.extend(page.holds);
        token = page.next_page_token;
        if token.is_empty() {
            return holds;
        }
    }
}

/// Holds of two agents, one of whom bob answers for, in all kinds of states; bob is away, and some were asked about long ago.
async fn scene() -> Asking {
    let scene = groups::scene(RULES).await;
    scene.world.register("edge-2", &[], &[CLERK]).await.unwrap();
    let owned = AddAgentRequest {
        spiffe_id: CLERK.to_owned(),
        owner: "carol".to_owned(),
        idempotency_key: fresh_key(),
        teams: Vec::new(),
    };
    scene.operator.fleet().add_agent(owned).await.unwrap();
    let clerks = scene
        .operator
        .start("bob", CLERK, &["bank/*"], &[])
        .await
        .unwrap();
    let edge = scene.world.person(Role::Enforcer, "edge-2", 0).await.unwrap();
    for call in ["one", "two"] {
        edge.holds().open(open(&clerks, call, call)).await.unwrap();
    }
    let denied = scene.held("denied", "US1").await;
    scene.deny(&denied).await.unwrap();
    let approved = scene.held("approved", "US2").await;
    scene.approve(&approved).await.unwrap();
    for call in ["three", "four"] {
        let mut request = open(&scene.started, call, call);
        let mut board = request.requirements[0].clone();
        (board.rule, board.group) = ("also".to_owned(), "board".to_owned());
        request.requirements.push(board);
        scene.opened(request).await;
    }
    let long_ago = "UPDATE hold SET opened_at = clock_timestamp() - interval '11 minutes' WHERE call_id IN ('two', 'four')";
    scene.sql().await.execute(long_ago, &[]).await.unwrap();
    let away = GoAwayRequest {
        idempotency_key: fresh_key(),
        ..GoAwayRequest::default()
    };
    let bob = scene.world.approver("bob").await.unwrap();
    bob.holds().go_away(away).await.unwrap();
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_says_of_each_hold_what_the_hold_says_alone() {
    let scene = scene().await;
    let states = [State::Denied, State::Open, State::Approved, State::Open];
    for page_size in [1, 4, 100] {
        let holds = listed(&scene, &states, page_size).await;
        assert_eq!(holds.len(), 6);
        let deadlines: Vec<_> = holds
            .iter()
            .map(|hold| (hold.decide_by_unix_ms, &hold.hold_id))
            .collect();
        assert!(deadlines.is_sorted(), "{deadlines:?}");
        for hold in &holds {
            assert_eq!(*hold, scene.shown(hold).await, "in pages of {page_size}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_answer_is_told_of_each_hold_of_a_page_apart() {
    let scene = scene().await;
    let name = |id: &str| id.rsplit('/').next().unwrap().to_owned();
    let open = listed(&scene, &[State::Open], 100).await;
    let may = open.iter().map(|hold| {
        let people = hold.may_answer.iter().filter_map(|may| may.capacity.as_ref());
        let mut people: Vec<_> = people.map(|capacity| name(&capacity.approver)).collect();
        people.sort();
        people.dedup();
        (hold.call_id.as_str(), people.join(" "))
    });
    let may: Vec<_> = may.collect();
    // Olga started both tasks, one for bob and one for alice. Bob is away; carol answers for the clerk.
    let expected = [
        ("one", "alice"),
        ("two", "alice frank grace"),
        ("three", "carol dave frank grace"),
        ("four", "carol dave frank grace"),
    ];
    assert_eq!(may, expected.map(|(call, people)| (call, people.to_owned())));
}
