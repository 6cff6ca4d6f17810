//! Several holds answered in one request.
//!
//! **Invariant**: each answer is a vote in its own right, for the bytes that were shown of its own hold, in a transaction of
//! its own: what becomes of one changes nothing about the others, and none carries terms.

use checkrein_shared::hold::Hold;
use checkrein_shared::id::HoldId;

use super::{HoldError, Holds, Vote};

/// What came of one answer.
#[derive(Debug)]
pub struct Answered {
    /// On what.
    pub hold: HoldId,
    /// The hold as it stands with it, or why it was not counted.
    pub result: Result<Hold, HoldError>,
}

impl Holds {
    /// Counts votes one after the other, in their order.
    pub async fn vote_all(&self, votes: Vec<Vote>) -> Vec<Answered> {
        let mut answered = Vec::with_capacity(votes.len());
        for vote in votes {
            let hold = vote.hold;
            let result = self.vote(vote).await;
            answered.push(Answered { hold, result });
        }
        answered
    }
}

impl HoldError {
    /// One word for machines: why an answer was not counted.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Transition(_) => "answered",
            Self::TooLate(_) => "too_late",
            Self::OtherBytes(_) => "other_bytes",
            Self::Asker(_) => "asker",
            Self::NotInGroup { .. } => "not_in_group",
            Self::Away(_) => "away",
            Self::Owner(_) => "agent_owner",
            Self::Database(_) => "unavailable",
            _ => "refused",
        }
    }
}
