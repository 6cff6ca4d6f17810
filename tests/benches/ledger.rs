//! What it costs to know what a task has done: a decision by the ledger beside the same decision without, with 10,000 tasks live; and
//! the first data of its kind, written while the call that brings it is made, and before; and what it costs to pay: a call that is
//! confirmed, and one that is paid from what the enforcer holds, beside the same call for nothing.
//!
//! Decisions are those of a real enforcer under the rules of one pack. *In turns* the control plane is away, as it may be for a
//! while: what is asked then is answered from what this enforcer knows of 10,000 tasks, and nothing else is measured. *Asked*
//! is the first decision in a task, for which the control plane is asked. The slow tool does nothing but take its time. Calls that are paid
//! come one after the other, in one task; those that are confirmed are the first of their tasks.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use checkrein_enforcer::{Answer, Enforcer, Gate, Request, SeenLedgers};
use checkrein_proto::task::v1::{Amount, StartRequest, StartResponse};
use checkrein_shared::SystemClock;
use checkrein_shared::decision::OutcomeResult;
use checkrein_shared::id::{Generation, TaskId};
use checkrein_shared::ledger::Ledger;
use checkrein_shared::policy::{PackSource, Reversibility};
use checkrein_tests::{Conditions, Latency, Person, Stopwatch, WAIT_MAX, World, fresh_key, resident_bytes};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

const AGENT: &str = "spiffe://acme.example/agent/desk";
/// Tasks that live at once.
const TASKS: usize = 10_000;
/// Tasks that are started at once.
const STARTING: usize = 32;
/// First sights that are measured.
const FIRST: usize = 300;
/// Calls that are paid.
const PAID: usize = 5_000;
/// How long the tool takes.
const TOOL: Duration = Duration::from_millis(10);

const TOOLS: &str = r#"[{"name": "read", "inputSchema": {"type": "object"}}, {"name": "slow", "inputSchema": {"type": "object"}},
    {"name": "note", "inputSchema": {"type": "object"}}, {"name": "plain", "inputSchema": {"type": "object"}},
    {"name": "paid", "inputSchema": {"type": "object"}}]"#;
const NOTES: &str = r#"
    read = { effects = ["read"], reversibility = "read_only", yields = ["pii"] }
    slow = { effects = ["read"], reversibility = "read_only", yields = ["credentials"] }
    note = { effects = ["write"], reversibility = "reversible" }
    plain = { effects = ["write"], reversibility = "reversible" }
    paid = { effects = ["write"], reversibility = "reversible", cost = { rows = 1 } }
"#;
/// The two about writes differ in the ledger alone.
const RULES: &str = r#"@id("all") permit (principal, action, resource);
    @id("tainted") forbid (principal, action == Action::"desk/note", resource) when { context.task.labels.contains("secret") };
    @id("staged") forbid (principal, action == Action::"desk/plain", resource) when { context.environment == "staging" };"#;

/// What is stored.
#[derive(Debug, Serialize)]
struct Figures {
    tasks: usize,
    /// What the views of so many tasks take, each with three labels and five tools.
    bytes_per_task: f64,
    look_up_ns: f64,
    without: Latency,
    by_ledger: Latency,
    /// Of p50.
    ratio_by_ledger: f64,
    asked: Latency,
    tool_ms: u128,
    /// A call whose labels its task carries.
    known: Latency,
    /// One that is the first of its kind, written while it is made.
    overlapped: Latency,
    /// The same, written before it is made.
    before: Latency,
    /// Of p50, by `known`.
    ratio_overlapped: f64,
    ratio_before: f64,
    /// Calls that cost something, confirmed.
    confirmed: Latency,
    /// The same, while slices are held: among them those that brought the slices.
    paid: Latency,
    /// So many of those asked the control plane.
    paid_asking: i64,
    /// Of p50, by `without`.
    ratio_paid: f64,
    /// Of p50, by `paid`.
    ratio_confirmed: f64,
}

fn main() -> Result<()> {
    let conditions = Conditions::now(&SystemClock);
    let (bytes_per_task, look_up_ns) = views()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let figures = runtime.block_on(measure(bytes_per_task, look_up_ns))?;
    print(&figures);
    conditions.store("ledger", &figures)
}

