//! What the verbs send, over a real connection, and what they say when there is none.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use checkrein_proto::hold::v1 as wire;
use checkrein_shared::ManualClock;
use checkrein_shared::action::{ActionIdentity, MaskedArguments, Sha256};
use clap::Parser;
use serde_json::Value;

use super::super::{Cli, Command, Error, Invocation, Sink, Streams, fleet, hold, policy};
use super::fake::{Fake, ROOT};

/// What `checkrein --json --config FILE …` does, without the process around it; and the document it prints.
async fn checkrein(config: &Path, words: &[&str]) -> Result<Value, Error> {
    let line = [
        &["checkrein", "--json", "--config", config.to_str().unwrap()],
        words,
    ]
    .concat();
    let cli = Cli::try_parse_from(line).unwrap();
    let answers = Arc::new(Mutex::new(Vec::new()));
    let invocation = Invocation::new(
        cli.global.config,
        cli.global.json,
        false,
        Arc::new(ManualClock::at(1_767_225_600_000)),
        streams(answers.clone()),
    );
    match cli.command {
        Command::Hold(args) => hold::run(args, &invocation).await?,
        Command::Fleet(args) => fleet::run(args, &invocation).await?,
        Command::Policy(args) => policy::run(args, &invocation).await?,
        other => panic!("not called here: {other:?}"),
    };
    let answers = answers.lock().unwrap();
    Ok(serde_json::from_slice(&answers).expect("one JSON document, and nothing else"))
}

/// Streams that nobody reads.
pub(in crate::cli) fn streams(answers: Sink) -> Streams {
    Streams {
        answers,
        notes: Arc::new(Mutex::new(io::sink())),
        answers_are_read: false,
        notes_are_read: false,
        can_ask: false,
    }
}

