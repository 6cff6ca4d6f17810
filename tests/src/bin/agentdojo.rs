//! `agentdojo`: replays a suite of real agent work under a pack, through a real enforcer fed by a real control plane.
//!
//! ```text
//! cargo run --release -p checkrein-tests --bin agentdojo -- --pack deploy/packs/banking --suite deploy/agentdojo/banking.json
//! ```
//!
//! **Invariant**: standard output has the report and nothing else; every verdict in it was journaled.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use checkrein_tests::open_pack;
use checkrein_tests::replay::{Catalog, Report, Scope, Stage, Suite, Table, plan, tally};
use clap::Parser;

/// Replays a suite of AgentDojo's under a pack, and counts what is stopped and what it costs.
#[derive(Debug, Parser)]
struct Options {
    /// The policy directory; it has a catalog that is named after the suite.
    #[arg(long, value_name = "DIR")]
    pack: PathBuf,
    /// The suite: tools, user tasks and injections with the calls that carry them out.
    #[arg(long, value_name = "FILE")]
    suite: PathBuf,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
    /// Who makes the calls, if rules care.
    #[arg(
        long,
        value_name = "SPIFFE-ID",
        default_value = "spiffe://acme.example/agent/assistant"
    )]
    agent: String,
}

/// Where a replay is, for who waits for it.
struct Progress {
    what: &'static str,
    all: usize,
    done: AtomicUsize,
}

#[tokio::main]
async fn main() -> ExitCode {
    match replay(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agentdojo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn replay(options: &Options) -> Result<()> {
    let suite = read_suite(&options.suite)?;
    let (source, pack) = open_pack(&options.pack)?;
    let catalog = Catalog::find(&pack, &suite)?;
    for tool in catalog.unknown(&suite) {
        eprintln!("the catalog does not know `{tool}`: every call of it will be denied");
    }
    eprintln!("starting a private Postgres, a control plane and an enforcer");
    let stage = Stage::set(&source, &pack, &options.agent).await?;
    let report = Report {
        scoped: table(&stage, &suite, &catalog, Scope::OfTask, "scoped").await?,
        unscoped: table(&stage, &suite, &catalog, Scope::OfSuite, "unscoped").await?,
    };
    stage.strike().await;
    let mut out = std::io::stdout().lock();
    if options.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        writeln!(
            out,
            "AgentDojo's suite `{}` under the pack `{}`\n\n{report}",
            suite.name,
            pack.name()
        )?;
    }
    Ok(())
}

async fn table(
    stage: &Stage,
    suite: &Suite,
    catalog: &Catalog,
    scope: Scope,
    what: &'static str,
) -> Result<Table> {
    let runs = plan(suite, catalog, scope);
    let progress = Progress {
        what,
        all: runs.len(),
        done: AtomicUsize::new(0),
    };
    let verdicts = stage.play(&runs, || progress.step()).await?;
    Ok(tally(suite, &runs, &verdicts))
}

fn read_suite(file: &Path) -> Result<Suite> {
    let json = std::fs::read(file).with_context(|| format!("reading `{}`", file.display()))?;
    Suite::parse(&json).with_context(|| format!("`{}` is not a suite", file.display()))
}

impl Progress {
    fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let mut err = std::io::stderr().lock();
        // Progress that nobody can be shown is no reason to stop.
        let _shown = if err.is_terminal() {
            let end = if done == self.all { "\n" } else { "" };
            write!(err, "\r{}: {done} of {} runs{end}", self.what, self.all)
        } else if done == self.all || done.is_multiple_of(100) {
            writeln!(err, "{}: {done} of {} runs", self.what, self.all)
        } else {
            Ok(())
        };
    }
}
