//! Whatever happens in whatever order, a budget is never overspent and nothing gets lost.

use proptest::prelude::*;

use super::*;

const LIMIT: u64 = 100;

#[test]
fn an_amount_waits_only_for_what_may_come_back() {
    let account = Account {
        spent: 30,
        reserved: 50,
        unknown: 10,
    };
    assert_eq!(account.room(10, LIMIT), Room::Free);
    assert_eq!(account.room(11, LIMIT), Room::Busy);
    assert_eq!(account.room(60, LIMIT), Room::Busy);
    assert_eq!(account.room(61, LIMIT), Room::UsedUp);
    assert_eq!(account.room(u64::MAX, LIMIT), Room::UsedUp);
}

proptest! {
    #[test]
    fn a_budget_is_never_overspent_and_every_amount_is_in_one_place(
        steps in prop::collection::vec((0u8..5, 0u64..60, any::<prop::sample::Index>()), 0..200)
    ) {
        let mut account = Account::default();
        let mut held: Vec<(Held, u64)> = Vec::new();
        let mut spent = 0;
        for (kind, amount, which) in steps {
            if kind == 0 || held.is_empty() {
                if account.room(amount, LIMIT) == Room::Free {
                    account.reserve(amount);
                    held.push((Held::Reserved, amount));
                }
            } else {
                let (from, reserved) = held.swap_remove(which.index(held.len()));
                let end = match kind {
                    // A tool uses at most what was reserved for it.
                    1 | 2 => End::Settled(amount.min(reserved)),
                    3 => End::Returned,
                    _ => End::Unknown,
                };
                account.close(from, reserved, end);
                match end {
                    End::Settled(actual) => spent += actual,
                    End::Returned => {}
                    End::Unknown => held.push((Held::Unknown, reserved)),
                }
            }
            prop_assert!(account.taken() <= LIMIT);
            let sum = |kind| held.iter().filter(|(held, _)| *held == kind).map(|(_, amount)| amount).sum::<u64>();
            prop_assert_eq!(account, Account { spent, reserved: sum(Held::Reserved), unknown: sum(Held::Unknown) });
        }
    }
}
