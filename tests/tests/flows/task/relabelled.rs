//! What a call brings whose enforcer had not heard that its label was lifted is there again when its record comes home.

use std::collections::BTreeSet;
use std::time::Duration;

use checkrein_proto::task::v1::{DeclassifyRequest, ShowRequest, TaskLabel};
use checkrein_shared::decision::{Decision, Mode, Tier, Verdict};
use checkrein_shared::grant::CLOCK_SKEW_MS;
use checkrein_shared::id::{DecisionId, TaskId};
use checkrein_shared::ledger::LEDGER_LABELS_MAX;
use checkrein_shared::{Clock, SystemClock};
use checkrein_tests::fresh_key;

use super::home::{Home, call};
use super::ledger::{LOOK, PAY, ledger, note, noting};
use crate::flows::asking::{AGENT, Asking};

/// A minute is more than clocks are apart.
const LONG_MS: u64 = 60_000;
const _: () = assert!(LONG_MS > CLOCK_SKEW_MS);

/// A call that yields personal data, decided so long after now by its enforcer's clock.
fn look(scene: &Asking, ms_from_now: i64) -> Decision {
    Decision {
        decided_ms: SystemClock.wall_ms().saturating_add_signed(ms_from_now),
        yields: labels(&["pii"]),
        ..call(&scene.task.task_id, LOOK)
    }
}

fn labels(words: &[&str]) -> BTreeSet<checkrein_shared::label::Label> {
    words.iter().map(|word| word.parse().unwrap()).collect()
}

/// The task carries `pii` because of a call, and a person lifts it. Gives the call.
async fn lifted(scene: &Asking) -> DecisionId {
    let noted = noting(scene, &["pii"]);
    let id = noted.decision_id.parse().unwrap();
    note(scene, noted).await.unwrap();
    lift(scene).await;
    id
}

async fn lift(scene: &Asking) {
    let request = DeclassifyRequest {
        task_id: scene.task.task_id.clone(),
        labels: vec!["pii".to_owned()],
        reason: "only test customers".to_owned(),
        idempotency_key: fresh_key(),
    };
    let bob = scene.world.approver("bob").await.unwrap();
    bob.tasks().declassify(request).await.unwrap();
}

async fn carried(scene: &Asking) -> Vec<TaskLabel> {
    let task_id = scene.task.task_id.clone();
    let shown = scene.operator.tasks().show(ShowRequest { task_id }).await;
    shown.unwrap().into_inner().task.unwrap().labels
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_after_a_label_was_lifted_brings_it_again_when_its_record_comes_home() {
    let scene = Asking::set().await;
    lifted(&scene).await;
    let before = ledger(&scene).await;
    assert!(before.labels.is_empty());
    let mut home = Home::open(&scene).await;
    let (first, second) = (look(&scene, 1_000), look(&scene, 2_000));
    home.bring([second, first.clone()]).await;
    let after = ledger(&scene).await;
    assert_eq!(after.labels, ["pii"]);
    assert!(after.revision > before.revision, "views of it are told");
    let [label] = &carried(&scene).await[..] else {
        panic!("one")
    };
    let because = (&*label.decision_id, &*label.tool, &*label.agent, &*label.enforcer);
    assert_eq!(because, (&*first.id.to_string(), LOOK, AGENT, "edge"));

    // Lifted again by somebody who sees it, it is brought again only by what was let through since.
    lift(&scene).await;
    home.bring([look(&scene, 0 - i64::try_from(LONG_MS).unwrap())])
        .await;
    assert!(ledger(&scene).await.labels.is_empty());
    home.bring([look(&scene, 3_000)]).await;
    assert_eq!(ledger(&scene).await.labels, ["pii"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_known_when_its_label_was_lifted_does_not_bring_it_again() {
    let scene = Asking::set().await;
    let known = lifted(&scene).await;
    let mut home = Home::open(&scene).await;
    let long = i64::try_from(LONG_MS).unwrap();
    home.bring([
        Decision {
            id: known,
            ..look(&scene, 0)
        },
        look(&scene, -long),
    ])
    .await;
    assert!(ledger(&scene).await.labels.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn within_what_clocks_are_apart_a_call_counts_as_one_after_the_label_was_lifted() {
    let scene = Asking::set().await;
    lifted(&scene).await;
    let mut home = Home::open(&scene).await;
    let almost = Duration::from_millis(CLOCK_SKEW_MS - 10_000);
    home.bring([look(&scene, -i64::try_from(almost.as_millis()).unwrap())])
        .await;
    assert_eq!(ledger(&scene).await.labels, ["pii"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_its_tier_a_call_brings_its_labels_and_one_that_was_not_made_brings_none() {
    let scene = Asking::set().await;
    let mut home = Home::open(&scene).await;
    let stranger = TaskId::new(&SystemClock);
    let not_made = [
        Decision {
            verdict: Verdict::Deny,
            ..look(&scene, 0)
        },
        Decision {
            verdict: Verdict::Hold,
            ..look(&scene, 0)
        },
        Decision {
            mode: Mode::Observe,
            ..look(&scene, 0)
        },
        Decision {
            task: None,
            ..look(&scene, 0)
        },
        Decision {
            task: Some(stranger),
            ..look(&scene, 0)
        },
    ];
    home.bring(not_made).await;
    assert!(ledger(&scene).await.labels.is_empty());
    home.bring([Decision {
        tier: Tier::Full,
        tool: PAY.to_owned(),
        yields: labels(&["finance", "pii"]),
        ..look(&scene, 0)
    }])
    .await;
    assert_eq!(ledger(&scene).await.labels, ["finance", "pii"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_task_with_more_labels_than_a_ledger_holds_no_ledger_is_given() {
    let scene = Asking::set().await;
    let words: Vec<String> = (0..LEDGER_LABELS_MAX).map(|n| format!("label_{n}")).collect();
    let all: Vec<&str> = words.iter().map(|word| &**word).collect();
    note(&scene, noting(&scene, &all)).await.unwrap();
    let mut home = Home::open(&scene).await;
    home.bring([look(&scene, 0)]).await;
    let refused = note(&scene, noting(&scene, &[])).await.unwrap();
    assert_eq!(
        (refused.ledger, &*refused.refused_cause),
        (None, "ledger_unknown")
    );
    assert_eq!(carried(&scene).await.len(), LEDGER_LABELS_MAX + 1);
}
