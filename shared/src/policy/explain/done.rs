//! What a task has done before a call that is explained, as its author says it on a command line.
//!
//! **Invariant**: how bad its calls were is what the catalog says of their tools; a tool that no catalog knows was not used.

use std::collections::BTreeSet;

use super::ExplainError;
use crate::label::Label;
use crate::ledger::{Amounts, Ledger, Pedigree, Values};
use crate::policy::bundle::Bundle;
use crate::policy::cases::CASE_NOW_MS_DEFAULT;
use crate::text::shown;

/// What a task has done before the call that is explained.
#[derive(Debug, Clone, Default)]
pub struct Done {
    /// Which tools it used, each time, and how many milliseconds ago.
    pub used: Vec<(String, u64)>,
    /// How many calls were let through; none: those above.
    pub calls: Option<u64>,
    /// What they used up.
    pub spent: Amounts,
    /// Text in which systems of record gave values.
    pub trusted: Vec<String>,
    /// Text in which values stood that others wrote.
    pub untrusted: Vec<String>,
}

impl Done {
    /// The ledger of a task that did this, by what the catalog says of its tools.
    pub(super) fn ledger(&self, bundle: &Bundle, labels: BTreeSet<Label>) -> Result<Ledger, ExplainError> {
        let mut ledger = Ledger {
            labels,
            spent: self.spent,
            ..Ledger::default()
        };
        for (tool, ago_ms) in &self.used {
            let known = bundle.tools.get(tool);
            let known = known.ok_or_else(|| ExplainError::Used(shown(tool)))?;
            let at_ms = CASE_NOW_MS_DEFAULT.saturating_sub(*ago_ms);
            ledger.count(tool, known.tool.reversibility, at_ms);
        }
        let used = ledger.calls;
        match self.calls {
            Some(calls) if calls < used => return Err(ExplainError::Calls { calls, used }),
            Some(calls) => ledger.calls = calls,
            None => {}
        }
        Ok(ledger)
    }

    /// Where values came from in it.
    pub(super) fn pedigree(&self) -> Pedigree {
        let values = |texts: &[String]| {
            let values = texts.iter().map(|text| Values::of_result(text.as_bytes()).values);
            values.flatten().collect()
        };
        Pedigree {
            trusted: values(&self.trusted),
            untrusted: values(&self.untrusted),
            lost: false,
        }
    }
}
