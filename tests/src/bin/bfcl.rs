//! `bfcl`: replays real conversations under a pack, through a real enforcer fed by a real control plane, and counts what the
//! pack costs people who do nothing wrong.
//!
//! ```text
//! cargo run --release -p checkrein-tests --bin bfcl -- --pack deploy/packs/bfcl deploy/bfcl/*.json
//! ```
//!
//! **Invariant**: standard output has the report and nothing else; every verdict in it was journaled.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use checkrein_tests::open_pack;
use checkrein_tests::replay::{Conversation, Corpus, Friction, Judgement, Results, Stage, friction};
use clap::Parser;

const EXAMPLES: &str = "\
Examples:
  bfcl --pack deploy/packs/bfcl deploy/bfcl/base.json
  bfcl --pack deploy/packs/bfcl --results deploy/bfcl/results --json deploy/bfcl/*.json

Each conversation is one task, with the tools of its own calls in scope. Before the calls of a turn the task is amended with
what the user has said by then: that is its intent, and the values that stand literally in it are what the user named.
With --results what each call gave is told to the gate, so that rules can ask where a value came from.
Nobody answers holds: a held call did not run. \"held of 100\" is how many of a hundred such calls wait for people.";

/// Replays BFCL's multi-turn conversations under a pack, and counts what it holds and denies of benign work.
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES)]
struct Options {
    /// The policy directory, whose catalogs know the conversations' tools.
    #[arg(long, value_name = "DIR")]
    pack: PathBuf,
    /// Files of conversations, as in `deploy/bfcl`. Of more than one, all together are counted too.
    #[arg(required = true, value_name = "FILE")]
    corpora: Vec<PathBuf>,
    /// A directory with what the calls of each set gave, as `deploy/bfcl/results`; without it the gate is told nothing of it.
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Print one JSON object instead of tables: what is printed of each set, by its name.
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

#[tokio::main]
async fn main() -> ExitCode {
    match replay(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bfcl: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn replay(options: &Options) -> Result<()> {
    let corpora: Vec<Corpus> = options
        .corpora
        .iter()
        .map(|file| read_corpus(file, options.results.as_deref()))
        .collect::<Result<_>>()?;
    let (source, pack) = open_pack(&options.pack)?;
    eprintln!("starting a private Postgres, a control plane and an enforcer");
    let stage = Stage::set(&source, &pack, &options.agent).await?;
    let mut report = BTreeMap::new();
    let (mut all, mut of_all): (Vec<Conversation>, Vec<Vec<Judgement>>) = (Vec::new(), Vec::new());
    for corpus in corpora {
        let judgements = play(&stage, &corpus).await?;
        let counted = friction(&pack, &corpus.conversations, &judgements);
        report.insert(corpus.set, counted);
        all.extend(corpus.conversations);
        of_all.extend(judgements);
    }
    stage.strike().await;
    if report.len() > 1 {
        report.insert("all".to_owned(), friction(&pack, &all, &of_all));
    }
    print(options, &report)
}

async fn play(stage: &Stage, corpus: &Corpus) -> Result<Vec<Vec<Judgement>>> {
    let (set, conversations) = (&corpus.set, corpus.conversations.len());
    if !corpus.left_out.is_empty() {
        let calls: usize = corpus.left_out.iter().map(|one| one.calls).sum();
        eprintln!(
            "{set}: {} more conversations with {calls} calls could not be converted and are left out",
            corpus.left_out.len()
        );
    }
    let started = AtomicUsize::new(0);
    let step = || {
        let number = started.fetch_add(1, Ordering::Relaxed) + 1;
        if number == conversations || number.is_multiple_of(100) {
            eprintln!("{set}: {number} of {conversations} conversations");
        }
    };
    stage.converse(&corpus.conversations, step).await
}

fn print(options: &Options, report: &BTreeMap<String, Friction>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if options.json {
        writeln!(out, "{}", serde_json::to_string_pretty(report)?)?;
        return Ok(());
    }
    for (set, counted) in report {
        writeln!(
            out,
            "BFCL's conversations `{set}` under the pack in `{}`\n\n{counted}",
            options.pack.display()
        )?;
    }
    Ok(())
}

fn read_corpus(file: &Path, results: Option<&Path>) -> Result<Corpus> {
    let json = std::fs::read(file).with_context(|| format!("reading `{}`", file.display()))?;
    let mut corpus = Corpus::parse(&json)
        .with_context(|| format!("`{}` is not a file of conversations", file.display()))?;
    if let Some(directory) = results {
        let file = directory.join(&corpus.set).with_extension("json");
        let json = std::fs::read(&file).with_context(|| format!("reading `{}`", file.display()))?;
        let results = Results::parse(&json)
            .with_context(|| format!("`{}` is not a file of results", file.display()))?;
        corpus.give(results)?;
    }
    Ok(corpus)
}
