//! An enforcer process that is killed again and again while agents ask it, and what is left of its answers.
//!
//! A real `checkrein-enforcer` guards behind its unix socket; agents ask without pause; SIGKILL comes at an instant drawn
//! from a seed; the next process takes over the directory. At the end the last one drains, and what the agents were told is
//! compared with what Postgres has. A killed process may lose what it never answered, and nothing else.
//!
//! Outcomes count like answers, from the moment they are acknowledged. Nobody approves a hold here, so no release of an
//! approved action is among the permits.
//!
//! **Invariant**: an answer counts from the moment an agent has it, and only then.

mod agents;
pub(crate) mod process;

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use checkrein_proto::decision::v1::Verdict;
use checkrein_shared::id::random_bytes;
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};

use crate::world::packs::payments;
use crate::{Latency, Stopwatch, WAIT_MAX, World};
use agents::{Agents, Answered};
use process::{Binary, Process};

/// Who asks.
const AGENT: &str = "spiffe://acme.example/agent/billing";
/// The account the user named.
const NAMED: &str = "GB29NWBK60161331926819";
/// So many agents ask at once, each in a task of its own.
const AGENTS: usize = 4;
/// A process is killed at most so long after its first answer; the first one, after it has answered in each way.
const LIFE_MAX: Duration = Duration::from_millis(400);
/// How long the records of all processes may take to come home, for each kill.
const DRAIN_PER_KILL: Duration = Duration::from_secs(1);

/// How often, and from which seed.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Crash {
    /// How many processes are killed.
    pub kills: u32,
    /// What decides when, and what is asked.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Aftermath {
    /// What was done.
    pub crash: Crash,
    /// Answers that agents have.
    pub answered: usize,
    /// Of these: denials, holds, permits of effectful tools, the ones that nobody may act on before they are on disk.
    pub class_a: usize,
    /// Of these, denials.
    pub denied: usize,
    /// Of these, holds.
    pub held: usize,
    /// Of these, permits of the full tier.
    pub permitted_full: usize,
    /// Decisions in Postgres: those nobody was told of any more, too.
    pub stored: usize,
    /// Class A answers that Postgres does not have. Must be 0.
    pub lost_class_a: usize,
    /// All answers that Postgres does not have.
    pub lost: usize,
    /// Outcomes that agents said and the enforcer took.
    pub outcomes: usize,
    /// Of these, outcomes that Postgres does not have. Must be 0.
    pub lost_outcomes: usize,
    /// Decisions and outcomes that Postgres has more than once. Must be 0.
    pub duplicated: usize,
    /// Journals whose records in Postgres are not each number once, or that are told in two ways. Must be 0.
    pub broken_journals: usize,
    /// Openings of the journal that Postgres knows.
    pub incarnations: usize,
    /// From the start of a process to its first answer.
    pub start_to_answer: Latency,
}

/// Numbers from a seed (SplitMix64): the same seed draws the same.
#[derive(Debug, Clone)]
struct Dice(u64);

impl Crash {
    /// From a seed nobody chose.
    pub fn unforeseen(kills: u32) -> Self {
        Self {
            kills,
            seed: u64::from_le_bytes(random_bytes()),
        }
    }

    /// Does it.
    pub async fn run(self) -> Result<Aftermath> {
        let binary = Binary::build().await?;
        let world = World::start().await?;
        let directory = world.register("edge", &[], &[AGENT]).await?;
        let config = format!(
            "{}[[unix]]\npath = \"gate.sock\"\nagent = \"{AGENT}\"\n",
            world.enforcer_toml(AGENT, &[world.address(0)])
        );
        std::fs::write(directory.join("enforcer.toml"), config)?;
        world.push(&payments()?).await?;

        let grants = grants(&world).await?;
        let (answered, mut dice, mut starts) = (Answered::default(), Dice(self.seed), Stopwatch::new()?);
        for kill in 0..self.kills {
            let started = Instant::now();
            let process = Process::start(&binary, &directory).await?;
            let before = answered.count();
            let agents = Agents::start(&directory.join("gate.sock"), &grants, &answered, &mut dice).await?;
            timeout(WAIT_MAX, answered.more_than(before))
                .await
                .context("a process answered nothing")?;
            starts.record(started.elapsed());
            if kill == 0 {
                // On a busy machine none might live to have its policy and its session: then nothing would be shown.
                timeout(WAIT_MAX, answered.one_of_each())
                    .await
                    .context("the first process never had its policy")?;
            }
            sleep(dice.up_to(LIFE_MAX)).await;
            agents.expect_death();
            process.kill().await?;
            agents.ended().await?;
        }
        let last = Process::start(&binary, &directory).await?;
        let within = DRAIN_PER_KILL * self.kills + WAIT_MAX;
        let lost = drain(&world, DECISIONS, &answered.ids(), within).await?;
        let lost_outcomes = drain(&world, OUTCOMES, &answered.outcomes(), within).await?;
        last.stop().await?;
        let mut aftermath = self.aftermath(&world, &answered, &lost, starts.latency()).await?;
        aftermath.lost_outcomes = lost_outcomes.len();
        Ok(aftermath)
    }

