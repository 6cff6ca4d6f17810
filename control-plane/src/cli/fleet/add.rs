//! `fleet add`: a key made here, a register entry made there, and a directory an enforcer can start from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use checkrein_proto::fleet::v1::fleet_service_client::FleetServiceClient;
use checkrein_proto::fleet::v1::{CertifyRequest, RegisterRequest, RegisterResponse, ShowRequest};
use checkrein_shared::identity::{Role, SpiffeId};
use serde::Serialize;
use serde_json::json;
use tonic::Code;

use super::client;
use super::view::EnforcerView;
use crate::cli::client::Connection;
use crate::cli::identity::{
    CA_FILE, CERTIFICATE_FILE, Credentials, IdentityError, KEY_FILE, RootKey, generate_request,
    refuse_existing, write_identity,
};
use crate::cli::output::{Paint, Style, visible};
use crate::cli::values::{self, Socket};
use crate::cli::{Error, Invocation, Outcome};

/// An enforcer's config, in its directory.
pub(super) const ENFORCER_FILE: &str = "enforcer.toml";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Lower-case letters, digits and dashes
    name: String,
    /// `key=value`; decides which packs it gets; repeat for more
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = values::key_value)]
    labels: Vec<String>,
    /// An agent it may speak for; repeat for more
    #[arg(long = "agent", value_name = "SPIFFE-ID")]
    agents: Vec<SpiffeId>,
    /// A socket and the agent whose it is [default: `<agent>.sock` for each agent]
    #[arg(long = "unix", value_name = "PATH=SPIFFE-ID", value_parser = values::socket)]
    sockets: Vec<Socket>,
    /// The agent that the process speaks for when the enforcer is a library in it
    #[arg(long, value_name = "SPIFFE-ID")]
    in_process: Option<SpiffeId>,
    /// Where to write [default: a directory of the enforcer's name]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace what is there; an enforcer that is registered already gets a new key and certificate
    #[arg(long)]
    force: bool,
}

/// What `checkrein-enforcer serve` reads. Paths are relative to the file.
#[derive(Debug, Serialize)]
pub(super) struct EnforcerConfig {
    /// The control plane's replicas.
    pub control_plane: Vec<String>,
    /// Where it keeps policy and journal.
    pub directory: PathBuf,
    /// Its certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The CA of the control plane.
    pub ca: PathBuf,
    /// The root key it pins.
    pub root_key: RootKey,
    /// Sockets, one for each agent.
    pub unix: Vec<UnixSocket>,
    /// Whom the embedding process speaks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_process: Option<InProcess>,
}

/// The agent that the embedding process says it is.
#[derive(Debug, Serialize)]
pub(super) struct InProcess {
    /// Which.
    pub agent: SpiffeId,
}

/// A socket and the agent whose it is.
#[derive(Debug, Serialize)]
pub(super) struct UnixSocket {
    /// Where.
    pub path: String,
    /// Whose.
    pub agent: SpiffeId,
}

pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    refuse_existing(&out, ENFORCER_FILE, args.force)?;
    let config = invocation.client_config()?;
    let made = generate_request(&args.name)?;
    // Who is named for the process need not be named once more.
    let spoken_for: BTreeSet<&SpiffeId> = args.agents.iter().chain(&args.in_process).collect();
    let request = RegisterRequest {
        name: args.name,
        labels: args.labels,
        agents: spoken_for.into_iter().map(ToString::to_string).collect(),
        certificate_request: made.request,
        idempotency_key: invocation.idempotency_key(),
    };
    let mut client = client(config.connect().await?);
    let registered = match client.register(request.clone()).await {
        Err(status) if args.force && status.code() == Code::AlreadyExists => {
            certify_again(&mut client, request, config.root_key).await?
        }
        answered => answered?.into_inner(),
    };
    let enforcer = registered.enforcer.ok_or(Error::Incomplete("enforcer"))?;
    let root_key = pinned(&registered.root_public_key, config.root_key)?;
    let enforcer_config = EnforcerConfig {
        unix: sockets(args.sockets, args.agents),
        in_process: args.in_process.map(|agent| InProcess { agent }),
        ..EnforcerConfig::beside(config.control_plane, root_key)
    };
    let text = toml::to_string(&enforcer_config).map_err(crate::cli::client::ConfigError::from)?;
    let credentials = Credentials {
        certificate: registered.certificate,
        key: made.key,
        ca: registered.ca_certificate,
    };
    write_identity(&out, &credentials, (ENFORCER_FILE, &text), args.force)?;
    let document = json!({"enforcer": EnforcerView::of(&enforcer), "directory": out});
    invocation.answer(&document, |paint| {
        registered_text(&enforcer.spiffe_id, &out, &enforcer_config, paint)
    })?;
    Ok(Outcome::Done)
}

