//! What an enforcer is told when it starts: one TOML file, unknown fields refused, read whole before anything opens.
//!
//! The control plane's `fleet add` writes this file, so its names are part of the contract between the two. Relative
//! paths are relative to the file, so that a directory can be moved whole.
//!
//! **Invariant**: a [`Config`] that exists is valid; TCP can't be configured without mutual TLS, because an identity, from
//! files or from the Workload API, is not optional.

mod authzen;
mod gateway;
mod mcp;
mod oauth;
mod route;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use checkrein_shared::identity::{Role, SpiffeId};
use checkrein_shared::key::{InvalidKey, VerifyingKey};
use serde::Deserialize;
use thiserror::Error;
use url::Url;

use crate::identity::{Files, Origin, WorkloadApi};
pub use authzen::{ArgumentSource, AuthZen, AuthZenAction, AuthZenResource, AuthZenSubject};
pub use gateway::{AgentFrom, Gateway};
pub use mcp::{Mcp, McpUpstream};
pub use oauth::{OAuth, OAuthClient};
pub(crate) use route::Target;
pub use route::{GatewayRoute, InvalidPattern, RequestPattern};

/// The smallest journal that leaves room for a few segments.
pub const JOURNAL_BYTES_MIN: u64 = 1 << 20;
const JOURNAL_BYTES_DEFAULT: u64 = 256 << 20;

/// Everything an enforcer is told when it starts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `https://host:port` of each control-plane replica; one is chosen at random and kept while it answers.
    pub control_plane: Vec<String>,
    /// Where the journal, the last known good policy and this instance's identity live; locked while open.
    pub directory: PathBuf,
    /// The enforcer's certificate chain, PEM. An identity is three files, or `spiffe`.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// Whether the certificate is renewed by the control plane at half of its life; `false` where others rotate the files.
    /// What the Workload API gives is renewed by whoever gives it.
    #[serde(default = "yes")]
    pub renew: bool,
    /// The CA that vouches for the control plane and for agents, PEM. With `spiffe` it vouches beside the trust bundle, and is
    /// needed where the control plane's certificate is its own CA's.
    pub ca: Option<PathBuf>,
    /// Where certificate, key and CA come from, if not from files.
    pub spiffe: Option<Spiffe>,
    /// The pinned root public key, 64 hex digits.
    pub root_key: RootKey,
    /// Unix sockets, one agent each.
    #[serde(default)]
    pub unix: Vec<UnixSocket>,
    /// TCP with mutual TLS.
    pub tcp: Option<Tcp>,
    /// Ports and sockets for gateways, which ask for the agents whose calls they carry.
    #[serde(default)]
    pub gateway: Vec<Gateway>,
    /// An authorization server that vouches for agents, where they show its tokens.
    pub oauth: Option<OAuth>,
    /// MCP servers that it stands before.
    #[serde(default)]
    pub mcp: Mcp,
    /// The agent this process acts for through the library.
    pub in_process: Option<InProcess>,
    /// Where people find the control plane's console: clients that take links are given one to what their call waits for.
    pub console_url: Option<String>,
    /// Bounds of the journal.
    #[serde(default)]
    pub journal: JournalBounds,
}

/// An identity that the machine's SPIFFE agent gives, and rotates.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spiffe {
    /// The Workload API: `unix:///run/spire/agent.sock`.
    pub socket: String,
}

/// A socket whose callers are one agent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnixSocket {
    /// Where the socket is made.
    pub path: PathBuf,
    /// Who connects here is this agent.
    pub agent: SpiffeId,
    /// The user id the peer must have; absent: the enforcer's own. Another user needs a path whose directories it may enter.
    pub uid: Option<u32>,
}

/// A port whose callers show a certificate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tcp {
    /// `ip:port`, an address and no name; port 0 takes a free one.
    pub address: SocketAddr,
}

/// The agent that the embedding process says it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InProcess {
    /// Recorded as asserted: nothing proves it.
    pub agent: SpiffeId,
}

/// How much the journal may hold.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalBounds {
    /// On disk, over all incarnations; full: every call is denied.
    pub max_bytes: u64,
}

/// The root public key, from hex.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RootKey(pub VerifyingKey);

