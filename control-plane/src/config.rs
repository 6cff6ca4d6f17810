//! What a replica is told: one struct, from a file, flags and `CHECKREIN_…` variables, parsed wholly before a port opens.

mod console;
mod sign_in;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use spiffe::transport::Endpoint;
use thiserror::Error;

pub use console::{ConsoleConfig, ConsoleSettings, InvalidConsole};
pub use sign_in::{InvalidSignIn, JwtSvid, JwtSvidSettings, Oidc, OidcClient, OidcSettings};

use crate::authority::CERTIFICATE_LIFE_DEFAULT;
use crate::database::without_password;

/// Where a replica listens if nobody says.
const PORT_DEFAULT: u16 = 7443;
/// The trust domain of an installation that was not given one.
pub const TRUST_DOMAIN_DEFAULT: &str = "checkrein.local";
/// How often an enforcer asks how fresh it is.
const BEAT_DEFAULT: Duration = Duration::from_secs(5);
/// A beat is never shorter or longer than this: policy that is confirmed every ten seconds is fresh enough for the full tier's
/// thirty, with one beat lost.
const BEAT_RANGE_MS: std::ops::RangeInclusive<u64> = 100..=10_000;

/// Decisions are kept for a day at least, so that none goes on the day it came, and for a century at most.
const RETENTION_DAYS: std::ops::RangeInclusive<u64> = 1..=36_500;
/// Half of a certificate's life must leave room for a control plane that is away for a while.
const CERTIFICATE_LIFE_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_mins(10)..=Duration::from_hours(365 * 24);

/// Settings as they are written down; each may be missing.
#[derive(Clone, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Directory for keys and, without a database URL, for a private Postgres [default: ./checkrein-data]
    #[arg(long, env = "CHECKREIN_DATA", hide_env_values = true)]
    pub data: Option<PathBuf>,
    /// Postgres to use: <postgres://user@host/database>; without it a private one is started
    #[arg(long, env = "CHECKREIN_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// CA certificate (PEM) of that Postgres: connections are encrypted and the server is verified by it [default: plain]
    #[arg(long, env = "CHECKREIN_DATABASE_CA", hide_env_values = true)]
    pub database_ca: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:7443]
    #[arg(long, env = "CHECKREIN_LISTEN", hide_env_values = true)]
    pub listen: Option<SocketAddr>,
    /// Host name or address by which clients reach this replica; repeat for several [default: localhost and the loopback]
    #[arg(
        long = "host",
        env = "CHECKREIN_HOSTS",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub hosts: Vec<String>,
    /// SPIFFE trust domain to certify [default: checkrein.local]
    #[arg(long, env = "CHECKREIN_TRUST_DOMAIN", hide_env_values = true)]
    pub trust_domain: Option<String>,
    /// How often an enforcer asks how fresh it is, as in 5s [default: 5s]
    #[arg(long, env = "CHECKREIN_BEAT", hide_env_values = true)]
    pub beat: Option<String>,
    /// How long decisions are kept, as in 90d [default: for ever]
    #[arg(long, env = "CHECKREIN_RETENTION", hide_env_values = true)]
    pub retention: Option<String>,
    /// How long a certificate is good for, as in 24h; enforcers renew theirs at half of it [default: 90d]
    #[arg(long, env = "CHECKREIN_CERTIFICATE_LIFE", hide_env_values = true)]
    pub certificate_life: Option<String>,
    /// CA certificates (PEM) that certify clients too, such as a SPIFFE trust bundle; read again when they change. Whoever holds one can certify any role
    #[arg(
        long,
        value_name = "FILE",
        env = "CHECKREIN_CLIENT_CA",
        hide_env_values = true
    )]
    pub client_ca: Option<PathBuf>,
    /// Workload API of a SPIFFE agent, as in <unix:///run/spire/agent.sock>: its X.509-SVID `spiffe://<domain>/control-plane/<name>`, with a DNS name of this replica, is shown to whoever believes the trust domain's authorities
    #[arg(
        long,
        value_name = "SOCKET",
        env = "CHECKREIN_SPIFFE_SOCKET",
        hide_env_values = true
    )]
    pub spiffe_socket: Option<String>,
    /// The web console.
    #[command(flatten)]
    pub console: ConsoleSettings,
    /// Sign-in of people.
    #[command(flatten)]
    pub oidc: OidcSettings,
    /// Sign-in of workloads.
    #[command(flatten)]
    pub jwt_svid: JwtSvidSettings,
}

