//! What is held is drawn once, in time, and given back only when nothing of it is under way.

use checkrein_shared::ManualClock;
use checkrein_shared::ledger::Meter;

use super::*;

const TOOL: &str = "crm/read";

struct Desk {
    slices: Slices,
    clock: ManualClock,
    task: TaskId,
    grant: Arc<str>,
    cost: Amounts,
}

impl Desk {
    fn new() -> Self {
        let clock = ManualClock::at(1);
        Self {
            slices: Slices::default(),
            task: TaskId::new(&clock),
            grant: "grant".into(),
            cost: rows(5),
            clock,
        }
    }

    fn call(&self) -> Call<'_> {
        Call {
            task: self.task,
            presented: &self.grant,
            tool: TOOL,
            generation: Generation(1),
            cost: &self.cost,
        }
    }

    fn pay(&self, now_ms: u64) -> Payment {
        self.pay_as(self.call(), (now_ms, true))
    }

    fn pay_as(&self, call: Call<'_>, now: (u64, bool)) -> Payment {
        self.slices.pay(call, now, || SliceId::new(&self.clock))
    }

    fn asked(&self, now_ms: u64) -> SliceId {
        match self.pay(now_ms) {
            Payment::Confirm(Some(id)) => id,
            other => panic!("{other:?}"),
        }
    }

    /// A slice of four calls, held since 10 ms.
    fn held(&self) -> SliceId {
        assert!(matches!(self.pay(0), Payment::Confirm(None)));
        let id = self.asked(10);
        let given = Given {
            calls: 4,
            amounts: rows(20),
            lasts_ms: 60_000,
        };
        self.slices.given(self.call(), id, Some(given), 10);
        id
    }

    fn ended(&self, now_ms: u64) -> Vec<SliceId> {
        let ended = self.slices.ended((now_ms, true), Generation(1));
        ended.into_iter().map(|closed| closed.slice).collect()
    }
}

fn rows(amount: u64) -> Amounts {
    Amounts::default().with(Meter::Rows, amount)
}

fn drawn(payment: Payment) -> Paid {
    match payment {
        Payment::Drawn(paid) => paid,
        Payment::Confirm(asked) => panic!("confirm, and ask for {asked:?}"),
    }
}

#[test]
fn a_slice_pays_for_as_many_calls_as_it_is_for_and_then_another_is_asked_for() {
    let desk = Desk::new();
    let id = desk.held();
    for _ in 0..4 {
        let paid = drawn(desk.pay(20));
        assert_eq!(
            paid.drawn,
            Drawn {
                slice: id,
                cost: rows(5)
            }
        );
    }
    let next = desk.asked(20);
    assert_ne!(next, id);
    assert_eq!(desk.ended(20), [id]);
}

#[test]
fn a_call_that_takes_more_than_is_left_is_not_paid_from_it() {
    let desk = Desk::new();
    desk.held();
    let dear = rows(21);
    let call = Call {
        cost: &dear,
        ..desk.call()
    };
    assert!(matches!(desk.pay_as(call, (20, true)), Payment::Confirm(Some(_))));
}

#[test]
fn nothing_is_paid_for_another_tool_grant_task_meter_or_policy() {
    let desk = Desk::new();
    desk.held();
    let (grant, money): (Arc<str>, _) = ("another".into(), Amounts::default().with(Meter::Money, 1));
    let call = desk.call();
    let others = [
        Call {
            tool: "crm/write",
            ..call
        },
        Call {
            presented: &grant,
            ..call
        },
        Call {
            task: TaskId::new(&desk.clock),
            ..call
        },
        Call {
            generation: Generation(2),
            ..call
        },
        Call { cost: &money, ..call },
    ];
    for other in others {
        assert!(
            matches!(desk.pay_as(other, (20, true)), Payment::Confirm(_)),
            "{other:?}"
        );
    }
}

