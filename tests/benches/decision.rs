//! Typed action to journaled verdict, in process, at 10 to 10,000 rules, beside plain Cedar on the same requests.
//!
//! *Ours* is `Gate::authorize` of a real enforcer that follows a real control plane over mTLS: each size is a pack that is
//! pushed, validated, signed, fetched, verified and swapped in. It ends when the record is written; outcomes are written too,
//! outside the stopwatch. *Judge* is the part of it that evaluates rules, with the index and without. *Plain Cedar* is what
//! a service would write against the public API: the same rules and entities, a request whose context comes from parsed
//! JSON without a schema, the whole set asked each time. It writes nothing down.
//!
//! That both give the same verdicts is checked on every request before anything is measured.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::str::FromStr;

use anyhow::{Context as _, Result, ensure};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
};
use checkrein_enforcer::{Answer, Enforcer, Request as Asked};
use checkrein_shared::action::Action;
use checkrein_shared::decision::{OutcomeResult, Tier, Verdict};
use checkrein_shared::grant::{Grant, Limits, Scope};
use checkrein_shared::id::{Generation, GrantId, TaskId};
use checkrein_shared::policy::{Bundle, Pack, Situation, compose};
use checkrein_shared::{Clock, SystemClock};
use checkrein_tests::generated::{self, AGENT, CALLS, Call, ENVIRONMENT, Generated, USER};
use checkrein_tests::{Conditions, Latency, Stopwatch, WAIT_MAX, World};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Rules, how often each of ours is asked, how often plain Cedar is.
const SIZES: [(usize, usize, usize); 4] = [
    (10, 20_000, 20_000),
    (100, 20_000, 20_000),
    (1_000, 20_000, 4_000),
    (10_000, 20_000, 512),
];
const WARM_UP: usize = 1_024;

/// What is stored.
#[derive(Debug, Serialize)]
struct Figures {
    tools: usize,
    agents: usize,
    different_requests: usize,
    sizes: Vec<Size>,
}

#[derive(Debug, Serialize)]
struct Size {
    rules: usize,
    /// From the push to the ack of the enforcer.
    push_ms: u128,
    ours: Latency,
    ours_per_second: f64,
    judge: Latency,
    judge_unindexed: Latency,
    cedar: Latency,
    cedar_per_second: f64,
    /// Medians: plain Cedar by ours.
    ratio_p50: f64,
    /// Means: the same.
    ratio_mean: f64,
}

/// A service that asks Cedar itself.
struct PlainCedar {
    policies: PolicySet,
    entities: Entities,
    requests: Vec<(EntityUid, EntityUid, EntityUid, Value)>,
}

fn main() -> Result<()> {
    let conditions = Conditions::now(&SystemClock);
    let runtime = tokio::runtime::Runtime::new()?;
    let figures = runtime.block_on(measure())?;
    print(&figures);
    conditions.store("decision", &figures)
}

async fn measure() -> Result<Figures> {
    let world = World::start().await?;
    let enforcer = world.enforcer("edge", AGENT).await?;
    let operator = world.operator().await?;
    let grant = operator.start(USER, AGENT, &["desk/*"], &[]).await?.grant;
    let mut sizes = Vec::new();
    for (rules, asked, cedar_asked) in SIZES {
        let generated = Generated::new(rules, "r")?;
        let started = Instant::now();
        let generation = Generation(world.push(&generated.pack).await?);
        enforcer
            .wait_until(|status| status.decides_by(generation), WAIT_MAX)
            .await?;
        let push_ms = started.elapsed().as_millis();
        sizes.push(
            Size::measure(
                &generated,
                &enforcer,
                &grant,
                (rules, asked, cedar_asked),
                push_ms,
            )
            .await?,
        );
    }
    Ok(Figures {
        tools: generated::TOOLS,
        agents: generated::TEAMS * generated::AGENTS_PER_TEAM,
        different_requests: CALLS,
        sizes,
    })
}

