//! One task: who may do what, for whom, until when; its agents as a tree, and what happened in it as a timeline.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use checkrein_proto::decision::v1::{SearchRequest, StoredDecision};
use checkrein_proto::hold::v1::{Hold, ListRequest, State};
use checkrein_proto::task::v1::{ShowRequest, Task};
use checkrein_shared::hold::State as HoldState;
use tonic::Status;

use super::super::page::{Frame, Place, Trouble, ok};
use super::super::parts::{Moment, if_shown, listed, short};
use super::super::visit::Visit;
use super::strip::Strip;
use crate::cli::{ToldAgent, ToldEvent, told};
use crate::words::{rfc3339, task_word, visible, visible_lines};

/// So many decisions are read, the newest, and so many holds.
const DECISIONS_MAX: u32 = 500;
const HOLDS_MAX: u32 = 200;

#[derive(Template)]
#[template(path = "task.html")]
struct TaskPage {
    frame: Frame,
    id: String,
    word: &'static str,
    user: String,
    agent: String,
    intent: String,
    environment: String,
    tools: Vec<String>,
    named: String,
    labels: String,
    started_by: String,
    started: Moment,
    expires: Moment,
    closed: Option<(Moment, String, String)>,
    budgets: Vec<Budget>,
    agents: Vec<Agent>,
    strip: Option<Strip>,
    events: Vec<Event>,
    /// There is more than was read.
    more: bool,
}

struct Budget {
    meter: String,
    limit: String,
    spent: String,
    reserved: String,
}

struct Agent {
    /// As a class: so far below the first.
    depth: usize,
    told: ToldAgent,
    name: String,
}

struct Event {
    at: String,
    told: ToldEvent,
}

/// `GET /tasks/{id}`
pub(in crate::console) async fn page(visit: Visit, Path(task_id): Path<String>) -> Result<Response, Trouble> {
    let request = ShowRequest { task_id };
    let shown = visit.entrance.tasks().show(request).await?.into_inner();
    let task = shown
        .task
        .ok_or_else(|| Status::not_found("there is no such task"))?;
    let (decisions, more_decisions) = decisions(&visit, &task.task_id).await?;
    let (holds, more_holds) = holds(&visit, &task.task_id).await?;
    let (agents, events) = told(task.clone(), decisions, holds);
    let mut page = TaskPage::of(&visit, &task);
    page.strip = Strip::of(&events);
    page.agents = agents.into_iter().map(Agent::of).collect();
    page.events = events.into_iter().map(Event::of).collect();
    page.more = more_decisions || more_holds;
    Ok(ok(&page))
}

/// The newest, the oldest of them first; none, if this person may not read the record.
async fn decisions(visit: &Visit, task_id: &str) -> Result<(Vec<StoredDecision>, bool), Trouble> {
    let request = SearchRequest {
        task_id: task_id.to_owned(),
        page_size: DECISIONS_MAX,
        ..SearchRequest::default()
    };
    let page = if_shown(visit.entrance.decisions().search(request).await)?.unwrap_or_default();
    let mut decisions = page.decisions;
    decisions.reverse();
    Ok((decisions, !page.next_page_token.is_empty()))
}

/// Whatever state they are in.
async fn holds(visit: &Visit, task_id: &str) -> Result<(Vec<Hold>, bool), Trouble> {
    let request = ListRequest {
        states: HoldState::ALL.map(|state| State::from(state).into()).to_vec(),
        task_id: task_id.to_owned(),
        page_size: HOLDS_MAX,
        ..ListRequest::default()
    };
    let page = if_shown(visit.entrance.holds().list(request).await)?.unwrap_or_default();
    Ok((page.holds, !page.next_page_token.is_empty()))
}

impl TaskPage {
    fn of(visit: &Visit, task: &Task) -> Self {
        let now_ms = visit.now_ms;
        let labels: Vec<String> = task.labels.iter().map(|label| label.label.clone()).collect();
        let closed = (task.closed_unix_ms > 0).then(|| {
            let at = Moment::of(task.closed_unix_ms, now_ms);
            (at, visible(&task.closed_by), visible(&task.closed_reason))
        });
        let budget = |of: &checkrein_proto::task::v1::Budget| Budget {
            meter: visible(&of.meter),
            limit: match of.limit.as_str() {
                "" => "none".to_owned(),
                limit => visible(limit),
            },
            spent: visible(&of.spent),
            reserved: visible(&of.reserved),
        };
        Self {
            frame: visit.frame(&format!("Task of {}", task.user), Place::Tasks),
            id: visible(&task.task_id),
            word: task_word(task),
            user: visible(&task.user),
            agent: visible(&task.agent),
            intent: visible_lines(&task.intent),
            environment: visible(&task.environment),
            tools: task.tools.iter().map(|tool| visible(tool)).collect(),
            named: listed(&task.named),
            labels: listed(&labels),
            started_by: visible(&task.started_by),
            started: Moment::of(task.started_unix_ms, now_ms),
            expires: Moment::of(task.expires_unix_ms, now_ms),
            closed,
            budgets: task.budgets.iter().map(budget).collect(),
            agents: Vec::new(),
            strip: None,
            events: Vec::new(),
            more: false,
        }
    }
}

impl Agent {
    /// Deeper than a phone is wide, an agent stands no further in.
    const DEPTH_SHOWN_MAX: usize = 6;

    fn of(mut told: ToldAgent) -> Self {
        let name = short(&told.agent);
        told.agent = visible(&told.agent);
        told.given_by = visible(&told.given_by);
        Self {
            depth: told.depth.min(Self::DEPTH_SHOWN_MAX),
            told,
            name,
        }
    }
}

impl Event {
    fn of(mut told: ToldEvent) -> Self {
        for text in [
            &mut told.who,
            &mut told.what,
            &mut told.labels,
            &mut told.why,
            &mut told.decision,
            &mut told.hold,
        ] {
            *text = visible(text);
        }
        Self {
            at: rfc3339(told.at_ms).unwrap_or_default(),
            told,
        }
    }
}
