//! Holds in any order, on two replicas at once: opened, answered, left alone, called off, approved by a standing approval.
//!
//! Goal: what is counted is what the holds themselves say. Method: seeded histories on real parts; afterwards an oracle that shares
//! no code with what it judges reads every hold and counts anew. A failure names its seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use checkrein_control_plane::hold;
use checkrein_proto::hold::v1 as wire;
use checkrein_proto::hold::v1::NumbersRequest;
use checkrein_proto::hold::v1::open_response::Result as Opened;
use checkrein_proto::task::v1::StartResponse;
use checkrein_shared::identity::Role;
use checkrein_tests::Person;
use tokio::task::JoinSet;
use tokio_postgres::{Client, Row};

use super::super::groups;
use crate::flows::asking::{AGENT, Asking, open};

/// So many histories at least,
const SEEDS: u64 = 4;
/// and at most so many, until everything that can become of a hold has happened in one.
const SEEDS_MAX: u64 = 24;
/// So many act at once, half of them on each replica.
const ACTORS: usize = 6;
/// Each of them so often.
const OPS: usize = 24;
const CLERK: &str = "spiffe://acme.example/agent/clerk";
const MIGRATION: &str = include_str!("../../../../../control-plane/migrations/0031_page.sql");

/// Small and the same everywhere: what it gives is not secret.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// What became of some holds: opened, standing, approved, denied, expired, cancelled; and on which step each answer came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Counts([i64; 6], BTreeMap<i32, i64>);

/// By part, day and name.
type Table = BTreeMap<(String, String, String), Counts>;

struct Run {
    scene: Asking,
    replicas: [usize; 2],
    tasks: Vec<StartResponse>,
    opened: Mutex<Vec<wire::Hold>>,
}

/// Somebody who does things, as whoever may.
struct Actor {
    edges: [Person; 2],
    people: [Person; 2],
    operator: Person,
    sql: Client,
    dice: Dice,
}

impl Run {
    async fn set() -> Self {
        let mut scene = groups::scene("").await;
        scene.world.register("edge-2", &[], &[CLERK]).await.unwrap();
        let second = scene.world.add_replica().await.unwrap();
        let mut tasks = Vec::new();
        for agent in [AGENT, CLERK, AGENT, CLERK] {
            let started = scene.operator.start("alice", agent, &["bank/*"], &[]).await;
            tasks.push(started.unwrap());
        }
        Self {
            replicas: [0, second],
            scene,
            tasks,
            opened: Mutex::default(),
        }
    }

    async fn actor(&self, n: usize, dice: Dice) -> Actor {
        let world = &self.scene.world;
        let replica = self.replicas[n % 2];
        let person = async |role, name| world.person(role, name, replica).await.unwrap();
        Actor {
            edges: [
                person(Role::Enforcer, "edge").await,
                person(Role::Enforcer, "edge-2").await,
            ],
            people: [
                person(Role::Approver, "bob").await,
                person(Role::Approver, "carol").await,
            ],
            operator: person(Role::Operator, "olga").await,
            sql: world.sql().await.unwrap(),
            dice,
        }
    }

    fn any_hold(&self, dice: &mut Dice) -> Option<wire::Hold> {
        let opened = self.opened.lock().unwrap();
        (!opened.is_empty()).then(|| opened[dice.roll(opened.len())].clone())
    }
}

impl Actor {
    /// Does something; that it was refused is as good an answer as any.
    async fn act(&mut self, run: &Run) {
        let what = self.dice.roll(20);
        if what < 7 {
            return self.open(run).await;
        }
        let Some(hold) = run.any_hold(&mut self.dice) else {
            return;
        };
        let person = &self.people[self.dice.roll(2)];
        match what {
            7..10 => drop(person.vote(&hold, true).await),
            10..12 => {
                let terms = wire::Terms {
                    for_ms: 60_000,
                    times: 3,
                    ..wire::Terms::default()
                };
                drop(person.vote_with(&hold, true, Some(terms)).await);
            }
            12..14 => drop(person.vote(&hold, false).await),
            14 => self.make_late(&hold, "decide_by").await,
            15 => self.make_late(&hold, "use_by").await,
            16 | 17 => self.release(run, &hold).await,
            18 => drop(hold::sweep(&run.scene.world.database().unwrap()).await),
            _ if self.dice.roll(4) == 0 => {
                let task = hold.action.as_ref().unwrap().task_id.clone();
                drop(self.operator.end(&task).await);
            }
            _ => {}
        }
    }