/// What views of many tasks take, and how long one is looked up in turns.
fn views() -> Result<(f64, f64)> {
    let tasks: Vec<TaskId> = (0..TASKS).map(|_| TaskId::new(&SystemClock)).collect();
    let before = resident_bytes()?;
    let seen = SeenLedgers::default();
    for task in &tasks {
        let mut ledger = Ledger::default();
        for label in ["pii", "untrusted_content", "confidential"] {
            ledger.labels.insert(label.parse()?);
        }
        for tool in 0..5 {
            ledger.count(&format!("catalog/tool_{tool}"), Reversibility::Reversible, 1);
        }
        seen.learn(*task, ledger);
    }
    let grew = resident_bytes()? - before;
    let started = Instant::now();
    for task in tasks.iter().cycle().take(TASKS * 20) {
        black_box(seen.view(*task));
    }
    let look_up_ns = started.elapsed().as_secs_f64() * 1e9 / count(TASKS * 20);
    Ok((grew / count(TASKS), look_up_ns))
}

async fn measure(bytes_per_task: f64, look_up_ns: f64) -> Result<Figures> {
    let mut world = World::start().await?;
    let enforcer = world.enforcer("edge", AGENT).await?;
    let generation = Generation(world.push(&pack()).await?);
    enforcer
        .wait_until(|status| status.decides_by(generation), WAIT_MAX)
        .await?;
    let operator = world.operator().await?;
    let grants = start_all(&operator).await?;
    let confirmed = decide(&enforcer, &grants[..FIRST], "desk/paid").await?;
    let (paid, paid_asking) = pay(&world, &enforcer, &operator).await?;
    let (known, overlapped, before) = tool(&enforcer, &grants).await?;
    let asked = decide(&enforcer, &grants, "desk/note").await?;
    enforcer
        .wait_until(|status| status.journal_pending() == 0, WAIT_MAX * 4)
        .await?;
    world.stop_replica(0).await;
    enforcer
        .wait_until(|status| !status.connected(), WAIT_MAX)
        .await?;
    // Once around, so that both are measured with everything seen.
    decide(&enforcer, &grants, "desk/plain").await?;
    let without = decide(&enforcer, &grants, "desk/plain").await?;
    let by_ledger = decide(&enforcer, &grants, "desk/note").await?;
    let without_p50_us = without.p50_us;
    Ok(Figures {
        tasks: TASKS,
        bytes_per_task,
        look_up_ns,
        ratio_by_ledger: by_ledger.p50_us / without.p50_us,
        without,
        by_ledger,
        asked,
        tool_ms: TOOL.as_millis(),
        ratio_overlapped: overlapped.p50_us / known.p50_us,
        ratio_before: before.p50_us / known.p50_us,
        known,
        overlapped,
        before,
        ratio_confirmed: confirmed.p50_us / paid.p50_us,
        confirmed,
        ratio_paid: paid.p50_us / without_p50_us,
        paid,
        paid_asking,
    })
}

/// Calls of one task that cost something, and how many of them asked.
async fn pay(world: &World, enforcer: &Enforcer, operator: &Person) -> Result<(Latency, i64)> {
    let sql = world.sql().await?;
    let asked = "SELECT count(*) FROM task_use";
    let before: i64 = sql.query_one(asked, &[]).await?.get(0);
    let request = StartRequest {
        budgets: vec![Amount {
            meter: "rows".to_owned(),
            amount: "1000000".to_owned(),
        }],
        ..start_request()
    };
    let started = operator.tasks().start(request).await?.into_inner();
    let latency = decide(enforcer, &vec![started.grant; PAID], "desk/paid").await?;
    let after: i64 = sql.query_one(asked, &[]).await?.get(0);
    Ok((latency, after - before))
}

/// A slow call: its labels known, written while it is made, and written before.
async fn tool(enforcer: &Enforcer, grants: &[String]) -> Result<(Latency, Latency, Latency)> {
    let gate = enforcer.gate();
    let (mut known, mut overlapped, mut before) = (Stopwatch::new()?, Stopwatch::new()?, Stopwatch::new()?);
    let (some, rest) = grants.split_at(FIRST);
    for grant in some {
        overlapped.record(run(&gate, grant).await?);
        known.record(run(&gate, grant).await?);
    }
    for grant in &rest[..FIRST] {
        let started = Instant::now();
        let permit = permitted(&gate, grant, "desk/slow").await?;
        tokio::time::sleep(TOOL).await;
        permit.complete(OutcomeResult::Done, "").await?;
        before.record(started.elapsed());
    }
    Ok((known.latency(), overlapped.latency(), before.latency()))
}

