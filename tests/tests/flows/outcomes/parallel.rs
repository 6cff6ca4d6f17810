//! Many calls at once, on several enforcers: nothing is sent after it was read, and nothing is refused that would have been right.

mod seeded;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn of_many_sends_at_once_exactly_as_many_go_as_a_rule_about_the_ledger_allows() {
    let scene = Scene::set().await;
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let (gate, call) = (scene.sender.gate(), call(&scene.grants.1, SEND));
        calls.spawn(async move { gate.authorize(call).await.unwrap() });
    }
    let answers = calls.join_all().await;
    let sent = answers
        .iter()
        .filter(|answer| answer.verdict() == Verdict::Permit)
        .count();
    assert_eq!(sent, 3, "{answers:?}");
    for answer in answers
        .iter()
        .filter(|answer| answer.verdict() != Verdict::Permit)
    {
        assert_eq!(denied(answer), (Cause::Forbidden, &["thrice".to_owned()][..]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mail_that_is_asked_for_after_customers_were_read_goes_without_people() {
    let scene = Arc::new(Scene::set().await);
    for round in 0..10 {
        let (grants, _) = start(&scene.world, &scene.operator).await;
        let was_read = Arc::new(AtomicBool::new(false));
        let mut calls = JoinSet::new();
        for at in 0..8 {
            let (scene, grants, was_read) = (Arc::clone(&scene), grants.clone(), Arc::clone(&was_read));
            calls.spawn(async move {
                if at % 4 == round % 4 {
                    let read = scene
                        .reader
                        .gate()
                        .authorize(call(&grants.0, CUSTOMER))
                        .await
                        .unwrap();
                    let read = permitted(read);
                    was_read.store(true, Ordering::SeqCst);
                    done(read).await;
                    return;
                }
                let known_before = was_read.load(Ordering::SeqCst);
                let sent = scene
                    .sender
                    .gate()
                    .authorize(call(&grants.1, SEND))
                    .await
                    .unwrap();
                assert!(
                    !(known_before && sent.verdict() == Verdict::Permit),
                    "asked for after the read was answered"
                );
            });
        }
        calls.join_all().await;
        let after = scene
            .sender
            .gate()
            .authorize(call(&grants.1, SEND))
            .await
            .unwrap();
        assert_ne!(after.verdict(), Verdict::Permit);
    }
}
