//! Agents for people: whom to ask, and what could be taken away.

use checkrein_proto::fleet::v1::Agent;

use super::never_used;
use crate::cli::output::{Cell, Fields, Paint, Style, Table, relative, visible};

/// Rows, one for each agent.
pub(super) fn table(agents: &[Agent], now_ms: u64, paint: Paint) -> String {
    let mut table = Table::new(&[
        "AGENT",
        "OWNER",
        "TEAMS",
        "SEEN",
        "LIVE TASKS",
        "TOOLS",
        "UNUSED",
        "ENFORCERS",
    ]);
    for agent in agents {
        let seen = if agent.removed_unix_ms == 0 {
            Cell::from(seen(agent, now_ms))
        } else {
            Cell::from(format!("removed {}", relative(agent.removed_unix_ms, now_ms))).styled(Style::Bad)
        };
        table.push([
            Cell::from(&*agent.spiffe_id).styled(Style::Strong),
            Cell::from(&*agent.owner),
            Cell::from(agent.teams.join(" ")),
            seen,
            Cell::from(agent.live_tasks.to_string()),
            Cell::from(agent.tools.len().to_string()),
            Cell::from(never_used(agent).count().to_string()),
            Cell::dim(agent.enforcers.join(" ")),
        ]);
    }
    table.render(
        paint,
        "no agents; name one with `checkrein fleet agents add SPIFFE-ID --owner NAME`",
    )
}

/// One agent, whole.
pub(super) fn card(agent: &Agent, now_ms: u64, paint: Paint) -> String {
    let owner = if agent.owner.is_empty() {
        "nobody was named"
    } else {
        &agent.owner
    };
    let teams = match agent.teams.join("\n") {
        none if none.is_empty() => "none but what packs say".to_owned(),
        teams => teams,
    };
    let said = |at_ms, by: &str| match at_ms {
        0 => "never".to_owned(),
        _ => format!("{} by {by}", relative(at_ms, now_ms)),
    };
    let registered = said(agent.registered_unix_ms, &agent.registered_by);
    let named = said(agent.named_unix_ms, &agent.named_by);
    let allowed: Vec<&str> = agent.tools.iter().map(|allowed| &*allowed.tool).collect();
    let unused: Vec<&str> = never_used(agent).collect();
    let mut fields = Fields::default();
    if agent.removed_unix_ms != 0 {
        fields.styled("removed", &relative(agent.removed_unix_ms, now_ms), Style::Bad);
    }
    fields
        .line("owner", owner)
        .block("teams", &teams, Style::Plain)
        .line("named", &named)
        .line("registered", &registered)
        .line("seen", &seen(agent, now_ms))
        .line("live tasks", &agent.live_tasks.to_string())
        .block("enforcers", &agent.enforcers.join("\n"), Style::Plain)
        .block("allowed", &allowed.join("\n"), Style::Plain)
        .block("never used", &unused.join("\n"), Style::Waiting);
    let who = paint.apply(Style::Strong, &visible(&agent.spiffe_id));
    format!("{who}\n\n{}", fields.render(paint))
}

fn seen(agent: &Agent, now_ms: u64) -> String {
    match agent.last_seen_unix_ms {
        0 => "never".to_owned(),
        at_ms => relative(at_ms, now_ms),
    }
}

#[cfg(test)]
mod tests;