async fn run(gate: &Gate, grant: &str) -> Result<Duration> {
    let started = Instant::now();
    let work = || async {
        tokio::time::sleep(TOOL).await;
        Ok::<_, Infallible>(())
    };
    gate.run(Request::new(grant, "desk/slow", b"{}"), work).await?;
    Ok(started.elapsed())
}

/// One call in each task, in turns.
async fn decide(enforcer: &Enforcer, grants: &[String], tool: &str) -> Result<Latency> {
    let gate = enforcer.gate();
    let mut stopwatch = Stopwatch::new()?;
    for grant in grants {
        let started = Instant::now();
        let permit = permitted(&gate, grant, tool).await?;
        stopwatch.record(started.elapsed());
        permit.complete(OutcomeResult::Done, "").await?;
    }
    Ok(stopwatch.latency())
}

async fn permitted(gate: &Gate, grant: &str, tool: &str) -> Result<checkrein_enforcer::Permit> {
    match gate.authorize(Request::new(grant, tool, b"{}")).await? {
        Answer::Permit(permit) => Ok(permit),
        other => bail!("expected a permit of `{tool}`, found {other:?}"),
    }
}

async fn start_all(operator: &Person) -> Result<Vec<String>> {
    let mut grants = Vec::with_capacity(TASKS);
    let mut starting = JoinSet::new();
    for _ in 0..TASKS {
        if starting.len() >= STARTING {
            grants.push(starting.join_next().await.context("one")???);
        }
        let mut tasks = operator.tasks();
        starting.spawn(async move {
            let StartResponse { grant, .. } = tasks.start(start_request()).await?.into_inner();
            Ok::<_, tonic::Status>(grant)
        });
    }
    while let Some(started) = starting.join_next().await {
        grants.push(started??);
    }
    Ok(grants)
}

fn start_request() -> StartRequest {
    StartRequest {
        user: "alice".to_owned(),
        agent: AGENT.to_owned(),
        tools: vec!["desk/*".to_owned()],
        environment: "production".to_owned(),
        expires_in_ms: 3_600_000,
        idempotency_key: fresh_key(),
        ..StartRequest::default()
    }
}

fn pack() -> PackSource {
    let files = [
        ("checkrein.toml", "namespace = \"org\"\n"),
        ("catalog/desk.json", TOOLS),
        ("catalog/desk.toml", NOTES),
        ("rules.cedar", RULES),
    ];
    PackSource {
        name: "desk".to_owned(),
        files: files
            .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
            .into_iter()
            .collect(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}

fn print(figures: &Figures) {
    println!(
        "\nWith {} tasks live: a view takes {:.0} bytes, and is looked up in {:.0} ns (microseconds below)\n",
        figures.tasks, figures.bytes_per_task, figures.look_up_ns
    );
    println!(
        "{:>34} | {:>7} {:>9} {:>9} {:>9}",
        "", "count", "p50", "p99", "max"
    );
    let rows = [
        ("a write, no rule by the ledger", &figures.without),
        ("the same by the ledger", &figures.by_ledger),
        ("the first time, asked for", &figures.asked),
        ("a slow read, its labels known", &figures.known),
        ("labels written while it is made", &figures.overlapped),
        ("labels written before it is made", &figures.before),
        ("a write that costs, confirmed", &figures.confirmed),
        ("the same, slices held", &figures.paid),
    ];
    for (name, latency) in rows {
        println!(
            "{name:>34} | {:>7} {:>9.1} {:>9.1} {:>9.1}",
            latency.count, latency.p50_us, latency.p99_us, latency.max_us
        );
    }
    println!(
        "\nby the ledger {:.2} x; of a read of {} ms, written meanwhile {:.3} x, before {:.3} x\n",
        figures.ratio_by_ledger, figures.tool_ms, figures.ratio_overlapped, figures.ratio_before
    );
    println!(
        "of {} writes that cost, {} asked: {:.2} x one that costs nothing; confirmed {:.1} x\n",
        figures.paid.count, figures.paid_asking, figures.ratio_paid, figures.ratio_confirmed
    );
}
