//! MCP servers behind one `checkrein-enforcer mcp`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::InvalidConfig;
use crate::surface::mcp::ServerName;

/// What stands behind `checkrein-enforcer mcp`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mcp {
    /// Over stdio, clients of several servers may begin with a handshake; else 2026-07-28 alone is spoken to them, and servers that do not
    /// speak it are left out.
    #[serde(default = "yes")]
    pub handshake: bool,
    /// The servers; several are one to their clients.
    #[serde(default)]
    pub upstream: Vec<McpUpstream>,
}

/// One server: what starts it, or where it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpUpstream {
    /// What the catalog calls it. Clients that see several servers know its tool `read` as `name__read`.
    pub name: String,
    /// What starts it, program and arguments. Either this or `url`.
    #[serde(default)]
    pub command: Vec<String>,
    /// Where it is.
    pub url: Option<String>,
    /// The CA of its certificate, PEM; absent: those of this machine.
    pub ca: Option<PathBuf>,
    /// A file of what to show it, a line `Name: value` each.
    pub headers: Option<PathBuf>,
}

impl Default for Mcp {
    fn default() -> Self {
        Self {
            handshake: true,
            upstream: Vec::new(),
        }
    }
}

impl Mcp {
    pub(super) fn settle(&mut self, base: &Path) {
        let files = self
            .upstream
            .iter_mut()
            .flat_map(|one| [&mut one.ca, &mut one.headers]);
        for path in files.flatten() {
            *path = base.join(&*path);
        }
    }

    pub(super) fn check(&self) -> Result<(), InvalidConfig> {
        let mut names = BTreeSet::new();
        for one in &self.upstream {
            let refused = |why: &str| Err(InvalidConfig::McpUpstream(one.name.clone(), why.to_owned()));
            let Ok(name) = one.name.parse::<ServerName>() else {
                return refused("its name is at most 64 letters, digits, `_` and `-`");
            };
            if self.upstream.len() > 1 && !name.is_apart() {
                return refused("a name that holds `__` or ends with `_` can't be told from what follows it");
            }
            if !names.insert(&one.name) {
                return refused("the name stands there twice");
            }
            if one.command.is_empty() == one.url.is_none() {
                return refused("it has either a `command` or a `url`");
            }
            if one.url.is_none() && (one.ca.is_some() || one.headers.is_some()) {
                return refused("`ca` and `headers` belong to a `url`");
            }
        }
        Ok(())
    }
}

const fn yes() -> bool {
    true
}
