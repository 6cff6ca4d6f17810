//! The browser itself: it tells what is wrong with a page, and is gone when its test is.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use checkrein_tests::WAIT_MAX;
use serde_json::json;

use super::story::Story;

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_no_page_may_have_is_told_of_one_that_has_it_all() {
    let mut story = Story::begin("out_of_order", &json!({})).await;
    assert_eq!(
        story.saw("the page").await["ran"],
        false,
        "the policy let a script run"
    );
    story.finish().await;
    let told: BTreeSet<&str> = story
        .troubles
        .iter()
        .filter_map(|trouble| trouble["trouble"].as_str())
        .collect();
    let all = [
        "barrier",
        "console",
        "content security policy",
        "leaves the machine",
        "request",
        "script",
        "server",
        "wider than the screen",
    ];
    assert_eq!(told, BTreeSet::from(all), "{:#?}", story.troubles);
    let looks: Vec<&str> = story
        .looks
        .iter()
        .filter_map(|look| look["look"].as_str())
        .collect();
    assert_eq!(looks, ["light", "dark", "phone", "phone-dark"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_gone_when_its_test_is_over_or_killed() {
    // What the end of a process does to it: its end of the pipe is closed.
    let (mut story, browsers) = waiting().await;
    story.let_go();
    until_gone(browsers).await;

    // What a panic does, by dropping: the teller itself is killed, and can't close anything.
    let (story, browsers) = waiting().await;
    // A browser that is about to go may still write.
    let _profile = Arc::clone(&story.profile);
    drop(story);
    until_gone(browsers).await;
}

/// A story that waits, and every process of its browser.
async fn waiting() -> (Story, Vec<u32>) {
    let mut story = Story::begin("waiting", &json!({})).await;
    story.saw("it runs").await;
    let browsers = below(story.teller());
    assert!(
        browsers.len() > 1,
        "a browser is more than one process: {browsers:?}"
    );
    (story, browsers)
}

/// All that descends from a process.
fn below(process: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let children = children.split_whitespace().map(|id| id.parse().unwrap());
    children.flat_map(|id| [vec![id], below(id)].concat()).collect()
}

async fn until_gone(browsers: Vec<u32>) {
    let waiting = async {
        while browsers.iter().any(|id| runs(*id)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let gone = tokio::time::timeout(WAIT_MAX, waiting).await;
    assert!(gone.is_ok(), "still there: {browsers:?}");
}

/// Whether a process is there, and not only its name, for whoever started it to look at.
fn runs(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}
