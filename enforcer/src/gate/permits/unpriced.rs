//! Tools whose calls use up something for which the catalog says no cost: nothing was reserved for it, so no budget counts it.
//!
//! **Invariant**: each tool is told of once, and no more tools are remembered than a bound.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use checkrein_shared::ledger::Amounts;

/// Of more tools nobody is told.
const TOOLS_MAX: usize = 1_024;

/// Those of which somebody was told.
#[derive(Debug, Default)]
pub(super) struct Unpriced(Mutex<BTreeSet<String>>);

impl Unpriced {
    /// The meters, in words, of which this call used up something and had nothing reserved; none, if there are none, or somebody was
    /// told of its tool before.
    pub(super) fn first(&self, tool: &str, cost: &Amounts, spent: &Amounts) -> Option<String> {
        let uncounted = spent
            .iter()
            .filter(|(meter, amount)| *amount > 0 && cost.get(*meter).is_none());
        let meters: Vec<&str> = uncounted.map(|(meter, _)| meter.as_str()).collect();
        if meters.is_empty() {
            return None;
        }
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = told.len() < TOOLS_MAX && told.insert(tool.to_owned());
        is_new.then(|| meters.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use checkrein_shared::ledger::Meter;

    use super::*;

    #[test]
    fn each_tool_is_told_of_once_and_only_for_meters_in_which_nothing_was_reserved() {
        let unpriced = Unpriced::default();
        let money = Amounts::none().with(Meter::Money, 5);
        let both = money.with(Meter::Tokens, 7);
        assert_eq!(unpriced.first("bank/pay", &money, &money), None);
        assert_eq!(
            unpriced.first("bank/pay", &money, &Amounts::zero()),
            None,
            "nothing"
        );
        assert_eq!(
            unpriced.first("bank/pay", &money, &both),
            Some("tokens".to_owned())
        );
        assert_eq!(unpriced.first("bank/pay", &money, &both), None, "told");
        let none = Amounts::none();
        assert_eq!(
            unpriced.first("bank/look", &none, &both),
            Some("money, tokens".to_owned())
        );
    }

    #[test]
    fn no_more_tools_are_remembered_than_the_bound() {
        let unpriced = Unpriced::default();
        let money = Amounts::none().with(Meter::Money, 5);
        let told = (0..=TOOLS_MAX).filter(|n| {
            let tool = format!("many/{n}");
            unpriced.first(&tool, &Amounts::none(), &money).is_some()
        });
        assert_eq!(told.count(), TOOLS_MAX);
    }
}
