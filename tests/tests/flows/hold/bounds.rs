//! What holds may cost: pages, names and the log of steps are bounded, by bytes where agents write the bytes.

use std::collections::BTreeSet;

use checkrein_control_plane::hold;
use checkrein_proto::hold::v1::{ListRequest, OpenRequest};
use checkrein_shared::action::{ActionIdentity, MaskedArguments};
use tonic::Code;

use crate::flows::asking::{Asking, open};

#[tokio::test(flavor = "multi_thread")]
async fn holds_with_large_arguments_come_in_pages_that_any_client_decodes() {
    let scene = Asking::set().await;
    let mut opened = BTreeSet::new();
    for call in ["one", "two", "three", "four", "five"] {
        let mut request = open(&scene.started, call, call);
        let mut action = ActionIdentity::try_from(request.action.unwrap()).unwrap();
        action.arguments = MaskedArguments(format!(r#"{{"note":"{}"}}"#, "x".repeat(1_000_000)));
        request.action = Some((&action).into());
        opened.insert(scene.opened(request).await.hold_id);
    }
    let (mut listed, mut token) = (BTreeSet::new(), String::new());
    loop {
        let request = ListRequest {
            page_size: 1_000,
            page_token: token,
            ..ListRequest::default()
        };
        let page = scene.operator.holds().list(request).await.unwrap().into_inner();
        listed.extend(page.holds.into_iter().map(|hold| hold.hold_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, opened);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_to_be_kept_is_refused_by_its_name() {
    let scene = Asking::set().await;
    let long = || "x".repeat(100_000);
    let request = || open(&scene.started, "call", "US13");
    let mut rule = request();
    rule.requirements[0].rule = long();
    let mut group = request();
    group.requirements[0].group = long();
    let cases = [
        (
            "call_id",
            OpenRequest {
                call_id: long(),
                ..request()
            },
        ),
        (
            "intent",
            OpenRequest {
                intent: long(),
                ..request()
            },
        ),
        (
            "environment",
            OpenRequest {
                environment: long(),
                ..request()
            },
        ),
        (
            "reason",
            OpenRequest {
                reason: long(),
                ..request()
            },
        ),
        ("requirements.rule", rule),
        ("requirements.group", group),
    ];
    for (field, request) in cases {
        let refused = scene.edge.holds().open(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}: {refused:?}");
        assert!(
            refused.message().starts_with(&format!("{field}: ")),
            "{refused:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_no_stream_could_ask_for_are_deleted_and_the_newest_stay() {
    let scene = Asking::set().await;
    scene.held("call", "US13").await;
    let sql = scene.sql().await;
    sql.batch_execute(
        "INSERT INTO hold_event (revision, hold_id, enforcer, state, version, reason)
         SELECT revision, id, enforcer, state, version, '' FROM hold, generate_series(2, 5000) AS revision;
         UPDATE revision SET value = 5000 WHERE feed = 'hold'",
    )
    .await
    .unwrap();
    let deleted = hold::forget_events(&scene.world.database().unwrap())
        .await
        .unwrap();
    let left = "SELECT min(revision), max(revision), count(*) FROM hold_event";
    let left = sql.query_one(left, &[]).await.unwrap();
    let left: (i64, i64, i64) = (left.get(0), left.get(1), left.get(2));
    assert_eq!((deleted, left), (904, (905, 5_000, 4_096)));
    // Nobody who follows misses a step.
    let next = scene.held("other", "GB29").await;
    scene.approve(&next).await.unwrap();
}
