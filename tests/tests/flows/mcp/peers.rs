//! What people have, unchanged: the inspector of MCP on its command line as a client, and the server for Git behind the enforcer.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::slice::from_ref;

use checkrein_shared::policy::PackSource;
use checkrein_tests::{WAIT_MAX, installed, read_pack};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use super::skeleton::wrote;
use super::{Scene, is_denied, node, text};

const RULES: &str = r#"
@id("all") permit (principal, action, resource);
@id("commits") @hold("owners") @reason("somebody looks at every commit")
forbid (principal, action == Action::"git/git_commit", resource);
@id("resets") @reason("what was added is not for agents to take back")
forbid (principal, action == Action::"git/git_reset", resource);
"#;

/// A repository with a file that nobody has added yet.
struct Repository {
    place: TempDir,
    root: PathBuf,
}

impl Repository {
    async fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("repository");
        std::fs::create_dir(&root).unwrap();
        let repository = Self {
            root: root.canonicalize().unwrap(),
            place,
        };
        repository.git(&["init", "--quiet"]).await;
        repository.git(&["config", "user.name", "assistant"]).await;
        repository
            .git(&["config", "user.email", "assistant@acme.example"])
            .await;
        std::fs::write(repository.root.join("notes.txt"), "notes\n").unwrap();
        repository
    }

    async fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .arg("-C")
            .arg(&self.root)
            .args(arguments)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", self.place.path())
            .output()
            .await
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// What starts the server for it.
    fn server(&self) -> Vec<PathBuf> {
        let packages = installed("peers/mcp-python").unwrap();
        let path = format!("PYTHONPATH={}", packages.display());
        let start = ["env", &path, "python3", "-m", "mcp_server_git", "--repository"];
        let mut command = start.map(PathBuf::from).to_vec();
        command.push(self.root.clone());
        command
    }

    /// All that the server has, written down as a user would.
    async fn pack(&self) -> PackSource {
        let place = self.place.path().join("pack");
        let (is_written, said) = wrote("git", &place.join("catalog"), &self.server()).await;
        assert!(is_written && said.contains("12 tools"), "{said}");
        let groups = "namespace = \"org\"\n[groups]\nowners = [\"spiffe://acme.example/approver/bob\"]\n";
        std::fs::write(place.join("checkrein.toml"), groups).unwrap();
        std::fs::write(place.join("rules.cedar"), RULES).unwrap();
        read_pack("git", &place).unwrap()
    }
}

/// The inspector, with the enforcer in a client's configuration in the server's place.
struct Inspector<'a> {
    home: &'a Path,
    config: PathBuf,
}

impl<'a> Inspector<'a> {
    fn new(home: &'a Path, command: &[PathBuf]) -> Self {
        let config = home.join("mcp.json");
        let server = json!({ "command": command[0], "args": command[1..] });
        std::fs::write(&config, json!({ "mcpServers": { "git": server } }).to_string()).unwrap();
        Self { home, config }
    }

    /// Has it do one thing; what it prints.
    async fn does(&self, arguments: &[&str]) -> Value {
        let script =
            "peers/mcp-suites/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js";
        let mut inspector = Command::new(node());
        inspector
            .arg(installed(script).unwrap())
            .args(["--cli", "--server", "git", "--config"])
            .arg(&self.config)
            .args(arguments)
            .env("HOME", self.home)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = timeout(WAIT_MAX, inspector.output()).await.unwrap().unwrap();
        let printed = serde_json::from_slice(&output.stdout);
        printed.unwrap_or_else(|_| panic!("{output:?}"))
    }

    async fn calls(&self, tool: &str, arguments: &[String]) -> Value {
        let mut line = vec!["--method", "tools/call", "--tool-name", tool];
        for argument in arguments {
            line.extend(["--tool-arg", argument.as_str()]);
        }
        json!({ "result": self.does(&line).await })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inspector_lists_and_calls_is_denied_and_waits_for_a_person_before_a_commit_of_the_server_for_git()
 {
    let repository = Repository::new().await;
    let scene = Scene::set(&repository.pack().await, &["git/*"]).await;
    let command = scene.wrapping("git", 50, &repository.server());
    let inspector = Inspector::new(repository.place.path(), &command);
    let listed = inspector.does(&["--method", "tools/list"]).await;
    assert_eq!(listed["tools"].as_array().unwrap().len(), 12, "{listed}");

    let at = format!("repo_path={}", repository.root.display());
    let told = inspector.calls("git_status", from_ref(&at)).await;
    assert!(text(&told).contains("notes.txt"), "{told}");
    let files = r#"files=["notes.txt"]"#.to_owned();
    let told = inspector.calls("git_add", &[at.clone(), files]).await;
    assert_ne!(told["result"]["isError"], true, "{told}");
    is_denied(&inspector.calls("git_reset", from_ref(&at)).await, "forbidden");
    assert_eq!(
        repository.git(&["diff", "--cached", "--name-only"]).await,
        "notes.txt"
    );

    let arguments = [at, "message=notes".to_owned()];
    let commits = inspector.calls("git_commit", &arguments);
    let looks = async {
        scene.operator.waiting(&scene.task).await.unwrap();
        assert_eq!(
            repository.git(&["log", "--format=%s"]).await,
            "",
            "nobody has agreed"
        );
        scene.approves().await;
    };
    let (told, ()) = tokio::join!(commits, looks);
    assert_ne!(told["result"]["isError"], true, "{told}");
    assert_eq!(repository.git(&["log", "--format=%s"]).await, "notes");
}
