//! What a surface costs beside what it carries: each next to something that carries the same and decides nothing.
//!
//! *Stdio* is a call through the proxy before an MCP server, beside a relay of bytes before the same server. *HTTP* is the same over
//! Streamable HTTP, beside a relay of TCP. *gRPC* is a decision over the socket of an agent, beside an empty answer of the same service
//! over such a socket; the decision alone, in process, stands beside it. All calls read, are permitted, and are made one after another;
//! small ones give 100 bytes, large ones a mebibyte.

mod surfaces {
    pub(super) mod grpc;
    pub(super) mod mcp;
    pub(super) mod served;
}

use anyhow::{Context, Result, bail};
use checkrein_enforcer::{Answer, Config, Enforcer, Request, Status, Surfaces};
use checkrein_shared::SystemClock;
use checkrein_shared::decision::OutcomeResult;
use checkrein_shared::id::Generation;
use checkrein_tests::{Conditions, Latency, Stopwatch, WAIT_MAX, World, payments};
use serde::Serialize;
use tokio::time::Instant;

use surfaces::{grpc, mcp, served};

const AGENT: &str = "spiffe://acme.example/agent/billing";
const SMALL: Calls = Calls {
    count: 2_000,
    bytes: 100,
};
const LARGE: Calls = Calls {
    count: 100,
    bytes: 1 << 20,
};

/// So many calls, each of which gives so many bytes.
#[derive(Debug, Clone, Copy)]
struct Calls {
    count: usize,
    bytes: usize,
}

/// What is stored.
#[derive(Debug, Serialize)]
struct Figures {
    /// In process, from the call to the journaled verdict.
    decision: Latency,
    stdio_small: Beside,
    stdio_large: Beside,
    http_small: Beside,
    http_large: Beside,
    grpc: Beside,
}

/// A surface, and what it stands beside.
#[derive(Debug, Clone, Copy, Serialize)]
struct Beside {
    surface: Latency,
    bare: Latency,
    /// Of p50.
    ratio: f64,
    /// How much of what the surface takes more is the decision, of p50.
    decision_share: f64,
}

/// An enforcer that permits reads.
struct Stage {
    enforcer: Enforcer,
    config: Config,
    grant: String,
    _surfaces: Surfaces,
    _world: World,
}

impl Beside {
    fn of(surface: Latency, bare: Latency, decision: Latency) -> Self {
        let more = surface.p50_us - bare.p50_us;
        Self {
            surface,
            bare,
            ratio: surface.p50_us / bare.p50_us,
            decision_share: decision.p50_us / more,
        }
    }
}

fn main() -> Result<()> {
    if std::env::args().any(|argument| argument == served::STDIO) {
        return served::stdio();
    }
    let conditions = Conditions::now(&SystemClock);
    let runtime = tokio::runtime::Runtime::new()?;
    let figures = runtime.block_on(measure())?;
    print(&figures);
    conditions.store("surfaces", &figures)
}

async fn measure() -> Result<Figures> {
    let stage = Stage::set().await?;
    let decision = stage.decides().await?;
    let beside = |(surface, bare)| Beside::of(surface, bare, decision);
    Ok(Figures {
        decision,
        stdio_small: beside(mcp::stdio(&stage, SMALL).await?),
        stdio_large: beside(mcp::stdio(&stage, LARGE).await?),
        http_small: beside(mcp::http(&stage, SMALL).await?),
        http_large: beside(mcp::http(&stage, LARGE).await?),
        grpc: beside(grpc::decisions(&stage, SMALL.count).await?),
    })
}

impl Stage {
    async fn set() -> Result<Self> {
        let world = World::start().await?;
        let generation = Generation(world.push(&payments()?).await?);
        let operator = world.operator().await?;
        let grant = operator.start("alice", AGENT, &["bank/*"], &[]).await?.grant;
        let directory = world.register("edge", &[], &[AGENT]).await?;
        let file = format!(
            "{}[[unix]]\npath = \"gate.sock\"\nagent = \"{AGENT}\"\n",
            world.enforcer_toml(AGENT, &[world.address(0)])
        );
        let config = Config::parse(&file, &directory)?;
        let enforcer = Enforcer::connect(config.clone()).await?;
        let is_ready = |status: &Status| status.connected() && status.decides_by(generation);
        enforcer.wait_until(is_ready, WAIT_MAX).await?;
        let surfaces = Surfaces::open(&enforcer, &config).await?;
        Ok(Self {
            enforcer,
            config,
            grant,
            _surfaces: surfaces,
            _world: world,
        })
    }

    async fn decides(&self) -> Result<Latency> {
        let mut stopwatch = Stopwatch::new()?;
        for _ in 0..SMALL.count {
            let request = Request::new(&*self.grant, served::TOOL, b"{}");
            let started = Instant::now();
            let answer = self.enforcer.gate().authorize(request).await?;
            stopwatch.record(started.elapsed());
            let Answer::Permit(permit) = answer else {
                bail!("{answer:?}")
            };
            permit.complete(OutcomeResult::Done, "").await?;
        }
        Ok(stopwatch.latency())
    }
}

/// The definition of the tool that is called, as its server gives it: that of the catalog.
fn definition() -> Result<serde_json::Value> {
    let pack = payments()?;
    let catalog = pack.files.get("catalog/bank.json").context("a catalog")?;
    let catalog: serde_json::Value = serde_json::from_slice(catalog)?;
    Ok(catalog["tools"][0].clone())
}

fn print(figures: &Figures) {
    println!(
        "\nA decision, in process         {:>9.1} us p50\n",
        figures.decision.p50_us
    );
    let rows = [
        ("MCP over stdio, 100 bytes", &figures.stdio_small),
        ("MCP over stdio, 1 MiB", &figures.stdio_large),
        ("MCP over HTTP, 100 bytes", &figures.http_small),
        ("MCP over HTTP, 1 MiB", &figures.http_large),
        ("gRPC over a unix socket", &figures.grpc),
    ];
    for (name, row) in rows {
        println!(
            "{name:<28}   {:>9.1} us p50, bare {:>9.1}: {:.2} x; the decision is {:.0} % of what it takes more",
            row.surface.p50_us,
            row.bare.p50_us,
            row.ratio,
            row.decision_share * 100.0
        );
    }
    println!();
}
