//! The demo: the binary as it is, and what its object promises.

use std::time::Duration;

use checkrein_tests::Binaries;
use serde_json::Value;
use tokio::time::timeout;

/// Longer than it may take on a busy machine, in debug.
const DEMO_MAX: Duration = Duration::from_mins(4);

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shows_every_verdict_and_loses_nothing() {
    let mut demo = Binaries::build().await.unwrap().checkrein();
    demo.args(["demo", "--json"]).kill_on_drop(true);
    let played = timeout(DEMO_MAX, demo.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&played.stderr);
    assert!(played.status.success(), "{said}");
    let tally: Value = serde_json::from_slice(&played.stdout).unwrap();
    let count = |key: &str| {
        tally[key]
            .as_u64()
            .unwrap_or_else(|| panic!("no `{key}` in {tally}"))
    };
    for none in ["decisions_lost", "decisions_duplicated"] {
        assert_eq!(count(none), 0, "{none}: {tally}");
    }
    for some in [
        "permitted",
        "denied",
        "held",
        "released",
        "push_to_enforced_ms",
        "answered_while_control_plane_down",
        "denied_while_control_plane_down",
    ] {
        assert!(count(some) >= 1, "{some}: {tally}");
    }
    assert!(
        count("decisions_stored") >= count("decisions_answered"),
        "{tally}"
    );
    // The scenes go beside the object, not into it.
    assert!(said.contains("The control plane is killed"), "{said}");
}
