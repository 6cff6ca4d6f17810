//! Money is held before a call is let through, and comes back only if the call was not made: never too much, and nobody is turned
//! away for what was only in flight.

use std::collections::BTreeMap;

use checkrein_enforcer::{Answer, Enforcer, Found, Permit, Request};
use checkrein_proto::task::v1::{Amount, Budget, Limits, ShowRequest, StartRequest, StartResponse, Task};
use checkrein_shared::decision::{Cause, OutcomeResult, Verdict};
use checkrein_shared::id::Generation;
use checkrein_shared::ledger::{Amounts, Meter};
use checkrein_shared::policy::PackSource;
use checkrein_tests::{Person, WAIT_MAX, World, fresh_key};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::at_once::{home, made};
use crate::flows::asking::until;

mod begun;
mod crashed;
mod shared;
mod slices;

const AGENT: &str = "spiffe://acme.example/agent/billing";
const PAY: &str = "bank/pay";
const LOOK: &str = "bank/look";
const ASK: &str = "model/ask";

/// Payments that cost what they say, reads that cost nothing, and a model that is asked.
fn bank() -> PackSource {
    bank_with("")
}

/// The same with budgets.
fn bank_with(budgets: &str) -> PackSource {
    let settings = format!("namespace = \"org\"\n{budgets}");
    let files = [
        ("checkrein.toml", &*settings),
        (
            "catalog/bank.json",
            r#"[{"name": "pay", "inputSchema": {"type": "object", "properties": {"amount": {"type": "number"}}}},
                {"name": "look", "inputSchema": {"type": "object", "properties": {}}}]"#,
        ),
        (
            "catalog/bank.toml",
            "[pay]\neffects = [\"spend\"]\nreversibility = \"irreversible\"\ncost = { money = \"amount\" }\n\
             fails_without_effect = true\n\
             [look]\neffects = [\"read\"]\nreversibility = \"read_only\"\n",
        ),
        (
            "catalog/model.json",
            r#"[{"name": "ask", "inputSchema": {"type": "object", "properties": {"max_tokens": {"type": "integer"}}}}]"#,
        ),
        (
            "catalog/model.toml",
            "[ask]\neffects = [\"read\"]\nreversibility = \"read_only\"\n\
             cost = { calls = 1, model_calls = 1, tokens = { argument = \"max_tokens\", default = 4000 } }\n",
        ),
        (
            "rules.cedar",
            r#"@id("all") permit (principal, action, resource);
            @id("dear") @reason("this task has spent a thousand already")
            forbid (principal, action == Action::"bank/pay", resource)
            when { context.task.spent.money.greaterThanOrEqual(decimal("1000.0")) };"#,
        ),
    ];
    PackSource {
        name: "bank".to_owned(),
        files: files
            .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
    }
}

struct Scene {
    world: World,
    enforcers: Vec<Enforcer>,
    operator: Person,
}

impl Scene {
    async fn set(names: &[&str]) -> Self {
        Self::under(&bank(), names).await
    }

    async fn under(pack: &PackSource, names: &[&str]) -> Self {
        let world = World::start().await.unwrap();
        let generation = Generation(world.push(pack).await.unwrap());
        let mut enforcers = Vec::new();
        for name in names {
            let enforcer = world.enforcer(name, AGENT).await.unwrap();
            let decides = enforcer.wait_until(|status| status.decides_by(generation), WAIT_MAX);
            decides.await.unwrap();
            enforcers.push(enforcer);
        }
        let operator = world.operator().await.unwrap();
        Self {
            world,
            enforcers,
            operator,
        }
    }

    async fn start(&self, budgets: &[(&str, &str)]) -> Result<StartResponse, Status> {
        self.start_for("alice", budgets).await
    }

    async fn start_for(&self, user: &str, budgets: &[(&str, &str)]) -> Result<StartResponse, Status> {
        let amount = |(meter, amount): &(&str, &str)| Amount {
            meter: (*meter).to_owned(),
            amount: (*amount).to_owned(),
        };
        let request = StartRequest {
            user: user.to_owned(),
            agent: AGENT.to_owned(),
            tools: vec!["bank/*".to_owned(), "model/*".to_owned()],
            environment: "production".to_owned(),
            expires_in_ms: 3_600_000,
            idempotency_key: fresh_key(),
            limits: Some(Limits {
                depth: 1,
                ..Limits::default()
            }),
            budgets: budgets.iter().map(amount).collect(),
            ..StartRequest::default()
        };
        Ok(self.operator.tasks().start(request).await?.into_inner())
    }

    /// A task with so much money.
    async fn task(&self, money: &str) -> (String, String) {
        let started = self.start(&[("money", money)]).await.unwrap();
        (started.grant, started.task.unwrap().task_id)
    }

    async fn shown(&self, task_id: &str) -> Task {
        let task_id = task_id.to_owned();
        let shown = self.operator.tasks().show(ShowRequest { task_id }).await.unwrap();
        shown.into_inner().task.unwrap()
    }

