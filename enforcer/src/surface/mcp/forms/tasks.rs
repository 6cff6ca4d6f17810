//! Calls of one caller that came to a task: ours, because people look at them, and those of the server.
//!
//! **Invariant**: a task is its caller's, and of the grant's task that its call was made under; for others there is none. One of ours has
//! a name that nobody guesses and that no server is told. There are at most [`TASKS_MAX`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use checkrein_shared::SharedClock;
use checkrein_shared::id::{TaskId, random_bytes};
use serde_json::Value;

use super::super::answers::{Ending, Shape, waiting};
use super::super::held::{Follower, HeldCall, Stage};
use super::super::wire::{Members, Message, text};
use crate::gate::{Decided, Held, Permit};
use crate::moment::rfc3339;

/// So many tasks of one caller are known; the oldest that is over goes first.
pub(super) const TASKS_MAX: usize = 64;
/// What came of one is kept for so long after people could last have answered.
const KEPT_MAX: Duration = Duration::from_hours(1);
/// One of the server's that has not ended after this is not waited for any more.
const SERVERS_MAX: Duration = Duration::from_hours(24);
/// A client is asked to look again after this.
const POLL_MS: u64 = 5_000;

/// All of one caller.
#[derive(Debug)]
pub(in crate::surface::mcp) struct Tasks {
    clock: SharedClock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_name: HashMap<String, Arc<Task>>,
    made: u64,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Task {
    number: u64,
    pub(super) name: String,
    /// Whose grant's task its call is of.
    pub(super) of: TaskId,
    made_ms: u64,
    life_ms: u64,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// People look at it, or have.
    Held(Waiting),
    /// The server goes on with it.
    Servers(Box<Running>),
}

/// A call that people look at.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) call: Arc<HeldCall>,
    keeper: Mutex<Keeper>,
    /// How far it was when somebody last looked, and since when.
    seen: Mutex<(&'static str, u64)>,
}

/// Whether a call is waited for by its task.
#[derive(Debug)]
enum Keeper {
    /// It is.
    Keeps { _follower: Follower },
    /// Its client does not want it any more; others may, and it may be too late.
    Leaves,
    /// Nobody waited for it any more: it was not made for this task.
    Left,
}

/// A call that the server goes on with.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) decided: Decided,
    /// None: it has ended, and that is recorded.
    pub(super) permit: tokio::sync::Mutex<Option<Permit>>,
    /// What was told of its end, so that it is told so again.
    pub(super) end: Mutex<Option<Ending>>,
}

impl Tasks {
    /// None yet.
    pub(in crate::surface::mcp) fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    /// A task for a call that waits for people; what its client is told. Gives the call back if there is room for no other.
    pub(super) fn begin(&self, follower: Follower, held: &Held) -> Result<String, Follower> {
        let now_ms = self.clock.wall_ms();
        let mut state = self.state();
        if let Some(task) = state.of_call(&follower.call) {
            return Ok(task.told("task", now_ms));
        }
        if !state.has_room(now_ms) {
            return Err(follower);
        }
        let left_ms = held.decide_by_ms.saturating_sub(now_ms);
        let of = follower.call.sameness.task;
        let kind = Kind::Held(Waiting {
            call: Arc::clone(&follower.call),
            seen: Mutex::new(("", now_ms)),
            keeper: Mutex::new(Keeper::Keeps { _follower: follower }),
        });
        let name = format!("checkrein-{:032x}{:032x}", random(), random());
        let task = state.add(name, of, (now_ms, left_ms.saturating_add(ms(KEPT_MAX))), kind);
        Ok(task.told("task", now_ms))
    }

    /// Takes up a task of the server's, whose call has not ended. Gives the permit back if there is no room.
    pub(super) fn take_up(&self, name: &str, of: TaskId, permit: Permit) -> Option<Permit> {
        let now_ms = self.clock.wall_ms();
        let mut state = self.state();
        // A server that names one that is known names it for both calls, and only the first is its own.
        if state.by_name.contains_key(name) || !state.has_room(now_ms) {
            return Some(permit);
        }
        let kind = Kind::Servers(Box::new(Running {
            decided: permit.decided().clone(),
            permit: tokio::sync::Mutex::new(Some(permit)),
            end: Mutex::default(),
        }));
        state.add(name.to_owned(), of, (now_ms, ms(SERVERS_MAX)), kind);
        None
    }

    /// The task of this name, for whoever shows a grant of this task; without a grant that is believed it is known all the same.
    pub(super) fn of(&self, name: &str, shown: Option<TaskId>) -> Option<Arc<Task>> {
        let mut state = self.state();
        state.sweep(self.clock.wall_ms());
        let task = state.by_name.get(name)?;
        let is_theirs = shown.is_none_or(|shown| shown == task.of);
        is_theirs.then(|| Arc::clone(task))
    }

