//! Groups with rules of their own: who counts, from when on, in whose place; asked at the vote and again at the release.

mod absence;
mod escalation;
mod glass;
mod races;

use checkrein_proto::fleet::v1::AddAgentRequest;
use checkrein_proto::hold::v1 as wire;
use checkrein_proto::hold::v1::consume_response::Result as Consumed;
use checkrein_tests::{fresh_key, payments};
use tonic::{Code, Status};

use crate::flows::asking::{AGENT, Asking, open};

pub(crate) use escalation::{around_now, held_earlier};
pub(crate) use glass::break_glass;
pub(crate) use races::Dice;

pub(super) const BOB: &str = "spiffe://acme.example/approver/bob";
pub(super) const DAVE: &str = "spiffe://acme.example/approver/dave";

/// A treasury of bob and carol, with more rules; a board of frank and grace.
pub(crate) async fn scene(rules: &str) -> Asking {
    let mut pack = payments().unwrap();
    pack.files
        .insert("checkrein.toml".to_owned(), settings(rules).into_bytes());
    Asking::set_with(&pack).await
}

pub(super) fn settings(rules: &str) -> String {
    let id = |name: &str| format!("\"spiffe://acme.example/approver/{name}\"");
    format!(
        "namespace = \"org\"\n[break_glass]\ngroup = \"board\"\n[groups]\nboard = [{}, {}]\n[groups.treasury]\nmembers = [{}, {}, {}, {}]\n{rules}\n",
        id("frank"),
        id("grace"),
        id("bob"),
        id("carol"),
        id("olga"),
        id("alice"),
    )
}

/// Says yes, or no.
pub(crate) async fn vote(
    scene: &Asking,
    name: &str,
    hold: &wire::Hold,
    yes: bool,
) -> Result<wire::Hold, Status> {
    scene.world.approver(name).await.unwrap().vote(hold, yes).await
}

/// A hold that takes so many.
pub(super) async fn held_for(scene: &Asking, call: &str, quorum: u32) -> wire::Hold {
    let mut request = open(&scene.started, call, "US13");
    request.requirements[0].quorum = quorum;
    scene.opened(request).await
}

/// Uses the approval; what is said if it can't be.
pub(super) async fn use_up(scene: &Asking, hold: &wire::Hold) -> Result<wire::Consumed, wire::Refusal> {
    match scene.consume(scene.consume_request(hold)).await.unwrap() {
        Consumed::Consumed(consumed) => Ok(consumed),
        Consumed::Refused(refusal) => Err(refusal),
        Consumed::Refresh(refresh) => panic!("{refresh:?}"),
    }
}

/// Whoever may answer now, each as whom.
pub(super) async fn may_answer(scene: &Asking, hold: &wire::Hold) -> Vec<(String, String, String)> {
    let name = |id: &str| id.rsplit('/').next().unwrap().to_owned();
    let hold = scene.shown(hold).await;
    let capacities = hold.may_answer.into_iter().filter_map(|may| may.capacity);
    capacities
        .map(|one| (name(&one.approver), name(&one.seat), one.group))
        .collect()
}

pub(super) fn in_group(group: &str, names: &[&str]) -> Vec<(String, String, String)> {
    let one = |name: &&str| ((*name).to_owned(), (*name).to_owned(), group.to_owned());
    names.iter().map(one).collect()
}

async fn owned_by(scene: &Asking, owner: &str) {
    let request = AddAgentRequest {
        spiffe_id: AGENT.to_owned(),
        owner: owner.to_owned(),
        idempotency_key: fresh_key(),
        teams: Vec::new(),
    };
    scene.operator.fleet().add_agent(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_answers_for_the_agent_does_not_answer_for_what_it_does() {
    let scene = scene("excludes = [\"agent_owner\"]").await;
    let hold = scene.held("call", "US13").await;
    owned_by(&scene, "Bob@acme.example").await;
    let refused = vote(&scene, "bob", &hold, true).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("answers for an agent"), "{refused:?}");
    assert_eq!(may_answer(&scene, &hold).await, in_group("treasury", &["carol"]));
    vote(&scene, "carol", &hold, true).await.unwrap();
    // Asked again at the release: the register says something else by now.
    owned_by(&scene, "carol").await;
    assert_eq!(use_up(&scene, &hold).await.unwrap_err().cause, "hold_cancelled");
    assert_eq!(scene.state(&hold).await, wire::State::Withdrawn);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_does_not_leave_owners_out_asks_them() {
    let scene = scene("").await;
    owned_by(&scene, "bob").await;
    let hold = scene.held("call", "US13").await;
    assert_eq!(
        may_answer(&scene, &hold).await,
        in_group("treasury", &["bob", "carol"])
    );
    vote(&scene, "bob", &hold, true).await.unwrap();
    use_up(&scene, &hold).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_taken_out_of_the_group_by_a_push_before_the_release_counts_no_more() {
    let scene = scene("").await;
    let hold = scene.held("call", "US13").await;
    vote(&scene, "bob", &hold, true).await.unwrap();
    let mut pack = payments().unwrap();
    let without = settings("").replace("\"spiffe://acme.example/approver/bob\", ", "");
    pack.files
        .insert("checkrein.toml".to_owned(), without.into_bytes());
    let generation = scene.world.push(&pack).await.unwrap();
    let request = wire::ConsumeRequest {
        generation,
        ..scene.consume_request(&hold)
    };
    let answer = scene.consume(request).await.unwrap();
    assert!(
        matches!(&answer, Consumed::Refused(refusal) if refusal.cause == "hold_cancelled"),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_approve_at_once_both_count_once() {
    let scene = scene("").await;
    for round in 0..5 {
        let hold = held_for(&scene, &format!("call-{round}"), 2).await;
        let (bob, carol) = tokio::join!(
            vote(&scene, "bob", &hold, true),
            vote(&scene, "carol", &hold, true)
        );
        let states = [bob.unwrap().state(), carol.unwrap().state()];
        assert!(
            states.contains(&wire::State::Approved) && states.contains(&wire::State::Open),
            "{states:?}"
        );
        let shown = scene.shown(&hold).await;
        assert_eq!((shown.state(), shown.votes.len()), (wire::State::Approved, 2));
        use_up(&scene, &hold).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_after_the_yes_takes_it_back() {
    let scene = scene("").await;
    let hold = scene.held("call", "US13").await;
    vote(&scene, "bob", &hold, true).await.unwrap();
    vote(&scene, "carol", &hold, false).await.unwrap();
    assert_eq!(scene.state(&hold).await, wire::State::Withdrawn);
    assert_eq!(use_up(&scene, &hold).await.unwrap_err().cause, "denied_by_person");
}
