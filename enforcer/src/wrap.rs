//! `checkrein-enforcer mcp`: an enforcer between an MCP client and the server it starts, or before a server over HTTP.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use checkrein_enforcer::{
    Config, Enforcer, GrantSource, McpUpstream, Proxied, Remote, ServerName, Together, Whereabouts, Wrapped,
};
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
    Several(Together),
    Http { proxied: Proxied, json: bool },
}

/// Everything is read and checked before a server starts, or a port opens.
pub(crate) fn run(mcp: Mcp) -> anyhow::Result<ExitCode> {
    let config = mcp.settings.read()?;
    let between = between(mcp, &config)?;
    if !matches!(between, Between::Http { .. }) && config.in_process.is_none() {
        bail!(
            "nobody says which agent the client is: name it under `[in_process]`; `checkrein fleet add NAME --in-process AGENT` writes such a config"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(enforce(config, between));
    // A read of standard input may never return.
    runtime.shutdown_background();
    ended
}

/// What is to stand between, from what was typed and what the config says.
fn between(mcp: Mcp, config: &Config) -> anyhow::Result<Between> {
    let (grant, patience) = (GrantSource::of(mcp.grant), Duration::from_secs(mcp.wait));
    let console = config
        .console_url
        .clone()
        .map(|url| (url, config.directory.clone()));
    let typed = match (mcp.name, mcp.upstream) {
        (Some(name), Some(url)) => Some(Remote {
            name,
            url,
            ca: mcp.upstream_ca,
            headers: mcp.upstream_headers,
        }),
        (Some(name), None) if mcp.listen.is_none() && !mcp.command.is_empty() => {
            let command = mcp.command;
            return Ok(Between::Pipes(Wrapped {
                name,
                command,
                grant,
                patience,
                console,
            }));
        }
        (Some(_), None) => {
            bail!("`--name` needs the server: `--listen` and `--upstream`, or what starts it after `--`")
        }
        (None, _) => None,
    };
    let json = mcp.json;
    let upstream = &config.mcp.upstream;
    if typed.is_none() && upstream.is_empty() {
        bail!(
            "there is no server to stand before: give `--name` and the server, or `[[mcp.upstream]]` in the config"
        );
    }
    if let Some(listen) = mcp.listen {
        let servers = match typed {
            Some(one) => vec![one],
            None => upstream.iter().map(remote).collect::<anyhow::Result<_>>()?,
        };
        let proxied = Proxied {
            servers,
            listen,
            grant,
            patience,
        };
        return Ok(Between::Http { proxied, json });
    }
    if upstream.len() > 1 {
        let servers = upstream.iter().map(of_config).collect::<anyhow::Result<_>>()?;
        return Ok(Between::Several(Together {
            servers,
            grant,
            patience,
            console,
            handshake: config.mcp.handshake,
        }));
    }
    // INVARIANT: there is one: with none nothing is typed, and that was refused.
    let (name, command) = started(&upstream[0])?;
    Ok(Between::Pipes(Wrapped {
        name,
        command,
        grant,
        patience,
        console,
    }))
}

/// A server of the config that is spoken to over HTTP.
pub(crate) fn remote(one: &McpUpstream) -> anyhow::Result<Remote> {
    let Some(url) = one.url.clone() else {
        bail!(
            "`[[mcp.upstream]]` named `{}` has a `command`; with `--listen` each needs a `url`",
            one.name
        );
    };
    Ok(Remote {
        name: one.name.parse()?,
        url,
        ca: one.ca.clone(),
        headers: one.headers.clone(),
    })
}

/// A server of the config, wherever it is.
pub(crate) fn of_config(one: &McpUpstream) -> anyhow::Result<(ServerName, Whereabouts)> {
    if one.url.is_some() {
        return Ok((one.name.parse()?, Whereabouts::At(remote(one)?)));
    }
    let (name, command) = started(one)?;
    Ok((name, Whereabouts::Started(command)))
}

/// A server of the config that is started.
fn started(one: &McpUpstream) -> anyhow::Result<(ServerName, Vec<OsString>)> {
    if one.command.is_empty() {
        bail!(
            "`[[mcp.upstream]]` named `{}` has a `url` and stands alone; give `--listen`, or put another beside it",
            one.name
        );
    }
    Ok((one.name.parse()?, one.command.iter().map(Into::into).collect()))
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
        Between::Several(together) => {
            let pipes = (standard(std::io::stdin())?, standard(std::io::stdout())?);
            together
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
    let upstream: Vec<String> = proxied.servers.iter().map(|one| one.url.clone()).collect();
    let upstream = upstream.join(", ");
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
