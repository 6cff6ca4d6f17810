//! The register as it goes out: what is not known of somebody is left at nothing.

use checkrein_proto::fleet::v1 as wire;
use checkrein_shared::identity::SpiffeId;

use crate::fleet::{Agent, AllowedTool, Enforcer, Instance, Invited, InvitedState, Journal, Nack};

impl From<&Enforcer> for wire::Enforcer {
    fn from(enforcer: &Enforcer) -> Self {
        Self {
            name: enforcer.name.clone(),
            spiffe_id: enforcer.spiffe_id.to_string(),
            labels: enforcer.labels.clone(),
            agents: enforcer.agents.clone(),
            registered_unix_ms: enforcer.registered_ms,
            removed_unix_ms: enforcer.removed_ms.unwrap_or_default(),
            instances: enforcer.instances.iter().map(Into::into).collect(),
            nacks: enforcer.nacks.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Agent> for wire::Agent {
    fn from(agent: &Agent) -> Self {
        let said = |by: &Option<(SpiffeId, u64)>| match by {
            Some((by, at_ms)) => (by.to_string(), *at_ms),
            None => (String::new(), 0),
        };
        let (registered_by, registered_unix_ms) = said(&agent.registered);
        let (named_by, named_unix_ms) = said(&agent.named);
        let tool = |allowed: &AllowedTool| wire::AllowedTool {
            tool: allowed.tool.clone(),
            used: allowed.is_used,
        };
        Self {
            spiffe_id: agent.id.to_string(),
            owner: agent.owner.clone(),
            registered_by,
            registered_unix_ms,
            enforcers: agent.enforcers.clone(),
            last_seen_unix_ms: agent.last_seen_ms.unwrap_or_default(),
            live_tasks: agent.live_tasks,
            tools: agent.tools.iter().map(tool).collect(),
            removed_unix_ms: agent.removed_ms.unwrap_or_default(),
            teams: agent.teams.clone(),
            named_by,
            named_unix_ms,
        }
    }
}

impl From<&Invited> for wire::Invitation {
    fn from(invited: &Invited) -> Self {
        let encoded = Self {
            spiffe_id: invited.id.to_string(),
            labels: invited.labels.clone(),
            agents: invited.agents.clone(),
            invited_by: invited.by.to_string(),
            invited_unix_ms: invited.at_ms,
            expires_unix_ms: invited.expires_ms,
            ..Self::default()
        };
        let of = |state: wire::InvitationState| state.into();
        match &invited.state {
            InvitedState::Open => Self {
                state: of(wire::InvitationState::Open),
                ..encoded
            },
            InvitedState::Expired => Self {
                state: of(wire::InvitationState::Expired),
                ..encoded
            },
            InvitedState::Taken { at_ms } => Self {
                state: of(wire::InvitationState::Taken),
                joined_unix_ms: *at_ms,
                ..encoded
            },
            InvitedState::Withdrawn { by, at_ms } => Self {
                state: of(wire::InvitationState::Withdrawn),
                withdrawn_unix_ms: *at_ms,
                withdrawn_by: by.to_string(),
                ..encoded
            },
        }
    }
}

impl From<&Instance> for wire::Instance {
    fn from(instance: &Instance) -> Self {
        Self {
            instance_id: instance.id.to_string(),
            incarnation: instance.incarnation,
            build: instance.build.clone(),
            connected: instance.connected,
            last_seen_unix_ms: instance.last_seen_ms,
            generation: instance.generation,
            acked_unix_ms: instance.acked_ms,
            journal_pending: instance.journal_pending,
        }
    }
}

impl From<&Journal> for wire::Journal {
    fn from(journal: &Journal) -> Self {
        let progress = &journal.progress;
        Self {
            instance_id: progress.instance.to_string(),
            incarnation: progress.incarnation,
            next_sequence: progress.next_sequence,
            advanced_unix_ms: progress.advanced_ms,
            forked_unix_ms: progress.forked_ms.unwrap_or_default(),
            unfinished: journal.unfinished,
        }
    }
}

impl From<&Nack> for wire::NackReport {
    fn from(nack: &Nack) -> Self {
        Self {
            instance_id: nack.instance.to_string(),
            generation: nack.generation,
            stage: nack.stage,
            reason: nack.reason.clone(),
            refused_unix_ms: nack.refused_ms,
        }
    }
}
