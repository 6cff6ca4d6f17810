//! `checkrein identity`: the certificate that a client config names, renewed.
//!
//! **Invariant**: the key stays, and the certificate is replaced in one step: whenever somebody looks, the two belong together.

use std::fs;
use std::path::Path;

use checkrein_proto::fleet::v1::RenewRequest;
use clap::Subcommand;
use serde_json::json;

use super::fleet;
use super::identity::{IdentityError, MODE_PUBLIC, request_for, write_new};
use super::output::{Style, rfc3339, visible};
use super::{Error, Invocation, Outcome};

/// `checkrein identity`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Replace the certificate in use by a new one; the key stays
    #[command(after_help = "Example:\n  checkrein --config approver-bob/client.toml identity renew")]
    Renew,
}

/// Runs it.
pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    let Command::Renew = args.command;
    let config = invocation.client_config()?;
    let (Some(certificate), Some(key)) = (&config.certificate, &config.key) else {
        return Err(Error::NoCertificate);
    };
    let request = RenewRequest {
        certificate_request: request_for(key)?,
    };
    let renewed = fleet::client(config.connect().await?)
        .renew(request)
        .await?
        .into_inner();
    replace(certificate, &renewed.certificate)?;
    let until = rfc3339(renewed.not_after_unix_ms);
    let document = json!({
        "spiffe_id": renewed.spiffe_id,
        "certificate": certificate,
        "not_after": until,
    });
    invocation.answer(&document, |paint| {
        let who = paint.apply(Style::Strong, &visible(&renewed.spiffe_id));
        let until = until.as_deref().unwrap_or_default();
        format!("{who} is certified until {until}, in {}\n", certificate.display())
    })?;
    Ok(Outcome::Done)
}

/// Beside it first, so that there is a whole certificate whenever somebody looks.
fn replace(path: &Path, certificate: &str) -> Result<(), IdentityError> {
    let failed = |source| IdentityError::Write {
        path: path.to_owned(),
        source,
    };
    let beside = path.with_extension("new");
    write_new(&beside, certificate.as_bytes(), MODE_PUBLIC, true).map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)
}