fn held() -> wire::Hold {
    let identity = ActionIdentity {
        task: "task_0193f1c2a4b87d3e9f00a1b2c3d4e5f6".parse().unwrap(),
        agent: "spiffe://acme.example/agent/billing".parse().unwrap(),
        delegated_by: Vec::new(),
        user: "alice".into(),
        tool: "bank/send_money".into(),
        definition: Sha256::of(b"definition"),
        arguments: MaskedArguments(r#"{"amount":10.0}"#.into()),
    };
    wire::Hold {
        hold_id: "hold_1".into(),
        action: Some((&identity).into()),
        ..wire::Hold::default()
    }
}

#[tokio::test]
async fn a_vote_carries_the_hash_of_what_was_shown() {
    let fake = Fake::start().await;
    let bob = fake.client("bob");
    *fake.state.hold.lock().unwrap() = held();
    checkrein(&bob, &["hold", "approve", "hold_1", "--yes"])
        .await
        .unwrap();
    checkrein(&bob, &["hold", "deny", "hold_1", "--yes", "--reason", "no"])
        .await
        .unwrap();
    let votes = fake.state.votes.lock().unwrap().clone();
    assert!(votes[0].approve && !votes[1].approve && votes[1].reason == "no");
    assert_ne!(votes[0].idempotency_key, votes[1].idempotency_key);
    let named = held().action.unwrap().action_sha256;
    assert!(votes.iter().all(|vote| vote.action_sha256 == named));
}

#[tokio::test]
async fn nothing_is_voted_if_the_hash_is_another_or_nobody_confirms() {
    let fake = Fake::start().await;
    let bob = fake.client("bob");
    *fake.state.hold.lock().unwrap() = held();
    let unasked = checkrein(&bob, &["hold", "approve", "hold_1"]).await.unwrap_err();
    assert!(unasked.to_string().contains("--yes"), "{unasked}");
    fake.state.hold.lock().unwrap().action.as_mut().unwrap().user = "mallory".into();
    let changed = checkrein(&bob, &["hold", "approve", "hold_1", "--yes"])
        .await
        .unwrap_err();
    assert!(changed.to_string().contains("not voted"), "{changed}");
    assert!(fake.state.votes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_identity_that_was_made_can_be_used_at_once() {
    let fake = Fake::start().await;
    let operator = fake.client("operator");
    let out = fake.home.path().join("approver-bob");
    let words = [
        "fleet",
        "identity",
        "approver",
        "bob",
        "--out",
        out.to_str().unwrap(),
    ];
    checkrein(&operator, &words).await.unwrap();
    let listed = checkrein(&out.join("client.toml"), &["hold", "list"])
        .await
        .unwrap();
    assert_eq!(listed["holds"].as_array().map(Vec::len), Some(1));
    let again = checkrein(&operator, &words).await.unwrap_err();
    assert!(again.to_string().contains("--force"), "{again}");
}

#[tokio::test]
async fn an_enforcers_directory_has_all_it_needs_and_a_socket_for_each_agent() {
    let fake = Fake::start().await;
    let operator = fake.client("operator");
    let out = fake.home.path().join("billing");
    let words = [
        "fleet",
        "add",
        "billing",
        "--label",
        "team=payments",
        "--agent",
        "spiffe://acme.example/agent/billing",
        "--out",
        out.to_str().unwrap(),
    ];
    checkrein(&operator, &words).await.unwrap();
    let config: toml::Table = std::fs::read_to_string(out.join("enforcer.toml"))
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(config["root_key"].as_str(), Some(ROOT.to_string().as_str()));
    assert_eq!(config["control_plane"][0].as_str(), Some(fake.address.as_str()));
    assert_eq!(config["unix"][0]["path"].as_str(), Some("billing.sock"));
    assert_eq!(
        config["unix"][0]["agent"].as_str(),
        Some("spiffe://acme.example/agent/billing")
    );
    let registered = fake.state.registered.lock().unwrap();
    assert_eq!(registered[0].labels, ["team=payments"]);
    assert!(!registered[0].certificate_request.contains("PRIVATE"));
}

#[tokio::test]
async fn an_enforcer_inside_a_process_is_told_for_whom_it_speaks_and_may() {
    let fake = Fake::start().await;
    let operator = fake.client("operator");
    let out = fake.home.path().join("bank-1");
    let agent = "spiffe://acme.example/agent/billing";
    let words = [
        "fleet",
        "add",
        "bank-1",
        "--in-process",
        agent,
        "--out",
        out.to_str().unwrap(),
    ];
    checkrein(&operator, &words).await.unwrap();
    let config: toml::Table = std::fs::read_to_string(out.join("enforcer.toml"))
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(config["in_process"]["agent"].as_str(), Some(agent));
    assert_eq!(config["unix"].as_array().map(Vec::len), Some(0));
    assert_eq!(fake.state.registered.lock().unwrap()[0].agents, [agent]);
}

#[tokio::test]
async fn another_root_key_than_the_pinned_one_writes_nothing() {
    let fake = Fake::start().await;
    let operator = fake.client("operator");
    *fake.state.root.lock().unwrap() = vec![8; 32];
    let out = fake.home.path().join("billing");
    let words = ["fleet", "add", "billing", "--out", out.to_str().unwrap()];
    let refused = checkrein(&operator, &words).await.unwrap_err();
    assert!(refused.to_string().contains("root key"), "{refused}");
    assert!(!out.exists());
}

#[tokio::test]
async fn an_enforcer_whose_key_was_lost_is_added_again_by_force_and_only_as_what_it_is() {
    let fake = Fake::start().await;
    let operator = fake.client("operator");
    let out = fake.home.path().join("billing");
    let agent = "spiffe://acme.example/agent/billing";
    let add = [
        "fleet",
        "add",
        "billing",
        "--out",
        out.to_str().unwrap(),
        "--agent",
    ];
    let once = [&add[..], &[agent]].concat();
    checkrein(&operator, &once).await.unwrap();
    let certificate = || std::fs::read(out.join("certificate.pem")).unwrap();
    let lost = certificate();

    let as_another = [&add[..], &["spiffe://acme.example/agent/other", "--force"]].concat();
    let refused = checkrein(&operator, &as_another).await.unwrap_err();
    assert!(
        refused.to_string().contains("other labels or agents"),
        "{refused}"
    );
    assert_eq!(certificate(), lost, "nothing is replaced");

    checkrein(&operator, &[&once[..], &["--force"]].concat())
        .await
        .unwrap();
    assert_ne!(certificate(), lost);
    assert_eq!(fake.state.registered.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_named_and_the_next_one_tried() {
    let fake = Fake::start().await;
    let nobody = "https://127.0.0.1:1".to_owned();
    let lost = fake.client_at("lost", std::slice::from_ref(&nobody));
    let error = checkrein(&lost, &["hold", "list"]).await.unwrap_err();
    assert_eq!(error.code(), "unreachable");
    assert!(error.to_string().contains("`https://127.0.0.1:1`"), "{error}");
    assert!(error.to_string().contains("checkrein serve"), "{error}");
    let found = fake.client_at("found", &[nobody, fake.address.clone()]);
    checkrein(&found, &["hold", "list"]).await.unwrap();
}

#[tokio::test]
async fn a_control_plane_of_another_ca_is_not_believed() {
    let fake = Fake::start().await;
    let stranger = fake.stranger("stranger");
    let error = checkrein(&stranger, &["hold", "list"]).await.unwrap_err();
    assert!(error.to_string().contains("not the CA"), "{error}");
}

#[tokio::test]
async fn whoever_is_certified_as_anything_but_a_control_plane_is_not_believed_to_be_it() {
    let fake = Fake::serve_as("spiffe://acme.example/enforcer/edge").await;
    let bob = fake.client("bob");
    let error = checkrein(&bob, &["hold", "list"]).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`spiffe://acme.example/enforcer/edge`"),
        "{error}"
    );
    assert!(error.to_string().contains("no control plane"), "{error}");
}

#[tokio::test]
async fn what_is_not_there_is_said_so_with_where_to_look() {
    let fake = Fake::start().await;
    let bob = fake.client("bob");
    let error = checkrein(&bob, &["hold", "show", "hold_2"]).await.unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("not_found", "there is no such hold")
    );
    assert!(error.next_step().unwrap().contains("list"));
}

#[tokio::test]
async fn a_missing_or_misspelt_config_says_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("client.toml");
    let missing = checkrein(&path, &["hold", "list"]).await.unwrap_err();
    assert!(missing.to_string().contains("checkrein serve"), "{missing}");
    std::fs::write(&path, "control_plan = []").unwrap();
    let misspelt = checkrein(&path, &["hold", "list"]).await.unwrap_err();
    assert!(misspelt.chain().join(" ").contains("control_plan"), "{misspelt}");
}

#[tokio::test]
async fn a_pack_that_fails_here_is_not_sent() {
    let home = tempfile::tempdir().unwrap();
    let pack = home.path().join("payments");
    let nowhere = home.path().join("client.toml");
    checkrein(&nowhere, &["policy", "init", pack.to_str().unwrap()])
        .await
        .unwrap();
    std::fs::write(pack.join("more.cedar"), "permit(principal, action, resource);").unwrap();
    let pushed = checkrein(&nowhere, &["policy", "push", pack.to_str().unwrap()])
        .await
        .unwrap();
    assert_eq!(pushed["ok"], false, "and no control plane was looked for");
    assert_eq!(pushed["findings"][0]["file"], "more.cedar");
}
