//! What waits for people under a grant that was passed on.

use super::*;

const UNNAMED: &[u8] = br#"{"recipient":"US133000000121212121212","amount":10}"#;

/// A payment to an account that nobody named, with a fresh proof.
fn pay_unnamed(grant: &str, key: &SigningKey, call: &str) -> Request {
    let arguments = Arguments::parse(UNNAMED).unwrap();
    let own = OwnGrant::read(grant).unwrap();
    let proof = own.prove(PAY, &arguments, key, &SystemClock).unwrap();
    Request::typed(grant, PAY, arguments).proof(proof).call_id(call)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_who_passed_the_grant_on_and_a_proof_is_used_up_with_the_approval() {
    let scene = Scene::set(None).await;
    let (child, child_key) = scene.pass_on(&[PAY], None);
    let [one, two] = &scene.children[..] else {
        panic!("two")
    };
    let bob = scene.world.approver("bob").await.unwrap();
    let waits = ask(one, pay_unnamed(&child, &child_key, "first")).await;
    assert_eq!(waits, (Verdict::Hold, Cause::Held));
    let hold = scene.operator.waiting(&scene.task.task_id).await.unwrap();
    let action = hold.action.clone().unwrap();
    assert_eq!(
        (&*action.agent, &action.delegated_by[..]),
        (CHILD, &[AGENT.to_owned()][..])
    );
    bob.vote(&hold, true).await.unwrap();
    let again = pay_unnamed(&child, &child_key, "first");
    assert_eq!(ask(one, again.clone()).await, (Verdict::Permit, Cause::Approved));
    // The very proof that the release used, shown on the other enforcer for a call of another name.
    let replayed = again.call_id("second").wait(WAIT_MAX);
    let (said, approved) = tokio::join!(ask(two, replayed), async {
        let second = scene.operator.waiting(&scene.task.task_id).await.unwrap();
        bob.vote(&second, true).await
    });
    approved.unwrap();
    assert_eq!(said, (Verdict::Deny, Cause::InvalidProof));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_about_a_call_for_which_the_child_has_no_budget_left() {
    let scene = Scene::set(None).await;
    let (child, child_key) = scene.pass_on(&[LOOK, PAY], Some(1));
    let [one, _] = &scene.children[..] else {
        panic!("two")
    };
    let look = Request::new(&*child, LOOK, b"{}");
    assert_eq!(ask(one, look).await, (Verdict::Permit, Cause::Permitted));
    let answer = one
        .gate()
        .authorize(pay_unnamed(&child, &child_key, "first"))
        .await
        .unwrap();
    assert_eq!(
        (answer.verdict(), answer.decided().cause),
        (Verdict::Deny, Cause::Budget)
    );
    assert!(answer.decided().reason.contains("1 at the least"), "{answer:?}");
}
