//! Sign-in with tokens of a real OIDC provider: `oidc-provider` from npm, run by node. `.ci/setup test` installs both.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use checkrein_control_plane::config::OidcSettings;
use checkrein_shared::identity::Role;
use checkrein_tests::{WAIT_MAX, World, WorldOptions};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;
use tonic::Code;

use super::bearer::{LIST, call, expect_refused, expect_roles};

/// The running provider; it ends with its standard input.
struct Provider {
    url: String,
    ask: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Provider {
    async fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let tools = root.join(".cache/tools");
        let node = installed(tools.join("bin/node"));
        let mut process = Command::new(node)
            .arg(root.join("tests/peers/oidc-provider/issuer.mjs"))
            .arg(installed(tools.join("peers/oidc-provider")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (ask, said) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut answers = BufReader::new(said).lines();
        let url = timeout(WAIT_MAX, answers.next_line()).await.unwrap();
        Self {
            url: url.unwrap().unwrap(),
            ask,
            answers,
            _process: process,
        }
    }

    /// A token that the provider gave over HTTP.
    async fn token(&mut self, person: &str, resource: &str) -> String {
        self.ask(&format!("token {person} {resource}")).await
    }

    async fn rotate(&mut self) {
        assert_eq!(self.ask("rotate").await, "rotated");
    }

    async fn ask(&mut self, line: &str) -> String {
        self.ask.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        let answer = timeout(WAIT_MAX, self.answers.next_line()).await.unwrap();
        answer.unwrap().unwrap()
    }
}

fn installed(path: PathBuf) -> PathBuf {
    assert!(
        path.exists(),
        "{} is not there; run `.ci/setup test`",
        path.display()
    );
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tokens_of_a_real_provider_let_its_people_in_as_what_their_groups_say() {
    let mut provider = Provider::start().await;
    let options = WorldOptions {
        oidc: OidcSettings {
            issuer: Some(provider.url.clone()),
            audience: Some("checkrein".to_owned()),
            operators: vec!["ops".to_owned()],
            approvers: vec!["risk".to_owned()],
            ..OidcSettings::default()
        },
        ..WorldOptions::default()
    };
    let world = World::with(options).await.unwrap();
    let channel = world.connect(None, 0).await.unwrap();
    let olga = provider.token("olga", "urn:checkrein").await;
    expect_roles(&channel, &olga, &[Role::Operator]).await;
    let bob = provider.token("bob", "urn:checkrein").await;
    expect_roles(&channel, &bob, &[Role::Approver]).await;

    // Of the same provider, and not for us: no group that we know, another audience.
    let eve = provider.token("eve", "urn:checkrein").await;
    expect_refused(&channel, "in no group", &eve).await;
    let elsewhere = provider.token("olga", "urn:payroll").await;
    let why = expect_refused(&channel, "another audience", &elsewhere).await;
    assert!(why.contains("audience"), "{why}");

    // A key that the provider began to use is fetched when a token names it; the one that it gave up vouches for nobody.
    provider.rotate().await;
    let after = provider.token("olga", "urn:checkrein").await;
    expect_roles(&channel, &after, &[Role::Operator]).await;
    let refused = call(&channel, LIST, &olga).await.unwrap();
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
}
