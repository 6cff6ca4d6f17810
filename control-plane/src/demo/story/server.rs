//! The scene before an MCP server: nothing of ours is in its client or in it.

use checkrein_proto::hold::v1::Hold;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{LOOK_INTERVAL, Story, UserTask, WAIT_MAX, Work, unexpected};
use crate::demo::stage::{Client, Programs};
use crate::demo::{DemoError, script};

/// Where what was decided stands in an answer that is no server's.
const DECISION: &str = "/_meta/checkrein~1decision";

impl Story {
    pub(super) async fn before_a_server(&mut self, programs: Option<&Programs>) -> Result<(), DemoError> {
        self.screen
            .title("A real MCP client calls a real MCP server; the enforcer stands between them");
        let Some(programs) = programs else {
            self.screen
                .step("left out: it needs Node and the SDK of MCP, which `make demo` brings where it can");
            return Ok(());
        };
        if self.stage.is_hidden() {
            self.screen.step("left out: the pack lets nobody write below a directory whose name begins with a dot, and `TMPDIR` is one");
            return Ok(());
        }
        let generation = self.push_pack(script::files(), "files").await?;
        self.until_all_run(generation).await?;
        let work = self
            .start_with(&UserTask::made_up("Tidy up my notes"), vec!["files/*".to_owned()])
            .await?;
        let Some(mut client) = self.stage.client(programs, &work.grant).await? else {
            self.screen.step("left out: the client of the SDK did not start");
            return Ok(());
        };
        self.screen.step(&format!(
            "the official SDK starts `checkrein-enforcer mcp --name files … -- server-filesystem`, and sees {} tools",
            client.tools
        ));
        self.converse(&mut client, &work).await?;
        client.ends().await?;
        self.end_task(&work).await
    }

    async fn converse(&mut self, client: &mut Client, work: &Work) -> Result<(), DemoError> {
        let path = |name: &str| client.files.join(name).display().to_string();
        let (notes, hidden) = (path("notes.txt"), path(".profile"));
        let read = json!({ "path": notes });
        client.calls("read_text_file", &read).await?;
        self.hears(&client.told().await?, "read_text_file notes.txt", "permit")?;
        let hide = json!({ "path": hidden, "content": "export SECRET=1" });
        client.calls("write_file", &hide).await?;
        self.hears(&client.told().await?, "write_file .profile", "deny")?;

        let over = json!({ "path": notes, "content": "the plants are watered\n" });
        client.calls("write_file", &over).await?;
        let hold = self.until_waiting(work).await?;
        self.tally.held += 1;
        self.screen
            .verdict("hold", "files/write_file notes.txt", &hold.reason);
        self.screen
            .step("the server has not heard of it; its client waits, and bob is asked");
        self.show(&hold);
        self.vote(&hold, true, "").await?;
        self.hears(&client.told().await?, "write_file notes.txt", "release")?;
        let stands = std::fs::read_to_string(&notes)?;
        if stands != "the plants are watered\n" {
            return Err(unexpected("what was approved to be written", &stands));
        }
        self.screen
            .say("bob approves, the server gets the call, once, and the client its answer");
        Ok(())
    }

    /// What the client was told must be this.
    fn hears(&mut self, told: &Value, call: &str, expected: &str) -> Result<(), DemoError> {
        let decision = told.pointer(DECISION);
        let text = |name: &str| {
            decision
                .and_then(|decision| decision[name].as_str())
                .unwrap_or_default()
        };
        let found = match decision {
            None if told["isError"] != true => expected,
            None => "failed",
            Some(_) => text("verdict"),
        };
        let is_as_expected = found == expected && (expected == "deny") == decision.is_some();
        if !is_as_expected {
            return Err(unexpected(expected, told));
        }
        match found {
            "permit" => self.tally.permitted += 1,
            "release" => self.tally.released += 1,
            _ => {
                self.tally.denied += 1;
                self.tally.answered.insert(text("decision_id").to_owned());
            }
        }
        self.tally.decisions_answered += 1;
        self.screen
            .verdict(found, &format!("files/{call}"), text("reason"));
        Ok(())
    }

    /// The hold that waits in a task, once it does.
    async fn until_waiting(&self, work: &Work) -> Result<Hold, DemoError> {
        let looking = async {
            loop {
                if let Ok(hold) = self.waiting(work).await {
                    return hold;
                }
                sleep(LOOK_INTERVAL).await;
            }
        };
        let found = timeout(WAIT_MAX, looking).await;
        found.map_err(|_| DemoError::TimedOut("a call of the MCP client to wait"))
    }
}
