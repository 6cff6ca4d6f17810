//! A story that is told in a browser, and what came to light meanwhile.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use checkrein_tests::{installed, target};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// How long a story may take to its next line.
const LINE_MAX: Duration = Duration::from_mins(1);

/// A browser in which a story is told. It ends with its standard input, so with this test, however that ends.
pub(crate) struct Story {
    name: &'static str,
    tell: Option<ChildStdin>,
    said: Lines<BufReader<ChildStdout>>,
    teller: Child,
    /// What the browser remembers; gone with the last who holds it.
    pub(crate) profile: Arc<TempDir>,
    /// What a browser should never have to say.
    pub(crate) troubles: Vec<Value>,
    /// Each page that was looked at, and how.
    pub(crate) looks: Vec<Value>,
}

impl Story {
    /// Begins a story with what it has to know.
    pub(crate) async fn begin(name: &'static str, given: &Value) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let screens = target().unwrap().join("screens");
        std::fs::create_dir_all(&screens).unwrap();
        let profile = tempfile::Builder::new().prefix("browser-").tempdir().unwrap();
        let mut teller = Command::new(installed("bin/node").unwrap())
            .arg(root.join("tests/peers/browser/tell.mjs"))
            .arg(installed("peers/browser").unwrap())
            .arg(installed("bin/chromium").unwrap())
            .arg(screens)
            .arg(name)
            .env("TMPDIR", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let said = BufReader::new(teller.stdout.take().unwrap()).lines();
        let mut story = Self {
            name,
            tell: teller.stdin.take(),
            said,
            teller,
            profile: Arc::new(profile),
            troubles: Vec::new(),
            looks: Vec::new(),
        };
        story.tell(given).await;
        story
    }

    /// Waits until the story says that it saw this, and returns what it said.
    pub(crate) async fn saw(&mut self, what: &str) -> Value {
        loop {
            let line = timeout(LINE_MAX, self.said.next_line()).await;
            let line =
                line.unwrap_or_else(|_| panic!("{}: it never saw `{what}`: {:?}", self.name, self.troubles));
            let Some(line) = line.unwrap() else {
                panic!(
                    "{}: it ended before it saw `{what}`: {:?}",
                    self.name, self.troubles
                )
            };
            let said: Value = serde_json::from_str(&line).unwrap();
            if said.get("trouble").is_some() {
                self.troubles.push(said);
            } else if said["saw"] == "look" {
                self.looks.push(said);
            } else {
                assert_eq!(said["saw"], what, "{}: {said}", self.name);
                return said;
            }
        }
    }

    /// Tells the story something that it waits for.
    pub(crate) async fn tell(&mut self, what: &Value) {
        let tell = self.tell.as_mut().unwrap();
        tell.write_all(format!("{what}\n").as_bytes()).await.unwrap();
    }

    /// The process that tells it.
    pub(crate) fn teller(&self) -> u32 {
        self.teller.id().unwrap()
    }

    /// Lets go of the story as a process that is killed does: its end of the pipe is closed, and nothing else.
    pub(crate) fn let_go(&mut self) {
        self.tell = None;
    }

    /// Waits for the end, at which there was no trouble.
    pub(crate) async fn end(self) {
        self.end_but_for(&[]).await;
    }

    /// The same where the browser has to say on its console that an answer was refused, with these codes.
    pub(crate) async fn end_but_for(mut self, codes: &[u16]) {
        self.finish().await;
        let refusal = |code: &u16| format!("the server responded with a status of {code}");
        let foreseen = |trouble: &Value| {
            let says = trouble["says"].as_str().unwrap_or_default();
            trouble["trouble"] == "console" && codes.iter().any(|code| says.contains(&refusal(code)))
        };
        self.troubles.retain(|trouble| !foreseen(trouble));
        assert!(self.troubles.is_empty(), "{}: {:#?}", self.name, self.troubles);
    }

    /// Waits for the end, whatever came to light.
    pub(crate) async fn finish(&mut self) {
        self.saw("the end").await;
        let ended = timeout(LINE_MAX, self.teller.wait()).await.unwrap().unwrap();
        assert!(ended.success(), "{}: {ended}", self.name);
    }
}
