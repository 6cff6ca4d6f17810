//! Calls that nobody was asked about count when their records come home.

use checkrein_proto::task::v1::Ledger;
use checkrein_shared::SystemClock;
use checkrein_shared::decision::{Decision, Mode, Tier, Verdict};
use checkrein_shared::id::{InstanceId, TaskId};
use checkrein_shared::policy::Reversibility;
use tokio::task::JoinSet;

use super::{LOOK, PAY, confirm, ledger, release, used};
use crate::flows::asking::{AGENT, Asking};
use crate::flows::task::home::{Home, call};

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_call_counts_once_and_the_ledger_changes_only_with_what_is_new() {
    let scene = Asking::set().await;
    let task = &*scene.task.task_id;
    let mut home = Home::open(&scene).await;
    home.bring([call(task, LOOK), call(task, LOOK), call(task, "bank/more")])
        .await;
    let first = ledger(&scene).await;
    assert_eq!(used(&first), [(LOOK, 2), ("bank/more", 1)]);
    assert_eq!((first.calls, first.reversibility, first.revision), (3, 1, 1));
    let now_ms = first.used[0].last_used_unix_ms;
    assert!(
        now_ms < call(task, LOOK).decided_ms,
        "no enforcer's clock says when now is"
    );

    home.bring([call(task, LOOK)]).await;
    let second = ledger(&scene).await;
    assert_eq!(
        (second.calls, second.revision),
        (4, 1),
        "no rule can tell but by counting"
    );
    home.bring([Decision {
        reversibility: Some(Reversibility::Reversible),
        ..call(task, LOOK)
    }])
    .await;
    let third = ledger(&scene).await;
    assert_eq!((third.calls, third.reversibility, third.revision), (5, 2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_let_through_or_was_counted_before_counts_nothing() {
    let scene = Asking::set().await;
    let task = &*scene.task.task_id;
    let mut home = Home::open(&scene).await;
    let stranger = TaskId::new(&SystemClock).to_string();
    home.bring([
        Decision {
            tier: Tier::Full,
            ..call(task, PAY)
        },
        Decision {
            verdict: Verdict::Deny,
            ..call(task, PAY)
        },
        Decision {
            verdict: Verdict::Hold,
            ..call(task, PAY)
        },
        Decision {
            mode: Mode::Observe,
            ..call(task, PAY)
        },
        Decision {
            task: None,
            ..call(task, PAY)
        },
        call(&stranger, PAY),
    ])
    .await;
    assert_eq!(ledger(&scene).await, Ledger::default());

    // A light-tier call whose task has a budget is confirmed, and recorded as well.
    let mut confirmed = release(&scene, 1, LOOK, 1);
    let recorded = call(task, LOOK);
    confirmed.use_id = recorded.id.uuid().to_string();
    confirm(&scene, confirmed).await;
    // An action that people approved was counted with the approval.
    let hold = scene.held("call", "US13").await;
    scene.approve(&hold).await.unwrap();
    scene.consume(scene.consume_request(&hold)).await.unwrap();
    let approved = Decision {
        hold: Some(hold.hold_id.parse().unwrap()),
        ..call(task, PAY)
    };
    home.bring([recorded, approved]).await;
    assert_eq!(used(&ledger(&scene).await), [(LOOK, 1), (PAY, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_of_a_tool_keeps_its_record_out() {
    let scene = Asking::set().await;
    let mut home = Home::open(&scene).await;
    let names = ["nul\0nul", "", &"\u{e9}".repeat(3_000)];
    home.bring(names.map(|name| call(&scene.task.task_id, name)))
        .await;
    assert_eq!(ledger(&scene).await.calls, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn journals_that_come_home_at_once_with_the_same_tasks_and_releases_in_them_all_count() {
    let scene = Asking::set().await;
    let other = scene
        .operator
        .start("alice", AGENT, &["bank/*"], &[])
        .await
        .unwrap();
    let other = other.task.unwrap().task_id;
    let one = scene.task.task_id.clone();
    let mut under_way = JoinSet::new();
    for (number, tasks) in [[&one, &other], [&other, &one]]
        .into_iter()
        .cycle()
        .take(4)
        .enumerate()
    {
        let mut home = Home::open_from(&scene.world, "edge", InstanceId::new(&SystemClock)).await;
        let tasks = tasks.map(Clone::clone);
        under_way.spawn(async move {
            for _ in 0..10 {
                home.bring(tasks.each_ref().map(|task| call(task, LOOK))).await;
            }
        });
        let releases: Vec<_> = (0..10)
            .map(|last| release(&scene, u16::try_from(number * 10 + last).unwrap(), PAY, 4))
            .collect();
        let mut tasks = scene.edge.tasks();
        under_way.spawn(async move {
            for release in releases {
                assert!(
                    tasks
                        .confirm(release)
                        .await
                        .unwrap()
                        .into_inner()
                        .ledger
                        .is_some()
                );
            }
        });
    }
    under_way.join_all().await;
    assert_eq!(used(&ledger(&scene).await), [(LOOK, 40), (PAY, 40)]);
    let of_other = "SELECT times FROM task_tool WHERE task_id = (SELECT id FROM task WHERE id <> $1)";
    let id: TaskId = one.parse().unwrap();
    let row = scene
        .sql()
        .await
        .query_one(of_other, &[&id.uuid()])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 40);
}
