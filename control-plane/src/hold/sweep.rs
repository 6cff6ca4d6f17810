//! What happens to holds that nobody touches: deadlines pass.
//!
//! A late sweep changes nothing that matters: votes and releases compare with the clock themselves.

use std::time::Duration;

use checkrein_shared::hold::{State, Step};

use super::{step, store};
use crate::database::{Database, DatabaseError};

/// How long after its use-by a released action may still report, before it is written down as unknown.
pub(super) const OUTCOME_GRACE: Duration = Duration::from_mins(1);
/// Holds moved in one transaction.
pub(super) const SWEEP_ROWS_MAX: i64 = 100;

/// Moves every hold whose deadline has passed. Any replica may, at any time; rows that another is moving are skipped.
/// Returns how many moved.
pub async fn sweep(database: &Database) -> Result<usize, DatabaseError> {
    let tx = database.begin("hold.sweep").await?;
    let late = store::lock_late(&tx).await?;
    for (id, state) in &late {
        if let Ok(next) = state.after(Step::Expire) {
            step(&tx, *id, next, said(*state)).await?;
        }
    }
    tx.commit().await?;
    Ok(late.len())
}

/// What is said of a hold whose deadline passes in this state.
pub(super) const fn said(state: State) -> &'static str {
    match state {
        State::Open => "nobody answered in time",
        State::Approved => "the approval was not used in time",
        _ => "released, and never heard of again",
    }
}
