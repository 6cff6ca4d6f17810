//! What whoever holds a grant does with it, as it is typed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use checkrein_shared::ManualClock;
use checkrein_shared::grant::{DataScope, Grant, Limits, Scope};
use checkrein_shared::id::{GrantId, TaskId};
use checkrein_shared::key::{SigningKey, VerifyingKey};
use clap::Parser;
use serde_json::Value;

use crate::cli::tests::calls::streams;
use crate::cli::{Cli, Command as Noun, Error, Invocation, Streams};

mod bad;
mod delegate;

const NOW_MS: u64 = 1_767_225_600_000;
const CHILD: &str = "spiffe://acme.example/agent/search";
const TOOLS: &str = r#"{
    "mail/*": {},
    "bank/send_money": {
        "recipient": {"constraint_type": "one_of", "values": ["GB29NWBK60161331926819"]},
        "amount": {"constraint_type": "range", "max": 500}
    }
}"#;

/// An agent's directory, with a key and a grant that names it.
struct Home {
    directory: tempfile::TempDir,
    authority: SigningKey,
}

/// What a command printed.
#[derive(Debug, Clone, Default)]
struct Said {
    out: String,
    notes: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).expect("one JSON document, and nothing else")
    }
}

impl Home {
    async fn new() -> Self {
        let authority = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
        let home = Self {
            directory: tempfile::tempdir().unwrap(),
            authority,
        };
        for name in ["own.key", "child.key"] {
            home.types(&["key", name]).await.unwrap();
        }
        let own = home.public("own.key").await;
        home.writes_grant(|grant| grant.holder = Some(own));
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn writes(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// The public half of a key that is there.
    async fn public(&self, name: &str) -> VerifyingKey {
        let said = self.types(&["key", "--show", name]).await.unwrap();
        super::key::public(said.out.trim()).unwrap()
    }

    /// What the control plane would sign, otherwise.
    fn writes_grant(&self, otherwise: impl FnOnce(&mut Grant)) {
        let clock = ManualClock::at(NOW_MS);
        let mut grant = Grant {
            id: GrantId::new(&clock),
            task: TaskId::new(&clock),
            epoch: 3,
            agent: "spiffe://acme.example/agent/billing".parse().unwrap(),
            user: "alice".into(),
            scope: Scope::parse_json(TOOLS.as_bytes()).unwrap(),
            limits: Limits {
                calls: Some(60),
                risk: 75,
                depth: 2,
                ..Limits::default()
            },
            data: Some(DataScope::parse(["pii", "public"]).unwrap()),
            named: vec!["GB29NWBK60161331926819".into()],
            intent: "pay the rent".into(),
            environment: "production".into(),
            issued_ms: NOW_MS - 1_000,
            expires_ms: NOW_MS + 600_000,
            holder: None,
            link: None,
        };
        otherwise(&mut grant);
        self.writes("grant", &(grant.sign(&self.authority).unwrap() + "\n"));
    }

    /// `checkrein task …` with words that name a file of this directory read as its path; there is no client config.
    async fn types(&self, words: &[&str]) -> Result<Said, Error> {
        let in_place = |word: &&str| {
            let is_file = Path::new(word)
                .extension()
                .is_some_and(|it| it == "key" || it == "json");
            match word.strip_prefix('@') {
                Some(name) => format!("@{}", self.path(name).display()),
                None if is_file || *word == "grant" => self.path(word).display().to_string(),
                None => (*word).to_owned(),
            }
        };
        let line = ["checkrein", "--config", "/nowhere/client.toml", "task"].map(str::to_owned);
        let cli = Cli::try_parse_from(line.into_iter().chain(words.iter().map(in_place))).unwrap();
        let (answers, notes) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let streams = Streams {
            notes: notes.clone(),
            ..streams(answers.clone())
        };
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let invocation = Invocation::new(cli.global.config, cli.global.json, false, clock, streams);
        let Noun::Task(args) = cli.command else {
            panic!("another verb");
        };
        crate::cli::task::run(args, &invocation).await?;
        let text = |bytes: &Mutex<Vec<u8>>| String::from_utf8(bytes.lock().unwrap().clone()).unwrap();
        Ok(Said {
            out: text(&answers),
            notes: text(&notes),
        })
    }

    /// All that went wrong, as people read it.
    async fn fails(&self, words: &[&str]) -> String {
        let error = self.types(words).await.expect_err(&words.join(" "));
        assert_eq!(error.code(), "invalid_grant", "{words:?}: {error}");
        error.chain().join(": ")
    }
}

#[tokio::test]
async fn a_key_is_made_once_for_its_owner_and_shown_again() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new().await;
    let made = home.types(&["key", "new.key", "--json"]).await.unwrap();
    let mode = std::fs::metadata(home.path("new.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let document = made.json();
    let public = document["public_key"].as_str().unwrap();
    assert_eq!(document["jwk"]["x"], public);
    assert_eq!(document["file"], home.path("new.key").to_str().unwrap());
    assert_eq!(
        document["thumbprint"],
        super::key::public(public).unwrap().thumbprint().to_base64()
    );
    assert_eq!(made.notes, "");
    let shown = home.types(&["key", "--show", "new.key"]).await.unwrap();
    assert_eq!(shown.out, format!("{public}\n"));
    assert!(shown.notes.contains("task start") && shown.notes.contains(public));
    let text = home.text("new.key");
    assert!(!made.out.contains(text.lines().nth(1).unwrap()));
}

#[tokio::test]
async fn a_key_that_is_there_is_not_overwritten() {
    let home = Home::new().await;
    let before = home.text("own.key");
    let refused = home.fails(&["key", "own.key"]).await;
    assert!(
        refused.contains("exists already") && refused.contains("--show"),
        "{refused}"
    );
    assert_eq!(home.text("own.key"), before);
}

#[tokio::test]
async fn a_key_that_another_tool_made_is_read_too() {
    let home = Home::new().await;
    // The example of RFC 8410, section 10.3.
    let text = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                -----END PRIVATE KEY-----\n";
    home.writes("other.key", text);
    let shown = home.public("other.key").await.to_base64();
    assert_eq!(shown, "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE");
}