/// What a replica runs with.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// Keys, client configs and the private Postgres live here.
    pub data: PathBuf,
    /// Postgres; none: a private one.
    pub database_url: Option<String>,
    /// By what CA the database is verified; none: connections to it are plain.
    pub database_ca: Option<PathBuf>,
    /// Where to listen.
    pub listen: SocketAddr,
    /// What the server certificate answers to.
    pub hosts: Vec<String>,
    /// The SPIFFE trust domain.
    pub trust_domain: String,
    /// How often an enforcer asks how fresh it is.
    pub beat: Duration,
    /// How long decisions are kept; none: for ever.
    pub retention: Option<Duration>,
    /// How long a certificate is good for.
    pub certificate_life: Duration,
    /// CAs that certify clients beside our own.
    pub client_ca: Option<PathBuf>,
    /// The SPIFFE agent that gives a second certificate; none: there is only our own.
    pub spiffe_socket: Option<Endpoint>,
    /// The web console; none: it is off.
    pub console: Option<ConsoleConfig>,
    /// Whose tokens people sign in with; none: nobody's.
    pub oidc: Option<Oidc>,
    /// Whose tokens workloads sign in with; none: nobody's.
    pub jwt_svid: Option<JwtSvid>,
}

/// Settings that can't be used.
#[derive(Debug, Error)]
pub enum InvalidConfig {
    /// The file can't be read.
    #[error("can't read `{path}`")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("`{path}` is no configuration of a control plane")]
    Syntax {
        /// Which.
        path: String,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Not a duration.
    #[error("{what}: `{text}` is not a duration such as 30s, 10m or 90d")]
    Duration {
        /// Of what.
        what: &'static str,
        /// What was given.
        text: String,
    },
    /// A beat that is too short or too long.
    #[error("a beat lasts from {}ms to {}ms", BEAT_RANGE_MS.start(), BEAT_RANGE_MS.end())]
    Beat,
    /// A CA for a database that was not named.
    #[error("--database-ca verifies the Postgres of --database-url, and none is named")]
    CaWithoutDatabase,
    /// The console.
    #[error(transparent)]
    Console(#[from] InvalidConsole),
    /// Sign-in by token.
    #[error(transparent)]
    SignIn(#[from] InvalidSignIn),
    /// A retention that is too short or too long.
    #[error(
        "retention: decisions are kept from {}d to {}d; leave it out to keep them for ever",
        RETENTION_DAYS.start(),
        RETENTION_DAYS.end()
    )]
    Retention,
    /// Too short to be renewed in time, or as good as for ever.
    #[error("a certificate is good for 10m to 365d")]
    CertificateLife,
    /// Not where an agent of SPIFFE gives keys.
    #[error("`{0}` is not the Unix socket of a Workload API: expected `unix:///run/spire/agent.sock`")]
    SpiffeSocket(String),
}

impl Settings {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, InvalidConfig> {
        let shown = || path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| InvalidConfig::Unreadable {
            path: shown(),
            source,
        })?;
        toml::from_str(&text).map_err(|source| InvalidConfig::Syntax {
            path: shown(),
            source: Box::new(source),
        })
    }

    /// What is not set here is taken from `file`.
    #[must_use]
    pub fn or(self, file: Self) -> Self {
        Self {
            data: self.data.or(file.data),
            database_url: self.database_url.or(file.database_url),
            database_ca: self.database_ca.or(file.database_ca),
            listen: self.listen.or(file.listen),
            hosts: if self.hosts.is_empty() {
                file.hosts
            } else {
                self.hosts
            },
            trust_domain: self.trust_domain.or(file.trust_domain),
            beat: self.beat.or(file.beat),
            retention: self.retention.or(file.retention),
            certificate_life: self.certificate_life.or(file.certificate_life),
            client_ca: self.client_ca.or(file.client_ca),
            spiffe_socket: self.spiffe_socket.or(file.spiffe_socket),
            console: self.console.or(file.console),
            oidc: self.oidc.or(file.oidc),
            jwt_svid: self.jwt_svid.or(file.jwt_svid),
        }
    }

