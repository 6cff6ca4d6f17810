//! Tools as their server defines them, and which of a list a client gets.
//!
//! **Invariant**: what a client sees of a tool are the server's own bytes, and their hash is the one that the catalog accepted. A
//! definition is known only until the server says that its list has changed, and where it may say so to nobody, for a bounded time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use checkrein_shared::action::{Arguments, Json, Sha256};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::wire::{InvalidMessage, Members};

/// Nobody lists its tools on more pages.
pub(super) const PAGES_MAX: usize = 64;
/// Of so many tools the definition is known; the others are refused.
const TOOLS_MAX: usize = 4_096;
/// Where a server may tell nobody that its tools have changed, they are asked for again after this.
pub(super) const DEFINED_MAX: Duration = Duration::from_secs(5);

/// One page of `tools/list`.
#[derive(Debug)]
pub(super) struct Page<'a> {
    tools: &'a RawValue,
    listed: Vec<Listed<'a>>,
    /// Where the next page begins, as the server says it.
    pub(super) next: Option<&'a RawValue>,
}

/// One tool in it.
#[derive(Debug)]
pub(super) struct Listed<'a> {
    pub(super) raw: &'a str,
    pub(super) name: String,
    /// Of its canonical JSON. All zeros, which nothing hashes to: it stands twice in the page.
    pub(super) sha256: Sha256,
}

/// What is known of the definitions of a server's tools.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    known: Mutex<Known>,
    /// Held by whoever asks the server for all of them.
    pub(super) asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    /// Each is known for so long; none: until the list changes.
    life: Option<Duration>,
    by_name: HashMap<String, (Sha256, Instant)>,
    /// How often the server said that its list has changed.
    changes: u64,
}

impl<'a> Page<'a> {
    /// Reads a result. A tool that can't be read in one way is in no page.
    pub(super) fn parse(result: &'a str) -> Result<Self, InvalidMessage> {
        let members = Members::parse(result)?;
        let tools = members.get("tools").ok_or(InvalidMessage::Kind)?;
        let raws: Vec<&RawValue> =
            serde_json::from_str(tools.get()).map_err(|error| InvalidMessage::Syntax(error.to_string()))?;
        let mut listed: Vec<Listed<'a>> = Vec::with_capacity(raws.len());
        let mut places: HashMap<String, usize> = HashMap::with_capacity(raws.len());
        for raw in raws {
            let Ok(definition) = Arguments::parse(raw.get().as_bytes()) else {
                continue;
            };
            let Some(Json::String(name)) = definition.get("name") else {
                continue;
            };
            let mut tool = Listed {
                raw: raw.get(),
                name: name.clone(),
                sha256: Sha256::of(definition.canonical().as_bytes()),
            };
            if let Some(first) = places.get(name) {
                listed[*first].sha256 = Sha256::default();
                tool.sha256 = Sha256::default();
            }
            places.insert(name.clone(), listed.len());
            listed.push(tool);
        }
        Ok(Self {
            tools,
            listed,
            next: members.get("nextCursor").filter(|next| next.get() != "null"),
        })
    }

    /// The tools in it.
    pub(super) fn tools(&self) -> &[Listed<'a>] {
        &self.listed
    }

    /// The line that this page stands in, with these of its tools alone.
    pub(super) fn only(&self, line: &str, keeps: impl Fn(&Listed<'a>) -> bool) -> String {
        let kept: Vec<&str> = self
            .listed
            .iter()
            .filter(|tool| keeps(tool))
            .map(|tool| tool.raw)
            .collect();
        let start = self.tools.get().as_ptr().addr() - line.as_ptr().addr();
        let end = start + self.tools.get().len();
        let is_whole = kept.len() == self.listed.len() && self.listed.len() == count(self.tools);
        if is_whole {
            return line.to_owned();
        }
        format!("{}[{}]{}", &line[..start], kept.join(","), &line[end..])
    }
}

impl Definitions {
    /// Each is known for so long.
    pub(super) fn known_for(life: Duration) -> Self {
        let definitions = Self::default();
        definitions.live_for(life);
        definitions
    }

    /// The same, from now on.
    pub(super) fn live_for(&self, life: Duration) {
        self.known().life = Some(life);
    }

    /// How the server defines a tool; none: that is not known.
    pub(super) fn of(&self, name: &str) -> Option<Sha256> {
        let known = self.known();
        let (sha256, noted) = known.by_name.get(name).copied()?;
        is_fresh(known.life, noted).then_some(sha256)
    }

    /// To be said when a page that was asked for now has come.
    pub(super) fn changes(&self) -> u64 {
        self.known().changes
    }

    /// Takes up a page, unless the list has changed since it was asked for.
    pub(super) fn note(&self, asked_at: u64, page: &Page<'_>) {
        let mut known = self.known();
        if known.changes != asked_at {
            return;
        }
        let now = Instant::now();
        if known.by_name.len() + page.tools().len() > TOOLS_MAX {
            let life = known.life;
            known.by_name.retain(|_, (_, noted)| is_fresh(life, *noted));
        }
        for tool in page.tools() {
            if known.by_name.len() < TOOLS_MAX || known.by_name.contains_key(&tool.name) {
                known.by_name.insert(tool.name.clone(), (tool.sha256, now));
            }
        }
    }

    /// The list has changed.
    pub(super) fn forget(&self) {
        let mut known = self.known();
        known.by_name.clear();
        known.changes += 1;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing in here panics halfway.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_fresh(life: Option<Duration>, noted: Instant) -> bool {
    life.is_none_or(|life| noted.elapsed() <= life)
}

/// How many elements a list has, whatever they are.
fn count(list: &RawValue) -> usize {
    let elements = serde_json::from_str::<Vec<serde::de::IgnoredAny>>(list.get());
    elements.map_or(0, |elements| elements.len())
}

#[cfg(test)]
mod tests;
