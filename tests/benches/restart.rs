//! From `Enforcer::connect` to a decided read, with no control plane, at 100 rules: beside an empty journal and beside one
//! that is as full as it may be.
//!
//! The policy is pushed, fetched, verified and kept as always; then the control plane is stopped for good, and the enforcer is
//! dropped and connected again and again. Each start loads certificates, locks the directory, opens the journal, verifies the
//! kept policy anew, decodes it, decides one read and writes that down. What is not counted: the start of a process, which
//! `crash` counts, and reading from a disk, as the files are in memory from the run before.

use std::path::Path;

use anyhow::{Context, Result, bail};
use checkrein_enforcer::{Answer, Config, Enforcer, Request, Status};
use checkrein_shared::SystemClock;
use checkrein_shared::decision::OutcomeResult;
use checkrein_shared::id::Generation;
use checkrein_tests::generated::{AGENT, Call, Generated, USER};
use checkrein_tests::{Conditions, Latency, Stopwatch, WAIT_MAX, World};
use serde::Serialize;
use tokio::time::Instant;

const RULES: usize = 100;
const STARTS: usize = 100;
/// How much of the journal's bound the backlog takes: all that leaves room for the decisions that are measured.
const BACKLOG_PERCENT: u64 = 90;

/// What is stored.
#[derive(Debug, Serialize)]
struct Figures {
    rules: usize,
    starts: Vec<Starts>,
}

/// Many starts beside one backlog.
#[derive(Debug, Serialize)]
struct Starts {
    journal: &'static str,
    backlog_bytes: u64,
    backlog_files: usize,
    to_decided_read: Latency,
}

/// An enforcer that has a policy and nobody to ask.
struct Stage {
    config: Config,
    grant: String,
    read: Call,
}

fn main() -> Result<()> {
    let conditions = Conditions::now(&SystemClock);
    let runtime = tokio::runtime::Runtime::new()?;
    let figures = runtime.block_on(measure())?;
    print(&figures);
    conditions.store("restart", &figures)
}

async fn measure() -> Result<Figures> {
    let mut world = World::start().await?;
    let stage = Stage::set(&mut world).await?;
    let mut starts = vec![stage.starts("empty").await?];
    stage.fill().await?;
    starts.push(stage.starts("full").await?);
    Ok(Figures { rules: RULES, starts })
}

impl Stage {
    async fn set(world: &mut World) -> Result<Self> {
        let generated = Generated::new(RULES, "r")?;
        let directory = world.register("edge", &[], &[AGENT]).await?;
        let config = world.enforcer_config(&directory, AGENT, &[world.address(0)])?;
        let grant = world
            .operator()
            .await?
            .start(USER, AGENT, &["desk/*"], &[])
            .await?
            .grant;
        let enforcer = Enforcer::connect(config.clone()).await?;
        let generation = Generation(world.push(&generated.pack).await?);
        let follows = |status: &Status| status.generation == generation;
        enforcer.wait_until(follows, WAIT_MAX).await?;
        enforcer.shutdown().await;
        world.stop_replica(0).await;
        let read = generated.calls.into_iter().find(|call| call.is_read);
        Ok(Self {
            config,
            grant,
            read: read.context("a call that reads")?,
        })
    }

    async fn starts(&self, journal: &'static str) -> Result<Starts> {
        let (backlog_bytes, backlog_files) = backlog(&self.config.directory.join("journal"))?;
        let mut stopwatch = Stopwatch::new()?;
        for _ in 0..STARTS {
            let started = Instant::now();
            let enforcer = Enforcer::connect(self.config.clone()).await?;
            let answer = enforcer.gate().authorize(self.request()).await?;
            stopwatch.record(started.elapsed());
            let Answer::Permit(permit) = answer else {
                bail!("{answer:?}")
            };
            permit.complete(OutcomeResult::Done, "").await?;
        }
        Ok(Starts {
            journal,
            backlog_bytes,
            backlog_files,
            to_decided_read: stopwatch.latency(),
        })
    }

    /// Decides until the journal has its backlog.
    async fn fill(&self) -> Result<()> {
        let enforcer = Enforcer::connect(self.config.clone()).await?;
        let wanted = self.config.journal.max_bytes / 100 * BACKLOG_PERCENT;
        while enforcer.status().journal_bytes < wanted {
            let Answer::Permit(permit) = enforcer.gate().authorize(self.request()).await? else {
                bail!("the journal took less than {wanted} bytes")
            };
            permit.complete(OutcomeResult::Done, "").await?;
        }
        Ok(())
    }

    fn request(&self) -> Request {
        Request::typed(&self.grant, &self.read.tool, self.read.arguments.clone())
    }
}

fn backlog(journal: &Path) -> Result<(u64, usize)> {
    let (mut bytes, mut files) = (0, 0);
    for entry in std::fs::read_dir(journal)? {
        bytes += entry?.metadata()?.len();
        files += 1;
    }
    Ok((bytes, files))
}

fn print(figures: &Figures) {
    println!(
        "\nFrom Enforcer::connect to a decided read with no control plane, at {} rules (milliseconds)\n",
        figures.rules
    );
    println!(
        "{:>10} | {:>8} {:>6} | {:>6} {:>8} {:>8} {:>8}",
        "journal", "MiB", "files", "starts", "p50", "p99", "max"
    );
    for starts in &figures.starts {
        let latency = &starts.to_decided_read;
        println!(
            "{:>10} | {:>8} {:>6} | {:>6} {:>8.1} {:>8.1} {:>8.1}",
            starts.journal,
            starts.backlog_bytes >> 20,
            starts.backlog_files,
            latency.count,
            latency.p50_us / 1_000.0,
            latency.p99_us / 1_000.0,
            latency.max_us / 1_000.0
        );
    }
    println!("\n(aim: at most 50)");
}
