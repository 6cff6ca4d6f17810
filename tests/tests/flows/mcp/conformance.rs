//! The official conformance suites of MCP judge a server, and the enforcer before it: whatever they find good of the one they find good of
//! the other, in both eras.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use checkrein_shared::policy::PackSource;
use checkrein_tests::{WAIT_MAX, installed, read_pack};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::door::Door;
use super::skeleton::wrote;
use super::{Scene, node, peer};

/// A suite takes no longer.
const SUITE_MAX: Duration = Duration::from_mins(3);
/// What the enforcer answers otherwise than the server behind it, and may: a scenario, a check of it, and why.
const OTHERWISE: [(&str, &str, &str); 4] = [
    (
        "server-sse-multiple-streams",
        "server-sse-streams-functional",
        JSON,
    ),
    ("server-sse-polling", "server-sse-priming-event", RESUMED),
    ("server-sse-polling", "server-sse-retry-field", RESUMED),
    ("server-sse-polling", "server-sse-disconnect-resume", RESUMED),
];
const JSON: &str =
    "an answer before which nothing is said is JSON, and no stream of one event; MCP allows both";
const RESUMED: &str = "the enforcer takes up the server's streams again itself, and its own stay open until the answer has come";

/// Scenarios of an extension that neither the server has nor the enforcer lets through.
const TASKS: &str = "tasks-";

/// What a suite found good: of each scenario, how often each of its checks passed.
type Good = BTreeMap<String, BTreeMap<String, usize>>;

/// The server that has what the suites ask for.
pub(super) fn command() -> Vec<PathBuf> {
    vec![
        node(),
        peer("conformance/server.mjs"),
        installed("peers/mcp").unwrap(),
    ]
}

pub(super) async fn server() -> (Child, String) {
    let command = command();
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = timeout(WAIT_MAX, said.next_line()).await.unwrap();
    let ready: Value = serde_json::from_str(&ready.unwrap().unwrap()).unwrap();
    (child, ready["url"].as_str().unwrap().to_owned())
}

/// All that it has, written down as a user would, and permitted.
pub(super) async fn pack() -> PackSource {
    let place = tempfile::tempdir().unwrap();
    let mut command = command();
    command.push("stdio".into());
    let (is_written, said) = wrote("suite", &place.path().join("catalog"), &command).await;
    assert!(is_written, "{said}");
    std::fs::write(place.path().join("checkrein.toml"), "namespace = \"org\"\n").unwrap();
    let rules = "@id(\"all\")\npermit (principal, action, resource);\n";
    std::fs::write(place.path().join("rules.cedar"), rules).unwrap();
    read_pack("suite", place.path()).unwrap()
}

/// Has a suite judge what is there.
async fn judge(suite: &str, arguments: &[&str], url: &str) -> Good {
    let place = tempfile::tempdir().unwrap();
    let script = format!("peers/mcp-suites/node_modules/{suite}/dist/index.js");
    let mut judging = Command::new(node());
    judging
        .arg(installed(&script).unwrap())
        .args(["server", "--url", url])
        .args(arguments)
        .arg("--output-dir")
        .arg(place.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(SUITE_MAX, judging.output()).await.unwrap().unwrap();
    let good = found(place.path());
    assert!(!good.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    good
}

/// What a suite wrote down: a directory `server-SCENARIO-TIME` for each scenario.
fn found(place: &Path) -> Good {
    const TIME: usize = "-2026-07-28T00-00-00-000Z".len();
    let mut good = Good::new();
    for scenario in std::fs::read_dir(place).unwrap() {
        let scenario = scenario.unwrap();
        let name = scenario.file_name().into_string().unwrap();
        let name = name.strip_prefix("server-").unwrap_or(&name);
        let name = name[..name.len() - TIME].to_owned();
        if name.starts_with(TASKS) {
            continue;
        }
        let checks = std::fs::read(scenario.path().join("checks.json")).unwrap();
        let checks: Vec<Value> = serde_json::from_slice(&checks).unwrap();
        let passed = good.entry(name).or_default();
        for check in checks.iter().filter(|check| check["status"] == "SUCCESS") {
            *passed
                .entry(check["id"].as_str().unwrap().to_owned())
                .or_default() += 1;
        }
    }
    good
}

/// What is good of the one and not of the other.
fn lost(before: &Good, after: &Good) -> Vec<String> {
    let mut lost = Vec::new();
    for (scenario, checks) in before {
        for (check, passed) in checks {
            let kept = after.get(scenario).and_then(|checks| checks.get(check));
            let is_otherwise = OTHERWISE
                .iter()
                .any(|(at, of, _)| (*at, *of) == (scenario.as_str(), check.as_str()));
            if kept.copied().unwrap_or_default() < *passed && !is_otherwise {
                lost.push(format!("{scenario}: {check}"));
            }
        }
    }
    lost
}

/// Judges a server alone and with the enforcer before it.
async fn judged_alike(suites: &[(&str, &[&str])], scenarios: &[&str]) {
    let (_server, upstream) = server().await;
    let scene = Scene::set(&pack().await, &["suite/*"]).await;
    let door = Door::open(&scene, ("suite", &upstream), 0, &[]).await;
    for (suite, arguments) in suites {
        let directly = judge(suite, arguments, &upstream).await;
        for scenario in scenarios {
            assert!(
                !directly[*scenario].is_empty(),
                "`{scenario}` passes nothing: {directly:?}"
            );
        }
        let through = judge(suite, arguments, &door.url).await;
        assert_eq!(
            lost(&directly, &through),
            [""; 0],
            "lost by the enforcer, of {suite} {arguments:?}"
        );
        assert_eq!(
            lost(&through, &directly),
            [""; 0],
            "good of the enforcer alone, of {suite} {arguments:?}"
        );
    }
    door.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_the_suite_with_sessions_passes_it_through_the_enforcer() {
    let suites: [(&str, &[&str]); 2] = [
        ("conformance-released", &["--suite", "all"]),
        ("conformance", &["--requirements", "2025-11-25"]),
    ];
    let scenarios = [
        "server-initialize",
        "tools-list",
        "tools-call-sampling",
        "tools-call-elicitation",
        "resources-subscribe",
    ];
    judged_alike(&suites, &scenarios).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_the_suite_without_sessions_passes_it_through_the_enforcer() {
    let suites: [(&str, &[&str]); 1] = [("conformance", &["--requirements", "2026-07-28"])];
    let scenarios = [
        "server-stateless",
        "tools-list",
        "caching",
        "input-required-result-multi-round",
        "http-header-validation",
    ];
    judged_alike(&suites, &scenarios).await;
}
