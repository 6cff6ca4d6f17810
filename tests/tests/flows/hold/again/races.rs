//! Everything at once on one standing approval: two enforcers through two replicas, and whatever ends it.
//!
//! Goal: whatever the moments, there are never more uses than the count, none after an end, none outside the bounds, and each
//! hold is consumed at most once. Method: seeded schedules; calls run at once with one end, and the database says afterwards in
//! which order things happened. A failure names its seed.

use std::collections::BTreeSet;

use checkrein_proto::hold::v1 as wire;
use checkrein_proto::hold::v1::State;
use checkrein_proto::hold::v1::consume_response::Result as Consumed;
use checkrein_proto::hold::v1::open_response::Result as Opened;
use checkrein_proto::task::v1::{AmendRequest, StartResponse};
use checkrein_shared::SystemClock;
use checkrein_shared::id::InstanceId;
use checkrein_shared::identity::Role;
use checkrein_tests::{Person, World, fresh_key, payments};
use tokio::task::JoinSet;

use super::terms;
use crate::flows::asking::{AGENT, Asking, open};

const SEEDS: u64 = 5;
const CALLS: usize = 16;

/// What ends it while it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Nothing,
    Revoked,
    TaskRevoked,
    Amended,
    Denied,
    Removed,
}

const ENDS: [Ends; 6] = [
    Ends::Nothing,
    Ends::Revoked,
    Ends::TaskRevoked,
    Ends::Amended,
    Ends::Denied,
    Ends::Removed,
];

/// Small and the same everywhere: what it gives is not secret.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A world with two replicas and an enforcer's certificate at each.
async fn two_enforcers() -> (Asking, Vec<Person>) {
    let mut world = World::start().await.unwrap();
    let second = world.add_replica().await.unwrap();
    for name in ["edge", "shore"] {
        world.register(name, &[], &[AGENT]).await.unwrap();
    }
    let generation = world.push(&payments().unwrap()).await.unwrap();
    let operator = world.operator().await.unwrap();
    let started = operator.start("alice", AGENT, &["bank/*"], &[]).await.unwrap();
    let edge = world.person(Role::Enforcer, "edge", 0).await.unwrap();
    let shore = world.person(Role::Enforcer, "shore", second).await.unwrap();
    let scene = Asking {
        edge: edge.clone(),
        task: started.task.clone().unwrap(),
        started,
        instance: InstanceId::new(&SystemClock),
        world,
        operator,
        generation,
    };
    (scene, vec![edge, shore])
}