#[test]
fn one_slice_is_asked_for_at_a_time_and_one_that_was_refused_not_at_once_again() {
    let desk = Desk::new();
    assert!(matches!(desk.pay(0), Payment::Confirm(None)));
    let id = desk.asked(1);
    assert!(matches!(desk.pay(2), Payment::Confirm(None)));
    desk.slices.given(desk.call(), id, None, 1);
    for now_ms in (100..=1_000).step_by(100) {
        assert!(matches!(desk.pay(now_ms), Payment::Confirm(None)));
    }
    desk.asked(1_100);
    assert_eq!(desk.ended(1_100), []);
}

#[test]
fn its_end_is_written_down_only_when_nothing_drawn_from_it_is_unwritten() {
    let desk = Desk::new();
    let id = desk.held();
    let paid = drawn(desk.pay(20));
    assert_eq!(desk.ended(1_011), []);
    assert!(matches!(desk.pay(1_012), Payment::Confirm(None)), "it is over");
    drop(paid);
    assert_eq!(desk.ended(1_013), [id]);
    assert_eq!(desk.ended(1_014), []);
}

#[test]
fn one_that_is_not_used_for_a_moment_ends_and_calls_that_come_seldom_bring_none() {
    let desk = Desk::new();
    let id = desk.held();
    drop(drawn(desk.pay(150)));
    drop(drawn(desk.pay(350)));
    assert_eq!(desk.ended(550), []);
    assert_eq!(desk.ended(551), [id]);
    for now_ms in (600..2_000).step_by(201) {
        assert!(matches!(desk.pay(now_ms), Payment::Confirm(None)), "{now_ms}");
    }
}

#[test]
fn while_the_control_plane_is_away_it_lasts_as_long_as_it_may() {
    let desk = Desk::new();
    let id = desk.held();
    let away = |now_ms| desk.pay_as(desk.call(), (now_ms, false));
    drawn(away(59_000));
    assert_eq!(desk.slices.ended((59_000, false), Generation(1)), []);
    assert!(matches!(away(60_010), Payment::Confirm(_)));
    let ended = desk.slices.ended((60_010, false), Generation(1));
    assert_eq!(ended.first().map(|closed| closed.slice), Some(id));
}

#[test]
fn one_that_nobody_heard_of_is_not_used_and_its_end_is_written_down() {
    let desk = Desk::new();
    assert!(matches!(desk.pay(0), Payment::Confirm(None)));
    let id = desk.asked(1);
    desk.slices.unheard(desk.task, id);
    assert!(matches!(desk.pay(2), Payment::Confirm(None)));
    assert_eq!(desk.ended(3), [id]);
}

#[test]
fn one_that_somebody_asked_for_and_went_away_is_ended_and_its_late_answer_too() {
    let desk = Desk::new();
    assert!(matches!(desk.pay(0), Payment::Confirm(None)));
    let id = desk.asked(1);
    assert_eq!(desk.ended(10_002), [id]);
    let given = Given {
        calls: 4,
        amounts: rows(20),
        lasts_ms: 60_000,
    };
    desk.slices.given(desk.call(), id, Some(given), 1);
    assert!(matches!(desk.pay(10_003), Payment::Confirm(None)));
    assert_eq!(desk.ended(10_003), [id]);
}

#[test]
fn what_could_not_be_written_down_is_given_again() {
    let desk = Desk::new();
    let id = desk.held();
    let ended = desk.slices.end_all();
    assert_eq!(ended.len(), 1);
    desk.slices.unwritten(ended);
    assert!(!desk.slices.is_empty());
    assert_eq!(desk.ended(20), [id]);
    assert!(desk.slices.is_empty());
}

#[test]
fn more_tasks_than_are_kept_are_confirmed_call_by_call() {
    let desk = Desk::new();
    for _ in 0..TASKS_MAX {
        let call = Call {
            task: TaskId::new(&desk.clock),
            ..desk.call()
        };
        assert!(matches!(desk.pay_as(call, (0, true)), Payment::Confirm(None)));
    }
    for now_ms in 0..3 {
        assert!(matches!(desk.pay(now_ms), Payment::Confirm(None)));
    }
}
