//! The register: who is let in, as what, and with which key.
//!
//! **Invariant**: nobody who was removed is certified; an enforcer is certified only while the register has it.

use checkrein_shared::identity::{Role, SpiffeId};

use super::{Fleet, FleetError, is_removed, store};
use crate::policy::Labels;

/// An enforcer to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// The last part of its SPIFFE ID.
    pub name: String,
    /// What packs select by.
    pub labels: Labels,
    /// Who it may speak for.
    pub agents: Vec<SpiffeId>,
    /// PKCS#10, PEM.
    pub certificate_request: String,
}

impl Fleet {
    /// Puts an enforcer into the register and certifies its key. Asked again under the same key, it finds the entry it made and
    /// certifies anew: an answer that was lost costs no name. Returns its identity and certificate.
    pub async fn register(
        &self,
        by: &SpiffeId,
        key: &str,
        register: &Register,
    ) -> Result<(SpiffeId, String), FleetError> {
        check_agents(register)?;
        let request = &register.certificate_request;
        let (id, certificate) =
            self.authority
                .certify(&*self.clock, Role::Enforcer, &register.name, request)?;
        let registration = self.policies.begin_registration(&register.labels).await?;
        let tx = &registration.tx;
        if is_removed(tx, &id).await? {
            return Err(FleetError::Removed(id));
        }
        if store::registered_under(tx, by, key, register).await? {
            return Ok((id, certificate));
        }
        if !store::insert(tx, &id, by, register, &registration.audience).await? {
            return Err(FleetError::Taken(register.name.clone()));
        }
        store::remember_registered(tx, by, key, register).await?;
        self.policies.commit_registration(registration).await?;
        Ok((id, certificate))
    }

    /// Certifies a key of somebody who was not removed; an agent is in the register from then on.
    pub async fn certify(
        &self,
        by: &SpiffeId,
        role: Role,
        name: &str,
        request: &str,
    ) -> Result<(SpiffeId, String), FleetError> {
        let (id, certificate) = self.authority.certify(&*self.clock, role, name, request)?;
        let of = &id;
        let is_let_in = self.database.transact("fleet.certify", |tx| async move {
            let is_let_in = !is_removed(&tx, of).await?;
            if is_let_in && role == Role::Agent {
                store::note_agent(&tx, of, by).await?;
            }
            Ok((tx, is_let_in))
        });
        if is_let_in.await? {
            Ok((id, certificate))
        } else {
            Err(FleetError::Removed(id))
        }
    }

    /// Certifies a new key of an enforcer that is in the register, as its certificate nears its end or its key is lost.
    pub async fn recertify(
        &self,
        by: &SpiffeId,
        name: &str,
        request: &str,
    ) -> Result<(SpiffeId, String), FleetError> {
        self.check_registered(name).await?;
        self.certify(by, Role::Enforcer, name, request).await
    }

    /// Certifies a key of the caller's own. Whoever left the register is not renewed.
    pub async fn renew(&self, caller: &SpiffeId, role: Role, request: &str) -> Result<String, FleetError> {
        if role == Role::Enforcer {
            self.check_registered(caller.name()).await?;
        }
        Ok(self.authority.certify_again(&*self.clock, caller, request)?)
    }

    async fn check_registered(&self, name: &str) -> Result<(), FleetError> {
        let known = self.database.transact("fleet.check_registered", |tx| async move {
            let known = store::is_registered(&tx, name).await?;
            Ok((tx, known))
        });
        if !known.await? {
            return Err(FleetError::NotRegistered(name.to_owned()));
        }
        Ok(())
    }
}

/// An enforcer speaks for agents, and for nobody else.
pub(super) fn check_agents(register: &Register) -> Result<(), FleetError> {
    let mut agents = register.agents.iter();
    match agents.find(|agent| agent.role() != Some(Role::Agent)) {
        Some(other) => Err(FleetError::NotAnAgent(other.clone())),
        None => Ok(()),
    }
}