impl Size {
    async fn measure(
        generated: &Generated,
        enforcer: &Enforcer,
        grant: &str,
        (rules, asked, cedar_asked): (usize, usize, usize),
        push_ms: u128,
    ) -> Result<Self> {
        let bundle = compose(&[&parsed(generated)?])?.open()?;
        let judged = Judged::new(generated)?;
        let cedar = PlainCedar::new(generated)?;
        cedar.check(&judged, &bundle)?;
        authorize(enforcer, grant, &generated.calls, WARM_UP).await?;
        let ours = authorize(enforcer, grant, &generated.calls, asked)
            .await?
            .latency();
        // Records go home meanwhile; what is measured alone shall be alone.
        enforcer
            .wait_until(|status| status.journal_pending() == 0, WAIT_MAX * 4)
            .await?;
        let judge = judged.time(asked, |situation| bundle.judge(situation).verdict)?;
        let judge_unindexed =
            judged.time(cedar_asked, |situation| bundle.judge_unindexed(situation).verdict)?;
        let cedar = cedar.time(cedar_asked)?;
        Ok(Self {
            rules,
            push_ms,
            ours_per_second: 1e6 / ours.mean_us,
            cedar_per_second: 1e6 / cedar.mean_us,
            ratio_p50: cedar.p50_us / ours.p50_us,
            ratio_mean: cedar.mean_us / ours.mean_us,
            ours,
            judge,
            judge_unindexed,
            cedar,
        })
    }
}

/// The calls as the pure judgement takes them.
struct Judged {
    actions: Vec<Action>,
    grant: Grant,
    now_ms: u64,
}

impl Judged {
    fn new(generated: &Generated) -> Result<Self> {
        let now_ms = SystemClock.wall_ms();
        let action = |call: &Call| Action {
            tool: call.tool.clone(),
            arguments: call.arguments.clone(),
            call_id: String::new(),
        };
        let grant = Grant {
            id: GrantId::new(&SystemClock),
            task: TaskId::new(&SystemClock),
            epoch: 0,
            agent: AGENT.parse()?,
            user: USER.to_owned(),
            scope: Scope::parse(["desk/*".to_owned()])?,
            limits: Limits::default(),
            data: None,
            named: Vec::new(),
            intent: "a test".to_owned(),
            environment: ENVIRONMENT.to_owned(),
            issued_ms: now_ms,
            expires_ms: u64::MAX,
            holder: None,
            link: None,
        };
        Ok(Self {
            actions: generated.calls.iter().map(action).collect(),
            grant,
            now_ms,
        })
    }

    fn situations(&self) -> impl Iterator<Item = Situation<'_>> + Clone {
        self.actions.iter().map(|action| Situation {
            delegated_by: &[],
            action,
            grant: &self.grant,
            now_ms: self.now_ms,
            policy_age_ms: 0,
            ledger: None,
            pedigree: None,
            result: None,
        })
    }

    fn time(&self, asked: usize, judge: impl Fn(&Situation<'_>) -> Verdict) -> Result<Latency> {
        let mut stopwatch = Stopwatch::new()?;
        for situation in self.situations().cycle().take(asked) {
            let started = Instant::now();
            black_box(judge(&situation));
            stopwatch.record(started.elapsed());
        }
        Ok(stopwatch.latency())
    }
}

impl PlainCedar {
    fn new(generated: &Generated) -> Result<Self> {
        let uid = |kind: &str, id: &str| -> Result<EntityUid> {
            Ok(EntityUid::from_type_name_and_id(
                EntityTypeName::from_str(kind)?,
                EntityId::new(id),
            ))
        };
        let request = |call: &Call| {
            let account = call.json["account"].as_str().context("an account")?;
            Ok((
                uid("Agent", AGENT)?,
                uid("Action", &call.tool)?,
                uid("Account", account)?,
                context(call),
            ))
        };
        Ok(Self {
            policies: generated.rules.parse()?,
            entities: entities(generated)?,
            requests: generated.calls.iter().map(request).collect::<Result<_>>()?,
        })
    }

    /// Both say the same of every request, and it is what is measured: a permit of the light tier.
    fn check(&self, judged: &Judged, bundle: &Bundle) -> Result<()> {
        for (at, situation) in judged.situations().enumerate() {
            let judgement = bundle.judge(&situation);
            ensure!(
                (judgement.verdict, judgement.tier) == (Verdict::Permit, Tier::Light),
                "request {at}: {judgement:?}"
            );
            let decision = self.decide(self.requests[at].clone())?;
            ensure!(decision == Decision::Allow, "plain Cedar denies request {at}");
        }
        Ok(())
    }

    fn decide(
        &self,
        (principal, action, resource, context): (EntityUid, EntityUid, EntityUid, Value),
    ) -> Result<Decision> {
        let context = Context::from_json_value(context, None)?;
        let request = Request::new(principal, action, resource, context, None)?;
        Ok(Authorizer::new()
            .is_authorized(&request, &self.policies, &self.entities)
            .decision())
    }

