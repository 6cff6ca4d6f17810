//! Which control plane to talk to, and as whom: a small TOML file and the TLS channel it describes.
//!
//! **Invariant**: the connection is of a client with a certificate or a token, never both, or there is none; the control plane's certificate must chain to
//! the CA named in the file, and carry the role of a control plane.

use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use checkrein_shared::Clock;
use checkrein_shared::id::random_bytes;
use checkrein_shared::identity::ControlPlaneVerifier;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};
use uuid::Builder;

use super::identity::{CA_FILE, CERTIFICATE_FILE, KEY_FILE, RootKey};

/// At most this many addresses are tried.
pub const ADDRESSES_MAX: usize = 16;
/// Answers may be this long: a pack of 4 MiB, or a page of holds, with room to spare.
pub const ANSWER_BYTES_MAX: usize = 32 << 20;

const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);
const CALL_WAIT_MAX: Duration = Duration::from_mins(1);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_WAIT_MAX: Duration = Duration::from_secs(10);

/// The file a person or a script is known by. Paths are relative to the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientConfig {
    /// `https://host:port` of each replica, or of what stands before them; tried in order.
    pub control_plane: Vec<String>,
    /// This identity's certificate, PEM; none: whom the token names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// A bearer token in place of certificate and key; read again for every call, so that it may be renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// The CA that certifies the control plane, PEM.
    pub ca: PathBuf,
    /// The root key that enforcers registered with this config will pin.
    pub root_key: RootKey,
}

/// A channel that says in every call who calls.
pub type Connection = InterceptedService<Channel, Bearer>;

/// What is sent beside a call: the token of a file, if there is one.
#[derive(Debug, Clone)]
pub struct Bearer(Option<PathBuf>);

/// A client config that can't be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// Neither an option nor the environment says where it is.
    #[error("don't know where your client config is: set HOME, or name the file with --config")]
    NoHome,
    /// No such file.
    #[error(
        "there is no client config at `{0}`; `checkrein serve` writes the first, `checkrein fleet identity` others; \
         name yours with --config or CHECKREIN_CONFIG"
    )]
    Missing(PathBuf),
    /// A file that can't be read.
    #[error("can't read `{path}`")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not the TOML it should be.
    #[error("`{path}` is not a client config")]
    Syntax {
        /// Which.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// No address, or too many.
    #[error("`control_plane` in `{path}` must list 1 to {ADDRESSES_MAX} addresses, found {found}")]
    Addresses {
        /// Which file.
        path: PathBuf,
        /// How many there are.
        found: usize,
    },
    /// Nobody, or perhaps two.
    #[error(
        "`{0}` must name either `certificate` and `key` or `token_file`; --token-file on the command line goes before both"
    )]
    Credential(PathBuf),
    /// A config that can't be written as TOML.
    #[error("can't write the config as TOML")]
    Encode(#[from] toml::ser::Error),
}

/// No channel.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// An address that is none.
    #[error("`{0}` is not an address of a control plane: expected `https://host:port`")]
    Address(String),
    /// Certificates or a key that TLS does not take.
    #[error(
        "can't use the certificate, key or CA that the client config names: {cause}; are they PEM, and of each other?"
    )]
    Credentials {
        /// What TLS says.
        cause: String,
    },
    /// Nobody answers.
    #[error(
        "no control plane answers at {tried}; start one with `checkrein serve`, or correct `control_plane` in your client config"
    )]
    Unreachable {
        /// Each address with what happened there.
        tried: String,
    },
    /// Somebody else answers.
    #[error(
        "{tried}; the `ca` of your client config is not the CA of the control plane there: ask an operator for a new identity"
    )]
    Stranger {
        /// Each address with what happened there.
        tried: String,
    },
    /// Somebody of this installation answers who is not its control plane.
    #[error(
        "{tried}; correct `control_plane` in your client config, and if it was right tell an operator: something poses as the control plane"
    )]
    Impostor {
        /// Each address with what happened there.
        tried: String,
    },
}

impl ClientConfig {
    /// A config for credentials that lie beside it under their usual names.
    pub fn beside(control_plane: Vec<String>, root_key: RootKey) -> Self {
        Self {
            control_plane,
            certificate: Some(CERTIFICATE_FILE.into()),
            key: Some(KEY_FILE.into()),
            token_file: None,
            ca: CA_FILE.into(),
            root_key,
        }
    }

    /// Where the config is when nobody says: `$XDG_CONFIG_HOME/checkrein/client.toml`.
    pub fn default_path() -> Result<PathBuf, ConfigError> {
        let base = env::var_os("XDG_CONFIG_HOME").filter(|path| !path.is_empty());
        let base = match base {
            Some(base) => PathBuf::from(base),
            None => PathBuf::from(env::var_os("HOME").ok_or(ConfigError::NoHome)?).join(".config"),
        };
        Ok(base.join("checkrein/client.toml"))
    }

