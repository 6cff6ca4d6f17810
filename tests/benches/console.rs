//! What a page costs a server: each page of the console over real HTTP, with 10,000 holds that wait and a record of a million
//! decisions in thirty day partitions, of which one in twelve was held and answered, beside the same pages over a hundredth of it.
//!
//! The record is made in the database, each row with the bytes of a real decision; holds that wait are made with the hash of what
//! they hold. What is measured is a request of one browser after another, from the first byte sent to the last received.
//! `CHECKREIN_BENCH_DECISIONS` asks for another number of decisions.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use checkrein_proto::fleet::v1::SignInRequest;
use checkrein_shared::SystemClock;
use checkrein_shared::action::{ActionIdentity, MaskedArguments, Sha256};
use checkrein_shared::decision::{Cause, Decision, Mode, Record, Tier, Verdict};
use checkrein_shared::id::{DecisionId, Generation, HoldId, TaskId};
use checkrein_shared::identity::Role;
use checkrein_tests::{Conditions, Latency, Stopwatch, World, payments};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use tokio::time::Instant;
use tokio_postgres::Client as Sql;
use tonic::codegen::http::{Request, StatusCode};

const MIGRATION: &str = include_str!("../../control-plane/migrations/0031_page.sql");
const AGENT: &str = "spiffe://acme.example/agent/billing";
/// Decisions in the record, unless asked for others.
const DECISIONS: u64 = 1_000_000;
/// In so many days.
const DAYS: u64 = 30;
/// Holds that wait.
const HOLDS: u64 = 10_000;
/// Tasks that they are in.
const TASKS: u64 = 2_000;
/// One in so many decisions was held, and is over.
const HELD: u64 = 12;
/// How often each page is asked for.
const TIMES: u32 = 30;
/// How often one is asked for that looks at too much and is ended.
const ENDED_TIMES: u32 = 3;
/// By two things that never meet, in an order in which no index finds that out.
const ENDED: &str = "/decisions?tool=bank/tool-2&rule=rule-1";

/// The pages, and what they are called here.
const PAGES: [(&str, &str); 15] = [
    ("inbox", "/"),
    ("fleet", "/fleet"),
    ("policies", "/policies"),
    ("one pack, 30 days", "/policies/payments?days=30"),
    ("decisions, all", "/decisions"),
    ("decisions, rare tool", "/decisions?tool=bank/rare"),
    ("decisions, no such tool", "/decisions?tool=bank/none"),
    ("decisions, denied", "/decisions?verdict=deny"),
    (
        "decisions, never denied",
        "/decisions?verdict=deny&tool=bank/tool-1",
    ),
    ("decisions, rule", "/decisions?rule=rare"),
    ("decisions, common rule", "/decisions?rule=rule-1"),
    ("decisions, long ago", "/decisions?until=480h"),
    ("tasks", "/tasks"),
    ("numbers, 7 days", "/numbers"),
    ("numbers, 92 days", "/numbers?days=92"),
];

/// What is stored.
#[derive(Debug, Serialize)]
struct Figures {
    decisions: u64,
    holds: u64,
    holds_over: u64,
    days: u64,
    pages: Vec<Page>,
    /// Until a search that looks at too much is ended.
    ended: Latency,
}

#[derive(Debug, Serialize)]
struct Page {
    name: &'static str,
    /// Over a hundredth of the record.
    short: Latency,
    /// Over all of it.
    whole: Latency,
    /// Of p50.
    ratio: f64,
    bytes: usize,
}

/// A browser that is signed in.
struct Browser {
    client: Client<HttpConnector, Full<Bytes>>,
    site: String,
    cookie: String,
}

fn main() -> Result<()> {
    let conditions = Conditions::now(&SystemClock);
    let figures = tokio::runtime::Runtime::new()?.block_on(measure())?;
    print(&figures);
    conditions.store("console", &figures)
}

