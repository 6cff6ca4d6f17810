//! Deciding on two threads while two decoded snapshots of 1,000 rules take turns 100 times a second, beside deciding in quiet.
//!
//! The two policies are pushed, fetched and verified as always; then the control plane is stopped, so that nobody announces
//! anything and nothing is uploaded while it is measured, and the light tier decides on. They alternate through the feature
//! `measure` of the enforcer, which takes the very step that follows a fetch: pushing them in turns would measure decoding.
//! Quiet and swapping runs alternate too, so that whatever else the machine does falls on both.
//!
//! A rule's id begins with the mark of its policy, so that a verdict whose rules and generation don't belong together is
//! seen. What is checked is the answer, which is made of the journaled record itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use checkrein_enforcer::{Answer, Decoded, Enforcer, Request};
use checkrein_shared::SystemClock;
use checkrein_shared::decision::OutcomeResult;
use checkrein_shared::id::Generation;
use checkrein_tests::generated::{AGENT, Call, Generated, USER};
use checkrein_tests::{Conditions, Latency, Stopwatch, WAIT_MAX, World};
use serde::Serialize;
use tokio::runtime::{Handle, Runtime};
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

const RULES: usize = 1_000;
const THREADS: usize = 2;
/// Quiet and swapping runs, each.
const ROUNDS: usize = 5;
/// Decisions of one thread in one run.
const ASKED: usize = 40_000;
const SWAP_EVERY: Duration = Duration::from_millis(10);
/// Nothing is uploaded, so all of it must fit.
const JOURNAL_BYTES: u64 = 4 << 30;

/// What is stored.
#[derive(Debug, Serialize)]
struct Figures {
    rules: usize,
    threads: usize,
    swaps: u64,
    swaps_per_second: f64,
    quiet: Latency,
    swapping: Latency,
    /// Of p99.9: swapping by quiet.
    ratio_p999: f64,
    /// Verdicts under each generation while they alternated.
    by_generation: BTreeMap<u64, u64>,
    /// Verdicts whose rules are another generation's. Must be 0.
    mixed: u64,
}

/// Two policies, the world they came from, and who is asked under them.
struct Stage {
    enforcer: Enforcer,
    grant: String,
    calls: Vec<Call>,
    policies: [Decoded; 2],
    /// How the ids of a generation's rules begin.
    marks: BTreeMap<Generation, &'static str>,
}

/// What one thread saw.
struct Seen {
    stopwatch: Stopwatch,
    by_generation: BTreeMap<Generation, u64>,
    mixed: u64,
}

fn main() -> Result<()> {
    let conditions = Conditions::now(&SystemClock);
    let runtime = Runtime::new()?;
    let mut world = runtime.block_on(World::start())?;
    let stage = Arc::new(runtime.block_on(Stage::set(&world))?);
    runtime.block_on(world.stop_replica(0));
    let figures = measure(&stage, runtime.handle())?;
    print(&figures);
    conditions.store("swap", &figures)
}

impl Stage {
    async fn set(world: &World) -> Result<Self> {
        let directory = world.register("edge", &[], &[AGENT]).await?;
        let mut config = world.enforcer_config(&directory, AGENT, &[world.address(0)])?;
        config.journal.max_bytes = JOURNAL_BYTES;
        let enforcer = Enforcer::connect(config).await?;
        enforcer
            .wait_until(checkrein_enforcer::Status::connected, WAIT_MAX)
            .await?;
        let (mut policies, mut marks, mut calls) = (Vec::new(), BTreeMap::new(), Vec::new());
        for mark in ["even", "odd"] {
            let generated = Generated::new(RULES, mark)?;
            let generation = Generation(world.push(&generated.pack).await?);
            enforcer
                .wait_until(|status| status.decides_by(generation), WAIT_MAX)
                .await?;
            policies.push(enforcer.decoded().context("a policy")?);
            marks.insert(generation, mark);
            calls = generated.calls;
        }
        let operator = world.operator().await?;
        Ok(Self {
            grant: operator.start(USER, AGENT, &["desk/*"], &[]).await?.grant,
            policies: policies.try_into().map_err(|_| anyhow!("two policies"))?,
            enforcer,
            calls,
            marks,
        })
    }

    /// All threads decide; gives what they saw together.
    fn decide(self: &Arc<Self>, runtime: &Handle) -> Result<Seen> {
        let decide = |_| {
            let (stage, runtime) = (Arc::clone(self), runtime.clone());
            thread::spawn(move || runtime.block_on(stage.decide_here()))
        };
        let threads: Vec<_> = (0..THREADS).map(decide).collect();
        let mut all = Seen::new()?;
        for thread in threads {
            all.add(&thread.join().map_err(|_| anyhow!("a thread panicked"))??)?;
        }
        Ok(all)
    }

