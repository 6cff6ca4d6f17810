//! What the pack says of the suite's tools: how rules name them, and which of them act.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use checkrein_shared::policy::{Effect, Pack, Tool};

use super::suite::Suite;

/// The suite's tools, as one catalog of the pack knows them.
#[derive(Debug, Clone)]
pub struct Catalog {
    name: String,
    /// Whether each does anything but read.
    acts: BTreeMap<String, bool>,
}

impl Catalog {
    /// The catalog that is named after the suite; a pack without it was written for other tools.
    pub fn find(pack: &Pack, suite: &Suite) -> Result<Self> {
        let mut catalogs: BTreeMap<&str, BTreeMap<String, bool>> = BTreeMap::new();
        for tool in pack.tools() {
            if let Some((catalog, name)) = tool.id.split_once('/') {
                catalogs
                    .entry(catalog)
                    .or_default()
                    .insert(name.to_owned(), acts(tool));
            }
        }
        let name = suite.name.clone();
        let Some(acts) = catalogs.remove(name.as_str()) else {
            bail!(
                "the pack `{}` has no catalog `{name}` ({}); put the suite's tools into `catalog/{name}.json` and say \
                 in `catalog/{name}.toml` what they are",
                pack.name(),
                listed(catalogs.into_keys())
            );
        };
        Ok(Self { name, acts })
    }

    /// As rules and scopes name the tool.
    pub fn id(&self, tool: &str) -> String {
        format!("{}/{tool}", self.name)
    }

    /// Whether a call of it does anything but read. What the catalog does not know may do everything.
    pub fn acts(&self, tool: &str) -> bool {
        self.acts.get(tool).copied().unwrap_or(true)
    }

    /// The suite's tools that the catalog does not know; every call of them is denied.
    pub fn unknown<'s>(&self, suite: &'s Suite) -> Vec<&'s str> {
        let names = suite.tools.iter().map(|tool| tool.name.as_str());
        names.filter(|name| !self.acts.contains_key(*name)).collect()
    }
}

fn acts(tool: &Tool) -> bool {
    tool.effects.iter().any(|effect| *effect != Effect::Read)
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        "it has none".to_owned()
    } else {
        format!("it has {}", names.join(", "))
    }
}
