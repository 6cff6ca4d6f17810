//! How often rules decide, and which of a pack never do: counted as the record comes home, never by reading it.

use std::collections::BTreeMap;

use checkrein_shared::policy::{Origin, Pack, PackSource};
use tokio::task::spawn_blocking;

use super::{Policies, PolicyError, store};
use crate::decision::{self, RuleUse};

/// How far back, if nobody says.
const PERIOD_MS_DEFAULT: u64 = 24 * 60 * 60 * 1_000;

/// How often rules decided in a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) since_ms: u64,
    pub(super) until_ms: u64,
    /// Nothing was counted before.
    pub(super) counted_since_ms: Option<u64>,
    /// The most used first; and where each stands, if a pack was asked for.
    pub(super) rules: Vec<(RuleUse, Option<Origin>)>,
}

impl Policies {
    /// Of one pack as it is in force, or of all rules that decided. 0 stands for a day before, and for now.
    pub(super) async fn usage(&self, pack: &str, since_ms: u64, until_ms: u64) -> Result<Usage, PolicyError> {
        let until_ms = if until_ms == 0 {
            self.clock.wall_ms()
        } else {
            until_ms
        };
        let since_ms = match since_ms {
            0 => until_ms.saturating_sub(PERIOD_MS_DEFAULT),
            since_ms => since_ms,
        };
        let tx = self.database.begin_looking("policy.usage").await?;
        let (used, counted_since_ms) = decision::rule_uses(&tx, since_ms, until_ms).await?;
        let source = match pack {
            "" => None,
            pack => Some(
                store::find(&tx, pack, 0)
                    .await?
                    .ok_or_else(|| PolicyError::NoPack(pack.to_owned()))?
                    .1,
            ),
        };
        tx.commit().await?;
        let rules = match source {
            None => used.into_iter().map(|used| (used, None)).collect(),
            Some(source) => of_pack(used, spawn_blocking(move || rules_of(&source)).await?),
        };
        Ok(Usage {
            since_ms,
            until_ms,
            counted_since_ms,
            rules,
        })
    }
}

/// The rules of a pack and where they stand. One in force could be read when it was pushed.
fn rules_of(source: &PackSource) -> Vec<(String, Origin)> {
    let pack = Pack::parse(source).ok();
    let rules = pack.iter().flat_map(Pack::rules);
    rules.map(|rule| (rule.id.clone(), rule.origin.clone())).collect()
}

/// Those of the pack, the most used first, then by name.
fn of_pack(used: Vec<RuleUse>, rules: Vec<(String, Origin)>) -> Vec<(RuleUse, Option<Origin>)> {
    let mut used: BTreeMap<String, RuleUse> =
        used.into_iter().map(|used| (used.rule.clone(), used)).collect();
    let of = |(rule, origin): (String, Origin)| {
        let used = used.remove(&rule).unwrap_or(RuleUse {
            rule,
            permits: 0,
            holds: 0,
            denies: 0,
            last_hour_ms: 0,
        });
        (used, Some(origin))
    };
    let mut rules: Vec<_> = rules.into_iter().map(of).collect();
    rules.sort_by_key(|(used, _)| std::cmp::Reverse(used.permits + used.holds + used.denies));
    rules
}
