//! Looking for decisions: as they were decided, by whatever is known of them, in bounded time; and counted as they come home.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use checkrein_control_plane::decision::{Batch, Decisions, Journal, Retention, keep_partitions};
use checkrein_proto::decision::v1::{SearchRequest, Verdict as Word};
use checkrein_proto::policy::v1::{RuleUse, UsageRequest};
use checkrein_shared::SystemClock;
use checkrein_shared::action::MaskedArguments;
use checkrein_shared::decision::{Cause, Chain, Decision, Mode, Record, Tier, Verdict};
use checkrein_shared::id::{DecisionId, Generation, InstanceId, TaskId};
use checkrein_tests::{Person, World};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::AGENT;

const HOUR_MS: u64 = 3_600_000;
/// A while ago, and the beginning of an hour.
pub(in crate::flows) const THEN_MS: u64 = 1_772_323_200_000;

/// A journal that brings home what it is told.
pub(in crate::flows) struct Scribe {
    decisions: Decisions,
    journal: Journal,
    at: Chain,
}

impl Scribe {
    pub(in crate::flows) async fn of(world: &World, name: &str) -> Self {
        world.register(name, &[], &[AGENT]).await.unwrap();
        let decisions = Decisions::new(world.database().unwrap(), CancellationToken::new());
        let journal = Journal {
            enforcer: name.to_owned(),
            instance: InstanceId::new(&SystemClock),
            incarnation: 1,
        };
        let at = decisions.open(&journal, None).await.unwrap();
        Self {
            decisions,
            journal,
            at,
        }
    }

    pub(in crate::flows) async fn bring(&mut self, decided: &[Decision]) -> Batch {
        let encode = |decision: &Decision| Bytes::from(Record::Decision(Box::new(decision.clone())).encode());
        let batch = Batch {
            before: self.at,
            records: decided.iter().map(encode).collect(),
        };
        self.at = self.decisions.append(&self.journal, &batch).await.unwrap();
        batch
    }
}

pub(in crate::flows) fn decided(at_ms: u64, tool: &str, verdict: Verdict, rules: &[&str]) -> Decision {
    Decision {
        id: DecisionId::new(&SystemClock),
        decided_ms: at_ms,
        agent: AGENT.parse().unwrap(),
        agent_asserted: true,
        user: "alice".to_owned(),
        task: None,
        grant: None,
        call_id: String::new(),
        tool: tool.to_owned(),
        arguments: MaskedArguments("{}".to_owned()),
        action: None,
        tier: Tier::Light,
        verdict,
        cause: Cause::Permitted,
        reason: String::new(),
        rules: rules.iter().map(ToString::to_string).collect(),
        mode: Mode::Enforce,
        epoch: 1,
        generation: Generation(1),
        revocation_sequence: 0,
        policy_age_ms: 0,
        hold: None,
        environment: "production".to_owned(),
        intent: String::new(),
        delegated_by: Vec::new(),
        ledger: None,
        yields: BTreeSet::new(),
        reversibility: None,
        release: None,
        drawn: None,
    }
}

