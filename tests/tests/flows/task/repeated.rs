//! A key makes one request safe to repeat; it does not stand for another.

use checkrein_proto::task::v1::{DataScope, Limits, ListRequest, StartRequest};
use checkrein_tests::World;
use tonic::Code;

use super::AGENT;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_started_a_task_is_refused_for_one_with_other_values() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    let start = || StartRequest {
        budgets: Vec::new(),
        holder_key: String::new(),
        user: "alice".to_owned(),
        agent: AGENT.to_owned(),
        tools: vec!["bank/*".to_owned()],
        named: vec!["US13".to_owned()],
        intent: "pay the rent".to_owned(),
        environment: "production".to_owned(),
        expires_in_ms: 60_000,
        idempotency_key: "once".to_owned(),
        scope: String::new(),
        limits: None,
        data: None,
    };
    let once = operator.tasks().start(start()).await.unwrap().into_inner();
    let others = [
        StartRequest {
            limits: Some(Limits {
                calls: Some(1),
                ..Limits::default()
            }),
            ..start()
        },
        StartRequest {
            data: Some(DataScope::default()),
            ..start()
        },
        StartRequest {
            user: "bob".to_owned(),
            ..start()
        },
        StartRequest {
            agent: "spiffe://acme.example/agent/other".to_owned(),
            ..start()
        },
        StartRequest {
            tools: vec!["bank/get_balance".to_owned()],
            ..start()
        },
        StartRequest {
            tools: Vec::new(),
            scope: r#"{"bank/*": {"account": {"constraint_type": "exact", "value": "US13"}}}"#.to_owned(),
            ..start()
        },
        StartRequest {
            named: Vec::new(),
            ..start()
        },
        StartRequest {
            intent: "pay".to_owned(),
            ..start()
        },
        StartRequest {
            environment: "staging".to_owned(),
            ..start()
        },
        StartRequest {
            expires_in_ms: 60_001,
            ..start()
        },
    ];
    for other in others {
        let refused = operator.tasks().start(other).await.unwrap_err();
        assert_eq!(refused.code(), Code::AlreadyExists, "{refused:?}");
        assert!(refused.message().contains("use a new key"), "{refused:?}");
    }
    let again = operator.tasks().start(start()).await.unwrap().into_inner();
    assert_eq!(once, again);
    let listed = operator.tasks().list(ListRequest::default()).await.unwrap();
    assert_eq!(listed.into_inner().tasks.len(), 1);
}