    async fn decide_here(&self) -> Result<Seen> {
        let gate = self.enforcer.gate();
        let mut seen = Seen::new()?;
        for call in self.calls.iter().cycle().take(ASKED) {
            let request = Request::typed(&self.grant, &call.tool, call.arguments.clone());
            let started = Instant::now();
            let answer = gate.authorize(request).await?;
            seen.stopwatch.record(started.elapsed());
            let Answer::Permit(permit) = answer else {
                bail!("{answer:?}")
            };
            let decided = permit.decided();
            let mark = self.marks.get(&decided.generation).context("a generation")?;
            seen.mixed += u64::from(!decided.rules.iter().all(|rule| rule.starts_with(mark)));
            *seen.by_generation.entry(decided.generation).or_default() += 1;
            permit.complete(OutcomeResult::Done, "").await?;
        }
        Ok(seen)
    }
}

impl Seen {
    fn new() -> Result<Self> {
        Ok(Self {
            stopwatch: Stopwatch::new()?,
            by_generation: BTreeMap::new(),
            mixed: 0,
        })
    }

    fn add(&mut self, other: &Self) -> Result<()> {
        self.stopwatch.add(&other.stopwatch)?;
        self.mixed += other.mixed;
        for (generation, count) in &other.by_generation {
            *self.by_generation.entry(*generation).or_default() += count;
        }
        Ok(())
    }
}

fn measure(stage: &Arc<Stage>, runtime: &Handle) -> Result<Figures> {
    // Caches, grants and branch predictors warm up.
    stage.decide(runtime)?;
    let (mut quiet, mut swapping) = (Seen::new()?, Seen::new()?);
    let (swaps, mut swapped_for) = (Arc::new(AtomicU64::new(0)), Duration::ZERO);
    for _ in 0..ROUNDS {
        quiet.add(&stage.decide(runtime)?)?;
        let stop = CancellationToken::new();
        let swapper = runtime.spawn(
            stop.clone()
                .run_until_cancelled_owned(swap(Arc::clone(stage), Arc::clone(&swaps))),
        );
        let started = Instant::now();
        let seen = stage.decide(runtime);
        swapped_for += started.elapsed();
        stop.cancel();
        runtime.block_on(swapper)?;
        swapping.add(&seen?)?;
    }
    let swaps = swaps.load(Ordering::Relaxed);
    let (mixed, by_generation) = (quiet.mixed + swapping.mixed, swapping.by_generation);
    let (quiet, swapping) = (quiet.stopwatch.latency(), swapping.stopwatch.latency());
    #[expect(clippy::cast_precision_loss, reason = "a count of swaps is small")]
    let swaps_per_second = swaps as f64 / swapped_for.as_secs_f64();
    Ok(Figures {
        rules: RULES,
        threads: THREADS,
        swaps,
        swaps_per_second,
        ratio_p999: swapping.p999_us / quiet.p999_us,
        quiet,
        swapping,
        by_generation: by_generation
            .into_iter()
            .map(|(generation, count)| (generation.0, count))
            .collect(),
        mixed,
    })
}

/// The two take turns until it is cancelled.
async fn swap(stage: Arc<Stage>, swaps: Arc<AtomicU64>) {
    let mut ticks = interval(SWAP_EVERY);
    for policy in stage.policies.iter().cycle() {
        ticks.tick().await;
        stage.enforcer.swap_to(policy);
        swaps.fetch_add(1, Ordering::Relaxed);
    }
}

fn print(figures: &Figures) {
    println!(
        "\nTyped action to journaled verdict on {} threads while two snapshots of {} rules alternate (microseconds)\n",
        figures.threads, figures.rules
    );
    println!(
        "{:>10} | {:>9} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "", "decisions", "mean", "p50", "p99", "p99.9", "max"
    );
    for (name, latency) in [("quiet", &figures.quiet), ("swapping", &figures.swapping)] {
        println!(
            "{name:>10} | {:>9} {:>8.1} {:>8.1} {:>8.1} {:>8.1} {:>8.0}",
            latency.count, latency.mean_us, latency.p50_us, latency.p99_us, latency.p999_us, latency.max_us
        );
    }
    println!(
        "\n{} swaps, {:.0} a second; p99.9 is {:.2} times the quiet one (aim: at most 1.5)",
        figures.swaps, figures.swaps_per_second, figures.ratio_p999
    );
    println!(
        "verdicts by generation {:?}, of mixed generations {} (must be 0)",
        figures.by_generation, figures.mixed
    );
}