    /// Reads a config and resolves its paths; a token given beside it stands in place of what it names.
    pub fn load(path: &Path, token_file: Option<&Path>) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ConfigError::Missing(path.to_owned()),
            _ => ConfigError::Unreadable {
                path: path.to_owned(),
                source,
            },
        })?;
        let mut config: Self = toml::from_str(&text).map_err(|source| ConfigError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        if !(1..=ADDRESSES_MAX).contains(&config.control_plane.len()) {
            let found = config.control_plane.len();
            return Err(ConfigError::Addresses {
                path: path.to_owned(),
                found,
            });
        }
        let directory = path.parent().unwrap_or(Path::new(""));
        config.ca = directory.join(&config.ca);
        let files = [&mut config.certificate, &mut config.key, &mut config.token_file];
        for file in files.into_iter().flatten() {
            *file = directory.join(&*file);
        }
        if let Some(token_file) = token_file {
            (config.certificate, config.key) = (None, None);
            config.token_file = Some(token_file.to_owned());
        }
        match (&config.certificate, &config.key, &config.token_file) {
            (Some(_), Some(_), None) | (None, None, Some(_)) => Ok(config),
            _ => Err(ConfigError::Credential(path.to_owned())),
        }
    }

    /// The CA that certifies the control plane, PEM.
    pub fn ca_certificate(&self) -> Result<String, ConfigError> {
        fs::read_to_string(&self.ca).map_err(|source| ConfigError::Unreadable {
            path: self.ca.clone(),
            source,
        })
    }

    /// As TOML.
    pub fn encode(&self) -> Result<String, ConfigError> {
        Ok(toml::to_string(self)?)
    }

    /// Connects to the first address that answers.
    pub async fn connect(&self) -> Result<Connection, super::Error> {
        if let Some(token_file) = &self.token_file {
            read(token_file)?;
        }
        let (tls, verifier) = (self.tls()?, Arc::new(self.verifier()?));
        let mut failures: Vec<(&str, String)> = Vec::new();
        for address in &self.control_plane {
            match endpoint(address, tls.clone(), &verifier)?.connect().await {
                Ok(channel) => {
                    let bearer = Bearer(self.token_file.clone());
                    return Ok(InterceptedService::new(channel, bearer));
                }
                Err(error) => failures.push((address, innermost(&error))),
            }
        }
        let tried: Vec<String> = failures
            .iter()
            .map(|(address, cause)| format!("`{address}` ({cause})"))
            .collect();
        let tried = tried.join(", ");
        let says = |words: &str| failures.iter().any(|(_, cause)| cause.contains(words));
        Err(if says("no control plane") {
            ConnectError::Impostor { tried }
        } else if says("certificate") {
            ConnectError::Stranger { tried }
        } else {
            ConnectError::Unreachable { tried }
        }
        .into())
    }

    fn tls(&self) -> Result<ClientTlsConfig, ConfigError> {
        let tls = ClientTlsConfig::new().timeout(CONNECT_WAIT_MAX);
        Ok(match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                tls.identity(Identity::from_pem(read(certificate)?, read(key)?))
            }
            _ => tls,
        })
    }

    /// The server is verified by the host of its URL, the CA and its role.
    fn verifier(&self) -> Result<ControlPlaneVerifier, super::Error> {
        let verifier = ControlPlaneVerifier::new(&read(&self.ca)?);
        Ok(verifier.map_err(|error| ConnectError::Credentials {
            cause: error.to_string(),
        })?)
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let Some(path) = &self.0 else {
            return Ok(request);
        };
        let unusable = || Status::unauthenticated(format!("there is no token in `{}`", path.display()));
        let text = fs::read_to_string(path).map_err(|_| unusable())?;
        let value = format!("Bearer {}", text.trim());
        let mut value: AsciiMetadataValue = value.parse().map_err(|_| unusable())?;
        value.set_sensitive(true);
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    fs::read(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

/// A key that makes a repeated mutation one: a fresh version 7 UUID, as text.
pub fn idempotency_key(clock: &dyn Clock) -> String {
    Builder::from_unix_timestamp_millis(clock.wall_ms(), &random_bytes::<10>())
        .into_uuid()
        .to_string()
}

fn endpoint(
    address: &str,
    tls: ClientTlsConfig,
    verifier: &Arc<ControlPlaneVerifier>,
) -> Result<Endpoint, ConnectError> {
    let invalid = || ConnectError::Address(address.to_owned());
    let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|_| invalid())?;
    if endpoint.uri().scheme_str() != Some("https") || endpoint.uri().host().is_none() {
        return Err(invalid());
    }
    let endpoint = endpoint
        .tls_config_with_verifier(tls, Arc::clone(verifier) as _)
        .map_err(|error| ConnectError::Credentials {
            cause: innermost(&error),
        })?;
    Ok(endpoint
        .connect_timeout(CONNECT_WAIT_MAX)
        .timeout(CALL_WAIT_MAX)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_WAIT_MAX)
        .keep_alive_while_idle(true))
}

/// Connects to the first address where a control plane of this CA, PEM, answers; who calls shows no certificate.
pub(super) async fn connect_as_nobody(addresses: &[String], ca: &[u8]) -> Result<Channel, ConnectError> {
    let verifier = ControlPlaneVerifier::new(ca).map_err(|error| ConnectError::Credentials {
        cause: error.to_string(),
    })?;
    let (tls, verifier) = (
        ClientTlsConfig::new().timeout(CONNECT_WAIT_MAX),
        Arc::new(verifier),
    );
    let mut tried = Vec::new();
    for address in addresses {
        match endpoint(address, tls.clone(), &verifier)?.connect().await {
            Ok(channel) => return Ok(channel),
            Err(error) => tried.push(format!("`{address}` ({})", innermost(&error))),
        }
    }
    let tried = tried.join(", ");
    Err(ConnectError::Unreachable { tried })
}

/// What a chain of errors began with: the part that tells a person something.
fn innermost(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (**cause).source());
    causes
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}
