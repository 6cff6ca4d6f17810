//! What journals say of slices, whatever they say and in whatever order it comes.

use checkrein_control_plane::decision::{Batch, Decisions, Journal};
use checkrein_control_plane::task::forget_slices;
use checkrein_proto::task::v1::{Charge, ConfirmRequest, ConfirmResponse};
use checkrein_shared::SystemClock;
use checkrein_shared::action::MaskedArguments;
use checkrein_shared::decision::{Chain, Decision, Drawn, Mode, Outcome, Record, SliceClosed, Tier};
use checkrein_shared::id::{DecisionId, InstanceId, SliceId};
use checkrein_shared::identity::Role;
use checkrein_shared::policy::Reversibility;
use tokio_util::sync::CancellationToken;

use super::*;

mod seeded;

/// An enforcer whose records are written by hand, in a task of 1000 tokens.
struct Desk {
    scene: Scene,
    edge: Person,
    instance: InstanceId,
    grant: String,
    task: String,
}

/// A journal that comes home.
struct Home {
    decisions: Decisions,
    journal: Journal,
    at: Chain,
}

impl Desk {
    async fn set() -> Self {
        let scene = Scene::set(&[]).await;
        scene.world.register("edge", &[], &[AGENT]).await.unwrap();
        let (grant, task) = tokens(&scene, "1000").await;
        Self {
            edge: scene.world.person(Role::Enforcer, "edge", 0).await.unwrap(),
            instance: InstanceId::new(&SystemClock),
            scene,
            grant,
            task,
        }
    }

    /// Confirms a call of 10 tokens, and asks for this slice.
    async fn confirm(&self, release: DecisionId, slice: SliceId) -> ConfirmResponse {
        self.confirm_in(1, release, slice).await
    }

    async fn confirm_in(&self, incarnation: u64, release: DecisionId, slice: SliceId) -> ConfirmResponse {
        let tokens = Amount {
            meter: "tokens".to_owned(),
            amount: "10".to_owned(),
        };
        let request = ConfirmRequest {
            task_id: self.task.clone(),
            presented: self.grant.clone(),
            generation: 1,
            use_id: release.uuid().to_string(),
            tool: ASK.to_owned(),
            reversibility: 1,
            cost: vec![tokens],
            instance_id: self.instance.to_string(),
            incarnation,
            slice_id: slice.to_string(),
            ..ConfirmRequest::default()
        };
        self.edge.tasks().confirm(request).await.unwrap().into_inner()
    }

    /// A slice of 120 tokens, and 10 that a call under way takes.
    async fn slice(&self) -> SliceId {
        let slice = SliceId::new(&SystemClock);
        let answer = self.confirm(DecisionId::new(&SystemClock), slice).await;
        let given = answer.slice.unwrap();
        assert_eq!((given.calls, &*given.amounts[0].amount), (12, "120"));
        assert_eq!(self.used().await, ["0", "130", "0"]);
        slice
    }

    async fn open(&self, incarnation: u64, whole_since: Option<u64>) -> Home {
        let decisions = Decisions::new(self.scene.world.database().unwrap(), CancellationToken::new());
        let journal = Journal {
            enforcer: "edge".to_owned(),
            instance: self.instance,
            incarnation,
        };
        let at = decisions.open(&journal, whole_since).await.unwrap();
        Home {
            decisions,
            journal,
            at,
        }
    }

    /// A permit that was paid from a slice.
    fn drawn(&self, slice: SliceId, tokens: u64) -> Decision {
        let cost = Amounts::default().with(Meter::Tokens, tokens);
        Decision {
            id: DecisionId::new(&SystemClock),
            decided_ms: 1,
            agent: AGENT.parse().unwrap(),
            agent_asserted: false,
            delegated_by: Vec::new(),
            user: "alice".to_owned(),
            task: Some(self.task_id()),
            grant: None,
            call_id: String::new(),
            tool: ASK.to_owned(),
            arguments: MaskedArguments(String::new()),
            action: None,
            tier: Tier::Light,
            verdict: Verdict::Permit,
            cause: Cause::Permitted,
            reason: String::new(),
            rules: Vec::new(),
            mode: Mode::Enforce,
            epoch: 1,
            generation: Generation(1),
            revocation_sequence: 0,
            policy_age_ms: 0,
            hold: None,
            environment: String::new(),
            intent: String::new(),
            ledger: None,
            yields: std::collections::BTreeSet::new(),
            reversibility: Some(Reversibility::ReadOnly),
            release: None,
            drawn: Some(Drawn { slice, cost }),
        }
    }

