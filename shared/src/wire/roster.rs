//! The roster of an enforcer's agents to and from the wire.

use checkrein_proto::fleet::v1 as proto;

use super::InvalidMessage;
use crate::policy::{ROSTER_AGENTS_MAX, Roster, TEAMS_MAX, TeamName};

impl TryFrom<proto::Roster> for Roster {
    type Error = InvalidMessage;

    fn try_from(roster: proto::Roster) -> Result<Self, InvalidMessage> {
        if roster.agents.len() > ROSTER_AGENTS_MAX {
            return Err(InvalidMessage::TooMany {
                field: "agents",
                max: ROSTER_AGENTS_MAX,
            });
        }
        let agent = |entry: proto::RosterEntry| {
            if entry.teams.len() > TEAMS_MAX {
                return Err(InvalidMessage::TooMany {
                    field: "teams",
                    max: TEAMS_MAX,
                });
            }
            let teams = entry.teams.iter().map(|team| team.parse());
            Ok((entry.agent.parse()?, teams.collect::<Result<_, _>>()?))
        };
        Ok(Self {
            revision: roster.revision,
            agents: roster
                .agents
                .into_iter()
                .map(agent)
                .collect::<Result<_, InvalidMessage>>()?,
        })
    }
}

impl From<&Roster> for proto::Roster {
    fn from(roster: &Roster) -> Self {
        let entry = |(agent, teams): (&crate::identity::SpiffeId, &std::collections::BTreeSet<TeamName>)| {
            proto::RosterEntry {
                agent: agent.to_string(),
                teams: teams.iter().map(ToString::to_string).collect(),
            }
        };
        Self {
            revision: roster.revision,
            agents: roster.agents.iter().map(entry).collect(),
        }
    }
}
