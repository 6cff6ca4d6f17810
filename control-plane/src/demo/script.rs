//! What is played: the pack, and work from AgentDojo's banking suite.

use std::collections::{BTreeMap, BTreeSet};

use checkrein_shared::policy::PackSource;
use serde::Deserialize;
use serde_json::Value;

/// The pack, as it lies in the repository.
const PACK: &[(&str, &[u8])] = &[
    (
        "checkrein.toml",
        include_bytes!("../../../deploy/packs/banking/checkrein.toml"),
    ),
    (
        "catalog/banking.json",
        include_bytes!("../../../deploy/packs/banking/catalog/banking.json"),
    ),
    (
        "catalog/banking.toml",
        include_bytes!("../../../deploy/packs/banking/catalog/banking.toml"),
    ),
    (
        "entities.json",
        include_bytes!("../../../deploy/packs/banking/entities.json"),
    ),
    (
        "schema.cedarschema",
        include_bytes!("../../../deploy/packs/banking/schema.cedarschema"),
    ),
    (
        "rules.cedar",
        include_bytes!("../../../deploy/packs/banking/rules.cedar"),
    ),
];

/// The pack of the scene in which steps add up.
const DESK: &[(&str, &[u8])] = &[
    (
        "checkrein.toml",
        include_bytes!("../../../deploy/packs/desk/checkrein.toml"),
    ),
    (
        "catalog/desk.json",
        include_bytes!("../../../deploy/packs/desk/catalog/desk.json"),
    ),
    (
        "catalog/desk.toml",
        include_bytes!("../../../deploy/packs/desk/catalog/desk.toml"),
    ),
    (
        "rules.cedar",
        include_bytes!("../../../deploy/packs/desk/rules.cedar"),
    ),
    (
        "tests/desk.yaml",
        include_bytes!("../../../deploy/packs/desk/tests/desk.yaml"),
    ),
];

/// The pack of the scene before an MCP server; its cases name the rules that permit, and another pack permits too.
const FILES: &[(&str, &[u8])] = &[
    (
        "checkrein.toml",
        include_bytes!("../../../deploy/packs/files/checkrein.toml"),
    ),
    (
        "catalog/files.json",
        include_bytes!("../../../deploy/packs/files/catalog/files.json"),
    ),
    (
        "catalog/files.toml",
        include_bytes!("../../../deploy/packs/files/catalog/files.toml"),
    ),
    (
        "rules.cedar",
        include_bytes!("../../../deploy/packs/files/rules.cedar"),
    ),
];

/// The id of the rule that is pushed in the middle of it all.
pub(super) const FREEZE_RULE: &str = "payments-frozen";
/// That rule.
const FREEZE: &str = r#"@id("payments-frozen")
@reason("payments are frozen until further notice")
forbid (principal, action in Action::"spend", resource);
"#;

/// An address or a name has at most so many words.
const RUN_WORDS_MAX: usize = 4;
/// A task takes so many named values.
const NAMED_MAX: usize = 256;

const SUITE: &str = include_str!("../../../deploy/agentdojo/banking.json");

/// A task of the suite: what the user said, and the calls that carry it out.
#[derive(Debug, Deserialize)]
pub(super) struct UserTask {
    pub(super) id: String,
    pub(super) prompt: String,
    pub(super) calls: Vec<Call>,
}

/// A goal that somebody else hid in what the agent reads.
#[derive(Debug, Deserialize)]
pub(super) struct InjectionTask {
    pub(super) id: String,
    pub(super) calls: Vec<Call>,
}

/// One call of one tool.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Call {
    /// Of the suite, unless it names another catalog.
    tool: String,
    arguments: Value,
}

/// The suite.
#[derive(Debug, Deserialize)]
pub(super) struct Suite {
    pub(super) user_tasks: Vec<UserTask>,
    pub(super) injection_tasks: Vec<InjectionTask>,
}

impl Suite {
    pub(super) fn load() -> Result<Self, serde_json::Error> {
        serde_json::from_str(SUITE)
    }

    pub(super) fn user_task(&self, id: &str) -> Option<&UserTask> {
        self.user_tasks.iter().find(|task| task.id == id)
    }

    pub(super) fn injection(&self, id: &str) -> Option<&InjectionTask> {
        self.injection_tasks.iter().find(|task| task.id == id)
    }
}

impl UserTask {
    /// One that no suite has.
    pub(super) fn made_up(prompt: &str) -> Self {
        Self {
            id: String::new(),
            prompt: prompt.to_owned(),
            calls: Vec::new(),
        }
    }

    /// The values the user named: the words of the prompt and short runs of them, as they stand there; the words first.
    pub(super) fn named(&self) -> Vec<String> {
        let edge = |c: char| !c.is_alphanumeric();
        let words: Vec<&str> = self.prompt.split_whitespace().collect();
        let runs = (1..=RUN_WORDS_MAX).flat_map(|length| words.windows(length));
        let mut seen = BTreeSet::new();
        runs.map(|run| run.join(" ").trim_matches(edge).to_owned())
            .filter(|value| !value.is_empty() && seen.insert(value.clone()))
            .take(NAMED_MAX)
            .collect()
    }
}

impl Call {
    /// As the catalog names it.
    pub(super) fn tool(&self) -> String {
        if self.tool.contains('/') {
            return self.tool.clone();
        }
        format!("banking/{}", self.tool)
    }

    /// One that no suite has.
    pub(super) fn made_up(tool: &str, arguments: &Value) -> Self {
        Self {
            tool: tool.to_owned(),
            arguments: arguments.clone(),
        }
    }

    /// Whether it only looks.
    pub(super) fn reads(&self) -> bool {
        self.tool.starts_with("get_") || self.tool.starts_with("read_")
    }

    /// The same for an audience, which need not see what the user chose in secret.
    pub(super) fn shown(&self) -> String {
        match self.arguments.get("password") {
            Some(_) => r#"{"password":"…"}"#.to_owned(),
            None => self.arguments(),
        }
    }

    /// The bytes that would be sent.
    pub(super) fn arguments(&self) -> String {
        self.arguments.to_string()
    }
}

/// The pack of the scene in which steps add up.
pub(super) fn desk() -> PackSource {
    source("desk", DESK)
}

/// The pack of the scene before an MCP server.
pub(super) fn files() -> PackSource {
    source("files", FILES)
}

fn source(name: &str, files: &[(&str, &[u8])]) -> PackSource {
    let files = files
        .iter()
        .map(|(path, content)| ((*path).to_owned(), content.to_vec()));
    PackSource {
        name: name.to_owned(),
        files: files.collect(),
    }
}

/// The pack, with the freeze or without.
pub(super) fn pack(frozen: bool) -> PackSource {
    let mut files: BTreeMap<String, Vec<u8>> = PACK
        .iter()
        .map(|(path, content)| ((*path).to_owned(), content.to_vec()))
        .collect();
    if frozen {
        let rules = files.entry("rules.cedar".to_owned()).or_default();
        rules.extend_from_slice(b"\n");
        rules.extend_from_slice(FREEZE.as_bytes());
    }
    PackSource {
        name: "banking".to_owned(),
        files,
    }
}