async fn measure() -> Result<Figures> {
    let asked = std::env::var("CHECKREIN_BENCH_DECISIONS").ok();
    let decisions = asked.map_or(Ok(DECISIONS), |asked| asked.parse())?;
    let world = World::start().await?;
    world.register("edge", &[], &[AGENT]).await?;
    world.push(&payments()?).await?;
    let sql = world.sql().await?;
    make_partitions(&sql).await?;
    make_holds(&sql).await?;
    let browser = Browser::of(&world).await?;
    let a_day = decisions / DAYS;
    make_past(&sql, 0, a_day / 100).await?;
    let short = look(&browser).await?;
    make_past(&sql, 1, a_day).await?;
    let whole = look(&browser).await?;
    let ended = browser.until_ended().await?;
    let pages = short
        .into_iter()
        .zip(whole)
        .map(|((name, short, _), (_, whole, bytes))| Page {
            name,
            ratio: whole.p50_us / short.p50_us,
            short,
            whole,
            bytes,
        });
    Ok(Figures {
        decisions,
        holds: HOLDS,
        holds_over: decisions / HELD,
        days: DAYS,
        pages: pages.collect(),
        ended,
    })
}

/// Each page, in turns, so that none has the machine to itself.
async fn look(browser: &Browser) -> Result<Vec<(&'static str, Latency, usize)>> {
    let mut watches = PAGES.map(|_| Stopwatch::new());
    let mut bytes = [0; PAGES.len()];
    for round in 0..=TIMES {
        for (at, (_, path)) in PAGES.iter().enumerate() {
            let begun = Instant::now();
            bytes[at] = browser.get(path).await?;
            // The first round warms what stays warm.
            if let (true, Ok(watch)) = (round > 0, &mut watches[at]) {
                watch.record(begun.elapsed());
            }
        }
    }
    let figures = PAGES.iter().zip(watches).zip(bytes);
    figures
        .map(|(((name, _), watch), bytes)| Ok((*name, watch?.latency(), bytes)))
        .collect()
}

impl Browser {
    async fn of(world: &World) -> Result<Self> {
        let operator = world.person(Role::Approver, "bob", 0).await?;
        let url = operator.fleet().sign_in(SignInRequest {}).await?.into_inner().url;
        let (site, link) = url.split_once("/sign-in?link=").context("a link")?;
        let mut browser = Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            site: site.to_owned(),
            cookie: String::new(),
        };
        let request = Request::post(format!("{site}/sign-in/link"))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", site)
            .body(Full::new(Bytes::from(format!("link={link}"))))?;
        let answer = browser.client.request(request).await?;
        let cookie = answer
            .headers()
            .get("set-cookie")
            .context("a session")?
            .to_str()?;
        cookie
            .split(';')
            .next()
            .unwrap_or_default()
            .clone_into(&mut browser.cookie);
        Ok(browser)
    }

    /// How many bytes the page has.
    async fn get(&self, path: &str) -> Result<usize> {
        let (status, bytes) = self.answer(path).await?;
        ensure!(status == StatusCode::OK, "{path}: {status}");
        Ok(bytes)
    }

    async fn answer(&self, path: &str) -> Result<(StatusCode, usize)> {
        let request = Request::get(format!("{}{path}", self.site))
            .header("cookie", &self.cookie)
            .body(Full::default())?;
        let answer = self.client.request(request).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes().len()))
    }

    /// How long it takes until a search that looks at too much is ended, or says in time that there is nothing.
    async fn until_ended(&self) -> Result<Latency> {
        let mut watch = Stopwatch::new()?;
        for _ in 0..ENDED_TIMES {
            let begun = Instant::now();
            let (status, _) = self.answer(ENDED).await?;
            ensure!(!status.is_server_error(), "{ENDED}: {status}");
            watch.record(begun.elapsed());
        }
        Ok(watch.latency())
    }
}

