//! A task's story is told whole, in order, and to whoever may hear it.

use checkrein_proto::decision::v1::{Decision, Outcome, OutcomeResult, Verdict};
use checkrein_proto::hold::v1::{HeldAction, Requirement, Vote};
use checkrein_proto::task::v1::{
    Amendment, Amount, Budget, Change, Delegation, LabelSource, State as TaskState, TaskLabel,
};
use serde_json::{Value, json};
use tonic::Status;

use super::*;
use crate::cli::output::Paint;

const START_MS: u64 = 1_767_225_600_000;
const READER: &str = "spiffe://acme.example/agent/reader";
const SENDER: &str = "spiffe://acme.example/agent/sender";
const PAYER: &str = "spiffe://acme.example/agent/payer";
const THIEF: &str = "spiffe://acme.example/agent/thief";
const PLAIN: Paint = Paint::new(false);

/// The `n`th decision, that many seconds after the start, of the last agent of this chain.
fn decided(n: u64, chain: &[&str], tool: &str, verdict: Verdict) -> StoredDecision {
    let (agent, above) = chain.split_last().unwrap();
    StoredDecision {
        decision: Some(Decision {
            decision_id: format!("dec_{n}"),
            decided_unix_ms: START_MS + n * 1_000,
            call_id: format!("call_{n}"),
            agent: (*agent).to_owned(),
            delegated_by: above.iter().map(ToString::to_string).collect(),
            grant_id: format!("grant_of_{}", agent.rsplit('/').next().unwrap()),
            tool: tool.to_owned(),
            verdict: verdict.into(),
            cause: "permitted".to_owned(),
            ..Decision::default()
        }),
        enforcer: "edge".to_owned(),
        ..StoredDecision::default()
    }
}

impl Story {
    fn text(&self, events_max: usize) -> String {
        page::render(self, events_max, PLAIN)
    }

    fn json(&self) -> Value {
        serde_json::to_value(self.view()).unwrap()
    }

    fn timeline(&self) -> Vec<(String, String)> {
        let word = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let told = |event: &Value| (word(event, "event"), word(event, "at")[17..19].to_owned());
        self.json()["timeline"]
            .as_array()
            .unwrap()
            .iter()
            .map(told)
            .collect()
    }
}

fn with(mut stored: StoredDecision, change: impl FnOnce(&mut Decision)) -> StoredDecision {
    change(stored.decision.as_mut().unwrap());
    stored
}

fn change(what: &str, from: &str, to: &str) -> Change {
    Change {
        what: what.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
    }
}

fn amendment(epoch: u64, second: u64, changed: Change) -> Amendment {
    Amendment {
        epoch,
        amended_by: "spiffe://acme.example/operator/olga".to_owned(),
        amended_unix_ms: START_MS + second * 1_000,
        reason: "as agreed".to_owned(),
        changes: vec![changed],
    }
}

