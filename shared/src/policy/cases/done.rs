//! What the task of a case has done before, as its author writes it: `done: { labels: [pii], used: { crm/search: 5m } }`.
//!
//! **Invariant**: what is written is what rules see; nothing is guessed from the catalog.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::Scalar;
use crate::label::Label;
use crate::ledger::{Amounts, LEDGER_LABELS_MAX, LEDGER_TOOLS_MAX, Ledger, Pedigree, Use, Values};
use crate::policy::Reversibility;
use crate::policy::duration::DurationMs;

/// What was done.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Done {
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    used: BTreeMap<String, WrittenUse>,
    /// As often as the tools together, unless it says.
    calls: Option<u64>,
    reversibility: Option<Reversibility>,
    /// Values that systems of record gave.
    #[serde(default)]
    trusted: Vec<Scalar>,
    /// Values that stood in untrusted content.
    #[serde(default)]
    untrusted: Vec<Scalar>,
    /// By meter, as people write amounts: `money: "12.50"`.
    #[serde(default)]
    spent: BTreeMap<String, String>,
}

/// Once, so long ago; or how often, and how long ago the last time.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum WrittenUse {
    Once(DurationMs),
    Often(Often),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Often {
    times: u64,
    ago: DurationMs,
}

impl Done {
    /// Where its values came from.
    pub(super) fn pedigree(&self) -> Pedigree {
        let values = |values: &[Scalar]| {
            let texts = values.iter().map(|value| value.0.as_str());
            texts
                .flat_map(|text| Values::of_result(text.as_bytes()).values)
                .collect()
        };
        Pedigree {
            trusted: values(&self.trusted),
            untrusted: values(&self.untrusted),
            lost: false,
        }
    }

    /// The ledger of it at this moment, or why there can be none.
    pub(super) fn ledger(self, now_ms: u64) -> Result<Ledger, String> {
        let labels = self.labels.iter().map(|word| word.parse());
        let labels: BTreeSet<Label> = labels
            .collect::<Result<_, crate::label::InvalidLabel>>()
            .map_err(|error| error.to_string())?;
        if labels.len() > LEDGER_LABELS_MAX {
            return Err(format!("a task carries at most {LEDGER_LABELS_MAX} labels"));
        }
        if self.used.len() > LEDGER_TOOLS_MAX {
            return Err(format!("a ledger remembers at most {LEDGER_TOOLS_MAX} tools"));
        }
        let spent = Amounts::parse(self.spent.iter().map(|(meter, amount)| (&**meter, &**amount)));
        let spent = spent.map_err(|error| error.to_string())?;
        let used: BTreeMap<String, Use> = self
            .used
            .into_iter()
            .map(|(tool, written)| (tool, written.at(now_ms)))
            .collect();
        let together = used
            .values()
            .fold(0, |calls: u64, used| calls.saturating_add(used.times));
        Ok(Ledger {
            revision: 0,
            labels,
            calls: self.calls.unwrap_or(together),
            used,
            reversibility: self.reversibility,
            values_lost: false,
            spent,
        })
    }
}

impl WrittenUse {
    fn at(self, now_ms: u64) -> Use {
        let (times, ago) = match self {
            Self::Once(ago) => (1, ago),
            Self::Often(Often { times, ago }) => (times, ago),
        };
        Use {
            times,
            last_ms: now_ms.saturating_sub(ago.0),
        }
    }
}