async fn make_partitions(sql: &Sql) -> Result<()> {
    let make = format!(
        "DO $$ DECLARE day date; BEGIN
            FOR ago IN 1..{DAYS} LOOP
                day := (now() AT TIME ZONE 'UTC')::date - ago;
                EXECUTE format('CREATE TABLE %I PARTITION OF decision FOR VALUES FROM (%L) TO (%L)',
                    'decision_' || to_char(day, 'YYYYMMDD'), day, day + 1);
            END LOOP; END $$;
            ALTER TABLE decision ALTER COLUMN rules SET STATISTICS 1000"
    );
    Ok(sql.batch_execute(&make).await?)
}

/// So many decisions on each day, the holds that were among them, and the counts of both. Indexes are made afterwards, as that is
/// sooner done.
async fn make_past(sql: &Sql, part: i64, a_day: u64) -> Result<()> {
    let rows = sql
        .query(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'decision'",
            &[],
        )
        .await?;
    let indexes: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    for (name, _) in &indexes {
        sql.batch_execute(&format!("DROP INDEX {name}")).await?;
    }
    make_record(sql, part, a_day).await?;
    for (_, make) in &indexes {
        sql.batch_execute(&make.replace(" ON ONLY ", " ON ")).await?;
    }
    make_over(sql, part, a_day / HELD).await?;
    sql.batch_execute("VACUUM ANALYZE").await?;
    Ok(())
}

async fn make_record(sql: &Sql, part: i64, a_day: u64) -> Result<()> {
    let record = Record::Decision(Box::new(decision())).encode();
    let fill = "INSERT INTO decision (received_day, received_at, enforcer, instance_id, incarnation, sequence, chain_hash,
            record, id, decided_at, task_id, agent, tool, verdict, rules)
        SELECT day, moment, 'edge', '00000000-0000-0000-0000-000000000001', 1, n, sha256(n::text::bytea), $1::bytea,
            (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '7' || substr(md5(n || '.' || $4), 1, 3)
                || '8' || substr(md5(n || '.' || $4), 4, 15))::uuid,
            moment, ('00000000-0000-7000-8000-' || lpad(to_hex(n / 100), 12, '0'))::uuid,
            'spiffe://acme.example/agent/a' || n % 200,
            CASE WHEN n % 10000 = 5 THEN 'bank/rare' ELSE 'bank/tool-' || n % 50 END,
            CASE WHEN n % 100 = 7 THEN 'deny' WHEN n % 500 = 9 THEN 'hold' ELSE 'permit' END,
            CASE WHEN n % 10000 = 5 THEN ARRAY['rare'] ELSE ARRAY['rule-' || n % 30] END
        FROM (SELECT n, (now() AT TIME ZONE 'UTC')::date - $2::int AS day,
            ((now() AT TIME ZONE 'UTC')::date - $2::int)::timestamp AT TIME ZONE 'UTC' + n * (interval '86390 s' / $3::bigint) AS moment
            FROM generate_series(1, $3::bigint) n) row";
    for ago in 1..=i32::try_from(DAYS)? {
        sql.execute(fill, &[&record, &ago, &i64::try_from(a_day)?, &part.to_string()])
            .await?;
    }
    let rules = "INSERT INTO rule_count (hour, lane, rule, verdict, decisions)
        SELECT date_trunc('hour', now()) - n * interval '1 hour', lane, rule, 'permit', 1000
        FROM generate_series(1, 720) n, generate_series(0, 3) lane,
            (SELECT unnest(ARRAY['look', 'note', 'pay-small', 'close', 'prod-only']) UNION ALL
                SELECT 'rule-' || n FROM generate_series(0, 29) n) AS of (rule)
        ON CONFLICT DO NOTHING";
    sql.execute(rules, &[]).await?;
    let agents = "INSERT INTO agent_count (day, lane, agent, calls)
        SELECT (now() AT TIME ZONE 'UTC')::date - n, lane, 'spiffe://acme.example/agent/a' || agent, 400
        FROM generate_series(0, 30) n, generate_series(0, 3) lane, generate_series(0, 199) agent
        ON CONFLICT DO NOTHING";
    sql.execute(agents, &[]).await?;
    Ok(())
}

