//! How an enforcer gets its identity with a token: a key made here, a place taken there, a directory to start from.
//!
//! **Invariant**: the secret is sent to nobody but a control plane that the token's own CA certified; the key never leaves
//! this machine; a certificate is written only if it is for this key and this identity; the directory is there whole or not
//! at all, and a try that got no answer is finished by the same command.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use checkrein_proto::fleet::v1::fleet_service_client::FleetServiceClient;
use checkrein_proto::fleet::v1::{JoinRequest, JoinResponse};
use checkrein_shared::action::Sha256;
use checkrein_shared::identity::{
    ControlPlaneVerifier, Draft, DraftError, InvalidCa, JoinToken, Role, SpiffeId, WrongCertificate,
};
use rcgen::{CertificateParams, KeyPair};
use thiserror::Error;
use toml::{Table, Value};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Status};

use crate::control_plane::CONNECT_DEADLINE;

const CONFIG: &str = "enforcer.toml";
const KEY: &str = "key.pem";
const CERTIFICATE: &str = "certificate.pem";
const CA: &str = "ca.pem";
/// Longest wait for the answer: the control plane may have policies to compose.
const ANSWER_DEADLINE: Duration = Duration::from_mins(1);

/// Why an enforcer could not join. Its directory is not there; only where no answer came, the key is kept for the next try.
#[derive(Debug, Error)]
pub enum JoinError {
    /// The token is for somebody else.
    #[error("the token is for `{0}`, which is no enforcer; type `checkrein join` instead")]
    NotAnEnforcer(SpiffeId),
    /// The directory.
    #[error(transparent)]
    Directory(#[from] DraftError),
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
    /// It said nothing, or that it can't say now.
    #[error("the control plane gave no answer ({0}); type the same command again")]
    Unanswered(String),
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
    Draft::check_vacant(directory)?;
    let channel = connect(token).await?;
    let draft = Draft::open(directory, &Sha256::of(&token.secret))?;
    let key = KeyPair::from_pem(&draft.keep_key(&KeyPair::generate()?.serialize_pem())?)?;
    let (joined, config) = match take_place(token, channel, &key).await {
        Ok(taken) => taken,
        // The place may have been taken for this key.
        Err(unanswered @ JoinError::Unanswered(_)) => return Err(unanswered),
        Err(refused) => {
            draft.discard()?;
            return Err(refused);
        }
    };
    let files = [
        (CERTIFICATE, &*joined.certificate),
        (CA, &*token.ca),
        (CONFIG, &*config),
    ];
    draft.publish(&files)?;
    Ok(directory.join(CONFIG))
}

/// What the control plane says of this key, if it may be written, and the configuration that goes with it.
async fn take_place(
    token: &JoinToken,
    channel: Channel,
    key: &KeyPair,
) -> Result<(JoinResponse, String), JoinError> {
    let request = JoinRequest {
        secret: token.secret.to_vec().into(),
        certificate_request: CertificateParams::default().serialize_request(key)?.pem()?,
    };
    let joined = FleetServiceClient::new(channel)
        .join(request)
        .await
        .map_err(|status| refused(&status))?
        .into_inner();
    token.check_certificate(&joined.certificate, key.public_key_raw())?;
    let config = config(token, &joined)?;
    Ok((joined, config))
}

/// Whether a no is one that stays.
fn refused(status: &Status) -> JoinError {
    let message = status.message().to_owned();
    match status.code() {
        Code::InvalidArgument
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented => JoinError::Refused(message),
        _ => JoinError::Unanswered(message),
    }
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

/// What a chain of errors began with: the part that tells a person something.
fn innermost(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (**cause).source());
    causes
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}
