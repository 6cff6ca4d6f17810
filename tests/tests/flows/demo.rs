//! The demo: the binary as it is, and what its object promises.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use checkrein_tests::{Binaries, WAIT_MAX, installed};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::{sleep, timeout};
use tonic::codegen::http::StatusCode;

use super::console::browser::Browser;

/// Longer than it may take on a busy machine, in debug.
const DEMO_MAX: Duration = Duration::from_mins(4);

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shows_every_verdict_and_loses_nothing() {
    let mut demo = Binaries::build().await.unwrap().checkrein();
    demo.args(["demo", "--json", "--tools"])
        .arg(installed("").unwrap())
        .kill_on_drop(true);
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
    // One payment of the suite, and a file of a real MCP server's.
    assert_eq!(count("released"), 2, "{said}");
    assert!(said.contains("and sees 14 tools"), "{said}");
}

/// A demo whose directories are made in `home`, in the middle of its work; and the rest of what it says.
async fn playing(home: &Path) -> (Child, Said) {
    let (demo, mut said) = start(&[], home, Stdio::null()).await;
    said.until("An agent works", WAIT_MAX).await;
    (demo, said)
}

/// One that has begun, with these arguments and this to type.
async fn start(arguments: &[&str], home: &Path, typed: Stdio) -> (Child, Said) {
    let mut demo = Binaries::build().await.unwrap().checkrein();
    let mut demo = demo
        .args(["demo", "--json"])
        .args(arguments)
        .env("TMPDIR", home)
        .stdin(typed)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let said = BufReader::new(demo.stderr.take().unwrap());
    (demo, Said(said))
}

/// What a demo says.
struct Said(BufReader<ChildStderr>);

impl Said {
    /// The next line that has this in it.
    async fn until(&mut self, what: &str, within: Duration) -> String {
        let reading = async {
            let mut line = String::new();
            while !line.contains(what) {
                line.clear();
                let read = self.0.read_line(&mut line).await.unwrap();
                assert!(read > 0, "it ended before it said `{what}`");
            }
            line
        };
        let said = timeout(within, reading).await;
        said.unwrap_or_else(|_| panic!("it never said `{what}`"))
    }

    async fn rest(&mut self) -> String {
        let mut rest = String::new();
        let read = timeout(WAIT_MAX, self.0.read_to_string(&mut rest)).await;
        read.unwrap().unwrap();
        rest
    }
}

/// How a demo ended that has been told to, and what it printed. It leaves nothing behind.
async fn ended(demo: Child, home: &Path) -> (Option<i32>, String) {
    let printed = timeout(WAIT_MAX, demo.wait_with_output()).await.unwrap().unwrap();
    let left: Vec<_> = std::fs::read_dir(home).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    (printed.status.code(), String::from_utf8(printed.stdout).unwrap())
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
        let (demo, mut said) = playing(home.path()).await;
        assert_eq!(sockets(home.path()).len(), 2);
        send(signal, &demo).await;
        let rest = said.rest().await;
        let (code, _) = ended(demo, home.path()).await;
        assert_eq!(code, Some(1), "{signal}: {rest}");
        assert!(rest.contains("stopped by a signal"), "{signal}: {rest}");
    }
}

/// The pages of what waits, as the inbox links to them.
fn waiting(inbox: &str) -> BTreeSet<String> {
    let links = inbox.split("href=\"").skip(1);
    let paths = links.filter_map(|link| link.split('"').next());
    paths
        .filter(|path| path.starts_with("/holds/hold_"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_that_stays_is_answered_in_a_browser_and_ends_in_good_order_when_it_is_told_to() {
    let home = tempfile::tempdir().unwrap();
    let (mut demo, mut said) = start(&["--stay"], home.path(), Stdio::piped()).await;
    let link = said.until("/sign-in?link=", DEMO_MAX).await;
    let mut bob = Browser::by(link.trim()).await;
    let pages = waiting(&bob.get("/").await.text);
    assert_eq!(pages.len(), 3, "{pages:?}");
    let mut bills = 0;
    for path in &pages {
        let page = bob.get(path).await;
        // Of a payment that was approved before, a page of the next says how it differs.
        let is_bill = !["Hacked!", "Dalton Street"]
            .iter()
            .any(|other| page.text.contains(other));
        let (verb, reason, hears) = if is_bill {
            ("approve", "", "RELEASE")
        } else {
            ("deny", "nobody asked for this", "DENY")
        };
        let fields = ["csrf", "key", "sha256"].map(|name| (name, page.field(name)));
        let mut fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, &**value)).collect();
        fields.push(("reason", reason));
        let answer = bob.post(&format!("{path}/{verb}"), &fields).await;
        assert_eq!(answer.code, StatusCode::SEE_OTHER, "{}", answer.text);
        let line = said.until(hears, WAIT_MAX).await;
        assert_eq!(line.contains("UK12345678901234567890"), is_bill, "{line}");
        bills += u32::from(is_bill);
    }
    assert_eq!(bills, 1);

    // A link is good for a minute; whoever comes later gets another, and finds something to answer.
    let mut typed = demo.stdin.take().unwrap();
    typed.write_all(b"\n").await.unwrap();
    let link = said.until("/sign-in?link=", WAIT_MAX).await;
    let mut bob = Browser::by(link.trim()).await;
    let next = waiting(&bob.get("/").await.text);
    assert!(next.len() == 3 && next.is_disjoint(&pages), "{next:?}");

    send("INT", &demo).await;
    let rest = said.rest().await;
    let (code, printed) = ended(demo, home.path()).await;
    assert_eq!(code, Some(0), "{rest}");
    let tally: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(tally["decisions_lost"], 0, "{tally}");
    assert_eq!(
        tally["released"], 1,
        "what came after the scenes is not of them: {tally}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_that_stays_ends_with_its_input() {
    let home = tempfile::tempdir().unwrap();
    let (demo, mut said) = start(&["--stay"], home.path(), Stdio::null()).await;
    said.until("/sign-in?link=", DEMO_MAX).await;
    let (code, _) = ended(demo, home.path()).await;
    assert_eq!(code, Some(0), "{}", said.rest().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_without_node_says_so_and_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let (demo, mut said) = start(&["--tools", "/nowhere"], home.path(), Stdio::null()).await;
    said.until("left out: it needs Node", DEMO_MAX).await;
    said.until("It comes back", DEMO_MAX).await;
    let (code, _) = ended(demo, home.path()).await;
    assert_eq!(code, Some(0), "{}", said.rest().await);
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