    /// Checks everything and fills in what nobody said.
    pub fn resolve(self) -> Result<Config, InvalidConfig> {
        let duration = |what, text: Option<String>| {
            let parse = |text: String| {
                humantime::parse_duration(&text).map_err(|_| InvalidConfig::Duration { what, text })
            };
            text.map(parse).transpose()
        };
        let beat = duration("beat", self.beat)?.unwrap_or(BEAT_DEFAULT);
        if !u64::try_from(beat.as_millis()).is_ok_and(|ms| BEAT_RANGE_MS.contains(&ms)) {
            return Err(InvalidConfig::Beat);
        }
        if self.database_ca.is_some() && self.database_url.is_none() {
            return Err(InvalidConfig::CaWithoutDatabase);
        }
        let retention = duration("retention", self.retention)?;
        let days = retention.map(|keep| keep.as_secs() / (24 * 60 * 60));
        if days.is_some_and(|days| !RETENTION_DAYS.contains(&days)) {
            return Err(InvalidConfig::Retention);
        }
        let life = duration("certificate_life", self.certificate_life)?;
        let certificate_life = life.unwrap_or(CERTIFICATE_LIFE_DEFAULT);
        if !CERTIFICATE_LIFE_RANGE.contains(&certificate_life) {
            return Err(InvalidConfig::CertificateLife);
        }
        let listen = self
            .listen
            .unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, PORT_DEFAULT)));
        let local = || ["localhost", "127.0.0.1", "::1"].map(ToOwned::to_owned).to_vec();
        Ok(Config {
            data: self.data.unwrap_or_else(|| PathBuf::from("checkrein-data")),
            database_url: self.database_url,
            database_ca: self.database_ca,
            listen,
            hosts: if self.hosts.is_empty() {
                local()
            } else {
                self.hosts
            },
            trust_domain: self
                .trust_domain
                .unwrap_or_else(|| TRUST_DOMAIN_DEFAULT.to_owned()),
            beat,
            retention,
            certificate_life,
            client_ca: self.client_ca,
            spiffe_socket: self.spiffe_socket.map(unix_socket).transpose()?,
            console: self.console.resolve()?,
            oidc: self.oidc.resolve()?,
            jwt_svid: self.jwt_svid.resolve()?,
        })
    }
}

/// Keys come over it: a Unix socket, and nothing that goes over a network.
fn unix_socket(text: String) -> Result<Endpoint, InvalidConfig> {
    match Endpoint::parse(&text) {
        Ok(endpoint @ Endpoint::Unix(_)) => Ok(endpoint),
        _ => Err(InvalidConfig::SpiffeSocket(text)),
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("data", &self.data)
            .field(
                "database_url",
                &self.database_url.as_deref().map(without_password),
            )
            .field("database_ca", &self.database_ca)
            .field("listen", &self.listen)
            .field("hosts", &self.hosts)
            .field("trust_domain", &self.trust_domain)
            .field("beat", &self.beat)
            .field("retention", &self.retention)
            .field("certificate_life", &self.certificate_life)
            .field("client_ca", &self.client_ca)
            .field("spiffe_socket", &self.spiffe_socket)
            .field("console", &self.console)
            .field("oidc", &self.oidc)
            .field("jwt_svid", &self.jwt_svid)
            .finish()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("data", &self.data)
            .field(
                "database_url",
                &self.database_url.as_deref().map(without_password),
            )
            .field("database_ca", &self.database_ca)
            .field("listen", &self.listen)
            .field("hosts", &self.hosts)
            .field("trust_domain", &self.trust_domain)
            .field("beat", &self.beat)
            .field("retention", &self.retention)
            .field("certificate_life", &self.certificate_life)
            .field("client_ca", &self.client_ca)
            .field("spiffe_socket", &self.spiffe_socket)
            .field("console", &self.console)
            .field("oidc", &self.oidc)
            .field("jwt_svid", &self.jwt_svid)
            .finish()
    }
}

#[cfg(test)]
mod tests;
