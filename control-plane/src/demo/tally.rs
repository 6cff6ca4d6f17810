//! What the demo counts.

use std::collections::BTreeSet;

use serde::Serialize;

/// The demo in figures, all counted in this run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Answers that permitted, releases not counted.
    pub permitted: u64,
    /// Answers that denied.
    pub denied: u64,
    /// Answers that held.
    pub held: u64,
    /// Held actions that an approver released.
    pub released: u64,
    /// Answers in all.
    pub decisions_answered: u64,
    /// Decisions in Postgres at the end.
    pub decisions_stored: u64,
    /// Answers whose decision is not in Postgres.
    pub decisions_lost: u64,
    /// Rows beyond the first of a decision.
    pub decisions_duplicated: u64,
    /// From the push of a policy to the last enforcer deciding by it.
    pub push_to_enforced_ms: u64,
    /// From the end of a task, asked for, to the last of its agents being refused.
    pub end_to_refused_ms: u64,
    /// Answers given while the control plane was dead.
    pub answered_while_control_plane_down: u64,
    /// Of these, full-tier actions denied because it could not be asked.
    pub denied_while_control_plane_down: u64,
    #[serde(skip)]
    pub(super) answered: BTreeSet<String>,
}

impl Tally {
    /// Nothing answered was lost, nothing was stored twice.
    pub const fn is_whole(&self) -> bool {
        self.decisions_lost == 0 && self.decisions_duplicated == 0
    }
}