fn pay(started: &StartResponse, call: &str, amount: u64) -> wire::OpenRequest {
    let mut request = open(started, call, "US13");
    let mut action = checkrein_shared::action::ActionIdentity::try_from(request.action.unwrap()).unwrap();
    action.arguments.0 = format!(r#"{{"amount":{amount},"memo":"{call}","recipient":"US13"}}"#);
    request.action = Some((&action).into());
    request
}

/// Opens and, if it was approved, releases: twice, as an enforcer does that did not hear the answer. How often it was let.
async fn call(enforcer: Person, request: wire::OpenRequest, mut consume: wire::ConsumeRequest) -> usize {
    let Ok(opened) = enforcer.holds().open(request).await else {
        return 0;
    };
    let Some(Opened::Hold(hold)) = opened.into_inner().result else {
        return 0;
    };
    if hold.state() != State::Approved {
        return 0;
    }
    consume.action_sha256 = hold.action.unwrap().action_sha256;
    consume.hold_id = hold.hold_id;
    consume.requirements = hold.requirements;
    let twice = [consume.clone(), consume].map(|consume| {
        let enforcer = enforcer.clone();
        async move {
            let answer = enforcer.holds().consume(consume).await;
            answer.is_ok_and(|answer| matches!(answer.into_inner().result, Some(Consumed::Consumed(_))))
        }
    });
    let [one, two] = twice;
    let (one, two) = tokio::join!(one, two);
    usize::from(one) + usize::from(two)
}

async fn end(scene: &Asking, standing: &wire::Standing, ends: Ends) {
    match ends {
        Ends::Nothing => {}
        Ends::Revoked => {
            let request = wire::RevokeStandingRequest {
                standing_id: standing.standing_id.clone(),
                reason: "enough".to_owned(),
                idempotency_key: fresh_key(),
            };
            scene.operator.holds().revoke_standing(request).await.unwrap();
        }
        Ends::TaskRevoked => scene.operator.revoke(&scene.task.task_id).await.unwrap(),
        Ends::Amended => {
            let request = AmendRequest {
                task_id: scene.task.task_id.clone(),
                risk: Some(1),
                reason: "changed".to_owned(),
                idempotency_key: fresh_key(),
                ..AmendRequest::default()
            };
            scene.operator.tasks().amend(request).await.unwrap();
        }
        Ends::Denied => {
            let asked = wire::ListRequest {
                states: vec![State::Open.into()],
                ..wire::ListRequest::default()
            };
            let waiting = scene
                .operator
                .holds()
                .list(asked)
                .await
                .unwrap()
                .into_inner()
                .holds;
            scene.deny(&waiting[0]).await.unwrap();
        }
        Ends::Removed => {
            scene
                .operator
                .remove("spiffe://acme.example/approver/bob")
                .await
                .unwrap();
        }
    }
}

async fn run(seed: u64, ends: Ends) {
    let context = format!("seed {seed}, {ends:?}");
    let mut dice = Dice(seed.wrapping_mul(31).wrapping_add(ends as u64));
    let (scene, enforcers) = two_enforcers().await;
    let times = 1 + u32::try_from(dice.roll(CALLS as u64)).unwrap();
    let first = scene.opened(pay(&scene.started, "first", 500)).await;
    let bob = scene.world.approver("bob").await.unwrap();
    let voted = bob
        .vote_with(&first, true, Some(terms(times, "400")))
        .await
        .unwrap();
    let standing = voted.standing.unwrap();
    // Something of the class waits, so that there is something to say no to.
    scene.opened(pay(&scene.started, "waits", 450)).await;

    let mut within = BTreeSet::new();
    let mut calls = JoinSet::new();
    let pause = |dice: &mut Dice| std::time::Duration::from_micros(dice.roll(30_000));
    for at in 0..CALLS {
        // One in four is more than may be.
        let amount = if dice.roll(4) == 0 {
            401 + dice.roll(99)
        } else {
            dice.roll(401)
        };
        let name = format!("call-{at}");
        if amount <= 400 {
            within.insert(name.clone());
        }
        let request = pay(&scene.started, &name, amount);
        let mut consume = scene.consume_request(&first);
        consume.incarnation = 1;
        let (enforcer, wait) = (enforcers[at % 2].clone(), pause(&mut dice));
        calls.spawn(async move {
            tokio::time::sleep(wait).await;
            call(enforcer, request, consume).await
        });
    }
    tokio::time::sleep(pause(&mut dice)).await;
    end(&scene, &standing, ends).await;
    let mut let_through = 0;
    while let Some(count) = calls.join_next().await {
        let_through += count.unwrap();
    }

    let sql = scene.sql().await;
    let read = "SELECT call_id, state, consumed_at, arguments FROM hold WHERE standing_id IS NOT NULL";
    let approved = sql.query(read, &[]).await.unwrap();
    let consumed = approved
        .iter()
        .filter(|row| row.get::<_, &str>("state") == "consumed")
        .count();
    let after = super::shown(&scene, &standing).await;
    // The very same number three times: what was let through, what the rows say, and never more than may be.
    assert_eq!(let_through, consumed, "{context}: each at most once");
    assert_eq!(
        after.used as usize,
        approved.len(),
        "{context}: charged once for each"
    );
    assert!(after.used <= times, "{context}: {} of {times}", after.used);
    for row in &approved {
        let name: &str = row.get("call_id");
        assert!(
            within.contains(name),
            "{context}: {name} is outside: {}",
            row.get::<_, &str>("arguments")
        );
    }
    let late =
        "SELECT count(*) FROM hold JOIN standing_approval AS standing ON standing.id = hold.standing_id
        WHERE consumed_at > least(lasts_until, ended_at) OR opened_at > least(lasts_until, ended_at)";
    let late: i64 = sql.query_one(late, &[]).await.unwrap().get(0);
    assert_eq!(late, 0, "{context}: nothing after its end");
    if ends == Ends::Nothing {
        let expected = within.len().min(times as usize);
        assert_eq!(consumed, expected, "{context}: exactly the count");
    } else {
        // Whatever it approved before it ended is released or not, and never afterwards.
        let left = "SELECT count(*) FROM hold WHERE standing_id IS NOT NULL AND state = 'approved'";
        let left: i64 = sql.query_one(left, &[]).await.unwrap().get(0);
        assert!(
            left == 0 || ends == Ends::Removed,
            "{context}: {left} still approved"
        );
        let next = scene
            .edge
            .holds()
            .open(pay(&scene.started, "afterwards", 1))
            .await;
        let is_approved = next.is_ok_and(|next| {
            matches!(next.into_inner().result, Some(Opened::Hold(hold)) if hold.state() == State::Approved)
        });
        assert!(!is_approved, "{context}: used after its end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_is_used_up_to_the_last_and_never_beyond_on_two_enforcers() {
    for seed in 0..SEEDS {
        Box::pin(run(seed, Ends::Nothing)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_ends_it_while_it_is_used_nothing_is_used_afterwards() {
    for seed in 0..SEEDS {
        for ends in ENDS {
            Box::pin(run(seed, ends)).await;
        }
    }
}
