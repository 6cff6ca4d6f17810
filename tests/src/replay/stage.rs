//! The stage of a replay: a private Postgres, a control plane, an enforcer, and the pack under test in force.
//!
//! **Invariant**: a verdict that policy did not give (a control plane out of reach, a full journal) ends the replay: it would
//! count as an attack stopped.

use anyhow::{Context, Result, ensure};
use checkrein_enforcer::{Answer, Enforcer, Found, Request};
use checkrein_proto::task::v1::{AmendRequest, Named, StartRequest};
use checkrein_shared::action::Arguments;
use checkrein_shared::decision::{Cause, OutcomeResult, Verdict};
use checkrein_shared::id::Generation;
use checkrein_shared::policy::{Pack, PackSource};
use serde_json::Value;

use super::conversation::Conversation;
use super::named::named_values;
use super::plan::Run;
use crate::{Person, WAIT_MAX, World, fresh_key};

/// Runs that are on the stage together. Each may have five holds open, and the agent twenty.
const RUNS_AT_ONCE: usize = 4;
/// For whom the agent works.
const USER: &str = "emma";
/// Where it does.
const ENVIRONMENT: &str = "production";
/// A task takes no longer intent.
const INTENT_BYTES_MAX: usize = 4 << 10;
/// A task that makes no call of its own still needs a scope; no catalog has this tool.
const NO_TOOL: &str = "none/none";

/// What was decided about one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What.
    pub verdict: Verdict,
    /// Why, in a word.
    pub cause: Cause,
    /// The rules that decided.
    pub rules: Vec<String>,
}

/// Everything a replay needs, running.
#[derive(Debug)]
pub struct Stage {
    // Dropped in this order: the enforcer before its control plane.
    enforcer: Enforcer,
    operator: Person,
    agent: String,
    _world: World,
}

/// One who acts in a run.
#[derive(Clone)]
struct Actor {
    gate: checkrein_enforcer::Gate,
    operator: Person,
    agent: String,
}

impl Stage {
    /// Starts every part, pushes the pack, and waits until the enforcer decides by it for `agent`.
    pub async fn set(source: &PackSource, pack: &Pack, agent: &str) -> Result<Self> {
        let world = World::start().await?;
        let enforcer = seat(&world, "replay", &labels(pack), agent).await?;
        let generation = Generation(world.push(source).await.context("pushing the pack")?);
        enforcer
            .wait_until(|status| status.decides_by(generation), WAIT_MAX)
            .await?;
        let operator = world.operator().await?;
        Ok(Self {
            enforcer,
            operator,
            agent: agent.to_owned(),
            _world: world,
        })
    }

    /// The verdicts of every run; `started` hears of each as it begins.
    pub async fn play(&self, runs: &[Run], started: impl Fn()) -> Result<Vec<Vec<Verdict>>> {
        super::drive(runs, RUNS_AT_ONCE, |run| {
            started();
            self.actor().play(run)
        })
        .await
    }

    /// What was decided about every call of every conversation; `started` hears of each as it begins.
    pub async fn converse(
        &self,
        conversations: &[Conversation],
        started: impl Fn(),
    ) -> Result<Vec<Vec<Judgement>>> {
        super::drive(conversations, RUNS_AT_ONCE, |conversation| {
            started();
            self.actor().converse(conversation)
        })
        .await
    }

    /// Stops the enforcer once its records are stored.
    pub async fn strike(self) {
        self.enforcer.shutdown().await;
    }

    fn actor(&self) -> Actor {
        Actor {
            gate: self.enforcer.gate(),
            operator: self.operator.clone(),
            agent: self.agent.clone(),
        }
    }
}

impl Actor {
    async fn play(self, run: Run) -> Result<Vec<Verdict>> {
        let request = self.start_request(&run.intent, &run.named, &run.scope);
        let started = self
            .operator
            .tasks()
            .start(request)
            .await
            .context("starting its task")?
            .into_inner();
        let mut verdicts = Vec::with_capacity(run.steps.len());
        for (number, step) in run.steps.into_iter().enumerate() {
            let judgement = self
                .call(&started.grant, number, (step.tool, step.arguments), None)
                .await?;
            verdicts.push(judgement.verdict);
        }
        let task = started.task.context("a started task has an id")?;
        // Ending it cancels its holds.
        self.operator
            .end(&task.task_id)
            .await
            .context("ending its task")?;
        Ok(verdicts)
    }

