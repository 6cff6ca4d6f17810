//! What a coding agent says of a use of one of its tools.

use anyhow::{Context, bail};
use checkrein_shared::action::Arguments;
use serde::Deserialize;
use serde_json::value::RawValue;

/// An event that this is for.
#[derive(Debug)]
pub(super) enum Event {
    Before(Use),
    After(Use, Ended),
}

/// One use of one tool.
#[derive(Debug)]
pub(super) struct Use {
    session: String,
    /// The sub-agent that uses it; empty: the agent itself.
    sub_agent: String,
    /// Which use of the session it is; empty: it is not said.
    id: String,
    name: String,
    /// As it stands in the event.
    pub(super) input: String,
    canonical: String,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) response: String,
    pub(super) failed: Option<String>,
}

/// Members that are not known are passed over: agents add to them.
#[derive(Deserialize)]
struct Wire<'a> {
    hook_event_name: String,
    session_id: String,
    tool_name: Option<String>,
    #[serde(borrow)]
    tool_input: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_response: Option<&'a RawValue>,
    tool_use_id: Option<String>,
    agent_id: Option<String>,
}

impl Event {
    /// Reads one, and refuses what could be read in two ways.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let wire: Wire<'_> = serde_json::from_str(text).context("the event can't be understood")?;
        let (Some(name), Some(input)) = (wire.tool_name, wire.tool_input) else {
            bail!(
                "`{}` is no event of a tool; use this hook for PreToolUse, PostToolUse and PostToolUseFailure",
                wire.hook_event_name.escape_debug()
            );
        };
        if name.is_empty() {
            bail!("`tool_name` is empty");
        }
        let canonical = Arguments::parse(input.get().as_bytes());
        let canonical = canonical.map_or_else(|_| input.get().to_owned(), |input| input.canonical());
        let used = Use {
            canonical,
            session: wire.session_id,
            sub_agent: wire.agent_id.unwrap_or_default(),
            id: wire.tool_use_id.unwrap_or_default(),
            name,
            input: input.get().to_owned(),
        };
        let response = || {
            wire.tool_response
                .map_or_else(String::new, |raw| raw.get().to_owned())
        };
        match wire.hook_event_name.as_str() {
            "PreToolUse" => Ok(Self::Before(used)),
            "PostToolUse" => Ok(Self::After(
                used,
                Ended {
                    response: response(),
                    failed: None,
                },
            )),
            "PostToolUseFailure" => Ok(Self::After(
                used,
                Ended {
                    response: response(),
                    failed: Some("the agent says that the tool failed".to_owned()),
                },
            )),
            other => bail!(
                "this hook is for PreToolUse, PostToolUse and PostToolUseFailure, and this is `{}`",
                other.escape_debug()
            ),
        }
    }
}

impl Use {
    /// What the catalog calls the tool, where the agent's own stand under `own`.
    pub(super) fn tool(&self, own: &str) -> String {
        let of_server = self.name.strip_prefix("mcp__");
        match of_server.and_then(|rest| rest.split_once("__")) {
            Some((server, tool)) if !server.is_empty() && !tool.is_empty() => format!("{server}/{tool}"),
            _ => format!("{own}/{}", self.name),
        }
    }

    /// What makes two uses the same. Input that can't be read is like nothing but its own bytes: it is denied anyway.
    pub(super) fn same(&self) -> [&str; 5] {
        [
            "hook",
            &self.session,
            &self.sub_agent,
            &self.name,
            &self.canonical,
        ]
    }

    /// Which use it is; none: it is not said, and nobody will say which one ended.
    pub(super) fn one(&self) -> Option<[&str; 3]> {
        (!self.id.is_empty()).then_some(["hook", &self.session, &self.id])
    }
}
