//! The agents and the timeline of a task for people, each event on one line.

use super::timeline::{Called, Event, HeldCall, What, events};
use super::tree::{Actor, Bound, GivenBy, agents};
use super::{Record, Story};
use crate::cli::output::{Cell, Paint, Style, Table};

/// How many events are shown unless all are wanted: the last.
pub(super) const EVENTS_MAX: usize = 100;
/// Names are cut at this width, and why something happened at the other: a line has room in 120 columns.
const NAME_CHARS_MAX: usize = 24;
const WHY_CHARS_MAX: usize = 36;
/// So much of a grant's name tells it from others of its task.
const GRANT_CHARS: usize = 6;

/// Both, below the task.
pub(super) fn render(story: &Story, events_max: usize, paint: Paint) -> String {
    let events = events(story);
    let left_out = events.len().saturating_sub(events_max);
    let notes: String = left_out_lines(left_out, story.record.as_ref())
        .iter()
        .map(|line| paint.apply(Style::Dim, line) + "\n")
        .collect();
    let agents = agents(story);
    format!(
        "\n{}\n{}\n{}{}\n{notes}{}",
        paint.apply(Style::Strong, "agents"),
        tree(&agents, paint),
        budgets(&agents, paint),
        paint.apply(Style::Strong, "timeline"),
        table(&events[left_out..], story.task.started_unix_ms, paint)
    )
}

/// What is missing above the first line, if anything is.
fn left_out_lines(events: usize, record: Option<&Record>) -> Vec<String> {
    let Some(record) = record else {
        return vec![
            "without calls and holds: your identity may not read the record; an operator or approver may"
                .to_owned(),
        ];
    };
    let mut lines = Vec::new();
    if record.decisions_unread > 0 {
        let unread = record.decisions_unread;
        lines.push(format!(
            "{unread} older decisions were not read, and are not counted above: --all"
        ));
    }
    if record.holds_unread {
        lines.push("there are more holds, which were not read: --all".to_owned());
    }
    if events > 0 {
        lines.push(format!("{events} earlier events are left out: --all"));
    }
    lines
}

fn tree(roots: &[Actor], paint: Paint) -> String {
    let mut table = Table::new(&[
        "AGENT",
        "GRANT",
        "CALLS",
        "PERMITTED",
        "HELD",
        "DENIED",
        "GIVEN BY",
    ]);
    for root in roots {
        push(&mut table, root, (0, ""));
    }
    table.render(paint, "nobody")
}

/// What the grants of these agents bound, in the same order; nothing, if they bound nothing.
fn budgets(roots: &[Actor], paint: Paint) -> String {
    let mut table = Table::new(&["AGENT", "GRANT", "OF", "LIMIT", "SPENT", "RESERVED", "UNKNOWN"]);
    let pushed: usize = roots.iter().map(|root| push_budgets(&mut table, root, 0)).sum();
    if pushed == 0 {
        return String::new();
    }
    let title = paint.apply(Style::Strong, "budgets");
    format!("{title}\n{}\n", table.render(paint, ""))
}

/// Gives how many there are.
fn push_budgets(table: &mut Table, agent: &Actor, depth: usize) -> usize {
    for Bound { grant, budget } in &agent.budgets {
        let limit = budget.limit.as_deref().unwrap_or("none");
        table.push([
            Cell::from(placed(agent, depth)),
            Cell::dim(format!("…{}", tail(grant))),
            Cell::from(&*budget.meter),
            Cell::from(limit),
            Cell::from(&*budget.spent),
            Cell::from(&*budget.reserved),
            Cell::from(&*budget.unknown),
        ]);
    }
    let below = agent.passed_on_to.iter();
    let below: usize = below.map(|below| push_budgets(table, below, depth + 1)).sum();
    agent.budgets.len() + below
}

/// The name of an agent at its depth in the tree.
fn placed(agent: &Actor, depth: usize) -> String {
    let indent = match depth {
        0 => String::new(),
        depth => format!("{}└ ", "  ".repeat(depth - 1)),
    };
    format!("{indent}{}", short(&agent.agent))
}

fn push(table: &mut Table, agent: &Actor, (depth, above): (usize, &str)) {
    table.push([
        Cell::from(placed(agent, depth)),
        Cell::dim(grants(agent)),
        Cell::from(agent.calls.to_string()),
        Cell::from(agent.permitted.to_string()),
        Cell::from(agent.held.to_string()),
        Cell::from(agent.denied.to_string()),
        Cell::dim(given_by(agent.given_by, above)),
    ]);
    for below in &agent.passed_on_to {
        push(table, below, (depth + 1, &agent.agent));
    }
}

pub(super) fn given_by(given_by: GivenBy, above: &str) -> String {
    match given_by {
        GivenBy::Start => "the start".to_owned(),
        GivenBy::ControlPlane => format!("{}, online", short(above)),
        GivenBy::Agent => format!("{}, by itself", short(above)),
        GivenBy::Nobody => "nobody: presented another's".to_owned(),
    }
}

/// The latest, which is the greatest, and how many more.
pub(super) fn grants(agent: &Actor) -> String {
    let latest = agent.grants.last().map_or("", |grant| tail(grant));
    match agent.grants.len() {
        0 => String::new(),
        1 => format!("…{latest}"),
        more => format!("…{latest} +{}", more - 1),
    }
}

