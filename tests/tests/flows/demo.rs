//! The demo: the binary as it is, and what its object promises.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use checkrein_tests::{Binaries, WAIT_MAX};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::{sleep, timeout};

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
        "end_to_refused_ms",
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

/// A demo whose directories are made in `home`, in the middle of its work; and the rest of what it says.
async fn playing(home: &Path) -> (Child, BufReader<ChildStderr>) {
    let mut demo = Binaries::build().await.unwrap().checkrein();
    let mut demo = demo
        .args(["demo", "--json"])
        .env("TMPDIR", home)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(demo.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("An agent works") {
        line.clear();
        let read = timeout(WAIT_MAX, said.read_line(&mut line))
            .await
            .unwrap()
            .unwrap();
        assert!(read > 0, "it ended before it was at work");
    }
    (demo, said)
}

async fn send(signal: &str, demo: &Child) {
    let id = demo.id().unwrap().to_string();
    let sent = Command::new("kill")
        .args(["-s", signal, &id])
        .status()
        .await
        .unwrap();
    assert!(sent.success());
}

/// The sockets of the enforcers that a demo has started.
fn sockets(home: &Path) -> Vec<std::path::PathBuf> {
    let directories = std::fs::read_dir(home)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    directories
        .flat_map(|directory| ["desk-1", "desk-2"].map(|name| directory.join(name).join("gate.sock")))
        .filter(|socket| socket.exists())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_that_is_told_to_stop_leaves_no_key_behind() {
    for signal in ["INT", "TERM", "HUP"] {
        let home = tempfile::tempdir().unwrap();
        let (mut demo, mut said) = playing(home.path()).await;
        assert_eq!(sockets(home.path()).len(), 2);
        send(signal, &demo).await;
        let mut rest = String::new();
        timeout(WAIT_MAX, said.read_to_string(&mut rest))
            .await
            .unwrap()
            .unwrap();
        let ended = timeout(WAIT_MAX, demo.wait()).await.unwrap().unwrap();
        assert_eq!(ended.code(), Some(1), "{signal}: {rest}");
        assert!(rest.contains("stopped by a signal"), "{signal}: {rest}");
        let left = std::fs::read_dir(home.path()).unwrap().count();
        assert_eq!(left, 0, "{signal}: {rest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_that_is_killed_takes_its_processes_with_it() {
    let home = tempfile::tempdir().unwrap();
    let (mut demo, _said) = playing(home.path()).await;
    let sockets = sockets(home.path());
    assert_eq!(sockets.len(), 2);
    demo.kill().await.unwrap();
    let gone = async {
        for socket in sockets {
            while UnixStream::connect(&socket).await.is_ok() {
                sleep(Duration::from_millis(10)).await;
            }
        }
    };
    timeout(WAIT_MAX, gone).await.unwrap();
}