    async fn open(&mut self, run: &Run) {
        let (at, to) = (self.dice.roll(run.tasks.len()), self.dice.roll(4));
        let call = format!("call-{}", self.dice.roll(1_000_000));
        let mut request = open(&run.tasks[at], &call, &format!("US{to}"));
        let rule = request.requirements[0].clone();
        // Of one group, of another, of both, of one by two rules.
        let groups: &[&str] = match self.dice.roll(4) {
            0 => &["treasury"],
            1 => &["board"],
            2 => &["treasury", "board"],
            _ => &["treasury", "treasury"],
        };
        let of = groups.iter().enumerate().map(|(n, group)| wire::Requirement {
            rule: format!("rule-{n}"),
            group: (*group).to_owned(),
            ..rule.clone()
        });
        request.requirements = of.collect();
        let answer = self.edges[at % 2].holds().open(request).await;
        if let Ok(Some(Opened::Hold(hold))) = answer.map(|answer| answer.into_inner().result) {
            run.opened.lock().unwrap().push(hold);
        }
    }

    async fn release(&self, run: &Run, hold: &wire::Hold) {
        let of = |started: &&StartResponse| {
            started.task.as_ref().unwrap().task_id == hold.action.as_ref().unwrap().task_id
        };
        let at = run.tasks.iter().position(|started| of(&started)).unwrap();
        let request = wire::ConsumeRequest {
            presented: run.tasks[at].grant.clone(),
            ..run.scene.consume_request(hold)
        };
        drop(self.edges[at % 2].holds().consume(request).await);
    }

    async fn make_late(&self, hold: &wire::Hold, deadline: &str) {
        let late = format!(
            "UPDATE hold SET {deadline} = clock_timestamp() - interval '1 hour'
             WHERE 'hold_' || replace(id::text, '-', '') = $1 AND {deadline} IS NOT NULL"
        );
        self.sql.execute(&late, &[&hold.hold_id]).await.unwrap();
    }
}

/// As the database counted them.
async fn counted(sql: &Client) -> Table {
    let read = "SELECT part, day::text, name, ARRAY[opened, standing, approved, denied, expired, cancelled] AS counts,
            ARRAY(SELECT step FROM generate_subscripts(answers, 1) step WHERE answers[step] IS NOT NULL ORDER BY step) AS steps,
            ARRAY(SELECT answers[step]::bigint FROM generate_subscripts(answers, 1) step WHERE answers[step] IS NOT NULL
                ORDER BY step) AS answers
        FROM hold_count";
    let row = |row: &Row| {
        let counts: Vec<i64> = row.get("counts");
        let (steps, answers): (Vec<i32>, Vec<i64>) = (row.get("steps"), row.get("answers"));
        let key = (row.get("part"), row.get("day"), row.get("name"));
        let answers = steps.into_iter().zip(answers).collect();
        (key, Counts(counts.try_into().unwrap(), answers))
    };
    sql.query(read, &[]).await.unwrap().iter().map(row).collect()
}

