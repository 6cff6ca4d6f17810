//! What is counted while the record comes home, so that nobody has to count the record.
//!
//! ```text
//! append --> tally of a batch --> one upsert a table, last in its transaction
//! rules' use, numbers of holds <-- sums over hours and days
//! ```
//!
//! **Invariant**: a record is counted in the transaction that stores it, so exactly once. The rows are the last that an append
//! locks, and it locks them in the order of their keys.

use std::collections::BTreeMap;

use checkrein_shared::decision::{Decision, Mode, Record};
use time::Date;

use super::{Placed, store};
use crate::database::{DatabaseError, Transaction};

const HOUR_MS: u64 = 60 * 60 * 1_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// What a batch adds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// By the beginning of the hour, the rule and the verdict.
    pub(super) rules: BTreeMap<(u64, String, &'static str), i64>,
    /// By the beginning of the day, UTC, and the agent.
    pub(super) agents: BTreeMap<(u64, String), i64>,
}

/// How often a rule decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleUse {
    /// The rule.
    pub rule: String,
    /// How many permits it gave.
    pub permits: u64,
    /// How many calls it held.
    pub holds: u64,
    /// How many it denied.
    pub denies: u64,
    /// The hour in which it decided last, within the time that was asked for.
    pub last_hour_ms: u64,
}

/// How many calls were decided and never held.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calls {
    /// By the day, UTC.
    pub by_day: BTreeMap<Date, u64>,
    /// By the agent's SPIFFE ID.
    pub by_agent: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn of(placed: &[Placed]) -> Self {
        let mut tally = Self::default();
        for placed in placed {
            if let Record::Decision(decision) = &placed.record {
                tally.count(decision);
            }
        }
        tally
    }

    /// What was only observed decided nothing. A held call is counted by its hold: it is decided more than once.
    fn count(&mut self, decision: &Decision) {
        if decision.mode != Mode::Enforce {
            return;
        }
        let hour_ms = decision.decided_ms / HOUR_MS * HOUR_MS;
        for rule in &decision.rules {
            let key = (
                hour_ms,
                store::column(rule).into_owned(),
                decision.verdict.as_str(),
            );
            *self.rules.entry(key).or_default() += 1;
        }
        if decision.hold.is_none() {
            let day_ms = decision.decided_ms / DAY_MS * DAY_MS;
            let key = (day_ms, decision.agent.as_str().to_owned());
            *self.agents.entry(key).or_default() += 1;
        }
    }
}

/// How often each rule decided in the hours that begin from one moment until another, the most used first; and since when it
/// is counted at all.
pub async fn rule_uses(
    tx: &Transaction,
    since_ms: u64,
    until_ms: u64,
) -> Result<(Vec<RuleUse>, Option<u64>), DatabaseError> {
    let since_ms = since_ms / HOUR_MS * HOUR_MS;
    let uses = store::tally::rule_uses(tx, since_ms, until_ms).await?;
    Ok((uses, store::tally::counted_since(tx).await?))
}

/// How many calls were decided since a day and never held.
pub async fn calls_since(tx: &Transaction, day: Date) -> Result<Calls, DatabaseError> {
    store::tally::calls_since(tx, day).await
}

#[cfg(test)]
mod tests;