/// So many holds on each day that are over: most answered within hours, some by nobody.
async fn make_over(sql: &Sql, part: i64, a_day: u64) -> Result<()> {
    let fill = "INSERT INTO hold (id, task_id, call_id, action_sha256, agent, user_name, tool, definition_sha256, arguments,
            denial_class, enforcer, decision_id, generation, environment, intent, reason, opened_at, decide_by, use_within_ms,
            state, version, use_by, answered_at)
        SELECT gen_random_uuid(), task, part || '.' || n, sha256(n::text::bytea), 'spiffe://acme.example/agent/a' || n % 200, 'alice',
            'bank/tool-' || n % 50, sha256('definition'), '{\"amount\":10,\"recipient\":\"US133000000121212121212\"}',
            sha256((n % 1000)::text::bytea), 'edge', gen_random_uuid(), 1, 'production', 'pay what is due',
            'the user did not name this account', opened, opened + interval '8 hours', 300000, state, 2,
            CASE WHEN state = 'lapsed' THEN opened + took + interval '5 minutes' END,
            CASE WHEN state IN ('lapsed', 'denied') THEN opened + took END
        FROM (SELECT n, $1::text AS part, tasks[1 + n % cardinality(tasks)] AS task,
                date_trunc('day', now(), 'UTC') - interval '30 days' + n * (interval '30 days' / $2::bigint) AS opened,
                interval '1 second' * exp(random() * 9.5) AS took,
                CASE WHEN n % 10 < 7 THEN 'lapsed' WHEN n % 10 = 7 THEN 'denied' WHEN n % 10 = 8 THEN 'expired' ELSE 'cancelled' END AS state
            FROM generate_series(1, $2::bigint) n, (SELECT array_agg(id) AS tasks FROM task) of) row";
    let wants = "INSERT INTO hold_requirement (hold_id, rule, group_name, quorum, decide_within_ms, use_within_ms, reason)
        SELECT id, 'pay-unnamed', 'group-' || length(tool) || abs(hashtext(call_id)) % 5, 1, 28800000, 300000, ''
        FROM hold WHERE state <> 'open' ON CONFLICT DO NOTHING";
    let all = i64::try_from(a_day * DAYS)?;
    sql.batch_execute("ALTER TABLE hold DISABLE TRIGGER USER").await?;
    sql.execute(fill, &[&part.to_string(), &all]).await?;
    sql.execute(wants, &[]).await?;
    // Counted at once, as an upgrade counts what was held before it.
    let (_, counts) = MIGRATION
        .split_once("-- What was held before.")
        .context("counts")?;
    let (counts, _) = counts.split_once("DROP INDEX").context("their end")?;
    let counts = format!("TRUNCATE hold_count; --{counts}; ALTER TABLE hold ENABLE TRIGGER USER");
    sql.batch_execute(&counts).await?;
    Ok(())
}