/// A configuration that can't be used.
#[derive(Debug, Error)]
pub enum InvalidConfig {
    /// The file can't be read.
    #[error("can't read `{}`; `checkrein fleet add` writes one", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, a field nobody knows, or a value that does not parse.
    #[error("the configuration can't be understood")]
    Toml(#[from] toml::de::Error),
    /// Two identities.
    #[error("there are two identities: name `certificate` and `key`, or `[spiffe] socket`, and not both")]
    TwoIdentities,
    /// None, or a part of one.
    #[error(
        "there is no whole identity: name `certificate`, `key` and `ca`, or `[spiffe] socket` for the Workload API"
    )]
    NoIdentity,
    /// Keys must not cross a network in the clear, and that API has no TLS.
    #[error("`{0}` is no Workload API here; expected a Unix socket, `unix:///run/spire/agent.sock`")]
    NotASocket(String),
    /// No control plane is named.
    #[error("`control_plane` is empty; name at least one `https://host:port`")]
    NoControlPlane,
    /// A control plane without TLS.
    #[error("`{0}` is not an `https://host:port`; the control plane is only spoken to over mutual TLS")]
    NotHttps(String),
    /// Something that is no agent where an agent is named.
    #[error("`{0}` is not an agent; expected `spiffe://<domain>/agent/<name>`")]
    NotAnAgent(SpiffeId),
    /// A gateway that listens nowhere, or in two places.
    #[error("a `[[gateway]]` has either an `address`, for mutual TLS, or the `path` of a socket")]
    GatewayPlace,
    /// A port on which anybody with a certificate would speak for agents, or a socket for none.
    #[error(
        "a `[[gateway]]` with an `address` names its `callers`, the SPIFFE IDs that may speak for agents there; one with a `path` names a `uid` instead, or none for the enforcer's own"
    )]
    GatewayCallers,
    /// An agent that would speak for others.
    #[error("`{0}` is an agent; an agent speaks for nobody but itself, on `[tcp]` or a socket of its own")]
    GatewayAgent(SpiffeId),
    /// A URL that is asked, or told, of tokens, in the clear.
    #[error("`{0}` is no https URL without user, query and fragment (http is for this machine only)")]
    OAuthUrl(String),
    /// Not a word.
    #[error("`{0}` can't be a scope; it is one word")]
    OAuthScope(String),
    /// Two agents for one client.
    #[error("the client `{0}` stands under `[[oauth.client]]` twice")]
    OAuthClientTwice(String),
    /// Tokens for nobody.
    #[error("`[oauth]` names no client; name each, and which agent it is, under `[[oauth.client]]`")]
    OAuthNobody,
    /// One request that would be two calls.
    #[error("`{0}` stands under `[[gateway.route]]` twice, or twice but for the names of its arguments")]
    GatewayRouteTwice(RequestPattern),
    /// Where askers by AuthZEN would not reach us, or in the clear.
    #[error("`{0}` is no https URL without user, query and fragment")]
    AuthZenUrl(String),
    /// One name that would be two things.
    #[error("`{1}` of the type `{0}` stands under `[gateway.authzen]` twice")]
    AuthZenTwice(String, String),
    /// More than a search looks at.
    #[error("there are more than {0} subjects or resources under `[gateway.authzen]`")]
    AuthZenTooMany(usize),
    /// A server that can't be stood before.
    #[error("`[[mcp.upstream]]` named `{0}`: {1}")]
    McpUpstream(String, String),
    /// No link leads there.
    #[error("`console_url` is `{0}`, which is no URL such as https://checkrein.acme.example")]
    ConsoleUrl(String),
    /// Too small a journal.
    #[error("`journal.max_bytes` is {0}; at least {JOURNAL_BYTES_MIN} are needed")]
    JournalTooSmall(u64),
}

/// A text that is not a root key.
#[derive(Debug, Error)]
pub enum InvalidRootKey {
    /// Not hex, or not 64 digits.
    #[error("`root_key` must be the 64 hex digits that `fleet add` gave")]
    Hex,
    /// Not a key.
    #[error(transparent)]
    Key(#[from] InvalidKey),
}

impl Config {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, InvalidConfig> {
        let text = std::fs::read_to_string(path).map_err(|source| InvalidConfig::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path.parent().unwrap_or(Path::new("")))
    }

