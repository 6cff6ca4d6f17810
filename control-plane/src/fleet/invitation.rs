//! Who was invited, and how an invitation is taken back.
//!
//! ```text
//! list     --> who, until when, by whom, and what became of it; no secret is in it
//! withdraw --> places of that identity that nobody took: from then on their secrets open nothing
//! ```
//!
//! **Invariant**: a place is taken or withdrawn, never both; of the two at once, whoever is second is told so.

use checkrein_shared::identity::SpiffeId;

use super::{Fleet, FleetError, store};

/// An invitation as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invited {
    /// Where it stands in the list.
    pub place: u64,
    /// Who is to join.
    pub id: SpiffeId,
    /// `key=value`.
    pub labels: Vec<String>,
    /// Whom it may speak for.
    pub agents: Vec<String>,
    /// Who invited.
    pub by: SpiffeId,
    /// When.
    pub at_ms: u64,
    /// Until when.
    pub expires_ms: u64,
    /// What became of it.
    pub state: InvitedState,
}

/// What became of an invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvitedState {
    /// Whoever shows the secret may join.
    Open,
    /// Nobody did in time.
    Expired,
    /// Somebody joined.
    Taken {
        /// When.
        at_ms: u64,
    },
    /// An operator took it back.
    Withdrawn {
        /// Who.
        by: SpiffeId,
        /// When.
        at_ms: u64,
    },
}

impl Fleet {
    /// Withdraws what was kept for an identity. Withdrawing again changes nothing.
    pub async fn withdraw_invitation(&self, by: &SpiffeId, id: &SpiffeId) -> Result<Invited, FleetError> {
        let nobody = || FleetError::NobodyInvited(id.clone());
        let domain = &*self.authority.trust_domain;
        let role = id
            .role()
            .filter(|_| id.trust_domain() == domain)
            .ok_or_else(nobody)?;
        let latest = self
            .database
            .transact("fleet.withdraw_invitation", |tx| async move {
                store::withdraw_places(&tx, role, id.name(), by).await?;
                let latest = store::latest_invited(&tx, domain, role, id.name()).await?;
                Ok((tx, latest))
            });
        let latest = latest.await?.ok_or_else(nobody)?;
        match latest.state {
            InvitedState::Taken { .. } => Err(FleetError::HasJoined(id.clone())),
            _ => Ok(latest),
        }
    }
}
