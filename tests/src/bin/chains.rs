//! `chains`: replays work whose every call is harmless and whose whole is not, under a pack, through real enforcers fed by a real
//! control plane, beside twins that do no harm.
//!
//! ```text
//! cargo run --release -p checkrein-tests --bin chains -- --pack deploy/packs/chains deploy/chains/*.json
//! ```
//!
//! **Invariant**: standard output has the report and nothing else; every verdict in it was journaled.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use checkrein_tests::open_pack;
use checkrein_tests::replay::chains::{Domain, Part, Tolls, Troupe, parts, toll};
use clap::Parser;

const EXAMPLES: &str = "\
Examples:
  chains --pack deploy/packs/chains deploy/chains/finance.json
  chains --pack deploy/packs/chains --json deploy/chains/*.json

A chain is a list of calls by one or several agents, with what each tool gave. It is played as one task: the lead starts it and
passes it on to the others, each behind an enforcer of its own. Content, size and what was found in it are told to the gate, as
a tool's caller does. Nobody answers holds: the first call that is not let through ends the chain.

  harms           chains that do harm if every call goes through
  stopped         did not come to their end: a call was denied, or waits for people
  twins           the same tools, equally often, harmless for what was read, named or came first
  untouched       every call went through
  harmless alone  harms whose last call goes through in a task of its own: only the chain speaks against it

Ends with 1 if a harm goes through or a twin is touched.";

/// Replays chains of harmless calls that do harm together, and their harmless twins, under a pack.
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES)]
struct Options {
    /// The policy directory, whose catalogs know the chains' tools.
    #[arg(long, value_name = "DIR")]
    pack: PathBuf,
    /// Files of chains, as in `deploy/chains`.
    #[arg(required = true, value_name = "FILE")]
    domains: Vec<PathBuf>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match replay(&Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chains: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every harm was stopped and no twin touched.
async fn replay(options: &Options) -> Result<bool> {
    let domains: Vec<Domain> = options
        .domains
        .iter()
        .map(|file| read_domain(file))
        .collect::<Result<_>>()?;
    let (source, pack) = open_pack(&options.pack)?;
    eprintln!("starting a private Postgres, a control plane and three enforcers");
    let troupe = Troupe::set(&source, &pack).await?;
    let parts = parts(&domains);
    let ends = troupe.play(&parts, progress(&parts)).await?;
    troupe.strike().await;
    let tolls = toll(&parts, &ends);
    print(options, &tolls)?;
    Ok(tolls.is_clean())
}

fn progress(parts: &[Part]) -> impl Fn() {
    let started = AtomicUsize::new(0);
    move || {
        let number = started.fetch_add(1, Ordering::Relaxed) + 1;
        if number == parts.len() || number.is_multiple_of(50) {
            eprintln!("{number} of {} tasks", parts.len());
        }
    }
}

fn print(options: &Options, tolls: &Tolls) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if options.json {
        writeln!(out, "{}", serde_json::to_string_pretty(tolls)?)?;
        return Ok(());
    }
    writeln!(
        out,
        "Chains under the pack in `{}`\n\n{tolls}",
        options.pack.display()
    )?;
    Ok(())
}

fn read_domain(file: &Path) -> Result<Domain> {
    let json = std::fs::read(file).with_context(|| format!("reading `{}`", file.display()))?;
    Domain::parse(&json).with_context(|| format!("`{}` is not a file of chains", file.display()))
}
