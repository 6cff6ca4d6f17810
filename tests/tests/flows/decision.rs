//! Decisions: answered, journaled, and stored exactly once.

mod journals;
pub(in crate::flows) mod looking;
mod text;

use std::collections::BTreeSet;

use checkrein_enforcer::{Answer, Enforcer, Request};
use checkrein_proto::decision::v1::journal_service_client::JournalServiceClient;
use checkrein_proto::decision::v1::{
    AppendOpen, AppendRequest, CountRequest, OutcomeResult as OutcomeWord, SearchRequest, ShowRequest,
    append_request,
};
use checkrein_shared::SystemClock;
use checkrein_shared::action::Sha256;
use checkrein_shared::decision::{Cause, Chain, OutcomeResult, Verdict};
use checkrein_shared::id::{Generation, InstanceId};
use checkrein_shared::identity::Role;
use checkrein_tests::{WAIT_MAX, World, payments};

const AGENT: &str = "spiffe://acme.example/agent/billing";

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_stored_once_and_the_chain_can_be_followed_offline() {
    let world = World::start().await.unwrap();
    let enforcer = world.enforcer("edge", AGENT).await.unwrap();
    let generation = world.push(&payments().unwrap()).await.unwrap();
    enforcer
        .wait_until(|status| status.decides_by(Generation(generation)), WAIT_MAX)
        .await
        .unwrap();
    let operator = world.operator().await.unwrap();
    let task = operator
        .start("alice", AGENT, &["bank/get_balance", "bank/set_note"], &[])
        .await
        .unwrap();
    let mut answered = BTreeSet::new();
    for n in 0..100 {
        let (tool, arguments) = match n % 3 {
            0 => ("bank/get_balance", "{}".to_owned()),
            1 => (
                "bank/set_note",
                format!("{{\"transaction\":{n},\"text\":\"lunch\"}}"),
            ),
            _ => ("bank/close_account", "{\"account\":\"x\"}".to_owned()),
        };
        let answer = enforcer
            .gate()
            .authorize(Request::new(&task.grant, tool, arguments.as_bytes()))
            .await
            .unwrap();
        answered.insert(answer.decided().id.to_string());
        match answer {
            Answer::Permit(permit) => permit.complete(OutcomeResult::Done, "").await.unwrap(),
            Answer::Deny(denied) => assert_eq!(denied.decided.cause, Cause::OutOfScope),
            Answer::Hold(held) => panic!("{held:?}"),
        }
    }
    enforcer
        .wait_until(|status| status.journal_pending() == 0, WAIT_MAX)
        .await
        .unwrap();

    let counted = operator
        .decisions()
        .count(CountRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (counted.decisions, counted.duplicates, counted.outcomes),
        (100, 0, 67)
    );
    let request = SearchRequest {
        page_size: 1000,
        ..SearchRequest::default()
    };
    // A search shows what is older than every transaction that still runs on the server, another test's too.
    let searching = async {
        loop {
            let found = operator.decisions().search(request.clone()).await.unwrap();
            let found = found.into_inner().decisions.into_iter();
            let found: BTreeSet<String> = found.map(|one| one.decision.unwrap().decision_id).collect();
            if found.len() >= answered.len() {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    assert_eq!(tokio::time::timeout(WAIT_MAX, searching).await.unwrap(), answered);

    let read = "SELECT sequence, chain_hash, record FROM (
        SELECT sequence, chain_hash, record FROM decision UNION ALL SELECT sequence, chain_hash, record FROM outcome) all_records
        ORDER BY sequence";
    let status = enforcer.status();
    let mut chain = Chain::begin(status.instance, status.incarnation);
    for row in world.sql().await.unwrap().query(read, &[]).await.unwrap() {
        assert_eq!(u64::try_from(row.get::<_, i64>(0)).unwrap(), chain.next_sequence);
        chain = chain.extend(row.get(2));
        assert_eq!(Sha256::try_from(row.get::<_, &[u8]>(1)).unwrap(), chain.hash);
    }
    assert_eq!(chain.next_sequence, 167);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_one_enforcer_s_is_refused_to_every_other() {
    let world = World::start().await.unwrap();
    let instance = InstanceId::new(&SystemClock).to_string();
    let mut answers = Vec::new();
    for (name, incarnation) in [("edge", 1), ("other", 1), ("other", 2), ("edge", 2)] {
        if incarnation == 1 {
            world.register(name, &[], &[AGENT]).await.unwrap();
        }
        let channel = world.person(Role::Enforcer, name, 0).await.unwrap().channel();
        let open = AppendRequest {
            body: Some(append_request::Body::Open(AppendOpen {
                instance_id: instance.clone(),
                incarnation,
                whole_since: 0,
            })),
        };
        let stream = JournalServiceClient::new(channel)
            .append(tonic::codegen::tokio_stream::iter([open]))
            .await;
        let answer = stream.unwrap().into_inner().message().await;
        answers.push(answer.map(Option::unwrap_or_default));
    }
    let instance = instance.parse().unwrap();
    for (at, incarnation) in [(0, 1), (3, 2)] {
        let begin = Chain::begin(instance, incarnation).hash.to_bytes();
        assert_eq!(answers[at].as_ref().unwrap().chain_hash, begin);
    }
    for refused in &answers[1..3] {
        let status = refused.as_ref().unwrap_err();
        assert_eq!(status.code(), tonic::Code::FailedPrecondition, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_shown_with_its_reason_its_rules_and_its_outcome() {
    let world = World::start().await.unwrap();
    let enforcer = world.enforcer("edge", AGENT).await.unwrap();
    let generation = world.push(&payments().unwrap()).await.unwrap();
    enforcer
        .wait_until(|status| status.decides_by(Generation(generation)), WAIT_MAX)
        .await
        .unwrap();
    let operator = world.operator().await.unwrap();
    let task = operator
        .start("alice", AGENT, &["bank/*"], &["GB29NWBK60161331926819"])
        .await
        .unwrap();
    let pay = br#"{"recipient":"GB29NWBK60161331926819","amount":10,"memo":"a surprise"}"#;
    let answer = enforcer
        .gate()
        .authorize(Request::new(&task.grant, "bank/send_money", pay))
        .await
        .unwrap();
    let Answer::Permit(permit) = answer else {
        panic!("{answer:?}")
    };
    let id = permit.decided().id.to_string();
    permit
        .complete(OutcomeResult::Failed, "no such account")
        .await
        .unwrap();
    enforcer
        .wait_until(|status| status.journal_pending() == 0, WAIT_MAX)
        .await
        .unwrap();

    let shown = operator
        .decisions()
        .show(ShowRequest { decision_id: id })
        .await
        .unwrap()
        .into_inner();
    let shown = shown.decision.unwrap();
    let decision = shown.decision.unwrap();
    assert_eq!(decision.rules, ["pay-small"]);
    assert_eq!(decision.generation, generation);
    assert!(decision.agent_asserted, "nobody proved the in-process agent");
    let arguments = String::from_utf8(decision.arguments.to_vec()).unwrap();
    assert!(
        arguments.contains("GB29NWBK60161331926819") && !arguments.contains("surprise"),
        "{arguments}"
    );
    let outcome = shown.outcome.unwrap();
    assert_eq!(
        (outcome.result(), outcome.detail.as_str()),
        (
            checkrein_proto::decision::v1::OutcomeResult::Failed,
            "no such account"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_forbids_is_named_with_its_reason() {
    let world = World::start().await.unwrap();
    let enforcer = world.enforcer("edge", AGENT).await.unwrap();
    let generation = world.push(&payments().unwrap()).await.unwrap();
    enforcer
        .wait_until(|status| status.decides_by(Generation(generation)), WAIT_MAX)
        .await
        .unwrap();
    let operator = world.operator().await.unwrap();
    let request = checkrein_proto::task::v1::StartRequest {
        budgets: Vec::new(),
        holder_key: String::new(),
        user: "alice".to_owned(),
        agent: AGENT.to_owned(),
        tools: vec!["bank/send_money".to_owned()],
        named: vec!["GB29NWBK60161331926819".to_owned()],
        intent: String::new(),
        environment: "staging".to_owned(),
        expires_in_ms: 60_000,
        idempotency_key: checkrein_tests::fresh_key(),
        scope: String::new(),
        limits: None,
        data: None,
    };
    let task = operator.tasks().start(request).await.unwrap().into_inner();
    let pay = br#"{"recipient":"GB29NWBK60161331926819","amount":10}"#;
    let answer = enforcer
        .gate()
        .authorize(Request::new(&task.grant, "bank/send_money", pay))
        .await
        .unwrap();
    let decided = answer.decided();
    assert_eq!(
        (answer.verdict(), decided.cause),
        (Verdict::Deny, Cause::Forbidden)
    );
    assert_eq!(decided.rules, ["prod-only"]);
    assert!(
        decided
            .reason
            .contains("payments are switched off outside production"),
        "{}",
        decided.reason
    );
}

/// How the call under this decision ended, once the enforcer has been stopped and the next run has brought its record home.
async fn outcome_after_restart(world: &World, id: &str) -> Option<(OutcomeWord, String)> {
    let next = world
        .start_enforcer(&world.path().join("edge"), AGENT, &[world.address(0)])
        .await
        .unwrap();
    let operator = world.operator().await.unwrap();
    let drained = async {
        loop {
            let stored = operator
                .decisions()
                .show(ShowRequest {
                    decision_id: id.to_owned(),
                })
                .await;
            let stored = stored.ok().and_then(|shown| shown.into_inner().decision);
            if let Some(outcome) = stored.and_then(|stored| stored.outcome) {
                return (outcome.result(), outcome.detail);
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let outcome = tokio::time::timeout(WAIT_MAX, drained).await.ok();
    next.shutdown().await;
    outcome
}

async fn with_payments(world: &World) -> (Enforcer, String) {
    let enforcer = world.enforcer("edge", AGENT).await.unwrap();
    let generation = world.push(&payments().unwrap()).await.unwrap();
    enforcer
        .wait_until(|status| status.decides_by(Generation(generation)), WAIT_MAX)
        .await
        .unwrap();
    let operator = world.operator().await.unwrap();
    let task = operator.start("alice", AGENT, &["bank/*"], &[]).await.unwrap();
    (enforcer, task.grant)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_waits_for_calls_under_way_and_records_how_they_ended() {
    let world = World::start().await.unwrap();
    let (enforcer, grant) = with_payments(&world).await;
    let gate = enforcer.gate();
    let look = || Request::new(&grant, "bank/get_balance", b"{}");
    let Answer::Permit(permit) = gate.authorize(look()).await.unwrap() else {
        panic!("not permitted")
    };
    let id = permit.detach().id;
    let stopping = tokio::spawn(enforcer.shutdown());
    while let Answer::Permit(permit) = gate.authorize(look()).await.unwrap() {
        permit.complete(OutcomeResult::Done, "").await.unwrap();
        tokio::task::yield_now().await;
    }
    gate.complete(id, OutcomeResult::Done, "").await.unwrap();
    stopping.await.unwrap();
    let outcome = outcome_after_restart(&world, &id.to_string()).await;
    assert_eq!(outcome, Some((OutcomeWord::Done, String::new())));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcer_that_is_dropped_records_that_nobody_knows_how_its_calls_ended() {
    let world = World::start().await.unwrap();
    let (enforcer, grant) = with_payments(&world).await;
    let look = Request::new(&grant, "bank/get_balance", b"{}");
    let Answer::Permit(permit) = enforcer.gate().authorize(look).await.unwrap() else {
        panic!("not permitted")
    };
    let id = permit.detach().id;
    drop(enforcer);
    let outcome = outcome_after_restart(&world, &id.to_string()).await;
    assert_eq!(outcome.unwrap().0, OutcomeWord::Unknown);
}