fn tail(id: &str) -> &str {
    let start = id.char_indices().rev().nth(GRANT_CHARS - 1);
    start.map_or(id, |(at, _)| id.get(at..).unwrap_or(id))
}

fn table(events: &[Event], started_ms: u64, paint: Paint) -> String {
    let mut table = Table::new(&["AFTER", "WHO", "WHAT", "VERDICT", "OUTCOME", "LABELS", "WHY"]);
    for event in events {
        let line = Line::of(&event.what);
        table.push([
            Cell::dim(after(event.at_ms, started_ms)),
            Cell::from(cut(short(&line.who), NAME_CHARS_MAX)),
            Cell::from(cut(&line.what, NAME_CHARS_MAX)).styled(line.style),
            Cell::word(line.verdict),
            Cell::word(line.outcome),
            Cell::from(line.labels),
            Cell::dim(cut(&line.why, WHY_CHARS_MAX)),
        ]);
    }
    table.render(paint, "nothing happened")
}

/// One event in the words of its columns.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub who: String,
    pub what: String,
    style: Style,
    pub verdict: &'static str,
    pub outcome: &'static str,
    pub labels: String,
    pub why: String,
}

impl Line {
    pub(super) fn of(event: &What) -> Self {
        match event {
            What::Started { by, intent, .. } => Self::told(by, "started", intent),
            What::PassedOn(delegation) => {
                let what = format!("passed on to {}", short(&delegation.agent));
                Self::told(&delegation.delegated_by, &what, &delegation.bounds())
            }
            What::Call(call) => Self::of_call(call),
            What::Held(held) => Self {
                verdict: "hold",
                ..Self::of_hold(held)
            },
            What::HoldOver(held) => Self::of_hold(held),
            What::Answered {
                by,
                approved,
                reason,
                tool,
                ..
            } => Self {
                who: by.clone(),
                what: tool.clone(),
                verdict: if *approved { "approved" } else { "denied" },
                why: reason.clone(),
                ..Self::default()
            },
            What::Labelled(label) => Self {
                labels: format!("+{}", label.label),
                ..Self::told(&label.agent, &label.tool, "")
            },
            What::Amended(amendment) => Self::told(&amendment.amended_by, "amended", &amendment.told()),
            What::Declassified { lifted, amendment } => Self {
                labels: marks('-', lifted),
                ..Self::told(&amendment.amended_by, "declassified", &amendment.reason)
            },
            What::Closed { how, by, reason } => Self {
                outcome: how,
                ..Self::told(by, "the end", reason)
            },
        }
    }

    /// What people and the control plane do.
    fn told(who: &str, what: &str, why: &str) -> Self {
        Self {
            who: who.to_owned(),
            what: what.to_owned(),
            style: Style::Dim,
            why: why.to_owned(),
            ..Self::default()
        }
    }

    fn of_call(call: &Called) -> Self {
        let why = if call.rules.is_empty() {
            call.cause.clone()
        } else {
            call.rules.join(", ")
        };
        let why = match &*call.spent_text() {
            "" => why,
            spent => format!("{spent}; {why}"),
        };
        let groups = call.hold.as_ref().filter(|_| call.verdict == "hold");
        let why = groups.map_or(why.clone(), |hold| {
            format!("{why}, asks {}", hold.groups.join(", "))
        });
        Self {
            who: call.agent.clone(),
            what: call.tool.clone(),
            verdict: call.verdict,
            outcome: call
                .outcome
                .or_else(|| groups.map(|hold| hold.state))
                .unwrap_or_default(),
            labels: marks('+', &call.brought),
            why: if call.enforced {
                why
            } else {
                format!("only noted: {why}")
            },
            ..Self::default()
        }
    }

    fn of_hold(held: &HeldCall) -> Self {
        Self {
            who: held.agent.clone(),
            what: held.tool.clone(),
            outcome: held.state,
            why: format!("asks {}", held.groups.join(", ")),
            ..Self::default()
        }
    }
}

fn marks(sign: char, labels: &[String]) -> String {
    let marks: Vec<String> = labels.iter().map(|label| format!("{sign}{label}")).collect();
    marks.join(" ")
}

/// The last part of a SPIFFE ID.
pub(super) fn short(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    text.chars().take(chars_max - 1).chain(['…']).collect()
}

/// How long after the start. Clocks of several machines meet here: what came before it by its clock says so.
pub(super) fn after(at_ms: u64, started_ms: u64) -> String {
    let sign = if at_ms < started_ms { '-' } else { '+' };
    let ms = at_ms.abs_diff(started_ms);
    let (seconds, minutes, hours) = (ms / 1_000, ms / 60_000, ms / 3_600_000);
    match hours {
        0 if minutes == 0 => format!("{sign}{seconds}.{:03}s", ms % 1_000),
        0 => format!("{sign}{minutes}m{:02}s", seconds % 60),
        1..48 => format!("{sign}{hours}h{:02}m", minutes % 60),
        _ => format!("{sign}{}d{:02}h", hours / 24, hours % 24),
    }
}
