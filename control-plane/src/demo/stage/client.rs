//! A client of MCP with the enforcer between it and its server, if this machine has what they are written for.
//!
//! **Invariant**: what is not here is left out, and said; it never fails the demo.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::part::START_MAX;
use super::{AGENT, Stage, checkrein, text};
use crate::beside::{ending_with_us, installed};
use crate::demo::DemoError;

const SCRIPT: &str = include_str!("client.mjs");
/// How long a call waits for people before its client is told that it waits.
const PATIENCE_S: &str = "20";

/// Node, and the packages of npm that are needed.
#[derive(Debug, Clone)]
pub(in crate::demo) struct Programs {
    node: PathBuf,
    modules: PathBuf,
    server: PathBuf,
}

/// A client, its server, and files for both. All of it ends with it.
#[derive(Debug)]
pub(in crate::demo) struct Client {
    says: ChildStdin,
    hears: Lines<BufReader<ChildStdout>>,
    process: Child,
    /// Where the server keeps its files.
    pub(in crate::demo) files: PathBuf,
    /// How many tools it sees.
    pub(in crate::demo) tools: usize,
}

impl Programs {
    /// What is needed, in a directory as `.ci/setup demo` fills it.
    pub(in crate::demo) fn find(tools: &Path) -> Option<Self> {
        let modules = tools.join("peers/mcp/node_modules").canonicalize().ok()?;
        let found = Self {
            node: tools.join("bin/node").canonicalize().ok()?,
            server: modules.join("@modelcontextprotocol/server-filesystem/dist/index.js"),
            modules,
        };
        found.server.exists().then_some(found)
    }
}

impl Stage {
    /// Has a client start `checkrein-enforcer mcp` before a server of files, with this grant. None, if it does not start.
    pub(in crate::demo) async fn client(
        &self,
        programs: &Programs,
        grant: &str,
    ) -> Result<Option<Client>, DemoError> {
        let home = self.directory.path();
        let files = home.canonicalize()?.join("files");
        std::fs::create_dir(&files)?;
        std::fs::write(files.join("notes.txt"), "water the plants\n")?;
        let enforcer = home.join("desk-mcp");
        let operator = home.join("data/operator/client.toml");
        let out = text(&enforcer);
        let add = ["fleet", "add", "desk-mcp", "--in-process", AGENT, "--out", &out];
        checkrein(&operator, &add).await?;
        let (script, presented) = (home.join("client.mjs"), enforcer.join("agent.grant"));
        std::fs::write(&script, SCRIPT)?;
        std::fs::write(&presented, grant)?;
        let mut command = ending_with_us(&programs.node, "KILL");
        command
            .arg(script)
            .arg(&programs.modules)
            .arg(installed()?)
            .arg("mcp")
            .arg("--config")
            .arg(enforcer.join("enforcer.toml"));
        command
            .arg("--grant")
            .arg(presented)
            .args(["--name", "files", "--wait", PATIENCE_S, "--"]);
        command.arg(&programs.node).arg(&programs.server).arg(&files);
        Client::start(command, &home.join("client.log"), files).await
    }
}

impl Client {
    async fn start(mut command: Command, log: &Path, files: PathBuf) -> Result<Option<Self>, DemoError> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let (Some(says), Some(hears)) = (process.stdin.take(), process.stdout.take()) else {
            return Ok(None);
        };
        let mut client = Self {
            says,
            hears: BufReader::new(hears).lines(),
            process,
            files,
            tools: 0,
        };
        let Ok(listed) = client.told().await else {
            client.process.kill().await?;
            return Ok(None);
        };
        client.tools = listed["tools"].as_array().map_or(0, Vec::len);
        Ok(Some(client))
    }

    /// Makes a call.
    pub(in crate::demo) async fn calls(&mut self, name: &str, arguments: &Value) -> Result<(), DemoError> {
        let call = serde_json::json!({ "name": name, "arguments": arguments });
        Ok(self.says.write_all(format!("{call}\n").as_bytes()).await?)
    }

    /// What came of it.
    pub(in crate::demo) async fn told(&mut self) -> Result<Value, DemoError> {
        let line = timeout(START_MAX, self.hears.next_line()).await;
        let line = line.map_err(|_| DemoError::TimedOut("an MCP server's answer"))??;
        let line = line.ok_or(DemoError::TimedOut("an MCP client that ended"))?;
        serde_json::from_str(&line).map_err(|_| DemoError::Unexpected {
            expected: "what an MCP client was told".to_owned(),
            found: line,
        })
    }

    /// It closes, its server with it, and what was decided comes home.
    pub(in crate::demo) async fn ends(mut self) -> Result<(), DemoError> {
        drop(self.says);
        match timeout(START_MAX, self.process.wait()).await {
            Ok(ended) => drop(ended?),
            Err(_) => self.process.kill().await?,
        }
        Ok(())
    }
}