/// Holds that wait, each with the hash of what it holds. They are counted with those that are over.
async fn make_holds(sql: &Sql) -> Result<()> {
    let tasks: Vec<TaskId> = (0..TASKS).map(|_| TaskId::new(&SystemClock)).collect();
    let ids: Vec<_> = tasks.iter().map(|task| task.uuid()).collect();
    let start = "INSERT INTO task (id, grant_id, user_name, agent, scope, named, intent, environment, started_by, started_at,
            expires_at, state)
        SELECT id, gen_random_uuid(), 'alice', $2, '{}', '{}', 'pay what is due', 'production', 'spiffe://acme.example/operator/olga',
            now(), now() + interval '1 day', 'live' FROM unnest($1::uuid[]) id";
    sql.execute(start, &[&ids, &AGENT]).await?;
    sql.batch_execute("ALTER TABLE hold DISABLE TRIGGER USER").await?;
    let (mut holds, mut of, mut hashes, mut texts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (n, task) in (0..HOLDS).zip(tasks.iter().cycle()) {
        let arguments = format!(r#"{{"amount":{n},"recipient":"US133000000121212121212"}}"#);
        let action = ActionIdentity {
            task: *task,
            agent: AGENT.parse()?,
            delegated_by: Vec::new(),
            user: "alice".to_owned(),
            tool: "bank/send_money".to_owned(),
            definition: Sha256::of(b"definition"),
            arguments: MaskedArguments(arguments.clone()),
        };
        holds.push(HoldId::new(&SystemClock).uuid());
        of.push(task.uuid());
        hashes.push(action.sha256().0.to_vec());
        texts.push(arguments);
    }
    let hold = "INSERT INTO hold (id, task_id, call_id, action_sha256, agent, user_name, tool, definition_sha256, arguments,
            denial_class, enforcer, decision_id, generation, environment, intent, reason, opened_at, decide_by, use_within_ms,
            state, version)
        SELECT id, task_id, id::text, hash, $5, 'alice', 'bank/send_money', $6, arguments, hash, 'edge', gen_random_uuid(), 1,
            'production', 'pay what is due', 'the user did not name this account', now(), now() + interval '8 hours', 300000, 'open', 1
        FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::text[]) AS row (id, task_id, hash, arguments)";
    let definition = Sha256::of(b"definition").0.to_vec();
    sql.execute(hold, &[&holds, &of, &hashes, &texts, &AGENT, &definition])
        .await?;
    let wants = "INSERT INTO hold_requirement (hold_id, rule, group_name, quorum, decide_within_ms, use_within_ms, reason)
        SELECT id, 'pay-unnamed', 'treasury', 1, 28800000, 300000, '' FROM hold";
    sql.execute(wants, &[]).await?;
    Ok(())
}

/// A permit as an enforcer writes one.
fn decision() -> Decision {
    Decision {
        id: DecisionId::new(&SystemClock),
        decided_ms: 1_772_323_200_000,
        agent: AGENT.parse().unwrap_or_else(|_| unreachable!("an agent")),
        agent_asserted: false,
        user: "alice".to_owned(),
        task: None,
        grant: None,
        call_id: "call-0193f1c2a4b87d3e9f00a1b2c3d4e5f6".to_owned(),
        tool: "bank/get_balance".to_owned(),
        arguments: MaskedArguments(r#"{"account":"GB29NWBK60161331926819","from":"2026-03-01"}"#.to_owned()),
        action: None,
        tier: Tier::Light,
        verdict: Verdict::Permit,
        cause: Cause::Permitted,
        reason: "permitted by look".to_owned(),
        rules: vec!["look".to_owned()],
        mode: Mode::Enforce,
        epoch: 1,
        generation: Generation(1),
        revocation_sequence: 0,
        policy_age_ms: 120,
        hold: None,
        environment: "production".to_owned(),
        intent: "pay what is due".to_owned(),
        delegated_by: Vec::new(),
        ledger: None,
        yields: BTreeSet::new(),
        reversibility: None,
        release: None,
        drawn: None,
    }
}

fn print(figures: &Figures) {
    println!(
        "console: {} decisions in {} days, {} of them held, {} holds that wait\n",
        figures.decisions, figures.days, figures.holds_over, figures.holds
    );
    println!(
        "{:26} {:>12} {:>12} {:>12} {:>7} {:>9}",
        "page", "short p50", "whole p50", "whole p99", "ratio", "bytes"
    );
    let ms = |us: f64| format!("{:.1} ms", Duration::from_secs_f64(us / 1e6).as_secs_f64() * 1e3);
    for page in &figures.pages {
        println!(
            "{:26} {:>12} {:>12} {:>12} {:>7.1} {:>9}",
            page.name,
            ms(page.short.p50_us),
            ms(page.whole.p50_us),
            ms(page.whole.p99_us),
            page.ratio,
            page.bytes
        );
    }
    println!(
        "\na search that looks at too much is ended, or answered with nothing, after {}",
        ms(figures.ended.p50_us)
    );
}
