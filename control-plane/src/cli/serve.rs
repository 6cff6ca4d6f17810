//! `checkrein serve`: a control plane, made where there is none.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use checkrein_shared::SystemClock;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::{Error, Invocation, Outcome};
use crate::beside::Beside;
use crate::config::{Settings, TRUST_DOMAIN_DEFAULT};
use crate::installation::{Installation, InstallationError};
use crate::postgres::Progress;

/// `checkrein serve`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    settings: Settings,
    /// Settings in a TOML file; flags and variables win over it
    #[arg(long, value_name = "FILE", env = "CHECKREIN_SETTINGS", hide_env_values = true)]
    settings_file: Option<PathBuf>,
    /// Configuration of an enforcer that runs beside: started, started again when it ends, and stopped with this [default: none]
    #[arg(long, value_name = "FILE", env = "CHECKREIN_ENFORCER", hide_env_values = true)]
    enforcer: Option<PathBuf>,
}

/// What the help ends with.
pub(super) const EXAMPLE: &str = "\
Examples:
  checkrein serve
  checkrein serve --data /var/lib/checkrein --database-url postgres://checkrein@db/checkrein --listen 0.0.0.0:7443 --host policy.acme.example
  checkrein serve --enforcer pdp/enforcer.toml
  checkrein serve --host policy.acme.example --spiffe-socket unix:///run/spire/agent.sock --client-ca bundle.pem

On an empty data directory it makes a CA, the keys and an operator, and prints what to type next.
A further replica over the same database needs a copy of the first one's `keys` directory in its own data directory.";

/// Serves until it is told to stop.
pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    log_to_stderr();
    let file = args
        .settings_file
        .map(|path| Settings::read(&path))
        .transpose()?
        .unwrap_or_default();
    let config = args.settings.or(file).resolve()?;
    let beside = args.enforcer.map(Beside::of).transpose()?;
    let clock: checkrein_shared::SharedClock = Arc::new(SystemClock);
    let progress = Progress::to(|sentence| eprintln!("{sentence}"));
    let trust_domain = config.trust_domain.clone();
    let installation = Installation::open(config, &clock, progress).await?;
    let listener = installation.bind().await?;
    let console = installation.bind_console().await?;
    let port = listener.local_addr().map_err(Error::Output)?.port();
    let console_port = console
        .as_ref()
        .map(TcpListener::local_addr)
        .transpose()
        .map_err(Error::Output)?;
    let console_url = console_port.and_then(|address| installation.console_url(address.port()));
    let operator = installation.operator(&clock, port)?;
    let url = installation.url(port);
    // Absolute, so that it works in whichever directory the other terminal is.
    let operator = std::path::absolute(&operator).unwrap_or(operator);
    let shown = operator.display().to_string();
    let document =
        json!({"event": "serving", "address": url, "console": console_url, "client_config": shown});
    let answer = if invocation.json() {
        // One line: whoever starts us reads it while we go on.
        format!("{document}\n")
    } else {
        welcome((&url, console_url.as_deref()), &shown, &trust_domain)
    };
    invocation.print(&answer)?;
    let stop = stop_on_signal().map_err(Error::Output)?;
    let serving = Box::pin(installation.serve(listener, console, clock, stop.clone()));
    serve_beside(beside, serving, stop).await?;
    Ok(Outcome::Done)
}

/// Serves, and keeps an enforcer beside for as long.
async fn serve_beside(
    beside: Option<Beside>,
    serving: impl Future<Output = Result<(), InstallationError>>,
    stop: CancellationToken,
) -> Result<(), InstallationError> {
    let over = stop.child_token();
    let served = async {
        let served = serving.await;
        over.cancel();
        served
    };
    let kept = async {
        if let Some(beside) = beside {
            beside.run(over.clone()).await;
        }
    };
    tokio::join!(served, kept).0
}

/// What to type next: all it takes to have an agent's first action decided, on what `policy init` writes.
fn welcome((url, console): (&str, Option<&str>), client_config: &str, trust_domain: &str) -> String {
    let agent = format!("spiffe://{trust_domain}/agent/assistant");
    let of_domain = if trust_domain == TRUST_DOMAIN_DEFAULT {
        String::new()
    } else {
        format!(" --trust-domain {trust_domain}")
    };
    let console = console.map_or_else(String::new, |console| {
        format!("The console is at {console}; `checkrein console` prints a link that signs you in.\n")
    });
    format!(
        "\
Serving on {url}. Stop with Ctrl-C.
{console}
In another terminal:
  export CHECKREIN_CONFIG=\"{client_config}\"
  checkrein policy init mail{of_domain} && checkrein policy test mail && checkrein policy push mail
  checkrein fleet add edge-1 --agent {agent}
  checkrein-enforcer serve --config edge-1/enforcer.toml &
  checkrein task start --user alice --agent {agent} --tool 'mail/*' --environment production
"
    )
}

/// The log of a replica: warnings and what happens to its streams, or what `CHECKREIN_LOG` asks for.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("CHECKREIN_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // A second subscriber in one process is no reason not to serve.
    let _already_set = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}

/// Cancelled by Ctrl-C or a service manager.
fn stop_on_signal() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let cancel = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        cancel.cancel();
    });
    Ok(stop)
}

impl From<InstallationError> for Error {
    fn from(error: InstallationError) -> Self {
        Self::Serve(Box::new(error))
    }
}

#[cfg(test)]
mod tests;
