//! A scope with arguments: what the orchestrator said is what any enforcer lets through, offline.

use checkrein_enforcer::Request;
use checkrein_proto::task::v1::{ListRequest, ShowRequest, StartRequest, StartResponse};
use checkrein_shared::decision::{Cause, Verdict};
use checkrein_shared::id::Generation;
use checkrein_tests::{Person, WAIT_MAX, World, payments};
use tonic::{Code, Status};

const AGENT: &str = "spiffe://acme.example/agent/billing";
const NAMED: &str = "GB29NWBK60161331926819";
/// Pay one account, at most 20; look at the balance.
const SCOPE: &str = r#"{
    "bank/get_balance": {},
    "bank/send_money": {
        "recipient": {"constraint_type": "exact", "value": "GB29NWBK60161331926819"},
        "amount": {"constraint_type": "range", "max": 20}
    }
}"#;

async fn start(operator: &Person, tools: &[&str], scope: &str) -> Result<StartResponse, Status> {
    let request = StartRequest {
        user: "alice".to_owned(),
        agent: AGENT.to_owned(),
        tools: tools.iter().map(ToString::to_string).collect(),
        named: vec![NAMED.to_owned()],
        environment: "production".to_owned(),
        expires_in_ms: 60_000,
        idempotency_key: format!("{tools:?} {}", scope.len()),
        scope: scope.to_owned(),
        ..Default::default()
    };
    Ok(operator.tasks().start(request).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcer_lets_through_what_the_scope_allows_and_nothing_beside() {
    let world = World::start().await.unwrap();
    let enforcer = world.enforcer("edge", AGENT).await.unwrap();
    let generation = Generation(world.push(&payments().unwrap()).await.unwrap());
    let decides = enforcer.wait_until(|status| status.decides_by(generation), WAIT_MAX);
    decides.await.unwrap();
    let operator = world.operator().await.unwrap();
    let task = start(&operator, &["bank/set_note"], SCOPE).await.unwrap();
    let pay = |recipient: &str, amount: &str| format!(r#"{{"recipient":"{recipient}","amount":{amount}}}"#);
    let cases = [
        ("bank/get_balance", "{}".to_owned(), Verdict::Permit, ""),
        ("bank/send_money", pay(NAMED, "20.00"), Verdict::Permit, ""),
        (
            "bank/set_note",
            r#"{"transaction":1,"text":"a"}"#.to_owned(),
            Verdict::Permit,
            "",
        ),
        // The rules would permit each of these: it is the task that does not.
        (
            "bank/send_money",
            pay(NAMED, "20.01"),
            Verdict::Deny,
            "`amount` of `bank/send_money`",
        ),
        (
            "bank/send_money",
            pay("US133", "10"),
            Verdict::Deny,
            "`recipient` of `bank/send_money`",
        ),
        (
            "bank/send_money",
            format!(r#"{{"recipient":"{NAMED}"}}"#),
            Verdict::Deny,
            "with an argument `amount`",
        ),
        (
            "bank/send_money",
            format!(r#"{{"recipient":"{NAMED}","amount":1,"memo":"now"}}"#),
            Verdict::Deny,
            "with an argument `memo`",
        ),
    ];
    for (tool, arguments, verdict, reason) in cases {
        let request = Request::new(&task.grant, tool, arguments.as_bytes());
        let answer = enforcer.gate().authorize(request).await.unwrap();
        let decided = answer.decided();
        assert_eq!(
            answer.verdict(),
            verdict,
            "{tool} {arguments}: {}",
            decided.reason
        );
        if verdict == Verdict::Deny {
            assert_eq!(decided.cause, Cause::OutOfScope, "{tool} {arguments}");
            assert!(decided.reason.contains(reason), "{}", decided.reason);
            assert!(
                !decided.reason.contains("US133"),
                "no value of an argument stands in a reason"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_is_shown_whole_and_a_bad_one_starts_nothing() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    let task = start(&operator, &[], SCOPE).await.unwrap().task.unwrap();
    assert_eq!(task.tools, ["bank/get_balance", "bank/send_money"]);
    let request = ShowRequest {
        task_id: task.task_id,
    };
    let shown = operator.tasks().show(request).await.unwrap().into_inner();
    assert_eq!(shown.task.unwrap().scope, task.scope);
    assert!(task.scope.contains("GB29NWBK60161331926819"));
    for (tools, scope, wrong) in [
        (&[][..], "", "at least one tool"),
        (&[], "{}", "at least one tool"),
        (&["bank/send_money"], SCOPE, "named twice"),
        (
            &[],
            r#"{"bank/pay": {"amount": {"constraint_type": "sensible"}}}"#,
            "`sensible` is not a constraint type",
        ),
        (&[], r#"{"bank/pay": {}, "bank/pay": {}}"#, "read in one way"),
    ] {
        let refused = start(&operator, tools, scope).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{scope}");
        assert!(refused.message().contains(wrong), "{}", refused.message());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_grant_no_enforcer_would_read_is_not_started() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    let request = StartRequest {
        user: "alice".to_owned(),
        agent: AGENT.to_owned(),
        tools: vec!["bank/*".to_owned()],
        named: (0..100).map(|at| format!("{at}{}", "x".repeat(1_000))).collect(),
        expires_in_ms: 60_000,
        idempotency_key: "long".to_owned(),
        ..Default::default()
    };
    let refused = operator.tasks().start(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(
        refused.message().contains("fewer or shorter values"),
        "{}",
        refused.message()
    );
    let mut tasks = operator.tasks();
    let listed = tasks.list(ListRequest::default()).await.unwrap().into_inner();
    assert!(listed.tasks.is_empty());
}