    /// One of ours as its client is told of it now.
    pub(super) fn told(&self, task: &Task) -> String {
        task.told("complete", self.clock.wall_ms())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

impl State {
    fn of_call(&self, call: &Arc<HeldCall>) -> Option<&Arc<Task>> {
        self.by_name.values().find(|task| match &task.kind {
            Kind::Held(waiting) => Arc::ptr_eq(&waiting.call, call) && waiting.is_kept(),
            Kind::Servers(_) => false,
        })
    }

    fn has_room(&mut self, now_ms: u64) -> bool {
        self.sweep(now_ms);
        if self.by_name.len() >= TASKS_MAX {
            let over = self.by_name.values().filter(|task| task.is_over());
            let oldest = over.min_by_key(|task| task.number).map(|task| task.name.clone());
            if let Some(oldest) = oldest {
                self.by_name.remove(&oldest);
            }
        }
        self.by_name.len() < TASKS_MAX
    }

    fn sweep(&mut self, now_ms: u64) {
        self.by_name.retain(|_, task| {
            let is_late = now_ms > task.made_ms.saturating_add(task.life_ms);
            !is_late || !(task.is_over() || matches!(task.kind, Kind::Servers(_)))
        });
    }

    fn add(&mut self, name: String, of: TaskId, (made_ms, life_ms): (u64, u64), kind: Kind) -> Arc<Task> {
        self.made += 1;
        let task = Arc::new(Task {
            number: self.made,
            name: name.clone(),
            of,
            made_ms,
            life_ms,
            kind,
        });
        self.by_name.insert(name, Arc::clone(&task));
        task
    }
}

impl Task {
    /// Whether nothing more will come of it.
    fn is_over(&self) -> bool {
        match &self.kind {
            Kind::Held(waiting) => waiting.is_over(),
            Kind::Servers(running) => locked(&running.end).is_some(),
        }
    }

    /// One of ours as its client is told of it, in a result of this type.
    fn told(&self, kind: &str, now_ms: u64) -> String {
        let (status, words, end) = match &self.kind {
            Kind::Held(waiting) => waiting.standing(),
            Kind::Servers(_) => ("working", String::new(), String::new()),
        };
        let since_ms = match &self.kind {
            Kind::Held(waiting) => waiting.since_ms(status, now_ms),
            Kind::Servers(_) => self.made_ms,
        };
        let (name, words) = (Value::from(&*self.name), Value::from(words));
        let (made, since, life_ms) = (rfc3339(self.made_ms), rfc3339(since_ms), self.life_ms);
        format!(
            r#"{{"resultType":"{kind}","taskId":{name},"status":"{status}","statusMessage":{words},"createdAt":"{made}","lastUpdatedAt":"{since}","ttlMs":{life_ms},"pollIntervalMs":{POLL_MS}{end}}}"#
        )
    }
}

impl Waiting {
    /// Its client does not wait for it any more.
    pub(super) fn leave(&self) {
        let mut keeper = locked(&self.keeper);
        // What is being made can't be stopped from here, and what has ended has.
        let is_early = matches!(self.call.stage(), Stage::Waiting(_) | Stage::Asked | Stage::New);
        if is_early && matches!(*keeper, Keeper::Keeps { .. }) {
            *keeper = Keeper::Leaves;
        }
    }

    fn is_kept(&self) -> bool {
        matches!(*locked(&self.keeper), Keeper::Keeps { .. })
    }

    /// Whether it was given up before anything came of it. Once it is, it stays so.
    fn is_left(&self) -> bool {
        let mut keeper = locked(&self.keeper);
        if matches!(*keeper, Keeper::Leaves) && matches!(self.call.stage(), Stage::New | Stage::Asked) {
            *keeper = Keeper::Left;
        }
        matches!(*keeper, Keeper::Left)
    }

    fn is_over(&self) -> bool {
        self.is_left() || matches!(self.call.stage(), Stage::Ended(_))
    }

    /// Its status, in a word and a sentence, and what came of it.
    fn standing(&self) -> (&'static str, String, String) {
        let nothing = String::new;
        if self.is_left() {
            let words = "given up before anybody had agreed; the same call asks people again or picks up what they said";
            return ("cancelled", words.to_owned(), nothing());
        }
        match self.call.stage() {
            Stage::New | Stage::Asked => ("working", "waiting for approval".to_owned(), nothing()),
            Stage::Waiting(held) => {
                let hold = held
                    .decided
                    .hold
                    .map(|hold| format!(" [{hold}]"))
                    .unwrap_or_default();
                let words = format!("{}: {}{hold}", waiting(&held), held.decided.reason);
                ("working", words, nothing())
            }
            Stage::Making => ("working", "approved, and being done".to_owned(), nothing()),
            Stage::Ended(told) => match told.ending(Shape::Tool) {
                Ending::Result(result) => ("completed", nothing(), format!(r#","result":{result}"#)),
                Ending::Error(error) => (
                    "failed",
                    "the call ended in an error".to_owned(),
                    format!(r#","error":{error}"#),
                ),
            },
        }
    }

    fn since_ms(&self, status: &'static str, now_ms: u64) -> u64 {
        let mut seen = locked(&self.seen);
        if seen.0 != status {
            *seen = (status, if seen.0.is_empty() { seen.1 } else { now_ms });
        }
        seen.1
    }
}

/// The task that an answer of the server's comes to, if it comes to one.
pub(super) fn named_in(reply: &str) -> Option<String> {
    let (_, result) = Message::result(reply)?;
    named_by(result.get())
}

/// The task that a result comes to, if it comes to one.
pub(super) fn named_by(result: &str) -> Option<String> {
    let members = Members::parse(result).ok()?;
    let is_task = members.get("resultType").and_then(text).as_deref() == Some("task");
    members.get("taskId").and_then(text).filter(|_| is_task)
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing in here panics halfway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn random() -> u128 {
    u128::from_be_bytes(random_bytes())
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
