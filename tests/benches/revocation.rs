//! From the end of a task to the refusal of its next call, with 1,000 enforcers connected.
//!
//! A few of them are whole enforcers, each with its own directory and journal, asked at its gate; the rest are sessions that
//! say what an enforcer says and note when they are told: a machine that runs the control plane and its database beside them
//! has no room for a thousand of the former. Every one has a connection and a certificate handshake of its own.
//!
//! All is counted from the moment at which `task end` is asked for, so that the transaction is in it. Beside it stands the
//! round trip of the same run: one read over one of those connections, while nothing else happens.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use checkrein_enforcer::{Answer, Enforcer, Request};
use checkrein_proto::fleet::v1 as wire;
use checkrein_proto::fleet::v1::fleet_service_client::FleetServiceClient;
use checkrein_proto::fleet::v1::revocation::What;
use checkrein_proto::fleet::v1::session_request::Body as Up;
use checkrein_proto::fleet::v1::session_response::Body as Down;
use checkrein_proto::task::v1::ShowRequest;
use checkrein_shared::decision::{Cause, OutcomeResult};
use checkrein_shared::id::{Generation, InstanceId};
use checkrein_shared::identity::Role;
use checkrein_shared::policy::BUNDLE_FORMAT;
use checkrein_shared::{Clock, SystemClock};
use checkrein_tests::generated::{AGENT, Call, Generated, USER};
use checkrein_tests::{Conditions, Latency, Person, Stopwatch, WAIT_MAX, World, WorldOptions};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

const CONNECTED: usize = 1_000;
/// Whole enforcers among them.
const WHOLE: usize = 8;
/// Sessions that are opened at once.
const OPENING: usize = 16;
/// Tasks that are ended, one after the other.
const ROUNDS: usize = 30;
/// Round trips that are measured.
const TRIPS: usize = 1_000;
const BEAT: Duration = Duration::from_secs(5);

/// What is stored. Everything from the moment at which `task end` was asked for.
#[derive(Debug, Serialize)]
struct Figures {
    connected: usize,
    whole: usize,
    round_trip: Latency,
    /// `task end` was answered.
    answered: Latency,
    /// The next call was refused, at each whole enforcer.
    refused: Latency,
    /// Each session was told.
    told: Latency,
    /// The last of all was told.
    told_last: Latency,
    /// Of p50: refused by round trip.
    ratio_refused: f64,
    /// Of p50: the last told by round trip.
    ratio_told_last: f64,
}

/// A task that somebody was told is over.
type Told = (String, Instant);

/// Everybody who is connected.
struct Stage {
    operator: Person,
    enforcers: Vec<Arc<Enforcer>>,
    call: Call,
    told: mpsc::Receiver<Told>,
    _sessions: JoinSet<Result<()>>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let conditions = Conditions::now(&SystemClock);
    let options = WorldOptions {
        beat: "5s".to_owned(),
        ..WorldOptions::default()
    };
    let world = World::with(options).await?;
    let mut stage = Stage::set(&world).await?;
    let figures = stage.measure().await?;
    print(&figures);
    conditions.store("revocation", &figures)
}

impl Stage {
    async fn set(world: &World) -> Result<Self> {
        let generated = Generated::new(10, "r")?;
        let generation = Generation(world.push(&generated.pack).await?);
        let mut enforcers = Vec::new();
        for at in 0..WHOLE {
            let enforcer = world.enforcer(&format!("edge-{at}"), AGENT).await?;
            enforcer
                .wait_until(|status| status.decides_by(generation), WAIT_MAX)
                .await?;
            enforcers.push(Arc::new(enforcer));
        }
        world.register("crowd", &[], &[AGENT]).await?;
        let (tell, told) = mpsc::channel(2 * CONNECTED);
        let mut sessions = JoinSet::new();
        let mut opening = JoinSet::new();
        for _ in 0..CONNECTED - WHOLE {
            if opening.len() >= OPENING {
                opening.join_next().await.context("one")???;
            }
            let channel = world.person(Role::Enforcer, "crowd", 0).await?.channel();
            let (ready, is_ready) = oneshot::channel();
            sessions.spawn(session(channel, tell.clone(), ready));
            opening.spawn(async move { timeout(WAIT_MAX, is_ready).await?.context("a session ended") });
        }
        while let Some(opened) = opening.join_next().await {
            opened??;
        }
        Ok(Self {
            operator: world.operator().await?,
            enforcers,
            call: generated.calls.into_iter().next().context("a call")?,
            told,
            _sessions: sessions,
        })
    }

    async fn measure(&mut self) -> Result<Figures> {
        let round_trip = self.round_trip().await?;
        let (mut answered, mut refused) = (Stopwatch::new()?, Stopwatch::new()?);
        let (mut told, mut told_last) = (Stopwatch::new()?, Stopwatch::new()?);
        for _ in 0..ROUNDS {
            let start = self.operator.start(USER, AGENT, &["desk/*"], &[]).await?;
            let (task, grant) = (start.task.context("a task")?.task_id, start.grant);
            let mut refusing = JoinSet::new();
            for enforcer in &self.enforcers {
                self.permitted(enforcer, &grant).await?;
                let (enforcer, grant) = (Arc::clone(enforcer), grant.clone());
                refusing.spawn(refused_at(enforcer, grant, self.call.clone()));
            }
            // The watchers stand ready before anything is asked for.
            tokio::task::yield_now().await;
            let asked = Instant::now();
            self.operator.end(&task).await?;
            answered.record(asked.elapsed());
            let mut last = asked;
            for _ in 0..CONNECTED - WHOLE {
                let at = self.next_told(&task).await?;
                told.record(at.saturating_duration_since(asked));
                last = last.max(at);
            }
            while let Some(at) = refusing.join_next().await {
                let at = at??;
                refused.record(at.saturating_duration_since(asked));
                last = last.max(at);
            }
            told_last.record(last.saturating_duration_since(asked));
        }
        let [refused, told_last] = [refused, told_last].map(|watch| watch.latency());
        Ok(Figures {
            connected: CONNECTED,
            whole: WHOLE,
            round_trip,
            answered: answered.latency(),
            refused,
            told: told.latency(),
            told_last,
            ratio_refused: refused.p50_us / round_trip.p50_us,
            ratio_told_last: told_last.p50_us / round_trip.p50_us,
        })
    }