    /// What became of the money: spent, reserved, unknown.
    async fn money(&self, task_id: &str) -> [String; 3] {
        let task = self.shown(task_id).await;
        let of_money = |budget: &&Budget| budget.meter == "money";
        let found = task.budgets.iter().find(of_money).cloned().unwrap_or_default();
        [found.spent, found.reserved, found.unknown]
    }

    /// Waits until every record is home.
    async fn home(&self) {
        home(&self.enforcers).await;
    }

    async fn pay(&self, grant: &str, amount: &str) -> Answer {
        self.call(0, grant, PAY, &format!("{{\"amount\":{amount}}}"))
            .await
    }

    async fn call(&self, enforcer: usize, grant: &str, tool: &str, arguments: &str) -> Answer {
        let request = Request::new(grant, tool, arguments.as_bytes());
        self.enforcers[enforcer].gate().authorize(request).await.unwrap()
    }
}

fn permitted(answer: Answer) -> Permit {
    match answer {
        Answer::Permit(permit) => permit,
        other => panic!("{other:?}"),
    }
}

fn denied(answer: &Answer) -> Cause {
    assert_eq!(answer.verdict(), Verdict::Deny, "{answer:?}");
    answer.decided().cause
}

async fn done(permit: Permit) {
    permit.complete(OutcomeResult::Done, "").await.unwrap();
}