/// What a search finds, page by page: when each was decided.
async fn found(person: &Person, request: &SearchRequest, page_size: u32) -> Vec<u64> {
    let mut request = SearchRequest {
        page_size,
        ..request.clone()
    };
    let mut moments = Vec::new();
    loop {
        let page = person
            .decisions()
            .search(request.clone())
            .await
            .unwrap()
            .into_inner();
        let decisions = page.decisions.into_iter().filter_map(|stored| stored.decision);
        moments.extend(decisions.map(|decision| decision.decided_unix_ms));
        if page.next_page_token.is_empty() {
            return moments;
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_the_record_as_it_was_decided_whenever_it_came_home() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    let mut edge = Scribe::of(&world, "edge").await;
    let at = |n: u64| decided(THEN_MS + n, "bank/pay", Verdict::Permit, &["small"]);
    edge.bring(&[at(1), at(5), at(3), at(3), at(4)]).await;
    let mut late = Scribe::of(&world, "late").await;
    late.bring(&[at(0), at(2), at(6)]).await;
    let everything = [6, 5, 4, 3, 3, 2, 1, 0].map(|n| THEN_MS + n);
    for page_size in [1, 2, 3, 100] {
        let moments = found(&operator, &SearchRequest::default(), page_size).await;
        assert_eq!(moments, everything, "in pages of {page_size}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_found_by_whatever_is_known_of_it() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    let task = TaskId::new(&SystemClock);
    let other: &str = "spiffe://acme.example/agent/other";
    let mut edge = Scribe::of(&world, "edge").await;
    edge.bring(&[
        decided(THEN_MS, "bank/pay", Verdict::Deny, &["frozen", "limits"]),
        Decision {
            task: Some(task),
            agent: other.parse().unwrap(),
            ..decided(THEN_MS + HOUR_MS, "crm/read", Verdict::Permit, &["look"])
        },
    ])
    .await;
    let mut far = Scribe::of(&world, "far").await;
    far.bring(&[decided(
        THEN_MS + 2 * HOUR_MS,
        "bank/pay",
        Verdict::Hold,
        &["limits"],
    )])
    .await;
    let any = SearchRequest::default;
    let named = |field: fn(&mut SearchRequest) -> &mut String, name: &str| {
        let mut search = any();
        name.clone_into(field(&mut search));
        search
    };
    let said = |verdict: Word| SearchRequest {
        verdict: verdict.into(),
        ..any()
    };
    let between = |since_unix_ms, until_unix_ms| SearchRequest {
        since_unix_ms,
        until_unix_ms,
        ..any()
    };
    let second_hour = THEN_MS + HOUR_MS;
    let searches = [
        (named(|of| &mut of.task_id, &task.to_string()), &[1][..]),
        (named(|of| &mut of.agent, other), &[1]),
        (named(|of| &mut of.tool, "bank/pay"), &[2, 0]),
        (named(|of| &mut of.rule, "limits"), &[2, 0]),
        (named(|of| &mut of.rule, "limit"), &[]),
        (named(|of| &mut of.enforcer, "far"), &[2]),
        (said(Word::Deny), &[0]),
        (between(second_hour, 0), &[2, 1]),
        (between(0, second_hour), &[0]),
        (between(THEN_MS, second_hour + 1), &[1, 0]),
    ];
    for (search, hours) in searches {
        let expected: Vec<u64> = hours.iter().map(|hour| THEN_MS + hour * HOUR_MS).collect();
        assert_eq!(found(&operator, &search, 1).await, expected, "{search:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_no_index_takes_keeps_no_record_out_and_is_found() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    let long = "é".repeat(2_000);
    let mut edge = Scribe::of(&world, "edge").await;
    edge.bring(&[decided(THEN_MS, &long, Verdict::Deny, &[&long])])
        .await;
    let searches = [
        SearchRequest {
            tool: long.clone(),
            ..SearchRequest::default()
        },
        SearchRequest {
            rule: long.clone(),
            ..SearchRequest::default()
        },
    ];
    for search in searches {
        assert_eq!(found(&operator, &search, 10).await, [THEN_MS]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_takes_too_long_is_ended_and_says_what_to_ask_instead() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    // Whatever makes it slow: here nobody may read for now.
    let sql = world.sql().await.unwrap();
    sql.batch_execute("BEGIN; LOCK TABLE decision IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let refused = operator
        .decisions()
        .search(SearchRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("narrower time"), "{refused}");
    sql.batch_execute("ROLLBACK").await.unwrap();
    operator
        .decisions()
        .search(SearchRequest::default())
        .await
        .unwrap();
}

async fn usage(person: &Person, since_ms: u64, until_ms: u64) -> Vec<(String, [u64; 3])> {
    let request = UsageRequest {
        pack: String::new(),
        since_unix_ms: since_ms,
        until_unix_ms: until_ms,
    };
    let usage = person.policies().usage(request).await.unwrap().into_inner();
    let counts = |rule: RuleUse| (rule.rule, [rule.permits, rule.holds, rule.denies]);
    usage.rules.into_iter().map(counts).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_counted_once_by_the_hour_however_often_a_batch_comes() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    let mut edge = Scribe::of(&world, "edge").await;
    let batch = edge
        .bring(&[
            decided(THEN_MS, "bank/pay", Verdict::Deny, &["frozen", "limits"]),
            decided(THEN_MS + 1, "bank/pay", Verdict::Deny, &["frozen"]),
            decided(THEN_MS + HOUR_MS, "bank/pay", Verdict::Hold, &["limits"]),
        ])
        .await;
    // The answer was lost; the enforcer sends it again.
    edge.decisions.append(&edge.journal, &batch).await.unwrap();
    let whole = usage(&operator, THEN_MS, THEN_MS + 2 * HOUR_MS).await;
    let expected = [("frozen".to_owned(), [0, 0, 2]), ("limits".to_owned(), [0, 1, 1])];
    assert_eq!(whole, expected);
    let first_hour = usage(&operator, THEN_MS, THEN_MS + HOUR_MS).await;
    assert_eq!(
        first_hour,
        [("frozen".to_owned(), [0, 0, 2]), ("limits".to_owned(), [0, 0, 1])]
    );
    assert!(usage(&operator, THEN_MS + 5 * HOUR_MS, 0).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn journals_that_come_home_at_once_are_all_counted() {
    const JOURNALS: u64 = 8;
    const BATCHES: u64 = 10;
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    let mut bringing = Vec::new();
    for n in 0..JOURNALS {
        let mut scribe = Scribe::of(&world, &format!("edge-{n}")).await;
        bringing.push(tokio::spawn(async move {
            for _ in 0..BATCHES {
                // Each in another order, so that only the order of keys keeps them from waiting in a ring.
                let mut batch: Vec<_> = ["a", "b", "c", "d"]
                    .map(|rule| decided(THEN_MS, "bank/pay", Verdict::Deny, &[rule]))
                    .into();
                batch.rotate_left(usize::try_from(n % 4).unwrap());
                scribe.bring(&batch).await;
            }
        }));
    }
    for one in bringing {
        one.await.unwrap();
    }
    let counted = usage(&operator, THEN_MS, THEN_MS + HOUR_MS).await;
    let all = ["a", "b", "c", "d"].map(|rule| (rule.to_owned(), [0, 0, JOURNALS * BATCHES]));
    assert_eq!(counted, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_counted_goes_with_the_record() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    let now_ms = u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let mut edge = Scribe::of(&world, "edge").await;
    edge.bring(&[
        decided(THEN_MS, "bank/pay", Verdict::Deny, &["old"]),
        decided(now_ms, "bank/pay", Verdict::Deny, &["new"]),
    ])
    .await;
    let kept = Retention::from(Some(Duration::from_hours(48)));
    keep_partitions(&world.database().unwrap(), kept).await.unwrap();
    let counted = usage(&operator, THEN_MS, now_ms + HOUR_MS).await;
    assert_eq!(counted, [("new".to_owned(), [0, 0, 1])]);
}
