//! `checkrein join`: how a person, an orchestrator or an agent gets an identity with a token, on the machine where it is used.
//!
//! **Invariant**: the secret is sent to nobody but a control plane that the token's own CA certified; the key never leaves
//! this machine; a certificate is written only if it is for this key and this identity; the directory is there whole or not
//! at all, and a try that got no answer is finished by the same command.

use std::path::{Path, PathBuf};

use checkrein_proto::fleet::v1::JoinRequest;
use checkrein_proto::fleet::v1::fleet_service_client::FleetServiceClient;
use checkrein_shared::action::Sha256;
use checkrein_shared::identity::{
    Draft, DraftError, InvalidJoinToken, JoinToken, JoinWord, Role, SpiffeId, WrongCertificate,
};
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use thiserror::Error;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::client::{ClientConfig, ConnectError, connect_as_nobody};
use super::fleet::certified_text;
use super::identity::{CA_FILE, CERTIFICATE_FILE, CLIENT_FILE, RootKey};
use super::{Error, Invocation, Outcome};

pub(super) const EXAMPLE: &str = "\
Example:
  checkrein fleet enrol bob --role approver             # an operator, elsewhere; prints the token
  checkrein join checkrein-join-1.eyJpZCI6…             # here: makes the key, writes approver-bob/
  checkrein --config approver-bob/client.toml hold list

The token is used once. If the answer was lost, type the same again.
The list of processes shows what is typed here; `-` in its place reads the token from standard input.";

/// `checkrein join`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What `checkrein fleet enrol` printed; `-`: read it from standard input
    #[arg(allow_hyphen_values = true)]
    token: JoinWord,
    /// Where to write [default: a directory `<role>-<name>`]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Why nobody joined. The directory is not there; only where no answer came, the key is kept for the next try.
#[derive(Debug, Error)]
pub enum JoinError {
    /// The token.
    #[error(transparent)]
    Token(#[from] InvalidJoinToken),
    /// The token is for somebody else.
    #[error("the token is for `{0}`; type `checkrein-enforcer join` instead")]
    Enforcer(SpiffeId),
    /// The token is for nobody who joins.
    #[error("the token is for `{0}`, which is nobody who joins; ask for a new one")]
    Nobody(SpiffeId),
    /// The directory.
    #[error(transparent)]
    Directory(#[from] DraftError),
    /// The key.
    #[error("can't make or read the key")]
    Key(#[from] rcgen::Error),
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
}

/// Runs it.
pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    let token = args.token.read(std::io::stdin()).map_err(JoinError::from)?;
    let role = match token.id.role() {
        Some(Role::Enforcer) => return Err(JoinError::Enforcer(token.id).into()),
        None | Some(Role::ControlPlane) => return Err(JoinError::Nobody(token.id).into()),
        Some(role) => role,
    };
    let usual = || PathBuf::from(format!("{role}-{}", token.id.name().replace('/', "-")));
    let directory = args.directory.unwrap_or_else(usual);
    join(&token, &directory).await?;
    let document = json!({"spiffe_id": token.id, "directory": directory});
    invocation.answer(&document, |paint| {
        certified_text(token.id.as_str(), role, &directory, paint)
    })?;
    Ok(Outcome::Done)
}

/// Takes the place that a token keeps, and writes what the other verbs are called with.
async fn join(token: &JoinToken, directory: &Path) -> Result<(), Error> {
    let config = ClientConfig::beside(token.control_plane.clone(), RootKey(token.root_key)).encode()?;
    Draft::check_vacant(directory).map_err(JoinError::from)?;
    let connected = connect_as_nobody(&token.control_plane, token.ca.as_bytes()).await;
    let channel = connected.map_err(|error| match error {
        // There is no client config to correct yet.
        ConnectError::Unreachable { tried } => JoinError::Unreachable { tried }.into(),
        other => Error::from(other),
    })?;
    Ok(write(token, directory, channel, &config).await?)
}

async fn write(token: &JoinToken, directory: &Path, channel: Channel, config: &str) -> Result<(), JoinError> {
    let draft = Draft::open(directory, &Sha256::of(&token.secret))?;
    let key = KeyPair::from_pem(&draft.keep_key(&KeyPair::generate()?.serialize_pem())?)?;
    match take_place(token, channel, &key).await {
        Ok(certificate) => Ok(draft.publish(&[
            (CERTIFICATE_FILE, &*certificate),
            (CA_FILE, &*token.ca),
            (CLIENT_FILE, config),
        ])?),
        // The place may have been taken for this key.
        Err(unanswered @ JoinError::Unanswered(_)) => Err(unanswered),
        Err(refused) => {
            draft.discard()?;
            Err(refused)
        }
    }
}

/// The certificate of this key, if it may be written.
async fn take_place(token: &JoinToken, channel: Channel, key: &KeyPair) -> Result<String, JoinError> {
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
    Ok(joined.certificate)
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
