//! An enforcer gets a part of what is free and no more, and what a call takes is taken once.

use checkrein_shared::ledger::Meter;
use proptest::prelude::*;

use super::*;

proptest! {
    /// However many enforcers hold slices of a budget, and however little of it is left, they hold no more than there is.
    #[test]
    fn slices_never_hold_more_than_is_free(limit in 0_u64..1_000_000, cost in 0_u64..1_000, asks in 1_usize..200) {
        let mut account = Account::default();
        for _ in 0..asks {
            let calls = spared(limit, account.taken(), cost).min(CALLS_MAX);
            account.reserve(cost * calls);
            prop_assert!(account.taken() <= limit);
        }
    }

    /// What a call takes is taken from its slice and beside it, together exactly once.
    #[test]
    fn a_draw_takes_what_it_costs_once(there in 0_u64..100, cost in 0_u64..100) {
        let clock = checkrein_shared::ManualClock::at(1);
        let (task, slice) = (TaskId::new(&clock), SliceId::new(&clock));
        let draw = Draw {
            task,
            release: Uuid::from_u128(7),
            tool: "crm/read",
            drawn: Drawn { slice, cost: Amounts::default().with(Meter::Rows, cost) },
        };
        let line = of_task(&draw).next().unwrap();
        let mut held = [Reservation {
            task: task.uuid(),
            use_id: slice.uuid(),
            line: line.clone(),
            key: line.key.clone(),
            meter: Meter::Rows,
            amount: there,
            held: Some(Held::Reserved),
            tool: String::new(),
            enforcer: String::new(),
            reserved_ms: 0,
        }];
        let charged = split(&draw, &mut held);
        prop_assert_eq!(charged.len(), 1);
        prop_assert_eq!(there - held[0].amount + charged[0].1, cost);
        prop_assert!(charged[0].1 == 0 || held[0].amount == 0);
    }
}

#[test]
fn a_budget_that_is_nearly_used_up_is_not_cut() {
    assert_eq!(spared(1_000, 901, 1), 0);
    assert_eq!(spared(1_000, 900, 1), 12);
    assert_eq!(spared(1_000, 1_000, 0), 0);
}