    async fn permitted(&self, enforcer: &Enforcer, grant: &str) -> Result<()> {
        let request = Request::typed(grant, &self.call.tool, self.call.arguments.clone());
        match enforcer.gate().authorize(request).await? {
            Answer::Permit(permit) => Ok(permit.complete(OutcomeResult::Done, "").await?),
            other => bail!("{other:?}"),
        }
    }

    /// When the next session was told of the end of this task.
    async fn next_told(&mut self, task: &str) -> Result<Instant> {
        loop {
            let told = timeout(WAIT_MAX, self.told.recv())
                .await
                .context("nobody was told")?;
            let (of, at) = told.context("every session ended")?;
            if of == task {
                return Ok(at);
            }
        }
    }

    async fn round_trip(&self) -> Result<Latency> {
        let task = self
            .operator
            .start(USER, AGENT, &["desk/*"], &[])
            .await?
            .task
            .context("a task")?;
        let mut tasks = self.operator.tasks();
        let mut stopwatch = Stopwatch::new()?;
        for _ in 0..TRIPS {
            let request = ShowRequest {
                task_id: task.task_id.clone(),
            };
            let started = Instant::now();
            tasks.show(request).await?;
            stopwatch.record(started.elapsed());
        }
        Ok(stopwatch.latency())
    }
}

/// When the call was refused: asked for the first time as soon as more has been revoked than before.
async fn refused_at(enforcer: Arc<Enforcer>, grant: String, call: Call) -> Result<Instant> {
    let gate = enforcer.gate();
    let mut known = enforcer.status().revocation_sequence;
    loop {
        let before = known;
        enforcer
            .wait_until(|status| status.revocation_sequence > before, WAIT_MAX)
            .await?;
        known = enforcer.status().revocation_sequence;
        let request = Request::typed(&grant, &call.tool, call.arguments.clone());
        match gate.authorize(request).await? {
            Answer::Deny(denied) => {
                let at = Instant::now();
                ensure!(denied.decided.cause == Cause::TaskEnded, "{denied:?}");
                return Ok(at);
            }
            Answer::Permit(permit) => permit.complete(OutcomeResult::Done, "").await?,
            Answer::Hold(held) => bail!("{held:?}"),
        }
    }
}

/// Says what an enforcer says, and tells which tasks it is told are over.
async fn session(channel: Channel, tell: mpsc::Sender<Told>, ready: oneshot::Sender<()>) -> Result<()> {
    let (up, outbox) = mpsc::channel(4);
    let hello = wire::Hello {
        protocol: 1,
        instance_id: InstanceId::new(&SystemClock).to_string(),
        incarnation: 1,
        build: "bench".to_owned(),
        bundle_formats: vec![BUNDLE_FORMAT],
        ..wire::Hello::default()
    };
    up.send(message(Up::Hello(hello))).await?;
    let mut fleet = FleetServiceClient::new(channel);
    let mut inbox = fleet.session(ReceiverStream::new(outbox)).await?.into_inner();
    let mut ready = Some(ready);
    let mut beats = interval(BEAT);
    loop {
        tokio::select! {
            _ = beats.tick() => {
                let beat = wire::Beat {
                    sent_ms: SystemClock.wall_ms(),
                    ..wire::Beat::default()
                };
                up.send(message(Up::Beat(beat))).await?;
            }
            heard = inbox.message() => match heard?.and_then(|heard| heard.body) {
                Some(Down::Revocations(revocations)) => {
                    let at = Instant::now();
                    for entry in revocations.entries {
                        if let Some(What::TaskId(task)) = entry.what {
                            tell.send((task, at)).await?;
                        }
                    }
                }
                Some(_) => drop(ready.take().map(|ready| ready.send(()))),
                None => return Ok(()),
            },
        }
    }
}

fn message(body: Up) -> wire::SessionRequest {
    wire::SessionRequest { body: Some(body) }
}

fn print(figures: &Figures) {
    println!(
        "\nFrom `task end`, asked for, with {} enforcers connected, {} of them whole (microseconds)\n",
        figures.connected, figures.whole
    );
    println!(
        "{:>28} | {:>9} {:>9} {:>9} {:>9}",
        "", "count", "p50", "p99", "max"
    );
    let rows = [
        ("round trip", &figures.round_trip),
        ("answered", &figures.answered),
        ("refused at a gate", &figures.refused),
        ("a session told", &figures.told),
        ("the last of all told", &figures.told_last),
    ];
    for (name, latency) in rows {
        println!(
            "{name:>28} | {:>9} {:>9.0} {:>9.0} {:>9.0}",
            latency.count, latency.p50_us, latency.p99_us, latency.max_us
        );
    }
    println!(
        "\nrefused by round trip {:.1} x, the last told by round trip {:.1} x\n",
        figures.ratio_refused, figures.ratio_told_last
    );
}
