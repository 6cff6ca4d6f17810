//! The troupe: several agents, an enforcer for each, one control plane, and the pack under test in force.
//!
//! **Invariant**: a call that policy did not decide ends the replay: it would count as a harm stopped. So does a result that can't be
//! written down.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use checkrein_enforcer::{Answer, Enforcer, Found, Gate, Request};
use checkrein_proto::task::v1::{DelegateRequest, Limits, StartRequest};
use checkrein_shared::decision::OutcomeResult;
use checkrein_shared::id::Generation;
use checkrein_shared::identity::Role;
use checkrein_shared::policy::{Pack, PackSource, ResultSize};

use super::part::Part;
use super::story::{Gave, Step};
use crate::replay::stage::{Judgement, labels, seat};
use crate::{Person, TRUST_DOMAIN, WAIT_MAX, World, fresh_key};

/// Who begins every task.
pub const LEAD: &str = "lead";
/// Everybody who may have a part in one.
const TROUPE: [&str; 3] = [LEAD, "worker", "publisher"];
/// Tasks that are played together. Each has at most one hold open, and an agent may have twenty.
const PARTS_AT_ONCE: usize = 8;
/// For whom they work.
const USER: &str = "emma";

/// Everything a replay of chains needs, running.
#[derive(Debug)]
pub struct Troupe {
    // Dropped in this order: the enforcers before their control plane.
    seats: BTreeMap<&'static str, Seat>,
    operator: Person,
    _world: World,
}

/// One of them.
#[derive(Debug)]
struct Seat {
    enforcer: Enforcer,
    person: Person,
}

/// How a chain ended.
#[derive(Debug, Clone, Default)]
pub struct End {
    /// The step that was not let through, counted from zero, and what was decided. None: it went through to its end.
    pub stopped: Option<(usize, Judgement)>,
}

/// Who plays one part.
struct Cast {
    operator: Person,
    seats: BTreeMap<String, (Gate, Person)>,
}

impl Troupe {
    /// Starts every part, pushes the pack, and waits until all enforcers decide by it.
    pub async fn set(source: &PackSource, pack: &Pack) -> Result<Self> {
        let world = World::start().await?;
        let mut seats = BTreeMap::new();
        for name in TROUPE {
            let seat = Seat {
                enforcer: seat(&world, name, &labels(pack), &agent(name)).await?,
                person: world.person(Role::Agent, name, 0).await?,
            };
            seats.insert(name, seat);
        }
        let generation = Generation(world.push(source).await.context("pushing the pack")?);
        for seat in seats.values() {
            seat.enforcer
                .wait_until(|status| status.decides_by(generation), WAIT_MAX)
                .await?;
        }
        Ok(Self {
            operator: world.operator().await?,
            seats,
            _world: world,
        })
    }

    /// How every part ended; `started` hears of each as it begins.
    pub async fn play(&self, parts: &[Part], started: impl Fn()) -> Result<Vec<End>> {
        crate::replay::drive(parts, PARTS_AT_ONCE, |part| {
            started();
            self.cast().play(part)
        })
        .await
    }

    /// Stops the enforcers once their records are stored.
    pub async fn strike(self) {
        for seat in self.seats.into_values() {
            seat.enforcer.shutdown().await;
        }
    }

    fn cast(&self) -> Cast {
        let seats = self.seats.iter().map(|(name, seat)| {
            let seat = (seat.enforcer.gate(), seat.person.clone());
            ((*name).to_owned(), seat)
        });
        Cast {
            operator: self.operator.clone(),
            seats: seats.collect(),
        }
    }
}

impl Cast {
    async fn play(self, part: Part) -> Result<End> {
        let (task, grants) = self.start(&part).await?;
        let mut end = End::default();
        for (number, step) in part.story.steps.iter().enumerate() {
            let grant = grants.get(&step.by).context("every agent has a grant")?;
            if let Some(judgement) = self.call(grant, number, step).await? {
                end.stopped = Some((number, judgement));
                break;
            }
        }
        // Ending it cancels its hold.
        self.operator.end(&task).await.context("ending its task")?;
        Ok(end)
    }

    /// The task, and what each of its agents presents. Nobody is given a tool that neither it nor anybody after it calls.
    async fn start(&self, part: &Part) -> Result<(String, BTreeMap<String, String>)> {
        let mut agents = vec![LEAD.to_owned()];
        agents.extend(part.passed_on.iter().cloned());
        let tools = |agents: &[String]| -> Vec<String> {
            let tools = part.story.tools_of(agents);
            tools.into_iter().map(ToOwned::to_owned).collect()
        };
        let request = StartRequest {
            user: USER.to_owned(),
            agent: agent(LEAD),
            tools: tools(&agents),
            named: part.story.named.clone(),
            intent: part.story.intent.clone(),
            environment: "production".to_owned(),
            expires_in_ms: 3_600_000,
            idempotency_key: fresh_key(),
            limits: Some(Limits {
                depth: u32::try_from(part.passed_on.len())?,
                ..Limits::default()
            }),
            ..StartRequest::default()
        };
        let started = self.operator.tasks().start(request).await;
        let started = started.context("starting its task")?.into_inner();
        let mut grants = BTreeMap::from([(LEAD.to_owned(), started.grant)]);
        for (at, to) in part.passed_on.iter().enumerate() {
            let (from, scope) = (&agents[at], tools(&agents[at + 1..]));
            if scope.is_empty() {
                continue;
            }
            let grant = self.pass_on(&grants[from], from, to, scope).await;
            grants.insert(
                to.clone(),
                grant.with_context(|| format!("passing it on to `{to}`"))?,
            );
        }
        let task = started.task.context("a started task has an id")?;
        Ok((task.task_id, grants))
    }

    async fn pass_on(&self, grant: &str, from: &str, to: &str, tools: Vec<String>) -> Result<String> {
        let delegate = DelegateRequest {
            grant: grant.to_owned(),
            agent: agent(to),
            tools,
            idempotency_key: fresh_key(),
            ..DelegateRequest::default()
        };
        let delegated = self.seat(from)?.1.tasks().delegate(delegate).await?;
        Ok(delegated.into_inner().grant)
    }

    /// What was decided, unless it was let through; then what the tool gave has been told when this returns.
    async fn call(&self, grant: &str, number: usize, step: &Step) -> Result<Option<Judgement>> {
        let (tool, arguments) = (step.call.tool.clone(), step.call.arguments.clone());
        let request = Request::typed(grant, tool.clone(), arguments).call_id(number.to_string());
        let answer = self.seat(&step.by)?.0.authorize(request).await?;
        let judgement = Judgement::by_policy(&answer, &tool)?;
        let Answer::Permit(permit) = answer else {
            return Ok(Some(judgement));
        };
        let told = permit
            .complete_with(OutcomeResult::Done, "replayed", &found(&step.result))
            .await;
        told.with_context(|| format!("telling what `{tool}` gave"))?;
        Ok(None)
    }

    fn seat(&self, name: &str) -> Result<&(Gate, Person)> {
        match self.seats.get(name) {
            Some(seat) => Ok(seat),
            None => bail!("`{name}` is not in the troupe; it has {}", TROUPE.join(", ")),
        }
    }
}

fn agent(name: &str) -> String {
    format!("spiffe://{TRUST_DOMAIN}/agent/{name}")
}

fn found(gave: &Gave) -> Found {
    let content = gave.shown();
    Found {
        labels: gave.labels.clone(),
        size: Some(ResultSize {
            bytes: gave.bytes.unwrap_or(content.len() as u64),
            rows: gave.rows,
        }),
        content: Some(content),
        ..Found::default()
    }
}