/// The enforcer is in the register, and its key and certificate are to be replaced: an answer that was lost, a key that was, or a
/// certificate near its end. What the register says of it stays; one asked for with other labels or agents is another enforcer.
async fn certify_again(
    client: &mut FleetServiceClient<Connection>,
    asked: RegisterRequest,
    root_key: RootKey,
) -> Result<RegisterResponse, Error> {
    let show = ShowRequest {
        name: asked.name.clone(),
    };
    let shown = client.show(show).await?.into_inner();
    let enforcer = shown.enforcer.ok_or(Error::Incomplete("enforcer"))?;
    let sorted = |words: &[String]| words.iter().cloned().collect::<BTreeSet<_>>();
    let is_same = sorted(&enforcer.labels) == sorted(&asked.labels)
        && sorted(&enforcer.agents) == sorted(&asked.agents);
    if !is_same {
        return Err(IdentityError::OtherEnforcer(asked.name).into());
    }
    let request = CertifyRequest {
        role: Role::Enforcer.to_string(),
        name: asked.name,
        certificate_request: asked.certificate_request,
    };
    let certified = client.certify(request).await?.into_inner();
    Ok(RegisterResponse {
        enforcer: Some(enforcer),
        certificate: certified.certificate,
        ca_certificate: certified.ca_certificate,
        root_public_key: root_key.0.to_vec().into(),
    })
}

impl EnforcerConfig {
    /// A config for credentials that lie beside it under their usual names.
    pub(super) fn beside(control_plane: Vec<String>, root_key: RootKey) -> Self {
        Self {
            control_plane,
            directory: "state".into(),
            certificate: CERTIFICATE_FILE.into(),
            key: KEY_FILE.into(),
            ca: CA_FILE.into(),
            root_key,
            unix: Vec::new(),
            in_process: None,
        }
    }
}

/// The root key that came, if it is the one this client was given when it was set up.
fn pinned(came: &[u8], pinned: RootKey) -> Result<RootKey, IdentityError> {
    let came: [u8; 32] = came
        .try_into()
        .map_err(|_| IdentityError::RootLength(came.len()))?;
    if RootKey(came) == pinned {
        Ok(pinned)
    } else {
        Err(IdentityError::OtherRoot)
    }
}

fn sockets(given: Vec<Socket>, agents: Vec<SpiffeId>) -> Vec<UnixSocket> {
    if given.is_empty() {
        let socket = |agent: SpiffeId| UnixSocket {
            path: format!("{}.sock", agent.name().replace('/', "-")),
            agent,
        };
        return agents.into_iter().map(socket).collect();
    }
    given
        .into_iter()
        .map(|socket| UnixSocket {
            path: socket.path,
            agent: socket.agent,
        })
        .collect()
}

fn registered_text(spiffe_id: &str, out: &Path, config: &EnforcerConfig, paint: Paint) -> String {
    let file = out.join(ENFORCER_FILE);
    let heading = paint.apply(Style::Strong, &visible(spiffe_id));
    // Without a socket there is nothing for a sidecar to listen on.
    let next = if config.unix.is_empty() && config.in_process.is_none() {
        "checkrein fleet add --help   it speaks for no agent: see --agent and --in-process".to_owned()
    } else if config.unix.is_empty() {
        format!(
            "Enforcer::connect(Config::load(\"{}\".as_ref())?)   in your service",
            file.display()
        )
    } else {
        format!("checkrein-enforcer serve --config {}", file.display())
    };
    let next = paint.next(&[&next]);
    format!(
        "{heading} is registered; its key, certificate and config are in {}\n{next}",
        out.display()
    )
}
