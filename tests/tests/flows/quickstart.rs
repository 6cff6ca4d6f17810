//! The quickstart: what a newcomer types, on the defaults, with the binaries as they are.

use std::path::{Path, PathBuf};

use checkrein_proto::decision::v1::gate_service_client::GateServiceClient;
use checkrein_proto::decision::v1::{AuthorizeRequest, AuthorizeResponse, Verdict};
use checkrein_tests::{Binaries, Process, WAIT_MAX, fresh_database, gate};
use serde_json::{Value, json};
use tonic::transport::Channel;

const ASSISTANT: &str = "spiffe://checkrein.local/agent/assistant";
/// What an enforcer answers until the first policy has come and was confirmed.
const NOT_YET: [&str; 3] = ["no_policy", "policy_stale", "invalid_grant"];

/// A newcomer at a terminal, in an empty directory.
struct Newcomer {
    binaries: Binaries,
    home: tempfile::TempDir,
}

impl Newcomer {
    async fn arrives() -> Self {
        Self {
            binaries: Binaries::build().await.unwrap(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// Types `checkrein serve`; gives the operator's config beside it.
    async fn serves(&self) -> (Process, PathBuf) {
        let mut serve = self.binaries.checkrein();
        // But for the port, which may be taken, and the database, which would outlive the directory if we are root.
        serve
            .current_dir(self.home.path())
            .args([
                "--json",
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--console-listen",
                "127.0.0.1:0",
                "--database-url",
            ])
            .arg(fresh_database().await.unwrap());
        let control_plane = Process::start(&mut serve).await.unwrap();
        let operator = PathBuf::from(control_plane.ready["client_config"].as_str().unwrap());
        (control_plane, operator)
    }

    /// Types `checkrein …` as whoever the config says; it must succeed, and print one document.
    async fn types(&self, config: &Path, words: &[&str]) -> Value {
        let mut command = self.binaries.checkrein();
        command
            .current_dir(self.home.path())
            .arg("--json")
            .arg("--config")
            .arg(config)
            .args(words);
        let typed = tokio::time::timeout(WAIT_MAX, command.output())
            .await
            .unwrap()
            .unwrap();
        let said = String::from_utf8_lossy(&typed.stderr);
        assert!(typed.status.success(), "checkrein {}: {said}", words.join(" "));
        serde_json::from_slice(&typed.stdout).unwrap()
    }
}

/// Presents a call until the first policy has come.
async fn ask(gate: &mut GateServiceClient<Channel>, request: &AuthorizeRequest) -> AuthorizeResponse {
    let asking = async {
        loop {
            let answer = gate.authorize(request.clone()).await.unwrap().into_inner();
            if !NOT_YET.contains(&answer.cause.as_str()) {
                return answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, asking).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_defaults_a_read_is_permitted_and_a_message_is_sent_once_bob_approves_it() {
    let newcomer = Newcomer::arrives().await;
    let home = newcomer.home.path();
    let (control_plane, operator) = newcomer.serves().await;
    assert_eq!(
        operator,
        home.canonicalize()
            .unwrap()
            .join("checkrein-data/operator/client.toml")
    );

    newcomer.types(&operator, &["policy", "init", "mail"]).await;
    let tested = newcomer.types(&operator, &["policy", "test", "mail"]).await;
    assert_eq!(tested["ok"], true, "{tested}");
    newcomer.types(&operator, &["policy", "push", "mail"]).await;
    let add = ["fleet", "add", "edge-1", "--agent", ASSISTANT];
    newcomer.types(&operator, &add).await;
    let enforcer = newcomer.binaries.enforcer(&home.join("edge-1")).await.unwrap();
    let start = [
        "task", "start", "--user", "alice", "--agent", ASSISTANT, "--tool", "mail/*",
    ];
    let started = newcomer
        .types(
            &operator,
            &[&start[..], &["--environment", "production"]].concat(),
        )
        .await;

    let mut gate = gate(&home.join("edge-1/assistant.sock")).await.unwrap();
    let call = |tool: &str, arguments: &'static str| AuthorizeRequest {
        proof: String::new(),
        grant: started["grant"].as_str().unwrap().to_owned(),
        tool: tool.to_owned(),
        arguments: arguments.into(),
        call_id: "call".to_owned(),
        wait_ms: 0,
    };
    let read = ask(&mut gate, &call("mail/search", r#"{"query":"invoice"}"#)).await;
    assert_eq!(read.verdict(), Verdict::Permit, "{read:?}");
    let send = call(
        "mail/send",
        r#"{"to":"carol@acme.example","subject":"Lunch","body":"At noon?"}"#,
    );
    let held = ask(&mut gate, &send).await;
    assert_eq!(
        (held.verdict(), &*held.rules),
        (Verdict::Hold, &["send-unnamed".to_owned()][..]),
        "{held:?}"
    );

    newcomer
        .types(&operator, &["fleet", "identity", "approver", "bob"])
        .await;
    let bob = Path::new("approver-bob/client.toml");
    let holds = newcomer.types(bob, &["hold", "list"]).await;
    let hold = holds["holds"][0]["id"].as_str().unwrap();
    let approved = newcomer.types(bob, &["hold", "approve", hold, "--yes"]).await;
    assert_eq!(approved["state"], "approved", "{approved}");
    let wait_ms = u64::try_from(WAIT_MAX.as_millis()).unwrap();
    let released = gate
        .authorize(AuthorizeRequest { wait_ms, ..send })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (released.verdict(), released.hold_id.as_str()),
        (Verdict::Permit, hold),
        "{released:?}"
    );

    enforcer.stop().await.unwrap();
    control_plane.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_that_a_task_may_touch_is_typed_and_shown_as_it_was_typed() {
    let newcomer = Newcomer::arrives().await;
    let (control_plane, operator) = newcomer.serves().await;
    let start = [
        "task", "start", "--user", "alice", "--agent", ASSISTANT, "--tool", "mail/*",
    ];
    for (words, data) in [
        (&[][..], json!(null)),
        (&["--no-data"], json!([])),
        (
            &["--data", "untrusted_content", "--data", "pii"],
            json!(["pii", "untrusted_content"]),
        ),
    ] {
        let started = newcomer.types(&operator, &[&start[..], words].concat()).await;
        assert_eq!(started["task"]["data"], data, "{words:?}");
        let id = started["task"]["id"].as_str().unwrap();
        let shown = newcomer.types(&operator, &["task", "show", id]).await;
        assert_eq!(shown["data"], data, "{words:?}");
    }
    control_plane.stop().await.unwrap();
}

/// Whether somebody answers on this socket, and what.
async fn asked(socket: &Path) -> Option<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::UnixStream::connect(socket).await.ok()?;
    let question =
        "GET /.well-known/authzen-configuration HTTP/1.1\r\nhost: pdp.example\r\nconnection: close\r\n\r\n";
    stream.write_all(question.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

async fn until(holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, waiting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcer_beside_the_control_plane_is_there_again_after_it_was_killed_and_gone_with_it() {
    let newcomer = Newcomer::arrives().await;
    let home = newcomer.home.path();
    let serve = async |config: &Path, database: &str, listen: &str| {
        let mut serve = newcomer.binaries.checkrein();
        serve
            .current_dir(home)
            .args(["--json", "serve", "--console-listen", "off", "--listen", listen])
            .args(["--database-url", database])
            .arg("--enforcer")
            .arg(config);
        Process::start(&mut serve).await
    };
    let database = fresh_database().await.unwrap();
    let missing = serve(Path::new("pdp/enforcer.toml"), &database, "127.0.0.1:0").await;
    assert!(missing.is_err(), "there is no such enforcer yet");

    let mut plain = newcomer.binaries.checkrein();
    plain
        .current_dir(home)
        .args([
            "--json",
            "serve",
            "--console-listen",
            "off",
            "--listen",
            "127.0.0.1:0",
        ])
        .args(["--database-url", &database]);
    let control_plane = Process::start(&mut plain).await.unwrap();
    let operator = PathBuf::from(control_plane.ready["client_config"].as_str().unwrap());
    let address = control_plane.ready["address"].as_str().unwrap().to_owned();
    let port = address.rsplit(':').next().unwrap();
    newcomer
        .types(&operator, &["fleet", "add", "pdp", "--agent", ASSISTANT])
        .await;
    control_plane.stop().await.unwrap();
    let config = home.join("pdp/enforcer.toml");
    let written = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{written}\n[[gateway]]\npath = \"pdp.sock\"\n")).unwrap();

    let control_plane = serve(&config, &database, &format!("127.0.0.1:{port}"))
        .await
        .unwrap();
    let socket = home.join("pdp/pdp.sock");
    until(async || {
        asked(&socket)
            .await
            .is_some_and(|said| said.contains("https://pdp.example"))
    })
    .await;
    let pids = || {
        let found = std::process::Command::new("pgrep")
            .arg("-f")
            .arg(&config)
            .output()
            .unwrap();
        let found = String::from_utf8(found.stdout).unwrap();
        // Ours is the one that does not serve the fleet.
        found
            .lines()
            .filter_map(|pid| pid.parse::<u32>().ok())
            .filter(|pid| {
                let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                line.contains("checkrein-enforcer\0serve")
            })
            .collect::<Vec<u32>>()
    };
    let first = pids();
    assert_eq!(first.len(), 1, "{first:?}");
    std::process::Command::new("kill")
        .args(["-9", &first[0].to_string()])
        .status()
        .unwrap();
    until(async || pids().first().is_some_and(|pid| *pid != first[0]) && asked(&socket).await.is_some())
        .await;

    control_plane.stop().await.unwrap();
    until(async || pids().is_empty()).await;
    let again = serve(&config, &database, &format!("127.0.0.1:{port}"))
        .await
        .unwrap();
    until(async || !pids().is_empty()).await;
    again.kill().await.unwrap();
    until(async || pids().is_empty()).await;
}
