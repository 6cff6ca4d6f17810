//! What people are told of holds: the steps in their order, and what each hold is about. Notifications are made from it.
//!
//! **Invariant**: reading only, and nothing of an action's arguments. Whoever tells people has no say in what becomes of a hold.

mod further;

use checkrein_shared::hold::{Remark, State};
use checkrein_shared::id::{HoldId, StandingId, TaskId};

use super::{remark, store};
use crate::database::{DatabaseError, Transaction};

pub(in crate::hold) use further::Sketch;
pub(crate) use further::{Further, GlassRequest, further, glass_requests};

/// One step of one hold, as people may be told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// Gap-free.
    pub revision: u64,
    /// Which hold.
    pub hold: HoldId,
    /// Where the step led.
    pub state: State,
    /// The hold's version after it.
    pub version: u64,
    /// What the agent is told.
    pub reason: String,
    /// When.
    pub happened_ms: u64,
}

/// What a hold is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// In which task.
    pub task: TaskId,
    /// With what the agent wants to act.
    pub tool: String,
    /// Who wants to act.
    pub agent: String,
    /// For whom.
    pub user: String,
    /// Where the task runs.
    pub environment: String,
    /// Why it was held.
    pub reason: String,
    /// Who is asked.
    pub groups: Vec<String>,
    /// Until when.
    pub decide_by_ms: u64,
    /// Who said yes.
    pub approved_by: Vec<String>,
    /// Who said no.
    pub denied_by: Vec<String>,
    /// Who broke the glass for it; empty: it was not broken.
    pub broke_glass: Vec<String>,
    /// The groups of which two may break the glass for it.
    pub glass: Vec<String>,
    /// Whether somebody wanted to.
    pub is_glass_wanted: bool,
    /// The standing approval that approved it.
    pub standing: Option<StandingId>,
    /// The standing approval that was given with it.
    pub given: Option<Given>,
}

/// How far a standing approval goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    /// Which.
    pub standing: StandingId,
    /// How often it may be used.
    pub times: u32,
    /// Until when.
    pub until_ms: u64,
}

/// The first steps after a revision, in order.
pub(crate) async fn steps_after(
    tx: &Transaction,
    revision: u64,
    most: i64,
) -> Result<Vec<Step>, DatabaseError> {
    store::steps_after(tx, revision, most).await
}

/// What somebody said with this step; none: it was none of saying something.
pub(crate) async fn remark_with(tx: &Transaction, step: &Step) -> Result<Option<Remark>, DatabaseError> {
    remark::at(tx, step.hold, step.version).await
}

/// What a hold is about, as it stands now.
pub(crate) async fn told(tx: &Transaction, hold: HoldId) -> Result<Option<Told>, DatabaseError> {
    store::told(tx, hold).await
}
