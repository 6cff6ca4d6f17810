//! What a replica is told about its console.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::Url;

/// Where the console listens if nobody says.
const PORT_DEFAULT: u16 = 7444;
/// What to write for no console.
const OFF: &str = "off";

/// The console, as it is written down: `[console]` in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleSettings {
    /// Address of the web console, or `off`; on a loopback address it speaks plain HTTP, elsewhere HTTPS [default: 127.0.0.1:7444]
    #[arg(
        id = "console_listen",
        long = "console-listen",
        value_name = "ADDRESS",
        env = "CHECKREIN_CONSOLE_LISTEN",
        hide_env_values = true
    )]
    pub listen: Option<String>,
    /// Where browsers find the console, if not there [default: the first --host, or localhost]
    #[arg(
        id = "console_url",
        long = "console-url",
        value_name = "URL",
        env = "CHECKREIN_CONSOLE_URL",
        hide_env_values = true
    )]
    pub url: Option<String>,
    /// Certificate chain (PEM) of the console that browsers believe [default: one by the installation's own CA]
    #[arg(
        id = "console_certificate",
        long = "console-certificate",
        value_name = "FILE",
        env = "CHECKREIN_CONSOLE_CERTIFICATE",
        hide_env_values = true
    )]
    pub certificate: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(
        id = "console_key",
        long = "console-key",
        value_name = "FILE",
        env = "CHECKREIN_CONSOLE_KEY",
        hide_env_values = true
    )]
    pub key: Option<PathBuf>,
}

/// The console of a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where browsers find it; none: there.
    pub url: Option<String>,
    /// Certificate chain and key that browsers believe; none: our own.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// A console that can't be set up as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidConsole {
    /// Not where one could listen.
    #[error("--console-listen: `{0}` is no address: expected one like 127.0.0.1:7444, or `off`")]
    Listen(String),
    /// Not where a browser could go.
    #[error("--console-url: `{0}` is no address of a site: expected one like https://checkrein.acme.example")]
    Url(String),
    /// Half of it.
    #[error("--console-certificate and --console-key come together")]
    Incomplete,
}

impl ConsoleSettings {
    /// What is not set here is taken from `file`.
    #[must_use]
    pub fn or(self, file: Self) -> Self {
        Self {
            listen: self.listen.or(file.listen),
            url: self.url.or(file.url),
            certificate: self.certificate.or(file.certificate),
            key: self.key.or(file.key),
        }
    }

    /// Checks everything; none: there is to be no console.
    pub fn resolve(self) -> Result<Option<ConsoleConfig>, InvalidConsole> {
        let certificate = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(InvalidConsole::Incomplete),
        };
        let url = self.url.map(site).transpose()?;
        let listen = match self.listen.as_deref() {
            Some(OFF) => return Ok(None),
            Some(text) => text
                .parse()
                .map_err(|_| InvalidConsole::Listen(text.to_owned()))?,
            None => SocketAddr::from((Ipv4Addr::LOCALHOST, PORT_DEFAULT)),
        };
        Ok(Some(ConsoleConfig {
            listen,
            url,
            certificate,
        }))
    }
}

impl ConsoleConfig {
    /// Whether it speaks TLS. What stays on the machine needs none.
    pub fn speaks_tls(&self) -> bool {
        self.certificate.is_some() || !self.listen.ip().is_loopback()
    }
}

/// An address of a site, without a slash at its end: pages are at its root.
fn site(text: String) -> Result<String, InvalidConsole> {
    let is_site = |url: &Url| {
        matches!(url.scheme(), "https" | "http")
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
    };
    match Url::parse(&text) {
        Ok(url) if is_site(&url) => Ok(url.as_str().trim_end_matches('/').to_owned()),
        _ => Err(InvalidConsole::Url(text)),
    }
}
