//! What the page for programs shows, typed as it stands there, by a client that knows nothing of us but the contract.

use std::path::Path;
use std::process::Output;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use checkrein_proto::hold::v1::{Hold, State};
use checkrein_shared::identity::Role;
use checkrein_tests::{WAIT_MAX, installed};
use tokio::process::Command;
use tokio::time::timeout;

use crate::flows::asking::Asking;

const PAGE: &str = include_str!("../../../../docs/hold-service.md");
/// The hold that the page speaks of, and where it says that things are.
const HOLD: &str = "hold_0193f1c2a4b87d3e9f00a1b2c3d4e5f6";
const CONTROL_PLANE: &str = "https://localhost:7443";
const IDENTITY: &str = "approver-bob";

/// Every fence of the page that a shell runs, one after the other.
fn shown() -> String {
    let fences = PAGE.split("```sh\n").skip(1);
    fences.map(|fence| fence.split_once("```").unwrap().0).collect()
}

/// Types what the page shows, and then something else, as bob and about this hold.
async fn types(scene: &Asking, hold: &Hold, and_then: &str) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap();
    let tools = installed("bin").unwrap();
    let config = scene.world.client_config(Role::Approver, "bob").unwrap();
    let directory = config.parent().unwrap();
    let proto = directory.join("proto");
    if !proto.exists() {
        std::os::unix::fs::symlink(root.join("proto"), proto).unwrap();
    }
    let script = format!("{}{and_then}", shown())
        .replace(HOLD, &hold.hold_id)
        .replace(CONTROL_PLANE, &format!("https://{}", scene.world.address(0)))
        .replace(IDENTITY, &directory.display().to_string());
    let path = std::env::join_paths(
        std::iter::once(tools).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let typed = Command::new("bash")
        .args(["-eu", "-o", "pipefail", "-c", &script])
        .current_dir(directory)
        .env("PATH", path.unwrap())
        .kill_on_drop(true)
        .output();
    timeout(WAIT_MAX, typed).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_page_for_programs_shows_lists_reads_and_answers_a_hold() {
    let scene = Asking::set().await;
    let hold = scene.held("call", "US13").await;
    let typed = types(&scene, &hold, "").await;
    let (said, trouble) = (
        String::from_utf8(typed.stdout).unwrap(),
        String::from_utf8(typed.stderr).unwrap(),
    );
    assert!(typed.status.success(), "{trouble}");
    let arguments = hold.action.as_ref().unwrap().arguments.clone();
    assert!(
        said.contains(&String::from_utf8(arguments.to_vec()).unwrap()),
        "{said}"
    );
    let stands = scene.shown(&hold).await;
    assert_eq!(stands.state(), State::Approved);
    assert_eq!(stands.votes[0].approver, "spiffe://acme.example/approver/bob");

    let again = types(&scene, &hold, "").await;
    assert!(again.status.success(), "the same key is the same vote");
    assert_eq!(scene.shown(&hold).await.version, stands.version);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_page_says_is_refused_is_refused_by_the_reason_that_it_names() {
    let scene = Asking::set().await;
    let (hold, other) = (
        scene.held("call", "US13").await,
        scene.held("other", "US14").await,
    );
    let vote = format!(
        "call Vote '{{\"holdId\": \"{}\", \"approve\": true, \"actionSha256\": \"'\"$SHOWN\"'\", \"idempotencyKey\": \"ticket-4712\"}}'",
        other.hold_id
    );
    let typed = types(&scene, &hold, &vote).await;
    assert!(!typed.status.success());
    let refused: serde_json::Value = serde_json::from_slice(&typed.stderr).unwrap();
    let detail = refused["details"][0]["value"].as_str().unwrap();
    let detail = STANDARD_NO_PAD.decode(detail.trim_end_matches('=')).unwrap();
    let named = String::from_utf8_lossy(&detail).into_owned();
    assert!(
        named.contains("OTHER_BYTES") && PAGE.contains("`OTHER_BYTES`"),
        "{refused}"
    );
    assert_eq!(scene.state(&other).await, State::Open);
}