/// The reader brings `pii`; the sender, passed on to online, is held, approved and sends; the payer, passed on to by the sender
/// itself, is denied; `pii` is lifted, and brought again; a thief comes to nothing; the task is revoked.
fn story() -> Story {
    let task = Task {
        task_id: "task_1".to_owned(),
        state: TaskState::Revoked.into(),
        agent: READER.to_owned(),
        user: "alice".to_owned(),
        intent: "answer the mail".to_owned(),
        started_by: "spiffe://acme.example/orchestrator/otto".to_owned(),
        started_unix_ms: START_MS,
        grant_id: "grant_of_reader".to_owned(),
        closed_unix_ms: START_MS + 20_000,
        closed_by: "spiffe://acme.example/operator/olga".to_owned(),
        closed_reason: "enough".to_owned(),
        delegations: vec![Delegation {
            grant_id: "grant_of_sender".to_owned(),
            parent_grant_id: "grant_of_reader".to_owned(),
            delegated_by: READER.to_owned(),
            agent: SENDER.to_owned(),
            delegated_unix_ms: START_MS + 2_000,
            expires_unix_ms: START_MS + 60_000,
            ..Delegation::default()
        }],
        amendments: vec![
            amendment(1, 7, change("risk", "0", "50")),
            amendment(2, 8, change("labels", "pii", "none")),
        ],
        labels: vec![TaskLabel {
            label: "pii".to_owned(),
            source: LabelSource::Result.into(),
            decision_id: "dec_9".to_owned(),
            tool: "crm/look".to_owned(),
            agent: READER.to_owned(),
            enforcer: "edge".to_owned(),
            added_unix_ms: START_MS + 9_000,
        }],
        ..Task::default()
    };
    let yields_pii = |decision: &mut Decision| decision.yields = vec!["pii".to_owned()];
    let held = |decision: &mut Decision| {
        decision.hold_id = "hold_1".to_owned();
        decision.call_id = "mail".to_owned();
        decision.rules = vec!["personal".to_owned()];
    };
    let mut sent = with(decided(5, &[READER, SENDER], "mail/send", Verdict::Permit), held);
    sent.outcome = Some(Outcome {
        result: OutcomeResult::Failed.into(),
        completed_unix_ms: START_MS + 5_500,
        ..Outcome::default()
    });
    let decisions = vec![
        // One enforcer's journal came home before the other's.
        with(decided(3, &[READER, SENDER], "mail/send", Verdict::Hold), held),
        sent,
        with(decided(1, &[READER], "crm/look", Verdict::Permit), yields_pii),
        with(decided(4, &[READER], "crm/look", Verdict::Permit), yields_pii),
        with(
            decided(6, &[READER, SENDER, PAYER], "bank/pay", Verdict::Deny),
            |decision| {
                decision.cause = "out_of_scope".to_owned();
            },
        ),
        with(decided(9, &[READER], "crm/look", Verdict::Permit), yields_pii),
        with(decided(10, &[THIEF], "crm/look", Verdict::Deny), |decision| {
            decision.cause = "wrong_agent".to_owned();
        }),
    ];
    let hold = Hold {
        hold_id: "hold_1".to_owned(),
        state: hold::State::Failed.into(),
        decision_id: "dec_3".to_owned(),
        action: Some(HeldAction {
            agent: SENDER.to_owned(),
            tool: "mail/send".to_owned(),
            ..HeldAction::default()
        }),
        requirements: vec![Requirement {
            group: "privacy".to_owned(),
            ..Requirement::default()
        }],
        votes: vec![Vote {
            approver: "spiffe://acme.example/approver/bob".to_owned(),
            approve: true,
            voted_unix_ms: START_MS + 4_500,
            ..Vote::default()
        }],
        opened_unix_ms: START_MS + 3_000,
        ..Hold::default()
    };
    Story {
        task,
        record: Some(Record {
            decisions,
            holds: vec![hold],
            ..Record::default()
        }),
    }
}

#[test]
fn agents_stand_below_whoever_passed_the_task_on_to_them_with_what_they_did() {
    let json = story().json();
    let reader = &json["agents"][0];
    assert_eq!(
        (&reader["agent"], &reader["given_by"]),
        (&json!(READER), &json!("start"))
    );
    assert_eq!((&reader["calls"], &reader["permitted"]), (&json!(3), &json!(3)));
    let sender = &reader["passed_on_to"][0];
    assert_eq!(
        (&sender["agent"], &sender["given_by"]),
        (&json!(SENDER), &json!("control_plane"))
    );
    assert_eq!(sender["grants"], json!(["grant_of_sender"]));
    let counts = ["calls", "held", "permitted", "denied"].map(|name| sender[name].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 1, 0], "what was held and let through is one call");
    let payer = &sender["passed_on_to"][0];
    assert_eq!(
        (&payer["agent"], &payer["given_by"]),
        (&json!(PAYER), &json!("agent"))
    );
    assert_eq!(payer["denied"], json!(1));
    let thief = &json["agents"][1];
    assert_eq!(
        (&thief["agent"], &thief["given_by"]),
        (&json!(THIEF), &json!("nobody"))
    );
    assert_eq!(thief["grants"], json!([]), "it presented another's");
}