    fn time(&self, asked: usize) -> Result<Latency> {
        let mut stopwatch = Stopwatch::new()?;
        for request in self.requests.iter().cycle().take(asked) {
            let request = request.clone();
            let started = Instant::now();
            black_box(self.decide(request)?);
            stopwatch.record(started.elapsed());
        }
        Ok(stopwatch.latency())
    }
}

async fn authorize(enforcer: &Enforcer, grant: &str, calls: &[Call], asked: usize) -> Result<Stopwatch> {
    let gate = enforcer.gate();
    let mut stopwatch = Stopwatch::new()?;
    for call in calls.iter().cycle().take(asked) {
        let request = Asked::typed(grant, &call.tool, call.arguments.clone());
        let started = Instant::now();
        let answer = gate.authorize(request).await?;
        stopwatch.record(started.elapsed());
        let Answer::Permit(permit) = answer else {
            anyhow::bail!("{answer:?}")
        };
        permit.complete(OutcomeResult::Done, "").await?;
    }
    Ok(stopwatch)
}

fn parsed(generated: &Generated) -> Result<Pack> {
    let rendered = |findings: Vec<checkrein_shared::policy::Finding>| {
        let texts: BTreeSet<String> = findings.into_iter().map(|finding| finding.rendered).collect();
        anyhow::anyhow!("{texts:?}")
    };
    Pack::parse(&generated.pack).map_err(rendered)
}

/// What rules of a pack read, as JSON.
fn context(call: &Call) -> Value {
    json!({
        "input": call.json,
        "task": {
            "id": "task_00000000000000000000000000000000",
            "intent": "a test",
            "scope": ["desk/*"],
            "age": { "__extn": { "fn": "duration", "arg": "1000ms" } },
        },
        "user": { "__entity": { "type": "User", "id": USER } },
        "environment": ENVIRONMENT,
        "now": { "__extn": { "fn": "datetime", "arg": "2026-11-23T09:00:00.000Z" } },
        "policy_age": { "__extn": { "fn": "duration", "arg": "0ms" } },
        "arguments_from_intent": [],
    })
}

/// The pack's entities, and the tools as actions in their groups.
fn entities(generated: &Generated) -> Result<Entities> {
    let mut all = generated.entities.as_array().cloned().unwrap_or_default();
    let uid = |id: &str| json!({ "type": "Action", "id": id });
    let mut groups = BTreeSet::new();
    for (action, of_it) in generated::actions() {
        all.push(json!({ "uid": uid(&action), "attrs": {}, "parents": of_it.map(uid) }));
        groups.extend(of_it);
    }
    all.extend(
        groups
            .into_iter()
            .map(|group| json!({ "uid": uid(group), "attrs": {}, "parents": [] })),
    );
    Ok(Entities::from_json_value(Value::Array(all), None)?)
}

fn print(figures: &Figures) {
    println!(
        "\nTyped action to journaled verdict, in process, beside plain Cedar on the same requests (microseconds)\n"
    );
    println!(
        "{:>7} | {:>8} {:>8} {:>8} {:>8} | {:>8} {:>10} | {:>9} {:>9} {:>9} {:>8} | {:>9} {:>9}",
        "rules",
        "ours p50",
        "p99",
        "mean",
        "per s",
        "judge",
        "unindexed",
        "Cedar p50",
        "p99",
        "mean",
        "per s",
        "ratio p50",
        "of means"
    );
    for size in &figures.sizes {
        println!(
            "{:>7} | {:>8.1} {:>8.1} {:>8.1} {:>8.0} | {:>8.1} {:>10.1} | {:>9.1} {:>9.1} {:>9.1} {:>8.0} | {:>8.1}x {:>8.1}x",
            size.rules,
            size.ours.p50_us,
            size.ours.p99_us,
            size.ours.mean_us,
            size.ours_per_second,
            size.judge.p50_us,
            size.judge_unindexed.p50_us,
            size.cedar.p50_us,
            size.cedar.p99_us,
            size.cedar.mean_us,
            size.cedar_per_second,
            size.ratio_p50,
            size.ratio_mean
        );
    }
    println!(
        "\nEach size was pushed through a control plane and swapped in. Aims: 20x at 1,000 rules, 300x at 10,000."
    );
}