    /// Reads TOML text whose relative paths are relative to `base`.
    pub fn parse(text: &str, base: &Path) -> Result<Self, InvalidConfig> {
        toml::from_str::<Self>(text)?.settle(base)
    }

    /// From a table, as the binary puts it together from a file, flags and variables.
    pub fn from_table(table: toml::Table, base: &Path) -> Result<Self, InvalidConfig> {
        table.try_into::<Self>()?.settle(base)
    }

    fn settle(mut self, base: &Path) -> Result<Self, InvalidConfig> {
        let files = [&mut self.certificate, &mut self.key, &mut self.ca];
        for path in files
            .into_iter()
            .flatten()
            .chain([&mut self.directory])
            .chain(self.unix.iter_mut().map(|socket| &mut socket.path))
            .chain(self.gateway.iter_mut().flat_map(Gateway::files))
        {
            *path = base.join(&*path);
        }
        self.mcp.settle(base);
        self.check()?;
        self.console_url = self.console_url.map(|url| url.trim_end_matches('/').to_owned());
        Ok(self)
    }

    /// Where the identity comes from: one place, or the configuration is refused.
    pub(crate) fn origin(&self) -> Result<Origin, InvalidConfig> {
        match (&self.certificate, &self.key, &self.ca, &self.spiffe) {
            (Some(certificate), Some(key), Some(ca), None) => Ok(Origin::Files(Files {
                certificate: certificate.clone(),
                key: key.clone(),
                ca: ca.clone(),
            })),
            (None, None, ca, Some(Spiffe { socket })) => {
                let api = WorkloadApi::at(socket, ca.clone());
                Ok(Origin::WorkloadApi(
                    api.ok_or_else(|| InvalidConfig::NotASocket(socket.clone()))?,
                ))
            }
            (_, _, _, Some(_)) => Err(InvalidConfig::TwoIdentities),
            (_, _, _, None) => Err(InvalidConfig::NoIdentity),
        }
    }

    fn check(&self) -> Result<(), InvalidConfig> {
        self.origin()?;
        if self.control_plane.is_empty() {
            return Err(InvalidConfig::NoControlPlane);
        }
        if let Some(url) = self.control_plane.iter().find(|url| !url.starts_with("https://")) {
            return Err(InvalidConfig::NotHttps(url.clone()));
        }
        let agents = self.unix.iter().map(|socket| &socket.agent);
        let agents = agents.chain(self.in_process.iter().map(|process| &process.agent));
        for agent in agents {
            if agent.role() != Some(Role::Agent) {
                return Err(InvalidConfig::NotAnAgent(agent.clone()));
            }
        }
        self.gateway.iter().try_for_each(Gateway::check)?;
        self.oauth.iter().try_for_each(OAuth::check)?;
        self.mcp.check()?;
        if let Some(url) = self.console_url.as_ref().filter(|url| !is_console(url)) {
            return Err(InvalidConfig::ConsoleUrl(url.clone()));
        }
        if self.journal.max_bytes < JOURNAL_BYTES_MIN {
            return Err(InvalidConfig::JournalTooSmall(self.journal.max_bytes));
        }
        Ok(())
    }
}

impl Default for JournalBounds {
    fn default() -> Self {
        Self {
            max_bytes: JOURNAL_BYTES_DEFAULT,
        }
    }
}

/// Whether links can lead there.
fn is_console(url: &str) -> bool {
    let is_web = Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.has_host());
    is_web && !url.contains(['?', '#', '@'])
}

/// What is on unless it is switched off.
const fn yes() -> bool {
    true
}

impl TryFrom<String> for RootKey {
    type Error = InvalidRootKey;

    fn try_from(hex: String) -> Result<Self, InvalidRootKey> {
        if hex.len() != 64 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(InvalidRootKey::Hex);
        }
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).map_err(|_| InvalidRootKey::Hex);
        let bytes = (0..64).step_by(2).map(byte).collect::<Result<Vec<u8>, _>>()?;
        Ok(Self(VerifyingKey::try_from(bytes.as_slice())?))
    }
}

#[cfg(test)]
mod tests;
