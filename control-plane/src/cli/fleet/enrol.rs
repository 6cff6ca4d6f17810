//! `fleet enrol`: a place kept for somebody on another machine, and the one word that takes it.
//!
//! **Invariant**: the secret is made here and shown once; the control plane is told its digest.

use std::time::Duration;

use checkrein_proto::fleet::v1::InviteRequest;
use checkrein_shared::action::Sha256;
use checkrein_shared::id::random_bytes;
use checkrein_shared::identity::{JoinToken, Role, SpiffeId};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;

use super::client;
use crate::cli::output::{Paint, Style, rfc3339, visible};
use crate::cli::values::{self, millis};
use crate::cli::{Error, Invocation, Outcome};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Lower-case letters, digits and dashes
    name: String,
    /// Who it will be
    #[arg(long, default_value = "enforcer", value_parser = role())]
    role: Role,
    /// Of an enforcer: `key=value`; decides which packs it gets; repeat for more
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = values::key_value)]
    labels: Vec<String>,
    /// Of an enforcer: an agent it may speak for; repeat for more
    #[arg(
        long = "agent",
        value_name = "SPIFFE-ID",
        required_unless_present = "role",
        required_if_eq("role", "enforcer")
    )]
    agents: Vec<SpiffeId>,
    /// Where the other machine finds the control plane: `https://host:port` [default: as your client config says]
    #[arg(long, value_name = "URL", value_parser = values::https)]
    control_plane: Option<String>,
    /// How long the token may be used; at most 24 hours
    #[arg(long, value_name = "DURATION", value_parser = values::duration, default_value = "10m")]
    expires_in: Duration,
}

pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    let config = invocation.client_config()?;
    let ca = config.ca_certificate()?;
    let secret = random_bytes::<32>();
    let request = InviteRequest {
        role: args.role.to_string(),
        name: args.name,
        labels: args.labels,
        agents: args.agents.iter().map(ToString::to_string).collect(),
        secret_sha256: Sha256::of(&secret).0.to_vec().into(),
        life_ms: millis(args.expires_in),
    };
    let invited = client(config.connect().await?)
        .invite(request)
        .await?
        .into_inner();
    let id = invited
        .spiffe_id
        .parse()
        .map_err(|_| Error::Incomplete("spiffe_id"))?;
    let token = JoinToken {
        id,
        control_plane: args.control_plane.map_or(config.control_plane, |url| vec![url]),
        ca,
        root_key: config.root_key.0,
        secret,
    };
    let expires_at = rfc3339(invited.expires_unix_ms);
    let program = match args.role {
        Role::Enforcer => "checkrein-enforcer",
        _ => "checkrein",
    };
    let command = format!("{program} join {token}");
    let document = json!({
        "spiffe_id": token.id,
        "token": token.to_string(),
        "expires_at": expires_at,
        "command": command,
    });
    invocation.answer(&document, |paint| {
        invited_text(&token.id, expires_at.as_deref(), &command, paint)
    })?;
    Ok(Outcome::Done)
}

/// Everybody who can be invited: replicas have their own keys.
fn role() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(["enforcer", "operator", "approver", "orchestrator", "agent"])
        .try_map(|word| word.parse::<Role>())
}

fn invited_text(id: &SpiffeId, expires_at: Option<&str>, command: &str, paint: Paint) -> String {
    let heading = paint.apply(Style::Strong, &visible(id.as_str()));
    let until = expires_at.unwrap_or("its end");
    let next = paint.next(&[command]);
    format!(
        "{heading} may join once, until {until}: whoever has this command can, so hand it over in private\n{next}"
    )
}
