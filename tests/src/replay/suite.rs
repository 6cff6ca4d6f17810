//! A suite file: what there is to replay.

use checkrein_shared::action::{Arguments, InvalidArguments};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Tools, what users ask for, what attackers want. Other members of the file are its own business.
#[derive(Debug, Clone, Deserialize)]
pub struct Suite {
    /// Its name; the catalog in the pack has the same.
    #[serde(rename = "suite")]
    pub name: String,
    /// All tools that its agent has.
    pub tools: Vec<ToolName>,
    /// What users ask for.
    pub user_tasks: Vec<UserTask>,
    /// What attackers want.
    pub injection_tasks: Vec<Injection>,
}

/// One tool. What it is, the pack says.
#[derive(Debug, Clone, Deserialize)]
pub struct ToolName {
    /// Without the catalog's.
    pub name: String,
}

/// One request of a user.
#[derive(Debug, Clone, Deserialize)]
pub struct UserTask {
    /// Its name.
    pub id: String,
    /// The user's own words.
    pub prompt: String,
    /// The calls that answer it.
    pub calls: Vec<Call>,
}

/// One goal of an attacker.
#[derive(Debug, Clone, Deserialize)]
pub struct Injection {
    /// Its name.
    pub id: String,
    /// The calls that reach the goal; none: there is nothing for a gate to stop.
    pub calls: Vec<Call>,
}

/// One call of one tool.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "WrittenCall")]
pub struct Call {
    /// Without the catalog's name.
    pub tool: String,
    /// As they are written.
    pub arguments: Arguments,
}

#[derive(Deserialize)]
struct WrittenCall {
    tool: String,
    arguments: Box<RawValue>,
}

impl Suite {
    /// Reads a suite file.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// The injections that have calls to make.
    pub fn attacks(&self) -> impl Iterator<Item = &Injection> {
        self.injection_tasks
            .iter()
            .filter(|injection| !injection.calls.is_empty())
    }

    /// How many pairs of user task and injection there are in which a gate has nothing to stop.
    pub fn pairs_without_calls(&self) -> usize {
        self.user_tasks.len() * (self.injection_tasks.len() - self.attacks().count())
    }
}

impl TryFrom<WrittenCall> for Call {
    type Error = InvalidArguments;

    fn try_from(written: WrittenCall) -> Result<Self, InvalidArguments> {
        let arguments = Arguments::parse(written.arguments.get().as_bytes())?;
        Ok(Self {
            tool: written.tool,
            arguments,
        })
    }
}
