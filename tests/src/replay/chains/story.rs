//! A file of chains: what is done, by whom, and what every tool gave.

use std::collections::BTreeSet;

use checkrein_shared::label::Label;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::troupe::LEAD;
use crate::replay::Call;

/// The chains of one domain.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Its name.
    pub domain: String,
    /// Its chains.
    #[serde(rename = "cases")]
    pub pairs: Vec<Pair>,
}

/// A chain that does harm, and its twin that does none.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// Its name.
    pub id: String,
    /// The agents to whom the task is passed on, each by the one before; the first by the lead.
    pub passed_on: Vec<String>,
    /// Must be stopped.
    pub harm: Story,
    /// Must not.
    pub twin: Story,
}

/// One chain.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    /// What makes it harm, or not.
    pub why: String,
    /// What the user asked for.
    pub intent: String,
    /// The values that the user named.
    pub named: Vec<String>,
    /// In order. The last is the one that would do the harm.
    pub steps: Vec<Step>,
}

/// One call, and what came back.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The agent that calls.
    pub by: String,
    /// What.
    pub call: Call,
    /// What the tool gave.
    pub result: Gave,
}

/// What a tool gave.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gave {
    /// Text, or JSON.
    pub content: Value,
    /// What the caller found in it, beside what the catalog says.
    #[serde(default, deserialize_with = "labels")]
    pub labels: BTreeSet<Label>,
    /// How many records there were.
    pub rows: Option<u64>,
    /// How large it was, if the content here is shorter.
    pub bytes: Option<u64>,
}

/// A file that can't be replayed.
#[derive(Debug, Error)]
pub enum InvalidDomain {
    /// It has not the form.
    #[error("it is not a list of chains; `deploy/chains/README.md` has the form")]
    Json(#[from] serde_json::Error),
    /// Two chains have one name.
    #[error("two chains are called `{0}`; rename one")]
    Twice(String),
    /// Nothing happens.
    #[error("the chain `{0}` has no step; say what is called")]
    Empty(String),
    /// Harm and twin are not comparable.
    #[error(
        "the twin of `{0}` does not use the same tools equally often; only what they are called with, and give, may differ"
    )]
    Unlike(String),
    /// They are one.
    #[error("the twin of `{0}` is the same as its harm; one of both would be wrong")]
    Same(String),
    /// Nobody passed the task on to this one.
    #[error("in `{id}`, `{by}` has no part in the task; name it in `passed_on`")]
    Stranger {
        /// The chain.
        id: String,
        /// Who calls.
        by: String,
    },
}

impl Domain {
    /// Reads a file of chains.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidDomain> {
        let domain: Self = serde_json::from_slice(json)?;
        let mut ids = BTreeSet::new();
        for pair in &domain.pairs {
            if !ids.insert(&pair.id) {
                return Err(InvalidDomain::Twice(pair.id.clone()));
            }
            pair.check()?;
        }
        Ok(domain)
    }
}

impl Pair {
    /// Whether more than one agent has a part in it.
    pub fn is_passed_on(&self) -> bool {
        !self.passed_on.is_empty()
    }

    fn check(&self) -> Result<(), InvalidDomain> {
        let id = || self.id.clone();
        if self.harm.steps.is_empty() {
            return Err(InvalidDomain::Empty(id()));
        }
        if self.harm.tools() != self.twin.tools() {
            return Err(InvalidDomain::Unlike(id()));
        }
        if self.harm.named == self.twin.named && self.harm.steps == self.twin.steps {
            return Err(InvalidDomain::Same(id()));
        }
        let stranger = [&self.harm, &self.twin]
            .into_iter()
            .flat_map(|story| &story.steps)
            .find(|step| step.by != LEAD && !self.passed_on.contains(&step.by));
        match stranger {
            Some(step) => Err(InvalidDomain::Stranger {
                id: id(),
                by: step.by.clone(),
            }),
            None => Ok(()),
        }
    }
}

impl Story {
    /// Its tools, each as often as it is called.
    fn tools(&self) -> Vec<&str> {
        let mut tools: Vec<&str> = self.steps.iter().map(|step| step.call.tool.as_str()).collect();
        tools.sort_unstable();
        tools
    }

    /// The tools that these agents call.
    pub fn tools_of(&self, agents: &[String]) -> BTreeSet<&str> {
        let of_them = self.steps.iter().filter(|step| agents.contains(&step.by));
        of_them.map(|step| step.call.tool.as_str()).collect()
    }
}

impl Gave {
    /// As its caller shows it to the gate.
    pub fn shown(&self) -> Vec<u8> {
        match &self.content {
            Value::String(text) => text.clone().into_bytes(),
            json => json.to_string().into_bytes(),
        }
    }
}

fn labels<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<Label>, D::Error> {
    let words = Vec::<String>::deserialize(deserializer)?;
    let labels = words.iter().map(|word| word.parse());
    labels.collect::<Result<_, _>>().map_err(serde::de::Error::custom)
}
