//! Invitations for people and for scripts. Names are stable.

use checkrein_proto::fleet::v1::{Invitation, InvitationState};
use serde::Serialize;

use crate::cli::output::{Cell, Fields, Paint, Style, Table, relative, rfc3339, visible};

/// An invitation for scripts.
#[derive(Debug, Serialize)]
pub(super) struct InvitationView {
    spiffe_id: String,
    state: &'static str,
    labels: Vec<String>,
    agents: Vec<String>,
    invited_by: String,
    invited_at: Option<String>,
    expires_at: Option<String>,
    joined_at: Option<String>,
    withdrawn_at: Option<String>,
    withdrawn_by: Option<String>,
}

impl InvitationView {
    pub(super) fn of(invitation: &Invitation) -> Self {
        Self {
            spiffe_id: invitation.spiffe_id.clone(),
            state: state_word(invitation.state()),
            labels: invitation.labels.clone(),
            agents: invitation.agents.clone(),
            invited_by: invitation.invited_by.clone(),
            invited_at: rfc3339(invitation.invited_unix_ms),
            expires_at: rfc3339(invitation.expires_unix_ms),
            joined_at: rfc3339(invitation.joined_unix_ms),
            withdrawn_at: rfc3339(invitation.withdrawn_unix_ms),
            withdrawn_by: Some(invitation.withdrawn_by.clone()).filter(|by| !by.is_empty()),
        }
    }
}

/// Rows, one for each invitation.
pub(super) fn table(invitations: &[Invitation], now_ms: u64, paint: Paint) -> String {
    let mut table = Table::new(&["WHO", "STATE", "EXPIRES", "INVITED", "BY", "LABELS"]);
    for invitation in invitations {
        let state = match invitation.state() {
            InvitationState::Taken => format!("taken {}", relative(invitation.joined_unix_ms, now_ms)),
            InvitationState::Withdrawn => {
                format!("withdrawn {}", relative(invitation.withdrawn_unix_ms, now_ms))
            }
            other => state_word(other).to_owned(),
        };
        let style = match invitation.state() {
            InvitationState::Open => Style::Waiting,
            _ => Style::Dim,
        };
        table.push([
            Cell::from(&*invitation.spiffe_id).styled(Style::Strong),
            Cell::from(state).styled(style),
            Cell::from(relative(invitation.expires_unix_ms, now_ms)),
            Cell::from(relative(invitation.invited_unix_ms, now_ms)),
            Cell::from(&*invitation.invited_by),
            Cell::dim(invitation.labels.join(" ")),
        ]);
    }
    table.render(
        paint,
        "nobody is invited; `checkrein fleet enrol NAME --agent SPIFFE-ID` invites an enforcer",
    )
}

/// What was taken back.
pub(super) fn withdrawn(invitation: &Invitation, paint: Paint) -> String {
    let mut fields = Fields::default();
    let at = rfc3339(invitation.withdrawn_unix_ms);
    fields
        .line("withdrawn", at.as_deref().unwrap_or_default())
        .line("by", &invitation.withdrawn_by)
        .line("invited by", &invitation.invited_by);
    let who = paint.apply(Style::Strong, &visible(&invitation.spiffe_id));
    format!(
        "{who} can't join by what it was given\n\n{}",
        fields.render(paint)
    )
}

const fn state_word(state: InvitationState) -> &'static str {
    match state {
        InvitationState::Unspecified => "unrecognised",
        InvitationState::Open => "open",
        InvitationState::Taken => "taken",
        InvitationState::Withdrawn => "withdrawn",
        InvitationState::Expired => "expired",
    }
}

#[cfg(test)]
mod tests;
