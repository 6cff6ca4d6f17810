//! Tasks: authority that ends for everyone at once.

mod amend;
mod at_once;
mod budget;
mod data;
mod declassify;
mod delegation;
mod home;
mod ledger;
mod offline;
mod relabelled;
mod repeated;
mod revocations;
mod revoke;
mod scope;
mod spending;

use checkrein_enforcer::Request;
use checkrein_proto::task::v1::{ShowRequest, State};
use checkrein_shared::decision::{Cause, Verdict};
use checkrein_shared::id::Generation;
use checkrein_tests::{WAIT_MAX, World, payments};

const AGENT: &str = "spiffe://acme.example/agent/billing";

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_task_is_denied_by_an_enforcer_that_never_asked() {
    let world = World::start().await.unwrap();
    let enforcer = world.enforcer("edge", AGENT).await.unwrap();
    let generation = world.push(&payments().unwrap()).await.unwrap();
    enforcer
        .wait_until(|status| status.decides_by(Generation(generation)), WAIT_MAX)
        .await
        .unwrap();
    let operator = world.operator().await.unwrap();
    let task = operator.start("alice", AGENT, &["bank/*"], &[]).await.unwrap();
    let look = || Request::new(&task.grant, "bank/get_balance", b"{}");
    assert_eq!(
        enforcer.gate().authorize(look()).await.unwrap().verdict(),
        Verdict::Permit
    );
    let id = task.task.as_ref().unwrap().task_id.clone();
    operator.revoke(&id).await.unwrap();
    enforcer
        .wait_until(|status| status.revocation_sequence == 1, WAIT_MAX)
        .await
        .unwrap();
    let answer = enforcer.gate().authorize(look()).await.unwrap();
    assert_eq!(
        (answer.verdict(), answer.decided().cause),
        (Verdict::Deny, Cause::TaskEnded)
    );
    assert_eq!(answer.decided().revocation_sequence, 1);
    let shown = operator
        .tasks()
        .show(ShowRequest { task_id: id })
        .await
        .unwrap()
        .into_inner()
        .task
        .unwrap();
    assert_eq!(
        (shown.state(), shown.closed_by.as_str()),
        (State::Revoked, "spiffe://acme.example/operator/olga")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_good_for_its_agent_its_tools_and_this_register_only() {
    let world = World::start().await.unwrap();
    let enforcer = world.enforcer("edge", AGENT).await.unwrap();
    let generation = world.push(&payments().unwrap()).await.unwrap();
    enforcer
        .wait_until(|status| status.decides_by(Generation(generation)), WAIT_MAX)
        .await
        .unwrap();
    let operator = world.operator().await.unwrap();
    let other = operator
        .start("alice", "spiffe://acme.example/agent/other", &["bank/*"], &[])
        .await
        .unwrap();
    let own = operator
        .start("alice", AGENT, &["bank/set_note"], &[])
        .await
        .unwrap();
    let cases = [
        (other.grant.as_str(), "bank/get_balance", "{}", Cause::WrongAgent),
        (&own.grant, "bank/get_balance", "{}", Cause::OutOfScope),
        (&own.grant, "bank/nothing", "{}", Cause::UnknownTool),
        (
            &own.grant,
            "bank/set_note",
            "{\"transaction\":1}",
            Cause::InvalidArguments,
        ),
        (
            &own.grant,
            "bank/set_note",
            "{\"transaction\":1,\"text\":\"a\",\"text\":\"b\"}",
            Cause::InvalidArguments,
        ),
        ("not a grant", "bank/set_note", "{}", Cause::InvalidGrant),
    ];
    for (grant, tool, arguments, cause) in cases {
        let answer = enforcer
            .gate()
            .authorize(Request::new(grant, tool, arguments.as_bytes()))
            .await
            .unwrap();
        assert_eq!(
            (answer.verdict(), answer.decided().cause),
            (Verdict::Deny, cause),
            "{tool} {arguments}: {answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn starting_twice_under_one_key_gives_the_same_task_and_the_same_grant() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    let request = checkrein_proto::task::v1::StartRequest {
        user: "alice".to_owned(),
        agent: AGENT.to_owned(),
        tools: vec!["bank/*".to_owned()],
        environment: "production".to_owned(),
        expires_in_ms: 60_000,
        idempotency_key: "once".to_owned(),
        ..Default::default()
    };
    let once = operator
        .tasks()
        .start(request.clone())
        .await
        .unwrap()
        .into_inner();
    let twice = operator.tasks().start(request).await.unwrap().into_inner();
    assert_eq!(once, twice);
    let stored = "SELECT count(*) FROM idempotency WHERE position($1::bytea IN answer) > 0";
    let grant = once.grant.as_bytes();
    let leaked: i64 = world
        .sql()
        .await
        .unwrap()
        .query_one(stored, &[&grant])
        .await
        .unwrap()
        .get(0);
    assert_eq!(leaked, 0, "a grant must not be stored");
}
