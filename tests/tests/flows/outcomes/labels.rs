//! Data read here, by one agent, is not sent there by another, and whoever forgets is told again.

use checkrein_enforcer::{CompleteError, Found};
use checkrein_proto::decision::v1::SearchRequest;
use checkrein_proto::task::v1::DeclassifyRequest;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn data_read_here_by_one_agent_waits_for_people_when_another_sends_there() {
    let scene = Scene::set().await;
    done(permitted(scene.send(SEND).await)).await;
    done(scene.read(CUSTOMER).await).await;
    let answer = scene.send(SEND).await;
    assert_eq!(answer.verdict(), Verdict::Hold, "{answer:?}");
    assert_eq!(answer.decided().rules, ["personal"]);
    let pat = scene.world.approver("pat").await.unwrap();
    let hold = pat.waiting(&scene.task.task_id).await.unwrap();
    pat.vote(&hold, true).await.unwrap();
    let again = call(&scene.grants.1, SEND).call_id(answer.decided().call_id.clone());
    let answer = scene.sender.gate().authorize(again).await.unwrap();
    assert_eq!(answer.decided().cause, Cause::Approved, "{answer:?}");
    done(permitted(answer)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_released_while_a_call_waited_for_people_can_still_forbid_it() {
    let scene = Scene::set().await;
    done(scene.read(CUSTOMER).await).await;
    let held = scene.send(SEND).await;
    let pat = scene.world.approver("pat").await.unwrap();
    let hold = pat.waiting(&scene.task.task_id).await.unwrap();
    let found = Found {
        labels: ["untrusted_content"].map(|word| word.parse().unwrap()).into(),
        ..Found::default()
    };
    let page = scene.read(PAGE).await;
    page.complete_with(OutcomeResult::Done, "", &found).await.unwrap();
    pat.vote(&hold, true).await.unwrap();
    let again = call(&scene.grants.1, SEND).call_id(held.decided().call_id.clone());
    let answer = scene.sender.gate().authorize(again).await.unwrap();
    assert_eq!(denied(&answer), (Cause::Forbidden, &["steered".to_owned()][..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_found_in_a_result_is_known_elsewhere_when_its_outcome_is_taken() {
    let scene = Scene::set().await;
    done(permitted(scene.send(DRAFT).await)).await;
    let page = scene.read(PAGE).await;
    let found = Found {
        labels: ["untrusted_content"].map(|word| word.parse().unwrap()).into(),
        ..Found::default()
    };
    page.complete_with(OutcomeResult::Done, "", &found).await.unwrap();
    let answer = scene.send(SEND).await;
    assert_eq!(denied(&answer), (Cause::Forbidden, &["steered".to_owned()][..]));
    let labels = scene.shown().await.labels;
    let labels: Vec<_> = labels
        .into_iter()
        .map(|carried| (carried.label, carried.tool))
        .collect();
    assert_eq!(labels, [("untrusted_content".to_owned(), PAGE.to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcer_that_was_restarted_has_forgotten_nothing_that_matters() {
    let mut scene = Scene::set().await;
    done(scene.read(CUSTOMER).await).await;
    assert_eq!(scene.send(SEND).await.verdict(), Verdict::Hold);
    let directory = scene.sender.directory().parent().unwrap().to_owned();
    let address = scene.world.address(0);
    let reader = std::mem::replace(
        &mut scene.sender,
        scene.world.enforcer("third", SENDER).await.unwrap(),
    );
    reader.shutdown().await;
    let again = scene
        .world
        .start_enforcer(&directory, SENDER, &[address])
        .await
        .unwrap();
    let answer = again.gate().authorize(call(&scene.grants.1, SEND)).await.unwrap();
    assert_eq!(
        (answer.verdict(), answer.decided().rules.as_slice()),
        (Verdict::Hold, &["personal".to_owned()][..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_lifted_is_gone_under_the_new_grant_and_comes_back_with_the_next_data_of_its_kind() {
    let mut scene = Scene::set().await;
    done(scene.read(CUSTOMER).await).await;
    assert_eq!(scene.send(SEND).await.verdict(), Verdict::Hold);
    let other = scene.world.person(Role::Operator, "otto", 0).await.unwrap();
    let lifted = DeclassifyRequest {
        task_id: scene.task.task_id.clone(),
        labels: vec!["pii".to_owned()],
        reason: "only the name of a shop".to_owned(),
        idempotency_key: fresh_key(),
    };
    let lifted = other.tasks().declassify(lifted).await.unwrap().into_inner();
    assert_eq!(denied(&scene.send(SEND).await).0, Cause::TaskAmended);
    let passed_on = pass_on(&scene.world, &lifted.grant).await;
    scene.grants = (lifted.grant, passed_on);
    done(permitted(scene.send(SEND).await)).await;
    done(scene.read(CUSTOMER).await).await;
    assert_eq!(scene.send(SEND).await.verdict(), Verdict::Hold);
    assert_eq!(scene.shown().await.amendments.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_control_plane_the_first_data_of_its_kind_is_denied_and_known_kinds_go_on() {
    let mut scene = Scene::set().await;
    done(scene.read(CUSTOMER).await).await;
    done(scene.read(PAGE).await).await;
    done(permitted(scene.send(DRAFT).await)).await;
    let (other, _) = start(&scene.world, &scene.operator).await;
    scene.world.stop_replica(0).await;
    done(scene.read(CUSTOMER).await).await;
    done(permitted(scene.send(DRAFT).await)).await;
    let first = scene
        .reader
        .gate()
        .authorize(call(&other.0, CUSTOMER))
        .await
        .unwrap();
    assert_eq!(denied(&first).0, Cause::LabelUnwritten);
    let unknown = scene
        .sender
        .gate()
        .authorize(call(&other.1, DRAFT))
        .await
        .unwrap();
    assert_eq!(denied(&unknown).0, Cause::LedgerUnknown);
    let page = permitted(scene.reader.gate().authorize(call(&other.0, PAGE)).await.unwrap());
    let found = Found {
        labels: ["untrusted_content"].map(|word| word.parse().unwrap()).into(),
        ..Found::default()
    };
    let refused = page.complete_with(OutcomeResult::Done, "", &found).await;
    assert!(
        matches!(refused, Err(CompleteError::Unlabelled(_))),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_says_what_the_task_carried_and_what_each_call_brought() {
    let scene = Scene::set().await;
    done(scene.read(CUSTOMER).await).await;
    assert_eq!(scene.send(SEND).await.verdict(), Verdict::Hold);
    let search = SearchRequest {
        task_id: scene.task.task_id.clone(),
        ascending: true,
        ..SearchRequest::default()
    };
    // In the order of storing nothing is told while an older transaction runs, be it another test's.
    let stored = async {
        loop {
            let found = scene.operator.decisions().search(search.clone()).await;
            let found = found.unwrap().into_inner().decisions;
            if found.len() >= 2 {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    let stored = tokio::time::timeout(WAIT_MAX, stored).await.unwrap();
    let decisions: Vec<_> = stored
        .into_iter()
        .map(|stored| stored.decision.unwrap())
        .collect();
    let of = |tool: &str| decisions.iter().find(|decision| decision.tool == tool).unwrap();
    assert_eq!(of(CUSTOMER).yields, ["pii"]);
    assert!(of(CUSTOMER).ledger.is_none(), "no rule about reads looks at it");
    assert_eq!(of(SEND).ledger.as_ref().unwrap().labels, ["pii"]);
}
