//! Programs that ask an enforcer which runs beside them: a coding agent's hook, and one command as one action.

mod hook;
mod lease;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use checkrein_proto::decision::v1::{OutcomeResult, SearchRequest, StoredDecision};
use checkrein_tests::{Binaries, Person, Process, WAIT_MAX, World, read_pack};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

const AGENT: &str = "spiffe://acme.example/agent/assistant";

/// A world with the pack of a developer's agent, a task, and an enforcer that runs as a process of its own.
struct Scene {
    world: World,
    operator: Person,
    task: String,
    directory: PathBuf,
    binaries: Binaries,
    enforcer: Option<Process>,
}

/// What a program said, and how it ended.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Scene {
    async fn set(tools: &[&str]) -> Self {
        let world = World::start().await.unwrap();
        let operator = world.operator().await.unwrap();
        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/packs/code");
        let generation = operator.push(&read_pack("code", &pack).unwrap()).await.unwrap();
        let task = operator.start("alice", AGENT, tools, &[]).await.unwrap();
        let directory = world.register_sidecar("beside", AGENT).await.unwrap();
        std::fs::write(directory.join("agent.grant"), &task.grant).unwrap();
        let binaries = Binaries::build().await.unwrap();
        let enforcer = binaries.enforcer(&directory).await.unwrap();
        world.until_acked(generation).await.unwrap();
        Self {
            world,
            operator,
            task: task.task.unwrap().task_id,
            directory,
            binaries,
            enforcer: Some(enforcer),
        }
    }

    /// A form of the program that asks the enforcer here.
    fn command(&self, form: &str) -> Command {
        let mut command = self.binaries.checkrein_enforcer();
        command
            .arg(form)
            .arg("--socket")
            .arg(self.directory.join("gate.sock"))
            .arg("--grant")
            .arg(self.directory.join("agent.grant"))
            .arg("--state")
            .arg(self.directory.join("calls"));
        command
    }

    async fn approves(&self) {
        let bob = self.world.approver("bob").await.unwrap();
        let hold = self.operator.waiting(&self.task).await.unwrap();
        bob.vote(&hold, true).await.unwrap();
    }

    async fn kill(&mut self) {
        self.enforcer.take().unwrap().kill().await.unwrap();
    }

    /// What the record says of the calls of a tool, the latest first, once so many have outcomes.
    async fn outcomes(&self, tool: &str, expected: usize) -> Vec<(OutcomeResult, String)> {
        let request = SearchRequest {
            task_id: self.task.clone(),
            tool: tool.to_owned(),
            ..SearchRequest::default()
        };
        let found = async {
            loop {
                let found = self.operator.decisions().search(request.clone()).await;
                let found = found.unwrap().into_inner().decisions;
                let outcomes: Vec<_> = found.iter().filter_map(outcome).collect();
                if outcomes.len() == expected {
                    return outcomes;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(WAIT_MAX, found).await.unwrap()
    }
}

fn outcome(stored: &StoredDecision) -> Option<(OutcomeResult, String)> {
    let outcome = stored.outcome.as_ref()?;
    Some((outcome.result(), outcome.detail.clone()))
}

/// Gives a program its input, and waits for its end.
async fn runs(mut command: Command, input: &str) -> Said {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut says = child.stdin.take().unwrap();
    // One that refuses early does not read all of it.
    let _written = says.write_all(input.as_bytes()).await;
    drop(says);
    let ended = timeout(WAIT_MAX, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    Said {
        code: ended.status.code(),
        out: String::from_utf8(ended.stdout).unwrap(),
        err: String::from_utf8(ended.stderr).unwrap(),
    }
}