#[test]
fn an_agent_that_was_passed_on_to_stands_in_the_tree_before_it_calls_and_without_the_record() {
    let mut story = story();
    story.record = None;
    let mut below = story.task.delegations[0].clone();
    below.parent_grant_id = below.grant_id;
    below.grant_id = "grant_of_payer".to_owned();
    below.delegated_by = SENDER.to_owned();
    below.agent = PAYER.to_owned();
    story.task.delegations.insert(0, below);
    let json = story.json();
    assert_eq!(
        json["agents"][0]["passed_on_to"][0]["passed_on_to"][0]["agent"],
        json!(PAYER)
    );
    assert_eq!(json["record_read"], json!(false));
    assert!(story.text(100).contains("your identity may not read the record"));
}

#[test]
fn everything_that_happened_is_there_in_the_order_of_time() {
    let words = |words: &str| -> Vec<(String, String)> {
        let event = |word: &str| {
            let (event, at) = word.split_once('@').unwrap();
            (event.to_owned(), at.to_owned())
        };
        words.split_whitespace().map(event).collect()
    };
    assert_eq!(
        story().timeline(),
        words(
            "started@00 call@01 passed_on@02 call@03 call@04 answered@04 call@05 call@06 amended@07 declassified@08 \
             call@09 call@10 closed@20"
        )
    );
}

#[test]
fn a_label_is_marked_at_the_calls_that_brought_it_and_where_it_was_lifted() {
    let text = story().text(100);
    let marked: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("pii"))
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert_eq!(marked, ["+1.000s", "+8.000s", "+9.000s"], "{text}");
    assert!(text.contains("-pii"), "{text}");
}

