//! `checkrein task show`: a task with its agents and what happened in it, put together from what three services say of it.
//!
//! ```text
//! task --\
//! decisions --> tree, timeline --> page, or a document for scripts
//! holds --/
//! ```
//!
//! **Invariant**: what is not shown is said: events that are left out are counted, and so are decisions that were not read;
//! whoever may not read the record is told that it is missing.

mod page;
mod timeline;
mod told;
mod tree;

use checkrein_proto::decision::v1::decision_service_client::DecisionServiceClient;
use checkrein_proto::decision::v1::{self as decision, CountRequest, StoredDecision};
use checkrein_proto::hold::v1::hold_service_client::HoldServiceClient;
use checkrein_proto::hold::v1::{self as hold, Hold};
use checkrein_proto::task::v1::task_service_client::TaskServiceClient;
use checkrein_proto::task::v1::{ShowRequest, Task};
use checkrein_shared::hold::State;
use serde::Serialize;

use super::show::card;
use super::view::TaskView;
use crate::cli::client::{ANSWER_BYTES_MAX, Connection};
use crate::cli::pages::Rows;
use crate::cli::{Error, Invocation, Outcome};
use timeline::{Event, events};
pub(crate) use told::{ToldAgent, ToldEvent, told};
use tree::{Actor, agents};

/// How many decisions are read, and how many holds, the newest, unless all are wanted.
const RECORDS_READ_MAX: u32 = 10_000;

pub(super) const EXAMPLE: &str = "\
Example:
  checkrein task show task_0193f1c2a4b87d3e9f00a1b2c3d4e5f6
  checkrein task show task_0193f1c2a4b87d3e9f00a1b2c3d4e5f6 --all --json | jq '.timeline[] | select(.verdict == \"deny\")'

The agents are those of whom there is a record: who was given the grant, and whom it was passed on to by the control plane, or by an
agent itself once that one called something. Budgets are those of the task and of grants that the control plane passed on, each with what its
agent and all below it used up, what is held for calls under way, and what nobody knows the end of. In the timeline, `+pii` stands at the call that brought `pii` into the task, and
`-pii` where it was taken from it again.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The task, as `task start` printed it
    id: String,
    /// Every event, and not only the last 100, of every decision there is
    #[arg(long, conflicts_with = "no_timeline")]
    all: bool,
    /// The task alone, without its agents and what happened in it
    #[arg(long)]
    no_timeline: bool,
}

/// What is known of a task.
#[derive(Debug, Default)]
struct Story {
    task: Task,
    /// None: the caller may not read them.
    record: Option<Record>,
}

/// What enforcers and people did in it.
#[derive(Debug, Default)]
struct Record {
    /// In the order in which they were decided.
    decisions: Vec<StoredDecision>,
    holds: Vec<Hold>,
    /// How many older decisions were not read.
    decisions_unread: u64,
    /// There are holds that were not read.
    holds_unread: bool,
}

/// A task and its story for scripts. Names are stable.
#[derive(Debug, Serialize)]
struct StoryView {
    #[serde(flatten)]
    task: TaskView,
    agents: Vec<Actor>,
    timeline: Vec<Event>,
    /// False: the caller may not read decisions and holds, and both are missing above.
    record_read: bool,
    decisions_unread: u64,
    holds_unread: bool,
}

/// Runs it.
pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    let connection = invocation.connect().await?;
    let task = find(connection.clone(), args.id).await?;
    let now_ms = invocation.now_ms();
    if args.no_timeline {
        invocation.answer(&TaskView::of(&task), |paint| card(&task, now_ms, paint))?;
        return Ok(Outcome::Done);
    }
    let records_max = if args.all { u32::MAX } else { RECORDS_READ_MAX };
    let record = Record::read(connection, &task.task_id, records_max).await;
    let story = Story {
        task,
        record: unless_forbidden(record)?,
    };
    invocation.answer(&story.view(), |paint| {
        let events_max = if args.all { usize::MAX } else { page::EVENTS_MAX };
        card(&story.task, now_ms, paint) + &page::render(&story, events_max, paint)
    })?;
    Ok(Outcome::Done)
}

async fn find(connection: Connection, task_id: String) -> Result<Task, Error> {
    let mut client = TaskServiceClient::new(connection).max_decoding_message_size(ANSWER_BYTES_MAX);
    let shown = client.show(ShowRequest { task_id }).await?.into_inner();
    shown.task.ok_or(Error::Incomplete("task"))
}

/// Who starts tasks may see them, and need not be one who reads the record.
fn unless_forbidden(record: Result<Record, Error>) -> Result<Option<Record>, Error> {
    match record {
        Err(Error::Refused(refusal)) if refusal.is_forbidden() => Ok(None),
        record => record.map(Some),
    }
}

impl Story {
    fn view(&self) -> StoryView {
        StoryView {
            task: TaskView::of(&self.task),
            agents: agents(self),
            timeline: events(self),
            record_read: self.record.is_some(),
            decisions_unread: self.record.as_ref().map_or(0, |record| record.decisions_unread),
            holds_unread: self.record.as_ref().is_some_and(|record| record.holds_unread),
        }
    }

    fn decisions(&self) -> impl Iterator<Item = (&decision::Decision, &StoredDecision)> {
        let stored = self.record.iter().flat_map(|record| &record.decisions);
        stored.filter_map(|stored| Some((stored.decision.as_ref()?, stored)))
    }

    fn holds(&self) -> impl Iterator<Item = &Hold> {
        self.record.iter().flat_map(|record| &record.holds)
    }
}

impl Record {
    async fn read(connection: Connection, task_id: &str, records_max: u32) -> Result<Self, Error> {
        let mut client =
            DecisionServiceClient::new(connection.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
        let mut found = Rows::collect(records_max, async |page_size, page_token| {
            let request = decision::SearchRequest {
                task_id: task_id.to_owned(),
                page_size,
                page_token,
                ..decision::SearchRequest::default()
            };
            let page = client.clone().search(request).await?.into_inner();
            Ok((page.decisions, page.next_page_token))
        })
        .await?;
        found.rows.reverse();
        let decisions_unread = if found.more {
            let task_id = task_id.to_owned();
            let counted = client.count(CountRequest { task_id }).await?.into_inner();
            let read = u64::try_from(found.rows.len()).unwrap_or(u64::MAX);
            counted.decisions.saturating_sub(read)
        } else {
            0
        };
        let holds = holds(connection, task_id, records_max).await?;
        Ok(Self {
            decisions: found.rows,
            holds: holds.rows,
            decisions_unread,
            holds_unread: holds.more,
        })
    }
}

/// Whatever state they are in.
async fn holds(connection: Connection, task_id: &str, records_max: u32) -> Result<Rows<Hold>, Error> {
    let client = HoldServiceClient::new(connection).max_decoding_message_size(ANSWER_BYTES_MAX);
    let states = State::ALL.map(|state| hold::State::from(state).into());
    Rows::collect(records_max, async |page_size, page_token| {
        let request = hold::ListRequest {
            states: states.to_vec(),
            task_id: task_id.to_owned(),
            page_size,
            page_token,
            ..hold::ListRequest::default()
        };
        let page = client.clone().list(request).await?.into_inner();
        Ok((page.holds, page.next_page_token))
    })
    .await
}

#[cfg(test)]
mod tests;
