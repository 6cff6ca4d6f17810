//! Places kept for identities whose keys are made elsewhere, and how one is taken.
//!
//! ```text
//! invite --> a place: role, name, labels, agents, until when, and the digest of a secret
//! join   --> whoever knows the secret: the register entry and a certificate, once, unless it was withdrawn before
//! ```
//!
//! **Invariant**: a place is taken by one key, once, before it expires by the database's clock; taking it and registering the
//! enforcer are one transaction. Who knows no secret learns nothing, and costs one indexed read, of which few run at once. What is
//! looked up and compared is the digest: how long that takes says nothing of a secret.

use checkrein_shared::action::Sha256;
use checkrein_shared::identity::{Role, SpiffeId};
use tracing::{info, warn};

use super::register::check_agents;
use super::{Fleet, FleetError, Register, store};
use crate::authority;

/// So many are answered at once, of those who have shown nothing yet; others are told to try again, and nobody waits. Whoever
/// has a certificate is not kept from the database by who has none.
pub(super) const JOINS_AT_ONCE_MAX: usize = 4;

/// An identity to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// As what.
    pub role: Role,
    /// Its name; of an enforcer also its labels and agents. There is no certificate request yet.
    pub register: Register,
    /// SHA-256 of what will be shown.
    pub secret: Sha256,
    /// From now.
    pub life_ms: u64,
}

/// A place that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invitation {
    pub(super) role: Role,
    pub(super) register: Register,
    pub(super) by: SpiffeId,
    pub(super) has_expired: bool,
    pub(super) is_withdrawn: bool,
    /// The key that took it.
    pub(super) key: Option<Sha256>,
}

/// A place that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Who joined.
    pub id: SpiffeId,
    /// Its certificate, PEM.
    pub certificate: String,
    /// Whom it may speak for.
    pub agents: Vec<SpiffeId>,
}

impl Invitation {
    /// Refuses a place that nobody may take any more.
    const fn check_kept(&self) -> Result<(), FleetError> {
        if self.is_withdrawn {
            return Err(FleetError::InvitationWithdrawn);
        }
        if self.has_expired {
            return Err(FleetError::InvitationExpired);
        }
        Ok(())
    }

    /// The key that took the place. One that could not be taken and that nobody has was withdrawn, or its time ran out.
    fn taker(&self) -> Result<Sha256, FleetError> {
        if self.is_withdrawn {
            return Err(FleetError::InvitationWithdrawn);
        }
        self.key.ok_or(FleetError::InvitationExpired)
    }
}

impl Fleet {
    /// Keeps a place; returns for whom, and until when.
    pub async fn invite(&self, by: &SpiffeId, invite: &Invite) -> Result<(SpiffeId, u64), FleetError> {
        let name = &invite.register.name;
        let id = SpiffeId::of(&self.authority.trust_domain, invite.role, name)
            .map_err(authority::AuthorityError::from)?;
        check_agents(&invite.register)?;
        self.check_not_removed(&id).await?;
        let kept = self.database.transact("fleet.invite", |tx| async move {
            let is_taken = invite.role == Role::Enforcer && store::is_registered(&tx, name).await?;
            let until = if is_taken {
                None
            } else {
                Some(store::keep_place(&tx, by, invite).await?)
            };
            Ok((tx, until))
        });
        match kept.await? {
            Some(until_ms) => Ok((id, until_ms)),
            None => Err(FleetError::Taken(name.clone())),
        }
    }

    /// Takes the place that this secret opens, for the key of this certificate request. The key that took it may ask again.
    pub async fn join(&self, secret: &[u8; 32], request: &str) -> Result<Joined, FleetError> {
        let _permit = self.joining.try_acquire().map_err(|_| FleetError::TooManyJoin)?;
        let secret = Sha256::of(secret);
        let invitation = self.find_place(&secret).await?;
        invitation.check_kept()?;
        let (role, register) = (invitation.role, &invitation.register);
        let (id, certificate) = self
            .authority
            .certify(&*self.clock, role, &register.name, request)?;
        self.check_not_removed(&id).await?;
        let key = authority::key_sha256(&certificate)?;
        let is_taken_now =
            invitation.key.is_none() && self.take_place(&secret, &key, &id, &invitation).await?;
        if is_taken_now {
            info!(%id, by = %invitation.by, "joined");
        } else if self.find_place(&secret).await?.taker()? != key {
            warn!(%id, "somebody else shows a join token that was used");
            return Err(FleetError::InvitationUsed);
        }
        Ok(Joined {
            id,
            certificate,
            agents: register.agents.clone(),
        })
    }

    async fn find_place(&self, secret: &Sha256) -> Result<Invitation, FleetError> {
        let found = self.database.transact("fleet.find_invitation", |tx| async move {
            let found = store::find_invitation(&tx, secret).await?;
            Ok((tx, found))
        });
        found.await?.ok_or(FleetError::NotInvited)
    }

    /// Whether it was free. If it was not, this key itself may have been faster: somebody asked twice.
    async fn take_place(
        &self,
        secret: &Sha256,
        key: &Sha256,
        id: &SpiffeId,
        invitation: &Invitation,
    ) -> Result<bool, FleetError> {
        let register = &invitation.register;
        if invitation.role != Role::Enforcer {
            let taking = self.database.transact("fleet.join", |tx| async move {
                let was_free = store::take_place(&tx, secret, key).await?;
                if was_free && invitation.role == Role::Agent {
                    store::note_agent(&tx, id, id).await?;
                }
                Ok((tx, was_free))
            });
            return Ok(taking.await?);
        }
        let registration = self.policies.begin_registration(&register.labels).await?;
        let tx = &registration.tx;
        if !store::take_place(tx, secret, key).await? {
            return Ok(false);
        }
        if !store::insert(tx, id, &invitation.by, register, &registration.audience).await? {
            return Err(FleetError::Taken(register.name.clone()));
        }
        self.policies.commit_registration(registration).await?;
        Ok(true)
    }
}
