//! `checkrein-enforcer`: the enforcer as a process beside the service it guards.

mod arguments;
mod ask;
mod hook;
mod lease;
mod memory;
mod skeleton;
mod wrap;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use checkrein_enforcer::{Config, Enforcer, Surfaces};
use checkrein_shared::SystemClock;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use arguments::{Arguments, Command, Join, Serve};

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    start_logging();
    let ended = match command {
        Command::Serve(serve) => run(&serve).map(|()| ExitCode::SUCCESS),
        Command::Mcp(mcp) => wrap::run(*mcp),
        Command::Hook(hook) => Ok(hook::run(&hook)),
        Command::Catalog(catalog) => skeleton::run(*catalog),
        Command::Run(run) => lease::run(&run),
        Command::Join(join) => take_place(&join).map(|()| ExitCode::SUCCESS),
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            eprintln!("checkrein-enforcer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Everything is read and checked before a port or a socket opens.
fn run(serve: &Serve) -> anyhow::Result<()> {
    let config = serve.settings.read()?;
    if config.unix.is_empty() && config.tcp.is_none() && config.gateway.is_empty() {
        bail!(
            "there is nothing to listen on: name a socket under `[[unix]]`, an address under `[tcp]`, or a `[[gateway]]`"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(enforce(config, serve.json))
}

/// Joins, and says how to start.
fn take_place(join: &Join) -> anyhow::Result<()> {
    let token = join.token.read(std::io::stdin())?;
    let directory = join.directory.clone();
    let directory = directory.unwrap_or_else(|| PathBuf::from(token.id.name()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let config = runtime.block_on(checkrein_enforcer::join(&token, &directory))?;
    let (id, config) = (&token.id, config.display());
    if join.json {
        let document = serde_json::json!({
            "spiffe_id": id,
            "directory": directory,
            "config": config.to_string(),
        });
        println!("{document}");
    } else {
        println!(
            "{id} has joined; its key, certificate and config are in {}\n  checkrein-enforcer serve --config {config}",
            directory.display()
        );
    }
    Ok(())
}

async fn enforce(config: Config, json: bool) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let connecting = Enforcer::connect_with(config.clone(), Arc::new(SystemClock));
    let enforcer = tokio::select! {
        connected = connecting => connected.context("can't start")?,
        // An identity may still be waited for.
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let surfaces = Surfaces::open(&enforcer, &config).await.context("can't listen")?;
    announce(&enforcer, &surfaces, json);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // While callers can still say how their calls ended.
    enforcer.settle().await;
    surfaces.close().await;
    enforcer.shutdown().await;
    Ok(())
}

/// One line: ready, where, and with which policy.
fn announce(enforcer: &Enforcer, surfaces: &Surfaces, json: bool) {
    let status = enforcer.status();
    let listening: Vec<String> = surfaces.listening().iter().map(ToString::to_string).collect();
    if json {
        let line = serde_json::json!({
            "ready": true,
            "listening": listening,
            "generation": status.generation.0,
            "instance": status.instance.to_string(),
            "incarnation": status.incarnation,
        });
        println!("{line}");
    } else {
        let policy = match status.generation.0 {
            0 => "no policy yet, everything is denied".to_owned(),
            generation => format!("policy generation {generation} as kept"),
        };
        println!(
            "checkrein-enforcer is ready on {} ({policy})",
            listening.join(", ")
        );
    }
}

fn start_logging() {
    let filter = EnvFilter::try_from_env("CHECKREIN_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
