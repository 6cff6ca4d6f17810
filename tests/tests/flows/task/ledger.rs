//! What a task has done is known to all of it: one ledger, however many ask at once.

mod recorded;
mod returned;

use std::collections::BTreeSet;

use checkrein_proto::hold::v1::ConsumeRequest;
use checkrein_proto::hold::v1::State as HoldState;
use checkrein_proto::hold::v1::consume_response::Result as Consuming;
use checkrein_proto::task::v1::{
    ConfirmRequest, ConfirmResponse, LabelSource, Ledger, NoteRequest, NoteResponse, UsedTool,
};
use checkrein_shared::SystemClock;
use checkrein_shared::id::DecisionId;
use checkrein_shared::identity::Role;
use checkrein_shared::ledger::{LEDGER_LABELS_MAX, LEDGER_TOOLS_MAX};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::flows::asking::Asking;

pub(super) const LOOK: &str = "bank/get_balance";
pub(super) const PAY: &str = "bank/send_money";

/// A call that brings labels, told by itself.
pub(super) fn noting(scene: &Asking, labels: &[&str]) -> NoteRequest {
    NoteRequest {
        task_id: scene.task.task_id.clone(),
        presented: scene.started.grant.clone(),
        labels: labels.iter().map(ToString::to_string).collect(),
        decision_id: DecisionId::new(&SystemClock).to_string(),
        tool: LOOK.to_owned(),
        source: LabelSource::Call.into(),
        ..NoteRequest::default()
    }
}

pub(super) async fn note(scene: &Asking, request: NoteRequest) -> Result<NoteResponse, Status> {
    let noted = scene.edge.tasks().note(request).await;
    noted.map(tonic::Response::into_inner)
}

/// The ledger as an enforcer reads it.
pub(super) async fn ledger(scene: &Asking) -> Ledger {
    let look = NoteRequest {
        decision_id: String::new(),
        source: LabelSource::Unspecified.into(),
        ..noting(scene, &[])
    };
    note(scene, look).await.unwrap().ledger.unwrap()
}

fn release(scene: &Asking, number: u16, tool: &str, reversibility: u32) -> ConfirmRequest {
    ConfirmRequest {
        task_id: scene.task.task_id.clone(),
        presented: scene.started.grant.clone(),
        generation: scene.generation,
        use_id: format!("0193f1c2-a4b8-7d3e-9f00-a1b2c3d4{number:04}"),
        tool: tool.to_owned(),
        reversibility,
        ..ConfirmRequest::default()
    }
}

async fn confirm(scene: &Asking, request: ConfirmRequest) -> ConfirmResponse {
    scene.edge.tasks().confirm(request).await.unwrap().into_inner()
}

