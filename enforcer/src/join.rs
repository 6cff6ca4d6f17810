//! How an enforcer gets its identity with a token: a key made here, a place taken there, a directory to start from.
//!
//! **Invariant**: the secret is sent to nobody but a control plane that the token's own CA certified; the key never leaves
//! this machine; a certificate is written only if it is for this key and this identity.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use checkrein_proto::fleet::v1::fleet_service_client::FleetServiceClient;
use checkrein_proto::fleet::v1::{JoinRequest, JoinResponse};
use checkrein_shared::identity::{
    ControlPlaneVerifier, InvalidCa, JoinToken, Role, SpiffeId, WrongCertificate,
};
use rcgen::{CertificateParams, KeyPair};
use thiserror::Error;
use toml::{Table, Value};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use crate::control_plane::CONNECT_DEADLINE;
use crate::directory::sync_directory;

const CONFIG: &str = "enforcer.toml";
const KEY: &str = "key.pem";
const CERTIFICATE: &str = "certificate.pem";
const CA: &str = "ca.pem";
/// Longest wait for the answer: the control plane may have policies to compose.
const ANSWER_DEADLINE: Duration = Duration::from_mins(1);
const MODE_PRIVATE: u32 = 0o600;
const MODE_PUBLIC: u32 = 0o644;

/// Why an enforcer could not join. Nothing but its key was written.
#[derive(Debug, Error)]
pub enum JoinError {
    /// The token is for somebody else.
    #[error("the token is for `{0}`, which is no enforcer")]
    NotAnEnforcer(SpiffeId),
    /// Something is there already.
    #[error("`{}` exists already; choose another directory with --directory", .0.display())]
    Exists(PathBuf),
    /// The disk said no.
    #[error("can't use `{}`", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The key.
    #[error("can't make or read the key")]
    Key(#[from] rcgen::Error),
    /// The CA in the token.
    #[error("the token can't be used")]
    Ca(#[from] InvalidCa),
    /// No control plane of the token's CA answers.
    #[error("no control plane of the token answers at {tried}; check the network, or ask for a new token")]
    Unreachable {
        /// Each address with what happened there.
        tried: String,
    },
    /// It said no.
    #[error("the control plane refused: {0}")]
    Refused(String),
    /// What it gave is not for us.
    #[error("the control plane gave a certificate that can't be used; nothing was written")]
    Certificate(#[from] WrongCertificate),
    /// An agent that is none.
    #[error("the control plane named `{0}` as an agent, which it is not; nothing was written")]
    Agent(String),
    /// The configuration.
    #[error("can't write the configuration as TOML")]
    Encode(#[from] toml::ser::Error),
}

/// Takes the place that a token keeps, and writes what `serve` reads into `directory`. Returns the file.
pub async fn join(token: &JoinToken, directory: &Path) -> Result<PathBuf, JoinError> {
    if token.id.role() != Some(Role::Enforcer) {
        return Err(JoinError::NotAnEnforcer(token.id.clone()));
    }
    let written = [CONFIG, CERTIFICATE, CA].map(|name| directory.join(name));
    if let Some(path) = written.into_iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(JoinError::Exists(path));
    }
    let channel = connect(token).await?;
    let key = key(directory)?;
    let request = JoinRequest {
        secret: token.secret.to_vec().into(),
        certificate_request: CertificateParams::default().serialize_request(&key)?.pem()?,
    };
    let joined = FleetServiceClient::new(channel)
        .join(request)
        .await
        .map_err(|status| JoinError::Refused(status.message().to_owned()))?
        .into_inner();
    token.check_certificate(&joined.certificate, key.public_key_raw())?;
    let config = config(token, &joined)?;
    write_new(&directory.join(CERTIFICATE), &joined.certificate, MODE_PUBLIC)?;
    write_new(&directory.join(CA), &token.ca, MODE_PUBLIC)?;
    // Last: a directory that has it is whole.
    let path = directory.join(CONFIG);
    write_new(&path, &config, MODE_PUBLIC)?;
    sync_directory(directory).map_err(failed(directory))?;
    Ok(path)
}

/// Connects to the first address where a control plane of the token's CA answers.
async fn connect(token: &JoinToken) -> Result<Channel, JoinError> {
    let verifier = Arc::new(ControlPlaneVerifier::new(token.ca.as_bytes())?);
    let mut tried = Vec::new();
    for url in &token.control_plane {
        let connecting = async {
            let endpoint = Endpoint::from_shared(url.clone())?
                .tls_config_with_verifier(ClientTlsConfig::new(), Arc::clone(&verifier) as _)?;
            endpoint
                .connect_timeout(CONNECT_DEADLINE)
                .timeout(ANSWER_DEADLINE)
                .connect()
                .await
        };
        match connecting.await {
            Ok(channel) => return Ok(channel),
            Err(error) => tried.push(format!("`{url}` ({})", innermost(&error))),
        }
    }
    let tried = tried.join(", ");
    Err(JoinError::Unreachable { tried })
}

/// The key in the directory, made if there is none. One that is there was made by an earlier try, whose answer may have been
/// lost: only that key is given its certificate again.
fn key(directory: &Path) -> Result<KeyPair, JoinError> {
    let path = directory.join(KEY);
    match fs::read_to_string(&path) {
        Ok(pem) => return Ok(KeyPair::from_pem(&pem)?),
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(JoinError::Io { path, source });
        }
        Err(_) => {}
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(directory).map_err(failed(directory))?;
    let key = KeyPair::generate()?;
    write_new(&path, &key.serialize_pem(), MODE_PRIVATE)?;
    Ok(key)
}

/// What `serve` reads: a socket for each agent, everything else beside the file.
fn config(token: &JoinToken, joined: &JoinResponse) -> Result<String, JoinError> {
    let mut table = Table::new();
    let urls = token.control_plane.iter().cloned().map(Value::String).collect();
    table.insert("control_plane".to_owned(), Value::Array(urls));
    for (name, value) in [
        ("directory", "state"),
        ("certificate", CERTIFICATE),
        ("key", KEY),
        ("ca", CA),
    ] {
        table.insert(name.to_owned(), value.into());
    }
    let mut root_key = String::new();
    for byte in token.root_key {
        // INVARIANT: writing to a string does not fail.
        let _written = write!(root_key, "{byte:02x}");
    }
    table.insert("root_key".to_owned(), root_key.into());
    let sockets: Result<Vec<Value>, JoinError> = joined.agents.iter().map(|agent| socket(agent)).collect();
    table.insert("unix".to_owned(), Value::Array(sockets?));
    Ok(toml::to_string(&table)?)
}

fn socket(agent: &str) -> Result<Value, JoinError> {
    let id = agent
        .parse()
        .ok()
        .filter(|id: &SpiffeId| id.role() == Some(Role::Agent));
    let id = id.ok_or_else(|| JoinError::Agent(agent.to_owned()))?;
    let path = format!("{}.sock", id.name().replace('/', "-"));
    let socket = [("path", path), ("agent", id.to_string())];
    let socket = socket.map(|(name, value)| (name.to_owned(), Value::String(value)));
    Ok(Value::Table(Table::from_iter(socket)))
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), JoinError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(failed(path))?;
    file.write_all(text.as_bytes()).map_err(failed(path))?;
    file.sync_all().map_err(failed(path))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> JoinError {
    let path = path.to_owned();
    move |source| JoinError::Io { path, source }
}

/// What a chain of errors began with: the part that tells a person something.
fn innermost(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (**cause).source());
    causes
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}
