//! Approvers who are away: they don't answer, and whom their groups name as their deputy does, until they are back.
//!
//! **Invariant**: said by themselves or by an operator, and kept. It takes one lock, which whoever counts votes shares: an
//! absence is before a vote or a release, or after it.

use checkrein_shared::identity::{Role, SpiffeId};

use super::{HoldError, Holds, store};

/// An absence that nobody has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absence {
    /// Who is away.
    pub approver: SpiffeId,
    /// From when on.
    pub since_ms: u64,
    /// Until when; none: until somebody says that they are back.
    pub until_ms: Option<u64>,
    /// Who said so.
    pub declared_by: SpiffeId,
}

impl Holds {
    /// Says that an approver is away from now on. Said again, it replaces what was said before.
    pub async fn go_away(
        &self,
        by: &SpiffeId,
        approver: &SpiffeId,
        until_ms: Option<u64>,
    ) -> Result<Absence, HoldError> {
        may_say(by, approver)?;
        let tx = self.database.begin("hold.go_away").await?;
        store::lock_absences(&tx).await?;
        if !store::go(&tx, (approver, by), until_ms).await? {
            return Err(HoldError::NoAbsence);
        }
        let (_, absences) = store::absences(&tx).await?;
        let absence = absences.into_iter().find(|absence| absence.approver == *approver);
        tx.commit().await?;
        absence.ok_or(HoldError::NoAbsence)
    }

    /// Says that an approver is back. Returns whether they were away.
    pub async fn come_back(&self, by: &SpiffeId, approver: &SpiffeId) -> Result<bool, HoldError> {
        may_say(by, approver)?;
        let tx = self.database.begin("hold.come_back").await?;
        store::lock_absences(&tx).await?;
        let was_away = store::come_back(&tx, approver, by).await?;
        tx.commit().await?;
        Ok(was_away)
    }

    /// Everybody who is away.
    pub async fn absences(&self) -> Result<Vec<Absence>, HoldError> {
        let tx = self.database.begin("hold.absences").await?;
        let (_, absences) = store::absences(&tx).await?;
        tx.commit().await?;
        Ok(absences)
    }
}

/// Everybody for themselves, and an operator for anybody.
fn may_say(by: &SpiffeId, approver: &SpiffeId) -> Result<(), HoldError> {
    if approver.role() != Some(Role::Approver) || approver.trust_domain() != by.trust_domain() {
        return Err(HoldError::NotAnApprover(approver.clone()));
    }
    if by != approver && by.role() != Some(Role::Operator) {
        return Err(HoldError::SomebodyElse(approver.clone()));
    }
    Ok(())
}