/// How often which tool, as a ledger says it.
fn used(ledger: &Ledger) -> Vec<(&str, u64)> {
    let used = |used: &'_ UsedTool| -> u64 { used.times };
    ledger.used.iter().map(|tool| (&*tool.tool, used(tool))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_that_many_calls_bring_at_once_is_noted_once_with_the_call_that_was_first() {
    let scene = Asking::set().await;
    let noted = (0..20).map(|_| {
        let (request, mut tasks) = (noting(&scene, &["pii", "restricted"]), scene.edge.tasks());
        async move { tasks.note(request).await.unwrap().into_inner().ledger.unwrap() }
    });
    for ledger in noted.collect::<JoinSet<_>>().join_all().await {
        assert_eq!(
            (&*ledger.labels, ledger.revision),
            (&["pii".to_owned(), "restricted".to_owned()][..], 1)
        );
    }
    let more = note(&scene, noting(&scene, &["pii", "finance"])).await.unwrap();
    let more = more.ledger.unwrap();
    assert_eq!(
        (&*more.labels.join(","), more.revision),
        ("finance,pii,restricted", 2)
    );
    assert_eq!(ledger(&scene).await, more, "looking changes nothing");
    let rows = "SELECT count(*), count(DISTINCT decision_id) FROM task_label";
    let row = scene.sql().await.query_one(rows, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (3, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_over_brings_nothing_more_by_a_call_but_what_a_result_was_stays_known() {
    let scene = Asking::set().await;
    scene.operator.end(&scene.task.task_id).await.unwrap();
    let refused = note(&scene, noting(&scene, &["pii"])).await.unwrap();
    assert_eq!((refused.ledger, &*refused.refused_cause), (None, "task_ended"));
    assert_eq!(ledger(&scene).await, Ledger::default());
    let result = NoteRequest {
        source: LabelSource::Result.into(),
        ..noting(&scene, &["pii"])
    };
    let noted = note(&scene, result.clone()).await.unwrap();
    assert_eq!(noted.ledger.unwrap().labels, ["pii"]);

    // It must be this task's all the same, and an agent's that the enforcer may speak for.
    let forged = NoteRequest {
        presented: format!("{}x", scene.started.grant),
        labels: vec!["finance".to_owned()],
        ..result.clone()
    };
    let refused = note(&scene, forged).await.unwrap();
    assert_eq!((refused.ledger, &*refused.refused_cause), (None, "invalid_grant"));
    let other = ["spiffe://acme.example/agent/other"];
    scene.world.register("stranger", &[], &other).await.unwrap();
    let stranger = scene.world.person(Role::Enforcer, "stranger", 0).await.unwrap();
    for request in [result, noting(&scene, &[])] {
        let foreign = stranger.tasks().note(request).await.unwrap_err();
        assert_eq!(foreign.code(), Code::PermissionDenied);
    }
    assert_eq!(ledger(&scene).await.labels, ["pii"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_of_an_epoch_that_is_over_brings_nothing_by_a_call() {
    let scene = Asking::set().await;
    let amend = "UPDATE task SET epoch = 1, amended_at = now()";
    scene.sql().await.execute(amend, &[]).await.unwrap();
    let refused = note(&scene, noting(&scene, &["pii"])).await.unwrap();
    assert_eq!((refused.ledger, &*refused.refused_cause), (None, "task_amended"));
    assert_eq!(ledger(&scene).await, Ledger::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_carries_so_many_labels_and_one_more_is_refused_with_all_that_come_with_it() {
    let scene = Asking::set().await;
    let labels: Vec<String> = (0..LEDGER_LABELS_MAX).map(|n| format!("label_{n}")).collect();
    let all_but_one: Vec<&str> = labels.iter().skip(1).map(|label| &**label).collect();
    note(&scene, noting(&scene, &all_but_one))
        .await
        .unwrap()
        .ledger
        .unwrap();
    let refused = note(&scene, noting(&scene, &["one", "two"])).await.unwrap();
    assert_eq!(
        (refused.ledger, &*refused.refused_cause),
        (None, "label_unwritten")
    );
    assert_eq!(ledger(&scene).await.labels.len(), LEDGER_LABELS_MAX - 1);
    let last = note(&scene, noting(&scene, &["one", "label_7"])).await.unwrap();
    assert_eq!(last.ledger.unwrap().labels.len(), LEDGER_LABELS_MAX);
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_without_their_call_are_not_noted() {
    let scene = Asking::set().await;
    let good = noting(&scene, &["pii"]);
    let bad = [
        NoteRequest {
            source: 0,
            ..good.clone()
        },
        NoteRequest {
            decision_id: String::new(),
            ..good.clone()
        },
        NoteRequest {
            tool: String::new(),
            ..good.clone()
        },
        NoteRequest {
            tool: "t".repeat(257),
            ..good.clone()
        },
        NoteRequest {
            labels: vec!["PII".to_owned()],
            ..good.clone()
        },
        NoteRequest {
            labels: vec!["pii".to_owned(); 65],
            ..good.clone()
        },
    ];
    for request in bad {
        let refused = note(&scene, request.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{request:?}");
    }
    let unknown = NoteRequest {
        task_id: "task_0193f1c2a4b87d3e9f00a1b2c3d4e5f6".to_owned(),
        ..good
    };
    assert_eq!(note(&scene, unknown).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(ledger(&scene).await, Ledger::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_releases_that_are_confirmed_at_once_each_sees_all_that_went_before_it() {
    let scene = Asking::set().await;
    let asked = (0..16).map(|number| {
        let (request, mut tasks) = (release(&scene, number, PAY, 4), scene.edge.tasks());
        async move { tasks.confirm(request).await.unwrap().into_inner().ledger.unwrap() }
    });
    let seen = asked.collect::<JoinSet<_>>().join_all().await;
    let calls: BTreeSet<u64> = seen.iter().map(|ledger| ledger.calls).collect();
    assert_eq!(calls, (0..16).collect());
    for ledger in seen {
        let times = if ledger.calls == 0 {
            vec![]
        } else {
            vec![(PAY, ledger.calls)]
        };
        let class = if ledger.calls == 0 { 0 } else { 4 };
        assert_eq!((used(&ledger), ledger.reversibility), (times, class));
        assert_eq!(ledger.revision, ledger.calls);
    }
    assert_eq!(used(&ledger(&scene).await), [(PAY, 16)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_confirmed_again_counts_once_and_sees_what_it_saw() {
    let scene = Asking::set().await;
    confirm(&scene, release(&scene, 1, LOOK, 1)).await;
    let before = ledger(&scene).await;
    let first = confirm(&scene, release(&scene, 2, PAY, 4)).await.ledger.unwrap();
    let again = confirm(&scene, release(&scene, 2, PAY, 4)).await.ledger.unwrap();
    assert_eq!((&first, &again), (&before, &before));
    assert_eq!((used(&again), again.reversibility), (vec![(LOOK, 1)], 1));

    // Of a tool that was used before, it sees when that was.
    let before = ledger(&scene).await;
    for _ in 0..2 {
        let seen = confirm(&scene, release(&scene, 3, PAY, 4)).await.ledger.unwrap();
        assert_eq!((&seen.used, seen.calls), (&before.used, 2));
    }
    assert_eq!(used(&ledger(&scene).await), [(LOOK, 1), (PAY, 2)]);

    // What was written since it sees, and with itself it is as much as is written.
    let noted = note(&scene, noting(&scene, &["pii"]))
        .await
        .unwrap()
        .ledger
        .unwrap();
    let seen = confirm(&scene, release(&scene, 3, PAY, 4)).await.ledger.unwrap();
    assert_eq!(
        (seen.revision + 1, &*seen.labels.concat()),
        (noted.revision, "pii")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_go_ahead_is_not_counted_and_neither_is_what_names_no_tool() {
    let scene = Asking::set().await;
    let good = release(&scene, 1, PAY, 4);
    let not = [
        ConfirmRequest {
            generation: 0,
            ..good.clone()
        },
        ConfirmRequest {
            presented: String::new(),
            ..good.clone()
        },
        ConfirmRequest {
            use_id: String::new(),
            ..good.clone()
        },
    ];
    for request in not {
        assert_eq!(confirm(&scene, request).await.ledger, None);
    }
    let unnamed = ConfirmRequest {
        tool: String::new(),
        ..good.clone()
    };
    assert_eq!(confirm(&scene, unnamed).await.ledger, Some(Ledger::default()));
    scene.operator.end(&scene.task.task_id).await.unwrap();
    assert_eq!(confirm(&scene, release(&scene, 2, PAY, 4)).await.ledger, None);
    assert_eq!(ledger(&scene).await, Ledger::default());
    let beyond = ConfirmRequest {
        reversibility: 5,
        ..good
    };
    let refused = scene.edge.tasks().confirm(beyond).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_more_than_a_ledger_holds_is_not_released_and_a_ledger_that_forgot_one_is_none() {
    let scene = Asking::set().await;
    let sql = scene.sql().await;
    let fill = "INSERT INTO task_tool SELECT id, 'many/' || n, 1, 1, now(), now() FROM task, generate_series(1, $1) n";
    let tools_max = i32::try_from(LEDGER_TOOLS_MAX).unwrap();
    sql.execute(fill, &[&tools_max]).await.unwrap();
    let refused = confirm(&scene, release(&scene, 1, PAY, 4)).await;
    assert_eq!(
        (refused.ledger, &*refused.refused_cause),
        (None, "ledger_unknown")
    );
    let known = confirm(&scene, release(&scene, 2, "many/7", 1)).await;
    assert_eq!(known.ledger.unwrap().used.len(), LEDGER_TOOLS_MAX);

    let one_more = "INSERT INTO task_tool SELECT id, 'more/1', 1, 1, now(), now() FROM task";
    sql.execute(one_more, &[]).await.unwrap();
    for request in [noting(&scene, &[]), noting(&scene, &["pii"])] {
        let refused = note(&scene, request).await.unwrap();
        assert_eq!(
            (refused.ledger, &*refused.refused_cause),
            (None, "ledger_unknown")
        );
    }
    let refused = confirm(&scene, release(&scene, 3, "many/7", 1)).await;
    assert_eq!(
        (refused.ledger, &*refused.refused_cause),
        (None, "ledger_unknown")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_not_used_by_what_was_judged_before_the_task_did_more() {
    let scene = Asking::set().await;
    let hold = scene.held("call", "US13").await;
    scene.approve(&hold).await.unwrap();
    note(&scene, noting(&scene, &["pii"])).await.unwrap();
    let judged_by = |revision| ConsumeRequest {
        ledger_revision: revision,
        ..scene.consume_request(&hold)
    };
    let Consuming::Refresh(refresh) = scene.consume(judged_by(Some(0))).await.unwrap() else {
        panic!("not refreshed")
    };
    let news = refresh.ledger.unwrap();
    assert_eq!((refresh.generation, &*news.labels[0]), (scene.generation, "pii"));
    assert_eq!(scene.state(&hold).await, HoldState::Approved);
    assert_eq!(ledger(&scene).await.calls, 0, "nothing was released");

    let consumed = scene.consume(judged_by(Some(news.revision))).await.unwrap();
    assert!(matches!(consumed, Consuming::Consumed(_)), "{consumed:?}");
    let after = ledger(&scene).await;
    assert_eq!((used(&after), after.reversibility), (vec![(PAY, 1)], 4));

    // Of two approvals that were judged by the same ledger, one is used; the other sees the first.
    let mut holds = Vec::new();
    for call in ["one", "two"] {
        let hold = scene.held(call, call).await;
        scene.approve(&hold).await.unwrap();
        holds.push(hold);
    }
    let both = holds.iter().map(|hold| {
        let request = ConsumeRequest {
            ledger_revision: Some(after.revision),
            ..scene.consume_request(hold)
        };
        let mut holds = scene.edge.holds();
        async move { holds.consume(request).await.unwrap().into_inner().result.unwrap() }
    });
    let answers = both.collect::<JoinSet<_>>().join_all().await;
    let seen: Vec<_> = answers
        .iter()
        .filter_map(|answer| match answer {
            Consuming::Refresh(refresh) => refresh.ledger.as_ref().map(used),
            _ => None,
        })
        .collect();
    assert_eq!(seen, [vec![(PAY, 2)]], "{answers:?}");
}