    async fn aftermath(
        self,
        world: &World,
        answered: &Answered,
        lost: &HashSet<String>,
        start_to_answer: Latency,
    ) -> Result<Aftermath> {
        let sql = world.sql().await?;
        let count = async |query: &str| -> Result<usize> {
            Ok(usize::try_from(
                sql.query_one(query, &[]).await?.get::<_, i64>(0),
            )?)
        };
        let answers = answered.all();
        let class_a = |verdict: Verdict| {
            answers
                .iter()
                .filter(|answer| answer.class_a && answer.verdict == verdict)
                .count()
        };
        Ok(Aftermath {
            crash: self,
            answered: answers.len(),
            class_a: answers.iter().filter(|answer| answer.class_a).count(),
            denied: class_a(Verdict::Deny),
            held: class_a(Verdict::Hold),
            permitted_full: answers.iter().filter(|answer| answer.permit_full).count(),
            stored: count("SELECT count(DISTINCT id) FROM decision").await?,
            lost_class_a: answers
                .iter()
                .filter(|answer| answer.class_a && lost.contains(&answer.id))
                .count(),
            lost: lost.len(),
            outcomes: answered.outcomes().len(),
            lost_outcomes: 0,
            duplicated: count(DUPLICATED).await?,
            broken_journals: count(BROKEN_JOURNALS).await?,
            incarnations: count("SELECT count(*) FROM journal_cursor").await?,
            start_to_answer,
        })
    }
}

impl Aftermath {
    /// Nothing answered was lost, nothing was stored twice, and there was something to lose.
    pub fn check(&self) -> Result<()> {
        ensure!(
            (
                self.lost,
                self.lost_outcomes,
                self.duplicated,
                self.broken_journals
            ) == (0, 0, 0, 0),
            "a kill cost records: {self:?}"
        );
        ensure!(
            self.denied > 0 && self.held > 0 && self.permitted_full > 0 && self.outcomes > 0,
            "one of the verdicts was never answered, or no outcome, so nothing is shown of it: {self:?}"
        );
        Ok(())
    }
}

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.next() % micros.max(1))
    }
}

/// The ids of all decisions.
const DECISIONS: &str = "SELECT 'dec_' || replace(id::text, '-', '') FROM decision";

/// The ids of all decisions whose outcome is known.
const OUTCOMES: &str = "SELECT 'dec_' || replace(decision_id::text, '-', '') FROM outcome";

const DUPLICATED: &str = "
    SELECT (SELECT count(*) - count(DISTINCT id) FROM decision)
         + (SELECT count(*) - count(DISTINCT decision_id) FROM outcome)";

/// Of each opening of the journal, Postgres has every number before the cursor once, and no fork was seen.
const BROKEN_JOURNALS: &str = "
    SELECT count(*) FROM journal_cursor c
    LEFT JOIN LATERAL (
        SELECT count(*) AS rows, count(DISTINCT sequence) AS numbers, coalesce(max(sequence) + 1, 0) AS end
        FROM (SELECT enforcer, instance_id, incarnation, sequence FROM decision
              UNION ALL SELECT enforcer, instance_id, incarnation, sequence FROM outcome) r
        WHERE (r.enforcer, r.instance_id, r.incarnation) = (c.enforcer, c.instance_id, c.incarnation)
    ) stored ON true
    WHERE c.forked_at IS NOT NULL OR stored.rows <> c.next_sequence OR stored.numbers <> c.next_sequence
       OR stored.end <> c.next_sequence";

/// One task for each agent: how many holds may be open is bounded by task.
async fn grants(world: &World) -> Result<Vec<String>> {
    let operator = world.operator().await?;
    let mut grants = Vec::with_capacity(AGENTS);
    for _ in 0..AGENTS {
        grants.push(operator.start("alice", AGENT, &["bank/*"], &[NAMED]).await?.grant);
    }
    Ok(grants)
}

/// Waits until what is stored has all of these; gives those it does not have after all.
async fn drain(
    world: &World,
    stored: &str,
    answered: &HashSet<String>,
    within: Duration,
) -> Result<HashSet<String>> {
    let sql = world.sql().await?;
    let deadline = Instant::now() + within;
    loop {
        let rows = sql.query(stored, &[]).await?;
        let stored: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
        let missing: HashSet<String> = answered.difference(&stored).cloned().collect();
        if missing.is_empty() || Instant::now() > deadline {
            return Ok(missing);
        }
        sleep(Duration::from_millis(100)).await;
    }
}
