//! The log of ended authority.

use checkrein_proto::fleet::v1 as wire;
use checkrein_proto::fleet::v1::revocation::What;

use super::InvalidMessage;
use crate::action::Sha256;
use crate::grant::{Revocation, Revoked};

impl Revocation {
    /// The entry under its number.
    pub fn to_wire(&self, sequence: u64) -> wire::Revocation {
        wire::Revocation {
            sequence,
            expires_unix_ms: self.expires_ms,
            cause: self.cause.clone(),
            what: Some((&self.what).into()),
        }
    }
}

impl From<&Revoked> for What {
    fn from(revoked: &Revoked) -> Self {
        match revoked {
            Revoked::Task(task) => Self::TaskId(task.to_string()),
            Revoked::Before { task, epoch } => Self::Before(wire::RevokedEpochs {
                task_id: task.to_string(),
                epoch: *epoch,
            }),
            Revoked::Grant { task, grant } => Self::Grant(wire::RevokedGrant {
                task_id: task.to_string(),
                grant_id: grant.to_string(),
            }),
            Revoked::Agent { agent, until_ms } => Self::Agent(wire::RevokedAgent {
                agent: agent.to_string(),
                until_unix_ms: *until_ms,
            }),
            Revoked::Key(thumbprint) => Self::KeySha256(thumbprint.to_bytes()),
        }
    }
}

/// What a later version revokes means something that this one does not know: whoever reads on would miss it.
impl TryFrom<wire::Revocation> for Revocation {
    type Error = InvalidMessage;

    fn try_from(entry: wire::Revocation) -> Result<Self, InvalidMessage> {
        let what = match entry.what.ok_or(InvalidMessage::Missing("what"))? {
            What::TaskId(task) => Revoked::Task(task.parse()?),
            What::Before(before) => Revoked::Before {
                task: before.task_id.parse()?,
                epoch: before.epoch,
            },
            What::Grant(grant) => Revoked::Grant {
                task: grant.task_id.parse()?,
                grant: grant.grant_id.parse()?,
            },
            What::Agent(agent) => Revoked::Agent {
                agent: agent.agent.parse()?,
                until_ms: agent.until_unix_ms,
            },
            What::KeySha256(thumbprint) => Revoked::Key(Sha256::try_from(&*thumbprint)?),
        };
        Ok(Self {
            what,
            expires_ms: entry.expires_unix_ms,
            cause: entry.cause,
        })
    }
}