/// Presents as many payments of 1 at once, spread over the fleet.
fn at_once(scene: &Scene, grant: &str, times: usize) -> JoinSet<Answer> {
    let mut calls = JoinSet::new();
    for enforcer in scene.enforcers.iter().cycle().take(times) {
        let request = Request::new(grant, PAY, b"{\"amount\":1}");
        let gate = enforcer.gate();
        calls.spawn(async move { gate.authorize(request).await.unwrap() });
    }
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_payments_at_once_for_which_sixty_times_the_money_is_there_sixty_go_through() {
    let scene = Scene::set(&["one", "two"]).await;
    let (grant, task) = scene.task("60").await;
    let sql = scene.world.sql().await.unwrap();
    // Whoever was not heard of keeps its place in the line for five seconds.
    let nobody_waits = "SELECT count(*) FROM (SELECT) AS one WHERE NOT EXISTS (
        SELECT FROM budget_wait WHERE since + interval '5 s' > clock_timestamp())";
    let settled = async || {
        home(&scene.enforcers).await;
        until(&sql, nobody_waits, &[]).await;
    };
    let request = Request::new(&*grant, PAY, b"{\"amount\":1}");
    let permits = made(&scene.enforcers, &request, 60, settled).await;
    settled().await;
    assert_eq!(permits.len(), 60);
    assert_eq!(scene.money(&task).await, ["0", "60", "0"]);
    for permit in permits {
        done(permit).await;
    }
    scene.home().await;
    assert_eq!(scene.money(&task).await, ["60", "0", "0"]);
    let one_more = scene.pay(&grant, "0.0001").await;
    assert_eq!(denied(&one_more), Cause::Budget);
    assert!(one_more.decided().reason.contains("60 are spent"), "{one_more:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_refused_for_money_that_is_in_flight_and_comes_back() {
    let scene = Scene::set(&["one", "two"]).await;
    let (grant, task) = scene.task("10").await;
    let mut held = Vec::new();
    for answer in at_once(&scene, &grant, 10).join_all().await {
        held.push(permitted(answer));
    }
    // All of it is in flight: whoever comes now waits in line, and takes what failed payments give back.
    let waiting = at_once(&scene, &grant, 10);
    let sql = scene.world.sql().await.unwrap();
    until(&sql, "SELECT count(*) / 10 FROM budget_wait", &[]).await;
    for permit in held {
        permit.complete(OutcomeResult::Failed, "").await.unwrap();
    }
    for answer in waiting.join_all().await {
        done(permitted(answer)).await;
    }
    scene.home().await;
    assert_eq!(scene.money(&task).await, ["10", "0", "0"]);
    let left = sql
        .query_one("SELECT count(*) FROM budget_wait", &[])
        .await
        .unwrap();
    assert_eq!(left.get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_money_that_does_not_come_back_is_told_that_it_is_in_flight() {
    let scene = Scene::set(&["edge"]).await;
    let (grant, task) = scene.task("10").await;
    let first = permitted(scene.pay(&grant, "10").await);
    let second = scene.pay(&grant, "1").await;
    assert_eq!(denied(&second), Cause::Budget);
    assert!(second.decided().reason.contains("try again later"), "{second:?}");
    // What can't ever fit is not waited for.
    let too_much = scene.pay(&grant, "11").await;
    assert!(
        too_much.decided().reason.contains("tell the user"),
        "{too_much:?}"
    );
    assert_eq!(scene.money(&task).await, ["0", "10", "0"]);
    done(first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_used_up_is_what_it_says_and_else_what_was_held_for_it() {
    let scene = Scene::set(&["edge"]).await;
    let (grant, task) = scene.task("100").await;
    let less = permitted(scene.pay(&grant, "50").await);
    let found = Found {
        spent: Amounts::default().with(Meter::Money, 125_000),
        ..Found::default()
    };
    less.complete_with(OutcomeResult::Done, "", &found).await.unwrap();
    scene.home().await;
    assert_eq!(scene.money(&task).await, ["12.5", "0", "0"]);
    // A tool that used more than was held for it has used it: there is so much less for the next.
    let more = permitted(scene.pay(&grant, "80").await);
    let found = Found {
        spent: Amounts::default().with(Meter::Money, 900_000),
        ..Found::default()
    };
    more.complete_with(OutcomeResult::Done, "", &found).await.unwrap();
    scene.home().await;
    assert_eq!(scene.money(&task).await, ["102.5", "0", "0"]);
    assert_eq!(denied(&scene.pay(&grant, "0").await), Cause::Budget);
    // One that failed has used nothing, of a tool of which the catalog says so, and all of any other.
    let (grant, task) = scene.task("100").await;
    let failed = permitted(scene.pay(&grant, "50").await);
    failed.complete(OutcomeResult::Failed, "").await.unwrap();
    let unknown = permitted(scene.pay(&grant, "20").await);
    drop(unknown);
    scene.home().await;
    assert_eq!(scene.money(&task).await, ["0", "0", "20"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amount_that_is_not_exact_or_below_nothing_is_refused() {
    let scene = Scene::set(&["edge"]).await;
    let (grant, task) = scene.task("100").await;
    for arguments in [
        "{}",
        r#"{"amount":-1}"#,
        r#"{"amount":0.00001}"#,
        r#"{"amount":1e30}"#,
        r#"{"amount":"1"}"#,
    ] {
        let answer = scene.call(0, &grant, PAY, arguments).await;
        assert_eq!(denied(&answer), Cause::InvalidArguments, "{arguments}");
    }
    for arguments in [r#"{"max_tokens":-1}"#, r#"{"max_tokens":1.5}"#] {
        let answer = scene.call(0, &grant, ASK, arguments).await;
        assert_eq!(denied(&answer), Cause::InvalidArguments, "{arguments}");
    }
    assert_eq!(scene.money(&task).await, ["0", "0", "0"]);
    for bad in [
        ("calls", "1"),
        ("gold", "1"),
        ("money", "-1"),
        ("money", "1.00001"),
        ("rows", "1.5"),
    ] {
        let refused = scene.start(&[bad]).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{bad:?}");
    }
    let twice = scene.start(&[("money", "1"), ("money", "2")]).await.unwrap_err();
    assert_eq!(twice.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_costs_something_is_charged_online_and_one_that_costs_nothing_is_not() {
    let mut scene = Scene::set(&["edge"]).await;
    let started = scene.start(&[("tokens", "5000")]).await.unwrap();
    let (grant, task) = (started.grant, started.task.unwrap().task_id);
    done(permitted(scene.call(0, &grant, ASK, "{}").await)).await;
    let too_many = scene.call(0, &grant, ASK, "{}").await;
    assert_eq!(denied(&too_many), Cause::Budget);
    done(permitted(
        scene.call(0, &grant, ASK, r#"{"max_tokens":1000}"#).await,
    ))
    .await;
    scene.home().await;
    let budgets: Vec<_> = scene
        .shown(&task)
        .await
        .budgets
        .into_iter()
        .map(|budget| (budget.meter, budget.limit, budget.spent))
        .collect();
    let budget =
        |meter: &str, limit: &str, spent: &str| (meter.to_owned(), limit.to_owned(), spent.to_owned());
    assert_eq!(
        budgets,
        [
            budget("tokens", "5000", "5000"),
            budget("model_calls", "", "2"),
            budget("calls", "", "2")
        ]
    );
    scene.world.stop_replica(0).await;
    let away = scene.call(0, &grant, ASK, r#"{"max_tokens":0}"#).await;
    assert_eq!(denied(&away), Cause::ControlPlaneUnreachable);
    done(permitted(scene.call(0, &grant, LOOK, "{}").await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_read_what_a_task_has_spent_before_the_call() {
    let scene = Scene::set(&["edge"]).await;
    let (grant, task) = scene.task("5000").await;
    done(permitted(scene.pay(&grant, "999.9999").await)).await;
    done(permitted(scene.pay(&grant, "0.0001").await)).await;
    let third = scene.pay(&grant, "1").await;
    assert_eq!(
        (denied(&third), &*third.decided().rules),
        (Cause::Forbidden, &["dear".to_owned()][..])
    );
    scene.home().await;
    // What was held for the call that a rule then denied is free again, and it is counted nowhere.
    assert_eq!(scene.money(&task).await, ["1000", "0", "0"]);
    let sql = scene.world.sql().await.unwrap();
    let used = sql.query_one("SELECT times FROM task_tool", &[]).await.unwrap();
    assert_eq!(used.get::<_, i64>(0), 2);
}