    fn outcome(&self, of: &Decision, result: OutcomeResult) -> Record {
        Record::Outcome(Outcome {
            decision: of.id,
            completed_ms: 2,
            result,
            detail: String::new(),
            hold: None,
            task: Some(self.task_id()),
            spent: Amounts::default(),
        })
    }

    fn end(&self, slice: SliceId) -> Record {
        Record::SliceClosed(SliceClosed {
            slice,
            task: self.task_id(),
        })
    }

    fn task_id(&self) -> TaskId {
        self.task.parse().unwrap()
    }

    async fn used(&self) -> [String; 3] {
        used(&self.scene, &self.task).await
    }
}

impl Home {
    /// Brings these home, and then once more, as after an answer that was lost.
    async fn bring(&mut self, records: impl IntoIterator<Item = Record>) {
        let batch = Batch {
            before: self.at,
            records: records.into_iter().map(|record| record.encode().into()).collect(),
        };
        self.at = self.decisions.append(&self.journal, &batch).await.unwrap();
        let again = self.decisions.append(&self.journal, &batch).await.unwrap();
        assert_eq!(again, self.at);
    }
}

fn decided(decision: &Decision) -> Record {
    Record::Decision(Box::new(decision.clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_drawn_is_the_calls_own_and_the_end_frees_the_rest_in_one_batch_or_in_many() {
    for is_one_batch in [true, false] {
        let desk = Desk::set().await;
        let slice = desk.slice().await;
        let mut home = desk.open(1, None).await;
        let calls = [desk.drawn(slice, 10), desk.drawn(slice, 3), desk.drawn(slice, 7)];
        let records = [
            decided(&calls[0]),
            decided(&calls[1]),
            desk.outcome(&calls[0], OutcomeResult::Done),
            desk.outcome(&calls[1], OutcomeResult::Unknown),
            decided(&calls[2]),
            desk.end(slice),
        ];
        if is_one_batch {
            home.bring(records).await;
        } else {
            for record in records {
                home.bring([record]).await;
            }
        }
        // The call that was confirmed, and the last that was drawn, are under way.
        assert_eq!(desk.used().await, ["10", "17", "3"]);
        home.bring([desk.outcome(&calls[2], OutcomeResult::Done), desk.end(slice)])
            .await;
        assert_eq!(desk.used().await, ["17", "10", "3"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_drawn_is_free_after_a_crash_only_if_nothing_that_was_recorded_is_missing() {
    for (whole_since, used) in [
        (Some(1), ["0", "0", "20"]),
        (Some(2), ["0", "0", "130"]),
        (None, ["0", "0", "130"]),
    ] {
        let desk = Desk::set().await;
        let slice = desk.slice().await;
        desk.open(1, None)
            .await
            .bring([decided(&desk.drawn(slice, 10))])
            .await;
        desk.open(2, whole_since).await;
        assert_eq!(desk.used().await, used, "{whole_since:?}");
        desk.open(3, Some(1)).await;
        assert_eq!(desk.used().await, used, "nothing comes back by itself");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_journal_that_was_forked_nothing_comes_back() {
    let desk = Desk::set().await;
    desk.slice().await;
    desk.open(1, None).await;
    let sql = desk.scene.world.sql().await.unwrap();
    let fork = "UPDATE journal_cursor SET forked_at = now()";
    sql.execute(fork, &[]).await.unwrap();
    desk.open(2, Some(1)).await;
    assert_eq!(desk.used().await, ["0", "0", "130"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slice_whose_end_came_first_is_never_given() {
    let desk = Desk::set().await;
    let slice = SliceId::new(&SystemClock);
    desk.open(1, None).await.bring([desk.end(slice)]).await;
    let answer = desk.confirm(DecisionId::new(&SystemClock), slice).await;
    assert_eq!((answer.charge(), answer.slice), (Charge::Charged, None));
    assert_eq!(desk.used().await, ["0", "10", "0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_confirmed_again_brings_the_slice_that_it_brought() {
    let desk = Desk::set().await;
    let (release, slice) = (DecisionId::new(&SystemClock), SliceId::new(&SystemClock));
    let first = desk.confirm(release, slice).await.slice.unwrap();
    let again = desk.confirm(release, slice).await.slice.unwrap();
    assert_eq!((first.calls, first.amounts), (again.calls, again.amounts));
    assert!(again.lasts_ms <= first.lasts_ms);
    assert_eq!(desk.used().await, ["0", "130", "0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_drew_more_than_there_was_or_from_nothing_is_charged_all_the_same() {
    let desk = Desk::set().await;
    let slice = desk.slice().await;
    let mut home = desk.open(1, None).await;
    let (dear, late) = (desk.drawn(slice, 200), desk.drawn(slice, 5));
    let stray = desk.drawn(SliceId::new(&SystemClock), 30);
    home.bring([decided(&dear), desk.end(slice), decided(&late), decided(&stray)])
        .await;
    assert_eq!(desk.used().await, ["0", "245", "0"]);
    let ended = [&dear, &late, &stray].map(|call| desk.outcome(call, OutcomeResult::Done));
    home.bring(ended).await;
    assert_eq!(desk.used().await, ["235", "10", "0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draw_in_a_task_that_nobody_knows_keeps_no_record_out() {
    let desk = Desk::set().await;
    let mut home = desk.open(1, None).await;
    let mut stray = desk.drawn(SliceId::new(&SystemClock), 30);
    stray.task = Some(TaskId::new(&SystemClock));
    home.bring([decided(&stray)]).await;
    assert_eq!(desk.used().await, ["0", "0", "0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn slices_that_ended_long_ago_are_forgotten_and_those_that_hold_something_are_not() {
    let desk = Desk::set().await;
    let (slice, unknown) = (desk.slice().await, SliceId::new(&SystemClock));
    let late = SliceId::new(&SystemClock);
    desk.confirm(DecisionId::new(&SystemClock), unknown)
        .await
        .slice
        .unwrap();
    desk.open(1, None)
        .await
        .bring([desk.end(slice), desk.end(late)])
        .await;
    desk.open(2, None).await;
    let database = desk.scene.world.database().unwrap();
    assert_eq!(forget_slices(&database).await.unwrap(), 0, "it was just now");
    let sql = desk.scene.world.sql().await.unwrap();
    let long_ago = "UPDATE slice SET closed_at = closed_at - interval '2 hours'";
    assert_eq!(sql.execute(long_ago, &[]).await.unwrap(), 3);
    assert_eq!(forget_slices(&database).await.unwrap(), 2);
    let left = sql.query_one("SELECT id::text FROM slice", &[]).await.unwrap();
    assert_eq!(left.get::<_, String>(0), unknown.uuid().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_little_is_left_no_slice_is_given() {
    let desk = Desk::set().await;
    let mut slices = 0;
    loop {
        let answer = desk
            .confirm(DecisionId::new(&SystemClock), SliceId::new(&SystemClock))
            .await;
        assert_eq!(answer.charge(), Charge::Charged);
        if answer.slice.is_none() {
            break;
        }
        slices += 1;
    }
    let [_, reserved, _] = desk.used().await;
    let reserved: u64 = reserved.parse().unwrap();
    assert!(
        (840..=1_000).contains(&reserved),
        "{reserved} after {slices} slices"
    );
}
