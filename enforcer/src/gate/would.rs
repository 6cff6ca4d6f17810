//! What can be learnt of a call without making it.
//!
//! **Invariant**: nothing here permits, records, charges or asks people; a proof of possession is not looked at, so none is used up.

use checkrein_shared::decision::Verdict;
use checkrein_shared::hold::State;
use checkrein_shared::id::HoldId;

use super::{Case, Gate, GateError, Request};
use crate::hold::{View, Waiter};

impl Gate {
    /// What rules would say of a call at this moment. Budgets are not asked, and neither are people.
    pub(crate) async fn would(&self, mut request: Request) -> Result<Verdict, GateError> {
        let caller = self.caller.clone().ok_or(GateError::NoAgent)?;
        request.proof.clear();
        let case = Case::new(caller, request, &*self.core.clock)?;
        Ok(self.core.weigh_informed(&case).await.verdict)
    }

    /// Follows what becomes of a hold that was just said to be open; none, if too many are followed.
    pub(crate) fn follow(&self, hold: HoldId) -> Option<Waiter> {
        self.core.holds.wait(hold, View::new(State::Open, 0, ""))
    }
}