#[test]
fn a_line_says_who_what_verdict_why_and_what_came_of_it() {
    let text = story().text(100);
    let line = |after: &str| {
        let line = text.lines().find(|line| line.starts_with(after)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("+0.000s"), "+0.000s otto started answer the mail");
    assert_eq!(line("+2.000s"), "+2.000s reader passed on to sender");
    assert_eq!(
        line("+3.000s"),
        "+3.000s sender mail/send hold failed personal, asks privacy"
    );
    assert_eq!(line("+4.500s"), "+4.500s bob mail/send approved");
    assert_eq!(line("+5.000s"), "+5.000s sender mail/send permit failed personal");
    assert_eq!(line("+6.000s"), "+6.000s payer bank/pay deny out_of_scope");
    assert_eq!(line("+7.000s"), "+7.000s olga amended risk to `50`");
    assert_eq!(line("+20.000s"), "+20.000s olga the end revoked enough");
    for line in text.lines() {
        assert!(line.chars().count() <= 120, "{line}");
    }
}

#[test]
fn of_a_long_timeline_the_last_events_are_shown_and_the_rest_are_counted() {
    let mut story = story();
    let whole = story.text(usize::MAX);
    let all = whole.lines().filter(|line| line.starts_with('+')).count();
    assert_eq!(all, 13);
    let cut = story.text(4);
    let shown = cut.lines().filter(|line| line.starts_with('+')).count();
    assert_eq!(shown, 4);
    assert!(cut.contains("9 earlier events are left out: --all"), "{cut}");
    assert!(cut.contains("+20.000s") && !cut.contains("+7.000s"), "{cut}");
    assert_eq!(
        story.json()["timeline"].as_array().unwrap().len(),
        13,
        "scripts get all"
    );

    let record = story.record.as_mut().unwrap();
    record.decisions_unread = 12;
    assert!(story.text(100).contains("12 older decisions were not read"));
    assert_eq!(story.json()["decisions_unread"], json!(12));
}

#[test]
fn a_hold_and_a_label_are_told_although_their_decision_was_not_read() {
    let mut story = story();
    story.record.as_mut().unwrap().decisions.clear();
    let words = story.timeline();
    for told in [("held", "03"), ("answered", "04"), ("labelled", "09")] {
        let told = (told.0.to_owned(), told.1.to_owned());
        assert!(words.contains(&told), "{told:?}: {words:?}");
    }
}

#[test]
fn a_hold_that_nobody_answered_or_used_says_when_that_was() {
    let mut story = story();
    let hold = &mut story.record.as_mut().unwrap().holds[0];
    hold.state = hold::State::Expired.into();
    hold.decide_by_unix_ms = START_MS + 15_000;
    assert!(
        story
            .timeline()
            .contains(&("hold_over".to_owned(), "15".to_owned()))
    );
}

#[test]
fn only_who_may_not_read_the_record_is_told_a_story_without_it() {
    let failed = |status: Status| unless_forbidden(Err(status.into()));
    assert!(
        failed(Status::permission_denied("operators only"))
            .unwrap()
            .is_none()
    );
    assert!(failed(Status::unavailable("gone")).is_err());
    assert!(failed(Status::internal("broken")).is_err());
}

/// The task may make 9 calls and spend 40, of which the sender was given 2 calls and 15.
fn bounded() -> Story {
    let money = |limit: &str, spent: &str, reserved: &str| Budget {
        meter: "money".to_owned(),
        limit: limit.to_owned(),
        spent: spent.to_owned(),
        reserved: reserved.to_owned(),
        unknown: "0".to_owned(),
    };
    let mut story = story();
    let task = &mut story.task;
    task.limits = Some(checkrein_proto::task::v1::Limits {
        calls: Some(9),
        ..checkrein_proto::task::v1::Limits::default()
    });
    task.calls_used = 4;
    task.budgets = vec![money("40", "12.5", "3")];
    task.delegations[0].calls = Some(2);
    task.delegations[0].calls_used = 1;
    task.delegations[0].budgets = vec![money("15", "2.5", "0")];
    let sent = &mut story.record.as_mut().unwrap().decisions[1];
    sent.outcome.as_mut().unwrap().spent = vec![Amount {
        meter: "money".to_owned(),
        amount: "2.5".to_owned(),
    }];
    story
}

#[test]
fn each_agent_of_the_tree_stands_there_with_its_budgets_and_what_became_of_them() {
    let story = bounded();
    let text = story.text(100);
    let lines: Vec<String> = text
        .lines()
        .skip_while(|line| *line != "budgets")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        lines,
        [
            "AGENT GRANT OF LIMIT SPENT RESERVED UNKNOWN",
            "reader …reader calls 9 4 0 0",
            "reader …reader money 40 12.5 3 0",
            "└ sender …sender calls 2 1 0 0",
            "└ sender …sender money 15 2.5 0 0",
        ],
        "{text}"
    );
    let json = story.json();
    let sender = &json["agents"][0]["passed_on_to"][0]["budgets"];
    assert_eq!(
        sender[1],
        json!({"grant": "grant_of_sender", "meter": "money", "limit": "15", "spent": "2.5", "reserved": "0", "unknown": "0"})
    );
    assert_eq!(json["delegations"][0]["calls_used"], json!(1));
    let unbounded = self::story().text(100);
    assert!(!unbounded.contains("budgets"), "{unbounded}");
}

#[test]
fn the_timeline_says_what_was_passed_on_and_what_calls_used_up() {
    let story = bounded();
    let text = story.text(100);
    let line = |after: &str| {
        let line = text.lines().find(|line| line.starts_with(after)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        line("+2.000s"),
        "+2.000s reader passed on to sender at most 2 calls, 15 money"
    );
    assert_eq!(
        line("+5.000s"),
        "+5.000s sender mail/send permit failed 2.5 money; personal"
    );
    for line in text.lines() {
        assert!(line.chars().count() <= 120, "{line}");
    }
    let json = story.json();
    let timeline = json["timeline"].as_array().unwrap();
    let spent = timeline
        .iter()
        .find(|event| event["decision"] == "dec_5")
        .unwrap();
    assert_eq!(spent["spent"], json!({"money": "2.5"}));
}
