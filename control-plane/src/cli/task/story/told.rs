//! A task's story in words, for whoever shows it elsewhere than in a terminal.

use checkrein_proto::decision::v1::StoredDecision;
use checkrein_proto::hold::v1::Hold;
use checkrein_proto::task::v1::Task;

use super::page::{Line, after, given_by, grants, short};
use super::timeline::{Event, What, events};
use super::tree::{Actor, agents};
use super::{Record, Story};

/// An agent at its place in the tree, with what it did there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ToldAgent {
    /// How far below the task's own agent.
    pub depth: usize,
    /// SPIFFE ID.
    pub agent: String,
    /// The latest, in short, and how many more.
    pub grants: String,
    /// One that was held and then let through counts once.
    pub calls: usize,
    /// How many were let through.
    pub permitted: u64,
    /// How many waited for people.
    pub held: u64,
    /// How many were not.
    pub denied: u64,
    /// How it came by its grant.
    pub given_by: String,
}

/// What happened, and when.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ToldEvent {
    /// By the clock of whoever did it.
    pub at_ms: u64,
    /// How long after the task was started.
    pub after: String,
    /// The last part of whose identity.
    pub who: String,
    /// The tool, or what else was done.
    pub what: String,
    /// `permit`, `hold`, `deny`, `approved`, `denied`, or nothing.
    pub verdict: &'static str,
    /// What came of it, or how it stands.
    pub outcome: &'static str,
    /// Labels that came and went.
    pub labels: String,
    /// Why.
    pub why: String,
    /// The decision, if it is one.
    pub decision: String,
    /// The hold, if it is about one.
    pub hold: String,
}

/// The agents, each before those below it, and what happened, the oldest first.
pub(crate) fn told(
    task: Task,
    decisions: Vec<StoredDecision>,
    holds: Vec<Hold>,
) -> (Vec<ToldAgent>, Vec<ToldEvent>) {
    let started_ms = task.started_unix_ms;
    let story = Story {
        task,
        record: Some(Record {
            decisions,
            holds,
            decisions_unread: 0,
            holds_unread: false,
        }),
    };
    let mut actors = Vec::new();
    for root in agents(&story) {
        push(&mut actors, &root, (0, ""));
    }
    let events = events(&story);
    (
        actors,
        events.iter().map(|event| event_told(event, started_ms)).collect(),
    )
}

fn push(actors: &mut Vec<ToldAgent>, actor: &Actor, (depth, above): (usize, &str)) {
    actors.push(ToldAgent {
        depth,
        agent: actor.agent.clone(),
        grants: grants(actor),
        calls: actor.calls,
        permitted: actor.permitted,
        held: actor.held,
        denied: actor.denied,
        given_by: given_by(actor.given_by, above),
    });
    for below in &actor.passed_on_to {
        push(actors, below, (depth + 1, &actor.agent));
    }
}

fn event_told(event: &Event, started_ms: u64) -> ToldEvent {
    let line = Line::of(&event.what);
    let (decision, hold) = match &event.what {
        What::Call(call) => (
            call.decision.clone(),
            call.hold.as_ref().map(|hold| hold.id.clone()).unwrap_or_default(),
        ),
        What::Held(held) | What::HoldOver(held) => (String::new(), held.id.clone()),
        What::Answered { hold, .. } => (String::new(), hold.clone()),
        _ => Default::default(),
    };
    ToldEvent {
        at_ms: event.at_ms,
        after: after(event.at_ms, started_ms),
        who: short(&line.who).to_owned(),
        what: line.what,
        verdict: line.verdict,
        outcome: line.outcome,
        labels: line.labels,
        why: line.why,
        decision,
        hold,
    }
}
