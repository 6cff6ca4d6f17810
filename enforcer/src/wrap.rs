//! `checkrein-enforcer mcp`: an enforcer between an MCP client and the server it starts, or before a server over HTTP.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use checkrein_enforcer::{Config, Enforcer, GrantSource, Proxied, Wrapped};
use checkrein_shared::SystemClock;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::arguments::Mcp;

/// A client is kept waiting so long for the first policy and for the word that it is the newest; then what is there decides.
const FIRST_POLICY_MAX: Duration = Duration::from_secs(10);

/// What stands between the two.
enum Between {
    Pipes(Wrapped),
    Http { proxied: Proxied, json: bool },
}

/// Everything is read and checked before the server starts, or a port opens.
pub(crate) fn run(mcp: Mcp) -> anyhow::Result<ExitCode> {
    let config = mcp.settings.read()?;
    let (grant, patience) = (GrantSource::of(mcp.grant), Duration::from_secs(mcp.wait));
    let between = if let (Some(listen), Some(upstream)) = (mcp.listen, mcp.upstream) {
        let proxied = Proxied {
            name: mcp.name,
            upstream,
            upstream_ca: mcp.upstream_ca,
            upstream_headers: mcp.upstream_headers,
            listen,
            grant,
            patience,
        };
        Between::Http {
            proxied,
            json: mcp.json,
        }
    } else {
        if config.in_process.is_none() {
            bail!(
                "nobody says which agent the client is: name it under `[in_process]`; `checkrein fleet add NAME --in-process AGENT` writes such a config"
            );
        }
        Between::Pipes(Wrapped {
            name: mcp.name,
            command: mcp.command,
            grant,
            patience,
        })
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(enforce(config, between));
    // A read of standard input may never return.
    runtime.shutdown_background();
    ended
}

async fn enforce(config: Config, between: Between) -> anyhow::Result<ExitCode> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        told.cancel();
    });
    let connecting = Enforcer::connect_with(config.clone(), Arc::new(SystemClock));
    let enforcer = tokio::select! {
        connected = connecting => connected.context("can't start")?,
        () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    let ready = enforcer.wait_until(
        |status| status.generation.0 > 0 && status.connected() && status.policy_age_ms < u64::MAX,
        FIRST_POLICY_MAX,
    );
    tokio::select! {
        ready = ready => if ready.is_err() {
            warn!("the control plane is not heard; what was kept decides, and what needs a fresh word is denied");
        },
        () = stop.cancelled() => {}
    }
    let ended = match between {
        Between::Pipes(wrapped) => {
            let pipes = (standard(std::io::stdin())?, standard(std::io::stdout())?);
            wrapped
                .run(enforcer.gate(), pipes, stop)
                .await
                .map_err(Into::into)
        }
        Between::Http { proxied, json } => listen(&enforcer, &config, (proxied, json), stop).await,
    };
    enforcer.shutdown().await;
    Ok(ExitCode::from(ended?))
}

async fn listen(
    enforcer: &Enforcer,
    config: &Config,
    (proxied, json): (Proxied, bool),
    stop: CancellationToken,
) -> anyhow::Result<u8> {
    let upstream = proxied.upstream.clone();
    let door = proxied.open(enforcer, config).await.context("can't listen")?;
    if json {
        println!("{}", serde_json::json!({ "ready": true, "url": door.url }));
    } else {
        println!("MCP clients reach {upstream} at {}", door.url);
    }
    door.serve(stop).await;
    Ok(0)
}

/// A stream of ours, whatever it is connected to.
fn standard(stream: impl AsFd) -> anyhow::Result<tokio::fs::File> {
    let own: OwnedFd = stream.as_fd().try_clone_to_owned()?;
    Ok(tokio::fs::File::from_std(File::from(own)))
}
