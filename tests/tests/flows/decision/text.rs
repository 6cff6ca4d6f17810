//! Text that Postgres can't hold keeps no record out, and is told to whoever typed it.

use std::collections::BTreeSet;

use checkrein_control_plane::decision::{Batch, Decisions, Journal};
use checkrein_proto::decision::v1::SearchRequest;
use checkrein_proto::fleet::v1 as fleet;
use checkrein_proto::hold::v1::OpenRequest;
use checkrein_proto::policy::v1 as policy;
use checkrein_proto::task::v1::{ListRequest, StartRequest};
use checkrein_shared::SystemClock;
use checkrein_shared::action::MaskedArguments;
use checkrein_shared::decision::{Cause, Decision, Mode, Record, Tier, Verdict};
use checkrein_shared::id::{DecisionId, Generation, InstanceId};
use checkrein_shared::identity::Role;
use checkrein_tests::World;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::AGENT;

/// A record of an enforcer that checks nothing.
fn record(text: &str) -> Vec<u8> {
    let decision = Decision {
        delegated_by: Vec::new(),
        ledger: None,
        yields: BTreeSet::new(),
        reversibility: None,
        release: None,
        drawn: None,
        id: DecisionId::new(&SystemClock),
        decided_ms: 1,
        agent: AGENT.parse().unwrap(),
        agent_asserted: true,
        user: text.to_owned(),
        task: None,
        grant: None,
        call_id: text.to_owned(),
        tool: text.to_owned(),
        arguments: MaskedArguments(text.to_owned()),
        action: None,
        tier: Tier::Full,
        verdict: Verdict::Deny,
        cause: Cause::UnknownTool,
        reason: text.to_owned(),
        rules: vec![text.to_owned(), text.to_owned()],
        mode: Mode::Enforce,
        epoch: 1,
        generation: Generation(1),
        revocation_sequence: 0,
        policy_age_ms: 0,
        hold: None,
        environment: text.to_owned(),
        intent: text.to_owned(),
    };
    Record::Decision(Box::new(decision)).encode()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_with_nul_in_every_text_is_stored_as_it_is_and_its_chain_goes_on() {
    let world = World::start().await.unwrap();
    world.register("edge", &[], &[AGENT]).await.unwrap();
    let decisions = Decisions::new(world.database().unwrap(), CancellationToken::new());
    let journal = Journal {
        enforcer: "edge".to_owned(),
        instance: InstanceId::new(&SystemClock),
        incarnation: 1,
    };
    let mut before = decisions.open(&journal, None).await.unwrap();
    let sent = [record("x\0"), record("ordinary")];
    for bytes in &sent {
        let batch = Batch {
            before,
            records: vec![bytes.clone().into()],
        };
        let after = decisions.append(&journal, &batch).await.unwrap();
        assert_eq!(after, before.extend(bytes));
        before = after;
    }
    let read = "SELECT record, tool FROM decision ORDER BY sequence";
    let rows = world.sql().await.unwrap().query(read, &[]).await.unwrap();
    let stored: Vec<Vec<u8>> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(stored, sent);
    assert_eq!(rows[0].get::<_, &str>(1), "x\u{fffd}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nul_in_a_request_is_an_invalid_argument_that_names_its_field() {
    let world = World::start().await.unwrap();
    world.register("edge", &[], &[AGENT]).await.unwrap();
    let operator = world.operator().await.unwrap();
    let nul = || "x\0".to_owned();
    let start = || StartRequest {
        user: "alice".to_owned(),
        agent: AGENT.to_owned(),
        tools: vec!["bank/*".to_owned()],
        environment: "production".to_owned(),
        expires_in_ms: 60_000,
        idempotency_key: checkrein_tests::fresh_key(),
        ..StartRequest::default()
    };
    let starts = [
        (
            "user",
            StartRequest {
                user: nul(),
                ..start()
            },
        ),
        (
            "tools",
            StartRequest {
                tools: vec!["bank/x\0".to_owned()],
                ..start()
            },
        ),
        (
            "named",
            StartRequest {
                named: vec![nul()],
                ..start()
            },
        ),
        (
            "intent",
            StartRequest {
                intent: nul(),
                ..start()
            },
        ),
        (
            "environment",
            StartRequest {
                environment: nul(),
                ..start()
            },
        ),
        (
            "idempotency_key",
            StartRequest {
                idempotency_key: nul(),
                ..start()
            },
        ),
    ];
    for (field, request) in starts {
        names(field, &operator.tasks().start(request).await.unwrap_err());
    }
    let list = ListRequest {
        agent: nul(),
        ..ListRequest::default()
    };
    names("agent", &operator.tasks().list(list).await.unwrap_err());
    let search = SearchRequest {
        rule: nul(),
        ..SearchRequest::default()
    };
    names("rule", &operator.decisions().search(search).await.unwrap_err());
    let pack = policy::ListRequest {
        pack: nul(),
        ..policy::ListRequest::default()
    };
    names("pack", &operator.policies().list(pack).await.unwrap_err());
    let show = fleet::ShowRequest { name: nul() };
    names("name", &operator.fleet().show(show).await.unwrap_err());
    let register = fleet::RegisterRequest {
        name: "other".to_owned(),
        labels: vec!["team=x\0".to_owned()],
        idempotency_key: checkrein_tests::fresh_key(),
        ..fleet::RegisterRequest::default()
    };
    names("labels", &operator.fleet().register(register).await.unwrap_err());

    let edge = world.person(Role::Enforcer, "edge", 0).await.unwrap();
    let started = operator.tasks().start(start()).await.unwrap().into_inner();
    let open = || crate::flows::asking::open(&started, "call", "US13");
    let opens = [
        (
            "call_id",
            OpenRequest {
                call_id: nul(),
                ..open()
            },
        ),
        (
            "environment",
            OpenRequest {
                environment: nul(),
                ..open()
            },
        ),
        (
            "intent",
            OpenRequest {
                intent: nul(),
                ..open()
            },
        ),
        (
            "reason",
            OpenRequest {
                reason: nul(),
                ..open()
            },
        ),
    ];
    for (field, request) in opens {
        names(field, &edge.holds().open(request).await.unwrap_err());
    }
    let mut request = open();
    request.requirements[0].group = nul();
    names(
        "requirements.group",
        &edge.holds().open(request).await.unwrap_err(),
    );
}

fn names(field: &str, refused: &Status) {
    assert_eq!(refused.code(), Code::InvalidArgument, "{field}: {refused:?}");
    assert!(
        refused.message().starts_with(&format!("{field}: ")),
        "{field}: {refused:?}"
    );
}
