//! Breaking the glass: two people let happen what others did not answer, in the open; and somebody else looks at it afterwards.
//!
//! **Invariant**: it covers people who are missing and nothing else: never a no, never an asker, never a deadline that has passed,
//! never a task that is over. Each of the two is bound to the bytes they were shown, and says why.

use checkrein_shared::action::Sha256;
use checkrein_shared::hold::{Askers, Electorate, Hold, Person, Review, State, Step, Yes};
use checkrein_shared::id::HoldId;
use checkrein_shared::identity::SpiffeId;

use super::group::{Moment, Said};
use super::{HoldError, Holds, announce, step, store, sweep};
use crate::database::{DatabaseError, Transaction};
use crate::task;

/// Somebody wants the glass broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakGlass {
    /// For what.
    pub hold: HoldId,
    /// Who.
    pub approver: SpiffeId,
    /// The hash of what they were shown.
    pub shown: Sha256,
    /// Why; never empty.
    pub reason: String,
}

impl Holds {
    /// Counts somebody who wants the glass broken; the second one approves the hold. The same person again changes nothing.
    pub async fn break_glass(&self, glass: &BreakGlass) -> Result<Hold, HoldError> {
        let tx = self.database.begin("hold.break_glass").await?;
        let gone = || HoldError::NotFound(glass.hold);
        let of = store::task_of(&tx, glass.hold).await?.ok_or_else(gone)?;
        // Shared, so that its end is before or after.
        task::share(&tx, of).await?.ok_or_else(gone)?;
        let held = store::lock(&tx, glass.hold).await?.ok_or_else(gone)?;
        let hold = held.hold;
        if hold.action_sha256 != glass.shown {
            return Err(HoldError::OtherBytes(hold.id));
        }
        if hold.breaks.iter().any(|one| one.approver == glass.approver) {
            return Ok(hold);
        }
        let approved = hold.state.after(Step::Approve)?;
        let mut said = Said::of(&hold);
        said.broken.push(Yes {
            by: glass.approver.clone(),
            at_ms: 0,
        });
        let moment = Moment::load(&tx, &hold, &hold.requirements, &said).await?;
        moment.may_break(&glass.approver)?;
        if !task::is_live(&tx, of).await? {
            return Err(HoldError::TaskOver(of));
        }
        let unmet = moment
            .electorate()
            .unmet(&hold.requirements, &said.yes, &said.broken);
        let is_in_time = match (held.is_late, unmet.is_empty()) {
            (true, _) => false,
            (false, true) => store::approve(&tx, hold.id, approved).await?,
            (false, false) => store::bump_version(&tx, hold.id).await.map(|()| true)?,
        };
        if !is_in_time {
            step(
                &tx,
                hold.id,
                hold.state.after(Step::Expire)?,
                sweep::said(hold.state),
            )
            .await?;
            tx.commit().await?;
            return Err(HoldError::TooLate(hold.id));
        }
        store::record_break(&tx, glass).await?;
        if unmet.is_empty() {
            is_needed(&tx, &hold, &moment.electorate(), &said).await?;
            announce(&tx, hold.id, BROKEN).await?;
        }
        let hold = store::find(&tx, hold.id).await?.ok_or_else(gone)?;
        tx.commit().await?;
        Ok(hold)
    }

    /// Writes down what somebody found who looked at it afterwards. The same again changes nothing, anything else is refused.
    pub async fn review(&self, id: HoldId, review: &Review) -> Result<Hold, HoldError> {
        let tx = self.database.begin("hold.review").await?;
        let gone = || HoldError::NotFound(id);
        let hold = store::lock(&tx, id).await?.ok_or_else(gone)?.hold;
        if hold.broken_ms.is_none() {
            return Err(HoldError::NotBroken(id));
        }
        if let Some(known) = &hold.review {
            let is_same =
                (&known.by, known.finding, &known.reason) == (&review.by, review.finding, &review.reason);
            return if is_same {
                Ok(hold)
            } else {
                Err(HoldError::Reviewed(id, known.by.clone()))
            };
        }
        if hold.state == State::Approved {
            return Err(HoldError::NotOver(id));
        }
        let broke = hold
            .breaks
            .iter()
            .any(|one| Person::of(&one.approver) == Person::of(&review.by));
        let started_by = task::starter(&tx, hold.action.task).await?;
        let askers = Askers {
            agent: &hold.action.agent,
            delegated_by: &hold.action.delegated_by,
            started_by: &started_by,
            user: &hold.action.user,
        };
        if broke || askers.include(&review.by) {
            return Err(HoldError::NotIndependent(review.by.clone()));
        }
        store::record_review(&tx, id, review).await?;
        let hold = store::find(&tx, id).await?.ok_or_else(gone)?;
        tx.commit().await?;
        Ok(hold)
    }
}

/// What the enforcer that waits is told.
pub(super) const BROKEN: &str = "approved by breaking the glass";

/// Whether a hold that is approved by what was said would not be without the glass; if so, that is written down with it.
pub(super) async fn is_needed(
    tx: &Transaction,
    hold: &Hold,
    electorate: &Electorate<'_>,
    said: &Said,
) -> Result<bool, DatabaseError> {
    let is_needed = !electorate.unmet(&hold.requirements, &said.yes, &[]).is_empty();
    if is_needed {
        store::set_broken(tx, hold.id).await?;
    }
    Ok(is_needed)
}
