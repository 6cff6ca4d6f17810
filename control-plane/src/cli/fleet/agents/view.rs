//! An agent for scripts. Names are stable.

use checkrein_proto::fleet::v1 as wire;
use serde::Serialize;

use super::never_used;
use crate::cli::output::rfc3339;

#[derive(Debug, Serialize)]
pub(super) struct AgentView {
    spiffe_id: String,
    owner: Option<String>,
    teams: Vec<String>,
    named_by: Option<String>,
    named_at: Option<String>,
    registered_by: Option<String>,
    registered_at: Option<String>,
    enforcers: Vec<String>,
    last_seen_at: Option<String>,
    live_tasks: u64,
    tools_allowed: Vec<String>,
    tools_never_used: Vec<String>,
    removed_at: Option<String>,
}

impl AgentView {
    pub(super) fn of(agent: &wire::Agent) -> Self {
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Self {
            spiffe_id: agent.spiffe_id.clone(),
            owner: given(&agent.owner),
            teams: agent.teams.clone(),
            named_by: given(&agent.named_by),
            named_at: rfc3339(agent.named_unix_ms),
            registered_by: given(&agent.registered_by),
            registered_at: rfc3339(agent.registered_unix_ms),
            enforcers: agent.enforcers.clone(),
            last_seen_at: rfc3339(agent.last_seen_unix_ms),
            live_tasks: agent.live_tasks,
            tools_allowed: agent.tools.iter().map(|allowed| allowed.tool.clone()).collect(),
            tools_never_used: never_used(agent).map(str::to_owned).collect(),
            removed_at: rfc3339(agent.removed_unix_ms),
        }
    }
}
