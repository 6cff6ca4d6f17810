//! `fleet identity`: a key made here, certified there for a person, an orchestrator or an agent.

use std::path::{Path, PathBuf};

use checkrein_proto::fleet::v1::CertifyRequest;
use checkrein_shared::identity::Role;
use clap::ValueEnum;
use serde_json::json;

use super::client;
use crate::cli::client::ClientConfig;
use crate::cli::identity::{CLIENT_FILE, Credentials, generate_request, refuse_existing, write_identity};
use crate::cli::output::{Paint, Style, visible};
use crate::cli::{Error, Invocation, Outcome};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What the identity may be used for
    role: RoleWord,
    /// Whose it is: `bob`
    name: String,
    /// Where to write [default: a directory `<role>-<name>`]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace what is there
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleWord {
    /// Changes policy and the fleet
    Operator,
    /// Answers holds
    Approver,
    /// Starts and ends tasks
    Orchestrator,
    /// Acts
    Agent,
}

pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    let role = Role::from(args.role);
    let out = args
        .out
        .unwrap_or_else(|| PathBuf::from(format!("{role}-{}", args.name)));
    refuse_existing(&out, CLIENT_FILE, args.force)?;
    let config = invocation.client_config()?;
    let made = generate_request(&args.name)?;
    let request = CertifyRequest {
        role: role.to_string(),
        name: args.name,
        certificate_request: made.request,
    };
    let certified = client(config.connect().await?)
        .certify(request)
        .await?
        .into_inner();
    let text = ClientConfig::beside(config.control_plane, config.root_key).encode()?;
    let credentials = Credentials {
        certificate: certified.certificate,
        key: made.key,
        ca: certified.ca_certificate,
    };
    write_identity(&out, &credentials, (CLIENT_FILE, &text), args.force)?;
    let document = json!({"spiffe_id": certified.spiffe_id, "directory": out});
    invocation.answer(&document, |paint| {
        certified_text(&certified.spiffe_id, role, &out, paint)
    })?;
    Ok(Outcome::Done)
}

/// Who is certified now, and what to type next.
pub(in crate::cli) fn certified_text(spiffe_id: &str, role: Role, out: &Path, paint: Paint) -> String {
    let config = out.join(CLIENT_FILE);
    let next = match role {
        Role::Approver => format!("checkrein --config {} hold list", config.display()),
        Role::Orchestrator => format!("checkrein --config {} task start --help", config.display()),
        Role::Agent => format!("checkrein task start --agent {} --help", visible(spiffe_id)),
        _ => format!("checkrein --config {} fleet list", config.display()),
    };
    let heading = paint.apply(Style::Strong, &visible(spiffe_id));
    let next = paint.next(&[&next]);
    format!(
        "{heading} is certified; its key, certificate and config are in {}\n{next}",
        out.display()
    )
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Self {
        match word {
            RoleWord::Operator => Self::Operator,
            RoleWord::Approver => Self::Approver,
            RoleWord::Orchestrator => Self::Orchestrator,
            RoleWord::Agent => Self::Agent,
        }
    }
}