/// As the holds say.
async fn reckoned(sql: &Client) -> Table {
    let read = "SELECT id, agent, to_char(opened_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day, state, standing_id IS NOT NULL AS stood,
            use_by IS NOT NULL AS agreed,
            (extract(epoch FROM answered_at) - extract(epoch FROM opened_at))::float8 * 1000 AS took_ms,
            ARRAY(SELECT group_name FROM hold_requirement WHERE hold_id = hold.id) AS groups
        FROM hold";
    let mut table = Table::new();
    for row in sql.query(read, &[]).await.unwrap() {
        let state: &str = row.get("state");
        let became = match state {
            "open" => None,
            _ if row.get("stood") => Some(1),
            _ if row.get("agreed") => Some(2),
            "denied" => Some(3),
            "expired" => Some(4),
            "cancelled" => Some(5),
            other => panic!("{other}"),
        };
        let took_ms: Option<f64> = row.get("took_ms");
        let step = took_ms.filter(|_| matches!(became, Some(2 | 3))).map(|took_ms| {
            let step = (took_ms.max(1.0).ln() * 20.0).ceil();
            format!("{step:.0}").parse::<i32>().unwrap()
        });
        let groups: BTreeSet<String> = row.get::<_, Vec<String>>("groups").into_iter().collect();
        let groups = groups.into_iter().map(|group| ("group", group));
        let parts = [("all", String::new()), ("agent", row.get("agent"))];
        for (part, name) in parts.into_iter().chain(groups) {
            let Counts(counts, answers) = table.entry((part.to_owned(), row.get("day"), name)).or_default();
            counts[0] += 1;
            if let Some(became) = became {
                counts[became] += 1;
            }
            if let Some(step) = step {
                *answers.entry(step).or_default() += 1;
            }
        }
    }
    table
}

/// Both in one state of the database: replicas sweep what is late meanwhile.
async fn at_one_moment(sql: &Client) -> (Table, Table) {
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ";
    sql.batch_execute(begin).await.unwrap();
    let both = (counted(sql).await, reckoned(sql).await);
    sql.batch_execute("COMMIT").await.unwrap();
    both
}

/// Counts as a database that never counted would begin to.
async fn count_by_the_migration(sql: &Client) {
    let undo = "DROP TRIGGER hold_opened ON hold; DROP TRIGGER hold_answered ON hold;
        DROP FUNCTION count_hold(), hold_became(text, uuid, timestamptz), hold_answer_step(timestamptz, timestamptz);
        DROP TABLE hold_count; DROP INDEX hold_by_state;
        CREATE INDEX hold_numbers ON hold (opened_at); CREATE INDEX hold_requirement_group ON hold_requirement (hold_id);
        CREATE INDEX hold_waiting ON hold (decide_by);
        DROP INDEX decision_stopped_by_tool, decision_stopped_by_agent";
    sql.batch_execute(&format!("BEGIN; {undo}; {MIGRATION}; COMMIT"))
        .await
        .unwrap();
}

async fn run(seed: u64) -> [i64; 6] {
    let run = Arc::new(Run::set().await);
    let mut acting = JoinSet::new();
    for n in 0..ACTORS {
        let dice = Dice((seed * 101 + u64::try_from(n).unwrap()).wrapping_mul(7_919));
        let (run, mut actor) = (Arc::clone(&run), run.actor(n, dice).await);
        acting.spawn(async move {
            for _ in 0..OPS {
                actor.act(&run).await;
            }
        });
    }
    acting.join_all().await;
    let sql = run.scene.sql().await;
    let (counted, reckoned) = at_one_moment(&sql).await;
    assert_eq!(counted, reckoned, "seed {seed}");
    let mut all = [0; 6];
    let of_all = counted.iter().filter(|((part, ..), _)| part == "all");
    for (_, Counts(counts, _)) in of_all {
        for (all, count) in all.iter_mut().zip(counts) {
            *all += count;
        }
    }
    let report = run
        .scene
        .operator
        .holds()
        .numbers(NumbersRequest { days: 2 })
        .await;
    let total = report.unwrap().into_inner().total.unwrap();
    assert_eq!(total.asked + total.standing, u64::try_from(all[0]).unwrap());
    count_by_the_migration(&sql).await;
    let (counted, reckoned) = at_one_moment(&sql).await;
    assert_eq!(counted, reckoned, "seed {seed}, by the migration");
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_holds_their_counts_are_what_the_holds_say() {
    let mut all = [0; 6];
    for seed in 0..SEEDS_MAX {
        if seed >= SEEDS && all.iter().all(|count| *count > 0) {
            break;
        }
        for (all, count) in all.iter_mut().zip(run(seed).await) {
            *all += count;
        }
    }
    // All of it happened: else nothing was shown.
    assert!(all.iter().all(|count| *count > 0), "{all:?}");
    assert!(all[0] > all[1..].iter().sum(), "{all:?}: nothing waits");
}