    /// One task: what the user says in a turn amends it before the calls of that turn.
    async fn converse(self, conversation: Conversation) -> Result<Vec<Judgement>> {
        let scope: Vec<String> = conversation.scope().into_iter().map(str::to_owned).collect();
        let said = conversation.said_by(0);
        let request = self.start_request(&said, &named_values(&said), &scope);
        let started = self
            .operator
            .tasks()
            .start(request)
            .await
            .context("starting its task")?
            .into_inner();
        let task = started.task.context("a started task has an id")?.task_id;
        let mut grant = started.grant;
        let mut judgements = Vec::new();
        for (number, turn) in conversation.turns.iter().enumerate() {
            if number > 0 {
                grant = self.amend(&task, &conversation.said_by(number)).await?;
            }
            for (at, call) in turn.calls.iter().enumerate() {
                let found = turn.results.get(at).and_then(Option::as_ref).map(shown);
                let call = (call.tool.clone(), call.arguments.clone());
                let judgement = self.call(&grant, judgements.len(), call, found).await?;
                judgements.push(judgement);
            }
        }
        self.operator.end(&task).await.context("ending its task")?;
        Ok(judgements)
    }

    async fn amend(&self, task: &str, said: &str) -> Result<String> {
        let request = AmendRequest {
            task_id: task.to_owned(),
            intent: Some(latest(said).to_owned()),
            environment: None,
            risk: None,
            named: Some(Named {
                values: named_values(said),
            }),
            reason: "the user said more".to_owned(),
            idempotency_key: fresh_key(),
            data: None,
        };
        let amended = self.operator.tasks().amend(request).await;
        Ok(amended.context("amending its task")?.into_inner().grant)
    }

    /// What was decided; if it was let through, what it gave has been told when this returns, if that is known.
    async fn call(
        &self,
        grant: &str,
        number: usize,
        (tool, arguments): (String, Arguments),
        found: Option<Found>,
    ) -> Result<Judgement> {
        let request = Request::typed(grant, tool.clone(), arguments).call_id(number.to_string());
        let answer = self.gate.authorize(request).await?;
        let judgement = Judgement::by_policy(&answer, &tool)?;
        if let Answer::Permit(permit) = answer {
            let found = found.unwrap_or_default();
            permit
                .complete_with(OutcomeResult::Done, "replayed", &found)
                .await?;
        }
        Ok(judgement)
    }

    fn start_request(&self, said: &str, named: &[String], scope: &[String]) -> StartRequest {
        let mut tools = scope.to_vec();
        if tools.is_empty() {
            tools.push(NO_TOOL.to_owned());
        }
        StartRequest {
            budgets: Vec::new(),
            holder_key: String::new(),
            user: USER.to_owned(),
            agent: self.agent.clone(),
            tools,
            named: named.to_vec(),
            intent: latest(said).to_owned(),
            environment: ENVIRONMENT.to_owned(),
            expires_in_ms: 3_600_000,
            idempotency_key: fresh_key(),
            scope: String::new(),
            limits: None,
            data: None,
        }
    }
}

impl Judgement {
    /// What policy decided about a call of this tool; an error, if something else did.
    pub(super) fn by_policy(answer: &Answer, tool: &str) -> Result<Self> {
        let decided = answer.decided();
        ensure!(
            is_from_policy(decided.cause),
            "`{tool}` was not decided by policy: {} ({:?})",
            decided.reason,
            decided.cause
        );
        Ok(Self {
            verdict: answer.verdict(),
            cause: decided.cause,
            rules: decided.rules.clone(),
        })
    }
}

/// What a tool gave, as its caller shows it.
fn shown(result: &Value) -> Found {
    Found {
        content: Some(result.to_string().into_bytes()),
        ..Found::default()
    }
}

/// What of a user's words a task has room for: the latest.
fn latest(said: &str) -> &str {
    let over = said.len().saturating_sub(INTENT_BYTES_MAX);
    &said[said.ceil_char_boundary(over)..]
}

/// The labels that an enforcer must carry to run the pack.
pub(super) fn labels(pack: &Pack) -> Vec<String> {
    let selectors = pack.selectors().iter();
    selectors.map(|(key, value)| format!("{key}={value}")).collect()
}

/// Registers an enforcer that carries these labels and starts it for an agent.
pub(super) async fn seat(world: &World, name: &str, labels: &[String], agent: &str) -> Result<Enforcer> {
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let directory = world.register(name, &labels, &[agent]).await;
    let directory = directory.context("registering the enforcer")?;
    world
        .start_enforcer(&directory, agent, &[world.address(0)])
        .await
        .context("starting the enforcer")
}

/// Whether a verdict came from the pack, the catalog or the scope. That holds are bounded is part of what a pack promises.
const fn is_from_policy(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::Permitted
            | Cause::Forbidden
            | Cause::NoPermit
            | Cause::RuleErred
            | Cause::Held
            | Cause::HoldsExhausted
            | Cause::OutOfScope
            | Cause::UnknownTool
            | Cause::InvalidArguments
    )
}
