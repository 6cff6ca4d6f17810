//! Asking an enforcer that runs beside us: over the socket of an agent.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use checkrein_enforcer::GrantSource;
use checkrein_proto::decision::v1::gate_service_client::GateServiceClient;
use checkrein_proto::decision::v1::{
    AuthorizeRequest, AuthorizeResponse, CompleteRequest, WatchRequest, WatchResponse,
};
use clap::Args;
use tokio::time::timeout;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

/// An enforcer beside us answers within this, or what it needs to know is not to be had.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Whom to ask, with what.
#[derive(Debug, Clone, Args)]
pub(crate) struct Beside {
    /// The agent's socket of an enforcer that runs on this machine
    #[arg(long, env = "CHECKREIN_SOCKET", value_name = "PATH")]
    pub(crate) socket: PathBuf,
    /// The grant that `checkrein task start --grant-only` gave. Without it: `CHECKREIN_GRANT` holds the grant itself
    #[arg(long, value_name = "FILE")]
    pub(crate) grant: Option<PathBuf>,
    /// How many seconds to wait for people
    #[arg(long, value_name = "SECONDS", default_value_t = 50, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub(crate) wait: u64,
    /// Where calls that wait, or are under way, are remembered [default: `checkrein/calls` under `XDG_STATE_HOME`, or under
    /// `~/.local/state`]
    #[arg(long, env = "CHECKREIN_STATE", value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

/// An enforcer that answers.
#[derive(Debug, Clone)]
pub(crate) struct Gate(GateServiceClient<Channel>);

impl Beside {
    /// Connects.
    pub(crate) async fn gate(&self) -> anyhow::Result<Gate> {
        let place = std::path::absolute(&self.socket)?;
        let endpoint = Endpoint::from_shared(format!("unix:{}", place.display()))?;
        let channel = endpoint.connect_timeout(ANSWER_MAX).connect().await;
        let channel = channel.with_context(|| {
            format!(
                "no enforcer answers on `{}`; is `checkrein-enforcer serve` running, with that path under `[[unix]]`?",
                self.socket.display()
            )
        })?;
        Ok(Gate(GateServiceClient::new(channel)))
    }

    /// A call of this tool, ready to be asked for.
    pub(crate) async fn request(&self, tool: &str, arguments: &str) -> anyhow::Result<AuthorizeRequest> {
        Ok(AuthorizeRequest {
            grant: GrantSource::of(self.grant.clone()).read().await?,
            tool: tool.to_owned(),
            arguments: arguments.to_owned().into(),
            wait_ms: self.wait * 1_000,
            ..AuthorizeRequest::default()
        })
    }
}

impl Gate {
    /// Asks for one call, and waits for people as long as the request says.
    pub(crate) async fn authorize(&mut self, request: AuthorizeRequest) -> anyhow::Result<AuthorizeResponse> {
        let within = ANSWER_MAX + Duration::from_millis(request.wait_ms);
        let asked = timeout(within, self.0.authorize(request)).await;
        let answer = asked.context("the enforcer did not answer in time")?;
        Ok(answer.map_err(|status| said(&status))?.into_inner())
    }

    /// Says how a call ended.
    pub(crate) async fn complete(&mut self, ended: CompleteRequest) -> anyhow::Result<()> {
        let told = timeout(ANSWER_MAX, self.0.complete(ended)).await;
        told.context("the enforcer did not answer in time")?
            .map_err(|status| said(&status))?;
        Ok(())
    }

    /// Hears when a call under way should stop.
    pub(crate) async fn watch(&mut self, decision_id: &str) -> anyhow::Result<Streaming<WatchResponse>> {
        let request = WatchRequest {
            decision_ids: vec![decision_id.to_owned()],
        };
        let watched = timeout(ANSWER_MAX, self.0.watch(request)).await;
        let watched = watched.context("the enforcer did not answer in time")?;
        Ok(watched.map_err(|status| said(&status))?.into_inner())
    }
}

/// What went wrong, in the enforcer's own words.
fn said(status: &tonic::Status) -> anyhow::Error {
    let source = std::error::Error::source(status);
    let is_gone =
        source.is_some_and(|source| source.to_string().contains(&ErrorKind::BrokenPipe.to_string()));
    if is_gone || status.message().is_empty() {
        return anyhow::anyhow!("the enforcer went away ({})", status.code());
    }
    anyhow::anyhow!("the enforcer refused: {}", status.message())
}
