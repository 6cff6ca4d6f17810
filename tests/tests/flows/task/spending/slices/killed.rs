//! An enforcer that is killed while it holds a slice: when it is back on the same machine, what it did not draw is free again.

use checkrein_proto::decision::v1::{AuthorizeRequest, Verdict as WireVerdict};
use checkrein_tests::{Binaries, gate};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_enforcer_did_not_draw_is_free_when_its_journal_is_home() {
    let scene = Scene::set(&[]).await;
    let binaries = Binaries::build().await.unwrap();
    let directory = scene.world.register_sidecar("edge", AGENT).await.unwrap();
    let (grant, task) = tokens(&scene, "100000").await;
    let edge = binaries.enforcer(&directory).await.unwrap();
    let mut agent = gate(&directory.join("gate.sock")).await.unwrap();
    let asking = async {
        let mut permits = 0;
        while permits < 5 {
            let request = AuthorizeRequest {
                grant: grant.clone(),
                tool: ASK.to_owned(),
                arguments: br#"{"max_tokens":10}"#.to_vec().into(),
                ..AuthorizeRequest::default()
            };
            let answer = agent.authorize(request).await.unwrap().into_inner();
            // Until the first policy has come, the answer is a deny.
            permits += u32::from(answer.verdict() == WireVerdict::Permit);
        }
    };
    tokio::time::timeout(WAIT_MAX, asking).await.unwrap();
    edge.kill().await.unwrap();
    let _back = binaries.enforcer(&directory).await.unwrap();
    nothing_held(&scene).await;
    assert_eq!(
        used(&scene, &task).await,
        ["0", "0", "50"],
        "five calls, and no more"
    );
}
